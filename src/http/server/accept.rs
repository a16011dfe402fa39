//! Accepting connections, and finding a thread for each or refusing it.

use std::collections::VecDeque;
use std::io::{self, ErrorKind, Write};
use std::net::{IpAddr, Shutdown, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::Method;

use super::connection::Connection;
use super::exchange::{OVERLOADED, to_bytes};
use super::{LINGER, RunningServer, framing, lock, worker};
use crate::clock::monotonic;
use crate::http::error::{HttpCode, Refusal};

/// How long the accept loop waits after an accept failed. It continues sooner if a connection ends, because that frees a
/// descriptor and memory.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// An error that recurs is logged once in this time.
const WARNING_INTERVAL: Duration = Duration::from_secs(60);

/// Bytes of a request that are read when its connection is refused. Most heads are shorter.
const MOST_PEEKED: usize = 2048;

/// Refused connections that are kept open for [`LINGER`], so that their clients see the answer.
const MAX_LINGERING: usize = 32;

const TOO_MANY_CONNECTIONS: Refusal = Refusal::new(
    HttpCode::TooManyConnections,
    "There are too many connections from this address. Close some, or try again in a moment.",
);

impl RunningServer {
    /// Accepts connections until the server closes. Nothing else ends it.
    pub(super) fn accept_connections(self: &Arc<Self>) {
        let mut acceptor = Acceptor::new(self);
        loop {
            let accepted = self.listener.accept();
            if self.is_closing() {
                return;
            }
            match accepted {
                Ok((socket, address)) => acceptor.admit(socket, address.ip().to_canonical()),
                // The client closed the connection before it was accepted.
                Err(error)
                    if matches!(
                        error.kind(),
                        ErrorKind::ConnectionAborted | ErrorKind::Interrupted
                    ) => {}
                // Out of descriptors or memory. The connection stays in the system's queue.
                Err(error) => {
                    let warning = "connections cannot be accepted";
                    acceptor.warning.log(warning, &error);
                    acceptor.lingering.clear();
                    let pool = lock(&self.pool);
                    drop(self.something_ended.wait_timeout(pool, ACCEPT_PAUSE));
                }
            }
        }
    }

    fn has_no_limit_for(&self, peer: IpAddr) -> bool {
        peer.is_loopback() || self.limits.exempt.iter().any(|net| net.contains(&peer))
    }
}

/// The state of the accept loop.
struct Acceptor<'s> {
    server: &'s Arc<RunningServer>,
    /// Refused connections whose clients may not have read the answer yet.
    lingering: VecDeque<Arc<Connection>>,
    warning: RecurringWarning,
}

impl<'s> Acceptor<'s> {
    fn new(server: &'s Arc<RunningServer>) -> Self {
        Self {
            server,
            lingering: VecDeque::new(),
            warning: RecurringWarning::default(),
        }
    }

    /// Hands a new connection to a thread, evicts another for it, or refuses it.
    fn admit(&mut self, socket: TcpStream, peer: IpAddr) {
        let server = self.server;
        // Each answer is written at once, so waiting for more data would only delay it. This fails if the client has closed
        // the connection, which its thread will notice.
        let _ = socket.set_nodelay(true);
        let mut pool = lock(&server.pool);
        let connection = pool.connections.accept(socket, peer);

        let at_address_limit = !server.has_no_limit_for(peer)
            && pool.connections.count_from(peer) >= server.limits.per_address;
        if at_address_limit && !pool.connections.evict_one_from(peer) {
            drop(pool);
            return self.refuse(connection, &TOO_MANY_CONNECTIONS);
        }
        // An evicted connection leaves its thread behind.
        let at_limit = pool.threads >= server.limits.max_connections;
        let thread_is_near = at_address_limit
            || pool.connections.count() < pool.threads
            || (at_limit && pool.connections.evict_one(|_| true));
        if !thread_is_near && at_limit {
            drop(pool);
            return self.refuse(connection, &OVERLOADED);
        }
        pool.connections.add(&connection);
        if thread_is_near {
            pool.queue.push_back(connection);
            server.connection_waits.notify_one();
            return;
        }
        drop(pool);
        if let Err(error) = worker::start(server, Some(Arc::clone(&connection))) {
            self.warning.log("a thread cannot be started", &error);
            self.do_without_thread(connection);
        }
    }

    /// The system allows no more threads, so the present number of threads is the limit.
    fn do_without_thread(&mut self, connection: Arc<Connection>) {
        let mut pool = lock(&self.server.pool);
        let is_other = |other: &Connection| !std::ptr::eq(other, &*connection);
        if pool.connections.evict_one(is_other) {
            pool.queue.push_back(connection);
            self.server.connection_waits.notify_one();
        } else {
            pool.connections.remove(&connection);
            drop(pool);
            self.refuse(connection, &OVERLOADED);
        }
    }

    /// Answers without waiting: the answer fits the empty send buffer of a new socket. If the beginning of a request has
    /// arrived, the answer has the form that this request asks for, and says whether a page of its origin may read it.
    fn refuse(&mut self, connection: Arc<Connection>, refusal: &Refusal) {
        tracing::debug!(peer = %connection.peer, code = refusal.code.as_str(), "connection refused");
        if connection.socket.set_nonblocking(true).is_ok() {
            let mut begun = [0; MOST_PEEKED];
            let length = connection.socket.peek(&mut begun).unwrap_or(0);
            let request = framing::legible_part(&begun[..length]);
            let response = self.server.refuse(refusal, request.as_ref());
            let is_head = request.is_some_and(|request| request.method == Method::HEAD);
            let answer = to_bytes(&response, is_head);
            let _ = (&connection.socket).write_all(&answer);
        }
        connection.shut_down(Shutdown::Write);
        let now = connection.accepted;
        self.lingering
            .retain(|other| now.saturating_duration_since(other.accepted) < LINGER);
        if self.lingering.len() == MAX_LINGERING {
            self.lingering.pop_front();
        }
        self.lingering.push_back(connection);
    }
}

/// A warning that is logged at its first cause, and then at most once in [`WARNING_INTERVAL`].
#[derive(Default)]
struct RecurringWarning {
    last: Option<Instant>,
    suppressed: u64,
}

impl RecurringWarning {
    fn log(&mut self, what: &'static str, error: &io::Error) {
        let now = monotonic();
        if self
            .last
            .is_some_and(|last| now.saturating_duration_since(last) < WARNING_INTERVAL)
        {
            self.suppressed += 1;
            return;
        }
        tracing::warn!(%error, suppressed = self.suppressed, "{what}");
        *self = Self {
            last: Some(now),
            suppressed: 0,
        };
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::sync::{Barrier, mpsc};

    use super::*;
    use crate::http::response::Response;
    use crate::http::server::connection::Phase;
    use crate::http::server::{Drained, Handler, Limits, Server};

    fn running(limits: Limits, handler: Handler) -> Arc<RunningServer> {
        let server = Server::bind("127.0.0.1:0".parse().unwrap(), limits).unwrap();
        let (alive, _) = mpsc::channel();
        Arc::new(RunningServer::new(server, handler, alive))
    }

    /// Admits a connection as if it came from `peer`, and returns its client's end.
    fn connect(acceptor: &mut Acceptor<'_>, peer: &str) -> TcpStream {
        let listener = &acceptor.server.listener;
        let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (socket, _) = listener.accept().unwrap();
        acceptor.admit(socket, peer.parse().unwrap());
        client
    }

    fn count(server: &RunningServer) -> usize {
        lock(&server.pool).connections.count()
    }

    fn end(server: &RunningServer) {
        server.close();
        assert_eq!(server.drain(), Drained { abandoned: 0 });
    }

    #[test]
    fn at_the_limit_of_an_address_one_of_its_own_connections_is_evicted() {
        let limits = Limits {
            per_address: 2,
            ..Limits::default()
        };
        let server = running(limits, Box::new(|_| Response::new(200)));
        let mut acceptor = Acceptor::new(&server);
        let mut neighbour = connect(&mut acceptor, "203.0.113.8");
        let mut first = connect(&mut acceptor, "203.0.113.7");
        let _second = connect(&mut acceptor, "203.0.113.7");
        assert_eq!(count(&server), 3);
        let _third = connect(&mut acceptor, "203.0.113.7");
        assert_eq!(first.read(&mut [0]).unwrap(), 0);
        neighbour
            .write_all(b"GET / HTTP/1.0\r\n\r\n")
            .and_then(|()| neighbour.read_to_end(&mut Vec::new()))
            .unwrap();
        end(&server);
    }

    /// Asks for something, and waits until the server waits for more.
    fn ask(server: &RunningServer, client: &mut TcpStream) {
        client
            .write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            .unwrap();
        assert_ne!(client.read(&mut [0; 1024]).unwrap(), 0);
        let is_idle = |connection: &Connection| connection.phase() == Phase::Idle;
        while !lock(&server.pool).connections.iter().all(is_idle) {
            std::thread::yield_now();
        }
    }

    /// Who lost a connection when `newcomer` got one; every other connection still works.
    fn evicted_for(newcomer: &str, clients: &[&str], exempt: &[&str]) -> Vec<usize> {
        let limits = Limits {
            max_connections: clients.len(),
            exempt: exempt.iter().map(|net| net.parse().unwrap()).collect(),
            ..Limits::default()
        };
        let server = running(limits, Box::new(|_| Response::new(200)));
        let mut acceptor = Acceptor::new(&server);
        let mut open: Vec<TcpStream> = Vec::new();
        for peer in clients {
            open.push(connect(&mut acceptor, peer));
            ask(&server, open.last_mut().unwrap());
        }
        let newcomer = connect(&mut acceptor, newcomer);
        let evicted = {
            let pool = lock(&server.pool);
            let numbers = pool.connections.iter();
            let left: Vec<u64> = numbers
                .filter(|connection| connection.phase() != Phase::Evicted)
                .map(|connection| connection.number)
                .collect();
            (0..clients.len())
                .filter(|at| !left.contains(&(*at as u64)))
                .collect()
        };
        drop((newcomer, open));
        end(&server);
        evicted
    }

    #[test] // finding 9
    fn the_address_with_most_connections_loses_one_first() {
        let (few, many) = ("203.0.113.8", "203.0.113.7");
        let other = "198.51.100.1";
        assert_eq!(evicted_for(other, &[few, many, many, few, many], &[]), [1]);
        // Two addresses of one customer.
        let customer = ["2001:db8::1", "2001:db8:0:1::1", "2001:db8::2"];
        assert_eq!(evicted_for(other, &customer, &[]), [0]);
        // The clients behind a proxy are many.
        let proxy = "192.0.2.1";
        let exempt = ["192.0.2.0/24"];
        assert_eq!(
            evicted_for(other, &[proxy, proxy, many, many], &exempt),
            [2]
        );
        // Of one address, the one that was idle for longest.
        assert_eq!(evicted_for(many, &[many, many], &[]), [0]);
    }

    #[test] // fault 22: a 503 says when to try again
    fn an_address_whose_connections_are_all_busy_is_refused() {
        let limits = Limits {
            per_address: 2,
            ..Limits::default()
        };
        let barrier = Arc::new(Barrier::new(3));
        let handler = {
            let barrier = Arc::clone(&barrier);
            move |_| {
                barrier.wait();
                barrier.wait();
                Response::new(204)
            }
        };
        let server = running(limits, Box::new(handler));
        let mut acceptor = Acceptor::new(&server);
        // Two addresses of one customer's network.
        let busy = ["2001:db8::1", "2001:db8::2"].map(|peer| {
            let mut client = connect(&mut acceptor, peer);
            client.write_all(b"GET / HTTP/1.0\r\n\r\n").unwrap();
            client
        });
        barrier.wait();
        let mut refused = String::new();
        connect(&mut acceptor, "2001:db8::3")
            .read_to_string(&mut refused)
            .unwrap();
        assert!(refused.starts_with("HTTP/1.1 503 "), "{refused}");
        assert!(refused.contains("too_many_connections"), "{refused}");
        assert!(refused.contains("\r\nretry-after: 2\r\n"), "{refused}");
        barrier.wait();
        for mut client in busy {
            let mut answer = String::new();
            client.read_to_string(&mut answer).unwrap();
            assert!(answer.starts_with("HTTP/1.0 204 "), "{answer}");
        }
        end(&server);
    }

    #[test]
    fn loopback_and_exempt_networks_have_no_limit_of_their_own() {
        let limits = Limits {
            per_address: 1,
            exempt: vec!["198.51.100.0/24".parse().unwrap()],
            ..Limits::default()
        };
        let server = running(limits, Box::new(|_| Response::new(200)));
        let mut acceptor = Acceptor::new(&server);
        let _clients: Vec<_> = ["198.51.100.1", "127.0.0.1", "::1", "198.51.100.1"]
            .iter()
            .cycle()
            .take(12)
            .map(|peer| connect(&mut acceptor, peer))
            .collect();
        assert_eq!(count(&server), 12);
        let pool = lock(&server.pool);
        assert!(
            pool.connections
                .iter()
                .all(|connection| connection.phase() != Phase::Evicted)
        );
        drop(pool);
        end(&server);
    }
}
