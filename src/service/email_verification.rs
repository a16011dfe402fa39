//! Proof of addresses: that somebody who has an account reads mail at the address that it is known by.
//!
//! An address is typed by whoever registers, and typing proves nothing. So an account shows whether its address was
//! proven (`email_verified`), and apps that give something to an address (an invitation, a membership by domain, the
//! account of another sign-in method) ask for that first: otherwise whoever types a stranger's address gets what is the
//! stranger's.
//!
//! The proof is a link that was sent there, works for a day and once, and is used up only by a request that says so:
//! mail programs open links before people do. No input of the interface sets it. A new address is unproven again, and
//! a reset link that came by mail proves as much.
//!
//! An operator hands out the same link without mail, to somebody of whom it is known by other means who they are.

use serde_json::json;

use super::event::{Entry, Kind};
use super::letter::Topic;
use super::mailed_link::{self, Wish};
use super::one_time_link::{self, Purpose};
use super::outbox::Outbox;
use super::{Authd, Code, Device, Error, Selector, account};
use crate::clock::Timestamp;
use crate::ids::AccountKey;
use crate::secret::VerificationToken;
use crate::store::{Broken, Tx, params};

/// A link that proves the address of an account.
const WISH: Wish = Wish {
    purpose: Purpose::EmailVerification,
    topic: Topic::EmailVerification,
    event: Kind::EmailVerificationRequested,
    command: "authd user verify-link",
};

/// A link that an operator hands out, and which proves an address.
#[derive(Clone, Debug)]
pub struct VerificationLink {
    /// The address.
    pub email: String,
    /// The plain token, for the link and for `POST /v1/email-verification/confirm`.
    pub token: String,
    /// Until when it works.
    pub expires_at: Timestamp,
}

impl Authd {
    /// Has a link sent with which the owner of the account with this e-mail address proves it, if there is one that may
    /// sign in, has not proven it yet, and was not sent three within the last hour. Whether that is so, the answer does not
    /// tell.
    ///
    /// # Errors
    /// [`Code::NoMail`] where mail is off; [`Code::InvalidRequest`] for what is no address;
    /// [`Code::TooManyRequests`] for an address of the network that asks again and again.
    pub fn request_email_verification(&self, email: &str, device: &Device) -> Result<(), Error> {
        self.request_link(WISH, email, device, unproven)
    }

    /// Takes the token of such a link for the proof that it is.
    ///
    /// # Errors
    /// [`Code::InvalidVerificationToken`] if the link was used or replaced, is older than 24 hours or never existed.
    pub fn confirm_email(&self, token: &str, device: &Device) -> Result<(), Error> {
        let digest = VerificationToken::read(token).ok_or_else(spent)?.digest();
        // Looked at first, so that what a stranger makes up costs no write; decided where it is used up.
        let purpose = Purpose::EmailVerification;
        let found = self
            .store
            .read(|tx| one_time_link::find(tx, purpose, digest))?;
        found.ok_or_else(spent)?;
        let device = device.clone();
        self.store.write(move |tx| {
            let claimed = one_time_link::claim(tx, purpose, digest)?.ok_or_else(spent)?;
            if !prove(tx, claimed.account)? {
                return Err(spent());
            }
            Ok(Entry::of(Kind::EmailVerified, claimed.account)
                .device(&device)
                .write(tx)?)
        })
    }

    /// Makes a link that proves the address of an account, for an operator to hand out; older ones are void then.
    ///
    /// # Errors
    /// [`Code::NotFound`] if there is no such account; [`Code::InvalidRequest`] if its address is proven.
    pub fn verification_link(&self, selector: &Selector) -> Result<VerificationLink, Error> {
        let selector = selector.clone();
        self.store.write(move |tx| {
            let account = account::select(tx, &selector)?;
            if account.shown.email_verified {
                return Err(Error::invalid("This address is confirmed already."));
            }
            let purpose = Purpose::EmailVerification;
            let link = one_time_link::request(tx, account.key, purpose, None)?;
            let token = VerificationToken::from_bytes(tx.random());
            let expires_at = one_time_link::arm(tx, link, purpose, token.digest())?
                .ok_or_else(|| Error::not_found("open link"))?;
            Entry::of(Kind::EmailVerificationRequested, account.key)
                .detail(json!({ "by": "operator" }))
                .write(tx)?;
            Ok(VerificationLink {
                email: account.shown.email,
                token: token.reveal(),
                expires_at,
            })
        })
    }
}

/// Has the letter sent that asks the owner of an account to prove a new address, where mail is on.
pub(super) fn ask(
    tx: &Tx<'_>,
    outbox: Outbox,
    account: AccountKey,
    device: &Device,
) -> Result<(), Broken> {
    match outbox.is_on() {
        true => mailed_link::send(tx, outbox, WISH, account, device),
        false => Ok(()),
    }
}

/// Notes that the present address of an account is proven. `false` if the account may not sign in.
fn prove(tx: &Tx<'_>, account: AccountKey) -> Result<bool, Broken> {
    let proven = tx.run(
        "UPDATE account SET email_verified_at = ?2 WHERE id = ?1 AND disabled_at IS NULL",
        params![account, tx.now],
    )?;
    Ok(proven == 1)
}

/// The account that this address belongs to, if it may sign in and has not proven it.
fn unproven(tx: &Tx<'_>, email_key: &str) -> Result<Option<AccountKey>, Broken> {
    tx.row(
        "SELECT id FROM account WHERE email_key = ?1 AND disabled_at IS NULL AND email_verified_at IS NULL",
        params![email_key],
        |row| row.get(0),
    )
}

fn spent() -> Error {
    Error::no(
        Code::InvalidVerificationToken,
        "This link was used, replaced by a newer one, or is older than 24 hours. Ask for another.",
    )
}
