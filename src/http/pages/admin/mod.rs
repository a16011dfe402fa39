//! The pages of the administration, for administrators who authenticated within the last ten minutes.
//!
//! They call the methods that `/v1/admin` and the command line call. A change that takes an account, a session or a link away
//! has a page of its own, which says what will happen. A link that is made here is in the answer to the form, and nowhere
//! else: opening a page again never shows one.
//!
//! Never in here: a check of who may administer. The guard makes it before each handler, and the service makes it again in
//! the transaction of each change.

pub mod account;
pub mod accounts;
pub mod actions;
pub mod events;
pub mod groups;
pub mod invitations;
pub mod locked;
pub mod outbox;
pub mod overview;
pub mod server;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::http::error::HttpError;
use crate::http::pages::view::admin::accounts::AccountRow;
use crate::http::pages::visitor::Visitor;
use crate::service::{Account, ListedAccount};

/// Entries on one page of a list.
const PAGE: usize = 25;

/// The same, as the service takes it.
const LIMIT: u32 = 25;

/// A page of a list that is short enough to be read as a whole: the number of entries that come before it.
#[derive(Deserialize, JsonSchema)]
pub(in crate::http) struct Place {
    #[serde(default)]
    after: usize,
}

impl Place {
    /// The entries of this page.
    fn of<T>(self, entries: Vec<T>) -> Vec<T> {
        entries.into_iter().skip(self.after).take(PAGE).collect()
    }

    /// The address of the next page of the list at `path`, if there is one.
    fn next(&self, path: &str, entries: usize) -> Option<String> {
        let next = self.after.saturating_add(PAGE);
        (next < entries).then(|| format!("{path}?after={next}"))
    }

    /// The address of the first page, if this is not it.
    fn first<'a>(&self, path: &'a str) -> Option<&'a str> {
        (self.after > 0).then_some(path)
    }
}

/// The address of a page: its path, and those of the pairs that have a value.
fn address(path: &str, pairs: &[(&str, &str)]) -> String {
    let given = pairs.iter().filter(|(_, value)| !value.is_empty());
    let query = form_urlencoded::Serializer::new(String::new())
        .extend_pairs(given)
        .finish();
    match query.as_str() {
        "" => path.to_owned(),
        query => format!("{path}?{query}"),
    }
}

/// The address of the page of an account.
fn page_of_account(id: impl std::fmt::Display) -> String {
    format!("/admin/accounts/{id}")
}

/// The id of an account, as a list has it.
fn ids(accounts: &[ListedAccount]) -> Vec<String> {
    let id = |listed: &ListedAccount| listed.account.id.to_string();
    accounts.iter().map(id).collect()
}

/// The rows of a list of accounts.
fn rows<'a>(ids: &'a [String], accounts: &'a [ListedAccount]) -> Vec<AccountRow<'a>> {
    std::iter::zip(ids, accounts)
        .map(|(id, listed)| row(id, &listed.account, listed.locked_until.is_some()))
        .collect()
}

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

/// The names of all groups.
fn group_names(visitor: &Visitor<'_>) -> Result<Vec<String>, HttpError> {
    let groups = visitor.call.authd.groups()?;
    Ok(groups.into_iter().map(|group| group.name).collect())
}
