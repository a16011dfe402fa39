//! Copies of the file: taken while everybody writes, put back, and what stands in the way of doing harm with them.

use std::fs;
use std::path::{Path, PathBuf};

use authd::clock::monotonic;
use rusqlite::OpenFlags;
use serde_json::Value;

use super::crashes::{FIXED_URL, chains, integrity_is_ok, under_load};
use crate::wire::{AUTHD, Home, Ran, files_of, secret};

/// The database's files and whatever lies beside them, but for the lock, which notes who had it.
fn everything(home: &Home) -> Vec<(PathBuf, Vec<u8>)> {
    let mut files = files_of(home.db().parent().expect("a directory"));
    files.retain(|(path, _)| path.extension().is_none_or(|kind| kind != "lock"));
    files
}

/// Runs a command that must be refused with `code` and leave every file as it was. Returns what it said.
#[track_caller]
fn refused_untouched(home: &Home, code: i32, arguments: &[&str]) -> String {
    let before = everything(home);
    let said = home.authd(arguments).refused(code);
    let after = everything(home);
    let names = |files: &[(PathBuf, Vec<u8>)]| -> Vec<PathBuf> {
        files.iter().map(|(path, _)| path.clone()).collect()
    };
    assert_eq!(names(&before), names(&after), "{said}");
    assert!(before == after, "something was touched, with: {said}");
    said
}

/// A database with an account or two, and a backup of it; nobody serves it.
fn home_with_backup() -> Home {
    let home = Home::with(FIXED_URL);
    home.serve().stop();
    home.add_user("ann@example.org");
    home.authd(&["backup", "backup.db"]).done();
    home
}

/// Some MiB of events, so that copying takes a moment.
fn fatten(home: &Home, rows: u32) {
    let sql = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?1)
               INSERT INTO event (at, kind, detail) SELECT 1800000000, 'x', hex(randomblob(1000)) FROM n";
    home.sql().execute(sql, [rows]).expect("events");
}

fn number(db: &Path, sql: &str) -> i64 {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY;
    let db = rusqlite::Connection::open_with_flags(db, flags).expect("a database");
    db.query_row(sql, [], |row| row.get(0)).expect("a number")
}

#[test] // fault 27, I11
fn a_backup_taken_under_load_restores_to_a_file_in_which_nothing_older_works() {
    let home = Home::with(FIXED_URL);
    let server = home.serve();
    let setup = server.setup_token();
    for name in ["ann@example.org", "bob@example.org"] {
        home.add_user(name);
    }
    fatten(&home, 10_000);
    let bob = server.sign_in("bob@example.org", "phone");
    let mut chains = chains(&server, 8, 4);
    let first: Vec<String> = chains
        .iter()
        .flat_map(|chain| chain.tokens.clone())
        .collect();
    let rotations = "SELECT sum(generation - 1) FROM refresh_family";

    let (mut taken, mut in_backup) = (0.0, 0);
    let begun = monotonic();
    let answers = under_load(server, &mut chains, 500, |server| {
        let before = number(&home.db(), rotations);
        let begun = monotonic();
        home.authd(&["backup", "backup.db"]).done();
        taken = begun.elapsed().as_secs_f64();
        let after = number(&home.db(), rotations);
        in_backup = number(&home.path("backup.db"), rotations);
        assert!(
            before <= in_backup && in_backup < after,
            "{before} {in_backup} {after}"
        );
        println!(
            "{:.0} rotations/s during the backup",
            (after - before) as f64 / taken
        );
        server.kill();
    });
    println!(
        "{:.0} rotations/s in all",
        answers as f64 / begun.elapsed().as_secs_f64()
    );

    let other = Home::with(FIXED_URL);
    let source = home.path("backup.db");
    let source = source.to_str().expect("UTF-8");
    let told = other.authd(&["restore", source, "--json"]).json();
    assert_eq!(told["accounts"], 2);
    assert_eq!(told["kept"], Value::Null);
    integrity_is_ok(&other);
    let server = other.serve();
    let mut client = server.client();
    let last = chains.iter().flat_map(|chain| &chain.tokens);
    for token in first.iter().chain(last).chain([&bob.refresh]) {
        client.refresh(token).refused(401, "invalid_grant");
    }
    let answer = client.as_owner(&bob, "GET", "/v1/account");
    answer.refused(401, "invalid_token");
    let body = serde_json::json!({ "token": setup, "email": "eve@example.org", "password": "x" });
    client
        .post("/v1/setup", &body)
        .refused(403, "invalid_setup_token");
    for name in ["ann@example.org", "bob@example.org"] {
        let again = client.sign_in(name, "laptop");
        client.refreshed(&again.refresh);
    }
}

#[test] // what a backup does not hold: what was deleted; and who can read it: its owner
fn a_backup_is_its_owners_and_free_of_what_was_deleted() {
    use std::os::unix::fs::PermissionsExt as _;
    let home = Home::with(FIXED_URL);
    let server = home.serve();
    home.add_user("ann@example.org");
    home.add_user("bob@example.org");
    let bob = server.sign_in("bob@example.org", "a device that will be forgotten");
    home.authd(&["user", "delete", "bob@example.org"]).done();
    let told = home.authd(&["backup", "backup.db", "--json"]).json();
    let backup = home.path("backup.db");
    let metadata = fs::metadata(&backup).expect("a backup");
    assert_eq!(metadata.permissions().mode() & 0o777, 0o600);
    assert_eq!(told["bytes"], metadata.len());
    let bytes = fs::read(&backup).expect("a backup");
    let contains = |text: &[u8]| bytes.windows(text.len()).any(|window| window == text);
    assert!(contains(b"ann@example.org"));
    assert!(!contains(b"bob@example.org") && !contains(b"a device that will be forgotten"));
    assert!(!contains(&secret(&bob.refresh)));
    let names = everything(&home);
    let beside: Vec<_> = names
        .iter()
        .filter(|(path, _)| path.to_string_lossy().contains("backup.db"))
        .collect();
    assert_eq!(beside.len(), 1, "nothing lies beside it");
}

#[test]
fn a_backup_overwrites_nothing() {
    let home = home_with_backup();
    for dest in ["backup.db", "authd.db", "authd.toml"] {
        let said = refused_untouched(&home, 1, &["backup", dest]);
        assert!(said.contains("exists already"), "{said}");
    }
    refused_untouched(&home, 78, &["backup", "nowhere/backup.db"]);
}

#[test] // fault 1, for a backup
fn a_backup_that_is_killed_leaves_no_half_file_under_its_name() {
    let home = Home::with(FIXED_URL);
    home.serve().stop();
    fatten(&home, 20_000);
    let (dest, partial) = (home.path("backup.db"), home.path("backup.db.partial"));
    for part in 0..8_u64 {
        let mut backup = home
            .command(AUTHD, &["backup", "backup.db"])
            .spawn()
            .expect("a process");
        // Until it has come so far; or, on a fast disk, to its end.
        let far = |path: &Path| fs::metadata(path).is_ok_and(|file| file.len() > part << 22);
        while !far(&partial) && backup.try_wait().expect("ours").is_none() {
            std::thread::yield_now();
        }
        let _ = backup.kill();
        let killed = !backup.wait().expect("ours").success();
        if dest.exists() {
            let sql = "SELECT count(*) FROM event WHERE kind = 'x'";
            assert_eq!(number(&dest, sql), 20_000);
            fs::remove_file(&dest).expect("a file");
        } else {
            assert!(killed);
        }
    }
    // What the kills left is not in the way.
    home.authd(&["backup", "backup.db"]).done();
    assert!(!partial.exists());
    home.authd(&["restore", "backup.db", "--yes"]).done();
    integrity_is_ok(&home);
}

#[test]
fn a_restore_says_what_is_lost_and_keeps_the_file_that_was_there() {
    let home = Home::with(FIXED_URL);
    let server = home.serve();
    for name in ["ann@example.org", "bob@example.org"] {
        home.add_user(name);
    }
    home.authd(&["backup", "backup.db"]).done();
    home.add_user("cid@example.org");
    home.authd(&["user", "disable", "bob@example.org"]).done();
    let ann = server.sign_in("ann@example.org", "laptop");
    // Killed, so that the present file still has a WAL.
    server.kill();
    assert!(home.path("authd.db-wal").exists());

    let ran = home.authd(&["restore", "backup.db", "--yes"]).done();
    for part in [
        "backup.db has the state of 20",
        "It is sound and has 2 accounts",
        "authd.db, which has 3 accounts and will be kept",
        "1 account: created since then and will be missing",
        "1 account: disabled since then and will be enabled",
        "All users will be signed out (1 session)",
    ] {
        assert!(
            ran.stderr.contains(part),
            "{part:?} is not in {}",
            ran.stderr
        );
    }
    assert!(!ran.stderr.contains("deleted since"), "{}", ran.stderr);
    let kept = home.path("authd.db.replaced-1");
    let kept_name = fs::canonicalize(&kept).expect("it was kept");
    assert!(
        ran.stdout.contains(kept_name.to_str().expect("UTF-8")),
        "{}",
        ran.stdout
    );
    assert_eq!(number(&kept, "SELECT count(*) FROM account"), 3);
    assert!(!home.path("authd.db.restoring").exists());
    integrity_is_ok(&home);

    let server = home.serve();
    let mut client = server.client();
    client.refresh(&ann.refresh).refused(401, "invalid_grant");
    client.sign_in("ann@example.org", "laptop");
    client.sign_in("bob@example.org", "laptop");
    let listed = home.authd(&["user", "list", "--json"]).json();
    assert_eq!(listed["accounts"].as_array().map(Vec::len), Some(2));
    assert_eq!(home.events("database_restored").len(), 1);
    server.stop();

    // The next one is kept beside the first, and can be gone back to.
    let told = home
        .authd(&["restore", "authd.db.replaced-1", "--yes", "--json"])
        .json();
    assert_eq!(
        (&told["accounts"], &told["accounts_revived"]),
        (&3.into(), &1.into())
    );
    assert!(home.path("authd.db.replaced-2").exists());
    assert_eq!(told["epoch"], 3);
}

#[test]
fn a_restore_over_a_running_server_is_refused() {
    let home = home_with_backup();
    let server = home.serve();
    let ann = server.sign_in("ann@example.org", "laptop");
    for arguments in [
        &["restore", "backup.db", "--yes"][..],
        &["restore", "--here", "--yes"],
    ] {
        let said = home.authd(arguments).refused(1);
        assert!(said.contains("Another authd serves"), "{said}");
    }
    server.client().refreshed(&ann.refresh);
    // Nor is a file restored from that somebody serves.
    let other = Home::with(FIXED_URL);
    let live = home.db();
    let live = live.to_str().expect("UTF-8");
    let said = other.authd(&["restore", live, "--yes"]).refused(1);
    assert!(said.contains("authd backup"), "{said}");
    assert!(!other.db().exists());
}

#[test]
fn a_restore_without_anybody_to_ask_does_nothing_unless_told_to() {
    let home = home_with_backup();
    let said = refused_untouched(&home, 1, &["restore", "backup.db"]);
    assert!(said.contains("Pass --yes"), "{said}");
    refused_untouched(&home, 2, &["restore"]);
    refused_untouched(&home, 2, &["restore", "backup.db", "--here"]);
    refused_untouched(&home, 1, &["restore", "nothing.db", "--yes"]);
    let said = refused_untouched(&home, 1, &["restore", "authd.db", "--yes"]);
    assert!(said.contains("--here"), "{said}");
}

#[test] // fault 7, fault 11, for a source
fn a_source_that_is_no_sound_database_is_refused_and_nothing_touched() {
    let home = home_with_backup();
    fatten(&home, 200);
    home.authd(&["backup", "long.db"]).done();
    let sound = fs::read(home.path("long.db")).expect("a backup");
    let written = |name: &str, change: &dyn Fn(&mut Vec<u8>)| {
        let mut bytes = sound.clone();
        change(&mut bytes);
        fs::write(home.path(name), bytes).expect("a file");
    };
    written("cut.db", &|bytes| bytes.truncate(bytes.len() / 2));
    written("page.db", &|bytes| {
        for page in bytes.chunks_mut(4096).skip(4).step_by(3) {
            page[..64].fill(0xa5);
        }
    });
    written("header.db", &|bytes| bytes[..16].fill(b'x'));
    for name in ["cut.db", "page.db", "header.db"] {
        let said = refused_untouched(&home, 70, &["restore", name, "--yes"]);
        assert!(said.contains("is damaged") && said.contains(name), "{said}");
    }
    written("short.db", &|bytes| bytes.truncate(40));
    written("empty.db", &|bytes| bytes.clear());
    let other = rusqlite::Connection::open(home.path("other.db")).expect("a database");
    other.execute_batch("CREATE TABLE t (i)").expect("a table");
    drop(other);
    for name in ["short.db", "empty.db", "other.db"] {
        let said = refused_untouched(&home, 1, &["restore", name, "--yes"]);
        assert!(said.contains("is not an authd database"), "{said}");
    }
    written("newer.db", &|bytes| {
        bytes[60..64].copy_from_slice(&99_u32.to_be_bytes())
    });
    let said = refused_untouched(&home, 78, &["restore", "newer.db", "--yes"]);
    assert!(said.contains("newer authd"), "{said}");
}

#[test] // a copy is not served by mistake, and `--here` makes a database of it
fn a_backup_that_was_copied_in_begins_anew_with_here() {
    let home = Home::with(FIXED_URL);
    let server = home.serve();
    home.add_user("ann@example.org");
    let ann = server.sign_in("ann@example.org", "laptop");
    home.authd(&["backup", "backup.db"]).done();
    server.stop();
    fs::copy(home.path("backup.db"), home.db()).expect("a copy");
    let before = everything(&home);
    let said = home.serve_in_vain().refused(78);
    assert!(said.contains("authd restore --here"), "{said}");
    home.authd(&["user", "list"]).refused(78);
    assert!(everything(&home) == before, "it was touched");

    home.authd(&["restore", "--here", "--yes"]).done();
    integrity_is_ok(&home);
    let server = home.serve();
    let mut client = server.client();
    client.refresh(&ann.refresh).refused(401, "invalid_grant");
    let again = client.sign_in("ann@example.org", "laptop");
    server.stop();
    // The same for a file that somebody else copied, which carries no mark.
    home.authd(&["restore", "--here", "--yes"]).done();
    let server = home.serve();
    server
        .client()
        .refresh(&again.refresh)
        .refused(401, "invalid_grant");
    server.client().sign_in("ann@example.org", "laptop");
}

#[test] // fault 7: the refusal names this command
fn a_damaged_database_is_replaced_and_kept_as_it_is() {
    let home = home_with_backup();
    for what in ["header", "pages"] {
        let server = home.serve();
        server.sign_in("ann@example.org", "laptop");
        server.stop();
        let mut bytes = fs::read(home.db()).expect("the database");
        match what {
            "header" => bytes[..16].fill(0),
            _ => bytes[8192..].fill(0xa5),
        }
        fs::write(home.db(), &bytes).expect("the database");
        fs::write(home.path("authd.db-wal"), "remains").expect("a file");
        home.serve_in_vain().refused(70);
        let ran = home.authd(&["restore", "backup.db", "--yes"]).done();
        assert!(ran.stderr.contains("can't be compared"), "{}", ran.stderr);
        integrity_is_ok(&home);
        let kept = if what == "header" { 1 } else { 2 };
        let kept = fs::read(home.path(&format!("authd.db.replaced-{kept}"))).expect("it was kept");
        assert_eq!(kept.len(), bytes.len());
        assert!(kept[100..] == bytes[100..], "{what}");
    }
    home.serve().client().sign_in("ann@example.org", "laptop");
}

#[test] // the remains of a file that was moved away are not the new one's
fn a_wal_without_its_database_does_not_come_to_the_new_one() {
    let home = Home::with(FIXED_URL);
    let server = home.serve();
    home.add_user("ann@example.org");
    home.authd(&["backup", "backup.db"]).done();
    home.add_user("bob@example.org");
    server.kill();
    fs::rename(home.db(), home.path("aside.db")).expect("a file");
    assert!(home.path("authd.db-wal").exists());
    home.authd(&["restore", "backup.db"]).done();
    integrity_is_ok(&home);
    let listed = home.authd(&["user", "list", "--json"]).json();
    assert_eq!(listed["accounts"].as_array().map(Vec::len), Some(1));
}

#[test]
fn a_database_that_somebody_reads_is_not_replaced() {
    let home = home_with_backup();
    let reader = home.sql();
    reader
        .query_row("SELECT count(*) FROM account", [], |_| Ok(()))
        .expect("a row");
    let said = home.authd(&["restore", "backup.db", "--yes"]).refused(1);
    assert!(said.contains("Another program has"), "{said}");
    assert_eq!(number(&home.db(), "SELECT epoch FROM server"), 1);
    assert!(!home.path("authd.db.replaced-1").exists());
    drop(reader);
    home.authd(&["restore", "backup.db", "--yes"]).done();
}

#[test] // safe on the disk first, then the name
fn copies_are_synced_before_they_get_their_names() {
    let home = home_with_backup();
    let traced = |arguments: &[&str]| -> Vec<String> {
        let calls = "trace=fsync,fdatasync,rename,renameat,renameat2,link,linkat";
        let strace = ["-f", "-y", "-o", "trace", "-e", calls, AUTHD];
        let ran = Ran::of(home.command("strace", &[&strace, arguments].concat()), "");
        ran.done();
        let trace = fs::read_to_string(home.path("trace")).expect("a trace");
        trace.lines().map(str::to_owned).collect()
    };
    let directory = home.db();
    let directory = directory.parent().and_then(Path::to_str).expect("UTF-8");
    let directory = format!("<{directory}>)");
    // Each of these must come after the one before, and succeed.
    let in_order = |trace: &[String], calls: &[&[&str]]| {
        let mut from = 0;
        for words in calls {
            let found = trace[from..].iter().position(|line| {
                line.ends_with("= 0") && words.iter().all(|word| line.contains(word))
            });
            from += found.unwrap_or_else(|| panic!("no {words:?}:\n{}", trace.join("\n"))) + 1;
        }
    };
    in_order(
        &traced(&["backup", "second.db"]),
        &[
            &["fsync", "second.db.partial>"],
            &["renameat2", "second.db.partial", "NOREPLACE"],
            &["fsync", &directory],
        ],
    );
    in_order(
        &traced(&["restore", "second.db", "--yes"]),
        &[
            &["fsync", "authd.db.restoring/authd.db>"],
            &["link", "authd.db.replaced-1"],
            &["fsync", &directory],
            &["rename", "authd.db.restoring/authd.db"],
            &["fsync", &directory],
        ],
    );
}
