//! Where a browser goes after it signed in.
//!
//! The address comes from a request, so it can be an attacker's: a page of another site that looks like this one would ask
//! for the password again. Only a path of this server is accepted, and a browser must read it as that: what follows is
//! compared with how browsers parse (WHATWG URL), not with how it looks.

/// The longest address that is accepted, in bytes: an authorization request of an app fits (`state` has up to 2,048 bytes).
const LONGEST: usize = 8192;

/// Where a browser goes that does not say.
pub(in crate::http::pages) const HOME: &str = "/account";

/// A path of this server, with its query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::http::pages) struct ReturnAddress(String);

impl ReturnAddress {
    /// The address, if it is a path of this server.
    pub(in crate::http::pages) fn read(text: &str) -> Option<ReturnAddress> {
        let is_path = text.starts_with('/') && text.len() <= LONGEST;
        // A browser takes `\` for `/`, and removes tabs and line breaks wherever they are. `//` begins a host.
        let is_plain = text
            .bytes()
            .all(|byte| byte.is_ascii_graphic() && byte != b'\\');
        (is_path && is_plain && !text.starts_with("//")).then(|| ReturnAddress(text.to_owned()))
    }

    /// The address in a query or a form, or else the account page.
    pub(in crate::http::pages) fn or_home(text: Option<&str>) -> ReturnAddress {
        text.and_then(ReturnAddress::read)
            .unwrap_or_else(|| ReturnAddress(HOME.to_owned()))
    }

    pub(in crate::http::pages) fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_path_of_this_server_is_returned_to() {
        for own in [
            "/",
            "/account",
            "/account/sessions?after=1#top",
            "/a//b",
            "/oauth/authorize?x=https://app.example/",
        ] {
            assert_eq!(ReturnAddress::or_home(Some(own)).as_str(), own);
        }
        let foreign = [
            "",
            "account",
            "https://evil.example/",
            "//evil.example",
            "///evil.example",
            "/\\evil.example",
            "\\/evil.example",
            "\\\\evil.example",
            "/\t/evil.example",
            "\t//evil.example",
            "/\n/evil.example",
            "/\r/evil.example",
            " //evil.example",
            "javascript:alert(1)",
            "data:text/html,x",
            "/a\\b",
            "/\u{0}",
            "/ä",
            "http:evil.example",
            "/%0d\n",
        ];
        for foreign in foreign {
            assert_eq!(
                ReturnAddress::or_home(Some(foreign)).as_str(),
                HOME,
                "{foreign:?}"
            );
        }
        assert_eq!(
            ReturnAddress::or_home(Some(&format!("/{}", "a".repeat(LONGEST)))).as_str(),
            HOME
        );
        assert_eq!(ReturnAddress::or_home(None).as_str(), HOME);
    }
}
