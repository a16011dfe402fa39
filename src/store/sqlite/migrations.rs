//! Today's schema, and how a file of an older release gets it.
//!
//! [`SCHEMA`] is the schema of today. A new file is built from it. [`MIGRATIONS`] is how the file of every earlier release
//! gets there: an append-only list, of which entry *n* leads from version *n* to *n + 1*. The version is SQLite's
//! `user_version`. A released entry is never edited. Each runs in one transaction together with the change of the version,
//! so a kill between two of them leaves the file of a known release. A test builds a file both ways and compares.
//!
//! To change the schema: edit `schema.sql`, add `migrations/NNNN.sql` with the statements that lead there, and append it to
//! the list. The statements run with foreign keys off, so that a table can be rebuilt.

pub(super) mod schema;

use rusqlite::Connection;

/// Today's schema.
pub(super) const SCHEMA: &str = include_str!("../../../schema.sql");

/// The steps, from the empty file on.
pub(super) const MIGRATIONS: &[&str] = &[
    include_str!("migrations/0001.sql"),
    include_str!("migrations/0002.sql"),
    include_str!("migrations/0003.sql"),
    include_str!("migrations/0004.sql"),
    include_str!("migrations/0005.sql"),
    include_str!("migrations/0006.sql"),
    include_str!("migrations/0007.sql"),
];

/// Today's schema version: the length of the list.
pub(in crate::store) const VERSION: i64 = MIGRATIONS.len() as i64;

/// The application id in the header of an authd database, by which `file` and authd recognise it: "athd".
pub(super) const APPLICATION_ID: i32 = i32::from_be_bytes(*b"athd");

/// The application id of a backup, which is not to be served: "athb".
pub(super) const BACKUP_ID: i32 = i32::from_be_bytes(*b"athb");

/// Builds today's schema in an empty file, in one transaction. The file must not be in WAL mode yet: then it has its
/// application id from its first page on, and the header alone says what it is.
pub(super) fn build(conn: &Connection) -> rusqlite::Result<()> {
    transact(conn, SCHEMA, VERSION)
}

/// Builds the schema of `version` in an empty file.
pub(super) fn build_version(conn: &Connection, version: i64) -> rusqlite::Result<()> {
    if version == VERSION {
        return conn.execute_batch(SCHEMA);
    }
    let steps = MIGRATIONS.iter().zip(1..);
    steps
        .filter(|(_, to)| *to <= version)
        .try_for_each(|(step, _)| conn.execute_batch(step))
}

/// Brings a file from `version` to today's.
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::testing::TestDatabase;

    /// What a schema says, without comments and without regard to white space and order.
    fn outline(conn: &Connection) -> Vec<String> {
        let mut statement = conn
            .prepare("SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL")
            .unwrap();
        let texts = statement
            .query_map([], |row| row.get::<_, String>(0))
            .unwrap();
        let mut outline: Vec<String> = texts
            .map(|text| {
                let text = text.unwrap();
                let bare = text
                    .lines()
                    .map(|line| line.split("--").next().unwrap_or_default());
                let words = bare.collect::<Vec<_>>().join(" ");
                let words = words.split_whitespace().collect::<Vec<_>>().join(" ");
                // SQLite writes a space before a column that was added, and quotes around the name of a renamed table.
                let words = words.replace(" ,", ",").replace(" )", ")");
                words.replace('"', "")
            })
            .collect();
        outline.sort();
        outline
    }

    #[test]
    fn a_new_file_and_a_migrated_one_have_the_same_schema() {
        let new = Connection::open_in_memory().unwrap();
        build(&new).unwrap();
        let migrated = Connection::open_in_memory().unwrap();
        migrate(&migrated, 0).unwrap();
        assert!(!outline(&new).is_empty());
        assert_eq!(outline(&new), outline(&migrated));
        for conn in [&new, &migrated] {
            let version: i64 = conn
                .pragma_query_value(None, "user_version", |row| row.get(0))
                .unwrap();
            assert_eq!(version, VERSION);
        }
    }

    #[test]
    fn waiting_messages_survive_the_rebuild_of_their_table() {
        let conn = Connection::open_in_memory().unwrap();
        for (step, to) in MIGRATIONS.iter().take(2).zip(1..) {
            transact(&conn, step, to).unwrap();
        }
        conn.execute_batch(
            "INSERT INTO account (id, public_id, email, email_key, admin, password_temporary, created_at)
             VALUES (1, zeroblob(16), 'Ann@x.org', 'ann@x.org', 0, 0, 0);
             INSERT INTO outbox VALUES (7, zeroblob(16), 1, 'password_changed', NULL, NULL, 10, 2, 40);",
        )
        .unwrap();
        migrate(&conn, 2).unwrap();
        let kept: (i64, String, i64, Option<String>) = conn
            .query_row("SELECT id, topic, due_at, email FROM outbox", [], |row| {
                Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))
            })
            .unwrap();
        assert_eq!(kept, (7, "password_changed".to_owned(), 40, None));
    }

    #[test]
    fn every_table_is_strict() {
        let conn = Connection::open_in_memory().unwrap();
        build(&conn).unwrap();
        let lax = "SELECT count(*) FROM pragma_table_list
                   WHERE schema = 'main' AND NOT strict AND name NOT LIKE 'sqlite_%'";
        assert_eq!(
            conn.query_row(lax, [], |row| row.get::<_, i64>(0)).unwrap(),
            0
        );
    }

    #[test] // a sweep deletes hundreds of rows in one transaction, while other writes wait
    fn no_deletion_reads_every_row_of_another_table() {
        // Operators create invitations by hand, and clients are never deleted.
        let is_few = |table: &str, parent: &str| table == "invitation" || parent == "client";
        let conn = Connection::open_in_memory().unwrap();
        build(&conn).unwrap();
        let mut statement = conn
            .prepare(
                "SELECT t.name, f.\"table\", f.\"from\" FROM pragma_table_list t
                 JOIN pragma_foreign_key_list(t.name) f WHERE t.schema = 'main' ORDER BY 1, 3",
            )
            .unwrap();
        let references = statement
            .query_map([], |row| {
                Ok([row.get(0)?, row.get(1)?, row.get::<_, String>(2)?])
            })
            .unwrap();
        let references: Vec<[String; 3]> = references.map(Result::unwrap).collect();
        assert!(references.len() > 10);
        for [table, parent, column] in references {
            if is_few(&table, &parent) {
                continue;
            }
            let plan: String = conn
                .query_row(
                    &format!("EXPLAIN QUERY PLAN SELECT 1 FROM {table} WHERE {column} = ?1"),
                    [1],
                    |row| row.get(3),
                )
                .unwrap();
            assert!(plan.starts_with("SEARCH"), "{table}.{column}: {plan}");
        }
    }

    #[test]
    fn a_migration_is_atomic() {
        let conn = Connection::open_in_memory().unwrap();
        let broken =
            "CREATE TABLE half (id INTEGER) STRICT; CREATE TABLE half (id INTEGER) STRICT;";
        assert!(transact(&conn, broken, 1).is_err());
        assert!(outline(&conn).is_empty());
        let version: i64 = conn
            .pragma_query_value(None, "user_version", |row| row.get(0))
            .unwrap();
        assert_eq!(version, 0);
    }

    #[test]
    fn a_file_has_an_application_id_and_is_in_wal_mode() {
        let database = TestDatabase::new();
        database.open();
        let header = std::fs::read(&database.path).unwrap();
        assert_eq!(&header[68..72], b"athd");
        let journal = database
            .other_connection()
            .pragma_query_value(None, "journal_mode", |row| row.get::<_, String>(0))
            .unwrap();
        assert_eq!(journal, "wal");
    }
}
