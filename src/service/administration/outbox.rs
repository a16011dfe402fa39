//! What an operator or an administrator sees and does of messages that wait to leave.

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::json;

use crate::clock::Timestamp;
use crate::ids::{AccountId, AccountKey};
use crate::service::administration::Administration;
use crate::service::context::Context;
use crate::service::event::{Entry, Kind};
use crate::service::{Authd, Error};
use crate::store::{Broken, ReadTx, Row, params};

/// Messages on one page.
const MOST_LISTED: u32 = 1000;

/// A message that waits to leave.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct WaitingMessage {
    /// Its number; later messages have greater ones.
    pub id: i64,
    /// What it is about, by its stable name, such as `password_reset`.
    pub topic: String,
    /// The address that it goes to, as it is now.
    pub to: Option<String>,
    /// The account that it is about; absent for a person who has none, and before it was looked up.
    pub account: Option<AccountId>,
    /// When it became due.
    pub created_at: Timestamp,
    /// How often it was tried. A first try that is under way counts.
    pub attempts: u32,
    /// When it is tried next.
    pub next_try_at: Timestamp,
    /// What the mail server answered to the last try that failed.
    pub failure: Option<String>,
    /// When that was.
    pub failed_at: Option<Timestamp>,
}

impl Authd {
    /// The messages that wait to leave, the oldest first: at most `limit` (1 to 1,000) after the one with the number
    /// `after`.
    ///
    /// # Errors
    /// Only those of the store.
    pub fn outbox(&self, after: i64, limit: u32) -> Result<Vec<WaitingMessage>, Error> {
        let limit = limit.clamp(1, MOST_LISTED);
        Ok(self.store.read(|tx| {
            tx.rows(
                "SELECT o.id, o.topic, coalesce(o.email, a.email, o.email_key), a.public_id, o.created_at, o.attempts, \
                     o.due_at, o.failure, o.failed_at \
                 FROM outbox o LEFT JOIN account a ON a.id = o.account_id WHERE o.id > ?1 ORDER BY o.id LIMIT ?2",
                params![after, limit],
                from_row,
            )
        })?)
    }

    /// How many messages were tried in vain, up to 1,000.
    ///
    /// # Errors
    /// Only those of the store.
    pub fn failing_messages(&self) -> Result<u32, Error> {
        let count = self.store.read(|tx| {
            tx.row(
                "SELECT count(*) FROM (SELECT o.id FROM outbox o WHERE o.failed_at IS NOT NULL LIMIT ?1) AS failing",
                params![MOST_LISTED],
                |row| row.get(0),
            )
        })?;
        Ok(count.unwrap_or(0))
    }
}

impl Administration<'_> {
    /// Has a message tried again now. The server does it within a second, if it runs.
    ///
    /// # Errors
    /// [`Code::NotFound`](crate::service::Code::NotFound) if no such message waits: it may have left.
    pub fn retry_message(&self, id: i64) -> Result<(), Error> {
        self.write(move |cx| {
            let message = find(cx, id)?;
            cx.run(
                "UPDATE outbox SET due_at = ?2 WHERE id = ?1 AND due_at > ?2",
                params![id, cx.now],
            )?;
            record(cx, Kind::MailRetried, &message)
        })
    }

    /// Deletes a message that waits. A link in it never works.
    ///
    /// # Errors
    /// [`Code::NotFound`](crate::service::Code::NotFound) if no such message waits: it may have left.
    pub fn delete_message(&self, id: i64) -> Result<(), Error> {
        self.write(move |cx| {
            let message = find(cx, id)?;
            cx.run("DELETE FROM outbox WHERE id = ?1", params![id])?;
            record(cx, Kind::MailDeleted, &message)
        })
    }
}

/// What an event tells of a message.
struct Found {
    topic: String,
    account: Option<AccountKey>,
}

fn find(tx: &ReadTx<'_>, id: i64) -> Result<Found, Error> {
    let found = tx.row(
        "SELECT topic, account_id FROM outbox WHERE id = ?1",
        params![id],
        |row| {
            Ok(Found {
                topic: row.get(0)?,
                account: row.get(1)?,
            })
        },
    )?;
    found.ok_or_else(|| Error::not_found("message that waits"))
}

fn record(cx: &Context<'_>, kind: Kind, message: &Found) -> Result<(), Error> {
    let entry = match message.account {
        Some(account) => Entry::of(kind, account),
        None => Entry::of_nobody(kind),
    };
    let detail = json!({ "letter": message.topic });
    Ok(entry.by(cx.by()).detail(detail).write(cx)?)
}

fn from_row(row: &Row<'_>) -> Result<WaitingMessage, Broken> {
    Ok(WaitingMessage {
        id: row.get(0)?,
        topic: row.get(1)?,
        to: row.get(2)?,
        account: row.get(3)?,
        created_at: row.get(4)?,
        attempts: row.get(5)?,
        next_try_at: row.get(6)?,
        failure: row.get(7)?,
        failed_at: row.get(8)?,
    })
}
