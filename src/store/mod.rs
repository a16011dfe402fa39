//! The database: one SQLite file, one connection that writes, a pool that reads.
//!
//! This module is the only one that names SQLite. What it gives to the logic is two ways to run a closure,
//! [`Store::write`] and [`Store::read`], and a promise for each.
//!
//! **A write is durable when it is answered.** The file is in WAL mode with `synchronous=FULL`: a commit appends the
//! changed pages to the WAL and syncs it, and only then the caller gets its answer. A sync is what a write costs,
//! so all writes that wait at the same time share one: a single thread owns the writing connection and drains a queue
//! into one transaction (group commit). With 16 callers that is several times faster than a transaction
//! for each, and no caller starves: SQLite's lock is not fair, and under contention single callers have been seen to
//! wait for seconds.
//!
//! **A read sees one moment.** It runs in a transaction of its own on a `query_only` connection and is disturbed by
//! no write, nor disturbs one. It should be short: as long as a reader stays on an old snapshot, the WAL can't begin
//! anew and grows.
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
//! was: after these nobody knows what is stored, and going on would acknowledge what is not. What is
//! looked at before a file is served at all, and on which file systems, is told in `sqlite/open.rs`; how it is copied beside
//! the running server, and put back, in `sqlite/backup.rs`; how it is looked at without a change, in `sqlite/read_only.rs`.
//!
//! **Durability is as honest as the disk.** `synchronous=FULL` asks the disk to make the WAL permanent at each
//! commit. SD cards and USB sticks have been seen to confirm that and lose it when the power goes.

mod column;
mod error;
mod sqlite;
mod tx;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::time::Duration;

pub(crate) use column::params;
pub use column::{FromColumn, ToColumn, Value};
pub use error::Broken;
pub use sqlite::backup::{CopyError, Progress, Restoration};
pub use sqlite::open::{Filesystem, Lock, OpenError};
pub use sqlite::read_only::{FileInfo, Inspection, ReadOnlyDatabase, Serving};
pub use tx::{ReadTx, Row, Tx};

use crate::clock::Clock;
use crate::entropy::Entropy;
use sqlite::open::{self, Held, Opened};
use sqlite::readers::Readers;
use sqlite::writer::{self, Prepared, Writer};

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
        } = open::open(path, &options)?;
        let prepared =
            Prepared::new(conn, &clock, &options).map_err(|error| open::told(&path, &error))?;
        let writer = Writer::start(prepared, files, clock.clone(), entropy, patience)
            .map_err(|error| open::refused(&path, "starting a thread", &error))?;
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
    /// Closures run one after another; nothing slow belongs into one, nor another call of the store. A closure has no effect
    /// outside its transaction and may be run again: an engine with serialization failures would do so.
    ///
    /// # Errors
    /// What `f` returns, or the [`Broken`] for which it was rolled back: [`Broken::Busy`] after 5 s, or at once if
    /// thousands wait already.
    pub fn write<T, E>(&self, f: impl Fn(&Tx<'_>) -> Result<T, E> + Send + 'static) -> Result<T, E>
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

    /// FileInfo after the database; to be called every few seconds. Stores the clock's mark, notices foreign changes
    /// and whether a full disk has room again, and copies and cuts the WAL. If one of the files was deleted or
    /// replaced, the process ends here.
    pub fn housekeep(&self) {
        self.writer.maintain();
    }

    /// What was done so far.
    pub fn statistics(&self) -> Statistics {
        let tallies = self.writer.tallies();
        Statistics {
            commits: tallies.commits.load(Ordering::Relaxed),
            transactions: tallies.transactions.load(Ordering::Relaxed),
            largest_batch: tallies.largest_batch.load(Ordering::Relaxed),
            void_batches: tallies.void_batches.load(Ordering::Relaxed),
            wal_bytes: fs::metadata(open::beside(&self.path, "-wal")).map_or(0, |wal| wal.len()),
            synchronous: tallies.synchronous,
            is_degraded: self.writer.write_error().is_some(),
        }
    }

    /// Whether requests can be served: a read works, and the last write did not fail for want of room or rights.
    ///
    /// # Errors
    /// What is in the way.
    pub fn ready(&self) -> Result<(), Broken> {
        self.answers()?;
        self.writer.write_error().map_or(Ok(()), Err)
    }

    /// Whether a read works.
    ///
    /// # Errors
    /// What is in the way.
    pub fn answers(&self) -> Result<(), Broken> {
        self.read(|tx| tx.row("SELECT 1 FROM server", params![], |_| Ok(())))
            .map(drop)
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;
    use std::time::Duration;

    use super::*;
    use crate::clock::Timestamp;
    use crate::store::sqlite::testing::{OPTIONS, Place, START, add, found, names};

    #[test]
    fn what_was_written_is_there_after_a_restart() {
        let place = Place::new();
        place.open().add("ann").unwrap();
        assert_eq!(place.open().names(), ["ann"]);
    }

    #[test]
    fn a_read_sees_one_moment() {
        let place = Place::new();
        let store = place.open();
        store.add("ann").unwrap();
        store
            .read(|tx| -> Result<(), Broken> {
                assert_eq!(names(tx)?, ["ann"]);
                store.add("bob")?;
                assert_eq!(names(tx)?, ["ann"]);
                Ok(())
            })
            .unwrap();
        assert_eq!(store.names(), ["ann", "bob"]);
    }

    #[test]
    fn an_error_rolls_its_closure_back() {
        #[derive(Debug)]
        enum Refusal {
            TooYoung,
            Broken(Broken),
        }
        impl From<Broken> for Refusal {
            fn from(broken: Broken) -> Refusal {
                Refusal::Broken(broken)
            }
        }
        let place = Place::new();
        let store = place.open();
        let refused = store.write(|tx| -> Result<(), Refusal> {
            add(tx, "ann")?;
            Err(Refusal::TooYoung)
        });
        assert!(matches!(refused, Err(Refusal::TooYoung)));
        let broken = store.write(|tx| -> Result<(), Refusal> {
            add(tx, "ann")?;
            add(tx, "ann")?;
            Ok(())
        });
        assert!(
            matches!(broken, Err(Refusal::Broken(Broken::Database(text))) if text.contains("UNIQUE"))
        );
        assert!(store.names().is_empty());
        assert_eq!(
            store.statistics().commits,
            0,
            "what changes nothing costs no sync"
        );
    }

    #[test]
    fn commits_are_synced() {
        let place = Place::new();
        assert_eq!(place.open().statistics().synchronous, 2);
    }

    #[test] // req 64: nobody but the owner reads the file
    fn all_files_are_the_owners_alone() {
        let place = Place::new();
        let store = place.open();
        store.add("ann").unwrap();
        for suffix in ["", "-wal", "-shm", ".lock"] {
            let mode = fs::metadata(place.beside(suffix))
                .unwrap()
                .permissions()
                .mode();
            assert_eq!(mode & 0o777, 0o600, "{suffix}");
        }
    }

    #[test]
    fn a_foreign_commit_is_noticed_and_ones_own_is_not() {
        let place = Place::new();
        let store = place.open();
        let command = place.open_with(Options {
            role: Role::Command,
            ..OPTIONS
        });
        let before = store.foreign_changes();
        store.add("ann").unwrap();
        store.add("bob").unwrap();
        store.housekeep();
        store.housekeep();
        store.add("cid").unwrap();
        assert_eq!(store.foreign_changes(), before);
        command.add("dan").unwrap();
        store.housekeep();
        assert_eq!(store.foreign_changes(), before + 1);
        command.add("eve").unwrap();
        store.add("fay").unwrap();
        assert_eq!(store.foreign_changes(), before + 2);
    }

    #[test]
    fn a_command_that_only_looks_leaves_no_trace() {
        let place = Place::new();
        let store = place.open();
        store.write(found).unwrap();
        let (command, _, hand) = {
            let (clock, hand) = Clock::manual(START);
            let options = Options {
                role: Role::Command,
                ..OPTIONS
            };
            let opened = Store::open(&place.path, clock.clone(), Entropy::seeded(2), options);
            (opened.unwrap(), clock, hand)
        };
        let before = store.foreign_changes();
        hand.advance(Duration::from_secs(60));
        assert!(command.names().is_empty());
        drop(command);
        store.housekeep();
        assert_eq!(store.foreign_changes(), before);
    }

    #[test] // I8, fault 18
    fn the_clock_goes_on_from_where_it_was() {
        let place = Place::new();
        let (store, _, hand) = place.open_at(START);
        store.write(found).unwrap();
        hand.advance(Duration::from_secs(1000));
        store.add("ann").unwrap();
        drop(store);
        let (_, clock, _) = place.open_at(Timestamp::from_unix(0));
        assert_eq!(clock.now(), START.plus(Duration::from_secs(1000)));
    }

    #[test] // I8: a kill loses no more of the mark than housekeeping has left unstored
    fn the_mark_is_stored_with_what_is_written_and_now_and_then() {
        let place = Place::new();
        let (store, clock, hand) = place.open_at(START);
        let stored = || {
            let latest = "SELECT clock_latest FROM server";
            let at = place
                .stranger()
                .query_row(latest, [], |row| row.get(0))
                .unwrap();
            Timestamp::from_unix(at)
        };
        store.write(found).unwrap();
        hand.advance(Duration::from_secs(5));
        store.add("ann").unwrap();
        assert_eq!(stored(), clock.now());
        hand.advance(Duration::from_secs(29));
        store.housekeep();
        assert_eq!(stored(), START.plus(Duration::from_secs(5)), "not yet");
        hand.advance(Duration::from_secs(1));
        store.housekeep();
        assert_eq!(stored(), clock.now());
        hand.advance(Duration::from_secs(10));
        drop(store);
        assert_eq!(stored(), clock.now(), "a server stores it when it closes");
    }

    #[test]
    fn a_confirmed_jump_reaches_the_running_server() {
        let place = Place::new();
        let (store, clock, _) = place.open_at(START);
        store.write(found).unwrap();
        let later = START.plus(Duration::from_secs(86_400 * 365)).as_unix();
        let confirm = "UPDATE server SET clock_latest = ?1, clock_confirmed = ?1";
        place.stranger().execute(confirm, [later]).unwrap();
        store.housekeep();
        assert_eq!(clock.now().as_unix(), later);
    }

    #[test]
    fn an_idle_server_has_no_wal() {
        let place = Place::new();
        let store = place.open();
        store.add("ann").unwrap();
        assert!(store.statistics().wal_bytes > 0);
        store.housekeep();
        store.housekeep();
        assert_eq!(store.statistics().wal_bytes, 0);
        store.ready().unwrap();
    }

    #[test]
    fn closing_leaves_one_file_and_the_lock() {
        let place = Place::new();
        let store = place.open();
        store.add("ann").unwrap();
        store.names();
        drop(store);
        assert!(!place.beside("-wal").exists() && !place.beside("-shm").exists());
    }
}
