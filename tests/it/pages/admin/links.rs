//! Reset links that an administrator shows or has mailed.

use super::{act, administrator, page_of, shown_link};
use crate::harness::{Harness, ISSUER, NEW_PASSWORD, PHONE, account, link_token};
use crate::pages::browser::Browser;

#[test]
fn a_reset_link_is_shown_in_the_answer_and_nowhere_else() {
    let t = Harness::new();
    t.add("ann");
    let signed_in = t.sign_in("ann");
    let mut browser = administrator(&t, "root");
    let ann = page_of(&t, "ann");
    let page = act(&mut browser, &ann, "reset-link", &[("choice", "show")]);
    page.says(200, "shown only now");
    assert_eq!(page.answer.header("cache-control"), Some("no-store"));
    let first = shown_link(&page);
    // A second link replaces the first one.
    let page = act(&mut browser, &ann, "reset-link", &[("choice", "show")]);
    let second = shown_link(&page);
    for path in [&ann, "/admin", "/admin/events", "/admin/outbox"] {
        assert!(!browser.open(path).text().contains("token="), "{path}");
    }
    assert!(t.mail().is_empty());
    assert!(t.is_open(&signed_in));
    let mut own = Browser::new(&t, PHONE);
    let path = |link: &str| link.strip_prefix(ISSUER).expect("own link").to_owned();
    assert_eq!(own.open(&path(&first)).answer.status, 400);
    let page = own.open(&path(&second));
    own.send(&page, "/reset", &[("new_password", NEW_PASSWORD)])
        .says(200, "changed");
    assert!(!t.is_open(&signed_in));
}

#[test] // req 27
fn a_reset_link_is_mailed_to_the_address_of_the_account() {
    let t = Harness::new();
    t.add("ann");
    let mut browser = administrator(&t, "root");
    let ann = page_of(&t, "ann");
    let page = act(&mut browser, &ann, "reset-link", &[("choice", "mail")]);
    assert_eq!(page.path, ann);
    page.says(200, "A message with a link is on its way");
    let letter = t.mail().pop().expect("a letter");
    assert_eq!(letter.to, "ann@example.org");
    assert!(!page.text().contains(&link_token(&letter)));
    t.operator().disable_account(&account("ann")).expect("ann");
    let page = act(&mut browser, &ann, "reset-link", &[("choice", "mail")]);
    page.says(422, "The account is disabled");
}

#[test]
fn without_mail_a_link_can_only_be_shown() {
    let t = Harness::with(|terms| terms.policy.sends_mail = false);
    t.add("ann");
    let mut browser = administrator(&t, "root");
    let ann = page_of(&t, "ann");
    let page = browser.open(&format!("{ann}/reset-link"));
    assert!(!page.text().contains("value=\"mail\""));
    let page = act(&mut browser, &ann, "reset-link", &[("choice", "mail")]);
    page.says(422, "sends no mail");
    browser.open("/admin/outbox").says(200, "sends no mail");
}
