//! How a session begins, and how one goes on under another id.

use std::time::Duration;

use serde_json::json;

use super::Authenticated;
use crate::clock::Timestamp;
use crate::ids::{SessionId, SessionKey};
use crate::secret::{Digest, SessionCookie};
use crate::service::context::Context;
use crate::service::error::unexpected;
use crate::service::event::Kind;
use crate::service::session::browser::{self, BrowserWanted, NewCookie};
use crate::service::session::scope::Scope;
use crate::service::session::{self, Ended, Wanted, client, user_agent};
use crate::service::token::grant::Grant;
use crate::service::token::refresh;
use crate::service::{Authd, Device, Error, Selector, account};
use crate::store::params;

/// A session that is to begin: what it is to be, when that has been checked, and who holds it.
pub trait Opening: Clone + Send + 'static {
    /// What the client gets.
    type Begun: Send + 'static;

    /// Begins the session.
    fn begin(&self, cx: &Context<'_>, who: Authenticated) -> Result<Self::Begun, Error>;
}

/// A session of an app, which holds it by refresh tokens.
#[derive(Clone)]
pub struct AppOpening {
    device: Device,
    device_name: Option<String>,
    scope: Scope,
}

impl AppOpening {
    /// Checks what a client wants of a session.
    ///
    /// # Errors
    /// [`Code::InvalidScope`](crate::service::Code::InvalidScope);
    /// [`Code::InvalidRequest`](crate::service::Code::InvalidRequest) for the name of the device.
    pub fn read(wanted: Wanted<'_>, device: &Device) -> Result<AppOpening, Error> {
        Ok(AppOpening {
            device: device.clone(),
            device_name: session::device_name(wanted.device_name)?,
            scope: Scope::read(wanted.scope)?,
        })
    }
}

impl Opening for AppOpening {
    type Begun = Grant;

    /// Begins it, with the first refresh token of its first-party family.
    fn begin(&self, cx: &Context<'_>, who: Authenticated) -> Result<Grant, Error> {
        self.scope.require_granted(&who.account.shown)?;
        let expires_at = cx.now.plus(cx.policy().session_lifetime);
        let (key, account) = insert(
            cx,
            who,
            &self.device,
            self.device_name.as_deref(),
            expires_at,
        )?;
        let token = refresh::begin(
            cx,
            key,
            client::FIRST_PARTY_KEY,
            expires_at,
            self.scope.text(),
            &self.device,
        )?;
        grant(cx, key, account, token, &self.scope, cx.idle())
    }
}

/// A session of a browser, which holds it by a cookie.
#[derive(Clone)]
pub struct BrowserOpening {
    device: Device,
    /// Whether the browser keeps the cookie when it is closed.
    kept: bool,
    /// The cookie that came with the request. Its session ends: the same browser does not stay signed in twice.
    replaces: Option<Digest>,
}

impl BrowserOpening {
    /// A session for `device`, in the place of the one whose cookie came with the request.
    pub fn new(wanted: BrowserWanted<'_>, device: &Device) -> BrowserOpening {
        let present = wanted.present.and_then(SessionCookie::read);
        BrowserOpening {
            device: device.clone(),
            kept: wanted.keep,
            replaces: present.map(|cookie| cookie.digest()),
        }
    }
}

impl Opening for BrowserOpening {
    type Begun = NewCookie;

    fn begin(&self, cx: &Context<'_>, who: Authenticated) -> Result<NewCookie, Error> {
        if let Some(digest) = self.replaces
            && let Some((present, account, id)) = browser::find_by_digest(cx, digest)?
            && session::end(cx, present, Ended::Replaced)?
        {
            cx.event(Kind::SessionEnded, account)
                .session(id)
                .detail(json!({ "reason": Ended::Replaced.as_str() }))
                .write(cx)?;
        }
        let expires_at = browser::expires_at(cx, self.kept);
        let (key, _) = insert(cx, who, &self.device, None, expires_at)?;
        Ok(browser::create(cx, key, self.kept)?)
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
        let opening = AppOpening::read(wanted, device)?;
        let account = account.clone();
        let grant = self.write(Some(device), move |cx| {
            let account = account::select(cx, &account)?;
            if account.shown.disabled_at.is_some() {
                return Err(Error::not_found("account that may sign in"));
            }
            opening.begin(cx, Authenticated::by_embedder(cx, account))
        })?;
        self.issue(grant)
    }
}

/// Writes the row of a session, and the event of the sign-in.
fn insert(
    cx: &Context<'_>,
    who: Authenticated,
    device: &Device,
    device_name: Option<&str>,
    expires_at: Timestamp,
) -> Result<(SessionKey, account::Loaded), Error> {
    let Authenticated { account, amr, at } = who;
    session::make_room(cx, account.key)?;
    let id = SessionId::random(cx.random());
    let agent = user_agent::intern(cx, device)?;
    let key = cx
        .row(
            "INSERT INTO session (public_id, account_id, device_name, amr, created_at, last_used_at, ip, user_agent_id, \
             expires_at) VALUES (?1, ?2, ?3, ?4, ?5, ?5, ?6, ?7, ?8) RETURNING id",
            params![
                id,
                account.key,
                device_name,
                amr.as_str(),
                at,
                device.ip,
                agent,
                expires_at
            ],
            |row| row.get(0),
        )?
        .ok_or_else(|| unexpected("an insertion returned no row"))?;
    cx.event(Kind::SignIn, account.key).session(id).write(cx)?;
    Ok((key, account))
}

/// What the holder of a session gets when it goes on under another id.
pub enum Renewed {
    /// An app: a new first-party family of the same scope.
    App(Box<Grant>),
    /// A browser: a new cookie.
    Browser(NewCookie),
}

/// Goes on with an open session under another id: every token and cookie of the old one is dead. For a new password (ASVS 5.0
/// §7.2.4).
pub fn begin_anew(
    cx: &Context<'_>,
    session: SessionKey,
    account: account::Loaded,
    device: &Device,
) -> Result<Renewed, Error> {
    cx.run(
        "UPDATE session SET public_id = ?2 WHERE id = ?1",
        params![session, SessionId::random(cx.random())],
    )?;
    browser::record_authentication(cx, session)?;
    match browser::renew_cookie(cx, session)? {
        Some(cookie) => Ok(Renewed::Browser(cookie)),
        None => begin_family_anew(cx, session, account, device)
            .map(|grant| Renewed::App(Box::new(grant))),
    }
}

fn begin_family_anew(
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
    let token = refresh::begin(
        cx,
        session,
        client::FIRST_PARTY_KEY,
        expires_at,
        scope.text(),
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
        disclosure: scope.disclose(cx, &account)?,
        account,
    })
}
