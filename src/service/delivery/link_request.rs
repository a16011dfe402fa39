//! Requests for a link by e-mail address.
//!
//! The request reveals nothing: for an address that has an account and one that has none, the same row is stored, and the
//! account is not looked up before the answer (req 21). The sender does that, within a second, on its own thread. The
//! message goes to the stored address, never to the one that was typed (req 27), and the request changes nothing about the
//! account or its older links (req 24).
//!
//! There is one waiting row for an address and topic, and a cap over all of them, so a mail server that hangs does not let
//! strangers fill the file.

use std::time::Duration;

use super::message::Topic;
use super::one_time_token::{self, Purpose, Subject};
use super::outbox;
use crate::clock::Timestamp;
use crate::ids::{AccountKey, MessageKey};
use crate::service::account::identifiers;
use crate::service::context::Context;
use crate::service::event::Kind;
use crate::service::{Authd, Code, Device, Error, throttle};
use crate::store::{Broken, ReadTx, params};

/// Messages with a link of one kind that one account is sent within [`PERIOD`]: enough for a person who looks in the wrong
/// mailbox first, too few to fill one.
pub const MOST_REQUESTS: u32 = 3;

/// See [`MOST_REQUESTS`].
pub const PERIOD: Duration = Duration::from_secs(60 * 60);

/// Requests that wait to be looked up, over all addresses. The sender looks at all of them each second.
const MOST_WAITING: u32 = 2000;

/// When to try again while that many wait, in seconds.
const RETRY_AFTER: u64 = 30;

/// Requests that one transaction looks up.
const BATCH: u32 = 50;

/// A link that is mailed: what it does, what the message says, and the event that it leaves.
#[derive(Clone, Copy)]
pub struct LinkKind {
    pub purpose: Purpose,
    pub topic: Topic,
    pub event: Kind,
}

/// A link to set a new password.
pub const PASSWORD_RESET: LinkKind = LinkKind {
    purpose: Purpose::PasswordReset,
    topic: Topic::PasswordReset,
    event: Kind::PasswordResetRequested,
};

/// A link that proves the address of an account.
pub const EMAIL_VERIFICATION: LinkKind = LinkKind {
    purpose: Purpose::EmailVerification,
    topic: Topic::EmailVerification,
    event: Kind::EmailVerificationRequested,
};

/// What the owner of an account gets when a client registers with its address: a link to set a new password, in case it was
/// the owner, who forgot.
pub const ALREADY_REGISTERED: LinkKind = LinkKind {
    purpose: Purpose::PasswordReset,
    topic: Topic::AlreadyRegistered,
    event: Kind::PasswordResetRequested,
};

/// What a client can ask for by address.
const BY_ADDRESS: [LinkKind; 2] = [PASSWORD_RESET, EMAIL_VERIFICATION];

impl Authd {
    /// Stores a request for a link to the account with this e-mail address. `command` is what an operator runs to print the
    /// same link.
    ///
    /// # Errors
    /// [`Code::NoMail`] where mail is off; [`Code::InvalidRequest`] for what is not an address;
    /// [`Code::TooManyRequests`] for a network that asks again and again; [`Error::Unavailable`] while too many requests
    /// wait; [`Code::StorageLow`] while storage is short.
    pub(in crate::service) fn request_link(
        &self,
        kind: LinkKind,
        command: &str,
        email: &str,
        device: &Device,
    ) -> Result<(), Error> {
        if !self.policy().sends_mail {
            return Err(Error::no(
                Code::NoMail,
                format!(
                    "This server sends no mail. Ask the operator of this server for a link: `{command}` prints one."
                ),
            ));
        }
        let (_, email_key) = identifiers::read_email(email)?;
        self.require_storage()?;
        let network = throttle::Subject::Mail(device.ip);
        self.store
            .read(|tx| throttle::check(tx, &self.settings.tag_key, &network))?;
        let from = device.clone();
        self.write(Some(device), move |cx| {
            cx.require_storage()?;
            throttle::take(cx, cx.tag_key(), &throttle::Subject::Mail(from.ip))?;
            if count_waiting(cx)? >= MOST_WAITING {
                return Err(Error::Unavailable(RETRY_AFTER));
            }
            cx.run(
                "INSERT INTO outbox (public_id, topic, email_key, ip, user_agent, created_at, attempts, due_at) \
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, 0, ?6) \
                 ON CONFLICT (email_key, topic) WHERE email_key IS NOT NULL DO NOTHING",
                params![
                    cx.random::<16>(),
                    kind.topic.as_str(),
                    email_key,
                    from.ip,
                    from.user_agent,
                    cx.now,
                ],
            )?;
            Ok(())
        })
    }

    /// Looks up the accounts of the oldest requests. A request that no account may be sent is deleted; another becomes a
    /// message with a link. Returns how many requests that were.
    pub(in crate::service) fn look_up_requests(&self) -> Result<usize, Error> {
        // A read that costs no commit: most of the time no request waits.
        if self.store.read(|tx| waiting(tx, 1))?.is_empty() {
            return Ok(0);
        }
        self.write(None, |cx| {
            let requests = waiting(cx, BATCH)?;
            for request in &requests {
                look_up(cx, request)?;
            }
            Ok(requests.len())
        })
    }
}

/// Enqueues a message with a link, unless the account was sent enough of them. Where mail is off, it does nothing.
pub fn send(cx: &Context<'_>, kind: LinkKind, account: AccountKey) -> Result<(), Broken> {
    if !cx.policy().sends_mail || was_sent_enough(cx, kind, account)? {
        return Ok(());
    }
    let subject = Subject::Account(account);
    let token = one_time_token::request(cx, kind.purpose, subject, cx.device(), None)?;
    outbox::enqueue(cx, outbox::Outgoing::to(account, kind.topic).with(token))?;
    cx.event(kind.event, account).write(cx)
}

/// A request as it waits.
struct Request {
    key: MessageKey,
    topic: String,
    email_key: String,
    created_at: Timestamp,
    device: Device,
}

fn waiting(tx: &ReadTx<'_>, limit: u32) -> Result<Vec<Request>, Broken> {
    tx.rows(
        "SELECT id, topic, email_key, created_at, ip, user_agent FROM outbox \
         WHERE email_key IS NOT NULL AND account_id IS NULL ORDER BY id LIMIT ?1",
        params![limit],
        |row| {
            Ok(Request {
                key: row.get(0)?,
                topic: row.get(1)?,
                email_key: row.get(2)?,
                created_at: row.get(3)?,
                device: Device {
                    ip: row.get(4)?,
                    user_agent: row.get::<Option<String>>(5)?.unwrap_or_default(),
                },
            })
        },
    )
}

fn count_waiting(tx: &ReadTx<'_>) -> Result<u32, Broken> {
    let count = tx.row(
        "SELECT count(*) FROM outbox WHERE email_key IS NOT NULL",
        params![],
        |row| row.get(0),
    )?;
    Ok(count.unwrap_or(0))
}

fn look_up(cx: &Context<'_>, request: &Request) -> Result<(), Broken> {
    let kind = BY_ADDRESS
        .into_iter()
        .find(|kind| kind.topic.as_str() == request.topic);
    let account = match kind {
        // A topic of a newer release, which this one cannot write.
        None => None,
        Some(kind) if is_too_old(cx, kind, request) => None,
        Some(kind) => may_be_sent(cx, kind, &request.email_key)?
            .filter(|_| cx.policy().sends_mail)
            .map(|account| (kind, account)),
    };
    let sent = match account {
        Some((kind, account)) => make_message(cx, kind, account, request)?,
        None => false,
    };
    if !sent {
        cx.run("DELETE FROM outbox WHERE id = ?1", params![request.key])?;
    }
    Ok(())
}

/// A request that is older than its link would be: the server was stopped for long, and the client waits no more.
fn is_too_old(cx: &Context<'_>, kind: LinkKind, request: &Request) -> bool {
    let age = cx.now.since(request.created_at);
    kind.purpose
        .lifetime()
        .is_some_and(|lifetime| age >= lifetime)
}

/// Makes a request a message with a link. Returns whether it is to be sent.
fn make_message(
    cx: &Context<'_>,
    kind: LinkKind,
    (account, email, is_proven): (AccountKey, String, bool),
    request: &Request,
) -> Result<bool, Broken> {
    if was_sent_enough(cx, kind, account)? {
        return Ok(false);
    }
    if !is_proven && outbox::is_over_a_limit_of(cx, &email, true)? {
        return Ok(false);
    }
    let device = Some(&request.device);
    let token = one_time_token::request(cx, kind.purpose, Subject::Account(account), device, None)?;
    cx.run(
        "UPDATE outbox SET account_id = ?2, token_id = ?3 WHERE id = ?1",
        params![request.key, account, token],
    )?;
    cx.event(kind.event, account)
        .device(&request.device)
        .write(cx)?;
    Ok(true)
}

fn was_sent_enough(tx: &ReadTx<'_>, kind: LinkKind, account: AccountKey) -> Result<bool, Broken> {
    let since = tx.now.minus(PERIOD);
    Ok(one_time_token::count_recent(tx, account, kind.purpose, since)? >= MOST_REQUESTS)
}

/// The account with this address, if it may be sent such a link, with its address and whether that is proven.
fn may_be_sent(
    tx: &ReadTx<'_>,
    kind: LinkKind,
    email_key: &str,
) -> Result<Option<(AccountKey, String, bool)>, Broken> {
    let found = tx.row(
        "SELECT id, email, email_verified_at IS NOT NULL FROM account WHERE email_key = ?1 AND disabled_at IS NULL",
        params![email_key],
        |row| Ok((row.get(0)?, row.get(1)?, row.get::<bool>(2)?)),
    )?;
    let is_for_unproven = kind.purpose == Purpose::EmailVerification;
    Ok(found.filter(|(_, _, is_proven)| !(is_for_unproven && *is_proven)))
}
