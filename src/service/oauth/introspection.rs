//! What a token is worth at this moment (RFC 7662), and how a client gives one back (RFC 7009).

use std::sync::Arc;

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::json;

use crate::ids::{AccountId, FamilyId, SessionId};
use crate::secret::RefreshToken;
use crate::service::event::Kind;
use crate::service::oauth::access::{AppClaims, live_grant};
use crate::service::oauth::client::Client;
use crate::service::oauth::grant::end_family;
use crate::service::session::client::FIRST_PARTY;
use crate::service::session::{self, Ended};
use crate::service::token::found;
use crate::service::{Authd, Code, Device, Error};
use crate::store::params;

/// The answer to an introspection request. Of a token that is not active nothing is told (RFC 7662 §2.2).
#[derive(Clone, Debug, Default, Serialize, JsonSchema)]
pub struct Introspection {
    /// Whether the token is good at this moment.
    pub active: bool,
    /// What it may do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scope: Option<String>,
    /// The client that it was issued to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_id: Option<String>,
    /// The login of the account, for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub username: Option<String>,
    /// `Bearer`, for an access token.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token_type: Option<&'static str>,
    /// When it expires, in seconds since the Unix epoch.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exp: Option<i64>,
    /// When it was issued.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub iat: Option<i64>,
    /// The account, or the client of a token that no account granted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sub: Option<String>,
    /// Who may accept it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub aud: Option<String>,
    /// This server.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub iss: Option<String>,
    /// Its own name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub jti: Option<String>,
    /// The session in which it was granted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sid: Option<String>,
}

impl Authd {
    /// Says what a token is worth, to a client that authenticated with its secret. A client that holds an access token may ask
    /// about it, whoever it was issued to: servers that take tokens do that. Of refresh tokens it is told of its own alone.
    ///
    /// # Errors
    /// [`Code::InvalidClient`] for a public client: anybody could ask in its name (RFC 7662 §2.1).
    pub fn introspect(&self, client: &Client, token: &str) -> Result<Introspection, Error> {
        if client.is_public() {
            return Err(Error::no(
                Code::InvalidClient,
                "Introspection takes a client with a secret.",
            ));
        }
        match self.read_app_token(token)? {
            Some(claims) => self.introspect_access_token(claims),
            None => self.introspect_refresh_token(client, token),
        }
    }

    fn introspect_access_token(&self, claims: AppClaims) -> Result<Introspection, Error> {
        let username = match (&claims.grant_id, &claims.sid) {
            (Some(grant), _) => self.user_of_grant(grant, &claims)?,
            (None, Some(session)) => self.user_of_session(session, &claims)?,
            // A client's own token lives as long as the client.
            (None, None) => self.client(&claims.client_id)?.map(|_| None),
        };
        let Some(username) = username else {
            return Ok(Introspection::default());
        };
        Ok(Introspection {
            active: true,
            scope: Some(claims.scope).filter(|scope| !scope.is_empty()),
            client_id: Some(claims.client_id),
            username,
            token_type: Some("Bearer"),
            exp: Some(claims.exp),
            iat: Some(claims.iat),
            sub: Some(claims.sub),
            aud: Some(claims.aud),
            iss: Some(claims.iss),
            jti: Some(claims.jti),
            sid: claims.sid,
        })
    }

    /// The login of the account that gave a grant; `None` if the grant does not go on.
    fn user_of_grant(
        &self,
        grant: &str,
        claims: &AppClaims,
    ) -> Result<Option<Option<String>>, Error> {
        let Ok(grant) = grant.parse::<FamilyId>() else {
            return Ok(None);
        };
        let live = self
            .store
            .read(|tx| live_grant(tx, grant, &claims.client_id))?;
        Ok(live.map(|live| {
            let account = live.account.shown;
            Some(account.username.unwrap_or(account.email))
        }))
    }

    /// The same for a first-party access token, whose session it names.
    fn user_of_session(
        &self,
        session: &str,
        claims: &AppClaims,
    ) -> Result<Option<Option<String>>, Error> {
        let (Ok(session), Ok(account)) = (
            session.parse::<SessionId>(),
            claims.sub.parse::<AccountId>(),
        ) else {
            return Ok(None);
        };
        if claims.client_id != FIRST_PARTY {
            return Ok(None);
        }
        let idle = self.policy().session_idle_lifetime;
        let login = self.store.read(|tx| {
            let open =
                session::find_open(tx, session, idle)?.filter(|open| open.account_id == account);
            let Some(open) = open else { return Ok(None) };
            tx.row(
                "SELECT coalesce(a.username, a.email) FROM account a WHERE a.id = ?1",
                params![open.account],
                |row| row.get(0),
            )
        })?;
        Ok(login.map(Some))
    }

    fn introspect_refresh_token(
        &self,
        client: &Client,
        token: &str,
    ) -> Result<Introspection, Error> {
        let Some(token) = RefreshToken::read(token, &self.settings.tag_key) else {
            return Ok(Introspection::default());
        };
        let idle = self.policy().session_idle_lifetime;
        let found = self.store.read(|tx| found::find(tx, &token, idle))?;
        let found = found.filter(|found| found.valid && found.client_id == client.client_id);
        let Some(found) = found else {
            return Ok(Introspection::default());
        };
        Ok(Introspection {
            active: true,
            client_id: Some(found.client_id),
            username: Some(found.email),
            exp: Some(found.expires_at.as_unix()),
            sub: Some(found.account.to_string()),
            iss: Some(self.policy().issuer.clone()),
            sid: Some(found.session.to_string()),
            ..Introspection::default()
        })
    }

    /// Gives a token back: ends the grant that it belongs to. A token that is unknown, or another client's, changes nothing
    /// and is no error (RFC 7009 §2.2).
    ///
    /// # Errors
    /// [`Code::UnsupportedTokenType`] for a token that no grant stands behind; those of the store, so that a client never takes
    /// a token for revoked that is not (req 52).
    pub fn revoke(&self, client: &Arc<Client>, token: &str, device: &Device) -> Result<(), Error> {
        let family = match RefreshToken::read(token, &self.settings.tag_key) {
            Some(token) => Some(token.family),
            None => match self
                .read_app_token(token)?
                .filter(|claims| claims.client_id == client.client_id)
            {
                Some(AppClaims {
                    grant_id: Some(grant),
                    ..
                }) => grant.parse().ok(),
                Some(_) => {
                    return Err(Error::no(
                        Code::UnsupportedTokenType,
                        "This token stands for the client itself and cannot be revoked. It expires by itself.",
                    ));
                }
                None => None,
            },
        };
        let Some(family) = family else { return Ok(()) };
        let client = Arc::clone(client);
        self.write(Some(device), move |cx| {
            let found = cx.row(
                "SELECT f.id, s.account_id, s.public_id FROM refresh_family f JOIN session s ON s.id = f.session_id \
                 WHERE f.public_id = ?1 AND f.client_id = ?2",
                params![family, client.key],
                |row| Ok((row.get(0)?, row.get(1)?, row.get::<SessionId>(2)?)),
            )?;
            let Some((key, account, session)) = found else { return Ok(()) };
            if end_family(cx, key, Ended::SignedOut)? {
                cx.event(Kind::AppAccessEnded, account)
                    .session(session)
                    .detail(json!({ "client_id": client.client_id, "app": client.name, "by": "app" }))
                    .write(cx)?;
            }
            Ok(())
        })
    }
}
