//! Accounts in the administration: found, made, changed, disabled, deleted.

use std::collections::BTreeSet;

use super::{act, administrator, page_of, shown_link};
use crate::harness::{Harness, LAPTOP, NEW_PASSWORD, PASSWORD, PHONE, account, email};
use crate::pages::browser::{Browser, Page};

/// The addresses that a list shows.
fn listed(page: &Page) -> Vec<String> {
    let text = page.text();
    let rows = text
        .split("<a class=\"name\" href=\"/admin/accounts/")
        .skip(1);
    let shown = rows.filter_map(|row| row.split("<bdi>").nth(1)?.split('<').next());
    shown.map(str::to_owned).collect()
}

/// Where the next page of a list is.
fn next(page: &Page) -> Option<String> {
    let text = page.text();
    let (_, rest) = text.split_once("rel=\"next\" href=\"")?;
    let (address, _) = rest.split_once('"')?;
    Some(address.replace("&#38;", "&"))
}

#[test]
fn accounts_are_found_by_text_and_status_page_by_page() {
    let t = Harness::new();
    for number in 0..60 {
        t.add(&format!("user{number:02}"));
    }
    let mut browser = administrator(&t, "root");
    t.operator()
        .disable_account(&account("user07"))
        .expect("an account");
    let mut seen = Vec::new();
    let mut page = browser.open("/admin/accounts");
    assert_eq!(listed(&page)[0], email("root"));
    loop {
        seen.extend(listed(&page));
        let Some(address) = next(&page) else { break };
        page = browser.open(&address);
        page.says(200, "Back to the start");
    }
    assert_eq!(seen.len(), 61);
    assert_eq!(seen.iter().collect::<BTreeSet<_>>().len(), 61);

    let page = browser.open("/admin/accounts?q=USER1");
    assert_eq!(listed(&page).len(), 10);
    let page = browser.open("/admin/accounts?q=ser&status=disabled");
    assert_eq!(listed(&page), [email("user07")]);
    page.says(200, "<option value=\"disabled\" selected>");
    let first = browser.open("/admin/accounts?q=user&status=unverified");
    let second = browser.open(&next(&first).expect("a second page"));
    assert_eq!((listed(&first).len(), listed(&second).len()), (25, 25));
    second.says(200, "<option value=\"unverified\" selected>");
    assert_eq!(
        listed(&browser.open("/admin/accounts?status=administrator")),
        [email("root")]
    );
    browser
        .open("/admin/accounts?q=zzz")
        .says(200, "No account matches");
    browser
        .open(&format!("/admin/accounts?q={}", "a".repeat(255)))
        .says(422, "href=\"#q\"");
    // An end of a page that is none leads back to the first one.
    let page = browser.open("/admin/accounts?q=user&after=~nonsense");
    assert_eq!(page.path, "/admin/accounts?q=user");
}

#[test]
fn an_account_is_created_with_a_temporary_password() {
    let t = Harness::new();
    let mut browser = administrator(&t, "root");
    let page = browser.open("/admin/accounts/new");
    // Browsers must not fill in what they know of the administrator.
    page.says(200, "autocomplete=\"new-password\"");
    let path = "/admin/accounts/new";
    let (ann, root) = (email("ann"), email("root"));
    for (fields, field) in [
        (vec![("email", "")], "email"),
        (vec![("email", "ann")], "email"),
        (vec![("email", root.as_str())], "email"),
        (
            vec![("email", ann.as_str()), ("username", "two words")],
            "username",
        ),
        (
            vec![("email", ann.as_str()), ("username", "root")],
            "username",
        ),
        (
            vec![("email", ann.as_str()), ("password", "short")],
            "password",
        ),
    ] {
        let page = t.unchanged(|| browser.send(&page, path, &fields));
        page.says(422, &format!("href=\"#{field}\""));
    }
    let fields = [
        ("email", ann.as_str()),
        ("name", "Ann"),
        ("username", "ann"),
        ("password", PASSWORD),
        ("is_admin", "on"),
    ];
    let page = browser.send(&page, path, &fields);
    assert_eq!(page.path, page_of(&t, "ann"));
    page.says(200, "Temporary, has to be changed");
    page.says(200, "Administrator");
    assert!(!page.text().contains(PASSWORD));
    let mut own = Browser::new(&t, PHONE);
    let page = own.open("/login");
    let page = own.send(&page, "/login", &[("login", "ann"), ("password", PASSWORD)]);
    assert!(
        page.path.starts_with("/login/new-password"),
        "{}",
        page.path
    );
}

#[test]
fn an_account_without_a_password_gets_a_link_that_is_shown_once() {
    let t = Harness::new();
    let mut browser = administrator(&t, "root");
    let page = browser.open("/admin/accounts/new");
    let page = browser.send(&page, "/admin/accounts/new", &[("email", &email("ann"))]);
    page.says(200, "shown only now");
    assert_eq!(page.answer.header("cache-control"), Some("no-store"));
    let link = shown_link(&page);
    let ann = page_of(&t, "ann");
    let page = browser.open(&ann);
    page.says(200, "None yet");
    assert!(!page.text().contains("token="));
    let address = link.strip_prefix(crate::harness::ISSUER).expect("own link");
    let mut own = Browser::new(&t, PHONE);
    let page = own.open(address);
    own.send(&page, "/reset", &[("new_password", NEW_PASSWORD)])
        .says(200, "changed");
    let page = own.open("/login");
    let fields = [
        ("login", email("ann")),
        ("password", NEW_PASSWORD.to_owned()),
    ];
    let fields = fields
        .each_ref()
        .map(|(name, value)| (*name, value.as_str()));
    assert_eq!(own.send(&page, "/login", &fields).path, "/account");
}

#[test]
fn the_names_of_an_account_are_changed() {
    let t = Harness::new();
    t.add("ann");
    t.add("bob");
    let mut browser = administrator(&t, "root");
    let ann = page_of(&t, "ann");
    for (name, username, field) in [
        ("x\u{1}", "ann", "name"),
        ("Ann", "two words", "username"),
        ("Ann", "bob", "username"),
    ] {
        let fields = [("name", name), ("username", username)];
        let page = t.unchanged(|| act(&mut browser, &ann, "change", &fields));
        page.says(422, &format!("href=\"#{field}\""));
    }
    let fields = [("name", "Ann Onym"), ("username", "annie")];
    let page = act(&mut browser, &ann, "change", &fields);
    assert_eq!(page.path, ann);
    page.says(200, "The names were saved");
    page.says(200, "<bdi>Ann Onym</bdi>");
    page.says(200, "<bdi>annie</bdi>");
    // The notice is shown once.
    assert!(!browser.open(&ann).text().contains("The names were saved"));
    let page = act(
        &mut browser,
        &ann,
        "change",
        &[("name", ""), ("username", "")],
    );
    assert!(!page.text().contains("Ann Onym"));
}

#[test]
fn an_account_becomes_an_administrator_and_none_again() {
    let t = Harness::new();
    t.add("ann");
    let mut browser = administrator(&t, "root");
    let ann = page_of(&t, "ann");
    let page = act(&mut browser, &ann, "promote", &[]);
    page.says(200, "The account is an administrator now");
    let mut own = Browser::new(&t, PHONE);
    own.sign_in("ann");
    assert_eq!(own.open("/admin").path, "/admin");
    let page = act(&mut browser, &ann, "demote", &[]);
    page.says(200, "The account is no longer an administrator");
    assert_eq!(own.open("/admin").answer.status, 403);
    let page = browser.open("/admin/events?kind=administrator_demoted");
    page.says(200, "By <bdi>root@example.org</bdi>");
}

#[test] // req 33
fn a_disabled_account_is_signed_out_everywhere_until_it_is_enabled() {
    let t = Harness::new();
    t.add("ann");
    let app = t.sign_in("ann");
    let mut own = Browser::new(&t, PHONE);
    own.sign_in("ann");
    let mut browser = administrator(&t, "root");
    let ann = page_of(&t, "ann");
    browser
        .open(&format!("{ann}/disable"))
        .says(200, "2 devices are signed out");
    let page = act(&mut browser, &ann, "disable", &[]);
    page.says(200, "The account was disabled");
    assert!(!t.is_open(&app));
    assert_eq!(own.open("/account").path, "/login");
    let wrong = t.try_sign_in(LAPTOP, &email("ann"), PASSWORD);
    wrong.refused("invalid_credentials");
    let page = browser.send(&page, &format!("{ann}/enable"), &[]);
    page.says(200, "The account was enabled");
    t.sign_in("ann");
}

#[test] // req 35
fn an_administrator_ends_one_session_or_all() {
    let t = Harness::new();
    t.add("ann");
    let (laptop, phone, third) = (
        t.sign_in("ann"),
        t.sign_in_on(PHONE, "ann"),
        t.sign_in("ann"),
    );
    let mut browser = administrator(&t, "root");
    let ann = page_of(&t, "ann");
    let page = browser.open(&ann);
    page.says(200, PHONE.ip);
    let path = format!("{ann}/end-session");
    let page = browser.send(&page, &path, &[("session", &phone.session)]);
    assert_eq!(page.path, ann);
    assert!(!t.is_open(&phone));
    assert!(t.is_open(&laptop));
    for gone in [phone.session.as_str(), "nonsense"] {
        let page = t.unchanged(|| browser.send(&page, &path, &[("session", gone)]));
        page.says(200, "signed out already");
    }
    let page = act(&mut browser, &ann, "end-sessions", &[]);
    page.says(200, "The sessions of the account were ended");
    assert!(!t.is_open(&laptop) && !t.is_open(&third));
    // The administrator's own session is another account's.
    assert_eq!(browser.open("/admin").path, "/admin");
    // The owner reads by whom, without a name.
    let mut own = Browser::new(&t, PHONE);
    own.sign_in("ann");
    let page = own.open("/account/activity");
    page.says(200, "by an administrator");
    assert!(!page.text().contains(&email("root")));
}

#[test]
fn an_account_is_deleted_by_typing_its_address() {
    let t = Harness::new();
    t.add("ann");
    let mut browser = administrator(&t, "root");
    let ann = page_of(&t, "ann");
    for typed in ["", "ann", "bob@example.org"] {
        let page = t.unchanged(|| act(&mut browser, &ann, "delete", &[("typed", typed)]));
        page.says(422, "href=\"#typed\"");
    }
    let page = browser.open(&format!("{ann}/delete"));
    let done = act(
        &mut browser,
        &ann,
        "delete",
        &[("typed", "ANN@example.org")],
    );
    assert_eq!(done.path, "/admin/accounts");
    done.says(200, "The account was deleted");
    assert_eq!(t.number("SELECT count(*) FROM account"), 1);
    // Another administrator sends the same form.
    let typed = [("typed", "ann@example.org")];
    let again = browser.send(&page, &format!("{ann}/delete"), &typed);
    again.says(200, "This account was deleted");
    assert_eq!(browser.open(&ann).answer.status, 404);
    assert_eq!(browser.open("/admin/accounts/nonsense").answer.status, 404);
}
