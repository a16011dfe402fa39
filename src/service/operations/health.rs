//! What a database says of its own health, to an operator who looks at it without changing anything.
//!
//! It works on a file that is open for looking only, beside the running server or without one. What is found are facts;
//! a server that runs may be right about to change them.

use std::time::Duration;

use crate::clock::{Clock, Mark, Timestamp};
use crate::service::event::{self, Kind};
use crate::service::token::key_ring;
use crate::service::{Error, SigningKeyInfo};
use crate::store::{Broken, ReadOnlyDatabase, ReadTx, params};

/// Letters that failed longer ago than this are history.
const RECENT: Duration = Duration::from_secs(7 * 24 * 60 * 60);

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// What was found in a database.
#[derive(Debug)]
pub struct Examination {
    /// The epoch: 1, and one more for each restore.
    pub epoch: i64,
    /// What it remembers of time.
    pub mark: Mark,
    /// Accounts.
    pub accounts: u64,
    /// When a token last showed that an old copy had been put in place, unless a new epoch began since.
    pub rolled_back_at: Option<Timestamp>,
    /// The keys that sign tokens, the oldest first, or what is wrong with them.
    pub signing_keys: Result<Vec<SigningKeyInfo>, String>,
    /// The letters that wait to leave, if any do.
    pub letters: Option<Waiting>,
    /// When a letter was last given up, if that was within a week.
    pub letter_failed_at: Option<Timestamp>,
    /// The limit on messages to unproven addresses, if it was reached within a day.
    pub mail_limited: Option<MailLimited>,
}

/// The limit on messages to unproven addresses was reached.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct MailLimited {
    /// In how many hours: there is one event an hour at most.
    pub count: u64,
    /// The time of the latest event.
    pub last_at: Timestamp,
}

/// Letters that wait to leave.
#[derive(Clone, Copy, Debug)]
pub struct Waiting {
    /// How many they are.
    pub count: u64,
    /// Since when the oldest waits.
    pub since: Timestamp,
    /// How often one was tried of which a try is known to have failed; the most tried, and 0 if there is none. A first try
    /// that is under way has not failed yet.
    pub tries: u32,
}

/// Examines `database`, whose schema must be of today. `clock` goes on from what is stored there. `None` if it was never
/// served.
///
/// # Errors
/// [`Error::Broken`] if it can't be read.
pub fn examine(database: &ReadOnlyDatabase, clock: &Clock) -> Result<Option<Examination>, Error> {
    let mark = database.read(clock.wall(), |tx| {
        tx.row(
            "SELECT clock_latest, clock_confirmed FROM server WHERE id = 1",
            params![],
            |row| {
                Ok(Mark {
                    latest: row.get(0)?,
                    confirmed: row.get(1)?,
                })
            },
        )
    })?;
    let Some(mark) = mark else { return Ok(None) };
    clock.resume(mark);
    Ok(database.read(clock.now(), |tx| look(tx, mark))?)
}

fn look(tx: &ReadTx<'_>, mark: Mark) -> Result<Option<Examination>, Broken> {
    let restored_at = event::latest(tx, Kind::DatabaseRestored)?;
    let rolled_back_at = event::latest(tx, Kind::FileRolledBack)?;
    let letter_failed_at = event::latest(tx, Kind::MailFailed)?;
    let is_recent = |at: &Timestamp| *at > tx.now.minus(RECENT);
    let mail_limited = event::count_since(tx, Kind::MailLimited, tx.now.minus(DAY))?;
    let signing_keys = key_ring::list(tx)?;
    let letters = waiting(tx)?;
    tx.row(
        "SELECT epoch, (SELECT count(*) FROM account) FROM server WHERE id = 1",
        params![],
        |row| {
            Ok(Examination {
                epoch: row.get(0)?,
                mark,
                accounts: row.get::<i64>(1)?.unsigned_abs(),
                rolled_back_at: rolled_back_at
                    .filter(|at| restored_at.is_none_or(|since| *at > since)),
                signing_keys,
                letters,
                letter_failed_at: letter_failed_at.filter(is_recent),
                mail_limited: mail_limited.map(|(count, last_at)| MailLimited { count, last_at }),
            })
        },
    )
}

fn waiting(tx: &ReadTx<'_>) -> Result<Option<Waiting>, Broken> {
    // A try is noted when it begins, with the time of the next one: whoever is due again, or was tried again, has failed.
    let waiting = tx.row(
        "SELECT count(*), min(created_at), max(attempts) FILTER (WHERE attempts > 1 OR due_at <= ?1) FROM outbox",
        params![tx.now],
        |row| {
            let since: Option<Timestamp> = row.get(1)?;
            let count = row.get::<i64>(0)?.unsigned_abs();
            let tries = row.get::<Option<u32>>(2)?.unwrap_or(0);
            Ok(since.map(|since| Waiting {
                count,
                since,
                tries,
            }))
        },
    )?;
    Ok(waiting.flatten())
}
