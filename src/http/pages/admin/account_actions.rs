//! Changes to an account that are asked for on a page that says what will happen.

use schemars::JsonSchema;
use serde::Deserialize;

use super::account::{named, page};
use super::{administration, count};
use crate::http::error::HttpError;
use crate::http::form::Form;
use crate::http::pages::view::admin::accounts::{Action, ConfirmAction};
use crate::http::pages::view::admin::{LinkKind, PrintedLink};
use crate::http::pages::view::{FieldError, Language, Notice};
use crate::http::pages::visitor::Visitor;
use crate::http::response::Response;
use crate::service::{Browser, Code, Error};

#[derive(Deserialize, JsonSchema)]
pub(in crate::http) struct ChoiceForm {
    #[serde(default)]
    choice: String,
}

#[derive(Deserialize, JsonSchema)]
pub(in crate::http) struct DeleteForm {
    #[serde(default)]
    typed: String,
}

fn ask(
    visitor: &Visitor<'_>,
    action: Action,
    typed: &str,
    errors: Vec<FieldError>,
) -> Result<Response, HttpError> {
    let authd = visitor.call.authd;
    let selector = named(visitor)?;
    let record = authd.account_record(&selector)?;
    Ok(visitor.show(&ConfirmAction {
        shell: &visitor.shell(),
        action,
        id: visitor.call.parameters[0],
        email: &record.details.account.email,
        sessions: count(record.sessions),
        sends_mail: authd.policy().sends_mail,
        typed,
        errors,
    }))
}

/// Why an account stays as it is, beside no field.
fn refusal(t: Language, error: Error) -> Result<Vec<FieldError>, HttpError> {
    match error {
        Error::No(Code::LastAdministrator, _) => {
            Ok(vec![FieldError::new("", t.error_last_administrator())])
        }
        Error::No(Code::OwnAccount, _) => Ok(vec![FieldError::new("", t.error_own_account())]),
        other => Err(other.into()),
    }
}

pub(in crate::http) fn ask_disable(
    visitor: &Visitor<'_>,
    _: &Browser,
    (): (),
) -> Result<Response, HttpError> {
    ask(visitor, Action::Disable, "", Vec::new())
}

pub(in crate::http) fn disable(
    visitor: &Visitor<'_>,
    browser: &Browser,
    (): (),
) -> Result<Response, HttpError> {
    let account = named(visitor)?;
    match administration(visitor, browser)?.disable_account(&account) {
        Ok(_) => Ok(visitor.go_with(&page(visitor), Notice::AccountDisabled)),
        Err(error) => {
            let errors = refusal(visitor.language, error)?;
            ask(visitor, Action::Disable, "", errors)
        }
    }
}

pub(in crate::http) fn ask_end_sessions(
    visitor: &Visitor<'_>,
    _: &Browser,
    (): (),
) -> Result<Response, HttpError> {
    ask(visitor, Action::EndSessions, "", Vec::new())
}

pub(in crate::http) fn end_sessions(
    visitor: &Visitor<'_>,
    browser: &Browser,
    (): (),
) -> Result<Response, HttpError> {
    let account = named(visitor)?;
    administration(visitor, browser)?.revoke_sessions(&account)?;
    Ok(visitor.go_with(&page(visitor), Notice::AccountSessionsEnded))
}

pub(in crate::http) fn ask_delete(
    visitor: &Visitor<'_>,
    _: &Browser,
    (): (),
) -> Result<Response, HttpError> {
    ask(visitor, Action::Delete, "", Vec::new())
}

pub(in crate::http) fn delete(
    visitor: &Visitor<'_>,
    browser: &Browser,
    Form(form): Form<DeleteForm>,
) -> Result<Response, HttpError> {
    let (account, t) = (named(visitor)?, visitor.language);
    let deleted = administration(visitor, browser)?.delete_confirmed_account(&account, &form.typed);
    let errors = match deleted {
        Ok(_) => return Ok(visitor.go_with("/admin/accounts", Notice::AccountDeleted)),
        Err(Error::No(Code::InvalidRequest, _)) => {
            vec![FieldError::new("typed", t.error_email_mismatch())]
        }
        Err(error) => refusal(t, error)?,
    };
    ask(visitor, Action::Delete, &form.typed, errors)
}

pub(in crate::http) fn ask_reset_link(
    visitor: &Visitor<'_>,
    _: &Browser,
    (): (),
) -> Result<Response, HttpError> {
    ask(visitor, Action::ResetLink, "", Vec::new())
}

/// Mails the link to the account owner, or shows it once.
pub(in crate::http) fn reset_link(
    visitor: &Visitor<'_>,
    browser: &Browser,
    Form(form): Form<ChoiceForm>,
) -> Result<Response, HttpError> {
    let account = named(visitor)?;
    let administration = administration(visitor, browser)?;
    if form.choice == "mail" {
        administration.mail_reset_link(&account)?;
        return Ok(visitor.go_with(&page(visitor), Notice::LinkMailed));
    }
    let link = administration.reset_link(&account)?;
    let issuer = &visitor.call.authd.policy().issuer;
    Ok(visitor.show(&PrintedLink {
        shell: &visitor.shell(),
        kind: LinkKind::Reset,
        url: &format!("{issuer}/reset?token={}", link.token),
        email: Some(&link.email),
        expires_at: link.expires_at,
        back: &page(visitor),
    }))
}
