//! How a session begins, and how one goes on under another id.

use std::time::Duration;

use super::Authenticated;
use crate::ids::{SessionId, SessionKey};
use crate::service::context::Context;
use crate::service::error::unexpected;
use crate::service::event::Kind;
use crate::service::session::scope::Scope;
use crate::service::session::{self, Ended, Wanted, client, user_agent};
use crate::service::token::grant::Grant;
use crate::service::token::refresh;
use crate::service::{Authd, Device, Error, Selector, account};
use crate::store::params;

/// What a session is to be, when that has been checked.
#[derive(Clone)]
pub struct Opening {
    device: Device,
    device_name: Option<String>,
    scope: Scope,
}

impl Opening {
    /// Checks what a client wants of a session.
    ///
    /// # Errors
    /// [`Code::InvalidScope`](crate::service::Code::InvalidScope);
    /// [`Code::InvalidRequest`](crate::service::Code::InvalidRequest) for the name of the device.
    pub fn read(wanted: Wanted<'_>, device: &Device) -> Result<Opening, Error> {
        Ok(Opening {
            device: device.clone(),
            device_name: session::device_name(wanted.device_name)?,
            scope: Scope::read(wanted.scope)?,
        })
    }
}

impl Authd {
    /// Opens a session for an account without asking for its password: for programs that embed authd and
    /// have authenticated the account owner by other means.
    ///
    /// # Errors
    /// [`Code::NotFound`](crate::service::Code::NotFound) if there is no such account, or it is disabled;
    /// [`Code::InvalidScope`](crate::service::Code::InvalidScope).
    pub fn open_session(
        &self,
        account: &Selector,
        wanted: Wanted<'_>,
        device: &Device,
    ) -> Result<crate::service::SignIn, Error> {
        let opening = Opening::read(wanted, device)?;
        let account = account.clone();
        let grant = self.write(Some(device), move |cx| {
            let account = account::select(cx, &account)?;
            if account.shown.disabled_at.is_some() {
                return Err(Error::not_found("account that may sign in"));
            }
            begin(cx, Authenticated::by_embedder(cx, account), &opening)
        })?;
        self.issue(grant)
    }
}

/// Begins a session, with the first refresh token of its first-party family.
pub fn begin(cx: &Context<'_>, who: Authenticated, opening: &Opening) -> Result<Grant, Error> {
    let Authenticated { account, amr, at } = who;
    session::make_room(cx, account.key)?;
    let id = SessionId::random(cx.random());
    let expires_at = cx.now.plus(cx.policy().session_lifetime);
    let agent = user_agent::intern(cx, &opening.device)?;
    let key = cx
        .row(
            "INSERT INTO session (public_id, account_id, device_name, amr, created_at, last_used_at, ip, user_agent_id, \
             expires_at) VALUES (?1, ?2, ?3, ?4, ?5, ?5, ?6, ?7, ?8) RETURNING id",
            params![
                id,
                account.key,
                opening.device_name,
                amr.as_str(),
                at,
                opening.device.ip,
                agent,
                expires_at
            ],
            |row| row.get(0),
        )?
        .ok_or_else(|| unexpected("an insertion returned no row"))?;
    let token = refresh::begin(
        cx,
        key,
        client::FIRST_PARTY_KEY,
        expires_at,
        &opening.scope,
        &opening.device,
    )?;
    cx.event(Kind::SignIn, account.key).session(id).write(cx)?;
    grant(cx, key, account, token, &opening.scope, cx.idle())
}

/// Goes on with an open session under another id and with a new first-party family of the same scope: every token of the old
/// ones is dead. For a new password (ASVS 5.0 §7.2.4).
pub fn begin_anew(
    cx: &Context<'_>,
    session: SessionKey,
    account: account::Loaded,
    device: &Device,
) -> Result<Grant, Error> {
    // Families of earlier changes have nothing to tell any more.
    cx.run(
        "DELETE FROM refresh_family WHERE session_id = ?1 AND client_id = ?2 AND revoked_at IS NOT NULL",
        params![session, client::FIRST_PARTY_KEY],
    )?;
    let old = cx.row(
        "UPDATE refresh_family SET revoked_at = ?3, revoke_reason = ?4 \
         WHERE session_id = ?1 AND client_id = ?2 AND revoked_at IS NULL RETURNING expires_at, scope",
        params![
            session,
            client::FIRST_PARTY_KEY,
            cx.now,
            Ended::PasswordChanged.as_str()
        ],
        |row| Ok((row.get(0)?, row.get::<Option<String>>(1)?)),
    )?;
    let (expires_at, scope) = old.ok_or_else(|| Error::not_found("open session"))?;
    let scope = Scope::from_row(scope.as_deref());
    cx.run(
        "UPDATE session SET public_id = ?2 WHERE id = ?1",
        params![session, SessionId::random(cx.random())],
    )?;
    let token = refresh::begin(
        cx,
        session,
        client::FIRST_PARTY_KEY,
        expires_at,
        &scope,
        device,
    )?;
    grant(cx, session, account, token, &scope, cx.idle())
}

fn grant(
    cx: &Context<'_>,
    session: SessionKey,
    account: account::Loaded,
    token: crate::secret::RefreshToken,
    scope: &Scope,
    idle: Duration,
) -> Result<Grant, Error> {
    let loaded = session::load(cx, session, idle)?;
    Ok(Grant {
        token,
        refresh_until: loaded.liveness.ends_at(idle),
        session: loaded.shown,
        disclosure: scope.disclose(cx, account.key)?,
        account,
    })
}
