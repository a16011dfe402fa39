//! The one connection that writes, and the thread that owns it.
//!
//! Callers queue closures. The thread drains the queue into one transaction, with a savepoint for each closure, commits
//! once, and then answers all callers (group commit). With `synchronous=FULL`, a commit has synced the WAL when it returns,
//! so an answered write survives a power cut. While the disk syncs, the next batch gathers. No closure waits for others to
//! arrive.
//!
//! **A failed closure.** If a closure returns an error or panics, its savepoint is rolled back and the batch goes on. But
//! some errors, above all a full disk, make SQLite roll back the *whole* transaction. Statements that ran after that would
//! each be committed on their own, in a batch that is reported as failed. So after each closure the thread checks whether
//! the transaction still exists. If not, the batch is void: nothing more runs in it, all its callers get the error, and a
//! new batch begins.
//!
//! **Waiting.** Another process may hold the lock, such as a command beside the server. The thread tries again and again. A
//! closure that has been in the queue for [`PATIENCE`] is answered with [`Broken::Busy`] and does not run. So `Busy` always
//! means that nothing happened, and no caller waits longer.
//!
//! **Fatal errors.** After an I/O error or on a damaged page the process stops with one message
//! ([`stop`]). No caller has been answered whose transaction was not on the disk before.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rusqlite::{OptionalExtension as _, Statement};

use super::checkpoint::{BUSY_TIMEOUT, Checkpointer, WAL_WARNING};
use super::connection::{Connection, PAGE_SIZE, pragma, set_pragma};
use super::error::{SqliteError, checked, stop};
use super::file::{MovedFile, OpenFiles, Part};
use super::queue::{Call, Closure, Counters, Queue, Queued, Task};
use crate::clock::{Clock, Mark, Timestamp, monotonic};
use crate::entropy::Entropy;
use crate::store::space::Gauge;
use crate::store::{Broken, Options, ReadTx, Role, Tx};

/// How long a closure may be in the queue before it is answered `Busy`. Clients rarely wait longer.
pub(in crate::store) const PATIENCE: Duration = Duration::from_secs(5);

/// The most closures in one transaction. Bounds how long the first of them waits for the last.
const LARGEST_BATCH: usize = 256;

/// Page cache of the writer, in KiB: the upper levels of all indexes and the pages of one large batch.
const CACHE_KIB: i64 = 2048;

/// How far the stored mark of the clock may fall behind while nothing else is written.
const MARK_INTERVAL: Duration = Duration::from_secs(30);

/// Pages that one round of maintenance gives back to the file system, so that the round is short.
const VACUUM_PAGES: i64 = 1024;

/// Rounds of maintenance, about one a second, after which the WAL is cut although writes go on. What was deleted, such as
/// keys, is in the WAL's old pages until then.
const ROUNDS_UNTIL_CUT: u32 = 120;

/// The queue, and the thread that works it off.
pub(in crate::store) struct Writer {
    queue: Arc<Queue>,
    thread: Option<JoinHandle<()>>,
    patience: Duration,
}

/// The writer's connection, set up.
pub(in crate::store) struct Prepared {
    conn: Connection,
    mark: Option<Mark>,
    synchronous: u64,
    role: Role,
}

impl Prepared {
    /// Sets the connection up, and lets `clock` go on from the mark that is stored.
    pub fn new(
        conn: rusqlite::Connection,
        clock: &Clock,
        options: &Options,
    ) -> rusqlite::Result<Prepared> {
        conn.busy_timeout(BUSY_TIMEOUT)?;
        conn.pragma_update(None, "synchronous", "FULL")?;
        conn.pragma_update(None, "foreign_keys", true)?;
        // Deleted digests and keys are overwritten with zeros.
        conn.pragma_update(None, "secure_delete", true)?;
        conn.pragma_update(None, "cache_size", -CACHE_KIB)?;
        set_pragma(&conn, "wal_autocheckpoint", 0)?;
        set_pragma(&conn, "journal_size_limit", WAL_WARNING as i64)?;
        if let Some(bytes) = options.max_size {
            let pages = i64::try_from(bytes / u64::from(PAGE_SIZE)).unwrap_or(i64::MAX);
            set_pragma(&conn, "max_page_count", pages)?;
        }
        let synchronous = pragma(&conn, "synchronous")?.unsigned_abs();
        let mark = stored_mark(&conn)?;
        if let Some(mark) = mark {
            clock.resume(mark);
        }
        Ok(Prepared {
            conn: Connection::new(conn, true)?,
            mark,
            synchronous,
            role: options.role,
        })
    }
}

impl Writer {
    /// Starts the thread. `files` are the files that the connection has open.
    pub fn start(
        prepared: Prepared,
        files: OpenFiles,
        clock: Clock,
        entropy: Entropy,
        gauge: Arc<Gauge>,
        patience: Duration,
    ) -> std::io::Result<Writer> {
        let queue = Arc::new(Queue::new(prepared.synchronous));
        let threads_queue = Arc::clone(&queue);
        let thread = thread::Builder::new()
            .name("authd-writer".to_owned())
            .spawn(move || {
                let served = catch_unwind(AssertUnwindSafe(|| {
                    WriterThread::new(&prepared, &threads_queue, &files, &clock, &entropy, &gauge)
                        .map(|mut writer| writer.serve())
                }));
                match served {
                    Ok(Ok(())) => {}
                    Ok(Err(error)) => {
                        stop(&format!("its statements could not be prepared: {error}"))
                    }
                    Err(_) => stop("the thread that writes panicked"),
                }
            })?;
        Ok(Writer {
            queue,
            thread: Some(thread),
            patience,
        })
    }

    /// Queues `f` and waits for its result, which comes after the commit.
    pub fn write<T, E>(&self, f: impl Fn(&Tx<'_>) -> Result<T, E> + Send + 'static) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<Broken> + Send + 'static,
    {
        // A call from the writer's own thread would wait for itself.
        if self
            .thread
            .as_ref()
            .is_some_and(|own| own.thread().id() == thread::current().id())
        {
            return Err(Broken::Database("a write inside a write".to_owned()).into());
        }
        let (answer, answered) = mpsc::sync_channel(1);
        let call = Box::new(Closure::new(f, answer));
        self.queue.enqueue(call, self.patience)?;
        answered
            .recv()
            .unwrap_or_else(|_| Err(Broken::Stopped.into()))
    }

    /// Has the thread do one round of maintenance, and waits for it.
    pub fn maintain(&self) {
        let (done, waited) = mpsc::sync_channel(1);
        self.queue.enqueue_maintenance(done);
        // An error says that the thread has ended, and then there is nothing to maintain.
        let _ = waited.recv();
    }

    /// How many closures wait.
    #[cfg(test)]
    pub fn queue_length(&self) -> usize {
        self.queue.len()
    }

    /// What was done so far.
    pub fn counters(&self) -> &Counters {
        &self.queue.counters
    }

    /// Why writes fail at present, as far as is known.
    pub fn write_error(&self) -> Option<Broken> {
        self.queue.write_error().clone()
    }
}

impl Drop for Writer {
    /// Finishes what is queued, and closes the database.
    fn drop(&mut self) {
        self.queue.close();
        if let Some(thread) = self.thread.take() {
            // The thread stops the process instead of panicking.
            let _ = thread.join();
        }
    }
}

/// What the thread works with: the connection and its statements.
struct WriterThread<'c> {
    conn: &'c Connection,
    queue: &'c Queue,
    files: &'c OpenFiles,
    clock: &'c Clock,
    entropy: &'c Entropy,
    gauge: &'c Gauge,
    role: Role,
    // Prepared here, because a closure could find statements in the connection's cache.
    begin: Statement<'c>,
    commit: Statement<'c>,
    rollback: Statement<'c>,
    savepoint: Statement<'c>,
    release: Statement<'c>,
    undo: Statement<'c>,
    data_version: Statement<'c>,
    checkpointer: Checkpointer<'c>,
    seen_version: i64,
    stored: Option<Mark>,
    /// Commits that changed something of a caller's: now, and at the last round of maintenance.
    written: u64,
    written_before: u64,
    /// Whether the WAL has nothing that was written since it was cut.
    is_truncated: bool,
    /// Rounds of maintenance since then.
    rounds_uncut: u32,
}

impl<'c> WriterThread<'c> {
    fn new(
        prepared: &'c Prepared,
        queue: &'c Queue,
        files: &'c OpenFiles,
        clock: &'c Clock,
        entropy: &'c Entropy,
        gauge: &'c Gauge,
    ) -> rusqlite::Result<WriterThread<'c>> {
        let raw = prepared.conn.raw();
        let mut data_version = raw.prepare("PRAGMA data_version")?;
        let seen_version = data_version.query_row([], |row| row.get(0))?;
        Ok(WriterThread {
            conn: &prepared.conn,
            queue,
            files,
            clock,
            entropy,
            gauge,
            role: prepared.role,
            begin: raw.prepare("BEGIN IMMEDIATE")?,
            commit: raw.prepare("COMMIT")?,
            rollback: raw.prepare("ROLLBACK")?,
            savepoint: raw.prepare("SAVEPOINT closure")?,
            release: raw.prepare("RELEASE closure")?,
            undo: raw.prepare("ROLLBACK TO closure")?,
            data_version,
            checkpointer: Checkpointer::new(raw)?,
            seen_version,
            stored: prepared.mark,
            written: 0,
            written_before: 0,
            is_truncated: false,
            rounds_uncut: 0,
        })
    }

    fn serve(&mut self) {
        loop {
            match self.queue.next_task() {
                Task::Batch => self.batch(),
                Task::Maintain(done) => {
                    self.maintain();
                    // The caller may have stopped waiting.
                    let _ = done.send(());
                }
                Task::Close => break,
            }
        }
        // A command that only read leaves no trace; one that wrote has stored the mark with its write.
        if self.role == Role::Server {
            self.store_mark_alone();
        }
    }

    /// Runs one transaction with what is queued, and answers.
    fn batch(&mut self) {
        if !self.begin() {
            return;
        }
        let mut ran = Vec::new();
        let outcome = self.run_queued(&mut ran).and_then(|batch| self.end(&batch));
        let broken = match outcome {
            Ok(()) => None,
            Err(error) => {
                self.abandon();
                let counters = &self.queue.counters;
                counters.void_batches.fetch_add(1, Ordering::Relaxed);
                tracing::error!(
                    "{} transactions were rolled back: {}",
                    ran.len(),
                    error.text
                );
                self.note_write_error(Some(&error.broken));
                Some(error.broken)
            }
        };
        let counters = &self.queue.counters;
        let size = ran.len() as u64;
        counters.transactions.fetch_add(size, Ordering::Relaxed);
        counters.largest_batch.fetch_max(size, Ordering::Relaxed);
        for call in ran {
            call.answer(broken.clone());
        }
        self.checkpointer.copy_if_due();
    }

    /// Takes the lock. If that is impossible, answers all callers that can't wait longer and returns false.
    fn begin(&mut self) -> bool {
        loop {
            let Err(error) = self.begin.execute([]) else {
                break;
            };
            let broken = checked(&error, "BEGIN IMMEDIATE").broken;
            let refused = if broken == Broken::Busy {
                self.queue.take_expired(monotonic())
            } else {
                tracing::error!("no transaction could begin: {error}");
                self.note_write_error(Some(&broken));
                self.queue.take_all()
            };
            for queued in refused {
                queued.call.answer(Some(broken.clone()));
            }
            if self.queue.len() == 0 {
                return false;
            }
        }
        self.look_for_foreign_changes();
        true
    }

    /// Runs what is queued, including what arrives meanwhile.
    ///
    /// # Errors
    /// What made the whole batch void.
    fn run_queued(&mut self, ran: &mut Vec<Box<dyn Call>>) -> Result<Batch, SqliteError> {
        let mut batch = Batch {
            wrote: false,
            write_error: None,
        };
        while ran.len() < LARGEST_BATCH
            && let Some(Queued { mut call, expires }) = self.queue.next_call()
        {
            if expires <= monotonic() {
                call.answer(Some(Broken::Busy));
                continue;
            }
            let begun = execute(&mut self.savepoint);
            let before = self.conn.raw().total_changes();
            let kept = begun.is_ok() && self.run(call.as_mut());
            ran.push(call);
            begun?;
            let error = self.conn.take_first_error();
            if self.conn.raw().is_autocommit() {
                let text = "the transaction ended inside a closure".to_owned();
                return Err(error.unwrap_or_else(|| SqliteError::misuse(text)));
            }
            if let Some(error) = error {
                batch.write_error = Some(error.broken);
            }
            if !kept {
                execute(&mut self.undo)?;
            }
            execute(&mut self.release)?;
            batch.wrote |= kept && self.conn.raw().total_changes() != before;
        }
        Ok(batch)
    }

    fn run(&self, call: &mut dyn Call) -> bool {
        let read = ReadTx::new(self.conn, self.clock.now());
        let tx = Tx::new(read, self.entropy, self.gauge);
        let kept = self.conn.restricted(|| call.run(&tx));
        if let Some(error) = self.conn.first_error().filter(SqliteError::is_fatal) {
            stop(&error.text);
        }
        kept
    }

    /// Commits a batch. One that changed nothing costs no sync.
    fn end(&mut self, batch: &Batch) -> Result<(), SqliteError> {
        if !batch.wrote {
            if batch.write_error.is_some() {
                self.note_write_error(batch.write_error.as_ref());
            }
            return execute(&mut self.rollback);
        }
        self.store_mark_if_older_than(Duration::from_secs(1))?;
        execute(&mut self.commit)?;
        self.queue.counters.commits.fetch_add(1, Ordering::Relaxed);
        self.written += 1;
        self.note_write_error(batch.write_error.as_ref());
        Ok(())
    }

    /// Leaves a transaction, if one is still open.
    fn abandon(&mut self) {
        if !self.conn.raw().is_autocommit()
            && let Err(error) = execute(&mut self.rollback)
        {
            stop(&error.text);
        }
    }

    /// Notices commits of other processes. They move `data_version`; our own don't.
    fn look_for_foreign_changes(&mut self) {
        match self.data_version.query_row([], |row| row.get(0)) {
            Ok(version) if version == self.seen_version => {}
            Ok(version) => {
                self.seen_version = version;
                self.is_truncated = false;
                let counters = &self.queue.counters;
                counters.foreign_changes.fetch_add(1, Ordering::Release);
                // An operator may have confirmed the time.
                if let Ok(Some(mark)) = stored_mark(self.conn.raw()) {
                    self.clock.resume(mark);
                }
            }
            Err(error) => {
                let error = checked(&error, "PRAGMA data_version");
                tracing::warn!(
                    "it is not known whether another process changed the database: {}",
                    error.text
                );
            }
        }
    }

    /// Stores the clock's mark, if the stored one is behind it by `age`. Runs inside a transaction.
    fn store_mark_if_older_than(&mut self, age: Duration) -> Result<(), SqliteError> {
        const SQL: &str = "UPDATE server SET clock_latest = max(clock_latest, ?1), \
                           clock_confirmed = max(clock_confirmed, ?2)";
        let mark = self.clock.mark();
        if self
            .stored
            .is_some_and(|stored| mark.latest < stored.latest.plus(age))
        {
            return Ok(());
        }
        let parameters = [mark.latest.as_unix(), mark.confirmed.as_unix()];
        let stored = self
            .conn
            .raw()
            .prepare_cached(SQL)
            .and_then(|mut sql| sql.execute(parameters));
        // A new file has no such row until its first keys are made.
        if stored.map_err(|error| checked(&error, SQL))? > 0 {
            self.stored = Some(mark);
        }
        Ok(())
    }

    /// Stores the clock's mark in a transaction of its own.
    fn store_mark_alone(&mut self) {
        let stored = execute(&mut self.begin)
            .and_then(|()| self.store_mark_if_older_than(Duration::from_secs(1)))
            .and_then(|()| execute(&mut self.commit));
        match stored {
            Ok(()) => self.note_write_error(None),
            Err(error) => {
                self.abandon();
                self.note_write_error(Some(&error.broken));
                tracing::warn!("the clock's mark was not stored: {}", error.text);
            }
        }
    }

    /// One round of maintenance; see [`Store::maintain`](crate::store::Store::maintain).
    fn maintain(&mut self) {
        if let Err(moved) = self.files.check() {
            self.stop_because_moved(&moved);
        }
        self.look_for_foreign_changes();
        self.look_at_space();
        let is_stale = self
            .stored
            .is_some_and(|stored| self.clock.mark().latest >= stored.latest.plus(MARK_INTERVAL));
        // After a failure, a small write finds out whether writing works again.
        if is_stale || self.queue.write_error().is_some() {
            self.store_mark_alone();
        }
        let is_idle = self.written == self.written_before;
        self.written_before = self.written;
        if !is_idle || self.give_back_pages() {
            self.is_truncated = false;
        }
        self.rounds_uncut += 1;
        // Old pages in the WAL still hold what was deleted since. A reader may keep it from being cut; then the next round
        // tries again.
        if !self.is_truncated && (is_idle || self.rounds_uncut >= ROUNDS_UNTIL_CUT) {
            self.is_truncated = self.checkpointer.truncate();
        }
        if self.is_truncated {
            self.rounds_uncut = 0;
        }
        self.checkpointer.copy_if_due();
    }

    /// Notes how much room is left on the disk and within the bound of the file.
    fn look_at_space(&self) {
        if self.gauge.has_bound() {
            match self.conn.used_bytes() {
                Ok(bytes) => self.gauge.set_used(bytes),
                Err(error) => tracing::warn!("the size of the database is not known: {error}"),
            }
            self.conn.take_first_error();
        }
        self.gauge.read_disk();
    }

    /// Shrinks the file, if more of it is free than in use. Returns whether it did.
    fn give_back_pages(&self) -> bool {
        let conn = self.conn.raw();
        let sql = format!("PRAGMA incremental_vacuum({VACUUM_PAGES})");
        let given_back = || -> rusqlite::Result<bool> {
            let free = pragma(conn, "freelist_count")?;
            if free < VACUUM_PAGES || free < pragma(conn, "page_count")? / 2 {
                return Ok(false);
            }
            // The statement gives back one page with each step.
            let mut statement = conn.prepare(&sql)?;
            let mut pages = statement.query([])?;
            while pages.next()?.is_some() {}
            Ok(true)
        };
        given_back().unwrap_or_else(|error| {
            let error = checked(&error, &sql);
            tracing::warn!("the database file was not made smaller: {}", error.text);
            false
        })
    }

    fn note_write_error(&self, broken: Option<&Broken>) {
        let noted = match broken {
            Some(broken @ (Broken::Full | Broken::ReadOnly)) => Some(broken.clone()),
            // The error of one statement says nothing about the disk.
            Some(_) => return,
            None => None,
        };
        *self.queue.write_error() = noted;
    }

    /// One of the files was deleted or replaced: a process that opens the database now would see another one.
    fn stop_because_moved(&self, moved: &MovedFile) -> ! {
        let path = moved.path.display();
        let how = if moved.is_gone {
            "was deleted"
        } else {
            "was replaced"
        };
        if moved.part == Part::Wal && moved.is_gone {
            // We still have the deleted WAL open, no process has begun a new one, and the database is in its place. So
            // what was confirmed since the last checkpoint can be saved.
            self.checkpointer.copy();
        }
        stop(&format!("{path} {how} while it was in use"))
    }
}

/// What the closures of a batch did.
struct Batch {
    wrote: bool,
    /// The error that kept one of them from writing.
    write_error: Option<Broken>,
}

fn execute(statement: &mut Statement<'_>) -> Result<(), SqliteError> {
    match statement.execute([]) {
        Ok(_) => Ok(()),
        Err(error) => {
            let sql = statement.expanded_sql().unwrap_or_default();
            Err(checked(&error, &sql))
        }
    }
}

fn stored_mark(conn: &rusqlite::Connection) -> rusqlite::Result<Option<Mark>> {
    let sql = "SELECT clock_latest, clock_confirmed FROM server";
    conn.query_row(sql, [], |row| {
        Ok(Mark {
            latest: Timestamp::from_unix(row.get(0)?),
            confirmed: Timestamp::from_unix(row.get(1)?),
        })
    })
    .optional()
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicBool;
    use std::sync::mpsc::{Sender, channel};

    use rusqlite::ErrorCode;

    use super::super::error::STOPPED;
    use super::*;
    use crate::store::params;
    use crate::store::testing::{OPTIONS, TestDatabase, add, add_event, create_server_row};
    use crate::store::{Options, Store};

    /// A transaction that adds `name` and then keeps the writer busy until the sender is used.
    fn occupied<'s>(
        scope: &'s thread::Scope<'s, '_>,
        store: &'s Store,
        name: &'static str,
    ) -> (
        thread::ScopedJoinHandle<'s, Result<usize, Broken>>,
        Sender<()>,
    ) {
        let (release, released) = channel();
        let (begun, begins) = channel();
        let holder = scope.spawn(move || {
            store.write(move |tx| {
                let added = add(tx, name);
                begun.send(()).unwrap();
                released.recv().unwrap();
                added
            })
        });
        begins.recv().unwrap();
        (holder, release)
    }

    #[test]
    fn waiting_writes_share_one_commit() {
        let database = TestDatabase::new();
        let store = database.open();
        thread::scope(|scope| {
            let (holder, release) = occupied(scope, &store, "first");
            let others: Vec<_> = (0..20)
                .map(|_| scope.spawn(|| store.write(|tx| add_event(tx, 10))))
                .collect();
            store.await_queue(20);
            assert!(
                store.names().is_empty(),
                "nothing is visible before the commit"
            );
            release.send(()).unwrap();
            assert_eq!(holder.join().unwrap(), Ok(1));
            assert!(
                others
                    .into_iter()
                    .all(|other| other.join().unwrap() == Ok(1))
            );
        });
        let statistics = store.statistics();
        assert_eq!(statistics.commits, 1);
        assert_eq!(statistics.transactions, 21);
        assert_eq!(statistics.largest_batch, 21);
    }

    #[test]
    fn many_callers_are_all_answered() {
        let database = TestDatabase::new();
        let store = database.open();
        thread::scope(|scope| {
            for _ in 0..32 {
                scope.spawn(|| {
                    for _ in 0..25 {
                        assert_eq!(store.write(|tx| add_event(tx, 10)), Ok(1));
                    }
                });
            }
        });
        let statistics = store.statistics();
        assert_eq!(statistics.transactions, 800);
        assert!(statistics.commits < 800, "{statistics:?}");
    }

    #[test] // fault 22
    fn a_thousand_panics_leave_other_writes_alone() {
        let database = TestDatabase::new();
        let store = database.open();
        for _ in 0..1000 {
            let broken = store.write(|tx| -> Result<(), Broken> {
                add(tx, "ann")?;
                panic!("expected by this test");
            });
            assert_eq!(broken, Err(Broken::Panicked));
        }
        assert!(store.names().is_empty());
        assert_eq!(store.add("bob"), Ok(1));
        assert_eq!(store.names(), ["bob"]);
    }

    #[test]
    fn a_failed_closure_does_not_fail_its_batch() {
        let database = TestDatabase::new();
        let store = database.open();
        thread::scope(|scope| {
            let (holder, release) = occupied(scope, &store, "first");
            let panics = scope.spawn(|| {
                store.write(|tx| -> Result<(), Broken> {
                    add(tx, "second")?;
                    panic!("expected by this test");
                })
            });
            store.await_queue(1);
            let fails = scope.spawn(|| store.add("first"));
            store.await_queue(2);
            let works = scope.spawn(|| store.add("third"));
            store.await_queue(3);
            release.send(()).unwrap();
            assert_eq!(holder.join().unwrap(), Ok(1));
            assert_eq!(panics.join().unwrap(), Err(Broken::Panicked));
            assert!(matches!(fails.join().unwrap(), Err(Broken::Database(_))));
            assert_eq!(works.join().unwrap(), Ok(1));
        });
        assert_eq!(store.names(), ["first", "third"]);
        assert_eq!(store.statistics().commits, 1);
    }

    #[test]
    fn an_overlooked_error_is_not_committed() {
        let database = TestDatabase::new();
        let store = database.open();
        let broken = store.write(|tx| -> Result<(), Broken> {
            add(tx, "ann")?;
            let _ = add(tx, "ann");
            Ok(())
        });
        assert!(matches!(broken, Err(Broken::Database(_))));
        assert!(store.names().is_empty());
    }

    #[test] // faults 3 and 4
    fn a_full_disk_voids_its_batch_only() {
        let database = TestDatabase::new();
        let store = database.open_with(Options {
            max_size: Some(400 << 10),
            ..OPTIONS
        });
        store.add("before").unwrap();
        thread::scope(|scope| {
            let (holder, release) = occupied(scope, &store, "first");
            let fills = scope.spawn(|| store.write(|tx| add_event(tx, 1 << 20)));
            store.await_queue(1);
            let later = scope.spawn(|| store.add("later"));
            store.await_queue(2);
            release.send(()).unwrap();
            assert_eq!(
                holder.join().unwrap(),
                Err(Broken::Full),
                "its commit was void"
            );
            assert_eq!(fills.join().unwrap(), Err(Broken::Full));
            assert_eq!(later.join().unwrap(), Ok(1), "it ran in the next batch");
        });
        assert_eq!(store.names(), ["before", "later"]);
        assert_eq!(store.statistics().void_batches, 1);
    }

    #[test] // fault 3
    fn a_full_database_serves_reads_and_works_again_when_there_is_room() {
        let database = TestDatabase::new();
        let store = database.open_with(Options {
            max_size: Some(400 << 10),
            ..OPTIONS
        });
        store.write(create_server_row).unwrap();
        while store.write(|tx| add_event(tx, 8 << 10)).is_ok() {}
        assert_eq!(store.write(|tx| add_event(tx, 8 << 10)), Err(Broken::Full));
        assert_eq!(store.ready(), Err(Broken::Full));
        assert!(store.statistics().is_degraded);
        assert!(store.names().is_empty());
        store
            .write(|tx| tx.run("DELETE FROM event", params![]))
            .unwrap();
        assert_eq!(store.ready(), Ok(()));
        assert_eq!(store.write(|tx| add_event(tx, 8 << 10)), Ok(1));
    }

    #[test]
    fn maintenance_finds_out_that_there_is_room_again() {
        let database = TestDatabase::new();
        let store = database.open_with(Options {
            max_size: Some(400 << 10),
            ..OPTIONS
        });
        store.write(create_server_row).unwrap();
        assert_eq!(store.write(|tx| add_event(tx, 1 << 20)), Err(Broken::Full));
        assert_eq!(store.ready(), Err(Broken::Full));
        store.maintain();
        assert_eq!(store.ready(), Ok(()));
    }

    #[test]
    fn a_closure_cannot_control_its_transaction() {
        let database = TestDatabase::new();
        let store = database.open();
        for sql in [
            "BEGIN",
            "BEGIN IMMEDIATE",
            "COMMIT",
            "ROLLBACK",
            "SAVEPOINT closure",
            "RELEASE closure",
            "ROLLBACK TO closure",
            "PRAGMA synchronous = OFF",
            "PRAGMA data_version",
            "ATTACH ':memory:' AS other",
            "DETACH other",
            "DROP TABLE client",
            "CREATE TABLE other (id INTEGER)",
        ] {
            let refused = store.write(move |tx| {
                add(tx, "ann")?;
                tx.run(sql, params![])
            });
            assert!(
                matches!(&refused, Err(Broken::Database(text)) if text.contains("not authorized")),
                "{sql}: {refused:?}"
            );
        }
        assert!(store.names().is_empty());
        assert_eq!(store.statistics().void_batches, 0);
        assert_eq!(store.add("bob"), Ok(1));
    }

    #[test]
    fn a_write_inside_a_write_is_refused_instead_of_waiting_for_itself() {
        let database = TestDatabase::new();
        let store = Arc::new(database.open());
        let inner = Arc::clone(&store);
        let answer = store.write(move |_| -> Result<usize, Broken> { inner.add("ann") });
        assert!(matches!(answer, Err(Broken::Database(_))));
        // The writer's thread never owns the store alone: it would wait for its own end.
        assert_eq!(Arc::strong_count(&store), 1);
        assert!(store.names().is_empty());
    }

    #[test] // fault 9
    fn another_process_with_the_lock_makes_callers_busy() {
        let database = TestDatabase::new();
        let store = database.open_impatient();
        let other = database.other_connection();
        other.execute_batch("BEGIN IMMEDIATE").unwrap();
        assert_eq!(store.add("ann"), Err(Broken::Busy));
        assert!(store.names().is_empty(), "reads go on");
        assert_eq!(store.ready(), Ok(()));
        other.execute_batch("COMMIT").unwrap();
        drop(store);
        assert_eq!(database.open().add("ann"), Ok(1));
        assert_eq!(database.open().names(), ["ann"], "it did not run late");
    }

    #[test] // fault 9
    fn a_patient_caller_gets_the_lock_when_it_is_free() {
        let database = TestDatabase::new();
        let store = database.open();
        let other = database.other_connection();
        other.execute_batch("BEGIN IMMEDIATE").unwrap();
        thread::scope(|scope| {
            let waits = scope.spawn(|| store.add("ann"));
            store.await_queue(1);
            other.execute_batch("COMMIT").unwrap();
            assert_eq!(waits.join().unwrap(), Ok(1));
        });
    }

    #[test] // fault 10
    fn a_long_reader_stops_no_writer() {
        let database = TestDatabase::new();
        let store = database.open();
        let other = database.other_connection();
        other
            .execute_batch("BEGIN; SELECT count(*) FROM client")
            .unwrap();
        for _ in 0..20 {
            // Enough for several checkpoints, none of which can finish.
            assert_eq!(store.write(|tx| add_event(tx, 4 << 20)), Ok(1));
        }
        assert!(store.statistics().wal_bytes > WAL_WARNING);
        other.execute_batch("COMMIT").unwrap();
        store.maintain();
        store.maintain();
        assert_eq!(store.statistics().wal_bytes, 0);
    }

    #[test]
    fn free_pages_go_back_to_the_file_system() {
        let database = TestDatabase::new();
        let store = database.open();
        store.write(|tx| add_event(tx, 12 << 20)).unwrap();
        store
            .write(|tx| tx.run("DELETE FROM event", params![]))
            .unwrap();
        store.maintain();
        let large = std::fs::metadata(&database.path).unwrap().len();
        for _ in 0..8 {
            store.maintain();
            store.maintain();
        }
        let small = std::fs::metadata(&database.path).unwrap().len();
        assert!(small < large / 2, "{large} to {small} bytes");
    }

    #[test]
    fn what_is_queued_is_finished_before_the_store_closes() {
        let database = TestDatabase::new();
        let store = Arc::new(database.open());
        let (release, released) = channel::<()>();
        let (begun, begins) = channel();
        let theirs = Arc::clone(&store);
        let holder = thread::spawn(move || {
            theirs.write(move |tx| {
                begun.send(()).unwrap();
                released.recv().unwrap();
                add(tx, "ann")
            })
        });
        begins.recv().unwrap();
        drop(store);
        release.send(()).unwrap();
        assert_eq!(holder.join().unwrap(), Ok(1));
        assert_eq!(database.open().names(), ["ann"]);
    }

    #[test]
    fn what_was_deleted_is_not_left_in_the_file() {
        let database = TestDatabase::new();
        let store = database.open();
        store.add("a-name-that-stands-out").unwrap();
        store
            .write(|tx| tx.run("DELETE FROM client", params![]))
            .unwrap();
        drop(store);
        let bytes = std::fs::read(&database.path).unwrap();
        assert!(
            !bytes
                .windows(22)
                .any(|part| part == b"a-name-that-stands-out")
        );
    }

    #[test]
    fn another_process_finds_the_lock_taken_only_during_a_batch() {
        let database = TestDatabase::new();
        let store = database.open();
        let other = database.other_connection();
        other.busy_timeout(Duration::ZERO).unwrap();
        thread::scope(|scope| {
            let (holder, release) = occupied(scope, &store, "ann");
            let refused = other.execute_batch("BEGIN IMMEDIATE").unwrap_err();
            assert_eq!(refused.sqlite_error_code(), Some(ErrorCode::DatabaseBusy));
            release.send(()).unwrap();
            assert_eq!(holder.join().unwrap(), Ok(1));
        });
        other.execute_batch("BEGIN IMMEDIATE; ROLLBACK").unwrap();
    }

    /// A test that ends its process runs itself again as a child, which finds its database in this variable.
    const CHILD: &str = "AUTHD_TEST_DATABASE";

    /// Runs the test of this name as a child on `place`, and returns its exit code and its standard error.
    fn run_as_child(test: &str, database: &TestDatabase) -> (Option<i32>, String) {
        let output = std::process::Command::new(std::env::current_exe().unwrap())
            .args([
                &format!("store::sqlite::writer::tests::{test}"),
                "--exact",
                "--nocapture",
            ])
            .env(CHILD, &database.path)
            .output()
            .unwrap();
        (
            output.status.code(),
            String::from_utf8_lossy(&output.stderr).into_owned(),
        )
    }

    fn child_store() -> Option<(std::path::PathBuf, Store)> {
        let path = std::path::PathBuf::from(std::env::var_os(CHILD)?);
        let (clock, entropy) = (Clock::system(), Entropy::system());
        let store = Store::open(&path, clock, entropy, OPTIONS).unwrap();
        Some((path, store))
    }

    #[test] // fault 6; the limit of the file size makes the kernel refuse to write, as a failing disk does
    fn an_error_of_the_disk_stops_the_process_before_a_caller_is_answered() {
        if let Some((_, store)) = child_store() {
            let survived = Arc::new(AtomicBool::new(false));
            signal_hook::flag::register(signal_hook::consts::SIGXFSZ, survived).unwrap();
            assert_eq!(store.add("ann"), Ok(1));
            let limit = Some(256 << 10);
            rustix::process::setrlimit(
                rustix::process::Resource::Fsize,
                rustix::process::Rlimit {
                    current: limit,
                    maximum: limit,
                },
            )
            .unwrap();
            let answer = store.write(|tx| {
                add(tx, "bob")?;
                add_event(tx, 1 << 20)
            });
            unreachable!("{answer:?}");
        }
        let database = TestDatabase::new();
        let (code, said) = run_as_child(
            "an_error_of_the_disk_stops_the_process_before_a_caller_is_answered",
            &database,
        );
        assert_eq!(code, Some(STOPPED), "{said}");
        assert!(
            said.contains("authd stops") && said.contains("authd restore"),
            "{said}"
        );
        assert_eq!(database.open().names(), ["ann"]);
    }

    #[test] // fault 8; I6
    fn a_deleted_wal_stops_the_process_and_confirmed_writes_are_saved() {
        if let Some((path, store)) = child_store() {
            assert_eq!(store.add("ann"), Ok(1));
            std::fs::remove_file(super::super::file::beside(&path, "-wal")).unwrap();
            store.maintain();
            unreachable!();
        }
        let database = TestDatabase::new();
        let (code, said) = run_as_child(
            "a_deleted_wal_stops_the_process_and_confirmed_writes_are_saved",
            &database,
        );
        assert_eq!(code, Some(STOPPED), "{said}");
        assert!(said.contains("-wal was deleted"), "{said}");
        assert_eq!(database.open().names(), ["ann"]);
    }

    #[test] // fault 8
    fn a_replaced_database_stops_the_process() {
        if let Some((path, store)) = child_store() {
            std::fs::rename(&path, path.with_extension("old")).unwrap();
            std::fs::write(&path, "another").unwrap();
            store.maintain();
            unreachable!();
        }
        let database = TestDatabase::new();
        let (code, said) = run_as_child("a_replaced_database_stops_the_process", &database);
        assert_eq!(code, Some(STOPPED), "{said}");
        assert!(said.contains("authd.db was replaced"), "{said}");
        assert_eq!(std::fs::read(&database.path).unwrap(), b"another");
    }

    #[test] // fault 1, I6
    fn a_kill_loses_nothing_that_was_confirmed() {
        if let Some((_, store)) = child_store() {
            assert_eq!(store.add("ann"), Ok(1));
            store
                .write(|tx| -> Result<(), Broken> {
                    add(tx, "bob")?;
                    let _ = rustix::process::kill_process(
                        rustix::process::getpid(),
                        rustix::process::Signal::KILL,
                    );
                    Ok(())
                })
                .unwrap();
            unreachable!();
        }
        let database = TestDatabase::new();
        let (code, said) = run_as_child("a_kill_loses_nothing_that_was_confirmed", &database);
        assert_eq!(code, None, "{said}");
        assert_eq!(database.open().names(), ["ann"]);
    }

    const MARKER: &str = "a-secret-that-is-deleted";

    /// Whether a file of the database contains the marker.
    fn contains_marker(database: &TestDatabase, suffix: &str) -> bool {
        let bytes = std::fs::read(database.beside(suffix)).unwrap();
        bytes
            .windows(MARKER.len())
            .any(|window| window == MARKER.as_bytes())
    }

    /// Writes the marker in one transaction and deletes it in the next.
    fn write_and_delete_marker(store: &Store) {
        store.add(MARKER).unwrap();
        store
            .write(|tx| tx.run("DELETE FROM client WHERE client_id = ?1", params![MARKER]))
            .unwrap();
    }

    #[test] // finding 19: one client that refreshes all the time keeps the server from resting
    fn what_was_deleted_leaves_the_wal_of_a_busy_server() {
        let database = TestDatabase::new();
        let store = database.open();
        write_and_delete_marker(&store);
        let round = || {
            store.write(|tx| add_event(tx, 10)).unwrap();
            store.maintain();
        };
        for _ in 1..ROUNDS_UNTIL_CUT {
            round();
        }
        assert!(contains_marker(&database, "-wal"));
        round();
        assert!(!contains_marker(&database, "-wal") && !contains_marker(&database, ""));
    }

    #[test] // finding 19: a backup reads for as long as it takes
    fn what_was_deleted_leaves_the_wal_when_a_long_reader_has_ended() {
        let database = TestDatabase::new();
        let store = database.open();
        let reader = database.other_connection();
        reader.execute_batch("BEGIN; SELECT 1 FROM client").unwrap();
        write_and_delete_marker(&store);
        let round = || {
            store.write(|tx| add_event(tx, 10)).unwrap();
            store.maintain();
        };
        for _ in 0..2 * ROUNDS_UNTIL_CUT {
            round();
        }
        assert!(contains_marker(&database, "-wal"));
        drop(reader);
        round();
        assert!(!contains_marker(&database, "-wal") && !contains_marker(&database, ""));
    }

    #[test] // finding 19: `authd user delete` beside a server that nobody uses
    fn what_a_command_deletes_leaves_the_wal_of_a_server_at_rest() {
        let database = TestDatabase::new();
        let store = database.open();
        store.add("ann").unwrap();
        for _ in 0..3 {
            store.maintain();
        }
        assert_eq!(store.statistics().wal_bytes, 0);
        let command = database.open_with(Options {
            role: Role::Command,
            ..OPTIONS
        });
        write_and_delete_marker(&command);
        drop(command);
        assert!(contains_marker(&database, "-wal"));
        store.maintain();
        assert!(!contains_marker(&database, "-wal") && !contains_marker(&database, ""));
    }
}
