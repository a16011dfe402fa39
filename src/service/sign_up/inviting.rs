//! Inviting: what an operator does with invitations.
//!
//! One is made for a certain address or for whoever it is handed to, perhaps with a group that the account is in from the
//! start. One for an address may be mailed to it: its secret is drawn when the letter leaves, and nobody else sees it, so
//! whoever uses it reads mail at that address, which is noted with the account.

use std::time::Duration;

use serde::Serialize;
use serde_json::json;

use crate::clock::Timestamp;
use crate::ids::{AccountKey, InvitationId};
use crate::secret::InvitationToken;
use crate::service::account;
use crate::service::account::groups;
use crate::service::delivery::outbox::Note;
use crate::service::error::unexpected;
use crate::service::event::{Entry, Kind};
use crate::service::{Authd, Code, Error, Registration};
use crate::store::{Broken, ReadTx, Row, params};

/// Invitations that are open at a time: a list that an operator still reads, and no more than a script can lose.
const MOST_OPEN: u32 = 1000;

/// Invitations that one question lists: all that are open, and the latest of those that have ended.
const MOST_LISTED: u32 = 2 * MOST_OPEN;

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
            let group_key = group.as_deref().map(|name| groups::select(tx, name)).transpose()?;
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

fn count_open(tx: &ReadTx<'_>) -> Result<u32, Broken> {
    tx.row(
        "SELECT count(*) FROM invitation WHERE ended_at IS NULL AND expires_at > ?1",
        params![tx.now],
        |row| row.get(0),
    )?
    .ok_or_else(|| unexpected("a count has no row"))
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
