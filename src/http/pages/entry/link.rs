//! Links from messages and from the command line.
//!
//! The token leaves the address of the page at once: `GET /reset?token=…` puts it into a cookie for that page and answers
//! with the bare path, so that the history, the `Referer` header and screenshots do not have it. Opening a link changes
//! nothing: mail programs and virus scanners open links before people do (req 28, req 40).

use schemars::JsonSchema;
use serde::Deserialize;

use crate::http::pages::visitor::Visitor;
use crate::http::response::Response;

/// The query of a link. Parameters that a mail service added are ignored.
#[derive(Deserialize, JsonSchema)]
pub(in crate::http) struct Link {
    /// The token.
    #[serde(default)]
    token: Option<String>,
    /// The token of an invitation.
    #[serde(default)]
    invite: Option<String>,
}

impl Link {
    /// Moves the token into a cookie for the page at `path`; `None` if the address has no token.
    pub(in crate::http::pages) fn take(
        self,
        visitor: &Visitor<'_>,
        path: &str,
    ) -> Option<Response> {
        let token = self.token.or(self.invite)?;
        // Copied by hand, it may have spaces around it; and nothing that is no token gets into a cookie.
        let token = token.trim();
        let is_plain = |c: char| c.is_ascii_alphanumeric() || "_-".contains(c);
        let response = visitor.go(path);
        Some(match token.len() <= 256 && token.chars().all(is_plain) {
            true => response.header("set-cookie", visitor.cookies.set_link(token, path)),
            false => response.header("set-cookie", visitor.cookies.remove_link(path)),
        })
    }
}
