//! Disks, files and neighbours that misbehave, and what an operator is told.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use serde_json::json;

use crate::wire::{
    AUTHD, Home, PASSWORD, Ran, Server, SignedIn, eventually, files_of, refresh_body,
};

/// A home with a database that was closed in order.
fn home_at_rest() -> Home {
    let home = Home::new();
    let server = home.serve();
    server.set_up("ann@example.org");
    server.stop();
    home
}

#[test] // fault 5
fn a_directory_that_cannot_be_written_is_refused() {
    let home = home_at_rest();
    let directory = home.path(".");
    fs::set_permissions(home.db(), fs::Permissions::from_mode(0o400)).expect("mode");
    fs::set_permissions(&directory, fs::Permissions::from_mode(0o500)).expect("mode");
    let files = || {
        let mut files = files_of(&directory);
        // The lock says which process had it last.
        files.retain(|(path, _)| !path.ends_with("authd.db.lock"));
        files
    };
    let before = files();
    // Root may write whatever the mode says, unless it gives up that right.
    let as_anybody = match rustix::process::geteuid().is_root() {
        true => &["setpriv", "--bounding-set=-all"][..],
        false => &[],
    };
    let line: Vec<&str> = as_anybody
        .iter()
        .copied()
        .chain([AUTHD, "serve", "--listen", "127.0.0.1:0", "--db"])
        .collect();
    // One that is there, and one that would have to be made.
    for db in ["authd.db", "new.db"] {
        let mut command = home.command(line[0], &line[1..]);
        command.arg(db);
        let said = Ran::of(command, "").refused(78);
        assert!(said.contains("can't be written"), "{said}");
    }
    assert!(files() == before, "something was changed");
    fs::set_permissions(&directory, fs::Permissions::from_mode(0o700)).expect("mode");
}

#[test] // fault 5: a mistake in the path is told as one, and nothing is made
fn a_path_that_leads_nowhere_is_refused() {
    let home = home_at_rest();
    fs::create_dir(home.path("directory")).expect("a directory");
    for (db, told) in [
        ("missing/authd.db", "no directory"),
        ("directory", "not a regular file"),
        ("authd.db/authd.db", "authd.db/authd.db"),
    ] {
        let serve = ["serve", "--listen", "127.0.0.1:0", "--db", db];
        let said = home.authd(&serve).refused(78);
        assert!(said.contains(told), "{said}");
    }
    let said = home
        .authd(&["user", "list", "--db", "other.db"])
        .refused(78);
    assert!(said.contains("authd serve"), "{said}");
    assert!(
        !home.path("other.db").exists(),
        "a command makes no database"
    );
}

#[test] // fault 7
fn a_damaged_page_is_refused_and_left_alone() {
    let home = home_at_rest();
    let mut bytes = fs::read(home.db()).expect("the database");
    // The b-tree pages after the first: their headers are nonsense then.
    for page in bytes.chunks_mut(4096).skip(2).step_by(3) {
        page[..64].fill(0xa5);
    }
    fs::write(home.db(), &bytes).expect("the database");
    let said = home.serve_in_vain().refused(70);
    assert!(
        said.contains("damaged") && said.contains("authd restore"),
        "{said}"
    );
    assert!(
        fs::read(home.db()).expect("the database") == bytes,
        "it was touched"
    );

    for (bytes, code) in [
        (&b"SQLite format 3\0 and then it ends"[..], 70),
        (
            &b"This was never a database, whatever its name is. ".repeat(9)[..],
            70,
        ),
    ] {
        fs::write(home.db(), bytes).expect("the database");
        home.serve_in_vain().refused(code);
        home.authd(&["user", "list"]).refused(code);
        assert!(
            fs::read(home.db()).expect("the database") == bytes,
            "it was touched"
        );
    }
}

#[test] // fault 11
fn a_file_of_a_newer_release_is_refused() {
    let home = home_at_rest();
    home.sql()
        .pragma_update(None, "user_version", 99)
        .expect("a pragma");
    let before = fs::read(home.db()).expect("the database");
    for said in [
        home.serve_in_vain().refused(78),
        home.authd(&["user", "list"]).refused(78),
    ] {
        assert!(said.contains("newer"), "{said}");
    }
    assert!(
        fs::read(home.db()).expect("the database") == before,
        "it was touched"
    );
}

#[test] // fault 8: what is written after that is lost for whoever opens the file next
fn a_database_that_is_replaced_under_the_server_ends_it() {
    for name in ["authd.db", "authd.db-wal"] {
        let home = Home::new();
        let server = home.serve();
        server.set_up("ann@example.org");
        fs::rename(home.path(name), home.path("elsewhere")).expect("a file");
        let stopped = server.ended();
        assert_eq!(stopped.status.code(), Some(70), "{}", stopped.stderr);
        assert!(stopped.stderr.contains(name), "{}", stopped.stderr);
    }
}

#[test] // fault 9
fn a_neighbour_that_holds_the_lock_costs_a_503_and_no_more() {
    let home = Home::new();
    let server = home.serve();
    let ann = server.set_up("ann@example.org");
    let neighbour = home.sql();
    neighbour
        .execute_batch("BEGIN IMMEDIATE")
        .expect("the lock");
    let threads = server.memory("Threads");

    let mut waiting: Vec<_> = (0..8).map(|_| server.client()).collect();
    let body = refresh_body(&ann.refresh);
    for client in &mut waiting {
        client
            .ask("POST", "/v1/sessions/refresh", &[], Some(&body))
            .expect("a connection");
    }
    let mut leaving = server.client();
    let bearer = format!("Bearer {}", ann.access);
    leaving
        .ask(
            "DELETE",
            "/v1/sessions/current",
            &[("Authorization", &bearer)],
            None,
        )
        .expect("a connection");
    // Reading goes on meanwhile.
    server.client().get("/oauth/jwks").status(200);
    let listed = server.client().as_owner(&ann, "GET", "/v1/sessions");
    listed.status(200);
    for client in &mut waiting {
        client.answer().expect("an answer").unavailable();
    }
    // A sign-out that was not done is not said to be.
    leaving.answer().expect("an answer").unavailable();

    neighbour.execute_batch("ROLLBACK").expect("its end");
    let ann = server.client().refreshed(&ann.refresh);
    let listed = server.client().as_owner(&ann, "GET", "/v1/sessions");
    listed.status(200);
    drop(waiting);
    // Threads of connections are kept for a while; those of this test, and no more.
    assert!(server.memory("Threads") <= threads + 12);
}

#[test] // faults 3 and 4, CVE-2020-15223
fn a_full_database_refuses_writes_and_recovers_when_there_is_room() {
    let home = Home::with("max_db_size = \"1MiB\"");
    let server = home.serve();
    let ann = server.set_up("ann@example.org");
    home.add_user("bob@example.org");
    fill(&home, "bob@example.org");

    let mut client = server.client();
    let sign_in = json!({ "login": "ann@example.org", "password": PASSWORD });
    client.post("/v1/sessions", &sign_in).unavailable();
    // Fault 4: a sign-out that was not stored is never answered as one.
    let current = "/v1/sessions/current";
    client.as_owner(&ann, "DELETE", current).unavailable();
    client
        .as_owner(&ann, "DELETE", "/v1/sessions")
        .unavailable();
    client.get("/readyz").unavailable();
    // Reading and verifying go on, and so does what needs no room: a rotation is written in place.
    client.get("/healthz").status(200);
    client.get("/oauth/jwks").status(200);
    client.as_owner(&ann, "GET", "/v1/sessions").status(200);
    let ann = client.refreshed(&ann.refresh);

    // Room, made by the operator beside the server; nothing is restarted.
    home.authd(&["user", "delete", "bob@example.org"]).done();
    eventually("readiness", || {
        (client.get("/readyz").status == 200).then_some(())
    });
    SignedIn::read(&client.post("/v1/sessions", &sign_in).status(201));
    client.as_owner(&ann, "DELETE", current).status(204);
    let refused = client.refresh(&ann.refresh);
    refused.refused(401, "invalid_grant");
}

/// Fills the database to its last byte with events of an account.
pub fn fill(home: &Home, email: &str) {
    let db = home.sql();
    db.query_row("PRAGMA max_page_count = 256", [], |_| Ok(()))
        .expect("a pragma");
    for length in [60_000, 3000, 300, 30, 1] {
        let insert = "INSERT INTO event (at, kind, account_id, detail) \
             SELECT 0, 'sign_in', id, printf('%.*c', ?2, 'x') FROM account WHERE email = ?1";
        let full = loop {
            match db.execute(insert, rusqlite::params![email, length]) {
                Ok(_) => {}
                Err(error) => break error,
            }
        };
        let code = full.sqlite_error_code();
        assert_eq!(code, Some(rusqlite::ErrorCode::DiskFull), "{full}");
    }
}

#[test] // fault 6: a write that fails is fatal, and what was answered before it is there
fn a_disk_that_fails_ends_the_process_and_loses_nothing_acknowledged() {
    let home = Home::with("public_url = \"http://localhost:8080\"");
    // No file may grow beyond 1,024 blocks of 1 KiB; then writing is an error as of a broken disk.
    let server = home.serve_under(&[
        "bash",
        "-c",
        "trap '' XFSZ; ulimit -f 1024; exec \"$0\" \"$@\"",
    ]);
    let mut token = server.set_up("ann@example.org").refresh;
    let mut client = server.client();
    let mut rotations = 0;
    while let Ok(answer) = client.try_refresh(&token) {
        if answer.status != 200 {
            break;
        }
        token = SignedIn::read(&answer).refresh;
        rotations += 1;
    }
    let stopped = server.ended();
    assert_eq!(stopped.status.code(), Some(70), "{}", stopped.stderr);
    println!(
        "{rotations} rotations until the disk failed\n{}",
        stopped.stderr
    );
    let server = home.serve();
    server.client().refreshed(&token);
}

#[test] // fault 26
fn a_lost_signing_key_is_never_replaced_silently() {
    let garble = [
        "DELETE FROM signing_key",
        "UPDATE signing_key SET private_key = x'30820000'",
    ];
    for lost in garble {
        let home = Home::with("public_url = \"http://localhost:8080\"");
        let server = home.serve();
        let ann = server.set_up("ann@example.org");
        let old = server.client().get("/oauth/jwks").json();
        server.stop();
        home.sql().execute(lost, []).expect("a loss");
        let keys = || -> Vec<Vec<u8>> {
            let db = home.sql();
            let mut keys = db
                .prepare("SELECT private_key FROM signing_key")
                .expect("SQL");
            let keys = keys.query_map([], |row| row.get(0)).expect("rows");
            keys.collect::<Result<_, _>>().expect("keys")
        };
        let left = keys();

        let said = home.serve_in_vain().refused(70);
        assert!(said.contains("authd key rotate --now"), "{said}");
        home.authd(&["user", "list"]).refused(70);
        assert_eq!(keys(), left, "a key was made unasked");

        home.authd(&["key", "rotate", "--now"]).done();
        let server = home.serve();
        let new = server.client().get("/oauth/jwks").json();
        assert_eq!(new["keys"].as_array().map(Vec::len), Some(1));
        assert_ne!(new, old);
        // Sessions outlive the key; access tokens do not.
        let refused = server.client().as_owner(&ann, "GET", "/v1/sessions");
        refused.refused(401, "invalid_token");
        let ann = server.client().refreshed(&ann.refresh);
        let listed = server.client().as_owner(&ann, "GET", "/v1/sessions");
        listed.status(200);
    }
}

#[test] // fault 28
fn a_file_has_one_server_and_commands_work_beside_it() {
    let home = Home::new();
    let server = home.serve();
    let ann = server.set_up("ann@example.org");
    let said = home.serve_in_vain().refused(1);
    let pid = server.pid().as_raw_pid().to_string();
    assert!(said.contains(&pid), "it names who has the file: {said}");
    home.authd(&["session", "list", "ann@example.org"]).done();
    let ann = server.client().refreshed(&ann.refresh);
    // A kill leaves no lock behind.
    server.kill();
    let server = home.serve();
    server.client().refreshed(&ann.refresh);
}

#[test] // fault 3: the log is often a file on the disk that is full
fn a_log_that_cannot_be_written_stops_nothing() {
    let home = Home::new();
    let mut command = home.command_under(&["sh", "-c", "exec \"$@\" 2>/dev/full", "sh"]);
    // So that each request has a line.
    command.env("AUTHD_LOG_LEVEL", "debug");
    let server = Server::start(command);
    let ann = server.set_up("ann@example.org");
    server.client().get("/readyz").status(200);
    server.client().refreshed(&ann.refresh);
    server.stop();
}
