//! One connection as other threads see it: what it is doing, and how to end it.
//!
//! The state is one atomic word. The connection's thread changes it to enter the next phase, and another thread changes
//! it to evict the connection; only one of the two can be first. So a connection is never evicted while its handler runs.

use std::net::{IpAddr, Shutdown, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::time::{Duration, Instant};

/// A client that has not taken its answer after this long is taken for stuck.
const STUCK: Duration = Duration::from_secs(1);

/// A connection on which nothing was completed for this long is idle. A client that connected just now, or asked just now,
/// needs some time for its next request: a packet that was lost is sent again after one second (RFC 6298 §2.1).
const RECENT: Duration = Duration::from_secs(2);

/// One connection.
pub(super) struct Connection {
    pub(super) socket: TcpStream,
    /// The address at the other end.
    pub(super) peer: IpAddr,
    /// When the connection was accepted.
    pub(super) accepted: Instant,
    /// Its place in the order of acceptance.
    pub(super) number: u64,
    /// The instant to which the times in `state` are relative.
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
            since: micros(self.epoch, since),
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

    /// In which class of the order of eviction it is at `now`. `None` if it cannot be evicted now.
    pub(super) fn eviction_class(&self, now: Instant) -> Option<(Class, Seen)> {
        let seen = self.state.load(SeqCst);
        let accepted = micros(self.epoch, self.accepted);
        let (class, since) = State::unpack(seen).class(accepted, micros(self.epoch, now))?;
        Some((class, Seen { state: seen, since }))
    }

    /// Ends the connection, if its state is still the one that was seen. Its thread wakes up and drops it.
    pub(super) fn evict(&self, seen: Seen) -> bool {
        let evicted = State {
            phase: Phase::Evicted,
            ..State::unpack(seen.state)
        };
        let done = self
            .state
            .compare_exchange(seen.state, evicted.pack(), SeqCst, SeqCst)
            .is_ok();
        if done {
            tracing::debug!(peer = %self.peer, "connection evicted to make room");
            self.shut_down(Shutdown::Both);
        }
        done
    }
}

/// The phases of a connection.
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

/// A class of the order of eviction. The first class goes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Class {
    /// It never completed a request, and had two seconds for one.
    Silent,
    /// It completed a request, and has been idle for two seconds or more since.
    Idle,
    /// It was accepted, or completed a request, less than two seconds ago.
    Recent,
    /// It has begun another request.
    Receiving,
    /// Its client does not take its answer.
    Stuck,
}

/// A state that was seen, for [`Connection::evict`].
#[derive(Clone, Copy)]
pub(super) struct Seen {
    state: u64,
    /// Since when it has been in its class or about to be, in microseconds since the server started.
    pub(super) since: u64,
}

/// The state of a connection, which is packed into one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct State {
    phase: Phase,
    /// Whether the client has ever completed a request.
    has_asked: bool,
    /// When the phase began, in microseconds since the server started.
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

    /// The class at `now` of a connection that was accepted at `accepted`, and since when it would be in it.
    fn class(self, accepted: u64, now: u64) -> Option<(Class, u64)> {
        let lasts =
            |since: u64, time: Duration| u128::from(now.saturating_sub(since)) >= time.as_micros();
        match (self.phase, self.has_asked) {
            // By age alone, so that a byte now and then does not make a connection younger.
            (Phase::Idle | Phase::Receiving, false) => Some(match lasts(accepted, RECENT) {
                true => (Class::Silent, accepted),
                false => (Class::Recent, accepted),
            }),
            (Phase::Idle, true) => Some(match lasts(self.since, RECENT) {
                true => (Class::Idle, self.since),
                false => (Class::Recent, self.since),
            }),
            (Phase::Receiving, true) => Some((Class::Receiving, self.since)),
            (Phase::Answering, _) if lasts(self.since, STUCK) => Some((Class::Stuck, self.since)),
            _ => None,
        }
    }
}

fn micros(from: Instant, to: Instant) -> u64 {
    u64::try_from(to.saturating_duration_since(from).as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test] // finding 9
    fn connections_are_evicted_in_the_order_of_what_their_clients_lose() {
        const MILLI: u64 = 1_000;
        let class = |phase, has_asked, accepted, since| {
            let state = State {
                phase,
                has_asked,
                since,
            };
            assert_eq!(State::unpack(state.pack()), state);
            state.class(accepted * MILLI, 5_000 * MILLI)
        };
        let milli = |since: u64| since * MILLI;
        let in_turn = [
            class(Phase::Idle, false, 2_000, milli(2_000)),
            // A byte now and then makes it no younger.
            class(Phase::Receiving, false, 3_000, milli(4_900)),
            class(Phase::Idle, true, 1_000, milli(2_500)),
            class(Phase::Idle, true, 2_000, milli(3_000)),
            // Less than two seconds ago: the one that did nothing for longest.
            class(Phase::Idle, false, 3_001, milli(3_001)),
            class(Phase::Idle, true, 1_000, milli(3_002)),
            class(Phase::Receiving, false, 4_000, milli(4_500)),
            class(Phase::Receiving, true, 1_000, milli(1_000)),
            class(Phase::Answering, true, 1_000, milli(4_000)),
        ];
        assert!(in_turn.iter().all(Option::is_some), "{in_turn:?}");
        assert!(in_turn.is_sorted(), "{in_turn:?}");
        assert_eq!(class(Phase::Handling, true, 0, 0), None);
        assert_eq!(class(Phase::Answering, true, 0, milli(4_001)), None);
        assert_eq!(class(Phase::Evicted, false, 0, 0), None);
    }
}
