//! Events: what an account owner or an operator wants to know later.
//!
//! An event is written in the transaction that makes it true, so there is none without the other. Rotations write
//! none: they are the normal case, and the row of the family has the last one.

mod kind;

use std::collections::HashMap;
use std::net::IpAddr;
use std::ops::ControlFlow;

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Value, json};

pub use kind::EVENT_KINDS;
pub(super) use kind::Kind;

use crate::clock::Timestamp;
use crate::ids::{AccountId, AccountKey, SessionId};
use crate::service::Device;
use crate::service::by::By;
use crate::store::{Broken, ReadTx, Row, Tx, params};

/// The most events that one question answers.
pub const MOST_LISTED: u32 = 1000;

/// Events that are read by one statement while an owner's are shown: reading ends with the part that ends the page.
const PART_OF_PAGE: u32 = 50;

/// Events of one kind that are kept for an account. A client that signs in all day must not fill the disk, and a thief with
/// a stolen token must not push out the events that show the theft.
const MOST_OF_KIND: u32 = 200;

/// Events of one kind that are kept about no account, such as failed sign-ins for logins that no account has.
const MOST_OF_NOBODY: u32 = 1000;

macro_rules! columns {
    () => {
        "e.id, e.at, e.kind, a.public_id, a.email, e.session_id, e.ip, e.user_agent, e.detail"
    };
}

/// Not shown to account owners: what mail servers answer, and what becomes of messages, is for operators.
const OPERATORS_ALONE: [Kind; 3] = [Kind::MailFailed, Kind::MailRetried, Kind::MailDeleted];

/// One thing that happened.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Event {
    /// Its number; later events have greater ones.
    pub id: i64,
    /// When.
    pub at: Timestamp,
    /// What, by its stable name, such as `sign_in` or `refresh_token_reused`.
    pub kind: String,
    /// Whose account, if one is concerned that still exists.
    pub account: Option<AccountId>,
    /// Its e-mail address now.
    pub email: Option<String>,
    /// Which session, if one is concerned.
    pub session: Option<SessionId>,
    /// From which address.
    pub ip: Option<IpAddr>,
    /// What the device called itself.
    pub user_agent: Option<String>,
    /// More about it, by kind.
    pub detail: Option<Value>,
}

/// An event about to be written.
pub(super) struct Entry<'a> {
    pub kind: Kind,
    pub account: Option<AccountKey>,
    pub session: Option<SessionId>,
    pub device: Option<&'a Device>,
    pub detail: Option<Value>,
    /// Who administers, for `by` in the detail.
    pub by: Option<Value>,
}

impl<'a> Entry<'a> {
    /// One about an account.
    pub fn of(kind: Kind, account: AccountKey) -> Entry<'a> {
        Entry {
            account: Some(account),
            ..Entry::of_nobody(kind)
        }
    }

    /// One about no account, or about none that still exists: for operators.
    pub fn of_nobody(kind: Kind) -> Entry<'a> {
        Entry {
            kind,
            account: None,
            session: None,
            device: None,
            detail: None,
            by: None,
        }
    }

    /// Done by an operator or an administrator: from the administrator's device, if it is one.
    pub fn by(self, by: Option<&'a By>) -> Entry<'a> {
        match by {
            None => self,
            Some(by) => Entry {
                device: by.device(),
                by: Some(by.label()),
                ..self
            },
        }
    }

    pub fn session(self, session: SessionId) -> Entry<'a> {
        Entry {
            session: Some(session),
            ..self
        }
    }

    pub fn device(self, device: &'a Device) -> Entry<'a> {
        Entry {
            device: Some(device),
            ..self
        }
    }

    pub fn detail(self, detail: Value) -> Entry<'a> {
        Entry {
            detail: Some(detail),
            ..self
        }
    }

    /// Writes it.
    pub fn write(mut self, tx: &Tx<'_>) -> Result<(), Broken> {
        if let Some(by) = self.by.take() {
            self.detail.get_or_insert_with(|| json!({}))["by"] = by;
        }
        tx.run(
            "INSERT INTO event (at, kind, account_id, session_id, ip, user_agent, detail) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
            params![
                tx.now,
                self.kind.as_str(),
                self.account,
                self.session,
                self.device.map(|device| device.ip),
                self.device.map(|device| device.user_agent.as_str()),
                self.detail.map(|detail| detail.to_string()),
            ],
        )?;
        match self.account {
            Some(account) => tx.run(
                "DELETE FROM event WHERE id = \
                 (SELECT id FROM event WHERE account_id = ?1 AND kind = ?2 ORDER BY id DESC LIMIT 1 OFFSET ?3)",
                params![account, self.kind.as_str(), MOST_OF_KIND],
            )?,
            None => tx.run(
                "DELETE FROM event WHERE id = \
                 (SELECT id FROM event WHERE account_id IS NULL AND kind = ?1 ORDER BY id DESC LIMIT 1 OFFSET ?2)",
                params![self.kind.as_str(), MOST_OF_NOBODY],
            )?,
        };
        Ok(())
    }

    /// Writes it unless the latest 50 events of the account have one of this kind for this session: a client that keeps
    /// presenting a dead token is refused each time, and leaves one event.
    pub fn write_once(self, tx: &Tx<'_>) -> Result<(), Broken> {
        let known: Option<i64> = tx.row(
            "SELECT id FROM (SELECT id, kind, session_id FROM event WHERE account_id = ?1 \
             ORDER BY id DESC LIMIT 50) AS recent WHERE kind = ?2 AND session_id = ?3 LIMIT 1",
            params![self.account, self.kind.as_str(), self.session],
            |row| row.get(0),
        )?;
        if known.is_some() {
            Ok(())
        } else {
            self.write(tx)
        }
    }
}

/// Events that a search by kind or address looks at for one page. They are read by their numbers, without an index.
const MOST_READ: i64 = 100_000;

/// Which events are searched; what is absent is not asked.
#[derive(Clone, Copy, Default)]
pub(super) struct Search<'a> {
    pub account: Option<AccountKey>,
    pub kind: Option<&'a str>,
    pub ip: Option<IpAddr>,
}

/// The events before `before` that `search` finds, newest first, at most `limit`, and with which number the search goes on;
/// `None` at the end.
pub(super) fn search(
    tx: &ReadTx<'_>,
    search: Search<'_>,
    before: i64,
    limit: u32,
) -> Result<(Vec<Event>, Option<i64>), Broken> {
    // The events of one account are few, since each kind is bounded.
    let last = match search.account {
        Some(_) => 0,
        None => newest(tx)?.min(before).saturating_sub(MOST_READ).max(0),
    };
    let mut found = match search.account {
        Some(account) => tx.rows(
            concat!(
                "SELECT ",
                columns!(),
                " FROM event e JOIN account a ON a.id = e.account_id \
                 WHERE e.account_id = ?6 AND e.id < ?1 AND e.id > ?2 \
                     AND (?3 = '' OR e.kind = ?3) AND (?4 = 0 OR e.ip = ?5) ORDER BY e.id DESC LIMIT ?7"
            ),
            params![
                before,
                last,
                search.kind.unwrap_or(""),
                search.ip.is_some(),
                search.ip,
                account,
                limit + 1
            ],
            from_row,
        ),
        None => tx.rows(
            concat!(
                "SELECT ",
                columns!(),
                " FROM event e LEFT JOIN account a ON a.id = e.account_id \
                 WHERE e.id < ?1 AND e.id > ?2 \
                     AND (?3 = '' OR e.kind = ?3) AND (?4 = 0 OR e.ip = ?5) ORDER BY e.id DESC LIMIT ?6"
            ),
            params![
                before,
                last,
                search.kind.unwrap_or(""),
                search.ip.is_some(),
                search.ip,
                limit + 1
            ],
            from_row,
        ),
    }?;
    if found.len() > limit as usize {
        found.truncate(limit as usize);
        let next = found.last().map(|event| event.id);
        return Ok((found, next));
    }
    let next = (last > 0).then_some(last + 1);
    Ok((found, next))
}

fn newest(tx: &ReadTx<'_>) -> Result<i64, Broken> {
    let newest: Option<Option<i64>> =
        tx.row("SELECT max(id) FROM event", params![], |row| row.get(0))?;
    Ok(newest.flatten().map_or(0, |id| id.saturating_add(1)))
}

/// Adds to each event that an administrator caused the address of the administrator, as long as there is that account.
pub(super) fn name_administrators(tx: &ReadTx<'_>, events: &mut [Event]) -> Result<(), Broken> {
    let mut known: HashMap<String, Option<String>> = HashMap::new();
    for event in events {
        let by = event
            .detail
            .as_mut()
            .and_then(|detail| detail.get_mut("by"));
        let Some(by) = by.and_then(Value::as_object_mut) else {
            continue;
        };
        let Some(account) = by.get("account").and_then(Value::as_str) else {
            continue;
        };
        let email = match known.get(account) {
            Some(email) => email.clone(),
            None => {
                let id: Option<AccountId> = account.parse().ok();
                let email = tx.row(
                    "SELECT email FROM account WHERE public_id = ?1",
                    params![id],
                    |row| row.get(0),
                )?;
                known.insert(account.to_owned(), email.clone());
                email
            }
        };
        by.insert("email".to_owned(), json!(email));
    }
    Ok(())
}

/// Takes out of an event that an administrator caused who that was, and from where: its account's owner is told that it was
/// an administrator.
fn hide_administrator(event: &mut Event) {
    let by = event
        .detail
        .as_mut()
        .and_then(|detail| detail.get_mut("by"));
    if let Some(by) = by.filter(|by| by.is_object()) {
        *by = json!("administrator");
        (event.ip, event.user_agent) = (None, None);
    }
}

/// Shows `take` the events of one account as its owner may see them, one after another, until it breaks or `limit` were
/// shown. Each is dropped before the next is read.
pub(super) fn show_to_owner(
    tx: &ReadTx<'_>,
    account: AccountKey,
    mut before: i64,
    limit: u32,
    take: &mut dyn FnMut(&Event) -> ControlFlow<()>,
) -> Result<(), Broken> {
    let mut left = limit;
    let mut state = ControlFlow::Continue(());
    while left > 0 {
        let asked = left.min(PART_OF_PAGE);
        let seen = read_for_owner(tx, account, before, asked, |row| {
            let mut event = from_row(row)?;
            hide_administrator(&mut event);
            before = event.id;
            if state.is_continue() {
                state = take(&event);
            }
            Ok(())
        })?;
        if state.is_break() || seen.len() < asked as usize {
            break;
        }
        left -= asked;
    }
    Ok(())
}

/// The events of `account` before `before`, but for those that are for operators alone, newest first, at most `limit`, each
/// read by `read`.
fn read_for_owner<T>(
    tx: &ReadTx<'_>,
    account: AccountKey,
    before: i64,
    limit: u32,
    read: impl FnMut(&Row<'_>) -> Result<T, Broken>,
) -> Result<Vec<T>, Broken> {
    let [failed, retried, deleted] = OPERATORS_ALONE.map(Kind::as_str);
    tx.rows(
        concat!(
            "SELECT ",
            columns!(),
            " FROM event e JOIN account a ON a.id = e.account_id \
             WHERE e.account_id = ?3 AND e.id < ?1 AND e.kind NOT IN (?4, ?5, ?6) ORDER BY e.id DESC LIMIT ?2"
        ),
        params![before, limit, account, failed, retried, deleted],
        read,
    )
}

/// The latest event of one kind of an account, if it was after `since`.
pub(super) fn latest_of_kind(
    tx: &ReadTx<'_>,
    account: AccountKey,
    kind: &str,
    since: Timestamp,
) -> Result<Option<Event>, Broken> {
    tx.row(
        concat!(
            "SELECT ",
            columns!(),
            " FROM event e JOIN account a ON a.id = e.account_id \
             WHERE e.account_id = ?1 AND e.kind = ?2 AND e.at > ?3 ORDER BY e.id DESC LIMIT 1"
        ),
        params![account, kind, since],
        from_row,
    )
}

/// The events after `after`, of `account` or of all, oldest first, at most `limit`. There is one writer, so a later event
/// never has a smaller number, and a reader who goes on from the last one misses none.
pub(super) fn list_after(
    tx: &ReadTx<'_>,
    account: Option<AccountKey>,
    after: i64,
    limit: u32,
) -> Result<Vec<Event>, Broken> {
    match account {
        None => tx.rows(
            concat!(
                "SELECT ",
                columns!(),
                " \
             FROM event e LEFT JOIN account a ON a.id = e.account_id \
             WHERE e.id > ?1 ORDER BY e.id LIMIT ?2"
            ),
            params![after, limit],
            from_row,
        ),
        Some(account) => tx.rows(
            concat!(
                "SELECT ",
                columns!(),
                " \
             FROM event e JOIN account a ON a.id = e.account_id \
             WHERE e.account_id = ?3 AND e.id > ?1 ORDER BY e.id LIMIT ?2"
            ),
            params![after, limit, account],
            from_row,
        ),
    }
}

/// The addresses from which wrong passwords for an account came since its last sign-in, the latest first.
pub(super) fn failing_addresses(
    tx: &ReadTx<'_>,
    account: AccountKey,
    limit: u32,
) -> Result<Vec<IpAddr>, Broken> {
    tx.rows(
        "SELECT ip FROM event \
         WHERE account_id = ?1 AND kind IN (?2, ?3) AND ip IS NOT NULL \
             AND id > (SELECT coalesce(max(id), 0) FROM event WHERE account_id = ?1 AND kind = ?4) \
         GROUP BY ip ORDER BY max(id) DESC LIMIT ?5",
        params![
            account,
            Kind::SignInFailed.as_str(),
            Kind::SignInThrottled.as_str(),
            Kind::SignIn.as_str(),
            limit,
        ],
        |row| row.get(0),
    )
}

/// When the latest event of `kind` was. Reads all events: for commands.
pub(super) fn latest(tx: &ReadTx<'_>, kind: Kind) -> Result<Option<Timestamp>, Broken> {
    tx.row(
        "SELECT at FROM event WHERE kind = ?1 ORDER BY id DESC LIMIT 1",
        params![kind.as_str()],
        |row| row.get(0),
    )
}

/// How many events of `kind` there are since `since`, and the time of the latest; `None` if there is none. Reads all
/// events: for commands.
pub(super) fn count_since(
    tx: &ReadTx<'_>,
    kind: Kind,
    since: Timestamp,
) -> Result<Option<(u64, Timestamp)>, Broken> {
    let found = tx.row(
        "SELECT count(*), max(at) FROM event WHERE kind = ?1 AND at > ?2",
        params![kind.as_str(), since],
        |row| {
            let last: Option<Timestamp> = row.get(1)?;
            let count = row.get::<i64>(0)?.unsigned_abs();
            Ok(last.map(|last| (count, last)))
        },
    )?;
    Ok(found.flatten())
}

/// When the latest event of `kind` about no account was.
pub(super) fn latest_of_nobody(tx: &ReadTx<'_>, kind: Kind) -> Result<Option<Timestamp>, Broken> {
    tx.row(
        "SELECT at FROM event WHERE kind = ?1 AND account_id IS NULL ORDER BY id DESC LIMIT 1",
        params![kind.as_str()],
        |row| row.get(0),
    )
}

/// Deletes at most `limit` events from before `horizon`; returns how many.
pub(super) fn sweep(tx: &Tx<'_>, horizon: Timestamp, limit: u32) -> Result<usize, Broken> {
    tx.run(
        "DELETE FROM event WHERE id IN (SELECT id FROM (SELECT id, at FROM event ORDER BY id LIMIT ?2) AS oldest \
         WHERE at < ?1)",
        params![horizon, limit],
    )
}

fn from_row(row: &Row<'_>) -> Result<Event, Broken> {
    let detail: Option<String> = row.get(8)?;
    Ok(Event {
        id: row.get(0)?,
        at: row.get(1)?,
        kind: row.get(2)?,
        account: row.get(3)?,
        email: row.get(4)?,
        session: row.get(5)?,
        ip: row.get(6)?,
        user_agent: row.get(7)?,
        detail: detail.and_then(|text| serde_json::from_str(&text).ok()),
    })
}
