//! The seam between the service and the database: five methods.
//!
//! A closure that is given to [`Store::read`](super::Store::read) gets a [`ReadTx`], one given to
//! [`Store::write`](super::Store::write) a [`Tx`]. SQL is a literal beside the rule that it serves. Each statement is
//! prepared once for each connection. No statement inside a closure can begin or end a transaction, set a savepoint or a
//! pragma, attach a file or change the schema: the connection refuses to prepare it.
//!
//! **An error is final.** If one of these methods returns a [`Broken`], the closure is rolled back, even if the closure
//! ignores the error. So half of a transaction is never committed because an error was overlooked. What can fail in normal
//! operation is written in SQL (`ON CONFLICT DO NOTHING`, a guard in `WHERE`) and shows in the number of rows.

use std::ops::Deref;

use super::column::{FromColumn, ToColumn};
use super::error::Broken;
use super::space::{Gauge, Shortage};
use super::sqlite::{Connection, RawRow, SqliteError};
use crate::clock::Timestamp;
use crate::entropy::Entropy;

/// One consistent snapshot of the database, and the time by which it is judged.
pub struct ReadTx<'c> {
    /// *tx.now*: the same for the whole transaction.
    pub now: Timestamp,
    conn: &'c Connection,
}

/// A transaction that may write. It reads what it wrote.
pub struct Tx<'c> {
    read: ReadTx<'c>,
    entropy: &'c Entropy,
    gauge: &'c Gauge,
}

impl<'c> ReadTx<'c> {
    pub(super) fn new(conn: &'c Connection, now: Timestamp) -> ReadTx<'c> {
        ReadTx { now, conn }
    }

    /// The first row that `sql` yields, read by `f`; `None` if there is none.
    ///
    /// # Errors
    /// [`Broken`] if the database or `f` returns an error.
    pub fn row<T>(
        &self,
        sql: &'static str,
        params: &[&dyn ToColumn],
        f: impl FnOnce(&Row<'_>) -> Result<T, Broken>,
    ) -> Result<Option<T>, Broken> {
        self.conn.row(sql, params, |raw| f(&Row(raw)))
    }

    /// All rows that `sql` yields, each read by `f`. Bound their number with `LIMIT` in the statement, unless what it
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
        self.conn.rows(sql, params, |raw| f(&Row(raw)))
    }
}

impl<'c> Tx<'c> {
    pub(super) fn new(read: ReadTx<'c>, entropy: &'c Entropy, gauge: &'c Gauge) -> Tx<'c> {
        Tx {
            read,
            entropy,
            gauge,
        }
    }

    /// Runs a statement that changes something and returns the number of rows that it changed. The number is the
    /// verdict: it is 0 if a guard in `WHERE` did not hold.
    ///
    /// # Errors
    /// [`Broken`] if the database returns an error. A violated constraint is a bug of the caller, not a verdict.
    pub fn run(&self, sql: &'static str, params: &[&dyn ToColumn]) -> Result<usize, Broken> {
        self.conn.run(sql, params)
    }

    /// `N` random bytes.
    pub fn random<const N: usize>(&self) -> [u8; N] {
        self.entropy.bytes()
    }

    /// What there is too little of for rows that strangers cause, with what this transaction has written.
    ///
    /// # Errors
    /// [`Broken`] if the database returns an error.
    pub fn shortage(&self) -> Result<Option<Shortage>, Broken> {
        if self.gauge.has_bound() {
            self.gauge.set_used(self.conn.used_bytes()?);
        }
        Ok(self.gauge.shortage())
    }

    /// The first error of this transaction, whatever its closure made of it.
    pub(super) fn first_error(&self) -> Option<SqliteError> {
        self.conn.first_error()
    }
}

impl<'c> Deref for Tx<'c> {
    type Target = ReadTx<'c>;

    fn deref(&self) -> &ReadTx<'c> {
        &self.read
    }
}

/// One row of a result.
pub struct Row<'r>(RawRow<'r>);

impl Row<'_> {
    /// The value of the column numbered `column`, from 0.
    ///
    /// # Errors
    /// [`Broken::Database`] if there is no such column or its value is of another type: a mistake in the statement, or a
    /// file that was edited by hand.
    pub fn get<T: FromColumn>(&self, column: usize) -> Result<T, Broken> {
        self.0.get(column)
    }
}

/// Parameters of a statement, in the order of `?1`, `?2` and so on.
macro_rules! params {
    ($($value:expr),* $(,)?) => {
        &[$(&$value as &dyn $crate::store::ToColumn),*]
    };
}
pub(crate) use params;
