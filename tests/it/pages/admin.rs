//! The pages of the administration: who may open them, and what each of their forms does.

use super::browser::{Browser, Page};
use crate::harness::{Harness, LAPTOP, PASSWORD, PHONE, account, email, minutes};
use authd::http::Method;
use authd::service::AccountChange;

/// A browser in which an administrator is signed in.
fn administrator(t: &Harness) -> Browser<'_> {
    t.add_administrator("root");
    let mut browser = Browser::new(t, LAPTOP);
    browser.sign_in("root");
    browser
}

fn page_of(t: &Harness, name: &str) -> String {
    let id = t
        .authd()
        .account_record(&account(name))
        .expect("an account");
    format!("/admin/accounts/{}", id.details.account.id)
}

/// The link that a page shows once.
fn link_on(page: &Page) -> String {
    let text = page.text();
    let at = text.find("https://").expect("a link");
    text[at..].split('<').next().expect("its end").to_owned()
}

#[test] // req 36
fn the_administration_is_for_administrators_who_authenticated_lately() {
    let t = Harness::new();
    t.add("ann");
    let mut ann = Browser::new(&t, PHONE);
    ann.sign_in("ann");
    let mut stranger = Browser::new(&t, PHONE);
    let mut root = administrator(&t);
    let pages = authd::http::page_routes().iter();
    let admin: Vec<&str> = pages
        .filter(|route| route.method == Method::GET && route.path.starts_with("/admin"))
        .map(|route| route.path)
        .collect();
    assert!(admin.len() > 15, "{admin:?}");
    for path in &admin {
        assert_eq!(ann.get(path).status, 403, "{path}");
        let sent_to = stranger.open(path).path;
        assert!(sent_to.starts_with("/login"), "{path} {sent_to}");
        assert_ne!(root.get(path).status, 403, "{path}");
    }
    t.clock.advance(minutes(11));
    for path in &admin {
        let sent_to = root.open(path).path;
        assert!(sent_to.starts_with("/confirm?purpose="), "{path} {sent_to}");
    }
    let page = root.open("/admin/accounts");
    let page = root.send(&page, "/confirm", &[("password", PASSWORD)]);
    assert_eq!(page.path, "/admin/accounts");
    // Power that was taken away is gone at the next request.
    t.add_administrator("other");
    let demotion = AccountChange {
        admin: Some(false),
        ..AccountChange::default()
    };
    t.operator()
        .update_account(&account("root"), &demotion)
        .expect("a demotion");
    assert_eq!(root.get("/admin").status, 403);
}

#[test]
fn an_account_is_created_with_a_link_or_with_a_temporary_password() {
    let t = Harness::new();
    let mut root = administrator(&t);
    let page = root.open("/admin/accounts/new");
    let wrong = [("email", "no address"), ("username", "two words")];
    let page = root.send(&page, "/admin/accounts/new", &wrong);
    page.says(422, "href=\"#email\"");
    page.says(422, "href=\"#username\"");
    let hostile = "<script>alert(1)</script>";
    let page = root.send(
        &page,
        "/admin/accounts/new",
        &[
            ("email", "bob@example.org"),
            ("username", ""),
            ("name", hostile),
        ],
    );
    page.says(200, "bob@example.org");
    let link = link_on(&page);
    assert!(link.contains("/reset?token=ap_"), "{link}");
    assert_eq!(page.answer.header("cache-control"), Some("no-store"));
    let list = root.open("/admin/accounts?q=bob");
    list.says(200, "&#60;script&#62;");
    assert!(!list.text().contains(hostile));
    let taken = [("email", "bob@example.org")];
    let page = root.open("/admin/accounts/new");
    root.send(&page, "/admin/accounts/new", &taken)
        .says(422, "Another account has this e-mail address.");
    let page = root.send(
        &page,
        "/admin/accounts/new",
        &[("email", "eve@example.org"), ("password", PASSWORD)],
    );
    page.says(200, "The account was created.");
    let mut eve = Browser::new(&t, PHONE);
    let page = eve.open("/login");
    let page = eve.send(
        &page,
        "/login",
        &[("login", "eve@example.org"), ("password", PASSWORD)],
    );
    assert!(
        page.path.starts_with("/login/new-password"),
        "{}",
        page.path
    );
}

#[test]
fn an_account_is_disabled_enabled_promoted_and_deleted() {
    let t = Harness::new();
    t.add("ann");
    let mut root = administrator(&t);
    t.sign_in("ann");
    let path = page_of(&t, "ann");
    let act = |root: &mut Browser<'_>, action: &str, fields: &[(&str, &str)], says: &str| {
        let from = match action {
            "disable" | "end-sessions" | "delete" | "reset-link" => format!("{path}/{action}"),
            _ => path.clone(),
        };
        let page = root.open(&from);
        let page = root.send(&page, &format!("{path}/{action}"), fields);
        page.says(page.answer.status, says);
        page
    };
    act(&mut root, "end-sessions", &[], "were ended");
    assert!(t.sessions("ann").is_empty());
    let session = t.sign_in("ann").session;
    let page = root.open(&path);
    let end = format!("{path}/end-session");
    for says in ["The device was signed out.", "signed out already"] {
        root.send(&page, &end, &[("session", &session)])
            .says(200, says);
    }
    act(&mut root, "disable", &[], "The account was disabled");
    t.try_sign_in(PHONE, "ann", PASSWORD)
        .refused("invalid_credentials");
    act(&mut root, "enable", &[], "The account was enabled");
    act(&mut root, "promote", &[], "is an administrator now");
    act(&mut root, "demote", &[], "no longer an administrator");
    let page = act(
        &mut root,
        "reset-link",
        &[("choice", "show")],
        "ann@example.org",
    );
    assert!(link_on(&page).contains("/reset?token=ap_"));
    let wrong = [("typed", "bob@example.org")];
    let page = act(&mut root, "delete", &wrong, "not the one of the account");
    assert_eq!(page.answer.status, 422);
    let right = [("typed", "ann@example.org")];
    act(&mut root, "delete", &right, "The account was deleted");
    assert_eq!(root.get(&path).status, 404);
}

#[test]
fn the_last_administrator_is_told_why_the_account_stays() {
    let t = Harness::new();
    let mut root = administrator(&t);
    let path = page_of(&t, "root");
    let page = root.open(&path);
    page.says(200, "only administrator");
    for action in ["disable", "delete"] {
        let asked = root.open(&format!("{path}/{action}"));
        let fields = [("typed", "root@example.org")];
        let page = root.send(&asked, &format!("{path}/{action}"), &fields);
        page.says(422, "only administrator");
    }
    root.open("/account/delete")
        .says(200, "You are the only administrator");
    t.add_administrator("other");
    // The own account is not taken away by accident, either.
    let asked = root.open(&format!("{path}/disable"));
    root.send(&asked, &format!("{path}/disable"), &[])
        .says(422, "your own account");
}

#[test]
fn groups_have_members() {
    let t = Harness::new();
    t.add("ann");
    let mut root = administrator(&t);
    let page = root.open("/admin/groups");
    for (name, says) in [("", "lower-case"), ("Family", "lower-case")] {
        root.send(&page, "/admin/groups", &[("name", name)])
            .says(422, says);
    }
    let page = root.send(&page, "/admin/groups", &[("name", "family")]);
    assert_eq!(page.path, "/admin/groups/family");
    let again = root.open("/admin/groups");
    root.send(&again, "/admin/groups", &[("name", "family")])
        .says(422, "group with this name already");
    let add = "/admin/groups/family/add";
    root.send(&page, add, &[("login", "nobody@example.org")])
        .says(422, "No account has");
    let page = root.send(&page, add, &[("login", "ann@example.org")]);
    page.says(200, "ann@example.org");
    let ann = page_of(&t, "ann");
    let id = ann.rsplit('/').next().expect("an id");
    let page = root.send(&page, "/admin/groups/family/remove", &[("account", id)]);
    page.says(200, "no longer in the group");
    let page = root.open(&ann);
    root.send(&page, &format!("{ann}/groups/add"), &[("group", "family")])
        .says(200, "now in the group");
    let asked = root.open("/admin/groups/family/delete");
    root.send(&asked, "/admin/groups/family/delete", &[])
        .says(200, "The group was deleted.");
    assert_eq!(root.get("/admin/groups/family").status, 404);
}

#[test]
fn a_person_is_invited_into_a_group_and_an_invitation_is_withdrawn() {
    let t = Harness::with(|terms| {
        terms.policy.registration = authd::policy::Registration::Invite;
    });
    let mut root = administrator(&t);
    t.operator().add_group("family").expect("a group");
    let new = "/admin/invitations/new";
    let page = root.open(new);
    root.send(&page, new, &[("mail", "on"), ("email", "")])
        .says(422, "Enter the address");
    let fields = [
        ("email", "bob@example.org"),
        ("group", "family"),
        ("days", "1"),
    ];
    let page = root.send(&page, new, &fields);
    let link = link_on(&page);
    let mut bob = Browser::new(&t, PHONE);
    let path = link.split_once(".org").expect("a path").1.to_owned();
    let page = bob.open(&path);
    let fields = [("email", "bob@example.org"), ("password", PASSWORD)];
    let page = bob.send(&page, "/register", &fields);
    assert_eq!(page.path, "/account", "{}", page.text());
    page.says(200, "family");
    let page = root.open(new);
    let fields = [("email", "eve@example.org"), ("mail", "on")];
    root.send(&page, new, &fields)
        .says(200, "The invitation is on its way.");
    let list = root.open("/admin/invitations");
    list.says(200, "eve@example.org");
    let withdraw = list
        .text()
        .split("href=\"")
        .map(|rest| rest.split('"').next().unwrap_or_default())
        .find(|path| path.ends_with("/withdraw"))
        .expect("an open invitation")
        .to_owned();
    let asked = root.open(&withdraw);
    root.send(&asked, &withdraw, &[])
        .says(200, "The invitation was withdrawn.");
}

#[test]
fn events_mail_locks_keys_and_settings_are_shown_and_acted_on() {
    let t = Harness::new();
    t.add("ann");
    let mut root = administrator(&t);
    for _ in 0..3 {
        t.try_sign_in(PHONE, "ann", "wrong wrong wrong")
            .refused("invalid_credentials");
    }
    let events = root.open("/admin/events?kind=sign_in_failed&account=ann%40example.org");
    events.says(200, PHONE.ip);
    assert_eq!(events.text().matches("<li class=").count(), 3);
    root.open("/admin/events?account=nobody")
        .says(422, "No account has");
    t.execute("UPDATE sign_in_counter SET locked_until = failed_at + 86400");
    root.open("/admin/locked").says(200, &email("ann"));
    let page = root.open("/admin/locked");
    let ann = page_of(&t, "ann");
    let id = ann.rsplit('/').next().expect("an id");
    root.send(&page, "/admin/locked/unlock", &[("account", id)])
        .says(200, "The account was unlocked.");
    t.operator()
        .mail_reset_link(&account("ann"))
        .expect("a message");
    let outbox = root.open("/admin/outbox");
    outbox.says(200, &email("ann"));
    let message = t.authd().outbox(0, 1).expect("messages")[0].id.to_string();
    root.send(&outbox, "/admin/outbox/send", &[("message", &message)])
        .says(200, "sent again");
    let asked = root.open("/admin/keys/rotate");
    root.send(&asked, "/admin/keys/rotate", &[])
        .says(200, "A new key was created.");
    assert_eq!(root.get("/admin/settings").status, 200);
    assert_eq!(root.get("/admin").status, 200);
}
