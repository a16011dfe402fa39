//! Accounts: set-up, registration, and what an owner does with an account.

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer};

use crate::http::call::Call;
use crate::http::error::HttpError;
use crate::http::input::{Json, null_as_empty, trimmed, trimmed_option};
use crate::http::response::Response;
use crate::service::{Actor, Confirmation, NewAccount, Profile, Registered, Wanted};

/// The first administrator.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct SetUpRequest {
    /// The token of the set-up link.
    #[serde(deserialize_with = "trimmed")]
    token: String,
    /// E-mail address to sign in with.
    email: String,
    /// A new password.
    password: String,
    /// What access tokens are to contain and allow, as words separated by spaces: `groups` for the account's groups,
    /// `admin` for the administration.
    scope: Option<String>,
}

/// A new account.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct RegisterRequest {
    /// E-mail address to sign in with.
    email: String,
    /// A new password.
    password: String,
    /// Another name to sign in with.
    username: Option<String>,
    /// What people call its owner.
    name: Option<String>,
    /// The token of an invitation.
    #[serde(default, deserialize_with = "trimmed_option")]
    invite: Option<String>,
    /// What access tokens are to contain, as words separated by spaces: `groups` for the account's groups.
    scope: Option<String>,
}

/// Changes to an account. What is absent stays as it is.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct UpdateAccountRequest {
    /// A new e-mail address. It takes the current password, and a confirmation at both addresses where mail is on. The
    /// present address withdraws a change that waits.
    #[serde(default, deserialize_with = "email_address")]
    #[schemars(with = "String")]
    email: Option<String>,
    /// A new username; null or empty removes it.
    #[serde(default, deserialize_with = "null_as_empty")]
    username: Option<String>,
    /// A new name; null or empty removes it.
    #[serde(default, deserialize_with = "null_as_empty")]
    name: Option<String>,
    /// The current password.
    current_password: Option<String>,
}

/// The deletion of an account.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct DeleteAccountRequest {
    /// The current password.
    current_password: String,
}

/// A change of password.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct ChangePasswordRequest {
    /// The current password.
    current_password: String,
    /// A new password.
    new_password: String,
}

/// Refuses null: an account always has an e-mail address.
fn email_address<'de, D: Deserializer<'de>>(source: D) -> Result<Option<String>, D::Error> {
    let why = "`email` cannot be null, because an account has an e-mail address; leave it out to keep the present one";
    match Option::deserialize(source)? {
        None => Err(serde::de::Error::custom(why)),
        email => Ok(email),
    }
}

pub(in crate::http) fn set_up(
    call: &Call<'_>,
    Json(body): Json<SetUpRequest>,
) -> Result<Response, HttpError> {
    let wanted = Wanted {
        scope: body.scope.as_deref(),
        ..Wanted::default()
    };
    let signed_in = call.authd.set_up(
        &body.token,
        &body.email,
        &body.password,
        wanted,
        &call.device,
    )?;
    Ok(Response::json(201, &signed_in))
}

pub(in crate::http) fn register(
    call: &Call<'_>,
    Json(body): Json<RegisterRequest>,
) -> Result<Response, HttpError> {
    let wanted = Wanted {
        scope: body.scope.as_deref(),
        ..Wanted::default()
    };
    let account = NewAccount {
        email: body.email,
        username: body.username,
        name: body.name,
        admin: false,
        temporary: false,
    };
    let invite = body.invite.as_deref();
    let registered = call
        .authd
        .register(account, &body.password, invite, wanted, &call.device)?;
    Ok(match registered {
        Registered::SignedIn(signed_in) => Response::json(201, &signed_in),
        Registered::Waiting => Response::new(202),
    })
}

pub(in crate::http) fn show(call: &Call<'_>, actor: &Actor, (): ()) -> Result<Response, HttpError> {
    Ok(Response::json(200, &call.authd.account(actor)?))
}

pub(in crate::http) fn change(
    call: &Call<'_>,
    actor: &Actor,
    Json(body): Json<UpdateAccountRequest>,
) -> Result<Response, HttpError> {
    let change = Profile {
        email: body.email,
        username: body.username,
        name: body.name,
    };
    let confirmation = Confirmation::Password(body.current_password.as_deref());
    let account = call
        .authd
        .change_account(actor, change, confirmation, &call.device)?;
    Ok(Response::json(200, &account))
}

pub(in crate::http) fn delete(
    call: &Call<'_>,
    actor: &Actor,
    Json(body): Json<DeleteAccountRequest>,
) -> Result<Response, HttpError> {
    let confirmation = Confirmation::Password(Some(&body.current_password));
    call.authd
        .delete_own_account(actor, confirmation, &call.device)?;
    Ok(Response::new(204))
}

pub(in crate::http) fn change_password(
    call: &Call<'_>,
    actor: &Actor,
    Json(body): Json<ChangePasswordRequest>,
) -> Result<Response, HttpError> {
    let signed_in = call.authd.change_password(
        actor,
        &body.current_password,
        &body.new_password,
        &call.device,
    )?;
    Ok(Response::json(200, &signed_in))
}
