//! Password reset: a way back in for somebody who reads the account's mail.
//!
//! The link opens one thing, once: choosing a new password. That ends every session, every other link and the throttle
//! in the same transaction (req 30), tells the owner, and signs nobody in (req 29): whoever holds a mailbox for a moment
//! still has to show the password that was chosen. A link that came by mail also proves the address that it came to.
//!
//! An operator hands out the same link without mail.

use serde_json::json;

use crate::clock::Timestamp;
use crate::ids::AccountKey;
use crate::secret::ResetToken;
use crate::service::account;
use crate::service::delivery::mailed_link::{LinkLetter, Wish};
use crate::service::delivery::message::Topic;
use crate::service::delivery::one_time_link::{self, Claimed, LinkRequest, Purpose};
use crate::service::delivery::outbox::Note;
use crate::service::event::{Entry, Kind};
use crate::service::session::{self, Ended};
use crate::service::throttle;
use crate::service::{Authd, Code, Device, Error, Selector};
use crate::store::{Broken, Tx, params};

/// A link with which the owner of an account chooses a new password.
pub(in crate::service) const WISH: Wish = Wish {
    letter: LinkLetter {
        purpose: Purpose::PasswordReset,
        topic: Topic::PasswordReset,
        event: Kind::PasswordResetRequested,
    },
    command: "authd user reset-link",
    find: may_be_sent,
};

/// A reset link that an operator hands out.
#[derive(Clone, Debug)]
pub struct ResetLink {
    /// Whose account it is for, by e-mail address.
    pub email: String,
    /// The plain token, for the link and for `POST /v1/password-reset/confirm`.
    pub token: String,
    /// Until when it works.
    pub expires_at: Timestamp,
}

impl Authd {
    /// Has a reset link sent to the account with this e-mail address, if there is one that may sign in and was not sent
    /// three within the last hour. Whether that is so, the answer does not tell.
    ///
    /// # Errors
    /// [`Code::NoMail`] where mail is off; [`Code::InvalidRequest`] for what is no address;
    /// [`Code::TooManyRequests`] for an address of the network that asks again and again.
    pub fn request_password_reset(&self, email: &str, device: &Device) -> Result<(), Error> {
        self.request_link(WISH, email, device)
    }

    /// Makes a reset link for an operator to hand out; older ones are void then.
    ///
    /// # Errors
    /// [`Code::NotFound`] if there is no such account.
    pub fn reset_link(&self, selector: &Selector) -> Result<ResetLink, Error> {
        let selector = selector.clone();
        self.store.write(move |tx| {
            let account = account::select(tx, &selector)?;
            let purpose = Purpose::PasswordReset;
            let link = one_time_link::request(tx, account.key, purpose, None)?;
            let token = ResetToken::from_bytes(tx.random());
            let expires_at = one_time_link::arm(tx, link, purpose, token.digest())?
                .ok_or_else(|| Error::not_found("open link"))?;
            Entry::of(Kind::PasswordResetRequested, account.key)
                .detail(json!({ "by": "operator" }))
                .write(tx)?;
            Ok(ResetLink {
                email: account.shown.email,
                token: token.reveal(),
                expires_at,
            })
        })
    }

    /// The last 100 reset links of an account that were asked for within a week, newest first, for an operator.
    ///
    /// # Errors
    /// [`Code::NotFound`] if there is no such account.
    pub fn reset_requests(&self, selector: &Selector) -> Result<Vec<LinkRequest>, Error> {
        self.store.read(|tx| {
            let account = account::select(tx, selector)?;
            Ok(one_time_link::list(
                tx,
                account.key,
                Purpose::PasswordReset,
            )?)
        })
    }

    /// Sets a new password with the token of a reset link: ends every session, every other reset link and the throttle,
    /// and tells the owner. A password that is refused does not use the link up.
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
        let found = self
            .store
            .read(|tx| one_time_link::find(tx, Purpose::PasswordReset, digest))?;
        let hash = self.hash_new(found.ok_or_else(spent)?, new_password, spent)?;
        let (tag_key, outbox, device) = (self.tag_key.clone(), self.outbox(), device.clone());
        self.store.write(move |tx| {
            let claimed = one_time_link::claim(tx, Purpose::PasswordReset, digest)?;
            let Claimed { account, is_mailed } = claimed.ok_or_else(spent)?;
            let changed = tx.run(
                "UPDATE account SET password_hash = ?2, password_temporary = 0 \
                 WHERE id = ?1 AND disabled_at IS NULL",
                params![account, hash],
            )?;
            if changed == 0 {
                return Err(spent());
            }
            if is_mailed {
                // Whatever changes the address voids the link, so it came to the one that is stored.
                let proven = tx.run(
                    "UPDATE account SET email_verified_at = ?2 WHERE id = ?1 AND email_verified_at IS NULL",
                    params![account, tx.now],
                )?;
                if proven == 1 {
                    Entry::of(Kind::EmailVerified, account)
                        .device(&device)
                        .write(tx)?;
                }
            }
            one_time_link::void_all(tx, account, "password_changed")?;
            throttle::clear(tx, &tag_key, account)?;
            Entry::of(Kind::PasswordChanged, account)
                .device(&device)
                .detail(json!({ "by": "reset link" }))
                .write(tx)?;
            outbox.note(tx, Note::to(account, Topic::PasswordChanged).from(&device))?;
            session::end_all(tx, account, None, Ended::PasswordReset, Some(&device))?;
            Ok(())
        })
    }
}

/// The account that this address belongs to, if it may sign in.
fn may_be_sent(tx: &Tx<'_>, email_key: &str) -> Result<Option<AccountKey>, Broken> {
    tx.row(
        "SELECT id FROM account WHERE email_key = ?1 AND disabled_at IS NULL",
        params![email_key],
        |row| row.get(0),
    )
}

fn spent() -> Error {
    Error::no(
        Code::InvalidResetToken,
        "This link was used, replaced by a newer one, or is older than 15 minutes. Ask for another.",
    )
}
