//! Refresh tokens: one successor, sealed replay.
//!
//! A family is one row, updated in place. Presenting its live token rotates it: a fresh secret, of which the row
//! keeps the digest and a seal that only the holder of the presented token can open. A client that lost the answer
//! presents the same token again and gets *the same* successor, so the chain never forks; and a token that is used
//! after its window, or again and again inside it from elsewhere, has been copied.
//!
//! What a presented token means is a pure function, [`judge`]; this file reads what it needs and writes what it says. The
//! verdict is durable before it is answered.
//!
//! Never here: a token in a column, a second live secret, a revocation taken back, a change for a token that is
//! unknown or another client's.

use std::sync::atomic::Ordering;
use std::time::Duration;

use serde_json::json;

use crate::clock::Timestamp;
use crate::ids::{ClientKey, FamilyId, SealKeyKey, SessionKey};
use crate::secret::{Digest, RefreshToken, Seal, SealKey, Secret};
use crate::service::account::{self, account_columns};
use crate::service::context::Context;
use crate::service::error::unexpected;
use crate::service::event::Kind;
use crate::service::session::client;
use crate::service::session::scope::Scope;
use crate::service::session::{self, Ended, Session, SessionKind, user_agent};
use crate::service::token::grant::{Grant, SignIn};
use crate::service::token::judge::{
    Family, Lifetimes, Presentation, RETRY_WINDOW, Refusal, Reuse, Verdict, judge,
};
use crate::service::{Authd, Code, Device, Error};
use crate::store::{Broken, ReadTx, Row, Tx, params};

/// Windows up to this are ordinary, and their seal keys die this long after their hour.
pub(super) const ORDINARY_WINDOW: Duration = Duration::from_secs(600);

/// The longest `Idempotency-Key`, in bytes; a UUID has 36.
const IDEMPOTENCY_KEY_LENGTH: usize = 255;

/// What the answer shows beyond the family: read with it, since nearly every presentation is granted.
pub(in crate::service) struct Holder {
    device_name: Option<String>,
    signed_in_at: Timestamp,
    /// As the family keeps it.
    pub scope: Option<String>,
    pub account: account::Loaded,
}

/// What a presentation led to, as it was committed.
pub(in crate::service) enum Outcome<G> {
    Granted(Box<G>),
    TooOften,
    Refused,
    RolledBack,
}

/// A token that may be answered: the successor of the one that was presented.
pub(in crate::service) struct Presented {
    pub token: RefreshToken,
    pub family: Family,
    pub holder: Holder,
    /// When the family was rotated last.
    pub rotated_at: Timestamp,
    /// By which device.
    pub rotated_by: Device,
}

impl Authd {
    /// Presents a refresh token of a first-party session, and answers with its successor.
    ///
    /// `idempotency_key` is kept (as a digest) with the rotation; a retry with the same one is served for a day as
    /// long as the successor is unused.
    ///
    /// # Errors
    /// [`Code::InvalidGrant`] for every refusal, whatever its cause; [`Code::TooManyRequests`] when one token
    /// was replayed 128 times; [`Error::Unavailable`] when nothing can be written.
    pub fn refresh(
        &self,
        token: &str,
        idempotency_key: Option<&str>,
        device: &Device,
    ) -> Result<SignIn, Error> {
        let Some(token) = RefreshToken::read(token, &self.settings.tag_key) else {
            return Err(invalid_grant());
        };
        if idempotency_key.is_some_and(|key| key.is_empty() || key.len() > IDEMPOTENCY_KEY_LENGTH) {
            return Err(Error::invalid(
                "An Idempotency-Key has 1 to 255 characters.",
            ));
        }
        let retry = idempotency_key.map(|key| Digest::of_idempotency_key(token.family, key));
        let grant = self.present(token, client::FIRST_PARTY_KEY, retry, device, grant)?;
        self.issue(grant)
    }

    /// Presents a refresh token of `client`, and completes the answer in the same transaction.
    ///
    /// # Errors
    /// Those of [`Authd::refresh`], and what `complete` returns: nothing was rotated then.
    pub(in crate::service) fn present<G: Send + 'static>(
        &self,
        token: RefreshToken,
        client: ClientKey,
        retry: Option<Digest>,
        device: &Device,
        complete: impl Fn(&Context<'_>, Presented) -> Result<G, Error> + Send + 'static,
    ) -> Result<G, Error> {
        let agent = self.settings.tag_key.agent_key(&device.user_agent);
        let from = device.clone();
        let outcome = self.write(Some(device), move |cx| {
            let presented = Presentation {
                token: &token,
                client,
                ip: from.ip,
                agent,
                retry,
            };
            present(cx, &presented, &from, &complete)
        })?;
        match outcome {
            Outcome::Granted(grant) => Ok(*grant),
            Outcome::TooOften => Err(too_often()),
            Outcome::Refused => Err(invalid_grant()),
            Outcome::RolledBack => {
                self.has_gone_back.store(true, Ordering::Relaxed);
                Err(invalid_grant())
            }
        }
    }
}

/// Ends the session that a refresh token was issued in. Returns how many families that ended, 0 if it had ended before;
/// `None` if there is no such family.
pub(in crate::service) fn end_session_of(
    cx: &Context<'_>,
    token: &RefreshToken,
    reason: Ended,
) -> Result<Option<usize>, Broken> {
    let Some((family, _)) = load(cx, token.family)? else {
        return Ok(None);
    };
    let open = count_open_families(cx, family.session)?;
    if !session::end(cx, family.session, reason)? {
        return Ok(Some(0));
    }
    cx.event(Kind::SessionEnded, family.account)
        .session(family.session_id)
        .detail(json!({ "reason": reason.as_str() }))
        .write(cx)?;
    Ok(Some(open))
}

pub(in crate::service) fn invalid_grant() -> Error {
    Error::no(
        Code::InvalidGrant,
        "The refresh token is not valid (any more). Sign in again.",
    )
}

/// Without a time to come back at: after the window the token would be taken for a copy.
fn too_often() -> Error {
    Error::no(
        Code::TooManyRequests,
        "This refresh token was presented too often. Do not send it again: the answer to its first use holds its \
         successor.",
    )
}

/// Presents a token: judges and applies, in this transaction.
fn present<G>(
    cx: &Context<'_>,
    presented: &Presentation<'_>,
    device: &Device,
    complete: &impl Fn(&Context<'_>, Presented) -> Result<G, Error>,
) -> Result<Outcome<G>, Error> {
    let granted = |family, holder, token, rotated_at, rotated_by| {
        let presented = Presented {
            token,
            family,
            holder,
            rotated_at,
            rotated_by,
        };
        complete(cx, presented).map(|grant| Outcome::Granted(Box::new(grant)))
    };
    let token = presented.token;
    let Some((family, holder)) = load(cx, token.family)? else {
        tracing::debug!("refresh refused: the family is unknown");
        return Ok(Outcome::Refused);
    };
    let lifetimes = Lifetimes {
        window: family
            .client_window
            .map_or(cx.policy().replay_window, |s| Duration::from_secs(s.into())),
        idle: cx.idle(),
    };
    let successor = match token.generation.checked_add(1) == Some(family.generation) {
        true => open_seal(cx, &family, token)?,
        false => None,
    };
    let verdict = judge(&family, presented, successor.is_some(), lifetimes, cx.now);
    match (verdict, successor) {
        (Verdict::Rotate, _) => {
            let token = rotate(cx, &family, presented, device, lifetimes.window)?;
            granted(family, holder, token, cx.now, device.clone())
        }
        (Verdict::Replay { stranger }, Some(secret)) => {
            let successor = RefreshToken {
                family: token.family,
                generation: family.generation,
                secret,
            };
            record_replay(cx, &family, stranger)?;
            let (rotated_at, rotated_by) = (family.rotated_at, rotated_by(cx, &family)?);
            granted(family, holder, successor, rotated_at, rotated_by)
        }
        (Verdict::TooOften, _) => Ok(Outcome::TooOften),
        (Verdict::Refuse(refusal), _) => refuse(cx, &family, refusal),
        (Verdict::Reuse(reuse), _) => reused(cx, &family, reuse, token, device),
        (Verdict::RolledBack | Verdict::Replay { .. }, _) => rolled_back(cx, &family),
    }
}

/// Gives the family its next token, and returns it.
fn rotate(
    cx: &Context<'_>,
    family: &Family,
    presented: &Presentation<'_>,
    device: &Device,
    window: Duration,
) -> Result<RefreshToken, Error> {
    let secret = Secret::from_bytes(cx.random());
    let long = presented.retry.is_some() || window > ORDINARY_WINDOW;
    let (seal_key, key) = current_seal_key(cx, long)?;
    let seal = Seal::close(&secret, presented.token, cx.random(), &key);
    let generation = family.generation + 1;
    if presented.agent != family.agent || day(cx.now) != day(family.rotated_at) {
        user_agent::intern(cx, device)?;
    }
    let rotated = cx.run(
        "UPDATE refresh_family SET generation = ?3, digest = ?4, seal = ?5, seal_key_id = ?6, rotated_at = ?7, \
         replays = 0, ip = ?8, user_agent_id = ?9, retry_digest = ?10 \
         WHERE id = ?1 AND generation = ?2 AND digest = ?11 AND revoked_at IS NULL",
        params![
            family.key,
            family.generation,
            generation,
            secret.digest(),
            seal,
            seal_key,
            cx.now,
            device.ip,
            presented.agent,
            presented.retry,
            family.digest,
        ],
    )?;
    if rotated != 1 {
        return Err(Error::Broken(
            "a family changed inside its own transaction".into(),
        ));
    }
    Ok(RefreshToken {
        family: presented.token.family,
        generation,
        secret,
    })
}

fn record_replay(cx: &Context<'_>, family: &Family, stranger: Option<u32>) -> Result<(), Broken> {
    cx.run(
        "UPDATE refresh_family SET replays = replays + 1 WHERE id = ?1",
        params![family.key],
    )?;
    let Some(streak) = stranger else {
        return Ok(());
    };
    if family.lockstep_generation == family.generation {
        // Told already: many replays in one generation must not push older events out.
        return Ok(());
    }
    cx.run(
        "UPDATE refresh_family SET lockstep = ?2, lockstep_generation = ?3 WHERE id = ?1",
        params![family.key, streak, family.generation],
    )?;
    cx.event(Kind::RefreshReplayedElsewhere, family.account)
        .session(family.session_id)
        .detail(json!({ "rotated": rotation_of(cx, family)?, "generations_in_a_row": streak }))
        .write(cx)
}

/// The answer of a first-party session: the live token, in the session as it was at its last rotation.
fn grant(cx: &Context<'_>, presented: Presented) -> Result<Grant, Error> {
    let Presented {
        token,
        family,
        holder,
        rotated_at,
        rotated_by,
    } = presented;
    let Holder {
        device_name,
        signed_in_at,
        scope,
        account,
    } = holder;
    let scope = Scope::from_row(scope.as_deref());
    let refresh_until = family.expires_at.min(rotated_at.plus(cx.idle()));
    let session = Session {
        id: family.session_id,
        device_name,
        ip: rotated_by.ip,
        user_agent: Some(rotated_by.user_agent).filter(|text| !text.is_empty()),
        created_at: signed_in_at,
        last_used_at: rotated_at,
        expires_at: refresh_until,
        current: true,
        kind: SessionKind::App,
    };
    Ok(Grant {
        token,
        session,
        refresh_until,
        disclosure: scope.disclose(cx, &account)?,
        account,
    })
}

fn refuse<G>(cx: &Context<'_>, family: &Family, refusal: Refusal) -> Result<Outcome<G>, Error> {
    let cause = match refusal {
        Refusal::OtherClient => {
            // I5: not even an event, which another client could pile up on the account.
            tracing::warn!(session = %family.session_id, "refresh refused: the token is another client's");
            return Ok(Outcome::Refused);
        }
        Refusal::Ended => "the session has ended, or the token was replaced with a new password",
        Refusal::Expired => "the session has expired",
        Refusal::LastGeneration => "the family cannot be rotated any further",
    };
    cx.event(Kind::RefreshRefused, family.account)
        .session(family.session_id)
        .detail(json!({ "cause": cause }))
        .write_once(cx)?;
    Ok(Outcome::Refused)
}

fn reused<G>(
    cx: &Context<'_>,
    family: &Family,
    reuse: Reuse,
    token: &RefreshToken,
    device: &Device,
) -> Result<Outcome<G>, Error> {
    let interval = cx.now.since(family.rotated_at).as_secs();
    tracing::warn!(
        session = %family.session_id, presented_by = %device.ip, rotated_by = %family.ip, interval,
        "a refresh token was {}: its session is ended", reuse.as_str()
    );
    cx.event(Kind::RefreshTokenReused, family.account)
        .session(family.session_id)
        .detail(json!({
            "finding": reuse.as_str(),
            "rotated": rotation_of(cx, family)?,
            "seconds_since_rotation": interval,
            "generation": token.generation,
            "live_generation": family.generation,
        }))
        .write(cx)?;
    end(cx, family, Ended::Reuse)?;
    Ok(Outcome::Refused)
}

fn rolled_back<G>(cx: &Context<'_>, family: &Family) -> Result<Outcome<G>, Error> {
    tracing::error!(
        session = %family.session_id,
        "a genuine refresh token is newer than the database: the file went back in time. Was an old copy put in \
         its place? The session is ended. To end all that should be, stop the server and run `authd restore --here`"
    );
    cx.event(Kind::FileRolledBack, family.account)
        .session(family.session_id)
        .write(cx)?;
    end(cx, family, Ended::RolledBack)?;
    Ok(Outcome::RolledBack)
}

/// Ends the family, and its session if the client is the first-party one. A theft in one application does not sign the
/// account owner out of the others.
fn end(tx: &Tx<'_>, family: &Family, reason: Ended) -> Result<(), Broken> {
    if family.client == client::FIRST_PARTY_KEY {
        session::end(tx, family.session, reason)?;
    } else {
        tx.run(
            "UPDATE refresh_family SET revoked_at = ?2, revoke_reason = ?3 WHERE id = ?1 AND revoked_at IS NULL",
            params![family.key, tx.now, reason.as_str()],
        )?;
    }
    Ok(())
}

fn count_open_families(tx: &ReadTx<'_>, session: SessionKey) -> Result<usize, Broken> {
    let count: Option<u32> = tx.row(
        "SELECT count(*) FROM refresh_family WHERE session_id = ?1 AND revoked_at IS NULL",
        params![session],
        |row| row.get(0),
    )?;
    Ok(count.unwrap_or(0) as usize)
}

/// Begins a family in a session; its first token has generation 1.
pub fn begin(
    cx: &Context<'_>,
    session: SessionKey,
    client: ClientKey,
    expires_at: Timestamp,
    scope: Option<String>,
    device: &Device,
) -> Result<RefreshToken, Broken> {
    let family = FamilyId::ordered(cx.now, cx.random());
    let secret = Secret::from_bytes(cx.random());
    let agent = user_agent::intern(cx, device)?;
    cx.run(
        "INSERT INTO refresh_family (public_id, session_id, client_id, epoch, generation, digest, seal, \
         seal_key_id, rotated_at, replays, ip, user_agent_id, lockstep, lockstep_generation, expires_at, scope) \
         VALUES (?1, ?2, ?3, (SELECT epoch FROM server), 1, ?4, ?5, 0, ?6, 0, ?7, ?8, 0, 0, ?9, ?10)",
        params![
            family, session, client, secret.digest(), Seal::NONE, cx.now, device.ip, agent, expires_at, scope
        ],
    )?;
    Ok(RefreshToken {
        family,
        generation: 1,
        secret,
    })
}

/// Whether there is a seal key whose windows are over.
pub fn seal_keys_are_due(tx: &ReadTx<'_>) -> Result<bool, Broken> {
    let due: Option<i64> = tx.row(
        "SELECT id FROM seal_key WHERE (long = 0 AND hour < ?1) OR (long = 1 AND hour < ?2) LIMIT 1",
        params![last_use(tx, ORDINARY_WINDOW), last_use(tx, RETRY_WINDOW)],
        |row| row.get(0),
    )?;
    Ok(due.is_some())
}

/// Deletes seal keys when the longest window that they served is over; returns how many.
pub fn sweep_seal_keys(tx: &Tx<'_>) -> Result<usize, Broken> {
    tx.run(
        "DELETE FROM seal_key WHERE (long = 0 AND hour < ?1) OR (long = 1 AND hour < ?2)",
        params![last_use(tx, ORDINARY_WINDOW), last_use(tx, RETRY_WINDOW)],
    )
}

/// The hour of the oldest seals that may still be opened. A key of an hour closes seals until that hour's end, so the
/// window of the last of them counts from there.
fn last_use(tx: &ReadTx<'_>, window: Duration) -> i64 {
    hour(tx.now.minus(window))
}

fn open_seal(
    tx: &ReadTx<'_>,
    family: &Family,
    presented: &RefreshToken,
) -> Result<Option<Secret>, Broken> {
    let key: Option<SealKey> = tx.row(
        "SELECT key FROM seal_key WHERE id = ?1",
        params![family.seal_key],
        |row| row.get(0),
    )?;
    let opened = key.map(|key| family.seal.open(presented, &key));
    Ok(opened.filter(|secret| secret.digest() == family.digest))
}

fn current_seal_key(tx: &Tx<'_>, long: bool) -> Result<(SealKeyKey, SealKey), Broken> {
    let found = tx.row(
        "SELECT id, key FROM seal_key WHERE hour = ?1 AND long = ?2",
        params![hour(tx.now), long],
        |row| Ok((row.get(0)?, row.get(1)?)),
    )?;
    if let Some(found) = found {
        return Ok(found);
    }
    let key = SealKey::from_bytes(tx.random());
    let made = tx.row(
        "INSERT INTO seal_key (hour, long, key) VALUES (?1, ?2, ?3) RETURNING id",
        params![hour(tx.now), long, &key],
        |row| row.get(0),
    )?;
    made.map(|id| (id, key))
        .ok_or_else(|| unexpected("an insertion returned no row"))
}

pub(super) fn hour(at: Timestamp) -> i64 {
    at.as_unix().div_euclid(3600)
}

fn day(at: Timestamp) -> i64 {
    at.as_unix().div_euclid(86_400)
}

/// The device that rotated last.
fn rotated_by(tx: &ReadTx<'_>, family: &Family) -> Result<Device, Broken> {
    let agent: Option<String> = tx.row(
        "SELECT text FROM user_agent WHERE id = ?1",
        params![family.agent],
        |row| row.get(0),
    )?;
    Ok(Device {
        ip: family.ip,
        user_agent: agent.unwrap_or_default(),
    })
}

/// The same, and when, for an event.
fn rotation_of(tx: &ReadTx<'_>, family: &Family) -> Result<serde_json::Value, Broken> {
    let Device { ip, user_agent } = rotated_by(tx, family)?;
    Ok(json!({ "ip": ip, "user_agent": user_agent, "at": family.rotated_at }))
}

pub(super) fn load(tx: &ReadTx<'_>, id: FamilyId) -> Result<Option<(Family, Holder)>, Broken> {
    tx.row(
        concat!(
            "SELECT f.id, f.session_id, s.public_id, s.account_id, f.client_id, f.generation, f.digest, f.seal, \
                f.seal_key_id, f.rotated_at, f.replays, f.ip, f.user_agent_id, f.retry_digest, f.lockstep, \
                f.lockstep_generation, f.expires_at, \
                f.revoked_at IS NOT NULL OR s.ended_at IS NOT NULL OR a.disabled_at IS NOT NULL \
                    OR f.epoch <> v.epoch, \
                c.replay_window, s.device_name, s.created_at, f.scope, ",
            account_columns!(),
            " FROM refresh_family f \
             JOIN session s ON s.id = f.session_id JOIN account a ON a.id = s.account_id \
             JOIN client c ON c.id = f.client_id JOIN server v ON v.id = 1 \
             WHERE f.public_id = ?1"
        ),
        params![id],
        |row| Ok((family_from_row(row)?, holder_from_row(row)?)),
    )
}

fn family_from_row(row: &Row<'_>) -> Result<Family, Broken> {
    Ok(Family {
        key: row.get(0)?,
        session: row.get(1)?,
        session_id: row.get(2)?,
        account: row.get(3)?,
        client: row.get(4)?,
        generation: row.get(5)?,
        digest: row.get(6)?,
        seal: row.get(7)?,
        seal_key: row.get(8)?,
        rotated_at: row.get(9)?,
        replays: row.get(10)?,
        ip: row.get(11)?,
        agent: row.get(12)?,
        retry: row.get(13)?,
        lockstep: row.get(14)?,
        lockstep_generation: row.get(15)?,
        expires_at: row.get(16)?,
        ended: row.get(17)?,
        client_window: row.get(18)?,
    })
}

fn holder_from_row(row: &Row<'_>) -> Result<Holder, Broken> {
    Ok(Holder {
        device_name: row.get(19)?,
        signed_in_at: row.get(20)?,
        scope: row.get(21)?,
        account: account::from_columns(row, 22)?,
    })
}
