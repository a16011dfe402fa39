//! Who is connected, and who is shown out when there is no more state.
//!
//! Connections are what an attacker uses up where each has a thread. So at a cap a newcomer is not
//! turned away while somebody who is in has less to lose: that one is *shown out*, by shutting
//! down the socket, upon which the thread that waits on it wakes and leaves. First go connections
//! that never completed a request, the oldest first (a slow client, or one that only wants to be
//! many); then idle ones, whose clients expect to find them closed (RFC 9112 §9.3.1); then those
//! that have begun another request; then those that do not take their answer.
//!
//! Nobody is shown out whose handler runs: what a handler has decided is answered. That, too, is
//! one atomic word, which the connection's thread changes to enter the handler and the acceptor changes
//! to show it out, and which only one of them can change first.

use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, Ipv6Addr, Shutdown, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::time::{Duration, Instant};

use crate::clock::monotonic;

/// An answer that has been on its way for this long has a client that doesn't take it.
const STUCK: Duration = Duration::from_secs(1);

/// How often somebody else is looked for, when the one that was found became busy meanwhile.
const MAX_LOOKS: usize = 8;

/// All connections that have a thread, or are about to.
pub(super) struct Connections {
    /// By number, and so from the oldest to the newest.
    inside: BTreeMap<u64, Arc<Connection>>,
    of_address: HashMap<IpAddr, usize>,
    next: u64,
    opened: Instant,
}

impl Connections {
    /// Nobody, from now on.
    pub(super) fn new() -> Self {
        Self {
            inside: BTreeMap::new(),
            of_address: HashMap::new(),
            next: 0,
            opened: monotonic(),
        }
    }

    /// Gives a connection its number. It is not among the connections until it enters.
    pub(super) fn new_connection(&mut self, socket: TcpStream, peer: IpAddr) -> Arc<Connection> {
        let number = self.next;
        self.next += 1;
        let accepted = monotonic();
        let connection = Connection {
            number,
            socket,
            peer,
            accepted,
            opened: self.opened,
            standing: AtomicU64::new(0),
        };
        connection.enter(Phase::Waiting, false, accepted);
        Arc::new(connection)
    }

    pub(super) fn enter(&mut self, connection: &Arc<Connection>) {
        self.inside
            .insert(connection.number, Arc::clone(connection));
        *self
            .of_address
            .entry(address_key(connection.peer))
            .or_default() += 1;
    }

    pub(super) fn leave(&mut self, connection: &Connection) {
        if self.inside.remove(&connection.number).is_none() {
            return;
        }
        let key = address_key(connection.peer);
        if let Some(count) = self.of_address.get_mut(&key) {
            *count -= 1;
            if *count == 0 {
                self.of_address.remove(&key);
            }
        }
    }

    /// How many there are, those included who were shown out and have not left yet.
    pub(super) fn count(&self) -> usize {
        self.inside.len()
    }

    /// How many there are of the network that counts as one with `peer`.
    pub(super) fn count_like(&self, peer: IpAddr) -> usize {
        let key = address_key(peer);
        self.of_address.get(&key).copied().unwrap_or(0)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Connection> {
        self.inside.values().map(|connection| &**connection)
    }

    /// Shows out one of those that `fit`, the one with the least to lose. `false` if there is
    /// none that may be.
    pub(super) fn evict(&self, fit: impl Fn(&Connection) -> bool) -> bool {
        let now = millis(self.opened, monotonic());
        for _ in 0..MAX_LOOKS {
            let candidate = self
                .iter()
                .filter(|connection| fit(connection))
                .filter_map(|connection| {
                    let seen = connection.standing.load(SeqCst);
                    Some((Standing::unpack(seen).rank(now)?, connection, seen))
                })
                .min_by_key(|(rank, connection, _)| (*rank, connection.number));
            match candidate {
                None => return false,
                Some((_, connection, seen)) if connection.evict(seen) => return true,
                Some(_) => {}
            }
        }
        false
    }
}

/// One connection, as everybody sees it but its own thread.
pub(super) struct Connection {
    pub(super) socket: TcpStream,
    /// The address at the other end.
    pub(super) peer: IpAddr,
    /// When the connection was accepted.
    pub(super) accepted: Instant,
    number: u64,
    opened: Instant,
    standing: AtomicU64,
}

impl Connection {
    /// Moves to `phase`, which began at `since`; `known` says whether a request was ever completed.
    /// `false` if the connection has been shown out: its thread is to leave.
    pub(super) fn enter(&self, phase: Phase, known: bool, since: Instant) -> bool {
        let next = Standing {
            phase,
            known,
            since: millis(self.opened, since),
        };
        self.standing
            .fetch_update(SeqCst, SeqCst, |now| {
                (Standing::unpack(now).phase != Phase::ShownOut).then(|| next.pack())
            })
            .is_ok()
    }

    pub(super) fn phase(&self) -> Phase {
        Standing::unpack(self.standing.load(SeqCst)).phase
    }

    /// Whether the two count as one for the cap per address.
    pub(super) fn is_like(&self, peer: IpAddr) -> bool {
        address_key(self.peer) == address_key(peer)
    }

    /// Ends the connection or half of it. It fails when the client was faster.
    pub(super) fn end(&self, half: Shutdown) {
        let _ = self.socket.shutdown(half);
    }

    /// Shows it out, if it still stands as was seen.
    fn evict(&self, seen: u64) -> bool {
        let out = Standing {
            phase: Phase::ShownOut,
            ..Standing::unpack(seen)
        };
        let done = self
            .standing
            .compare_exchange(seen, out.pack(), SeqCst, SeqCst)
            .is_ok();
        if done {
            tracing::debug!(peer = %self.peer, "shown out to make state");
            self.end(Shutdown::Both);
        }
        done
    }
}

/// What a connection is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// For a request, of which nothing has arrived.
    Waiting = 0,
    /// Part of a request has arrived; or what follows a refused one is being thrown away.
    Receiving = 1,
    /// Its handler is running.
    Handling = 2,
    /// Its answer is being written.
    Answering = 3,
    /// Ended from outside. Nothing follows.
    ShownOut = 4,
}

/// A connection's phase, as it is packed into one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Standing {
    phase: Phase,
    /// Whether it has ever completed a request.
    known: bool,
    /// When the phase began, in milliseconds since the engine opened.
    since: u64,
}

impl Standing {
    fn pack(self) -> u64 {
        self.since << 4 | u64::from(self.known) << 3 | self.phase as u64
    }

    fn unpack(word: u64) -> Self {
        Self {
            phase: match word & 7 {
                0 => Phase::Waiting,
                1 => Phase::Receiving,
                2 => Phase::Handling,
                3 => Phase::Answering,
                _ => Phase::ShownOut,
            },
            known: word >> 3 & 1 == 1,
            since: word >> 4,
        }
    }

    /// Who goes first: the lowest rank, and the oldest of equals. `None`: not now.
    fn rank(self, now: u64) -> Option<(u8, u64)> {
        let stuck = u128::from(now.saturating_sub(self.since)) >= STUCK.as_millis();
        match (self.phase, self.known) {
            // By age alone, so that a drop now and then does not make a connection younger.
            (Phase::Waiting | Phase::Receiving, false) => Some((0, 0)),
            (Phase::Waiting, true) => Some((1, self.since)),
            (Phase::Receiving, true) => Some((2, self.since)),
            (Phase::Answering, _) if stuck => Some((3, self.since)),
            _ => None,
        }
    }
}

fn millis(from: Instant, to: Instant) -> u64 {
    u64::try_from(to.saturating_duration_since(from).as_millis()).unwrap_or(u64::MAX)
}

/// Whom the cap per address counts as one: an IPv4 address, or the /64 out of which an IPv6 host
/// can take any address it likes.
fn address_key(peer: IpAddr) -> IpAddr {
    match peer {
        IpAddr::V4(_) => peer,
        IpAddr::V6(address) => {
            IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & (u128::MAX << 64)))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_has_least_to_lose_goes_first() {
        let rank = |phase, known, since| {
            let standing = Standing {
                phase,
                known,
                since,
            };
            assert_eq!(Standing::unpack(standing.pack()), standing);
            standing.rank(5_000)
        };
        let in_turn = [
            rank(Phase::Receiving, false, 4_000),
            rank(Phase::Waiting, true, 3_000),
            rank(Phase::Waiting, true, 4_000),
            rank(Phase::Receiving, true, 1_000),
            rank(Phase::Answering, true, 4_000),
        ];
        assert!(in_turn.iter().all(Option::is_some) && in_turn.is_sorted());
        // Among strangers age alone counts, whatever they did last.
        assert_eq!(
            rank(Phase::Waiting, false, 1),
            rank(Phase::Receiving, false, 2)
        );
        assert_eq!(rank(Phase::Handling, true, 0), None);
        assert_eq!(rank(Phase::Answering, true, 4_001), None);
        assert_eq!(rank(Phase::ShownOut, false, 0), None);
    }

    #[test]
    fn an_ipv6_customer_is_one_address() {
        let key = |text: &str| address_key(text.parse().unwrap());
        assert_eq!(key("2001:db8::1"), key("2001:db8::ffff:0:0:1"));
        assert_ne!(key("2001:db8::1"), key("2001:db8:0:1::1"));
        assert_ne!(key("192.0.2.1"), key("192.0.2.2"));
    }
}
