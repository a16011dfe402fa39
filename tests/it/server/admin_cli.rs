//! The administration by commands, beside a running server, and by the interface of that server.

use std::net::TcpListener;

use serde_json::{Value, json};

use super::terminal::too_long;
use crate::wire::{Home, PASSWORD, SignedIn, eventually};

#[test]
fn administrators_are_promoted_and_demoted() {
    let home = Home::new();
    let server = home.serve();
    let body = json!({
        "token": server.setup_token(), "email": "root@example.org", "password": PASSWORD, "scope": "admin",
    });
    let root = SignedIn::read(&server.client().post("/v1/setup", &body).status(201));
    home.add_user("ann@example.org");
    // What to do instead is said with the refusal.
    for command in ["demote", "disable", "delete"] {
        let said = home
            .authd(&["user", command, "root@example.org"])
            .refused(1);
        assert!(
            said.contains("last administrator") && said.contains("authd user promote"),
            "{said}"
        );
    }
    let shown = home
        .authd(&["user", "promote", "ann@example.org", "--json"])
        .json();
    assert_eq!(shown["admin"], true);
    home.authd(&["user", "demote", "root@example.org"]).done();
    let answer = server.client().as_owner(&root, "GET", "/v1/admin/accounts");
    answer.refused(403, "insufficient_scope");
    home.authd(&["user", "disable", "root@example.org"]).done();
    home.authd(&["user", "demote", "ann@example.org"])
        .refused(1);

    let changed = [
        "user",
        "update",
        "root@example.org",
        "--name",
        "R",
        "--username",
        "r",
        "--json",
    ];
    let changed = home.authd(&changed).json();
    assert_eq!(
        (&changed["name"], &changed["username"]),
        (&json!("R"), &json!("r"))
    );
    home.authd(&["user", "update", "r"]).refused(2);
    let event = &home.events("administrator_promoted")[0];
    assert_eq!(event["detail"]["by"], "operator");
}

#[test]
fn accounts_are_found_and_listed_page_by_page() {
    let home = Home::new();
    let _server = home.serve();
    let long = format!("{}@example.org", "l".repeat(60));
    for (email, name) in [
        ("ann@example.org", "Ann"),
        ("bob@example.org", "Joanna"),
        (
            long.as_str(),
            "A name that is longer than a column of a table is wide",
        ),
    ] {
        home.authd(&["user", "add", email, "--name", name]).done();
    }
    home.authd(&["user", "add", "root@example.org", "--admin"])
        .done();
    let list = |more: &[&str]| -> Value {
        home.authd(&[&["user", "list", "--json"], more].concat())
            .json()
    };
    let emails = |page: &Value| -> Vec<String> {
        let accounts = page["accounts"].as_array().expect("accounts").iter();
        accounts
            .map(|one| one["email"].as_str().expect("an address").to_owned())
            .collect()
    };
    let found = list(&["--search", "ANN"]);
    assert_eq!(emails(&found), ["ann@example.org", "bob@example.org"]);
    let first = list(&["--search", "ann", "--limit", "1"]);
    assert_eq!(emails(&first), ["ann@example.org"]);
    let next = first["next"].as_str().expect("a next page");
    let second = list(&["--search", "ann", "--limit", "1", "--after", next]);
    assert_eq!(emails(&second), ["bob@example.org"]);
    assert_eq!(emails(&list(&["--after", "bob@example.org"])).len(), 2);
    assert_eq!(
        emails(&list(&["--status", "administrator"])),
        ["root@example.org"]
    );
    assert_eq!(emails(&list(&["--status", "disabled"])), [""; 0]);
    let table = home.authd(&["user", "list", "--limit", "3"]).done().stdout;
    assert_eq!(too_long(&table), [""; 0]);
    assert!(table.contains("More: --after "), "{table}");
    home.authd(&["user", "list", "--status", "odd"]).refused(2);
    home.authd(&["user", "list", "--limit", "0"]).refused(2);
    home.authd(&["user", "list", "--after", "nobody"])
        .refused(1);
}

#[test] // fault 20: an operator sees why mail does not leave, and has it tried again
fn messages_that_wait_are_listed_tried_again_and_deleted() {
    // A port at which nothing listens.
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    drop(listener);
    let home = Home::with(&format!(
        "mail = \"smtp://127.0.0.1:{port}\"\nmail_from = \"authd@example.org\""
    ));
    let server = home.serve();
    server.set_up("root@example.org");
    let long = format!("{}@example.org", "l".repeat(60));
    home.add_user(&long);
    home.authd(&["user", "reset-link", &long, "--send"]).done();
    let failed = eventually("a try that failed", || {
        let listed = home.authd(&["outbox", "list", "--json"]).json();
        listed["messages"]
            .as_array()?
            .iter()
            .find(|one| one["failure"].is_string())
            .cloned()
    });
    assert_eq!(
        (&failed["to"], &failed["topic"]),
        (&json!(long), &json!("password_reset"))
    );
    let table = home.authd(&["outbox", "list"]).done().stdout;
    assert_eq!(too_long(&table), [""; 0]);
    let id = failed["id"].to_string();
    assert!(table.contains(&format!("\n{id}: ")), "{table}");

    home.authd(&["outbox", "retry", &id]).done();
    eventually("another try", || {
        let listed = home.authd(&["outbox", "list", "--json"]).json();
        let messages = listed["messages"].as_array()?;
        let again = messages
            .iter()
            .any(|one| one["id"] == failed["id"] && one["attempts"].as_u64() > Some(1));
        again.then_some(())
    });
    home.authd(&["outbox", "delete", &id]).done();
    let said = home.authd(&["outbox", "delete", &id]).refused(1);
    assert!(said.contains("no such message"), "{said}");
    for kind in ["mail_retried", "mail_deleted"] {
        let event = &home.events(kind)[0];
        assert_eq!(
            event["detail"],
            json!({ "letter": "password_reset", "by": "operator" })
        );
    }
}

#[test]
fn events_are_filtered_by_kind_and_address() {
    let home = Home::new();
    let server = home.serve();
    server.set_up("root@example.org");
    let wrong = json!({ "login": "root@example.org", "password": "wrong wrong wrong" });
    server
        .client()
        .post("/v1/sessions", &wrong)
        .refused(401, "invalid_credentials");
    let list = |more: &[&str]| {
        let listed = home
            .authd(&[&["event", "list", "--json"], more].concat())
            .json();
        listed["events"].as_array().map(Vec::len)
    };
    assert_eq!(list(&["--kind", "sign_in_failed"]), Some(1));
    assert_eq!(
        list(&["--kind", "sign_in_failed", "--ip", "127.0.0.1"]),
        Some(1)
    );
    assert_eq!(
        list(&["--kind", "sign_in_failed", "--ip", "192.0.2.1"]),
        Some(0)
    );
    home.authd(&["event", "list", "--kind", "nothing"])
        .refused(1);
    home.authd(&["event", "list", "--ip", "x"]).refused(2);
}

#[test] // no secret leaves by the settings
fn the_settings_in_force_have_no_secrets() {
    let home = Home::with(
        "mail = \"smtp://user:verysecret@127.0.0.1:1\"\nmail_from = \"authd@example.org\"",
    );
    let server = home.serve();
    let body = json!({
        "token": server.setup_token(), "email": "root@example.org", "password": PASSWORD, "scope": "admin",
    });
    let root = SignedIn::read(&server.client().post("/v1/setup", &body).status(201));
    let answer = server.client().as_owner(&root, "GET", "/v1/admin/settings");
    let shown = answer.status(200).json();
    let settings = shown["settings"].as_array().expect("settings");
    let value = |name: &str| {
        let found = settings.iter().find(|one| one["name"] == name);
        found.expect(name)["value"]
            .as_str()
            .expect("a text")
            .to_owned()
    };
    assert!(value("mail").starts_with("smtp://user"));
    assert_eq!(value("public_url"), server.url);
    assert!(!shown.to_string().contains("verysecret"), "{shown}");
}
