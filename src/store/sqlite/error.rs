//! What each of SQLite's errors means for the process.
//!
//! Most errors concern one statement: its closure is rolled back and its caller gets a [`Broken`]. A few say that the disk
//! or the file can't be trusted any more ([`SqliteError::is_fatal`]). After a failed `fsync` the kernel may have dropped the
//! pages that it could not write, and report success the next time. Trying again would then acknowledge data that is not
//! on the disk. So the writer stops the process, and a reader's connection is closed.

use std::io::{self, Write as _};
use std::path::Path;

use rusqlite::{ErrorCode, ffi};

use crate::store::{Broken, OpenError};

/// The exit code when the process stops: an internal error (`EX_SOFTWARE` of `sysexits.h`).
pub(super) const STOPPED: i32 = 70;

/// An error of SQLite and its meaning.
#[derive(Clone, Debug)]
pub(in crate::store) struct SqliteError {
    pub broken: Broken,
    /// SQLite's message and the statement that it is about.
    pub text: String,
    is_fatal: bool,
}

impl SqliteError {
    /// Classifies `error`, which `sql` returned.
    pub fn new(error: &rusqlite::Error, sql: &str) -> SqliteError {
        let text = format!("{error} in: {sql}");
        let (is_fatal, broken) = match error {
            rusqlite::Error::SqliteFailure(failure, _) => classify(*failure, &text),
            _ => (false, Broken::Database(text.clone())),
        };
        SqliteError {
            broken,
            text,
            is_fatal,
        }
    }

    /// A mistake of the calling code, not an error of SQLite.
    pub fn misuse(text: String) -> SqliteError {
        SqliteError {
            broken: Broken::Database(text.clone()),
            text,
            is_fatal: false,
        }
    }

    /// Whether the disk or the file can't be trusted any more: the writer must stop the process, and a reader's
    /// connection must be closed.
    pub fn is_fatal(&self) -> bool {
        self.is_fatal
    }
}

fn classify(failure: ffi::Error, text: &str) -> (bool, Broken) {
    let other = || Broken::Database(text.to_owned());
    match failure.extended_code {
        // The index of the WAL could not grow: the disk is full, and nothing was written.
        ffi::SQLITE_IOERR_SHMSIZE => return (false, Broken::Full),
        ffi::SQLITE_IOERR_BLOCKED | ffi::SQLITE_IOERR_LOCK => return (false, Broken::Busy),
        ffi::SQLITE_IOERR_NOMEM => return (false, other()),
        ffi::SQLITE_READONLY_DBMOVED => return (true, other()),
        _ => {}
    }
    match failure.code {
        ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked => (false, Broken::Busy),
        ErrorCode::DiskFull => (false, Broken::Full),
        ErrorCode::ReadOnly => (false, Broken::ReadOnly),
        ErrorCode::SystemIoFailure | ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase => {
            (true, other())
        }
        _ => (false, other()),
    }
}

/// Classifies an error that the writer got, and stops the process if it is fatal.
pub(super) fn checked(error: &rusqlite::Error, sql: &str) -> SqliteError {
    let error = SqliteError::new(error, sql);
    if error.is_fatal() {
        stop(&error.text);
    }
    error
}

/// Ends the process because it is not known any more what is on the disk. A failed sync is never tried again.
pub(super) fn stop(why: &str) -> ! {
    let message = format!(
        "authd stops, because the database can't be trusted any more: {why}. Everything that was confirmed is stored. \
         Check the disk, then start authd again. If the database is damaged, use `authd restore`."
    );
    if tracing::dispatcher::has_been_set() {
        tracing::error!("{message}");
    } else {
        // `eprintln!` panics if standard error can't be written, and then the process would go on.
        let _ = writeln!(io::stderr(), "{message}");
    }
    std::process::exit(STOPPED)
}

/// What a failed system call means to an operator.
pub(in crate::store) fn system_error(
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
pub(in crate::store) fn sqlite_error(path: &Path, error: &rusqlite::Error) -> OpenError {
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

#[cfg(test)]
mod tests {
    use super::*;

    fn classified(code: i32) -> SqliteError {
        SqliteError::new(
            &rusqlite::Error::SqliteFailure(ffi::Error::new(code), None),
            "COMMIT",
        )
    }

    #[test] // fault 6
    fn errors_of_the_disk_are_fatal() {
        for code in [
            ffi::SQLITE_IOERR,
            ffi::SQLITE_IOERR_FSYNC,
            ffi::SQLITE_IOERR_WRITE,
            ffi::SQLITE_IOERR_SHORT_READ,
            ffi::SQLITE_CORRUPT,
            ffi::SQLITE_NOTADB,
            ffi::SQLITE_READONLY_DBMOVED,
        ] {
            assert!(classified(code).is_fatal(), "{code}");
        }
    }

    #[test] // faults 3, 5, 9
    fn temporary_errors_are_not_fatal() {
        for (code, broken) in [
            (ffi::SQLITE_BUSY, Broken::Busy),
            (ffi::SQLITE_BUSY_SNAPSHOT, Broken::Busy),
            (ffi::SQLITE_IOERR_LOCK, Broken::Busy),
            (ffi::SQLITE_FULL, Broken::Full),
            (ffi::SQLITE_IOERR_SHMSIZE, Broken::Full),
            (ffi::SQLITE_READONLY, Broken::ReadOnly),
        ] {
            let error = classified(code);
            assert!(!error.is_fatal(), "{code}");
            assert_eq!(error.broken, broken, "{code}");
        }
    }
}
