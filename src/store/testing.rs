//! What the tests of the store share: a database in a temporary directory, and helpers to fill and read it.

use std::path::PathBuf;
use std::time::Duration;

use rusqlite::Connection;
use tempfile::TempDir;

use super::{Broken, OpenError, Options, ReadTx, Role, Store, Tx, params};
use crate::clock::{Clock, ManualClock, Timestamp};
use crate::entropy::Entropy;

pub const START: Timestamp = Timestamp::from_unix(1_800_000_000);

pub const OPTIONS: Options = Options {
    accept_network_filesystem: false,
    readers: 4,
    role: Role::Server,
    max_size: None,
};

/// The path of a database in a temporary directory, which is deleted with the value.
pub struct TestDatabase {
    pub path: PathBuf,
    _directory: TempDir,
}

impl TestDatabase {
    pub fn new() -> TestDatabase {
        let directory = tempfile::tempdir().unwrap();
        TestDatabase {
            path: directory.path().join("authd.db"),
            _directory: directory,
        }
    }

    pub fn beside(&self, suffix: &str) -> PathBuf {
        super::sqlite::beside(&self.path, suffix)
    }

    pub fn open(&self) -> Store {
        self.open_with(OPTIONS)
    }

    pub fn open_with(&self, options: Options) -> Store {
        self.try_open(options).unwrap()
    }

    pub fn try_open(&self, options: Options) -> Result<Store, OpenError> {
        Store::open(
            &self.path,
            Clock::manual(START).0,
            Entropy::seeded(1),
            options,
        )
    }

    pub fn open_at(&self, start: Timestamp) -> (Store, Clock, ManualClock) {
        let (clock, hand) = Clock::manual(start);
        let store = Store::open(&self.path, clock.clone(), Entropy::seeded(1), OPTIONS).unwrap();
        (store, clock, hand)
    }

    /// A store whose callers do not wait for the lock longer than SQLite does.
    pub fn open_impatient(&self) -> Store {
        let clock = Clock::manual(START).0;
        Store::open_with_patience(
            &self.path,
            clock,
            Entropy::seeded(1),
            OPTIONS,
            Duration::ZERO,
        )
        .unwrap()
    }

    /// A connection such as another program has.
    pub fn other_connection(&self) -> Connection {
        Connection::open(&self.path).unwrap()
    }

    pub fn refusal(&self) -> OpenError {
        self.refusal_with(OPTIONS)
    }

    pub fn refusal_with(&self, options: Options) -> OpenError {
        self.try_open(options)
            .err()
            .expect("opening must be refused")
    }
}

/// Adds a client of this name, which must be new.
pub fn add(tx: &Tx<'_>, name: &'static str) -> Result<usize, Broken> {
    tx.run(
        "INSERT INTO client (client_id, name, created_at) VALUES (?1, '', ?2)",
        params![name, tx.now],
    )
}

/// Adds an event of this many bytes.
pub fn add_event(tx: &Tx<'_>, length: usize) -> Result<usize, Broken> {
    tx.run(
        "INSERT INTO event (at, kind, detail) VALUES (0, '', ?1)",
        params!["x".repeat(length)],
    )
}

/// Creates the row of `server`.
pub fn create_server_row(tx: &Tx<'_>) -> Result<usize, Broken> {
    tx.run(
        "INSERT INTO server (id, epoch, tag_key, clock_latest, clock_confirmed, created_at)
         VALUES (1, 1, ?1, ?2, ?2, ?2)",
        params![tx.random::<32>(), tx.now],
    )
}

pub fn names(tx: &ReadTx<'_>) -> Result<Vec<String>, Broken> {
    tx.rows(
        "SELECT client_id FROM client ORDER BY client_id",
        params![],
        |row| row.get(0),
    )
}

impl Store {
    pub(super) fn add(&self, name: &'static str) -> Result<usize, Broken> {
        self.write(move |tx| add(tx, name))
    }

    pub(super) fn names(&self) -> Vec<String> {
        self.read(names).unwrap()
    }

    /// Waits until this many closures are in the queue.
    pub(super) fn await_queue(&self, count: usize) {
        while self.writer.queue_length() < count {
            std::thread::yield_now();
        }
    }
}
