//! The token endpoint (RFC 6749 §3.2): what a client gets for a code, a refresh token or its own secret.
//!
//! A transaction decides and writes; the tokens are signed after its commit, on the thread of the request. An RSA signature
//! takes ten times as long as all the rest.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::json;

use crate::clock::Timestamp;
use crate::ids::{FamilyId, FamilyKey, SessionId, SessionKey};
use crate::secret::{AuthorizationCode, RefreshToken};
use crate::service::account;
use crate::service::context::Context;
use crate::service::error::unexpected;
use crate::service::event::Kind;
use crate::service::oauth::authorization::require_use;
use crate::service::oauth::claims::{self, Authentication, Identity};
use crate::service::oauth::client::{Client, GrantType};
use crate::service::oauth::scope::{self, Scopes};
use crate::service::session::Ended;
use crate::service::token::refresh::{self, Presented, invalid_grant};
use crate::service::token::signing_key::sha256;
use crate::service::{Authd, Code, Device, Error};
use crate::store::{Broken, ReadTx, Row, params};

/// A PKCE verifier has 43 to 128 characters (RFC 7636 §4.1).
const VERIFIER_LENGTH: std::ops::RangeInclusive<usize> = 43..=128;

/// A request to the token endpoint, whose client was authenticated.
#[derive(Clone, Copy, Debug, Default)]
pub struct TokenRequest<'a> {
    /// What is presented.
    pub grant_type: &'a str,
    /// An authorization code.
    pub code: Option<&'a str>,
    /// The redirect address of the request that the code answered.
    pub redirect_uri: Option<&'a str>,
    /// The PKCE verifier.
    pub code_verifier: Option<&'a str>,
    /// A refresh token.
    pub refresh_token: Option<&'a str>,
    /// A device code.
    pub device_code: Option<&'a str>,
    /// The scope, if less is wanted than was granted.
    pub scope: Option<&'a str>,
    /// The server for which the access token is to be.
    pub resource: Option<&'a str>,
}

/// What the client gets (RFC 6749 §5.1, OpenID Connect Core §3.1.3.3).
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Tokens {
    /// A signed JWT (RFC 9068).
    pub access_token: String,
    /// Always `Bearer`.
    pub token_type: &'static str,
    /// Seconds until the access token expires.
    pub expires_in: u64,
    /// The next refresh token, if the client may refresh.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refresh_token: Option<String>,
    /// What was granted.
    pub scope: String,
    /// Who signed in, if the scope has `openid`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id_token: Option<String>,
}

/// What a transaction granted: all that the tokens say.
pub(in crate::service) struct Granted {
    family: FamilyId,
    refresh_token: Option<RefreshToken>,
    authentication: Authentication,
    identity: Identity,
    scope: Scopes,
    resource: Option<String>,
    nonce: Option<String>,
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

impl Authd {
    /// Answers a request to the token endpoint.
    ///
    /// # Errors
    /// Those of RFC 6749 §5.2: [`Code::InvalidGrant`], [`Code::InvalidRequest`], [`Code::UnauthorizedClient`],
    /// [`Code::UnsupportedGrantType`], [`Code::InvalidScope`], [`Code::InvalidTarget`].
    pub fn exchange(
        &self,
        client: &Arc<Client>,
        request: &TokenRequest<'_>,
        device: &Device,
    ) -> Result<Tokens, Error> {
        let grant = GrantType::read(request.grant_type).ok_or_else(|| {
            Error::no(
                Code::UnsupportedGrantType,
                "This server does not have this grant type.",
            )
        })?;
        if !client.may_use(grant) {
            return Err(Error::no(
                Code::UnauthorizedClient,
                format!(
                    "The client is not registered for the grant {}.",
                    grant.as_str()
                ),
            ));
        }
        match grant {
            GrantType::AuthorizationCode => self.exchange_code(client, request, device),
            GrantType::RefreshToken => self.exchange_refresh_token(client, request, device),
            GrantType::ClientCredentials => self.exchange_credentials(client, request),
            GrantType::DeviceCode => self.exchange_device_code(client, request, device),
        }
    }

    fn exchange_code(
        &self,
        client: &Arc<Client>,
        request: &TokenRequest<'_>,
        device: &Device,
    ) -> Result<Tokens, Error> {
        let code = required(request.code, "code")?;
        let code = AuthorizationCode::read(code).ok_or_else(invalid_code)?;
        let redirect_uri = required(request.redirect_uri, "redirect_uri")?.to_owned();
        let challenge = read_verifier(request.code_verifier)?;
        let resource = read_resource(client, request.resource)?;
        let (presenter, from) = (Arc::clone(client), device.clone());
        let granted = self.write(Some(device), move |cx| {
            let presented = PresentedCode {
                redirect_uri: &redirect_uri,
                challenge: challenge.as_deref(),
                resource: resource.as_deref(),
            };
            redeem(cx, &presenter, &code, &presented, &from)
        })?;
        self.issue_tokens(client, granted.ok_or_else(invalid_code)?)
    }

    fn exchange_refresh_token(
        &self,
        client: &Arc<Client>,
        request: &TokenRequest<'_>,
        device: &Device,
    ) -> Result<Tokens, Error> {
        let token = required(request.refresh_token, "refresh_token")?;
        let token = RefreshToken::read(token, &self.settings.tag_key).ok_or_else(invalid_grant)?;
        let asked = request
            .scope
            .map(|text| read_scope(Some(text)))
            .transpose()?;
        let resource = read_resource(client, request.resource)?;
        let presenter = Arc::clone(client);
        let granted = self.present(token, client.key, None, device, move |cx, presented| {
            refreshed(
                cx,
                &presenter,
                presented,
                asked.as_ref(),
                resource.as_deref(),
            )
        })?;
        self.issue_tokens(client, granted)
    }

    /// RFC 6749 §4.4: the client's own token. There is no account, so there is no ID token and no refresh token.
    fn exchange_credentials(
        &self,
        client: &Client,
        request: &TokenRequest<'_>,
    ) -> Result<Tokens, Error> {
        if client.is_public() {
            return Err(Error::no(
                Code::UnauthorizedClient,
                "A client without a secret cannot authenticate itself.",
            ));
        }
        let resource = read_resource(client, request.resource)?;
        let asked = read_scope(request.scope)?;
        // The words that disclose something of an account mean nothing here.
        let own = client
            .scope
            .iter()
            .filter(|word| !scope::KNOWN.contains(word))
            .collect();
        let granted = match request.scope {
            Some(_) => asked.within(&own),
            None => own,
        };
        Ok(Tokens {
            access_token: self.sign_client_token(client, &granted, resource.as_deref())?,
            token_type: "Bearer",
            expires_in: client.access_token_lifetime(self).as_secs(),
            refresh_token: None,
            scope: granted.to_string(),
            id_token: None,
        })
    }

    /// Signs what a transaction granted.
    pub(in crate::service) fn issue_tokens(
        &self,
        client: &Client,
        granted: Granted,
    ) -> Result<Tokens, Error> {
        let Granted {
            family,
            refresh_token,
            authentication,
            identity,
            scope,
            resource,
            nonce,
        } = granted;
        let access_token = self.sign_app_token(
            client,
            family,
            &authentication,
            &identity,
            &scope,
            resource.as_deref(),
        )?;
        let id_token = match scope.has(scope::OPENID) {
            true => Some(self.sign_id_token(
                client,
                &identity,
                &authentication,
                nonce.as_deref(),
                &access_token,
            )?),
            false => None,
        };
        Ok(Tokens {
            access_token,
            token_type: "Bearer",
            expires_in: client.access_token_lifetime(self).as_secs(),
            refresh_token: refresh_token.map(|token| token.reveal(&self.settings.tag_key)),
            scope: scope.to_string(),
            id_token,
        })
    }
}

/// What comes with a code.
struct PresentedCode<'a> {
    redirect_uri: &'a str,
    /// The challenge that the verifier gives.
    challenge: Option<&'a str>,
    resource: Option<&'a str>,
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
fn redeem(
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

/// What a refresh grants: what the family was granted, or less.
fn refreshed(
    cx: &Context<'_>,
    client: &Client,
    presented: Presented,
    asked: Option<&Scopes>,
    resource: Option<&str>,
) -> Result<Granted, Error> {
    let Presented {
        token,
        family,
        holder,
        ..
    } = presented;
    let granted = Scopes::from_row(holder.scope.as_deref().unwrap_or_default());
    let stored: Option<(Option<String>, Timestamp, String)> = cx.row(
        "SELECT resource, auth_time, amr FROM oauth_grant WHERE family_id = ?1",
        params![family.key],
        |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)),
    )?;
    let (own_resource, auth_time, amr) =
        stored.ok_or_else(|| unexpected("a family of an app has no grant"))?;
    let scope = match asked {
        // req 49
        Some(asked) if !granted.include(asked) => {
            return Err(Error::no(
                Code::InvalidScope,
                "The scope is wider than the one that was granted.",
            ));
        }
        Some(asked) if !asked.is_empty() => asked.clone(),
        // What the client may not ask for any more is not granted any more.
        _ => granted,
    };
    let scope = scope.within(&client.scope);
    if resource.is_some() && own_resource.as_deref() != resource {
        return Err(Error::no(
            Code::InvalidTarget,
            "The refresh token was granted for another resource.",
        ));
    }
    require_use(cx, client, holder.account.key)
        .map_err(|_| wrong("The account may not use this app any more."))?;
    Ok(Granted {
        family: token.family,
        identity: claims::identity(cx, &holder.account, &scope)?,
        refresh_token: Some(token),
        authentication: Authentication {
            session: family.session_id,
            auth_time,
            amr,
        },
        scope,
        resource: own_resource,
        // OpenID Connect Core §12.2: the ID token of a refresh has none.
        nonce: None,
    })
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

/// A parameter that the grant cannot do without.
pub(in crate::service) fn required<'a>(
    value: Option<&'a str>,
    name: &str,
) -> Result<&'a str, Error> {
    let value = value.filter(|value| !value.is_empty());
    value.ok_or_else(|| Error::invalid(format!("The parameter {name} is missing.")))
}

pub(in crate::service) fn read_scope(text: Option<&str>) -> Result<Scopes, Error> {
    Scopes::read(text.unwrap_or_default()).ok_or_else(|| {
        Error::no(
            Code::InvalidScope,
            "The scope has a character that no scope has, or is too long.",
        )
    })
}

pub(in crate::service) fn read_resource(
    client: &Client,
    asked: Option<&str>,
) -> Result<Option<String>, Error> {
    let Some(asked) = asked.filter(|asked| !asked.is_empty()) else {
        return Ok(None);
    };
    let resource = client.resource(asked).map(str::to_owned);
    resource.map(Some).ok_or_else(|| {
        Error::no(
            Code::InvalidTarget,
            "The client is not registered for this resource.",
        )
    })
}

/// The challenge that a verifier gives (RFC 7636 §4.6).
fn read_verifier(verifier: Option<&str>) -> Result<Option<String>, Error> {
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

/// One answer for an unknown, expired, used and foreign code.
fn invalid_code() -> Error {
    wrong("The code is unknown, was used, has expired, or is of another client.")
}

fn wrong(words: &str) -> Error {
    Error::no(Code::InvalidGrant, words)
}
