//! Giving up the rights of root in the directory of another user.
//!
//! A service runs as a user of its own, who owns the directory of the database, and an operator runs commands with `sudo`. An
//! attacker who has taken over the service can put links and other files into that directory, and a command with the rights of
//! root would follow them: it could overwrite a file of root's or give one away. So a command of root becomes the
//! directory's owner, for good, before it opens anything there. Then it can do nothing that the attacker could not do
//! anyway, and the files that it creates belong to the user who needs them.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use rustix::io::Errno;
use rustix::process::{Gid, Uid, getegid, geteuid, getuid};
use rustix::thread::{set_thread_groups, set_thread_res_gid, set_thread_res_uid, set_thread_uid};

use super::OpenError;
use super::sqlite::{directory_of, resolve, system_error};

/// The group of a user whose group is not known and whose directory belongs to root's group: `nogroup`.
const NO_GROUP: u32 = 65534;

/// If this process has the rights of root and the directory of `database` belongs to another user, becomes that user for
/// good: the group list, then the group, then the user. Returns the user's id then, and `None` if nothing had to be done.
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
    if named.is_dir()
        && let Some(owner) = become_owner(named)?
    {
        return Ok(Some(owner));
    }
    become_owner(directory_of(&resolve(database)?))
}

fn become_owner(directory: &Path) -> Result<Option<u32>, OpenError> {
    let found =
        fs::metadata(directory).map_err(|error| system_error(directory, "reading it", &error))?;
    if found.uid() == 0 {
        return Ok(None);
    }
    let failed = |error: Errno| OpenError::System {
        path: directory.to_owned(),
        attempt: "becoming its owner, as root must before it opens a database there,",
        error: error.to_string(),
    };
    if thread_count().is_some_and(|threads| threads != 1) {
        return Err(failed(Errno::BUSY));
    }
    let user = Uid::from_raw(found.uid());
    let group = Gid::from_raw(group_of(found.uid(), found.gid()));
    set_thread_groups(&[group])
        .and_then(|()| set_thread_res_gid(group, group, group))
        .and_then(|()| set_thread_res_uid(user, user, user))
        .map_err(failed)?;
    let is_done = (getuid(), geteuid(), getegid()) == (user, user, group);
    if !is_done || set_thread_uid(Uid::ROOT).is_ok() {
        return Err(failed(Errno::PERM));
    }
    Ok(Some(found.uid()))
}

/// The user's group in `/etc/passwd`, or else the group of the directory, if that is not root's.
fn group_of(user: u32, of_directory: u32) -> u32 {
    let users = fs::read_to_string("/etc/passwd").unwrap_or_default();
    let group = users.lines().find_map(|line| {
        let mut fields = line.split(':').skip(2);
        let is_user = fields.next()?.parse() == Ok(user);
        fields.next()?.parse().ok().filter(|_| is_user)
    });
    match (group, of_directory) {
        (Some(group), _) => group,
        (None, 0) => NO_GROUP,
        (None, group) => group,
    }
}

/// `None` where `/proc` is not mounted.
fn thread_count() -> Option<usize> {
    fs::read_dir("/proc/self/task").ok().map(Iterator::count)
}
