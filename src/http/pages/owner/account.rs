//! The account of the person who is signed in.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::http::call::Call;
use crate::http::error::HttpError;
use crate::http::form::Form;
use crate::http::pages::field_errors::{
    of_account, of_current_password, of_fields, of_new_password,
};
use crate::http::pages::view::account::{
    Account, ChangeEmail, ChangePassword, DeleteAccount, PendingEmail, Profile as ProfilePage,
};
use crate::http::pages::view::message::About;
use crate::http::pages::view::{FieldError, Notice};
use crate::http::pages::visitor::return_address::HOME;
use crate::http::pages::visitor::{Visitor, see_other};
use crate::http::response::Response;
use crate::service::{Browser, Code, Confirmation, Error, Profile, Selector, StepUpPurpose};

#[derive(Deserialize, JsonSchema)]
pub(in crate::http) struct ProfileForm {
    #[serde(default)]
    name: String,
    #[serde(default)]
    username: String,
}

#[derive(Default, Deserialize, JsonSchema)]
pub(in crate::http) struct EmailForm {
    #[serde(default)]
    email: String,
}

#[derive(Deserialize, JsonSchema)]
pub(in crate::http) struct PasswordForm {
    #[serde(default)]
    current_password: String,
    #[serde(default)]
    new_password: String,
}

#[derive(Default, Deserialize, JsonSchema)]
pub(in crate::http) struct DeleteForm {
    #[serde(default)]
    typed: String,
}

pub(in crate::http) fn show_front(call: &Call<'_>, (): ()) -> Result<Response, HttpError> {
    let _ = call;
    Ok(see_other(HOME))
}

/// Where password managers look for the page that changes a password (W3C, A Well-Known URL for Changing Passwords).
pub(in crate::http) fn well_known_change_password(
    _: &Call<'_>,
    (): (),
) -> Result<Response, HttpError> {
    Ok(see_other("/account/password"))
}

pub(in crate::http) fn show(
    visitor: &Visitor<'_>,
    browser: &Browser,
    (): (),
) -> Result<Response, HttpError> {
    let authd = visitor.call.authd;
    let details = authd.account(&browser.actor)?;
    let account = &details.account;
    let change = authd.email_change(&browser.actor)?;
    Ok(visitor.show(&Account {
        shell: &visitor.shell(),
        name: account.name.as_deref(),
        username: account.username.as_deref(),
        email: &account.email,
        is_email_confirmed: account.email_verified,
        sends_mail: authd.policy().sends_mail,
        pending_email: change.as_ref().map(|change| PendingEmail {
            present: &account.email,
            new: &change.email,
            is_present_confirmed: change.present_confirmed,
            is_new_confirmed: change.new_confirmed,
        }),
        password_changed_at: None,
        groups: details.groups.iter().map(String::as_str).collect(),
        created_at: account.created_at,
    }))
}

pub(in crate::http) fn show_profile(
    visitor: &Visitor<'_>,
    browser: &Browser,
    (): (),
) -> Result<Response, HttpError> {
    let account = visitor.call.authd.account(&browser.actor)?.account;
    let form = ProfileForm {
        name: account.name.unwrap_or_default(),
        username: account.username.unwrap_or_default(),
    };
    Ok(show_profile_form(visitor, &form, Vec::new()))
}

fn show_profile_form(
    visitor: &Visitor<'_>,
    form: &ProfileForm,
    errors: Vec<FieldError>,
) -> Response {
    visitor.show(&ProfilePage {
        shell: &visitor.shell(),
        name: &form.name,
        username: &form.username,
        errors,
    })
}

pub(in crate::http) fn change_profile(
    visitor: &Visitor<'_>,
    browser: &Browser,
    Form(form): Form<ProfileForm>,
) -> Result<Response, HttpError> {
    let (call, t) = (visitor.call, visitor.language);
    let errors = of_fields(t, None, Some(&form.username), Some(&form.name));
    if !errors.is_empty() {
        return Ok(show_profile_form(visitor, &form, errors));
    }
    let change = Profile {
        email: None,
        username: Some(form.username.clone()),
        name: Some(form.name.clone()),
    };
    let confirmation = Confirmation::Recent(StepUpPurpose::Email);
    match call
        .authd
        .change_account(&browser.actor, change, confirmation, &call.device)
    {
        Ok(_) => Ok(visitor.go_with(HOME, Notice::ProfileSaved)),
        Err(error) => Ok(show_profile_form(visitor, &form, of_account(t, error)?)),
    }
}

pub(in crate::http) fn show_email(
    visitor: &Visitor<'_>,
    browser: &Browser,
    (): (),
) -> Result<Response, HttpError> {
    match browser.is_recent(StepUpPurpose::Email) {
        true => Ok(show_email_form(
            visitor,
            browser,
            &EmailForm::default(),
            Vec::new(),
        )),
        false => Ok(visitor.to_step_up(StepUpPurpose::Email)),
    }
}

fn show_email_form(
    visitor: &Visitor<'_>,
    browser: &Browser,
    form: &EmailForm,
    errors: Vec<FieldError>,
) -> Response {
    visitor.show(&ChangeEmail {
        shell: &visitor.shell(),
        present: &browser.email,
        email: &form.email,
        sends_mail: visitor.call.authd.policy().sends_mail,
        errors,
    })
}

pub(in crate::http) fn change_email(
    visitor: &Visitor<'_>,
    browser: &Browser,
    Form(form): Form<EmailForm>,
) -> Result<Response, HttpError> {
    let t = visitor.language;
    let mut errors = of_fields(t, Some(&form.email), None, None);
    if errors.is_empty() && form.email.trim().eq_ignore_ascii_case(&browser.email) {
        errors.push(FieldError::new("email", t.error_email_same()));
    }
    if !errors.is_empty() {
        return Ok(show_email_form(visitor, browser, &form, errors));
    }
    match request_email(visitor, browser, &form.email) {
        Ok(()) => Ok(visitor.go_with(HOME, Notice::EmailRequested)),
        Err(Error::No(Code::StepUpRequired, _)) => Ok(visitor.to_step_up(StepUpPurpose::Email)),
        Err(error) => Ok(show_email_form(
            visitor,
            browser,
            &form,
            of_account(t, error)?,
        )),
    }
}

/// Withdraws a change of address: the present address takes the place of the new one.
pub(in crate::http) fn withdraw_email(
    visitor: &Visitor<'_>,
    browser: &Browser,
    (): (),
) -> Result<Response, HttpError> {
    match request_email(visitor, browser, &browser.email) {
        Ok(()) => Ok(visitor.go_with(HOME, Notice::EmailWithdrawn)),
        Err(Error::No(Code::StepUpRequired, _)) => Ok(visitor.to_step_up(StepUpPurpose::Email)),
        Err(error) => Err(error.into()),
    }
}

fn request_email(visitor: &Visitor<'_>, browser: &Browser, email: &str) -> Result<(), Error> {
    let call = visitor.call;
    let change = Profile {
        email: Some(email.to_owned()),
        ..Profile::default()
    };
    let confirmation = Confirmation::Recent(StepUpPurpose::Email);
    call.authd
        .change_account(&browser.actor, change, confirmation, &call.device)
        .map(drop)
}

/// Has the link mailed again that proves the address of the account.
pub(in crate::http) fn send_confirmation(
    visitor: &Visitor<'_>,
    browser: &Browser,
    (): (),
) -> Result<Response, HttpError> {
    let call = visitor.call;
    call.authd
        .request_email_verification(&browser.email, &call.device)?;
    Ok(visitor.go_with(HOME, Notice::ConfirmationSent))
}

pub(in crate::http) fn show_password(
    visitor: &Visitor<'_>,
    browser: &Browser,
    (): (),
) -> Result<Response, HttpError> {
    Ok(show_password_form(visitor, browser, Vec::new()))
}

fn show_password_form(
    visitor: &Visitor<'_>,
    browser: &Browser,
    errors: Vec<FieldError>,
) -> Response {
    visitor.show(&ChangePassword {
        shell: &visitor.shell(),
        email: &browser.email,
        asks_current: true,
        min_length: visitor.call.authd.policy().password.min_length(),
        errors,
    })
}

pub(in crate::http) fn change_password(
    visitor: &Visitor<'_>,
    browser: &Browser,
    Form(form): Form<PasswordForm>,
) -> Result<Response, HttpError> {
    let (call, t) = (visitor.call, visitor.language);
    let changed = call.authd.change_password_in_browser(
        browser,
        &form.current_password,
        &form.new_password,
        &call.device,
    );
    let errors = match changed {
        Ok(cookie) => {
            let response = visitor.go_with(HOME, Notice::PasswordChanged);
            return Ok(visitor.with_session(response, &cookie));
        }
        Err(error @ (Error::Weak(_) | Error::No(Code::WeakPassword, _))) => {
            of_new_password(t, "new_password", error)?
        }
        Err(error) => of_current_password(t, "current_password", error)?,
    };
    Ok(show_password_form(visitor, browser, errors))
}

pub(in crate::http) fn show_delete(
    visitor: &Visitor<'_>,
    browser: &Browser,
    (): (),
) -> Result<Response, HttpError> {
    match browser.is_recent(StepUpPurpose::Deletion) {
        true => show_delete_form(visitor, browser, &DeleteForm::default(), Vec::new()),
        false => Ok(visitor.to_step_up(StepUpPurpose::Deletion)),
    }
}

fn show_delete_form(
    visitor: &Visitor<'_>,
    browser: &Browser,
    form: &DeleteForm,
    errors: Vec<FieldError>,
) -> Result<Response, HttpError> {
    let own = Selector::Id(browser.actor.account);
    let record = visitor.call.authd.account_record(&own)?;
    Ok(visitor.show(&DeleteAccount {
        shell: &visitor.shell(),
        email: &browser.email,
        typed: &form.typed,
        sessions: u64::try_from(record.sessions).unwrap_or(u64::MAX),
        is_last_admin: record.is_last_administrator,
        errors,
    }))
}

pub(in crate::http) fn delete(
    visitor: &Visitor<'_>,
    browser: &Browser,
    Form(form): Form<DeleteForm>,
) -> Result<Response, HttpError> {
    let (call, t) = (visitor.call, visitor.language);
    if !form.typed.trim().eq_ignore_ascii_case(&browser.email) {
        let errors = vec![FieldError::new("typed", t.error_email_mismatch())];
        return show_delete_form(visitor, browser, &form, errors);
    }
    let confirmation = Confirmation::Recent(StepUpPurpose::Deletion);
    match call
        .authd
        .delete_own_account(&browser.actor, confirmation, &call.device)
    {
        Ok(()) => {
            let removed = visitor.cookies.remove_session();
            Ok(visitor.go("/account-deleted").header("set-cookie", removed))
        }
        Err(Error::No(Code::StepUpRequired, _)) => Ok(visitor.to_step_up(StepUpPurpose::Deletion)),
        // The page says so in the place of the form.
        Err(Error::No(Code::LastAdministrator, _)) => {
            let errors = vec![FieldError::new("", t.error_last_administrator())];
            show_delete_form(visitor, browser, &form, errors)
        }
        Err(error) => Err(error.into()),
    }
}

pub(in crate::http) fn show_deleted(visitor: &Visitor<'_>, (): ()) -> Result<Response, HttpError> {
    Ok(visitor.show_message(200, About::AccountDeleted))
}
