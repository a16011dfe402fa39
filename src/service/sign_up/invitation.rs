//! Invitations: a person who holds one may make an account, once.
//!
//! An operator makes one for a certain address or for anyone who is given it, perhaps with a group that the account is in
//! from the start. One for an address may be mailed there: its secret is drawn when the message leaves, and only the
//! mailbox sees it, so using it proves the address.
//!
//! An invitation is used up in the transaction that makes the account, so there is no account without it and no use without
//! an account. A registration that is refused uses nothing up. Whatever is wrong with an invitation, the answer is the same:
//! it tells nothing about the invitation, nor for whom it was.

use std::time::Duration;

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::json;

use crate::clock::Timestamp;
use crate::ids::{AccountKey, GroupKey, InvitationId, InvitationKey, OneTimeTokenKey};
use crate::secret::{Digest, InvitationToken};
use crate::service::account::{self, groups, identifiers};
use crate::service::administration::Administration;
use crate::service::context::Context;
use crate::service::delivery::message::Topic;
use crate::service::delivery::one_time_token::{self, Purpose, Secret, Subject};
use crate::service::delivery::outbox::{self, Outgoing};
use crate::service::error::unexpected;
use crate::service::event::Kind;
use crate::service::{Authd, Code, Error, Registration};
use crate::store::{Broken, ReadTx, Row, Tx, params};

/// How long one is kept when it has ended, so that an operator sees who came with it.
const KEPT: Duration = days(30);

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
#[derive(Clone, Debug, Serialize, JsonSchema)]
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
    /// All open invitations, then those that ended within the last 30 days; of each the newest first, and no more than
    /// 2,000. For an operator.
    ///
    /// # Errors
    /// Only those of the store.
    pub fn invitations(&self) -> Result<Vec<Invitation>, Error> {
        Ok(self.store.read(|tx| {
            tx.rows(
                "SELECT i.public_id, i.email, g.name, i.is_mailed, i.created_at, t.expires_at, t.ended_at, \
                     t.end_reason, a.email \
                 FROM invitation i JOIN one_time_token t ON t.invitation_id = i.id \
                     LEFT JOIN user_group g ON g.id = i.group_id LEFT JOIN account a ON a.id = i.account_id \
                 ORDER BY t.ended_at IS NULL AND t.expires_at > ?1 DESC, i.id DESC LIMIT ?2",
                params![tx.now, MOST_LISTED],
                |row| from_row(row, tx.now),
            )
        })?)
    }
}

impl Administration<'_> {
    /// Makes an invitation, for an operator to hand out or to have mailed.
    ///
    /// # Errors
    /// [`Code::RegistrationClosed`] where nobody could use one; [`Code::NoMail`] for one to be mailed where mail is off;
    /// [`Code::NotFound`] if there is no such group; [`Code::EmailTaken`] if the address has an account already;
    /// [`Code::InvalidRequest`] for what is no address, one to be mailed without any, a lifetime out of bounds, and the
    /// 1,001st that would be open.
    pub fn invite(&self, new: &NewInvitation) -> Result<Invited, Error> {
        if self.authd.policy().registration == Registration::Closed {
            return Err(Error::no(
                Code::RegistrationClosed,
                "Registration is closed here, so nobody could use an invitation. Set `registration = \"invite\"`.",
            ));
        }
        if new.is_mailed && !self.authd.policy().sends_mail {
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
        let email = new
            .email
            .as_deref()
            .map(identifiers::read_email)
            .transpose()?;
        let (group, is_mailed) = (new.group.clone(), new.is_mailed);
        self.write(move |cx| {
            let (email, email_key) = email.clone().unzip();
            if let Some(key) = &email_key {
                account::refuse_taken_email(cx, key, AccountKey::from_row(0))?;
            }
            let group_key = group.as_deref().map(|name| groups::select(cx, name)).transpose()?;
            if count_open(cx)? >= MOST_OPEN {
                return Err(Error::invalid(format!(
                    "There are {MOST_OPEN} open invitations already. Withdraw some, or wait until they expire."
                )));
            }
            let invitation = Invitation {
                id: InvitationId::random(cx.random()),
                state: "open",
                email,
                group: group.clone(),
                is_mailed,
                created_at: cx.now,
                expires_at: cx.now.plus(lifetime),
                ended_at: None,
                used_by: None,
            };
            let token = insert(cx, &invitation, email_key.as_deref(), group_key)?;
            cx.event_of_nobody(Kind::InvitationCreated)
                .detail(json!({ "invitation": invitation.id, "group": invitation.group }))
                .write(cx)?;
            Ok(Invited {
                token: match &invitation.email {
                    Some(email) if is_mailed => {
                        let message = Outgoing::to_address(email, Topic::Invitation).with(token);
                        outbox::enqueue(cx, message)?;
                        None
                    }
                    _ => {
                        let secret = Secret::draw(cx, Purpose::Invitation);
                        one_time_token::arm(cx, token, Purpose::Invitation, secret.digest())?;
                        Some(secret.reveal())
                    }
                },
                invitation,
            })
        })
    }

    /// Withdraws an invitation that is open, for an operator.
    ///
    /// # Errors
    /// [`Code::NotFound`] if there is none of this name, or none that is open.
    pub fn withdraw_invitation(&self, id: InvitationId) -> Result<(), Error> {
        self.write(move |cx| {
            let withdrawn = cx.run(
                "UPDATE one_time_token SET ended_at = ?2, end_reason = 'withdrawn' \
                 WHERE ended_at IS NULL AND expires_at > ?2 \
                     AND invitation_id = (SELECT i.id FROM invitation i WHERE i.public_id = ?1)",
                params![id, cx.now],
            )?;
            if withdrawn == 0 {
                return Err(Error::not_found("open invitation"));
            }
            cx.event_of_nobody(Kind::InvitationWithdrawn)
                .detail(json!({ "invitation": id }))
                .write(cx)?;
            Ok(())
        })
    }
}

/// An invitation that works, for a registration.
#[derive(Clone, Copy)]
pub struct Open {
    pub key: InvitationKey,
    token: OneTimeTokenKey,
    /// Whether a message carries it: who holds it reads mail at its address.
    pub is_mailed: bool,
}

/// Reads an invitation's token from outside.
///
/// # Errors
/// [`Code::InvalidInvitation`].
pub fn read(token: &str) -> Result<Digest, Error> {
    let token = InvitationToken::read(token).ok_or_else(refused)?;
    Ok(token.digest())
}

/// Finds an invitation that works for this address. Says nothing about a moment later: [`claim`] decides.
///
/// # Errors
/// [`Code::InvalidInvitation`].
pub fn find(tx: &ReadTx<'_>, digest: Digest, email_key: &str) -> Result<Open, Error> {
    let open = tx.row(
        "SELECT i.id, t.id, i.is_mailed FROM one_time_token t JOIN invitation i ON i.id = t.invitation_id \
         WHERE t.digest = ?1 AND t.ended_at IS NULL AND t.expires_at > ?2 AND (i.email_key IS NULL OR i.email_key = ?3)",
        params![digest, tx.now, email_key],
        open_from_row,
    )?;
    open.ok_or_else(refused)
}

/// Loads the invitation that a registration came with.
///
/// # Errors
/// [`Code::InvalidInvitation`] if it was deleted.
pub fn load(tx: &ReadTx<'_>, key: InvitationKey) -> Result<Open, Error> {
    let open = tx.row(
        "SELECT i.id, t.id, i.is_mailed FROM invitation i JOIN one_time_token t ON t.invitation_id = i.id WHERE i.id = ?1",
        params![key],
        open_from_row,
    )?;
    open.ok_or_else(refused)
}

/// Uses an invitation up for an account that was made in this transaction, and gives the account what comes with it. It must
/// have worked `as_of` the registration, which may have waited since.
///
/// # Errors
/// [`Code::InvalidInvitation`].
pub fn claim(
    cx: &Context<'_>,
    invitation: &Open,
    account: AccountKey,
    email_key: &str,
    as_of: Timestamp,
) -> Result<(), Error> {
    let claimed = cx.run(
        "UPDATE one_time_token SET ended_at = ?2, end_reason = 'used' \
         WHERE id = ?1 AND ended_at IS NULL AND expires_at > ?3",
        params![invitation.token, cx.now, as_of],
    )?;
    let used = cx.row(
        "UPDATE invitation SET account_id = ?2 WHERE id = ?1 AND (email_key IS NULL OR email_key = ?3) \
         RETURNING public_id, group_id",
        params![invitation.key, account, email_key],
        |row| Ok((row.get(0)?, row.get(1)?)),
    )?;
    let (id, group): (InvitationId, Option<GroupKey>) = used.ok_or_else(refused)?;
    if claimed == 0 {
        return Err(refused());
    }
    let detail = json!({ "invitation": id, "mailed": invitation.is_mailed });
    cx.record(Kind::InvitationUsed, account, detail)?;
    if invitation.is_mailed {
        cx.run(
            "UPDATE account SET email_verified_at = ?2 WHERE id = ?1",
            params![account, cx.now],
        )?;
    }
    // Without a group if that was deleted since.
    if let Some(group) = group {
        groups::grant(cx, group, account)?;
    }
    Ok(())
}

/// Deletes at most `limit` invitations that ended long ago; returns how many.
pub fn sweep(tx: &Tx<'_>, limit: u32) -> Result<usize, Broken> {
    tx.run(
        "DELETE FROM invitation WHERE id IN (SELECT t.invitation_id FROM one_time_token t \
         WHERE t.invitation_id IS NOT NULL AND coalesce(t.ended_at, t.expires_at) < ?1 LIMIT ?2)",
        params![tx.now.minus(KEPT), limit],
    )
}

fn insert(
    cx: &Context<'_>,
    invitation: &Invitation,
    email_key: Option<&str>,
    group: Option<GroupKey>,
) -> Result<OneTimeTokenKey, Broken> {
    let key: InvitationKey = cx
        .row(
            "INSERT INTO invitation (public_id, email, email_key, group_id, is_mailed, created_at) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6) RETURNING id",
            params![
                invitation.id,
                invitation.email,
                email_key,
                group,
                invitation.is_mailed,
                invitation.created_at,
            ],
            |row| row.get(0),
        )?
        .ok_or_else(|| unexpected("an insertion returned no row"))?;
    let (purpose, subject) = (Purpose::Invitation, Subject::Invitation(key));
    one_time_token::request(cx, purpose, subject, None, Some(invitation.expires_at))
}

fn open_from_row(row: &Row<'_>) -> Result<Open, Broken> {
    Ok(Open {
        key: row.get(0)?,
        token: row.get(1)?,
        is_mailed: row.get(2)?,
    })
}

fn refused() -> Error {
    Error::no(
        Code::InvalidInvitation,
        "This invitation was used or withdrawn, has expired, or is for another address. Ask the person who sent it for \
         another.",
    )
}

fn count_open(tx: &ReadTx<'_>) -> Result<u32, Broken> {
    tx.row(
        "SELECT count(*) FROM one_time_token WHERE invitation_id IS NOT NULL AND ended_at IS NULL AND expires_at > ?1",
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
