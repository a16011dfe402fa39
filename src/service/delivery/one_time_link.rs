//! One-time links: what somebody who reads an account's mail, or was handed one by an operator, can do once.
//!
//! A row is a request. It gets a secret when the letter is about to leave, or at once where an operator prints the link;
//! only the digest is stored. A link ends by being used, by a newer one, by a new password, or by time, whichever is
//! first, and once and for good: the row count of a guarded `UPDATE` is the verdict. Requests are counted in the same
//! table, so no counter can disagree with it.

use std::net::IpAddr;
use std::time::Duration;

use serde::Serialize;

use crate::clock::Timestamp;
use crate::ids::{AccountKey, LinkKey};
use crate::secret::Digest;
use crate::service::Device;
use crate::service::account::pending_email;
use crate::service::error::unexpected;
use crate::store::{Broken, ReadTx, Tx, params};

/// How long a link works that opens an account, from the moment that its secret is drawn: long enough to find the letter,
/// short enough that one left in a mailbox opens nothing.
const RESET_LIFETIME: Duration = Duration::from_secs(15 * 60);

/// How long a link works that proves an address: it opens nothing, and people read mail once a day.
const VERIFICATION_LIFETIME: Duration = Duration::from_secs(24 * 60 * 60);

/// How long a request is kept: it is counted for an hour, and looked at afterwards by an operator.
const KEPT: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// Links of one account that are listed.
const MOST_LISTED: u32 = 100;

/// What a link does.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::service) enum Purpose {
    PasswordReset,
    EmailVerification,
    /// A change of address, at the present one.
    EmailChangePresent,
    /// The same, at the new one.
    EmailChangeNew,
}

impl Purpose {
    pub const fn as_str(self) -> &'static str {
        match self {
            Purpose::PasswordReset => "password_reset",
            Purpose::EmailVerification => "email_verification",
            Purpose::EmailChangePresent => "email_change_present",
            Purpose::EmailChangeNew => "email_change_new",
        }
    }

    /// How long such a link works from the moment that its secret is drawn.
    pub const fn lifetime(self) -> Duration {
        match self {
            Purpose::PasswordReset => RESET_LIFETIME,
            Purpose::EmailVerification | Purpose::EmailChangePresent | Purpose::EmailChangeNew => {
                VERIFICATION_LIFETIME
            }
        }
    }
}

/// A request for a link as an operator sees it.
#[derive(Clone, Debug, Serialize)]
pub struct LinkRequest {
    /// When it was asked for.
    pub requested_at: Timestamp,
    /// From which address; absent if an operator did.
    pub ip: Option<IpAddr>,
    /// What the device called itself.
    pub user_agent: Option<String>,
    /// Until when it works or would have worked; absent while its letter has not left.
    pub expires_at: Option<Timestamp>,
    /// When it ended before that.
    pub ended_at: Option<Timestamp>,
    /// Why: `used`, `replaced`, or what made it void.
    pub end_reason: Option<String>,
}

/// Notes a request; older links of the account for the same purpose are void from here on. `None` is an operator.
pub(in crate::service) fn request(
    tx: &Tx<'_>,
    account: AccountKey,
    purpose: Purpose,
    device: Option<&Device>,
) -> Result<LinkKey, Broken> {
    void(tx, account, purpose, "replaced")?;
    tx.row(
        "INSERT INTO link (account_id, purpose, requested_at, ip, user_agent) VALUES (?1, ?2, ?3, ?4, ?5) \
         RETURNING id",
        params![
            account,
            purpose.as_str(),
            tx.now,
            device.map(|device| device.ip),
            device.map(|device| device.user_agent.as_str()),
        ],
        |row| row.get(0),
    )?
    .ok_or_else(|| unexpected("an insertion returned no row"))
}

/// Gives a link its secret, in the place of an earlier one. Returns until when it works; `None` if it has ended.
pub(in crate::service) fn arm(
    tx: &Tx<'_>,
    link: LinkKey,
    purpose: Purpose,
    digest: Digest,
) -> Result<Option<Timestamp>, Broken> {
    tx.row(
        "UPDATE link SET digest = ?3, expires_at = ?4 WHERE id = ?1 AND purpose = ?2 AND ended_at IS NULL \
         RETURNING expires_at",
        params![
            link,
            purpose.as_str(),
            digest,
            tx.now.plus(purpose.lifetime())
        ],
        |row| row.get(0),
    )
}

/// Until when a link works that has its secret; `None` if it works no more.
pub(in crate::service) fn open_until(
    tx: &ReadTx<'_>,
    link: LinkKey,
) -> Result<Option<Timestamp>, Broken> {
    tx.row(
        "SELECT expires_at FROM link WHERE id = ?1 AND ended_at IS NULL AND expires_at > ?2",
        params![link, tx.now],
        |row| row.get(0),
    )
}

/// Whose link this is, if it works. Says nothing about a moment later: [`claim`] decides.
pub(in crate::service) fn find(
    tx: &ReadTx<'_>,
    purpose: Purpose,
    digest: Digest,
) -> Result<Option<AccountKey>, Broken> {
    tx.row(
        "SELECT account_id FROM link \
         WHERE digest = ?1 AND purpose = ?2 AND ended_at IS NULL AND expires_at > ?3 \
             AND NOT EXISTS (SELECT 1 FROM wish w JOIN account a ON a.email_key = w.email_key \
                 WHERE a.id = link.account_id AND w.purpose = link.purpose)",
        params![digest, purpose.as_str(), tx.now],
        |row| row.get(0),
    )
}

/// A link that was used up just now.
pub(in crate::service) struct Claimed {
    /// Whose it was.
    pub account: AccountKey,
    /// Whether it came by mail, and was not handed out by an operator.
    pub is_mailed: bool,
}

/// Uses a link up; `None` if it did not work, or somebody was faster. One in whose place another was wished for works no
/// more from then on, although it takes a moment until that other one is made.
pub(in crate::service) fn claim(
    tx: &Tx<'_>,
    purpose: Purpose,
    digest: Digest,
) -> Result<Option<Claimed>, Broken> {
    tx.row(
        "UPDATE link SET ended_at = ?3, end_reason = 'used' \
         WHERE digest = ?1 AND purpose = ?2 AND ended_at IS NULL AND expires_at > ?3 \
             AND NOT EXISTS (SELECT 1 FROM wish w JOIN account a ON a.email_key = w.email_key \
                 WHERE a.id = link.account_id AND w.purpose = link.purpose) \
         RETURNING account_id, ip IS NOT NULL",
        params![digest, purpose.as_str(), tx.now],
        |row| {
            Ok(Claimed {
                account: row.get(0)?,
                is_mailed: row.get(1)?,
            })
        },
    )
}

/// Makes all links of an account for one purpose void, and forgets wishes for one that were not granted yet.
pub(in crate::service) fn void(
    tx: &Tx<'_>,
    account: AccountKey,
    purpose: Purpose,
    reason: &str,
) -> Result<(), Broken> {
    tx.run(
        "UPDATE link SET ended_at = ?3, end_reason = ?4 \
         WHERE account_id = ?1 AND purpose = ?2 AND ended_at IS NULL",
        params![account, purpose.as_str(), tx.now, reason],
    )?;
    tx.run(
        "DELETE FROM wish WHERE email_key = (SELECT email_key FROM account WHERE id = ?1) AND purpose = ?2",
        params![account, purpose.as_str()],
    )?;
    Ok(())
}

/// Makes all links of an account void, whatever they are for, with the wishes for one and a change of address that waits:
/// its password or its address is another now, or nobody may sign in to it. What is left in a mailbox, or on its way
/// there, must not undo that, and somebody who had the old password must not keep a change in flight.
pub(in crate::service) fn void_all(
    tx: &Tx<'_>,
    account: AccountKey,
    reason: &str,
) -> Result<(), Broken> {
    tx.run(
        "UPDATE link SET ended_at = ?2, end_reason = ?3 WHERE account_id = ?1 AND ended_at IS NULL",
        params![account, tx.now, reason],
    )?;
    tx.run(
        "DELETE FROM wish WHERE email_key = (SELECT email_key FROM account WHERE id = ?1)",
        params![account],
    )?;
    pending_email::withdraw(tx, account)
}

/// How many links were asked for since `since`, not counting an operator's.
pub(in crate::service) fn count_requests(
    tx: &ReadTx<'_>,
    account: AccountKey,
    purpose: Purpose,
    since: Timestamp,
) -> Result<u32, Broken> {
    let count = tx.row(
        "SELECT count(*) FROM link \
         WHERE account_id = ?1 AND purpose = ?2 AND requested_at > ?3 AND ip IS NOT NULL",
        params![account, purpose.as_str(), since],
        |row| row.get(0),
    )?;
    Ok(count.unwrap_or(0))
}

/// The links of an account, newest first.
pub(in crate::service) fn list(
    tx: &ReadTx<'_>,
    account: AccountKey,
    purpose: Purpose,
) -> Result<Vec<LinkRequest>, Broken> {
    tx.rows(
        "SELECT requested_at, ip, user_agent, expires_at, ended_at, end_reason FROM link \
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

/// Deletes at most `limit` requests that nobody counts or looks at any more; returns how many.
pub(in crate::service) fn sweep(tx: &Tx<'_>, limit: u32) -> Result<usize, Broken> {
    tx.run(
        "DELETE FROM link WHERE id IN (SELECT id FROM (SELECT id, requested_at FROM link ORDER BY id LIMIT ?2) \
         AS oldest WHERE requested_at < ?1)",
        params![tx.now.minus(KEPT), limit],
    )
}
