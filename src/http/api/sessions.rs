//! Sessions over HTTP: sign in, refresh, list, name, end.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::http::api::problem::Problem;
use crate::http::response::Response;
use crate::http::route::Call;
use crate::ids::SessionId;
use crate::service::{Actor, Code, Error, Session, Wanted};

/// A sign-in.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct Credentials {
    /// E-mail address or username.
    login: String,
    /// The password.
    password: String,
    /// A new password, where the present one is temporary.
    new_password: Option<String>,
    /// What to call the device in the list of sessions.
    device_name: Option<String>,
    /// What access tokens are to tell, as words separated by spaces: `groups` for the account's groups.
    scope: Option<String>,
}

/// A refresh.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct RefreshSession {
    /// The refresh token of the last answer.
    refresh_token: String,
}

/// The name of a device.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct NameSession {
    /// The name; null or empty takes it away.
    #[serde(deserialize_with = "Option::deserialize")]
    device_name: Option<String>,
}

/// Open sessions.
#[derive(Serialize, JsonSchema)]
pub(in crate::http) struct SessionList {
    sessions: Vec<Session>,
}

/// How many were ended.
#[derive(Serialize, JsonSchema)]
pub(in crate::http) struct RevokedSessions {
    revoked: usize,
}

pub(in crate::http) fn sign_in(call: &Call<'_>) -> Result<Response, Problem> {
    let body: Credentials = call.json()?;
    let wanted = Wanted {
        device_name: body.device_name.as_deref(),
        scope: body.scope.as_deref(),
    };
    let signed_in = call.authd.sign_in(
        &body.login,
        &body.password,
        body.new_password.as_deref(),
        wanted,
        &call.device,
    )?;
    Ok(Response::json(201, &signed_in))
}

pub(in crate::http) fn refresh(call: &Call<'_>) -> Result<Response, Problem> {
    let body: RefreshSession = call.json()?;
    let mut keys = call.request.headers_all("idempotency-key");
    let key = keys.next();
    if keys.next().is_some() {
        return Err(Problem::invalid_request("Send one Idempotency-Key."));
    }
    Ok(Response::json(
        200,
        &call.authd.refresh(&body.refresh_token, key, &call.device)?,
    ))
}

pub(in crate::http) fn list(call: &Call<'_>, actor: &Actor) -> Result<Response, Problem> {
    let sessions = call.authd.sessions(actor)?;
    Ok(Response::json(200, &SessionList { sessions }))
}

pub(in crate::http) fn name(call: &Call<'_>, actor: &Actor) -> Result<Response, Problem> {
    let body: NameSession = call.json()?;
    let session = call
        .authd
        .name_session(actor, id(call)?, body.device_name.as_deref())?;
    Ok(Response::json(200, &session))
}

pub(in crate::http) fn end(call: &Call<'_>, actor: &Actor) -> Result<Response, Problem> {
    call.authd.end_session(actor, id(call)?, &call.device)?;
    Ok(Response::new(204))
}

pub(in crate::http) fn sign_out(call: &Call<'_>, actor: &Actor) -> Result<Response, Problem> {
    call.authd.end_session(actor, actor.session, &call.device)?;
    Ok(Response::new(204))
}

pub(in crate::http) fn end_all(call: &Call<'_>, actor: &Actor) -> Result<Response, Problem> {
    let except_current = match call.request.query.as_deref() {
        None | Some("") => false,
        Some("except=current") => true,
        // Guessing here could sign somebody out of everything.
        Some(_) => {
            return Err(Problem::invalid_request(
                "The query is `except=current`, or there is none.",
            ));
        }
    };
    let revoked = call
        .authd
        .end_sessions(actor, except_current, &call.device)?;
    Ok(Response::json(200, &RevokedSessions { revoked }))
}

fn id(call: &Call<'_>) -> Result<SessionId, Error> {
    let unknown = |_| Error::No(Code::NotFound, "There is no such session.".into());
    call.parameter.parse().map_err(unknown)
}
