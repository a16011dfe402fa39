//! `authd doctor` on installations that are well, and on those that are not.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;

use serde_json::Value;

use crate::wire::{Home, Ran, files_of};

/// What a doctor says of one thing.
#[track_caller]
pub fn look(ran: Ran, check: &str) -> (String, String) {
    let told: Value = serde_json::from_str(&ran.stdout).expect("JSON");
    let findings = told["findings"].as_array().expect("a list");
    let problems = findings.iter().filter(|found| found["state"] == "problem");
    let problems = problems.count();
    assert_eq!(told["problems"], problems);
    assert_eq!(ran.status.code(), Some(i32::from(problems > 0)), "{told}");
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    // The worst, where it says several things.
    let rank = |found: &&Value| ["ok", "warning", "problem"].map(|state| found["state"] == state);
    let of = findings.iter().filter(|found| found["check"] == check);
    let worst = of.max_by_key(|found| rank(found).iter().position(|is| *is));
    let worst = worst.unwrap_or_else(|| panic!("nothing on {check}: {told}"));
    let words = format!("{}\n{}", text(&worst["found"]), text(&worst["next"]));
    (text(&worst["state"]), words)
}

fn doctor(home: &Home) -> Ran {
    home.authd(&["doctor", "--json"])
}

#[track_caller]
fn says(home: &Home, check: &str, state: &str, words: &str) {
    let (found, told) = look(doctor(home), check);
    assert!(found == state && told.contains(words), "{found}: {told}");
}

#[test]
fn where_nothing_is_yet_all_is_well_and_stays_so() {
    let home = Home::new();
    let before = files_of(&home.path(""));
    says(&home, "database", "ok", "`authd serve` creates it");
    assert!(files_of(&home.path("")) == before);
}

#[test]
fn it_looks_beside_a_server_and_at_a_file_at_rest_and_changes_nothing() {
    let home = Home::new();
    let server = home.serve();
    server.set_up("ann@example.org");
    let pid = server.pid().as_raw_pid();
    says(
        &home,
        "database",
        "ok",
        &format!("the server with process id {pid} uses it"),
    );
    // Where lines break depends on the length of the path.
    let table = home.authd(&["doctor"]).done().stdout;
    let table = table.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(
        table.contains("all pages are sound") && table.contains("CHECK"),
        "{table}"
    );
    server.stop();

    let before = files_of(&home.path(""));
    says(&home, "database", "ok", "no server uses it; 1 account");
    says(&home, "signing keys", "ok", "the current key is 0 days old");
    says(&home, "history", "ok", "epoch 1");
    assert!(files_of(&home.path("")) == before, "something was written");

    // After a kill, with all that was written still in the WAL.
    let server = home.serve();
    server.sign_in("ann@example.org", "laptop");
    server.kill();
    let kept = || {
        let mut files = files_of(&home.path(""));
        // SQLite's index of the WAL is made anew by whoever opens it first.
        files.retain(|(path, _)| !path.ends_with("authd.db-shm"));
        files
    };
    let before = kept();
    says(&home, "database", "ok", "no server uses it; 1 account");
    assert!(kept() == before, "something was written");
    home.serve().stop();
}

#[test]
fn a_file_of_an_older_release_is_not_brought_up_to_date_by_a_look() {
    let home = Home::new();
    let older = home.sql();
    for step in [
        include_str!("../../../src/store/sqlite/migrations/0001.sql"),
        include_str!("../../../src/store/sqlite/migrations/0002.sql"),
    ] {
        older.execute_batch(step).expect("its schema");
    }
    let id = i32::from_be_bytes(*b"athd");
    older
        .pragma_update(None, "application_id", id)
        .and_then(|()| older.pragma_update(None, "user_version", 2))
        .expect("its version");
    drop(older);
    let before = files_of(&home.path(""));
    says(&home, "database", "warning", "schema 2, today");
    assert!(files_of(&home.path("")) == before);
}

#[test] // fault 7, fault 11, fault 26, I11
fn what_is_wrong_with_a_file_is_told_with_what_to_do() {
    let home = Home::new();
    let server = home.serve();
    server.set_up("ann@example.org");
    server.stop();
    let sound = fs::read(home.db()).expect("a file");
    let spoiled = |with: &dyn Fn(&Home)| {
        fs::write(home.db(), &sound).expect("a file");
        with(&home);
    };
    let sql = |sql: &'static str| move |home: &Home| home.sql().execute_batch(sql).expect("SQL");
    spoiled(&|home| fs::set_permissions(home.db(), Permissions::from_mode(0o644)).expect("a mode"));
    says(&home, "permissions", "problem", "chmod 600");
    fs::set_permissions(home.db(), Permissions::from_mode(0o600)).expect("a mode");
    spoiled(&|home| {
        let mut bytes = sound.clone();
        bytes[5 * 4096..5 * 4096 + 512].fill(0xa5);
        fs::write(home.db(), bytes).expect("a file");
    });
    says(&home, "database", "problem", "authd restore");
    spoiled(&sql("PRAGMA user_version = 99"));
    says(&home, "database", "problem", "newer authd");
    spoiled(&sql("DELETE FROM signing_key"));
    says(&home, "signing keys", "problem", "authd key rotate --now");
    spoiled(&sql(
        "INSERT INTO event (at, kind) VALUES (5, 'file_rolled_back')",
    ));
    says(&home, "history", "problem", "authd restore --here");
    let restored =
        "INSERT INTO event (at, kind) VALUES (5, 'file_rolled_back'), (6, 'database_restored')";
    spoiled(&sql(restored));
    says(&home, "history", "ok", "no sign");
    let ahead =
        "UPDATE server SET clock_latest = clock_latest + 86400, clock_confirmed = clock_latest";
    spoiled(&sql(ahead));
    says(
        &home,
        "clock",
        "problem",
        "before the latest time in the database",
    );

    // Nobody ever writes into that one.
    let lock = home.path("authd.db.lock");
    spoiled(&|_| fs::remove_file(&lock).expect("a lock"));
    rustix::fs::mkfifoat(rustix::fs::CWD, &lock, rustix::fs::Mode::RWXU).expect("a FIFO");
    says(&home, "database", "problem", "it is a FIFO");
    fs::remove_file(&lock).expect("a FIFO");

    home.set("db = \"elsewhere/authd.db\"");
    says(&home, "database", "problem", "There is no directory");
    home.set("regsitration = \"open\"");
    says(&home, "settings", "problem", "Did you mean registration?");
}

#[test]
fn settings_that_do_not_fit_the_machine_or_each_other_are_told() {
    let home = Home::with("password_ram = \"1TiB\"");
    says(&home, "memory", "problem", "password_ram");
    home.set("public_url = \"https://auth.example.com\"");
    says(
        &home,
        "public URL",
        "warning",
        "trusted_proxies = [\"127.0.0.1\"]",
    );
    home.set(
        "public_url = \"http://auth.lan\"\nallow_http = true\ntrusted_proxies = [\"127.0.0.1\"]",
    );
    says(&home, "settings", "warning", "without TLS");
}

#[test] // fault 20
fn a_letter_that_could_not_be_sent_is_told_from_its_first_try() {
    let home = Home::with("mail = \"dir:letters\"");
    let server = home.serve();
    server.set_up("ann@example.org");
    server.stop();
    let waits = |attempts: u32, due_at: &str| {
        let sql = format!(
            "DELETE FROM outbox; INSERT INTO outbox (public_id, email, topic, created_at, attempts, due_at) \
             SELECT randomblob(16), 'ann@example.org', 'invitation', clock_latest, {attempts}, {due_at} FROM server"
        );
        home.sql().execute_batch(&sql).expect("a letter");
    };
    fs::create_dir(home.path("letters")).ok();
    waits(1, "clock_latest + 600");
    says(&home, "mail", "ok", "dir:letters");
    waits(1, "clock_latest");
    says(&home, "mail", "warning", "1 message waits since");
    says(&home, "mail", "warning", "was tried once");
    waits(3, "clock_latest + 600");
    says(&home, "mail", "warning", "was tried 3 times");
    says(&home, "mail", "warning", "--mail-to");
}

#[test]
fn a_limit_on_mail_that_was_reached_is_reported_for_a_day() {
    let home = Home::new();
    home.serve().stop();
    let reached = |hours_ago: &[u32]| {
        let mut sql = "DELETE FROM event;".to_owned();
        for hours in hours_ago {
            sql += &format!(
                "INSERT INTO event (at, kind) SELECT clock_latest - {hours} * 3600, 'mail_limited' FROM server;"
            );
        }
        home.sql().execute_batch(&sql).expect("events");
    };
    reached(&[25]);
    says(&home, "mail", "ok", "off");
    reached(&[25, 2]);
    says(&home, "mail", "warning", "was reached at");
    reached(&[25, 3, 2]);
    says(&home, "mail", "warning", "was reached in 2 hours");
    says(&home, "mail", "warning", "    authd user list --waiting\n");
}

#[test]
fn a_test_message_goes_out_at_once_and_the_answer_is_told() {
    let home = Home::new();
    let try_mail = |settings: &str| {
        home.set(settings);
        let ran = home.authd(&["doctor", "--json", "--mail-to", "ann@example.org"]);
        look(ran, "test message")
    };
    assert_eq!(try_mail("").0, "problem");
    let (state, told) = try_mail("mail = \"dir:letters\"");
    assert_eq!(state, "ok", "{told}");
    let letters = files_of(&home.path("letters"));
    let [(_, letter)] = letters.as_slice() else {
        panic!("{} letters", letters.len());
    };
    let letter = String::from_utf8_lossy(letter);
    assert!(letter.contains("To: ann@example.org"), "{letter}");

    // Nobody listens there, and the password is nobody's business.
    let port = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = port.local_addr().expect("an address");
    drop(port);
    let (state, told) = try_mail(&format!("mail = \"smtp://ann:s3cret@{address}\""));
    assert!(state == "problem" && !told.contains("s3cret"), "{told}");
    assert!(told.contains("refused"), "{told}");

    let address = ["doctor", "--json", "--mail-to", "no address"];
    let (state, told) = look(home.authd(&address), "test message");
    assert_eq!(state, "problem", "{told}");
    // A look is no first start.
    assert!(!home.db().exists());
}
