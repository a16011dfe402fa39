//! The administration in a browser.

mod access;
mod accounts;
mod groups;
mod invitations;
mod links;
mod server;

use super::browser::{Browser, Page};
use crate::harness::{Harness, LAPTOP, account};

/// A browser in which the administrator `name` has just signed in; the account is made if there is none.
fn administrator<'t>(t: &'t Harness, name: &str) -> Browser<'t> {
    if t.authd().find_account(&account(name)).is_err() {
        t.add_administrator(name);
    }
    let mut browser = Browser::new(t, LAPTOP);
    browser.sign_in(name);
    browser
}

/// The path of the page of an account.
fn page_of(t: &Harness, name: &str) -> String {
    let found = t.authd().find_account(&account(name)).expect(name);
    format!("/admin/accounts/{}", found.account.id)
}

/// Opens the page of an action on an account, and sends its form.
#[track_caller]
fn act(browser: &mut Browser<'_>, account: &str, action: &str, fields: &[(&str, &str)]) -> Page {
    let path = format!("{account}/{action}");
    let page = browser.open(&path);
    assert_eq!(page.answer.status, 200, "{}", page.text());
    browser.send(&page, &path, fields)
}

/// The link that a page shows.
#[track_caller]
fn shown_link(page: &Page) -> String {
    let text = page.text();
    let (_, rest) = text.split_once("<textarea").expect("a link");
    let (_, rest) = rest.split_once('>').expect("a link");
    rest.split('<').next().expect("a link").to_owned()
}
