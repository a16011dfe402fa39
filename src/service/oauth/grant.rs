//! What an app is granted in a session: how it begins, and how it ends.

use serde_json::json;

use crate::clock::Timestamp;
use crate::ids::{FamilyId, FamilyKey, SessionId, SessionKey};
use crate::secret::RefreshToken;
use crate::service::account;
use crate::service::context::Context;
use crate::service::event::Kind;
use crate::service::oauth::claims::{self, Authentication, Identity};
use crate::service::oauth::client::{Client, GrantType};
use crate::service::oauth::scope::{self, Scopes};
use crate::service::session::Ended;
use crate::service::token::refresh;
use crate::service::{Code, Device, Error};
use crate::store::{Broken, params};

/// What a transaction granted: all that the tokens say.
pub(in crate::service) struct Granted {
    pub family: FamilyId,
    pub refresh_token: Option<RefreshToken>,
    pub authentication: Authentication,
    pub identity: Identity,
    pub scope: Scopes,
    pub resource: Option<String>,
    pub nonce: Option<String>,
}

/// An app's access to an account, as it begins.
pub(in crate::service) struct Opening {
    pub session: SessionKey,
    pub scope: Scopes,
    pub resource: Option<String>,
    pub nonce: Option<String>,
    pub auth_time: Timestamp,
    pub amr: String,
}

/// Begins an app's access to an account: a family, and what was granted beside it.
pub(in crate::service) fn begin(
    cx: &Context<'_>,
    client: &Client,
    account: account::Loaded,
    session_id: SessionId,
    opening: Opening,
    device: &Device,
) -> Result<Granted, Error> {
    let Opening {
        session,
        scope,
        resource,
        nonce,
        auth_time,
        amr,
    } = opening;
    let is_offline = scope.has(scope::OFFLINE_ACCESS);
    let is_refreshable = client.may_use(GrantType::RefreshToken);
    let expires_at = end_of_grant(cx, client, session, is_offline)?;
    let text = Some(scope.to_string()).filter(|text| !text.is_empty());
    let token = refresh::begin(cx, session, client.key, expires_at, text, device)?;
    cx.run(
        "INSERT INTO oauth_grant (family_id, resource, auth_time, amr, is_offline, is_refreshable, granted_at) \
         SELECT id, ?2, ?3, ?4, ?5, ?6, ?7 FROM refresh_family WHERE public_id = ?1",
        params![token.family, resource, auth_time, amr, is_offline, is_refreshable, cx.now],
    )?;
    cx.event(Kind::AppSignIn, account.key)
        .session(session_id)
        .detail(json!({ "client_id": client.client_id, "app": client.name }))
        .write(cx)?;
    Ok(Granted {
        family: token.family,
        identity: claims::identity(cx, &account, &scope)?,
        refresh_token: is_refreshable.then_some(token),
        authentication: Authentication {
            session: session_id,
            auth_time,
            amr,
        },
        scope,
        resource,
        nonce,
    })
}

/// Until when the app may come back: as long as its refresh tokens live, and not longer than the browser's session unless the
/// scope has `offline_access`.
fn end_of_grant(
    cx: &Context<'_>,
    client: &Client,
    session: SessionKey,
    is_offline: bool,
) -> Result<Timestamp, Broken> {
    let life = client
        .refresh_token_lifetime
        .unwrap_or(cx.policy().session_lifetime);
    let own = cx.now.plus(life);
    if is_offline {
        return Ok(own);
    }
    let session_end: Option<Timestamp> = cx.row(
        "SELECT expires_at FROM session WHERE id = ?1",
        params![session],
        |row| row.get(0),
    )?;
    Ok(session_end.map_or(own, |end| own.min(end)))
}

/// Ends one grant of an app. Returns whether it had not ended before.
pub(in crate::service) fn end_family(
    cx: &Context<'_>,
    family: FamilyKey,
    reason: Ended,
) -> Result<bool, Broken> {
    let ended = cx.run(
        "UPDATE refresh_family SET revoked_at = ?2, revoke_reason = ?3 WHERE id = ?1 AND revoked_at IS NULL",
        params![family, cx.now, reason.as_str()],
    )?;
    Ok(ended == 1)
}

/// A grant that is not valid, and why (RFC 6749 §5.2).
pub(in crate::service) fn wrong(words: &str) -> Error {
    Error::no(Code::InvalidGrant, words)
}
