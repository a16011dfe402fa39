//! Sessions: one sign-in on one device.
//!
//! A session has its own life: when it was used last, an idle end, an absolute end, and an end that an account owner, an
//! operator, a new password or the reuse of a refresh token brings. Refresh-token families belong to it, and so will
//! cookies and grants. [`Liveness`] is the one place that says whether a session is open.
//!
//! Ending is one guarded `UPDATE`, whose row count is the answer; what has ended is swept later.
//!
//! A rotation does not write here: the last use of a session is the later of its own and those of its families.

pub mod browser;
pub mod client;
pub mod scope;
pub mod user_agent;

use std::cmp::Reverse;
use std::net::IpAddr;
use std::time::Duration;

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::json;

use crate::clock::Timestamp;
use crate::ids::{AccountId, AccountKey, SessionId, SessionKey};
use crate::service::account;
use crate::service::context::Context;
use crate::service::error::{invalid_token, unexpected};
use crate::service::event::{Entry, Kind};
use crate::service::{Actor, Authd, Device, Error, Selector};
use crate::store::{Broken, ReadTx, Row, Tx, params};

/// Open sessions of one account. Beyond that the one that was unused longest ends: a script that signs in at every
/// run must not fill the disk, nor the list that people look at.
pub const MOST_SESSIONS: u32 = 100;

/// Longest name of a device, in characters and in bytes of UTF-8. The bytes bound the list of sessions.
pub const DEVICE_NAME_LENGTH: usize = 100;
const DEVICE_NAME_BYTES: usize = 256;

/// A session as its owner sees it.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Session {
    /// Its public name (a UUID), the `sid` of its access tokens.
    pub id: SessionId,
    /// What its owner calls the device.
    pub device_name: Option<String>,
    /// The address that used it last.
    pub ip: IpAddr,
    /// What the device called itself then.
    pub user_agent: Option<String>,
    /// When it was signed in.
    pub created_at: Timestamp,
    /// When it was refreshed last.
    pub last_used_at: Timestamp,
    /// When it ends if it is not refreshed before.
    pub expires_at: Timestamp,
    /// Whether it is the one that asks.
    pub current: bool,
    /// What holds it.
    pub kind: SessionKind,
}

/// What holds a session.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SessionKind {
    /// An app or a program, by a refresh token.
    App,
    /// A browser that signed in at this server's pages, by a cookie.
    Browser,
}

/// A session with its row, inside a transaction.
#[derive(Clone, Debug)]
pub struct Loaded {
    pub key: SessionKey,
    pub shown: Session,
    pub liveness: Liveness,
}

/// What is asked of a session that begins.
#[derive(Clone, Copy, Debug, Default)]
pub struct Wanted<'a> {
    /// What to call the device: plain text of at most 100 characters.
    pub device_name: Option<&'a str>,
    /// What its access tokens are to tell and allow, as words separated by spaces (RFC 6749 §3.3): `groups`, and `admin` for
    /// administrators.
    pub scope: Option<&'a str>,
}

/// Why a session ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ended {
    /// Its owner signed out, here or from another device.
    SignedOut,
    /// The same browser signed in again.
    Replaced,
    /// An operator ended it.
    Operator,
    /// An administrator ended it.
    Administrator,
    /// The password was changed.
    PasswordChanged,
    /// A new password was chosen by a reset link.
    PasswordReset,
    /// The account was disabled.
    AccountDisabled,
    /// Its refresh token was used twice.
    Reuse,
    /// The database went back in time.
    RolledBack,
    /// A backup was put in the database's place.
    Restored,
}

impl Ended {
    /// The stable name that is stored.
    pub const fn as_str(self) -> &'static str {
        match self {
            Ended::SignedOut => "signed_out",
            Ended::Replaced => "signed_in_again",
            Ended::Operator => "ended_by_operator",
            Ended::Administrator => "ended_by_administrator",
            Ended::PasswordChanged => "password_changed",
            Ended::PasswordReset => "password_reset",
            Ended::AccountDisabled => "account_disabled",
            Ended::Reuse => "refresh_token_reused",
            Ended::RolledBack => "file_rolled_back",
            Ended::Restored => "database_restored",
        }
    }
}

impl Authd {
    /// The open sessions of the client's account, the one used last first.
    ///
    /// # Errors
    /// Only those of the store.
    pub fn sessions(&self, actor: &Actor) -> Result<Vec<Session>, Error> {
        let idle = self.policy().session_idle_lifetime;
        Ok(self
            .store
            .read(|tx| open_sessions(tx, actor.account_key, Some(actor.session_key), idle))?)
    }

    /// Names the device of one of the actor's sessions; `None` takes the name away.
    ///
    /// # Errors
    /// [`Code::NotFound`](crate::service::Code::NotFound) if it is not an open session of the actor's;
    /// [`Code::InvalidRequest`](crate::service::Code::InvalidRequest) if the name is too long or not plain text.
    pub fn name_session(
        &self,
        actor: &Actor,
        session: SessionId,
        name: Option<&str>,
    ) -> Result<Session, Error> {
        let name = device_name(name)?;
        let (account, current) = (actor.account_key, actor.session_key);
        self.write(None, move |cx| {
            cx.run(
                "UPDATE session SET device_name = ?3 WHERE public_id = ?1 AND account_id = ?2 AND ended_at IS NULL",
                params![session, account, name],
            )?;
            let sessions = open_sessions(cx, account, Some(current), cx.idle())?;
            let named = sessions.into_iter().find(|open| open.id == session);
            named.ok_or_else(|| Error::not_found("session"))
        })
    }

    /// Ends one of the actor's sessions.
    ///
    /// # Errors
    /// [`Code::NotFound`](crate::service::Code::NotFound) if it is not an open session of the actor's.
    pub fn end_session(
        &self,
        actor: &Actor,
        session: SessionId,
        device: &Device,
    ) -> Result<(), Error> {
        self.end_one(actor.account_key, session, Ended::SignedOut, Some(device))
    }

    /// Ends all of the actor's sessions, or all but the one that asks. Returns how many.
    ///
    /// # Errors
    /// Only those of the store.
    pub fn end_sessions(
        &self,
        actor: &Actor,
        except_current: bool,
        device: &Device,
    ) -> Result<usize, Error> {
        let (account, current) = (actor.account_key, actor.session_key);
        self.write(Some(device), move |cx| {
            let kept = except_current.then_some(current);
            end_all(cx, account, kept, Ended::SignedOut)
        })
    }

    /// The open sessions of an account, for an operator.
    ///
    /// # Errors
    /// [`Code::NotFound`](crate::service::Code::NotFound) if there is no such account.
    pub fn sessions_of(&self, account: &Selector) -> Result<Vec<Session>, Error> {
        let idle = self.policy().session_idle_lifetime;
        self.store.read(|tx| {
            let account = account::select(tx, account)?;
            Ok(open_sessions(tx, account.key, None, idle)?)
        })
    }

    fn end_one(
        &self,
        account: AccountKey,
        session: SessionId,
        reason: Ended,
        device: Option<&Device>,
    ) -> Result<(), Error> {
        self.write(device, move |cx| end_one(cx, account, session, reason))
    }
}

/// Ends an open session of an account.
pub fn end_one(
    cx: &Context<'_>,
    account: AccountKey,
    session: SessionId,
    reason: Ended,
) -> Result<(), Error> {
    let open = find_open(cx, session, cx.idle())?.filter(|open| open.account == account);
    let ended = match open {
        Some(open) => end(cx, open.session, reason)?,
        None => false,
    };
    if !ended {
        return Err(Error::not_found("session"));
    }
    cx.event(Kind::SessionEnded, account)
        .session(session)
        .detail(json!({ "reason": reason.as_str() }))
        .write(cx)?;
    Ok(())
}

macro_rules! liveness_columns {
    () => {
        "s.ended_at IS NOT NULL OR a.disabled_at IS NOT NULL, s.expires_at, s.last_used_at, \
         (SELECT max(u.rotated_at) FROM refresh_family u WHERE u.session_id = s.id AND u.revoked_at IS NULL)"
    };
}
pub(in crate::service) use liveness_columns;

macro_rules! session_columns {
    () => {
        concat!(
            "s.id, s.public_id, s.device_name, s.created_at, s.ip, own.text, f.ip, theirs.text, ",
            liveness_columns!(),
            ", b.session_id IS NOT NULL FROM session s JOIN account a ON a.id = s.account_id \
             LEFT JOIN browser_session b ON b.session_id = s.id \
             LEFT JOIN user_agent own ON own.id = s.user_agent_id \
             LEFT JOIN refresh_family f ON f.id = (SELECT l.id FROM refresh_family l \
                 WHERE l.session_id = s.id AND l.revoked_at IS NULL AND l.rotated_at >= s.last_used_at \
                 ORDER BY l.rotated_at DESC, l.id DESC LIMIT 1) \
             LEFT JOIN user_agent theirs ON theirs.id = f.user_agent_id"
        )
    };
}

/// Whether and until when a session is open: the one rule about it.
#[derive(Clone, Copy, Debug)]
pub struct Liveness {
    /// It was ended, or its account is disabled.
    is_ended: bool,
    /// The absolute end.
    expires_at: Timestamp,
    /// The later of its own last use and its families'.
    pub last_used_at: Timestamp,
}

impl Liveness {
    /// Reads the four columns of `liveness_columns!` from `first` on.
    pub fn from_columns(row: &Row<'_>, first: usize) -> Result<Liveness, Broken> {
        let own: Timestamp = row.get(first + 2)?;
        let family: Option<Timestamp> = row.get(first + 3)?;
        Ok(Liveness {
            is_ended: row.get(first)?,
            expires_at: row.get(first + 1)?,
            last_used_at: family.map_or(own, |at| at.max(own)),
        })
    }

    /// Whether the session can be used at `now`.
    pub fn is_open(&self, now: Timestamp, idle: Duration) -> bool {
        !self.is_ended && now < self.ends_at(idle)
    }

    /// When it ends if it is not used before.
    pub fn ends_at(&self, idle: Duration) -> Timestamp {
        self.expires_at.min(self.last_used_at.plus(idle))
    }
}

/// An open session, and its account.
pub struct Open {
    pub session: SessionKey,
    pub account: AccountKey,
    pub account_id: AccountId,
}

/// Finds a session that is open.
pub fn find_open(tx: &ReadTx<'_>, id: SessionId, idle: Duration) -> Result<Option<Open>, Broken> {
    let found = tx.row(
        concat!(
            "SELECT s.id, s.account_id, a.public_id, ",
            liveness_columns!(),
            " FROM session s JOIN account a ON a.id = s.account_id WHERE s.public_id = ?1"
        ),
        params![id],
        |row| {
            let open = Open {
                session: row.get(0)?,
                account: row.get(1)?,
                account_id: row.get(2)?,
            };
            Ok((open, Liveness::from_columns(row, 3)?))
        },
    )?;
    let open = found.filter(|(_, liveness)| liveness.is_open(tx.now, idle));
    Ok(open.map(|(open, _)| open))
}

/// Asks again, in the transaction that writes, whether the session of `actor` is open: it may have ended while a password
/// was hashed.
///
/// # Errors
/// [`Code::InvalidToken`](super::Code::InvalidToken) if it is not.
pub fn require_open(tx: &ReadTx<'_>, actor: &Actor, idle: Duration) -> Result<(), Error> {
    let open = find_open(tx, actor.session, idle)?;
    open.filter(|open| open.session == actor.session_key)
        .map(drop)
        .ok_or_else(invalid_token)
}

/// Ends a session and all its families. Returns whether it had not ended before.
pub fn end(tx: &Tx<'_>, session: SessionKey, reason: Ended) -> Result<bool, Broken> {
    let ended = tx.run(
        "UPDATE session SET ended_at = ?2, end_reason = ?3 WHERE id = ?1 AND ended_at IS NULL",
        params![session, tx.now, reason.as_str()],
    )?;
    if ended == 0 {
        return Ok(false);
    }
    tx.run(
        "UPDATE refresh_family SET revoked_at = ?2, revoke_reason = ?3 WHERE session_id = ?1 AND revoked_at IS NULL",
        params![session, tx.now, reason.as_str()],
    )?;
    Ok(true)
}

/// Ends all sessions of an account, or all but `kept`, and writes one event. Returns how many.
pub fn end_all(
    cx: &Context<'_>,
    account: AccountKey,
    kept: Option<SessionKey>,
    reason: Ended,
) -> Result<usize, Error> {
    // No row has the key 0.
    let kept = kept.unwrap_or(SessionKey::from_row(0));
    cx.run(
        "UPDATE refresh_family SET revoked_at = ?3, revoke_reason = ?4 WHERE revoked_at IS NULL AND session_id IN \
         (SELECT id FROM session WHERE account_id = ?1 AND id <> ?2 AND ended_at IS NULL)",
        params![account, kept, cx.now, reason.as_str()],
    )?;
    let ended = cx.run(
        "UPDATE session SET ended_at = ?3, end_reason = ?4 WHERE account_id = ?1 AND id <> ?2 AND ended_at IS NULL",
        params![account, kept, cx.now, reason.as_str()],
    )?;
    if ended > 0 {
        let detail = json!({ "reason": reason.as_str(), "sessions": ended });
        cx.record(Kind::SessionsEnded, account, detail)?;
    }
    Ok(ended)
}

/// Reads a device's name from input: plain text, trimmed, at most [`DEVICE_NAME_LENGTH`] characters and
/// `DEVICE_NAME_BYTES` bytes.
pub fn device_name(name: Option<&str>) -> Result<Option<String>, Error> {
    let Some(name) = name.map(str::trim).filter(|name| !name.is_empty()) else {
        return Ok(None);
    };
    let is_short = name.len() <= DEVICE_NAME_BYTES && name.chars().count() <= DEVICE_NAME_LENGTH;
    if !is_short || name.chars().any(char::is_control) {
        return Err(Error::invalid(
            "A device's name has at most 100 characters in 256 bytes of UTF-8, and no control characters.",
        ));
    }
    Ok(Some(name.to_owned()))
}

/// Ends the sessions that were unused longest, so that one more fits.
pub fn make_room(tx: &Tx<'_>, account: AccountKey) -> Result<(), Error> {
    let mut open: Vec<(Liveness, SessionKey, SessionId)> = tx.rows(
        concat!(
            "SELECT ", liveness_columns!(), ", s.id, s.public_id \
             FROM session s JOIN account a ON a.id = s.account_id WHERE s.account_id = ?1 AND s.ended_at IS NULL"
        ),
        params![account],
        |row| Ok((Liveness::from_columns(row, 0)?, row.get(4)?, row.get(5)?)),
    )?;
    open.sort_by_key(|(liveness, key, _)| Reverse((liveness.last_used_at, *key)));
    for (_, key, id) in open.into_iter().skip(MOST_SESSIONS as usize - 1) {
        // Deleted at once: a client that signs in again and again leaves nothing but events.
        tx.run("DELETE FROM session WHERE id = ?1", params![key])?;
        Entry::of(Kind::SessionEnded, account)
            .session(id)
            .detail(json!({ "reason": "too_many_sessions" }))
            .write(tx)?;
    }
    Ok(())
}

/// The open sessions of an account, the one used last first. There are at most a few more than [`MOST_SESSIONS`] rows.
pub fn open_sessions(
    tx: &ReadTx<'_>,
    account: AccountKey,
    current: Option<SessionKey>,
    idle: Duration,
) -> Result<Vec<Session>, Broken> {
    let rows = tx.rows(
        concat!(
            "SELECT ",
            session_columns!(),
            " WHERE s.account_id = ?1 AND s.ended_at IS NULL"
        ),
        params![account],
        |row| from_row(row, current, idle),
    )?;
    let mut open: Vec<Loaded> = rows
        .into_iter()
        .filter(|loaded| loaded.liveness.is_open(tx.now, idle))
        .collect();
    open.sort_by_key(|loaded| Reverse((loaded.liveness.last_used_at, loaded.key)));
    Ok(open.into_iter().map(|loaded| loaded.shown).collect())
}

/// Loads a session by its row, in whatever state it is.
pub fn load(tx: &ReadTx<'_>, key: SessionKey, idle: Duration) -> Result<Loaded, Broken> {
    tx.row(
        concat!("SELECT ", session_columns!(), " WHERE s.id = ?1"),
        params![key],
        |row| from_row(row, Some(key), idle),
    )?
    .ok_or_else(|| unexpected("a session is gone"))
}

fn from_row(row: &Row<'_>, current: Option<SessionKey>, idle: Duration) -> Result<Loaded, Broken> {
    let key = row.get(0)?;
    let liveness = Liveness::from_columns(row, 8)?;
    // The device of the later use, its own or a family's.
    let family_ip: Option<IpAddr> = row.get(6)?;
    let (ip, user_agent): (IpAddr, Option<String>) = match family_ip {
        Some(ip) => (ip, row.get(7)?),
        None => (row.get(4)?, row.get(5)?),
    };
    Ok(Loaded {
        key,
        liveness,
        shown: Session {
            id: row.get(1)?,
            device_name: row.get(2)?,
            ip,
            user_agent: user_agent.filter(|text| !text.is_empty()),
            created_at: row.get(3)?,
            last_used_at: liveness.last_used_at,
            expires_at: liveness.ends_at(idle),
            current: current == Some(key),
            kind: match row.get(12)? {
                true => SessionKind::Browser,
                false => SessionKind::App,
            },
        },
    })
}
