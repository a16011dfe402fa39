//! Checks of the database: whether it is sound, who can read it, its disk, its signing keys, and the clock.

use std::time::Duration;

use bytesize::ByteSize;

use super::super::{become_owner_of, open_error_text};
use super::finding::Finding;
use crate::clock::{Clock, Standing, Timestamp};
use crate::config::Config;
use crate::service::{self, Examination, SigningKeyInfo};
use crate::store::{FileInfo, Filesystem, Inspection, OpenError, ReadOnlyDatabase, Scarce, Space};

/// With less free space than this in bytes, writes are about to be refused: a WAL at rest is smaller, one under load is not.
const NO_ROOM: u64 = 16 << 20;

/// With less free space than this in bytes, an operator should look before long.
const LITTLE_ROOM: u64 = 256 << 20;

/// From this part of `max_db_size` on, in percent, sign-ins are about to be refused.
const FULL_PERCENT: u64 = 95;

/// A time service at work may put the clock back by this much.
const SLEW: Duration = Duration::from_secs(5);

/// A clock that shows an earlier time than 2025-01-01 was not set. A board without a battery starts at 1970 or at the date of
/// its system image.
const EARLIEST: Timestamp = Timestamp::from_unix(1_735_689_600);

/// If the successor of a signing key is late by more than this, no running server creates it.
const LATE: Duration = Duration::from_secs(24 * 60 * 60);

const SECONDS_OF_A_DAY: u64 = 24 * 60 * 60;

/// A database that can be read, and what was found in it.
pub(super) struct Inside {
    pub database: ReadOnlyDatabase,
    pub examination: Examination,
}

/// Examines the files and the database, and adds what it finds to `findings`. Returns the database if it can be read; then
/// `clock` continues from the mark that is stored in it.
pub(super) fn look(config: &Config, clock: &Clock, findings: &mut Vec<Finding>) -> Option<Inside> {
    let inspection = match become_owner_of(&config.db).and_then(|_| Inspection::of(&config.db)) {
        Ok(inspection) => inspection,
        Err(why) => {
            findings.push(Finding::refusal("database", open_error_text(&why)));
            return None;
        }
    };
    let (database, inside) = database(&inspection, clock);
    findings.push(database);
    findings.push(permissions(&inspection));
    findings.push(file_system(&inspection, config.accept_network_filesystem));
    let room = Space {
        used: used_bytes(&inspection, inside.as_ref()),
        bound: config.max_db_size.map(|size| size.as_u64()),
        available: inspection.available,
        capacity: inspection.capacity,
    };
    findings.push(space(&room));
    if let Some(Inside { examination, .. }) = &inside {
        findings.push(history(examination));
        findings.push(keys(
            &examination.signing_keys,
            config.signing_key_lifetime,
            clock.now(),
        ));
    }
    findings.push(time(
        clock.wall(),
        inside.as_ref().map(|_| clock.standing()),
        inspection.server.is_some(),
    ));
    inside
}

/// Whether the database is sound and of this release.
fn database(inspection: &Inspection, clock: &Clock) -> (Finding, Option<Inside>) {
    const CHECK: &str = "database";
    let path = inspection.path.display();
    let refused = |why: OpenError| (Finding::refusal(CHECK, why.to_string()), None);
    let Some(database) = inspection.database() else {
        let found = format!("{path} does not exist yet; `authd serve` creates it");
        return (Finding::ok(CHECK, found), None);
    };
    let opened = match ReadOnlyDatabase::open(inspection) {
        Ok(opened) => opened,
        Err(why) => return refused(why),
    };
    if let Err(why) = opened.check_schema().and_then(|()| opened.check_pages()) {
        return refused(why);
    }
    let served = match inspection.server {
        None => "no server uses it".to_owned(),
        Some(server) => match server.process {
            Some(process) => format!("the server with process id {process} uses it"),
            None => "a server uses it".to_owned(),
        },
    };
    let size = ByteSize(database.size);
    let sound = format!("{path}, {size}, all pages are sound; {served}");
    let (version, today) = opened.versions();
    if version < today {
        return (
            Finding::warning(
                CHECK,
                format!(
                    "{sound}. An older release wrote it (schema {version}, today {today}), so its content was not checked"
                ),
                match inspection.server {
                    Some(_) => {
                        "Restart the server with this release, then run `authd doctor` again."
                    }
                    None => {
                        "Start `authd serve`, which migrates it, then run `authd doctor` again."
                    }
                },
            ),
            None,
        );
    }
    match service::examine(&opened, clock) {
        Ok(Some(examination)) => {
            let accounts = examination.accounts;
            let found = match accounts {
                1 => format!("{sound}; 1 account"),
                _ => format!("{sound}; {accounts} accounts"),
            };
            let inside = Inside {
                database: opened,
                examination,
            };
            (Finding::ok(CHECK, found), Some(inside))
        }
        Ok(None) => (
            Finding::ok(CHECK, format!("{sound}; no server has used it yet")),
            None,
        ),
        Err(why) => (
            Finding::problem(
                CHECK,
                format!("{path} can't be read: {why}"),
                "Check the disk, for example with `dmesg`. If the file is damaged, restore a backup.",
            ),
            None,
        ),
    }
}

/// Whether only its owner can read and replace the database.
fn permissions(inspection: &Inspection) -> Finding {
    const CHECK: &str = PERMISSIONS;
    if let Some(finding) = access_of_all_users(inspection) {
        return finding;
    }
    let directory = &inspection.directory;
    let place = directory.path.display().to_string();
    if let Some(database) = inspection.files.first() {
        // The user of the service: who owns the directory, or, if that is root's, who owns the database.
        let user = match directory.owner {
            0 => database.owner,
            owner => owner,
        };
        let foreign: Vec<String> = inspection
            .files
            .iter()
            .filter(|file| file.owner != user)
            .map(|file| file.path.display().to_string())
            .collect();
        if !foreign.is_empty() {
            let names = foreign.join(" and ");
            return Finding::problem(
                CHECK,
                format!("{names} must belong to user {user}, whose server can't open it"),
                format!("Run:\n    chown {user} {}", shell_words(&foreign)),
            );
        }
        if directory.owner != user && directory.mode & 0o022 == 0 {
            return Finding::warning(
                CHECK,
                format!(
                    "{place} belongs to user {}, and the database to user {user}, whose server can't create files beside it",
                    directory.owner
                ),
                format!("Run:\n    chown {user} {}", shell_words(&[place])),
            );
        }
    }
    if directory.mode & 0o022 != 0 {
        return Finding::warning(
            CHECK,
            format!(
                "other users may create files in {place} (mode {:o})",
                directory.mode
            ),
            format!(
                "Give the database a directory of its own, or run:\n    chmod go-w {}",
                shell_words(&[place])
            ),
        );
    }
    match inspection.files.first() {
        Some(database) => Finding::ok(
            CHECK,
            format!("only user {} may open the database", database.owner),
        ),
        None => Finding::ok(CHECK, format!("only its owner may create files in {place}")),
    }
}

const PERMISSIONS: &str = "permissions";

/// Paths as words of a command for a POSIX shell: a path with other characters than those of usual paths is in quotes.
fn shell_words(paths: &[impl AsRef<str>]) -> String {
    let is_usual = |c: char| c.is_ascii_alphanumeric() || "/._-".contains(c);
    let words = paths.iter().map(|path| match path.as_ref() {
        path if path.chars().all(is_usual) => path.to_owned(),
        path => format!("'{}'", path.replace('\'', r"'\''")),
    });
    words.collect::<Vec<_>>().join(" ")
}

/// What all users of the machine may do with the files and should not.
fn access_of_all_users(inspection: &Inspection) -> Option<Finding> {
    /// In such a directory, like /tmp, all users may create files, but not replace those of another user.
    const STICKY: u32 = 0o1000;
    let directory = &inspection.directory;
    let place = directory.path.display().to_string();
    let open: Vec<&FileInfo> = inspection
        .files
        .iter()
        .filter(|file| file.mode & 0o077 != 0)
        .collect();
    if !open.is_empty() {
        let names: Vec<String> = open
            .iter()
            .map(|file| file.path.display().to_string())
            .collect();
        let opened = names.join(" and ");
        return Some(Finding::problem(
            PERMISSIONS,
            format!(
                "other users may open {opened}, and a user who reads the database can sign tokens"
            ),
            format!(
                "Run:\n    chmod 600 {}\nIf another user may have read the database, then also run:\n    authd key rotate \
                 --now",
                shell_words(&names)
            ),
        ));
    }
    if directory.mode & 0o002 != 0 && directory.mode & STICKY == 0 {
        return Some(Finding::problem(
            PERMISSIONS,
            format!(
                "all users may replace files in {place} (mode {:o})",
                directory.mode
            ),
            format!("Run:\n    chmod 700 {}", shell_words(&[place])),
        ));
    }
    None
}

/// Whether the database is on a local disk that can be written.
fn file_system(inspection: &Inspection, is_accepted: bool) -> Finding {
    const CHECK: &str = "file system";
    let place = inspection.directory.path.display();
    if inspection.is_read_only {
        return Finding::problem(
            CHECK,
            format!("{place} is mounted read-only"),
            "Systems do this after a fault of the disk. Look for one with `dmesg`, then mount the file system for writing.",
        );
    }
    if let Err(why) = inspection.check_placement() {
        return Finding::refusal(CHECK, why.to_string());
    }
    match inspection.file_system {
        Filesystem::Temporary(kind) => Finding::warning(
            CHECK,
            format!(
                "{place} is on {kind}: all accounts are lost when this machine or container ends"
            ),
            "Move the database to a disk. For a container, mount a volume at the directory of the database.",
        ),
        Filesystem::Local => Finding::ok(CHECK, format!("{place} is on this machine")),
        Filesystem::Network(kind) if is_accepted => Finding::warning(
            CHECK,
            format!("{place} is on {kind}, which accept_network_filesystem allows"),
            "Move the database to a local disk: without reliable file locks it gets damaged.",
        ),
        Filesystem::Network(kind) => Finding::problem(
            CHECK,
            format!(
                "{place} is on {kind}, where file locks are unreliable: `authd serve` refuses it"
            ),
            "Move the database to a local disk.",
        ),
        Filesystem::Unknown(kind) => Finding::warning(
            CHECK,
            format!("{place} is on {kind}, which may be on another machine"),
            "Check that it is on a local disk with reliable file locks, and that only one machine uses it.",
        ),
    }
}

/// What of the file is in use; its size, if it can't be read.
fn used_bytes(inspection: &Inspection, inside: Option<&Inside>) -> u64 {
    let counted = inside.and_then(|inside| inside.database.used_bytes().ok());
    counted.unwrap_or_else(|| inspection.database().map_or(0, |database| database.size))
}

/// How much space is left, on the disk and within `max_db_size`.
fn space(room: &Space) -> Finding {
    const CHECK: &str = "space";
    const EFFECT: &str = "registrations and requests for links are refused";
    let free = ByteSize(room.available);
    let used = ByteSize(room.used);
    let raise = "Raise max_db_size, or shorten event_retention and run `authd sweep`.";
    if let Some(bound) = room.bound
        && room.uses_percent(FULL_PERCENT)
    {
        return Finding::problem(
            CHECK,
            format!(
                "the database uses {used} of max_db_size = {}: soon users cannot sign in",
                ByteSize(bound)
            ),
            raise,
        );
    }
    if room.available < NO_ROOM {
        return Finding::problem(
            CHECK,
            format!("{free} are free: soon users cannot sign in"),
            "Free space on the disk. The server then continues without a restart.",
        );
    }
    let scarce = room.shortage(None).map(|shortage| shortage.scarce);
    match (scarce, room.bound) {
        (Some(Scarce::File), Some(bound)) => {
            let bound = ByteSize(bound);
            let found = format!("the database uses {used} of max_db_size = {bound}: {EFFECT}");
            return Finding::warning(CHECK, found, raise);
        }
        (Some(_), _) => {
            return Finding::warning(
                CHECK,
                format!("{free} are free: {EFFECT}"),
                "Free space on the disk. The server then continues without a restart.",
            );
        }
        (None, _) => {}
    }
    if room.available < LITTLE_ROOM.max(room.used) {
        return Finding::warning(
            CHECK,
            format!("{free} are free"),
            "Free space on the disk: a backup and a restore each need as much as the database has.",
        );
    }
    Finding::ok(CHECK, format!("{free} are free"))
}

/// Whether an older copy of the database was put in its place.
fn history(examination: &Examination) -> Finding {
    const CHECK: &str = "history";
    let epoch = examination.epoch;
    match examination.rolled_back_at {
        Some(at) => Finding::problem(
            CHECK,
            format!(
                "at {at} a client sent a token that is newer than the database: an old copy was put in its place, in which \
                 ended sessions are open again"
            ),
            "Stop the server, then run:\n    authd restore --here",
        ),
        None => Finding::ok(
            CHECK,
            format!("epoch {epoch}; no sign that an old copy was put in its place"),
        ),
    }
}

/// Whether the keys that sign tokens can be used, and are replaced in time.
fn keys(keys: &Result<Vec<SigningKeyInfo>, String>, lifetime: Duration, now: Timestamp) -> Finding {
    const CHECK: &str = "signing keys";
    let keys = match keys {
        Ok(keys) => keys,
        Err(why) => {
            return Finding::problem(
                CHECK,
                format!("they can't be used: {why}"),
                "Restore a backup. If the keys are lost for good, run:\n    authd key rotate --now",
            );
        }
    };
    let Some(signing) = keys.iter().find(|key| key.state == "signing") else {
        return Finding::problem(
            CHECK,
            "there is no key that signs",
            "Run:\n    authd key rotate --now",
        );
    };
    let age = now.since(signing.signs_from);
    let days = age.as_secs() / SECONDS_OF_A_DAY;
    let next = keys.iter().find(|key| key.state == "next");
    match next {
        Some(next) => Finding::ok(
            CHECK,
            format!(
                "the current key is {days} days old; the next one signs from {}",
                next.signs_from
            ),
        ),
        None if age > lifetime + LATE => Finding::warning(
            CHECK,
            format!("the current key is {days} days old, and the next one was not created in time"),
            "A running server creates it. If a server is running, run:\n    authd key rotate",
        ),
        None => Finding::ok(
            CHECK,
            format!(
                "the current key is {days} days old; the next one is due at {}",
                signing.signs_from.plus(lifetime)
            ),
        ),
    }
}

/// Whether the clock agrees with the latest time in the database.
fn time(wall: Timestamp, standing: Option<Standing>, is_served: bool) -> Finding {
    const CHECK: &str = "clock";
    if wall < EARLIEST {
        return Finding::problem(
            CHECK,
            format!("it shows {wall}: it is not set"),
            "Tokens have times that other machines check. Let a time service set the clock, for example:\n    timedatectl \
             set-ntp true",
        );
    }
    match standing {
        None | Some(Standing::Steady) => Finding::ok(CHECK, format!("it shows {wall}")),
        Some(Standing::Behind(by)) if by <= SLEW => Finding::ok(CHECK, format!("it shows {wall}")),
        Some(Standing::Behind(by)) => Finding::problem(
            CHECK,
            format!(
                "it shows {wall}, {} before the latest time in the database: tokens get times in the past, and other \
                 machines may refuse them",
                span(by)
            ),
            "If the clock was wrong before and is right now, nothing needs to be done. Otherwise let a time service set it, \
             for example:\n    timedatectl set-ntp true",
        ),
        Some(Standing::Unconfirmed(by)) if is_served => Finding::warning(
            CHECK,
            format!(
                "it shows {wall}, {} after the latest time in the database: nothing expires or is deleted until the clock \
                 has run evenly for an hour",
                span(by)
            ),
            "If the clock is right, run:\n    authd sweep --accept-clock",
        ),
        Some(Standing::Unconfirmed(by)) => Finding::ok(
            CHECK,
            format!(
                "it shows {wall}; the last server stopped {} before",
                span(by)
            ),
        ),
    }
}

/// A duration in its two largest units, which is enough to see how wrong a clock is.
fn span(time: Duration) -> String {
    let text = humantime::format_duration(Duration::from_secs(time.as_secs())).to_string();
    text.split(' ').take(2).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::super::finding::State;
    use super::*;

    fn looks(path: &str, mode: u32, owner: u32) -> FileInfo {
        FileInfo {
            path: path.into(),
            mode,
            owner,
            size: 1 << 20,
        }
    }

    fn inspection() -> Inspection {
        Inspection {
            path: "/d/authd.db".into(),
            directory: looks("/d", 0o755, 7),
            files: vec![
                looks("/d/authd.db", 0o600, 7),
                looks("/d/authd.db-wal", 0o600, 7),
            ],
            file_system: Filesystem::Local,
            is_read_only: false,
            available: 1 << 40,
            capacity: 1 << 41,
            server: None,
        }
    }

    #[track_caller]
    fn is(finding: &Finding, state: State, words: &str) {
        let told = format!(
            "{} {}",
            finding.found,
            finding.next.as_deref().unwrap_or_default()
        );
        assert!(
            finding.state == state && told.contains(words),
            "{finding:?}"
        );
        assert_eq!(finding.state == State::Ok, finding.next.is_none());
    }

    #[test]
    fn a_path_with_a_space_is_quoted_in_a_command() {
        let paths = ["/d/authd.db", "/my data/authd.db", "/it's"];
        assert_eq!(
            shell_words(&paths),
            r"/d/authd.db '/my data/authd.db' '/it'\''s'"
        );
    }

    #[test] // req 64: a user who reads the file has the keys
    fn files_that_other_users_may_open_are_found() {
        use State::{Ok, Problem, Warning};
        #[rustfmt::skip]
        let rows: [(u32, u32, u32, u32, u32, State, &str); 9] = [
            // directory, its owner, database, WAL, WAL's owner
            (0o700, 7, 0o600, 0o600, 7, Ok, "only user 7"),
            (0o755, 7, 0o400, 0o600, 7, Ok, "only user 7"),
            (0o755, 7, 0o640, 0o600, 7, Problem, "    chmod 600 /d/authd.db\n"),
            (0o755, 7, 0o600, 0o604, 7, Problem, "    chmod 600 /d/authd.db-wal\n"),
            (0o777, 7, 0o600, 0o600, 7, Problem, "Run:\n    chmod 700 /d"),
            (0o1777, 0, 0o600, 0o600, 7, Warning, "directory of its own"),
            (0o775, 7, 0o600, 0o600, 7, Warning, "go-w"),
            (0o755, 0, 0o600, 0o600, 7, Warning, "Run:\n    chown 7 /d"),
            (0o755, 7, 0o600, 0o600, 0, Problem, "Run:\n    chown 7 /d/authd.db-wal"),
        ];
        for (directory, its_owner, database, wal, wal_owner, state, words) in rows {
            let found = Inspection {
                directory: looks("/d", directory, its_owner),
                files: vec![
                    looks("/d/authd.db", database, 7),
                    looks("/d/authd.db-wal", wal, wal_owner),
                ],
                ..inspection()
            };
            is(&permissions(&found), state, words);
        }
        let none_yet = Inspection {
            files: vec![],
            ..inspection()
        };
        is(&permissions(&none_yet), Ok, "only its owner");
    }

    #[test] // fault 5
    fn file_systems_without_reliable_locks_are_found() {
        let on = |file_system| Inspection {
            file_system,
            ..inspection()
        };
        is(
            &file_system(&inspection(), false),
            State::Ok,
            "this machine",
        );
        let nfs = on(Filesystem::Network("NFS"));
        is(&file_system(&nfs, false), State::Problem, "NFS");
        is(&file_system(&nfs, true), State::Warning, "NFS");
        let fuse = on(Filesystem::Unknown("FUSE or virtiofs"));
        is(&file_system(&fuse, false), State::Warning, "FUSE");
        let read_only = Inspection {
            is_read_only: true,
            ..inspection()
        };
        is(&file_system(&read_only, false), State::Problem, "read-only");
    }

    #[test] // finding 20
    fn how_much_room_is_left() {
        const MIB: u64 = 1 << 20;
        let room = |used, bound: Option<u64>, available| Space {
            used: used * MIB,
            bound: bound.map(|bound| bound * MIB),
            available: available * MIB,
            capacity: 100_000 * MIB,
        };
        #[rustfmt::skip]
        let rows = [
            (room(1, None, 1000), State::Ok, "free"),
            (room(79, Some(100), 1000), State::Ok, "free"),
            (room(80, Some(100), 1000), State::Warning, "registrations"),
            (room(95, Some(100), 1000), State::Problem, "max_db_size"),
            (room(1, None, 255), State::Warning, "a backup"),
            (room(1, None, 31), State::Warning, "registrations"),
            (room(1, None, 15), State::Problem, "sign in"),
            (room(300, None, 290), State::Warning, "a backup"),
        ];
        for (room, state, words) in rows {
            is(&space(&room), state, words);
        }
    }

    #[test] // fault 18, fault 19
    fn a_clock_that_is_wrong_is_found() {
        let now = Timestamp::from_unix(1_800_000_000);
        let hours = |n: u64| Duration::from_secs(n * 3600);
        is(&time(now, None, false), State::Ok, "2027-01-15");
        is(&time(now, Some(Standing::Steady), true), State::Ok, "");
        let slewed = Standing::Behind(Duration::from_secs(2));
        is(&time(now, Some(slewed), true), State::Ok, "");
        let behind = Standing::Behind(hours(30));
        is(
            &time(now, Some(behind), false),
            State::Problem,
            "1day 6h before",
        );
        let ahead = Standing::Unconfirmed(hours(50));
        is(
            &time(now, Some(ahead), true),
            State::Warning,
            "--accept-clock",
        );
        is(&time(now, Some(ahead), false), State::Ok, "2days 2h");
        let unset = time(Timestamp::from_unix(60), None, false);
        is(&unset, State::Problem, "not set");
    }

    #[test]
    fn keys_that_are_not_replaced_in_time_are_found() {
        let now = Timestamp::from_unix(1_800_000_000);
        let days = |n: u64| Duration::from_secs(n * SECONDS_OF_A_DAY);
        let key = |state, signs_from| SigningKeyInfo {
            kid: "k".into(),
            algorithm: "ES256".into(),
            state,
            created_at: signs_from,
            signs_from,
        };
        let judged = |found: Result<Vec<SigningKeyInfo>, String>| keys(&found, days(90), now);
        let signing = |age| key("signing", now.minus(days(age)));
        let next = key("next", now.plus(days(1)));
        is(&judged(Ok(vec![signing(80)])), State::Ok, "80 days");
        is(&judged(Ok(vec![signing(92)])), State::Warning, "key rotate");
        is(
            &judged(Ok(vec![signing(92), next])),
            State::Ok,
            "the next one signs from",
        );
        is(&judged(Ok(vec![])), State::Problem, "--now");
        is(&judged(Err("garbled".into())), State::Problem, "garbled");
    }
}
