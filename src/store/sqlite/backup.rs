//! A backup: a copy of the database that is taken beside the running server.
//!
//! It is made with `VACUUM INTO`: one read snapshot, written page by page without deleted content. SQLite's backup interface
//! would begin again whenever another process commits, and would never end beside a busy server. SQLite does not sync such a
//! copy, so it is written under another name (`DEST.partial`), checked, synced, and only then renamed. Under the name that
//! the operator gave there is a whole backup or nothing.
//!
//! A backup is *marked* by an application id of its own. Served as it is, it would reopen sessions that have ended since, so
//! a server refuses it ([`OpenError::Backup`]) until a restore has begun a new epoch in it.

use std::fs::{self, File, OpenOptions, Permissions, TryLockError};
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{Connection, ErrorCode};
use rustix::fs::{CWD, RenameFlags, renameat_with};
use rustix::io::Errno;

use super::connection::{self, PAGE_SIZE, pragma};
use super::file::{beside, inode, open_beside, resolve, sync_directory_of};
use super::migrations::BACKUP_ID;
use crate::store::{CopyError, OpenError, Store};

/// Instructions of SQLite's virtual machine between two progress reports: about 20 ms.
const PROGRESS_STEPS: i32 = 100_000;

/// How long another process may keep a lock before the work is given up.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);

/// How far a backup is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Progress {
    /// Bytes that are written.
    pub done: u64,
    /// Bytes to write, as far as known at the beginning.
    pub total: u64,
}

impl Store {
    /// Writes a backup of what is committed now to `dest`, readable by its owner only, while others go on writing.
    /// Returns its size in bytes when it is checked and safe on the disk. `progress` is called repeatedly.
    ///
    /// # Errors
    /// [`CopyError`]. Then there is no file `dest`, unless there was one before.
    pub fn backup(
        &self,
        dest: &Path,
        mut progress: impl FnMut(Progress) + Send + 'static,
    ) -> Result<u64, CopyError> {
        if fs::symlink_metadata(dest).is_ok() {
            return Err(CopyError::Exists(dest.to_owned()));
        }
        let dest = resolve(dest)?;
        let partial = Partial::begin(&dest)?;
        let failed = |error: rusqlite::Error| sqlite(&partial.path, "writing the backup", &error);

        let source = connection::open(self.path(), PATIENCE)?;
        let pages = pragma(&source, "page_count")
            .and_then(|all| Ok(all - pragma(&source, "freelist_count")?))
            .map_err(failed)?;
        let total = pages.unsigned_abs() * u64::from(PAGE_SIZE);
        let growing = partial.path.clone();
        let report = move || {
            let done = fs::metadata(&growing).map_or(0, |written| written.len());
            progress(Progress { done, total });
            false
        };
        source
            .progress_handler(PROGRESS_STEPS, Some(report))
            .map_err(failed)?;
        let name = ValueRef::Text(partial.path.as_os_str().as_bytes());
        source
            .execute("VACUUM INTO ?1", [ToSqlOutput::Borrowed(name)])
            .map_err(|error| match failed(error) {
                // The database is damaged, not the copy.
                CopyError::Damaged { what, .. } => CopyError::Refused(OpenError::Damaged {
                    path: self.path().to_owned(),
                    what,
                }),
                other => other,
            })?;
        drop(source);

        let copy = connection::open(&partial.path, PATIENCE)?;
        // In memory, because a kill would leave a journal behind. If this change is lost, the file has no name yet.
        copy.pragma_update_and_check(None, "journal_mode", "MEMORY", |_| Ok(()))
            .and_then(|()| copy.pragma_update(None, "application_id", BACKUP_ID))
            .map_err(failed)?;
        check(&copy, "PRAGMA quick_check(1)", &partial.path)?;
        drop(copy);
        partial.publish(&dest)
    }
}

/// A backup that is being written. The process that has the lock on the file writes it; a file that a kill left behind is
/// written again. The file is deleted when the value is dropped.
struct Partial {
    path: PathBuf,
    file: File,
}

impl Partial {
    fn begin(dest: &Path) -> Result<Partial, CopyError> {
        let path = beside(dest, ".partial");
        let failed = |error: io::Error| system(&path, "creating it", &error);
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        // Other users may be able to create files in the directory.
        let file = open_beside(&path, &mut options, None)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(CopyError::Underway(dest.to_owned())),
            Err(TryLockError::Error(error)) => return Err(failed(error)),
        }
        // Between opening and locking, the other process may have finished and renamed the file.
        let ours = file.metadata().map_err(failed)?;
        if inode(&path).ok() != Some((ours.dev(), ours.ino())) {
            return Err(CopyError::Underway(dest.to_owned()));
        }
        file.set_permissions(Permissions::from_mode(0o600))
            .and_then(|()| file.set_len(0))
            .map_err(failed)?;
        Ok(Partial { path, file })
    }

    /// Makes the file safe on the disk, and renames it to `dest`. Returns its size.
    fn publish(self, dest: &Path) -> Result<u64, CopyError> {
        let failed = |error: io::Error| system(dest, "making it safe on the disk", &error);
        self.file.sync_all().map_err(failed)?;
        let size = self.file.metadata().map_err(failed)?.len();
        let renamed = match renameat_with(CWD, &self.path, CWD, dest, RenameFlags::NOREPLACE) {
            // Some network file systems don't know the flag.
            Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) if !dest.exists() => {
                fs::rename(&self.path, dest)
            }
            other => other.map_err(io::Error::from),
        };
        match renamed {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                return Err(CopyError::Exists(dest.to_owned()));
            }
            Err(error) => return Err(system(dest, "renaming it", &error)),
        }
        sync_directory_of(dest).map_err(failed)?;
        Ok(size)
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        // After the rename there is no file of this name.
        let _ = fs::remove_file(&self.path);
    }
}

/// Runs `pragma`, which checks the pages of the database at `path`.
pub(super) fn check(conn: &Connection, pragma: &str, path: &Path) -> Result<(), CopyError> {
    let verdict: String = conn
        .query_row(pragma, [], |row| row.get(0))
        .map_err(|error| sqlite(path, "checking it", &error))?;
    match verdict.as_str() {
        "ok" => Ok(()),
        _ => Err(CopyError::Damaged {
            path: path.to_owned(),
            what: verdict,
        }),
    }
}

/// What a failed system call means to an operator.
pub(super) fn system(path: &Path, attempt: &'static str, error: &io::Error) -> CopyError {
    CopyError::System {
        path: path.to_owned(),
        attempt,
        error: error.to_string(),
    }
}

/// What an error of SQLite means to an operator.
pub(super) fn sqlite(path: &Path, attempt: &'static str, error: &rusqlite::Error) -> CopyError {
    let path = path.to_owned();
    match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => CopyError::InUse(path),
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => CopyError::Damaged {
            path,
            what: error.to_string(),
        },
        _ => CopyError::System {
            path,
            attempt,
            error: error.to_string(),
        },
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;
    use crate::store::testing::{TestDatabase, add_event};

    fn backed_up(store: &Store, dest: &Path) -> Result<u64, CopyError> {
        store.backup(dest, |_| {})
    }

    #[test]
    fn progress_is_reported_and_ends_near_the_announced_total() {
        let database = TestDatabase::new();
        let store = database.open();
        for _ in 0..100 {
            let many =
                |tx: &crate::store::Tx<'_>| (0..500).try_for_each(|_| add_event(tx, 50).map(drop));
            store.write(many).unwrap();
        }
        let (send, reports) = std::sync::mpsc::channel();
        let size = store
            .backup(&database.beside(".backup"), move |progress| {
                send.send(progress).unwrap();
            })
            .unwrap();
        let reports: Vec<Progress> = reports.iter().collect();
        assert!(reports.is_sorted_by_key(|progress| progress.done));
        let last = reports.last().expect("at least one report");
        assert!(last.done > 0 && last.done <= size);
        assert!(
            last.total >= size && last.total < 2 * size,
            "{last:?} {size}"
        );
    }

    #[test]
    fn two_do_not_write_one_backup() {
        let database = TestDatabase::new();
        let store = database.open();
        let dest = database.beside(".backup");
        let first = Partial::begin(&dest).unwrap();
        assert!(matches!(
            backed_up(&store, &dest),
            Err(CopyError::Underway(_))
        ));
        drop(first);
        assert!(!dest.exists());
        backed_up(&store, &dest).unwrap();
    }

    #[test]
    fn a_file_that_appeared_meanwhile_is_not_overwritten() {
        let database = TestDatabase::new();
        let dest = database.beside(".backup");
        let partial = Partial::begin(&dest).unwrap();
        fs::write(&dest, "of another program").unwrap();
        assert!(matches!(partial.publish(&dest), Err(CopyError::Exists(_))));
        assert_eq!(fs::read(&dest).unwrap(), b"of another program");
        assert!(!database.beside(".backup.partial").exists());
    }

    #[test]
    fn a_link_in_place_of_the_partial_file_is_not_followed() {
        let database = TestDatabase::new();
        let store = database.open();
        let victim = database.beside(".victim");
        fs::write(&victim, "precious").unwrap();
        symlink(&victim, database.beside(".backup.partial")).unwrap();
        assert!(backed_up(&store, &database.beside(".backup")).is_err());
        assert_eq!(fs::read(&victim).unwrap(), b"precious");
    }
}
