//! Copies of the database: one that is taken beside the running server, and one that is put in its place.
//!
//! **A backup** is `VACUUM INTO`: one read snapshot, written out page after page without what was deleted. SQLite's
//! backup interface would begin anew whenever another process commits, and never end beside a busy server. SQLite
//! syncs nothing of such a copy, so it is written under another name (`DEST.partial`), checked, synced, and only then
//! renamed: under the name that was asked for there is a whole backup or nothing.
//!
//! A backup is *marked* as one, by an application id of its own. Served as it is it would bring ended sessions back
//! to life, so a server refuses it ([`OpenError::Backup`]) until a restore has begun a new epoch in it.
//!
//! **A restore** works on a scratch copy in a directory beside the database, which nobody else looks at: the source is
//! copied byte by byte with its WAL, opened there, checked through and brought to today's schema; the logic begins
//! its epoch there. So the source is never written to, and whatever is wrong with it is found before anything is
//! touched. Then [`Restoration::put_in_place`] keeps the present file under a second name and renames the copy over
//! it, in one step: a crash leaves the old file or the new one under its name, whole.
//!
//! **The WAL belongs to its file.** A new file under the old name would be given the old file's WAL by SQLite, and be
//! damaged for good. So the present file leaves WAL mode first, which also proves that no other process has it open.
//! One that is too damaged for that can't use its WAL either, and that is moved away with it.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions, TryLockError};
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{
    DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _, chown,
};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{Connection, ErrorCode, OpenFlags};
use rustix::fs::{CWD, OFlags, RenameFlags, renameat_with};
use rustix::io::Errno;

use crate::store::Store;
use crate::store::sqlite::migrations::{self, APPLICATION_ID, BACKUP_ID, VERSION};
use crate::store::sqlite::open::{self, Lock, OpenError, beside};
use crate::store::sqlite::readers;

/// Instructions of SQLite's machine between two looks at how far a backup is: some 20 ms.
const PROGRESS_STEPS: i32 = 100_000;

/// How long another process may keep a lock before the work is given up.
const PATIENCE: Duration = Duration::from_secs(5);

/// The most files that are kept beside a database under numbered names; somebody should look before there are more.
const MOST_KEPT: u32 = 1000;

/// The files that belong to a database, by what is appended to its name.
const COMPANIONS: [&str; 3] = ["-wal", "-shm", "-journal"];

/// Why a backup or a restore did not happen. What is shown says what to do; nothing was changed.
#[derive(Debug)]
pub enum CopyError {
    /// There is a file under the name that the backup should have.
    Exists(PathBuf),
    /// Another process is writing this backup.
    Underway(PathBuf),
    /// There is no file to restore from.
    NoSource(PathBuf),
    /// The file to restore from is the database itself.
    IsTheDatabase(PathBuf),
    /// The file to restore from has a server, which may change it at any time.
    Served(PathBuf),
    /// It is not a database of authd's.
    NotOurs(PathBuf),
    /// It is damaged.
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
    /// The system or SQLite said no.
    System {
        /// The file or directory.
        path: PathBuf,
        /// What was attempted.
        attempt: &'static str,
        /// What it said.
        error: String,
    },
}

impl std::fmt::Display for CopyError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            CopyError::Exists(path) => write!(
                f,
                "{} is there already, and a backup overwrites nothing. Give it another name.",
                path.display()
            ),
            CopyError::Underway(path) => write!(
                f,
                "Another authd is just then writing {}. Wait for it, or give this backup another name.",
                path.display()
            ),
            CopyError::NoSource(path) => write!(
                f,
                "There is no file {}. Nothing was changed.",
                path.display()
            ),
            CopyError::IsTheDatabase(path) => write!(
                f,
                "{} is the database itself. If it was copied in, use `authd restore --here`. Nothing was changed.",
                path.display()
            ),
            CopyError::Served(path) => write!(
                f,
                "{} is being served. Restore from a backup of it (`authd backup`), or stop its server first. Nothing \
                 was changed.",
                path.display()
            ),
            CopyError::NotOurs(path) => write!(
                f,
                "{} is not a database of authd. Nothing was changed.",
                path.display()
            ),
            CopyError::Damaged { path, what } => write!(
                f,
                "{} is damaged ({what}). Nothing was changed. Use another backup.",
                path.display()
            ),
            CopyError::InUse(path) => write!(
                f,
                "Another program has {} open. Close it, then try again. Nothing was changed.",
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

/// How far a backup is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Progress {
    /// Bytes that were written.
    pub done: u64,
    /// Bytes that there are to write, as far as that is known at the beginning.
    pub total: u64,
}

impl Store {
    /// Writes a backup of what is committed now to `dest`, readable by its owner only, while others go on writing.
    /// Returns its size in bytes when it was checked and is safe on the disk. `progress` is told now and then.
    ///
    /// # Errors
    /// [`CopyError`]. There is nothing under the name `dest` then, unless there was before.
    pub fn backup(
        &self,
        dest: &Path,
        mut progress: impl FnMut(Progress) + Send + 'static,
    ) -> Result<u64, CopyError> {
        if fs::symlink_metadata(dest).is_ok() {
            return Err(CopyError::Exists(dest.to_owned()));
        }
        let dest = open::resolve(dest)?;
        let partial = Partial::begin(&dest)?;
        let failed = |error: rusqlite::Error| sqlite(&partial.path, "writing the backup", &error);

        let source = connect(&self.path).map_err(failed)?;
        let number = |pragma: &str| source.pragma_query_value(None, pragma, |row| row.get(0));
        let pages = number("page_count")
            .and_then(|all: i64| Ok(all - number("freelist_count")?))
            .map_err(failed)?;
        let total = pages.unsigned_abs() * u64::from(open::PAGE_SIZE);
        let growing = partial.path.clone();
        let watch = move || {
            let done = fs::metadata(&growing).map_or(0, |written| written.len());
            progress(Progress { done, total });
            false
        };
        source
            .progress_handler(PROGRESS_STEPS, Some(watch))
            .map_err(failed)?;
        let name = ValueRef::Text(partial.path.as_os_str().as_bytes());
        source
            .execute("VACUUM INTO ?1", [ToSqlOutput::Borrowed(name)])
            .map_err(|error| match failed(error) {
                // It is the reading that found this.
                CopyError::Damaged { what, .. } => CopyError::Refused(OpenError::Damaged {
                    path: self.path.clone(),
                    what,
                }),
                other => other,
            })?;
        drop(source);

        let copy = connect(&partial.path).map_err(failed)?;
        // No second file, which a kill would leave behind. Whatever happens to this one, it has no name yet.
        copy.pragma_update_and_check(None, "journal_mode", "MEMORY", |_| Ok(()))
            .and_then(|()| copy.pragma_update(None, "application_id", BACKUP_ID))
            .map_err(failed)?;
        check(&copy, "PRAGMA quick_check(1)", &partial.path)?;
        drop(copy);
        partial.publish(&dest)
    }
}

/// A backup in the making. Whoever holds the lock on it is the one who writes it; one that a kill left behind is
/// begun anew. Dropped, it is gone.
struct Partial {
    path: PathBuf,
    file: File,
}

impl Partial {
    fn begin(dest: &Path) -> Result<Partial, CopyError> {
        let path = beside(dest, ".partial");
        let failed = |error: io::Error| system(&path, "making it", &error);
        // In a directory that others can write, a link of theirs must lead nowhere.
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .custom_flags(OFlags::NOFOLLOW.bits().cast_signed())
            .open(&path)
            .map_err(failed)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(CopyError::Underway(dest.to_owned())),
            Err(TryLockError::Error(error)) => return Err(failed(error)),
        }
        // Between opening and locking, the other one may have finished and given the file its name.
        let ours = file.metadata().map_err(failed)?;
        if open::inode(&path).ok() != Some((ours.dev(), ours.ino())) {
            return Err(CopyError::Underway(dest.to_owned()));
        }
        file.set_permissions(Permissions::from_mode(0o600))
            .and_then(|()| file.set_len(0))
            .map_err(failed)?;
        Ok(Partial { path, file })
    }

    /// Makes it safe, and gives it its name. Returns its size.
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
            Err(error) => return Err(system(dest, "naming it", &error)),
        }
        sync_directory_of(dest).map_err(failed)?;
        Ok(size)
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        // After its renaming there is nothing under this name.
        let _ = fs::remove_file(&self.path);
    }
}

/// A database that is about to take another's place. While it lives no server can start; dropped, it leaves nothing
/// behind.
#[derive(Debug)]
pub struct Restoration {
    path: PathBuf,
    scratch: Scratch,
    replaces: bool,
    _lock: Lock,
}

impl Restoration {
    /// Copies `source`, or with `None` what is at `path` itself, to a scratch place beside `path`, checks it
    /// through, and brings it to today's schema. Nothing else is touched.
    ///
    /// # Errors
    /// [`CopyError`] says what is wrong with the source, or why the database can't be replaced: above all
    /// [`OpenError::AlreadyServed`].
    pub fn prepare(
        path: &Path,
        source: Option<&Path>,
        accept_network_filesystem: bool,
    ) -> Result<Restoration, CopyError> {
        let path = open::resolve(path)?;
        let directory = path.parent().unwrap_or(Path::new("/"));
        open::check_filesystem(directory, accept_network_filesystem)?;
        let lock = Lock::take(&path)?;
        let present = fs::metadata(&path).ok();
        if present.as_ref().is_some_and(|present| !present.is_file()) {
            return Err(OpenError::NotAFile(path).into());
        }
        let source = match source {
            None if present.is_none() => return Err(CopyError::NoSource(path)),
            None => path.clone(),
            Some(source) => find_source(source, &path)?,
        };
        // Held until the copy is made: no server may begin to write to the source meanwhile.
        let _source_lock = match source != path && beside(&source, ".lock").exists() {
            true => Some(Lock::take(&source).map_err(|refusal| match refusal {
                OpenError::AlreadyServed { path, .. } => CopyError::Served(path),
                refusal => refusal.into(),
            })?),
            false => None,
        };
        let scratch = Scratch::make(beside(&path, ".restoring"))?;
        for suffix in ["", "-wal", "-journal"] {
            let (from, to) = (beside(&source, suffix), beside(&scratch.database, suffix));
            match fs::copy(&from, &to) {
                Ok(_) => fs::set_permissions(&to, Permissions::from_mode(0o600))
                    .map_err(|error| system(&to, "closing it to others", &error))?,
                Err(error) if error.kind() == io::ErrorKind::NotFound && !suffix.is_empty() => {}
                Err(error) => return Err(system(&from, "copying it", &error)),
            }
        }
        renew(&scratch.database).map_err(|error| error.about(&source))?;
        Ok(Restoration {
            path,
            scratch,
            replaces: present.is_some(),
            _lock: lock,
        })
    }

    /// The database that will be replaced, or made.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether there is a file that will be replaced.
    pub fn replaces(&self) -> bool {
        self.replaces
    }

    /// The copy: a database like any other, to be opened as a command does, and closed again.
    pub fn scratch(&self) -> &Path {
        &self.scratch.database
    }

    /// Puts the copy in its place. Returns the name under which the file that was there is kept.
    ///
    /// # Errors
    /// [`CopyError::InUse`] if another program has the present file open. After any error that file is where it was.
    pub fn put_in_place(self) -> Result<Option<PathBuf>, CopyError> {
        let copy = &self.scratch.database;
        let unfinished = |error: io::Error| system(copy, "making it safe on the disk", &error);
        if fs::metadata(beside(copy, "-wal")).is_ok_and(|wal| wal.len() > 0) {
            return Err(CopyError::InUse(copy.clone()));
        }
        File::open(copy)
            .and_then(|copy| copy.sync_all())
            .map_err(unfinished)?;
        let kept = self.keep_present()?;
        fs::rename(copy, &self.path).map_err(|error| system(&self.path, "replacing it", &error))?;
        sync_directory_of(&self.path).map_err(unfinished)?;
        Ok(self.replaces.then_some(kept))
    }

    /// Gives the present file a second name, whole with all that belongs to it, and the copy its owner. Returns that
    /// name.
    fn keep_present(&self) -> Result<PathBuf, CopyError> {
        let failed = |error: io::Error| system(&self.path, "keeping it under another name", &error);
        let kept = (1..=MOST_KEPT)
            .map(|number| beside(&self.path, &format!(".replaced-{number}")))
            .find(|kept| fs::symlink_metadata(kept).is_err())
            .ok_or_else(|| failed(io::ErrorKind::AlreadyExists.into()))?;
        if self.replaces {
            settle(&self.path)?;
            self.hand_over()?;
            if fs::hard_link(&self.path, &kept).is_err() {
                // Some file systems have no second names.
                fs::copy(&self.path, &kept)
                    .and_then(|_| File::open(&kept)?.sync_all())
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

    /// Gives the copy the owner of the present file: run by root, a restore must not take it from the server's user.
    fn hand_over(&self) -> Result<(), CopyError> {
        let failed =
            |error: io::Error| system(&self.path, "giving the new file to its owner", &error);
        let present = fs::metadata(&self.path).map_err(failed)?;
        let copied = fs::metadata(&self.scratch.database).map_err(failed)?;
        if (present.uid(), present.gid()) != (copied.uid(), copied.gid()) {
            let (user, group) = (Some(present.uid()), Some(present.gid()));
            chown(&self.scratch.database, user, group).map_err(failed)?;
        }
        Ok(())
    }
}

/// The directory in which a restore works; gone with it. One that a kill left behind is cleared away by the next.
#[derive(Debug)]
struct Scratch {
    directory: PathBuf,
    database: PathBuf,
}

impl Scratch {
    fn make(directory: PathBuf) -> Result<Scratch, CopyError> {
        let made = match fs::remove_dir_all(&directory) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => DirBuilder::new().mode(0o700).create(&directory),
        };
        made.map_err(|error| system(&directory, "making it", &error))?;
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

/// The source's own path, if it is a file and not the one that it would replace.
fn find_source(source: &Path, path: &Path) -> Result<PathBuf, CopyError> {
    let found = match source.canonicalize() {
        Ok(found) => found,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(CopyError::NoSource(source.to_owned()));
        }
        Err(error) => return Err(system(source, "looking for it", &error)),
    };
    if open::inode(&found).is_ok() && open::inode(&found).ok() == open::inode(path).ok() {
        return Err(CopyError::IsTheDatabase(found));
    }
    match found.is_file() {
        true => Ok(found),
        false => Err(CopyError::NotOurs(found)),
    }
}

/// Checks a copy through, and makes a database of today of it.
fn renew(copy: &Path) -> Result<(), CopyError> {
    let failed = |error: rusqlite::Error| sqlite(copy, "opening the copy", &error);
    let conn = connect(copy).map_err(failed)?;
    let number = |pragma: &str| {
        conn.pragma_query_value(None, pragma, |row| row.get::<_, i64>(0))
            .map_err(failed)
    };
    let id = number("application_id")?;
    if ![APPLICATION_ID, BACKUP_ID].map(i64::from).contains(&id) {
        return Err(CopyError::NotOurs(copy.to_owned()));
    }
    let version = number("user_version")?;
    if version > VERSION {
        return Err(CopyError::Refused(OpenError::Newer {
            path: copy.to_owned(),
            found: version,
        }));
    }
    check(&conn, "PRAGMA integrity_check(1)", copy)?;
    migrations::migrate(&conn, version)
        .and_then(|()| conn.pragma_update(None, "application_id", APPLICATION_ID))
        .and_then(|()| conn.pragma_update_and_check(None, "journal_mode", "WAL", |_| Ok(())))
        .map_err(failed)?;
    let servers: i64 = conn
        .query_row("SELECT count(*) FROM server", [], |row| row.get(0))
        .map_err(failed)?;
    match servers {
        0 => Err(CopyError::Damaged {
            path: copy.to_owned(),
            what: "it was never served, and has no keys".to_owned(),
        }),
        _ => Ok(()),
    }
}

/// Has the present file leave WAL mode, so that it is whole by itself. One that is too damaged to be opened stays as it
/// is.
fn settle(path: &Path) -> Result<(), CopyError> {
    let settled = connect(path).and_then(|conn| {
        conn.pragma_update_and_check(None, "journal_mode", "DELETE", |row| {
            row.get::<_, String>(0)
        })
    });
    match settled {
        Ok(mode) if mode == "delete" => Ok(()),
        Ok(_) => Err(CopyError::InUse(path.to_owned())),
        Err(error) => match sqlite(path, "closing it", &error) {
            CopyError::Damaged { .. } => Ok(()),
            error => Err(error),
        },
    }
}

fn connect(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let conn = Connection::open_with_flags(path, flags)?;
    conn.busy_timeout(PATIENCE)?;
    readers::harden(&conn)?;
    Ok(conn)
}

fn check(conn: &Connection, pragma: &str, path: &Path) -> Result<(), CopyError> {
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

fn sync_directory_of(path: &Path) -> io::Result<()> {
    File::open(path.parent().unwrap_or(Path::new("/")))?.sync_all()
}

fn system(path: &Path, attempt: &'static str, error: &io::Error) -> CopyError {
    CopyError::System {
        path: path.to_owned(),
        attempt,
        error: error.to_string(),
    }
}

fn sqlite(path: &Path, attempt: &'static str, error: &rusqlite::Error) -> CopyError {
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

impl CopyError {
    /// The same about the file that the operator knows.
    fn about(self, known: &Path) -> CopyError {
        let path = known.to_owned();
        match self {
            CopyError::NotOurs(_) => CopyError::NotOurs(path),
            CopyError::Damaged { what, .. } => CopyError::Damaged { path, what },
            CopyError::Refused(OpenError::Newer { found, .. }) => {
                CopyError::Refused(OpenError::Newer { path, found })
            }
            other => other,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;
    use crate::store::Role;
    use crate::store::sqlite::testing::{OPTIONS, Place, add_event, found};

    fn backed_up(store: &Store, dest: &Path) -> Result<u64, CopyError> {
        store.backup(dest, |_| {})
    }

    #[test]
    fn progress_is_told_and_ends_at_what_was_announced() {
        let place = Place::new();
        let store = place.open();
        for _ in 0..100 {
            let many =
                |tx: &crate::store::Tx<'_>| (0..500).try_for_each(|_| add_event(tx, 50).map(drop));
            store.write(many).unwrap();
        }
        let (told, heard) = std::sync::mpsc::channel();
        let size = store
            .backup(&place.beside(".backup"), move |progress| {
                told.send(progress).unwrap();
            })
            .unwrap();
        let heard: Vec<Progress> = heard.iter().collect();
        assert!(heard.is_sorted_by_key(|progress| progress.done));
        let last = heard.last().expect("it takes a while");
        assert!(last.done > 0 && last.done <= size);
        assert!(
            last.total >= size && last.total < 2 * size,
            "{last:?} {size}"
        );
    }

    #[test]
    fn two_do_not_write_one_backup() {
        let place = Place::new();
        let store = place.open();
        let dest = place.beside(".backup");
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
    fn what_came_meanwhile_is_not_overwritten() {
        let place = Place::new();
        let dest = place.beside(".backup");
        let partial = Partial::begin(&dest).unwrap();
        fs::write(&dest, "somebody's").unwrap();
        assert!(matches!(partial.publish(&dest), Err(CopyError::Exists(_))));
        assert_eq!(fs::read(&dest).unwrap(), b"somebody's");
        assert!(!place.beside(".backup.partial").exists());
    }

    #[test]
    fn a_link_that_lies_in_the_way_leads_nowhere() {
        let place = Place::new();
        let store = place.open();
        let victim = place.beside(".victim");
        fs::write(&victim, "precious").unwrap();
        symlink(&victim, place.beside(".backup.partial")).unwrap();
        assert!(backed_up(&store, &place.beside(".backup")).is_err());
        assert_eq!(fs::read(&victim).unwrap(), b"precious");
    }

    #[test]
    fn a_restoration_that_is_given_up_leaves_nothing_and_lets_go() {
        let place = Place::new();
        let store = place.open();
        store.write(found).unwrap();
        let dest = place.beside(".backup");
        backed_up(&store, &dest).unwrap();
        assert!(matches!(
            Restoration::prepare(&place.path, Some(&dest), false),
            Err(CopyError::Refused(OpenError::AlreadyServed { .. }))
        ));
        drop(store);
        // What a killed one left behind is in nobody's way.
        fs::create_dir(place.beside(".restoring")).unwrap();
        let restoration = Restoration::prepare(&place.path, Some(&dest), false).unwrap();
        assert!(matches!(place.refusal(), OpenError::AlreadyServed { .. }));
        let scratch = Store::open(
            restoration.scratch(),
            crate::clock::Clock::system(),
            crate::entropy::Entropy::seeded(1),
            crate::store::Options {
                role: Role::Command,
                ..OPTIONS
            },
        );
        assert!(scratch.is_ok());
        drop((scratch, restoration));
        assert!(!place.beside(".restoring").exists());
        place.open();
    }

    #[test] // a database that was made and never served has no keys to begin with
    fn a_backup_without_a_server_is_no_source() {
        let place = Place::new();
        let store = place.open();
        let dest = place.beside(".backup");
        backed_up(&store, &dest).unwrap();
        drop(store);
        assert!(matches!(
            Restoration::prepare(&place.path, Some(&dest), false),
            Err(CopyError::Damaged { .. })
        ));
    }
}
