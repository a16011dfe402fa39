//! A look at a database from outside, and one inside, that change nothing: for an operator who wonders what is wrong.
//!
//! [`Store::open`](crate::store::Store::open) brings a file up to date, begins its WAL and refuses what it can't serve. Here
//! the file is read and nothing else: no migration, no checkpoint, no byte of it or of its WAL is written, whether or
//! not a server runs on it. What is found is told as facts; what they mean, is for the caller to say.
//!
//! *A file at rest is opened as immutable*, so that SQLite makes neither WAL nor index beside it. One with a WAL is
//! read through it, as it is by every other process; where no server runs, its index may be left behind then, which
//! the next start makes anew anyway.
//!
//! *Whether a server runs* is asked by taking its lock for an instant, shared, so that two who look don't see each
//! other. A server that starts in that very instant is told that another one runs, and starts at the next try.

use std::fs::{self, File, TryLockError};
use std::io::{self, Read as _};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};
use rustix::fs::{StatVfsMountFlags, statfs, statvfs};

use crate::clock::Timestamp;
use crate::store::error::{Broken, Fault};
use crate::store::sqlite::migrations::VERSION;
use crate::store::sqlite::open::{self, Filesystem, Held, OpenError, beside};
use crate::store::sqlite::readers;
use crate::store::tx::{FirstError, ReadTx};

/// How long another process that is just then recovering the file is waited for.
const PATIENCE: Duration = Duration::from_secs(5);

/// What a database and its surroundings look like from outside.
#[derive(Clone, Debug)]
pub struct Inspection {
    /// The database, without symbolic links.
    pub path: PathBuf,
    /// The directory that it is in, or would be.
    pub directory: FileInfo,
    /// The database and the files that belong to it, as far as they exist; the database is the first.
    pub files: Vec<FileInfo>,
    /// What kind of file system they are on.
    pub file_system: Filesystem,
    /// Whether that is mounted read-only.
    pub is_read_only: bool,
    /// Bytes that are left on it.
    pub available: u64,
    /// The server that has the file, if there is one.
    pub server: Option<Serving>,
}

/// A file or a directory, from outside.
#[derive(Clone, Debug)]
pub struct FileInfo {
    /// Where it is.
    pub path: PathBuf,
    /// The permission bits: `0o600`.
    pub mode: u32,
    /// The number of the user who owns it.
    pub owner: u32,
    /// Bytes.
    pub size: u64,
}

/// A server that has a file.
#[derive(Clone, Copy, Debug)]
pub struct Serving {
    /// The number of its process, if it could be read.
    pub process: Option<u32>,
}

impl Inspection {
    /// FileInfo at the database at `path`, which need not exist; its directory must.
    ///
    /// # Errors
    /// What can't be looked at.
    pub fn of(path: &Path) -> Result<Inspection, OpenError> {
        let path = open::resolve(path)?;
        let directory = path.parent().unwrap_or(Path::new("/"));
        let failed = |path: &Path, error: io::Error| open::refused(path, "looking at it", &error);
        let mut files = Vec::new();
        for suffix in ["", "-wal", "-shm", ".lock"] {
            let file = beside(&path, suffix);
            match fs::metadata(&file) {
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
        let asked = |error: rustix::io::Errno| {
            open::refused(directory, "asking for its file system", &error.into())
        };
        let kind = statfs(directory).map_err(asked)?;
        let space = statvfs(directory).map_err(asked)?;
        Ok(Inspection {
            server: serving(&beside(&path, ".lock"))?,
            directory: FileInfo::new(directory.to_owned(), &found),
            files,
            file_system: Filesystem::of(kind.f_type as u64 & 0xffff_ffff),
            is_read_only: space.f_flag.contains(StatVfsMountFlags::RDONLY),
            available: space.f_bavail.saturating_mul(space.f_frsize),
            path,
        })
    }

    /// The database itself, if it is there and not empty: a server that was killed at its first start may have left an
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

/// Who holds the lock.
fn serving(lock: &Path) -> Result<Option<Serving>, OpenError> {
    let opened = fs::metadata(lock).and_then(|found| match found.is_file() {
        true => File::open(lock),
        // Opening a FIFO would wait for somebody to write to it.
        false => Err(io::Error::other("it is not a file")),
    });
    let mut file = match opened {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(open::refused(lock, "opening it", &error)),
    };
    match file.try_lock_shared() {
        // Let go of when the file is closed, which is now.
        Ok(()) => Ok(None),
        Err(TryLockError::WouldBlock) => {
            let mut text = String::new();
            let read = file.by_ref().take(20).read_to_string(&mut text);
            let process = read.ok().and_then(|_| text.trim().parse().ok());
            Ok(Some(Serving { process }))
        }
        Err(TryLockError::Error(error)) => Err(open::refused(lock, "asking for it", &error)),
    }
}

/// A database that is open for looking only.
pub struct ReadOnlyDatabase {
    conn: Connection,
    path: PathBuf,
    version: i64,
    _held: Held,
}

impl ReadOnlyDatabase {
    /// Opens the database that was looked at from outside, and reads who made it.
    ///
    /// # Errors
    /// Why a server would not take it either: it is damaged, another program's, a backup, of a newer release.
    pub fn open(inspection: &Inspection) -> Result<ReadOnlyDatabase, OpenError> {
        let path = inspection.path.clone();
        let held = Held::take(&path)?;
        let has_wal = fs::metadata(beside(&path, "-wal")).is_ok_and(|wal| wal.len() > 0);
        let is_at_rest = !has_wal && inspection.server.is_none();
        let told = |error: rusqlite::Error| open::told(&path, &error);
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY
            | OpenFlags::SQLITE_OPEN_NO_MUTEX
            | OpenFlags::SQLITE_OPEN_URI;
        let conn = Connection::open_with_flags(uri(&path, is_at_rest), flags).map_err(told)?;
        conn.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)
            .and_then(|_| conn.busy_timeout(PATIENCE))
            .and_then(|()| readers::harden(&conn))
            .map_err(told)?;
        let number = |pragma: &str| {
            conn.pragma_query_value(None, pragma, |row| row.get::<_, i64>(0))
                .map_err(told)
        };
        open::check_id(&path, number("application_id")?)?;
        let version = number("user_version")?;
        if version > VERSION {
            return Err(OpenError::Newer {
                path,
                found: version,
            });
        }
        Ok(ReadOnlyDatabase {
            conn,
            path,
            version,
            _held: held,
        })
    }

    /// The version of its schema, and the one that this release brings every file to.
    pub fn versions(&self) -> (i64, i64) {
        (self.version, VERSION)
    }

    /// Checks every page, which takes a second or so for each 100 MiB.
    ///
    /// # Errors
    /// [`OpenError::Damaged`] with what was found first.
    pub fn check_pages(&self) -> Result<(), OpenError> {
        let verdict: String = self
            .conn
            .query_row("PRAGMA quick_check(1)", [], |row| row.get(0))
            .map_err(|error| open::told(&self.path, &error))?;
        match verdict.as_str() {
            "ok" => Ok(()),
            _ => Err(OpenError::Damaged {
                path: self.path.clone(),
                what: verdict,
            }),
        }
    }

    /// Runs `f` on a snapshot, with `now` as its instant.
    ///
    /// # Errors
    /// What `f` returns, or the [`Broken`] that it met.
    pub fn read<T, E: From<Broken>>(
        &self,
        now: Timestamp,
        f: impl FnOnce(&ReadTx<'_>) -> Result<T, E>,
    ) -> Result<T, E> {
        // Ends with the value, however this does.
        let _snapshot = self
            .conn
            .unchecked_transaction()
            .map_err(|error| Fault::new(&error, "BEGIN").broken)?;
        f(&ReadTx::new(&self.conn, &FirstError::default(), now))
    }
}

/// The path as SQLite reads it in a URI (<https://sqlite.org/uri.html>).
fn uri(path: &Path, is_at_rest: bool) -> String {
    let mut uri = "file:".to_owned();
    for byte in path.as_os_str().as_bytes() {
        match byte {
            b'/' | b'.' | b'-' | b'_' => uri.push(char::from(*byte)),
            byte if byte.is_ascii_alphanumeric() => uri.push(char::from(*byte)),
            byte => uri += &format!("%{byte:02X}"),
        }
    }
    if is_at_rest {
        uri += "?immutable=1";
    }
    uri
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::sqlite::testing::{Place, START, add_event, found};

    /// Every file of the place with its bytes.
    fn everything(place: &Place) -> Vec<(PathBuf, Vec<u8>)> {
        let entries = fs::read_dir(place.path.parent().unwrap()).unwrap();
        let paths = entries.map(|entry| entry.unwrap().path());
        let mut files: Vec<_> = paths
            .map(|path| (path.clone(), fs::read(path).unwrap()))
            .collect();
        files.sort();
        files
    }

    fn look(place: &Place) -> ReadOnlyDatabase {
        let database = ReadOnlyDatabase::open(&Inspection::of(&place.path).unwrap()).unwrap();
        database.check_pages().unwrap();
        let events: i64 = database
            .read(START, |tx| -> Result<i64, Broken> {
                let counted = tx.row("SELECT count(*) FROM event", &[], |row| row.get(0))?;
                Ok(counted.unwrap_or(0))
            })
            .unwrap();
        assert_eq!(events, 1);
        database
    }

    #[test]
    fn a_file_at_rest_is_read_and_nothing_is_left_beside_it() {
        let place = Place::new();
        let store = place.open();
        store.write(found).unwrap();
        store.write(|tx| add_event(tx, 10)).unwrap();
        drop(store);
        let before = everything(&place);
        drop(look(&place));
        assert!(everything(&place) == before);
        assert!(Inspection::of(&place.path).unwrap().server.is_none());
    }

    #[test]
    fn a_served_file_is_read_through_its_wal() {
        let place = Place::new();
        let store = place.open();
        store.write(found).unwrap();
        store.write(|tx| add_event(tx, 10)).unwrap();
        let inspection = Inspection::of(&place.path).unwrap();
        let server = inspection.server.unwrap();
        assert_eq!(server.process, Some(std::process::id()));
        assert_eq!(inspection.files.len(), 4);
        let before = store.foreign_changes();
        drop(look(&place));
        store.housekeep();
        assert_eq!(store.foreign_changes(), before);
    }

    #[test]
    fn an_older_file_stays_of_its_version() {
        let place = Place::new();
        let store = place.open();
        store.write(found).unwrap();
        store.write(|tx| add_event(tx, 10)).unwrap();
        drop(store);
        let older = place.stranger();
        older.pragma_update(None, "user_version", 1).unwrap();
        older
            .pragma_update_and_check(None, "journal_mode", "DELETE", |_| Ok(()))
            .unwrap();
        drop(older);
        let before = everything(&place);
        assert_eq!(look(&place).versions(), (1, VERSION));
        assert!(everything(&place) == before);
    }

    #[test]
    fn what_is_not_there_is_told_and_not_made() {
        let place = Place::new();
        let inspection = Inspection::of(&place.path).unwrap();
        assert!(inspection.database().is_none() && inspection.files.is_empty());
        assert!(matches!(
            Inspection::of(&place.path.join("below")),
            Err(OpenError::NoDirectory(_))
        ));
        assert!(everything(&place).is_empty());
        fs::write(&place.path, "").unwrap();
        assert!(Inspection::of(&place.path).unwrap().database().is_none());
        fs::write(&place.path, "not a database").unwrap();
        let inspection = Inspection::of(&place.path).unwrap();
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
