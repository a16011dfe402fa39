//! The connections that read: a pool. Each connection is `query_only`, and each read is one transaction.
//!
//! A connection goes back into the pool only in the state in which it came out. One whose transaction is still open
//! (its closure panicked) or that got an error of the disk is closed; the pool opens a new one when it is needed.
//! `r2d2_sqlite` alone would take every connection back and would test each one at every use. Its manager is wrapped here,
//! and both questions are answered from what is known.

use std::cell::Cell;
use std::convert::Infallible;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use r2d2::{HandleError, ManageConnection, Pool};
use r2d2_sqlite::SqliteConnectionManager;
use rusqlite::OpenFlags;
use scheduled_thread_pool::ScheduledThreadPool;

use super::connection::{Connection, harden};
use super::error::{SqliteError, sqlite_error};
use super::file::check_companions;
use crate::clock::Timestamp;
use crate::store::{Broken, OpenError, ReadTx};

/// How long a read waits for a connection. Reads take well below 100 ms, so after this time the pool is overloaded.
const PATIENCE: Duration = Duration::from_secs(5);

/// How long a reader waits for a lock. In WAL mode readers wait only for a recovery, never for writers.
const BUSY_TIMEOUT: Duration = Duration::from_secs(1);

/// Unused connections are closed after this time, so that an idle server uses little memory.
const IDLE_TIMEOUT: Duration = Duration::from_secs(60);

/// Page cache of one reader, in KiB: the upper levels of the indexes. The rest is in the system's page cache.
const CACHE_KIB: i64 = 256;

// The comment makes these different from the same statements in a closure, which must not find them prepared.
const BEGIN: &str = "BEGIN DEFERRED /* snapshot */";
const END: &str = "COMMIT /* snapshot */";

/// How long closing the pool waits for a connection that its helper thread is opening.
const CLOSING_PATIENCE: Duration = Duration::from_secs(1);

/// The pool.
pub(in crate::store) struct Readers {
    pool: Option<Pool<Manager>>,
    /// Ends when the pool and all its connections are gone.
    closed: Mutex<Receiver<Infallible>>,
}

impl Readers {
    /// A pool of at most `size` connections to `path`. Each is opened when it is first needed.
    pub fn new(path: &Path, size: u32) -> Readers {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
            | OpenFlags::SQLITE_OPEN_NO_MUTEX
            | OpenFlags::SQLITE_OPEN_NOFOLLOW;
        let (open, closed) = channel();
        let manager = Manager {
            path: path.to_owned(),
            sqlite: SqliteConnectionManager::file(path).with_flags(flags),
            open: Mutex::new(open),
        };
        // One thread opens connections and closes idle ones; r2d2 would start three.
        let helper = ScheduledThreadPool::builder()
            .num_threads(1)
            .thread_name_pattern("authd-pool")
            .build();
        let pool = Pool::builder()
            .max_size(size.max(1))
            .min_idle(Some(0))
            .test_on_check_out(false)
            .connection_timeout(PATIENCE)
            .idle_timeout(Some(IDLE_TIMEOUT))
            .max_lifetime(None)
            .error_handler(Box::new(Log))
            .thread_pool(Arc::new(helper))
            .build_unchecked(manager);
        Readers {
            pool: Some(pool),
            closed: Mutex::new(closed),
        }
    }

    /// Runs `f` on a snapshot, with `now` as its time.
    pub fn read<T, E: From<Broken>>(
        &self,
        now: Timestamp,
        f: impl FnOnce(&ReadTx<'_>) -> Result<T, E>,
    ) -> Result<T, E> {
        // Any other reason than too many readers was logged where it was found.
        let pool = self.pool.as_ref().ok_or(Broken::Stopped)?;
        let reader = pool.get().map_err(|_| Broken::Busy)?;
        reader.read(now, f)
    }
}

impl Drop for Readers {
    /// Closes all connections, including one that the helper thread is opening, so that the writer's is the last.
    fn drop(&mut self) {
        self.pool = None;
        let closed = self
            .closed
            .get_mut()
            .unwrap_or_else(PoisonError::into_inner);
        // Nothing is ever sent. The channel ends when the last connection is gone.
        let _ = closed.recv_timeout(CLOSING_PATIENCE);
    }
}

/// A connection of the pool.
struct Reader {
    conn: Connection,
    /// It got an error of the disk, or could not end its transaction.
    is_broken: Cell<bool>,
    // After the connection, because it says that the connection is closed.
    _open: Sender<Infallible>,
}

impl Reader {
    fn read<T, E: From<Broken>>(
        &self,
        now: Timestamp,
        f: impl FnOnce(&ReadTx<'_>) -> Result<T, E>,
    ) -> Result<T, E> {
        self.execute(BEGIN)?;
        // If this panics, the transaction stays open, and the pool closes the connection.
        let answer = self.conn.restricted(|| f(&ReadTx::new(&self.conn, now)));
        let error = self.conn.take_first_error();
        if let Some(error) = error.as_ref().filter(|error| error.is_fatal()) {
            tracing::error!("reading the database failed: {}", error.text);
            self.is_broken.set(true);
        }
        self.execute(END)?;
        match error {
            Some(error) if answer.is_ok() => Err(error.broken.into()),
            _ => answer,
        }
    }

    fn execute(&self, sql: &str) -> Result<(), Broken> {
        match self
            .conn
            .raw()
            .prepare_cached(sql)
            .and_then(|mut statement| statement.execute([]))
        {
            Ok(_) => Ok(()),
            Err(error) => {
                self.is_broken.set(true);
                Err(SqliteError::new(&error, sql).broken)
            }
        }
    }
}

struct Manager {
    path: PathBuf,
    sqlite: SqliteConnectionManager,
    open: Mutex<Sender<Infallible>>,
}

impl ManageConnection for Manager {
    type Connection = Reader;
    type Error = OpenError;

    fn connect(&self) -> Result<Reader, OpenError> {
        check_companions(&self.path)?;
        self.connect_unchecked()
            .map_err(|error| sqlite_error(&self.path, &error))
    }

    fn is_valid(&self, _: &mut Reader) -> Result<(), OpenError> {
        Ok(())
    }

    fn has_broken(&self, reader: &mut Reader) -> bool {
        reader.is_broken.get() || !reader.conn.raw().is_autocommit()
    }
}

impl Manager {
    fn connect_unchecked(&self) -> rusqlite::Result<Reader> {
        let conn = self.sqlite.connect()?;
        conn.busy_timeout(BUSY_TIMEOUT)?;
        harden(&conn)?;
        conn.pragma_update(None, "cache_size", -CACHE_KIB)?;
        conn.pragma_update(None, "query_only", true)?;
        let open = self
            .open
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        Ok(Reader {
            conn: Connection::new(conn, false)?,
            is_broken: Cell::new(false),
            _open: open,
        })
    }
}

#[derive(Debug)]
struct Log;

impl HandleError<OpenError> for Log {
    fn handle_error(&self, error: OpenError) {
        tracing::error!("a connection to the database could not be opened: {error}");
    }
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::sync::Barrier;

    use super::*;
    use crate::store::params;
    use crate::store::testing::{OPTIONS, TestDatabase, names};

    #[test] // fault 22
    fn a_thousand_panics_leave_the_pool_whole() {
        let database = TestDatabase::new();
        let store = database.open();
        store.add("ann").unwrap();
        for _ in 0..1000 {
            let read =
                || store.read(|tx| -> Result<(), Broken> { panic!("after {}", names(tx)?.len()) });
            assert!(catch_unwind(AssertUnwindSafe(read)).is_err());
        }
        // As many reads at the same time as there may be connections.
        let together = Barrier::new(OPTIONS.readers as usize);
        std::thread::scope(|scope| {
            for _ in 0..OPTIONS.readers {
                scope.spawn(|| {
                    let read = store.read(|tx| {
                        together.wait();
                        names(tx)
                    });
                    assert_eq!(read.unwrap(), ["ann"]);
                });
            }
        });
    }

    #[test]
    fn a_reading_closure_can_only_read() {
        let database = TestDatabase::new();
        let store = database.open();
        store.add("ann").unwrap();
        for sql in [
            "UPDATE client SET name = 'x' RETURNING id",
            "DELETE FROM client RETURNING id",
            "COMMIT",
            "BEGIN",
            "PRAGMA query_only = OFF",
        ] {
            let refused = store.read(|tx| tx.row(sql, params![], |_| Ok(())));
            assert!(
                matches!(&refused, Err(Broken::Database(text)) if text.contains("not authorized")),
                "{sql}: {refused:?}"
            );
        }
        assert_eq!(store.names(), ["ann"]);
    }

    #[test]
    fn the_connections_are_read_only() {
        let database = TestDatabase::new();
        let _store = database.open();
        let readers = Readers::new(&database.path, 1);
        let pool = readers.pool.as_ref().unwrap();
        let reader = pool.get().unwrap();
        let refused = reader
            .conn
            .raw()
            .execute("DELETE FROM client", [])
            .unwrap_err();
        assert!(refused.to_string().contains("readonly"), "{refused}");
    }

    #[test]
    fn a_broken_connection_is_not_used_again() {
        let database = TestDatabase::new();
        let _store = database.open();
        let readers = Readers::new(&database.path, 1);
        let pool = readers.pool.as_ref().unwrap();
        pool.get().unwrap().is_broken.set(true);
        assert_eq!(pool.state().connections, 0);
        pool.get()
            .unwrap()
            .conn
            .raw()
            .execute_batch("BEGIN")
            .unwrap();
        assert_eq!(pool.state().connections, 0, "its transaction was open");
        drop(pool.get().unwrap());
        assert_eq!(pool.state().connections, 1);
    }
}
