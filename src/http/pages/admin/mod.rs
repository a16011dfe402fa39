//! Handlers for the administration, over the same methods of the service as `/v1/admin` and the command line.
//!
//! Each change is a form that is sent to a path of its own, and answered with 303 to the page that shows what came of it.
//! Only a link that is shown once is the answer to its form: a page that is loaded again must not show it.

pub(in crate::http) mod account;
pub(in crate::http) mod account_actions;
pub(in crate::http) mod accounts;
pub(in crate::http) mod events;
pub(in crate::http) mod groups;
pub(in crate::http) mod invitations;
pub(in crate::http) mod outbox;
pub(in crate::http) mod server;

use super::view::admin::Overview;
use super::view::admin::accounts::AccountRow;
use super::visitor::Visitor;
use crate::http::error::HttpError;
use crate::http::response::Response;
use crate::service::{Account, Administration, Browser, ListedAccount, Selector};

/// Things on one page of a list.
const PAGE: u32 = 25;

/// What the reader may change.
fn administration<'a>(
    visitor: &Visitor<'a>,
    browser: &Browser,
) -> Result<Administration<'a>, HttpError> {
    let call = visitor.call;
    Ok(call
        .authd
        .administration_in_browser(browser, &call.device)?)
}

/// The account that a text from a path or a form names by its id.
fn account_of(id: &str) -> Result<Selector, HttpError> {
    id.parse()
        .map(Selector::Id)
        .map_err(|_| HttpError::not_found("There is no such account."))
}

fn count(things: usize) -> u64 {
    u64::try_from(things).unwrap_or(u64::MAX)
}

/// An account as a row borrows it.
fn row<'a>(id: &'a str, account: &'a Account, is_locked: bool) -> AccountRow<'a> {
    AccountRow {
        id,
        email: &account.email,
        name: account.name.as_deref(),
        username: account.username.as_deref(),
        is_admin: account.admin,
        is_disabled: account.disabled_at.is_some(),
        is_locked,
        is_email_confirmed: account.email_verified,
        created_at: account.created_at,
    }
}

/// The rows of a list, with the ids that they borrow.
fn rows<'a>(ids: &'a [String], accounts: &'a [ListedAccount]) -> Vec<AccountRow<'a>> {
    let listed = std::iter::zip(ids, accounts);
    listed
        .map(|(id, listed)| row(id, &listed.account, listed.locked_until.is_some()))
        .collect()
}

fn ids(accounts: &[ListedAccount]) -> Vec<String> {
    let ids = accounts.iter().map(|listed| listed.account.id.to_string());
    ids.collect()
}

/// The address of the next page of a list: its path, its filters, and after what it goes on.
fn next_page(path: &str, filters: &[(&str, &str)], after: (&str, &str)) -> String {
    let mut query = form_urlencoded::Serializer::new(String::new());
    for (name, value) in filters.iter().filter(|(_, value)| !value.is_empty()) {
        query.append_pair(name, value);
    }
    let query = query.append_pair(after.0, after.1).finish();
    format!("{path}?{query}")
}

pub(in crate::http) fn show(
    visitor: &Visitor<'_>,
    _: &Browser,
    (): (),
) -> Result<Response, HttpError> {
    let authd = visitor.call.authd;
    let invitations = authd.invitations()?;
    let open = invitations.iter().filter(|one| one.state == "open").count();
    Ok(visitor.show(&Overview {
        shell: &visitor.shell(),
        locked_accounts: count(authd.locked_accounts()?.len()),
        failing_messages: u64::from(authd.failing_messages()?),
        open_invitations: count(open),
    }))
}
