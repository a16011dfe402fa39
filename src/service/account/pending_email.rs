//! Changes of address that wait to be confirmed, at the present address and at the new one.
//!
//! Both: at the new one, since an address that is typed may be a stranger's; at the present one, since whoever got hold of
//! a password must not take the account along, and with it the way back in. One row for an account that waits; a newer
//! wish takes its place. It ends by being applied, withdrawn or void, or by time.

use std::time::Duration;

use crate::ids::AccountKey;
use crate::store::{Broken, ReadTx, Tx, params};

/// How long a change waits: its letters try to leave for a day, and their links work for another.
const LIFETIME: Duration = Duration::from_secs(2 * 24 * 60 * 60);

/// One of the two addresses that confirm a change.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Side {
    Present,
    New,
}

/// A change that waits.
pub struct Pending {
    pub email: String,
    pub email_key: String,
    pub present_confirmed: bool,
    pub new_confirmed: bool,
}

impl Pending {
    pub fn is_complete(&self) -> bool {
        self.present_confirmed && self.new_confirmed
    }
}

/// Notes a wish for another address, in the place of an earlier one.
pub fn request(
    tx: &Tx<'_>,
    account: AccountKey,
    email: &str,
    email_key: &str,
) -> Result<(), Broken> {
    tx.run(
        "INSERT INTO email_change (account_id, email, email_key, requested_at) VALUES (?1, ?2, ?3, ?4) \
         ON CONFLICT (account_id) DO UPDATE SET email = ?2, email_key = ?3, requested_at = ?4, \
             present_confirmed_at = NULL, new_confirmed_at = NULL",
        params![account, email, email_key, tx.now],
    )?;
    Ok(())
}

/// The change that waits for an account, if one does.
pub fn pending(tx: &ReadTx<'_>, account: AccountKey) -> Result<Option<Pending>, Broken> {
    tx.row(
        "SELECT email, email_key, present_confirmed_at IS NOT NULL, new_confirmed_at IS NOT NULL \
         FROM email_change WHERE account_id = ?1 AND requested_at > ?2",
        params![account, tx.now.minus(LIFETIME)],
        |row| {
            Ok(Pending {
                email: row.get(0)?,
                email_key: row.get(1)?,
                present_confirmed: row.get(2)?,
                new_confirmed: row.get(3)?,
            })
        },
    )
}

/// Notes that one side has confirmed. Returns the change as it is then; `None` if none waits.
pub fn confirm(tx: &Tx<'_>, account: AccountKey, side: Side) -> Result<Option<Pending>, Broken> {
    let sql = match side {
        Side::Present => "UPDATE email_change SET present_confirmed_at = ?2 WHERE account_id = ?1",
        Side::New => "UPDATE email_change SET new_confirmed_at = ?2 WHERE account_id = ?1",
    };
    tx.run(sql, params![account, tx.now])?;
    pending(tx, account)
}

/// Forgets the change that waits.
pub fn withdraw(tx: &Tx<'_>, account: AccountKey) -> Result<(), Broken> {
    tx.run(
        "DELETE FROM email_change WHERE account_id = ?1",
        params![account],
    )?;
    Ok(())
}

/// Deletes at most `limit` changes that nobody confirmed in time; returns how many.
pub fn sweep(tx: &Tx<'_>, limit: u32) -> Result<usize, Broken> {
    tx.run(
        "DELETE FROM email_change WHERE account_id IN \
         (SELECT account_id FROM email_change WHERE requested_at <= ?1 LIMIT ?2)",
        params![tx.now.minus(LIFETIME), limit],
    )
}
