//! The outbox: messages that wait to leave.
//!
//! A message is enqueued in the transaction that makes it due, so there is none without the other, and the client that
//! caused it never waits for a mail server (fault 20). The row says to whom and what about; the text, and the secret of a
//! link above all, are made just before the message leaves ([`sender`](super::sender)).
//!
//! A message goes to the address that its account has when it leaves, unless the row names another: one that the account
//! has no more or not yet, or that of a person without an account.
//!
//! A notice replaces an older one of the same topic that still waits: a mail server that is down must not make the file
//! grow. Messages to addresses that nobody has proven are limited by mailbox, by domain and over all, since such an address
//! may be a stranger's. Notices are limited apart from links: a stranger who asks for links must not keep an owner from
//! hearing of a new password.
//!
//! Where mail is off, nothing is enqueued.

use std::time::Duration;

use serde_json::json;

use super::message::Topic;
use crate::ids::{AccountKey, MessageKey, OneTimeTokenKey};
use crate::service::account;
use crate::service::context::Context;
use crate::service::error::unexpected;
use crate::service::event::{self, Entry, Kind};
use crate::service::throttle::{self, Subject};
use crate::store::{Broken, Tx, params};

/// Longest answer of a mail server that is kept, in characters.
const LONGEST_FAILURE: usize = 500;

/// How often an operator is told that a limit of mail was reached.
const LIMIT_IS_TOLD: Duration = Duration::from_secs(60 * 60);

/// A message that becomes due: what about, to whom, and with which token.
#[derive(Clone, Copy)]
pub struct Outgoing<'a> {
    topic: Topic,
    account: Option<AccountKey>,
    email: Option<&'a str>,
    token: Option<OneTimeTokenKey>,
}

impl<'a> Outgoing<'a> {
    /// To the owner of an account.
    pub fn to(account: AccountKey, topic: Topic) -> Outgoing<'a> {
        Outgoing {
            topic,
            account: Some(account),
            email: None,
            token: None,
        }
    }

    /// To a person who has no account: not yet, or not any more.
    pub fn to_address(email: &'a str, topic: Topic) -> Outgoing<'a> {
        Outgoing {
            topic,
            account: None,
            email: Some(email),
            token: None,
        }
    }

    /// At an address that the account does not have now.
    pub fn at(self, email: &'a str) -> Outgoing<'a> {
        Outgoing {
            email: Some(email),
            ..self
        }
    }

    /// With the link of a token.
    pub fn with(self, token: OneTimeTokenKey) -> Outgoing<'a> {
        Outgoing {
            token: Some(token),
            ..self
        }
    }
}

/// Enqueues a message, unless mail is off or a limit is reached.
pub fn enqueue(cx: &Context<'_>, outgoing: Outgoing<'_>) -> Result<(), Broken> {
    if !cx.policy().sends_mail || is_over_a_limit(cx, &outgoing)? {
        return Ok(());
    }
    if let (Some(account), None, None) = (outgoing.account, outgoing.email, outgoing.token) {
        cx.run(
            "DELETE FROM outbox WHERE account_id = ?1 AND topic = ?2",
            params![account, outgoing.topic.as_str()],
        )?;
    }
    cx.run(
        "INSERT INTO outbox (public_id, topic, account_id, email, token_id, ip, created_at, attempts, due_at) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, 0, ?7)",
        params![
            cx.random::<16>(),
            outgoing.topic.as_str(),
            outgoing.account,
            outgoing.email,
            outgoing.token,
            cx.device().map(|device| device.ip),
            cx.now,
        ],
    )?;
    Ok(())
}

/// Whether a message must not be sent: it would go to an address that nobody has proven, and too many have.
fn is_over_a_limit(cx: &Context<'_>, outgoing: &Outgoing<'_>) -> Result<bool, Broken> {
    if cx.by().is_some() && outgoing.token.is_some() {
        // A link that an operator or an administrator sends: no stranger causes it.
        return Ok(false);
    }
    let email = match (outgoing.topic, outgoing.email, outgoing.account) {
        // An operator's, and to an address that has just confirmed the change.
        (Topic::Invitation | Topic::EmailChanged, _, _) => return Ok(false),
        (_, Some(email), _) => email.to_owned(),
        (_, None, Some(account)) => {
            let shown = account::load(cx, account)?.shown;
            if shown.email_verified {
                return Ok(false);
            }
            shown.email
        }
        (_, None, None) => return Err(unexpected("a message has no address")),
    };
    is_over_a_limit_of(cx, &email, outgoing.token.is_some())
}

/// Takes from the allowances of an address that nobody has proven. Returns whether one of them is used up.
pub fn is_over_a_limit_of(cx: &Context<'_>, email: &str, has_link: bool) -> Result<bool, Broken> {
    let email = email.to_lowercase();
    let mailbox = match has_link {
        true => Subject::Mailbox(&email),
        false => Subject::Notices(&email),
    };
    let domain = email.rsplit_once('@').map_or("", |(_, domain)| domain);
    if !throttle::try_take(cx, cx.tag_key(), &mailbox)? {
        return Ok(true);
    }
    for (subject, limit) in [
        (Subject::MailToDomain(domain), "domain"),
        (Subject::AllMail, "all"),
    ] {
        if !throttle::try_take(cx, cx.tag_key(), &subject)? {
            tell_operators(cx, limit, domain)?;
            return Ok(true);
        }
    }
    Ok(false)
}

fn tell_operators(cx: &Context<'_>, limit: &str, domain: &str) -> Result<(), Broken> {
    let told = event::latest_of_nobody(cx, Kind::MailLimited)?;
    if told.is_some_and(|at| cx.now.since(at) < LIMIT_IS_TOLD) {
        return Ok(());
    }
    tracing::warn!(
        limit,
        domain,
        "messages to addresses that nobody has proven were not sent: too many in an hour"
    );
    Entry::of_nobody(Kind::MailLimited)
        .detail(json!({ "limit": limit, "domain": domain }))
        .write(cx)
}

/// Notes why a try failed.
pub fn record_failure(tx: &Tx<'_>, message: MessageKey, why: &str) -> Result<(), Broken> {
    let why: String = why.chars().take(LONGEST_FAILURE).collect();
    tx.run(
        "UPDATE outbox SET failure = ?2, failed_at = ?3 WHERE id = ?1",
        params![message.as_row(), why, tx.now],
    )?;
    Ok(())
}
