//! One server for a database.
//!
//! A server holds an advisory lock on `<file>.lock` for as long as it runs. The kernel releases the lock however the
//! process ends, so a kill leaves nothing to clean up. The lock file is never deleted: otherwise two servers could each hold
//! a lock on a file of that name. Commands take no lock; SQLite lets them work beside the server.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use super::error::system_error;
use super::file::{beside, open_beside, resolve};
use crate::store::OpenError;

/// The lock of a database.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

impl Lock {
    /// Takes the lock of the database at `path`, for as long as the value exists.
    ///
    /// # Errors
    /// [`OpenError::AlreadyServed`] if another process has it, [`OpenError::ReadOnly`] if the lock file can't be created.
    pub fn take(path: &Path) -> Result<Lock, OpenError> {
        let (name, owner) = lock_file(&resolve(path)?);
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        let mut file = open_beside(&name, &mut options, owner)?;
        match file.try_lock() {
            Ok(()) => {
                // For the message that a second server prints; the lock itself is the kernel's.
                let noted = file
                    .set_len(0)
                    .and_then(|()| writeln!(file, "{}", std::process::id()));
                if let Err(error) = noted {
                    let name = name.display();
                    tracing::debug!("{name}: the process id was not written: {error}");
                }
                Ok(Lock { _file: file })
            }
            Err(TryLockError::WouldBlock) => Err(OpenError::AlreadyServed {
                path: path.to_owned(),
                process: process_in(&file),
            }),
            Err(TryLockError::Error(error)) => Err(system_error(&name, "locking it", &error)),
        }
    }

    /// Whether a process has the lock, and its id if that can be read. The lock is taken for a moment to find out, shared,
    /// so that two processes that ask don't see each other. A server that starts in that moment is told that another one
    /// runs, and starts at the next attempt.
    pub(super) fn holder(path: &Path) -> Result<Option<Option<u32>>, OpenError> {
        match Lock::share(path) {
            // Released when the file is closed, which is now.
            Ok(_) => Ok(None),
            Err(OpenError::AlreadyServed { process, .. }) => Ok(Some(process)),
            Err(error) => Err(error),
        }
    }

    /// Keeps a server from starting on the database at `path` for as long as the value exists, without writing anything.
    /// `None` if there is no lock file: then no server of this release ever ran on it.
    ///
    /// # Errors
    /// [`OpenError::AlreadyServed`] if a server has the lock.
    pub(super) fn share(path: &Path) -> Result<Option<Lock>, OpenError> {
        let (name, owner) = lock_file(path);
        let file = match open_beside(&name, OpenOptions::new().read(true), owner) {
            Ok(file) => file,
            Err(_) if fs::symlink_metadata(&name).is_err() => return Ok(None),
            Err(error) => return Err(error),
        };
        match file.try_lock_shared() {
            Ok(()) => Ok(Some(Lock { _file: file })),
            Err(TryLockError::WouldBlock) => Err(OpenError::AlreadyServed {
                path: path.to_owned(),
                process: process_in(&file),
            }),
            Err(TryLockError::Error(error)) => Err(system_error(&name, "locking it", &error)),
        }
    }
}

/// The lock file of the database at `path`, and the database's owner, if there is a database.
fn lock_file(path: &Path) -> (PathBuf, Option<u32>) {
    let owner = fs::symlink_metadata(path).ok().map(|found| found.uid());
    (beside(path, ".lock"), owner)
}

/// The process id that a lock file contains.
fn process_in(file: &File) -> Option<u32> {
    let mut text = String::new();
    file.take(20).read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;
    use crate::store::testing::{OPTIONS, TestDatabase};
    use crate::store::{Options, Role};

    const COMMAND: Options = Options {
        role: Role::Command,
        ..OPTIONS
    };

    #[test] // fault 28
    fn a_second_server_is_refused_and_a_command_is_not() {
        let database = TestDatabase::new();
        let server = database.open();
        let refusal = database.refusal();
        let OpenError::AlreadyServed { process, .. } = &refusal else {
            panic!("{refusal}")
        };
        assert_eq!(*process, Some(std::process::id()));
        let command = database.open_with(COMMAND);
        command.add("ann").unwrap();
        assert_eq!(server.names(), ["ann"]);
        drop(server);
        database.open();
    }

    #[test] // fault 28: whatever path leads to the file
    fn a_symbolic_link_leads_to_the_same_lock() {
        let database = TestDatabase::new();
        let server = database.open();
        let link = database.path.with_file_name("link.db");
        symlink(&database.path, &link).unwrap();
        assert!(matches!(
            Lock::take(&link),
            Err(OpenError::AlreadyServed { .. })
        ));
        drop(server);
        let dangling = database.path.with_file_name("dangling.db");
        symlink("nowhere", &dangling).unwrap();
        assert!(matches!(resolve(&dangling), Err(OpenError::NotAFile(_))));
    }
}
