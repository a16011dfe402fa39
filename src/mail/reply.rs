//! The replies of a mail server (RFC 5321 §4.2).
//!
//! A reply is a code and a text for people. Only the code decides, and the text is decoded lossily: servers send it in
//! Latin-1, GBK or anything else. A line may end in LF alone, as some servers do. Lines and replies have a bound, so that a
//! server cannot fill the memory.

use std::fmt;
use std::io::{self, BufRead, Read};

/// The longest line that is read, in bytes. RFC 5321 §4.5.3.1.5 allows servers 512.
const LONGEST_LINE: u64 = 2048;

/// The most lines that one reply may have.
const MOST_LINES: usize = 100;

/// How many characters of a reply are shown: it goes to the log and into events.
const SHOWN: usize = 400;

/// A reply. Its `Display` is one line of at most about 400 characters.
#[derive(Debug)]
pub(super) struct Reply {
    /// 200 to 599.
    pub code: u16,
    /// The text of each line, without code and line end.
    pub lines: Vec<String>,
}

/// Why no reply could be read.
#[derive(Debug)]
pub(super) enum NoReply {
    /// The connection failed.
    Io(io::Error),
    /// The server sent TLS on a connection that is not encrypted yet.
    Tls,
    /// The bytes do not follow the protocol; a description of them.
    NotSmtp(String),
}

impl Reply {
    /// Reads one reply.
    ///
    /// # Errors
    /// [`NoReply`]; the connection can't be used after that.
    pub fn read(reader: &mut impl BufRead) -> Result<Reply, NoReply> {
        let mut lines = Vec::new();
        while lines.len() < MOST_LINES {
            let line = read_line(reader)?;
            let Some((code, is_last, text)) = parse_line(&line) else {
                let start = one_line(&String::from_utf8_lossy(&line), 60);
                return Err(NoReply::NotSmtp(format!(
                    "the reply has a line without a code: {start}"
                )));
            };
            lines.push(String::from_utf8_lossy(text).into_owned());
            if is_last {
                return Ok(Reply { code, lines });
            }
        }
        Err(NoReply::NotSmtp(format!(
            "the reply has more than {MOST_LINES} lines"
        )))
    }

    /// RFC 5321 §4.2.1: the first digit, 2 for done, 3 for more to come, 4 for not now and 5 for no.
    pub fn class(&self) -> u16 {
        self.code / 100
    }
}

impl fmt::Display for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = self.lines.join(" ");
        write!(f, "{} {}", self.code, one_line(&text, SHOWN))
    }
}

fn read_line(reader: &mut impl BufRead) -> Result<Vec<u8>, NoReply> {
    let first = reader.fill_buf().map_err(NoReply::Io)?.first().copied();
    match first {
        None => {}
        Some(b'2'..=b'5') => {}
        // RFC 8446 §5.1: a record of TLS is an alert (21) or part of a handshake (22).
        Some(21 | 22) => return Err(NoReply::Tls),
        // Reported at once: if it is not a mail server, the line may never end.
        Some(_) => {
            let start = reader.fill_buf().map_err(NoReply::Io)?;
            let start = one_line(&String::from_utf8_lossy(start), 60);
            return Err(NoReply::NotSmtp(format!(
                "the reply does not begin with a code: {start}"
            )));
        }
    }
    let mut line = Vec::new();
    reader
        .take(LONGEST_LINE + 1)
        .read_until(b'\n', &mut line)
        .map_err(NoReply::Io)?;
    if line.pop_if(|last| *last == b'\n').is_some() {
        line.pop_if(|last| *last == b'\r');
        return Ok(line);
    }
    match line.len() as u64 > LONGEST_LINE {
        true => Err(NoReply::NotSmtp(format!(
            "the reply has a line of more than {LONGEST_LINE} bytes"
        ))),
        false => Err(NoReply::Io(io::ErrorKind::UnexpectedEof.into())),
    }
}

/// The code of a line, whether it is the last one of its reply, and its text (RFC 5321 §4.2.1).
fn parse_line(line: &[u8]) -> Option<(u16, bool, &[u8])> {
    let (code, rest) = line.split_at_checked(3)?;
    let code = str::from_utf8(code).ok()?;
    let code = code.parse().ok().filter(|code| (200..600).contains(code))?;
    match rest {
        [] => Some((code, true, rest)),
        [b' ', text @ ..] => Some((code, true, text)),
        [b'-', text @ ..] => Some((code, false, text)),
        _ => None,
    }
}

/// At most `limit` characters of a text, without line breaks and other control characters.
fn one_line(text: &str, limit: usize) -> String {
    let mut shown: String = text
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .take(limit)
        .collect();
    shown.truncate(shown.trim_end().len());
    if text.chars().nth(limit).is_some() {
        shown.push('…');
    }
    shown
}

/// The extensions that a server names in its reply to EHLO (RFC 5321 §4.1.1.1), in upper or lower case.
#[derive(Debug, Default)]
pub(super) struct Extensions {
    pub starttls: bool,
    pub smtp_utf8: bool,
    pub eight_bit_mime: bool,
    /// The mechanisms of AUTH (RFC 4954), in capital letters.
    pub auth: Vec<String>,
}

impl Extensions {
    pub fn of(reply: &Reply) -> Extensions {
        let mut offered = Extensions::default();
        // The first line is the server's name.
        for line in reply.lines.iter().skip(1) {
            let line = line.to_ascii_uppercase();
            // Some servers write AUTH=LOGIN, the form before RFC 2554.
            let mut words = line
                .split(|c: char| c.is_ascii_whitespace() || c == '=')
                .filter(|word| !word.is_empty());
            match words.next() {
                Some("STARTTLS") => offered.starttls = true,
                Some("SMTPUTF8") => offered.smtp_utf8 = true,
                Some("8BITMIME") => offered.eight_bit_mime = true,
                Some("AUTH") => {
                    for mechanism in words {
                        if !offered.auth.iter().any(|known| known == mechanism) {
                            offered.auth.push(mechanism.to_owned());
                        }
                    }
                }
                _ => {}
            }
        }
        offered
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(mut bytes: &[u8]) -> Result<Reply, NoReply> {
        Reply::read(&mut bytes)
    }

    fn not_smtp(bytes: &[u8]) -> String {
        match read(bytes) {
            Err(NoReply::NotSmtp(why)) => why,
            other => panic!("{other:?}"),
        }
    }

    #[test] // fault 12
    fn the_code_decides_whatever_bytes_the_text_has() {
        for (bytes, shown) in [
            (&b"220 M\xfcller ESMTP\r\n"[..], "220 M\u{fffd}ller ESMTP"),
            (b"550 5.1.1 ung\xfcltig\r\n", "550 5.1.1 ung\u{fffd}ltig"),
            (
                b"535 Error: \xc7\xeb\xca\xb9\r\n",
                "535 Error: \u{fffd}\u{fffd}\u{2b9}",
            ),
            (b"250\r\n", "250 "),
            (b"250-a\r\n250-\r\n250 b\r\n", "250 a  b"),
            (b"451 now\x07or\x1b[31m later\r\n", "451 now or [31m later"),
        ] {
            assert_eq!(read(bytes).expect("a reply").to_string(), shown);
        }
    }

    #[test]
    fn a_line_may_end_in_lf_alone() {
        let reply = read(b"250-mail\n250 AUTH PLAIN\n").expect("a reply");
        assert_eq!(reply.lines, ["mail", "AUTH PLAIN"]);
    }

    #[test]
    fn lines_and_replies_are_bounded() {
        let endless = [b"220 ".to_vec(), vec![b'x'; 1 << 20]].concat();
        assert!(not_smtp(&endless).contains("2048 bytes"));
        let longest = [b"220 ".to_vec(), vec![b'x'; 2048 - 6], b"\r\n".to_vec()].concat();
        let reply = read(&longest).expect("a reply");
        assert!(reply.to_string().chars().count() < 410, "{reply}");
        assert!(not_smtp(&b"220-x\r\n".repeat(200)).contains("100 lines"));
        assert!(read(&[b"220-x\r\n".repeat(99), b"220 x\r\n".to_vec()].concat()).is_ok());
    }

    #[test]
    fn other_protocols_are_told_as_such() {
        assert!(not_smtp(b"SSH-2.0-OpenSSH_9.2\r\n").contains("SSH-2.0"));
        assert!(not_smtp(b"HTTP/1.1 400 Bad Request\r\n").contains("HTTP/1.1 400"));
        assert!(not_smtp(b"2500 x\r\n").contains("2500 x"));
        assert!(not_smtp(b"+OK POP3 ready\r\n").contains("+OK"));
        assert!(matches!(
            read(b"\x15\x03\x03\x00\x02\x02\x28"),
            Err(NoReply::Tls)
        ));
        for closed in [&b""[..], b"22", b"220-x\r\n"] {
            let Err(NoReply::Io(error)) = read(closed) else {
                panic!("{closed:?}");
            };
            assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
        }
    }

    #[test] // RFC 5321 §2.4: in any case
    fn extensions_are_read_in_any_case() {
        let reply = read(b"250-Mail\r\n250-StartTLS\r\n250-auth plain  Login\r\n250-AUTH=LOGIN cram-md5\r\n250 8bitmime\r\n");
        let offered = Extensions::of(&reply.expect("a reply"));
        assert!(offered.starttls && offered.eight_bit_mime && !offered.smtp_utf8);
        assert_eq!(offered.auth, ["PLAIN", "LOGIN", "CRAM-MD5"]);
        let named = read(b"250 STARTTLS\r\n").expect("a reply");
        assert!(!Extensions::of(&named).starttls);
    }
}
