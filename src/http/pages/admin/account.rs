//! One account: all that an administrator sees of it, and the changes that need no page of their own.

use schemars::JsonSchema;
use serde::Deserialize;

use super::{group_names, page_of_account, row};
use crate::http::api::admin::PathAccount;
use crate::http::error::HttpError;
use crate::http::form::Form;
use crate::http::pages::field_errors::{of_account, of_fields};
use crate::http::pages::owner::sessions::Texts;
use crate::http::pages::view::admin::GroupChoice;
use crate::http::pages::view::admin::accounts::{
    AccountDetails, ChangeAccount, PasswordState as ShownPassword,
};
use crate::http::pages::view::{FieldError, Notice};
use crate::http::pages::visitor::Visitor;
use crate::http::response::Response;
use crate::ids::SessionId;
use crate::service::{AccountChange, Administration, Code, Error, PasswordState, Selector};

/// Sessions that the page lists. All of them can be ended at once.
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

#[derive(Deserialize, JsonSchema)]
pub(in crate::http) struct NamesForm {
    #[serde(default)]
    name: String,
    #[serde(default)]
    username: String,
}

pub(in crate::http) fn show(
    visitor: &Visitor<'_>,
    administration: &Administration<'_>,
    PathAccount(account): PathAccount,
) -> Result<Response, HttpError> {
    show_account(visitor, administration, &account, "", Vec::new())
}

fn show_account(
    visitor: &Visitor<'_>,
    administration: &Administration<'_>,
    selector: &Selector,
    group: &str,
    errors: Vec<FieldError>,
) -> Result<Response, HttpError> {
    let authd = administration.authd();
    let record = authd.account_record(selector)?;
    let account = &record.details.account;
    let mut sessions = authd.sessions_of(selector)?;
    sessions.truncate(SESSIONS);
    let texts: Vec<Texts> = sessions.iter().map(Texts::of).collect();
    let groups = &record.details.groups;
    let all_groups = group_names(visitor)?;
    let others = all_groups.iter().filter(|name| !groups.contains(name));
    let others: Vec<&str> = others.map(String::as_str).collect();
    let reader = administration.actor().map(|actor| actor.account);
    Ok(visitor.show(&AccountDetails {
        shell: &visitor.shell(),
        account: row(
            &account.id.to_string(),
            account,
            record.locked_until.is_some(),
        ),
        pending_email: record.details.pending_email.as_deref(),
        password: match record.password {
            PasswordState::None => ShownPassword::None,
            PasswordState::Temporary => ShownPassword::Temporary,
            PasswordState::Set => ShownPassword::Set,
        },
        disabled_at: account.disabled_at,
        locked_until: record.locked_until,
        last_sign_in_at: record.last_sign_in_at,
        sessions: std::iter::zip(&texts, &sessions)
            .map(|(texts, session)| texts.show(session))
            .collect(),
        session_count: u64::try_from(record.sessions).unwrap_or(u64::MAX),
        groups: groups.iter().map(String::as_str).collect(),
        other_groups: GroupChoice::of(&others),
        group,
        is_own: reader == Some(account.id),
        is_last_admin: record.is_last_administrator,
        errors,
    }))
}

pub(in crate::http) fn show_names(
    visitor: &Visitor<'_>,
    administration: &Administration<'_>,
    PathAccount(selector): PathAccount,
) -> Result<Response, HttpError> {
    let account = administration.authd().find_account(&selector)?.account;
    let form = NamesForm {
        name: account.name.unwrap_or_default(),
        username: account.username.unwrap_or_default(),
    };
    show_names_form(visitor, administration, &selector, &form, Vec::new())
}

fn show_names_form(
    visitor: &Visitor<'_>,
    administration: &Administration<'_>,
    selector: &Selector,
    form: &NamesForm,
    errors: Vec<FieldError>,
) -> Result<Response, HttpError> {
    let account = administration.authd().find_account(selector)?.account;
    Ok(visitor.show(&ChangeAccount {
        shell: &visitor.shell(),
        id: &account.id.to_string(),
        email: &account.email,
        name: &form.name,
        username: &form.username,
        errors,
    }))
}

pub(in crate::http) fn change_names(
    visitor: &Visitor<'_>,
    administration: &Administration<'_>,
    (PathAccount(account), Form(form)): (PathAccount, Form<NamesForm>),
) -> Result<Response, HttpError> {
    let t = visitor.language;
    let errors = of_fields(t, None, Some(&form.username), Some(&form.name));
    if !errors.is_empty() {
        return show_names_form(visitor, administration, &account, &form, errors);
    }
    let change = AccountChange {
        username: Some(form.username.clone()),
        name: Some(form.name.clone()),
        admin: None,
    };
    match administration.update_account(&account, &change) {
        Ok(changed) => Ok(visitor.go_with(&page_of_account(changed.id), Notice::NamesChanged)),
        Err(error @ Error::No(Code::UsernameTaken, _)) => {
            let errors = of_account(t, error)?;
            show_names_form(visitor, administration, &account, &form, errors)
        }
        Err(error) => Err(error.into()),
    }
}

pub(in crate::http) fn enable(
    visitor: &Visitor<'_>,
    administration: &Administration<'_>,
    PathAccount(account): PathAccount,
) -> Result<Response, HttpError> {
    let account = administration.enable_account(&account)?;
    Ok(visitor.go_with(&page_of_account(account.id), Notice::AccountEnabled))
}

pub(in crate::http) fn unlock(
    visitor: &Visitor<'_>,
    administration: &Administration<'_>,
    PathAccount(account): PathAccount,
) -> Result<Response, HttpError> {
    let (account, _) = administration.unlock_account(&account)?;
    Ok(visitor.go_with(&page_of_account(account.id), Notice::AccountUnlocked))
}

pub(in crate::http) fn end_session(
    visitor: &Visitor<'_>,
    administration: &Administration<'_>,
    (PathAccount(account), Form(form)): (PathAccount, Form<SessionForm>),
) -> Result<Response, HttpError> {
    let id = administration.authd().find_account(&account)?.account.id;
    let page = page_of_account(id);
    let Ok(session) = form.session.parse::<SessionId>() else {
        return Ok(visitor.go_with(&page, Notice::SessionGone));
    };
    match administration.revoke_session(&account, session) {
        Ok(()) => Ok(visitor.go_with(&page, Notice::SessionEnded)),
        Err(Error::No(Code::NotFound, _)) => Ok(visitor.go_with(&page, Notice::SessionGone)),
        Err(error) => Err(error.into()),
    }
}

pub(in crate::http) fn add_group(
    visitor: &Visitor<'_>,
    administration: &Administration<'_>,
    (PathAccount(account), Form(form)): (PathAccount, Form<GroupForm>),
) -> Result<Response, HttpError> {
    let t = visitor.language;
    let text = match administration.grant_group(form.group.trim(), &account) {
        Ok((account, _)) => {
            return Ok(visitor.go_with(&page_of_account(account.id), Notice::MemberAdded));
        }
        Err(Error::No(Code::NotFound, _)) => t.error_no_such_group(),
        Err(Error::No(Code::InvalidRequest, _)) => t.error_too_many_groups(),
        Err(error) => return Err(error.into()),
    };
    let errors = vec![FieldError::new("group", text)];
    show_account(visitor, administration, &account, &form.group, errors)
}

pub(in crate::http) fn remove_group(
    visitor: &Visitor<'_>,
    administration: &Administration<'_>,
    (PathAccount(account), Form(form)): (PathAccount, Form<GroupForm>),
) -> Result<Response, HttpError> {
    let id = administration.authd().find_account(&account)?.account.id;
    match administration.revoke_group(&form.group, &account) {
        // A group that is gone has no members.
        Ok(_) | Err(Error::No(Code::NotFound, _)) => {
            Ok(visitor.go_with(&page_of_account(id), Notice::MemberRemoved))
        }
        Err(error) => Err(error.into()),
    }
}
