//! One account: what is known of it, and the changes that need no question.

use schemars::JsonSchema;
use serde::Deserialize;

use super::{account_of, administration, count, row};
use crate::http::error::HttpError;
use crate::http::form::Form;
use crate::http::pages::owner::sessions::Texts;
use crate::http::pages::view::Notice;
use crate::http::pages::view::admin::accounts::{
    AccountDetails, PasswordState as ShownPasswordState,
};
use crate::http::pages::visitor::Visitor;
use crate::http::response::Response;
use crate::service::{
    AccountChange, Administration, Browser, Code, Error, PasswordState, Selector,
};

/// Sessions that the page shows.
const SESSIONS: usize = 20;

#[derive(Deserialize, JsonSchema)]
pub(in crate::http) struct SessionForm {
    #[serde(default)]
    session: String,
}

#[derive(Deserialize, JsonSchema)]
pub(in crate::http) struct GroupForm {
    #[serde(default)]
    group: String,
}

/// The account that the path names.
pub(super) fn named(visitor: &Visitor<'_>) -> Result<Selector, HttpError> {
    account_of(visitor.call.parameters[0])
}

/// The path of its page.
pub(super) fn page(visitor: &Visitor<'_>) -> String {
    format!("/admin/accounts/{}", visitor.call.parameters[0])
}

pub(in crate::http) fn show(
    visitor: &Visitor<'_>,
    browser: &Browser,
    (): (),
) -> Result<Response, HttpError> {
    let authd = visitor.call.authd;
    let selector = named(visitor)?;
    let record = authd.account_record(&selector)?;
    let account = &record.details.account;
    let id = account.id.to_string();
    let sessions = authd.sessions_of(&selector)?;
    let shown = || sessions.iter().take(SESSIONS);
    let texts: Vec<Texts> = shown().map(Texts::of).collect();
    let groups = authd.groups()?;
    let names = groups.iter().map(|group| group.name.as_str());
    let is_member = |name: &&str| record.details.groups.iter().any(|group| group == name);
    Ok(visitor.show(&AccountDetails {
        shell: &visitor.shell(),
        account: row(&id, account, record.locked_until.is_some()),
        pending_email: record.details.pending_email.as_deref(),
        password: match record.password {
            PasswordState::None => ShownPasswordState::None,
            PasswordState::Temporary => ShownPasswordState::Temporary,
            PasswordState::Set => ShownPasswordState::Set,
        },
        disabled_at: account.disabled_at,
        locked_until: record.locked_until,
        last_sign_in_at: record.last_sign_in_at,
        sessions: std::iter::zip(&texts, shown())
            .map(|(texts, session)| texts.show(session))
            .collect(),
        session_count: count(sessions.len()),
        groups: record.details.groups.iter().map(String::as_str).collect(),
        other_groups: names.filter(|name| !is_member(name)).collect(),
        is_own: account.id == browser.actor.account,
        is_last_admin: record.is_last_administrator,
    }))
}

/// Changes the account of the path, and goes back to its page.
fn change(
    visitor: &Visitor<'_>,
    browser: &Browser,
    notice: Notice,
    act: impl FnOnce(&Administration<'_>, &Selector) -> Result<(), Error>,
) -> Result<Response, HttpError> {
    let account = named(visitor)?;
    act(&administration(visitor, browser)?, &account)?;
    Ok(visitor.go_with(&page(visitor), notice))
}

pub(in crate::http) fn enable(
    visitor: &Visitor<'_>,
    browser: &Browser,
    (): (),
) -> Result<Response, HttpError> {
    change(visitor, browser, Notice::AccountEnabled, |it, account| {
        it.enable_account(account).map(drop)
    })
}

pub(in crate::http) fn unlock(
    visitor: &Visitor<'_>,
    browser: &Browser,
    (): (),
) -> Result<Response, HttpError> {
    change(visitor, browser, Notice::AccountUnlocked, |it, account| {
        it.unlock_account(account).map(drop)
    })
}

pub(in crate::http) fn promote(
    visitor: &Visitor<'_>,
    browser: &Browser,
    (): (),
) -> Result<Response, HttpError> {
    change(visitor, browser, Notice::Promoted, |it, account| {
        let change = AccountChange {
            admin: Some(true),
            ..AccountChange::default()
        };
        it.update_account(account, &change).map(drop)
    })
}

pub(in crate::http) fn demote(
    visitor: &Visitor<'_>,
    browser: &Browser,
    (): (),
) -> Result<Response, HttpError> {
    change(visitor, browser, Notice::Demoted, |it, account| {
        let change = AccountChange {
            admin: Some(false),
            ..AccountChange::default()
        };
        it.update_account(account, &change).map(drop)
    })
}

pub(in crate::http) fn end_session(
    visitor: &Visitor<'_>,
    browser: &Browser,
    Form(form): Form<SessionForm>,
) -> Result<Response, HttpError> {
    let Ok(session) = form.session.parse() else {
        return Ok(visitor.go_with(&page(visitor), Notice::SessionGone));
    };
    let account = named(visitor)?;
    let ended = administration(visitor, browser)?.revoke_session(&account, session);
    match ended {
        Ok(()) => Ok(visitor.go_with(&page(visitor), Notice::SessionEnded)),
        Err(Error::No(Code::NotFound, _)) => {
            Ok(visitor.go_with(&page(visitor), Notice::SessionGone))
        }
        Err(error) => Err(error.into()),
    }
}

pub(in crate::http) fn add_to_group(
    visitor: &Visitor<'_>,
    browser: &Browser,
    Form(form): Form<GroupForm>,
) -> Result<Response, HttpError> {
    change(visitor, browser, Notice::MemberAdded, |it, account| {
        it.grant_group(&form.group, account).map(drop)
    })
}

pub(in crate::http) fn remove_from_group(
    visitor: &Visitor<'_>,
    browser: &Browser,
    Form(form): Form<GroupForm>,
) -> Result<Response, HttpError> {
    change(visitor, browser, Notice::MemberRemoved, |it, account| {
        it.revoke_group(&form.group, account).map(drop)
    })
}
