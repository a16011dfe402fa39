//! Where a request begins and ends, and which requests are refused before anybody reads them.
//!
//! Two programs that disagree about the end of a request can be played against each other: what
//! the proxy in front took for a body, the server behind takes for the next request (request
//! smuggling, RFC 9112 §11.2). Forgiving parsers are how they come to disagree, so this module
//! forgives nothing: it looks at the raw bytes before the HTTP engine does, and what is not
//! exactly as RFC 9112 writes it is refused, and the connection closed.
//!
//! All of it is pure: bytes in, verdict out. Nothing here reads a socket, allocates for a request
//! or looks at a clock. The engine still parses what passes; it sees no byte that was not let
//! through here, and never a byte of the next request together with this one.

/// Why the server itself refuses a request: the three things a problem document says
/// (RFC 9457).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Refusal {
    /// The HTTP status.
    pub(super) status: u16,
    /// The stable name of the fault, for programs.
    pub(super) code: &'static str,
    /// The same for people.
    pub(super) detail: &'static str,
}

impl Refusal {
    pub(super) const fn new(status: u16, code: &'static str, detail: &'static str) -> Self {
        Self {
            status,
            code,
            detail,
        }
    }

    const fn malformed(detail: &'static str) -> Self {
        Self::new(400, "malformed_request", detail)
    }
}

const BARE_LF: Refusal = Refusal::malformed("A line of the head does not end with CR LF.");
const NOT_HTTP: Refusal = Refusal::malformed("This is not an HTTP request.");
const BAD_CHUNK: Refusal = Refusal::malformed("The chunked body is not framed as RFC 9112 says.");
/// The body, or what it says about its length, is over the limit.
const BODY_TOO_LARGE: Refusal =
    Refusal::new(413, "body_too_large", "The request's body is too large.");

/// Header fields of one request. The engine parses up to 100 without allocating; no client of an
/// auth server is near.
const MAX_FIELDS: usize = 100;

/// Digits of a chunk size. Seven hexadecimal digits are 256 MiB, over any sensible body limit, and
/// cannot overflow.
const MAX_SIZE_DIGITS: u8 = 7;

/// Bytes of chunk extensions and trailer fields in one body, all of them together. Nobody uses
/// either; unbounded they would be a body without a limit.
const MAX_CHUNK_EXTRAS: usize = 1024;

/// What [`find_end`] saw.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum End {
    /// The head is the first so many bytes, the empty line included.
    At(usize),
    /// The empty line has not arrived.
    NotYet,
    /// No head will come of this.
    Refused(Refusal),
}

/// FileInfo for the empty line that ends a head. `seen` is how many of the bytes an earlier call
/// found wanting, so that a head that arrives byte by byte is still read once.
///
/// What can't become a head is refused at once and not at the deadline: TLS spoken to a plain
/// port, lines that end with a bare LF.
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
    /// Exactly so many bytes, never 0.
    Length(usize),
    /// In chunks, to be followed by [`Chunks`].
    Chunked,
}

/// Judges a complete head, from its request line to its empty line. A body that says it is longer
/// than `body_limit` bytes is refused here, before a byte of it is read.
pub(super) fn judge(head: &[u8], body_limit: usize) -> Result<Body, Refusal> {
    // `find_end` saw that every LF has its CR.
    let mut lines = head
        .strip_suffix(b"\r\n\r\n")
        .unwrap_or(head)
        .split(|byte| *byte == b'\n')
        .map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    let start = request_line(lines.next().unwrap_or_default())?;

    let (mut fields, mut hosts, mut lengths, mut codings) = (0, 0, 0, 0);
    let mut length: Option<&[u8]> = None;
    let mut expectation = Ok(());
    let mut coding = Ok(());
    for line in lines {
        fields += 1;
        if fields > MAX_FIELDS {
            return Err(Refusal::new(
                431,
                "head_too_large",
                "The request has too many header fields.",
            ));
        }
        let (name, value) = field(line)?;
        // Told apart by length first: four comparisons of names for each field would show.
        match name.len() {
            4 if name.eq_ignore_ascii_case(b"host") => {
                hosts += 1;
                if !value.iter().all(|byte| is_authority(*byte)) {
                    return Err(Refusal::malformed("The Host field is not a host."));
                }
            }
            6 if name.eq_ignore_ascii_case(b"expect")
                && !value.eq_ignore_ascii_case(b"100-continue") =>
            {
                // RFC 9110 §10.1.1.
                expectation = Err(Refusal::new(
                    417,
                    "expectation_failed",
                    "Only 100-continue can be expected.",
                ));
            }
            14 if name.eq_ignore_ascii_case(b"content-length") => {
                lengths += 1;
                length = Some(value);
            }
            17 if name.eq_ignore_ascii_case(b"transfer-encoding") => {
                codings += 1;
                if !value.eq_ignore_ascii_case(b"chunked") {
                    // RFC 9112 §6.1.
                    coding = Err(Refusal::new(
                        501,
                        "unknown_transfer_coding",
                        "The only transfer coding understood is chunked.",
                    ));
                }
            }
            _ => {}
        }
    }

    // RFC 9112 §3.2. HTTP/1.0 knew no Host.
    if hosts != 1 && (hosts > 1 || start.version == Version::Http11) {
        return Err(Refusal::malformed("There must be exactly one Host field."));
    }
    if lengths > 1 {
        // Also when they agree: RFC 9110 §8.6 lets a recipient refuse them.
        return Err(Refusal::malformed("There are two Content-Length fields."));
    }
    let body = match (length, codings) {
        (Some(_), 1..) => {
            return Err(Refusal::malformed(
                "Content-Length and Transfer-Encoding exclude each other.",
            ));
        }
        (None, 2..) => {
            return Err(Refusal::malformed(
                "There are two Transfer-Encoding fields.",
            ));
        }
        (None, 1) if start.version == Version::Http10 => {
            return Err(Refusal::malformed("HTTP/1.0 has no Transfer-Encoding."));
        }
        (None, 1) => {
            coding?;
            Body::Chunked
        }
        (None, _) => Body::None,
        (Some(digits), _) => content_length(digits, body_limit)?,
    };
    start.allowed?;
    expectation?;
    Ok(body)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Version {
    Http10,
    Http11,
}

struct RequestLine {
    version: Version,
    /// Said last: a malformed head is malformed whatever it asks for.
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
                505,
                "version_not_supported",
                "Only HTTP/1.1 and HTTP/1.0 are spoken here.",
            ));
        }
        _ => return Err(NOT_HTTP),
    };
    let allowed = if method == b"CONNECT" || target == b"*" {
        Err(Refusal::new(
            405,
            "method_not_allowed",
            "This server is not a proxy, and has nothing to say about itself as a whole.",
        ))
    } else if is_target(target) {
        Ok(())
    } else {
        return Err(Refusal::malformed("The request target is not a path."));
    };
    Ok(RequestLine { version, allowed })
}

/// RFC 9112 §3.2.1 and §3.2.2: a path and query, or (for a request that took this server for a
/// proxy) a whole http URL. The path is held to RFC 3986; the query may contain what browsers
/// leave unescaped in one.
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
        return Err(Refusal::malformed("A header field is folded."));
    }
    let colon = line
        .iter()
        .position(|byte| !is_token(*byte))
        .unwrap_or(line.len());
    if colon == 0 || line.get(colon) != Some(&b':') {
        return Err(Refusal::malformed("A header field has no proper name."));
    }
    let (name, value) = (&line[..colon], trim_blanks(&line[colon + 1..]));
    if value
        .iter()
        .any(|byte| byte.is_ascii_control() && *byte != b'\t')
    {
        return Err(Refusal::malformed(
            "A header field contains control characters.",
        ));
    }
    Ok((name, value))
}

/// Without the optional white space around it (RFC 9110 §5.6.3): spaces and tabs, and nothing else
/// that other trimmings take for blank.
fn trim_blanks(mut value: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = value {
        value = rest;
    }
    value
}

/// RFC 9110 §8.6: digits and nothing else.
fn content_length(digits: &[u8], limit: usize) -> Result<Body, Refusal> {
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return Err(Refusal::malformed("Content-Length is not a number."));
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
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// The bytes of a host and port (RFC 3986 §3.2.2 and §3.2.3); a user name is none of them.
fn is_authority(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~%!$&'()*+,;=:[]".contains(&byte)
}

/// Follows a chunked body (RFC 9112 §7.1) to its last byte, so that the next request is never
/// taken for part of it or the other way round. It counts; decoding is the engine's.
#[derive(Debug)]
pub(super) struct Chunks {
    at: At,
    /// Bytes of data that may still come.
    room: usize,
    /// Bytes of extensions and trailers that may still come.
    extras: usize,
}

/// What the next byte of a chunked body is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum At {
    Size {
        value: usize,
        digits: u8,
    },
    Extension {
        value: usize,
    },
    SizeLf {
        value: usize,
    },
    Data {
        left: usize,
    },
    DataCr,
    DataLf,
    /// The first byte of a trailer line, or of the empty line that ends the body.
    Line,
    Trailer,
    TrailerLf,
    EndLf,
    End,
}

impl Chunks {
    /// A chunked body of at most `limit` bytes of data.
    pub(super) fn new(limit: usize) -> Self {
        Self {
            at: At::Size {
                value: 0,
                digits: 0,
            },
            room: limit,
            extras: MAX_CHUNK_EXTRAS,
        }
    }

    /// Whether the body has been seen to its end.
    pub(super) fn ended(&self) -> bool {
        self.at == At::End
    }

    /// How many of `bytes`, which follow what was shown before, belong to this body.
    pub(super) fn follow(&mut self, bytes: &[u8]) -> Result<usize, Refusal> {
        let mut taken = 0;
        while let Some(byte) = bytes.get(taken).copied() {
            if let At::Data { left } = self.at {
                let step = left.min(bytes.len() - taken);
                taken += step;
                self.at = match left - step {
                    0 => At::DataCr,
                    left => At::Data { left },
                };
                continue;
            }
            if self.ended() {
                break;
            }
            self.at = self.after(byte)?;
            taken += 1;
        }
        Ok(taken)
    }

    fn after(&mut self, byte: u8) -> Result<At, Refusal> {
        Ok(match (self.at, byte) {
            (At::Size { value, digits }, b'0'..=b'9' | b'a'..=b'f' | b'A'..=b'F')
                if digits < MAX_SIZE_DIGITS =>
            {
                let digit = char::from(byte).to_digit(16).unwrap_or_default();
                At::Size {
                    value: value << 4 | digit as usize,
                    digits: digits + 1,
                }
            }
            (At::Size { digits, .. }, b'0'..=b'9' | b'a'..=b'f' | b'A'..=b'F')
                if digits >= MAX_SIZE_DIGITS =>
            {
                return Err(BODY_TOO_LARGE);
            }
            (At::Size { value, digits: 1.. }, b'\r') | (At::Extension { value }, b'\r') => {
                At::SizeLf { value }
            }
            (At::Size { value, digits: 1.. }, b';') => {
                self.extra()?;
                At::Extension { value }
            }
            (At::Extension { value }, b'\t' | b' '..=b'~') => {
                self.extra()?;
                At::Extension { value }
            }
            (At::SizeLf { value: 0 }, b'\n') => At::Line,
            (At::SizeLf { value }, b'\n') => {
                self.room = self.room.checked_sub(value).ok_or(BODY_TOO_LARGE)?;
                At::Data { left: value }
            }
            (At::DataCr, b'\r') => At::DataLf,
            (At::DataLf, b'\n') => At::Size {
                value: 0,
                digits: 0,
            },
            (At::Line, b'\r') => At::EndLf,
            (At::EndLf, b'\n') => At::End,
            (At::Trailer, b'\r') => At::TrailerLf,
            (At::TrailerLf, b'\n') => At::Line,
            (At::Line, _) if is_token(byte) => {
                self.extra()?;
                At::Trailer
            }
            (At::Trailer, b'\t' | b' '..=b'~' | 0x80..) => {
                self.extra()?;
                At::Trailer
            }
            _ => return Err(BAD_CHUNK),
        })
    }

    fn extra(&mut self) -> Result<(), Refusal> {
        self.extras = self.extras.checked_sub(1).ok_or(BODY_TOO_LARGE)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: usize = 1000;

    fn verdict(head: &str) -> Result<Body, u16> {
        match find_end(head.as_bytes(), 0) {
            End::At(end) => {
                assert_eq!(end, head.len(), "{head:?} ends early");
                judge(head.as_bytes(), LIMIT).map_err(|refusal| refusal.status)
            }
            End::NotYet => panic!("{head:?} is not complete"),
            End::Refused(refusal) => Err(refusal.status),
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

    /// How many bytes the body has, or the status it is refused with, fed `step` bytes at a time.
    fn chunked(bytes: &[u8], step: usize) -> Result<Option<usize>, u16> {
        let mut chunks = Chunks::new(LIMIT);
        let mut taken = 0;
        for piece in bytes.chunks(step) {
            taken += chunks.follow(piece).map_err(|refusal| refusal.status)?;
        }
        Ok(chunks.ended().then_some(taken))
    }

    #[test] // req 61, RFC 9112 §7.1
    fn chunked_bodies_end_where_they_end() {
        let huge = format!("1;{}\r\na\r\n0\r\n\r\n", "e".repeat(2000));
        let trailers = format!("0\r\n{}\r\n", "X: a\r\n".repeat(500));
        for (body, expected) in [
            ("0\r\n\r\n", Ok(Some(5))),
            ("5\r\nhello\r\n0\r\n\r\nGET /", Ok(Some(15))),
            ("00005\r\nhello\r\n0\r\n\r\n", Ok(Some(19))),
            ("1;a=b\r\na\r\n0;c\r\nX: y\r\n\r\n0", Ok(Some(23))),
            ("3e8\r\n", Ok(None)),
            ("3E9\r\n", Err(413)),
            ("fffffff\r\n", Err(413)),
            ("ffffffffffffffff\r\n", Err(413)),
            (&huge, Err(413)),
            (&trailers, Err(413)),
            ("\r\n", Err(400)),
            ("-1\r\n", Err(400)),
            ("+1\r\n", Err(400)),
            ("0x1\r\n", Err(400)),
            ("1 \r\n", Err(400)),
            ("1\na\r\n0\r\n\r\n", Err(400)),
            ("1;a\nb\r\n", Err(400)),
            ("1\r\nab\r\n", Err(400)),
            ("1\r\na\n0\r\n\r\n", Err(400)),
            ("0\r\n\n", Err(400)),
            ("0\r\n X: y\r\n\r\n", Err(400)),
            ("0\r\nX: y\n\r\n", Err(400)),
        ] {
            for step in [1, 2, 7, 10_000] {
                assert_eq!(
                    chunked(body.as_bytes(), step),
                    expected,
                    "{body:?} by {step}"
                );
            }
        }
    }

    #[test]
    fn the_limit_is_of_all_chunks_together() {
        let chunk = format!("1f4\r\n{}\r\n", "a".repeat(500));
        assert_eq!(chunked(chunk.repeat(2).as_bytes(), 64), Ok(None));
        assert_eq!(
            chunked(format!("{}1\r\n", chunk.repeat(2)).as_bytes(), 64),
            Err(413)
        );
    }
}
