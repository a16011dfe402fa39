//! A forgotten password, and links that confirm an address or complete a registration.

use schemars::JsonSchema;
use serde::Deserialize;

use super::link::Link;
use crate::http::error::HttpError;
use crate::http::form::Form;
use crate::http::input::Query;
use crate::http::pages::field_errors::{of_current_password, of_fields, of_new_password};
use crate::http::pages::view::FieldError;
use crate::http::pages::view::message::{About, DeadLink};
use crate::http::pages::view::recovery::{
    Confirms, Forgot, ForgotSent, Outcome, Reset, ResetDone, Verified, Verify,
};
use crate::http::pages::view::sign_up::FinishRegistration;
use crate::http::pages::visitor::Visitor;
use crate::http::response::Response;
use crate::service::{Code, Confirmed, Error, LinkSubject};

const RESET: &str = "/reset";
const VERIFY: &str = "/verify";

#[derive(Default, Deserialize, JsonSchema)]
pub(in crate::http) struct ForgotForm {
    #[serde(default)]
    email: String,
}

#[derive(Deserialize, JsonSchema)]
pub(in crate::http) struct ResetForm {
    #[serde(default)]
    new_password: String,
}

#[derive(Deserialize, JsonSchema)]
pub(in crate::http) struct VerifyForm {
    /// The password of the registration that the link completes.
    password: Option<String>,
}

pub(in crate::http) fn show_forgot(visitor: &Visitor<'_>, (): ()) -> Result<Response, HttpError> {
    Ok(show_forgot_form(
        visitor,
        &ForgotForm::default(),
        Vec::new(),
    ))
}

fn show_forgot_form(visitor: &Visitor<'_>, form: &ForgotForm, errors: Vec<FieldError>) -> Response {
    match visitor.call.authd.policy().sends_mail {
        true => visitor.show(&Forgot {
            shell: &visitor.shell(),
            email: &form.email,
            errors,
        }),
        false => visitor.show_message(200, About::NoMail),
    }
}

pub(in crate::http) fn request_reset(
    visitor: &Visitor<'_>,
    Form(form): Form<ForgotForm>,
) -> Result<Response, HttpError> {
    let (call, t) = (visitor.call, visitor.language);
    let errors = of_fields(t, Some(&form.email), None, None);
    if !errors.is_empty() {
        return Ok(show_forgot_form(visitor, &form, errors));
    }
    match call.authd.request_password_reset(&form.email, &call.device) {
        Ok(()) => Ok(visitor.show(&ForgotSent {
            shell: &visitor.shell(),
            email: &form.email,
        })),
        Err(Error::Later(_, seconds)) => {
            let text = t.error_too_many(&t.wait(seconds));
            let errors = vec![FieldError::new("email", text)];
            Ok(show_forgot_form(visitor, &form, errors))
        }
        Err(error) => Err(error.into()),
    }
}

pub(in crate::http) fn show_reset(
    visitor: &Visitor<'_>,
    Query(link): Query<Link>,
) -> Result<Response, HttpError> {
    match link.take(visitor, RESET) {
        Some(response) => Ok(response),
        None => show_reset_form(visitor, Vec::new()),
    }
}

fn show_reset_form(visitor: &Visitor<'_>, errors: Vec<FieldError>) -> Result<Response, HttpError> {
    let call = visitor.call;
    let token = visitor.cookies.link(call.request).unwrap_or_default();
    let Some(LinkSubject::PasswordReset { email }) = call.authd.link_subject(token)? else {
        return Ok(visitor.show_message(400, About::LinkDead(DeadLink::Reset)));
    };
    Ok(visitor.show(&Reset {
        shell: &visitor.shell(),
        email: Some(&email),
        min_length: call.authd.policy().password.min_length(),
        errors,
    }))
}

pub(in crate::http) fn reset(
    visitor: &Visitor<'_>,
    Form(form): Form<ResetForm>,
) -> Result<Response, HttpError> {
    let call = visitor.call;
    let token = visitor.cookies.link(call.request).unwrap_or_default();
    match call
        .authd
        .reset_password(token, &form.new_password, &call.device)
    {
        Ok(()) => {
            let shell = visitor.shell();
            Ok(visitor
                .show(&ResetDone { shell: &shell })
                .header("set-cookie", visitor.cookies.remove_link(RESET)))
        }
        Err(Error::No(Code::InvalidResetToken, _)) => {
            Ok(visitor.show_message(400, About::LinkDead(DeadLink::Reset)))
        }
        Err(error) => {
            let errors = of_new_password(visitor.language, "new_password", error)?;
            show_reset_form(visitor, errors)
        }
    }
}

pub(in crate::http) fn show_verify(
    visitor: &Visitor<'_>,
    Query(link): Query<Link>,
) -> Result<Response, HttpError> {
    match link.take(visitor, VERIFY) {
        Some(response) => Ok(response),
        None => show_verify_form(visitor, Vec::new()),
    }
}

fn show_verify_form(visitor: &Visitor<'_>, errors: Vec<FieldError>) -> Result<Response, HttpError> {
    let call = visitor.call;
    let token = visitor.cookies.link(call.request).unwrap_or_default();
    let shell = visitor.shell();
    let confirms = match call.authd.link_subject(token)? {
        Some(LinkSubject::Registration { email }) => {
            return Ok(visitor.show(&FinishRegistration {
                shell: &shell,
                email: &email,
                errors,
            }));
        }
        Some(LinkSubject::EmailVerification { email }) => (email, None),
        Some(LinkSubject::EmailChange { old, new }) => (old, Some(new)),
        _ => {
            return Ok(visitor.show_message(400, About::LinkDead(DeadLink::Verification)));
        }
    };
    Ok(visitor.show(&Verify {
        shell: &shell,
        confirms: Some(match &confirms {
            (email, None) => Confirms::Address(email),
            (old, Some(new)) => Confirms::Change { old, new },
        }),
    }))
}

pub(in crate::http) fn verify(
    visitor: &Visitor<'_>,
    Form(form): Form<VerifyForm>,
) -> Result<Response, HttpError> {
    let call = visitor.call;
    let token = visitor.cookies.link(call.request).unwrap_or_default();
    let confirmed = call
        .authd
        .confirm_email(token, form.password.as_deref(), &call.device);
    match confirmed {
        Ok(confirmed) => Ok(show_confirmed(visitor, &confirmed)
            .header("set-cookie", visitor.cookies.remove_link(VERIFY))),
        Err(Error::No(Code::InvalidVerificationToken, _)) => {
            Ok(visitor.show_message(400, About::LinkDead(DeadLink::Verification)))
        }
        Err(Error::No(Code::InvalidInvitation, _)) => {
            Ok(visitor.show_message(403, About::LinkDead(DeadLink::Invitation)))
        }
        Err(Error::No(Code::RegistrationClosed, _)) => {
            Ok(visitor.show_message(403, About::RegistrationClosed))
        }
        Err(Error::No(Code::EmailTaken | Code::UsernameTaken, _)) => {
            Ok(visitor.show_message(409, About::LinkDead(DeadLink::Registration)))
        }
        Err(error) => {
            let errors = of_current_password(visitor.language, "password", error)?;
            show_verify_form(visitor, errors)
        }
    }
}

fn show_confirmed(visitor: &Visitor<'_>, confirmed: &Confirmed) -> Response {
    let outcome = match confirmed {
        Confirmed::Registration => {
            return visitor.go_with("/login", crate::http::pages::view::Notice::AccountCreated);
        }
        Confirmed::Address => Outcome::Verified { email: None },
        Confirmed::OneSide { missing_at } => Outcome::HalfConfirmed { missing_at },
        Confirmed::Changed { email } => Outcome::Changed { email },
    };
    visitor.show(&Verified {
        shell: &visitor.shell(),
        outcome,
    })
}
