//! The database: one SQLite file, one connection that writes, a pool that reads.
//!
//! This module is the only one that names SQLite. What it gives to the logic is two ways to run a closure,
//! [`Store::write`] and [`Store::read`], and a promise for each.
//!
//! **A write is durable when it is answered.** The file is in WAL mode with `synchronous=FULL`: a commit appends the
//! changed pages to the WAL and syncs it, and only then the caller gets its answer. A sync is what a write costs,
//! so all writes that wait at the same time share one: a single thread owns the writing connection and drains a queue
//! into one transaction (group commit, [`writer`]). With 16 callers that is several times faster than a transaction
//! for each, and no caller starves: SQLite's lock is not fair, and under contention single callers have been seen to
//! wait for seconds.
//!
//! **A read sees one moment.** It runs in a transaction of its own on a `query_only` connection and is disturbed by
//! no write, nor disturbs one. It should be short: as long as a reader stays on an old snapshot, the WAL can't begin
//! anew and grows ([`readers`]).
//!
//! **`Busy` means that nothing happened.** In WAL mode readers and writers don't wait for each other, and inside the
//! process there is one writer. What remains is another process that writes, such as a command beside the server.
//! All write transactions begin with `BEGIN IMMEDIATE`, because a transaction that begins by reading and then
//! wants to write fails at once if somebody else wrote in between, whatever the timeout. The wait for the lock has a
//! deadline, after which the closure is answered [`Broken::Busy`] without having run.
//!
//! **Another process may change the file.** [`Store::foreign_changes`] moves when it did; what the process keeps in
//! memory of the database is read again then.
//!
//! **Damage stops the process.** A failed sync, a page that is not what it should be, a file that is no longer where it
//! was: after these nobody knows what is stored, and going on would acknowledge what is not ([`broken`]). What is
//! looked at before a file is served at all, and on which file systems, is told in [`startup`].
//!
//! **Durability is as honest as the disk.** `synchronous=FULL` asks the disk to make the WAL permanent at each
//! commit. SD cards and USB sticks have been seen to confirm that and lose it when the power goes.

mod broken;
mod migrations;
mod queue;
mod readers;
mod startup;
mod tx;
mod writer;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::time::Duration;

pub use broken::Broken;
pub use startup::{Lock, OpenError};
pub(crate) use tx::params;
pub use tx::{FromColumn, ReadTx, Row, ToColumn, Tx, Value};

use crate::clock::Clock;
use crate::entropy::Entropy;
use readers::Readers;
use startup::{Held, Opened};
use writer::{Prepared, Writer};

/// How a database is opened.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Options {
    /// Whether NFS, SMB and 9p are an operator's risk rather than a reason to refuse.
    pub accept_network_filesystem: bool,
    /// Reading connections at the same time, at least 1. More than there are processors gain little.
    pub readers: u32,
    /// Who opens it.
    pub role: Role,
    /// The size in bytes beyond which the file does not grow; a write that needs more is [`Broken::Full`].
    pub max_size: Option<u64>,
}

/// Who opens a database.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Role {
    /// The one server of the file. It makes the file if it is missing.
    Server,
    /// A command, which may work beside the server. It needs a file that is there.
    Command,
}

/// An open database. Dropping it finishes what is queued and closes the file.
pub struct Store {
    clock: Clock,
    path: PathBuf,
    // In the order in which they end: the last connection to close takes the WAL with it.
    readers: Readers,
    writer: Writer,
    _held: Held,
    _lock: Option<Lock>,
}

/// What the store has done since it was opened, and how it is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Statistics {
    /// Commits that changed something, each of which cost a sync.
    pub commits: u64,
    /// Closures that were run by [`Store::write`].
    pub transactions: u64,
    /// The most closures that shared one commit.
    pub largest_batch: u64,
    /// Batches that were given up whole.
    pub void_batches: u64,
    /// The size of the WAL file in bytes.
    pub wal_bytes: u64,
    /// SQLite's setting as it was read back: 2 is FULL.
    pub synchronous: u64,
    /// Whether writes fail at present, because the disk is full or can't be written.
    pub is_degraded: bool,
}

impl Store {
    /// Opens the database at `path`, and lets `clock` go on from the mark that is stored there.
    ///
    /// # Errors
    /// [`OpenError`] says what is the matter and what to do. A file that was there before is left as it was.
    pub fn open(
        path: &Path,
        clock: Clock,
        entropy: Entropy,
        options: Options,
    ) -> Result<Store, OpenError> {
        Store::open_with_patience(path, clock, entropy, options, writer::PATIENCE)
    }

    fn open_with_patience(
        path: &Path,
        clock: Clock,
        entropy: Entropy,
        options: Options,
        patience: Duration,
    ) -> Result<Store, OpenError> {
        let Opened {
            conn,
            path,
            files,
            held,
            lock,
        } = startup::open(path, &options)?;
        let prepared =
            Prepared::new(conn, &clock, &options).map_err(|error| startup::told(&path, &error))?;
        let writer = Writer::start(prepared, files, clock.clone(), entropy, patience)
            .map_err(|error| startup::refused(&path, "starting a thread", &error))?;
        let readers = Readers::new(&path, options.readers);
        Ok(Store {
            clock,
            path,
            readers,
            writer,
            _held: held,
            _lock: lock,
        })
    }

    /// Runs `f` in a transaction and returns when what it wrote is safe on the disk. An error of `f` rolls it back.
    ///
    /// Closures run one after another; nothing slow belongs into one, nor another call of the store.
    ///
    /// # Errors
    /// What `f` returns, or the [`Broken`] for which it was rolled back: [`Broken::Busy`] after 5 s, or at once if
    /// thousands wait already.
    pub fn write<T, E>(
        &self,
        f: impl FnOnce(&Tx<'_>) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<Broken> + Send + 'static,
    {
        self.writer.write(f)
    }

    /// Runs `f` on a snapshot of what is committed.
    ///
    /// # Errors
    /// What `f` returns, or the [`Broken`] that it met; [`Broken::Busy`] if there was no free connection for 5 s.
    pub fn read<T, E>(&self, f: impl FnOnce(&ReadTx<'_>) -> Result<T, E>) -> Result<T, E>
    where
        E: From<Broken>,
    {
        self.readers.read(self.clock.now(), f)
    }

    /// A number that moves when another process changed the database. It is brought up to date by every write and by
    /// [`Store::housekeep`].
    pub fn foreign_changes(&self) -> u64 {
        self.writer
            .tallies()
            .foreign_changes
            .load(Ordering::Acquire)
    }

    /// Looks after the database; to be called every few seconds. Stores the clock's mark, notices foreign changes
    /// and whether a full disk has room again, and copies and cuts the WAL. If one of the files was deleted or
    /// replaced, the process ends here.
    pub fn housekeep(&self) {
        self.writer.keep_house();
    }

    /// What was done so far.
    pub fn statistics(&self) -> Statistics {
        let tallies = self.writer.tallies();
        Statistics {
            commits: tallies.commits.load(Ordering::Relaxed),
            transactions: tallies.transactions.load(Ordering::Relaxed),
            largest_batch: tallies.largest_batch.load(Ordering::Relaxed),
            void_batches: tallies.void_batches.load(Ordering::Relaxed),
            wal_bytes: fs::metadata(startup::beside(&self.path, "-wal")).map_or(0, |wal| wal.len()),
            synchronous: tallies.synchronous,
            is_degraded: self.writer.ailment().is_some(),
        }
    }

    /// Whether requests can be served: a read works, and the last write did not fail for want of room or rights.
    ///
    /// # Errors
    /// What is in the way.
    pub fn ready(&self) -> Result<(), Broken> {
        self.read(|tx| tx.row("SELECT 1 FROM server", params![], |_| Ok(())))?;
        self.writer.ailment().map_or(Ok(()), Err)
    }
}
