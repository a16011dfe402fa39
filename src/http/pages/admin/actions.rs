//! What an administrator does to an account after a page that says what will happen.

use schemars::JsonSchema;
use serde::Deserialize;

use super::page_of_account;
use crate::http::api::admin::PathAccount;
use crate::http::error::HttpError;
use crate::http::form::Form;
use crate::http::pages::view::admin::accounts::{Action, ConfirmAction};
use crate::http::pages::view::admin::{LinkKind, PrintedLink};
use crate::http::pages::view::{FieldError, Language, Notice};
use crate::http::pages::visitor::Visitor;
use crate::http::response::Response;
use crate::service::{AccountChange, Administration, Code, Error, ResetLink, Selector};

#[derive(Default, Deserialize, JsonSchema)]
pub(in crate::http) struct ConfirmForm {
    /// What was typed, where something has to be.
    #[serde(default)]
    typed: String,
    /// Which of several buttons it was.
    #[serde(default)]
    choice: String,
}

/// Shows the page of an action.
fn show(
    visitor: &Visitor<'_>,
    administration: &Administration<'_>,
    selector: &Selector,
    action: Action,
    typed: &str,
    errors: Vec<FieldError>,
) -> Result<Response, HttpError> {
    let record = administration.authd().account_record(selector)?;
    let account = &record.details.account;
    Ok(visitor.show(&ConfirmAction {
        shell: &visitor.shell(),
        action,
        id: &account.id.to_string(),
        email: &account.email,
        sessions: u64::try_from(record.sessions).unwrap_or(u64::MAX),
        sends_mail: administration.authd().policy().sends_mail,
        typed,
        errors,
    }))
}

/// Goes on to the account's page, or shows why the action was refused.
fn finish(
    visitor: &Visitor<'_>,
    administration: &Administration<'_>,
    selector: &Selector,
    action: Action,
    done: Result<Notice, Error>,
) -> Result<Response, HttpError> {
    match done {
        Ok(notice) => {
            let id = administration.authd().find_account(selector)?.account.id;
            Ok(visitor.go_with(&page_of_account(id), notice))
        }
        Err(error) => {
            let errors = refusal(visitor.language, error)?;
            show(visitor, administration, selector, action, "", errors)
        }
    }
}

/// Why an account stays as it is, in words. It is the fault of no field.
fn refusal(t: Language, error: Error) -> Result<Vec<FieldError>, HttpError> {
    let text = match error {
        Error::No(Code::LastAdministrator, _) => t.error_last_administrator(),
        Error::No(Code::OwnAccount, _) => t.error_own_account(),
        Error::No(Code::NoMail, _) => t.error_no_mail(),
        Error::No(Code::InvalidRequest, _) => t.error_reset_link_disabled(),
        other => return Err(other.into()),
    };
    Ok(vec![FieldError::new("", text)])
}

pub(in crate::http) fn show_promote(
    visitor: &Visitor<'_>,
    administration: &Administration<'_>,
    PathAccount(account): PathAccount,
) -> Result<Response, HttpError> {
    let action = Action::Promote;
    show(visitor, administration, &account, action, "", Vec::new())
}

pub(in crate::http) fn promote(
    visitor: &Visitor<'_>,
    administration: &Administration<'_>,
    PathAccount(account): PathAccount,
) -> Result<Response, HttpError> {
    let done = set_administrator(administration, &account, true);
    let done = done.map(|()| Notice::AdministratorPromoted);
    finish(visitor, administration, &account, Action::Promote, done)
}

pub(in crate::http) fn show_demote(
    visitor: &Visitor<'_>,
    administration: &Administration<'_>,
    PathAccount(account): PathAccount,
) -> Result<Response, HttpError> {
    let action = Action::Demote;
    show(visitor, administration, &account, action, "", Vec::new())
}

pub(in crate::http) fn demote(
    visitor: &Visitor<'_>,
    administration: &Administration<'_>,
    PathAccount(account): PathAccount,
) -> Result<Response, HttpError> {
    let done = set_administrator(administration, &account, false);
    let done = done.map(|()| Notice::AdministratorDemoted);
    finish(visitor, administration, &account, Action::Demote, done)
}

fn set_administrator(
    administration: &Administration<'_>,
    account: &Selector,
    admin: bool,
) -> Result<(), Error> {
    let change = AccountChange {
        admin: Some(admin),
        ..AccountChange::default()
    };
    administration.update_account(account, &change).map(drop)
}

pub(in crate::http) fn show_disable(
    visitor: &Visitor<'_>,
    administration: &Administration<'_>,
    PathAccount(account): PathAccount,
) -> Result<Response, HttpError> {
    let action = Action::Disable;
    show(visitor, administration, &account, action, "", Vec::new())
}

pub(in crate::http) fn disable(
    visitor: &Visitor<'_>,
    administration: &Administration<'_>,
    PathAccount(account): PathAccount,
) -> Result<Response, HttpError> {
    let done = administration.disable_account(&account);
    let done = done.map(|_| Notice::AccountDisabled);
    finish(visitor, administration, &account, Action::Disable, done)
}

pub(in crate::http) fn show_end_sessions(
    visitor: &Visitor<'_>,
    administration: &Administration<'_>,
    PathAccount(account): PathAccount,
) -> Result<Response, HttpError> {
    let action = Action::EndSessions;
    show(visitor, administration, &account, action, "", Vec::new())
}

pub(in crate::http) fn end_sessions(
    visitor: &Visitor<'_>,
    administration: &Administration<'_>,
    PathAccount(account): PathAccount,
) -> Result<Response, HttpError> {
    let done = administration.revoke_sessions(&account);
    let done = done.map(|_| Notice::AccountSessionsEnded);
    finish(visitor, administration, &account, Action::EndSessions, done)
}

pub(in crate::http) fn show_reset_link(
    visitor: &Visitor<'_>,
    administration: &Administration<'_>,
    PathAccount(account): PathAccount,
) -> Result<Response, HttpError> {
    let action = Action::ResetLink;
    show(visitor, administration, &account, action, "", Vec::new())
}

/// Shows a link in the answer, this once, or has it mailed.
pub(in crate::http) fn create_reset_link(
    visitor: &Visitor<'_>,
    administration: &Administration<'_>,
    (PathAccount(account), Form(form)): (PathAccount, Form<ConfirmForm>),
) -> Result<Response, HttpError> {
    let done = match form.choice.as_str() {
        "mail" => administration.mail_reset_link(&account).map(drop),
        _ => match administration.reset_link(&account) {
            Ok(link) => return print_link(visitor, administration, &account, &link),
            Err(error) => Err(error),
        },
    };
    let done = done.map(|()| Notice::LinkMailed);
    finish(visitor, administration, &account, Action::ResetLink, done)
}

fn print_link(
    visitor: &Visitor<'_>,
    administration: &Administration<'_>,
    selector: &Selector,
    link: &ResetLink,
) -> Result<Response, HttpError> {
    let id = administration.authd().find_account(selector)?.account.id;
    let issuer = &administration.authd().policy().issuer;
    Ok(visitor.show(&PrintedLink {
        shell: &visitor.shell(),
        kind: LinkKind::Reset,
        url: &format!("{issuer}/reset?token={}", link.token),
        email: Some(&link.email),
        expires_at: link.expires_at,
        back: &page_of_account(id),
    }))
}

pub(in crate::http) fn show_delete(
    visitor: &Visitor<'_>,
    administration: &Administration<'_>,
    PathAccount(account): PathAccount,
) -> Result<Response, HttpError> {
    let action = Action::Delete;
    show(visitor, administration, &account, action, "", Vec::new())
}

/// Deletes an account, if its address was typed.
pub(in crate::http) fn delete(
    visitor: &Visitor<'_>,
    administration: &Administration<'_>,
    (PathAccount(account), Form(form)): (PathAccount, Form<ConfirmForm>),
) -> Result<Response, HttpError> {
    let t = visitor.language;
    let errors = match administration.delete_confirmed_account(&account, &form.typed) {
        Ok(_) => return Ok(visitor.go_with("/admin/accounts", Notice::AccountDeleted)),
        Err(Error::No(Code::NotFound, _)) => {
            return Ok(visitor.go_with("/admin/accounts", Notice::AccountGone));
        }
        Err(Error::No(Code::InvalidRequest, _)) => {
            vec![FieldError::new("typed", t.error_email_mismatch())]
        }
        Err(error) => refusal(t, error)?,
    };
    let (action, typed) = (Action::Delete, &form.typed);
    show(visitor, administration, &account, action, typed, errors)
}
