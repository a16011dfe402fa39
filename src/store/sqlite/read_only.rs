//! A look at a database that changes nothing, for an operator who wants to know what is wrong.
//!
//! [`Store::open`](crate::store::Store::open) migrates a file, begins its WAL and refuses what it can't serve. Here the file
//! is only read: no migration, no checkpoint, and no byte of the file or of its WAL is written, whether or not a server uses
//! it. The results are facts; the caller says what they mean.
//!
//! **A file that no process uses is opened as immutable**, so that SQLite creates neither WAL nor index beside it. A file
//! with a WAL is read through the WAL. If no server runs, the index may be left behind then; the next start creates it anew.

use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use rusqlite::OpenFlags;
use rusqlite::config::DbConfig;
use rustix::fs::{StatVfsMountFlags, statvfs};

use super::connection::{Connection, harden, pragma};
use super::error::{SqliteError, sqlite_error, system_error};
use super::file::{
    Filesystem, Held, beside, check_companions, check_id, check_placement, check_version,
    directory_of, resolve,
};
use super::lock::Lock;
use super::migrations::{VERSION, schema};
use super::open::{OPENING_PATIENCE, quick_check};
use crate::clock::Timestamp;
use crate::store::{Broken, OpenError, ReadTx};

/// A database and its surroundings, seen from outside.
#[derive(Clone, Debug)]
pub struct Inspection {
    /// The database, without symbolic links.
    pub path: PathBuf,
    /// The directory that it is in, or would be in.
    pub directory: FileInfo,
    /// The database and the files that belong to it, as far as they exist; the database is the first.
    pub files: Vec<FileInfo>,
    /// The kind of file system that they are on.
    pub file_system: Filesystem,
    /// Whether that is mounted read-only.
    pub is_read_only: bool,
    /// Free space on it, in bytes.
    pub available: u64,
    /// Its size, in bytes.
    pub capacity: u64,
    /// The server that uses the database, if one runs.
    pub server: Option<RunningServer>,
}

/// A file or a directory, seen from outside.
#[derive(Clone, Debug)]
pub struct FileInfo {
    /// Its path.
    pub path: PathBuf,
    /// The permission bits: `0o600`.
    pub mode: u32,
    /// The id of the user who owns it.
    pub owner: u32,
    /// Its size in bytes.
    pub size: u64,
}

/// A server that uses a database.
#[derive(Clone, Copy, Debug)]
pub struct RunningServer {
    /// Its process id, if that could be read.
    pub process: Option<u32>,
}

impl Inspection {
    /// Inspects the database at `path`. The file need not exist; its directory must.
    ///
    /// # Errors
    /// What can't be examined.
    pub fn of(path: &Path) -> Result<Inspection, OpenError> {
        let path = resolve(path)?;
        let directory = directory_of(&path);
        let failed = |path: &Path, error: io::Error| system_error(path, "reading it", &error);
        let mut files = Vec::new();
        for suffix in ["", "-wal", "-shm", ".lock"] {
            let file = beside(&path, suffix);
            match fs::symlink_metadata(&file) {
                Ok(found) if suffix.is_empty() && !found.is_file() => {
                    return Err(OpenError::NotAFile(path));
                }
                Ok(found) => files.push(FileInfo::new(file, &found)),
                Err(error) if error.kind() == io::ErrorKind::NotFound && suffix.is_empty() => break,
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(failed(&file, error)),
            }
        }
        let found = fs::metadata(directory).map_err(|error| failed(directory, error))?;
        let space = statvfs(directory).map_err(|error| {
            system_error(directory, "asking for its file system", &error.into())
        })?;
        let server = match Lock::holder(&path) {
            Ok(holder) => holder.map(|process| RunningServer { process }),
            // A lock file that this user can't open: its owner and permissions are in the result.
            Err(OpenError::ReadOnly(_)) => None,
            Err(error) => return Err(error),
        };
        Ok(Inspection {
            server,
            directory: FileInfo::new(directory.to_owned(), &found),
            files,
            file_system: Filesystem::under(directory)?,
            is_read_only: space.f_flag.contains(StatVfsMountFlags::RDONLY),
            available: space.f_bavail.saturating_mul(space.f_frsize),
            capacity: space.f_blocks.saturating_mul(space.f_frsize),
            path,
        })
    }

    /// Whether the file is where a server accepts it.
    ///
    /// # Errors
    /// [`OpenError::MountPoint`], [`OpenError::SeveralNames`]
    pub fn check_placement(&self) -> Result<(), OpenError> {
        check_placement(&self.path)
    }

    /// The database itself, if it exists and is not empty. A server that was killed during its first start may have left an
    /// empty file, which the next one fills.
    pub fn database(&self) -> Option<&FileInfo> {
        self.files.first().filter(|database| database.size > 0)
    }
}

impl FileInfo {
    fn new(path: PathBuf, found: &fs::Metadata) -> FileInfo {
        FileInfo {
            path,
            mode: found.mode() & 0o7777,
            owner: found.uid(),
            size: found.len(),
        }
    }
}

/// A database that is open for reading only.
pub struct ReadOnlyDatabase {
    conn: Connection,
    path: PathBuf,
    version: i64,
    _held: Held,
}

impl ReadOnlyDatabase {
    /// Opens the database that was inspected, and reads which program and release wrote it.
    ///
    /// # Errors
    /// Why a server would not open it either: it is damaged, of another program, a backup, or of a newer release.
    pub fn open(inspection: &Inspection) -> Result<ReadOnlyDatabase, OpenError> {
        let path = inspection.path.clone();
        let held = Held::take(&path)?;
        let has_wal = fs::metadata(beside(&path, "-wal")).is_ok_and(|wal| wal.len() > 0);
        let is_unused = !has_wal && inspection.server.is_none();
        check_companions(&path)?;
        let refuse = |error: rusqlite::Error| sqlite_error(&path, &error);
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY
            | OpenFlags::SQLITE_OPEN_NO_MUTEX
            | OpenFlags::SQLITE_OPEN_NOFOLLOW
            | OpenFlags::SQLITE_OPEN_URI;
        let conn =
            rusqlite::Connection::open_with_flags(uri(&path, is_unused), flags).map_err(refuse)?;
        conn.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)
            .and_then(|_| conn.busy_timeout(OPENING_PATIENCE))
            .and_then(|()| harden(&conn))
            .map_err(refuse)?;
        check_id(&path, pragma(&conn, "application_id").map_err(refuse)?)?;
        let version = pragma(&conn, "user_version").map_err(refuse)?;
        check_version(&path, version)?;
        let conn = Connection::new(conn, false).map_err(refuse)?;
        Ok(ReadOnlyDatabase {
            conn,
            path,
            version,
            _held: held,
        })
    }

    /// Its schema version, and the one that this release brings every file to.
    pub fn versions(&self) -> (i64, i64) {
        (self.version, VERSION)
    }

    /// How many bytes of it are in use: pages that are free inside it don't count.
    ///
    /// # Errors
    /// [`Broken`] if it can't be read.
    pub fn used_bytes(&self) -> Result<u64, Broken> {
        self.conn.used_bytes()
    }

    /// Compares its schema with the one of its version.
    ///
    /// # Errors
    /// [`OpenError::OtherSchema`] with the first difference.
    pub fn check_schema(&self) -> Result<(), OpenError> {
        schema::check(&self.path, self.conn.raw(), self.version)
    }

    /// Checks every page, which takes about a second for each 100 MiB.
    ///
    /// # Errors
    /// [`OpenError::Damaged`] with the first thing that was found.
    pub fn check_pages(&self) -> Result<(), OpenError> {
        quick_check(&self.path, self.conn.raw())
    }

    /// Runs `f` on a snapshot, with `now` as its time.
    ///
    /// # Errors
    /// What `f` returns, or the [`Broken`] that it got.
    pub fn read<T, E: From<Broken>>(
        &self,
        now: Timestamp,
        f: impl FnOnce(&ReadTx<'_>) -> Result<T, E>,
    ) -> Result<T, E> {
        // Ends with the value, however this function ends.
        let _snapshot = self
            .conn
            .raw()
            .unchecked_transaction()
            .map_err(|error| SqliteError::new(&error, "BEGIN").broken)?;
        let answer = self.conn.restricted(|| f(&ReadTx::new(&self.conn, now)));
        match self.conn.take_first_error() {
            Some(error) if answer.is_ok() => Err(error.broken.into()),
            _ => answer,
        }
    }
}

/// The path as SQLite reads it in a URI (<https://sqlite.org/uri.html>).
fn uri(path: &Path, is_unused: bool) -> String {
    let mut uri = "file:".to_owned();
    for byte in path.as_os_str().as_bytes() {
        match byte {
            b'/' | b'.' | b'-' | b'_' => uri.push(char::from(*byte)),
            byte if byte.is_ascii_alphanumeric() => uri.push(char::from(*byte)),
            byte => uri += &format!("%{byte:02X}"),
        }
    }
    if is_unused {
        uri += "?immutable=1";
    }
    uri
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::testing::{START, TestDatabase, add_event, create_server_row};

    /// Every file of the directory with its bytes.
    fn everything(database: &TestDatabase) -> Vec<(PathBuf, Vec<u8>)> {
        let entries = fs::read_dir(database.path.parent().unwrap()).unwrap();
        let paths = entries.map(|entry| entry.unwrap().path());
        let mut files: Vec<_> = paths
            .map(|path| (path.clone(), fs::read(path).unwrap()))
            .collect();
        files.sort();
        files
    }

    fn open(database: &TestDatabase) -> ReadOnlyDatabase {
        let opened = ReadOnlyDatabase::open(&Inspection::of(&database.path).unwrap()).unwrap();
        opened.check_pages().unwrap();
        let events: i64 = opened
            .read(START, |tx| -> Result<i64, Broken> {
                let counted = tx.row("SELECT count(*) FROM event", &[], |row| row.get(0))?;
                Ok(counted.unwrap_or(0))
            })
            .unwrap();
        assert_eq!(events, 1);
        opened
    }

    #[test]
    fn an_unused_file_is_read_and_nothing_is_left_beside_it() {
        let database = TestDatabase::new();
        let store = database.open();
        store.write(create_server_row).unwrap();
        store.write(|tx| add_event(tx, 10)).unwrap();
        drop(store);
        let before = everything(&database);
        drop(open(&database));
        assert!(everything(&database) == before);
        assert!(Inspection::of(&database.path).unwrap().server.is_none());
    }

    #[test]
    fn a_served_file_is_read_through_its_wal() {
        let database = TestDatabase::new();
        let store = database.open();
        store.write(create_server_row).unwrap();
        store.write(|tx| add_event(tx, 10)).unwrap();
        let inspection = Inspection::of(&database.path).unwrap();
        let server = inspection.server.unwrap();
        assert_eq!(server.process, Some(std::process::id()));
        assert_eq!(inspection.files.len(), 4);
        let before = store.foreign_changes();
        drop(open(&database));
        store.maintain();
        assert_eq!(store.foreign_changes(), before);
    }

    #[test]
    fn an_older_file_is_not_migrated() {
        let database = TestDatabase::new();
        let store = database.open();
        store.write(create_server_row).unwrap();
        store.write(|tx| add_event(tx, 10)).unwrap();
        drop(store);
        let older = database.other_connection();
        older.pragma_update(None, "user_version", 1).unwrap();
        older
            .pragma_update_and_check(None, "journal_mode", "DELETE", |_| Ok(()))
            .unwrap();
        drop(older);
        let before = everything(&database);
        assert_eq!(open(&database).versions(), (1, VERSION));
        assert!(everything(&database) == before);
    }

    #[test]
    fn a_missing_file_is_reported_and_not_created() {
        let database = TestDatabase::new();
        let inspection = Inspection::of(&database.path).unwrap();
        assert!(inspection.database().is_none() && inspection.files.is_empty());
        assert!(matches!(
            Inspection::of(&database.path.join("below")),
            Err(OpenError::NoDirectory(_))
        ));
        assert!(everything(&database).is_empty());
        fs::write(&database.path, "").unwrap();
        assert!(Inspection::of(&database.path).unwrap().database().is_none());
        fs::write(&database.path, "not a database").unwrap();
        let inspection = Inspection::of(&database.path).unwrap();
        assert!(matches!(
            ReadOnlyDatabase::open(&inspection),
            Err(OpenError::Damaged { .. })
        ));
    }

    #[test]
    fn a_path_is_never_taken_for_a_parameter() {
        let uri = uri(Path::new("/a b/odd?mode=memory#x%20.db"), true);
        assert_eq!(
            uri,
            "file:/a%20b/odd%3Fmode%3Dmemory%23x%2520.db?immutable=1"
        );
    }
}
