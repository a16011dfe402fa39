//! What a link is for, before it is used: pages show it to the person who opened the link.
//!
//! Looking changes nothing. The holder of the token is told what the message with the link told, and a token that does not
//! work tells nothing.

use crate::ids::{AccountKey, InvitationKey, RegistrationKey};
use crate::secret::{Digest, InvitationToken, ResetToken, VerificationToken};
use crate::service::account::pending_email;
use crate::service::delivery::one_time_token::{self, Purpose, Subject};
use crate::service::sign_up::registration;
use crate::service::{Authd, Error, account};
use crate::store::{Broken, ReadTx, params};

/// What a link is for that works.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum LinkSubject {
    /// A new password for the account with this address.
    PasswordReset {
        /// The address.
        email: String,
    },
    /// The proof of an account's address.
    EmailVerification {
        /// The address.
        email: String,
    },
    /// A change of an account's address.
    EmailChange {
        /// The present address.
        old: String,
        /// The new address.
        new: String,
    },
    /// A registration that waits, with this address.
    Registration {
        /// The address.
        email: String,
    },
    /// An invitation.
    Invitation {
        /// The address that the account must have.
        email: Option<String>,
        /// The group that the account will be in.
        group: Option<String>,
    },
}

impl Authd {
    /// What the link with this token is for; `None` if it does not work, or is already used.
    ///
    /// # Errors
    /// Only those of the store.
    pub fn link_subject(&self, token: &str) -> Result<Option<LinkSubject>, Error> {
        let reset = ResetToken::read(token).map(|it| it.digest());
        let verification = || VerificationToken::read(token).map(|it| it.digest());
        let invitation = || InvitationToken::read(token).map(|it| it.digest());
        match reset.or_else(verification).or_else(invitation) {
            Some(digest) => Ok(self.store.read(|tx| subject(tx, digest))?),
            None => Ok(None),
        }
    }
}

fn subject(tx: &ReadTx<'_>, digest: Digest) -> Result<Option<LinkSubject>, Broken> {
    let found = one_time_token::find(tx, digest)?.filter(|found| !found.was_just_used);
    let Some(found) = found else {
        return Ok(None);
    };
    match found.subject {
        Subject::Account(account) => of_account(tx, found.purpose, account),
        Subject::Registration(key) => of_registration(tx, key),
        Subject::Invitation(key) => of_invitation(tx, key),
    }
}

fn of_account(
    tx: &ReadTx<'_>,
    purpose: Purpose,
    key: AccountKey,
) -> Result<Option<LinkSubject>, Broken> {
    let email = account::load(tx, key)?.shown.email;
    Ok(match purpose {
        Purpose::PasswordReset => Some(LinkSubject::PasswordReset { email }),
        Purpose::EmailVerification => Some(LinkSubject::EmailVerification { email }),
        Purpose::EmailChangePresent | Purpose::EmailChangeNew => {
            let pending = pending_email::pending(tx, key)?;
            pending.map(|pending| LinkSubject::EmailChange {
                old: email,
                new: pending.email,
            })
        }
        Purpose::Registration | Purpose::Invitation => None,
    })
}

fn of_registration(tx: &ReadTx<'_>, key: RegistrationKey) -> Result<Option<LinkSubject>, Broken> {
    let waiting = registration::find(tx, key)?;
    Ok(waiting.map(|waiting| LinkSubject::Registration {
        email: waiting.email().to_owned(),
    }))
}

fn of_invitation(tx: &ReadTx<'_>, key: InvitationKey) -> Result<Option<LinkSubject>, Broken> {
    tx.row(
        "SELECT i.email, g.name FROM invitation i LEFT JOIN user_group g ON g.id = i.group_id WHERE i.id = ?1",
        params![key],
        |row| {
            Ok(LinkSubject::Invitation {
                email: row.get(0)?,
                group: row.get(1)?,
            })
        },
    )
}
