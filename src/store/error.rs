//! What can go wrong below the logic, and what each of SQLite's answers means for the process.
//!
//! There are three depths. Most errors concern one statement: its closure is rolled back and its caller told.
//! Some concern the connection: a reader that saw one is not used again. A few say that the disk, or what is
//! on it, can no longer be trusted: after a failed `fsync` the kernel may have dropped the pages it could not
//! write and report success the next time, so trying again would acknowledge what is not there. The writer
//! stops the process on those ([`Fault::is_fatal`]).

use std::fmt;

use rusqlite::{ErrorCode, ffi};

/// Why an operation of the store did not happen. The transaction was rolled back; nothing of it remains.
///
/// `Busy`, `Full`, `ReadOnly` and `Stopped` pass by themselves or with an operator's help, and the same call may
/// then succeed. `Panicked` and `Database` are bugs or damage; their text is for the log, never for a client.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Broken {
    /// Somebody else held the lock, or too many callers were waiting, until the deadline. It did not run.
    Busy,
    /// The disk, or the size that the file is allowed to have, is used up.
    Full,
    /// The file or its file system can't be written.
    ReadOnly,
    /// The closure panicked.
    Panicked,
    /// The store is closing.
    Stopped,
    /// Anything else, in full.
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

/// One error of SQLite, weighed.
#[derive(Clone, Debug)]
pub(in crate::store) struct Fault {
    pub broken: Broken,
    /// What SQLite said, and about which statement.
    pub text: String,
    depth: Depth,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Depth {
    Statement,
    Disk,
}

impl Fault {
    /// Weighs `error`, which `sql` met.
    pub fn new(error: &rusqlite::Error, sql: &str) -> Fault {
        let text = format!("{error} in: {sql}");
        let (depth, broken) = match error {
            rusqlite::Error::SqliteFailure(failure, _) => weigh(*failure, &text),
            _ => (Depth::Statement, Broken::Database(text.clone())),
        };
        Fault {
            broken,
            text,
            depth,
        }
    }

    /// A mistake of the calling code rather than of SQLite.
    pub fn of_use(text: String) -> Fault {
        Fault {
            broken: Broken::Database(text.clone()),
            text,
            depth: Depth::Statement,
        }
    }

    /// Whether the disk or the file can't be trusted any more, so that the writer must stop the process and a
    /// reader's connection must be dropped.
    pub fn is_fatal(&self) -> bool {
        self.depth == Depth::Disk
    }
}

fn weigh(failure: ffi::Error, text: &str) -> (Depth, Broken) {
    let full = || Broken::Database(text.to_owned());
    match failure.extended_code {
        // The index of the WAL could not grow: the disk is full, and nothing was written.
        ffi::SQLITE_IOERR_SHMSIZE => return (Depth::Statement, Broken::Full),
        ffi::SQLITE_IOERR_BLOCKED | ffi::SQLITE_IOERR_LOCK => {
            return (Depth::Statement, Broken::Busy);
        }
        ffi::SQLITE_IOERR_NOMEM => return (Depth::Statement, full()),
        ffi::SQLITE_READONLY_DBMOVED => return (Depth::Disk, full()),
        _ => {}
    }
    match failure.code {
        ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked => (Depth::Statement, Broken::Busy),
        ErrorCode::DiskFull => (Depth::Statement, Broken::Full),
        ErrorCode::ReadOnly => (Depth::Statement, Broken::ReadOnly),
        ErrorCode::SystemIoFailure | ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase => {
            (Depth::Disk, full())
        }
        _ => (Depth::Statement, full()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn weighed(code: i32) -> Fault {
        Fault::new(
            &rusqlite::Error::SqliteFailure(ffi::Error::new(code), None),
            "COMMIT",
        )
    }

    #[test] // fault 6
    fn what_the_disk_lost_is_fatal() {
        for code in [
            ffi::SQLITE_IOERR,
            ffi::SQLITE_IOERR_FSYNC,
            ffi::SQLITE_IOERR_WRITE,
            ffi::SQLITE_IOERR_SHORT_READ,
            ffi::SQLITE_CORRUPT,
            ffi::SQLITE_NOTADB,
            ffi::SQLITE_READONLY_DBMOVED,
        ] {
            assert!(weighed(code).is_fatal(), "{code}");
        }
    }

    #[test] // faults 3, 5, 9
    fn what_passes_by_itself_is_not() {
        for (code, broken) in [
            (ffi::SQLITE_BUSY, Broken::Busy),
            (ffi::SQLITE_BUSY_SNAPSHOT, Broken::Busy),
            (ffi::SQLITE_IOERR_LOCK, Broken::Busy),
            (ffi::SQLITE_FULL, Broken::Full),
            (ffi::SQLITE_IOERR_SHMSIZE, Broken::Full),
            (ffi::SQLITE_READONLY, Broken::ReadOnly),
        ] {
            let fault = weighed(code);
            assert!(!fault.is_fatal(), "{code}");
            assert_eq!(fault.broken, broken, "{code}");
        }
    }
}
