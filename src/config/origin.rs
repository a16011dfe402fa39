//! Web origins, and the public URL of this server.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use super::text::digits;

/// A web origin (RFC 6454): a scheme, a host, perhaps a port, and nothing else.
///
/// It is kept as browsers send it (lower case, no default port), so that an `Origin` header is
/// compared byte by byte.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    text: String,
    host: String,
}

impl Origin {
    /// The origin as browsers send it: `https://app.example` or `http://localhost:3000`.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Reads the origin of a page. Apps in a web view and browser extensions have schemes of their own, such as
    /// `capacitor://localhost`; such an origin is compared as it is written here.
    pub(super) fn parse_of_page(text: &str) -> Result<Origin, String> {
        let Some((scheme, host)) = text.split_once("://") else {
            return Origin::parse(text);
        };
        if ["http", "https"].contains(&scheme.to_ascii_lowercase().as_str()) {
            return Origin::parse(text);
        }
        // RFC 3986 §3.1.
        let is_scheme = scheme.starts_with(|c: char| c.is_ascii_alphabetic())
            && scheme
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c));
        let is_host_char = |c: char| c.is_ascii_graphic() && !"/?#\\@*,\"".contains(c);
        match is_scheme && !host.is_empty() && host.chars().all(is_host_char) {
            true => Ok(Origin {
                text: text.to_owned(),
                host: host.to_owned(),
            }),
            false => Err("it is not an origin; expected a scheme, :// and a host".to_owned()),
        }
    }

    /// Reads an origin with `http` or `https`. Stricter than a URL parser: what browsers silently repair (backslashes, `127.1`, spaces, Unicode) is
    /// refused. Attacks on redirect and origin checks use two parsers that repair differently.
    pub(super) fn parse(text: &str) -> Result<Origin, String> {
        let expected = |why: &str| {
            Err(format!(
                "{why}; expected https:// (or http://), a host and perhaps a port"
            ))
        };
        let Some((scheme, authority)) = text.split_once("://") else {
            return expected("it does not begin with https://");
        };
        let scheme = scheme.to_ascii_lowercase();
        let default_port = match scheme.as_str() {
            "https" => 443,
            "http" => 80,
            _ => return expected("it does not begin with https://"),
        };
        // RFC 3986 §3.2: what ends an authority, and the mark of user information within it.
        if let Some(excess) = authority.chars().find(|c| "/?#\\@".contains(*c)) {
            return expected(match excess {
                '/' => "a path is not allowed",
                '?' => "a query is not allowed",
                '#' => "a fragment is not allowed",
                '@' => "a user name is not allowed",
                _ => "a backslash is not allowed",
            });
        }
        // The last colon begins the port, unless it belongs to an IPv6 address.
        let (host, port) = match authority.rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
            _ => (authority, None),
        };
        let Some(host) = host_name(host) else {
            return expected("the host is not a DNS name (in ASCII), an IPv4 or an [IPv6] address");
        };
        let port = match port.map(digits::<u16>) {
            None => None,
            Some(Some(port)) => Some(port).filter(|port| *port != default_port),
            Some(None) => return expected("the port is not a number up to 65535"),
        };
        let port = port.map_or_else(String::new, |port| format!(":{port}"));
        Ok(Origin {
            text: format!("{scheme}://{host}{port}"),
            host,
        })
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// The URL under which clients reach authd: an [`Origin`], because authd needs a host of its own.
///
/// A path prefix is not allowed: `/.well-known/` documents and `__Host-` cookies belong to a whole origin, so authd would
/// share them with the other programs of that origin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicUrl(Origin);

impl PublicUrl {
    /// The URL of a server that listens on the loopback interface; `None` for any other address,
    /// whose public name is not known here.
    pub fn of_listener(listen: SocketAddr) -> Option<PublicUrl> {
        let ip = listen.ip();
        let url = match ip == Ipv4Addr::LOCALHOST || ip == Ipv6Addr::LOCALHOST {
            // The name and not the address: passkeys do not work on an address.
            true => format!("http://localhost:{}", listen.port()),
            // Without the scope of an IPv6 address, which a URL cannot have.
            false => format!("http://{}", SocketAddr::new(ip, listen.port())),
        };
        let origin = Origin::parse(&url).ok()?;
        Some(PublicUrl(origin)).filter(PublicUrl::is_loopback)
    }

    /// The URL without a trailing slash: `https://auth.example.com`.
    pub fn as_str(&self) -> &str {
        &self.0.text
    }

    /// Whether clients use TLS. The names and attributes of cookies depend on it.
    pub fn is_https(&self) -> bool {
        self.0.text.starts_with("https://")
    }

    /// Whether only this machine can reach it: `localhost`, 127.0.0.0/8 or `[::1]`.
    pub fn is_loopback(&self) -> bool {
        let host = self.host();
        host == "localhost"
            || host == "[::1]"
            || host
                .parse::<Ipv4Addr>()
                .is_ok_and(|address| address.is_loopback())
    }

    /// The host in lower case without the port; an IPv6 address keeps its brackets.
    pub fn host(&self) -> &str {
        &self.0.host
    }

    /// The origin that a browser names when a page of this URL sends a request.
    pub fn origin(&self) -> &Origin {
        &self.0
    }

    /// Reads a URL, with or without a slash at its end.
    ///
    /// # Errors
    /// What was expected instead.
    pub fn parse(text: &str) -> Result<PublicUrl, String> {
        Origin::parse(text.strip_suffix('/').unwrap_or(text)).map(PublicUrl)
    }
}

impl fmt::Display for PublicUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The host of a URL in lower case; `None` if it is not a host, or one that has several spellings.
pub(super) fn host_name(host: &str) -> Option<String> {
    /// RFC 1035 §2.3.4, less the length octet and the root.
    const MAX_NAME: usize = 253;
    const MAX_LABEL: usize = 63;

    if let Some(address) = host.strip_prefix('[') {
        let address: Ipv6Addr = address.strip_suffix(']')?.parse().ok()?;
        return Some(format!("[{address}]"));
    }
    let host = host.to_ascii_lowercase();
    let is_label = |label: &str| {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        (1..=MAX_LABEL).contains(&label.len()) && label.bytes().all(allowed)
    };
    if host.len() > MAX_NAME || !host.split('.').all(is_label) {
        return None;
    }
    // Browsers take any host whose last label is a number for an IPv4 address, and `127.1` or
    // `0x7f000001` for 127.0.0.1 (WHATWG URL §3.5): only the plain spelling is allowed.
    let last = host.rsplit('.').next().unwrap_or_default();
    let is_number = last.bytes().all(|byte| byte.is_ascii_digit())
        || last
            .strip_prefix("0x")
            .is_some_and(|hex| hex.bytes().all(|b| b.is_ascii_hexdigit()));
    if is_number && host.parse::<Ipv4Addr>().is_err() {
        return None;
    }
    Some(host)
}

#[cfg(test)]
mod tests {
    use super::*;

    // req 25: links are built from this URL, so it has one meaning.
    #[test]
    fn a_public_url_has_one_spelling() {
        #[rustfmt::skip]
        let rows = [
            ("https://auth.example.com", "https://auth.example.com", "auth.example.com"),
            ("https://auth.example.com/", "https://auth.example.com", "auth.example.com"),
            ("HTTPS://Auth.Example.COM:443", "https://auth.example.com", "auth.example.com"),
            ("https://a.example:8443/", "https://a.example:8443", "a.example"),
            ("https://a.example:080", "https://a.example:80", "a.example"),
            ("http://localhost:80", "http://localhost", "localhost"),
            ("http://127.0.0.1:8080", "http://127.0.0.1:8080", "127.0.0.1"),
            ("http://[0:0:0:0:0:0:0:1]:8080", "http://[::1]:8080", "[::1]"),
            (
                "https://xn--bcher-kva.example",
                "https://xn--bcher-kva.example",
                "xn--bcher-kva.example",
            ),
            ("https://auth_1", "https://auth_1", "auth_1"),
        ];
        for (text, url, host) in rows {
            let parsed = PublicUrl::parse(text).unwrap();
            assert_eq!((parsed.as_str(), parsed.host()), (url, host));
            assert_eq!(parsed.origin().as_str(), url);
            assert_eq!(parsed.is_https(), url.starts_with("https:"));
        }
        #[rustfmt::skip]
        let rows = [
            ("", "does not begin"),
            ("auth.example.com", "does not begin"),
            ("//auth.example.com", "does not begin"),
            ("ftp://auth.example.com", "does not begin"),
            (" https://auth.example.com", "does not begin"),
            ("https:/", "does not begin"),
            ("https://", "does not begin"),
            ("https:///", "host"),
            ("https://a.example/auth", "path"),
            ("https://a.example//", "path"),
            ("https://a.example?x", "query"),
            ("https://a.example#x", "fragment"),
            ("https://user@a.example", "user name"),
            ("https://user:pass@a.example/", "user name"),
            ("https:\\\\a.example", "does not begin"),
            ("https://a.example\\b", "backslash"),
            ("https://a.example:", "port"),
            ("https://a.example:+1", "port"),
            ("https://a.example:65536", "port"),
            ("https://a.example:80:80", "host"),
            ("https://:80", "host"),
            ("https://a..example", "host"),
            ("https://a.example.", "host"),
            ("https://*.example", "host"),
            ("https://a example", "host"),
            ("https://a%2eexample", "host"),
            ("https://b\u{fc}cher.example", "host"),
            ("https://::1", "host"),
            ("https://[::1", "host"),
            ("https://[::1]x", "host"),
            ("https://[fe80::1%25eth0]", "host"),
            ("https://127.1", "host"),
            ("https://0x7f.1", "host"),
            ("https://0x7f000001", "host"),
            ("https://2130706433", "host"),
            ("https://127.0.0.01", "host"),
            ("https://a.1", "host"),
        ];
        for (text, why) in rows {
            let error = PublicUrl::parse(text).expect_err(text);
            let (error, _) = error.split_once("; expected https://").unwrap();
            assert!(error.contains(why), "{text}: {error}");
        }
    }

    #[test] // decision 13: apps in a web view
    fn an_origin_of_a_page_can_have_any_scheme() {
        for text in [
            "capacitor://localhost",
            "ionic://localhost",
            "chrome-extension://abcdefghijklmnop",
            "App://Example:80",
        ] {
            let origin = Origin::parse_of_page(text).expect(text);
            assert_eq!(origin.as_str(), text);
        }
        let web = Origin::parse_of_page("HTTPS://App.Example:443").expect("an origin");
        assert_eq!(web.as_str(), "https://app.example");
        for text in [
            "",
            "*",
            "null",
            "localhost",
            "capacitor:localhost",
            "capacitor://",
            "file:///",
            "capacitor://localhost/",
            "capacitor://*",
            "1a://b",
            "a b://c",
            "a://b c",
            "://b",
            "https://a.b/",
            "ionic://a,b",
        ] {
            assert!(Origin::parse_of_page(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_host_that_only_looks_like_loopback_is_not_loopback() {
        #[rustfmt::skip]
        let rows = [
            ("http://localhost:8080", true),
            ("http://LOCALHOST", true),
            ("http://127.0.0.1", true),
            ("https://127.255.255.254", true),
            ("http://[::1]", true),
            ("http://localhost.example", false),
            ("http://127.0.0.1.example", false),
            ("http://128.0.0.1", false),
            ("http://0.0.0.0", false),
            ("http://[::]", false),
            ("http://192.168.1.2", false),
        ];
        for (text, loopback) in rows {
            assert_eq!(
                PublicUrl::parse(text).unwrap().is_loopback(),
                loopback,
                "{text}"
            );
        }
    }
}
