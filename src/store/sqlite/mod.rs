//! SQLite: everything behind the seam that [`Tx`](super::Tx) and [`Store`](super::Store) are.
//!
//! Opening and its checks ([`open`]), the one connection that writes ([`writer`], [`queue`]) and those that read
//! ([`readers`]), how older files are brought up to date ([`migrations`]), copies ([`backup`]), and reading a file without
//! changing a byte of it ([`read_only`]).

pub(in crate::store) mod backup;
pub(in crate::store) mod migrations;
pub(in crate::store) mod open;
pub(in crate::store) mod queue;
pub(in crate::store) mod read_only;
pub(in crate::store) mod readers;
#[cfg(test)]
pub(in crate::store) mod testing;
pub(in crate::store) mod writer;
