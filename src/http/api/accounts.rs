//! Accounts over HTTP: set-up, registration, and what an owner does with an account.

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer};

use crate::http::api::problem::Problem;
use crate::http::response::Response;
use crate::http::route::Call;
use crate::service::{Actor, NewAccount, Profile, Registered, Wanted};

/// The first administrator.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct SetUp {
    /// The token of the set-up link.
    token: String,
    /// E-mail address to sign in with.
    email: String,
    /// A new password.
    password: String,
    /// What access tokens are to tell, as words separated by spaces: `groups` for the account's groups.
    scope: Option<String>,
}

/// A new account.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct Register {
    /// E-mail address to sign in with.
    email: String,
    /// A new password.
    password: String,
    /// Another name to sign in with.
    username: Option<String>,
    /// What people call its owner.
    name: Option<String>,
    /// The token of an invitation.
    invite: Option<String>,
    /// What access tokens are to tell, as words separated by spaces: `groups` for the account's groups.
    scope: Option<String>,
}

/// Changes to an account; what is absent stays, and null or an empty text takes away.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct ChangeAccount {
    /// A new e-mail address; takes the current password, and a confirmation at both addresses where mail is on. The present
    /// one withdraws a change that waits.
    #[serde(default, deserialize_with = "present")]
    email: Option<Option<String>>,
    /// A new username.
    #[serde(default, deserialize_with = "present")]
    username: Option<Option<String>>,
    /// A new name.
    #[serde(default, deserialize_with = "present")]
    name: Option<Option<String>>,
    /// The current password.
    current_password: Option<String>,
}

/// Reads a member that is there, also where it is null; one that is absent stays `None` by its default.
fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Option<String>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}

/// The deletion of an account.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct DeleteAccount {
    /// The current password.
    current_password: String,
}

/// A change of password.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct ChangePassword {
    /// The current password.
    current_password: String,
    /// A new password.
    new_password: String,
}

pub(in crate::http) fn set_up(call: &Call<'_>) -> Result<Response, Problem> {
    let body: SetUp = call.json()?;
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

pub(in crate::http) fn register(call: &Call<'_>) -> Result<Response, Problem> {
    let Register {
        email,
        password,
        username,
        name,
        invite,
        scope,
    } = call.json()?;
    let wanted = Wanted {
        scope: scope.as_deref(),
        ..Wanted::default()
    };
    let account = NewAccount {
        email,
        username,
        name,
        admin: false,
        temporary: false,
    };
    let registered =
        call.authd
            .register(account, &password, invite.as_deref(), wanted, &call.device)?;
    Ok(match registered {
        Registered::SignedIn(signed_in) => Response::json(201, &signed_in),
        Registered::Waiting => Response::new(202),
    })
}

pub(in crate::http) fn show(call: &Call<'_>, actor: &Actor) -> Result<Response, Problem> {
    Ok(Response::json(200, &call.authd.account(actor)?))
}

pub(in crate::http) fn change(call: &Call<'_>, actor: &Actor) -> Result<Response, Problem> {
    let ChangeAccount {
        email,
        username,
        name,
        current_password,
    } = call.json()?;
    if email == Some(None) {
        return Err(Problem::invalid_request(
            "An account always has an e-mail address: `email` can't be null.",
        ));
    }
    let change = Profile {
        email: email.flatten(),
        username: username.map(Option::unwrap_or_default),
        name: name.map(Option::unwrap_or_default),
        current_password,
    };
    Ok(Response::json(
        200,
        &call.authd.change_account(actor, change, &call.device)?,
    ))
}

pub(in crate::http) fn delete(call: &Call<'_>, actor: &Actor) -> Result<Response, Problem> {
    let body: DeleteAccount = call.json()?;
    call.authd
        .delete_own_account(actor, &body.current_password, &call.device)?;
    Ok(Response::new(204))
}

pub(in crate::http) fn change_password(
    call: &Call<'_>,
    actor: &Actor,
) -> Result<Response, Problem> {
    let body: ChangePassword = call.json()?;
    let signed_in = call.authd.change_password(
        actor,
        &body.current_password,
        &body.new_password,
        &call.device,
    )?;
    Ok(Response::json(200, &signed_in))
}
