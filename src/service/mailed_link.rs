//! Asking for a link by mail.
//!
//! Asking reveals nothing: a known and an unknown address get the same answer after the same one commit, and the letter
//! leaves later, on another thread (req 21). It goes to the address that is stored, never to the one that was typed
//! (req 27). Asking changes nothing about the account either; only older links of the same kind are void then (req 24).
//!
//! Who may be sent such a link is for the caller to say; how often, and what it costs, is the same for every kind.

use std::time::Duration;

use super::event::{Entry, Kind};
use super::letter::Topic;
use super::one_time_link::{self, Purpose};
use super::outbox::{Note, Outbox};
use super::throttle::{self, Subject};
use super::{Authd, Code, Device, Error, account};
use crate::ids::AccountKey;
use crate::store::{Broken, Tx};

/// Letters with a link of one kind that one account is sent within [`PERIOD`]: enough for somebody who looks in the wrong
/// mailbox first, too few to fill one.
pub(super) const MOST_REQUESTS: u32 = 3;

/// See [`MOST_REQUESTS`].
pub(super) const PERIOD: Duration = Duration::from_secs(60 * 60);

/// What somebody wishes to be sent.
#[derive(Clone, Copy)]
pub(super) struct Wish {
    /// What the link opens.
    pub purpose: Purpose,
    /// What the letter says.
    pub topic: Topic,
    /// What it leaves among the account's events.
    pub event: Kind,
    /// The command with which an operator does the same without mail.
    pub command: &'static str,
}

impl Authd {
    /// Has a link sent to the account that `find` finds for this e-mail address, if it finds one and that was not sent
    /// three within the last hour. Whether that is so, the answer does not tell.
    ///
    /// # Errors
    /// [`Code::NoMail`] where mail is off; [`Code::InvalidRequest`] for what is no address;
    /// [`Code::TooManyRequests`] for an address of the network that asks again and again.
    pub(super) fn request_link(
        &self,
        wish: Wish,
        email: &str,
        device: &Device,
        find: fn(&Tx<'_>, &str) -> Result<Option<AccountKey>, Broken>,
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
            .read(|tx| self.refuse_blocked_subject(tx, &Subject::Mail(device.ip)))?;
        let (tag_key, outbox, device) = (self.tag_key.clone(), self.outbox(), device.clone());
        self.store.write(move |tx| {
            throttle::record(tx, &tag_key, &Subject::Mail(device.ip))?;
            // One row for every address that is asked about, known or not: both cost a commit.
            throttle::record(tx, &tag_key, &Subject::Asked(&email_key))?;
            if let Some(account) = find(tx, &email_key)? {
                send(tx, outbox, wish, account, &device)?;
            }
            Ok(())
        })
    }
}

/// Notes a link and the letter that carries it, unless the account was sent enough of them.
pub(super) fn send(
    tx: &Tx<'_>,
    outbox: Outbox,
    wish: Wish,
    account: AccountKey,
    device: &Device,
) -> Result<(), Broken> {
    let since = tx.now.minus(PERIOD);
    if one_time_link::count_requests(tx, account, wish.purpose, since)? >= MOST_REQUESTS {
        return Ok(());
    }
    let link = one_time_link::request(tx, account, wish.purpose, Some(device))?;
    outbox.note(tx, Note::to(account, wish.topic).with(link).from(device))?;
    Entry::of(wish.event, account).device(device).write(tx)
}
