//! Opening a database, or creating it.
//!
//! A file that can't be served is refused with a sentence that says what to do, and is left byte for byte as it was. So the
//! checks go from the outside to the inside: the library, the directory, the file system, whether the file is mounted alone
//! or has a second name, the lock, the first 100 bytes of the file (read without SQLite, which might begin to recover it),
//! the files beside it. Only then SQLite opens the file, with the checkpoint at closing switched off until everything else
//! is found to be in order.
//!
//! **A file is whole or absent.** A new database is built under another name and renamed when it is complete. Otherwise a
//! kill during the first start would leave a file that is neither empty nor a database, and the server would refuse it from
//! then on.
//!
//! **How much of a file is checked.** Always: the header, the schema and the row of `server`. The pages
//! (`PRAGMA quick_check`) only as far as a start stays quick: in files up to [`ALWAYS_CHECKED`] at each start, and up to
//! [`CHECKED_AFTER_CRASH`] if the last server did not stop in order. In a larger file a bad page is found when it is read,
//! which stops the process, or by a backup, which checks what it copies.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::Connection;
use rusqlite::config::DbConfig;

use super::connection::{self, PAGE_SIZE, pragma};
use super::error::{sqlite_error, system_error};
use super::file::{
    Held, OpenFiles, beside, check_filesystem, check_id, check_placement, check_version,
    directory_of, name_kept_by_restore, remove_if_there, resolve, sync_directory_of,
};
use super::lock::Lock;
use super::migrations::{self, VERSION, schema};
use crate::store::{OpenError, OpenWarning, Options, Role};

/// The first SQLite without the WAL-reset bug, which could lose pages when two connections ran checkpoints at the same time.
const OLDEST_LIBRARY: i32 = 3_051_003;

/// Up to this size in bytes, all pages are checked at each start: 16,000 sessions, a few milliseconds.
const ALWAYS_CHECKED: u64 = 8 << 20;

/// Up to this size in bytes, all pages are checked at a start after a crash: well below a second.
const CHECKED_AFTER_CRASH: u64 = 64 << 20;

/// How long to wait for another process that is recovering or closing the file.
pub(super) const OPENING_PATIENCE: Duration = Duration::from_secs(5);

/// A database that is in order, open for writing.
pub(in crate::store) struct Opened {
    pub conn: Connection,
    pub path: PathBuf,
    pub files: OpenFiles,
    pub held: Held,
    /// A server holds it for as long as it runs.
    pub lock: Option<Lock>,
    pub warning: Option<OpenWarning>,
}

/// Checks everything, in the order that the module's text gives, and opens the file.
pub(in crate::store) fn open(path: &Path, options: &Options) -> Result<Opened, OpenError> {
    check_library(rusqlite::version_number(), rusqlite::version())?;
    let path = resolve(path)?;
    let warning = check_filesystem(directory_of(&path), options.accept_network_filesystem)?;
    check_placement(&path)?;
    let lock = match options.role {
        Role::Server => Some(Lock::take(&path)?),
        Role::Command => None,
    };
    if lock.is_some()
        && let Some(name) = name_kept_by_restore(&path)
    {
        // The restore was interrupted before it replaced the file: this is no old file, but the database itself.
        remove_if_there(&name).map_err(|error| system_error(&name, "deleting it", &error))?;
    }
    match fs::metadata(&path) {
        Ok(found) if !found.is_file() => return Err(OpenError::NotAFile(path)),
        Ok(found) if found.len() > 0 => {}
        Ok(_) => create(&path, options.role)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => create(&path, options.role)?,
        Err(error) => return Err(system_error(&path, "reading it", &error)),
    }
    let held = Held::take(&path)?;
    let crashed = fs::metadata(beside(&path, "-wal")).is_ok_and(|wal| wal.len() > 0);
    let conn = connect(&path, options.role, crashed)?;
    let files =
        OpenFiles::of(&path).map_err(|error| system_error(&path, "reading its WAL", &error))?;
    Ok(Opened {
        conn,
        path,
        files,
        held,
        lock,
        warning,
    })
}

fn check_library(number: i32, name: &'static str) -> Result<(), OpenError> {
    if number < OLDEST_LIBRARY {
        return Err(OpenError::LibraryTooOld { found: name });
    }
    Ok(())
}

/// Creates a database in one step: it is built under another name and renamed when it is complete. A kill leaves a draft
/// that the next start deletes.
fn create(path: &Path, role: Role) -> Result<(), OpenError> {
    if role == Role::Command {
        return Err(OpenError::NoDatabase(path.to_owned()));
    }
    let draft = beside(path, "-draft");
    let begin = || -> io::Result<File> {
        for leftover in ["", "-journal", "-wal", "-shm"] {
            remove_if_there(&beside(&draft, leftover))?;
        }
        // Only the owner can read it, whatever the umask. SQLite gives the WAL the same mode.
        let file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&draft)?;
        file.set_permissions(fs::Permissions::from_mode(0o600))?;
        Ok(file)
    };
    let file = begin().map_err(|error| system_error(path, "creating it", &error))?;
    fill(&draft)?;
    let publish = || -> io::Result<()> {
        // SQLite would play back into the new file what an empty file of that name left behind.
        for leftover in ["-journal", "-wal", "-shm"] {
            remove_if_there(&beside(path, leftover))?;
        }
        file.sync_all()?;
        fs::rename(&draft, path)?;
        sync_directory_of(path)
    };
    publish().map_err(|error| system_error(path, "creating it", &error))
}

/// Makes the empty file at `path` a database and closes it. Everything is in the one file then.
fn fill(path: &Path) -> Result<(), OpenError> {
    let conn = connection::open(path, OPENING_PATIENCE)?;
    let fill = || {
        conn.pragma_update(None, "page_size", PAGE_SIZE)?;
        // Lets the file shrink again (see the maintenance of the writer).
        conn.pragma_update(None, "auto_vacuum", "INCREMENTAL")?;
        migrations::build(&conn)?;
        conn.pragma_update_and_check(None, "journal_mode", "WAL", |_| Ok(()))
    };
    fill()
        .and_then(|()| conn.close().map_err(|(_, error)| error))
        .map_err(|error| sqlite_error(path, &error))
}

/// Opens the file with SQLite, checks what is inside, and migrates it.
fn connect(path: &Path, role: Role, crashed: bool) -> Result<Connection, OpenError> {
    let refuse = |error: rusqlite::Error| sqlite_error(path, &error);
    let conn = connection::open(path, OPENING_PATIENCE)?;
    // Until everything is found to be in order, closing must not copy the WAL into the file.
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)
        .map_err(refuse)?;
    let version = pragma(&conn, "user_version").map_err(refuse)?;
    check_id(path, pragma(&conn, "application_id").map_err(refuse)?)?;
    check_version(path, version)?;
    schema::check(path, &conn, version)?;
    if role == Role::Server {
        check_pages(path, &conn, crashed)?;
    }
    if version < VERSION {
        // A command may migrate the file only if no older server uses it.
        let _lock = match role {
            Role::Server => None,
            Role::Command => Some(Lock::take(path).map_err(|error| match error {
                OpenError::AlreadyServed { path, .. } => OpenError::Older {
                    path,
                    found: version,
                },
                error => error,
            })?),
        };
        migrations::migrate(&conn, version).map_err(refuse)?;
        schema::check(path, &conn, VERSION)?;
    }
    let read = || {
        conn.query_row("SELECT count(*) FROM server", [], |_| Ok(()))
            .map_err(refuse)
    };
    read()?;
    // A copy made with VACUUM INTO is in another mode. The WAL exists once something was read through it.
    conn.pragma_update_and_check(None, "journal_mode", "WAL", |_| Ok(()))
        .map_err(refuse)?;
    read()?;
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, false)
        .map_err(refuse)?;
    Ok(conn)
}

fn check_pages(path: &Path, conn: &Connection, crashed: bool) -> Result<(), OpenError> {
    let size = fs::metadata(path)
        .map_err(|error| system_error(path, "reading it", &error))?
        .len();
    let limit = if crashed {
        CHECKED_AFTER_CRASH
    } else {
        ALWAYS_CHECKED
    };
    if size > limit {
        return Ok(());
    }
    quick_check(path, conn)
}

/// Checks every page, which takes about a second for each 100 MiB.
///
/// # Errors
/// [`OpenError::Damaged`] with the first thing that was found.
pub(super) fn quick_check(path: &Path, conn: &Connection) -> Result<(), OpenError> {
    let verdict: String = conn
        .query_row("PRAGMA quick_check(1)", [], |row| row.get(0))
        .map_err(|error| sqlite_error(path, &error))?;
    match verdict.as_str() {
        "ok" => Ok(()),
        _ => Err(OpenError::Damaged {
            path: path.to_owned(),
            what: verdict,
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::testing::{OPTIONS, TestDatabase, add_event};

    const COMMAND: Options = Options {
        role: Role::Command,
        ..OPTIONS
    };

    #[test]
    fn an_old_library_is_refused() {
        assert!(check_library(3_051_003, "3.51.3").is_ok());
        assert!(check_library(3_053_002, "3.53.2").is_ok());
        let refusal = check_library(3_051_002, "3.51.2").unwrap_err();
        assert!(refusal.to_string().contains("3.51.3"));
    }

    #[test] // fault 5
    fn a_file_that_can_not_be_written_is_reported() {
        for kind in [
            io::ErrorKind::ReadOnlyFilesystem,
            io::ErrorKind::PermissionDenied,
        ] {
            let refusal = system_error(Path::new("authd.db"), "opening it", &kind.into());
            assert!(
                refusal.to_string().starts_with("authd.db can't be written"),
                "{refusal}"
            );
        }
    }

    #[test]
    fn a_command_creates_no_database() {
        let database = TestDatabase::new();
        assert!(matches!(
            database.refusal_with(COMMAND),
            OpenError::NoDatabase(_)
        ));
        assert!(!database.path.exists());
        fs::write(&database.path, "").unwrap();
        assert!(matches!(
            database.refusal_with(COMMAND),
            OpenError::NoDatabase(_)
        ));
    }

    #[test]
    fn a_directory_is_no_database() {
        let database = TestDatabase::new();
        fs::create_dir(&database.path).unwrap();
        assert!(matches!(database.refusal(), OpenError::NotAFile(_)));
    }

    /// The refusal, after which the file must be as it was before.
    fn refused_unchanged(database: &TestDatabase) -> OpenError {
        let before = fs::read(&database.path).unwrap();
        let refusal = database.refusal();
        assert!(
            fs::read(&database.path).unwrap() == before,
            "changed, with: {refusal}"
        );
        refusal
    }

    fn overwrite(path: &Path, at: usize, with: &[u8]) {
        let mut bytes = fs::read(path).unwrap();
        bytes[at..at + with.len()].copy_from_slice(with);
        fs::write(path, bytes).unwrap();
    }

    /// A closed database of about a hundred pages.
    fn filled() -> TestDatabase {
        let database = TestDatabase::new();
        let store = database.open();
        for _ in 0..200 {
            store.write(|tx| add_event(tx, 2000)).unwrap();
        }
        database
    }

    #[test] // fault 11
    fn a_newer_schema_is_refused() {
        let database = filled();
        database
            .other_connection()
            .pragma_update(None, "user_version", 99)
            .unwrap();
        let refusal = refused_unchanged(&database);
        assert!(
            matches!(refusal, OpenError::Newer { found: 99, .. }),
            "{refusal}"
        );
        assert!(matches!(
            database.refusal_with(COMMAND),
            OpenError::Newer { .. }
        ));
    }

    #[test] // fault 11: the newer release was killed, and its migration is still in the WAL
    fn a_newer_schema_in_the_wal_is_refused() {
        let database = filled();
        let newer = database.other_connection();
        newer
            .set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)
            .unwrap();
        newer.pragma_update(None, "user_version", 99).unwrap();
        drop(newer);
        let wal = fs::read(database.beside("-wal")).unwrap();
        let refusal = refused_unchanged(&database);
        assert!(
            matches!(refusal, OpenError::Newer { found: 99, .. }),
            "{refusal}"
        );
        assert!(fs::read(database.beside("-wal")).unwrap() == wal);
    }

    #[test]
    fn a_database_of_another_program_is_refused() {
        for id in [0, 7] {
            let database = TestDatabase::new();
            let other = database.other_connection();
            other
                .execute_batch("CREATE TABLE things (id INTEGER)")
                .unwrap();
            other.pragma_update(None, "application_id", id).unwrap();
            drop(other);
            let refusal = refused_unchanged(&database);
            assert!(matches!(refusal, OpenError::Foreign(_)), "{refusal}");
        }
    }

    #[test] // fault 7
    fn a_damaged_header_is_refused() {
        let database = filled();
        overwrite(&database.path, 0, b"not a database");
        let refusal = refused_unchanged(&database);
        assert!(refusal.to_string().contains("authd restore"), "{refusal}");
        fs::write(&database.path, "short").unwrap();
        assert!(matches!(
            refused_unchanged(&database),
            OpenError::Damaged { .. }
        ));
    }

    #[test] // fault 7
    fn a_damaged_page_is_refused() {
        for page in [1, 20, 60, 90] {
            let database = filled();
            overwrite(&database.path, page * PAGE_SIZE as usize, &[0xa5; 512]);
            let refusal = refused_unchanged(&database);
            assert!(
                matches!(refusal, OpenError::Damaged { .. }),
                "page {page}: {refusal}"
            );
            assert!(refusal.to_string().contains("authd restore"), "{refusal}");
        }
    }

    #[test] // fault 7
    fn a_file_that_was_cut_short_is_refused() {
        let database = filled();
        let mut bytes = fs::read(&database.path).unwrap();
        bytes.truncate(bytes.len() / 2);
        fs::write(&database.path, bytes).unwrap();
        assert!(matches!(
            refused_unchanged(&database),
            OpenError::Damaged { .. }
        ));
    }

    #[test]
    fn an_interrupted_creation_is_done_again() {
        let database = TestDatabase::new();
        fs::write(&database.path, "").unwrap();
        fs::write(database.beside("-journal"), "of the empty file").unwrap();
        fs::write(database.beside("-draft"), "half a database").unwrap();
        fs::write(database.beside("-draft-journal"), "and its journal").unwrap();
        database.open().add("ann").unwrap();
        assert_eq!(database.open().names(), ["ann"]);
        for leftover in ["-journal", "-draft", "-draft-journal"] {
            assert!(!database.beside(leftover).exists(), "{leftover}");
        }
        let mode = fs::metadata(&database.path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn a_copy_by_vacuum_into_is_opened() {
        for role in [Role::Server, Role::Command] {
            let (database, copy) = (filled(), TestDatabase::new());
            Connection::open(&database.path)
                .unwrap()
                .execute("VACUUM INTO ?1", [copy.path.to_str()])
                .unwrap();
            let store = copy.open_with(Options { role, ..OPTIONS });
            store.write(|tx| add_event(tx, 10)).unwrap();
        }
    }

    #[test]
    fn a_path_that_looks_like_a_uri_is_a_path() {
        let database = TestDatabase::new();
        let odd = database.path.with_file_name("file:odd?mode=memory");
        let options = OPTIONS;
        let opened = open(&odd, &options).unwrap();
        assert_eq!(opened.path.file_name(), odd.file_name());
        assert!(odd.exists());
    }
}
