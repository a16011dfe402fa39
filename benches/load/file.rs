//! What the database file itself says, while nobody serves it.

use std::path::Path;

use rusqlite::Connection;

use crate::Result;

/// The sum of all families' generations: each rotation adds one.
pub fn generations(db: &Path) -> Result<i64> {
    let conn = Connection::open(db)?;
    Ok(
        conn.query_row("SELECT sum(generation) FROM refresh_family", [], |row| {
            row.get(0)
        })?,
    )
}

/// The size of the file, with everything in it: when nobody has it open, there is no WAL.
pub fn bytes(db: &Path) -> Result<u64> {
    Ok(db.metadata()?.len())
}

/// The bytes of each table that grows with sessions, with its indexes.
pub fn bytes_by_table(db: &Path) -> Result<Vec<(String, i64)>> {
    let conn = Connection::open(db)?;
    let mut statement = conn.prepare(
        "SELECT m.tbl_name, sum(s.pgsize) FROM dbstat s JOIN sqlite_schema m ON m.name = s.name \
         WHERE s.aggregate = 1 AND m.tbl_name IN ('session', 'refresh_family', 'event') \
         GROUP BY m.tbl_name ORDER BY m.tbl_name",
    )?;
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}
