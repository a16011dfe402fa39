//! Files that an attacker prepared: a database with programs in it, and what lies beside a database.

use std::fs;

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
