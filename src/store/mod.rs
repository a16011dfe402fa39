//! The database: one SQLite file, one connection that writes, a pool of connections that read.
//!
//! The service sees this seam: [`Store::write`] and [`Store::read`] run a closure in a transaction, [`Tx`] and [`ReadTx`]
//! run its statements, [`ToColumn`] and [`FromColumn`] convert values, [`Broken`] says what failed. SQLite itself is named
//! only in `sqlite`.
//!
//! **A write is on the disk when it is answered.** The file is in WAL mode with `synchronous=FULL`: a commit appends the
//! changed pages to the WAL and syncs it, and only then the caller gets its answer. The sync is the cost of a write, so all
//! writes that wait at the same time share one: a single thread owns the writing connection and drains a queue into one
//! transaction (group commit). With 16 callers that is several times faster than a transaction for each. It is also fair:
//! SQLite's own lock is not, and under contention callers have been seen to wait for seconds.
//!
//! **A read sees one snapshot.** It runs in a transaction of its own on a `query_only` connection. Reads and writes do not
//! wait for each other. A read should be short: while a reader stays on an old snapshot, the WAL can't begin anew and grows.
//!
//! **`Busy` means that nothing happened.** Inside the process there is one writer. Another process may write too, such as a
//! command beside the server. All write transactions begin with `BEGIN IMMEDIATE`: a transaction that begins by reading and
//! then wants to write fails at once if another process wrote in between, whatever the timeout. The wait for the lock has a
//! deadline, after which the closure is answered with [`Broken::Busy`] and does not run.
//!
//! **Another process may change the file.** [`Store::foreign_changes`] moves when one did. What the process keeps of the
//! database in memory is read again then.
//!
//! **Damage stops the process.** After a failed sync, on a damaged page, or when a file was moved or deleted, it is not known
//! what is stored. Going on would confirm writes that are lost.
//!
//! **Durability is as good as the disk's.** `synchronous=FULL` asks the disk to make the WAL permanent at each commit. Some
//! SD cards and USB sticks confirm that and lose the data when the power fails.

mod column;
mod error;
mod owner;
mod space;
mod sqlite;
#[cfg(test)]
mod testing;
mod tx;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

pub use column::{FromColumn, ToColumn, Value};
pub use error::{Broken, CopyError, OpenError, OpenWarning};
pub(crate) use owner::become_owner_of;
pub use space::{Scarce, Shortage, Space};
pub use sqlite::{
    FileInfo, Filesystem, Inspection, Lock, Progress, ReadOnlyDatabase, Restoration, RestoreSource,
    RunningServer,
};
pub(crate) use tx::params;
pub use tx::{ReadTx, Row, Tx};

use crate::clock::Clock;
use crate::entropy::Entropy;
use space::Gauge;
use sqlite::{Held, Opened, Prepared, Readers, Writer, directory_of, sqlite_error, system_error};

/// How a database is opened.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Options {
    /// Whether to open a database on NFS, SMB or 9p, where SQLite can lose data.
    pub accept_network_filesystem: bool,
    /// The most connections that read at the same time, at least 1. More than the number of processors gains little.
    pub readers: u32,
    /// Which program opens it.
    pub role: Role,
    /// The size in bytes beyond which the file does not grow. A write that needs more gets [`Broken::Full`].
    pub max_size: Option<u64>,
}

/// Which program opens a database.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Role {
    /// The one server of the file. It creates the file if it is missing.
    Server,
    /// A command, which may run beside the server. The file must exist.
    Command,
}

/// An open database. Dropping it finishes what is queued and closes the file.
pub struct Store {
    clock: Clock,
    path: PathBuf,
    // In the order in which they are dropped: the connection that closes last deletes the WAL.
    readers: Readers,
    writer: Writer,
    gauge: Arc<Gauge>,
    _held: Held,
    _lock: Option<Lock>,
    warning: Option<OpenWarning>,
}

/// What the store has done since it was opened, and its state.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Statistics {
    /// Commits that changed something. Each cost a sync.
    pub commits: u64,
    /// Closures that [`Store::write`] ran.
    pub transactions: u64,
    /// The most closures that shared one commit.
    pub largest_batch: u64,
    /// Batches that were rolled back as a whole.
    pub void_batches: u64,
    /// The size of the WAL file in bytes.
    pub wal_bytes: u64,
    /// SQLite's setting of that name as it was read back: 2 is FULL.
    pub synchronous: u64,
    /// Whether writes fail at present, because the disk is full or can't be written.
    pub is_degraded: bool,
}

impl Store {
    /// Opens the database at `path`, and lets `clock` go on from the mark that is stored there.
    ///
    /// # Errors
    /// [`OpenError`] says what is wrong and what to do. An existing file is left as it was.
    pub fn open(
        path: &Path,
        clock: Clock,
        entropy: Entropy,
        options: Options,
    ) -> Result<Store, OpenError> {
        Store::open_with_patience(path, clock, entropy, options, sqlite::PATIENCE)
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
            warning,
        } = sqlite::open(path, &options)?;
        let prepared =
            Prepared::new(conn, &clock, &options).map_err(|error| sqlite_error(&path, &error))?;
        let gauge = Arc::new(Gauge::new(directory_of(&path), options.max_size));
        let for_writer = Arc::clone(&gauge);
        let writer = Writer::start(
            prepared,
            files,
            clock.clone(),
            entropy,
            for_writer,
            patience,
        )
        .map_err(|error| system_error(&path, "starting a thread", &error))?;
        let readers = Readers::new(&path, options.readers);
        Ok(Store {
            clock,
            path,
            readers,
            writer,
            gauge,
            _held: held,
            _lock: lock,
            warning,
        })
    }

    /// Runs `f` in a transaction and returns when what it wrote is on the disk. An error of `f` rolls it back.
    ///
    /// Closures run one after another, so `f` must be quick and must not call the store again. It has no effect outside its
    /// transaction and can be run again, so that an engine with serialization failures can retry it.
    ///
    /// # Errors
    /// What `f` returns, or the [`Broken`] for which it was rolled back: [`Broken::Busy`] after 5 s, or at once if
    /// thousands of closures wait already.
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
    /// What `f` returns, or the [`Broken`] that it got; [`Broken::Busy`] if no connection was free for 5 s.
    pub fn read<T, E>(&self, f: impl FnOnce(&ReadTx<'_>) -> Result<T, E>) -> Result<T, E>
    where
        E: From<Broken>,
    {
        self.readers.read(self.clock.now(), f)
    }

    /// The path of the database, absolute and without symbolic links.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// What an operator should know about where the database is.
    pub fn warning(&self) -> Option<&OpenWarning> {
        self.warning.as_ref()
    }

    /// What there is too little of for rows that strangers cause, as of the last second. [`Tx::shortage`] is exact.
    pub fn shortage(&self) -> Option<Shortage> {
        self.gauge.shortage()
    }

    /// A number that changes when another process changed the database. Every write and [`Store::maintain`] bring it up to
    /// date.
    pub fn foreign_changes(&self) -> u64 {
        self.writer
            .counters()
            .foreign_changes
            .load(Ordering::Acquire)
    }

    /// One round of maintenance, to be called every few seconds. It stores the clock's mark, notices changes by other
    /// processes and whether a full disk has room again, copies the WAL into the database, and cuts it. If one of the files
    /// was deleted or replaced, it ends the process.
    pub fn maintain(&self) {
        self.writer.maintain();
    }

    /// What was done so far.
    pub fn statistics(&self) -> Statistics {
        let counters = self.writer.counters();
        let wal = sqlite::beside(&self.path, "-wal");
        Statistics {
            commits: counters.commits.load(Ordering::Relaxed),
            transactions: counters.transactions.load(Ordering::Relaxed),
            largest_batch: counters.largest_batch.load(Ordering::Relaxed),
            void_batches: counters.void_batches.load(Ordering::Relaxed),
            wal_bytes: fs::metadata(wal).map_or(0, |wal| wal.len()),
            synchronous: counters.synchronous,
            is_degraded: self.writer.write_error().is_some(),
        }
    }

    /// Whether requests can be served: a read works, and the last write did not fail because the disk is full or can't be
    /// written.
    ///
    /// # Errors
    /// The reason why not.
    pub fn ready(&self) -> Result<(), Broken> {
        self.answers()?;
        self.writer.write_error().map_or(Ok(()), Err)
    }

    /// Whether a read works.
    ///
    /// # Errors
    /// The reason why not.
    pub fn answers(&self) -> Result<(), Broken> {
        self.read(|tx| tx.row("SELECT 1 FROM server", params![], |_| Ok(())))
            .map(drop)
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;
    use std::time::Duration;

    use super::testing::{OPTIONS, START, TestDatabase, add, create_server_row, names};
    use super::*;
    use crate::clock::Timestamp;

    #[test]
    fn writes_survive_a_restart() {
        let database = TestDatabase::new();
        database.open().add("ann").unwrap();
        assert_eq!(database.open().names(), ["ann"]);
    }

    #[test]
    fn a_read_sees_one_snapshot() {
        let database = TestDatabase::new();
        let store = database.open();
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
        let database = TestDatabase::new();
        let store = database.open();
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
        let database = TestDatabase::new();
        assert_eq!(database.open().statistics().synchronous, 2);
    }

    #[test] // req 64
    fn only_the_owner_can_read_the_files() {
        let database = TestDatabase::new();
        let store = database.open();
        store.add("ann").unwrap();
        for suffix in ["", "-wal", "-shm", ".lock"] {
            let mode = fs::metadata(database.beside(suffix))
                .unwrap()
                .permissions()
                .mode();
            assert_eq!(mode & 0o777, 0o600, "{suffix}");
        }
    }

    #[test]
    fn a_commit_of_another_process_is_noticed_and_an_own_one_is_not() {
        let database = TestDatabase::new();
        let store = database.open();
        let command = database.open_with(Options {
            role: Role::Command,
            ..OPTIONS
        });
        let before = store.foreign_changes();
        store.add("ann").unwrap();
        store.add("bob").unwrap();
        store.maintain();
        store.maintain();
        store.add("cid").unwrap();
        assert_eq!(store.foreign_changes(), before);
        command.add("dan").unwrap();
        store.maintain();
        assert_eq!(store.foreign_changes(), before + 1);
        command.add("eve").unwrap();
        store.add("fay").unwrap();
        assert_eq!(store.foreign_changes(), before + 2);
    }

    #[test]
    fn a_command_that_only_reads_leaves_no_trace() {
        let database = TestDatabase::new();
        let store = database.open();
        store.write(create_server_row).unwrap();
        let (command, _, hand) = {
            let (clock, hand) = Clock::manual(START);
            let options = Options {
                role: Role::Command,
                ..OPTIONS
            };
            let opened = Store::open(&database.path, clock.clone(), Entropy::seeded(2), options);
            (opened.unwrap(), clock, hand)
        };
        let before = store.foreign_changes();
        hand.advance(Duration::from_secs(60));
        assert!(command.names().is_empty());
        drop(command);
        store.maintain();
        assert_eq!(store.foreign_changes(), before);
    }

    #[test] // I8, fault 18
    fn the_clock_goes_on_from_the_stored_mark() {
        let database = TestDatabase::new();
        let (store, _, hand) = database.open_at(START);
        store.write(create_server_row).unwrap();
        hand.advance(Duration::from_secs(1000));
        store.add("ann").unwrap();
        drop(store);
        let (_, clock, _) = database.open_at(Timestamp::from_unix(0));
        assert_eq!(clock.now(), START.plus(Duration::from_secs(1000)));
    }

    #[test] // I8: a kill loses at most 30 s of the mark
    fn the_mark_is_stored_with_writes_and_by_maintenance() {
        let database = TestDatabase::new();
        let (store, clock, hand) = database.open_at(START);
        let stored = || {
            let latest = "SELECT clock_latest FROM server";
            let at = database
                .other_connection()
                .query_row(latest, [], |row| row.get(0))
                .unwrap();
            Timestamp::from_unix(at)
        };
        store.write(create_server_row).unwrap();
        hand.advance(Duration::from_secs(5));
        store.add("ann").unwrap();
        assert_eq!(stored(), clock.now());
        hand.advance(Duration::from_secs(29));
        store.maintain();
        assert_eq!(stored(), START.plus(Duration::from_secs(5)), "not yet");
        hand.advance(Duration::from_secs(1));
        store.maintain();
        assert_eq!(stored(), clock.now());
        hand.advance(Duration::from_secs(10));
        drop(store);
        assert_eq!(stored(), clock.now(), "a server stores it when it closes");
    }

    #[test]
    fn a_confirmed_jump_reaches_the_running_server() {
        let database = TestDatabase::new();
        let (store, clock, _) = database.open_at(START);
        store.write(create_server_row).unwrap();
        let later = START.plus(Duration::from_secs(86_400 * 365)).as_unix();
        let confirm = "UPDATE server SET clock_latest = ?1, clock_confirmed = ?1";
        database
            .other_connection()
            .execute(confirm, [later])
            .unwrap();
        store.maintain();
        assert_eq!(clock.now().as_unix(), later);
    }

    #[test]
    fn an_idle_server_has_no_wal() {
        let database = TestDatabase::new();
        let store = database.open();
        store.add("ann").unwrap();
        assert!(store.statistics().wal_bytes > 0);
        store.maintain();
        store.maintain();
        assert_eq!(store.statistics().wal_bytes, 0);
        store.ready().unwrap();
    }

    #[test]
    fn closing_leaves_one_file_and_the_lock() {
        let database = TestDatabase::new();
        let store = database.open();
        store.add("ann").unwrap();
        store.names();
        drop(store);
        assert!(!database.beside("-wal").exists() && !database.beside("-shm").exists());
    }
}
