//! Access tokens of apps (RFC 9068): what they say, and whether what they stand for still goes on.
//!
//! Their audience is the resource that the app named, or this server's userinfo endpoint. They are never good at `/v1`. An app's
//! token names its grant by `grant_id`, the public name of the family. The grant's row is read at each use, so a token is dead
//! as soon as the grant, the session, the account or the client is.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};

use crate::ids::FamilyId;
use crate::service::account::{self, Loaded, account_columns};
use crate::service::error::invalid_token;
use crate::service::oauth::claims::{self, Authentication, Identity};
use crate::service::oauth::client::Client;
use crate::service::oauth::scope::{self, Scopes};
use crate::service::token::access::{ALGORITHM, SKEW, TYPE};
use crate::service::token::jwt::Unverified;
use crate::service::{Authd, Code, Error};
use crate::store::{Broken, ReadTx, params};

/// The path of the userinfo endpoint, which is the audience of tokens without a resource.
pub const USERINFO: &str = "/oauth/userinfo";

/// What an app's access token says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AppClaims {
    /// This server's public URL.
    pub iss: String,
    /// The account; the client itself where no account granted anything.
    pub sub: String,
    /// Who may accept it.
    pub aud: String,
    /// The client that it was issued to.
    pub client_id: String,
    /// The session in which it was granted.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub sid: Option<String>,
    /// The grant that it stands for.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub grant_id: Option<String>,
    /// Its own name.
    pub jti: String,
    /// When it was issued, in seconds since the Unix epoch, by the wall clock.
    pub iat: i64,
    /// When it expires.
    pub exp: i64,
    /// When the account owner was authenticated.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub auth_time: Option<i64>,
    /// What it may do.
    #[serde(skip_serializing_if = "String::is_empty", default)]
    pub scope: String,
    /// The groups of the account, if the scope has `groups` (RFC 9068 §2.2.3.1).
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub groups: Option<Vec<String>>,
}

/// A grant that goes on, and the account that gave it.
pub(in crate::service) struct LiveGrant {
    pub account: Loaded,
}

impl Authd {
    /// Signs an access token that an account granted to a client.
    pub(in crate::service) fn sign_app_token(
        &self,
        client: &Client,
        family: FamilyId,
        authentication: &Authentication,
        identity: &Identity,
        scope: &Scopes,
        resource: Option<&str>,
    ) -> Result<String, Error> {
        let claims = AppClaims {
            sub: identity.sub.clone(),
            sid: Some(authentication.session.to_string()),
            grant_id: Some(family.to_string()),
            auth_time: Some(authentication.auth_time.as_unix()),
            groups: identity.groups.clone(),
            ..self.client_claims(client, scope, resource)
        };
        self.sign_claims(&claims)
    }

    /// Signs an access token that a client gets for itself (RFC 6749 §4.4).
    pub(in crate::service) fn sign_client_token(
        &self,
        client: &Client,
        scope: &Scopes,
        resource: Option<&str>,
    ) -> Result<String, Error> {
        self.sign_claims(&self.client_claims(client, scope, resource))
    }

    fn client_claims(&self, client: &Client, scope: &Scopes, resource: Option<&str>) -> AppClaims {
        let issued = self.clock.wall();
        let issuer = &self.policy().issuer;
        AppClaims {
            iss: issuer.clone(),
            sub: client.client_id.clone(),
            aud: resource.map_or_else(|| format!("{issuer}{USERINFO}"), str::to_owned),
            client_id: client.client_id.clone(),
            sid: None,
            grant_id: None,
            jti: URL_SAFE_NO_PAD.encode(self.entropy.bytes::<16>()),
            iat: issued.as_unix(),
            exp: issued.plus(client.access_token_lifetime(self)).as_unix(),
            auth_time: None,
            scope: scope.to_string(),
            groups: None,
        }
    }

    fn sign_claims(&self, claims: &AppClaims) -> Result<String, Error> {
        self.keys
            .sign(&self.store, self.clock.now(), ALGORITHM, TYPE, claims)
    }

    /// The claims of an app's access token whose signature and times are good, whatever became of its grant.
    ///
    /// # Errors
    /// Only those of the store.
    pub(in crate::service) fn read_app_token(
        &self,
        token: &str,
    ) -> Result<Option<AppClaims>, Error> {
        let Some(token) = Unverified::parse(token, TYPE) else {
            return Ok(None);
        };
        let verified = self.keys.verify(&self.store, &token)?;
        let claims: Option<AppClaims> = verified.and_then(|token| token.claims());
        let now = self.clock.wall().as_unix();
        Ok(claims.filter(|claims| {
            claims.iss == self.policy().issuer && claims.exp > now && claims.iat <= now + SKEW
        }))
    }

    /// What the userinfo endpoint answers to an access token (OpenID Connect Core §5.3).
    ///
    /// # Errors
    /// [`Code::InvalidToken`] for every kind of bad token, also one for another audience; [`Code::InsufficientScope`] without
    /// the scope `openid`.
    pub fn userinfo(&self, token: &str) -> Result<Identity, Error> {
        let claims = self.read_app_token(token)?.ok_or_else(invalid_token)?;
        if claims.aud != format!("{}{USERINFO}", self.policy().issuer) {
            return Err(invalid_token());
        }
        let grant: Option<FamilyId> = claims.grant_id.as_deref().and_then(|id| id.parse().ok());
        let grant = grant.ok_or_else(invalid_token)?;
        let scope = Scopes::from_row(&claims.scope);
        if !scope.has(scope::OPENID) {
            return Err(Error::no(
                Code::InsufficientScope,
                "The userinfo endpoint takes an access token of the scope openid.",
            ));
        }
        self.store.read(|tx| {
            let live = live_grant(tx, grant, &claims.client_id)?.ok_or_else(invalid_token)?;
            Ok(claims::identity(tx, &live.account, &scope)?)
        })
    }
}

/// The grant of this name, if it goes on: neither revoked nor over, its session not ended, its account enabled, its client
/// registered.
pub(in crate::service) fn live_grant(
    tx: &ReadTx<'_>,
    family: FamilyId,
    client_id: &str,
) -> Result<Option<LiveGrant>, Broken> {
    tx.row(
        concat!(
            "SELECT ", account_columns!(),
            " FROM refresh_family f JOIN session s ON s.id = f.session_id JOIN account a ON a.id = s.account_id \
             JOIN client c ON c.id = f.client_id JOIN server v ON v.id = 1 \
             WHERE f.public_id = ?1 AND c.client_id = ?2 AND f.revoked_at IS NULL AND s.ended_at IS NULL \
             AND a.disabled_at IS NULL AND f.epoch = v.epoch AND f.expires_at > ?3"
        ),
        params![family, client_id, tx.now],
        |row| Ok(LiveGrant { account: account::from_columns(row, 0)? }),
    )
}
