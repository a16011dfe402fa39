//! What is looked at before a database is served, and in which order nothing can be harmed.
//!
//! A file that can't be served is refused with a sentence that says what to do, and is left byte for byte as it
//! was. So the look goes from the outside to the inside: the library, the directory, the file system, the
//! lock, the first 100 bytes of the file (read without SQLite, which might begin to recover it), and only then is
//! it opened, with the checkpoint at closing switched off until everything else was found to be in order.
//!
//! **One server for a file.** A server holds an advisory lock on `<file>.lock` for as long as it lives; the
//! kernel lets go of it however the process ends, so a kill leaves nothing to clean up. The lock file itself is
//! never deleted: two servers could then hold "the" lock on two files of the same name. Commands take no lock;
//! SQLite lets them work beside the server.
//!
//! **A file is whole or absent.** A new database is built under another name and renamed when it is complete.
//! Otherwise a kill at the first start, which for a new board is a plug that is pulled again, would leave a
//! file that is neither nothing nor a database, and the server would rightly refuse it from then on.
//!
//! **How much of a file is checked.** The header, the schema and the row of `server` always. The pages
//! (`PRAGMA quick_check`) only as far as a start stays quick: files up to [`ALWAYS_CHECKED`] at each start, and up
//! to [`CHECKED_AFTER_CRASH`] when the last server did not stop in order. In a larger file a bad page is found when it
//! is touched, which stops the process, or by a backup, which checks what it copies.
//!
//! **File systems.** The index of SQLite's WAL is memory shared between processes of one machine, and its locks
//! are POSIX locks; over NFS, SMB and 9p both are promises that nobody keeps, and the file is damaged for good
//! when they break. These are refused unless the operator insists. FUSE and virtiofs may be either, which
//! is worth a warning.
//!
//! **POSIX locks and descriptors.** When a process closes any descriptor of a file, it loses all its POSIX
//! locks on that file, also those that SQLite holds through another descriptor. Therefore the header is never read
//! while this process has the file open already ([`Held`]).

use std::collections::BTreeMap;
use std::fmt;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags};

use crate::store::sqlite::migrations::{self, APPLICATION_ID, BACKUP_ID, VERSION};
use crate::store::{Options, Role};

/// The first SQLite without the WAL-reset bug, which could lose pages when two connections checkpointed at the
/// same time.
const OLDEST_LIBRARY: i32 = 3_051_003;

/// SQLite's page, in bytes: the block of most file systems and flash translation layers, so that a page is
/// written without reading its neighbours first. It is fixed when a file is made.
pub(in crate::store) const PAGE_SIZE: u32 = 4096;

/// Up to this size all pages are checked at each start: 16,000 sessions, a few milliseconds.
const ALWAYS_CHECKED: u64 = 8 << 20;

/// Up to this size all pages are checked at a start after a crash: well below a second.
const CHECKED_AFTER_CRASH: u64 = 64 << 20;

/// How long opening waits for another process that is just then recovering or closing the file.
const OPENING_PATIENCE: Duration = Duration::from_secs(5);

/// Why a database was not opened. What is shown says what to do; nothing was changed.
#[derive(Debug)]
pub enum OpenError {
    /// The SQLite that this program runs with has a known bug.
    LibraryTooOld {
        /// Its version.
        found: &'static str,
    },
    /// There is no such directory.
    NoDirectory(PathBuf),
    /// There is no database, and a command does not make one.
    NoDatabase(PathBuf),
    /// The path leads to something that is not a file.
    NotAFile(PathBuf),
    /// The directory is on a file system that SQLite's locks don't work on.
    NetworkFilesystem {
        /// The directory.
        directory: PathBuf,
        /// The file system's name.
        kind: &'static str,
    },
    /// Another server has it.
    AlreadyServed {
        /// The database.
        path: PathBuf,
        /// The number of the other server's process, if it could be read.
        process: Option<u32>,
    },
    /// It is a SQLite database, but of another program.
    Foreign(PathBuf),
    /// It is a backup that was copied in: what has ended since would be alive again.
    Backup(PathBuf),
    /// It was written by a newer release.
    Newer {
        /// The database.
        path: PathBuf,
        /// The version of its schema.
        found: i64,
    },
    /// It is of an older release, whose server is still running.
    Older {
        /// The database.
        path: PathBuf,
        /// The version of its schema.
        found: i64,
    },
    /// It is damaged.
    Damaged {
        /// The database.
        path: PathBuf,
        /// What was found.
        what: String,
    },
    /// It can't be written.
    ReadOnly(PathBuf),
    /// Another process held it for too long.
    Busy(PathBuf),
    /// The system said no.
    System {
        /// The file or directory.
        path: PathBuf,
        /// What was attempted.
        attempt: &'static str,
        /// What the system said.
        error: String,
    },
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            OpenError::LibraryTooOld { found } => write!(
                f,
                "SQLite {found} can damage databases (its WAL-reset bug was mended in 3.51.3). Build authd with the \
                 SQLite that it brings along."
            ),
            OpenError::NoDirectory(path) => {
                write!(
                    f,
                    "There is no directory {}. Make it, or name another with --db.",
                    path.display()
                )
            }
            OpenError::NoDatabase(path) => write!(
                f,
                "There is no database {}. `authd serve` makes one; --db names another.",
                path.display()
            ),
            OpenError::NotAFile(path) => {
                write!(
                    f,
                    "{} is not a file. Name another with --db.",
                    path.display()
                )
            }
            OpenError::NetworkFilesystem { directory, kind } => write!(
                f,
                "{} is on {kind}, where SQLite's locks don't hold and databases get damaged. Put the database on a \
                 local disk, or, if only this machine ever opens it, set accept_network_filesystem = true.",
                directory.display()
            ),
            OpenError::AlreadyServed { path, process } => {
                write!(f, "Another authd serves {}", path.display())?;
                if let Some(process) = process {
                    write!(f, " (process {process})")?;
                }
                f.write_str(". Stop it first, or give this one another file with --db.")
            }
            OpenError::Foreign(path) => write!(
                f,
                "{} is a database of another program; it was not touched. Name another file with --db.",
                path.display()
            ),
            OpenError::Backup(path) => write!(
                f,
                "{} is a backup, in which sessions that have ended since are still alive. `authd restore --here` makes \
                 a database of it, with all of them ended; it was not touched.",
                path.display()
            ),
            OpenError::Newer { path, found } => write!(
                f,
                "{} was written by a newer authd (schema {found}; this one knows {VERSION}). Use that release; it was \
                 not touched.",
                path.display()
            ),
            OpenError::Older { path, found } => write!(
                f,
                "{} is of an older authd (schema {found} of {VERSION}) whose server is still running. Restart the \
                 server with this release first.",
                path.display()
            ),
            OpenError::Damaged { path, what } => write!(
                f,
                "{} is damaged ({what}); it was not touched. `authd restore BACKUP` puts a backup in its place and \
                 keeps the damaged file beside it.",
                path.display()
            ),
            OpenError::ReadOnly(path) => write!(
                f,
                "{} can't be written. Give this user the right to write the file and its directory, and see that the \
                 file system is not mounted read-only.",
                path.display()
            ),
            OpenError::Busy(path) => {
                write!(
                    f,
                    "Another program keeps {} locked. Close it, then try again.",
                    path.display()
                )
            }
            OpenError::System {
                path,
                attempt,
                error,
            } => {
                write!(f, "{}: {attempt} failed: {error}.", path.display())
            }
        }
    }
}

impl std::error::Error for OpenError {}

/// A database that was found to be in order, opened for writing.
pub(in crate::store) struct Opened {
    pub conn: Connection,
    pub path: PathBuf,
    pub files: Files,
    pub held: Held,
    /// Held by a server for as long as it runs.
    pub lock: Option<Lock>,
}

/// FileInfo at everything, in the order that the module's text gives, and opens the file.
pub(in crate::store) fn open(path: &Path, options: &Options) -> Result<Opened, OpenError> {
    check_library(rusqlite::version_number(), rusqlite::version())?;
    let path = resolve(path)?;
    let directory = path.parent().unwrap_or(Path::new("/"));
    check_filesystem(directory, options.accept_network_filesystem)?;
    let lock = match options.role {
        Role::Server => Some(Lock::take(&path)?),
        Role::Command => None,
    };
    match fs::metadata(&path) {
        Ok(found) if !found.is_file() => return Err(OpenError::NotAFile(path)),
        Ok(found) if found.len() > 0 => {}
        Ok(_) => make(&path, directory, options.role)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            make(&path, directory, options.role)?;
        }
        Err(error) => return Err(refused(&path, "looking at it", &error)),
    }
    let held = Held::take(&path)?;
    let crashed = fs::metadata(beside(&path, "-wal")).is_ok_and(|wal| wal.len() > 0);
    let conn = connect(&path, options, crashed)?;
    let files = Files::of(&path).map_err(|error| refused(&path, "looking at its WAL", &error))?;
    Ok(Opened {
        conn,
        path,
        files,
        held,
        lock,
    })
}

/// The name of a file that belongs to the database: `name` with `suffix`.
pub(in crate::store) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

fn check_library(number: i32, name: &'static str) -> Result<(), OpenError> {
    if number < OLDEST_LIBRARY {
        return Err(OpenError::LibraryTooOld { found: name });
    }
    Ok(())
}

/// The file's absolute path without symbolic links, so that it has one lock file whatever it is called, and
/// SQLite never takes the path for a URI.
pub(in crate::store) fn resolve(path: &Path) -> Result<PathBuf, OpenError> {
    match path.canonicalize() {
        Ok(found) => return Ok(found),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(refused(path, "looking for it", &error)),
    }
    if path.is_symlink() {
        return Err(OpenError::NotAFile(path.to_owned()));
    }
    let Some(name) = path.file_name() else {
        return Err(OpenError::NotAFile(path.to_owned()));
    };
    let directory = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    match directory.canonicalize() {
        Ok(directory) => Ok(directory.join(name)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            Err(OpenError::NoDirectory(directory.to_owned()))
        }
        Err(error) => Err(refused(directory, "looking for it", &error)),
    }
}

pub(in crate::store) fn check_filesystem(directory: &Path, accept: bool) -> Result<(), OpenError> {
    let found = rustix::fs::statfs(directory)
        .map_err(|error| refused(directory, "asking for its file system", &error.into()))?;
    match Filesystem::of(found.f_type as u64 & 0xffff_ffff) {
        Filesystem::Local => Ok(()),
        Filesystem::Network(kind) if !accept => Err(OpenError::NetworkFilesystem {
            directory: directory.to_owned(),
            kind,
        }),
        Filesystem::Network(kind) | Filesystem::Unknown(kind) => {
            let directory = directory.display();
            tracing::warn!("{directory} is on {kind}: the database is only safe if its locks hold");
            Ok(())
        }
    }
}

/// What kind of file system a database is on, as far as its locks go.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Filesystem {
    /// One of this machine.
    Local,
    /// One of this name on which SQLite's locks don't hold.
    Network(&'static str),
    /// What is behind it can't be told.
    Unknown(&'static str),
}

impl Filesystem {
    /// By the number that `statfs(2)` gives; they are listed in `linux/magic.h`.
    pub(in crate::store) fn of(magic: u64) -> Filesystem {
        match magic {
            0x6969 => Filesystem::Network("NFS"),
            0x517b | 0xff53_4d42 | 0xfe53_4d42 => Filesystem::Network("SMB"),
            0x0102_1997 => Filesystem::Network("9p"),
            // virtiofs is FUSE to the kernel.
            0x6573_5546 => Filesystem::Unknown("FUSE or virtiofs"),
            _ => Filesystem::Local,
        }
    }
}

/// Makes a database, in one step: it is built under another name and gets its own when it is complete. A kill in
/// between leaves a draft that the next start throws away, never a file that has to be understood.
fn make(path: &Path, directory: &Path, role: Role) -> Result<(), OpenError> {
    if role == Role::Command {
        return Err(OpenError::NoDatabase(path.to_owned()));
    }
    let draft = beside(path, "-draft");
    let attempt = || -> io::Result<()> {
        for leftover in ["", "-journal", "-wal", "-shm"] {
            remove_if_there(&beside(&draft, leftover))?;
        }
        // Only its owner can read it, whatever the umask. SQLite gives its WAL the same mode.
        let file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&draft)?;
        file.set_permissions(fs::Permissions::from_mode(0o600))
    };
    attempt().map_err(|error| refused(path, "making it", &error))?;
    fill(&draft).map_err(|error| told(path, &error))?;
    let publish = || -> io::Result<()> {
        // What an empty file of that name left behind would be played back into the new one.
        for leftover in ["-journal", "-wal", "-shm"] {
            remove_if_there(&beside(path, leftover))?;
        }
        File::open(&draft)?.sync_all()?;
        fs::rename(&draft, path)?;
        // The name must survive a power cut as well as what will be written under it.
        File::open(directory)?.sync_all()
    };
    publish().map_err(|error| refused(path, "making it", &error))
}

fn remove_if_there(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Makes the empty file at `path` a database of ours, and closes it: all of it is in the one file then.
fn fill(path: &Path) -> rusqlite::Result<()> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let conn = Connection::open_with_flags(path, flags)?;
    conn.pragma_update(None, "page_size", PAGE_SIZE)?;
    // Lets the file shrink again after a flood (see the housekeeping of the writer).
    conn.pragma_update(None, "auto_vacuum", "INCREMENTAL")?;
    migrations::build(&conn)?;
    conn.pragma_update_and_check(None, "journal_mode", "WAL", |_| Ok(()))?;
    conn.close().map_err(|(_, error)| error)
}

/// The lock that says which server a database belongs to.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

impl Lock {
    /// Takes the lock of the database at `path`, for as long as the value lives.
    ///
    /// # Errors
    /// [`OpenError::AlreadyServed`] if another process has it, [`OpenError::ReadOnly`] if the lock file can't be
    /// made.
    pub fn take(path: &Path) -> Result<Lock, OpenError> {
        let name = beside(&resolve(path)?, ".lock");
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&name)
            .map_err(|error| refused(&name, "making it", &error))?;
        match file.try_lock() {
            Ok(()) => {
                // For the message of whoever comes second; the lock itself is the kernel's.
                let noted = file
                    .set_len(0)
                    .and_then(|()| writeln!(file, "{}", std::process::id()));
                if let Err(error) = noted {
                    tracing::debug!(
                        "{}: the process number was not noted: {error}",
                        name.display()
                    );
                }
                Ok(Lock { _file: file })
            }
            Err(TryLockError::WouldBlock) => {
                let mut text = String::new();
                let process = match file.take(20).read_to_string(&mut text) {
                    Ok(_) => text.trim().parse().ok(),
                    Err(_) => None,
                };
                Err(OpenError::AlreadyServed {
                    path: path.to_owned(),
                    process,
                })
            }
            Err(TryLockError::Error(error)) => Err(refused(&name, "locking it", &error)),
        }
    }
}

/// Which files this process has open with SQLite, by device and inode, and how often.
static HELD: Mutex<BTreeMap<(u64, u64), usize>> = Mutex::new(BTreeMap::new());

/// That this process has a database open. While one of these lives, the file is opened by nobody but SQLite.
#[derive(Debug)]
pub(in crate::store) struct Held((u64, u64));

impl Held {
    /// FileInfo at the header, unless the file is open already and was looked at then.
    pub fn take(path: &Path) -> Result<Held, OpenError> {
        let inode = inode(path).map_err(|error| refused(path, "looking at it", &error))?;
        let mut held = Held::registry();
        if !held.contains_key(&inode) {
            check_header(path)?;
        }
        *held.entry(inode).or_default() += 1;
        Ok(Held(inode))
    }

    fn registry() -> MutexGuard<'static, BTreeMap<(u64, u64), usize>> {
        HELD.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let mut held = Held::registry();
        if let Some(count) = held.get_mut(&self.0) {
            *count -= 1;
            if *count == 0 {
                held.remove(&self.0);
            }
        }
    }
}

/// Reads the first 100 bytes (<https://sqlite.org/fileformat2.html>, §1.3).
fn check_header(path: &Path) -> Result<(), OpenError> {
    let mut header = Vec::new();
    OpenOptions::new()
        .read(true)
        .write(true)
        .open(path)
        .and_then(|file| file.take(100).read_to_end(&mut header))
        .map_err(|error| refused(path, "opening it", &error))?;
    let damaged = |what: &str| {
        Err(OpenError::Damaged {
            path: path.to_owned(),
            what: what.to_owned(),
        })
    };
    if header.len() < 100 {
        return damaged("it is shorter than a header");
    }
    if !header.starts_with(b"SQLite format 3\0") {
        return damaged("it does not begin like an SQLite database");
    }
    let number = |at: usize| {
        i32::from_be_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]])
    };
    check_id(path, number(68).into())?;
    let version = i64::from(number(60));
    if version > VERSION {
        return Err(OpenError::Newer {
            path: path.to_owned(),
            found: version,
        });
    }
    Ok(())
}

pub(in crate::store) fn check_id(path: &Path, id: i64) -> Result<(), OpenError> {
    let path = path.to_owned();
    match i32::try_from(id) {
        Ok(APPLICATION_ID) => Ok(()),
        Ok(BACKUP_ID) => Err(OpenError::Backup(path)),
        _ => Err(OpenError::Foreign(path)),
    }
}

/// Opens the file with SQLite and looks inside.
fn connect(path: &Path, options: &Options, crashed: bool) -> Result<Connection, OpenError> {
    let refuse = |error: rusqlite::Error| told(path, &error);
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let conn = Connection::open_with_flags(path, flags).map_err(refuse)?;
    // Until all is found well, closing must not move the WAL into the file.
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)
        .map_err(refuse)?;
    conn.busy_timeout(OPENING_PATIENCE).map_err(refuse)?;
    let number = |pragma: &str| {
        conn.pragma_query_value(None, pragma, |row| row.get::<_, i64>(0))
            .map_err(refuse)
    };
    let version = number("user_version")?;
    check_id(path, number("application_id")?)?;
    if version > VERSION {
        return Err(OpenError::Newer {
            path: path.to_owned(),
            found: version,
        });
    }
    if options.role == Role::Server {
        check_pages(path, &conn, crashed)?;
    }
    if version < VERSION {
        // A command may bring the file up to date only if no older server is running on it.
        let _lock = match options.role {
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
    }
    let look = || {
        conn.query_row("SELECT count(*) FROM server", [], |_| Ok(()))
            .map_err(refuse)
    };
    look()?;
    // A copy that was made with VACUUM INTO is in another mode; the WAL is there once something was read through it.
    conn.pragma_update_and_check(None, "journal_mode", "WAL", |_| Ok(()))
        .map_err(refuse)?;
    look()?;
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, false)
        .map_err(refuse)?;
    Ok(conn)
}

fn check_pages(path: &Path, conn: &Connection, crashed: bool) -> Result<(), OpenError> {
    let size = fs::metadata(path)
        .map_err(|error| refused(path, "looking at it", &error))?
        .len();
    let limit = if crashed {
        CHECKED_AFTER_CRASH
    } else {
        ALWAYS_CHECKED
    };
    if size > limit {
        return Ok(());
    }
    let verdict: String = conn
        .query_row("PRAGMA quick_check(1)", [], |row| row.get(0))
        .map_err(|error| told(path, &error))?;
    if verdict != "ok" {
        return Err(OpenError::Damaged {
            path: path.to_owned(),
            what: verdict,
        });
    }
    Ok(())
}

/// What an error of the system means to an operator.
pub(in crate::store) fn refused(
    path: &Path,
    attempt: &'static str,
    error: &io::Error,
) -> OpenError {
    match error.kind() {
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
            OpenError::ReadOnly(path.to_owned())
        }
        _ => OpenError::System {
            path: path.to_owned(),
            attempt,
            error: error.to_string(),
        },
    }
}

/// What an error of SQLite means to an operator.
pub(in crate::store) fn told(path: &Path, error: &rusqlite::Error) -> OpenError {
    let path = path.to_owned();
    match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => OpenError::Busy(path),
        Some(ErrorCode::ReadOnly) => OpenError::ReadOnly(path),
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => OpenError::Damaged {
            path,
            what: error.to_string(),
        },
        _ => OpenError::System {
            path,
            attempt: "opening the database",
            error: error.to_string(),
        },
    }
}

/// The database and the two files that belong to it, as they were when it was opened.
pub(in crate::store) struct Files([(PathBuf, (u64, u64)); 3]);

impl Files {
    fn of(path: &Path) -> io::Result<Files> {
        let [db, wal, shm] = [path.to_owned(), beside(path, "-wal"), beside(path, "-shm")];
        let identified = |path: PathBuf| inode(&path).map(|inode| (path, inode));
        Ok(Files([identified(db)?, identified(wal)?, identified(shm)?]))
    }

    /// Whether all three are still the files that SQLite has open.
    ///
    /// # Errors
    /// The one that is not.
    pub fn check(&self) -> Result<(), Displaced> {
        for ((path, opened), part) in self.0.iter().zip([Part::Database, Part::Wal, Part::Index]) {
            match inode(path) {
                Ok(found) if found == *opened => {}
                Ok(_) => {
                    return Err(Displaced {
                        path: path.clone(),
                        part,
                        is_gone: false,
                    });
                }
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    return Err(Displaced {
                        path: path.clone(),
                        part,
                        is_gone: true,
                    });
                }
                // That it can't be looked at just now does not say that it is gone.
                Err(error) => tracing::warn!("{}: {error}", path.display()),
            }
        }
        Ok(())
    }
}

/// Which of the three files.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::store) enum Part {
    Database,
    Wal,
    Index,
}

/// A file that was deleted or replaced under the running server.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(in crate::store) struct Displaced {
    pub path: PathBuf,
    pub part: Part,
    pub is_gone: bool,
}

pub(in crate::store) fn inode(path: &Path) -> io::Result<(u64, u64)> {
    fs::metadata(path).map(|found| (found.dev(), found.ino()))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;
    use crate::store::sqlite::testing::{OPTIONS, Place, add_event};

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

    #[test]
    fn file_systems_are_known_by_their_number() {
        assert_eq!(Filesystem::of(0x6969), Filesystem::Network("NFS"));
        assert_eq!(Filesystem::of(0xff53_4d42), Filesystem::Network("SMB"));
        assert_eq!(Filesystem::of(0x0102_1997), Filesystem::Network("9p"));
        assert!(matches!(
            Filesystem::of(0x6573_5546),
            Filesystem::Unknown(_)
        ));
        assert_eq!(Filesystem::of(0xef53), Filesystem::Local);
    }

    #[test] // fault 5
    fn what_can_not_be_written_is_said_to_be_so() {
        for kind in [
            io::ErrorKind::ReadOnlyFilesystem,
            io::ErrorKind::PermissionDenied,
        ] {
            let refusal = refused(Path::new("authd.db"), "opening it", &kind.into());
            assert!(
                refusal.to_string().starts_with("authd.db can't be written"),
                "{refusal}"
            );
        }
    }

    #[test]
    fn a_missing_directory_is_named() {
        let place = Place::new();
        let path = place.path.join("authd.db");
        let refusal = resolve(&path).unwrap_err();
        assert!(
            refusal
                .to_string()
                .contains(&place.path.display().to_string())
        );
        assert!(matches!(refusal, OpenError::NoDirectory(_)));
    }

    #[test]
    fn a_command_makes_no_database() {
        let place = Place::new();
        assert!(matches!(
            place.refusal_with(COMMAND),
            OpenError::NoDatabase(_)
        ));
        assert!(!place.path.exists());
        fs::write(&place.path, "").unwrap();
        assert!(matches!(
            place.refusal_with(COMMAND),
            OpenError::NoDatabase(_)
        ));
    }

    #[test] // fault 28
    fn a_second_server_is_refused_and_a_command_is_not() {
        let place = Place::new();
        let server = place.open();
        let refusal = place.refusal();
        let OpenError::AlreadyServed { process, .. } = &refusal else {
            panic!("{refusal}")
        };
        assert_eq!(*process, Some(std::process::id()));
        let command = place.open_with(COMMAND);
        command.add("ann").unwrap();
        assert_eq!(server.names(), ["ann"]);
        drop(server);
        place.open();
    }

    #[test] // fault 28: however the file is called
    fn a_symbolic_link_leads_to_the_same_lock() {
        let place = Place::new();
        let server = place.open();
        let link = place.path.with_file_name("link.db");
        symlink(&place.path, &link).unwrap();
        assert!(matches!(
            Lock::take(&link),
            Err(OpenError::AlreadyServed { .. })
        ));
        drop(server);
        let dangling = place.path.with_file_name("dangling.db");
        symlink("nowhere", &dangling).unwrap();
        assert!(matches!(resolve(&dangling), Err(OpenError::NotAFile(_))));
    }

    #[test]
    fn a_directory_is_no_database() {
        let place = Place::new();
        fs::create_dir(&place.path).unwrap();
        assert!(matches!(place.refusal(), OpenError::NotAFile(_)));
    }

    /// The refusal, after which the file must be as it was before.
    fn refused_untouched(place: &Place) -> OpenError {
        let before = fs::read(&place.path).unwrap();
        let refusal = place.refusal();
        assert!(
            fs::read(&place.path).unwrap() == before,
            "touched, with: {refusal}"
        );
        refusal
    }

    fn overwrite(path: &Path, at: usize, with: &[u8]) {
        let mut bytes = fs::read(path).unwrap();
        bytes[at..at + with.len()].copy_from_slice(with);
        fs::write(path, bytes).unwrap();
    }

    /// A closed database of about a hundred pages.
    fn filled() -> Place {
        let place = Place::new();
        let store = place.open();
        for _ in 0..200 {
            store.write(|tx| add_event(tx, 2000)).unwrap();
        }
        place
    }

    #[test] // fault 11
    fn a_newer_schema_is_refused() {
        let place = filled();
        place
            .stranger()
            .pragma_update(None, "user_version", 99)
            .unwrap();
        let refusal = refused_untouched(&place);
        assert!(
            matches!(refusal, OpenError::Newer { found: 99, .. }),
            "{refusal}"
        );
        assert!(matches!(
            place.refusal_with(COMMAND),
            OpenError::Newer { .. }
        ));
    }

    #[test] // fault 11: the newer release was killed, and its migration is still in the WAL
    fn a_newer_schema_in_the_wal_is_refused() {
        let place = filled();
        let newer = place.stranger();
        newer
            .set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)
            .unwrap();
        newer.pragma_update(None, "user_version", 99).unwrap();
        drop(newer);
        let wal = fs::read(place.beside("-wal")).unwrap();
        let refusal = refused_untouched(&place);
        assert!(
            matches!(refusal, OpenError::Newer { found: 99, .. }),
            "{refusal}"
        );
        assert!(fs::read(place.beside("-wal")).unwrap() == wal);
    }

    #[test]
    fn a_database_of_another_program_is_refused() {
        for id in [0, 7] {
            let place = Place::new();
            let other = place.stranger();
            other
                .execute_batch("CREATE TABLE things (id INTEGER)")
                .unwrap();
            other.pragma_update(None, "application_id", id).unwrap();
            drop(other);
            let refusal = refused_untouched(&place);
            assert!(matches!(refusal, OpenError::Foreign(_)), "{refusal}");
        }
    }

    #[test] // fault 7
    fn a_damaged_header_is_refused() {
        let place = filled();
        overwrite(&place.path, 0, b"not a database");
        let refusal = refused_untouched(&place);
        assert!(refusal.to_string().contains("authd restore"), "{refusal}");
        fs::write(&place.path, "short").unwrap();
        assert!(matches!(
            refused_untouched(&place),
            OpenError::Damaged { .. }
        ));
    }

    #[test] // fault 7
    fn a_damaged_page_is_refused() {
        for page in [1, 20, 60, 90] {
            let place = filled();
            overwrite(&place.path, page * PAGE_SIZE as usize, &[0xa5; 512]);
            let refusal = refused_untouched(&place);
            assert!(
                matches!(refusal, OpenError::Damaged { .. }),
                "page {page}: {refusal}"
            );
            assert!(refusal.to_string().contains("authd restore"), "{refusal}");
        }
    }

    #[test] // fault 7
    fn a_file_that_was_cut_short_is_refused() {
        let place = filled();
        let mut bytes = fs::read(&place.path).unwrap();
        bytes.truncate(bytes.len() / 2);
        fs::write(&place.path, bytes).unwrap();
        assert!(matches!(
            refused_untouched(&place),
            OpenError::Damaged { .. }
        ));
    }

    #[test]
    fn a_file_whose_making_was_interrupted_is_made_again() {
        let place = Place::new();
        fs::write(&place.path, "").unwrap();
        fs::write(place.beside("-journal"), "of the empty file").unwrap();
        fs::write(place.beside("-draft"), "half a database").unwrap();
        fs::write(place.beside("-draft-journal"), "and its journal").unwrap();
        place.open().add("ann").unwrap();
        assert_eq!(place.open().names(), ["ann"]);
        for leftover in ["-journal", "-draft", "-draft-journal"] {
            assert!(!place.beside(leftover).exists(), "{leftover}");
        }
        let mode = fs::metadata(&place.path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn a_copy_by_vacuum_into_is_opened() {
        for role in [Role::Server, Role::Command] {
            let (place, copy) = (filled(), Place::new());
            Connection::open(&place.path)
                .unwrap()
                .execute("VACUUM INTO ?1", [copy.path.to_str()])
                .unwrap();
            let store = copy.open_with(Options { role, ..OPTIONS });
            store.write(|tx| add_event(tx, 10)).unwrap();
        }
    }

    #[test]
    fn a_path_that_looks_like_a_uri_is_a_path() {
        let place = Place::new();
        let odd = place.path.with_file_name("file:odd?mode=memory");
        let options = OPTIONS;
        let opened = open(&odd, &options).unwrap();
        assert_eq!(opened.path.file_name(), odd.file_name());
        assert!(odd.exists());
    }

    #[test] // fault 8
    fn files_that_are_gone_or_others_are_noticed() {
        let place = Place::new();
        let opened = open(&place.path, &OPTIONS).unwrap();
        opened.files.check().unwrap();
        let index = place.beside("-shm");
        fs::rename(&index, place.beside("-aside")).unwrap();
        let gone = Displaced {
            path: index.clone(),
            part: Part::Index,
            is_gone: true,
        };
        assert_eq!(opened.files.check(), Err(gone.clone()));
        fs::write(&index, "").unwrap();
        assert_eq!(
            opened.files.check(),
            Err(Displaced {
                is_gone: false,
                ..gone
            })
        );
    }
}
