//! The connections that read: a pool of them, each `query_only`, each snapshot one transaction.
//!
//! A connection goes back into the pool only in the state in which it came out of it. One whose transaction is
//! still open (its closure panicked) or that saw the disk fail is closed instead; the pool makes a new one when
//! it is needed. `r2d2_sqlite` alone would take every connection back, and would ask each "are you alive?" at every
//! use, so its manager is wrapped here and both questions are answered from what is known anyway.

use std::cell::Cell;
use std::convert::Infallible;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use r2d2::{HandleError, ManageConnection, Pool};
use r2d2_sqlite::SqliteConnectionManager;
use rusqlite::config::DbConfig;
use rusqlite::hooks::{AuthAction, AuthContext, Authorization};
use rusqlite::{Connection, OpenFlags};
use scheduled_thread_pool::ScheduledThreadPool;

use crate::clock::Timestamp;
use crate::store::error::{Broken, Fault};
use crate::store::tx::{FirstError, ReadTx};

/// How long a read waits for a connection. Reads take well below 100 ms, so whoever waits longer stands in a
/// queue that does not drain.
const PATIENCE: Duration = Duration::from_secs(5);

/// How long a reader waits for a lock. Readers never wait for writers in WAL mode, only for a recovery.
const BUSY_TIMEOUT: Duration = Duration::from_secs(1);

/// Unused connections are closed after this time, so that an idle server is small again after a rush.
const IDLE_TIMEOUT: Duration = Duration::from_secs(60);

/// Page cache of one reader, in KiB: the upper levels of the indexes. The rest is in the system's page cache.
const CACHE_KIB: i64 = 256;

/// Prepared statements kept by a connection; the logic has fewer.
pub(in crate::store) const STATEMENTS: usize = 128;

// The comment keeps the two apart from the same statement in a closure, which must not find them prepared.
const BEGIN: &str = "BEGIN DEFERRED /* snapshot */";
const END: &str = "COMMIT /* snapshot */";

/// How long closing the pool waits for a connection that its helper thread is just then making.
const CLOSING_PATIENCE: Duration = Duration::from_secs(1);

/// The pool.
pub(in crate::store) struct Readers {
    pool: Option<Pool<Manager>>,
    /// Ends when the pool and all its connections have gone.
    closed: Mutex<Receiver<Infallible>>,
}

impl Readers {
    /// A pool of at most `size` connections to `path`, each made when it is first needed.
    pub fn new(path: &Path, size: u32) -> Readers {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let (open, closed) = channel();
        let manager = Manager {
            sqlite: SqliteConnectionManager::file(path).with_flags(flags),
            open: Mutex::new(open),
        };
        // One thread makes connections and closes idle ones; r2d2 would start three.
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

    /// Gives `f` a snapshot.
    pub fn read<T, E: From<Broken>>(
        &self,
        now: Timestamp,
        f: impl FnOnce(&ReadTx<'_>) -> Result<T, E>,
    ) -> Result<T, E> {
        // The reason, if there is another than a long queue, was logged where it was seen.
        let pool = self.pool.as_ref().ok_or(Broken::Stopped)?;
        let reader = pool.get().map_err(|_| Broken::Busy)?;
        reader.read(now, f)
    }
}

impl Drop for Readers {
    /// Closes all connections, also the one that the helper thread may still have in its hands, so that the writer's
    /// is the last.
    fn drop(&mut self) {
        self.pool = None;
        let closed = self
            .closed
            .get_mut()
            .unwrap_or_else(PoisonError::into_inner);
        // Nothing is ever sent; the end of the channel is the message.
        let _ = closed.recv_timeout(CLOSING_PATIENCE);
    }
}

/// A connection of the pool.
struct Reader {
    conn: Connection,
    inside: Arc<AtomicBool>,
    first_error: FirstError,
    /// It saw the disk fail, or could not end its transaction.
    is_spoiled: Cell<bool>,
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
        self.inside.store(true, Ordering::Relaxed);
        // If this panics, the transaction stays open, and the pool closes the connection.
        let answer = f(&ReadTx::new(&self.conn, &self.first_error, now));
        self.inside.store(false, Ordering::Relaxed);
        let fault = self.first_error.take();
        if let Some(fault) = fault.as_ref().filter(|fault| fault.is_fatal()) {
            tracing::error!("reading the database failed: {}", fault.text);
            self.is_spoiled.set(true);
        }
        self.execute(END)?;
        match fault {
            Some(fault) if answer.is_ok() => Err(fault.broken.into()),
            _ => answer,
        }
    }

    fn execute(&self, sql: &str) -> Result<(), Broken> {
        match self
            .conn
            .prepare_cached(sql)
            .and_then(|mut statement| statement.execute([]))
        {
            Ok(_) => Ok(()),
            Err(error) => {
                self.is_spoiled.set(true);
                Err(Fault::new(&error, sql).broken)
            }
        }
    }
}

struct Manager {
    sqlite: SqliteConnectionManager,
    open: Mutex<Sender<Infallible>>,
}

impl ManageConnection for Manager {
    type Connection = Reader;
    type Error = rusqlite::Error;

    fn connect(&self) -> rusqlite::Result<Reader> {
        let conn = self.sqlite.connect()?;
        conn.busy_timeout(BUSY_TIMEOUT)?;
        harden(&conn)?;
        conn.pragma_update(None, "cache_size", -CACHE_KIB)?;
        conn.pragma_update(None, "query_only", true)?;
        let inside = guard(&conn, false)?;
        let open = self
            .open
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        Ok(Reader {
            conn,
            inside,
            first_error: FirstError::default(),
            is_spoiled: Cell::new(false),
            _open: open,
        })
    }

    fn is_valid(&self, _: &mut Reader) -> rusqlite::Result<()> {
        Ok(())
    }

    fn has_broken(&self, reader: &mut Reader) -> bool {
        reader.is_spoiled.get() || !reader.conn.is_autocommit()
    }
}

#[derive(Debug)]
struct Log;

impl HandleError<rusqlite::Error> for Log {
    fn handle_error(&self, error: rusqlite::Error) {
        tracing::error!("no connection to the database: {error}");
    }
}

/// What every connection is set to, whether it writes or not.
pub(in crate::store) fn harden(conn: &Connection) -> rusqlite::Result<()> {
    // Neither views nor a text in double quotes can smuggle anything into a statement.
    conn.pragma_update(None, "trusted_schema", false)?;
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_DQS_DML, false)?;
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_DQS_DDL, false)?;
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
    // A damaged page is an error where it is read, instead of something odd later on.
    conn.pragma_update(None, "cell_size_check", true)?;
    // Sorting needs no directory for temporary files.
    conn.pragma_update(None, "temp_store", "MEMORY")?;
    conn.set_prepared_statement_cache_capacity(STATEMENTS);
    Ok(())
}

/// Lets a connection prepare, while the returned flag is set, nothing but statements that read rows, or also
/// change them if it `writes`: what begins, ends or attaches something or alters the schema is "not
/// authorized". Installed once, since SQLite then prepares every statement anew.
pub(in crate::store) fn guard(
    conn: &Connection,
    writes: bool,
) -> rusqlite::Result<Arc<AtomicBool>> {
    let inside = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&inside);
    conn.authorizer(Some(move |context: AuthContext<'_>| {
        let is_plain = match context.action {
            AuthAction::Select
            | AuthAction::Read { .. }
            | AuthAction::Function { .. }
            | AuthAction::Recursive => true,
            AuthAction::Insert { .. } | AuthAction::Update { .. } | AuthAction::Delete { .. } => {
                writes
            }
            _ => false,
        };
        if is_plain || !flag.load(Ordering::Relaxed) {
            Authorization::Allow
        } else {
            Authorization::Deny
        }
    }))?;
    Ok(inside)
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::sync::Barrier;

    use super::*;
    use crate::store::params;
    use crate::store::sqlite::testing::{OPTIONS, Place, names};

    #[test] // fault 22
    fn a_thousand_panics_leave_the_pool_whole() {
        let place = Place::new();
        let store = place.open();
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
        let place = Place::new();
        let store = place.open();
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
    fn the_connections_themselves_can_only_read() {
        let place = Place::new();
        let _store = place.open();
        let readers = Readers::new(&place.path, 1);
        let pool = readers.pool.as_ref().unwrap();
        let reader = pool.get().unwrap();
        let refused = reader.conn.execute("DELETE FROM client", []).unwrap_err();
        assert!(refused.to_string().contains("readonly"), "{refused}");
    }

    #[test]
    fn a_spoiled_connection_is_not_used_again() {
        let place = Place::new();
        let _store = place.open();
        let readers = Readers::new(&place.path, 1);
        let pool = readers.pool.as_ref().unwrap();
        pool.get().unwrap().is_spoiled.set(true);
        assert_eq!(pool.state().connections, 0);
        pool.get().unwrap().conn.execute_batch("BEGIN").unwrap();
        assert_eq!(pool.state().connections, 0, "its transaction was open");
        drop(pool.get().unwrap());
        assert_eq!(pool.state().connections, 1);
    }
}
