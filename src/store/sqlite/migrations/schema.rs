//! Whether a file has the schema that its version says, and nothing else.
//!
//! A database file can contain programs: triggers and views run with the statements of authd. A file that an attacker
//! prepared could copy a new signing key into a column that the attacker can read, or keep sessions from ending. Every
//! connection has triggers and views switched off ([`harden`](crate::store::sqlite::connection::harden)). Besides that, a file whose tables
//! and indexes are not exactly those of its version is refused, before it is migrated or served.
//!
//! The statistics tables of `ANALYZE` (`sqlite_stat1`, `sqlite_stat4`) are allowed: they only choose between query plans.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use rusqlite::Connection;

use crate::store::OpenError;
use crate::store::sqlite::error::sqlite_error;

/// The tables that `ANALYZE` creates, as SQLite defines them. The definition is compared too: a row of `sqlite_schema` with
/// such a name can define a trigger, because SQLite goes by the definition and not by the type or the name.
const STATISTICS: [(&str, &str); 2] = [
    ("sqlite_stat1", "CREATE TABLE sqlite_stat1(tbl,idx,stat)"),
    (
        "sqlite_stat4",
        "CREATE TABLE sqlite_stat4(tbl,idx,neq,nlt,ndlt,sample)",
    ),
];

/// Each object of a schema: its type and name, and its table and definition. A damaged or hostile schema can have several
/// rows with the same type and name, all of which SQLite reads.
type Objects = BTreeMap<(String, String), Vec<(String, Vec<String>)>>;

/// Compares the schema of the file at `path` with the one of `version`.
///
/// # Errors
/// [`OpenError::OtherSchema`] with the first difference.
pub(in crate::store::sqlite) fn check(
    path: &Path,
    conn: &Connection,
    version: i64,
) -> Result<(), OpenError> {
    let failed = |error: rusqlite::Error| sqlite_error(path, &error);
    let expected = expected(version).map_err(failed)?;
    let found = objects(conn).map_err(failed)?;
    let difference =
        first_difference(&expected, &found).or(shared_root_page(conn).map_err(failed)?);
    match difference {
        None => Ok(()),
        Some(what) => Err(OpenError::OtherSchema {
            path: path.to_owned(),
            what,
        }),
    }
}

fn expected(version: i64) -> rusqlite::Result<Objects> {
    let conn = Connection::open_in_memory()?;
    super::build_version(&conn, version)?;
    objects(&conn)
}

fn first_difference(expected: &Objects, found: &Objects) -> Option<String> {
    for (key @ (kind, name), definition) in found {
        match expected.get(key) {
            None => return Some(format!("{kind} {name} is not part of it")),
            Some(known) if known != definition => {
                return Some(format!("{kind} {name} is defined differently"));
            }
            Some(_) => {}
        }
    }
    let missing = expected.keys().find(|key| !found.contains_key(key));
    missing.map(|(kind, name)| format!("{kind} {name} is missing"))
}

/// Two tables or indexes that are stored in the same pages: one would be read and written through the other.
fn shared_root_page(conn: &Connection) -> rusqlite::Result<Option<String>> {
    let mut statement =
        conn.prepare("SELECT name, rootpage FROM sqlite_schema WHERE rootpage <> 0")?;
    let mut rows = statement.query([])?;
    let mut pages = BTreeSet::new();
    while let Some(row) = rows.next()? {
        if !pages.insert(row.get::<_, i64>(1)?) {
            let name: String = row.get(0)?;
            return Ok(Some(format!("{name} shares its pages with another table")));
        }
    }
    Ok(None)
}

fn objects(conn: &Connection) -> rusqlite::Result<Objects> {
    let mut statement = conn.prepare("SELECT type, name, tbl_name, sql FROM sqlite_schema")?;
    let mut rows = statement.query([])?;
    let mut objects = Objects::new();
    while let Some(row) = rows.next()? {
        let name: String = row.get(1)?;
        // An index that belongs to UNIQUE or PRIMARY KEY has no text.
        let sql: Option<String> = row.get(3)?;
        let sql = sql.unwrap_or_default();
        if STATISTICS.contains(&(&name, &sql)) {
            continue;
        }
        let definition = tokens(&sql);
        let same_name = objects.entry((row.get(0)?, name)).or_default();
        same_name.push((row.get(2)?, definition));
    }
    Ok(objects)
}

/// The tokens of a definition, without comments and white space. A name in double quotes counts as the name, because
/// SQLite quotes the name of a table that was renamed (double quotes never delimit text here, see
/// [`harden`](crate::store::sqlite::connection::harden)).
fn tokens(sql: &str) -> Vec<String> {
    let mut tokens = Vec::new();
    let mut rest = sql;
    while let Some(first) = rest.chars().next() {
        let length = match first {
            _ if rest.starts_with("--") => rest.find('\n').unwrap_or(rest.len()),
            _ if rest.starts_with("/*") => rest[2..].find("*/").map_or(rest.len(), |end| end + 4),
            '\'' | '"' | '`' => quoted_length(rest, first),
            '[' => rest.find(']').map_or(rest.len(), |end| end + 1),
            c if is_word(c) => rest.find(|c| !is_word(c)).unwrap_or(rest.len()),
            c => c.len_utf8(),
        };
        let (token, after) = rest.split_at(length);
        rest = after;
        let is_comment = token.starts_with("--") || token.starts_with("/*");
        if is_comment || first.is_ascii_whitespace() {
            continue;
        }
        let name = token
            .strip_prefix('"')
            .and_then(|name| name.strip_suffix('"'))
            .filter(|name| !name.is_empty() && name.chars().all(is_word));
        tokens.push(name.unwrap_or(token).to_owned());
    }
    tokens
}

fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_' || c == '$' || !c.is_ascii()
}

/// The length of a text in quotes, in which a doubled quote stands for one.
fn quoted_length(text: &str, quote: char) -> usize {
    let mut inside = text.char_indices().skip(1);
    while let Some((at, c)) = inside.next() {
        if c == quote && !text[at + 1..].starts_with(quote) {
            return at + 1;
        }
        if c == quote {
            inside.next();
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::sqlite::migrations::{MIGRATIONS, VERSION};
    use crate::store::testing::TestDatabase;

    #[test]
    fn comments_and_white_space_are_no_part_of_a_definition() {
        let plain = tokens("CREATE TABLE t (a TEXT CHECK (a <> '--'), b)");
        let other = "CREATE /* a; */ TABLE \"t\" ( a TEXT -- why\n CHECK(a<>'--'),b )";
        assert_eq!(tokens(other), plain);
        for changed in [
            "CREATE TABLE t (a TEXT CHECK (a <> '-- '), b)",
            "CREATE TABLE t (a TEXT CHECK (a <> '--''), b)",
            "CREATE TABLE t (a TEXT CHECK (a <> '--'), b) /*",
        ] {
            assert_eq!(
                tokens(changed) == plain,
                changed.ends_with("/*"),
                "{changed}"
            );
        }
    }

    #[test]
    fn every_version_has_its_own_schema() {
        for version in 1..=VERSION {
            let conn = Connection::open_in_memory().unwrap();
            for step in MIGRATIONS.iter().take(version as usize) {
                conn.execute_batch(step).unwrap();
            }
            check(Path::new("it"), &conn, version).unwrap();
            assert!(check(Path::new("it"), &conn, version - 1).is_err());
        }
        assert!(check(Path::new("it"), &Connection::open_in_memory().unwrap(), 99).is_err());
    }

    #[test] // finding 16
    fn a_file_with_anything_else_in_its_schema_is_refused_unchanged() {
        for (sql, named) in [
            (
                "CREATE TRIGGER t AFTER UPDATE ON account BEGIN SELECT 1; END",
                "trigger t",
            ),
            (
                "CREATE VIEW v AS SELECT private_key FROM signing_key",
                "view v",
            ),
            ("CREATE TABLE other (id INTEGER) STRICT", "table other"),
            ("CREATE INDEX other ON event (kind)", "index other"),
            (
                "ALTER TABLE account ADD COLUMN other TEXT DEFAULT 'x'",
                "table account",
            ),
            (
                "ALTER TABLE session RENAME TO other",
                "is defined differently",
            ),
        ] {
            let database = TestDatabase::new();
            drop(database.open());
            database.other_connection().execute_batch(sql).unwrap();
            let before = std::fs::read(&database.path).unwrap();
            let refusal = database.refusal();
            assert!(
                matches!(refusal, OpenError::OtherSchema { .. }),
                "{refusal}"
            );
            assert!(refusal.to_string().contains(named), "{refusal}");
            assert!(std::fs::read(&database.path).unwrap() == before, "{sql}");
        }
    }

    #[test] // finding 16: writable_schema lets two tables share their pages
    fn a_table_that_is_stored_in_the_pages_of_another_is_refused() {
        let database = TestDatabase::new();
        drop(database.open());
        let other = database.other_connection();
        other
            .execute_batch(
                "PRAGMA writable_schema = ON;
                 UPDATE sqlite_schema SET rootpage =
                     (SELECT rootpage FROM sqlite_schema WHERE name = 'signing_key')
                 WHERE name = 'throttle'",
            )
            .unwrap();
        drop(other);
        assert!(matches!(
            database.refusal(),
            OpenError::OtherSchema { .. } | OpenError::Damaged { .. }
        ));
    }

    #[test] // finding 16: SQLite reads both rows
    fn a_second_row_with_the_name_of_a_table_is_a_difference() {
        let conn = Connection::open_in_memory().unwrap();
        super::super::build_version(&conn, VERSION).unwrap();
        conn.execute_batch(
            "CREATE TRIGGER t AFTER INSERT ON client BEGIN SELECT 1; END;
             PRAGMA writable_schema = ON;
             UPDATE sqlite_schema SET rowid = -1, type = 'table', name = 'client' WHERE name = 't'",
        )
        .unwrap();
        let found = objects(&conn).unwrap();
        let difference = first_difference(&expected(VERSION).unwrap(), &found);
        assert_eq!(
            difference.as_deref(),
            Some("table client is defined differently")
        );
    }

    #[test] // finding 16: writable_schema gives a trigger any name and type
    fn a_trigger_with_the_name_of_a_statistics_table_is_refused() {
        for kind in ["trigger", "table"] {
            let database = TestDatabase::new();
            drop(database.open());
            let other = database.other_connection();
            other
                .execute_batch(
                    "CREATE TRIGGER t AFTER INSERT ON client BEGIN SELECT 1; END;
                     PRAGMA writable_schema = ON",
                )
                .unwrap();
            let sql = "UPDATE sqlite_schema SET type = ?1, name = 'sqlite_stat1',
                       sql = replace(sql, 'TRIGGER t', 'TRIGGER sqlite_stat1') WHERE name = 't'";
            assert_eq!(other.execute(sql, [kind]).unwrap(), 1);
            drop(other);
            let refusal = database.refusal();
            let is_expected = match &refusal {
                OpenError::OtherSchema { what, .. } => what.contains("sqlite_stat1"),
                OpenError::Damaged { .. } => kind == "table",
                _ => false,
            };
            assert!(is_expected, "{kind}: {refusal}");
        }
    }

    #[test]
    fn statistics_of_sqlite_are_allowed() {
        let database = TestDatabase::new();
        drop(database.open());
        database
            .other_connection()
            .execute_batch("ANALYZE")
            .unwrap();
        database.open().add("ann").unwrap();
    }

    #[test] // finding 16: also if one gets in while the database is open
    fn no_connection_runs_a_trigger_or_a_view() {
        let database = TestDatabase::new();
        let store = database.open();
        database
            .other_connection()
            .execute_batch(
                "CREATE TRIGGER t AFTER INSERT ON client BEGIN UPDATE client SET name = 'x'; END;
                 CREATE VIEW v AS SELECT 1 AS one",
            )
            .unwrap();
        store.add("ann").unwrap();
        let names = store.read(|tx| {
            tx.rows("SELECT name FROM client", crate::store::params![], |row| {
                row.get::<String>(0)
            })
        });
        assert_eq!(names, Ok(vec![String::new()]));
        let view = store.read(|tx| {
            tx.row("SELECT one FROM v", crate::store::params![], |row| {
                row.get::<i64>(0)
            })
        });
        assert!(view.is_err(), "{view:?}");
    }
}
