//! Giving up the rights of root in the directory of another user.
//!
//! A service runs as a user of its own, who owns the directory of the database, and an operator runs commands with `sudo`. An
//! attacker who has taken over the service can put links and other files into that directory, and a command with the rights of
//! root would follow them: it could overwrite a file of root's or give one away. So a command of root becomes the
//! directory's owner, for good, before it opens anything there. Then it can do nothing that the attacker could not do
//! anyway, and the files that it creates belong to the user who needs them.
//!
//! **What is opened before.** Only a backup to restore, because often only root can read it. It is read through its
//! descriptor, and refused if another user's link leads to it. A file to write is not opened before: a backup gets its name
//! at the end, by a rename, and for that the rights on its directory are needed. So root can't write a backup to a directory
//! of its own; the error says so.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStringExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Component, Path, PathBuf, absolute};

use rustix::fs::{CWD, FileType, Mode, OFlags, fstat, openat, readlinkat};
use rustix::io::Errno;
use rustix::process::{Gid, Uid, getegid, geteuid, getuid};
use rustix::thread::{set_thread_groups, set_thread_res_gid, set_thread_res_uid, set_thread_uid};

use super::OpenError;
use super::sqlite::{directory_of, resolve, system_error};

/// The group of a user whose group is not known and whose directory belongs to root's group: `nogroup`.
const NO_GROUP: u32 = 65534;

/// The most symbolic links on one path, as in the kernel (`path_resolution(7)`).
const MOST_LINKS: usize = 40;

/// If this process has the rights of root and the directory of `database` belongs to another user, or another user's link
/// leads to it, becomes that user for good: the group list, then the group, then the user. Returns the user's id then, and
/// `None` if nothing had to be done.
///
/// The kernel keeps these ids for each thread, and new threads take over those of the thread that starts them. So this must
/// be called before the process starts a thread.
///
/// # Errors
/// [`OpenError::NoDirectory`], or [`OpenError::System`] if the process has several threads or the kernel refuses.
pub(crate) fn become_owner_of(database: &Path) -> Result<Option<u32>, OpenError> {
    if !geteuid().is_root() {
        return Ok(None);
    }
    // The directory that was named comes first: a link in it may lead to a directory of root's.
    let named = match database.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    if let Ok(found) = fs::metadata(named)
        && let Some(owner) = become_user(named, found.uid(), found.gid())?
    {
        return Ok(Some(owner));
    }
    for path in [named, database] {
        if let Ok(followed) = Followed::new(path)
            && let Some((link, owner)) = followed.link
        {
            return become_user(&link, owner, 0);
        }
    }
    let resolved = resolve(database)?;
    let directory = directory_of(&resolved);
    let found =
        fs::metadata(directory).map_err(|error| system_error(directory, "reading it", &error))?;
    become_user(directory, found.uid(), found.gid())
}

/// Becomes `user`, who owns `path`, unless that is root. `group` is the file's.
fn become_user(path: &Path, user: u32, group: u32) -> Result<Option<u32>, OpenError> {
    if user == 0 {
        return Ok(None);
    }
    let failed = |error: Errno| OpenError::System {
        path: path.to_owned(),
        attempt: "becoming its owner, as root must before it opens a database there,",
        error: error.to_string(),
    };
    if thread_count().is_some_and(|threads| threads != 1) {
        return Err(failed(Errno::BUSY));
    }
    let (uid, gid) = (Uid::from_raw(user), Gid::from_raw(group_of(user, group)));
    set_thread_groups(&[gid])
        .and_then(|()| set_thread_res_gid(gid, gid, gid))
        .and_then(|()| set_thread_res_uid(uid, uid, uid))
        .map_err(failed)?;
    let is_done = (getuid(), geteuid(), getegid()) == (uid, uid, gid);
    if !is_done || set_thread_uid(Uid::ROOT).is_ok() {
        return Err(failed(Errno::PERM));
    }
    Ok(Some(user))
}

/// The user's group in `/etc/passwd`, or else the group of the file, if that is not root's.
fn group_of(user: u32, of_file: u32) -> u32 {
    let users = fs::read_to_string("/etc/passwd").unwrap_or_default();
    let group = users.lines().find_map(|line| {
        let mut fields = line.split(':').skip(2);
        let is_user = fields.next()?.parse() == Ok(user);
        fields.next()?.parse().ok().filter(|_| is_user)
    });
    match (group, of_file) {
        (Some(group), _) => group,
        (None, 0) => NO_GROUP,
        (None, group) => group,
    }
}

/// `None` where `/proc` is not mounted.
fn thread_count() -> Option<usize> {
    fs::read_dir("/proc/self/task").ok().map(Iterator::count)
}

/// Where a path leads, found component by component through descriptors, so that no other process can replace a component meanwhile.
pub(super) struct Followed {
    /// The path without symbolic links.
    pub path: PathBuf,
    /// The first link on the way that does not belong to root, and its owner.
    link: Option<(PathBuf, u32)>,
    directory: OwnedFd,
    name: OsString,
}

impl Followed {
    /// Follows `path`, whose last component must exist.
    pub fn new(path: &Path) -> io::Result<Followed> {
        let path = absolute(path)?;
        let walk = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let root = || openat(CWD, "/", walk | OFlags::DIRECTORY, Mode::empty());
        let mut followed = Followed {
            path: PathBuf::from("/"),
            link: None,
            directory: root()?,
            name: OsString::from("."),
        };
        let mut ahead: Vec<PathBuf> = backwards(&path);
        let mut links = 0;
        while let Some(step) = ahead.pop() {
            let name = match step.components().next() {
                Some(Component::RootDir) => {
                    followed.enter(root()?, "/");
                    continue;
                }
                Some(Component::Normal(name)) => name,
                Some(Component::ParentDir) => {
                    let above = openat(&followed.directory, "..", walk, Mode::empty())?;
                    followed.enter(above, "..");
                    continue;
                }
                _ => continue,
            };
            let next = openat(&followed.directory, name, walk, Mode::empty())?;
            let found = fstat(&next)?;
            match FileType::from_raw_mode(found.st_mode) {
                FileType::Symlink => {
                    links += 1;
                    if links > MOST_LINKS {
                        return Err(Errno::LOOP.into());
                    }
                    if found.st_uid != 0 && followed.link.is_none() {
                        followed.link = Some((followed.path.join(name), found.st_uid));
                    }
                    let target = readlinkat(&next, "", Vec::new())?;
                    let target = OsString::from_vec(target.into_bytes());
                    ahead.extend(backwards(Path::new(&target)));
                }
                _ if ahead.is_empty() => {
                    name.clone_into(&mut followed.name);
                    followed.path.push(name);
                }
                _ => followed.enter(next, name),
            }
        }
        Ok(followed)
    }

    fn enter(&mut self, directory: OwnedFd, name: impl AsRef<OsStr>) {
        self.directory = directory;
        match name.as_ref() {
            name if name == ".." => {
                self.path.pop();
            }
            name => self.path.push(name),
        }
    }

    /// Opens the file for reading. What has taken its place since is opened only if it is no link.
    pub fn open(&self) -> io::Result<fs::File> {
        // Without NONBLOCK, opening a FIFO waits for another process.
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        Ok(openat(&self.directory, &self.name, flags, Mode::empty())?.into())
    }

    /// For root: checks that the users who made the links to the opened file, symbolic or hard, own it themselves. Otherwise
    /// a user could have root read what only root can read.
    ///
    /// # Errors
    /// [`OpenError::UntrustedFile`]
    pub fn check_owner(&self, opened: &fs::Metadata) -> Result<(), OpenError> {
        let owns = |user: u32| user == 0 || user == opened.uid();
        let directory = fstat(&self.directory).map_or(u32::MAX, |found| found.st_uid);
        let (path, what) = match &self.link {
            _ if !geteuid().is_root() => return Ok(()),
            Some((link, user)) if !owns(*user) => (link, "it is a link to another user's file"),
            _ if opened.nlink() > 1 && !owns(directory) => {
                (&self.path, "it has a second name (a hard link)")
            }
            _ => return Ok(()),
        };
        Err(OpenError::UntrustedFile {
            path: path.clone(),
            what,
        })
    }
}

/// The components of `path`, the last one first.
fn backwards(path: &Path) -> Vec<PathBuf> {
    let components = path.components().rev();
    components
        .map(|component| PathBuf::from(component.as_os_str()))
        .collect()
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn a_path_is_followed_as_the_kernel_does_it() {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        fs::create_dir_all(at("a/b")).unwrap();
        fs::write(at("a/b/file"), "content").unwrap();
        symlink("a/b", at("relative")).unwrap();
        symlink(at("relative"), at("absolute")).unwrap();
        symlink("../b/file", at("a/b/name")).unwrap();
        symlink("loop", at("loop")).unwrap();
        for path in [
            "a/b/file",
            "a/./b/../b/file",
            "relative/file",
            "absolute/file",
            "absolute/name",
            "relative/../b/name",
        ] {
            let followed = Followed::new(&at(path)).unwrap();
            assert_eq!(followed.path, at(path).canonicalize().unwrap(), "{path}");
            let mut text = String::new();
            followed.open().unwrap().read_to_string(&mut text).unwrap();
            assert_eq!(text, "content");
        }
        for path in ["missing", "loop", "a/b/file/below"] {
            assert!(Followed::new(&at(path)).is_err(), "{path}");
        }
    }
}
