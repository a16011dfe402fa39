//! An account owner's own pages.

use super::browser::Browser;
use crate::harness::{Harness, LAPTOP, PASSWORD, PHONE, email, link_token, minutes};

const NEW: &str = "seven green kettles";

#[test]
fn a_profile_is_changed_and_a_mistake_stands_beside_its_field() {
    let t = Harness::new();
    t.add("ann");
    t.add("bob");
    let mut browser = Browser::new(&t, LAPTOP);
    browser.sign_in("ann");
    let page = browser.open("/account/profile");
    let page = browser.send(
        &page,
        "/account/profile",
        &[("name", "Ann Onym"), ("username", "ann")],
    );
    assert_eq!(page.path, "/account");
    page.says(200, "Ann Onym");
    let page = browser.open("/account/profile");
    for (name, username, field) in [("x", "two words", "username"), ("x\u{1}", "ann", "name")] {
        let page = browser.send(
            &page,
            "/account/profile",
            &[("name", name), ("username", username)],
        );
        page.says(422, &format!("href=\"#{field}\""));
    }
}

#[test] // req 36
fn a_new_address_takes_a_recent_authentication_and_both_confirmations() {
    let t = Harness::new();
    t.add("ann");
    let mut browser = Browser::new(&t, LAPTOP);
    browser.sign_in("ann");
    t.clock.advance(minutes(11));
    let page = browser.open("/account/email");
    assert!(
        page.path.starts_with("/confirm?purpose=email"),
        "{}",
        page.path
    );
    let before = browser.session_cookie().1;
    browser
        .send(&page, "/confirm", &[("password", "not the password")])
        .says(422, "not your password");
    let page = browser.send(&page, "/confirm", &[("password", PASSWORD)]);
    assert_eq!(page.path, "/account/email");
    // req 31: the cookie of before the step-up is dead.
    assert_ne!(browser.session_cookie().1, before);
    let mut old = Browser::new(&t, LAPTOP);
    old.cookies.insert("__Host-authd".into(), before);
    assert_eq!(old.open("/account").path, "/login");
    let page = browser.send(&page, "/account/email", &[("email", "ann@new.example")]);
    page.says(200, "ann@new.example");
    let tokens: Vec<String> = t.mail().iter().map(link_token).collect();
    let [.., first, second] = tokens.as_slice() else {
        panic!("two letters");
    };
    for token in [first, second] {
        let page = browser.open(&format!("/verify?token={token}"));
        browser.send(&page, "/verify", &[]);
    }
    browser.open("/account").says(200, "ann@new.example");
    // A step-up for one purpose is none for another.
    let page = browser.open("/account/delete");
    assert!(
        page.path.starts_with("/confirm?purpose=deletion"),
        "{}",
        page.path
    );
}

#[test] // req 15, req 31
fn a_new_password_ends_all_other_sessions_and_renews_this_one() {
    let t = Harness::new();
    t.add("ann");
    let app = t.sign_in("ann");
    let (mut browser, mut other) = (Browser::new(&t, LAPTOP), Browser::new(&t, PHONE));
    other.sign_in("ann");
    browser.sign_in("ann");
    let before = browser.session_cookie().1;
    let page = browser.open("/account/password");
    let wrong = [
        ("current_password", "not the password"),
        ("new_password", NEW),
    ];
    browser
        .send(&page, "/account/password", &wrong)
        .says(422, "href=\"#current_password\"");
    let weak = [("current_password", PASSWORD), ("new_password", "short")];
    browser
        .send(&page, "/account/password", &weak)
        .says(422, "href=\"#new_password\"");
    let right = [("current_password", PASSWORD), ("new_password", NEW)];
    let page = browser.send(&page, "/account/password", &right);
    assert_eq!(page.path, "/account");
    assert_ne!(browser.session_cookie().1, before);
    assert_eq!(other.open("/account").path, "/login");
    assert!(!t.is_open(&app));
    assert_eq!(t.sessions("ann").len(), 1);
}

#[test]
fn an_account_is_deleted_by_typing_its_address() {
    let t = Harness::new();
    t.add("ann");
    let mut browser = Browser::new(&t, LAPTOP);
    browser.sign_in("ann");
    let page = browser.open("/account/delete");
    browser
        .send(&page, "/account/delete", &[("typed", "ann")])
        .says(422, "href=\"#typed\"");
    let page = browser.send(&page, "/account/delete", &[("typed", &email("ann"))]);
    assert_eq!(page.path, "/account-deleted");
    assert_eq!(browser.open("/account").path, "/login");
    assert_eq!(t.number("SELECT count(*) FROM account"), 0);
}

#[test] // req 35
fn sessions_are_listed_named_and_ended_one_or_all() {
    let t = Harness::new();
    t.add("ann");
    let (mut browser, mut other) = (Browser::new(&t, LAPTOP), Browser::new(&t, PHONE));
    other.sign_in("ann");
    let app = t.sign_in("ann");
    browser.sign_in("ann");
    let page = browser.open("/account/sessions");
    assert_eq!(page.text().matches("This device").count(), 1);
    let phone = t
        .sessions("ann")
        .into_iter()
        .find(|it| it.ip.to_string() == PHONE.ip && it.id.to_string() != app.session);
    let phone = phone.expect("the other browser").id.to_string();
    let details = browser.open(&format!("/account/sessions/{phone}"));
    let path = format!("/account/sessions/{phone}");
    let page = browser.send(&details, &path, &[("device_name", "Kitchen <b>tablet</b>")]);
    page.says(200, "Kitchen &#60;b&#62;tablet");
    browser
        .send(&details, &path, &[("device_name", &"x".repeat(101))])
        .says(422, "100 characters");
    browser.send(&details, "/account/sessions/end", &[("session", &phone)]);
    assert_eq!(other.open("/account").path, "/login");
    assert!(t.is_open(&app));
    let page = browser.open("/account/sessions/end-others");
    let page = browser.send(&page, "/account/sessions/end-others", &[]);
    assert_eq!(page.path, "/account/sessions");
    assert!(!t.is_open(&app));
    assert_eq!(t.sessions("ann").len(), 1);
}

#[test]
fn nobody_sees_or_ends_the_sessions_of_another_account() {
    let t = Harness::new();
    t.add("ann");
    t.add("bob");
    let mut browser = Browser::new(&t, LAPTOP);
    browser.sign_in("ann");
    let bob = t.sign_in("bob");
    assert_eq!(
        browser
            .open(&format!("/account/sessions/{}", bob.session))
            .answer
            .status,
        404
    );
    let page = browser.open("/account/sessions");
    let page = browser.send(&page, "/logout", &[]);
    page.says(200, "signed out");
    assert!(t.is_open(&bob));
}

#[test] // req 47: told plainly, with both devices
fn a_detected_theft_is_told_with_both_addresses() {
    let t = Harness::new();
    t.add("ann");
    let device = t.sign_in("ann");
    let fresh = t.refresh(&device).issued();
    t.refresh(&fresh).issued();
    t.clock.advance(minutes(5));
    let thief = device.copied_to(PHONE);
    t.refresh(&thief).refused("invalid_grant");
    let mut browser = Browser::new(&t, LAPTOP);
    browser.sign_in("ann");
    let page = browser.open("/account/activity");
    page.says(200, LAPTOP.ip);
    page.says(200, PHONE.ip);
    page.says(200, "What to do now");
}

#[test]
fn the_language_follows_the_browser() {
    let t = Harness::new();
    let browser = Browser::new(&t, LAPTOP);
    let page = browser
        .ask(authd::http::Method::GET, "/login")
        .header("accept-language", "de-AT,en;q=0.5")
        .send();
    assert_eq!(page.header("content-language"), Some("de"));
    assert!(page.text().contains("lang=\"de\""));
    assert!(page.text().contains("Passwort"));
}
