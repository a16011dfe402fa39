//! Access tokens: signed JWTs (RFC 9068), valid for minutes.
//!
//! A verifier elsewhere needs only the JWKS, and accepts a token until it expires. authd itself accepts one only as long as
//! its session is open: the signature may have been checked before, but the times and the session's row are checked at each
//! request, so that a sign-out works here at once.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};

use crate::ids::{AccountId, SessionId};
use crate::service::error::invalid_token;
use crate::service::session::client::FIRST_PARTY;
use crate::service::session::scope::Disclosure;
use crate::service::session::{self, Session};
use crate::service::token::jwt::Unverified;
use crate::service::token::signing_key::{Algorithm, JwkSet};
use crate::service::{Account, Actor, Authd, Error};
use crate::store::ReadTx;

/// The algorithm that access tokens are signed with.
pub(in crate::service) const ALGORITHM: Algorithm = Algorithm::Es256;

/// The `typ` of an access token (RFC 9068 §2.1): an ID token cannot be taken for one.
pub(in crate::service) const TYPE: &str = "at+jwt";

/// How far ahead of our clock a token may have been issued, in seconds (req 59).
pub(in crate::service) const SKEW: i64 = 60;

/// What an access token says (RFC 9068 §2.2).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claims {
    /// This server's public URL.
    pub iss: String,
    /// The account.
    pub sub: String,
    /// Who may accept it: this server, for first-party tokens.
    pub aud: String,
    /// The client that it was issued to.
    pub client_id: String,
    /// The session.
    pub sid: String,
    /// Its own name.
    pub jti: String,
    /// When it was issued, in seconds since the Unix epoch, by the wall clock.
    pub iat: i64,
    /// When it expires.
    pub exp: i64,
    /// When the account owner signed in.
    pub auth_time: i64,
    /// The scope that the client asked for at sign-in, if it asked for one (RFC 9068 §2.2.3).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scope: Option<String>,
    /// The groups that the account is in, by name, if the scope has `groups` (RFC 9068 §2.2.3.1).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub groups: Option<Vec<String>>,
}

impl Authd {
    /// Signs an access token for a session.
    pub(in crate::service) fn mint_access_token(
        &self,
        account: &Account,
        session: &Session,
        disclosure: Disclosure,
    ) -> Result<String, Error> {
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
        self.keys
            .sign(&self.store, self.clock.now(), ALGORITHM, TYPE, &claims)
    }

    /// Checks a first-party access token, and that its session is still open.
    ///
    /// # Errors
    /// [`Code::InvalidToken`](crate::service::Code::InvalidToken) for every kind of bad token; [`Error::Unavailable`] when
    /// the session cannot be looked up, which is never shown as "signed out".
    pub fn authenticate(&self, token: &str) -> Result<Actor, Error> {
        let (actor, _) = self.authenticate_with(token, |_, _| Ok(()))?;
        Ok(actor)
    }

    /// [`Authd::authenticate`], with a further check in the read that looks the session up. Returns the claims too.
    ///
    /// # Errors
    /// Those of [`Authd::authenticate`], and what `check` returns.
    pub(in crate::service) fn authenticate_with(
        &self,
        token: &str,
        check: fn(&ReadTx<'_>, &Actor) -> Result<(), Error>,
    ) -> Result<(Actor, Claims), Error> {
        let claims = self.verify_access_token(token)?;
        let account: AccountId = claims.sub.parse().map_err(|_| invalid_token())?;
        let session: SessionId = claims.sid.parse().map_err(|_| invalid_token())?;
        let idle = self.policy().session_idle_lifetime;
        let actor = self.store.read(|tx| {
            let open = session::find_open(tx, session, idle)?;
            let open = open
                .filter(|open| open.account_id == account)
                .ok_or_else(invalid_token)?;
            let actor = Actor {
                account,
                session,
                account_key: open.account,
                session_key: open.session,
            };
            check(tx, &actor)?;
            Ok::<_, Error>(actor)
        })?;
        Ok((actor, claims))
    }

    /// Checks signature, type, issuer, audience, client and times; not the session.
    fn verify_access_token(&self, token: &str) -> Result<Claims, Error> {
        let token = Unverified::parse(token, TYPE).ok_or_else(invalid_token)?;
        let verified = self.keys.verify(&self.store, &token)?;
        let claims: Option<Claims> = verified.and_then(|token| token.claims());
        let claims = claims.ok_or_else(invalid_token)?;
        let now = self.clock.wall().as_unix();
        let issuer = &self.policy().issuer;
        let is_ours =
            claims.iss == *issuer && claims.aud == *issuer && claims.client_id == FIRST_PARTY;
        let is_timely = claims.exp > now && claims.iat <= now + SKEW;
        if is_ours && is_timely {
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
        let used = self.algorithms_in_use()?;
        let longest = self.longest_token();
        self.keys
            .published(&self.store, self.clock.now(), longest, &used)
    }
}
