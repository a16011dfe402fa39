//! All open connections, and which of them is evicted when there is no room for another.
//!
//! Each connection has a thread, so an attacker can try to use all of them up. At a limit, the server does not refuse a
//! new connection while an open one has less to lose: it *evicts* that one, by shutting its socket down. Then the
//! thread that waits on the socket wakes up. The order is:
//!
//! 1. connections that never completed a request and had two seconds for one: slow clients, and attackers who only want to
//!    hold many;
//! 2. those that have been idle for two seconds since their last request: their clients expect to find them closed (RFC 9112
//!    §9.3.1);
//! 3. those that were accepted, or asked, within the last two seconds;
//! 4. those that have begun another request;
//! 5. those whose client does not take its answer.
//!
//! Within each of these, a connection of the address that has most goes first, and then the one on which nothing was
//! completed for longest. So an attacker who holds many idle connections loses those, and not a client that connected just
//! now and whose request is on its way.
//!
//! A connection whose handler runs is never evicted: what a handler has decided is answered.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, TcpStream};
use std::sync::Arc;
use std::time::Instant;

use super::connection::Connection;
use crate::clock::monotonic;
use ipnet::IpNet;

use crate::network::client;

/// How often another candidate is looked for, when the one that was found became busy in the meantime.
const MAX_EVICTION_TRIES: usize = 8;

/// The connections that have a thread or are about to get one.
pub(super) struct Connections {
    /// By number, and so from the oldest to the newest.
    open: BTreeMap<u64, Arc<Connection>>,
    /// How many there are for each customer prefix.
    of_prefix: HashMap<IpNet, usize>,
    /// Networks whose addresses are reverse proxies. Many connections of one are many clients, and count as one.
    proxies: Vec<IpNet>,
    next_number: u64,
    epoch: Instant,
}

impl Connections {
    /// None yet.
    pub(super) fn new(proxies: Vec<IpNet>) -> Self {
        Self {
            open: BTreeMap::new(),
            of_prefix: HashMap::new(),
            proxies,
            next_number: 0,
            epoch: monotonic(),
        }
    }

    /// Numbers a connection that was accepted. It is not counted until it is added.
    pub(super) fn accept(&mut self, socket: TcpStream, peer: IpAddr) -> Arc<Connection> {
        let number = self.next_number;
        self.next_number += 1;
        Arc::new(Connection::new(
            number,
            socket,
            peer,
            monotonic(),
            self.epoch,
        ))
    }

    pub(super) fn add(&mut self, connection: &Arc<Connection>) {
        self.open.insert(connection.number, Arc::clone(connection));
        let prefix = client(connection.peer);
        *self.of_prefix.entry(prefix).or_default() += 1;
    }

    pub(super) fn remove(&mut self, connection: &Connection) {
        if self.open.remove(&connection.number).is_none() {
            return;
        }
        let prefix = client(connection.peer);
        if let Some(count) = self.of_prefix.get_mut(&prefix) {
            *count -= 1;
            if *count == 0 {
                self.of_prefix.remove(&prefix);
            }
        }
    }

    /// How many there are, including evicted ones that their threads have not dropped yet.
    pub(super) fn count(&self) -> usize {
        self.open.len()
    }

    /// How many there are from the customer prefix of `peer`.
    pub(super) fn count_from(&self, peer: IpAddr) -> usize {
        let prefix = client(peer);
        self.of_prefix.get(&prefix).copied().unwrap_or(0)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Connection> {
        self.open.values().map(|connection| &**connection)
    }

    /// Evicts one connection from the customer prefix of `peer`. `false` if none can be.
    pub(super) fn evict_one_from(&self, peer: IpAddr) -> bool {
        let prefix = client(peer);
        self.evict_one(|connection| client(connection.peer) == prefix)
    }

    /// Evicts the first in the order of eviction, among those that `may_go` accepts. `false` if none can be.
    pub(super) fn evict_one(&self, may_go: impl Fn(&Connection) -> bool) -> bool {
        let now = monotonic();
        for _ in 0..MAX_EVICTION_TRIES {
            let candidate = self
                .iter()
                .filter(|connection| may_go(connection))
                .filter_map(|connection| {
                    let (class, seen) = connection.eviction_class(now)?;
                    let share = Reverse(self.share_of(connection.peer));
                    Some((
                        (class, share, seen.since, connection.number),
                        connection,
                        seen,
                    ))
                })
                .min_by_key(|(place, _, _)| *place);
            match candidate {
                None => return false,
                Some((_, connection, seen)) if connection.evict(seen) => return true,
                Some(_) => {}
            }
        }
        false
    }

    /// How many connections the customer prefix of `peer` has; 1 for a proxy.
    fn share_of(&self, peer: IpAddr) -> usize {
        match self.proxies.iter().any(|proxies| proxies.contains(&peer)) {
            true => 1,
            false => self.count_from(peer),
        }
    }
}
