//! Signing in and out, and giving the password again.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::http::error::HttpError;
use crate::http::form::Form;
use crate::http::input::Query;
use crate::http::pages::field_errors::{of_login, of_new_password};
use crate::http::pages::view::message::About;
use crate::http::pages::view::sign_in::{ChoosePassword, Purpose, SignIn, StepUp};
use crate::http::pages::view::{FieldError, Notice};
use crate::http::pages::visitor::Visitor;
use crate::http::pages::visitor::return_address::ReturnAddress;
use crate::http::response::Response;
use crate::service::{Browser, BrowserWanted, Registration, SignInStep, StepUpPurpose};

/// The page on which a temporary password is replaced.
const NEW_PASSWORD: &str = "/login/new-password";

/// Where to go on.
#[derive(Deserialize, JsonSchema)]
pub(in crate::http) struct Return {
    /// A path of this server.
    return_to: Option<String>,
    /// What the person probably types: an app says it (OpenID Connect Core §3.1.2.1).
    login_hint: Option<String>,
}

#[derive(Deserialize, JsonSchema)]
pub(in crate::http) struct Login {
    #[serde(default)]
    login: String,
    #[serde(default)]
    password: String,
    keep_signed_in: Option<String>,
    return_to: Option<String>,
}

#[derive(Deserialize, JsonSchema)]
pub(in crate::http) struct NewPassword {
    #[serde(default)]
    new_password: String,
    keep_signed_in: Option<String>,
    return_to: Option<String>,
}

/// The query of the step-up page.
#[derive(Deserialize, JsonSchema)]
pub(in crate::http) struct StepUpQuery {
    purpose: Option<String>,
    return_to: Option<String>,
}

#[derive(Deserialize, JsonSchema)]
pub(in crate::http) struct StepUpForm {
    #[serde(default)]
    password: String,
    purpose: Option<String>,
    return_to: Option<String>,
}

pub(in crate::http) fn show(
    visitor: &Visitor<'_>,
    Query(query): Query<Return>,
) -> Result<Response, HttpError> {
    let return_to = ReturnAddress::or_home(query.return_to.as_deref());
    if visitor.browser().is_some() {
        return Ok(visitor.go(return_to.as_str()));
    }
    let form = Login {
        login: query.login_hint.unwrap_or_default(),
        password: String::new(),
        keep_signed_in: None,
        return_to: query.return_to,
    };
    Ok(show_form(visitor, &form, Vec::new()))
}

fn show_form(visitor: &Visitor<'_>, form: &Login, errors: Vec<FieldError>) -> Response {
    let return_to = ReturnAddress::or_home(form.return_to.as_deref());
    visitor.show(&SignIn {
        shell: &visitor.shell(),
        login: &form.login,
        keeps_signed_in: form.keep_signed_in.is_some(),
        return_to: return_to.as_str(),
        is_registration_open: visitor.call.authd.policy().registration == Registration::Open,
        errors,
    })
}

pub(in crate::http) fn sign_in(
    visitor: &Visitor<'_>,
    Form(form): Form<Login>,
) -> Result<Response, HttpError> {
    let t = visitor.language;
    let mut errors = Vec::new();
    if form.login.trim().is_empty() {
        errors.push(FieldError::new("login", t.error_login_empty()));
    }
    if form.password.is_empty() {
        errors.push(FieldError::new("password", t.error_password_empty()));
    }
    if !errors.is_empty() {
        return Ok(show_form(visitor, &form, errors));
    }
    let return_to = ReturnAddress::or_home(form.return_to.as_deref());
    let wanted = BrowserWanted {
        keep: form.keep_signed_in.is_some(),
        present: visitor.present_cookie(),
    };
    let call = visitor.call;
    match call
        .authd
        .sign_in_browser(&form.login, &form.password, wanted, &call.device)
    {
        Ok(SignInStep::Done(cookie)) => {
            Ok(visitor.with_session(visitor.go(return_to.as_str()), &cookie))
        }
        Ok(SignInStep::NewPasswordOwed(token)) => {
            let path = format!("{NEW_PASSWORD}?{}", visitor.return_pair(return_to.as_str()));
            let link = visitor.cookies.set_link(&token, NEW_PASSWORD);
            Ok(visitor.go(&path).header("set-cookie", link))
        }
        Err(error) => Ok(show_form(visitor, &form, of_login(t, error)?)),
    }
}

pub(in crate::http) fn show_new_password(
    visitor: &Visitor<'_>,
    Query(query): Query<Return>,
) -> Result<Response, HttpError> {
    let form = NewPassword {
        new_password: String::new(),
        keep_signed_in: None,
        return_to: query.return_to,
    };
    choose_password(visitor, &form, Vec::new())
}

fn choose_password(
    visitor: &Visitor<'_>,
    form: &NewPassword,
    errors: Vec<FieldError>,
) -> Result<Response, HttpError> {
    let authd = visitor.call.authd;
    let token = visitor
        .cookies
        .link(visitor.call.request)
        .unwrap_or_default();
    let Some(login) = authd.pending_login(token)? else {
        return Ok(visitor.go("/login"));
    };
    let return_to = ReturnAddress::or_home(form.return_to.as_deref());
    Ok(visitor.show(&ChoosePassword {
        shell: &visitor.shell(),
        login: &login,
        keeps_signed_in: form.keep_signed_in.is_some(),
        return_to: return_to.as_str(),
        min_length: authd.policy().password.min_length(),
        errors,
    }))
}

pub(in crate::http) fn set_new_password(
    visitor: &Visitor<'_>,
    Form(form): Form<NewPassword>,
) -> Result<Response, HttpError> {
    let call = visitor.call;
    let token = visitor.cookies.link(call.request).unwrap_or_default();
    let wanted = BrowserWanted {
        keep: form.keep_signed_in.is_some(),
        present: visitor.present_cookie(),
    };
    let completed =
        call.authd
            .sign_in_with_new_password(token, &form.new_password, wanted, &call.device);
    match completed {
        Ok(cookie) => {
            let return_to = ReturnAddress::or_home(form.return_to.as_deref());
            let response = visitor.go_with(return_to.as_str(), Notice::PasswordChanged);
            Ok(visitor
                .with_session(response, &cookie)
                .header("set-cookie", visitor.cookies.remove_link(NEW_PASSWORD)))
        }
        Err(error) => {
            let errors = of_new_password(visitor.language, "new_password", error)?;
            choose_password(visitor, &form, errors)
        }
    }
}

pub(in crate::http) fn sign_out(visitor: &Visitor<'_>, (): ()) -> Result<Response, HttpError> {
    let call = visitor.call;
    if let Some(browser) = visitor.browser() {
        call.authd
            .end_session(&browser.actor, browser.actor.session, &call.device)?;
    }
    let removed = visitor.cookies.remove_session();
    Ok(visitor.go("/signed-out").header("set-cookie", removed))
}

pub(in crate::http) fn show_signed_out(
    visitor: &Visitor<'_>,
    (): (),
) -> Result<Response, HttpError> {
    Ok(visitor.show_message(200, About::SignedOut))
}

/// Pages that ask for the password again, by the purpose.
fn shown_purpose(purpose: StepUpPurpose) -> Purpose {
    match purpose {
        StepUpPurpose::Email => Purpose::ChangeEmail,
        StepUpPurpose::Deletion => Purpose::DeleteAccount,
        StepUpPurpose::Administration => Purpose::Administer,
        StepUpPurpose::SignIn => Purpose::SignInToApp,
    }
}

pub(in crate::http) fn show_step_up(
    visitor: &Visitor<'_>,
    browser: &Browser,
    Query(query): Query<StepUpQuery>,
) -> Result<Response, HttpError> {
    let form = StepUpForm {
        password: String::new(),
        purpose: query.purpose,
        return_to: query.return_to,
    };
    show_step_up_form(visitor, browser, &form, Vec::new())
}

fn show_step_up_form(
    visitor: &Visitor<'_>,
    browser: &Browser,
    form: &StepUpForm,
    errors: Vec<FieldError>,
) -> Result<Response, HttpError> {
    let return_to = ReturnAddress::or_home(form.return_to.as_deref());
    let Some(purpose) = form.purpose.as_deref().and_then(StepUpPurpose::read) else {
        return Ok(visitor.go(return_to.as_str()));
    };
    Ok(visitor.show(&StepUp {
        shell: &visitor.shell(),
        email: &browser.email,
        purpose: shown_purpose(purpose),
        purpose_name: purpose.as_str(),
        return_to: return_to.as_str(),
        back: crate::http::pages::visitor::return_address::HOME,
        errors,
    }))
}

pub(in crate::http) fn step_up(
    visitor: &Visitor<'_>,
    browser: &Browser,
    Form(form): Form<StepUpForm>,
) -> Result<Response, HttpError> {
    let call = visitor.call;
    let return_to = ReturnAddress::or_home(form.return_to.as_deref());
    let Some(purpose) = form.purpose.as_deref().and_then(StepUpPurpose::read) else {
        return Ok(visitor.go(return_to.as_str()));
    };
    match call
        .authd
        .step_up(&browser.actor, &form.password, purpose, &call.device)
    {
        Ok(cookie) => Ok(visitor.with_session(visitor.go(return_to.as_str()), &cookie)),
        Err(error) => {
            let errors = crate::http::pages::field_errors::of_current_password(
                visitor.language,
                "password",
                error,
            )?;
            show_step_up_form(visitor, browser, &form, errors)
        }
    }
}
