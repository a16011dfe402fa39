//! The bytes and the deadlines of one connection, between its socket and the HTTP engine.

use std::cell::RefCell;
use std::io::{self, ErrorKind, IoSlice, Read, Write};
use std::net::Shutdown;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use hyper::rt::ReadBufCursor;

use super::chunked::Chunks;
use super::connection::{Connection, Phase};
use super::framing::{self, Body, End};
use super::{LINGER, RunningServer};
use crate::clock::monotonic;
use crate::http::error::{HttpCode, Refusal};
use crate::http::request::Request;

/// Bytes that are read and discarded after a refusal, at most.
const LINGER_BYTES: usize = 256 * 1024;

/// Bytes that the engine takes at once. It makes room for twice as much whenever it gets 8 KiB or more.
const MOST_AT_ONCE: usize = 4096;

/// Replaces a refused request. It is valid, and contains nothing that the client sent.
const EMPTY_REQUEST: &[u8] = b"GET / HTTP/1.1\r\nhost: refused\r\n\r\n";
const EMPTY_HEAD_REQUEST: &[u8] = b"HEAD / HTTP/1.1\r\nhost: refused\r\n\r\n";

const HEAD_TOO_LARGE: Refusal =
    Refusal::new(HttpCode::HeadTooLarge, "The request's head is too large.");
const TARGET_TOO_LONG: Refusal =
    Refusal::new(HttpCode::TargetTooLong, "The request's target is too long.");
const TOO_LATE: Refusal = Refusal::new(
    HttpCode::RequestTimeout,
    "The request did not arrive in time.",
);
const CUT_SHORT: Refusal = Refusal::new(
    HttpCode::MalformedRequest,
    "The request ended before it was complete.",
);

/// One connection's bytes and deadlines.
pub(super) struct Transport<'a> {
    server: &'a RunningServer,
    connection: &'a Connection,
    /// `start..end` was received and not yet taken by the engine; the engine may take `start..shown`.
    inbox: &'a mut [u8],
    start: usize,
    shown: usize,
    end: usize,
    /// Bytes of the head that were searched for its end, from `start`.
    searched: usize,
    expected: Expected,
    /// When the phase began whose deadline is running.
    since: Instant,
    /// The engine wanted bytes and there were none to take.
    wants_bytes: bool,
    /// The engine has been shown a request that is not answered yet.
    is_answer_due: bool,
    /// A request was completed on this connection.
    has_asked: bool,
    /// Once set, the answer to it is the last.
    refused: Option<Refused>,
    /// The receive and send timeouts that the socket has.
    receive_timeout: Duration,
    send_timeout: Duration,
    /// When writing the present answer began.
    sending_since: Option<Instant>,
}

/// When a request was refused.
#[derive(Debug, Clone)]
pub(super) enum Refused {
    /// Before the engine got any of the request. The request is the part of its head that could be read.
    Head(Refusal, Option<Request>),
    /// After the engine was shown its head.
    Body(Refusal),
}

/// The part of a request that the client sends next.
#[derive(Debug)]
enum Expected {
    Head,
    Length { left: usize },
    Chunked(Chunks),
}

/// How a wait for bytes ended.
enum Received {
    Bytes,
    Late,
    Ended,
}

impl<'a> Transport<'a> {
    pub(super) fn new(
        server: &'a RunningServer,
        connection: &'a Connection,
        inbox: &'a mut [u8],
    ) -> Self {
        Self {
            server,
            connection,
            inbox,
            start: 0,
            shown: 0,
            end: 0,
            searched: 0,
            expected: Expected::Head,
            since: connection.accepted,
            wants_bytes: false,
            is_answer_due: false,
            has_asked: false,
            refused: None,
            receive_timeout: Duration::ZERO,
            send_timeout: Duration::ZERO,
            sending_since: None,
        }
    }

    /// Whether the engine has asked for bytes in vain since this was last asked.
    pub(super) fn take_wants_bytes(&mut self) -> bool {
        std::mem::take(&mut self.wants_bytes)
    }

    /// Why the present request is refused, if it is.
    pub(super) fn refused(&self) -> Option<&Refused> {
        self.refused.as_ref()
    }

    /// Refuses the request whose head the engine has been shown.
    pub(super) fn refuse_body(&mut self, refusal: Refusal) -> Refused {
        self.refused.insert(Refused::Body(refusal)).clone()
    }

    /// Notes that the whole request has arrived and its handler is to run. `false` if the connection was evicted.
    pub(super) fn begin_handling(&mut self) -> bool {
        self.has_asked = true;
        self.enter(Phase::Handling)
    }

    /// Notes that the answer is ready. Returns whether it is the last on this connection.
    pub(super) fn begin_answering(&mut self) -> bool {
        self.is_answer_due = false;
        self.connection
            .enter(Phase::Answering, self.has_asked, monotonic());
        self.refused.is_some() || self.server.is_closing()
    }

    /// Gets the engine something to go on with: more of a request, or the empty request of a refusal. `false`: the
    /// connection is over.
    pub(super) fn feed(&mut self) -> bool {
        if self.refused.is_some() || !self.prepare_to_wait() {
            return false;
        }
        loop {
            match self.show() {
                Ok(true) => return true,
                Ok(false) => {}
                Err(refusal) => {
                    self.refuse(refusal);
                    return true;
                }
            }
            let is_idle = matches!(self.expected, Expected::Head) && self.start == self.end;
            match self.receive(is_idle) {
                Received::Bytes => {}
                // There is no request to answer.
                Received::Late | Received::Ended if is_idle => return false,
                Received::Late => self.refuse(TOO_LATE),
                Received::Ended => self.refuse(CUT_SHORT),
            }
            if self.refused.is_some() {
                return true;
            }
        }
    }

    /// Prepares to wait for the next request, if the engine wants one.
    fn prepare_to_wait(&mut self) -> bool {
        if !matches!(self.expected, Expected::Head) {
            return true;
        }
        if self.is_answer_due {
            // The engine got the whole request and still wants bytes of it.
            tracing::error!("the HTTP engine disagrees about the end of a request");
            return false;
        }
        if self.has_asked {
            self.since = monotonic();
        }
        if !self.enter(Phase::Idle) {
            return false;
        }
        if self.server.is_closing() {
            // A request that has arrived already is still read, and answered with `Connection: close`.
            self.connection.shut_down(Shutdown::Read);
        }
        true
    }

    /// Lets the engine take the bytes that it may have; `false` if there are none yet.
    fn show(&mut self) -> Result<bool, Refusal> {
        if matches!(self.expected, Expected::Head) && !self.show_head()? {
            return Ok(false);
        }
        let bytes = &self.inbox[self.shown..self.end];
        let (taken, ended) = match &mut self.expected {
            Expected::Head => (0, true),
            Expected::Length { left } => {
                let taken = bytes.len().min(*left);
                *left -= taken;
                (taken, *left == 0)
            }
            Expected::Chunked(chunks) => {
                let taken = chunks.follow(bytes)?;
                (taken, chunks.ended())
            }
        };
        self.shown += taken;
        if ended {
            self.expected = Expected::Head;
        }
        Ok(self.shown > self.start)
    }

    fn show_head(&mut self) -> Result<bool, Refusal> {
        // RFC 9112 §2.2: empty lines before a request, which some clients send after a body.
        while self.inbox[self.start..self.end].starts_with(b"\r\n") {
            self.start += 2;
        }
        let bytes = &self.inbox[self.start..self.end];
        if bytes.is_empty() || bytes == b"\r" {
            return Ok(false);
        }
        let length = match framing::find_end(bytes, self.searched) {
            End::At(length) => length,
            End::NotYet if bytes.len() < self.server.limits.head_bytes => {
                let has_begun = self.searched == 0;
                self.searched = bytes.len();
                if has_begun {
                    self.begin_receiving();
                }
                return Ok(false);
            }
            End::NotYet if bytes.contains(&b'\n') => return Err(HEAD_TOO_LARGE),
            End::NotYet => return Err(TARGET_TOO_LONG),
            End::Refused(refusal) => return Err(refusal),
        };
        let body_limit = self.server.limits.body_bytes;
        let body = framing::judge(&bytes[..length], body_limit)?;
        self.searched = 0;
        self.shown = self.start + length;
        self.is_answer_due = true;
        self.expected = match body {
            Body::None => Expected::Head,
            Body::Length(left) => Expected::Length { left },
            Body::Chunked => Expected::Chunked(Chunks::new(body_limit)),
        };
        if !matches!(self.expected, Expected::Head) {
            self.since = monotonic();
            self.enter(Phase::Receiving);
        }
        Ok(true)
    }

    /// A head has begun and is not complete. The deadline of a connection's first head runs from the accept.
    fn begin_receiving(&mut self) {
        if self.has_asked {
            self.since = monotonic();
        }
        self.enter(Phase::Receiving);
    }

    /// One blocking read, with the time that is left of the phase. The engine has taken all bytes that it may have.
    fn receive(&mut self, is_idle: bool) -> Received {
        if self.start == self.end {
            (self.start, self.shown, self.end) = (0, 0, 0);
        } else if self.end == self.inbox.len() {
            self.inbox.copy_within(self.start..self.end, 0);
            (self.start, self.shown, self.end) = (0, 0, self.end - self.start);
        }
        let limits = &self.server.limits;
        let allowed = match self.expected {
            Expected::Head if is_idle && self.has_asked => limits.idle,
            Expected::Head => limits.head_deadline,
            Expected::Length { .. } | Expected::Chunked(_) => limits.body_deadline,
        };
        loop {
            let left = allowed.saturating_sub(self.since.elapsed());
            if left.is_zero() || !self.limit_receiving(left) {
                return Received::Late;
            }
            match (&self.connection.socket).read(&mut self.inbox[self.end..]) {
                Ok(0) => return Received::Ended,
                Ok(count) => {
                    self.end += count;
                    return Received::Bytes;
                }
                Err(error)
                    if matches!(
                        error.kind(),
                        ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted
                    ) => {}
                Err(_) => return Received::Ended,
            }
        }
    }

    /// Sets the socket's timeout, unless it is near `left` already: on a busy connection it always is, and this costs no
    /// system call. A wait that ends too early is only another turn of the loop.
    fn limit_receiving(&mut self, left: Duration) -> bool {
        if is_near(self.receive_timeout, left) {
            return true;
        }
        self.receive_timeout = left;
        self.connection.socket.set_read_timeout(Some(left)).is_ok()
    }

    /// Refuses the request that is being received.
    fn refuse(&mut self, refusal: Refusal) {
        tracing::debug!(peer = %self.connection.peer, code = refusal.code.as_str(), "request refused");
        if self.is_answer_due {
            // The engine has the head and waits for the body; before it waits, `exchange` looks here.
            self.refuse_body(refusal);
            return;
        }
        let received = &self.inbox[self.start..self.end];
        let replacement = if received.starts_with(b"HEAD ") {
            EMPTY_HEAD_REQUEST
        } else {
            EMPTY_REQUEST
        };
        let legible = framing::legible_part(received);
        self.refused = Some(Refused::Head(refusal, legible));
        self.inbox[..replacement.len()].copy_from_slice(replacement);
        (self.start, self.shown, self.end) = (0, replacement.len(), replacement.len());
        self.is_answer_due = true;
    }

    fn enter(&self, phase: Phase) -> bool {
        self.connection.enter(phase, self.has_asked, self.since)
    }

    /// Writes within the time that is left for the response.
    fn send(&mut self, parts: &[IoSlice<'_>]) -> io::Result<usize> {
        let allowed = self.server.limits.write_deadline;
        loop {
            let now = monotonic();
            let since = *self.sending_since.get_or_insert(now);
            let left = allowed.saturating_sub(now - since);
            if left.is_zero() {
                return Err(ErrorKind::TimedOut.into());
            }
            if !is_near(self.send_timeout, left) {
                self.connection.socket.set_write_timeout(Some(left))?;
                self.send_timeout = left;
            }
            match (&self.connection.socket).write_vectored(parts) {
                Err(error)
                    if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {}
                sent => return sent,
            }
        }
    }

    /// Ends the connection so that the last answer arrives: where the client may have sent more than was read, our side
    /// is closed first and theirs is read for a while.
    pub(super) fn close(mut self) {
        if self.refused.is_none() && self.start == self.end {
            return;
        }
        self.since = monotonic();
        self.connection.shut_down(Shutdown::Write);
        if !self.enter(Phase::Receiving) {
            return;
        }
        let mut bytes_left = LINGER_BYTES;
        loop {
            let left = LINGER.saturating_sub(self.since.elapsed());
            if left.is_zero() || !self.limit_receiving(left) {
                return;
            }
            match (&self.connection.socket).read(self.inbox) {
                Ok(0) => return,
                Ok(count) if count < bytes_left => bytes_left -= count,
                Err(error)
                    if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {}
                _ => return,
            }
        }
    }
}

/// Whether a socket timeout serves for a wait of `left`: at most an eighth longer, and not so short that the wait has to
/// be repeated many times.
fn is_near(timeout: Duration, left: Duration) -> bool {
    timeout <= left + left / 8 && timeout >= left - left / 4
}

/// A transport as hyper sees it. Reading never waits; writing does, within the response's deadline.
pub(super) struct HyperIo<'t, 'a>(pub(super) &'t RefCell<Transport<'a>>);

impl hyper::rt::Read for HyperIo<'_, '_> {
    fn poll_read(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        mut into: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let mut transport = self.0.borrow_mut();
        let count = into
            .remaining()
            .min(transport.shown - transport.start)
            .min(MOST_AT_ONCE);
        if count == 0 {
            transport.wants_bytes = true;
            return Poll::Pending;
        }
        let start = transport.start;
        into.put_slice(&transport.inbox[start..start + count]);
        transport.start += count;
        Poll::Ready(Ok(()))
    }
}

impl hyper::rt::Write for HyperIo<'_, '_> {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Poll::Ready(self.0.borrow_mut().send(&[IoSlice::new(bytes)]))
    }

    /// Otherwise the engine copies each body behind its head, and keeps room for the largest one as long as the connection
    /// lives.
    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Poll::Ready(self.0.borrow_mut().send(parts))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.borrow_mut().sending_since = None;
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        // `Transport::close` closes, when it knows how many bytes were not read.
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timeout_is_set_again_only_when_it_no_longer_serves() {
        let seconds = Duration::from_secs;
        assert!(is_near(seconds(60), seconds(60)));
        assert!(is_near(seconds(8), seconds(9)));
        assert!(!is_near(seconds(60), seconds(10)));
        assert!(!is_near(seconds(10), seconds(60)));
        assert!(!is_near(Duration::ZERO, Duration::from_millis(1)));
    }
}
