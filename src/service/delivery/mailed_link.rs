//! Asking for a link by mail.
//!
//! Asking reveals nothing: for a known and an unknown address one row is written, the same, and whose address it is
//! nobody asks before the answer has gone (req 21). Whoever sends the mail does, within a second, on another thread. The
//! letter goes to the address that is stored, never to the one that was typed (req 27). Asking changes nothing about the
//! account either; only older links of the same kind are void then (req 24).
//!
//! Who may be sent such a link is for the caller to say; how often, and what it costs, is the same for every kind.

use std::time::Duration;

use crate::clock::Timestamp;
use crate::ids::AccountKey;
use crate::service::account;
use crate::service::delivery::message::Topic;
use crate::service::delivery::one_time_link::{self, Purpose};
use crate::service::delivery::outbox::{Note, Outbox};
use crate::service::event::{Entry, Kind};
use crate::service::throttle::{self, Subject};
use crate::service::{Authd, Code, Device, Error};
use crate::store::{Broken, ReadTx, Tx, params};

/// Letters with a link of one kind that one account is sent within [`PERIOD`]: enough for somebody who looks in the wrong
/// mailbox first, too few to fill one.
pub(in crate::service) const MOST_REQUESTS: u32 = 3;

/// See [`MOST_REQUESTS`].
pub(in crate::service) const PERIOD: Duration = Duration::from_secs(60 * 60);

/// A letter with a link.
#[derive(Clone, Copy)]
pub(in crate::service) struct LinkLetter {
    /// What the link opens.
    pub purpose: Purpose,
    /// What the letter says.
    pub topic: Topic,
    /// What it leaves among the account's events.
    pub event: Kind,
}

/// What somebody may wish to be sent.
#[derive(Clone, Copy)]
pub(in crate::service) struct Wish {
    pub letter: LinkLetter,
    /// The command with which an operator does the same without mail.
    pub command: &'static str,
    /// The account that has this e-mail address in its compared form, if it may be sent such a link.
    pub find: fn(&Tx<'_>, &str) -> Result<Option<AccountKey>, Broken>,
}

/// A wish as it was noted.
pub(in crate::service) struct Noted {
    pub purpose: String,
    email_key: String,
    requested_at: Timestamp,
    device: Device,
}

impl Authd {
    /// Notes the wish for a link to the account with this e-mail address. Whether there is one, that may be sent it and
    /// was not sent three within the last hour, is not asked here.
    ///
    /// # Errors
    /// [`Code::NoMail`] where mail is off; [`Code::InvalidRequest`] for what is no address;
    /// [`Code::TooManyRequests`] for an address of the network that asks again and again.
    pub(in crate::service) fn request_link(
        &self,
        wish: Wish,
        email: &str,
        device: &Device,
    ) -> Result<(), Error> {
        if !self.policy.sends_mail {
            let command = wish.command;
            return Err(Error::no(
                Code::NoMail,
                format!(
                    "This server sends no mail. Ask whoever runs it for a link: `{command}` prints one."
                ),
            ));
        }
        let (_, email_key) = account::read_email(email)?;
        self.store
            .read(|tx| throttle::refuse_blocked(tx, &self.tag_key, &Subject::Mail(device.ip)))?;
        let (tag_key, device) = (self.tag_key.clone(), device.clone());
        self.store.write(move |tx| {
            throttle::record(tx, &tag_key, &Subject::Mail(device.ip))?;
            tx.run(
                "INSERT INTO wish (email_key, purpose, requested_at, ip, user_agent) VALUES (?1, ?2, ?3, ?4, ?5)",
                params![
                    email_key,
                    wish.letter.purpose.as_str(),
                    tx.now,
                    device.ip,
                    device.user_agent,
                ],
            )?;
            Ok(())
        })
    }
}

/// Whether anything was asked for.
pub(in crate::service) fn is_wished(tx: &ReadTx<'_>) -> Result<bool, Broken> {
    let wished = tx.row("SELECT 1 FROM wish LIMIT 1", params![], |row| {
        row.get::<i64>(0)
    })?;
    Ok(wished.is_some())
}

/// Takes at most `limit` wishes, the oldest first.
pub(in crate::service) fn take(tx: &Tx<'_>, limit: u32) -> Result<Vec<Noted>, Broken> {
    tx.rows(
        "DELETE FROM wish WHERE id IN (SELECT id FROM wish ORDER BY id LIMIT ?1) \
         RETURNING purpose, email_key, requested_at, ip, user_agent",
        params![limit],
        |row| {
            Ok(Noted {
                purpose: row.get(0)?,
                email_key: row.get(1)?,
                requested_at: row.get(2)?,
                device: Device {
                    ip: row.get(3)?,
                    user_agent: row.get(4)?,
                },
            })
        },
    )
}

/// Notes the link that was wished for, if somebody has that address who may be sent it. A wish that is older than its
/// link would be came before a long stop, and is not waited for any more.
pub(in crate::service) fn grant(
    tx: &Tx<'_>,
    outbox: Outbox,
    wish: Wish,
    noted: &Noted,
) -> Result<(), Broken> {
    if tx.now.since(noted.requested_at) >= wish.letter.purpose.lifetime() {
        return Ok(());
    }
    match (wish.find)(tx, &noted.email_key)? {
        Some(account) => send(tx, outbox, wish.letter, account, &noted.device),
        None => Ok(()),
    }
}

/// Notes a link and the letter that carries it, unless the account was sent enough of them.
pub(in crate::service) fn send(
    tx: &Tx<'_>,
    outbox: Outbox,
    letter: LinkLetter,
    account: AccountKey,
    device: &Device,
) -> Result<(), Broken> {
    let since = tx.now.minus(PERIOD);
    if one_time_link::count_requests(tx, account, letter.purpose, since)? >= MOST_REQUESTS {
        return Ok(());
    }
    let link = one_time_link::request(tx, account, letter.purpose, Some(device))?;
    outbox.note(tx, Note::to(account, letter.topic).with(link).from(device))?;
    Entry::of(letter.event, account).device(device).write(tx)
}
