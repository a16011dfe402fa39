//! A response as handlers make it: a plain value.
//!
//! A header value cannot end its line early and add a field of its own: [`Response::header`] replaces control
//! characters.

use std::borrow::Cow;
use std::io::{self, Write};

use serde::Serialize;

/// A header field of a response. Most values are constants, and cost nothing to carry.
pub(super) type Field = (&'static str, Cow<'static, str>);

/// One response. The server writes `Content-Length`, `Date` and `Connection`, and leaves the body out where HTTP forbids
/// one (the answer to HEAD, 204, 304).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    /// The status code. The server sends 500 for a status that is not between 200 and 599.
    pub status: u16,
    headers: Vec<Field>,
    body: Vec<u8>,
}

impl Response {
    /// A response without header fields and body.
    pub fn new(status: u16) -> Self {
        Self {
            status,
            headers: Vec::new(),
            body: Vec::new(),
        }
    }

    /// `value` as `application/json`. A value that has no JSON form (a map whose keys are not text) is a bug: it is
    /// logged and answered with an empty 500.
    pub fn json(status: u16, value: &impl Serialize) -> Self {
        // Measured first: a buffer that grows leaves memory of twice its size behind, on every thread.
        let mut length = Length(0);
        let mut body = match serde_json::to_writer(&mut length, value) {
            Ok(()) => Vec::with_capacity(length.0 + 1),
            Err(_) => Vec::new(),
        };
        match serde_json::to_writer(&mut body, value) {
            Ok(()) => {
                // So that the prompt of a terminal begins a line of its own after the answer.
                body.push(b'\n');
                Self::json_text(status, body)
            }
            Err(error) => {
                tracing::error!(%error, "an answer could not be written as JSON");
                Self::new(500)
            }
        }
    }

    /// `text`, which is JSON, as `application/json`.
    pub(super) fn json_text(status: u16, mut text: Vec<u8>) -> Self {
        text.shrink_to_fit();
        Self::new(status)
            .header("content-type", "application/json")
            .with_body(text)
    }

    /// `text` as `text/plain` in UTF-8.
    pub fn text(status: u16, text: &str) -> Self {
        Self::new(status)
            .header("content-type", "text/plain; charset=utf-8")
            .with_body(text)
    }

    /// The same response with one more header field. Fields are added, never replaced, so that a response can have
    /// several `set-cookie` fields.
    ///
    /// A control character in `value`, such as a line break, becomes a space, so that a value taken from a request cannot
    /// become a field of its own (CWE-113). The server leaves out a field whose `name` is not a field name, and the fields
    /// that it writes itself (`content-length`, `transfer-encoding`). `connection: close` closes the connection after the
    /// answer.
    #[must_use]
    pub fn header(mut self, name: &'static str, value: impl Into<Cow<'static, str>>) -> Self {
        let value = value.into();
        let value = if value.contains(char::is_control) {
            value.replace(char::is_control, " ").into()
        } else {
            value
        };
        self.headers.push((name, value));
        self
    }

    /// The same response with this body. The caller states its `content-type`.
    #[must_use]
    pub fn with_body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    /// The header fields in the order they were added.
    pub fn headers(&self) -> impl Iterator<Item = (&str, &str)> {
        self.headers
            .iter()
            .map(|(name, value)| (*name, value.as_ref()))
    }

    /// Whether it has a field of this name, which is in lower case.
    pub(super) fn has_header(&self, name: &str) -> bool {
        self.headers.iter().any(|(other, _)| *other == name)
    }

    /// The body.
    pub fn body(&self) -> &[u8] {
        &self.body
    }

    /// The fields and the body, for the server to send without a copy.
    pub(super) fn into_parts(self) -> (Vec<Field>, Vec<u8>) {
        (self.headers, self.body)
    }
}

/// Counts what is written to it.
struct Length(usize);

impl Write for Length {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test] // CWE-113
    fn no_value_ends_its_header_line() {
        let response = Response::new(303).header("location", "/a\r\nset-cookie: b=c\0\u{85}d\te");
        for (_, value) in response.headers() {
            assert!(!value.contains(char::is_control), "{value:?}");
        }
        assert_eq!(
            response.headers().next(),
            Some(("location", "/a  set-cookie: b=c  d e"))
        );
    }

    #[test]
    fn what_has_no_json_form_is_an_empty_500() {
        let odd = std::collections::BTreeMap::from([((1, 2), 3)]);
        assert_eq!(Response::json(200, &odd), Response::new(500));
    }
}
