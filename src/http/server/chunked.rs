//! Where a chunked body ends (RFC 9112 §7.1).
//!
//! The next request on the connection must never be taken for part of the body, nor the other way round. This module
//! counts bytes; the HTTP engine decodes them.

use super::framing::{BODY_TOO_LARGE, is_token};
use crate::http::error::{HttpCode, Refusal};

const BAD_CHUNK: Refusal = Refusal::new(
    HttpCode::MalformedRequest,
    "The chunked body does not have the form of RFC 9112.",
);

/// Digits of a chunk size. Seven hexadecimal digits are 256 MiB, more than any body limit, and cannot overflow.
const MAX_SIZE_DIGITS: u8 = 7;

/// Bytes of chunk extensions and trailer fields in one body, all of them together. Clients do not use either; without a
/// bound they would be a body without a limit.
const MAX_CHUNK_EXTRAS: usize = 1024;

/// Follows a chunked body from its first byte to its last.
#[derive(Debug)]
pub(super) struct Chunks {
    at: At,
    /// Bytes of data that may still come.
    data_left: usize,
    /// Bytes of extensions and trailers that may still come.
    extras_left: usize,
}

/// The part of a chunked body that the next byte belongs to.
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
            data_left: limit,
            extras_left: MAX_CHUNK_EXTRAS,
        }
    }

    /// Whether the body has been seen to its end.
    pub(super) fn ended(&self) -> bool {
        self.at == At::End
    }

    /// How many of `bytes` belong to this body. They follow the bytes of the calls before.
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
                self.count_extra()?;
                At::Extension { value }
            }
            (At::Extension { value }, b'\t' | b' '..=b'~') => {
                self.count_extra()?;
                At::Extension { value }
            }
            (At::SizeLf { value: 0 }, b'\n') => At::Line,
            (At::SizeLf { value }, b'\n') => {
                self.data_left = self.data_left.checked_sub(value).ok_or(BODY_TOO_LARGE)?;
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
                self.count_extra()?;
                At::Trailer
            }
            (At::Trailer, b'\t' | b' '..=b'~' | 0x80..) => {
                self.count_extra()?;
                At::Trailer
            }
            _ => return Err(BAD_CHUNK),
        })
    }

    fn count_extra(&mut self) -> Result<(), Refusal> {
        self.extras_left = self.extras_left.checked_sub(1).ok_or(BODY_TOO_LARGE)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: usize = 1000;

    /// How many bytes the body has, or the status it is refused with, fed `step` bytes at a time.
    fn chunked(bytes: &[u8], step: usize) -> Result<Option<usize>, u16> {
        let mut chunks = Chunks::new(LIMIT);
        let mut taken = 0;
        for piece in bytes.chunks(step) {
            taken += chunks
                .follow(piece)
                .map_err(|refusal| refusal.code.status().as_u16())?;
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
