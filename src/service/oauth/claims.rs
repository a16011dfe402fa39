//! What an app is told about an account: the claims of ID tokens and of the userinfo endpoint (OpenID Connect Core §5.1).
//!
//! Both have all claims of the granted scopes. Several apps read them in one of the two places alone, and some take half of
//! them for a reason not to look in the other. What an account does not have is left out, never `null` or empty.

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
use crate::ids::SessionId;
use crate::service::account::{self, Loaded};
use crate::service::oauth::client::Client;
use crate::service::oauth::scope::{self, Scopes};
use crate::service::token::jwt::Unverified;
use crate::service::token::signing_key::half_hash;
use crate::service::{Authd, Error};
use crate::store::{Broken, ReadTx};

/// The `typ` of an ID token. An access token has another, so neither can be taken for the other (RFC 8725 §3.11, req 58).
const TYPE: &str = "JWT";

/// The level of assurance of a sign-in with one factor.
pub const ACR: &str = "1";

/// What the granted scopes disclose.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize)]
pub struct Identity {
    /// The account.
    pub sub: String,
    /// What people call the person; the username or the beginning of the address if no name was given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The username, or the e-mail address of an account that has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub preferred_username: Option<String>,
    /// The e-mail address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    /// Whether it was proven that the person reads mail there, or an operator vouches for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub email_verified: Option<bool>,
    /// The names of the account's groups, sorted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub groups: Option<Vec<String>>,
}

/// What `scope` discloses of an account at this moment.
pub fn identity(tx: &ReadTx<'_>, account: &Loaded, scope: &Scopes) -> Result<Identity, Broken> {
    let shown = &account.shown;
    let mut identity = Identity {
        sub: shown.id.to_string(),
        ..Identity::default()
    };
    if scope.has(scope::PROFILE) {
        let username = shown
            .username
            .clone()
            .unwrap_or_else(|| shown.email.clone());
        let short = shown
            .username
            .as_deref()
            .or_else(|| shown.email.split('@').next());
        identity.name = shown.name.clone().or_else(|| short.map(str::to_owned));
        identity.preferred_username = Some(username);
    }
    if scope.has(scope::EMAIL) {
        identity.email = Some(shown.email.clone());
        identity.email_verified = Some(shown.email_verified);
    }
    if scope.has(scope::GROUPS) {
        identity.groups = Some(account::groups(tx, account.key)?);
    }
    Ok(identity)
}

/// What an ID token says (OpenID Connect Core §2).
#[derive(Clone, Debug, Serialize)]
struct IdToken<'a> {
    iss: &'a str,
    aud: &'a str,
    iat: i64,
    exp: i64,
    auth_time: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    nonce: Option<&'a str>,
    at_hash: String,
    sid: String,
    amr: Vec<&'a str>,
    acr: &'static str,
    #[serde(flatten)]
    identity: &'a Identity,
}

/// The authentication that an ID token tells of.
#[derive(Clone, Debug)]
pub struct Authentication {
    pub session: SessionId,
    /// When.
    pub auth_time: Timestamp,
    /// How (RFC 8176), separated by spaces.
    pub amr: String,
}

/// The claims of an ID token that somebody presents as a hint.
#[derive(Clone, Debug, Deserialize)]
pub struct Hint {
    pub iss: String,
    pub sub: String,
    pub aud: String,
    #[serde(default)]
    pub sid: Option<String>,
}

impl Authd {
    /// Signs an ID token for a client, with the client's algorithm.
    pub(in crate::service) fn sign_id_token(
        &self,
        client: &Client,
        identity: &Identity,
        authentication: &Authentication,
        nonce: Option<&str>,
        access_token: &str,
    ) -> Result<String, Error> {
        let issued = self.clock.wall();
        let claims = IdToken {
            iss: &self.policy().issuer,
            aud: &client.client_id,
            iat: issued.as_unix(),
            exp: issued.plus(client.access_token_lifetime(self)).as_unix(),
            auth_time: authentication.auth_time.as_unix(),
            nonce,
            at_hash: half_hash(client.id_token_algorithm, access_token),
            sid: authentication.session.to_string(),
            amr: authentication.amr.split(' ').collect(),
            acr: ACR,
            identity,
        };
        self.keys.sign(
            &self.store,
            self.clock.now(),
            client.id_token_algorithm,
            TYPE,
            &claims,
        )
    }

    /// The claims of an ID token of this server, expired or not; `None` for everything else (req 56 to 58).
    ///
    /// # Errors
    /// Only those of the store.
    pub(in crate::service) fn read_id_token_hint(
        &self,
        token: &str,
    ) -> Result<Option<Hint>, Error> {
        let Some(token) = Unverified::parse(token, TYPE) else {
            return Ok(None);
        };
        let verified = self.keys.verify(&self.store, &token)?;
        let hint: Option<Hint> = verified.and_then(|token| token.claims());
        Ok(hint.filter(|hint| hint.iss == self.policy().issuer))
    }
}
