//! The seam between the logic and SQLite: four methods, and how values become columns.
//!
//! A closure that is given to [`Store::read`](crate::store::Store::read) sees a [`ReadTx`], one given to
//! [`Store::write`](crate::store::Store::write) a [`Tx`]. SQL stands beside the rule that it serves, as a literal; every
//! statement is prepared once for each connection. No statement inside a closure can begin or end a transaction,
//! set a savepoint or a pragma, attach a file or change the schema: the connection refuses to prepare it.
//!
//! **An error is final.** Whatever a closure makes of a [`Broken`] that one of these methods gave it, the closure
//! is rolled back: half of a transaction is never committed because an error was overlooked. What may fail in
//! the ordinary course is asked for in SQL (`ON CONFLICT DO NOTHING`, a guard in `WHERE`) and shows in the count
//! of rows.

use std::cell::RefCell;
use std::ops::Deref;

use rusqlite::{CachedStatement, Connection};

use crate::clock::Timestamp;
use crate::entropy::Entropy;
use crate::store::column::{FromColumn, ToColumn, Value};
use crate::store::error::{Broken, Fault};

/// One consistent snapshot of the database, and the instant by which it is judged.
pub struct ReadTx<'c> {
    /// *tx.now*, the same for the whole transaction.
    pub now: Timestamp,
    conn: &'c Connection,
    first_error: &'c FirstError,
}

/// A transaction that may write. It reads what it wrote.
pub struct Tx<'c> {
    read: ReadTx<'c>,
    entropy: &'c Entropy,
}

impl<'c> ReadTx<'c> {
    pub(in crate::store) fn new(
        conn: &'c Connection,
        first_error: &'c FirstError,
        now: Timestamp,
    ) -> ReadTx<'c> {
        ReadTx {
            now,
            conn,
            first_error,
        }
    }

    /// The first row that `sql` yields, read by `f`; `None` if there is none.
    ///
    /// # Errors
    /// [`Broken`] if SQLite refuses, or `f` does.
    pub fn row<T>(
        &self,
        sql: &'static str,
        params: &[&dyn ToColumn],
        f: impl FnOnce(&Row<'_>) -> Result<T, Broken>,
    ) -> Result<Option<T>, Broken> {
        let mut statement = self.prepare(sql, params)?;
        let writes = !statement.readonly();
        let mut rows = statement.raw_query();
        let found = match self.watched(sql, rows.next())? {
            Some(row) => Some(f(&self.view(sql, row))?),
            None => None,
        };
        // What `RETURNING` gives out is checked against the foreign keys only at the statement's end.
        while writes && self.watched(sql, rows.next())?.is_some() {}
        Ok(found)
    }

    /// All rows that `sql` yields, each read by `f`. The statement bounds their number with `LIMIT`, unless what it
    /// reads is bounded already.
    ///
    /// # Errors
    /// As [`ReadTx::row`].
    pub fn rows<T>(
        &self,
        sql: &'static str,
        params: &[&dyn ToColumn],
        mut f: impl FnMut(&Row<'_>) -> Result<T, Broken>,
    ) -> Result<Vec<T>, Broken> {
        let mut statement = self.prepare(sql, params)?;
        let mut rows = statement.raw_query();
        let mut found = Vec::new();
        while let Some(row) = self.watched(sql, rows.next())? {
            found.push(f(&self.view(sql, row))?);
        }
        Ok(found)
    }

    fn view<'r>(&'r self, sql: &'static str, row: &'r rusqlite::Row<'r>) -> Row<'r> {
        Row {
            row,
            sql,
            first_error: self.first_error,
        }
    }

    fn prepare(
        &self,
        sql: &'static str,
        params: &[&dyn ToColumn],
    ) -> Result<CachedStatement<'c>, Broken> {
        let mut statement = self.watched(sql, self.conn.prepare_cached(sql))?;
        let expected = statement.parameter_count();
        if expected != params.len() {
            let given = params.len();
            let text = format!("{given} parameters where {expected} are expected in: {sql}");
            return Err(self.first_error.note(Fault::of_use(text)));
        }
        for (n, param) in params.iter().enumerate() {
            let value = param.to_column().into_sqlite();
            self.watched(sql, statement.raw_bind_parameter(n + 1, value))?;
        }
        Ok(statement)
    }

    fn watched<T>(&self, sql: &str, result: rusqlite::Result<T>) -> Result<T, Broken> {
        result.map_err(|error| self.first_error.note(Fault::new(&error, sql)))
    }
}

impl<'c> Tx<'c> {
    pub(in crate::store) fn new(read: ReadTx<'c>, entropy: &'c Entropy) -> Tx<'c> {
        Tx { read, entropy }
    }

    /// Runs a statement that changes something. The number of rows it changed is the verdict: a guard in its
    /// `WHERE` that did not hold shows as 0.
    ///
    /// # Errors
    /// [`Broken`] if SQLite refuses; a broken constraint is a bug here, not a verdict.
    pub fn run(&self, sql: &'static str, params: &[&dyn ToColumn]) -> Result<usize, Broken> {
        let mut statement = self.prepare(sql, params)?;
        self.watched(sql, statement.raw_execute())
    }

    /// `N` random bytes.
    pub fn random<const N: usize>(&self) -> [u8; N] {
        self.entropy.bytes()
    }

    /// The first thing that went wrong in this transaction, whatever its closure made of it.
    pub(in crate::store) fn first_error(&self) -> Option<Fault> {
        self.first_error.get()
    }
}

impl<'c> Deref for Tx<'c> {
    type Target = ReadTx<'c>;

    fn deref(&self) -> &ReadTx<'c> {
        &self.read
    }
}

/// What went wrong on a connection since it was last asked: the gravest, and of equals the first.
#[derive(Default)]
pub(in crate::store) struct FirstError(RefCell<Option<Fault>>);

impl FirstError {
    fn note(&self, fault: Fault) -> Broken {
        let broken = fault.broken.clone();
        let mut noted = self.0.borrow_mut();
        let outweighs = |held: &Fault| fault.is_fatal() && !held.is_fatal();
        if noted.as_ref().is_none_or(outweighs) {
            *noted = Some(fault);
        }
        broken
    }

    fn get(&self) -> Option<Fault> {
        self.0.borrow().clone()
    }

    pub fn take(&self) -> Option<Fault> {
        self.0.borrow_mut().take()
    }

    pub fn fatal(&self) -> Option<Fault> {
        self.get().filter(Fault::is_fatal)
    }
}

/// One row of an answer.
pub struct Row<'r> {
    row: &'r rusqlite::Row<'r>,
    sql: &'static str,
    first_error: &'r FirstError,
}

impl Row<'_> {
    /// The column numbered `column`, from 0.
    ///
    /// # Errors
    /// [`Broken::Database`] if there is no such column or it holds something else: a mistake in the statement, or
    /// a file that was edited by hand.
    pub fn get<T: FromColumn>(&self, column: usize) -> Result<T, Broken> {
        let value = self
            .row
            .get_ref(column)
            .map_err(|error| self.first_error.note(Fault::new(&error, self.sql)))?;
        Value::from_sqlite(value)
            .and_then(T::from_column)
            .ok_or_else(|| {
                let (sql, held, wanted) = (self.sql, value.data_type(), std::any::type_name::<T>());
                let text = format!("column {column} holds {held} that is no {wanted} in: {sql}");
                self.first_error.note(Fault::of_use(text))
            })
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;
    use crate::ids::{FamilyId, SessionKey};
    use crate::store::params;
    use crate::store::sqlite::testing::Place;

    /// What comes back of a value that went through SQLite.
    fn returned<T>(value: impl ToColumn + Send + 'static) -> Result<T, Broken>
    where
        T: FromColumn + Send + 'static,
    {
        let place = Place::new();
        let store = place.open();
        let answer = store.read(|tx| tx.row("SELECT ?1", params![value], |row| row.get(0)));
        answer.map(|row| row.expect("one row"))
    }

    #[test]
    fn values_come_back_as_they_went() {
        assert_eq!(returned(true), Ok(true));
        assert_eq!(returned(u32::MAX), Ok(u32::MAX));
        assert_eq!(returned(i64::MIN), Ok(i64::MIN));
        assert_eq!(returned("Grüße"), Ok("Grüße".to_owned()));
        assert_eq!(returned([7_u8; 16]), Ok([7_u8; 16]));
        assert_eq!(returned(None::<i64>), Ok(None::<i64>));
        assert_eq!(returned(Some(7_i64)), Ok(Some(7_i64)));
        assert_eq!(
            returned(Timestamp::from_unix(-1)),
            Ok(Timestamp::from_unix(-1))
        );
        assert_eq!(
            returned(SessionKey::from_row(9)),
            Ok(SessionKey::from_row(9))
        );
        let id = FamilyId::from_bytes([3; 16]);
        assert_eq!(returned(id), Ok(id));
        for address in ["192.0.2.7", "2001:db8::7"] {
            let address: IpAddr = address.parse().unwrap();
            assert_eq!(returned(address), Ok(address));
        }
        let dressed: IpAddr = "::ffff:192.0.2.7".parse().unwrap();
        assert_eq!(returned::<Vec<u8>>(dressed), Ok(vec![192, 0, 2, 7]));
    }

    #[test]
    fn a_column_that_holds_something_else_is_an_error() {
        for broken in [
            returned::<bool>(2_i64).err(),
            returned::<u32>(-1_i64).err(),
            returned::<i64>("7").err(),
            returned::<String>(7_i64).err(),
            returned::<[u8; 16]>([7_u8; 15]).err(),
            returned::<i64>(None::<i64>).err(),
            returned::<IpAddr>([7_u8; 5]).err(),
        ] {
            let Some(Broken::Database(text)) = broken else {
                panic!("{broken:?}")
            };
            assert!(text.contains("column 0 holds"), "{text}");
        }
    }

    #[test]
    fn parameters_are_counted() {
        let place = Place::new();
        let store = place.open();
        let broken = store.read(|tx| tx.row("SELECT ?1, ?2", params![1_i64], |_| Ok(())));
        assert!(matches!(broken, Err(Broken::Database(text)) if text.starts_with("1 parameters")));
    }

    #[test]
    fn what_returning_gives_out_was_checked() {
        let place = Place::new();
        let store = place.open();
        let broken = store.write(|tx| {
            tx.row(
                "INSERT INTO event (at, kind, account_id) VALUES (0, '', 12345) RETURNING id",
                params![],
                |row| row.get::<i64>(0),
            )
        });
        assert!(matches!(broken, Err(Broken::Database(text)) if text.contains("FOREIGN KEY")));
    }
}
