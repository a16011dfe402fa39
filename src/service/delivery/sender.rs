//! The sender: takes one message after the other to the mail server, on the thread that calls it.
//!
//! A try is three steps. *Take* the message that is due, with a pause until the next try already stored, so that a crash
//! costs one try and not a flood. *Send* it, outside of any transaction. *Settle*: it has left and its row is deleted, or
//! it is tried again after the pause, or it is given up, which is an event. A message whose connection broke at the wrong
//! moment may arrive twice, and is the same message then.
//!
//! The secret of a link is drawn when its message is taken and kept in the memory of the [`Sender`] alone, for further
//! tries.
//!
//! Messages to proven addresses go first. The others go in turn by the network that caused them, so that one stranger with
//! many messages does not keep those of others waiting.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Weak};
use std::time::Duration;

use ipnet::IpNet;
use serde_json::json;

use super::message::{Link, Message, Origin, Rendered, Server, Topic};
use super::one_time_token::{self, Purpose, Secret};
use super::outbox::record_failure;
use crate::clock::Timestamp;
use crate::ids::{AccountKey, MessageKey, OneTimeTokenKey};
use crate::mail::{Letter, Mailer, Undelivered};
use crate::network;
use crate::service::account::{self, pending_email};
use crate::service::context::Context;
use crate::service::error::unexpected;
use crate::service::event::{Entry, Kind};
use crate::service::{Authd, Error};
use crate::store::{Broken, ReadTx, Row, Tx, params};

/// The pause after the first try that failed; each further one is twice as long.
const FIRST_PAUSE: Duration = Duration::from_secs(15);

/// The longest pause between two tries.
const LONGEST_PAUSE: Duration = Duration::from_secs(60 * 60);

/// A notice that could not be sent for this long is given up: `authd event list` has it too.
const NOTICE_LIFETIME: Duration = Duration::from_secs(24 * 60 * 60);

/// Messages that one call sends, before the caller looks at something else.
const ROUND: usize = 100;

/// Networks that one look compares, and that are remembered as served.
const MOST_NETWORKS: u32 = 1000;

/// What the token in a message does; `None` for a notice.
const fn purpose_of(topic: Topic) -> Option<Purpose> {
    match topic {
        Topic::PasswordReset | Topic::AlreadyRegistered => Some(Purpose::PasswordReset),
        Topic::EmailVerification => Some(Purpose::EmailVerification),
        Topic::EmailChangePresent => Some(Purpose::EmailChangePresent),
        Topic::EmailChangeNew => Some(Purpose::EmailChangeNew),
        Topic::Registration => Some(Purpose::Registration),
        Topic::Invitation => Some(Purpose::Invitation),
        Topic::PasswordChanged
        | Topic::EmailChanged
        | Topic::AccountDeleted
        | Topic::ManyFailures => None,
    }
}

/// For how long a message is worth sending: one with a link for as long as that would work. An invitation works for
/// longer, but its operator should hear within a day that it could not be sent.
fn lifetime(topic: Topic) -> Duration {
    let lifetime = purpose_of(topic).and_then(Purpose::lifetime);
    lifetime.unwrap_or(NOTICE_LIFETIME)
}

/// Sends the messages of the outbox. There should be one: two would each draw a secret for the same link, and the later
/// one's would work.
pub struct Sender {
    // Weak, so that a mail server that hangs does not keep the database open after the server has stopped.
    authd: Weak<Authd>,
    mailer: Mailer,
    /// The secrets of messages that could not be sent yet.
    kept: HashMap<MessageKey, Secret>,
    /// When a message that a network caused was last taken, as a count of messages.
    served: HashMap<Option<IpNet>, u64>,
    taken: u64,
}

/// A message that is due.
struct Due {
    key: MessageKey,
    public_id: [u8; 16],
    account: Option<AccountKey>,
    email: Option<String>,
    topic: Topic,
    token: Option<OneTimeTokenKey>,
    ip: Option<IpAddr>,
    created_at: Timestamp,
    attempts: u32,
}

/// A message that was taken.
enum Taken {
    /// Send this.
    Letter(Box<Letter>, Due),
    /// It was given up, or what it is about is over.
    Dropped(MessageKey),
}

impl Sender {
    /// A sender of the messages of `authd`, by `mailer`.
    pub fn new(authd: &Arc<Authd>, mailer: Mailer) -> Sender {
        Sender {
            authd: Arc::downgrade(authd),
            mailer,
            kept: HashMap::new(),
            served: HashMap::new(),
            taken: 0,
        }
    }

    /// Looks up what clients asked for, and tries the messages that are due, at most 100. Returns how many left. A mail
    /// server that hangs keeps this call for as long as [`mail::PATIENCE`](crate::mail::PATIENCE) a step.
    ///
    /// # Errors
    /// Only those of the store. What a mail server answers is logged, and the message tried again.
    pub fn send_due(&mut self) -> Result<usize, Error> {
        let mut sent = 0;
        for _ in 0..ROUND {
            let Some(authd) = self.authd.upgrade() else {
                break;
            };
            while authd.look_up_requests()? > 0 {}
            let Some(taken) = self.take(&authd)? else {
                break;
            };
            // Nothing of the service is held while the mail server is waited for.
            drop(authd);
            match taken {
                Taken::Dropped(key) => {
                    self.kept.remove(&key);
                }
                Taken::Letter(letter, due) => {
                    let outcome = self.mailer.send(&letter);
                    sent += usize::from(outcome.is_ok());
                    self.settle(due, outcome)?;
                }
            }
        }
        Ok(sent)
    }

    fn take(&mut self, authd: &Authd) -> Result<Option<Taken>, Error> {
        // A read that costs no commit: most of the time nothing waits.
        let Some(key) = self.choose(authd)? else {
            return Ok(None);
        };
        let kept = self.kept.get(&key).cloned();
        let (taken, secret) = authd.write(None, move |cx| take(cx, key, kept.as_ref()))?;
        if let Some(secret) = secret {
            self.kept.insert(key, secret);
        }
        Ok(Some(taken))
    }

    /// The message that is due next.
    fn choose(&mut self, authd: &Authd) -> Result<Option<MessageKey>, Error> {
        if let Some(key) = authd.store.read(first_to_proven)? {
            return Ok(Some(key));
        }
        let others = authd.store.read(first_of_each_address)?;
        let network = |ip: &Option<IpAddr>| ip.map(|ip| network::of(ip, 24, 48));
        let served = |ip: &Option<IpAddr>| self.served.get(&network(ip)).copied().unwrap_or(0);
        let next = others
            .into_iter()
            .min_by_key(|(key, ip)| (served(ip), *key));
        let Some((key, ip)) = next else {
            return Ok(None);
        };
        if self.served.len() >= MOST_NETWORKS as usize {
            self.served.clear();
        }
        self.taken += 1;
        self.served.insert(network(&ip), self.taken);
        Ok(Some(key))
    }

    fn settle(&mut self, due: Due, outcome: Result<(), Undelivered>) -> Result<(), Error> {
        let Some(authd) = self.authd.upgrade() else {
            return Ok(());
        };
        let Err(undelivered) = outcome else {
            self.kept.remove(&due.key);
            authd.write(None, move |cx| forget(cx, due.key))?;
            return Ok(());
        };
        let Undelivered { is_final, why, .. } = undelivered;
        let (topic, attempt) = (due.topic.as_str(), due.attempts);
        if !is_final {
            tracing::warn!(
                topic,
                attempt,
                why,
                "a message could not be sent; it is tried again"
            );
            authd.write(None, move |cx| record_failure(cx, due.key, &why))?;
            return Ok(());
        }
        tracing::error!(topic, attempt, why, "the mail server refused a message");
        self.kept.remove(&due.key);
        authd.write(None, move |cx| give_up(cx, &due, &why))?;
        Ok(())
    }
}

/// The pause after the `attempts`th try.
fn pause_after(attempts: u32) -> Duration {
    FIRST_PAUSE
        .saturating_mul(1 << attempts.saturating_sub(1).min(16))
        .min(LONGEST_PAUSE)
}

/// The message to a proven address that is due for the longest time.
fn first_to_proven(tx: &ReadTx<'_>) -> Result<Option<MessageKey>, Broken> {
    tx.row(
        "SELECT o.id FROM outbox o JOIN account a ON a.id = o.account_id \
         WHERE o.due_at <= ?1 AND o.email IS NULL AND a.email_verified_at IS NOT NULL ORDER BY o.due_at, o.id LIMIT 1",
        params![tx.now],
        |row| row.get(0),
    )
}

/// The first message that is due, of each address that caused one.
fn first_of_each_address(tx: &ReadTx<'_>) -> Result<Vec<(MessageKey, Option<IpAddr>)>, Broken> {
    tx.rows(
        "SELECT min(o.id), o.ip FROM outbox o \
         WHERE o.due_at <= ?1 AND (o.email_key IS NULL OR o.account_id IS NOT NULL) GROUP BY o.ip LIMIT ?2",
        params![tx.now, MOST_NETWORKS],
        |row| Ok((row.get(0)?, row.get(1)?)),
    )
}

/// Takes a message that is due, and stores when it would be tried next. With it comes the secret of its link, if it has one:
/// `kept` is that of the earlier tries.
fn take(
    cx: &Context<'_>,
    key: MessageKey,
    kept: Option<&Secret>,
) -> Result<(Taken, Option<Secret>), Broken> {
    let dropped = Ok((Taken::Dropped(key), None));
    let Some(mut due) = load(cx, key)? else {
        forget(cx, key)?;
        return dropped;
    };
    if cx.now.since(due.created_at) >= lifetime(due.topic) {
        give_up(cx, &due, "it could not be sent in time")?;
        return dropped;
    }
    let mut secret = None;
    if let Some(purpose) = purpose_of(due.topic) {
        let token = due
            .token
            .ok_or_else(|| unexpected("a message has no token for its link"))?;
        secret = open_secret(cx, token, purpose, kept)?;
        if secret.is_none() {
            forget(cx, key)?;
            return dropped;
        }
    }
    if due.attempts > 1 && secret.is_some() && kept.is_none() {
        // Tried before a restart, with a link that works no more. Where that one arrived all the same, this must not be
        // taken for its copy: another version has another name (RFC 5322 §3.6.4).
        due.public_id = cx.random();
    }
    cx.run(
        "UPDATE outbox SET attempts = ?2, due_at = ?3, public_id = ?4 WHERE id = ?1",
        params![
            key,
            due.attempts,
            cx.now.plus(pause_after(due.attempts)),
            due.public_id
        ],
    )?;
    let letter = write(cx, &due, secret.as_ref())?;
    let secret = secret.map(|(secret, _)| secret);
    Ok((Taken::Letter(Box::new(letter), due), secret))
}

/// Writes the message.
fn write(
    cx: &Context<'_>,
    due: &Due,
    secret: Option<&(Secret, Timestamp)>,
) -> Result<Letter, Broken> {
    let email = match (&due.email, due.account) {
        (Some(email), _) => email.clone(),
        (None, Some(account)) => account::load(cx, account)?.shown.email,
        (None, None) => return Err(unexpected("a message has no address")),
    };
    let pending = match (due.topic, due.account) {
        (Topic::EmailChangePresent, Some(account)) => pending_email::pending(cx, account)?,
        _ => None,
    };
    let new_email = pending.as_ref().map(|pending| pending.email.as_str());
    let server = Server {
        url: &cx.policy().issuer,
    };
    let Rendered {
        subject,
        text,
        html,
    } = message(server, due, &email, new_email, secret)?.render();
    Ok(Letter {
        id: due.public_id,
        date: cx.now,
        to: email,
        subject,
        text,
        html,
    })
}

/// What the message says.
fn message<'a>(
    server: Server<'a>,
    due: &Due,
    email: &'a str,
    new_email: Option<&'a str>,
    secret: Option<&(Secret, Timestamp)>,
) -> Result<Message<'a>, Broken> {
    let origin = Origin {
        at: due.created_at,
        ip: due.ip,
    };
    match secret {
        Some((secret, until)) => {
            let link = match secret {
                Secret::Reset(token) => server.reset_link(token, *until),
                Secret::Verification(token) => server.verification_link(token, *until),
                Secret::Invitation(token) => server.invitation_link(token, *until),
            };
            with_link(server, due.topic, email, new_email, link, origin)
        }
        None => notice(server, due.topic, email, origin),
    }
}

/// A message that carries a link.
fn with_link<'a>(
    server: Server<'a>,
    topic: Topic,
    email: &'a str,
    new_email: Option<&'a str>,
    link: Link,
    requested: Origin,
) -> Result<Message<'a>, Broken> {
    Ok(match topic {
        Topic::PasswordReset => Message::PasswordReset {
            server,
            email,
            link,
            requested,
        },
        Topic::EmailVerification => Message::EmailVerification {
            server,
            email,
            link,
            requested,
        },
        Topic::EmailChangePresent => Message::EmailChangePresent {
            server,
            email,
            new_email: new_email.ok_or_else(|| unexpected("a change of address names none"))?,
            link,
            requested,
        },
        Topic::EmailChangeNew => Message::EmailChangeNew {
            server,
            email,
            link,
            requested,
        },
        Topic::Registration => Message::Registration {
            server,
            email,
            link,
            requested,
        },
        Topic::AlreadyRegistered => Message::AlreadyRegistered {
            server,
            email,
            link,
            requested,
        },
        Topic::Invitation => Message::Invitation {
            server,
            email,
            link,
        },
        _ => return Err(unexpected("a notice carries a link")),
    })
}

/// A message without a link.
fn notice<'a>(
    server: Server<'a>,
    topic: Topic,
    email: &'a str,
    origin: Origin,
) -> Result<Message<'a>, Broken> {
    Ok(match topic {
        Topic::PasswordChanged => Message::PasswordChanged {
            server,
            email,
            changed: origin,
        },
        Topic::EmailChanged => Message::EmailChanged {
            server,
            email,
            changed: origin,
        },
        Topic::AccountDeleted => Message::AccountDeleted {
            server,
            email,
            deleted: origin,
        },
        Topic::ManyFailures => Message::ManyFailures {
            server,
            email,
            latest: origin,
        },
        _ => return Err(unexpected("a message lacks its link")),
    })
}

/// The secret of a link and until when it works: the one of the earlier tries, else a new one. `None` if the token has
/// ended.
fn open_secret(
    tx: &Tx<'_>,
    token: OneTimeTokenKey,
    purpose: Purpose,
    kept: Option<&Secret>,
) -> Result<Option<(Secret, Timestamp)>, Broken> {
    if let Some(secret) = kept {
        let until = one_time_token::open_until(tx, token)?;
        return Ok(until.map(|until| (secret.clone(), until)));
    }
    let secret = Secret::draw(tx, purpose);
    let until = one_time_token::arm(tx, token, purpose, secret.digest())?;
    Ok(until.map(|until| (secret, until)))
}

/// Loads a message; `None` if it is gone, or has a topic of a newer release.
fn load(tx: &ReadTx<'_>, key: MessageKey) -> Result<Option<Due>, Broken> {
    let due = tx.row(
        "SELECT id, public_id, account_id, email, topic, token_id, ip, created_at, attempts FROM outbox WHERE id = ?1",
        params![key],
        due_from_row,
    )?;
    Ok(due.flatten())
}

fn due_from_row(row: &Row<'_>) -> Result<Option<Due>, Broken> {
    let Some(topic) = Topic::read(&row.get::<String>(4)?) else {
        return Ok(None);
    };
    Ok(Some(Due {
        key: row.get(0)?,
        public_id: row.get(1)?,
        account: row.get(2)?,
        email: row.get(3)?,
        topic,
        token: row.get(5)?,
        ip: row.get(6)?,
        created_at: row.get(7)?,
        attempts: row.get::<u32>(8)? + 1,
    }))
}

fn forget(tx: &Tx<'_>, key: MessageKey) -> Result<usize, Broken> {
    tx.run("DELETE FROM outbox WHERE id = ?1", params![key])
}

fn give_up(cx: &Context<'_>, due: &Due, why: &str) -> Result<(), Broken> {
    // Its account, and the message with it, may have been deleted while it was tried.
    if forget(cx, due.key)? == 0 {
        return Ok(());
    }
    let waited = cx.now.since(due.created_at).as_secs();
    let entry = match due.account {
        Some(account) => Entry::of(Kind::MailFailed, account),
        None => Entry::of_nobody(Kind::MailFailed),
    };
    entry
        .detail(json!({ "letter": due.topic.as_str(), "cause": why, "seconds": waited }))
        .write(cx)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test] // fault 20
    fn pauses_grow_and_tries_are_bounded() {
        let pauses = [1, 2, 3, 8, 9, 10, 1000].map(|n| pause_after(n).as_secs());
        assert_eq!(pauses, [15, 30, 60, 1920, 3600, 3600, 3600]);
        let tries = |topic: Topic| {
            let mut waited = Duration::ZERO;
            (1..)
                .take_while(|n| {
                    let fits = waited < lifetime(topic);
                    waited += pause_after(*n);
                    fits
                })
                .count()
        };
        assert_eq!(tries(Topic::PasswordReset), 6);
        assert_eq!(tries(Topic::EmailVerification), 31);
        assert_eq!(tries(Topic::PasswordChanged), 31);
    }
}
