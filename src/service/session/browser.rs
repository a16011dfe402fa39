//! Browser sessions: a session that a browser holds by a cookie.
//!
//! The cookie is a random token, and the database keeps its digest. It is replaced at each sign-in and whenever its holder
//! authenticates again (ASVS 5.0 §7.2.4), so a cookie that was planted or copied before is worth nothing after.
//!
//! Two kinds of act take a recent authentication: see [`StepUpPurpose`]. What was done for one purpose does not serve another.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::clock::Timestamp;
use crate::ids::{AccountKey, SessionId, SessionKey};
use crate::secret::{Digest, SessionCookie};
use crate::service::context::Context;
use crate::service::session::{Liveness, liveness_columns, user_agent};
use crate::service::{Actor, Authd, Device, Error};
use crate::store::{Broken, ReadTx, Tx, params};

/// The absolute life of a session that the browser does not keep: a working day on a shared computer.
const LIFE_IF_NOT_KEPT: Duration = Duration::from_secs(24 * 60 * 60);

/// How long an authentication serves for acts that take a recent one.
const RECENT: Duration = Duration::from_secs(10 * 60);

/// The last use is stored at most this often, so that looking at pages seldom writes.
const USE_INTERVAL: Duration = Duration::from_secs(60);

/// Acts for which a browser session must have been authenticated within the last ten minutes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum StepUpPurpose {
    /// A new e-mail address.
    Email,
    /// The deletion of the account.
    Deletion,
    /// The administration of the server.
    Administration,
    /// An app that wants the person to sign in again.
    SignIn,
}

impl StepUpPurpose {
    const ALL: [StepUpPurpose; 4] = [
        StepUpPurpose::Email,
        StepUpPurpose::Deletion,
        StepUpPurpose::Administration,
        StepUpPurpose::SignIn,
    ];

    /// The stable name, which is stored and stands in addresses.
    pub const fn as_str(self) -> &'static str {
        match self {
            StepUpPurpose::Email => "email",
            StepUpPurpose::Deletion => "deletion",
            StepUpPurpose::Administration => "administration",
            StepUpPurpose::SignIn => "sign_in",
        }
    }

    /// The purpose of this name.
    pub fn read(text: &str) -> Option<StepUpPurpose> {
        StepUpPurpose::ALL
            .into_iter()
            .find(|purpose| purpose.as_str() == text)
    }
}

/// An open browser session, and the account that is signed in.
#[derive(Clone, Debug)]
pub struct Browser {
    /// The account and the session.
    pub actor: Actor,
    /// The account's e-mail address.
    pub email: String,
    /// The account owner's name.
    pub name: Option<String>,
    /// Whether the account may administer this server.
    pub admin: bool,
    /// When the person was authenticated last for everything, or for signing in to an app: the `auth_time` of ID tokens.
    pub auth_time: Timestamp,
    /// How (RFC 8176), separated by spaces.
    pub amr: String,
    /// The purposes for which it was authenticated recently enough.
    recent: Vec<StepUpPurpose>,
}

impl Browser {
    /// Whether the holder of the session authenticated within the last ten minutes: at sign-in, or for this purpose.
    pub fn is_recent(&self, purpose: StepUpPurpose) -> bool {
        self.recent.contains(&purpose)
    }
}

/// What a browser asks of a session that begins.
#[derive(Clone, Copy, Debug, Default)]
pub struct BrowserWanted<'a> {
    /// Whether it keeps the session when it is closed.
    pub keep: bool,
    /// The cookie that came with the request. Its session ends.
    pub present: Option<&'a str>,
}

/// A cookie for the browser that asks.
#[derive(Clone, Debug)]
pub struct NewCookie {
    /// The cookie.
    pub cookie: SessionCookie,
    /// How long the browser keeps it; `None` for until it is closed.
    pub kept_for: Option<Duration>,
}

impl Authd {
    /// The open session of a cookie, if there is one. Its last use is stored at most once a minute.
    ///
    /// # Errors
    /// Only those of the store, which are never shown as "signed out".
    pub fn browser(&self, cookie: &str, device: &Device) -> Result<Option<Browser>, Error> {
        let Some(cookie) = SessionCookie::read(cookie) else {
            return Ok(None);
        };
        let digest = cookie.digest();
        let idle = self.policy().session_idle_lifetime;
        let found = self.store.read(|tx| find(tx, digest, idle))?;
        let Some((browser, is_use_due)) = found else {
            return Ok(None);
        };
        if is_use_due {
            let key = browser.actor.session_key;
            self.write(Some(device), move |cx| record_use(cx, key))?;
        }
        Ok(Some(browser))
    }
}

impl Authd {
    /// The token of the forms that `holder` gets: the id of a browser session, or the value of a cookie of a visitor who is
    /// not signed in. A form that is sent without it is refused.
    pub fn form_token(&self, holder: &str) -> String {
        self.settings.tag_key.form_token(holder)
    }

    /// Whether `token` is the token of the forms that `holder` gets.
    pub fn is_form_token(&self, token: &str, holder: &str) -> bool {
        self.settings.tag_key.is_form_token(token, holder)
    }

    /// A value for the cookie of a visitor who is not signed in: 128 random bits.
    pub fn visitor_id(&self) -> String {
        URL_SAFE_NO_PAD.encode(self.entropy.bytes::<16>())
    }
}

/// Until when a session lives that the browser keeps, or not.
pub fn expires_at(cx: &Context<'_>, kept: bool) -> Timestamp {
    let longest = cx.policy().session_lifetime;
    cx.now.plus(match kept {
        true => longest,
        false => longest.min(LIFE_IF_NOT_KEPT),
    })
}

/// Makes `session` a browser session, and returns its cookie.
pub fn create(cx: &Context<'_>, session: SessionKey, kept: bool) -> Result<NewCookie, Broken> {
    let cookie = SessionCookie::from_bytes(cx.random());
    cx.run(
        "INSERT INTO browser_session (session_id, digest, kept, authenticated_at) VALUES (?1, ?2, ?3, ?4)",
        params![session, cookie.digest(), kept, cx.now],
    )?;
    Ok(NewCookie {
        cookie,
        kept_for: kept.then(|| cx.policy().session_lifetime),
    })
}

/// Replaces the cookie of `session`; `None` if it is no browser session. The absolute end stays as it is.
pub fn renew_cookie(cx: &Context<'_>, session: SessionKey) -> Result<Option<NewCookie>, Broken> {
    let cookie = SessionCookie::from_bytes(cx.random());
    let kept: Option<(bool, Timestamp)> = cx.row(
        "UPDATE browser_session SET digest = ?2 WHERE session_id = ?1 \
         RETURNING kept, (SELECT s.expires_at FROM session s WHERE s.id = ?1)",
        params![session, cookie.digest()],
        |row| Ok((row.get(0)?, row.get(1)?)),
    )?;
    Ok(kept.map(|(kept, end)| NewCookie {
        cookie,
        kept_for: kept.then(|| end.since(cx.now)),
    }))
}

/// Notes that the holder of `session` authenticated again, for `purpose`.
pub fn record_step_up(
    tx: &Tx<'_>,
    session: SessionKey,
    purpose: StepUpPurpose,
) -> Result<(), Broken> {
    tx.run(
        "INSERT INTO step_up (session_id, purpose, at) VALUES (?1, ?2, ?3) \
         ON CONFLICT (session_id, purpose) DO UPDATE SET at = excluded.at",
        params![session, purpose.as_str(), tx.now],
    )?;
    Ok(())
}

/// Notes that the holder of `session` authenticated again for everything: a new password was chosen.
pub fn record_authentication(tx: &Tx<'_>, session: SessionKey) -> Result<(), Broken> {
    tx.run(
        "UPDATE browser_session SET authenticated_at = ?2 WHERE session_id = ?1",
        params![session, tx.now],
    )?;
    Ok(())
}

/// Whether the holder of `session` authenticated within the last ten minutes, at sign-in or for `purpose`.
pub fn is_recent(
    tx: &ReadTx<'_>,
    session: SessionKey,
    purpose: StepUpPurpose,
) -> Result<bool, Broken> {
    Ok(recent_purposes(tx, session)?.contains(&purpose))
}

/// The open session of a cookie by its digest, whosever it is: its sign-in replaces it.
pub fn find_by_digest(
    tx: &ReadTx<'_>,
    digest: Digest,
) -> Result<Option<(SessionKey, AccountKey, SessionId)>, Broken> {
    tx.row(
        "SELECT s.id, s.account_id, s.public_id FROM browser_session b JOIN session s ON s.id = b.session_id \
         WHERE b.digest = ?1 AND s.ended_at IS NULL",
        params![digest],
        |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)),
    )
}

/// The open session of a cookie, and whether its last use is due to be stored.
fn find(
    tx: &ReadTx<'_>,
    digest: Digest,
    idle: Duration,
) -> Result<Option<(Browser, bool)>, Broken> {
    let found = tx.row(
        concat!(
            "SELECT s.id, s.public_id, s.account_id, a.public_id, a.email, a.name, a.admin, s.amr, b.authenticated_at, \
             (SELECT u.at FROM step_up u WHERE u.session_id = s.id AND u.purpose = ?2), ",
            liveness_columns!(),
            " FROM browser_session b JOIN session s ON s.id = b.session_id JOIN account a ON a.id = s.account_id \
             WHERE b.digest = ?1"
        ),
        params![digest, StepUpPurpose::SignIn.as_str()],
        |row| {
            let authenticated_at: Timestamp = row.get(8)?;
            let again: Option<Timestamp> = row.get(9)?;
            let browser = Browser {
                actor: Actor {
                    session_key: row.get(0)?,
                    session: row.get(1)?,
                    account_key: row.get(2)?,
                    account: row.get(3)?,
                },
                email: row.get(4)?,
                name: row.get(5)?,
                admin: row.get(6)?,
                amr: row.get(7)?,
                auth_time: again.map_or(authenticated_at, |again| again.max(authenticated_at)),
                recent: Vec::new(),
            };
            Ok((browser, Liveness::from_columns(row, 10)?))
        },
    )?;
    let Some((mut browser, liveness)) = found.filter(|(_, found)| found.is_open(tx.now, idle))
    else {
        return Ok(None);
    };
    browser.recent = recent_purposes(tx, browser.actor.session_key)?;
    let is_use_due = tx.now >= liveness.last_used_at.plus(USE_INTERVAL);
    Ok(Some((browser, is_use_due)))
}

fn recent_purposes(tx: &ReadTx<'_>, session: SessionKey) -> Result<Vec<StepUpPurpose>, Broken> {
    let authenticated_at: Option<Timestamp> = tx.row(
        "SELECT authenticated_at FROM browser_session WHERE session_id = ?1",
        params![session],
        |row| row.get(0),
    )?;
    let is_recent = |at: Timestamp| tx.now < at.plus(RECENT);
    if authenticated_at.is_some_and(is_recent) {
        return Ok(StepUpPurpose::ALL.to_vec());
    }
    let steps: Vec<(String, Timestamp)> = tx.rows(
        "SELECT purpose, at FROM step_up WHERE session_id = ?1",
        params![session],
        |row| Ok((row.get(0)?, row.get(1)?)),
    )?;
    let recent = steps.into_iter().filter(|(_, at)| is_recent(*at));
    Ok(recent
        .filter_map(|(purpose, _)| StepUpPurpose::read(&purpose))
        .collect())
}

fn record_use(cx: &Context<'_>, session: SessionKey) -> Result<(), Broken> {
    let Some(device) = cx.device() else {
        return Ok(());
    };
    let agent = user_agent::intern(cx, device)?;
    cx.run(
        "UPDATE session SET last_used_at = ?2, ip = ?3, user_agent_id = ?4 \
         WHERE id = ?1 AND ended_at IS NULL AND last_used_at <= ?5",
        params![
            session,
            cx.now,
            device.ip,
            agent,
            cx.now.minus(USE_INTERVAL)
        ],
    )?;
    Ok(())
}
