//! Copying the WAL into the database (a *checkpoint*), and keeping the WAL short.
//!
//! The thread that writes does this between two batches, after all callers have their answers. While a reader stays on an
//! old snapshot, the WAL can't begin anew and grows.

use std::time::{Duration, Instant};

use rusqlite::Statement;

use super::connection::PAGE_SIZE;
use super::error::checked;
use crate::clock::monotonic;
use crate::store::Broken;

/// How long SQLite itself waits for a lock, before the thread looks for closures whose time is over.
pub(super) const BUSY_TIMEOUT: Duration = Duration::from_millis(100);

/// Pages in the WAL after which they are copied into the database (16 MiB). Measured with 100,000 sessions and 32
/// callers: with 1,000 pages, syncing the copies takes a third of the time (25,000 rotations/s, p99 13 ms). With 4,000
/// the syncs are too rare to show in the p99 (39,000/s, 1.2 ms). More gains nothing.
const CHECKPOINT_FRAMES: i64 = 4000;

/// From this number of pages on, a checkpoint waits for readers to finish, so that the WAL can begin anew.
const RESTART_FRAMES: i64 = 2 * CHECKPOINT_FRAMES;

/// How long it waits for them: longer than an ordinary read, and not longer than a slow sync.
const RESTART_PATIENCE: Duration = Duration::from_millis(10);

/// The size in bytes from which the length of the WAL is logged as a warning, and to which the file is cut when the WAL
/// begins anew. A longer WAL means that a program reads for minutes.
pub(super) const WAL_WARNING: u64 = 64 << 20;

/// The least time between two such warnings.
const WARNING_INTERVAL: Duration = Duration::from_secs(60);

/// The writer's view of the WAL.
pub(super) struct Checkpointer<'c> {
    conn: &'c rusqlite::Connection,
    state: Statement<'c>,
    /// Frames in the WAL when it was last copied.
    copied_at: i64,
    last_warning: Option<Instant>,
}

impl<'c> Checkpointer<'c> {
    pub fn new(conn: &'c rusqlite::Connection) -> rusqlite::Result<Checkpointer<'c>> {
        Ok(Checkpointer {
            conn,
            state: conn.prepare("PRAGMA wal_checkpoint(NOOP)")?,
            copied_at: 0,
            last_warning: None,
        })
    }

    /// Copies the WAL into the database when it is long.
    pub fn copy_if_due(&mut self) {
        let Some(wal) = self.wal_state() else { return };
        if wal.frames < self.copied_at {
            self.copied_at = 0;
        }
        if wal.frames - self.copied_at < CHECKPOINT_FRAMES {
            return;
        }
        let mode = if wal.frames < RESTART_FRAMES {
            "PASSIVE"
        } else {
            "RESTART"
        };
        if let Some(wal) = self.checkpoint(mode) {
            self.copied_at = wal.frames;
            self.warn_of_long_wal(&wal);
        }
    }

    /// Copies the whole WAL and empties its file. Returns whether it is empty now.
    pub fn truncate(&self) -> bool {
        self.checkpoint("TRUNCATE")
            .is_some_and(|wal| wal.frames == 0)
    }

    /// Copies what can be copied without waiting.
    pub fn copy(&self) {
        self.checkpoint("PASSIVE");
    }

    fn wal_state(&mut self) -> Option<Wal> {
        match self.state.query_row([], Wal::from_row) {
            Ok(wal) => Some(wal),
            Err(error) => {
                tracing::warn!("{}", checked(&error, "PRAGMA wal_checkpoint(NOOP)").text);
                None
            }
        }
    }

    fn checkpoint(&self, mode: &'static str) -> Option<Wal> {
        let sql = format!("PRAGMA wal_checkpoint({mode})");
        let copied = self
            .conn
            .busy_timeout(RESTART_PATIENCE)
            .and_then(|()| self.conn.query_row(&sql, [], Wal::from_row));
        let restored = self.conn.busy_timeout(BUSY_TIMEOUT);
        match copied.and_then(|wal| restored.map(|()| wal)) {
            Ok(wal) => Some(wal),
            Err(error) => {
                let error = checked(&error, &sql);
                if error.broken != Broken::Busy {
                    tracing::warn!("the WAL was not copied into the database: {}", error.text);
                }
                None
            }
        }
    }

    fn warn_of_long_wal(&mut self, wal: &Wal) {
        let bytes = wal.frames.unsigned_abs() * u64::from(PAGE_SIZE);
        let is_recent = self
            .last_warning
            .is_some_and(|last| last.elapsed() < WARNING_INTERVAL);
        if bytes < WAL_WARNING || is_recent {
            return;
        }
        self.last_warning = Some(monotonic());
        let (mib, left) = (bytes >> 20, wal.frames - wal.copied);
        tracing::warn!(
            "the WAL has grown to {mib} MiB, and {left} pages of it can't be copied into the database, because a program \
             has been reading the database for a long time. Look for backup tools or open SQLite shells"
        );
    }
}

/// The state of the WAL, as `PRAGMA wal_checkpoint` returns it.
struct Wal {
    frames: i64,
    copied: i64,
}

impl Wal {
    fn from_row(row: &rusqlite::Row<'_>) -> rusqlite::Result<Wal> {
        Ok(Wal {
            frames: row.get(1)?,
            copied: row.get(2)?,
        })
    }
}
