//! One connection as other threads see it: what it is doing, and how to end it.
//!
//! The state is one atomic word. The connection's thread changes it to enter the next phase, and another thread changes
//! it to evict the connection; only one of the two can be first. So a connection is never evicted while its handler runs.

use std::net::{IpAddr, Shutdown, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::time::{Duration, Instant};

/// A client that has not taken its answer after this long is taken for stuck.
const STUCK: Duration = Duration::from_secs(1);

/// One connection.
pub(super) struct Connection {
    pub(super) socket: TcpStream,
    /// The address at the other end.
    pub(super) peer: IpAddr,
    /// When the connection was accepted.
    pub(super) accepted: Instant,
    /// Its place in the order of acceptance.
    pub(super) number: u64,
    /// What the times in `state` are relative to.
    epoch: Instant,
    state: AtomicU64,
}

impl Connection {
    /// A connection that has just been accepted, at `accepted`.
    pub(super) fn new(
        number: u64,
        socket: TcpStream,
        peer: IpAddr,
        accepted: Instant,
        epoch: Instant,
    ) -> Self {
        let connection = Self {
            number,
            socket,
            peer,
            accepted,
            epoch,
            state: AtomicU64::new(0),
        };
        connection.enter(Phase::Idle, false, accepted);
        connection
    }

    /// Moves to `phase`, which began at `since`. `has_asked` says whether the client ever completed a request. `false`
    /// if the connection has been evicted: its thread must drop it.
    pub(super) fn enter(&self, phase: Phase, has_asked: bool, since: Instant) -> bool {
        let next = State {
            phase,
            has_asked,
            since: millis(self.epoch, since),
        };
        self.state
            .fetch_update(SeqCst, SeqCst, |now| {
                (State::unpack(now).phase != Phase::Evicted).then(|| next.pack())
            })
            .is_ok()
    }

    pub(super) fn phase(&self) -> Phase {
        State::unpack(self.state.load(SeqCst)).phase
    }

    /// Shuts the socket down, or half of it. It fails when the client has closed it already.
    pub(super) fn shut_down(&self, half: Shutdown) {
        let _ = self.socket.shutdown(half);
    }

    /// Its place in the order of eviction at `now`, with the state that the place was derived from. `None` if it cannot
    /// be evicted now.
    pub(super) fn eviction_rank(&self, now: Instant) -> Option<(Rank, Seen)> {
        let seen = self.state.load(SeqCst);
        let rank = State::unpack(seen).rank(millis(self.epoch, now))?;
        Some((rank, Seen(seen)))
    }

    /// Ends the connection, if its state is still the one that was seen. Its thread wakes up and drops it.
    pub(super) fn evict(&self, Seen(seen): Seen) -> bool {
        let evicted = State {
            phase: Phase::Evicted,
            ..State::unpack(seen)
        };
        let done = self
            .state
            .compare_exchange(seen, evicted.pack(), SeqCst, SeqCst)
            .is_ok();
        if done {
            tracing::debug!(peer = %self.peer, "connection evicted to make room");
            self.shut_down(Shutdown::Both);
        }
        done
    }
}

/// What a connection is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// Waiting for a request, of which nothing has arrived.
    Idle = 0,
    /// Part of a request has arrived; or the bytes after a refused one are being discarded.
    Receiving = 1,
    /// Its handler is running.
    Handling = 2,
    /// Its answer is being written.
    Answering = 3,
    /// Ended by another thread. No phase follows.
    Evicted = 4,
}

/// A place in the order of eviction: the lowest goes first. The second part is the time since when the connection is in
/// its phase, in milliseconds since the server started.
pub(super) type Rank = (u8, u64);

/// A state that was seen, for [`Connection::evict`].
#[derive(Clone, Copy)]
pub(super) struct Seen(u64);

/// The state of a connection, which is packed into one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct State {
    phase: Phase,
    /// Whether the client has ever completed a request.
    has_asked: bool,
    /// When the phase began, in milliseconds since the server started.
    since: u64,
}

impl State {
    fn pack(self) -> u64 {
        self.since << 4 | u64::from(self.has_asked) << 3 | self.phase as u64
    }

    fn unpack(word: u64) -> Self {
        Self {
            phase: match word & 7 {
                0 => Phase::Idle,
                1 => Phase::Receiving,
                2 => Phase::Handling,
                3 => Phase::Answering,
                _ => Phase::Evicted,
            },
            has_asked: word >> 3 & 1 == 1,
            since: word >> 4,
        }
    }

    fn rank(self, now: u64) -> Option<Rank> {
        let is_stuck = u128::from(now.saturating_sub(self.since)) >= STUCK.as_millis();
        match (self.phase, self.has_asked) {
            // By age alone, so that a byte now and then does not make a connection younger.
            (Phase::Idle | Phase::Receiving, false) => Some((0, 0)),
            (Phase::Idle, true) => Some((1, self.since)),
            (Phase::Receiving, true) => Some((2, self.since)),
            (Phase::Answering, _) if is_stuck => Some((3, self.since)),
            _ => None,
        }
    }
}

fn millis(from: Instant, to: Instant) -> u64 {
    u64::try_from(to.saturating_duration_since(from).as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_are_evicted_in_the_order_of_what_their_clients_lose() {
        let rank = |phase, has_asked, since| {
            let state = State {
                phase,
                has_asked,
                since,
            };
            assert_eq!(State::unpack(state.pack()), state);
            state.rank(5_000)
        };
        let in_turn = [
            rank(Phase::Receiving, false, 4_000),
            rank(Phase::Idle, true, 3_000),
            rank(Phase::Idle, true, 4_000),
            rank(Phase::Receiving, true, 1_000),
            rank(Phase::Answering, true, 4_000),
        ];
        assert!(in_turn.iter().all(Option::is_some) && in_turn.is_sorted());
        // Among those that never completed a request, age alone counts.
        assert_eq!(
            rank(Phase::Idle, false, 1),
            rank(Phase::Receiving, false, 2)
        );
        assert_eq!(rank(Phase::Handling, true, 0), None);
        assert_eq!(rank(Phase::Answering, true, 4_001), None);
        assert_eq!(rank(Phase::Evicted, false, 0), None);
    }
}
