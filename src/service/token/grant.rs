//! What a client gets when it signed in or refreshed.
//!
//! A transaction makes a [`Grant`]; the access token is signed after its commit, outside of any transaction.

use schemars::JsonSchema;
use serde::Serialize;

use crate::clock::Timestamp;
use crate::secret::RefreshToken;
use crate::service::account;
use crate::service::session::Session;
use crate::service::session::scope::Disclosure;
use crate::service::{Account, Authd, Error};

/// A refresh token with its session and account, and what the access token may tell.
pub struct Grant {
    pub token: RefreshToken,
    pub session: Session,
    /// When the refresh token expires, if it is not used before.
    pub refresh_until: Timestamp,
    pub account: account::Loaded,
    pub disclosure: Disclosure,
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
    /// The scope, if the sign-in asked for one (RFC 6749 §5.1).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scope: Option<String>,
    /// The session.
    pub session: Session,
    /// The account.
    pub account: Account,
}

impl Authd {
    /// Signs the access token of a grant.
    pub(in crate::service) fn issue(&self, grant: Grant) -> Result<SignIn, Error> {
        let now = self.clock.now();
        let scope = grant.disclosure.scope.clone();
        let access_token =
            self.mint_access_token(&grant.account.shown, &grant.session, grant.disclosure)?;
        Ok(SignIn {
            access_token,
            token_type: "Bearer",
            expires_in: self.policy().access_token_lifetime.as_secs(),
            refresh_token: grant.token.reveal(&self.settings.tag_key),
            refresh_expires_in: grant.refresh_until.since(now).as_secs(),
            scope,
            session: grant.session,
            account: grant.account.shown,
        })
    }
}
