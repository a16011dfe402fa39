//! Invitations in the administration.

use authd::service::{Registration, Selector};

use super::{administrator, shown_link};
use crate::harness::{Harness, ISSUER, PASSWORD, PHONE, days, email};
use crate::pages::browser::{Browser, Page};

const NEW: &str = "/admin/invitations/new";

fn by_invitation() -> Harness {
    Harness::with(|terms| terms.policy.registration = Registration::Invite)
}

/// Where the page of the first open invitation of a list is.
fn withdraw_path(page: &Page) -> String {
    let text = page.text();
    let at = text.find("/withdraw\"").expect("an open invitation");
    let start = text[..at].rfind('"').expect("a quotation mark");
    format!("{}/withdraw", &text[start + 1..at])
}

#[test]
fn an_invitation_is_shown_once_and_lets_one_person_in() {
    let t = by_invitation();
    t.operator().add_group("staff").expect("a group");
    let mut browser = administrator(&t, "root");
    browser
        .open("/admin/invitations")
        .says(200, "No invitation");
    let page = browser.open(NEW);
    let ann = email("ann");
    let fields = [("email", ann.as_str()), ("group", "staff"), ("days", "30")];
    let page = browser.send(&page, NEW, &fields);
    page.says(200, "shown only now");
    assert_eq!(page.answer.header("cache-control"), Some("no-store"));
    let link = shown_link(&page);
    let list = browser.open("/admin/invitations");
    list.says(200, "<bdi>ann@example.org</bdi>");
    assert!(!list.text().contains("invite="));

    t.clock.advance(days(29));
    let mut own = Browser::new(&t, PHONE);
    let page = own.open(link.strip_prefix(ISSUER).expect("own link"));
    let fields = [("email", ann.as_str()), ("password", PASSWORD)];
    let page = own.send(&page, "/register", &fields);
    assert_eq!(page.path, "/account");
    let found = t.authd().find_account(&Selector::read(&ann));
    assert_eq!(found.expect("ann").groups, ["staff"]);
    let mut browser = administrator(&t, "root");
    browser.open("/admin/invitations").says(200, "Used by");
}

#[test]
fn an_invitation_is_mailed_and_then_not_shown() {
    let t = by_invitation();
    let mut browser = administrator(&t, "root");
    let page = browser.open(NEW);
    browser
        .send(&page, NEW, &[("mail", "on"), ("days", "7")])
        .says(422, "href=\"#email\"");
    let fields = [("email", "ann@example.org"), ("mail", "on"), ("days", "7")];
    let page = browser.send(&page, NEW, &fields);
    assert_eq!(page.path, "/admin/invitations");
    assert!(!page.text().contains("invite="));
    let letter = t.mail().pop().expect("a letter");
    assert_eq!(letter.to, "ann@example.org");
    assert!(letter.text.contains("/register?invite="));
    assert!(
        t.mail()
            .iter()
            .all(|letter| !letter.text.contains("?token="))
    );
}

#[test]
fn a_withdrawn_invitation_lets_no_one_in() {
    let t = by_invitation();
    let mut browser = administrator(&t, "root");
    let page = browser.open(NEW);
    let link = shown_link(&browser.send(&page, NEW, &[("days", "1")]));
    let list = browser.open("/admin/invitations");
    list.says(200, "For any address");
    let path = withdraw_path(&list);
    let page = browser.open(&path);
    let done = browser.send(&page, &path, &[]);
    assert_eq!(done.path, "/admin/invitations");
    done.says(200, "Withdrawn");
    let address = link.strip_prefix(ISSUER).expect("own link");
    assert_eq!(Browser::new(&t, PHONE).open(address).answer.status, 403);
    // Once more, from a page that was open.
    let again = t.unchanged(|| browser.send(&page, &path, &[]));
    again.says(200, "This invitation no longer works");
    assert_eq!(browser.open(&path).path, "/admin/invitations");
}

#[test]
fn what_is_wrong_with_an_invitation_stands_beside_its_field() {
    let t = by_invitation();
    t.add("ann");
    let mut browser = administrator(&t, "root");
    let page = browser.open(NEW);
    for (fields, field) in [
        ([("email", "ann"), ("group", "")], "email"),
        ([("email", "ann@example.org"), ("group", "")], "email"),
        ([("email", ""), ("group", "nonsense")], "group"),
    ] {
        let page = t.unchanged(|| browser.send(&page, NEW, &fields));
        page.says(422, &format!("href=\"#{field}\""));
    }
    for odd in ["0", "365", "-1", "x"] {
        let fields = [("email", ""), ("days", odd)];
        let answer = t.unchanged(|| browser.send(&page, NEW, &fields)).answer;
        assert!(matches!(answer.status, 400 | 422), "{odd}");
    }
    let closed = Harness::new();
    let mut browser = administrator(&closed, "root");
    browser
        .open("/admin/invitations")
        .says(200, "Registration is closed");
    let page = browser.open(NEW);
    browser
        .send(&page, NEW, &[("days", "7")])
        .says(422, "Registration is closed");
}
