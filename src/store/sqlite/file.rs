//! The files of a database: paths, file systems, the header, and whether the files are still in their place.
//!
//! **File systems.** The index of SQLite's WAL is memory shared between processes of one machine, and its locks are POSIX
//! locks. NFS, SMB and 9p do not keep either reliable, and a broken lock damages the file for good. These are refused
//! unless the operator accepts them. Behind FUSE and virtiofs there may be either kind, so they get a warning.
//!
//! **Untrusted files.** Other users may be able to create files in the directory of a database or of a backup. So a file
//! beside a database is opened without following a link, and it must be a regular file with one name that belongs to the
//! database's owner, to this user or to root ([`open_beside`]). A rollback journal may name a second file, the
//! *super-journal*, which SQLite deletes after a recovery. authd never writes such a journal, so one is refused before SQLite
//! opens the database ([`check_companions`]).
//!
//! **POSIX locks and descriptors.** When a process closes any descriptor of a file, it loses all its POSIX locks on that
//! file, including those that SQLite holds through another descriptor (fcntl(2)). Therefore the header is never read while
//! this process has the file open ([`Held`]).

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _};
use std::os::unix::fs::{FileExt as _, FileTypeExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rustix::fs::{AtFlags, CWD, OFlags, StatxAttributes, StatxFlags, statx};
use rustix::process::geteuid;

use super::error::system_error;
use super::migrations::{APPLICATION_ID, BACKUP_ID, VERSION};
use crate::store::{OpenError, OpenWarning};

/// The path of a file that belongs to the database: the database's path with `suffix` appended.
pub(in crate::store) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// The absolute path without symbolic links. So a database has one lock file whatever path is used for it, and SQLite never
/// takes the path for a URI. The file need not exist; its directory must.
pub(in crate::store) fn resolve(path: &Path) -> Result<PathBuf, OpenError> {
    match path.canonicalize() {
        Ok(found) => return Ok(found),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(system_error(path, "looking for it", &error)),
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
        Err(error) => Err(system_error(directory, "looking for it", &error)),
    }
}

/// The directory of a path that [`resolve`] returned.
pub(in crate::store) fn directory_of(path: &Path) -> &Path {
    path.parent().unwrap_or(Path::new("/"))
}

/// Refuses a network file system, unless `accept` is set. Returns what an operator should know about an accepted one.
pub(super) fn check_filesystem(
    directory: &Path,
    accept: bool,
) -> Result<Option<OpenWarning>, OpenError> {
    match Filesystem::under(directory)? {
        Filesystem::Local => Ok(None),
        Filesystem::Temporary(kind) => Ok(Some(OpenWarning::Temporary {
            directory: directory.to_owned(),
            kind,
        })),
        Filesystem::Network(kind) if !accept => Err(OpenError::NetworkFilesystem {
            directory: directory.to_owned(),
            kind,
        }),
        Filesystem::Network(kind) | Filesystem::Unknown(kind) => {
            Ok(Some(OpenWarning::UncertainLocks {
                directory: directory.to_owned(),
                kind,
            }))
        }
    }
}

/// Refuses a database file that is a mount point of its own or has several names. SQLite and authd store the WAL and the
/// lock beside it: under another name, or in the directory outside the mount, they would not be found.
///
/// A restore gives the file that it replaces a second name, `.replaced-N`, just before it puts the new one in its place. So
/// that one name is accepted after a crash.
pub(super) fn check_placement(path: &Path) -> Result<(), OpenError> {
    let found = match fs::symlink_metadata(path) {
        Ok(found) if found.is_file() => found,
        _ => return Ok(()),
    };
    let is_mounted = match statx(CWD, path, AtFlags::SYMLINK_NOFOLLOW, StatxFlags::empty()) {
        Ok(found)
            if found
                .stx_attributes_mask
                .contains(StatxAttributes::MOUNT_ROOT) =>
        {
            found.stx_attributes.contains(StatxAttributes::MOUNT_ROOT)
        }
        // Linux before 5.8: a mount from another file system shows by its device.
        _ => fs::metadata(directory_of(path)).is_ok_and(|around| around.dev() != found.dev()),
    };
    if is_mounted {
        return Err(OpenError::MountPoint(path.to_owned()));
    }
    match found.nlink() {
        0 | 1 => Ok(()),
        2 if name_kept_by_restore(path).is_some() => Ok(()),
        _ => Err(OpenError::SeveralNames(path.to_owned())),
    }
}

/// The most files that restores keep beside a database under numbered names. Beyond it an operator should delete some.
pub(super) const MOST_KEPT: u32 = 1000;

/// The numbered name under which a restore keeps the file that it replaces.
pub(super) fn kept_name(path: &Path, number: u32) -> PathBuf {
    beside(path, &format!(".replaced-{number}"))
}

/// The second name that an interrupted restore gave the database at `path`.
pub(super) fn name_kept_by_restore(path: &Path) -> Option<PathBuf> {
    let inode = inode(path).ok()?;
    let identity = |found: fs::Metadata| (found.dev(), found.ino());
    let names = (1..=MOST_KEPT).map(|number| kept_name(path, number));
    names
        .map_while(|name| Some((fs::symlink_metadata(&name).ok()?, name)))
        .find(|(found, _)| identity(found.clone()) == inode)
        .map(|(_, name)| name)
}

/// The kind of file system that a database is on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Filesystem {
    /// A local one.
    Local,
    /// A network file system with this name. SQLite's locks don't work on it.
    Network(&'static str),
    /// A file system with this name, whose files are lost: tmpfs and ramfs when the machine ends, overlayfs when the
    /// container is replaced.
    Temporary(&'static str),
    /// A file system with this name, behind which there may be a local disk or a network.
    Unknown(&'static str),
}

impl Filesystem {
    /// The file system of `directory`.
    pub(super) fn under(directory: &Path) -> Result<Filesystem, OpenError> {
        let found = rustix::fs::statfs(directory).map_err(|error| {
            system_error(directory, "asking for its file system", &error.into())
        })?;
        Ok(Filesystem::of(found.f_type as u64 & 0xffff_ffff))
    }

    /// By the number that `statfs(2)` returns; the numbers are listed in `linux/magic.h`.
    fn of(magic: u64) -> Filesystem {
        match magic {
            0x6969 => Filesystem::Network("NFS"),
            0x517b | 0xff53_4d42 | 0xfe53_4d42 => Filesystem::Network("SMB"),
            0x0102_1997 => Filesystem::Network("9p"),
            0x0102_1994 => Filesystem::Temporary("tmpfs"),
            0x8584_58f6 => Filesystem::Temporary("ramfs"),
            0x794c_7630 => Filesystem::Temporary("overlayfs"),
            // The kernel shows virtiofs as FUSE.
            0x6573_5546 => Filesystem::Unknown("FUSE or virtiofs"),
            _ => Filesystem::Local,
        }
    }
}

/// Opens a file beside a database, as `options` say, without following a link.
///
/// # Errors
/// [`OpenError::UntrustedFile`] if it is not a regular file with one name and a trusted owner: this user, root, or
/// `owner`. Nothing is read from it or written to it then.
pub(super) fn open_beside(
    path: &Path,
    options: &mut OpenOptions,
    owner: Option<u32>,
) -> Result<File, OpenError> {
    // Without NONBLOCK, opening a FIFO waits for another process.
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let opened = options
        .mode(0o600)
        .custom_flags(flags.bits().cast_signed())
        .open(path);
    let file = match opened {
        Ok(file) => file,
        Err(error) => {
            // ELOOP for a link, ENXIO for a socket.
            if let Ok(found) = fs::symlink_metadata(path) {
                check_trusted(path, &found, owner)?;
            }
            return Err(system_error(path, "opening it", &error));
        }
    };
    let found = file
        .metadata()
        .map_err(|error| system_error(path, "reading it", &error))?;
    check_trusted(path, &found, owner)?;
    Ok(file)
}

fn check_trusted(path: &Path, found: &fs::Metadata, owner: Option<u32>) -> Result<(), OpenError> {
    let kind = found.file_type();
    let trusted = [Some(geteuid().as_raw()), Some(0), owner];
    let what = match () {
        () if kind.is_symlink() => "it is a symbolic link",
        () if kind.is_fifo() || kind.is_socket() => "it is a FIFO or a socket",
        () if !kind.is_file() => "it is not a regular file",
        () if found.nlink() > 1 => "it has a second name (a hard link)",
        () if !trusted.contains(&Some(found.uid())) => "it belongs to another user",
        () => return Ok(()),
    };
    Err(OpenError::UntrustedFile {
        path: path.to_owned(),
        what,
    })
}

/// The last 8 bytes of a journal with the name of a super-journal (<https://sqlite.org/fileformat2.html>, §3; the name is
/// read by `readSuperJournal` in `pager.c`).
const SUPER_JOURNAL: [u8; 8] = [0xd9, 0xd5, 0x05, 0xf9, 0x20, 0xa1, 0x63, 0xd7];

/// Checks the files that SQLite opens together with the database at `path`. To be called before each opening. It opens
/// neither the WAL nor the index, because closing them would release the locks of another connection of this process.
///
/// # Errors
/// [`OpenError::UntrustedFile`]
pub(super) fn check_companions(path: &Path) -> Result<(), OpenError> {
    let owner = fs::symlink_metadata(path).ok().map(|found| found.uid());
    for suffix in ["-wal", "-shm", "-journal"] {
        let name = beside(path, suffix);
        match fs::symlink_metadata(&name) {
            Ok(found) => check_trusted(&name, &found, owner)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(system_error(&name, "reading it", &error)),
        }
    }
    let name = beside(path, "-journal");
    let journal = match open_beside(&name, OpenOptions::new().read(true), owner) {
        Ok(journal) => journal,
        Err(_) if fs::symlink_metadata(&name).is_err() => return Ok(()),
        Err(error) => return Err(error),
    };
    let read = || -> io::Result<bool> {
        let size = journal.metadata()?.len();
        let Some(at) = size.checked_sub(SUPER_JOURNAL.len() as u64) else {
            return Ok(false);
        };
        let mut end = [0; SUPER_JOURNAL.len()];
        journal.read_exact_at(&mut end, at)?;
        Ok(end == SUPER_JOURNAL)
    };
    match read() {
        Ok(false) => Ok(()),
        Ok(true) => Err(OpenError::UntrustedFile {
            path: name,
            what: "it names another file, which SQLite would delete",
        }),
        Err(error) => Err(system_error(&name, "reading it", &error)),
    }
}

/// Copies what `from` contains to a new file at `to`, which only its owner can read.
pub(super) fn copy_to_new(from: &File, to: &Path) -> io::Result<()> {
    // A new file: a link in its place is not followed.
    let mut copy = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(to)?;
    let mut from = from;
    io::copy(&mut from, &mut copy)?;
    copy.sync_all()
}

/// The files that this process has open with SQLite, by device and inode, and how often.
static HELD: Mutex<BTreeMap<(u64, u64), usize>> = Mutex::new(BTreeMap::new());

/// Says that this process has a database open. While one of these exists, only SQLite opens the file.
#[derive(Debug)]
pub(in crate::store) struct Held((u64, u64));

impl Held {
    /// Checks the header, unless this process has the file open already and checked it then.
    pub fn take(path: &Path) -> Result<Held, OpenError> {
        let inode = inode(path).map_err(|error| system_error(path, "reading it", &error))?;
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

/// The first bytes of every SQLite database.
pub(super) const SQLITE_FILE: &[u8] = b"SQLite format 3\0";

/// Reads the first 100 bytes (<https://sqlite.org/fileformat2.html>, §1.3).
fn check_header(path: &Path) -> Result<(), OpenError> {
    let mut header = Vec::new();
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
    OpenOptions::new()
        .read(true)
        .write(true)
        .custom_flags(flags.bits().cast_signed())
        .open(path)
        .and_then(|file| file.take(100).read_to_end(&mut header))
        .map_err(|error| system_error(path, "opening it", &error))?;
    let damaged = |what: &str| {
        Err(OpenError::Damaged {
            path: path.to_owned(),
            what: what.to_owned(),
        })
    };
    if header.len() < 100 {
        return damaged("it is shorter than the header of a database");
    }
    if !header.starts_with(SQLITE_FILE) {
        return damaged("it does not begin like an SQLite database");
    }
    let number = |at: usize| {
        i32::from_be_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]])
    };
    check_id(path, number(68).into())?;
    check_version(path, number(60).into())
}

/// Whether the application id is that of an authd database.
pub(super) fn check_id(path: &Path, id: i64) -> Result<(), OpenError> {
    let path = path.to_owned();
    match i32::try_from(id) {
        Ok(APPLICATION_ID) => Ok(()),
        Ok(BACKUP_ID) => Err(OpenError::Backup(path)),
        _ => Err(OpenError::Foreign(path)),
    }
}

/// Whether this release knows the schema version `found`.
pub(super) fn check_version(path: &Path, found: i64) -> Result<(), OpenError> {
    if found > VERSION {
        return Err(OpenError::Newer {
            path: path.to_owned(),
            found,
        });
    }
    Ok(())
}

/// The database, its WAL and its index, as they were when they were opened.
pub(in crate::store) struct OpenFiles([(PathBuf, (u64, u64)); 3]);

impl OpenFiles {
    pub(super) fn of(path: &Path) -> io::Result<OpenFiles> {
        let [db, wal, shm] = [path.to_owned(), beside(path, "-wal"), beside(path, "-shm")];
        let identified = |path: PathBuf| inode(&path).map(|inode| (path, inode));
        Ok(OpenFiles([
            identified(db)?,
            identified(wal)?,
            identified(shm)?,
        ]))
    }

    /// Whether all three are still the files that SQLite has open.
    ///
    /// # Errors
    /// The first that is not.
    pub(super) fn check(&self) -> Result<(), MovedFile> {
        for ((path, opened), part) in self.0.iter().zip([Part::Database, Part::Wal, Part::Index]) {
            match inode(path) {
                Ok(found) if found == *opened => {}
                Ok(_) => {
                    return Err(MovedFile {
                        path: path.clone(),
                        part,
                        is_gone: false,
                    });
                }
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    return Err(MovedFile {
                        path: path.clone(),
                        part,
                        is_gone: true,
                    });
                }
                // The file may be there although it can't be examined now.
                Err(error) => tracing::warn!("{}: {error}", path.display()),
            }
        }
        Ok(())
    }
}

/// One of the three files.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Part {
    Database,
    Wal,
    Index,
}

/// A file that was deleted or replaced while it was open.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct MovedFile {
    pub path: PathBuf,
    pub part: Part,
    pub is_gone: bool,
}

/// The device and inode of a file.
pub(super) fn inode(path: &Path) -> io::Result<(u64, u64)> {
    fs::metadata(path).map(|found| (found.dev(), found.ino()))
}

/// Deletes a file, if there is one.
pub(super) fn remove_if_there(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Makes the names in the file's directory survive a power cut.
pub(super) fn sync_directory_of(path: &Path) -> io::Result<()> {
    File::open(directory_of(path))?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::super::open::open;
    use super::*;
    use crate::store::testing::{OPTIONS, TestDatabase};

    #[test]
    fn file_systems_are_known_by_their_number() {
        assert_eq!(Filesystem::of(0x6969), Filesystem::Network("NFS"));
        assert_eq!(Filesystem::of(0xff53_4d42), Filesystem::Network("SMB"));
        assert_eq!(Filesystem::of(0x0102_1997), Filesystem::Network("9p"));
        assert!(matches!(
            Filesystem::of(0x6573_5546),
            Filesystem::Unknown(_)
        ));
        assert_eq!(Filesystem::of(0x0102_1994), Filesystem::Temporary("tmpfs"));
        assert_eq!(
            Filesystem::of(0x794c_7630),
            Filesystem::Temporary("overlayfs")
        );
        assert_eq!(Filesystem::of(0xef53), Filesystem::Local);
    }

    #[test]
    fn a_missing_directory_is_named() {
        let database = TestDatabase::new();
        let path = database.path.join("authd.db");
        let refusal = resolve(&path).unwrap_err();
        assert!(
            refusal
                .to_string()
                .contains(&database.path.display().to_string())
        );
        assert!(matches!(refusal, OpenError::NoDirectory(_)));
    }

    #[test] // fault 8
    fn deleted_and_replaced_files_are_noticed() {
        let database = TestDatabase::new();
        let opened = open(&database.path, &OPTIONS).unwrap();
        opened.files.check().unwrap();
        let index = database.beside("-shm");
        fs::rename(&index, database.beside("-aside")).unwrap();
        let gone = MovedFile {
            path: index.clone(),
            part: Part::Index,
            is_gone: true,
        };
        assert_eq!(opened.files.check(), Err(gone.clone()));
        fs::write(&index, "").unwrap();
        assert_eq!(
            opened.files.check(),
            Err(MovedFile {
                is_gone: false,
                ..gone
            })
        );
    }
}
