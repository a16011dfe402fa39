//! One server for a database.
//!
//! A server holds an advisory lock on `<file>.lock` for as long as it runs. The kernel releases the lock however the
//! process ends, so a kill leaves nothing to clean up. The lock file is never deleted: otherwise two servers could each hold
//! a lock on a file of that name. Commands take no lock; SQLite lets them work beside the server.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use super::file::{beside, resolve};
use super::open::system_error;
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
        let name = beside(&resolve(path)?, ".lock");
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&name)
            .map_err(|error| system_error(&name, "creating it", &error))?;
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
        let name = beside(path, ".lock");
        let opened = fs::metadata(&name).and_then(|found| match found.is_file() {
            true => File::open(&name),
            // Opening a FIFO would wait for a writer.
            false => Err(io::Error::other("it is not a file")),
        });
        let file = match opened {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(system_error(&name, "opening it", &error)),
        };
        match file.try_lock_shared() {
            // Released when the file is closed, which is now.
            Ok(()) => Ok(None),
            Err(TryLockError::WouldBlock) => Ok(Some(process_in(&file))),
            Err(TryLockError::Error(error)) => Err(system_error(&name, "asking for it", &error)),
        }
    }
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
