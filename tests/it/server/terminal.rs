//! What the command line prints for people: it fits into a terminal, and what they copy from it is whole.

use std::fs;

use serde_json::json;

use crate::wire::Home;

/// Lines with more than 80 columns, unless they are one word, or a name and one word.
pub(super) fn too_long(text: &str) -> Vec<&str> {
    let is_word = |line: &str| line.split_whitespace().count() <= 2;
    let long = text.lines().filter(|line| line.chars().count() > 80);
    long.filter(|line| !is_word(line)).collect()
}

#[test]
fn every_list_fits_into_80_columns_and_keeps_what_is_copied() {
    let home = Home::with("registration = \"invite\"");
    let server = home.serve();
    let local = "a".repeat(60);
    let email = format!("{local}@mail.example.org");
    server.set_up(&email);
    let name = "Ann Beatrice Charlotte Example of the Long Names";
    let add = [
        "user",
        "add",
        "bob@example.org",
        "--name",
        name,
        "--password-stdin",
    ];
    home.authd_fed(&add, "correct horse battery").done();
    let device = "the telephone that has hung on the wall of the kitchen for years";
    let phone = server.sign_in(&email, device);
    let wrong = json!({ "login": email, "password": "wrong wrong wrong" });
    for _ in 0..6 {
        server.client().post("/v1/sessions", &wrong);
    }
    home.authd(&["group", "add", "staff"]).done();
    home.authd(&["group", "grant", "staff", "bob@example.org"])
        .done();
    let invite = ["invite", "--email", "eve@example.org", "--json"];
    let invitation = home.authd(&invite).json();
    home.authd(&["user", "reset-link", "bob@example.org"])
        .done();
    let key = home.authd(&["key", "list", "--json"]).json();

    let rows: [(&[&str], &str, &str); 11] = [
        (&["user", "list"], "accounts", &email),
        (&["user", "list", "--locked"], "locked", ""),
        (&["user", "list", "--waiting"], "waiting", ""),
        (&["group", "list"], "groups", "staff"),
        (&["group", "show", "staff"], "accounts", "bob@example.org"),
        (&["session", "list", &email], "sessions", &phone.session),
        (
            &["invite", "--list"],
            "invitations",
            invitation["id"].as_str().expect("an id"),
        ),
        (
            &["key", "list"],
            "keys",
            key["keys"][0]["kid"].as_str().expect("a name"),
        ),
        (&["event", "list"], "events", "group granted"),
        (
            &["user", "reset-link", "bob@example.org", "--list"],
            "requests",
            "operator",
        ),
        (&["config"], "registration", "invite"),
    ];
    for (line, member, copied) in rows {
        let shown = home.authd(line).done().stdout;
        assert!(shown.contains(copied), "{line:?}: {shown}");
        assert_eq!(too_long(&shown), Vec::<&str>::new(), "{line:?}");
        let json = home.authd(&[line, &["--json"]].concat()).json();
        assert!(!json[member].is_null(), "{line:?}: {json}");
    }
    let shown = home.authd(&["doctor"]).done().stdout;
    assert_eq!(too_long(&shown), Vec::<&str>::new());
}

#[test] // after a leak, an operator has to know how long other services lag behind
fn keys_that_are_replaced_at_once_say_until_when_they_count_elsewhere() {
    let home = Home::with("access_token_lifetime = \"30m\"");
    home.serve().stop();
    let rotated = home.authd(&["key", "rotate", "--now", "--json"]).json();
    let seconds = |member: &str| {
        let text = rotated[member].as_str().expect(member);
        let format = &time::format_description::well_known::Rfc3339;
        let at = time::OffsetDateTime::parse(text, format).expect("a time");
        at.unix_timestamp()
    };
    // The lifetime of a token less the max-age of the JWKS.
    let between = seconds("old_tokens_expire_at") - seconds("old_keys_cached_until");
    assert_eq!(between, 15 * 60);
}

#[test]
fn a_name_that_does_not_exist_is_refused_with_the_command_that_lists_them() {
    let home = Home::with("registration = \"invite\"");
    home.serve().stop();
    let id = "0199f0a4-8f4e-7c53-b3f2-6f0c3f1d9a77";
    home.add_user("ann@example.org");
    for (line, list) in [
        (&["user", "show", "nobody"][..], "authd user list"),
        (&["user", "verify-link", "nobody"], "authd user list"),
        (&["group", "show", "nobody"], "authd group list"),
        (
            &["session", "revoke", "ann@example.org", id],
            "authd session list",
        ),
        (&["invite", "--revoke", id], "authd invite --list"),
    ] {
        let said = home.authd(line).refused(1);
        assert!(said.contains(&format!("`{list}")), "{said}");
    }
}

#[test]
fn every_command_has_a_manual_page() {
    let home = Home::new();
    let pages = home.path("pages");
    fs::create_dir(&pages).expect("a directory");
    home.authd(&["man", "--dir", "pages"]).done();
    let page = fs::read_to_string(pages.join("authd-user-add.1")).expect("a page");
    assert!(page.contains("password\\-stdin"), "{page}");
    let page = fs::read_to_string(pages.join("authd.1")).expect("a page");
    assert!(page.contains(".TH authd 1"), "{page}");
    let said = home.authd(&["man", "--dir", "nowhere"]).refused(1);
    assert!(said.contains("nowhere"), "{said}");
}
