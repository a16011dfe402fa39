//! Wrong passwords, counted by account.
//!
//! There is one count for all strangers, and one for each place (a network) from which the account owner signed in within
//! 90 days: strangers who guess from elsewhere cannot keep the owner out at home. Each allows 100 wrong passwords without a
//! day's break (NIST SP 800-63B-4 §3.2.2). The hundredth locks that count for a day, however many follow.
//!
//! A locked count is silent: the answer is that of a wrong password, after the same work, also to the right one. So it
//! tells nobody that the account exists. The owner is told by mail and has two ways in: a known place, and a reset link.

use std::net::IpAddr;
use std::time::Duration;

use crate::clock::Timestamp;
use crate::ids::AccountKey;
use crate::network;
use crate::secret::TagKey;
use crate::store::{Broken, ReadTx, Tx, params};

/// Wrong passwords without a day's break, after which a count is locked. NIST SP 800-63B-4 §3.2.2: no more than 100.
pub const LIMIT: u32 = 100;

/// How long a count stays locked, and how long a break forgets it.
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// How long a place is known after a sign-in.
const PLACE_LIFETIME: Duration = Duration::from_secs(90 * 24 * 60 * 60);

/// Places of one account: home, work, a phone's networks.
const MOST_PLACES: u32 = 20;

/// After how many wrong passwords the owner is told.
const OWNER_IS_TOLD: [u32; 2] = [10, LIMIT];

/// One guess, counted before it is checked.
#[derive(Clone)]
pub struct Guess {
    account: AccountKey,
    /// The row that it was counted in.
    place: Vec<u8>,
    /// How many that makes; 0 if the count is locked.
    failures: u32,
}

impl Guess {
    /// Whether the count is locked: then even the right password is refused.
    pub fn is_locked(&self) -> bool {
        self.failures == 0
    }

    /// Whether it comes from a place where the account owner signed in before.
    pub fn is_at_known_place(&self) -> bool {
        !self.place.is_empty()
    }

    /// Whether the owner should be told of this many wrong passwords. Twice at most: guessing must not fill a mailbox.
    pub fn is_news(&self) -> bool {
        OWNER_IS_TOLD.contains(&self.failures)
    }

    /// Whether this was the guess that locks the count.
    pub fn locks(&self) -> bool {
        self.failures == LIMIT
    }
}

/// What is counted against an account, over all places.
pub struct Count {
    /// Wrong passwords.
    pub failures: u32,
    /// When the latest was.
    pub last_at: Timestamp,
    /// Until when strangers are refused, if they are.
    pub locked_until: Option<Timestamp>,
}

/// Counts a guess before it is checked.
pub fn reserve(
    tx: &Tx<'_>,
    key: &TagKey,
    account: AccountKey,
    ip: IpAddr,
) -> Result<Guess, Broken> {
    let place = place_of(key, ip);
    let known = tx.row(
        "SELECT 1 FROM sign_in_counter WHERE account_id = ?1 AND place = ?2 AND signed_in_at > ?3",
        params![account, place, tx.now.minus(PLACE_LIFETIME)],
        |row| row.get::<i64>(0),
    )?;
    let place = match known {
        Some(_) => place.to_vec(),
        None => Vec::new(),
    };
    let failures: Option<u32> = tx.row(
        "INSERT INTO sign_in_counter (account_id, place, failures, failed_at) VALUES (?1, ?2, 1, ?3) \
         ON CONFLICT (account_id, place) DO UPDATE SET \
             failures = CASE WHEN sign_in_counter.locked_until IS NOT NULL OR sign_in_counter.failed_at IS NULL \
                                  OR sign_in_counter.failed_at <= ?4 \
                             THEN 1 ELSE sign_in_counter.failures + 1 END, \
             locked_until = CASE WHEN sign_in_counter.locked_until IS NULL AND sign_in_counter.failed_at > ?4 \
                                      AND sign_in_counter.failures + 1 >= ?6 \
                                 THEN CAST(?5 AS BIGINT) ELSE NULL END, \
             failed_at = ?3 \
         WHERE sign_in_counter.locked_until IS NULL OR sign_in_counter.locked_until <= ?3 \
         RETURNING failures",
        params![account, place, tx.now, tx.now.minus(DAY), tx.now.plus(DAY), LIMIT],
        |row| row.get(0),
    )?;
    Ok(Guess {
        account,
        place,
        failures: failures.unwrap_or(0),
    })
}

/// Takes a guess back that was right. Other people's guesses stay counted.
pub fn give_back(tx: &Tx<'_>, guess: &Guess) -> Result<(), Broken> {
    tx.run(
        "UPDATE sign_in_counter SET failures = failures - 1, locked_until = NULL \
         WHERE account_id = ?1 AND place = ?2 AND failures > 0",
        params![guess.account, guess.place],
    )?;
    tx.run(
        "DELETE FROM sign_in_counter WHERE account_id = ?1 AND failures = 0 AND signed_in_at IS NULL",
        params![guess.account],
    )?;
    Ok(())
}

/// Remembers a place from which the account owner signed in. Beyond the number that is kept, the one unused longest goes.
pub fn remember_place(
    tx: &Tx<'_>,
    key: &TagKey,
    account: AccountKey,
    ip: IpAddr,
) -> Result<(), Broken> {
    tx.run(
        "INSERT INTO sign_in_counter (account_id, place, signed_in_at, failures) VALUES (?1, ?2, ?3, 0) \
         ON CONFLICT (account_id, place) DO UPDATE SET signed_in_at = ?3",
        params![account, place_of(key, ip), tx.now],
    )?;
    tx.run(
        "DELETE FROM sign_in_counter WHERE account_id = ?1 AND place = \
         (SELECT c.place FROM sign_in_counter c WHERE c.account_id = ?1 AND c.signed_in_at IS NOT NULL \
          ORDER BY c.signed_in_at DESC, c.place LIMIT 1 OFFSET ?2)",
        params![account, MOST_PLACES],
    )?;
    Ok(())
}

/// Forgets all wrong passwords for an account: it has a new password, or an operator unlocked it.
pub fn clear(tx: &Tx<'_>, account: AccountKey) -> Result<(), Broken> {
    tx.run(
        "UPDATE sign_in_counter SET failures = 0, failed_at = NULL, locked_until = NULL WHERE account_id = ?1",
        params![account],
    )?;
    Ok(())
}

/// What is counted against an account, if anything is.
pub fn count(tx: &ReadTx<'_>, account: AccountKey) -> Result<Option<Count>, Broken> {
    let row = tx.row(
        "SELECT sum(failures), max(failed_at), max(locked_until) FROM sign_in_counter \
         WHERE account_id = ?1 AND failures > 0 AND (failed_at > ?2 OR locked_until > ?3)",
        params![account, tx.now.minus(DAY), tx.now],
        |row| {
            let failures: Option<u32> = row.get(0)?;
            let last_at: Option<Timestamp> = row.get(1)?;
            Ok((failures, last_at, row.get::<Option<Timestamp>>(2)?))
        },
    )?;
    Ok(match row {
        Some((Some(failures), Some(last_at), locked_until)) => Some(Count {
            failures,
            last_at,
            locked_until: locked_until.filter(|until| *until > tx.now),
        }),
        _ => None,
    })
}

/// The accounts for which a count is locked now, at most `limit`.
pub fn locked(tx: &ReadTx<'_>, limit: u32) -> Result<Vec<AccountKey>, Broken> {
    tx.rows(
        "SELECT DISTINCT account_id FROM sign_in_counter WHERE locked_until > ?1 ORDER BY account_id LIMIT ?2",
        params![tx.now, limit],
        |row| row.get(0),
    )
}

/// Deletes at most `limit` rows that say nothing any more: places unused for 90 days, and counts after a day's break.
pub fn sweep(tx: &Tx<'_>, limit: u32) -> Result<usize, Broken> {
    tx.run(
        "DELETE FROM sign_in_counter WHERE (account_id, place) IN (SELECT account_id, place FROM sign_in_counter \
         WHERE (signed_in_at IS NULL OR signed_in_at <= ?1) AND (failed_at IS NULL OR failed_at <= ?2) \
             AND (locked_until IS NULL OR locked_until <= ?3) LIMIT ?4)",
        params![tx.now.minus(PLACE_LIFETIME), tx.now.minus(DAY), tx.now, limit],
    )
}

/// Forgets the places that are known: they are named by digests with a key that is about to be replaced.
pub(super) fn forget_places(tx: &Tx<'_>) -> Result<(), Broken> {
    tx.run(
        "DELETE FROM sign_in_counter WHERE signed_in_at IS NOT NULL",
        params![],
    )?;
    Ok(())
}

fn place_of(key: &TagKey, ip: IpAddr) -> [u8; 16] {
    key.subject(&format!("place {}", network::client(ip)))
}
