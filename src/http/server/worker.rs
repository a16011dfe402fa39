//! The threads that serve connections, one at a time each.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, PoisonError};
use std::thread;
use std::time::Duration;

use super::connection::Connection;
use super::{RunningServer, exchange, lock};
use crate::clock::monotonic;

/// Handlers run SQLite and JSON on these threads; hyper needs 32 KiB. Only what is touched becomes memory.
const STACK_BYTES: usize = 512 * 1024;

/// How long a thread waits for another connection before it ends, so that a server without clients becomes small again.
const IDLE_THREAD: Duration = Duration::from_secs(10);

/// Starts a thread that serves `first` and then connections from the queue.
pub(super) fn start(server: &Arc<RunningServer>, first: Option<Arc<Connection>>) -> io::Result<()> {
    lock(&server.pool).threads += 1;
    let shared = Arc::clone(server);
    let started = thread::Builder::new()
        .name("http".to_owned())
        .stack_size(STACK_BYTES)
        .spawn(move || serve_connections(&shared, first));
    if started.is_err() {
        lock(&server.pool).threads -= 1;
    }
    started.map(drop)
}

fn serve_connections(server: &RunningServer, first: Option<Arc<Connection>>) {
    let mut inbox = vec![0; server.limits.head_bytes];
    let mut next = first.or_else(|| server.next_connection());
    while let Some(connection) = next {
        // Panics of handlers are caught further in. This is for the engine's, and keeps the counts of connections and
        // threads right.
        let served = AssertUnwindSafe(|| exchange::serve(server, &connection, &mut inbox));
        if catch_unwind(served).is_err() {
            tracing::error!("a connection was dropped because of a panic");
        }
        lock(&server.pool).connections.remove(&connection);
        // Closed before the notification: the accept loop may be waiting for the descriptor.
        drop(connection);
        server.something_ended.notify_all();
        next = server.next_connection();
    }
    server.something_ended.notify_all();
}

impl RunningServer {
    /// The next connection for this thread; `None` when the thread must end, and is then no longer counted.
    fn next_connection(&self) -> Option<Arc<Connection>> {
        let mut pool = lock(&self.pool);
        let until = monotonic() + IDLE_THREAD;
        loop {
            if let Some(connection) = pool.queue.pop_front() {
                return Some(connection);
            }
            let left = until.saturating_duration_since(monotonic());
            if left.is_zero() || self.is_closing() {
                pool.threads -= 1;
                return None;
            }
            pool = self
                .connection_waits
                .wait_timeout(pool, left)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
    }
}
