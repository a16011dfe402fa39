//! Epochs: nothing that was issued before a restore works after it (I11).
//!
//! A backup holds sessions that have ended since, and keys that a reader of the backup has. So a restore begins a new epoch
//! in it. One transaction raises the number that every family carries, replaces the tag key, so that no older refresh token
//! is taken for genuine, and the signing keys, so that no older access token verifies, and empties every table of sessions
//! and of things that work once ([`EMPTIED`]). Accounts with their passwords, clients, events and the wrong passwords
//! counted against accounts stay. A test asks of each table of the schema which of the two it is.
//!
//! These functions work on a store that no server has opened.

use serde::Serialize;
use serde_json::json;

use crate::clock::{Clock, Timestamp};
use crate::ids::{AccountId, AccountKey};
use crate::secret::TagKey;
use crate::service::Error;
use crate::service::event::{Entry, Kind};
use crate::service::session::Ended;
use crate::service::throttle;
use crate::service::token::key_ring;
use crate::store::{Broken, ReadTx, Row, Store, Tx, params};

/// What a new epoch does away with. The signing keys go too, with the one that takes their place. Refresh families go
/// with their sessions.
const EMPTIED: [&str; 14] = [
    "DELETE FROM logout_notice",
    "DELETE FROM device_authorization",
    "DELETE FROM authorization_code",
    "DELETE FROM oauth_grant",
    "DELETE FROM step_up",
    "DELETE FROM browser_session",
    "DELETE FROM session",
    "DELETE FROM seal_key",
    "DELETE FROM outbox",
    "DELETE FROM one_time_token",
    "DELETE FROM throttle",
    "DELETE FROM email_change",
    "DELETE FROM registration",
    "DELETE FROM invitation",
];

/// Accounts that one look compares.
const STRETCH: u32 = 1000;

/// What a database holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub struct Contents {
    /// The latest instant at which it was used, to within half a minute: how old it is.
    pub as_of: Timestamp,
    /// Accounts.
    pub accounts: u64,
    /// Sessions that have not ended.
    pub sessions: u64,
    /// The epoch.
    pub epoch: i64,
}

/// What is in a database now and will not be in the backup that takes its place.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize)]
pub struct Losses {
    /// Accounts made since, which will be missing.
    pub missing: u64,
    /// Accounts deleted since, which come back.
    pub revived: u64,
    /// Accounts whose password was changed since, and is the older one again.
    pub older_passwords: u64,
    /// Accounts disabled since, which may sign in again.
    pub enabled_again: u64,
    /// Accounts taken out of a group since, which are in it again.
    pub in_group_again: u64,
}

/// A new epoch.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Begun {
    /// Its number.
    pub epoch: i64,
    /// Sessions that ended with the one before.
    pub sessions_ended: u64,
    /// The key that signs from now on.
    pub kid: String,
}

/// Counts what is in `store`.
///
/// # Errors
/// Only those of the store.
pub fn contents(store: &Store) -> Result<Contents, Error> {
    let found = store.read(|tx| {
        tx.row(
            "SELECT clock_latest, epoch, (SELECT count(*) FROM account), \
             (SELECT count(*) FROM session WHERE ended_at IS NULL AND expires_at > ?1) \
             FROM server WHERE id = 1",
            params![tx.now],
            |row| {
                Ok(Contents {
                    as_of: row.get(0)?,
                    epoch: row.get(1)?,
                    accounts: row.get::<i64>(2)?.unsigned_abs(),
                    sessions: row.get::<i64>(3)?.unsigned_abs(),
                })
            },
        )
    })?;
    found.ok_or_else(|| Error::Broken("the database was never served".into()))
}

/// What is lost if `backup` takes the place of `present`. Long with many accounts, in short reads.
///
/// # Errors
/// Only those of the stores.
pub fn compare(present: &Store, backup: &Store) -> Result<Losses, Error> {
    let mut losses = Losses::default();
    let mut in_both = 0;
    let mut after = AccountKey::from_row(0);
    loop {
        let stretch = present.read(|tx| credentials(tx, after))?;
        let Some((last, _)) = stretch.last() else {
            break;
        };
        after = *last;
        backup.read(|tx| -> Result<(), Error> {
            for (_, now) in &stretch {
                let Some(then) = credentials_of(tx, now.account)? else {
                    losses.missing += 1;
                    continue;
                };
                in_both += 1;
                losses.older_passwords += u64::from(then.password_hash != now.password_hash);
                losses.enabled_again += u64::from(now.is_disabled && !then.is_disabled);
                let is_again = |group| !now.groups().any(|name| name == group);
                losses.in_group_again += u64::from(then.groups().any(is_again));
            }
            Ok(())
        })?;
    }
    losses.revived = contents(backup)?.accounts.saturating_sub(in_both);
    Ok(losses)
}

/// Begins an epoch in `store`, later than its own and later than `after`, with new keys; everything that was issued
/// before is dead when this returns. Time goes on from `clock`, whose wall clock is believed: an operator has
/// been told what it says.
///
/// # Errors
/// Only those of the store; nothing has changed then.
pub fn begin(store: &Store, clock: &Clock, after: i64) -> Result<Begun, Error> {
    let new_signing_keys = key_ring::NewKeys::generate(store)?;
    clock.confirm();
    store.write(move |tx| {
        let epoch: i64 = tx
            .row("SELECT epoch FROM server WHERE id = 1", params![], |row| {
                row.get(0)
            })?
            .ok_or_else(|| Error::Broken("the database was never served".into()))?;
        let epoch = epoch.max(after) + 1;
        let new_key = TagKey::from_bytes(tx.random());
        tx.run(
            "UPDATE server SET epoch = ?1, tag_key = ?2, setup_digest = NULL WHERE id = 1",
            params![epoch, &new_key],
        )?;
        throttle::forget_keyed(tx)?;
        let sessions_ended = tell_owners(tx)?;
        for sql in EMPTIED {
            tx.run(sql, params![])?;
        }
        let kid = key_ring::begin_anew(tx, &new_signing_keys)?;
        Entry::of_nobody(Kind::DatabaseRestored)
            .detail(json!({ "epoch": epoch, "sessions_ended": sessions_ended }))
            .write(tx)?;
        Ok(Begun {
            epoch,
            sessions_ended,
            kid,
        })
    })
}

/// Leaves each owner of open sessions an event that says why they ended. Returns how many sessions that are.
fn tell_owners(tx: &Tx<'_>) -> Result<u64, Broken> {
    let owners: Vec<(AccountKey, i64)> = tx.rows(
        "SELECT account_id, count(*) FROM session WHERE ended_at IS NULL AND expires_at > ?1 GROUP BY account_id",
        params![tx.now],
        |row| Ok((row.get(0)?, row.get(1)?)),
    )?;
    let mut ended = 0;
    for (account, sessions) in owners {
        Entry::of(Kind::SessionsEnded, account)
            .detail(json!({ "reason": Ended::Restored.as_str(), "sessions": sessions }))
            .write(tx)?;
        ended += sessions.unsigned_abs();
    }
    Ok(ended)
}

/// What an account signs in with, and what apps let it do.
struct Credentials {
    account: AccountId,
    password_hash: Option<String>,
    is_disabled: bool,
    /// The names of its groups, with a space between them.
    groups: String,
}

impl Credentials {
    fn groups(&self) -> impl Iterator<Item = &str> {
        self.groups.split_ascii_whitespace()
    }
}

fn credentials(
    tx: &ReadTx<'_>,
    after: AccountKey,
) -> Result<Vec<(AccountKey, Credentials)>, Broken> {
    tx.rows(
        "SELECT public_id, password_hash, disabled_at IS NOT NULL, \
             coalesce((SELECT string_agg(g.name, ' ') FROM membership m JOIN user_group g ON g.id = m.group_id \
             WHERE m.account_id = account.id), ''), id \
         FROM account WHERE id > ?1 ORDER BY id LIMIT ?2",
        params![after, STRETCH],
        |row| Ok((row.get(4)?, from_row(row)?)),
    )
}

fn credentials_of(tx: &ReadTx<'_>, account: AccountId) -> Result<Option<Credentials>, Broken> {
    tx.row(
        "SELECT public_id, password_hash, disabled_at IS NOT NULL, \
             coalesce((SELECT string_agg(g.name, ' ') FROM membership m JOIN user_group g ON g.id = m.group_id \
             WHERE m.account_id = account.id), '') \
         FROM account WHERE public_id = ?1",
        params![account],
        from_row,
    )
}

fn from_row(row: &Row<'_>) -> Result<Credentials, Broken> {
    Ok(Credentials {
        account: row.get(0)?,
        password_hash: row.get(1)?,
        is_disabled: row.get(2)?,
        groups: row.get(3)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Tables whose rows an epoch survives. What works once, or names a session, is not among them.
    const KEPT: [&str; 12] = [
        "server",
        "account",
        "user_group",
        "membership",
        "client",
        "oauth_client",
        "oauth_client_uri",
        "oauth_client_group",
        "consent",
        "user_agent",
        "sign_in_counter",
        "event",
    ];

    #[test] // I11: whoever adds a table says what a restore makes of it
    fn every_table_is_either_kept_or_emptied() {
        let emptied = EMPTIED.map(|sql| sql.trim_start_matches("DELETE FROM "));
        let known = [&KEPT[..], &emptied[..], &["refresh_family", "signing_key"]].concat();
        let schema = include_str!("../../../schema.sql");
        let tables = schema.split("CREATE TABLE ").skip(1);
        for table in tables.filter_map(|rest| rest.split(' ').next()) {
            assert!(known.contains(&table), "is {table} kept or emptied?");
        }
    }
}
