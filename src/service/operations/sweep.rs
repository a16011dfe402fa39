//! Housekeeping: what has expired goes, in steps that nobody waits for.
//!
//! What is dead is looked for outside of the write lock, a bounded stretch of rows at a time, and deleted in small
//! transactions that check again. Nothing depends on it: a row that was not swept yet is refused by its own
//! times. While the clock has made a jump that is not confirmed, nothing is swept (fault 19).

use std::time::Duration;

use serde::Serialize;

use crate::clock::{Standing, Timestamp};
use crate::ids::SessionKey;
use crate::service::account::pending_email;
use crate::service::delivery::one_time_token;
use crate::service::oauth::{authorization, device};
use crate::service::session::{Liveness, liveness_columns};
use crate::service::sign_up::{invitation, registration};
use crate::service::throttle::{self, guesses};
use crate::service::token::refresh;
use crate::service::{Authd, Error, event};
use crate::store::{Broken, ReadTx, Tx, params};

/// Rows that one step looks at, and one transaction deletes: a few milliseconds each.
const STRETCH: i64 = 2000;
const BATCH: usize = 200;
const LIMIT: u32 = 500;

/// How long an ended session's row is kept, so that a client which still presents its token shows up among the events.
const KEEP_ENDED: Duration = Duration::from_secs(60 * 60);

/// What a sweep deleted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Swept {
    /// Sessions that had ended an hour ago or expired, with their refresh tokens.
    pub sessions: usize,
    /// Events older than they are kept.
    pub events: usize,
    /// Failures that are forgotten.
    pub throttles: usize,
    /// One-time links that were asked for more than a week ago.
    pub links: usize,
    /// Changes of address that nobody confirmed within two days.
    pub email_changes: usize,
    /// Registrations that nobody confirmed within two days.
    pub registrations: usize,
    /// Invitations that were used, withdrawn or expired more than 30 days ago.
    pub invitations: usize,
    /// Authorization codes and device codes of apps.
    pub authorization_codes: usize,
    /// Seal keys whose windows are over.
    pub seal_keys: usize,
    /// User agents that no session uses.
    pub user_agents: usize,
    /// Nothing was deleted, since the clock has made a jump that is not confirmed.
    pub paused: bool,
}

impl Authd {
    /// Deletes what has expired, and says how much that was. Long on a large file, in short steps: others are served
    /// between them.
    ///
    /// # Errors
    /// Only those of the store; what was deleted until then stays deleted.
    pub fn sweep(&self) -> Result<Swept, Error> {
        let mut swept = Swept::default();
        if matches!(self.clock.standing(), Standing::Unconfirmed(_)) {
            swept.paused = true;
            return Ok(swept);
        }
        let idle = self.policy().session_idle_lifetime;
        swept.sessions = self.sweep_sessions(idle)?;
        let retention = self.policy().event_retention;
        swept.events =
            self.until_done(move |tx| event::sweep(tx, tx.now.minus(retention), LIMIT))?;
        swept.throttles = self.until_done(|tx| throttle::sweep(tx, LIMIT))?
            + self.until_done(|tx| guesses::sweep(tx, LIMIT))?;
        swept.links = self.until_done(|tx| one_time_token::sweep(tx, LIMIT))?;
        swept.email_changes = self.until_done(|tx| pending_email::sweep(tx, LIMIT))?;
        swept.registrations = self.until_done(|tx| registration::sweep(tx, LIMIT))?;
        swept.authorization_codes = self.until_done(|tx| authorization::sweep(tx, LIMIT))?
            + self.until_done(|tx| device::sweep(tx, LIMIT))?;
        swept.invitations = self.until_done(|tx| invitation::sweep(tx, LIMIT))?;
        swept.seal_keys = self.store.write(refresh::sweep_seal_keys)?;
        // Seen at each day's first rotation, so a text in use was seen within an idle lifetime and a day.
        let unseen = idle + Duration::from_secs(2 * 24 * 60 * 60);
        swept.user_agents = self.until_done(move |tx| {
            tx.run(
                "DELETE FROM user_agent WHERE id IN (SELECT id FROM user_agent WHERE seen_at < ?1 LIMIT ?2)",
                params![tx.now.minus(unseen), LIMIT],
            )
        })?;
        Ok(swept)
    }

    fn sweep_sessions(&self, idle: Duration) -> Result<usize, Error> {
        let last = self.store.read(last_session)?;
        let (mut from, mut deleted) = (0, 0);
        while from < last {
            let dead = self
                .store
                .read(|tx| dead_sessions(tx, from, from + STRETCH, idle))?;
            from += STRETCH;
            for batch in dead.chunks(BATCH) {
                let batch = batch.to_vec();
                deleted += self.store.write(move |tx| delete_dead(tx, &batch, idle))?;
            }
        }
        Ok(deleted)
    }

    /// Believes the wall clock after a jump that an operator has looked at; sweeping goes on then.
    ///
    /// # Errors
    /// Only those of the store.
    pub fn confirm_clock(&self) -> Result<(), Error> {
        self.clock.confirm();
        self.store.maintain();
        Ok(())
    }

    /// One round of housekeeping, to be called every second or so: notices what other processes changed, keeps the
    /// clock's mark and the log of the database in bounds, tends the signing keys, and lets seal keys die on time.
    ///
    /// # Errors
    /// Only those of the store.
    pub fn housekeep(&self) -> Result<(), Error> {
        self.store.maintain();
        self.tend_signing_keys()?;
        let is_believed = !matches!(self.clock.standing(), Standing::Unconfirmed(_));
        if is_believed && self.store.read(refresh::seal_keys_are_due)? {
            self.store.write(refresh::sweep_seal_keys)?;
        }
        Ok(())
    }

    fn until_done(
        &self,
        step: impl Fn(&Tx<'_>) -> Result<usize, Broken> + Copy + Send + 'static,
    ) -> Result<usize, Error> {
        let mut total = 0;
        loop {
            let done = self.store.write(step)?;
            total += done;
            if done < LIMIT as usize {
                return Ok(total);
            }
        }
    }
}

/// Deletes those of `keys` that are dead. Asked again here: one may have been used since it was found.
fn delete_dead(tx: &Tx<'_>, keys: &[SessionKey], idle: Duration) -> Result<usize, Broken> {
    let mut deleted = 0;
    for key in keys {
        let row = key.as_row();
        if dead_sessions(tx, row - 1, row, idle)?.contains(key) {
            deleted += tx.run("DELETE FROM session WHERE id = ?1", params![key])?;
        }
    }
    Ok(deleted)
}

/// The sessions after row `from` up to row `to` that ended an hour ago, or that are over by time and have no refresh family
/// that goes on: a family of an app may outlive the session's own end. In a session that was ended, its families tell when it
/// was used last.
fn dead_sessions(
    tx: &ReadTx<'_>,
    from: i64,
    to: i64,
    idle: Duration,
) -> Result<Vec<SessionKey>, Broken> {
    let rows: Vec<(SessionKey, Liveness, Option<Timestamp>, bool)> = tx.rows(
        concat!(
            "SELECT s.id, ", liveness_columns!(), ", s.ended_at, EXISTS (SELECT 1 FROM refresh_family f \
                 WHERE f.session_id = s.id AND (f.revoked_at IS NULL OR s.ended_at IS NOT NULL) AND f.expires_at > ?3 AND f.rotated_at > ?4) \
             FROM session s JOIN account a ON a.id = s.account_id WHERE s.id > ?1 AND s.id <= ?2"
        ),
        params![from, to, tx.now, tx.now.minus(idle)],
        |row| {
            let liveness = Liveness::from_columns(row, 1)?;
            Ok((row.get(0)?, liveness, row.get(5)?, row.get(6)?))
        },
    )?;
    let long_ago = tx.now.minus(KEEP_ENDED);
    let is_dead = |liveness: &Liveness, ended_at: Option<Timestamp>, has_family: bool| {
        let is_over = !has_family && tx.now >= liveness.ends_at(idle);
        is_over || ended_at.is_some_and(|at| at < long_ago)
    };
    let dead = rows
        .into_iter()
        .filter(|(_, liveness, ended_at, has_family)| is_dead(liveness, *ended_at, *has_family));
    Ok(dead.map(|(key, ..)| key).collect())
}

fn last_session(tx: &ReadTx<'_>) -> Result<i64, Broken> {
    Ok(tx
        .row("SELECT max(id) FROM session", params![], |row| {
            row.get::<Option<i64>>(0)
        })?
        .flatten()
        .unwrap_or(0))
}
