//! A restore: a copy that takes the place of the database.
//!
//! The source is read through descriptors and copied byte by byte, with its WAL and never with a journal, into a directory
//! beside the database that no other process uses. There it is opened, checked completely and brought to today's schema,
//! and the service begins its new epoch there. So the source is never written to, and any fault of it is found before
//! anything is changed. Then [`Restoration::put_in_place`] keeps the present file under a second name and renames the copy
//! over it in one step. A crash leaves the old file or the new one under the database's name, whole.
//!
//! **The WAL belongs to its file.** SQLite would apply the old file's WAL to a new file of the same name and damage it for
//! good. So the present file leaves WAL mode first, which also proves that no other process has it open. A file that is too
//! damaged for that can't use its WAL either; the WAL is moved away with it.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, FileExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::{Gid, Uid, fchown};

use super::backup::{PATIENCE, check, sqlite, system};
use super::connection::{self, pragma};
use super::file::{
    MOST_KEPT, SQLITE_FILE, beside, check_filesystem, check_placement, check_version, copy_to_new,
    directory_of, inode, kept_name, open_beside, resolve, sync_directory_of,
};
use super::lock::Lock;
use super::migrations::{self, APPLICATION_ID, BACKUP_ID, VERSION, schema};
use crate::store::owner::Followed;
use crate::store::{CopyError, OpenError, OpenWarning};

/// The files that belong to a database, by what is appended to its name.
const COMPANIONS: [&str; 3] = ["-wal", "-shm", "-journal"];

/// A file to restore from, open for reading. While the value exists, no server can start on the file.
///
/// It is opened before the process gives up the rights of root (see `store::become_owner_of`), because often only root can
/// read a backup. Everything else is done with it afterwards.
#[derive(Debug)]
pub struct RestoreSource {
    path: PathBuf,
    database: File,
    wal: Option<File>,
    _lock: Option<Lock>,
}

impl RestoreSource {
    /// Opens the file at `path` and its WAL.
    ///
    /// # Errors
    /// [`CopyError::NoSource`], [`CopyError::NotOurs`] if it is not a file, [`CopyError::Served`],
    /// [`CopyError::Journal`].
    pub fn open(path: &Path) -> Result<RestoreSource, CopyError> {
        let followed = Followed::new(path).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => CopyError::NoSource(path.to_owned()),
            _ => system(path, "looking for it", &error),
        })?;
        if !followed.path.is_file() {
            return Err(CopyError::NotOurs(followed.path));
        }
        let lock = Lock::share(&followed.path).map_err(|refusal| match refusal {
            OpenError::AlreadyServed { path, .. } => CopyError::Served(path),
            refusal => refusal.into(),
        })?;
        let database = followed
            .open()
            .map_err(|error| system(&followed.path, "opening it", &error))?;
        let found = database
            .metadata()
            .map_err(|error| system(&followed.path, "reading it", &error))?;
        followed.check_owner(&found)?;
        RestoreSource::with_companions(followed.path, database, lock)
    }

    /// The file at `path` (absolute, without links) with what lies beside it, if this process holds its lock.
    fn with_companions(
        path: PathBuf,
        database: File,
        lock: Option<Lock>,
    ) -> Result<RestoreSource, CopyError> {
        let failed = |error: io::Error| system(&path, "opening it", &error);
        let owner = database.metadata().map_err(failed)?.uid();
        // Before anything is copied: root may be able to read files that the database's owner must not see.
        let mut header = [0; 72];
        match database.read_exact_at(&mut header, 0) {
            Ok(()) if header.starts_with(SQLITE_FILE) => {}
            Ok(()) => return Err(damaged(&path, "it does not begin like an SQLite database")),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                return Err(CopyError::NotOurs(path));
            }
            Err(error) => return Err(failed(error)),
        }
        if ![APPLICATION_ID, BACKUP_ID]
            .map(i32::to_be_bytes)
            .iter()
            .any(|id| header.ends_with(id))
        {
            return Err(CopyError::NotOurs(path));
        }
        // SQLite would play a journal back into the copy. No backup has one.
        let journal = beside(&path, "-journal");
        if fs::symlink_metadata(&journal).is_ok_and(|journal| journal.len() > 0) {
            return Err(CopyError::Journal(journal));
        }
        let wal = beside(&path, "-wal");
        let wal = match fs::symlink_metadata(&wal) {
            Ok(_) => Some(open_beside(
                &wal,
                OpenOptions::new().read(true),
                Some(owner),
            )?),
            Err(_) => None,
        };
        Ok(RestoreSource {
            path,
            database,
            wal,
            _lock: lock,
        })
    }

    fn inode(&self) -> Option<(u64, u64)> {
        let found = self.database.metadata().ok()?;
        Some((found.dev(), found.ino()))
    }

    /// Copies the file and its WAL to the new files `copy` and `copy-wal`.
    fn copy_to(&self, copy: &Path) -> Result<(), CopyError> {
        let failed = |error: io::Error| system(&self.path, "copying it", &error);
        copy_to_new(&self.database, copy).map_err(failed)?;
        match &self.wal {
            Some(wal) => copy_to_new(wal, &beside(copy, "-wal")).map_err(failed),
            None => Ok(()),
        }
    }
}

/// A copy that is about to replace a database. While it exists no server can start. When it is dropped, it leaves nothing
/// behind.
#[derive(Debug)]
pub struct Restoration {
    path: PathBuf,
    scratch: Scratch,
    replaces: bool,
    warning: Option<OpenWarning>,
    _lock: Lock,
}

impl Restoration {
    /// Copies `source`, or with `None` the file at `path` itself, to a directory beside `path`, checks the copy completely,
    /// and brings it to today's schema. Nothing else is changed.
    ///
    /// # Errors
    /// [`CopyError`] says what is wrong with the source, or why the database can't be replaced: above all
    /// [`OpenError::AlreadyServed`].
    pub fn prepare(
        path: &Path,
        source: Option<RestoreSource>,
        accept_network_filesystem: bool,
    ) -> Result<Restoration, CopyError> {
        let path = resolve(path)?;
        let warning = check_filesystem(directory_of(&path), accept_network_filesystem)?;
        check_placement(&path)?;
        let present = fs::metadata(&path).ok();
        let is_itself = |source: &RestoreSource| source.inode() == inode(&path).ok();
        if present.is_some() && source.as_ref().is_some_and(is_itself) {
            return Err(CopyError::IsTheDatabase(path));
        }
        let lock = Lock::take(&path)?;
        if present.as_ref().is_some_and(|present| !present.is_file()) {
            return Err(OpenError::NotAFile(path).into());
        }
        let source = match source {
            None if present.is_none() => return Err(CopyError::NoSource(path)),
            None => {
                let failed = |error: io::Error| system(&path, "opening it", &error);
                let database = File::open(&path).map_err(failed)?;
                RestoreSource::with_companions(path.clone(), database, None)?
            }
            Some(source) => source,
        };
        let scratch = Scratch::create(beside(&path, ".restoring"))?;
        source.copy_to(&scratch.database)?;
        bring_up_to_date(&scratch.database).map_err(|error| error.about(&source.path))?;
        Ok(Restoration {
            path,
            scratch,
            replaces: present.is_some(),
            warning,
            _lock: lock,
        })
    }

    /// The database that will be replaced or created.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether a file will be replaced.
    pub fn replaces(&self) -> bool {
        self.replaces
    }

    /// What an operator should know about where the database is.
    pub fn warning(&self) -> Option<&OpenWarning> {
        self.warning.as_ref()
    }

    /// The copy: a database like any other. Open it as a command does, and close it again.
    pub fn scratch(&self) -> &Path {
        &self.scratch.database
    }

    /// Puts the copy in its place. Returns the name under which the present file is kept.
    ///
    /// # Errors
    /// [`CopyError::InUse`] if another program has the present file open. After any error that file is where it was.
    pub fn put_in_place(self) -> Result<Option<PathBuf>, CopyError> {
        let copy = &self.scratch.database;
        let unfinished = |error: io::Error| system(copy, "making it safe on the disk", &error);
        if fs::metadata(beside(copy, "-wal")).is_ok_and(|wal| wal.len() > 0) {
            return Err(CopyError::InUse(copy.clone()));
        }
        open_beside(copy, OpenOptions::new().read(true), None)?
            .sync_all()
            .map_err(unfinished)?;
        let kept = self.keep_present()?;
        fs::rename(copy, &self.path).map_err(|error| system(&self.path, "replacing it", &error))?;
        sync_directory_of(&self.path).map_err(unfinished)?;
        Ok(self.replaces.then_some(kept))
    }

    /// Gives the present file and all that belongs to it a second name, and the copy the present file's owner. Returns the
    /// second name.
    fn keep_present(&self) -> Result<PathBuf, CopyError> {
        let failed = |error: io::Error| system(&self.path, "keeping it under another name", &error);
        let kept = (1..=MOST_KEPT)
            .map(|number| kept_name(&self.path, number))
            .find(|kept| fs::symlink_metadata(kept).is_err())
            .ok_or_else(|| failed(io::ErrorKind::AlreadyExists.into()))?;
        if self.replaces {
            leave_wal_mode(&self.path)?;
            self.keep_owner()?;
            if fs::hard_link(&self.path, &kept).is_err() {
                // Some file systems have no second names.
                File::open(&self.path)
                    .and_then(|present| copy_to_new(&present, &kept))
                    .map_err(failed)?;
            }
        }
        // What is left of a file that is damaged, or was moved away without them, must not come to the new one.
        for suffix in COMPANIONS {
            match fs::rename(beside(&self.path, suffix), beside(&kept, suffix)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error)),
                _ => {}
            }
        }
        sync_directory_of(&self.path).map_err(failed)?;
        Ok(kept)
    }

    /// Gives the copy the owner of the present file. Otherwise a restore by root would take it away from the server's user.
    fn keep_owner(&self) -> Result<(), CopyError> {
        let failed = |error: io::Error| system(&self.path, "keeping its owner", &error);
        let present = fs::symlink_metadata(&self.path).map_err(failed)?;
        // By its descriptor: a path could lead to another file by now.
        let copy = open_beside(&self.scratch.database, OpenOptions::new().read(true), None)?;
        let copied = copy.metadata().map_err(failed)?;
        if (present.uid(), present.gid()) != (copied.uid(), copied.gid()) {
            let (user, group) = (Uid::from_raw(present.uid()), Gid::from_raw(present.gid()));
            fchown(&copy, Some(user), Some(group)).map_err(|error| failed(error.into()))?;
        }
        Ok(())
    }
}

/// The directory in which a restore works. It is deleted with the value. One that a kill left behind is deleted by the next
/// restore.
#[derive(Debug)]
struct Scratch {
    directory: PathBuf,
    database: PathBuf,
}

impl Scratch {
    fn create(directory: PathBuf) -> Result<Scratch, CopyError> {
        let created = match fs::remove_dir_all(&directory) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => DirBuilder::new().mode(0o700).create(&directory),
        };
        created.map_err(|error| system(&directory, "creating it", &error))?;
        Ok(Scratch {
            database: directory.join("authd.db"),
            directory,
        })
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.directory) {
            tracing::warn!("{} could not be removed: {error}", self.directory.display());
        }
    }
}

/// Checks a copy completely, and brings it to today's schema.
fn bring_up_to_date(copy: &Path) -> Result<(), CopyError> {
    let failed = |error: rusqlite::Error| sqlite(copy, "opening the copy", &error);
    let conn = connection::open(copy, PATIENCE)?;
    let id = pragma(&conn, "application_id").map_err(failed)?;
    if ![APPLICATION_ID, BACKUP_ID].map(i64::from).contains(&id) {
        return Err(CopyError::NotOurs(copy.to_owned()));
    }
    let version = pragma(&conn, "user_version").map_err(failed)?;
    check_version(copy, version)?;
    check_schema(copy, &conn, version)?;
    check(&conn, "PRAGMA integrity_check(1)", copy)?;
    migrations::migrate(&conn, version).map_err(failed)?;
    check_schema(copy, &conn, VERSION)?;
    conn.pragma_update(None, "application_id", APPLICATION_ID)
        .and_then(|()| conn.pragma_update_and_check(None, "journal_mode", "WAL", |_| Ok(())))
        .map_err(failed)?;
    let servers: i64 = conn
        .query_row("SELECT count(*) FROM server", [], |row| row.get(0))
        .map_err(failed)?;
    match servers {
        0 => Err(damaged(copy, "it was never served, and has no keys")),
        _ => Ok(()),
    }
}

fn check_schema(copy: &Path, conn: &rusqlite::Connection, version: i64) -> Result<(), CopyError> {
    schema::check(copy, conn, version).map_err(|refusal| match refusal {
        OpenError::Damaged { path, what } => CopyError::Damaged { path, what },
        other => other.into(),
    })
}

fn damaged(path: &Path, what: &str) -> CopyError {
    CopyError::Damaged {
        path: path.to_owned(),
        what: what.to_owned(),
    }
}

/// Has the present file leave WAL mode, so that the file alone is complete. One that is too damaged to be opened stays as it
/// is.
fn leave_wal_mode(path: &Path) -> Result<(), CopyError> {
    let conn = connection::open(path, PATIENCE)?;
    let left = conn.pragma_update_and_check(None, "journal_mode", "DELETE", |row| {
        row.get::<_, String>(0)
    });
    match left {
        Ok(mode) if mode == "delete" => Ok(()),
        Ok(_) => Err(CopyError::InUse(path.to_owned())),
        Err(error) => match sqlite(path, "closing it", &error) {
            CopyError::Damaged { .. } => Ok(()),
            error => Err(error),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::testing::{OPTIONS, TestDatabase, create_server_row};
    use crate::store::{Options, Role, Store};

    fn source(path: &Path) -> RestoreSource {
        RestoreSource::open(path).unwrap()
    }

    fn backed_up(store: &Store, dest: &Path) -> Result<u64, CopyError> {
        store.backup(dest, |_| {})
    }

    #[test]
    fn a_restoration_that_is_given_up_leaves_nothing_behind() {
        let database = TestDatabase::new();
        let store = database.open();
        store.write(create_server_row).unwrap();
        let dest = database.beside(".backup");
        backed_up(&store, &dest).unwrap();
        assert!(matches!(
            Restoration::prepare(&database.path, Some(source(&dest)), false),
            Err(CopyError::Refused(OpenError::AlreadyServed { .. }))
        ));
        drop(store);
        // The directory that a killed restore left behind.
        fs::create_dir(database.beside(".restoring")).unwrap();
        let restoration = Restoration::prepare(&database.path, Some(source(&dest)), false).unwrap();
        assert!(matches!(
            database.refusal(),
            OpenError::AlreadyServed { .. }
        ));
        let scratch = Store::open(
            restoration.scratch(),
            crate::clock::Clock::system(),
            crate::entropy::Entropy::seeded(1),
            Options {
                role: Role::Command,
                ..OPTIONS
            },
        );
        assert!(scratch.is_ok());
        drop((scratch, restoration));
        assert!(!database.beside(".restoring").exists());
        database.open();
    }

    #[test] // it has no keys
    fn a_backup_of_a_database_that_was_never_served_is_no_source() {
        let database = TestDatabase::new();
        let store = database.open();
        let dest = database.beside(".backup");
        backed_up(&store, &dest).unwrap();
        drop(store);
        assert!(matches!(
            Restoration::prepare(&database.path, Some(source(&dest)), false),
            Err(CopyError::Damaged { .. })
        ));
    }
}
