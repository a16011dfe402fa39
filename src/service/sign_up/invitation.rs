//! Invitations: who holds one may make an account, once.
//!
//! One ends by being used, by being withdrawn, or by time, whichever is first, and once and for good: it is used up by a
//! guarded `UPDATE` in the transaction that makes the account, so that there is no account without it and no use without
//! an account. A registration that is refused uses nothing up.
//!
//! Whatever is wrong with an invitation, the answer is the same: whoever found one learns nothing about it, nor for whom
//! it was.

use std::time::Duration;

use serde_json::json;

use crate::clock::Timestamp;
use crate::ids::{AccountKey, GroupKey, InvitationId, InvitationKey};
use crate::secret::{Digest, InvitationToken};
use crate::service::account::groups;
use crate::service::event::{Entry, Kind};
use crate::service::{Code, Error};
use crate::store::{Broken, ReadTx, Tx, params};

/// How long one is kept when it has ended, so that an operator sees who came with it.
const KEPT: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// Gives a mailed invitation its secret, in the place of an earlier one. Returns until when it works; `None` if it has
/// ended.
pub(in crate::service) fn arm(
    tx: &Tx<'_>,
    invitation: InvitationKey,
    digest: Digest,
) -> Result<Option<Timestamp>, Broken> {
    tx.row(
        "UPDATE invitation SET digest = ?2 WHERE id = ?1 AND ended_at IS NULL AND expires_at > ?3 AND is_mailed = 1 \
         RETURNING expires_at",
        params![invitation, digest, tx.now],
        |row| row.get(0),
    )
}

/// Until when an invitation works; `None` if it works no more.
pub(in crate::service) fn open_until(
    tx: &ReadTx<'_>,
    invitation: InvitationKey,
) -> Result<Option<Timestamp>, Broken> {
    tx.row(
        "SELECT expires_at FROM invitation WHERE id = ?1 AND ended_at IS NULL AND expires_at > ?2",
        params![invitation, tx.now],
        |row| row.get(0),
    )
}

/// Reads an invitation from outside: what is looked for of it.
pub(in crate::service) fn read(token: &str) -> Result<Digest, Error> {
    let token = InvitationToken::read(token).ok_or_else(refused)?;
    Ok(token.digest())
}

/// An invitation that works.
#[derive(Clone, Copy)]
pub(in crate::service) struct Open {
    pub key: InvitationKey,
    /// Whether a letter carries it: whoever holds it reads mail at its address.
    pub is_mailed: bool,
}

/// Finds an invitation that works for this address. Says nothing about a moment later: [`claim`] decides.
pub(in crate::service) fn find(
    tx: &ReadTx<'_>,
    digest: Digest,
    email_key: &str,
) -> Result<Open, Error> {
    let open = tx.row(
        "SELECT id, is_mailed FROM invitation WHERE digest = ?1 AND ended_at IS NULL AND expires_at > ?2 \
             AND (email_key IS NULL OR email_key = ?3)",
        params![digest, tx.now, email_key],
        |row| {
            Ok(Open {
                key: row.get(0)?,
                is_mailed: row.get(1)?,
            })
        },
    )?;
    open.ok_or_else(refused)
}

/// Uses an invitation up for an account that was made in this transaction, and gives it what comes with that. It must
/// have worked `as_of` the registration, which may have waited since.
pub(in crate::service) fn claim(
    tx: &Tx<'_>,
    invitation: InvitationKey,
    account: AccountKey,
    email_key: &str,
    as_of: Timestamp,
) -> Result<(), Error> {
    let claimed = tx.row(
        "UPDATE invitation SET ended_at = ?2, end_reason = 'used', account_id = ?4 \
         WHERE id = ?1 AND ended_at IS NULL AND expires_at > ?5 AND (email_key IS NULL OR email_key = ?3) \
         RETURNING public_id, group_id, is_mailed",
        params![invitation, tx.now, email_key, account, as_of],
        |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)),
    )?;
    let (id, group, is_mailed): (InvitationId, Option<GroupKey>, bool) =
        claimed.ok_or_else(refused)?;
    Entry::of(Kind::InvitationUsed, account)
        .detail(json!({ "invitation": id, "mailed": is_mailed }))
        .write(tx)?;
    if is_mailed {
        tx.run(
            "UPDATE account SET email_verified_at = ?2 WHERE id = ?1",
            params![account, tx.now],
        )?;
    }
    // The group may have been deleted since: the invitation is one without a group then.
    if let Some(group) = group {
        groups::grant(tx, group, account, "invitation")?;
    }
    Ok(())
}

/// Deletes at most `limit` invitations that ended long ago; returns how many.
pub(in crate::service) fn sweep(tx: &Tx<'_>, limit: u32) -> Result<usize, Broken> {
    tx.run(
        "DELETE FROM invitation WHERE id IN \
         (SELECT id FROM invitation WHERE coalesce(ended_at, expires_at) < ?1 LIMIT ?2)",
        params![tx.now.minus(KEPT), limit],
    )
}

fn refused() -> Error {
    Error::no(
        Code::InvalidInvitation,
        "This invitation was used or withdrawn, has expired, or is for another address. Ask whoever sent it for \
         another.",
    )
}
