//! Authorization codes: what one was issued for, and what happens when it is exchanged.

use serde_json::json;

use crate::clock::Timestamp;
use crate::ids::{FamilyKey, SessionId};
use crate::secret::AuthorizationCode;
use crate::service::account;
use crate::service::context::Context;
use crate::service::error::unexpected;
use crate::service::event::Kind;
use crate::service::oauth::authorization::require_use;
use crate::service::oauth::client::Client;
use crate::service::oauth::grant::{Granted, Opening, begin, end_family, wrong};
use crate::service::oauth::scope::Scopes;
use crate::service::session::Ended;
use crate::service::token::signing_key::sha256;
use crate::service::{Code, Device, Error};
use crate::store::{Broken, ReadTx, Row, params};

/// A PKCE verifier has 43 to 128 characters (RFC 7636 §4.1).
const VERIFIER_LENGTH: std::ops::RangeInclusive<usize> = 43..=128;

/// What comes with a code.
pub(super) struct PresentedCode<'a> {
    pub redirect_uri: &'a str,
    /// The challenge that the verifier gives.
    pub challenge: Option<&'a str>,
    pub resource: Option<&'a str>,
}

/// A code as it is stored.
struct StoredCode {
    id: i64,
    client: crate::ids::ClientKey,
    redirect_uri: String,
    code_challenge: Option<String>,
    expires_at: Timestamp,
    used_at: Option<Timestamp>,
    family: Option<FamilyKey>,
    session_id: SessionId,
    is_session_ended: bool,
    account: account::Loaded,
    opening: Opening,
}

/// Exchanges a code. `None` is a refusal whose consequences are written: a code that is presented again ends what came of it
/// (req 43). What does not fit the code leaves it as it is: another client cannot use it up (req 44), and neither can a
/// request that forgot its verifier.
pub(super) fn redeem(
    cx: &Context<'_>,
    client: &Client,
    code: &AuthorizationCode,
    presented: &PresentedCode<'_>,
    device: &Device,
) -> Result<Option<Granted>, Error> {
    let Some(stored) = load_code(cx, code)? else {
        return Ok(None);
    };
    if stored.client != client.key {
        return Ok(None);
    }
    if stored.used_at.is_some() {
        end_what_came_of(cx, &stored, client)?;
        return Ok(None);
    }
    if cx.now >= stored.expires_at || stored.is_session_ended {
        return Ok(None);
    }
    if stored.redirect_uri != presented.redirect_uri {
        return Err(wrong(
            "The redirect_uri is not the one of the authorization request.",
        ));
    }
    match (&stored.code_challenge, presented.challenge) {
        (None, None) => {}
        (Some(own), Some(given)) if own == given => {}
        (Some(_), None) => {
            return Err(wrong(
                "The code_verifier is missing (RFC 7636 section 4.5).",
            ));
        }
        (Some(_), Some(_)) => {
            return Err(wrong("The code_verifier does not fit the code_challenge."));
        }
        (None, Some(_)) => {
            return Err(wrong(
                "There is a code_verifier, but the authorization request had no code_challenge.",
            ));
        }
    }
    require_use(cx, client, stored.account.key)
        .map_err(|_| wrong("The account may not use this app any more."))?;
    let mut opening = stored.opening;
    if let Some(resource) = presented.resource {
        // RFC 8707 §2.2: no other resource than the account owner was told of.
        if opening
            .resource
            .as_deref()
            .is_some_and(|granted| granted != resource)
        {
            return Err(Error::no(
                Code::InvalidTarget,
                "The code was granted for another resource.",
            ));
        }
        opening.resource = Some(resource.to_owned());
    }
    let granted = begin(
        cx,
        client,
        stored.account,
        stored.session_id,
        opening,
        device,
    )?;
    let used = cx.run(
        "UPDATE authorization_code SET used_at = ?2, family_id = (SELECT id FROM refresh_family WHERE public_id = ?3) \
         WHERE id = ?1 AND used_at IS NULL",
        params![stored.id, cx.now, granted.family],
    )?;
    match used {
        1 => Ok(Some(granted)),
        _ => Err(unexpected("a code changed inside its own transaction").into()),
    }
}

/// A code that is presented a second time was copied, by whoever came first or second.
fn end_what_came_of(cx: &Context<'_>, code: &StoredCode, client: &Client) -> Result<(), Error> {
    let Some(family) = code.family else {
        return Ok(());
    };
    let ended = end_family(cx, family, Ended::Reuse)?;
    if ended {
        cx.event(Kind::AuthorizationCodeReused, code.account.key)
            .session(code.session_id)
            .detail(json!({ "client_id": client.client_id, "app": client.name }))
            .write(cx)?;
    }
    Ok(())
}

fn load_code(tx: &ReadTx<'_>, code: &AuthorizationCode) -> Result<Option<StoredCode>, Broken> {
    tx.row(
        concat!(
            "SELECT k.id, k.client_id, k.redirect_uri, k.code_challenge, k.expires_at, k.used_at, k.family_id, s.public_id, \
             s.ended_at IS NOT NULL OR a.disabled_at IS NOT NULL, s.id, k.scope, k.resource, k.nonce, k.auth_time, k.amr, ",
            account::account_columns!(),
            " FROM authorization_code k JOIN session s ON s.id = k.session_id JOIN account a ON a.id = s.account_id \
             WHERE k.digest = ?1"
        ),
        params![code.digest()],
        code_from_row,
    )
}

fn code_from_row(row: &Row<'_>) -> Result<StoredCode, Broken> {
    let scope: String = row.get(10)?;
    Ok(StoredCode {
        id: row.get(0)?,
        client: row.get(1)?,
        redirect_uri: row.get(2)?,
        code_challenge: row.get(3)?,
        expires_at: row.get(4)?,
        used_at: row.get(5)?,
        family: row.get(6)?,
        session_id: row.get(7)?,
        is_session_ended: row.get(8)?,
        opening: Opening {
            session: row.get(9)?,
            scope: Scopes::from_row(&scope),
            resource: row.get(11)?,
            nonce: row.get(12)?,
            auth_time: row.get(13)?,
            amr: row.get(14)?,
        },
        account: account::from_columns(row, 15)?,
    })
}

/// The challenge that a verifier gives (RFC 7636 §4.6).
pub(super) fn read_verifier(verifier: Option<&str>) -> Result<Option<String>, Error> {
    let Some(verifier) = verifier.filter(|verifier| !verifier.is_empty()) else {
        return Ok(None);
    };
    let is_char = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    if !VERIFIER_LENGTH.contains(&verifier.len()) || !verifier.bytes().all(is_char) {
        return Err(wrong(
            "The code_verifier has 43 to 128 letters, digits and characters of -._~ (RFC 7636 section 4.1).",
        ));
    }
    Ok(Some(sha256(verifier)))
}
