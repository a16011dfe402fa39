//! One connection, from its first request to its end.

use super::hyper_io::{Line, answer};
use super::*;

/// Serves one connection to its end.
pub(super) fn serve(engine: &Engine, connection: &Connection, inbox: &mut [u8]) {
    let wire = RefCell::new(Wire::new(engine, connection, inbox));
    {
        let service = service_fn(|request| answer(engine, connection, &wire, request));
        let mut driver = pin!(engine.http.serve_connection(Line(&wire), service));
        let mut context = Context::from_waker(Waker::noop());
        let mut idle_polls = 0;
        loop {
            match driver.as_mut().poll(&mut context) {
                Poll::Ready(Ok(())) => break,
                Poll::Ready(Err(error)) => {
                    tracing::debug!(peer = %connection.peer, %error, "connection failed");
                    break;
                }
                Poll::Pending => {}
            }
            let mut wire = wire.borrow_mut();
            if std::mem::take(&mut wire.hungry) {
                idle_polls = 0;
                if !wire.feed() {
                    break;
                }
            } else {
                idle_polls += 1;
                if idle_polls > MAX_IDLE_POLLS {
                    tracing::error!("the HTTP engine waits for nothing; connection dropped");
                    break;
                }
            }
        }
    }
    wire.into_inner().leave();
}

/// One connection's bytes and deadlines.
pub(super) struct Wire<'a> {
    pub(super) engine: &'a Engine,
    pub(super) connection: &'a Connection,
    /// What was received and not yet taken by the engine is `start..end`; the engine may have
    /// `start..shown`.
    pub(super) inbox: &'a mut [u8],
    pub(super) start: usize,
    pub(super) shown: usize,
    pub(super) end: usize,
    /// Bytes of the head that were searched for its end, from `start`.
    pub(super) seen: usize,
    pub(super) stage: Stage,
    /// When the phase began whose deadline is running.
    pub(super) since: Instant,
    /// The engine wanted bytes and there were none to have.
    pub(super) hungry: bool,
    /// The engine has been shown a request that is not answered yet.
    pub(super) owing: bool,
    /// A request was completed on this connection.
    pub(super) known: bool,
    /// Once set, the answer to it is the last.
    pub(super) refusal: Option<Refusal>,
    /// The receive and send timeouts the socket has.
    pub(super) receive_timeout: Duration,
    pub(super) send_timeout: Duration,
    /// When the answer that is being written was begun.
    pub(super) sending: Option<Instant>,
}

/// What is to come next from the client.
#[derive(Debug)]
pub(super) enum Stage {
    Head,
    Length { left: usize },
    Chunked(Chunks),
}

/// How a wait for bytes ended.
pub(super) enum Received {
    Bytes,
    Late,
    Ended,
}

impl<'a> Wire<'a> {
    fn new(engine: &'a Engine, connection: &'a Connection, inbox: &'a mut [u8]) -> Self {
        Self {
            engine,
            connection,
            inbox,
            start: 0,
            shown: 0,
            end: 0,
            seen: 0,
            stage: Stage::Head,
            since: connection.accepted,
            hungry: false,
            owing: false,
            known: false,
            refusal: None,
            receive_timeout: Duration::ZERO,
            send_timeout: Duration::ZERO,
            sending: None,
        }
    }

    /// Gets the engine something to go on with: more of a request, or a refusal. `false`: the
    /// connection is over.
    fn feed(&mut self) -> bool {
        if self.refusal.is_some() || !self.expect() {
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
            let idle = matches!(self.stage, Stage::Head) && self.start == self.end;
            match self.receive(idle) {
                Received::Bytes => {}
                // Nobody waits for an answer to nothing.
                Received::Late | Received::Ended if idle => return false,
                Received::Late => self.refuse(TOO_LATE),
                Received::Ended => self.refuse(CUT_SHORT),
            }
            if self.refusal.is_some() {
                return true;
            }
        }
    }

    /// Prepares to wait for the next request, where that is what the engine wants.
    fn expect(&mut self) -> bool {
        if !matches!(self.stage, Stage::Head) {
            return true;
        }
        if self.owing {
            // It was shown the whole request: it sees another end than we do.
            tracing::error!("the HTTP engine disagrees about the end of a request");
            return false;
        }
        if self.known {
            self.since = monotonic();
        }
        if !self.enter(Phase::Waiting) {
            return false;
        }
        if self.engine.is_closing() {
            // What has arrived is still read, and answered with `Connection: close`.
            self.connection.end(Shutdown::Read);
        }
        true
    }

    /// Shows the engine what it may have of the bytes at hand; `false` if that is nothing yet.
    fn show(&mut self) -> Result<bool, Refusal> {
        if matches!(self.stage, Stage::Head) && !self.show_head()? {
            return Ok(false);
        }
        let bytes = &self.inbox[self.shown..self.end];
        let (taken, ended) = match &mut self.stage {
            Stage::Head => (0, true),
            Stage::Length { left } => {
                let taken = bytes.len().min(*left);
                *left -= taken;
                (taken, *left == 0)
            }
            Stage::Chunked(chunks) => {
                let taken = chunks.follow(bytes)?;
                (taken, chunks.ended())
            }
        };
        self.shown += taken;
        if ended {
            self.stage = Stage::Head;
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
        let length = match framing::find_end(bytes, self.seen) {
            End::At(length) => length,
            End::NotYet if bytes.len() < self.engine.limits.head_bytes => {
                let began = self.seen == 0;
                self.seen = bytes.len();
                if began {
                    self.begin_receiving();
                }
                return Ok(false);
            }
            End::NotYet if bytes.contains(&b'\n') => return Err(HEAD_TOO_LARGE),
            End::NotYet => return Err(TARGET_TOO_LONG),
            End::Refused(refusal) => return Err(refusal),
        };
        let body_limit = self.engine.limits.body_bytes;
        let body = framing::judge(&bytes[..length], body_limit)?;
        self.seen = 0;
        self.shown = self.start + length;
        self.owing = true;
        self.stage = match body {
            Body::None => Stage::Head,
            Body::Length(left) => Stage::Length { left },
            Body::Chunked => Stage::Chunked(Chunks::new(body_limit)),
        };
        if !matches!(self.stage, Stage::Head) {
            self.since = monotonic();
            self.enter(Phase::Receiving);
        }
        Ok(true)
    }

    /// A head has begun and is not complete. The deadline of a connection's first head runs from
    /// the accept.
    fn begin_receiving(&mut self) {
        if self.known {
            self.since = monotonic();
        }
        self.enter(Phase::Receiving);
    }

    /// One blocking read within what is left of the phase. The engine has taken everything it was
    /// shown.
    fn receive(&mut self, idle: bool) -> Received {
        if self.start == self.end {
            (self.start, self.shown, self.end) = (0, 0, 0);
        } else if self.end == self.inbox.len() {
            self.inbox.copy_within(self.start..self.end, 0);
            (self.start, self.shown, self.end) = (0, 0, self.end - self.start);
        }
        let limits = &self.engine.limits;
        let allowed = match self.stage {
            Stage::Head if idle && self.known => limits.idle,
            Stage::Head => limits.head_deadline,
            Stage::Length { .. } | Stage::Chunked(_) => limits.body_deadline,
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

    /// Sets the socket's timeout, unless it is near `left` already: on a busy connection it always
    /// is, and this costs no system call. Waking too early is only a turn of the loop.
    fn limit_receiving(&mut self, left: Duration) -> bool {
        if is_near(self.receive_timeout, left) {
            return true;
        }
        self.receive_timeout = left;
        self.connection.socket.set_read_timeout(Some(left)).is_ok()
    }

    /// Puts a refusal in the place of the request that is being received.
    fn refuse(&mut self, refusal: Refusal) {
        tracing::debug!(peer = %self.connection.peer, code = refusal.code, "request refused");
        self.refusal = Some(refusal);
        if self.owing {
            // The engine has the head and waits for the body; `answer` looks here before it does.
            return;
        }
        let received = &self.inbox[self.start..self.end];
        let blank = if received.starts_with(b"HEAD ") {
            BLANK_HEAD_OF_HEAD
        } else {
            BLANK_HEAD
        };
        self.inbox[..blank.len()].copy_from_slice(blank);
        (self.start, self.shown, self.end) = (0, blank.len(), blank.len());
        self.owing = true;
    }

    pub(super) fn enter(&self, phase: Phase) -> bool {
        self.connection.enter(phase, self.known, self.since)
    }

    /// Writes with what is left of the response's deadline.
    pub(super) fn send(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let allowed = self.engine.limits.write_deadline;
        loop {
            let now = monotonic();
            let began = *self.sending.get_or_insert(now);
            let left = allowed.saturating_sub(now - began);
            if left.is_zero() {
                return Err(ErrorKind::TimedOut.into());
            }
            if !is_near(self.send_timeout, left) {
                self.connection.socket.set_write_timeout(Some(left))?;
                self.send_timeout = left;
            }
            match (&self.connection.socket).write(bytes) {
                Err(error)
                    if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {}
                sent => return sent,
            }
        }
    }

    /// Ends the connection so that the last answer arrives: where the client may have sent more
    /// than was read, our side is closed first and theirs read for a while.
    fn leave(mut self) {
        if self.refusal.is_none() && self.start == self.end {
            return;
        }
        self.since = monotonic();
        self.connection.end(Shutdown::Write);
        if !self.enter(Phase::Receiving) {
            return;
        }
        let mut state = LINGER_BYTES;
        loop {
            let left = LINGER.saturating_sub(self.since.elapsed());
            if left.is_zero() || !self.limit_receiving(left) {
                return;
            }
            match (&self.connection.socket).read(self.inbox) {
                Ok(0) => return,
                Ok(count) if count < state => state -= count,
                Err(error)
                    if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {}
                _ => return,
            }
        }
    }
}

/// Whether a socket timeout serves for a wait of `left`: at most an eighth longer, and not so
/// short that it has to be waited for again and again.
pub(super) fn is_near(timeout: Duration, left: Duration) -> bool {
    timeout <= left + left / 8 && timeout >= left - left / 4
}
