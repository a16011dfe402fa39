//! The one connection that writes, and the thread that owns it.
//!
//! Callers queue closures; the thread drains the queue into one transaction, a savepoint for each closure, commits
//! once, and only then answers: with `synchronous=FULL` a commit has synced the WAL when it returns, so an
//! answer is a promise that survives a power cut. While the disk syncs, the next batch gathers by itself; no
//! closure ever waits for company.
//!
//! **What a closure's failure costs.** If it returns an error or panics, its own savepoint is rolled back and the
//! batch goes on. But some errors (a full disk above all) make SQLite roll back the *whole* transaction, and
//! what ran after that would be committed statement by statement, in a batch that is reported as failed.
//! So after each closure the thread asks whether the transaction still exists. If it does not, the batch is void:
//! nothing more runs in it, nothing of it remains, all its callers are told, and a new one begins.
//!
//! **Waiting.** Another process may hold the lock (a command beside the server). The thread asks again and again, and
//! a closure that has been in the queue for [`PATIENCE`] is answered [`Broken::Busy`] without having run. So
//! `Busy` is never ambiguous, and no caller waits longer, however many there are.
//!
//! **Where there is no going on.** After an I/O error, or on a damaged page, the process stops with one
//! message ([`stop`]). Nobody has been answered then whose transaction was not safe before.

use std::io::{self, Write as _};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rusqlite::{Connection, OptionalExtension as _, Statement};

use crate::clock::{Clock, Mark, Timestamp, monotonic};
use crate::entropy::Entropy;
use crate::store::error::{Broken, Fault};
use crate::store::sqlite::open::{Displaced, Files, PAGE_SIZE, Part};
use crate::store::sqlite::queue::{Call, Closure, Queue, Queued, Tallies, Task};
use crate::store::sqlite::readers;
use crate::store::tx::{FirstError, ReadTx, Tx};
use crate::store::{Options, Role};

/// How long a closure may be in the queue before it is answered `Busy`. A client's own patience is rarely longer.
pub(in crate::store) const PATIENCE: Duration = Duration::from_secs(5);

/// How long SQLite itself waits for a lock before the queue is looked through for those who ran out of patience.
const BUSY_TIMEOUT: Duration = Duration::from_millis(100);

/// Closures in one transaction. Bounds how long the first of them waits for the last.
const LARGEST_BATCH: usize = 256;

/// Page cache of the writer, in KiB: the upper levels of all indexes and the pages of one large batch.
const CACHE_KIB: i64 = 2048;

/// Pages in the WAL after which they are copied into the database (16 MiB). Measured with 100,000 sessions and 32
/// callers: with 1,000 pages the syncs of the copying take a third of the time (25,000 rotations/s, p99 13 ms), with
/// 4,000 they are rare enough not to show in the p99 (39,000/s, 1.2 ms), and more gains nothing.
const CHECKPOINT_FRAMES: i64 = 4000;

/// From here on a checkpoint waits a moment for readers to leave, so that the WAL can begin anew.
const RESTART_FRAMES: i64 = 2 * CHECKPOINT_FRAMES;

/// That moment. Longer than an ordinary read, and no more than a slow sync for those who want to write.
const RESTART_PATIENCE: Duration = Duration::from_millis(10);

/// The size, in bytes, from which a WAL is worth a warning, and to which it is cut when it begins anew: something
/// reads for minutes, or nothing checkpoints.
pub(in crate::store) const WAL_ALARM: u64 = 64 << 20;

/// The least time between two warnings of the same kind.
const ALARM_INTERVAL: Duration = Duration::from_secs(60);

/// How far the stored mark of the clock may fall behind while nothing else is written, in seconds.
const MARK_INTERVAL: Duration = Duration::from_secs(30);

/// Pages that one round of housekeeping gives back to the file system, so that it is short.
const VACUUM_PAGES: i64 = 1024;

/// The code with which the process stops: an internal error, in the words of `sysexits.h`.
const STOPPED: i32 = 70;

/// The queue, and the thread at its end.
pub(in crate::store) struct Writer {
    queue: Arc<Queue>,
    thread: Option<JoinHandle<()>>,
    patience: Duration,
}

/// The writer's connection, set up.
pub(in crate::store) struct Prepared {
    conn: Connection,
    inside: Arc<AtomicBool>,
    mark: Option<Mark>,
    synchronous: u64,
    role: Role,
}

impl Prepared {
    /// Sets the connection up, and lets the clock go on from the mark that is stored.
    pub fn new(conn: Connection, clock: &Clock, options: &Options) -> rusqlite::Result<Prepared> {
        conn.busy_timeout(BUSY_TIMEOUT)?;
        readers::harden(&conn)?;
        conn.pragma_update(None, "synchronous", "FULL")?;
        conn.pragma_update(None, "foreign_keys", true)?;
        // What is deleted is overwritten with zeros: digests and keys too are nobody's business any more.
        conn.pragma_update(None, "secure_delete", true)?;
        conn.pragma_update(None, "cache_size", -CACHE_KIB)?;
        set(&conn, "wal_autocheckpoint", 0)?;
        set(&conn, "journal_size_limit", WAL_ALARM as i64)?;
        if let Some(bytes) = options.max_size {
            let pages = i64::try_from(bytes / u64::from(PAGE_SIZE)).unwrap_or(i64::MAX);
            set(&conn, "max_page_count", pages)?;
        }
        let synchronous = get(&conn, "synchronous")?.unsigned_abs();
        let mark = stored_mark(&conn)?;
        if let Some(mark) = mark {
            clock.resume(mark);
        }
        let inside = readers::guard(&conn, true)?;
        Ok(Prepared {
            conn,
            inside,
            mark,
            synchronous,
            role: options.role,
        })
    }
}

impl Writer {
    /// Starts the thread.
    pub fn start(
        prepared: Prepared,
        files: Files,
        clock: Clock,
        entropy: Entropy,
        patience: Duration,
    ) -> std::io::Result<Writer> {
        let queue = Arc::new(Queue::new(prepared.synchronous));
        let theirs = Arc::clone(&queue);
        let thread = thread::Builder::new()
            .name("authd-writer".to_owned())
            .spawn(move || {
                let served = catch_unwind(AssertUnwindSafe(|| {
                    WriterThread::new(&prepared, &theirs, &files, &clock, &entropy)
                        .map(|mut pen| pen.serve())
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

    /// Queues `f` and waits for its answer, which is given after the commit.
    pub fn write<T, E>(&self, f: impl Fn(&Tx<'_>) -> Result<T, E> + Send + 'static) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<Broken> + Send + 'static,
    {
        // It would wait for itself.
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

    /// Has the thread look after the database once, and waits for it.
    pub fn maintain(&self) {
        let (done, waited) = mpsc::sync_channel(1);
        self.queue.enqueue_chore(done);
        // An error says that the thread is gone, and then there is no house to keep.
        let _ = waited.recv();
    }

    /// How many closures wait.
    #[cfg(test)]
    pub fn queue_length(&self) -> usize {
        self.queue.len()
    }

    /// What was done so far.
    pub fn tallies(&self) -> &Tallies {
        &self.queue.tallies
    }

    /// What keeps writes from succeeding, as far as is known.
    pub fn write_error(&self) -> Option<Broken> {
        self.queue.write_error().clone()
    }
}

impl Drop for Writer {
    /// Finishes what is queued, and closes the database.
    fn drop(&mut self) {
        self.queue.close();
        if let Some(thread) = self.thread.take() {
            // The thread ends the process rather than panic.
            let _ = thread.join();
        }
    }
}

/// The thread's side: the connection and its statements.
struct WriterThread<'c> {
    conn: &'c Connection,
    queue: &'c Queue,
    files: &'c Files,
    clock: &'c Clock,
    entropy: &'c Entropy,
    role: Role,
    inside: &'c AtomicBool,
    first_error: FirstError,
    // Prepared here rather than in the connection's cache, where a closure could find them.
    begin: Statement<'c>,
    commit: Statement<'c>,
    rollback: Statement<'c>,
    savepoint: Statement<'c>,
    release: Statement<'c>,
    undo: Statement<'c>,
    data_version: Statement<'c>,
    wal_state: Statement<'c>,
    seen_version: i64,
    stored: Option<Mark>,
    /// Frames in the WAL when it was last copied.
    copied_at: i64,
    /// Commits with something of a caller's in them, now and when housekeeping last looked.
    written: u64,
    written_before: u64,
    is_truncated: bool,
    last_alarm: Option<Instant>,
}

impl<'c> WriterThread<'c> {
    fn new(
        prepared: &'c Prepared,
        queue: &'c Queue,
        files: &'c Files,
        clock: &'c Clock,
        entropy: &'c Entropy,
    ) -> rusqlite::Result<WriterThread<'c>> {
        let conn = &prepared.conn;
        let mut data_version = conn.prepare("PRAGMA data_version")?;
        let seen_version = data_version.query_row([], |row| row.get(0))?;
        Ok(WriterThread {
            conn,
            queue,
            files,
            clock,
            entropy,
            role: prepared.role,
            inside: &prepared.inside,
            first_error: FirstError::default(),
            begin: conn.prepare("BEGIN IMMEDIATE")?,
            commit: conn.prepare("COMMIT")?,
            rollback: conn.prepare("ROLLBACK")?,
            savepoint: conn.prepare("SAVEPOINT closure")?,
            release: conn.prepare("RELEASE closure")?,
            undo: conn.prepare("ROLLBACK TO closure")?,
            data_version,
            wal_state: conn.prepare("PRAGMA wal_checkpoint(NOOP)")?,
            seen_version,
            stored: prepared.mark,
            copied_at: 0,
            written: 0,
            written_before: 0,
            is_truncated: false,
            last_alarm: None,
        })
    }

    fn serve(&mut self) {
        loop {
            match self.queue.next_task() {
                Task::Batch => self.batch(),
                Task::Chore(done) => {
                    self.maintain();
                    // Whoever asked need not have waited.
                    let _ = done.send(());
                }
                Task::Close => break,
            }
        }
        // A command that only looked leaves no trace; one that wrote has stored the mark with it.
        if self.role == Role::Server {
            self.store_mark_alone();
        }
    }

    /// One transaction with whatever is queued, and the answers.
    fn batch(&mut self) {
        if !self.begin() {
            return;
        }
        let mut ran = Vec::new();
        let outcome = self.run_queued(&mut ran).and_then(|found| self.end(&found));
        let broken = match outcome {
            Ok(()) => None,
            Err(fault) => {
                self.abandon();
                self.queue
                    .tallies
                    .void_batches
                    .fetch_add(1, Ordering::Relaxed);
                tracing::error!("{} transactions were given up: {}", ran.len(), fault.text);
                self.note_ailment(Some(&fault.broken));
                Some(fault.broken)
            }
        };
        self.queue
            .tallies
            .transactions
            .fetch_add(ran.len() as u64, Ordering::Relaxed);
        self.queue
            .tallies
            .largest_batch
            .fetch_max(ran.len() as u64, Ordering::Relaxed);
        for call in ran {
            call.answer(broken.clone());
        }
        self.checkpoint_if_due();
    }

    /// Takes the lock. If it can't be had, everybody who can't wait longer is told, and the answer is false.
    fn begin(&mut self) -> bool {
        loop {
            let Err(error) = self.begin.execute([]) else {
                break;
            };
            let broken = weighed(&error, "BEGIN IMMEDIATE").broken;
            let refused = if broken == Broken::Busy {
                self.queue.take_expired(monotonic())
            } else {
                tracing::error!("no transaction could begin: {error}");
                self.note_ailment(Some(&broken));
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

    /// Runs what is queued, also what arrives meanwhile.
    ///
    /// # Errors
    /// What made the whole batch void.
    fn run_queued(&mut self, ran: &mut Vec<Box<dyn Call>>) -> Result<Found, Fault> {
        let mut found = Found {
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
            let before = self.conn.total_changes();
            let kept = begun.is_ok() && self.run(call.as_mut());
            ran.push(call);
            begun?;
            let fault = self.first_error.take();
            if self.conn.is_autocommit() {
                let text = "the transaction ended inside a closure".to_owned();
                return Err(fault.unwrap_or_else(|| Fault::of_use(text)));
            }
            if let Some(fault) = fault {
                found.write_error = Some(fault.broken);
            }
            if !kept {
                execute(&mut self.undo)?;
            }
            execute(&mut self.release)?;
            found.wrote |= kept && self.conn.total_changes() != before;
        }
        Ok(found)
    }

    fn run(&self, call: &mut dyn Call) -> bool {
        let read = ReadTx::new(self.conn, &self.first_error, self.clock.now());
        self.inside.store(true, Ordering::Relaxed);
        let kept = call.run(&Tx::new(read, self.entropy));
        self.inside.store(false, Ordering::Relaxed);
        if let Some(fault) = self.first_error.fatal() {
            stop(&fault.text);
        }
        kept
    }

    /// Ends a batch that is to be kept. One that changed nothing costs no sync.
    fn end(&mut self, found: &Found) -> Result<(), Fault> {
        if !found.wrote {
            if found.write_error.is_some() {
                self.note_ailment(found.write_error.as_ref());
            }
            return execute(&mut self.rollback);
        }
        self.store_mark_if_older_than(Duration::from_secs(1))?;
        execute(&mut self.commit)?;
        self.queue.tallies.commits.fetch_add(1, Ordering::Relaxed);
        self.written += 1;
        self.note_ailment(found.write_error.as_ref());
        Ok(())
    }

    /// Leaves a transaction, if there still is one.
    fn abandon(&mut self) {
        if !self.conn.is_autocommit()
            && let Err(fault) = execute(&mut self.rollback)
        {
            stop(&fault.text);
        }
    }

    /// Whether another process has committed since the last look: its commits move this number, our own don't.
    fn look_for_foreign_changes(&mut self) {
        match self.data_version.query_row([], |row| row.get(0)) {
            Ok(version) if version == self.seen_version => {}
            Ok(version) => {
                self.seen_version = version;
                self.queue
                    .tallies
                    .foreign_changes
                    .fetch_add(1, Ordering::Release);
                // An operator may have confirmed the time.
                if let Ok(Some(mark)) = stored_mark(self.conn) {
                    self.clock.resume(mark);
                }
            }
            Err(error) => {
                let fault = weighed(&error, "PRAGMA data_version");
                tracing::warn!(
                    "whether another process changed anything is not known: {}",
                    fault.text
                );
            }
        }
    }

    /// Stores the clock's mark, if the stored one is behind it by `age`. Inside a transaction.
    fn store_mark_if_older_than(&mut self, age: Duration) -> Result<(), Fault> {
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
            .prepare_cached(SQL)
            .and_then(|mut sql| sql.execute(parameters));
        // A new file has no such row until its first keys are made.
        if stored.map_err(|error| weighed(&error, SQL))? > 0 {
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
            Ok(()) => self.note_ailment(None),
            Err(fault) => {
                self.abandon();
                self.note_ailment(Some(&fault.broken));
                tracing::warn!("the clock's mark was not stored: {}", fault.text);
            }
        }
    }

    /// What has to be done now and then, whether anybody writes or not.
    fn maintain(&mut self) {
        if let Err(displaced) = self.files.check() {
            self.stop_displaced(&displaced);
        }
        self.look_for_foreign_changes();
        let is_stale = self
            .stored
            .is_some_and(|stored| self.clock.mark().latest >= stored.latest.plus(MARK_INTERVAL));
        // After a failure a small write finds out whether writing works again.
        if is_stale || self.queue.write_error().is_some() {
            self.store_mark_alone();
        }
        let is_idle = self.written == self.written_before;
        self.written_before = self.written;
        if !is_idle || self.give_back_pages() {
            self.is_truncated = false;
        }
        if is_idle && !self.is_truncated {
            // Old pages in the WAL still hold what was deleted since.
            self.is_truncated = self
                .checkpoint("TRUNCATE")
                .is_some_and(|wal| wal.frames == 0);
        }
        self.checkpoint_if_due();
    }

    /// Shrinks the file, if more of it is free than in use. Whether it did.
    fn give_back_pages(&self) -> bool {
        let sql = format!("PRAGMA incremental_vacuum({VACUUM_PAGES})");
        let given_back = || -> rusqlite::Result<bool> {
            let free = get(self.conn, "freelist_count")?;
            if free < VACUUM_PAGES || free < get(self.conn, "page_count")? / 2 {
                return Ok(false);
            }
            // It gives back one page with each step.
            let mut statement = self.conn.prepare(&sql)?;
            let mut pages = statement.query([])?;
            while pages.next()?.is_some() {}
            Ok(true)
        };
        given_back().unwrap_or_else(|error| {
            tracing::warn!(
                "the file was not made smaller: {}",
                weighed(&error, &sql).text
            );
            false
        })
    }

    /// Copies the WAL into the database when it is long. It costs the writer's time; answers have gone out.
    fn checkpoint_if_due(&mut self) {
        let Some(wal) = self.wal_state() else { return };
        if wal.frames < self.copied_at {
            self.copied_at = 0;
        }
        if wal.frames - self.copied_at < CHECKPOINT_FRAMES {
            return;
        }
        let mode = if wal.frames < RESTART_FRAMES {
            "PASSIVE"
        } else {
            "RESTART"
        };
        if let Some(wal) = self.checkpoint(mode) {
            self.copied_at = wal.frames;
            self.warn_of_long_wal(&wal);
        }
    }

    fn wal_state(&mut self) -> Option<Wal> {
        match self.wal_state.query_row([], Wal::from_row) {
            Ok(wal) => Some(wal),
            Err(error) => {
                tracing::warn!("{}", weighed(&error, "PRAGMA wal_checkpoint(NOOP)").text);
                None
            }
        }
    }

    fn checkpoint(&self, mode: &'static str) -> Option<Wal> {
        let sql = format!("PRAGMA wal_checkpoint({mode})");
        let copied = self
            .conn
            .busy_timeout(RESTART_PATIENCE)
            .and_then(|()| self.conn.query_row(&sql, [], Wal::from_row));
        let restored = self.conn.busy_timeout(BUSY_TIMEOUT);
        match copied.and_then(|wal| restored.map(|()| wal)) {
            Ok(wal) => Some(wal),
            Err(error) => {
                let fault = weighed(&error, &sql);
                if fault.broken != Broken::Busy {
                    tracing::warn!("the WAL was not copied into the database: {}", fault.text);
                }
                None
            }
        }
    }

    fn warn_of_long_wal(&mut self, wal: &Wal) {
        let bytes = wal.frames.unsigned_abs() * u64::from(PAGE_SIZE);
        let is_recent = self
            .last_alarm
            .is_some_and(|last| last.elapsed() < ALARM_INTERVAL);
        if bytes < WAL_ALARM || is_recent {
            return;
        }
        self.last_alarm = Some(monotonic());
        let (mib, left) = (bytes >> 20, wal.frames - wal.copied);
        tracing::warn!(
            "the WAL has grown to {mib} MiB and {left} pages of it can't be copied: something has been reading \
             the database for a long time"
        );
    }

    fn note_ailment(&self, broken: Option<&Broken>) {
        let write_error = match broken {
            Some(broken @ (Broken::Full | Broken::ReadOnly)) => Some(broken.clone()),
            // What concerned one statement says nothing about the disk.
            Some(_) => return,
            None => None,
        };
        *self.queue.write_error() = write_error;
    }

    /// One of the files was deleted or replaced: whoever opens the database now sees another one.
    fn stop_displaced(&self, displaced: &Displaced) -> ! {
        let path = displaced.path.display();
        let how = if displaced.is_gone {
            "was deleted"
        } else {
            "was replaced"
        };
        if displaced.part == Part::Wal && displaced.is_gone {
            // We still have the deleted WAL, nobody has begun a new one, and the database is in its place: what was
            // acknowledged since the last checkpoint can be saved.
            self.checkpoint("PASSIVE");
        }
        stop(&format!("{path} {how} while it was in use"))
    }
}

/// What the closures of a batch did.
struct Found {
    wrote: bool,
    /// What kept one of them from writing.
    write_error: Option<Broken>,
}

/// What a checkpoint says of the WAL.
struct Wal {
    frames: i64,
    copied: i64,
}

impl Wal {
    fn from_row(row: &rusqlite::Row<'_>) -> rusqlite::Result<Wal> {
        Ok(Wal {
            frames: row.get(1)?,
            copied: row.get(2)?,
        })
    }
}

fn execute(statement: &mut Statement<'_>) -> Result<(), Fault> {
    match statement.execute([]) {
        Ok(_) => Ok(()),
        Err(error) => Err(weighed(
            &error,
            &statement.expanded_sql().unwrap_or_default(),
        )),
    }
}

/// Weighs an error that the writer itself met, and does not return from a fatal one.
fn weighed(error: &rusqlite::Error, sql: &str) -> Fault {
    let fault = Fault::new(error, sql);
    if fault.is_fatal() {
        stop(&fault.text);
    }
    fault
}

/// Ends the process: what the disk holds is no longer known, and a failed sync is never tried again.
fn stop(why: &str) -> ! {
    let message = format!(
        "authd stops, because the database can't be trusted any more: {why}. Nothing was confirmed that is not \
         stored. Look at the disk, then start again; if the file turns out to be damaged, use `authd restore`."
    );
    if tracing::dispatcher::has_been_set() {
        tracing::error!("{message}");
    } else {
        // `eprintln!` would panic where it can't be said, and nothing would end.
        let _ = writeln!(io::stderr(), "{message}");
    }
    std::process::exit(STOPPED)
}

fn stored_mark(conn: &Connection) -> rusqlite::Result<Option<Mark>> {
    let sql = "SELECT clock_latest, clock_confirmed FROM server";
    conn.query_row(sql, [], |row| {
        Ok(Mark {
            latest: Timestamp::from_unix(row.get(0)?),
            confirmed: Timestamp::from_unix(row.get(1)?),
        })
    })
    .optional()
}

fn get(conn: &Connection, pragma: &str) -> rusqlite::Result<i64> {
    conn.pragma_query_value(None, pragma, |row| row.get(0))
}

/// Sets a pragma that answers with its new value.
fn set(conn: &Connection, pragma: &str, value: i64) -> rusqlite::Result<()> {
    conn.pragma_update_and_check(None, pragma, value, |_| Ok(()))
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Sender, channel};

    use rusqlite::ErrorCode;

    use super::*;
    use crate::store::params;
    use crate::store::sqlite::testing::{OPTIONS, Place, add, add_event, found};
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
    fn those_who_wait_share_one_commit() {
        let place = Place::new();
        let store = place.open();
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
        let place = Place::new();
        let store = place.open();
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
    fn a_thousand_panics_harm_nobody_else() {
        let place = Place::new();
        let store = place.open();
        for _ in 0..1000 {
            let broken = store.write(|tx| -> Result<(), Broken> {
                add(tx, "ann")?;
                panic!("as it had to come");
            });
            assert_eq!(broken, Err(Broken::Panicked));
        }
        assert!(store.names().is_empty());
        assert_eq!(store.add("bob"), Ok(1));
        assert_eq!(store.names(), ["bob"]);
    }

    #[test]
    fn a_failure_in_a_batch_takes_nobody_along() {
        let place = Place::new();
        let store = place.open();
        thread::scope(|scope| {
            let (holder, release) = occupied(scope, &store, "first");
            let panics = scope.spawn(|| {
                store.write(|tx| -> Result<(), Broken> {
                    add(tx, "second")?;
                    panic!("as it had to come");
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
        let place = Place::new();
        let store = place.open();
        let broken = store.write(|tx| -> Result<(), Broken> {
            add(tx, "ann")?;
            let _ = add(tx, "ann");
            Ok(())
        });
        assert!(matches!(broken, Err(Broken::Database(_))));
        assert!(store.names().is_empty());
    }

    #[test] // faults 3 and 4
    fn a_full_disk_makes_its_batch_void_and_passes() {
        let place = Place::new();
        let store = place.open_with(Options {
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
                "its commit never came"
            );
            assert_eq!(fills.join().unwrap(), Err(Broken::Full));
            assert_eq!(
                later.join().unwrap(),
                Ok(1),
                "it ran in the next transaction"
            );
        });
        assert_eq!(store.names(), ["before", "later"]);
        assert_eq!(store.statistics().void_batches, 1);
    }

    #[test] // fault 3
    fn a_full_database_serves_reads_and_works_again_when_there_is_room() {
        let place = Place::new();
        let store = place.open_with(Options {
            max_size: Some(400 << 10),
            ..OPTIONS
        });
        store.write(found).unwrap();
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
    fn housekeeping_finds_out_that_there_is_room_again() {
        let place = Place::new();
        let store = place.open_with(Options {
            max_size: Some(400 << 10),
            ..OPTIONS
        });
        store.write(found).unwrap();
        assert_eq!(store.write(|tx| add_event(tx, 1 << 20)), Err(Broken::Full));
        assert_eq!(store.ready(), Err(Broken::Full));
        store.housekeep();
        assert_eq!(store.ready(), Ok(()));
    }

    #[test]
    fn a_closure_has_no_say_over_its_transaction() {
        let place = Place::new();
        let store = place.open();
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
        let place = Place::new();
        let store = Arc::new(place.open());
        let inner = Arc::clone(&store);
        let answer = store.write(move |_| -> Result<usize, Broken> { inner.add("ann") });
        assert!(matches!(answer, Err(Broken::Database(_))));
        // The closure's clone goes with the answer, before this one.
        assert!(store.names().is_empty());
    }

    #[test] // fault 9
    fn a_stranger_with_the_lock_makes_callers_busy_and_no_more() {
        let place = Place::new();
        let store = place.open_impatient();
        let stranger = place.stranger();
        stranger.execute_batch("BEGIN IMMEDIATE").unwrap();
        assert_eq!(store.add("ann"), Err(Broken::Busy));
        assert!(store.names().is_empty(), "reads go on");
        assert_eq!(store.ready(), Ok(()));
        stranger.execute_batch("COMMIT").unwrap();
        drop(store);
        assert_eq!(place.open().add("ann"), Ok(1));
        assert_eq!(place.open().names(), ["ann"], "it did not run late");
    }

    #[test] // fault 9
    fn a_patient_caller_gets_the_lock_when_it_is_free() {
        let place = Place::new();
        let store = place.open();
        let stranger = place.stranger();
        stranger.execute_batch("BEGIN IMMEDIATE").unwrap();
        thread::scope(|scope| {
            let waits = scope.spawn(|| store.add("ann"));
            store.await_queue(1);
            stranger.execute_batch("COMMIT").unwrap();
            assert_eq!(waits.join().unwrap(), Ok(1));
        });
    }

    #[test] // fault 10
    fn a_long_reader_stops_no_writer() {
        let place = Place::new();
        let store = place.open();
        let stranger = place.stranger();
        stranger
            .execute_batch("BEGIN; SELECT count(*) FROM client")
            .unwrap();
        for _ in 0..20 {
            // Enough for several checkpoints, none of which can finish.
            assert_eq!(store.write(|tx| add_event(tx, 4 << 20)), Ok(1));
        }
        assert!(store.statistics().wal_bytes > WAL_ALARM);
        stranger.execute_batch("COMMIT").unwrap();
        store.housekeep();
        store.housekeep();
        assert_eq!(store.statistics().wal_bytes, 0);
    }

    #[test]
    fn what_was_freed_goes_back_to_the_file_system() {
        let place = Place::new();
        let store = place.open();
        store.write(|tx| add_event(tx, 12 << 20)).unwrap();
        store
            .write(|tx| tx.run("DELETE FROM event", params![]))
            .unwrap();
        store.housekeep();
        let large = std::fs::metadata(&place.path).unwrap().len();
        for _ in 0..8 {
            store.housekeep();
            store.housekeep();
        }
        let small = std::fs::metadata(&place.path).unwrap().len();
        assert!(small < large / 2, "{large} to {small} bytes");
    }

    #[test]
    fn what_is_queued_is_finished_before_the_store_closes() {
        let place = Place::new();
        let store = Arc::new(place.open());
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
        assert_eq!(place.open().names(), ["ann"]);
    }

    #[test]
    fn what_was_deleted_is_not_left_in_the_file() {
        let place = Place::new();
        let store = place.open();
        store.add("a-name-that-stands-out").unwrap();
        store
            .write(|tx| tx.run("DELETE FROM client", params![]))
            .unwrap();
        drop(store);
        let bytes = std::fs::read(&place.path).unwrap();
        assert!(
            !bytes
                .windows(22)
                .any(|part| part == b"a-name-that-stands-out")
        );
    }

    #[test]
    fn a_stranger_finds_the_lock_taken_and_not_forever() {
        let place = Place::new();
        let store = place.open();
        let stranger = place.stranger();
        stranger.busy_timeout(Duration::ZERO).unwrap();
        thread::scope(|scope| {
            let (holder, release) = occupied(scope, &store, "ann");
            let refused = stranger.execute_batch("BEGIN IMMEDIATE").unwrap_err();
            assert_eq!(refused.sqlite_error_code(), Some(ErrorCode::DatabaseBusy));
            release.send(()).unwrap();
            assert_eq!(holder.join().unwrap(), Ok(1));
        });
        stranger.execute_batch("BEGIN IMMEDIATE; ROLLBACK").unwrap();
    }

    /// A test that ends its process runs itself again as a child, which finds its database in this variable.
    const CHILD: &str = "AUTHD_TEST_DATABASE";

    /// Runs the test of this name as a child on `place`, and returns its exit code and what it said last.
    fn run_as_child(test: &str, place: &Place) -> (Option<i32>, String) {
        let output = std::process::Command::new(std::env::current_exe().unwrap())
            .args([
                &format!("store::sqlite::writer::tests::{test}"),
                "--exact",
                "--nocapture",
            ])
            .env(CHILD, &place.path)
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
    fn an_error_of_the_disk_stops_the_process_before_anybody_is_answered() {
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
        let place = Place::new();
        let (code, said) = run_as_child(
            "an_error_of_the_disk_stops_the_process_before_anybody_is_answered",
            &place,
        );
        assert_eq!(code, Some(STOPPED), "{said}");
        assert!(
            said.contains("authd stops") && said.contains("authd restore"),
            "{said}"
        );
        assert_eq!(place.open().names(), ["ann"]);
    }

    #[test] // fault 8; I6
    fn a_deleted_wal_stops_the_process_and_what_was_confirmed_is_saved() {
        if let Some((path, store)) = child_store() {
            assert_eq!(store.add("ann"), Ok(1));
            std::fs::remove_file(crate::store::sqlite::open::beside(&path, "-wal")).unwrap();
            store.housekeep();
            unreachable!();
        }
        let place = Place::new();
        let (code, said) = run_as_child(
            "a_deleted_wal_stops_the_process_and_what_was_confirmed_is_saved",
            &place,
        );
        assert_eq!(code, Some(STOPPED), "{said}");
        assert!(said.contains("-wal was deleted"), "{said}");
        assert_eq!(place.open().names(), ["ann"]);
    }

    #[test] // fault 8
    fn a_replaced_database_stops_the_process() {
        if let Some((path, store)) = child_store() {
            std::fs::rename(&path, path.with_extension("old")).unwrap();
            std::fs::write(&path, "another").unwrap();
            store.housekeep();
            unreachable!();
        }
        let place = Place::new();
        let (code, said) = run_as_child("a_replaced_database_stops_the_process", &place);
        assert_eq!(code, Some(STOPPED), "{said}");
        assert!(said.contains("authd.db was replaced"), "{said}");
        assert_eq!(std::fs::read(&place.path).unwrap(), b"another");
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
        let place = Place::new();
        let (code, said) = run_as_child("a_kill_loses_nothing_that_was_confirmed", &place);
        assert_eq!(code, None, "{said}");
        assert_eq!(place.open().names(), ["ann"]);
    }
}
