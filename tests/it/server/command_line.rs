//! The command line beside a running server, as an operator uses it.

use serde_json::{Value, json};

use crate::wire::{AUTHD, Home, PASSWORD, Ran, SignedIn, eventually};

#[test] // req 14, 33
fn accounts_from_their_making_to_their_end() {
    let home = Home::new();
    let server = home.serve();
    let add = [
        "user",
        "add",
        "bob@example.org",
        "--username",
        "bob",
        "--name",
        "Bob B.",
        "--password-stdin",
        "--json",
    ];
    let made = home.authd_fed(&add, "correct horse battery\n").json();
    assert_eq!(made["email"], "bob@example.org");
    assert_eq!(made["admin"], false);
    let id = made["id"].as_str().expect("an id");
    let said = home.authd_fed(&add, "correct horse battery").refused(1);
    assert!(
        said.contains("Another account has this e-mail address"),
        "{said}"
    );
    let weak = ["user", "add", "eve@example.org", "--password-stdin"];
    home.authd_fed(&weak, "password1234").refused(1);
    home.authd_fed(&weak, "short").refused(1);
    // A password is never an argument, and never asked for where nobody can answer.
    home.authd(&["user", "set-password", "bob"]).refused(1);

    // Every name of an account leads to it, and the line end of a pipe is not part of a password.
    for name in ["bob@example.org", "BOB@Example.org", "Bob", id] {
        let shown = home.authd(&["user", "show", name, "--json"]).json();
        assert_eq!(shown["id"], *id);
    }
    let sign_in = |password: &str| {
        let body = json!({ "login": "bob", "password": password });
        server.client().post("/v1/sessions", &body)
    };
    let bob = SignedIn::read(&sign_in("correct horse battery").status(201));

    let disabled = home.authd(&["user", "disable", "bob", "--json"]).json();
    assert_eq!(
        disabled,
        json!({ "disabled": "bob@example.org", "sessions_ended": 1 })
    );
    sign_in("correct horse battery").refused(401, "invalid_credentials");
    let refused = server.client().as_owner(&bob, "GET", "/v1/account");
    refused.refused(401, "invalid_token");
    home.authd(&["user", "enable", "bob"]).done();
    let bob = SignedIn::read(&sign_in("correct horse battery").status(201));

    // A new password ends what was there (I10); a temporary one has to be changed (req 18).
    let set = [
        "user",
        "set-password",
        "bob",
        "--password-stdin",
        "--temporary",
        "--json",
    ];
    let set = home.authd_fed(&set, "stapled to the door").json();
    assert_eq!(set["sessions_ended"], 1);
    let refused = server.client().refresh(&bob.refresh);
    refused.refused(401, "invalid_grant");
    sign_in("correct horse battery").refused(401, "invalid_credentials");
    sign_in("stapled to the door").refused(403, "password_change_required");
    let change = json!({
        "login": "bob", "password": "stapled to the door", "new_password": "green lamp on a hill",
    });
    let changed = server.client().post("/v1/sessions", &change);
    let bob = SignedIn::read(&changed.status(201));
    SignedIn::read(&sign_in("green lamp on a hill").status(201));

    let listed = home.authd(&["user", "list", "--json"]).json();
    assert_eq!(listed["accounts"].as_array().map(Vec::len), Some(1));
    home.authd(&["user", "delete", "bob"]).done();
    let said = home.authd(&["user", "show", "bob"]).refused(1);
    assert!(said.contains("no such account"), "{said}");
    let refused = server.client().refresh(&bob.refresh);
    refused.refused(401, "invalid_grant");
    let listed = home.authd(&["user", "list", "--json"]).json();
    assert_eq!(listed, json!({ "accounts": [] }));
}

#[test] // req 35
fn sessions_are_listed_and_ended_by_an_operator() {
    let home = Home::new();
    let server = home.serve();
    let laptop = server.set_up("ann@example.org");
    let phone = server.sign_in("ann@example.org", "phone");
    let list = || {
        home.authd(&["session", "list", "ann@example.org", "--json"])
            .json()
    };
    let names = |list: Value| -> Vec<Value> {
        let sessions = list["sessions"].as_array().expect("a list");
        sessions
            .iter()
            .map(|session| session["device_name"].clone())
            .collect()
    };
    assert_eq!(names(list()), [json!("phone"), Value::Null]);

    // One.
    let revoke = [
        "session",
        "revoke",
        "ann@example.org",
        &phone.session,
        "--json",
    ];
    assert_eq!(home.authd(&revoke).json(), json!({ "revoked": 1 }));
    home.authd(&revoke).refused(1);
    let refused = server.client().refresh(&phone.refresh);
    refused.refused(401, "invalid_grant");

    // The one that a found token belongs to, old as it is.
    let live = server.client().refreshed(&laptop.refresh);
    let revoke = ["session", "revoke", "--token-stdin", "--json"];
    let found = home
        .authd_fed(&revoke, &format!("{}\n", laptop.refresh))
        .json();
    let expected = json!({
        "revoked": 1, "session": laptop.session, "account": "ann@example.org", "client_id": "authd",
        "was_valid": false,
    });
    assert_eq!(found, expected);
    let refused = server.client().refresh(&live.refresh);
    refused.refused(401, "invalid_grant");
    assert_eq!(
        home.authd_fed(&revoke, &laptop.refresh).json()["revoked"],
        0
    );
    home.authd_fed(&revoke, "ar_something else").refused(1);

    // All.
    let devices = ["one", "two"].map(|device| server.sign_in("ann@example.org", device));
    let revoke = ["session", "revoke", "ann@example.org", "--all", "--json"];
    assert_eq!(home.authd(&revoke).json(), json!({ "revoked": 2 }));
    for device in devices {
        let refused = server.client().refresh(&device.refresh);
        refused.refused(401, "invalid_grant");
    }
    assert_eq!(list(), json!({ "sessions": [] }));

    // Half a command ends nothing.
    home.authd(&["session", "revoke", "ann@example.org"])
        .refused(2);
    home.authd(&["session", "revoke", "--all"]).refused(2);
}

#[test]
fn groups_are_made_filled_and_deleted() {
    let home = Home::new();
    let server = home.serve();
    let ann = server.set_up("ann@example.org");
    home.add_user("bob@example.org");
    let json = |line: &[&str]| home.authd(&[line, &["--json"]].concat()).json();
    let made = json(&["group", "add", "staff"]);
    assert_eq!(
        (&made["name"], &made["members"]),
        (&json!("staff"), &json!(0))
    );
    json(&["group", "add", "family"]);
    home.authd(&["group", "add", "staff"]).refused(1);
    let said = home.authd(&["group", "add", "Staff"]).refused(1);
    assert!(said.contains("lower case"), "{said}");

    let granted = json!({ "granted": "staff", "account": "bob@example.org", "changed": true });
    assert_eq!(
        json(&["group", "grant", "staff", "bob@example.org"]),
        granted
    );
    let again = json(&["group", "grant", "staff", "BOB@example.org"]);
    assert_eq!(again["changed"], false);
    json(&["group", "grant", "staff", &ann.account]);
    json(&["group", "grant", "family", "ann@example.org"]);
    let listed = json(&["group", "list"]);
    let listed = listed["groups"].as_array().expect("a list").iter();
    let listed: Vec<(&str, u64)> = listed
        .filter_map(|group| Some((group["name"].as_str()?, group["members"].as_u64()?)))
        .collect();
    assert_eq!(listed, [("family", 1), ("staff", 2)]);
    // Beside the running server, whose account page shows it at once.
    let shown = server.client().as_owner(&ann, "GET", "/v1/account");
    assert_eq!(shown.json()["groups"], json!(["family", "staff"]));
    let shown = json(&["user", "show", "ann@example.org"]);
    assert_eq!(shown["groups"], json!(["family", "staff"]));
    let table = home.authd(&["user", "show", "ann@example.org"]).done();
    assert!(table.stdout.contains("family, staff"), "{}", table.stdout);

    let members = |line: &[&str]| -> Vec<Value> {
        let listed = json(line);
        let accounts = listed["accounts"].as_array().expect("a list").iter();
        accounts.map(|account| account["email"].clone()).collect()
    };
    let both = ["ann@example.org", "bob@example.org"];
    assert_eq!(members(&["group", "show", "staff"]), both);
    assert_eq!(members(&["user", "list", "--group", "staff"]), both);
    let rest = members(&["group", "show", "staff", "--after", "ann@example.org"]);
    assert_eq!(rest, both[1..]);

    let revoked = json!({ "revoked": "staff", "account": "bob@example.org", "changed": true });
    assert_eq!(
        json(&["group", "revoke", "staff", "bob@example.org"]),
        revoked
    );
    let again = json(&["group", "revoke", "staff", "bob@example.org"]);
    assert_eq!(again["changed"], false);
    let deleted = json(&["group", "delete", "staff"]);
    assert_eq!(deleted, json!({ "deleted": "staff", "members": 1 }));
    for line in [
        &["group", "delete", "staff"][..],
        &["group", "show", "staff"],
        &["group", "grant", "staff", "bob@example.org"],
        &["group", "grant", "family", "nobody"],
        &["user", "list", "--group", "staff"],
    ] {
        home.authd(line).refused(1);
    }
    assert_eq!(home.events("group_granted").len(), 3);
    assert_eq!(home.events("group_revoked").len(), 1);
    assert_eq!(home.events("group_deleted")[0]["detail"]["members"], 1);
}

#[test]
fn somebody_is_invited_over_the_command_line() {
    let home = Home::with("registration = \"invite\"");
    let server = home.serve();
    home.authd(&["group", "add", "family"]).done();
    let json = |line: &[&str]| home.authd(&[line, &["--json"]].concat()).json();
    let made = json(&["invite", "--email", "ann@example.org", "--group", "family"]);
    assert_eq!(made["email"], "ann@example.org");
    assert_eq!(made["group"], "family");
    let link = made["invitation_link"].as_str().expect("a link");
    let (_, token) = link.split_once("/register?invite=").expect("a token");
    let path = format!("/register?invite={token}");
    server.client().get(&path).status(303);
    let register = |email: &str, token: &str| {
        let body = json!({ "email": email, "password": PASSWORD, "invite": token });
        server.client().post("/v1/accounts", &body)
    };
    register("bob@example.org", token).refused(403, "invalid_invitation");
    register("ann@example.org", token).status(201);
    register("ann@example.org", token).refused(403, "invalid_invitation");

    let other = json(&["invite", "--expires", "1h"]);
    let id = other["id"].as_str().expect("an id");
    let states = || {
        let listed = json(&["invite", "--list"]);
        let listed = listed["invitations"].as_array().expect("a list").iter();
        let told = listed.map(|it| (it["state"].clone(), it["used_by"].clone()));
        told.collect::<Vec<_>>()
    };
    let used = (json!("used"), json!("ann@example.org"));
    assert_eq!(states(), [(json!("open"), Value::Null), used.clone()]);
    assert_eq!(
        json(&["invite", "--revoke", id]),
        json!({ "withdrawn": id })
    );
    home.authd(&["invite", "--revoke", id]).refused(1);
    home.authd(&["invite", "--revoke", "x"]).refused(1);
    assert_eq!(states(), [(json!("withdrawn"), Value::Null), used]);
    let table = home.authd(&["invite", "--list"]).done().stdout;
    assert!(table.contains("withdrawn"), "{table}");

    for line in [
        &["invite", "--expires", "59m"][..],
        &["invite", "--expires", "91d"],
        &["invite", "--email", "x"],
        &["invite", "--email", "ann@example.org"],
        &["invite", "--group", "nobody"],
    ] {
        home.authd(line).refused(1);
    }
    for line in [
        &["invite", "--expires", "soon"][..],
        &["invite", "--list", "--email", "x@example.org"],
        &["invite", "--list", "--revoke", id],
    ] {
        home.authd(line).refused(2);
    }
    let told = [
        "invitation_created",
        "invitation_used",
        "invitation_withdrawn",
    ];
    assert_eq!(told.map(|kind| home.events(kind).len()), [2, 1, 1]);
    home.set("");
    let said = home.authd(&["invite"]).refused(1);
    assert!(said.contains("registration = \"invite\""), "{said}");
}

#[test] // the command notes the letter, and the server beside it sends it
fn an_invitation_is_mailed_by_the_running_server() {
    let home = Home::with("registration = \"invite\"\nmail = \"dir:letters\"");
    let server = home.serve();
    let invite = ["invite", "--email", "ann@example.org", "--send", "--json"];
    let noted = home.authd(&invite).done().stdout;
    assert!(noted.contains("as soon as it runs"), "{noted}");
    assert!(!noted.contains("ai_"), "{noted}");
    let is_letter = |path: &std::path::Path| path.extension().is_some_and(|end| end == "eml");
    let letter = eventually("the letter", || {
        let letters = std::fs::read_dir(home.path("letters")).ok()?;
        let mut paths = letters.map(|entry| entry.expect("an entry").path());
        paths.find(|path| is_letter(path))
    });
    let letter = std::fs::read_to_string(letter).expect("a letter");
    assert!(letter.contains("ann@example.org"), "{letter}");
    // Quoted-printable has its own way of writing a line's end, and of writing `=`.
    let text = letter.replace("=\r\n", "").replace("=3D", "=");
    let (_, rest) = text.split_once("/register?invite=").expect("a link");
    let token = rest.lines().next().expect("a token");
    let body = json!({ "email": "ann@example.org", "password": PASSWORD, "invite": token });
    let registered = server.client().post("/v1/accounts", &body);
    registered.status(201);

    home.authd(&["invite", "--send"]).refused(2);
    home.set("registration = \"invite\"");
    let said = home.authd(&["invite", "--email", "bob@example.org", "--send"]);
    let said = said.refused(1);
    assert!(said.contains("sends no mail"), "{said}");
}

#[test] // the set-up link can be had again until it is used
fn a_new_set_up_link_replaces_the_printed_one() {
    let home = Home::new();
    let server = home.serve();
    let printed = server.setup_token();
    let link = home.authd(&["user", "setup-link", "--json"]).json();
    let link = link["setup_link"].as_str().expect("a link");
    let (_, token) = link.split_once("/setup?token=").expect("a token");
    let set_up = |token: &str| {
        let body = json!({ "token": token, "email": "ann@example.org", "password": "a pot of strong tea" });
        server.client().post("/v1/setup", &body)
    };
    set_up(&printed).refused(403, "invalid_setup_token");
    set_up(token).status(201);
    set_up(token).refused(403, "invalid_setup_token");
    home.authd(&["user", "setup-link"]).refused(1);
}

#[test] // a running server finds out by itself, and verifiers have the key before it signs
fn a_key_that_an_operator_makes_is_taken_up_by_the_server() {
    let home = Home::new();
    let server = home.serve();
    let ann = server.set_up("ann@example.org");
    let mut client = server.client();
    let mut published = || -> Vec<Value> {
        let keys = client.get("/oauth/jwks").status(200).json();
        let keys = keys["keys"].as_array().expect("a list").iter();
        keys.map(|key| key["kid"].clone()).collect()
    };
    let first = published();
    assert_eq!(first.len(), 1);

    let next = home.authd(&["key", "rotate", "--json"]).json();
    assert_eq!(next["state"], "next");
    let both = eventually("the next key", || {
        Some(published()).filter(|keys| keys.len() == 2)
    });
    assert_eq!(both, [first[0].clone(), next["kid"].clone()]);

    // The key that signs does so still.
    let shown = server.client().as_owner(&ann, "GET", "/v1/account");
    shown.status(200);
    let ann = server.client().refreshed(&ann.refresh);

    // At once: it signs as soon as the server has it.
    let now = home.authd(&["key", "rotate", "--now", "--json"]).json();
    assert_eq!(now["state"], "signing");
    eventually("the new key", || {
        published().contains(&now["kid"]).then_some(())
    });
    let old = server.client().as_owner(&ann, "GET", "/v1/account");
    old.status(401);
    let ann = server.client().refreshed(&ann.refresh);
    assert_eq!(ann.header()["kid"], now["kid"]);
    let shown = server.client().as_owner(&ann, "GET", "/v1/account");
    shown.status(200);
    let listed = home.authd(&["key", "list", "--json"]).json();
    let states: Vec<&Value> = listed["keys"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|key| &key["state"])
        .collect();
    assert_eq!(states, ["signing"]);
    assert_eq!(home.events("signing_key_rotated").len(), 2);
}

#[test]
fn what_is_printed_is_for_people_or_for_programs() {
    let home = Home::with("replay_window = \"5s\"");
    let server = home.serve();
    server.set_up("ann@example.org");
    for command in [
        &["user", "list"][..],
        &["user", "show", "ann@example.org"],
        &["session", "list", "ann@example.org"],
        &["group", "list"],
        &["key", "list"],
        &["event", "list", "--limit", "1"],
        &["event", "list", "--user", "ann@example.org"],
        &["config"],
        &["sweep"],
    ] {
        let table = home.authd(command).done();
        assert!(!table.stdout.trim().is_empty(), "{command:?}");
        assert_eq!(table.stderr, "", "{command:?}");
        let for_programs: Vec<&str> = command.iter().copied().chain(["--json"]).collect();
        let value = home.authd(&for_programs).json();
        assert!(value.is_object(), "{command:?}: {value}");
    }
    let config = home.authd(&["config", "--json"]).json();
    assert_eq!(config["replay_window"]["value"], "5s");
    assert!(
        config["replay_window"]["source"]
            .as_str()
            .is_some_and(|from| from.contains("authd.toml"))
    );
    let swept = home.authd(&["sweep", "--json"]).json();
    assert_eq!(
        (&swept["sessions"], &swept["paused"]),
        (&json!(0), &json!(false))
    );

    for shell in ["bash", "zsh", "fish"] {
        let script = home.authd(&["completions", shell]).done().stdout;
        assert!(script.contains("set-password"), "{shell}");
    }
    let page = home.authd(&["man"]).done().stdout;
    assert!(page.contains(".TH authd 1"), "{page}");
    let version = home.authd(&["--version"]).done().stdout;
    assert_eq!(version.trim(), concat!("authd ", env!("CARGO_PKG_VERSION")));
}

#[test]
fn mistakes_are_told_with_their_exit_code() {
    let home = Home::new();
    // Usage.
    for line in [
        &["sevre"][..],
        &["user"],
        &["event", "list", "--limit", "0"],
        &["serve", "--no-such"],
    ] {
        home.authd(line).refused(2);
    }
    // Configuration: nothing is made before it is right.
    for (settings, told) in [
        ("regsitration = \"open\"", "Did you mean registration?"),
        ("replay_window = \"11m\"", "replay_window"),
        ("public_url = \"http://auth.example.org\"", "allow_http"),
        ("listen = ", "authd.toml"),
    ] {
        home.set(settings);
        let said = home.serve_in_vain().refused(78);
        assert!(said.contains(told), "{said}");
    }
    home.set("");
    assert!(!home.db().exists());
    // An address that somebody has.
    let server = home.serve();
    let taken = server.address.to_string();
    let said = home
        .authd(&["serve", "--db", "other.db", "--listen", &taken])
        .refused(78);
    assert!(said.contains("--listen"), "{said}");
    // Refused.
    home.authd(&["user", "show", "nobody"]).refused(1);
    home.authd(&["event", "list", "--user", "nobody"])
        .refused(1);
}

#[test]
fn an_operator_looks_on_while_things_happen() {
    let home = Home::new();
    let server = home.serve();
    let ann = server.set_up("ann@example.org");
    let people = home.watch(&["event", "list", "--follow", "--limit", "2"]);
    let programs = home.watch(&[
        "event",
        "list",
        "--follow",
        "--json",
        "--user",
        "ann@example.org",
    ]);
    people.shows("sign in");
    programs.shows("\"sign_in\"");

    home.add_user("bob@example.org");
    let deleted = server
        .client()
        .as_owner(&ann, "DELETE", "/v1/sessions/current");
    deleted.status(204);
    let line = people.shows("session ended");
    assert!(
        line.contains("ann@example.org") && line.contains("127.0.0.1"),
        "{line}"
    );
    let line = programs.shows("\"session_ended\"");
    let event: Value = serde_json::from_str(&line).expect("an event a line");
    assert_eq!(event["email"], "ann@example.org");

    // In the order in which it happened, each once, and only of whom it was asked about.
    let shown = people.shown();
    let told = |what: &str| shown.matches(what).count();
    assert_eq!(
        (told("account created"), told("session ended")),
        (2, 1),
        "{shown}"
    );
    assert!(
        shown.find("sign in") < shown.find("bob@example.org"),
        "{shown}"
    );
    assert!(!programs.shown().contains("bob"), "{}", programs.shown());
}

#[test] // whoever takes an account over changes its address first
fn somebody_who_is_looked_on_stays_in_sight_under_another_address() {
    let home = Home::new();
    let server = home.serve();
    let ann = server.set_up("ann@example.org");
    let watch = home.watch(&["event", "list", "--follow", "--user", "ann@example.org"]);
    watch.shows("sign in");
    let body = json!({ "email": "eve@example.org", "current_password": PASSWORD });
    let bearer = format!("Bearer {}", ann.access);
    let headers = [("Authorization", bearer.as_str())];
    let mut client = server.client();
    let changed = client.request("PATCH", "/v1/account", &headers, Some(&body));
    changed.status(200);
    watch.shows("account changed");
    // The address is another's now, who is not looked on.
    home.add_user("ann@example.org");
    server.sign_in("ann@example.org", "phone");
    client
        .as_owner(&ann, "DELETE", "/v1/sessions/current")
        .status(204);
    let line = watch.shows("session ended");
    assert!(line.contains("eve@example.org"), "{line}");
    assert_eq!(watch.shown().matches("account created").count(), 1);
}

#[test] // what is locked, since when, by whom
fn an_operator_sees_who_is_locked_and_who_tried() {
    let home = Home::new();
    let server = home.serve();
    home.add_user("ann@example.org");
    home.add_user("bob@example.org");
    let body = json!({ "login": "ann@example.org", "password": "wrong wrong wrong" });
    for _ in 0..5 {
        let guess = server
            .client_from([127, 0, 0, 9])
            .post("/v1/sessions", &body);
        guess.refused(401, "invalid_credentials");
    }
    let show = || {
        home.authd(&["user", "show", "ann@example.org", "--json"])
            .json()
    };
    assert_eq!(show()["failed_sign_ins"], 5);
    assert_eq!(show()["failed_from"], json!(["127.0.0.9"]));
    let listed = home.authd(&["user", "list", "--locked", "--json"]).json();
    assert!(listed["locked"].is_array());
    home.authd(&["user", "unlock", "ann@example.org"]).done();
    assert_eq!(show()["failed_sign_ins"], Value::Null);
}

#[test] // fault 10: `docker compose` passes empty variables, and variables of its own
fn variables_that_are_empty_or_unknown_end_no_command() {
    let home = Home::new();
    let run = |variables: &[(&str, &str)]| {
        let mut command = home.command(AUTHD, &["config", "--json"]);
        command.envs(variables.iter().copied());
        Ran::of(command, "")
    };
    let empty = ["AUTHD_CONFIG", "AUTHD_MAIL", "AUTHD_LISTEN"].map(|name| (name, ""));
    assert_eq!(run(&empty).json(), run(&[]).json());
    let ran = run(&[("AUTHD_REPLAY_WINDOWS", "1s")]).done();
    let warned = "Did you mean AUTHD_REPLAY_WINDOW?";
    assert!(ran.stderr.contains(warned), "{}", ran.stderr);

    let secret = home.path("mail");
    std::fs::write(&secret, "smtp://ann:word@mail.example.org\n").expect("a file");
    let secret = secret.to_str().expect("a path");
    let config = run(&[("AUTHD_MAIL_FILE", secret)]).json();
    assert_eq!(config["mail"]["value"], "smtp://ann:***@mail.example.org");
    let both = [("AUTHD_MAIL_FILE", secret), ("AUTHD_MAIL", "off")];
    let said = run(&both).refused(78);
    assert!(said.contains("both set"), "{said}");
}

#[test] // fault 8: an image without curl needs a command for its health check
fn a_container_can_check_the_health_of_its_server() {
    let home = Home::new();
    let server = home.serve();
    let address = server.address.to_string();
    let listening = |listen: &str| {
        let mut command = home.command(AUTHD, &["health", "--json"]);
        command.env("AUTHD_LISTEN", listen);
        command.env("AUTHD_PUBLIC_URL", "https://auth.example.com");
        Ran::of(command, "")
    };
    let ready = json!({ "ready": true, "url": format!("http://{address}") });
    assert_eq!(listening(&address).json(), ready);
    // In a container the server listens on every interface.
    let everywhere = format!("0.0.0.0:{}", server.address.port());
    assert_eq!(listening(&everywhere).json(), ready);
    let url = format!("http://{address}");
    home.authd(&["health", "--url", &url]).done();
    // The database is not opened, and a mistake in the settings matters only where they are used.
    home.set("regsitration = 1");
    let elsewhere = ["health", "--url", &url, "--db", "/nowhere/authd.db"];
    home.authd(&elsewhere).done();
    let reason = home.authd(&["health"]).refused(1);
    assert!(reason.contains("Did you mean registration?"), "{reason}");
    home.set("");

    server.stop();
    let ran = listening(&address);
    let told: Value = serde_json::from_str(&ran.stdout).expect("JSON");
    assert_eq!(told["ready"], false);
    let reason = ran.refused(1);
    assert!(reason.contains("does not answer"), "{reason}");
    assert_eq!(reason.trim_end().lines().count(), 1, "{reason}");
    let reason = home.authd(&["health", "--url", &url]).refused(1);
    assert_eq!(reason.trim_end().lines().count(), 1, "{reason}");
}

#[test] // finding 17: a file of another user must not decide what root's command does
fn a_command_of_root_says_that_it_uses_the_file_of_the_working_directory() {
    let home = Home::with("replay_window = \"7s\"");
    let run = || {
        let mut command = home.command(AUTHD, &["config", "--json"]);
        command.env_remove("AUTHD_CONFIG");
        Ran::of(command, "")
    };
    let is_root = rustix::process::geteuid().is_root();
    let ran = run().done();
    assert_eq!(ran.stderr.contains("authd.toml"), is_root, "{}", ran.stderr);
    assert_eq!(ran.json()["replay_window"]["value"], "7s");
    if is_root {
        let file = home.path("authd.toml");
        std::os::unix::fs::chown(&file, Some(1000), None).expect("a new owner");
        // A machine with /etc/authd/authd.toml uses that one.
        let ran = run();
        let used = serde_json::from_str(&ran.stdout).unwrap_or(Value::Null);
        assert_ne!(used["replay_window"]["value"], "7s");
        assert!(ran.stderr.contains("is not used"), "{}", ran.stderr);
    }
}

#[test] // a script that passes two lines has made a mistake
fn a_second_line_is_not_part_of_the_password() {
    let home = Home::new();
    home.serve().stop();
    let add = ["user", "add", "ann@example.org", "--password-stdin"];
    let said = home
        .authd_fed(&add, "correct horse battery\nstaple\n")
        .refused(1);
    assert!(said.contains("more than one line"), "{said}");
    home.authd(&["user", "show", "ann@example.org"]).refused(1);
}

#[test] // a link whose target was moved away, or a disk that is not mounted
fn a_symbolic_link_without_its_target_is_called_that() {
    let home = Home::new();
    std::os::unix::fs::symlink("/nowhere/authd.db", home.db()).expect("a link");
    for ran in [home.authd(&["user", "list"]), home.serve_in_vain()] {
        let said = ran.refused(78);
        assert!(
            said.contains("is a symbolic link to /nowhere/authd.db"),
            "{said}"
        );
        assert!(said.contains("--db"), "{said}");
    }
    let (state, said) = super::doctor::look(home.authd(&["doctor", "--json"]), "database");
    assert_eq!(state, "problem");
    assert!(said.contains("is a symbolic link to"), "{said}");
}
