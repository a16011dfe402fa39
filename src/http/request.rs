//! A request as handlers see it: a plain value, complete, with its body read within the limit.
//!
//! Nothing here knows a socket or the library that speaks HTTP, so a test or another server
//! (`examples/embed_tiny_http.rs`) can make a request and call the application exactly as the HTTP server does.
//!
//! A header field that occurs more than once has no single value: [`Request::header`] answers `None`. A program that
//! takes the first of two values can be deceived when the proxy in front of it takes the last.

use std::net::{IpAddr, Ipv4Addr};

use http::Method;

/// One request, complete.
#[derive(Debug, Clone)]
pub struct Request {
    /// The method (RFC 9110 §9). Names are case-sensitive.
    pub method: Method,
    /// The path as it was sent: it begins with `/` and is not percent-decoded.
    pub path: String,
    /// What follows the first `?`, as it was sent, without the `?`.
    pub query: Option<String>,
    /// The address at the other end of the socket. Behind a reverse proxy it is the proxy's; the settings say which
    /// proxies may name the client. An IPv4 address that arrived on an IPv6 socket is an IPv4 address here.
    pub peer: IpAddr,
    /// The body, at most as long as the server's limit, without its transfer coding.
    pub body: Vec<u8>,
    headers: Fields,
}

impl Request {
    /// A request for `target` (a path, and a query after `?` where there is one), without header fields and body, from
    /// the loopback address.
    pub fn new(method: Method, target: &str) -> Self {
        let (path, query) = match target.split_once('?') {
            Some((path, query)) => (path, Some(query.to_owned())),
            None => (target, None),
        };
        Self {
            method,
            path: path.to_owned(),
            query,
            peer: IpAddr::V4(Ipv4Addr::LOCALHOST),
            body: Vec::new(),
            headers: Fields::default(),
        }
    }

    /// The same request with one more header field. Fields are added, never replaced, as on the wire.
    #[must_use]
    pub fn with_header(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.headers.push(name.as_bytes(), value.as_ref());
        self
    }

    /// The same request with this body.
    #[must_use]
    pub fn with_body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    /// The same request as sent from `peer`.
    #[must_use]
    pub fn with_peer(mut self, peer: IpAddr) -> Self {
        self.peer = peer.to_canonical();
        self
    }

    /// The value of the field `name`, in any case. `None` when the field is absent, when its value is not UTF-8, and when
    /// it occurs more than once.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut found = self.headers.of(name);
        match (found.next(), found.next()) {
            (Some(value), None) => std::str::from_utf8(value).ok(),
            _ => None,
        }
    }

    /// The token that it presents (RFC 6750 §2.1: in the header, and neither in the query nor the body).
    pub(super) fn bearer_token(&self) -> Option<&str> {
        let (scheme, token) = self.header("authorization")?.split_once(' ')?;
        scheme
            .eq_ignore_ascii_case("bearer")
            .then_some(token.trim())
    }

    /// The values of every field `name`, in the order they arrived. A value that is not UTF-8 is left out.
    pub fn headers_all(&self, name: &str) -> impl Iterator<Item = &str> {
        self.headers
            .of(name)
            .filter_map(|value| std::str::from_utf8(value).ok())
    }

    /// The values of every field `name`, in the order they arrived, as bytes.
    pub(super) fn raw_headers_all(&self, name: &str) -> impl Iterator<Item = &[u8]> {
        self.headers.of(name)
    }

    /// Makes room for `count` fields of `bytes` bytes in all, names and values together, so that copying a parsed head
    /// allocates twice and not every few fields.
    pub(super) fn reserve_headers(&mut self, count: usize, bytes: usize) {
        self.headers.lines.reserve_exact(count);
        self.headers.text.reserve_exact(bytes);
    }

    /// Adds a field in place.
    pub(super) fn push_header(&mut self, name: &[u8], value: &[u8]) {
        self.headers.push(name, value);
    }
}

/// Header fields in one buffer: a request costs two allocations however many fields it has.
#[derive(Debug, Clone, Default)]
struct Fields {
    text: Vec<u8>,
    lines: Vec<Line>,
}

/// Where one field lies in [`Fields::text`]: name and value are adjacent.
#[derive(Debug, Clone, Copy)]
struct Line {
    name: usize,
    value: usize,
    end: usize,
}

impl Fields {
    fn push(&mut self, name: &[u8], value: &[u8]) {
        let start = self.text.len();
        self.text.extend_from_slice(name);
        self.text.extend_from_slice(value);
        self.lines.push(Line {
            name: start,
            value: start + name.len(),
            end: self.text.len(),
        });
    }

    fn of(&self, name: &str) -> impl Iterator<Item = &[u8]> {
        self.lines
            .iter()
            .filter(move |line| {
                self.text[line.name..line.value].eq_ignore_ascii_case(name.as_bytes())
            })
            .map(|line| &self.text[line.value..line.end])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_that_occurs_twice_has_no_single_value() {
        let request = Request::new(Method::GET, "/")
            .with_header("X-One", "1")
            .with_header("X-Two", "a")
            .with_header("x-two", "b");
        assert_eq!(request.header("x-one"), Some("1"));
        assert_eq!(request.header("X-Two"), None);
        assert_eq!(request.headers_all("x-TWO").collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!(request.header("x-none"), None);
    }

    #[test]
    fn a_field_that_is_not_text_has_no_value() {
        let request = Request::new(Method::GET, "/")
            .with_header("x-odd", b"\xff")
            .with_header("x-name", "Zoë");
        assert_eq!(request.header("x-odd"), None);
        assert_eq!(request.header("x-name"), Some("Zoë"));
    }

    #[test]
    fn a_target_is_split_at_its_first_question_mark() {
        let request = Request::new(Method::GET, "/a%2Fb?c=d?e");
        assert_eq!(request.path, "/a%2Fb");
        assert_eq!(request.query.as_deref(), Some("c=d?e"));
        assert_eq!(Request::new(Method::GET, "/").query, None);
        assert_eq!(Request::new(Method::GET, "/?").query.as_deref(), Some(""));
    }
}
