//! Files that an attacker prepared: a database with programs in it, and what lies beside a database.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use super::doctor::look;
use crate::wire::Home;

/// A database with one account that no server uses, and a backup of it.
fn home_with_backup() -> Home {
    let home = Home::new();
    home.serve().stop();
    home.add_user("ann@example.org");
    home.authd(&["backup", "backup.db"]).done();
    home
}

#[test] // finding 16
fn a_backup_with_triggers_is_not_restored() {
    let home = home_with_backup();
    let backup = rusqlite::Connection::open(home.path("backup.db")).expect("the backup");
    backup
        .execute_batch(
            "CREATE TRIGGER leak AFTER UPDATE OF name ON account WHEN NEW.name = 'open sesame' BEGIN
                 UPDATE account SET name = (SELECT hex(private_key) FROM signing_key) WHERE id = NEW.id;
             END;
             CREATE TRIGGER stay BEFORE UPDATE OF ended_at ON session BEGIN SELECT RAISE(IGNORE); END;",
        )
        .expect("triggers");
    drop(backup);
    let before = fs::read(home.db()).expect("the database");
    let said = home.authd(&["restore", "backup.db", "--yes"]).refused(78);
    assert!(
        said.contains("trigger leak") && said.contains("backup.db"),
        "{said}"
    );
    assert!(fs::read(home.db()).expect("the database") == before);
}

#[test] // finding 16
fn a_database_with_a_trigger_is_neither_served_nor_called_sound() {
    let home = home_with_backup();
    home.sql()
        .execute_batch("CREATE TRIGGER t AFTER INSERT ON session BEGIN SELECT 1; END")
        .expect("a trigger");
    let said = home.serve_in_vain().refused(78);
    assert!(said.contains("trigger t"), "{said}");
    home.authd(&["user", "list"]).refused(78);
    let (state, words) = look(home.authd(&["doctor", "--json"]), "database");
    assert!(state == "problem" && words.contains("trigger t"), "{words}");
}

/// Writes a rollback journal without pages that names `victim` as its super-journal, which SQLite deletes.
fn journal(path: &Path, database: &Path, victim: &Path) {
    const MAGIC: [u8; 8] = [0xd9, 0xd5, 0x05, 0xf9, 0x20, 0xa1, 0x63, 0xd7];
    let number = |n: u64| u32::try_from(n).expect("a small number").to_be_bytes();
    let pages = fs::metadata(database).expect("a database").len() / 4096;
    let name = victim.to_str().expect("UTF-8").as_bytes();
    let mut bytes = MAGIC.to_vec();
    for field in [0, 1, pages, 512, 4096] {
        bytes.extend(number(field));
    }
    bytes.resize(512, 0);
    bytes.extend(number(0x4000_0000 / 4096 + 1));
    bytes.extend(name);
    bytes.extend(number(name.len() as u64));
    bytes.extend(number(name.iter().map(|byte| u64::from(*byte)).sum()));
    bytes.extend(MAGIC);
    fs::write(path, bytes).expect("a journal");
}

#[test] // finding 1
fn a_journal_beside_a_backup_deletes_no_file() {
    let home = home_with_backup();
    let victim = home.path("precious");
    fs::write(&victim, "precious").expect("a file");
    let backup = home.path("backup.db");
    journal(&home.path("backup.db-journal"), &backup, &victim);
    for arguments in [
        &["restore", "backup.db", "--yes"][..],
        &["restore", "backup.db", "--yes", "--db", "new.db"],
    ] {
        let said = home.authd(arguments).refused(1);
        assert!(said.contains("backup.db-journal"), "{said}");
        assert_eq!(fs::read(&victim).expect("it is there"), b"precious");
    }
    // Nor is a journal of any other kind taken along.
    fs::write(home.path("backup.db-journal"), "anything").expect("a journal");
    home.authd(&["restore", "backup.db", "--yes"]).refused(1);
    fs::remove_file(home.path("backup.db-journal")).expect("the journal");
    home.authd(&["restore", "backup.db", "--yes"]).done();
}

#[test] // finding 1
fn a_journal_beside_the_database_deletes_no_file() {
    let home = home_with_backup();
    let victim = home.path("precious");
    fs::write(&victim, "precious").expect("a file");
    let name = home.path("authd.db-journal");
    for arguments in [
        &["user", "list"][..],
        &["event", "list"],
        &["backup", "other.db"],
        &["sweep"],
        &["restore", "backup.db", "--yes"],
        &["serve", "--listen", "127.0.0.1:0"],
    ] {
        journal(&name, &home.db(), &victim);
        let said = home.authd(arguments).refused(78);
        assert!(said.contains("authd.db-journal"), "{arguments:?}: {said}");
        assert_eq!(fs::read(&victim).expect("it is there"), b"precious");
        assert!(name.exists());
    }
    home.authd(&["restore", "--here", "--yes"]).refused(1);
    let (state, words) = look(home.authd(&["doctor", "--json"]), "database");
    assert!(state == "problem" && words.contains("-journal"), "{words}");
    assert_eq!(fs::read(&victim).expect("it is there"), b"precious");
}

#[test] // finding 1: a server that runs opens connections at any time
fn a_journal_beside_a_served_database_deletes_no_file() {
    let home = Home::new();
    let server = home.serve();
    server.set_up("ann@example.org");
    let victim = home.path("precious");
    fs::write(&victim, "precious").expect("a file");
    journal(&home.path("authd.db-journal"), &home.db(), &victim);
    home.authd(&["user", "list"]).refused(78);
    fs::remove_file(home.path("authd.db-journal")).expect("the journal");
    server.sign_in("ann@example.org", "laptop");
    assert_eq!(fs::read(&victim).expect("it is there"), b"precious");
}

#[test] // finding 1, finding 2
fn links_beside_a_database_are_not_followed() {
    let home = home_with_backup();
    let victim = home.path("precious");
    fs::write(&victim, "precious").expect("a file");
    let serve = &["serve", "--listen", "127.0.0.1:0"][..];
    let list = &["user", "list"][..];
    let restore = &["restore", "backup.db", "--yes"][..];
    for (suffix, commands) in [
        (".lock", &[serve, restore][..]),
        ("-wal", &[serve, list, restore]),
        ("-shm", &[serve, list, restore]),
        ("-journal", &[serve, list, restore]),
    ] {
        let name = home.path(&format!("authd.db{suffix}"));
        for hard in [false, true] {
            let _ = fs::remove_file(&name);
            match hard {
                true => fs::hard_link(&victim, &name).expect("a link"),
                false => symlink(&victim, &name).expect("a link"),
            }
            for arguments in commands {
                let said = home.authd(arguments).refused(78);
                assert!(said.contains(suffix), "{arguments:?}: {said}");
                assert_eq!(
                    fs::read(&victim).expect("it is there"),
                    b"precious",
                    "{suffix}"
                );
            }
        }
        fs::remove_file(&name).expect("the link");
    }
    home.serve().stop();
}

#[test] // finding 1, finding 2
fn links_in_the_place_of_temporary_files_are_not_followed() {
    let home = home_with_backup();
    fs::create_dir(home.path("precious")).expect("a directory");
    let victim = home.path("precious/authd.db");
    fs::write(&victim, "precious").expect("a file");
    let unharmed = || assert_eq!(fs::read(&victim).expect("it is there"), b"precious");

    symlink(home.path("precious"), home.path("authd.db.restoring")).expect("a link");
    home.authd(&["restore", "backup.db", "--yes"]).done();
    unharmed();

    for hard in [false, true] {
        let partial = home.path("other.db.partial");
        match hard {
            true => fs::hard_link(&victim, &partial).expect("a link"),
            false => symlink(&victim, &partial).expect("a link"),
        }
        let said = home.authd(&["backup", "other.db"]).refused(78);
        assert!(said.contains("other.db.partial"), "{said}");
        unharmed();
        fs::remove_file(&partial).expect("the link");
    }

    fs::remove_file(home.db()).expect("the database");
    symlink(&victim, home.path("authd.db-draft")).expect("a link");
    home.serve().stop();
    unharmed();
}

#[test] // fault 1: the WAL and the lock of each name are files of their own
fn a_database_with_a_second_name_is_not_served() {
    let home = home_with_backup();
    fs::hard_link(home.db(), home.path("other.db")).expect("a link");
    for db in ["authd.db", "other.db"] {
        let serve = ["serve", "--listen", "127.0.0.1:0", "--db", db];
        let said = home.authd(&serve).refused(78);
        assert!(
            said.contains("several names") && said.contains("directory"),
            "{said}"
        );
        home.authd(&["user", "list", "--db", db]).refused(78);
    }
    let (state, words) = look(home.authd(&["doctor", "--json"]), "file system");
    assert!(
        state == "problem" && words.contains("several names"),
        "{words}"
    );
    fs::remove_file(home.path("other.db")).expect("the link");
    home.serve().stop();
}

#[test] // a restore that was killed before its last step
fn a_second_name_that_a_restore_left_is_taken_away() {
    let home = home_with_backup();
    let kept = home.path("authd.db.replaced-1");
    fs::hard_link(home.db(), &kept).expect("a link");
    home.authd(&["user", "list"]).done();
    home.serve().stop();
    assert!(!kept.exists());
    home.authd(&["restore", "backup.db", "--yes"]).done();
    assert!(kept.exists());
    home.serve().stop();
    assert!(kept.exists());
}
