//! Slowing down guesses.
//!
//! Failures are counted, successes never, by account and by address, in the database, so that a restart forgives
//! nothing. A login that nobody has is counted like an account, under a keyed digest and in a bounded number of
//! buckets, so that it looks the same from outside and cannot fill the disk.
//!
//! A throttle stands before a password only. Sessions that are signed in go on refreshing: otherwise anybody could
//! sign anybody out by guessing badly (req 13).
//!
//! Every way of presenting a password comes through here: API, pages, CLI, OAuth (req 20).

use std::collections::HashSet;
use std::net::IpAddr;
use std::time::Duration;

use crate::clock::Timestamp;
use crate::ids::AccountKey;
use crate::ip_prefix::customer_prefix;
use crate::secret::TagKey;
use crate::service::{Code, Error};
use crate::store::{Broken, ReadTx, Tx, params};

/// Failures on one account before it answers slowly: a person who looks for the right password.
const ACCOUNT_FREE: u32 = 5;

/// Failures in a row on one account after which it is locked. NIST SP 800-63B-4 §3.2.2: no more than 100.
pub(super) const ACCOUNT_LIMIT: u32 = 100;

/// Failures in a row on one account after which its owner is told, and again when it is locked: beyond what a person
/// tries who has forgotten which password it was.
const OWNER_IS_TOLD: [u32; 2] = [10, ACCOUNT_LIMIT];

/// Failures from one address before it waits: an office or a family behind one router.
const ADDRESS_FREE: u32 = 20;

/// The longest pause between two tries, before the limit.
const LONGEST_PAUSE: Duration = Duration::from_secs(15 * 60);

/// The pause after each try once the limit is reached. A reset of the password ends it at once.
const LOCK: Duration = Duration::from_secs(24 * 60 * 60);

/// Letters that an address is sent before it has a pause of [`MEMORY`], if nobody has proven it: whoever registers, asks for
/// links once more and chooses a new password gets fewer. It may be a stranger's, whom no account's limits protect:
/// accounts are made and deleted, and have several causes for a letter each.
const ADDRESSEE_LIMIT: u32 = 10;

/// After this long without another failure, an address starts anew.
const MEMORY: Duration = Duration::from_secs(60 * 60);

/// Whom a failure is counted against.
pub(super) enum Subject<'a> {
    Account(AccountKey),
    /// A login that belongs to no account, in its folded form.
    Unknown(&'a str),
    Address(IpAddr),
    /// An address that asks for accounts, where everybody may. Here successes are counted too.
    Registration(IpAddr),
    /// An address that has letters sent. Here, too, it is every request that is counted.
    Mail(IpAddr),
    /// An e-mail address that was asked about, known or not. It never waits: the row is what a known one costs.
    Asked(&'a str),
    /// An e-mail address that letters with a link go to and nobody has proven. It is every letter that is counted.
    Addressee(&'a str),
    /// The same of notices, which take a password or many guesses. Counted apart: letters that anybody can cause must not
    /// use up what an owner has to hear.
    Notified(&'a str),
}

impl Subject<'_> {
    /// The row's name. Unknown logins share 65,536 rows: two of them in one row merely wait for each other.
    fn filed_under(&self, key: &TagKey) -> Option<[u8; 16]> {
        match self {
            Subject::Account(account) => {
                Some(key.subject(&format!("account {}", account.as_row())))
            }
            Subject::Unknown(login) => {
                let [a, b, ..] = key.subject(&format!("login {login}"));
                Some(key.subject(&format!("bucket {a} {b}")))
            }
            Subject::Asked(email) => {
                let [a, b, ..] = key.subject(&format!("mail to {email}"));
                Some(key.subject(&format!("asked {a} {b}")))
            }
            Subject::Addressee(email) => Some(key.subject(&format!("letters to {email}"))),
            Subject::Notified(email) => Some(key.subject(&format!("notices to {email}"))),
            Subject::Address(ip) => Some(key.subject(&format!("address {}", network(*ip)?))),
            Subject::Registration(ip) => Some(key.subject(&format!("makes {}", network(*ip)?))),
            Subject::Mail(ip) => Some(key.subject(&format!("mails {}", network(*ip)?))),
        }
    }

    fn pause_after(&self, failures: u32) -> Duration {
        let free = match self {
            Subject::Asked(_) => return Duration::ZERO,
            Subject::Addressee(_) | Subject::Notified(_) => {
                return match failures < ADDRESSEE_LIMIT {
                    true => Duration::ZERO,
                    false => MEMORY,
                };
            }
            Subject::Address(_) | Subject::Registration(_) | Subject::Mail(_) => ADDRESS_FREE,
            _ if failures >= ACCOUNT_LIMIT => return LOCK,
            _ => ACCOUNT_FREE,
        };
        match failures.checked_sub(free) {
            None => Duration::ZERO,
            Some(over) => Duration::from_secs(1 << over.min(30)).min(LONGEST_PAUSE),
        }
    }

    fn is_forgettable(&self) -> bool {
        !matches!(self, Subject::Account(_) | Subject::Unknown(_))
    }
}

/// How an address is counted: an IPv6 address by the prefix that one customer gets. An address on loopback is not
/// counted. It stands for others (a proxy that is not declared, an application that signs its own users in), and the
/// failures of one user must not lock out the rest.
fn network(ip: IpAddr) -> Option<String> {
    (!ip.is_loopback()).then(|| customer_prefix(ip).to_string())
}

/// Until when `subject` has to wait; `None` if it may try.
pub(super) fn blocked(
    tx: &ReadTx<'_>,
    key: &TagKey,
    subject: &Subject<'_>,
) -> Result<Option<Timestamp>, Broken> {
    let Some(filed) = subject.filed_under(key) else {
        return Ok(None);
    };
    tx.row(
        "SELECT blocked_until FROM throttle WHERE subject = ?1 AND blocked_until > ?2",
        params![filed, tx.now],
        |row| row.get(0),
    )
}

/// What is counted against an account.
pub(super) struct Count {
    pub failures: u32,
    pub last_at: Timestamp,
    /// Until when it has to wait, whether or not that is over.
    pub blocked_until: Timestamp,
}

/// What is counted against an account, if anything is.
pub(super) fn count(
    tx: &ReadTx<'_>,
    key: &TagKey,
    account: AccountKey,
) -> Result<Option<Count>, Broken> {
    let Some(filed) = Subject::Account(account).filed_under(key) else {
        return Ok(None);
    };
    tx.row(
        "SELECT failures, last_at, blocked_until FROM throttle WHERE subject = ?1",
        params![filed],
        |row| {
            Ok(Count {
                failures: row.get(0)?,
                last_at: row.get(1)?,
                blocked_until: row.get(2)?,
            })
        },
    )
}

/// The accounts that have to wait now. A row does not say whose it is, so each account is asked about: an operator has
/// the time.
pub(super) fn waiting(tx: &ReadTx<'_>, key: &TagKey) -> Result<Vec<AccountKey>, Broken> {
    let waiting: HashSet<[u8; 16]> = tx
        .rows(
            "SELECT subject FROM throttle WHERE forgettable = 0 AND blocked_until > ?1",
            params![tx.now],
            |row| row.get(0),
        )?
        .into_iter()
        .collect();
    let mut accounts: Vec<AccountKey> = match waiting.is_empty() {
        true => Vec::new(),
        false => tx.rows("SELECT id FROM account", params![], |row| row.get(0))?,
    };
    accounts.retain(|account| {
        let filed = Subject::Account(*account).filed_under(key);
        filed.is_some_and(|filed| waiting.contains(&filed))
    });
    Ok(accounts)
}

/// Refuses `subject` as long as it has to wait.
///
/// # Errors
/// [`Code::TooManyRequests`], with the time that is left.
pub(super) fn refuse_blocked(
    tx: &ReadTx<'_>,
    key: &TagKey,
    subject: &Subject<'_>,
) -> Result<(), Error> {
    match blocked(tx, key, subject)? {
        None => Ok(()),
        Some(until) => Err(Error::Later(
            Code::TooManyRequests,
            until.since(tx.now).as_secs().max(1),
        )),
    }
}

/// Counts a failure. Returns how many that makes in a row; 0 for what is not counted.
pub(super) fn record(tx: &Tx<'_>, key: &TagKey, subject: &Subject<'_>) -> Result<u32, Broken> {
    let Some(filed) = subject.filed_under(key) else {
        return Ok(0);
    };
    let forgotten_before = match subject.is_forgettable() {
        true => tx.now.minus(MEMORY),
        false => Timestamp::from_unix(0),
    };
    let failures: Option<u32> = tx.row(
        "INSERT INTO throttle (subject, forgettable, failures, last_at, blocked_until) \
         VALUES (?1, ?2, 1, ?3, 0) \
         ON CONFLICT (subject) DO UPDATE SET \
             failures = CASE WHEN last_at < ?4 THEN 1 ELSE min(failures, 1000000) + 1 END, last_at = ?3 \
         RETURNING failures",
        params![filed, subject.is_forgettable(), tx.now, forgotten_before],
        |row| row.get(0),
    )?;
    let failures = failures.unwrap_or(1);
    let pause = subject.pause_after(failures);
    if !pause.is_zero() {
        tx.run(
            "UPDATE throttle SET blocked_until = ?2 WHERE subject = ?1",
            params![filed, tx.now.plus(pause)],
        )?;
    }
    Ok(failures)
}

/// Whether the owner of an account should hear of this many failures in a row. Twice at most, until somebody signs in:
/// guessing must not fill a mailbox.
pub(super) fn is_news(failures: u32) -> bool {
    OWNER_IS_TOLD.contains(&failures)
}

/// Forgets the failures on an account: somebody signed in, or its password was set anew.
pub(super) fn clear(tx: &Tx<'_>, key: &TagKey, account: AccountKey) -> Result<(), Broken> {
    if let Some(filed) = Subject::Account(account).filed_under(key) {
        tx.run("DELETE FROM throttle WHERE subject = ?1", params![filed])?;
    }
    Ok(())
}

/// Files the failures on accounts under another key. Those of addresses and unknown names, which only whoever fails could
/// name, are forgotten: they would be within the hour, or bind nobody's account.
pub(super) fn file_anew(tx: &Tx<'_>, old: &TagKey, new: &TagKey) -> Result<(), Broken> {
    let filed: HashSet<[u8; 16]> = tx
        .rows(
            "SELECT subject FROM throttle WHERE forgettable = 0",
            params![],
            |row| row.get(0),
        )?
        .into_iter()
        .collect();
    let mut kept = HashSet::new();
    let accounts: Vec<AccountKey> = match filed.is_empty() {
        true => Vec::new(),
        false => tx.rows("SELECT id FROM account", params![], |row| row.get(0))?,
    };
    for account in accounts {
        let names = [old, new].map(|key| Subject::Account(account).filed_under(key));
        if let [Some(before), Some(after)] = names
            && filed.contains(&before)
        {
            tx.run(
                "UPDATE throttle SET subject = ?2 WHERE subject = ?1",
                params![before, after],
            )?;
            kept.insert(after);
        }
    }
    let all: Vec<[u8; 16]> =
        tx.rows("SELECT subject FROM throttle", params![], |row| row.get(0))?;
    for subject in all.iter().filter(|subject| !kept.contains(*subject)) {
        tx.run("DELETE FROM throttle WHERE subject = ?1", params![subject])?;
    }
    Ok(())
}

/// Deletes at most `limit` rows that say nothing any more; returns how many.
pub(super) fn sweep(tx: &Tx<'_>, limit: u32) -> Result<usize, Broken> {
    tx.run(
        "DELETE FROM throttle WHERE subject IN (SELECT subject FROM throttle \
         WHERE forgettable = 1 AND last_at < ?1 AND blocked_until <= ?2 LIMIT ?3)",
        params![tx.now.minus(MEMORY), tx.now, limit],
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test] // req 12
    fn pauses_grow_and_the_limit_is_nists() {
        let account = Subject::Account(AccountKey::from_row(1));
        let pauses = |subject: &Subject<'_>, failures| subject.pause_after(failures).as_secs();
        assert_eq!([4, 5, 6, 9].map(|n| pauses(&account, n)), [0, 1, 2, 16]);
        assert_eq!(
            [99, 100, 1000].map(|n| pauses(&account, n)),
            [900, 86_400, 86_400]
        );
        let address = Subject::Address(IpAddr::from([192, 0, 2, 1]));
        assert_eq!(
            [19, 20, 21, 5000].map(|n| pauses(&address, n)),
            [0, 1, 2, 900]
        );
    }

    #[test] // one customer, one counter; and what stands for others has none
    fn addresses_are_counted_by_network() {
        let key = TagKey::from_bytes([1; 32]);
        let filed = |ip: &str| Subject::Address(ip.parse().expect("an address")).filed_under(&key);
        assert_eq!(filed("2001:db8:1:2::1"), filed("2001:db8:1:2:ffff::9"));
        assert_ne!(filed("2001:db8:1:2::1"), filed("2001:db8:1:3::1"));
        assert_ne!(filed("192.0.2.1"), filed("192.0.2.2"));
        assert_eq!(filed("127.0.0.1"), None);
    }
}
