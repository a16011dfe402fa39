//! Signing in and out in a browser.

use authd::service::{NewAccount, NewInvitation, Registration, Verification};

use super::browser::Browser;
use crate::harness::{
    Harness, LAPTOP, PASSWORD, PHONE, email, hours, link_token, minutes, new_account,
};

#[test] // req 31
fn a_sign_in_gives_a_cookie_that_the_browser_did_not_have_before() {
    let t = Harness::new();
    t.add("ann");
    let mut browser = Browser::new(&t, LAPTOP);
    browser
        .cookies
        .insert("__Host-authd".into(), format!("ab_{}", "A".repeat(43)));
    let page = browser.sign_in("ann");
    page.says(200, &email("ann"));
    let (name, first) = browser.session_cookie();
    assert_eq!(name, "__Host-authd");
    browser.open("/login");
    let page = browser.open("/account/sessions");
    browser.send(&page, "/logout", &[]);
    assert!(!browser.cookies.contains_key("__Host-authd"));
    browser.sign_in("ann");
    assert_ne!(browser.session_cookie().1, first);
}

#[test] // req 32
fn after_signing_out_the_cookie_opens_nothing() {
    let t = Harness::new();
    t.add("ann");
    let mut browser = Browser::new(&t, LAPTOP);
    let page = browser.sign_in("ann");
    let kept = browser.cookies.clone();
    let page = browser.send(&page, "/logout", &[]);
    page.says(200, "You are signed out");
    browser.cookies = kept;
    assert_eq!(browser.open("/account").path, "/login");
    assert!(t.sessions("ann").is_empty());
}

#[test] // signing in again leaves no session behind
fn the_same_browser_has_one_session() {
    let t = Harness::new();
    t.add("ann");
    t.add("bob");
    let mut browser = Browser::new(&t, LAPTOP);
    let page = browser.open("/login");
    browser.sign_in("ann");
    let old = browser.session_cookie().1;
    // A sign-in page that was opened before.
    let login = email("bob");
    let fields = [("login", login.as_str()), ("password", PASSWORD)];
    let page = browser.send(&page, "/login", &fields);
    page.says(200, &email("bob"));
    assert!(t.sessions("ann").is_empty());
    assert_eq!(t.sessions("bob").len(), 1);
    assert_ne!(browser.session_cookie().1, old);
}

#[test] // req 10
fn an_unknown_login_and_a_wrong_password_show_the_same_page() {
    let t = Harness::new();
    t.add("ann");
    let shown = |login: &str, password: &str| {
        let mut browser = Browser::new(&t, LAPTOP);
        let page = browser.open("/login");
        let fields = [("login", login), ("password", password)];
        let page = browser.send(&page, "/login", &fields);
        assert_eq!(page.answer.status, 422);
        assert!(!browser.cookies.contains_key("__Host-authd"));
        let token = page
            .text()
            .split("name=\"form_token\" value=\"")
            .nth(1)
            .expect("a token")[..22]
            .to_owned();
        page.text().replace(&token, "").replace(login, "")
    };
    assert_eq!(
        shown(&email("ann"), "not the password"),
        shown(&email("eve"), "not the password")
    );
}

#[test]
fn a_mistake_keeps_what_was_typed_but_the_password() {
    let t = Harness::new();
    let mut browser = Browser::new(&t, LAPTOP);
    let page = browser.open("/login?return_to=/account/activity");
    let page = browser.send(
        &page,
        "/login",
        &[("login", "ann@example.org"), ("password", "a wrong secret")],
    );
    let text = page.text();
    assert_eq!(page.answer.status, 422);
    assert!(text.contains("<title>Error: "));
    assert!(text.contains("role=\"alert\""));
    assert!(text.contains("ann@example.org"));
    assert!(!text.contains("a wrong secret"));
    assert!(text.contains("value=\"/account/activity\""));
    let page = browser.send(&page, "/login", &[("login", " "), ("password", "")]);
    page.says(422, "Enter your password.");
}

#[test] // req 50
fn a_sign_in_goes_on_to_the_page_that_asked_for_it_and_nowhere_else() {
    let t = Harness::new();
    t.add("ann");
    let login = email("ann");
    let fields = [("login", login.as_str()), ("password", PASSWORD)];
    let mut browser = Browser::new(&t, LAPTOP);
    let page = browser.open("/account/sessions");
    assert_eq!(page.path, "/login?return_to=%2Faccount%2Fsessions");
    let page = browser.send(&page, "/login", &fields);
    assert_eq!(page.path, "/account/sessions");
    for foreign in [
        "https://evil.example/",
        "//evil.example",
        "/\\evil.example",
        "/%09/evil.example",
        "javascript:alert(1)",
    ] {
        let mut browser = Browser::new(&t, PHONE);
        let page = browser.open("/login");
        let page = browser.send(
            &page,
            "/login",
            &[fields[0], fields[1], ("return_to", foreign)],
        );
        let stays = page.path == "/account" || foreign.starts_with("/%09");
        assert!(stays, "{foreign} led to {}", page.path);
    }
}

#[test]
fn a_session_that_is_not_kept_ends_with_the_browser_or_after_a_day() {
    let t = Harness::new();
    t.add("ann");
    let login = email("ann");
    let sign_in = |keep: &[(&str, &str)]| {
        let mut browser = Browser::new(&t, LAPTOP);
        let page = browser.open("/login");
        let fields = [&[("login", login.as_str()), ("password", PASSWORD)], keep].concat();
        browser.send(&page, "/login", &fields);
        browser
    };
    let (mut kept, mut passing) = (sign_in(&[("keep_signed_in", "on")]), sign_in(&[]));
    t.clock.advance(hours(23));
    assert_eq!(passing.open("/account").path, "/account");
    t.clock.advance(hours(2));
    assert_eq!(passing.open("/account").path, "/login");
    assert_eq!(kept.open("/account").path, "/account");
}

#[test] // req 34, req 40: looking at pages writes at most once a minute
fn the_last_use_of_a_session_is_stored_once_a_minute() {
    let t = Harness::new();
    t.add("ann");
    let mut browser = Browser::new(&t, LAPTOP);
    browser.sign_in("ann");
    t.clock.advance(minutes(5));
    browser.open("/account");
    t.unchanged(|| {
        browser.open("/account");
        browser.open("/account/sessions");
    });
    let session = &t.sessions("ann")[0];
    assert_eq!(session.last_used_at.since(session.created_at), minutes(5));
}

#[test] // req 18
fn a_temporary_password_is_replaced_before_the_session_begins() {
    let t = Harness::new();
    let new = NewAccount {
        temporary: true,
        ..new_account("ann")
    };
    t.operator()
        .add_account(new, Some(PASSWORD))
        .expect("an account");
    let mut browser = Browser::new(&t, LAPTOP);
    let login = email("ann");
    let page = browser.open("/login");
    let page = browser.send(
        &page,
        "/login",
        &[("login", &login), ("password", PASSWORD)],
    );
    assert!(
        page.path.starts_with("/login/new-password"),
        "{}",
        page.path
    );
    assert!(t.sessions("ann").is_empty());
    assert_eq!(browser.open("/account").path, "/login");
    for refused in ["short", PASSWORD] {
        let again = browser.send(&page, "/login/new-password", &[("new_password", refused)]);
        assert_eq!(again.answer.status, 422, "{refused}");
    }
    let token = browser.cookies.clone();
    let done = browser.send(
        &page,
        "/login/new-password",
        &[("new_password", "seven green kettles")],
    );
    assert_eq!(done.path, "/account");
    assert_eq!(t.sessions("ann").len(), 1);
    // The first step is worth nothing any more.
    let mut other = Browser::new(&t, PHONE);
    other.cookies = token;
    assert_eq!(other.open("/login/new-password").path, "/login");
}

#[test] // req 23, req 28, req 29, req 30
fn a_link_for_a_new_password_leaves_the_address_at_once_and_works_once() {
    let t = Harness::new();
    t.add("ann");
    let signed_in = t.sign_in("ann");
    let mut browser = Browser::new(&t, LAPTOP);
    let page = browser.open("/forgot");
    browser
        .send(&page, "/forgot", &[("email", &email("ann"))])
        .says(200, &email("ann"));
    let token = link_token(t.mail().last().expect("a letter"));
    let opened = browser.get(&format!("/reset?token={token}&utm_source=mail"));
    assert_eq!(
        (opened.status, opened.header("location")),
        (303, Some("/reset"))
    );
    assert_eq!(opened.header("referrer-policy"), Some("same-origin"));
    assert_eq!(opened.header("cache-control"), Some("no-store"));
    let page = browser.open("/reset");
    assert!(!page.text().contains(&token));
    assert!(t.is_open(&signed_in));
    browser
        .send(&page, "/reset", &[("new_password", "short")])
        .says(422, "12");
    let done = browser.send(&page, "/reset", &[("new_password", "seven green kettles")]);
    done.says(200, "changed");
    assert!(!t.is_open(&signed_in));
    assert_eq!(browser.open("/account").path, "/login");
    let again = browser.open(&format!("/reset?token={token}"));
    assert_eq!(again.answer.status, 400);
    assert_eq!(browser.open("/reset?token=ap_nonsense").answer.status, 400);
}

#[test] // req 11
fn a_registration_asks_for_its_password_at_the_link() {
    let t = Harness::with(|terms| {
        terms.policy.registration = Registration::Open;
        terms.policy.verification = Verification::Required;
    });
    let mut browser = Browser::new(&t, LAPTOP);
    let page = browser.open("/register");
    let mail = email("ann");
    let fields = [
        ("email", mail.as_str()),
        ("name", "Ann"),
        ("password", PASSWORD),
    ];
    browser.send(&page, "/register", &fields).says(200, &mail);
    let token = link_token(t.mail().last().expect("a letter"));
    let page = browser.open(&format!("/verify?token={token}"));
    assert_eq!(page.path, "/verify");
    browser
        .send(&page, "/verify", &[("password", "not the password")])
        .says(422, "not your password");
    let page = browser.send(&page, "/verify", &[("password", PASSWORD)]);
    assert_eq!(page.path, "/login");
    browser.sign_in("ann");
}

#[test]
fn an_invitation_is_used_in_the_browser() {
    let t = Harness::with(|terms| terms.policy.registration = Registration::Invite);
    let mut browser = Browser::new(&t, LAPTOP);
    assert_eq!(browser.open("/register").answer.status, 403);
    let new = NewInvitation {
        email: None,
        group: None,
        lifetime: hours(24),
        is_mailed: false,
    };
    let token = t.operator().invite(&new).expect("an invitation").token;
    let address = format!("/register?invite={}", token.expect("a token"));
    let page = browser.open(&address);
    let fields = [("email", "ann@example.org"), ("password", PASSWORD)];
    let page = browser.send(&page, "/register", &fields);
    assert_eq!(page.path, "/account");
    let mut other = Browser::new(&t, PHONE);
    assert_eq!(other.open(&address).answer.status, 403);
}

#[test]
fn the_set_up_link_creates_the_first_administrator_once() {
    let t = Harness::new();
    let link = t.authd().open_setup().expect("an answer").expect("a link");
    let mut browser = Browser::new(&t, LAPTOP);
    assert_eq!(browser.open("/setup").answer.status, 403);
    let page = browser.open(&format!("/setup?token={}", link.token));
    assert_eq!(page.path, "/setup");
    let fields = [
        ("email", "ann@example.org"),
        ("name", "Ann"),
        ("password", PASSWORD),
    ];
    let page = browser.send(&page, "/setup", &fields);
    page.says(200, "ann@example.org");
    assert_eq!(browser.open("/setup").answer.status, 404);
}

#[test] // req 17
fn fields_for_passwords_say_so_to_password_managers_and_take_what_is_pasted() {
    let t = Harness::with(|terms| {
        terms.policy.registration = authd::policy::Registration::Open;
    });
    t.add("ann");
    let mut browser = Browser::new(&t, LAPTOP);
    let tag = |page: &super::browser::Page, name: &str| {
        let text = page.text();
        let mut tags = text.split("<input ").skip(1);
        let tag = tags.find(|tag| tag.contains(&format!("name=\"{name}\"")));
        let tag = tag.expect("a field").split('>').next().expect("a tag");
        tag.to_owned()
    };
    let mut holds = |path: &str, name: &str, autocomplete: &str, kind: &str| {
        let tag = tag(&browser.open(path), name);
        let autocomplete = format!("autocomplete=\"{autocomplete}");
        assert!(tag.contains(&autocomplete), "{path} {tag}");
        assert!(tag.contains(&format!("type=\"{kind}\"")), "{path} {tag}");
        assert!(!tag.contains("paste"), "{path} {tag}");
    };
    holds("/login", "login", "username", "text");
    holds("/login", "password", "current-password", "password");
    holds("/register", "email", "username", "email");
    holds("/register", "password", "new-password", "password");
    browser.sign_in("ann");
    let page = browser.open("/account/password");
    assert!(tag(&page, "current_password").contains("autocomplete=\"current-password\""));
    assert!(tag(&page, "new_password").contains("autocomplete=\"new-password\""));
    let script = include_str!("../../../templates/pages/script.js");
    assert!(!script.contains("paste"));
}
