//! Registrations that wait until their address is proven.
//!
//! Where verification is required there is no account before that. Until the link in the letter is followed, nobody holds
//! the address, nor a name: so whoever registers with a stranger's address gains nothing by being first, and takes
//! nothing away. Each registration carries the password that was chosen with it and has a link of its own; they
//! do not void each other. The one whose letter is followed becomes the account, with *its* password, and the others of
//! that address go.
//!
//! A row ends by being deleted: used up, which the row count decides, or outdated, or swept. Requests are counted in the
//! same table.

use std::net::IpAddr;
use std::time::Duration;

use serde::Serialize;

use crate::clock::Timestamp;
use crate::ids::{InvitationKey, RegistrationKey};
use crate::secret::Digest;
use crate::service::Device;
use crate::service::account::Prepared;
use crate::service::error::unexpected;
use crate::store::{Broken, ReadTx, Row, Tx, params};

/// How long the link of a registration works from the moment that its secret is drawn.
const LIFETIME: Duration = Duration::from_secs(24 * 60 * 60);

/// How long one is kept at least: its letter tries to leave for a day, and its link works for another.
const KEPT: Duration = Duration::from_secs(2 * 24 * 60 * 60);

/// Registrations of one address that an operator is shown: more than two days have room for who registers by hand.
const MOST_LISTED: u32 = 20;

/// A registration whose link was followed.
pub(in crate::service) struct Waited {
    pub email: String,
    pub username: Option<String>,
    pub name: Option<String>,
    pub password_hash: String,
    pub invitation: Option<InvitationKey>,
    pub requested_at: Timestamp,
}

/// A registration that waits, with its row, inside a transaction.
pub(in crate::service) struct Waiting {
    pub key: RegistrationKey,
    pub shown: WaitingRegistration,
}

/// A registration that waits, as an operator sees it.
#[derive(Clone, Debug, Serialize)]
pub struct WaitingRegistration {
    /// The address that has to be proven.
    pub email: String,
    /// The username that was asked for.
    pub username: Option<String>,
    /// What people call whoever registered.
    pub name: Option<String>,
    /// When it came.
    pub requested_at: Timestamp,
    /// From where.
    pub ip: IpAddr,
    /// Until when its link works; absent while there is none.
    pub expires_at: Option<Timestamp>,
}

/// Notes a registration.
pub(in crate::service) fn insert(
    tx: &Tx<'_>,
    new: &Prepared,
    invitation: Option<InvitationKey>,
    device: &Device,
) -> Result<RegistrationKey, Broken> {
    tx.row(
        "INSERT INTO registration (email, email_key, username, name, password_hash, invitation_id, requested_at, ip, \
         user_agent) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9) RETURNING id",
        params![
            new.email,
            new.email_key,
            new.username.as_ref().map(|(username, _)| username),
            new.name,
            new.hash,
            invitation,
            tx.now,
            device.ip,
            device.user_agent,
        ],
        |row| row.get(0),
    )?
    .ok_or_else(|| unexpected("an insertion returned no row"))
}

/// How many were asked for with this address since `since`, and wait still.
pub(in crate::service) fn count(
    tx: &ReadTx<'_>,
    email_key: &str,
    since: Timestamp,
) -> Result<u32, Broken> {
    let count = tx.row(
        "SELECT count(*) FROM registration WHERE email_key = ?1 AND requested_at > ?2",
        params![email_key, since],
        |row| row.get(0),
    )?;
    Ok(count.unwrap_or(0))
}

/// Gives a registration the secret of its link, in the place of an earlier one. Returns until when that works; `None` if
/// the registration is gone.
pub(in crate::service) fn arm(
    tx: &Tx<'_>,
    key: RegistrationKey,
    digest: Digest,
) -> Result<Option<Timestamp>, Broken> {
    tx.row(
        "UPDATE registration SET digest = ?2, expires_at = ?3 WHERE id = ?1 RETURNING expires_at",
        params![key, digest, tx.now.plus(LIFETIME)],
        |row| row.get(0),
    )
}

/// Until when the link of a registration works that has its secret; `None` if it works no more.
pub(in crate::service) fn open_until(
    tx: &ReadTx<'_>,
    key: RegistrationKey,
) -> Result<Option<Timestamp>, Broken> {
    tx.row(
        "SELECT expires_at FROM registration WHERE id = ?1 AND expires_at > ?2",
        params![key, tx.now],
        |row| row.get(0),
    )
}

/// Whether a registration waits for this. Says nothing about a moment later: [`claim`] decides.
pub(in crate::service) fn is_open(tx: &ReadTx<'_>, digest: Digest) -> Result<bool, Broken> {
    let open = tx.row(
        "SELECT 1 FROM registration WHERE digest = ?1 AND expires_at > ?2",
        params![digest, tx.now],
        |row| row.get::<i64>(0),
    )?;
    Ok(open.is_some())
}

/// Uses a registration up; `None` if its link did not work, or somebody was faster.
pub(in crate::service) fn claim(tx: &Tx<'_>, digest: Digest) -> Result<Option<Waited>, Broken> {
    tx.row(
        "DELETE FROM registration WHERE digest = ?1 AND expires_at > ?2 \
         RETURNING email, username, name, password_hash, invitation_id, requested_at",
        params![digest, tx.now],
        |row| {
            Ok(Waited {
                email: row.get(0)?,
                username: row.get(1)?,
                name: row.get(2)?,
                password_hash: row.get(3)?,
                invitation: row.get(4)?,
                requested_at: row.get(5)?,
            })
        },
    )
}

/// Drops all registrations of an address that has an account now.
pub(in crate::service) fn drop_all(tx: &Tx<'_>, email_key: &str) -> Result<(), Broken> {
    tx.run(
        "DELETE FROM registration WHERE email_key = ?1",
        params![email_key],
    )?;
    Ok(())
}

/// The registrations that wait with this address, newest first.
pub(in crate::service) fn list(tx: &ReadTx<'_>, email_key: &str) -> Result<Vec<Waiting>, Broken> {
    tx.rows(
        "SELECT id, email, username, name, requested_at, ip, expires_at FROM registration WHERE email_key = ?1 \
         ORDER BY id DESC LIMIT ?2",
        params![email_key, MOST_LISTED],
        from_row,
    )
}

/// All registrations that wait, newest first, at most `limit`.
pub(in crate::service) fn list_all(
    tx: &ReadTx<'_>,
    limit: u32,
) -> Result<Vec<WaitingRegistration>, Broken> {
    tx.rows(
        "SELECT id, email, username, name, requested_at, ip, expires_at FROM registration \
         ORDER BY id DESC LIMIT ?1",
        params![limit],
        |row| Ok(from_row(row)?.shown),
    )
}

/// Deletes at most `limit` registrations that nobody followed up; returns how many.
pub(in crate::service) fn sweep(tx: &Tx<'_>, limit: u32) -> Result<usize, Broken> {
    tx.run(
        "DELETE FROM registration WHERE id IN \
         (SELECT id FROM (SELECT id, requested_at, expires_at FROM registration ORDER BY id LIMIT ?3) AS oldest \
          WHERE requested_at < ?1 AND (expires_at IS NULL OR expires_at <= ?2))",
        params![tx.now.minus(KEPT), tx.now, limit],
    )
}

fn from_row(row: &Row<'_>) -> Result<Waiting, Broken> {
    Ok(Waiting {
        key: row.get(0)?,
        shown: WaitingRegistration {
            email: row.get(1)?,
            username: row.get(2)?,
            name: row.get(3)?,
            requested_at: row.get(4)?,
            ip: row.get(5)?,
            expires_at: row.get(6)?,
        },
    })
}
