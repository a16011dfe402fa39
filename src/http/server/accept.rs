//! Accepting connections, finding room for them, and the threads that serve them.

use super::connection::serve;
use super::hyper_io::plain;
use super::*;

// The acceptor: accepting connections and finding state for them.
impl Engine {
    /// Accepts until the engine closes. Nothing else ends it.
    pub(super) fn receive(self: &Arc<Self>) {
        let mut acceptor = Acceptor::new(self);
        loop {
            let accepted = self.listener.accept();
            if self.is_closing() {
                return;
            }
            match accepted {
                Ok((socket, address)) => {
                    self.admit(socket, address.ip().to_canonical(), &mut acceptor)
                }
                // The client was gone before it was looked at.
                Err(error)
                    if matches!(
                        error.kind(),
                        ErrorKind::ConnectionAborted | ErrorKind::Interrupted
                    ) => {}
                // Out of descriptors or memory. The connection stays in the system's queue.
                Err(error) => {
                    acceptor
                        .warning
                        .make("connections can't be accepted", &error);
                    acceptor.turned_away.clear();
                    let state = lock(&self.state);
                    drop(self.left.wait_timeout(state, ACCEPT_PAUSE));
                }
            }
        }
    }

    pub(super) fn admit(
        self: &Arc<Self>,
        socket: TcpStream,
        peer: IpAddr,
        acceptor: &mut Acceptor,
    ) {
        // Answers are written whole; waiting for more to send with them would only delay them. It
        // fails if the client is gone already, which its thread will notice.
        let _ = socket.set_nodelay(true);
        let mut state = lock(&self.state);
        let connection = state.connections.new_connection(socket, peer);

        let crowded =
            !self.is_exempt(peer) && state.connections.count_like(peer) >= self.limits.per_address;
        if crowded && !state.connections.evict(|other| other.is_like(peer)) {
            drop(state);
            return acceptor.turn_away(connection, &CROWDED);
        }
        // Whoever was shown out leaves a thread behind.
        let full = state.threads >= self.limits.max_connections;
        let waits = crowded
            || state.connections.count() < state.threads
            || (full && state.connections.evict(|_| true));
        if !waits && full {
            drop(state);
            return acceptor.turn_away(connection, &FULL);
        }
        state.connections.enter(&connection);
        if waits {
            state.queue.push_back(connection);
            self.arrived.notify_one();
            return;
        }
        drop(state);
        if let Err(error) = start_thread(self, Some(Arc::clone(&connection))) {
            acceptor.warning.make("a thread can't be started", &error);
            self.do_without_thread(connection, acceptor);
        }
    }

    /// The system grants no more threads: as many as there are, are the cap.
    fn do_without_thread(&self, connection: Arc<Connection>, acceptor: &mut Acceptor) {
        let mut state = lock(&self.state);
        if state
            .connections
            .evict(|other| !std::ptr::eq(other, &*connection))
        {
            state.queue.push_back(connection);
            self.arrived.notify_one();
        } else {
            state.connections.leave(&connection);
            drop(state);
            acceptor.turn_away(connection, &FULL);
        }
    }

    fn is_exempt(&self, peer: IpAddr) -> bool {
        peer.is_loopback() || self.limits.exempt.iter().any(|net| net.contains(&peer))
    }
}

/// What the accept loop has at hand besides the engine.
pub(super) struct Acceptor {
    /// Written beforehand: the accept loop must not run other people's code, or wait for it.
    full: Vec<u8>,
    crowded: Vec<u8>,
    turned_away: VecDeque<Arc<Connection>>,
    warning: RateLimitedWarning,
}

impl Acceptor {
    pub(super) fn new(engine: &Engine) -> Self {
        Self {
            full: plain(engine.refused(FULL)),
            crowded: plain(engine.refused(CROWDED)),
            turned_away: VecDeque::new(),
            warning: RateLimitedWarning::default(),
        }
    }

    /// Answers without reading and without waiting: the answer fits the empty buffer of a new
    /// socket.
    fn turn_away(&mut self, connection: Arc<Connection>, refusal: &Refusal) {
        let answer = if *refusal == CROWDED {
            &self.crowded
        } else {
            &self.full
        };
        tracing::debug!(peer = %connection.peer, code = refusal.code, "turned away");
        if connection.socket.set_nonblocking(true).is_ok() {
            let _ = (&connection.socket).write_all(answer);
        }
        connection.end(Shutdown::Write);
        let now = connection.accepted;
        self.turned_away
            .retain(|other| now.saturating_duration_since(other.accepted) < LINGER);
        if self.turned_away.len() == TURNED_AWAY {
            self.turned_away.pop_front();
        }
        self.turned_away.push_back(connection);
    }
}

/// A fault that is logged when it begins, and then no more than now and again.
#[derive(Default)]
pub(super) struct RateLimitedWarning {
    last: Option<Instant>,
    unsaid: u64,
}

impl RateLimitedWarning {
    fn make(&mut self, what: &'static str, error: &io::Error) {
        let now = monotonic();
        if self
            .last
            .is_some_and(|last| now.saturating_duration_since(last) < WARNING_INTERVAL)
        {
            self.unsaid += 1;
            return;
        }
        tracing::warn!(%error, unsaid = self.unsaid, "{what}");
        *self = Self {
            last: Some(now),
            unsaid: 0,
        };
    }
}

// The end.
impl Engine {
    pub(super) fn close(&self) {
        self.closing.store(true, SeqCst);
        // Under the lock, so that nobody who has just looked at `closing` misses the call.
        let state = lock(&self.state);
        self.arrived.notify_all();
        self.left.notify_all();
        drop(state);
        // Wakes the accept loop (Linux: a listener that is shut down fails in accept), and needs
        // no descriptor to do so.
        let _ = SockRef::from(&self.listener).shutdown(Shutdown::Both);
    }

    pub(super) fn drain(&self) -> Drained {
        let until = monotonic() + self.limits.drain;
        let mut state = lock(&self.state);
        for connection in state.connections.iter() {
            if connection.phase() == Phase::Waiting {
                // For reading only: a request that has arrived and was not looked at yet is still
                // read and answered.
                connection.end(Shutdown::Read);
            }
        }
        while state.connections.count() > 0 || state.threads > 0 {
            let left = until.saturating_duration_since(monotonic());
            if left.is_zero() {
                break;
            }
            state = self
                .left
                .wait_timeout(state, left)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
        for connection in state.connections.iter() {
            connection.end(Shutdown::Both);
        }
        Drained {
            abandoned: state.connections.count(),
        }
    }
}

// The threads.

/// Starts a thread that serves `first` and then whoever waits.
pub(super) fn start_thread(engine: &Arc<Engine>, first: Option<Arc<Connection>>) -> io::Result<()> {
    lock(&engine.state).threads += 1;
    let shared = Arc::clone(engine);
    let started = thread::Builder::new()
        .name("http".to_owned())
        .stack_size(STACK_BYTES)
        .spawn(move || work(&shared, first));
    if started.is_err() {
        lock(&engine.state).threads -= 1;
    }
    started.map(drop)
}

pub(super) fn work(engine: &Engine, first: Option<Arc<Connection>>) {
    let mut inbox = vec![0; engine.limits.head_bytes];
    let mut next = first.or_else(|| engine.next_connection());
    while let Some(connection) = next {
        // Handlers have their own net; this one is for the engine's panics, and keeps the count
        // of connections and threads right.
        if catch_unwind(AssertUnwindSafe(|| serve(engine, &connection, &mut inbox))).is_err() {
            tracing::error!("a connection was dropped because of a panic");
        }
        lock(&engine.state).connections.leave(&connection);
        // Closed before anybody is told, who may have been waiting for the descriptor.
        drop(connection);
        engine.left.notify_all();
        next = engine.next_connection();
    }
    engine.left.notify_all();
}

impl Engine {
    /// The next connection for this thread; `None` when it is to end, and is then no longer
    /// counted.
    fn next_connection(&self) -> Option<Arc<Connection>> {
        let mut state = lock(&self.state);
        let until = monotonic() + RETIRE;
        loop {
            if let Some(connection) = state.queue.pop_front() {
                return Some(connection);
            }
            let left = until.saturating_duration_since(monotonic());
            if left.is_zero() || self.is_closing() {
                state.threads -= 1;
                return None;
            }
            state = self
                .arrived
                .wait_timeout(state, left)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
    }
}
