//! Which kind of client reads the answers of a route, and what follows from it: who may read answers across origins, and the
//! headers that protect a browser. The form of errors follows from it too.
//!
//! A new kind of route is a new variant here, and the compiler asks for each of these decisions. The endpoints that reverse
//! proxies ask will be one (errors as a status without a body, no CORS).

/// The kind of client that a route is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Surface {
    /// Programs: the JSON API, the public keys, health. Errors are problem details (RFC 9457). Pages of the origins that
    /// the settings list may read the answers.
    Api,
    /// Apps that sign people in here: the endpoints of OAuth. Errors are those of RFC 6749 §5.2. Pages of the origins that
    /// clients are registered with may read the answers, too.
    OAuth,
    /// Programs that look what this server can do and which keys it has. Nothing of it is secret: pages of every origin may
    /// read it.
    Metadata,
    /// People, in a browser: pages about the account and the administration. Errors are pages. No other origin may read
    /// the answers.
    Page,
    /// People, in a browser: pages on which the sign-in of another site may begin or end. An app may open them in a window of
    /// its own, and their forms may lead to another origin.
    EntryPage,
}

/// Whose pages may read answers across origins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Readers {
    /// This server's own alone.
    Own,
    /// Also those of the origins in the settings.
    Listed,
    /// Also those of the origins that clients are registered with.
    Clients,
    /// Those of every origin.
    All,
}

impl Surface {
    /// Whose pages may read its answers and send it requests (CORS).
    pub(super) const fn readers(self) -> Readers {
        match self {
            Surface::Api => Readers::Listed,
            Surface::OAuth => Readers::Clients,
            Surface::Metadata => Readers::All,
            Surface::Page | Surface::EntryPage => Readers::Own,
        }
    }

    /// Whether a person looks at its answers in a browser.
    pub(super) const fn is_page(self) -> bool {
        matches!(self, Surface::Page | Surface::EntryPage)
    }

    /// The `Content-Security-Policy` of its answers. `default-src` is no fallback for `base-uri` and `form-action`.
    pub(super) const fn content_security_policy(self) -> &'static str {
        match self {
            Surface::Api | Surface::OAuth | Surface::Metadata => {
                "default-src 'none'; frame-ancestors 'none'"
            }
            Surface::Page => {
                "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; base-uri 'none'; \
                 form-action 'self'; frame-ancestors 'none'"
            }
            // Browsers apply `form-action` to every redirect that follows a form, and the last of them is the app's.
            Surface::EntryPage => {
                "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; base-uri 'none'; \
                 frame-ancestors 'none'"
            }
        }
    }

    /// The `Referrer-Policy`. A page that sends none at all would send its own forms with `Origin: null`.
    pub(super) const fn referrer_policy(self) -> &'static str {
        match self {
            Surface::Api | Surface::OAuth | Surface::Metadata => "no-referrer",
            Surface::Page | Surface::EntryPage => "same-origin",
        }
    }

    /// Further header fields of its answers.
    pub(super) const fn more_headers(self) -> &'static [(&'static str, &'static str)] {
        const PERMISSIONS: (&str, &str) = (
            "permissions-policy",
            "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
        );
        match self {
            Surface::Api | Surface::OAuth | Surface::Metadata => &[],
            Surface::Page => &[PERMISSIONS, ("cross-origin-opener-policy", "same-origin")],
            // An app that opened the sign-in in a window of its own must still reach that window.
            Surface::EntryPage => &[PERMISSIONS],
        }
    }
}
