//! Access tokens: signed JWTs (RFC 9068), valid for minutes.
//!
//! A verifier needs only the JWKS. Inside authd a token is good only as long as its session is: signature and times
//! first, then the session's row, so that signing out works at once here although elsewhere it takes until the
//! token expires.
//!
//! What is checked is fixed, and nothing in the token chooses it (RFC 8725 §3.1): the algorithm is the key's, the
//! key is one of ours by `kid`, and `jwk`, `jku`, `x5u` and the like are not read.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};

use crate::ids::{AccountId, SessionId};
use crate::service::error::invalid_token;
use crate::service::session::client::FIRST_PARTY;
use crate::service::session::scope::Disclosure;
use crate::service::session::{self, Session};
use crate::service::{Account, Actor, Authd, Error};

pub use crate::service::token::signing_key::JwkSet;

/// The `typ` of an access token (RFC 9068 §2.1): an ID token cannot be taken for one.
pub(in crate::service) const TYPE: &str = "at+jwt";

/// Longest token that is looked at, in bytes; ours have about 700, and less than 5,000 with the most and longest groups
/// and the longest issuer. CVE-2025-30204: parsing is bounded too.
const LONGEST: usize = 6144;

/// How far ahead of our clock a token may have been issued, in seconds (req 59).
const SKEW: i64 = 60;

/// What an access token says (RFC 9068 §2.2).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claims {
    /// This server's public URL.
    pub iss: String,
    /// The account.
    pub sub: String,
    /// Who may accept it: this server, for first-party tokens.
    pub aud: String,
    /// For which client it was issued.
    pub client_id: String,
    /// The session.
    pub sid: String,
    /// Its own name.
    pub jti: String,
    /// When it was issued, in seconds since the Unix epoch, by the wall clock.
    pub iat: i64,
    /// When it expires.
    pub exp: i64,
    /// When its owner signed in.
    pub auth_time: i64,
    /// What the sign-in asked for, if it asked for something (RFC 9068 §2.2.3).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scope: Option<String>,
    /// The groups that the account is in, by name, if the scope has `groups` (RFC 9068 §2.2.3.1).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub groups: Option<Vec<String>>,
}

#[derive(Deserialize)]
struct Header {
    alg: String,
    typ: String,
    kid: String,
    /// RFC 7515 §4.1.11: what is critical and not understood must be refused; we understand none.
    #[serde(default)]
    crit: Option<serde_json::Value>,
}

impl Authd {
    /// Signs an access token for a session.
    pub(in crate::service) fn mint_access_token(
        &self,
        account: &Account,
        session: &Session,
        disclosure: Disclosure,
    ) -> Result<String, Error> {
        let key = self.keys.signer(&self.store, self.clock.now())?;
        let issued = self.clock.wall();
        let claims = Claims {
            iss: self.policy().issuer.clone(),
            sub: account.id.to_string(),
            aud: self.policy().issuer.clone(),
            client_id: FIRST_PARTY.to_owned(),
            sid: session.id.to_string(),
            jti: URL_SAFE_NO_PAD.encode(self.entropy.bytes::<16>()),
            iat: issued.as_unix(),
            exp: issued.plus(self.policy().access_token_lifetime).as_unix(),
            auth_time: session.created_at.as_unix(),
            scope: disclosure.scope,
            groups: disclosure.groups,
        };
        let claims =
            serde_json::to_vec(&claims).map_err(|error| Error::Broken(error.to_string()))?;
        let mut token = String::with_capacity(1024);
        token.push_str(key.header());
        token.push('.');
        URL_SAFE_NO_PAD.encode_string(claims, &mut token);
        let signature = key.sign(token.as_bytes())?;
        token.push('.');
        URL_SAFE_NO_PAD.encode_string(signature, &mut token);
        Ok(token)
    }

    /// Checks a first-party access token, and that its session is still open.
    ///
    /// # Errors
    /// [`Code::InvalidToken`](crate::service::Code::InvalidToken) for every kind of bad; [`Error::Unavailable`] when the session
    /// cannot be looked up, which is never shown as "signed out".
    pub fn authenticate(&self, token: &str) -> Result<Actor, Error> {
        let claims = self.verify_access_token(token)?;
        let account: AccountId = claims.sub.parse().map_err(|_| invalid_token())?;
        let session: SessionId = claims.sid.parse().map_err(|_| invalid_token())?;
        let idle = self.policy().session_idle_lifetime;
        let open = self
            .store
            .read(|tx| session::find_open(tx, session, idle))?;
        let open = open
            .filter(|open| open.account_id == account)
            .ok_or_else(invalid_token)?;
        Ok(Actor {
            account,
            session,
            account_key: open.account,
            session_key: open.session,
        })
    }

    /// Checks signature, type, issuer, audience, client and times; not the session.
    fn verify_access_token(&self, token: &str) -> Result<Claims, Error> {
        if token.len() > LONGEST {
            return Err(invalid_token());
        }
        let (signed, signature) = token.rsplit_once('.').ok_or_else(invalid_token)?;
        let (header, claims) = signed.split_once('.').ok_or_else(invalid_token)?;
        let header: Header = decode(header)?;
        let media_type = header.typ.to_ascii_lowercase();
        let right_type = media_type
            .strip_prefix("application/")
            .unwrap_or(&media_type)
            == TYPE;
        if !right_type || header.crit.is_some() {
            return Err(invalid_token());
        }
        let key = self
            .keys
            .verifier(&self.store, &header.kid)?
            .ok_or_else(invalid_token)?;
        let signature = URL_SAFE_NO_PAD
            .decode(signature)
            .map_err(|_| invalid_token())?;
        if header.alg != key.algorithm() || !key.verifies(signed.as_bytes(), &signature) {
            return Err(invalid_token());
        }
        let claims: Claims = decode(claims)?;
        let now = self.clock.wall().as_unix();
        let issuer = &self.policy().issuer;
        let ours =
            claims.iss == *issuer && claims.aud == *issuer && claims.client_id == FIRST_PARTY;
        let timely = claims.exp > now && claims.iat <= now + SKEW;
        if ours && timely {
            Ok(claims)
        } else {
            Err(invalid_token())
        }
    }

    /// The public keys, for verifiers, and how long they may be kept, in seconds.
    ///
    /// # Errors
    /// Only those of the store.
    pub fn jwks(&self) -> Result<(JwkSet, u64), Error> {
        self.keys.published(
            &self.store,
            self.clock.now(),
            self.policy().access_token_lifetime,
        )
    }
}

fn decode<T: for<'a> Deserialize<'a>>(part: &str) -> Result<T, Error> {
    let json = URL_SAFE_NO_PAD.decode(part).map_err(|_| invalid_token())?;
    serde_json::from_slice(&json).map_err(|_| invalid_token())
}
