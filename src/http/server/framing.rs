//! Where the head of a request ends, how its body is framed, and which requests are refused for their form.
//!
//! When two programs disagree about the end of a request, an attacker can hide one request inside another: what the
//! proxy takes for a body, the server behind it takes for the next request (request smuggling, RFC 9112 §11.2). Lenient
//! parsers cause such disagreements. This module reads the raw bytes before the HTTP engine does. It refuses every
//! request that is not exactly as RFC 9112 has it, and the connection closes after a refusal.
//!
//! Everything here is pure: bytes in, verdict out. No function reads a socket or a clock. The engine parses only what
//! passed here, and never sees a byte of the next request together with this one.

use http::Method;

use crate::http::error::{HttpCode, Refusal};
use crate::http::request::Request;

const fn malformed(detail: &'static str) -> Refusal {
    Refusal::new(HttpCode::MalformedRequest, detail)
}

const BARE_LF: Refusal = malformed("A line of the head does not end with CR LF.");
const NOT_HTTP: Refusal = malformed("This is not an HTTP request.");
const TOO_MANY_FIELDS: Refusal = Refusal::new(
    HttpCode::HeadTooLarge,
    "The request has too many header fields.",
);
/// The body, or its declared length, is over the limit.
pub(super) const BODY_TOO_LARGE: Refusal =
    Refusal::new(HttpCode::BodyTooLarge, "The request's body is too large.");

/// Header fields of one request. The engine parses up to 100 without allocating; clients of an auth server send far
/// fewer.
const MAX_FIELDS: usize = 100;

/// The result of [`find_end`].
#[derive(Debug, PartialEq, Eq)]
pub(super) enum End {
    /// The head is this many bytes long, including the empty line.
    At(usize),
    /// The empty line has not arrived.
    NotYet,
    /// The bytes cannot become a head.
    Refused(Refusal),
}

/// Looks for the empty line that ends a head. `seen` is how many of the bytes an earlier call has searched, so that a
/// head that arrives byte by byte is still read once.
///
/// Bytes that cannot become a head are refused at once and not at the deadline: TLS spoken to a plain port, lines that
/// end with a bare LF.
pub(super) fn find_end(bytes: &[u8], seen: usize) -> End {
    if bytes.first().is_some_and(|first| !is_token(*first)) {
        return End::Refused(NOT_HTTP);
    }
    let mut at = seen;
    while let Some(distance) = bytes[at..].iter().position(|byte| *byte == b'\n') {
        let line_feed = at + distance;
        match bytes[..line_feed] {
            [.., b'\n', b'\r'] => return End::At(line_feed + 1),
            [.., b'\r'] => at = line_feed + 1,
            _ => return End::Refused(BARE_LF),
        }
    }
    End::NotYet
}

/// How the body of an accepted head is framed (RFC 9112 §6.3).
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Body {
    /// There is none.
    None,
    /// Exactly this many bytes, never 0.
    Length(usize),
    /// In chunks, to be followed by [`super::chunked::Chunks`].
    Chunked,
}

/// Judges a complete head, from its request line to its empty line. A declared length over `body_limit` bytes is refused
/// here, before a byte of the body is read.
pub(super) fn judge(head: &[u8], body_limit: usize) -> Result<Body, Refusal> {
    // `find_end` saw that every LF has its CR.
    let mut lines = head
        .strip_suffix(b"\r\n\r\n")
        .unwrap_or(head)
        .split(|byte| *byte == b'\n')
        .map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    let start = request_line(lines.next().unwrap_or_default())?;
    let mut framing = FramingFields::default();
    for line in lines {
        framing.add(line)?;
    }
    let body = framing.body(start.version, body_limit)?;
    start.allowed?;
    framing.expectation?;
    Ok(body)
}

/// The header fields that decide where a request ends, counted while the head is read.
struct FramingFields<'a> {
    fields: usize,
    hosts: usize,
    lengths: usize,
    codings: usize,
    length: &'a [u8],
    /// Both are reported last: a malformed head is refused as malformed even if it has another fault.
    coding: Result<(), Refusal>,
    expectation: Result<(), Refusal>,
}

impl Default for FramingFields<'_> {
    fn default() -> Self {
        FramingFields {
            fields: 0,
            hosts: 0,
            lengths: 0,
            codings: 0,
            length: &[],
            coding: Ok(()),
            expectation: Ok(()),
        }
    }
}

impl<'a> FramingFields<'a> {
    fn add(&mut self, line: &'a [u8]) -> Result<(), Refusal> {
        self.fields += 1;
        if self.fields > MAX_FIELDS {
            return Err(TOO_MANY_FIELDS);
        }
        let (name, value) = field(line)?;
        // Compared by length first: four comparisons of names for each field cost measurable time.
        match name.len() {
            4 if name.eq_ignore_ascii_case(b"host") => {
                self.hosts += 1;
                if !value.iter().all(|byte| is_authority(*byte)) {
                    return Err(malformed("The Host field is not a host."));
                }
            }
            6 if name.eq_ignore_ascii_case(b"expect")
                && !value.eq_ignore_ascii_case(b"100-continue") =>
            {
                // RFC 9110 §10.1.1.
                self.expectation = Err(Refusal::new(
                    HttpCode::ExpectationFailed,
                    "The only expectation that the server meets is 100-continue.",
                ));
            }
            14 if name.eq_ignore_ascii_case(b"content-length") => {
                self.lengths += 1;
                self.length = value;
            }
            17 if name.eq_ignore_ascii_case(b"transfer-encoding") => {
                self.codings += 1;
                if !value.eq_ignore_ascii_case(b"chunked") {
                    // RFC 9112 §6.1.
                    self.coding = Err(Refusal::new(
                        HttpCode::UnknownTransferCoding,
                        "The only transfer coding that the server understands is chunked.",
                    ));
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn body(&self, version: Version, limit: usize) -> Result<Body, Refusal> {
        // RFC 9112 §3.2. HTTP/1.0 has no Host.
        if self.hosts != 1 && (self.hosts > 1 || version == Version::Http11) {
            return Err(malformed("There must be exactly one Host field."));
        }
        match (self.lengths, self.codings) {
            // Also when they agree: RFC 9110 §8.6 lets a recipient refuse them.
            (2.., _) => Err(malformed("There are two Content-Length fields.")),
            (1, 1..) => Err(malformed(
                "Content-Length and Transfer-Encoding exclude each other.",
            )),
            (0, 2..) => Err(malformed("There are two Transfer-Encoding fields.")),
            (0, 1) if version == Version::Http10 => {
                Err(malformed("HTTP/1.0 has no Transfer-Encoding."))
            }
            (0, 1) => self.coding.map(|()| Body::Chunked),
            (0, 0) => Ok(Body::None),
            (1, 0) => content_length(self.length, limit),
        }
    }
}

/// Reads as much of a refused head as is well-formed: the request line, and the header fields before the first line that
/// is malformed or incomplete. `None` if the request line itself cannot be read.
///
/// The result serves to answer a refusal in the form that the client can read. It is never handled as a request.
pub(super) fn legible_part(bytes: &[u8]) -> Option<Request> {
    let mut lines = bytes
        .split_inclusive(|byte| *byte == b'\n')
        .map_while(|line| line.strip_suffix(b"\r\n"))
        .take_while(|line| !line.is_empty());
    let line = lines.next()?;
    request_line(line).ok()?;
    let mut words = line.split(|byte| *byte == b' ');
    let method = Method::from_bytes(words.next()?).ok()?;
    let target = std::str::from_utf8(words.next()?).ok()?;
    let mut request = Request::new(method, path_and_query(target));
    for (name, value) in lines.map_while(|line| field(line).ok()).take(MAX_FIELDS) {
        request.push_header(name, value);
    }
    Some(request)
}

/// A request target without the scheme and authority that it may begin with (RFC 9112 §3.2.2).
fn path_and_query(target: &str) -> &str {
    match target.split_once("://") {
        Some((_, rest)) if !target.starts_with('/') => {
            let authority = rest.find(['/', '?']).unwrap_or(rest.len());
            Some(&rest[authority..])
                .filter(|path| path.starts_with('/'))
                .unwrap_or("/")
        }
        _ => target,
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Version {
    Http10,
    Http11,
}

struct RequestLine {
    version: Version,
    /// Reported last: a malformed head is refused as malformed even if it has another fault.
    allowed: Result<(), Refusal>,
}

/// RFC 9112 §3: method, target and version, with one space between them.
fn request_line(line: &[u8]) -> Result<RequestLine, Refusal> {
    let mut parts = line.split(|byte| *byte == b' ');
    let (Some(method), Some(target), Some(version), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(NOT_HTTP);
    };
    if method.is_empty() || !method.iter().all(|byte| is_token(*byte)) {
        return Err(NOT_HTTP);
    }
    let version = match version {
        b"HTTP/1.1" => Version::Http11,
        b"HTTP/1.0" => Version::Http10,
        [b'H', b'T', b'T', b'P', b'/', b'0'..=b'9', b'.', b'0'..=b'9'] => {
            return Err(Refusal::new(
                HttpCode::VersionNotSupported,
                "The server speaks HTTP/1.1 and HTTP/1.0 only.",
            ));
        }
        _ => return Err(NOT_HTTP),
    };
    let allowed = if method == b"CONNECT" || target == b"*" {
        Err(Refusal::new(
            HttpCode::MethodNotAllowed,
            "This server is not a proxy, and has no methods for itself as a whole.",
        ))
    } else if is_target(target) {
        Ok(())
    } else {
        return Err(malformed("The request target is not a path."));
    };
    Ok(RequestLine { version, allowed })
}

/// RFC 9112 §3.2.1 and §3.2.2: a path and query, or a whole http URL (from a client that takes this server for a
/// proxy). The path must conform to RFC 3986; the query may contain what browsers leave unescaped in one.
fn is_target(target: &[u8]) -> bool {
    let rest = match target {
        [b'/', ..] => target,
        _ => {
            let Some(rest) = [&b"http://"[..], b"https://"].iter().find_map(|scheme| {
                let (start, rest) = target.split_at_checked(scheme.len())?;
                start.eq_ignore_ascii_case(scheme).then_some(rest)
            }) else {
                return false;
            };
            let authority = rest
                .iter()
                .position(|byte| matches!(byte, b'/' | b'?'))
                .unwrap_or(rest.len());
            if authority == 0 || !rest[..authority].iter().all(|byte| is_authority(*byte)) {
                return false;
            }
            &rest[authority..]
        }
    };
    let mut in_query = false;
    rest.iter().all(|byte| match byte {
        b'"' | b'#' | b'<' | b'>' => false,
        b'\\' | b'^' | b'`' | b'{' | b'|' | b'}' => in_query,
        b'?' => {
            in_query = true;
            true
        }
        _ => byte.is_ascii_graphic(),
    })
}

/// RFC 9112 §5: a name, a colon right after it, a value with optional white space around it.
fn field(line: &[u8]) -> Result<(&[u8], &[u8]), Refusal> {
    if matches!(line, [b' ' | b'\t', ..]) {
        // obs-fold, RFC 9112 §5.2.
        return Err(malformed("A header field is folded."));
    }
    let colon = line
        .iter()
        .position(|byte| !is_token(*byte))
        .unwrap_or(line.len());
    if colon == 0 || line.get(colon) != Some(&b':') {
        return Err(malformed("A header field has no proper name."));
    }
    let (name, value) = (&line[..colon], trim_blanks(&line[colon + 1..]));
    if value
        .iter()
        .any(|byte| byte.is_ascii_control() && *byte != b'\t')
    {
        return Err(malformed("A header field contains control characters."));
    }
    Ok((name, value))
}

/// Without the optional white space around it (RFC 9110 §5.6.3): spaces and tabs only, unlike the trimming functions of
/// the standard library.
fn trim_blanks(mut value: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = value {
        value = rest;
    }
    value
}

/// RFC 9110 §8.6: digits and nothing else.
fn content_length(digits: &[u8], limit: usize) -> Result<Body, Refusal> {
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return Err(malformed("Content-Length is not a number."));
    }
    // A number too large for the machine is too large for the limit.
    let length = digits
        .iter()
        .try_fold(0usize, |sum, digit| {
            sum.checked_mul(10)?.checked_add(usize::from(digit - b'0'))
        })
        .filter(|length| *length <= limit)
        .ok_or(BODY_TOO_LARGE)?;
    Ok(match length {
        0 => Body::None,
        length => Body::Length(length),
    })
}

/// RFC 9110 §5.6.2.
pub(super) fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// The bytes of a host and port (RFC 3986 §3.2.2 and §3.2.3), without user information.
fn is_authority(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~%!$&'()*+,;=:[]".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: usize = 1000;

    fn verdict(head: &str) -> Result<Body, u16> {
        match find_end(head.as_bytes(), 0) {
            End::At(end) => {
                assert_eq!(end, head.len(), "{head:?} ends early");
                judge(head.as_bytes(), LIMIT).map_err(|refusal| refusal.code.status().as_u16())
            }
            End::NotYet => panic!("{head:?} is not complete"),
            End::Refused(refusal) => Err(refusal.code.status().as_u16()),
        }
    }

    #[test] // req 61, RFC 9112
    fn heads_are_judged_strictly() {
        let get = |rest: &str| format!("GET / HTTP/1.1\r\nHost: a\r\n{rest}\r\n");
        let line = |line: &str| format!("{line}\r\nHost: a\r\n\r\n");
        for (head, expected) in [
            (get(""), Ok(Body::None)),
            (get("Content-Length: 0\r\n"), Ok(Body::None)),
            (get("content-LENGTH:  7 \r\n"), Ok(Body::Length(7))),
            (get("Content-Length: 1000\r\n"), Ok(Body::Length(1000))),
            (
                get("Content-Length: 0000000000000000000000001\r\n"),
                Ok(Body::Length(1)),
            ),
            (get("Transfer-Encoding: Chunked\r\n"), Ok(Body::Chunked)),
            (get("Expect: 100-Continue\r\n"), Ok(Body::None)),
            (get("X-Tab: a\tb\r\n"), Ok(Body::None)),
            (get("X-Empty:\r\n"), Ok(Body::None)),
            (get("X-Utf: \u{e9}\r\n"), Ok(Body::None)),
            ("GET / HTTP/1.0\r\n\r\n".into(), Ok(Body::None)),
            (line("GET /a%2f/..;b?c={|}&d=^\\` HTTP/1.1"), Ok(Body::None)),
            (line("GET HTTP://a:80/b HTTP/1.1"), Ok(Body::None)),
            (line("GET https://[::1]?b HTTP/1.1"), Ok(Body::None)),
            (line("BREW /pot HTTP/1.1"), Ok(Body::None)),
            // Length and framing.
            (get("Content-Length: 1001\r\n"), Err(413)),
            (get("Content-Length: 9223372036854775807\r\n"), Err(413)),
            (get("Content-Length: 99999999999999999999999\r\n"), Err(413)),
            (get("Content-Length: +5\r\n"), Err(400)),
            (get("Content-Length: -5\r\n"), Err(400)),
            (get("Content-Length: 5, 5\r\n"), Err(400)),
            (get("Content-Length: 0x5\r\n"), Err(400)),
            (get("Content-Length: 5 5\r\n"), Err(400)),
            (get("Content-Length:\r\n"), Err(400)),
            (get("Content-Length: 5\r\nContent-Length: 5\r\n"), Err(400)),
            (get("Content-Length: 5\r\ncontent-length: 6\r\n"), Err(400)),
            (
                get("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n"),
                Err(400),
            ),
            (
                get("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n"),
                Err(400),
            ),
            (
                get("Transfer-Encoding: gzip\r\nContent-Length: 5\r\n"),
                Err(400),
            ),
            (
                get("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n"),
                Err(400),
            ),
            (get("Transfer-Encoding: gzip, chunked\r\n"), Err(501)),
            (get("Transfer-Encoding: xchunked\r\n"), Err(501)),
            (get("Transfer-Encoding: \"chunked\"\r\n"), Err(501)),
            (
                "GET / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n".into(),
                Err(400),
            ),
            // Lines.
            (get("X: a\r\n b\r\n"), Err(400)),
            (get("X: a\r\n\tb\r\n"), Err(400)),
            (get("X: a\nY: b\r\n"), Err(400)),
            (get("X: a\rb\r\n"), Err(400)),
            (get("X: a\0b\r\n"), Err(400)),
            (get("X: a\x7fb\r\n"), Err(400)),
            (get("Content-Length: \x0c5\r\n"), Err(400)),
            (get("Transfer-Encoding: \x0bchunked\r\n"), Err(400)),
            (get("X : a\r\n"), Err(400)),
            (get(": a\r\n"), Err(400)),
            (get("X\r\n"), Err(400)),
            (get("X\u{e9}: a\r\n"), Err(400)),
            ("GET / HTTP/1.1\nHost: a\n\n".into(), Err(400)),
            (
                format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", "X: a\r\n".repeat(99)),
                Ok(Body::None),
            ),
            (
                format!(
                    "GET / HTTP/1.1\r\nHost: a\r\n{}\r\n",
                    "X: a\r\n".repeat(100)
                ),
                Err(431),
            ),
            // Host.
            ("GET / HTTP/1.1\r\n\r\n".into(), Err(400)),
            (get("Host: a\r\n"), Err(400)),
            (
                "GET / HTTP/1.0\r\nHost: a\r\nHost: a\r\n\r\n".into(),
                Err(400),
            ),
            ("GET / HTTP/1.1\r\nHost: a b\r\n\r\n".into(), Err(400)),
            ("GET / HTTP/1.1\r\nHost: u@a\r\n\r\n".into(), Err(400)),
            ("GET / HTTP/1.1\r\nHost: a/b\r\n\r\n".into(), Err(400)),
            // The request line.
            (line("GET  / HTTP/1.1"), Err(400)),
            (line("GET / HTTP/1.1 "), Err(400)),
            (line("GET / a HTTP/1.1"), Err(400)),
            (line("GET /"), Err(400)),
            (line("GET / http/1.1"), Err(400)),
            (line("GET a HTTP/1.1"), Err(400)),
            (line("GET /a#b HTTP/1.1"), Err(400)),
            (line("GET /a\\b HTTP/1.1"), Err(400)),
            (line("GET /\u{e9} HTTP/1.1"), Err(400)),
            (line("GET ftp://a/ HTTP/1.1"), Err(400)),
            (line("GET http:///a HTTP/1.1"), Err(400)),
            (line("GET http://u@a/ HTTP/1.1"), Err(400)),
            (line("G(T / HTTP/1.1"), Err(400)),
            (line("GET / HTTP/1.2"), Err(505)),
            (line("PRI * HTTP/2.0"), Err(505)),
            (line("CONNECT a:443 HTTP/1.1"), Err(405)),
            (line("OPTIONS * HTTP/1.1"), Err(405)),
            ("CONNECT a:443 HTTP/1.1\r\n\r\n".into(), Err(400)),
            (get("Expect: a-pony\r\n"), Err(417)),
            (get("Expect: a-pony\r\nContent-Length: +1\r\n"), Err(400)),
            ("\x16\x03\x01\x02\r\n\r\n".into(), Err(400)),
        ] {
            assert_eq!(verdict(&head), expected, "{head:?}");
        }
    }

    #[test]
    fn a_head_that_comes_in_pieces_ends_where_it_ends_in_one() {
        let head = b"GET / HTTP/1.1\r\nHost: a\r\nX: b\r\n\r\nGET";
        let mut seen = 0;
        for arrived in 0..head.len() {
            match find_end(&head[..arrived], seen) {
                End::NotYet => seen = arrived,
                End::At(end) => {
                    assert_eq!((end, arrived), (head.len() - 3, head.len() - 3));
                    return;
                }
                End::Refused(refusal) => panic!("{refusal:?}"),
            }
        }
        panic!("no end was found");
    }

    #[test] // fault 22
    fn as_much_of_a_refused_head_is_read_as_is_well_formed() {
        let origin = |head: &str| {
            let request = legible_part(head.as_bytes())?;
            Some((request.path.clone(), request.header("origin")?.to_owned()))
        };
        let both = |path: &str| Some((path.to_owned(), "https://a".to_owned()));
        let start = "POST /v1/a?b HTTP/1.1\r\nOrigin: https://a\r\n";
        for (rest, seen) in [
            ("\r\n", both("/v1/a")),
            ("X: 1", both("/v1/a")),
            (" folded\r\n\r\n", both("/v1/a")),
            ("Origin: https://b\r\n\r\n", None),
            ("\r\nOrigin: https://b\r\n\r\n", both("/v1/a")),
        ] {
            assert_eq!(origin(&format!("{start}{rest}")), seen, "{rest:?}");
        }
        let head = |target: &str| format!("GET {target} HTTP/1.1\r\norigin: https://a\r\n");
        assert_eq!(origin(&head("http://host/reset?x")), both("/reset"));
        assert_eq!(origin(&head("http://host")), both("/"));
        assert_eq!(origin(&head("/a?b=c://d")), both("/a"));
        assert_eq!(origin("GET /a"), None);
        assert_eq!(origin("GET / HTTP/1.1\nOrigin: https://a\n\n"), None);
    }
}
