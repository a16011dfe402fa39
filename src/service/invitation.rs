//! Invitations: who holds one may make an account, once.
//!
//! An operator makes them, for a certain address or for whoever it is handed to, perhaps with a group that the account is
//! in from the start. One ends by being used, by being withdrawn, or by time, whichever is first, and once and for good:
//! it is used up by a guarded `UPDATE` in the transaction that makes the account, so that there is no account without it
//! and no use without an account. A registration that is refused uses nothing up.
//!
//! An invitation for an address may be mailed to it. Its secret is drawn when the letter leaves, and nobody else sees it:
//! so whoever uses it reads mail at that address, which is noted with the account.
//!
//! Whatever is wrong with an invitation, the answer is the same: whoever found one learns nothing about it, nor for whom
//! it was.

use std::time::Duration;

use serde::Serialize;
use serde_json::json;

use super::error::unexpected;
use super::event::{Entry, Kind};
use super::outbox::Note;
use super::{Authd, Code, Error, Registration, account, group};
use crate::clock::Timestamp;
use crate::ids::{AccountKey, GroupKey, InvitationId, InvitationKey};
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
    /// Whether it is mailed to its address, and shown to nobody else.
    pub is_mailed: bool,
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
    /// Whether a letter carries it.
    #[serde(rename = "mailed")]
    pub is_mailed: bool,
    /// When it was made.
    pub created_at: Timestamp,
    /// Until when it works.
    pub expires_at: Timestamp,
    /// When it was used or withdrawn.
    pub ended_at: Option<Timestamp>,
    /// The e-mail address of the account that was made with it, as long as there is that account.
    pub used_by: Option<String>,
}

/// A new invitation.
#[derive(Clone, Debug)]
pub struct Invited {
    /// The invitation.
    pub invitation: Invitation,
    /// The plain token, for the link and for `POST /v1/accounts`, which is shown this once; `None` if it is mailed.
    pub token: Option<String>,
}

impl Authd {
    /// Makes an invitation, for an operator to hand out or to have mailed.
    ///
    /// # Errors
    /// [`Code::RegistrationClosed`] where nobody could use one; [`Code::NoMail`] for one to be mailed where mail is off;
    /// [`Code::NotFound`] if there is no such group; [`Code::EmailTaken`] if the address has an account already;
    /// [`Code::InvalidRequest`] for what is no address, one to be mailed without any, a lifetime out of bounds, and the
    /// 1,001st that would be open.
    pub fn invite(&self, new: &NewInvitation) -> Result<Invited, Error> {
        if self.policy.registration == Registration::Closed {
            return Err(Error::no(
                Code::RegistrationClosed,
                "Registration is closed here, so nobody could use an invitation. Set `registration = \"invite\"`.",
            ));
        }
        if new.is_mailed && !self.policy.sends_mail {
            return Err(Error::no(
                Code::NoMail,
                "This server sends no mail. Make an invitation that is not mailed, and hand out its link.",
            ));
        }
        if new.is_mailed && new.email.is_none() {
            return Err(Error::invalid("A letter takes an address to go to."));
        }
        let lifetime = new.lifetime;
        if !(NewInvitation::SHORTEST..=NewInvitation::LONGEST).contains(&lifetime) {
            return Err(Error::invalid(
                "An invitation works for an hour at least, and 90 days at most.",
            ));
        }
        let email = new.email.as_deref().map(account::read_email).transpose()?;
        let (group, is_mailed, outbox) = (new.group.clone(), new.is_mailed, self.outbox());
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
            let token = (!is_mailed).then(|| InvitationToken::from_bytes(tx.random()));
            let invitation = Invitation {
                id: InvitationId::random(tx.random()),
                state: "open",
                email,
                group,
                is_mailed,
                created_at: tx.now,
                expires_at: tx.now.plus(lifetime),
                ended_at: None,
                used_by: None,
            };
            let key = tx
                .row(
                    "INSERT INTO invitation (public_id, email, email_key, group_id, is_mailed, created_at, expires_at, \
                     digest) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8) RETURNING id",
                    params![
                        invitation.id,
                        invitation.email,
                        email_key,
                        group_key,
                        is_mailed,
                        invitation.created_at,
                        invitation.expires_at,
                        token.as_ref().map(InvitationToken::digest),
                    ],
                    |row| row.get(0),
                )?
                .ok_or_else(|| unexpected("an insertion returned no row"))?;
            if let Some(email) = invitation.email.as_deref().filter(|_| is_mailed) {
                outbox.note(tx, Note::to_guest(email, key))?;
            }
            Entry::of_nobody(Kind::InvitationCreated)
                .detail(json!({ "invitation": invitation.id, "group": invitation.group }))
                .write(tx)?;
            Ok(Invited {
                invitation,
                token: token.map(|token| token.reveal()),
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
                "SELECT i.public_id, i.email, g.name, i.is_mailed, i.created_at, i.expires_at, i.ended_at, i.end_reason, \
                     a.email \
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

/// Gives a mailed invitation its secret, in the place of an earlier one. Returns until when it works; `None` if it has
/// ended.
pub(super) fn arm(
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
pub(super) fn open_until(
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
pub(super) fn read(token: &str) -> Result<Digest, Error> {
    let token = InvitationToken::read(token).ok_or_else(refused)?;
    Ok(token.digest())
}

/// An invitation that works.
#[derive(Clone, Copy)]
pub(super) struct Open {
    pub key: InvitationKey,
    /// Whether a letter carries it: whoever holds it reads mail at its address.
    pub is_mailed: bool,
}

/// Finds an invitation that works for this address. Says nothing about a moment later: [`claim`] decides.
pub(super) fn find(tx: &ReadTx<'_>, digest: Digest, email_key: &str) -> Result<Open, Error> {
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
pub(super) fn claim(
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
    let (expires_at, end_reason): (Timestamp, Option<String>) = (row.get(5)?, row.get(7)?);
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
        is_mailed: row.get(3)?,
        created_at: row.get(4)?,
        expires_at,
        ended_at: row.get(6)?,
        used_by: row.get(8)?,
    })
}
