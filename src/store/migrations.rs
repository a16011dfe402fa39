//! How a file of an older release becomes one of today.
//!
//! [`SCHEMA`] is the database as it is today, and what a new file is built from. [`MIGRATIONS`] is how every
//! earlier release's file gets there: an append-only list, of which entry *n* leads from version *n* to
//! *n + 1*. The version is SQLite's `user_version`. An entry that has been released is never edited; each
//! runs in one transaction together with the change of the version, so a kill between two of them leaves a file
//! of a known release. A test builds a file both ways and compares.

use rusqlite::Connection;

/// Today's schema.
pub(super) const SCHEMA: &str = include_str!("../../schema.sql");

/// The steps, from the empty file on.
pub(super) const MIGRATIONS: &[&str] = &[include_str!("migrations/0001.sql")];

/// Today's version of the schema: the length of the list.
pub(super) const VERSION: i64 = MIGRATIONS.len() as i64;

/// What SQLite stores in the header of a file of ours, so that `file` and we know it from others': "athd".
pub(super) const APPLICATION_ID: i32 = i32::from_be_bytes(*b"athd");

/// Builds today's schema in an empty file, in one transaction. The file must not be in WAL mode yet: an authd
/// file carries its application id from its first page on, so that the header alone tells what it is.
pub(super) fn build(conn: &Connection) -> rusqlite::Result<()> {
    transact(conn, SCHEMA, VERSION)
}

/// Takes a file from `version` to today's.
pub(super) fn migrate(conn: &Connection, version: i64) -> rusqlite::Result<()> {
    // Rebuilding a table that others refer to needs this, and it can't be set inside a transaction.
    conn.pragma_update(None, "foreign_keys", false)?;
    for (step, to) in MIGRATIONS.iter().zip(1..).filter(|(_, to)| *to > version) {
        transact(conn, step, to)?;
    }
    conn.pragma_update(None, "foreign_keys", true)
}

fn transact(conn: &Connection, sql: &str, version: i64) -> rusqlite::Result<()> {
    let transaction =
        rusqlite::Transaction::new_unchecked(conn, rusqlite::TransactionBehavior::Immediate)?;
    transaction.execute_batch(sql)?;
    transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
    transaction.pragma_update(None, "user_version", version)?;
    transaction.commit()
}
