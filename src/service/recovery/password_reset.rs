//! Password reset: a way back in for the account owner, who reads the account's mail.
//!
//! The link does one thing, once: it sets a new password. That ends every session, every other link and the counts of wrong
//! passwords in the same transaction (req 30), tells the owner, and signs nobody in (req 29): a person who reads the mailbox
//! for a moment still has to show the password that was chosen. A link that came by mail also proves the address.

use serde_json::json;

use crate::clock::Timestamp;
use crate::ids::AccountKey;
use crate::password::Requester;
use crate::secret::ResetToken;
use crate::service::account;
use crate::service::administration::Administration;
use crate::service::authentication::password;
use crate::service::context::Context;
use crate::service::delivery::link_request;
use crate::service::delivery::message::Topic;
use crate::service::delivery::one_time_token::{
    self, Found, LinkRequest, Purpose, Secret, Subject,
};
use crate::service::delivery::outbox::{self, Outgoing};
use crate::service::event::Kind;
use crate::service::session::{self, Ended};
use crate::service::{Account, Authd, Code, Device, Error, Selector};
use crate::store::{Broken, ReadTx, params};

/// A reset link that an operator hands out.
#[derive(Clone, Debug)]
pub struct ResetLink {
    /// The e-mail address of the account.
    pub email: String,
    /// The plain token, for the link and for `POST /v1/password-reset/confirm`.
    pub token: String,
    /// Until when it works.
    pub expires_at: Timestamp,
}

impl Authd {
    /// Has a reset link sent to the account with this e-mail address, if there is one that may sign in and was not sent
    /// three within the last hour that are still open. The answer does not tell whether that is so.
    ///
    /// # Errors
    /// [`Code::NoMail`] where mail is off; [`Code::InvalidRequest`] for what is not an address;
    /// [`Code::TooManyRequests`] for a network that asks again and again; [`Error::Unavailable`] while too many requests
    /// wait.
    pub fn request_password_reset(&self, email: &str, device: &Device) -> Result<(), Error> {
        let command = "authd user reset-link";
        self.request_link(link_request::PASSWORD_RESET, command, email, device)
    }

    /// The last 100 reset links of an account that were asked for within a week, newest first, for an operator.
    ///
    /// # Errors
    /// [`Code::NotFound`] if there is no such account.
    pub fn reset_requests(&self, selector: &Selector) -> Result<Vec<LinkRequest>, Error> {
        self.store.read(|tx| {
            let account = account::select(tx, selector)?;
            Ok(one_time_token::list(
                tx,
                account.key,
                Purpose::PasswordReset,
            )?)
        })
    }

    /// Sets a new password with the token of a reset link: ends every session and every other link, and tells the owner. A
    /// password that is refused does not use the link up. The same request again within a minute is answered as the first.
    ///
    /// # Errors
    /// [`Code::InvalidResetToken`] if the link was used, replaced, is older than 15 minutes or never existed;
    /// [`Code::WeakPassword`]; [`Error::Unavailable`] when too many passwords wait to be hashed.
    pub fn reset_password(
        &self,
        token: &str,
        new_password: &str,
        device: &Device,
    ) -> Result<(), Error> {
        let digest = ResetToken::read(token).ok_or_else(spent)?.digest();
        // Looked at before hashing, so that strangers cannot make the server hash; decided where it is used up.
        let found = self.store.read(|tx| one_time_token::find(tx, digest))?;
        let (found, account) = match found {
            Some(Found {
                purpose: Purpose::PasswordReset,
                subject: Subject::Account(account),
                ..
            }) => (found.ok_or_else(spent)?, account),
            _ => return Err(spent()),
        };
        let requester = Requester::client(device.ip, account);
        if found.was_just_used {
            return self.answer_again(account, new_password, requester);
        }
        let hash = self.hash_new(account, new_password, requester, spent)?;
        self.write(Some(device), move |cx| set(cx, &found, account, &hash))
    }

    /// Answers a reset that was sent twice: with the password that the first one set.
    fn answer_again(
        &self,
        account: AccountKey,
        password: &str,
        requester: Requester,
    ) -> Result<(), Error> {
        let hash = self.store.read(|tx| password_hash(tx, account))?;
        match hash {
            Some(hash) if self.is_password(password, &hash, requester)? => Ok(()),
            _ => Err(spent()),
        }
    }
}

impl Administration<'_> {
    /// Makes a reset link for an operator to hand out; older ones stop working.
    ///
    /// # Errors
    /// [`Code::NotFound`] if there is no such account.
    pub fn reset_link(&self, selector: &Selector) -> Result<ResetLink, Error> {
        let selector = selector.clone();
        self.write(move |cx| {
            let account = account::select(cx, &selector)?;
            let (purpose, subject) = (Purpose::PasswordReset, Subject::Account(account.key));
            let key = one_time_token::request(cx, purpose, subject, None, None)?;
            let secret = Secret::draw(cx, purpose);
            let expires_at = one_time_token::arm(cx, key, purpose, secret.digest())?
                .ok_or_else(|| Error::not_found("open link"))?;
            cx.event(Kind::PasswordResetRequested, account.key)
                .write(cx)?;
            Ok(ResetLink {
                email: account.shown.email,
                token: secret.reveal(),
                expires_at,
            })
        })
    }

    /// Has a reset link sent to the address of an account; it replaces earlier links when it leaves. It is the
    /// administration's link: using it does not prove the address.
    ///
    /// # Errors
    /// [`Code::NotFound`] if there is no such account; [`Code::NoMail`] where mail is off; [`Code::InvalidRequest`] for an
    /// account that is disabled.
    pub fn mail_reset_link(&self, selector: &Selector) -> Result<Account, Error> {
        if !self.authd.policy().sends_mail {
            return Err(Error::no(
                Code::NoMail,
                "This server sends no mail. Print the link, and hand it out.",
            ));
        }
        let selector = selector.clone();
        self.write(move |cx| {
            let account = account::select(cx, &selector)?;
            if account.shown.disabled_at.is_some() {
                return Err(Error::invalid(
                    "This account is disabled, so its owner could not use the link. Enable it first.",
                ));
            }
            let (purpose, subject) = (Purpose::PasswordReset, Subject::Account(account.key));
            let token = one_time_token::request(cx, purpose, subject, None, None)?;
            let message = Outgoing::to(account.key, Topic::PasswordReset).with(token);
            outbox::enqueue(cx, message)?;
            cx.event(Kind::PasswordResetRequested, account.key)
                .write(cx)?;
            Ok(account.shown)
        })
    }
}

fn set(cx: &Context<'_>, token: &Found, account: AccountKey, hash: &str) -> Result<(), Error> {
    if !one_time_token::claim(cx, token.key)? {
        return Err(spent());
    }
    let changed = cx.run(
        "UPDATE account SET password_hash = ?2, password_temporary = 0 \
         WHERE id = ?1 AND disabled_at IS NULL",
        params![account, hash],
    )?;
    if changed == 0 {
        return Err(spent());
    }
    if token.is_mailed {
        // What changes the address ends the link, so it came to the address that is stored.
        let proven = cx.run(
            "UPDATE account SET email_verified_at = ?2 WHERE id = ?1 AND email_verified_at IS NULL",
            params![account, cx.now],
        )?;
        if proven == 1 {
            cx.event(Kind::EmailVerified, account).write(cx)?;
        }
    }
    password::password_was_changed(cx, account)?;
    cx.record(
        Kind::PasswordChanged,
        account,
        json!({ "by": "reset link" }),
    )?;
    session::end_all(cx, account, None, Ended::PasswordReset)?;
    Ok(())
}

fn password_hash(tx: &ReadTx<'_>, account: AccountKey) -> Result<Option<String>, Broken> {
    let hash = tx.row(
        "SELECT password_hash FROM account WHERE id = ?1",
        params![account],
        |row| row.get(0),
    )?;
    Ok(hash.flatten())
}

fn spent() -> Error {
    Error::no(
        Code::InvalidResetToken,
        "This link was used, was replaced by a newer one, or is older than 15 minutes. Ask for another.",
    )
}
