//! What an operator or an administrator does of sessions.

use crate::ids::SessionId;
use crate::secret::RefreshToken;
use crate::service::account;
use crate::service::administration::Administration;
use crate::service::by::By;
use crate::service::context::Context;
use crate::service::session::{Ended, end_all, end_one};
use crate::service::token::refresh::end_session_of;
use crate::service::{Error, Selector};

impl Administration<'_> {
    /// Ends one session of an account.
    ///
    /// # Errors
    /// [`Code::NotFound`](crate::service::Code::NotFound) if there is no such account, or no such open session of it.
    pub fn revoke_session(&self, account: &Selector, session: SessionId) -> Result<(), Error> {
        let account = account.clone();
        self.write(move |cx| {
            let account = account::select(cx, &account)?;
            end_one(cx, account.key, session, ended_by(cx))
        })
    }

    /// Ends all sessions of an account. Returns how many.
    ///
    /// # Errors
    /// [`Code::NotFound`](crate::service::Code::NotFound) if there is no such account.
    pub fn revoke_sessions(&self, account: &Selector) -> Result<usize, Error> {
        let account = account.clone();
        self.write(move |cx| {
            let account = account::select(cx, &account)?;
            end_all(cx, account.key, None, ended_by(cx))
        })
    }

    /// Ends the session that a refresh token was issued in, whether the token is the live one or an old one.
    /// Returns how many families that ended: 0 if it had ended before.
    ///
    /// # Errors
    /// [`Code::NotFound`](crate::service::Code::NotFound) for what is not a token of this server, or whose family was swept.
    pub fn revoke_refresh_token(&self, token: &str, reason: Ended) -> Result<usize, Error> {
        let missing = || Error::not_found("refresh token");
        let token = RefreshToken::read(token, &self.authd.settings.tag_key).ok_or_else(missing)?;
        self.write(move |cx| end_session_of(cx, &token, reason)?.ok_or_else(missing))
    }
}

/// Why a session ends that an operator or an administrator ends.
fn ended_by(cx: &Context<'_>) -> Ended {
    match cx.by() {
        None | Some(By::Operator) => Ended::Operator,
        Some(By::Administrator(_)) => Ended::Administrator,
    }
}
