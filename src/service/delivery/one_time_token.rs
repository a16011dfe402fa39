//! One-time tokens: what the holder of a link can do once.
//!
//! One table holds them all, by purpose and subject. A row is a request. It gets its secret when the message that carries
//! the link is about to leave, or at once where an operator prints the link; only the digest is stored. A token ends once
//! and for good: used, replaced by a newer one, invalidated with all of its account, or expired. The row count of a guarded
//! `UPDATE` is the verdict.
//!
//! A request alone changes nothing. An older link stops working when the newer one gets its secret, and a link that an
//! operator printed is replaced only by an operator: a stranger who asks for a link cannot take it from the account owner.

use std::net::IpAddr;
use std::time::Duration;

use schemars::JsonSchema;
use serde::Serialize;

use crate::clock::Timestamp;
use crate::ids::{AccountKey, InvitationKey, OneTimeTokenKey, RegistrationKey};
use crate::secret::{Digest, InvitationToken, ResetToken, VerificationToken};
use crate::service::Device;
use crate::service::account::pending_email;
use crate::service::error::unexpected;
use crate::store::{Broken, ReadTx, Row, Tx, params};

/// How long a reset link works from the moment that its secret is drawn: long enough to find the message, short enough that
/// one left in a mailbox opens nothing.
const RESET_LIFETIME: Duration = Duration::from_secs(15 * 60);

/// How long a link works that proves an address: it opens nothing, and people read mail once a day.
const VERIFICATION_LIFETIME: Duration = Duration::from_secs(24 * 60 * 60);

/// How long a request is kept: operators look at it afterwards.
const KEPT: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// How long an identical second use is answered like the first: a form that was sent twice.
const REPEATABLE: Duration = Duration::from_secs(60);

/// Requests of one account that are listed.
const MOST_LISTED: u32 = 100;

/// What a token does.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Purpose {
    /// Sets a new password.
    PasswordReset,
    /// Proves the address of an account.
    EmailVerification,
    /// Confirms a change of address, at the present one.
    EmailChangePresent,
    /// Confirms a change of address, at the new one.
    EmailChangeNew,
    /// Completes a registration.
    Registration,
    /// Lets a person register.
    Invitation,
}

impl Purpose {
    const ALL: [Purpose; 6] = [
        Purpose::PasswordReset,
        Purpose::EmailVerification,
        Purpose::EmailChangePresent,
        Purpose::EmailChangeNew,
        Purpose::Registration,
        Purpose::Invitation,
    ];

    /// The stable name that is stored.
    pub const fn as_str(self) -> &'static str {
        match self {
            Purpose::PasswordReset => "password_reset",
            Purpose::EmailVerification => "email_verification",
            Purpose::EmailChangePresent => "email_change_present",
            Purpose::EmailChangeNew => "email_change_new",
            Purpose::Registration => "registration",
            Purpose::Invitation => "invitation",
        }
    }

    fn read(text: &str) -> Option<Purpose> {
        Purpose::ALL.into_iter().find(|p| p.as_str() == text)
    }

    /// How long such a token works from the moment that its secret is drawn; `None` where the request says it.
    pub const fn lifetime(self) -> Option<Duration> {
        match self {
            Purpose::PasswordReset => Some(RESET_LIFETIME),
            Purpose::EmailVerification
            | Purpose::EmailChangePresent
            | Purpose::EmailChangeNew
            | Purpose::Registration => Some(VERIFICATION_LIFETIME),
            Purpose::Invitation => None,
        }
    }
}

/// What a token is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Subject {
    /// An account.
    Account(AccountKey),
    /// A registration that waits.
    Registration(RegistrationKey),
    /// An invitation.
    Invitation(InvitationKey),
}

/// The plain token of a link.
#[derive(Clone)]
pub enum Secret {
    /// Of a reset link.
    Reset(ResetToken),
    /// Of a link that proves an address.
    Verification(VerificationToken),
    /// Of an invitation.
    Invitation(InvitationToken),
}

impl Secret {
    /// Draws a new one for a purpose.
    pub fn draw(tx: &Tx<'_>, purpose: Purpose) -> Secret {
        match purpose {
            Purpose::PasswordReset => Secret::Reset(ResetToken::from_bytes(tx.random())),
            Purpose::Invitation => Secret::Invitation(InvitationToken::from_bytes(tx.random())),
            Purpose::EmailVerification
            | Purpose::EmailChangePresent
            | Purpose::EmailChangeNew
            | Purpose::Registration => {
                Secret::Verification(VerificationToken::from_bytes(tx.random()))
            }
        }
    }

    /// The form that is stored.
    pub fn digest(&self) -> Digest {
        match self {
            Secret::Reset(token) => token.digest(),
            Secret::Verification(token) => token.digest(),
            Secret::Invitation(token) => token.digest(),
        }
    }

    /// The text that stands in the link.
    pub fn reveal(&self) -> String {
        match self {
            Secret::Reset(token) => token.reveal(),
            Secret::Verification(token) => token.reveal(),
            Secret::Invitation(token) => token.reveal(),
        }
    }
}

/// A request for a link as an operator sees it.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct LinkRequest {
    /// When it was asked for.
    pub requested_at: Timestamp,
    /// From which address; absent if an operator did.
    pub ip: Option<IpAddr>,
    /// What the device called itself.
    pub user_agent: Option<String>,
    /// Until when it works or would have worked; absent while its message has not left.
    pub expires_at: Option<Timestamp>,
    /// When it ended before that.
    pub ended_at: Option<Timestamp>,
    /// Why: `used`, `replaced`, or what invalidated it.
    pub end_reason: Option<String>,
}

/// A token that was found by its secret.
#[derive(Clone, Copy, Debug)]
pub struct Found {
    pub key: OneTimeTokenKey,
    pub purpose: Purpose,
    pub subject: Subject,
    /// Whether a client asked for it, so that it came by mail; operators print theirs.
    pub is_mailed: bool,
    /// Whether it was used within the last minute: the same request again is answered as the first was.
    pub was_just_used: bool,
}

/// Stores a request. `None` as the device is an operator; `expires_at` is for purposes whose lifetime the request says.
pub fn request(
    tx: &Tx<'_>,
    purpose: Purpose,
    subject: Subject,
    device: Option<&Device>,
    expires_at: Option<Timestamp>,
) -> Result<OneTimeTokenKey, Broken> {
    let (account, registration, invitation) = match subject {
        Subject::Account(key) => (Some(key), None, None),
        Subject::Registration(key) => (None, Some(key), None),
        Subject::Invitation(key) => (None, None, Some(key)),
    };
    tx.row(
        "INSERT INTO one_time_token (purpose, account_id, registration_id, invitation_id, requested_at, ip, user_agent, \
         expires_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8) RETURNING id",
        params![
            purpose.as_str(),
            account,
            registration,
            invitation,
            tx.now,
            device.map(|device| device.ip),
            device.map(|device| device.user_agent.as_str()),
            expires_at,
        ],
        |row| row.get(0),
    )?
    .ok_or_else(|| unexpected("an insertion returned no row"))
}

/// Gives a token a secret, in the place of an earlier one of its own, and ends the older tokens of the same account for the
/// same purpose, or of older registrations with the same address. A client's token does not end one that an operator
/// printed for an account. Returns until when it works; `None` if it has ended.
pub fn arm(
    tx: &Tx<'_>,
    key: OneTimeTokenKey,
    purpose: Purpose,
    digest: Digest,
) -> Result<Option<Timestamp>, Broken> {
    let expires_at = purpose.lifetime().map(|lifetime| tx.now.plus(lifetime));
    let armed: Option<(Option<AccountKey>, Option<RegistrationKey>, bool, Timestamp)> = tx.row(
        "UPDATE one_time_token SET digest = ?3, expires_at = coalesce(?4, expires_at) \
         WHERE id = ?1 AND purpose = ?2 AND ended_at IS NULL AND coalesce(?4, expires_at) > ?5 \
         RETURNING account_id, registration_id, ip IS NULL, expires_at",
        params![key, purpose.as_str(), digest, expires_at, tx.now],
        |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)),
    )?;
    let Some((account, registration, is_operators, expires_at)) = armed else {
        return Ok(None);
    };
    if let Some(account) = account {
        tx.run(
            "UPDATE one_time_token SET ended_at = ?4, end_reason = 'replaced' \
             WHERE account_id = ?1 AND purpose = ?2 AND id <> ?3 AND ended_at IS NULL \
                 AND (ip IS NOT NULL OR ?5 = 1)",
            params![account, purpose.as_str(), key, tx.now, is_operators],
        )?;
    }
    if let Some(registration) = registration {
        tx.run(
            "UPDATE one_time_token SET ended_at = ?2, end_reason = 'replaced' \
             WHERE ended_at IS NULL AND registration_id IN (SELECT o.id FROM registration o JOIN registration n \
                 ON n.email_key = o.email_key WHERE n.id = ?1 AND o.id < n.id)",
            params![registration, tx.now],
        )?;
    }
    Ok(Some(expires_at))
}

/// Until when a token works that has its secret; `None` if it has ended.
pub fn open_until(tx: &ReadTx<'_>, key: OneTimeTokenKey) -> Result<Option<Timestamp>, Broken> {
    tx.row(
        "SELECT expires_at FROM one_time_token WHERE id = ?1 AND ended_at IS NULL AND expires_at > ?2",
        params![key, tx.now],
        |row| row.get(0),
    )
}

/// Finds a token that works, or that was used within the last minute. Says nothing about a moment later: [`claim`] decides.
pub fn find(tx: &ReadTx<'_>, digest: Digest) -> Result<Option<Found>, Broken> {
    let found = tx.row(
        "SELECT id, purpose, account_id, registration_id, invitation_id, ip IS NOT NULL, ended_at IS NOT NULL \
         FROM one_time_token WHERE digest = ?1 AND expires_at > ?2 \
             AND (ended_at IS NULL OR (end_reason = 'used' AND ended_at > ?3))",
        params![digest, tx.now, tx.now.minus(REPEATABLE)],
        found_from_row,
    )?;
    Ok(found.flatten())
}

/// Uses a token up. Returns whether it worked and nobody was faster.
pub fn claim(tx: &Tx<'_>, key: OneTimeTokenKey) -> Result<bool, Broken> {
    let claimed = tx.run(
        "UPDATE one_time_token SET ended_at = ?2, end_reason = 'used' \
         WHERE id = ?1 AND ended_at IS NULL AND expires_at > ?2",
        params![key, tx.now],
    )?;
    Ok(claimed == 1)
}

/// Makes a used token of a registration one of the account that it became.
pub fn pass_to_account(
    tx: &Tx<'_>,
    key: OneTimeTokenKey,
    account: AccountKey,
) -> Result<(), Broken> {
    tx.run(
        "UPDATE one_time_token SET account_id = ?2, registration_id = NULL WHERE id = ?1",
        params![key, account],
    )?;
    Ok(())
}

/// Ends the tokens of an account for one purpose.
pub fn void(
    tx: &Tx<'_>,
    account: AccountKey,
    purpose: Purpose,
    reason: &str,
) -> Result<(), Broken> {
    tx.run(
        "UPDATE one_time_token SET ended_at = ?3, end_reason = ?4 \
         WHERE account_id = ?1 AND purpose = ?2 AND ended_at IS NULL",
        params![account, purpose.as_str(), tx.now, reason],
    )?;
    Ok(())
}

/// Ends all tokens of an account, requests for one that were not looked up yet, and a change of address that waits: its
/// password or its address is a new one, or it may not sign in. A message in the mailbox, or on its way there, must not undo
/// that, and an attacker who had the old password must not keep a change of address in flight.
pub fn void_all(tx: &Tx<'_>, account: AccountKey, reason: &str) -> Result<(), Broken> {
    tx.run(
        "UPDATE one_time_token SET ended_at = ?2, end_reason = ?3 WHERE account_id = ?1 AND ended_at IS NULL",
        params![account, tx.now, reason],
    )?;
    tx.run(
        "DELETE FROM outbox WHERE account_id IS NULL \
         AND email_key = (SELECT a.email_key FROM account a WHERE a.id = ?1)",
        params![account],
    )?;
    pending_email::withdraw(tx, account)
}

/// How many tokens clients asked for since `since` that have not expired: an account owner who comes back after the last
/// one expired gets another.
pub fn count_recent(
    tx: &ReadTx<'_>,
    account: AccountKey,
    purpose: Purpose,
    since: Timestamp,
) -> Result<u32, Broken> {
    let count = tx.row(
        "SELECT count(*) FROM one_time_token WHERE account_id = ?1 AND purpose = ?2 AND requested_at > ?3 \
             AND ip IS NOT NULL AND (expires_at IS NULL OR expires_at > ?4)",
        params![account, purpose.as_str(), since, tx.now],
        |row| row.get(0),
    )?;
    Ok(count.unwrap_or(0))
}

/// The requests of an account, newest first.
pub fn list(
    tx: &ReadTx<'_>,
    account: AccountKey,
    purpose: Purpose,
) -> Result<Vec<LinkRequest>, Broken> {
    tx.rows(
        "SELECT requested_at, ip, user_agent, expires_at, ended_at, end_reason FROM one_time_token \
         WHERE account_id = ?1 AND purpose = ?2 ORDER BY id DESC LIMIT ?3",
        params![account, purpose.as_str(), MOST_LISTED],
        |row| {
            Ok(LinkRequest {
                requested_at: row.get(0)?,
                ip: row.get(1)?,
                user_agent: row.get(2)?,
                expires_at: row.get(3)?,
                ended_at: row.get(4)?,
                end_reason: row.get(5)?,
            })
        },
    )
}

/// Deletes at most `limit` old requests of accounts; returns how many. Those of registrations and invitations are deleted
/// with what they are for.
pub fn sweep(tx: &Tx<'_>, limit: u32) -> Result<usize, Broken> {
    tx.run(
        "DELETE FROM one_time_token WHERE id IN (SELECT t.id FROM one_time_token t \
         WHERE t.account_id IS NOT NULL AND t.requested_at < ?1 LIMIT ?2)",
        params![tx.now.minus(KEPT), limit],
    )
}

fn found_from_row(row: &Row<'_>) -> Result<Option<Found>, Broken> {
    let purpose: String = row.get(1)?;
    let account: Option<AccountKey> = row.get(2)?;
    let registration: Option<RegistrationKey> = row.get(3)?;
    let invitation: Option<InvitationKey> = row.get(4)?;
    let subject = account
        .map(Subject::Account)
        .or(registration.map(Subject::Registration))
        .or(invitation.map(Subject::Invitation));
    let (key, is_mailed, was_just_used) = (row.get(0)?, row.get(5)?, row.get(6)?);
    // A purpose of a newer release does nothing in this one.
    let known = Purpose::read(&purpose).zip(subject);
    Ok(known.map(|(purpose, subject)| Found {
        key,
        purpose,
        subject,
        is_mailed,
        was_just_used,
    }))
}
