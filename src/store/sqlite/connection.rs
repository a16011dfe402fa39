//! One connection to SQLite, set up the same way for every use.
//!
//! A connection runs the statements of a closure and remembers the first error of each transaction. While a closure runs,
//! it prepares nothing but statements that read rows or, on the writer's connection, change them.

use std::cell::RefCell;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::hooks::{AuthAction, AuthContext, Authorization};
use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{CachedStatement, OpenFlags};

use super::error::{SqliteError, sqlite_error};
use super::file::check_companions;
use crate::store::{Broken, FromColumn, OpenError, ToColumn, Value};

/// The size of a database page in bytes: the block of most file systems and flash devices, so that a page is written
/// without reading its neighbours first. It is fixed when a file is created.
pub(super) const PAGE_SIZE: u32 = 4096;

/// Prepared statements that a connection keeps. The service has fewer.
const STATEMENTS: usize = 128;

/// Opens the database at `path` for writing, with the settings of [`harden`], after a check of the files beside it. A lock
/// is waited for up to `busy_timeout`.
pub(super) fn open(path: &Path, busy_timeout: Duration) -> Result<rusqlite::Connection, OpenError> {
    check_companions(path)?;
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
        | OpenFlags::SQLITE_OPEN_NO_MUTEX
        | OpenFlags::SQLITE_OPEN_NOFOLLOW;
    let open = || {
        let conn = rusqlite::Connection::open_with_flags(path, flags)?;
        conn.busy_timeout(busy_timeout)?;
        harden(&conn)?;
        Ok(conn)
    };
    open().map_err(|error| sqlite_error(path, &error))
}

/// The settings of every connection, whether it writes or not.
pub(super) fn harden(conn: &rusqlite::Connection) -> rusqlite::Result<()> {
    // Neither the schema nor a text in double quotes can add anything to a statement, and nothing in a file runs.
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER, false)?;
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_VIEW, false)?;
    conn.pragma_update(None, "trusted_schema", false)?;
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_DQS_DML, false)?;
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_DQS_DDL, false)?;
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
    // A damaged page is an error where it is read, instead of a wrong result later.
    conn.pragma_update(None, "cell_size_check", true)?;
    // Sorting needs no directory for temporary files.
    conn.pragma_update(None, "temp_store", "MEMORY")?;
    conn.set_prepared_statement_cache_capacity(STATEMENTS);
    Ok(())
}

/// The integer value of a pragma.
pub(super) fn pragma(conn: &rusqlite::Connection, name: &str) -> rusqlite::Result<i64> {
    conn.pragma_query_value(None, name, |row| row.get(0))
}

/// Sets a pragma that returns its new value.
pub(super) fn set_pragma(
    conn: &rusqlite::Connection,
    name: &str,
    value: i64,
) -> rusqlite::Result<()> {
    conn.pragma_update_and_check(None, name, value, |_| Ok(()))
}

/// A connection that closures can use.
pub(in crate::store) struct Connection {
    raw: rusqlite::Connection,
    /// Set while a closure runs.
    runs_closure: Arc<AtomicBool>,
    first_error: FirstError,
}

impl Connection {
    /// Takes over `raw`. With `writes`, closures may also change rows.
    pub fn new(raw: rusqlite::Connection, writes: bool) -> rusqlite::Result<Connection> {
        let runs_closure = restrict(&raw, writes)?;
        Ok(Connection {
            raw,
            runs_closure,
            first_error: FirstError::default(),
        })
    }

    /// The connection itself, for statements that are not a closure's.
    pub fn raw(&self) -> &rusqlite::Connection {
        &self.raw
    }

    /// Runs `f`, which may only prepare plain statements.
    pub fn restricted<T>(&self, f: impl FnOnce() -> T) -> T {
        self.runs_closure.store(true, Ordering::Relaxed);
        let result = f();
        self.runs_closure.store(false, Ordering::Relaxed);
        result
    }

    /// Bytes of the file that are in use, as the current transaction sees them. Pages that are free inside it don't count.
    pub fn used_bytes(&self) -> Result<u64, Broken> {
        // A closure may ask for this, and may not prepare a pragma itself.
        let runs_closure = self.runs_closure.swap(false, Ordering::Relaxed);
        let count = |sql| {
            let mut statement = self.raw.prepare_cached(sql)?;
            statement.query_row([], |row| row.get::<_, i64>(0))
        };
        let (all, free) = ("PRAGMA page_count", "PRAGMA freelist_count");
        let pages = count(all).and_then(|all| Ok(all - count(free)?));
        self.runs_closure.store(runs_closure, Ordering::Relaxed);
        let pages = self.noted(all, pages)?;
        Ok(pages.unsigned_abs() * u64::from(PAGE_SIZE))
    }

    /// The first error since the last [`Connection::take_first_error`]; a fatal one replaces one that is not.
    pub fn first_error(&self) -> Option<SqliteError> {
        self.first_error.get()
    }

    /// The same, and forgets it.
    pub fn take_first_error(&self) -> Option<SqliteError> {
        self.first_error.take()
    }

    /// See [`ReadTx::row`](crate::store::ReadTx::row).
    pub fn row<T>(
        &self,
        sql: &'static str,
        params: &[&dyn ToColumn],
        f: impl FnOnce(RawRow<'_>) -> Result<T, Broken>,
    ) -> Result<Option<T>, Broken> {
        let mut statement = self.prepare(sql, params)?;
        let writes = !statement.readonly();
        let mut rows = statement.raw_query();
        let found = match self.noted(sql, rows.next())? {
            Some(row) => Some(f(self.view(sql, row))?),
            None => None,
        };
        // SQLite checks the rows of `RETURNING` against the foreign keys only at the end of the statement.
        while writes && self.noted(sql, rows.next())?.is_some() {}
        Ok(found)
    }

    /// See [`ReadTx::rows`](crate::store::ReadTx::rows).
    pub fn rows<T>(
        &self,
        sql: &'static str,
        params: &[&dyn ToColumn],
        mut f: impl FnMut(RawRow<'_>) -> Result<T, Broken>,
    ) -> Result<Vec<T>, Broken> {
        let mut statement = self.prepare(sql, params)?;
        let mut rows = statement.raw_query();
        let mut found = Vec::new();
        while let Some(row) = self.noted(sql, rows.next())? {
            found.push(f(self.view(sql, row))?);
        }
        Ok(found)
    }

    /// See [`Tx::run`](crate::store::Tx::run).
    pub fn run(&self, sql: &'static str, params: &[&dyn ToColumn]) -> Result<usize, Broken> {
        let mut statement = self.prepare(sql, params)?;
        self.noted(sql, statement.raw_execute())
    }

    fn view<'r>(&'r self, sql: &'static str, row: &'r rusqlite::Row<'r>) -> RawRow<'r> {
        RawRow {
            row,
            sql,
            first_error: &self.first_error,
        }
    }

    fn prepare(
        &self,
        sql: &'static str,
        params: &[&dyn ToColumn],
    ) -> Result<CachedStatement<'_>, Broken> {
        let mut statement = self.noted(sql, self.raw.prepare_cached(sql))?;
        let expected = statement.parameter_count();
        if expected != params.len() {
            let given = params.len();
            let text = format!("{given} parameters where {expected} are expected in: {sql}");
            return Err(self.first_error.note(SqliteError::misuse(text)));
        }
        for (n, param) in params.iter().enumerate() {
            let value = into_sqlite(param.to_column());
            self.noted(sql, statement.raw_bind_parameter(n + 1, value))?;
        }
        Ok(statement)
    }

    fn noted<T>(&self, sql: &str, result: rusqlite::Result<T>) -> Result<T, Broken> {
        result.map_err(|error| self.first_error.note(SqliteError::new(&error, sql)))
    }
}

/// One row of a result, as SQLite returns it.
pub(in crate::store) struct RawRow<'r> {
    row: &'r rusqlite::Row<'r>,
    sql: &'static str,
    first_error: &'r FirstError,
}

impl RawRow<'_> {
    /// See [`Row::get`](crate::store::Row::get).
    pub fn get<T: FromColumn>(&self, column: usize) -> Result<T, Broken> {
        let value = self
            .row
            .get_ref(column)
            .map_err(|error| self.first_error.note(SqliteError::new(&error, self.sql)))?;
        from_sqlite(value).and_then(T::from_column).ok_or_else(|| {
            let (sql, held, wanted) = (self.sql, value.data_type(), std::any::type_name::<T>());
            let text = format!("column {column} holds {held}, not {wanted}, in: {sql}");
            self.first_error.note(SqliteError::misuse(text))
        })
    }
}

/// The first error on a connection since it was last taken. A fatal error replaces one that is not fatal.
#[derive(Default)]
struct FirstError(RefCell<Option<SqliteError>>);

impl FirstError {
    fn note(&self, error: SqliteError) -> Broken {
        let broken = error.broken.clone();
        let mut noted = self.0.borrow_mut();
        let outweighs = |held: &SqliteError| error.is_fatal() && !held.is_fatal();
        if noted.as_ref().is_none_or(outweighs) {
            *noted = Some(error);
        }
        broken
    }

    fn get(&self) -> Option<SqliteError> {
        self.0.borrow().clone()
    }

    fn take(&self) -> Option<SqliteError> {
        self.0.borrow_mut().take()
    }
}

/// While the returned flag is set, the connection prepares only statements that read rows or, with `writes`, change
/// them. Statements that begin, end or attach something or alter the schema are "not authorized". The callback is
/// installed once, because SQLite prepares every statement again after a change of it.
fn restrict(conn: &rusqlite::Connection, writes: bool) -> rusqlite::Result<Arc<AtomicBool>> {
    let runs_closure = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&runs_closure);
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
    Ok(runs_closure)
}

fn from_sqlite(value: ValueRef<'_>) -> Option<Value<'_>> {
    match value {
        ValueRef::Null => Some(Value::Null),
        ValueRef::Integer(number) => Some(Value::Integer(number)),
        ValueRef::Text(bytes) => {
            let text = std::str::from_utf8(bytes).ok()?;
            Some(Value::Text(text.into()))
        }
        ValueRef::Blob(bytes) => Some(Value::Blob(bytes.into())),
        ValueRef::Real(_) => None,
    }
}

fn into_sqlite(value: Value<'_>) -> ToSqlOutput<'_> {
    use std::borrow::Cow;
    match value {
        Value::Null => ToSqlOutput::Borrowed(ValueRef::Null),
        Value::Integer(number) => ToSqlOutput::Borrowed(ValueRef::Integer(number)),
        Value::Text(Cow::Borrowed(text)) => text.into(),
        Value::Text(Cow::Owned(text)) => text.into(),
        Value::Blob(Cow::Borrowed(bytes)) => bytes.into(),
        Value::Blob(Cow::Owned(bytes)) => bytes.into(),
    }
}
