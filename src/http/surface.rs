//! Which kind of client reads the answers of a route, and what follows from it: the form of errors, who may read answers
//! across origins, and the headers that protect a browser.
//!
//! A new kind of route is a new variant here, and the compiler asks for each of these decisions. The endpoints of OAuth
//! will be one (errors as RFC 6749 §5.2 has them), the endpoints that reverse proxies ask another (errors as a status
//! without a body, no CORS).

use super::response::Response;
use super::{HttpError, api, pages};

/// The kind of client that a route is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Surface {
    /// Programs: the JSON API, the public keys, health. Errors are problem details (RFC 9457). Pages of the origins that
    /// the settings list may read the answers.
    Api,
    /// People, in a browser. Errors are text. No other origin may read the answers.
    Page,
}

impl Surface {
    /// An error in the form of this surface, without the headers that do not depend on it.
    pub(super) fn error_body(self, error: &HttpError, request_id: &str) -> Response {
        match self {
            Surface::Api => api::problem::respond(error, request_id),
            Surface::Page => pages::show_error(error, request_id),
        }
    }

    /// The media type of its errors.
    pub(super) const fn error_media_type(self) -> &'static str {
        match self {
            Surface::Api => api::problem::MEDIA_TYPE,
            Surface::Page => "text/plain",
        }
    }

    /// Whether the origins in the settings may read its answers and send it requests (CORS).
    pub(super) const fn allows_other_origins(self) -> bool {
        match self {
            Surface::Api => true,
            Surface::Page => false,
        }
    }

    /// The `Content-Security-Policy` of its answers.
    pub(super) const fn content_security_policy(self) -> &'static str {
        match self {
            Surface::Api => "default-src 'none'; frame-ancestors 'none'",
            // `default-src` is no fallback for `base-uri` and `form-action`.
            Surface::Page => {
                "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
            }
        }
    }
}
