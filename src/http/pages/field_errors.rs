//! What is wrong with a form, from what the service says.
//!
//! The service says it by a code and in English; a page says it beside the field and in its own language. What is not the
//! fault of a field (a full disk, a session that ended) goes on as an error, and becomes a page of its own.

use super::view::{FieldError, Language};
use crate::http::error::HttpError;
use crate::password::Weak;
use crate::service::{Code, Error, invalid_fields};

type Errors = Result<Vec<FieldError>, HttpError>;

fn one(field: &'static str, text: impl Into<String>) -> Errors {
    Ok(vec![FieldError::new(field, text)])
}

/// Of a sign-in: one answer for everything that is wrong with it (req 10).
pub(super) fn of_login(t: Language, error: Error) -> Errors {
    match error {
        Error::No(Code::InvalidCredentials | Code::InvalidRequest, _) => {
            one("login", t.error_credentials())
        }
        Error::Later(_, seconds) => one("login", t.error_too_many(&t.wait(seconds))),
        other => Err(other.into()),
    }
}

/// Of the current password.
pub(super) fn of_current_password(t: Language, field: &'static str, error: Error) -> Errors {
    match error {
        Error::No(Code::WrongPassword | Code::PasswordRequired | Code::InvalidRequest, _) => {
            one(field, t.error_wrong_password())
        }
        Error::Later(_, seconds) => one(field, t.error_too_many(&t.wait(seconds))),
        other => Err(other.into()),
    }
}

/// Of a new password.
pub(super) fn of_new_password(t: Language, field: &'static str, error: Error) -> Errors {
    match error {
        Error::Weak(Weak::TooShort { min }) => one(
            field,
            t.error_password_short(u64::try_from(min).unwrap_or(u64::MAX)),
        ),
        Error::Weak(Weak::Common) => one(field, t.error_password_common()),
        Error::Weak(Weak::Contextual) => one(field, t.error_password_contextual()),
        Error::No(Code::WeakPassword, _) => one(field, t.error_password_same()),
        Error::No(Code::InvalidRequest, _) => one(field, t.error_password_long()),
        other => Err(other.into()),
    }
}

/// Of a new account, or a change of one. `is_address_typed` says whether an invalid request is about the address.
pub(super) fn of_account(t: Language, error: Error) -> Errors {
    match error {
        Error::No(Code::EmailTaken, _) => one("email", t.error_email_taken()),
        Error::No(Code::UsernameTaken, _) => one("username", t.error_username_taken()),
        Error::Later(_, seconds) => one("email", t.error_too_many(&t.wait(seconds))),
        other => of_new_password(t, "password", other),
    }
}

/// The fields of an account that are not valid. Asked before the service, which says only that something is not.
pub(super) fn of_fields(
    t: Language,
    email: Option<&str>,
    username: Option<&str>,
    name: Option<&str>,
) -> Vec<FieldError> {
    let invalid = invalid_fields(email, username, name);
    let say = |field| match field {
        "email" if email.is_some_and(|text| text.trim().is_empty()) => t.error_email_empty(),
        "email" => t.error_email_invalid(),
        "username" => t.error_username_invalid(),
        _ => t.error_name_invalid(),
    };
    invalid
        .into_iter()
        .map(|field| FieldError::new(field, say(field)))
        .collect()
}
