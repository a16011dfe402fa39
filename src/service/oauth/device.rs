//! Signing in on a device that has no browser, or no keyboard to speak of (RFC 8628): a television, a command line.
//!
//! The device shows a short code, and a person types it at another screen, where the person is signed in. The person sees which
//! app and which address asks, and is always asked: whoever sends somebody such a code is in the place of the device
//! (RFC 8628 §5.4).

use std::sync::Arc;
use std::time::Duration;

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::json;

use crate::clock::Timestamp;
use crate::ids::{ClientKey, SessionKey};
use crate::secret::DeviceCode;
use crate::service::account;
use crate::service::context::Context;
use crate::service::error::unexpected;
use crate::service::event::Kind;
use crate::service::oauth::authorization::{may_use, remember, require_use};
use crate::service::oauth::client::{Client, GrantType};
use crate::service::oauth::exchange::{TokenRequest, Tokens, read_resource, read_scope, required};
use crate::service::oauth::grant::{Granted, Opening, begin};
use crate::service::oauth::scope::Scopes;
use crate::service::session;
use crate::service::throttle::{self, Subject};
use crate::service::{Authd, Browser, Code, Device, Error};
use crate::store::{Broken, ReadTx, Tx, params};

/// How long a code can be typed.
const LIFE: Duration = Duration::from_secs(10 * 60);

/// How often a device may ask at first, and by how much more each time that it does not wait (RFC 8628 §3.5), in seconds.
const INTERVAL: u32 = 5;

/// Letters that make no words and do not look like each other (RFC 8628 §6.1).
const ALPHABET: &[u8; 20] = b"BCDFGHJKLMNPQRSTVWXZ";

/// Letters of a code: 34 bits, which a person who is signed in may guess at ten times, and then once a minute.
const LETTERS: usize = 8;

/// The most devices of one client that wait: beyond, the oldest goes.
const MOST_WAITING: u32 = 1000;

/// What the device is told (RFC 8628 §3.2).
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct DeviceAuthorization {
    /// With this the device asks for its tokens.
    pub device_code: String,
    /// What the person types.
    pub user_code: String,
    /// Where.
    pub verification_uri: String,
    /// The same with the code in it: for a QR code or a link.
    pub verification_uri_complete: String,
    /// Seconds until both codes expire.
    pub expires_in: u64,
    /// Seconds between two questions.
    pub interval: u32,
}

/// A device that waits, as the person who typed its code sees it.
#[derive(Clone, Debug)]
pub struct WaitingDevice {
    /// The app.
    pub client: Arc<Client>,
    /// What it asks for.
    pub scope: Scopes,
    /// The device that asked.
    pub device: Device,
    /// The code, as it is shown.
    pub user_code: String,
}

impl Authd {
    /// Begins the sign-in of a device.
    ///
    /// # Errors
    /// [`Code::UnauthorizedClient`]; [`Code::InvalidScope`]; [`Code::InvalidTarget`]; [`Code::TooManyRequests`] for more than a
    /// few from one network; [`Code::StorageLow`].
    pub fn begin_device(
        &self,
        client: &Arc<Client>,
        scope: Option<&str>,
        resource: Option<&str>,
        device: &Device,
    ) -> Result<DeviceAuthorization, Error> {
        if !client.may_use(GrantType::DeviceCode) {
            return Err(Error::no(
                Code::UnauthorizedClient,
                "The client is not registered for the device grant (RFC 8628).",
            ));
        }
        self.require_storage()?;
        let scope = read_scope(scope)?.within(&client.scope);
        let resource = read_resource(client, resource)?;
        let (key, from) = (client.key, device.clone());
        let (code, user_code) = self.write(Some(device), move |cx| {
            cx.require_storage()?;
            throttle::take(cx, cx.tag_key(), &Subject::Device(from.ip))?;
            insert(cx, key, &scope, resource.as_deref(), &from)
        })?;
        let issuer = &self.policy().issuer;
        Ok(DeviceAuthorization {
            device_code: code.reveal(),
            verification_uri: format!("{issuer}/device"),
            verification_uri_complete: format!("{issuer}/device?user_code={user_code}"),
            user_code,
            expires_in: LIFE.as_secs(),
            interval: INTERVAL,
        })
    }

    /// The device that waits with this code. Wrong codes are counted by session.
    ///
    /// # Errors
    /// [`Code::NotFound`] if none does; [`Code::TooManyRequests`] after too many wrong ones; [`Code::AccessDenied`] if the
    /// account may not use the app.
    pub fn waiting_device(&self, browser: &Browser, typed: &str) -> Result<WaitingDevice, Error> {
        let code = read_user_code(typed);
        let session = browser.actor.session;
        let account = browser.actor.account_key;
        let found = self.write(None, move |cx| {
            throttle::take(cx, cx.tag_key(), &Subject::UserCode(session))?;
            let found = code
                .as_deref()
                .map(|code| find_waiting(cx, code))
                .transpose()?
                .flatten();
            if found.is_some() {
                throttle::give_back(cx, cx.tag_key(), &Subject::UserCode(session))?;
            }
            Ok::<_, Error>(found)
        })?;
        let (client, scope, device, user_code) = found.ok_or_else(no_such_code)?;
        let client = self.client(&client)?.ok_or_else(no_such_code)?;
        let allowed = Arc::clone(&client);
        self.store.read(|tx| require_use(tx, &allowed, account))?;
        Ok(WaitingDevice {
            client,
            scope,
            device,
            user_code,
        })
    }

    /// Allows or refuses a device that waits.
    ///
    /// # Errors
    /// [`Code::NotFound`] if it does not wait any more; [`Code::InvalidToken`] if the session ended meanwhile;
    /// [`Code::AccessDenied`].
    pub fn decide_device(
        &self,
        browser: &Browser,
        waiting: &WaitingDevice,
        is_allowed: bool,
        device: &Device,
    ) -> Result<(), Error> {
        let (actor, auth_time, amr) = (
            browser.actor.clone(),
            browser.auth_time,
            browser.amr.clone(),
        );
        let waiting = waiting.clone();
        self.write(Some(device), move |cx| {
            session::require_open(cx, &actor, cx.idle())?;
            let (session, denied_at) = match is_allowed {
                true => {
                    require_use(cx, &waiting.client, actor.account_key)?;
                    remember(cx, &waiting.client, &waiting.scope, &actor)?;
                    (Some(actor.session_key), None)
                }
                false => (None, Some(cx.now)),
            };
            let decided = cx.run(
                "UPDATE device_authorization SET session_id = ?2, auth_time = ?3, amr = ?4, denied_at = ?5 \
                 WHERE user_code = ?1 AND session_id IS NULL AND denied_at IS NULL AND expires_at > ?6",
                params![waiting.user_code, session, auth_time, amr, denied_at, cx.now],
            )?;
            match decided {
                1 => Ok(()),
                _ => Err(no_such_code()),
            }
        })
    }

    pub(in crate::service) fn exchange_device_code(
        &self,
        client: &Arc<Client>,
        request: &TokenRequest<'_>,
        device: &Device,
    ) -> Result<Tokens, Error> {
        let code = required(request.device_code, "device_code")?;
        let code = DeviceCode::read(code).ok_or_else(unknown_code)?;
        let (presenter, from) = (Arc::clone(client), device.clone());
        let polled = self.write(Some(device), move |cx| poll(cx, &presenter, &code, &from))?;
        match polled {
            Polled::Granted(granted) => self.issue_tokens(client, *granted),
            Polled::Pending => Err(Error::no(
                Code::AuthorizationPending,
                "The person has not answered yet. Ask again after the interval.",
            )),
            Polled::TooSoon => Err(Error::no(
                Code::SlowDown,
                "The device asks too often. Wait 5 seconds longer from now on.",
            )),
        }
    }
}

/// What a question of a device led to, as it was committed.
enum Polled {
    Granted(Box<Granted>),
    Pending,
    TooSoon,
}

fn insert(
    cx: &Context<'_>,
    client: ClientKey,
    scope: &Scopes,
    resource: Option<&str>,
    device: &Device,
) -> Result<(DeviceCode, String), Error> {
    cx.run(
        "DELETE FROM device_authorization WHERE client_id = ?1 AND id NOT IN \
         (SELECT id FROM device_authorization WHERE client_id = ?1 ORDER BY id DESC LIMIT ?2)",
        params![client, MOST_WAITING - 1],
    )?;
    let code = DeviceCode::from_bytes(cx.random());
    // Another device may have the same code: one in 25 thousand millions for each that waits.
    for _ in 0..3 {
        let user_code = draw_user_code(cx);
        let made = cx.run(
            "INSERT INTO device_authorization (digest, user_code, client_id, scope, resource, ip, user_agent, requested_at, \
             expires_at, poll_interval) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10) ON CONFLICT (user_code) DO NOTHING",
            params![
                code.digest(),
                user_code,
                client,
                scope.to_string(),
                resource,
                device.ip,
                device.user_agent,
                cx.now,
                cx.now.plus(LIFE),
                INTERVAL,
            ],
        )?;
        if made == 1 {
            return Ok((code, user_code));
        }
    }
    Err(unexpected("three random codes were taken").into())
}

/// A random code: `BCDF-GHJK`. Bytes that would make some letters likelier than others are left out.
fn draw_user_code(tx: &Tx<'_>) -> String {
    let mut code = String::new();
    while code.len() < LETTERS + 1 {
        let bytes: [u8; 16] = tx.random();
        for byte in bytes.into_iter().filter(|byte| *byte < 240) {
            match code.len() {
                length if length == LETTERS + 1 => break,
                length if length == LETTERS / 2 => code.push('-'),
                _ => code.push(char::from(ALPHABET[usize::from(byte) % ALPHABET.len()])),
            }
        }
    }
    code
}

/// A code as a person types it: in any case, with or without the hyphen.
fn read_user_code(typed: &str) -> Option<String> {
    if typed.len() > 64 {
        return None;
    }
    let letters: String = typed
        .chars()
        .filter(char::is_ascii_alphanumeric)
        .map(|c| c.to_ascii_uppercase())
        .collect();
    let is_code = letters.len() == LETTERS && letters.bytes().all(|byte| ALPHABET.contains(&byte));
    is_code.then(|| format!("{}-{}", &letters[..LETTERS / 2], &letters[LETTERS / 2..]))
}

type Found = (String, Scopes, Device, String);

fn find_waiting(tx: &ReadTx<'_>, user_code: &str) -> Result<Option<Found>, Broken> {
    tx.row(
        "SELECT c.client_id, d.scope, d.ip, d.user_agent, d.user_code FROM device_authorization d \
         JOIN client c ON c.id = d.client_id \
         WHERE d.user_code = ?1 AND d.session_id IS NULL AND d.denied_at IS NULL AND d.expires_at > ?2",
        params![user_code, tx.now],
        |row| {
            let scope: String = row.get(1)?;
            let agent: Option<String> = row.get(3)?;
            let device = Device { ip: row.get(2)?, user_agent: agent.unwrap_or_default() };
            Ok((row.get(0)?, Scopes::from_row(&scope), device, row.get(4)?))
        },
    )
}

struct Stored {
    id: i64,
    client: ClientKey,
    scope: Scopes,
    resource: Option<String>,
    expires_at: Timestamp,
    interval: u32,
    polled_at: Option<Timestamp>,
    session: Option<SessionKey>,
    auth_time: Option<Timestamp>,
    amr: Option<String>,
    is_denied: bool,
}

/// What the device gets that asks. Questions that come too soon change the interval, and are told so even after the person
/// answered: the next one brings the tokens.
fn poll(
    cx: &Context<'_>,
    client: &Client,
    code: &DeviceCode,
    device: &Device,
) -> Result<Polled, Error> {
    let stored = load(cx, code)?.filter(|stored| stored.client == client.key);
    let stored = stored.ok_or_else(unknown_code)?;
    if cx.now >= stored.expires_at {
        return Err(Error::no(
            Code::ExpiredToken,
            "The codes have expired. Begin again.",
        ));
    }
    if stored.is_denied {
        return Err(Error::no(Code::AccessDenied, "The person refused."));
    }
    let wait = Duration::from_secs(stored.interval.into());
    let is_too_soon = stored.polled_at.is_some_and(|at| cx.now < at.plus(wait));
    let interval = stored.interval + if is_too_soon { INTERVAL } else { 0 };
    cx.run(
        "UPDATE device_authorization SET polled_at = ?2, poll_interval = ?3 WHERE id = ?1",
        params![stored.id, cx.now, interval],
    )?;
    if is_too_soon {
        return Ok(Polled::TooSoon);
    }
    let (Some(session), Some(auth_time), Some(amr)) =
        (stored.session, stored.auth_time, stored.amr)
    else {
        return Ok(Polled::Pending);
    };
    let loaded = session::load(cx, session, cx.idle())?;
    if !loaded.liveness.is_open(cx.now, cx.idle()) {
        return Err(Error::no(
            Code::AccessDenied,
            "The session in which the device was allowed has ended.",
        ));
    }
    let owner: Option<crate::ids::AccountKey> = cx.row(
        "SELECT account_id FROM session WHERE id = ?1",
        params![session],
        |row| row.get(0),
    )?;
    let account = account::load(cx, owner.ok_or_else(|| unexpected("a session is gone"))?)?;
    if !may_use(cx, client, account.key)? {
        return Err(Error::no(
            Code::AccessDenied,
            "The account may not use this app any more.",
        ));
    }
    // It works once.
    cx.run(
        "DELETE FROM device_authorization WHERE id = ?1",
        params![stored.id],
    )?;
    cx.event(Kind::DeviceAllowed, account.key)
        .session(loaded.shown.id)
        .detail(json!({ "client_id": client.client_id, "app": client.name }))
        .write(cx)?;
    let opening = Opening {
        session,
        scope: stored.scope.within(&client.scope),
        resource: stored.resource,
        nonce: None,
        auth_time,
        amr,
    };
    let granted = begin(cx, client, account, loaded.shown.id, opening, device)?;
    Ok(Polled::Granted(Box::new(granted)))
}

fn load(tx: &ReadTx<'_>, code: &DeviceCode) -> Result<Option<Stored>, Broken> {
    tx.row(
        "SELECT id, client_id, scope, resource, expires_at, poll_interval, polled_at, session_id, auth_time, amr, \
         denied_at IS NOT NULL FROM device_authorization WHERE digest = ?1",
        params![code.digest()],
        |row| {
            let scope: String = row.get(2)?;
            Ok(Stored {
                id: row.get(0)?,
                client: row.get(1)?,
                scope: Scopes::from_row(&scope),
                resource: row.get(3)?,
                expires_at: row.get(4)?,
                interval: row.get(5)?,
                polled_at: row.get(6)?,
                session: row.get(7)?,
                auth_time: row.get(8)?,
                amr: row.get(9)?,
                is_denied: row.get(10)?,
            })
        },
    )
}

/// Deletes codes that have expired, an hour later: until then a device learns why it gets nothing. At most `limit`.
pub(in crate::service) fn sweep(tx: &Tx<'_>, limit: u32) -> Result<usize, Broken> {
    tx.run(
        "DELETE FROM device_authorization WHERE id IN \
         (SELECT id FROM device_authorization WHERE expires_at < ?1 ORDER BY expires_at LIMIT ?2)",
        params![tx.now.minus(Duration::from_secs(60 * 60)), limit],
    )
}

fn unknown_code() -> Error {
    Error::no(
        Code::InvalidGrant,
        "The device code is unknown, was used, or is of another client.",
    )
}

fn no_such_code() -> Error {
    Error::not_found("device with this code")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test] // RFC 8628 §6.1
    fn a_code_is_read_as_people_type_it() {
        for typed in ["BCDF-GHJK", "bcdfghjk", " bcdf ghjk ", "b.c.d.f-g.h.j.k"] {
            assert_eq!(
                read_user_code(typed).as_deref(),
                Some("BCDF-GHJK"),
                "{typed}"
            );
        }
        for wrong in [
            "",
            "BCDF-GHJ",
            "BCDF-GHJKL",
            "ACDF-GHJK",
            "1234-5678",
            &"B".repeat(65),
        ] {
            assert_eq!(read_user_code(wrong), None, "{wrong}");
        }
    }
}
