//! Invitations: who holds one may make an account, once.
//!
//! An operator makes them, for a certain address or for whoever it is handed to, perhaps with a group that the account is
//! in from the start. One ends by being used, by being withdrawn, or by time, whichever is first, and once and for good:
//! it is used up by a guarded `UPDATE` in the transaction that makes the account, so that there is no account without it
//! and no use without an account. A registration that is refused uses nothing up.
//!
//! Whatever is wrong with an invitation, the answer is the same: whoever found one learns nothing about it, nor for whom
//! it was.

use std::time::Duration;

use serde::Serialize;
use serde_json::json;

use super::error::unexpected;
use super::event::{Entry, Kind};
use super::{Authd, Code, Error, Registration, account, group};
use crate::clock::Timestamp;
use crate::ids::{AccountKey, GroupKey, InvitationId};
use crate::secret::{Digest, InvitationToken};
use crate::store::{Broken, ReadTx, Row, Tx, params};

/// Invitations that are open at a time: a list that an operator still reads, and no more than a script can lose.
const MOST_OPEN: u32 = 1000;

/// Invitations that one question lists: all that are open, and the latest of those that have ended.
const MOST_LISTED: u32 = 2 * MOST_OPEN;

/// How long one is kept when it has ended, so that an operator sees who came with it.
const KEPT: Duration = days(30);

const fn days(count: u64) -> Duration {
    Duration::from_secs(count * 24 * 60 * 60)
}

/// What an operator wants of an invitation.
#[derive(Clone, Debug)]
pub struct NewInvitation {
    /// The address that the account has to have; `None` for any.
    pub email: Option<String>,
    /// The group that the account is in from the start.
    pub group: Option<String>,
    /// How long it works: [`NewInvitation::SHORTEST`] to [`NewInvitation::LONGEST`].
    pub lifetime: Duration,
}

impl NewInvitation {
    /// Whoever is invited has to read of it first.
    pub const SHORTEST: Duration = Duration::from_secs(60 * 60);

    /// What nobody used for a season was forgotten, and is found by somebody else.
    pub const LONGEST: Duration = days(90);
}

/// An invitation as an operator sees it.
#[derive(Clone, Debug, Serialize)]
pub struct Invitation {
    /// Its name, which is no secret and lets nobody in.
    pub id: InvitationId,
    /// `open`, `used`, `withdrawn` or `expired`.
    pub state: &'static str,
    /// The address that the account has to have, if it has to have one.
    pub email: Option<String>,
    /// The group that the account is in from the start, if there still is such a group.
    pub group: Option<String>,
    /// When it was made.
    pub created_at: Timestamp,
    /// Until when it works.
    pub expires_at: Timestamp,
    /// When it was used or withdrawn.
    pub ended_at: Option<Timestamp>,
    /// The e-mail address of the account that was made with it, as long as there is that account.
    pub used_by: Option<String>,
}

/// A new invitation with its secret, which is shown this once.
#[derive(Clone, Debug)]
pub struct Invited {
    /// The invitation.
    pub invitation: Invitation,
    /// The plain token, for the link and for `POST /v1/accounts`.
    pub token: String,
}

impl Authd {
    /// Makes an invitation, for an operator to hand out.
    ///
    /// # Errors
    /// [`Code::RegistrationClosed`] where nobody could use one; [`Code::NotFound`] if there is no such group;
    /// [`Code::EmailTaken`] if the address has an account already; [`Code::InvalidRequest`] for what is no address, a
    /// lifetime out of bounds, and the 1,001st that would be open.
    pub fn invite(&self, new: &NewInvitation) -> Result<Invited, Error> {
        if self.policy.registration == Registration::Closed {
            return Err(Error::no(
                Code::RegistrationClosed,
                "Registration is closed here, so nobody could use an invitation. Set `registration = \"invite\"`.",
            ));
        }
        let lifetime = new.lifetime;
        if !(NewInvitation::SHORTEST..=NewInvitation::LONGEST).contains(&lifetime) {
            return Err(Error::invalid(
                "An invitation works for an hour at least, and 90 days at most.",
            ));
        }
        let email = new.email.as_deref().map(account::read_email).transpose()?;
        let group = new.group.clone();
        self.store.write(move |tx| {
            let (email, email_key) = email.unzip();
            if let Some(key) = &email_key {
                account::refuse_taken_email(tx, key, AccountKey::from_row(0))?;
            }
            let group_key = group.as_deref().map(|name| group::select(tx, name)).transpose()?;
            if count_open(tx)? >= MOST_OPEN {
                return Err(Error::invalid(format!(
                    "There are {MOST_OPEN} open invitations already. Withdraw some, or wait until they expire."
                )));
            }
            let token = InvitationToken::from_bytes(tx.random());
            let invitation = Invitation {
                id: InvitationId::random(tx.random()),
                state: "open",
                email,
                group,
                created_at: tx.now,
                expires_at: tx.now.plus(lifetime),
                ended_at: None,
                used_by: None,
            };
            tx.run(
                "INSERT INTO invitation (public_id, email, email_key, group_id, is_mailed, created_at, expires_at, digest) \
                 VALUES (?1, ?2, ?3, ?4, 0, ?5, ?6, ?7)",
                params![
                    invitation.id,
                    invitation.email,
                    email_key,
                    group_key,
                    invitation.created_at,
                    invitation.expires_at,
                    token.digest(),
                ],
            )?;
            Entry::of_nobody(Kind::InvitationCreated)
                .detail(json!({ "invitation": invitation.id, "group": invitation.group }))
                .write(tx)?;
            Ok(Invited {
                invitation,
                token: token.reveal(),
            })
        })
    }

    /// All open invitations, then those that ended within the last 30 days; of each the newest first, and no more than
    /// 2,000. For an operator.
    ///
    /// # Errors
    /// Only those of the store.
    pub fn invitations(&self) -> Result<Vec<Invitation>, Error> {
        Ok(self.store.read(|tx| {
            tx.rows(
                "SELECT i.public_id, i.email, g.name, i.created_at, i.expires_at, i.ended_at, i.end_reason, a.email \
                 FROM invitation i LEFT JOIN user_group g ON g.id = i.group_id LEFT JOIN account a ON a.id = i.account_id \
                 ORDER BY i.ended_at IS NULL AND i.expires_at > ?1 DESC, i.id DESC LIMIT ?2",
                params![tx.now, MOST_LISTED],
                |row| from_row(row, tx.now),
            )
        })?)
    }

    /// Withdraws an invitation that is open, for an operator.
    ///
    /// # Errors
    /// [`Code::NotFound`] if there is none of this name, or none that is open.
    pub fn withdraw_invitation(&self, id: InvitationId) -> Result<(), Error> {
        self.store.write(move |tx| {
            let withdrawn = tx.run(
                "UPDATE invitation SET ended_at = ?2, end_reason = 'withdrawn' \
                 WHERE public_id = ?1 AND ended_at IS NULL AND expires_at > ?2",
                params![id, tx.now],
            )?;
            if withdrawn == 0 {
                return Err(Error::not_found("open invitation"));
            }
            Entry::of_nobody(Kind::InvitationWithdrawn)
                .detail(json!({ "invitation": id }))
                .write(tx)?;
            Ok(())
        })
    }
}

/// Reads an invitation from outside: what is looked for of it.
pub(super) fn read(token: &str) -> Result<Digest, Error> {
    let token = InvitationToken::read(token).ok_or_else(refused)?;
    Ok(token.digest())
}

/// Refuses an invitation that does not work for this address. Says nothing about a moment later: [`claim`] decides.
pub(super) fn require_open(tx: &ReadTx<'_>, digest: Digest, email_key: &str) -> Result<(), Error> {
    let open: Option<i64> = tx.row(
        "SELECT id FROM invitation WHERE digest = ?1 AND ended_at IS NULL AND expires_at > ?2 \
             AND (email_key IS NULL OR email_key = ?3)",
        params![digest, tx.now, email_key],
        |row| row.get(0),
    )?;
    open.map(drop).ok_or_else(refused)
}

/// Uses an invitation up for an account that was made in this transaction, and gives it what comes with that.
pub(super) fn claim(
    tx: &Tx<'_>,
    digest: Digest,
    account: AccountKey,
    email_key: &str,
) -> Result<(), Error> {
    let claimed = tx.row(
        "UPDATE invitation SET ended_at = ?2, end_reason = 'used', account_id = ?4 \
         WHERE digest = ?1 AND ended_at IS NULL AND expires_at > ?2 AND (email_key IS NULL OR email_key = ?3) \
         RETURNING public_id, group_id",
        params![digest, tx.now, email_key, account],
        |row| Ok((row.get(0)?, row.get(1)?)),
    )?;
    let (id, group): (InvitationId, Option<GroupKey>) = claimed.ok_or_else(refused)?;
    Entry::of(Kind::InvitationUsed, account)
        .detail(json!({ "invitation": id }))
        .write(tx)?;
    // The group may have been deleted since: the invitation is one without a group then.
    if let Some(group) = group {
        group::grant(tx, group, account, "invitation")?;
    }
    Ok(())
}

/// Deletes at most `limit` invitations that ended long ago; returns how many.
pub(super) fn sweep(tx: &Tx<'_>, limit: u32) -> Result<usize, Broken> {
    tx.run(
        "DELETE FROM invitation WHERE id IN \
         (SELECT id FROM invitation WHERE coalesce(ended_at, expires_at) < ?1 LIMIT ?2)",
        params![tx.now.minus(KEPT), limit],
    )
}

fn count_open(tx: &ReadTx<'_>) -> Result<u32, Broken> {
    tx.row(
        "SELECT count(*) FROM invitation WHERE ended_at IS NULL AND expires_at > ?1",
        params![tx.now],
        |row| row.get(0),
    )?
    .ok_or_else(|| unexpected("a count has no row"))
}

fn refused() -> Error {
    Error::no(
        Code::InvalidInvitation,
        "This invitation was used or withdrawn, has expired, or is for another address. Ask whoever sent it for \
         another.",
    )
}

fn from_row(row: &Row<'_>, now: Timestamp) -> Result<Invitation, Broken> {
    let (expires_at, end_reason): (Timestamp, Option<String>) = (row.get(4)?, row.get(6)?);
    Ok(Invitation {
        id: row.get(0)?,
        state: match end_reason.as_deref() {
            Some("used") => "used",
            Some(_) => "withdrawn",
            None if expires_at <= now => "expired",
            None => "open",
        },
        email: row.get(1)?,
        group: row.get(2)?,
        created_at: row.get(3)?,
        expires_at,
        ended_at: row.get(5)?,
        used_by: row.get(7)?,
    })
}
