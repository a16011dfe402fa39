//! What a refresh token that was found somewhere belongs to. Nothing changes by the question.

use std::time::Duration;

use serde::Serialize;

use crate::clock::Timestamp;
use crate::ids::{AccountId, SessionId};
use crate::secret::RefreshToken;
use crate::service::error::unexpected;
use crate::service::token::refresh::load;
use crate::service::{Authd, Error};
use crate::store::{Broken, ReadTx, params};

/// The family that a refresh token belongs to: what an operator learns of a token that was found somewhere.
#[derive(Clone, Debug, Serialize)]
pub struct FoundToken {
    /// The session that it was issued in.
    pub session: SessionId,
    /// Whose session.
    pub account: AccountId,
    /// The e-mail address of the account.
    pub email: String,
    /// For which client.
    pub client_id: String,
    /// Its number in the family.
    pub generation: u32,
    /// Whether it would be honoured now: the live token of a family that has not ended.
    pub valid: bool,
    /// The absolute end of the family.
    pub expires_at: Timestamp,
}

impl Authd {
    /// Finds the family of a refresh token by its digest, whether it is still good or not.
    ///
    /// # Errors
    /// [`Code::NotFound`](crate::service::Code::NotFound) for what is not a token of this server, or whose family was swept.
    pub fn find_refresh_token(&self, token: &str) -> Result<FoundToken, Error> {
        let missing = || Error::not_found("refresh token");
        let token = RefreshToken::read(token, &self.settings.tag_key).ok_or_else(missing)?;
        let idle = self.policy().session_idle_lifetime;
        self.store
            .read(|tx| find(tx, &token, idle))?
            .ok_or_else(missing)
    }
}

/// The family of a token, and whether the token would be honoured now.
pub(in crate::service) fn find(
    tx: &ReadTx<'_>,
    token: &RefreshToken,
    idle: Duration,
) -> Result<Option<FoundToken>, Broken> {
    let Some((family, holder)) = load(tx, token.family)? else {
        return Ok(None);
    };
    let live = token.generation == family.generation && token.secret.digest() == family.digest;
    let valid = live
        && !family.ended
        && tx.now < family.expires_at
        && tx.now.since(family.rotated_at) < idle;
    let of_client = "SELECT client_id FROM client WHERE id = ?1";
    let client_id = tx.row(of_client, params![family.client], |row| row.get(0))?;
    let client_id = client_id.ok_or_else(|| unexpected("a family has no client"))?;
    Ok(Some(FoundToken {
        session: family.session_id,
        account: holder.account.shown.id,
        email: holder.account.shown.email,
        client_id,
        generation: token.generation,
        valid,
        expires_at: family.expires_at,
    }))
}
