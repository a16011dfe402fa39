//! Sessions: one sign-in on one device.
//!
//! A session ends once and for good: by its owner, by an operator, with its account, by a new password, by reuse of
//! its refresh token, or by time. Ending is one guarded `UPDATE`, whose row count is the answer; what has ended is
//! swept later.
//!
//! When a session was last used is what its first-party family's row says, so that a rotation need not write here.

pub mod client;
pub mod scope;

use std::net::IpAddr;
use std::time::Duration;

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::json;

use crate::clock::Timestamp;
use crate::ids::{AccountId, AccountKey, AgentKey, SessionId, SessionKey};
use crate::secret::{RefreshToken, agent_key};
use crate::service::account;
use crate::service::error::{invalid_token, unexpected};
use crate::service::event::{Entry, Kind};
use crate::service::session::scope::Disclosure;
use crate::service::{Account, Actor, Authd, Device, Error, Selector};
use crate::store::{Broken, ReadTx, Row, Tx, params};

/// Open sessions of one account. Beyond that the one that was unused longest ends: a script that signs in at every
/// run must not fill the disk, nor the list that people look at.
pub const MOST_SESSIONS: u32 = 100;

/// Texts of user agents in one slice of their keys, of which there are 64: about 10,000 in all, or 10 MiB at most. A
/// device that calls itself something else at every refresh must not fill the disk. Keys are digests, so that a slice is
/// a sample, and counting one is quick however many texts there are.
const MOST_AGENTS_IN_SLICE: u32 = 160;
const AGENT_SLICE_BITS: u32 = 57;

/// Longest name of a device, in characters.
pub const DEVICE_NAME_LENGTH: usize = 100;

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
}

/// A session with its row, inside a transaction.
#[derive(Clone, Debug)]
pub(in crate::service) struct Loaded {
    pub shown: Session,
    /// When its refresh token expires, unless it is used before.
    pub refresh_until: Timestamp,
}

/// What is asked of a session that begins.
#[derive(Clone, Copy, Debug, Default)]
pub struct Wanted<'a> {
    /// What to call the device: plain text of at most 100 characters.
    pub device_name: Option<&'a str>,
    /// What its access tokens are to tell, as words separated by spaces (RFC 6749 §3.3). `groups` is known.
    pub scope: Option<&'a str>,
}

/// What a transaction hands out: a refresh token, whose it is, and what the access token may tell. That is signed outside.
pub struct Grant {
    pub(in crate::service) token: RefreshToken,
    pub(in crate::service) session: Loaded,
    pub(in crate::service) account: account::Loaded,
    pub(in crate::service) disclosure: Disclosure,
}

/// The answer to a sign-in and to a refresh.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct SignIn {
    /// A signed JWT (RFC 9068).
    pub access_token: String,
    /// Always `Bearer`.
    pub token_type: &'static str,
    /// Seconds until the access token expires.
    pub expires_in: u64,
    /// The successor of the token that was presented, or the first of its family.
    pub refresh_token: String,
    /// Seconds until the refresh token expires, if it is not used before.
    pub refresh_expires_in: u64,
    /// What the sign-in asked for, if it asked for something (RFC 6749 §5.1).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scope: Option<String>,
    /// The session.
    pub session: Session,
    /// The account.
    pub account: Account,
}

/// Why a session ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ended {
    /// Its owner signed out, here or from another device.
    SignedOut,
    /// An operator ended it.
    Operator,
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
            Ended::Operator => "ended_by_operator",
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
    /// The open sessions of whoever asks, the one used last first.
    ///
    /// # Errors
    /// Only those of the store.
    pub fn sessions(&self, actor: &Actor) -> Result<Vec<Session>, Error> {
        let idle = self.policy.session_idle_lifetime;
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
        let idle = self.policy.session_idle_lifetime;
        self.store.write(move |tx| {
            tx.run(
                "UPDATE session SET device_name = ?3 WHERE public_id = ?1 AND account_id = ?2 AND ended_at IS NULL",
                params![session, account, name],
            )?;
            let sessions = open_sessions(tx, account, Some(current), idle)?;
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
        self.end_one(
            actor.account_key,
            session,
            Ended::SignedOut,
            Some(device.clone()),
        )
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
        let (account, current, device) = (actor.account_key, actor.session_key, device.clone());
        self.store.write(move |tx| {
            let kept = except_current.then_some(current);
            end_all(tx, account, kept, Ended::SignedOut, Some(&device))
        })
    }

    /// The open sessions of an account, for an operator.
    ///
    /// # Errors
    /// [`Code::NotFound`](crate::service::Code::NotFound) if there is no such account.
    pub fn sessions_of(&self, account: &Selector) -> Result<Vec<Session>, Error> {
        let idle = self.policy.session_idle_lifetime;
        self.store.read(|tx| {
            let account = account::select(tx, account)?;
            Ok(open_sessions(tx, account.key, None, idle)?)
        })
    }

    /// Ends one session of an account, for an operator.
    ///
    /// # Errors
    /// [`Code::NotFound`](crate::service::Code::NotFound) if there is no such account, or no such open session of it.
    pub fn revoke_session(&self, account: &Selector, session: SessionId) -> Result<(), Error> {
        let key = self.store.read(|tx| account::select(tx, account))?.key;
        self.end_one(key, session, Ended::Operator, None)
    }

    /// Ends all sessions of an account, for an operator. Returns how many.
    ///
    /// # Errors
    /// [`Code::NotFound`](crate::service::Code::NotFound) if there is no such account.
    pub fn revoke_sessions(&self, account: &Selector) -> Result<usize, Error> {
        let account = account.clone();
        self.store.write(move |tx| {
            let account = account::select(tx, &account)?;
            end_all(tx, account.key, None, Ended::Operator, None)
        })
    }

    fn end_one(
        &self,
        account: AccountKey,
        session: SessionId,
        reason: Ended,
        device: Option<Device>,
    ) -> Result<(), Error> {
        let idle = self.policy.session_idle_lifetime;
        self.store.write(move |tx| {
            let open = find_open(tx, session, idle)?.filter(|open| open.account == account);
            let Some(open) = open else {
                return Err(Error::not_found("session"));
            };
            if end(tx, open.session, reason)? == 0 {
                return Err(Error::not_found("session"));
            }
            Entry {
                device: device.as_ref(),
                ..Entry::of(Kind::SessionEnded, account)
            }
            .session(session)
            .detail(json!({ "reason": reason.as_str() }))
            .write(tx)?;
            Ok(())
        })
    }

    /// Signs the access token of a grant, outside of any transaction.
    pub(in crate::service) fn issue(&self, grant: Grant) -> Result<SignIn, Error> {
        let now = self.clock.now();
        let scope = grant.disclosure.scope.clone();
        let access_token =
            self.mint_access_token(&grant.account.shown, &grant.session.shown, grant.disclosure)?;
        Ok(SignIn {
            access_token,
            token_type: "Bearer",
            expires_in: self.policy.access_token_lifetime.as_secs(),
            refresh_token: grant.token.reveal(&self.tag_key),
            refresh_expires_in: grant.session.refresh_until.since(now).as_secs(),
            scope,
            session: grant.session.shown,
            account: grant.account.shown,
        })
    }
}

/// The answer to "is this session open, and whose is it?"
pub(in crate::service) struct Open {
    pub session: SessionKey,
    pub account: AccountKey,
    pub account_id: AccountId,
}

/// Finds a session that has neither ended nor expired, of an account that is not disabled.
pub(in crate::service) fn find_open(
    tx: &ReadTx<'_>,
    id: SessionId,
    idle: Duration,
) -> Result<Option<Open>, Broken> {
    tx.row(
        "SELECT s.id, s.account_id, a.public_id FROM session s \
         JOIN account a ON a.id = s.account_id \
         JOIN refresh_family f ON f.session_id = s.id AND f.client_id = ?4 AND f.revoked_at IS NULL \
         JOIN server v ON v.id = 1 AND v.epoch = f.epoch \
         WHERE s.public_id = ?1 AND s.ended_at IS NULL AND s.expires_at > ?2 AND f.rotated_at > ?3 \
             AND a.disabled_at IS NULL",
        params![id, tx.now, tx.now.minus(idle), client::FIRST_PARTY_KEY],
        |row| Ok(Open { session: row.get(0)?, account: row.get(1)?, account_id: row.get(2)? }),
    )
}

/// Asks once more, where something is written, whether the actor's session is open: it may have ended while a password
/// was hashed.
pub(in crate::service) fn require_open(tx: &ReadTx<'_>, actor: &Actor) -> Result<(), Error> {
    let open: Option<i64> = tx.row(
        "SELECT 1 FROM session s JOIN account a ON a.id = s.account_id \
         WHERE s.id = ?1 AND s.account_id = ?2 AND s.ended_at IS NULL AND a.disabled_at IS NULL",
        params![actor.session_key, actor.account_key],
        |row| row.get(0),
    )?;
    open.map(drop).ok_or_else(invalid_token)
}

/// Loads a session by its row, in whatever state it is.
pub(in crate::service) fn load(
    tx: &ReadTx<'_>,
    key: SessionKey,
    idle: Duration,
) -> Result<Loaded, Broken> {
    tx.row(
        "SELECT s.public_id, s.device_name, f.ip, u.text, s.created_at, f.rotated_at, s.expires_at, s.id \
         FROM session s \
         JOIN refresh_family f ON f.session_id = s.id AND f.client_id = ?2 AND f.revoked_at IS NULL \
         LEFT JOIN user_agent u ON u.id = f.user_agent_id \
         WHERE s.id = ?1",
        params![key, client::FIRST_PARTY_KEY],
        |row| from_row(row, Some(key), idle),
    )?
    .ok_or_else(|| unexpected("a session has no first-party family"))
}

/// Ends a session and all its families. Returns how many families that ended; 0 if it had ended before.
pub(in crate::service) fn end(
    tx: &Tx<'_>,
    session: SessionKey,
    reason: Ended,
) -> Result<usize, Broken> {
    let ended = tx.run(
        "UPDATE session SET ended_at = ?2, end_reason = ?3 WHERE id = ?1 AND ended_at IS NULL",
        params![session, tx.now, reason.as_str()],
    )?;
    if ended == 0 {
        return Ok(0);
    }
    tx.run(
        "UPDATE refresh_family SET revoked_at = ?2, revoke_reason = ?3 WHERE session_id = ?1 AND revoked_at IS NULL",
        params![session, tx.now, reason.as_str()],
    )
}

/// Ends all sessions of an account, or all but `kept`, and says so in one event. Returns how many.
pub(in crate::service) fn end_all(
    tx: &Tx<'_>,
    account: AccountKey,
    kept: Option<SessionKey>,
    reason: Ended,
    device: Option<&Device>,
) -> Result<usize, Error> {
    // No row has the key 0.
    let kept = kept.unwrap_or(SessionKey::from_row(0));
    tx.run(
        "UPDATE refresh_family SET revoked_at = ?3, revoke_reason = ?4 WHERE revoked_at IS NULL AND session_id IN \
         (SELECT id FROM session WHERE account_id = ?1 AND id <> ?2 AND ended_at IS NULL)",
        params![account, kept, tx.now, reason.as_str()],
    )?;
    let ended = tx.run(
        "UPDATE session SET ended_at = ?3, end_reason = ?4 WHERE account_id = ?1 AND id <> ?2 AND ended_at IS NULL",
        params![account, kept, tx.now, reason.as_str()],
    )?;
    if ended > 0 {
        Entry {
            device,
            ..Entry::of(Kind::SessionsEnded, account)
        }
        .detail(json!({ "reason": reason.as_str(), "sessions": ended }))
        .write(tx)?;
    }
    Ok(ended)
}

/// Remembers what a device calls itself, and that it was seen today. Where there are too many texts the one that was
/// unseen longest goes: those who use it have none in the lists until their next refresh on another day.
pub(in crate::service) fn intern_agent(tx: &Tx<'_>, device: &Device) -> Result<AgentKey, Broken> {
    let key = agent_key(&device.user_agent);
    tx.run(
        "INSERT INTO user_agent (id, text, seen_at) VALUES (?1, ?2, ?3) \
         ON CONFLICT (id) DO UPDATE SET seen_at = ?3 WHERE seen_at < ?3 - 3600",
        params![key, device.user_agent.as_str(), tx.now],
    )?;
    let slice = key.as_row() >> AGENT_SLICE_BITS << AGENT_SLICE_BITS;
    tx.run(
        "DELETE FROM user_agent WHERE id = (SELECT id FROM user_agent WHERE id BETWEEN ?1 AND ?2 \
         ORDER BY seen_at DESC LIMIT 1 OFFSET ?3)",
        params![
            slice,
            slice + ((1 << AGENT_SLICE_BITS) - 1),
            MOST_AGENTS_IN_SLICE
        ],
    )?;
    Ok(key)
}

/// Reads a device's name from input: plain text, trimmed, at most [`DEVICE_NAME_LENGTH`] characters.
pub(in crate::service) fn device_name(name: Option<&str>) -> Result<Option<String>, Error> {
    let Some(name) = name.map(str::trim).filter(|name| !name.is_empty()) else {
        return Ok(None);
    };
    if name.chars().count() > DEVICE_NAME_LENGTH || name.chars().any(char::is_control) {
        return Err(Error::invalid(
            "A device's name has at most 100 characters, and no control characters.",
        ));
    }
    Ok(Some(name.to_owned()))
}

/// Ends the sessions that were unused longest, so that one more fits.
pub(in crate::service) fn make_room(tx: &Tx<'_>, account: AccountKey) -> Result<(), Error> {
    let surplus: Vec<(SessionKey, SessionId)> = tx.rows(
        "SELECT s.id, s.public_id FROM session s \
         JOIN refresh_family f ON f.session_id = s.id AND f.client_id = ?2 AND f.revoked_at IS NULL \
         WHERE s.account_id = ?1 AND s.ended_at IS NULL ORDER BY f.rotated_at DESC, s.id DESC LIMIT 1000 OFFSET ?3",
        params![account, client::FIRST_PARTY_KEY, MOST_SESSIONS - 1],
        |row| Ok((row.get(0)?, row.get(1)?)),
    )?;
    for (key, id) in surplus {
        // Gone at once: whoever signs in again and again leaves nothing but events.
        tx.run("DELETE FROM session WHERE id = ?1", params![key])?;
        Entry::of(Kind::SessionEnded, account)
            .session(id)
            .detail(json!({ "reason": "too_many_sessions" }))
            .write(tx)?;
    }
    Ok(())
}

fn open_sessions(
    tx: &ReadTx<'_>,
    account: AccountKey,
    current: Option<SessionKey>,
    idle: Duration,
) -> Result<Vec<Session>, Broken> {
    tx.rows(
        "SELECT s.public_id, s.device_name, f.ip, u.text, s.created_at, f.rotated_at, s.expires_at, s.id \
         FROM session s \
         JOIN refresh_family f ON f.session_id = s.id AND f.client_id = ?4 AND f.revoked_at IS NULL \
         JOIN server v ON v.id = 1 AND v.epoch = f.epoch \
         LEFT JOIN user_agent u ON u.id = f.user_agent_id \
         WHERE s.account_id = ?1 AND s.ended_at IS NULL AND s.expires_at > ?2 AND f.rotated_at > ?3 \
         ORDER BY f.rotated_at DESC, s.id DESC LIMIT ?5",
        params![account, tx.now, tx.now.minus(idle), client::FIRST_PARTY_KEY, MOST_SESSIONS],
        |row| Ok(from_row(row, current, idle)?.shown),
    )
}

fn from_row(row: &Row<'_>, current: Option<SessionKey>, idle: Duration) -> Result<Loaded, Broken> {
    let last_used_at: Timestamp = row.get(5)?;
    let refresh_until = row.get::<Timestamp>(6)?.min(last_used_at.plus(idle));
    let agent: Option<String> = row.get(3)?;
    Ok(Loaded {
        refresh_until,
        shown: Session {
            id: row.get(0)?,
            device_name: row.get(1)?,
            ip: row.get(2)?,
            user_agent: agent.filter(|text| !text.is_empty()),
            created_at: row.get(4)?,
            last_used_at,
            expires_at: refresh_until,
            current: current == Some(row.get(7)?),
        },
    })
}
