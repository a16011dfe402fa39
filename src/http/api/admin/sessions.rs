//! Sessions of an account, for administrators.

use super::{PathAccount, PathAccountSession};
use crate::http::api::sessions::{EndedSessions, SessionList};
use crate::http::call::Call;
use crate::http::error::HttpError;
use crate::http::response::Response;
use crate::service::Administration;

pub(in crate::http) fn list(
    call: &Call<'_>,
    _: &Administration<'_>,
    PathAccount(account): PathAccount,
) -> Result<Response, HttpError> {
    let sessions = call.authd.sessions_of(&account)?;
    Ok(Response::json(200, &SessionList { sessions }))
}

pub(in crate::http) fn end_all(
    _: &Call<'_>,
    administration: &Administration<'_>,
    PathAccount(account): PathAccount,
) -> Result<Response, HttpError> {
    let revoked = administration.revoke_sessions(&account)?;
    Ok(Response::json(200, &EndedSessions { revoked }))
}

pub(in crate::http) fn end(
    _: &Call<'_>,
    administration: &Administration<'_>,
    PathAccountSession(account, session): PathAccountSession,
) -> Result<Response, HttpError> {
    administration.revoke_session(&account, session)?;
    Ok(Response::new(204))
}
