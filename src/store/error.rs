//! What can go wrong in the database: in a transaction ([`Broken`]), when a file is opened ([`OpenError`]), and when it is
//! copied or restored ([`CopyError`]).
//!
//! The last two are shown to an operator as they are. Each says what happened and what to do next.

use std::fmt;
use std::path::{Path, PathBuf};

use super::sqlite::VERSION;

/// Why a transaction did not happen. It was rolled back; nothing of it remains.
///
/// `Busy`, `Full`, `ReadOnly` and `Stopped` are temporary: the same call may succeed later. `Panicked` and `Database` are
/// bugs or damage. Their text is for the log and is never shown to a client.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Broken {
    /// Another process held the lock, or too many callers were waiting, until the deadline. The closure did not run.
    Busy,
    /// The disk is full, or the file has reached its maximum size.
    Full,
    /// The file or its file system can't be written.
    ReadOnly,
    /// The closure panicked.
    Panicked,
    /// The store is closing.
    Stopped,
    /// Any other error, with its full text.
    Database(String),
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Broken::Busy => f.write_str("the database is busy"),
            Broken::Full => f.write_str("the disk or the database is full"),
            Broken::ReadOnly => f.write_str("the database can't be written"),
            Broken::Panicked => f.write_str("a transaction panicked"),
            Broken::Stopped => f.write_str("the database is closing"),
            Broken::Database(text) => write!(f, "database: {text}"),
        }
    }
}

impl std::error::Error for Broken {}

/// Why a database was not opened. Nothing was changed.
#[derive(Debug)]
pub enum OpenError {
    /// The SQLite library that this program is linked with has a bug that loses data.
    LibraryTooOld {
        /// Its version.
        found: &'static str,
    },
    /// The directory does not exist.
    NoDirectory(PathBuf),
    /// The database does not exist, and a command does not create one.
    NoDatabase(PathBuf),
    /// The path leads to something other than a regular file.
    NotAFile(PathBuf),
    /// The directory is on a network file system, where SQLite's locks don't work.
    NetworkFilesystem {
        /// The directory.
        directory: PathBuf,
        /// The file system's name.
        kind: &'static str,
    },
    /// The database file is a mount point of its own.
    MountPoint(PathBuf),
    /// The database file has several names (hard links).
    SeveralNames(PathBuf),
    /// Another server uses the database.
    AlreadyServed {
        /// The database.
        path: PathBuf,
        /// The other server's process id, if it could be read.
        process: Option<u32>,
    },
    /// The file is an SQLite database of another program.
    Foreign(PathBuf),
    /// The file is a backup. Served as it is, it would reopen sessions that have ended since.
    Backup(PathBuf),
    /// A newer release wrote the file.
    Newer {
        /// The database.
        path: PathBuf,
        /// Its schema version.
        found: i64,
    },
    /// The file has an older schema, and the server of the older release still runs.
    Older {
        /// The database.
        path: PathBuf,
        /// Its schema version.
        found: i64,
    },
    /// The file is damaged.
    Damaged {
        /// The database.
        path: PathBuf,
        /// What was found.
        what: String,
    },
    /// The file's tables, indexes, triggers or views are not those of its version.
    OtherSchema {
        /// The database.
        path: PathBuf,
        /// The first difference.
        what: String,
    },
    /// A file beside the database is not one that authd or SQLite could have created there.
    UntrustedFile {
        /// The file.
        path: PathBuf,
        /// What is wrong with it: "it is a symbolic link".
        what: &'static str,
    },
    /// The file can't be written.
    ReadOnly(PathBuf),
    /// Another process held a lock on the file for too long.
    Busy(PathBuf),
    /// A system call failed.
    System {
        /// The file or directory.
        path: PathBuf,
        /// What was attempted.
        attempt: &'static str,
        /// The system's message.
        error: String,
    },
}

impl OpenError {
    /// The file or directory that the error is about.
    fn path(&self) -> &Path {
        match self {
            OpenError::LibraryTooOld { .. } => Path::new("SQLite"),
            OpenError::NoDirectory(path)
            | OpenError::NoDatabase(path)
            | OpenError::NotAFile(path)
            | OpenError::NetworkFilesystem {
                directory: path, ..
            }
            | OpenError::MountPoint(path)
            | OpenError::SeveralNames(path)
            | OpenError::AlreadyServed { path, .. }
            | OpenError::Foreign(path)
            | OpenError::Backup(path)
            | OpenError::Newer { path, .. }
            | OpenError::Older { path, .. }
            | OpenError::Damaged { path, .. }
            | OpenError::OtherSchema { path, .. }
            | OpenError::UntrustedFile { path, .. }
            | OpenError::ReadOnly(path)
            | OpenError::Busy(path)
            | OpenError::System { path, .. } => path,
        }
    }
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.path().display();
        match self {
            OpenError::LibraryTooOld { found } => write!(
                f,
                "SQLite {found} can damage databases (the WAL-reset bug, fixed in 3.51.3). Build authd with the SQLite \
                 that it bundles."
            ),
            OpenError::NoDirectory(_) => write!(
                f,
                "There is no directory {path}. Create it, or choose another with --db."
            ),
            OpenError::NoDatabase(_) => write!(
                f,
                "There is no database {path}. `authd serve` creates it. To use another file, pass --db."
            ),
            OpenError::NotAFile(_) => write!(
                f,
                "{path} is not a regular file. Choose another file with --db."
            ),
            OpenError::NetworkFilesystem { kind, .. } => write!(
                f,
                "{path} is on {kind}, where file locks are unreliable and SQLite databases get damaged. Move the database \
                 to a local disk. If only this machine ever opens it, set accept_network_filesystem = true."
            ),
            OpenError::MountPoint(_) => write!(
                f,
                "{path} is mounted as a single file, so what SQLite stores beside it would be lost with the container. \
                 Mount the directory that contains the database instead."
            ),
            OpenError::SeveralNames(_) => write!(
                f,
                "{path} has several names (hard links), and what SQLite stores beside it would be found under one of them \
                 only. Delete the other names. To use the database in several places, link or mount its directory."
            ),
            OpenError::AlreadyServed { process, .. } => {
                write!(f, "Another authd serves {path}")?;
                if let Some(process) = process {
                    write!(f, " (process {process})")?;
                }
                f.write_str(". Stop it first, or choose another file with --db.")
            }
            OpenError::UntrustedFile { what, .. } => write!(
                f,
                "{path} was not created by authd ({what}), so it was not opened, and nothing was changed. Find out which \
                 program or user created it, then move it away and try again."
            ),
            OpenError::ReadOnly(_) => write!(
                f,
                "{path} can't be written. Give this user write permission on the file and its directory, and check that \
                 the file system is not mounted read-only."
            ),
            OpenError::Busy(_) => write!(
                f,
                "Another program keeps {path} locked. Close that program, then try again."
            ),
            OpenError::System { attempt, error, .. } => {
                write!(f, "{path}: {attempt} failed: {error}.")
            }
            contents => contents.fmt_contents(f),
        }
    }
}

impl OpenError {
    /// Errors about what is in the file.
    fn fmt_contents(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.path().display();
        match self {
            OpenError::Foreign(_) => write!(
                f,
                "{path} is a database of another program. It was not changed. Choose another file with --db."
            ),
            OpenError::Backup(_) => write!(
                f,
                "{path} is a backup: sessions that have ended since would be open again. It was not changed. `authd \
                 restore --here` turns it into a database and ends all sessions."
            ),
            OpenError::Newer { found, .. } => write!(
                f,
                "{path} was written by a newer authd (schema {found}; this release knows {VERSION}). It was not changed. \
                 Use the newer release."
            ),
            OpenError::Older { found, .. } => write!(
                f,
                "{path} has the schema of an older authd ({found}; this release needs {VERSION}), and a server of that \
                 release is running. Restart the server with this release first."
            ),
            OpenError::Damaged { what, .. } => write!(
                f,
                "{path} is damaged ({what}). It was not changed. `authd restore BACKUP` replaces it with a backup and \
                 keeps the damaged file."
            ),
            OpenError::OtherSchema { what, .. } => write!(
                f,
                "{path} does not have the schema of authd ({what}): another program or an attacker has changed it. It was \
                 not changed now. Use a backup from before that change, or, if you made the change, undo it."
            ),
            // All others are written by `fmt`.
            _ => write!(f, "{path} cannot be used."),
        }
    }
}

impl std::error::Error for OpenError {}

/// Something about an open database that an operator should know.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum OpenWarning {
    /// It is on a network file system, which the operator has accepted, or on one behind which there may be a network.
    UncertainLocks {
        /// The database's directory.
        directory: PathBuf,
        /// The file system's name.
        kind: &'static str,
    },
    /// It is on a file system whose files are lost when the machine or the container ends.
    Temporary {
        /// The database's directory.
        directory: PathBuf,
        /// The file system's name.
        kind: &'static str,
    },
}

impl fmt::Display for OpenWarning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            OpenWarning::UncertainLocks { directory, kind } => write!(
                f,
                "{} is on {kind}: the database is safe only if file locks work there",
                directory.display()
            ),
            OpenWarning::Temporary { directory, kind } => write!(
                f,
                "{} is on {kind}: all accounts are lost when this machine or container ends. Put the database on a disk; \
                 for a container, mount a volume at this directory",
                directory.display()
            ),
        }
    }
}

/// Why a backup or a restore did not happen. Nothing was changed.
#[derive(Debug)]
pub enum CopyError {
    /// A file with the backup's name exists.
    Exists(PathBuf),
    /// Another process is writing this backup.
    Underway(PathBuf),
    /// The file to restore from does not exist.
    NoSource(PathBuf),
    /// The file to restore from is the database itself.
    IsTheDatabase(PathBuf),
    /// A server uses the file to restore from, and may change it at any time.
    Served(PathBuf),
    /// A rollback journal lies beside the file to restore from.
    Journal(PathBuf),
    /// The file is not an authd database.
    NotOurs(PathBuf),
    /// The file is damaged.
    Damaged {
        /// The file.
        path: PathBuf,
        /// What was found.
        what: String,
    },
    /// A program other than a server has the database open.
    InUse(PathBuf),
    /// The database can't be replaced, for one of the reasons for which it can't be opened.
    Refused(OpenError),
    /// A system call or SQLite failed.
    System {
        /// The file or directory.
        path: PathBuf,
        /// What was attempted.
        attempt: &'static str,
        /// The message of the system or of SQLite.
        error: String,
    },
}

impl fmt::Display for CopyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CopyError::Exists(path) => write!(
                f,
                "{} exists already, and a backup never overwrites a file. Choose another name.",
                path.display()
            ),
            CopyError::Underway(path) => write!(
                f,
                "Another authd is writing {} now. Wait until it has finished, or choose another name.",
                path.display()
            ),
            CopyError::NoSource(path) => write!(
                f,
                "There is no file {}. Nothing was changed.",
                path.display()
            ),
            CopyError::IsTheDatabase(path) => write!(
                f,
                "{} is the database itself. If it was copied there, use `authd restore --here`. Nothing was changed.",
                path.display()
            ),
            CopyError::Served(path) => write!(
                f,
                "A server uses {}. Restore from a backup of it (`authd backup`), or stop the server first. Nothing was \
                 changed.",
                path.display()
            ),
            CopyError::Journal(path) => write!(
                f,
                "There is a journal {}, which no backup of authd has: the copy may be incomplete, or the journal was put \
                 there by an attacker. Nothing was changed. Restore from a backup made with `authd backup`.",
                path.display()
            ),
            CopyError::NotOurs(path) => write!(
                f,
                "{} is not an authd database. Nothing was changed.",
                path.display()
            ),
            CopyError::Damaged { path, what } => write!(
                f,
                "{} is damaged ({what}). Nothing was changed. Use another backup.",
                path.display()
            ),
            CopyError::InUse(path) => write!(
                f,
                "Another program has {} open. Close that program, then try again. Nothing was changed.",
                path.display()
            ),
            CopyError::Refused(refusal) => refusal.fmt(f),
            CopyError::System {
                path,
                attempt,
                error,
            } => write!(
                f,
                "{}: {attempt} failed: {error}. Nothing was changed.",
                path.display()
            ),
        }
    }
}

impl std::error::Error for CopyError {}

impl From<OpenError> for CopyError {
    fn from(refusal: OpenError) -> CopyError {
        CopyError::Refused(refusal)
    }
}

impl CopyError {
    /// The same error about `path`: the file that the operator named, instead of the copy that was looked at.
    pub(super) fn about(self, path: &Path) -> CopyError {
        let path = path.to_owned();
        match self {
            CopyError::NotOurs(_) => CopyError::NotOurs(path),
            CopyError::Damaged { what, .. } => CopyError::Damaged { path, what },
            CopyError::Refused(OpenError::Newer { found, .. }) => {
                CopyError::Refused(OpenError::Newer { path, found })
            }
            CopyError::Refused(OpenError::OtherSchema { what, .. }) => {
                CopyError::Refused(OpenError::OtherSchema { path, what })
            }
            other => other,
        }
    }
}
