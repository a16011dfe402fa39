//! Limits on what a client can try, and on what a stranger can have sent.
//!
//! An *allowance* is a number of attempts that time restores one by one. It is kept in the database as one instant, so a
//! restart restores nothing. An attempt is taken before the work that it costs and given back if it succeeds: a hundred
//! attempts at once get no more than a hundred in turn.
//!
//! What a client is told (429 and a wait) depends on what it typed and where it comes from, never on whether an account
//! exists. Wrong passwords are also counted by account, in [`guesses`], and that count is never told to the client.
//!
//! Sessions that are signed in are not limited by any of this: otherwise an attacker could sign an account owner out by
//! guessing (req 13). Every way of presenting a password takes from the same allowances: API, pages, CLI, OAuth (req 20).

pub mod guesses;

use std::net::IpAddr;
use std::time::Duration;

use super::{Code, Error};
use crate::clock::Timestamp;
use crate::ids::SessionId;
use crate::network;
use crate::secret::TagKey;
use crate::store::{Broken, ReadTx, Tx, params};

/// A number of attempts, and how long it takes to restore one of them.
#[derive(Clone, Copy)]
struct Allowance {
    /// Attempts at once, after a long pause.
    attempts: u32,
    /// Seconds that restore one attempt.
    seconds: u32,
}

const fn allow(attempts: u32, seconds: u32) -> Allowance {
    Allowance { attempts, seconds }
}

/// Rows that there may be in any case, about 50 KB.
const KEPT_WHEN_SHORT: u32 = 500;

/// What an allowance is kept for.
#[derive(Clone, Copy)]
pub enum Subject<'a> {
    /// Wrong passwords from a network: a household, an office, a provider's customers.
    SignIn(IpAddr),
    /// Wrong passwords for one login, in its folded form, from one network. The login may be nobody's.
    Login(&'a str, IpAddr),
    /// Wrong passwords inside a session, where the current one has to be given.
    Session(SessionId),
    /// Devices that a network wants to sign in (RFC 8628).
    Device(IpAddr),
    /// Wrong codes of devices that were typed in a session.
    UserCode(SessionId),
    /// Accounts that a network asks for. Successes count too.
    Registration(IpAddr),
    /// Messages that a network has sent. Each request counts.
    Mail(IpAddr),
    /// Messages with a link to a mailbox that nobody has proven to read.
    Mailbox(&'a str),
    /// Messages to unproven addresses of one domain.
    MailToDomain(&'a str),
    /// Messages to unproven addresses, over all.
    AllMail,
    /// Notices to such a mailbox. Counted apart: messages that anyone can cause must not use up what an owner has to hear.
    Notices(&'a str),
}

/// Networks of one client, from the smallest to the largest that one customer may have (RIPE-690), with the name of each
/// and how many times the smallest one's attempts it may have.
const LEVELS: [(u8, u8, u32); 3] = [(32, 64, 1), (24, 56, 3), (24, 48, 8)];

impl Subject<'_> {
    /// The rows that an attempt takes from, each with its allowance.
    fn rows(&self, key: &TagKey) -> Vec<([u8; 16], Allowance)> {
        let row = |text: String, allowance| (key.subject(&text), allowance);
        match self {
            // A family or an office behind one router; then a guess every 90 seconds.
            Subject::SignIn(ip) => levels(key, "sign-in", *ip, allow(40, 90)),
            // A person who looks for the right password; then one every minute.
            Subject::Login(login, ip) => {
                let network = network::client(*ip);
                vec![row(format!("login {network} {login}"), allow(10, 60))]
            }
            // At most about a hundred a day, as for an account (NIST SP 800-63B-4 §3.2.2).
            Subject::Session(session) => vec![row(format!("session {session}"), allow(5, 900))],
            Subject::Device(ip) => levels(key, "device", *ip, allow(20, 60)),
            Subject::UserCode(session) => vec![row(format!("user code {session}"), allow(10, 60))],
            Subject::Registration(ip) => levels(key, "registration", *ip, allow(20, 900)),
            Subject::Mail(ip) => levels(key, "mail", *ip, allow(20, 900)),
            Subject::Mailbox(email) => {
                vec![row(format!("mailbox {}", mailbox(email)), allow(10, 360))]
            }
            Subject::MailToDomain(domain) => vec![row(format!("domain {domain}"), allow(100, 30))],
            Subject::AllMail => vec![row("all mail".to_owned(), allow(300, 10))],
            Subject::Notices(email) => {
                vec![row(format!("notices {}", mailbox(email)), allow(10, 360))]
            }
        }
    }
}

/// The rows of the networks of `ip`. Loopback is not counted: requests from there stand for other people (an application
/// that signs its own users in, a proxy that is not declared), and one failing user must not keep out the rest.
fn levels(key: &TagKey, what: &str, ip: IpAddr, base: Allowance) -> Vec<([u8; 16], Allowance)> {
    if ip.to_canonical().is_loopback() {
        return Vec::new();
    }
    // IPv4 has two levels: its provider's customers share a /24 and nothing larger.
    let levels = if ip.to_canonical().is_ipv4() { 2 } else { 3 };
    let rows = LEVELS[..levels].iter().map(|(v4, v6, times)| {
        let network = network::of(ip, *v4, *v6);
        let allowance = allow(base.attempts * times, (base.seconds / times).max(1));
        (key.subject(&format!("{what} {network}")), allowance)
    });
    rows.collect()
}

/// The mailbox of a folded address: what follows a `+` in its local part is a sub-address of the same mailbox (RFC 5233).
fn mailbox(email: &str) -> String {
    match email.rsplit_once('@') {
        Some((local, domain)) => {
            let local = local.split('+').next().unwrap_or_default();
            format!("{local}@{domain}")
        }
        None => email.to_owned(),
    }
}

/// Refuses `subject` while its allowance is used up. For a cheap answer before any work: [`take`] decides.
///
/// # Errors
/// [`Code::TooManyRequests`], with the wait.
pub fn check(tx: &ReadTx<'_>, key: &TagKey, subject: &Subject<'_>) -> Result<(), Error> {
    for (row, allowance) in subject.rows(key) {
        if let Some(wait) = wait(tx, row, allowance)? {
            return Err(Error::Later(Code::TooManyRequests, wait));
        }
    }
    Ok(())
}

/// Takes one attempt of `subject`.
///
/// # Errors
/// [`Code::TooManyRequests`], with the wait, if the allowance is used up. The caller must let the transaction fail with it,
/// so that no smaller network has lost an attempt.
pub fn take(tx: &Tx<'_>, key: &TagKey, subject: &Subject<'_>) -> Result<(), Error> {
    for (row, allowance) in subject.rows(key) {
        if !take_row(tx, row, allowance)? {
            let wait = wait(tx, row, allowance)?.unwrap_or(1);
            return Err(Error::Later(Code::TooManyRequests, wait));
        }
    }
    Ok(())
}

/// Takes one attempt of a subject that has one row. Returns whether there was one left.
pub fn try_take(tx: &Tx<'_>, key: &TagKey, subject: &Subject<'_>) -> Result<bool, Broken> {
    for (row, allowance) in subject.rows(key) {
        if !take_row(tx, row, allowance)? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Gives one attempt back: it was no guess. Nothing else is forgiven, since an attacker who shares a network with the
/// account owner could otherwise read from the counter that the owner signed in.
pub fn give_back(tx: &Tx<'_>, key: &TagKey, subject: &Subject<'_>) -> Result<(), Broken> {
    for (row, allowance) in subject.rows(key) {
        tx.run(
            "UPDATE throttle SET restored_at = restored_at - ?2 WHERE subject = ?1",
            params![row, allowance.seconds],
        )?;
        tx.run(
            "DELETE FROM throttle WHERE subject = ?1 AND restored_at <= ?2",
            params![row, tx.now],
        )?;
    }
    Ok(())
}

/// Deletes at most `limit` allowances that are whole again; returns how many.
pub fn sweep(tx: &Tx<'_>, limit: u32) -> Result<usize, Broken> {
    tx.run(
        "DELETE FROM throttle WHERE subject IN (SELECT subject FROM throttle WHERE restored_at <= ?1 LIMIT ?2)",
        params![tx.now, limit],
    )
}

/// Forgets all allowances and known places: their names are digests with a key that is about to be replaced.
pub fn forget_keyed(tx: &Tx<'_>) -> Result<(), Broken> {
    tx.run("DELETE FROM throttle", params![])?;
    guesses::forget_places(tx)
}

/// Seconds until an attempt is restored; `None` if there is one.
fn wait(tx: &ReadTx<'_>, row: [u8; 16], allowance: Allowance) -> Result<Option<u64>, Broken> {
    let restored_at: Option<Timestamp> = tx.row(
        "SELECT restored_at FROM throttle WHERE subject = ?1 AND restored_at > ?2",
        params![row, latest_whole(tx, allowance)],
        |row| row.get(0),
    )?;
    Ok(restored_at.map(|at| at.since(latest_whole(tx, allowance)).as_secs().max(1)))
}

fn take_row(tx: &Tx<'_>, row: [u8; 16], allowance: Allowance) -> Result<bool, Broken> {
    make_room(tx, row)?;
    let taken = tx.run(
        "INSERT INTO throttle (subject, restored_at) VALUES (?1, ?2) \
         ON CONFLICT (subject) DO UPDATE SET restored_at = \
             CASE WHEN throttle.restored_at < ?3 THEN ?2 ELSE throttle.restored_at + ?4 END \
         WHERE throttle.restored_at <= ?5",
        params![
            row,
            tx.now.plus(Duration::from_secs(allowance.seconds.into())),
            tx.now,
            allowance.seconds,
            latest_whole(tx, allowance),
        ],
    )?;
    Ok(taken == 1)
}

/// While storage is very short, a new row takes the place of the one that is restored first. Refusing the attempt instead
/// would keep account owners out, and would tell which logins were tried before.
fn make_room(tx: &Tx<'_>, row: [u8; 16]) -> Result<(), Broken> {
    if tx.shortage()?.is_some_and(|shortage| shortage.is_severe) {
        tx.run(
            "DELETE FROM throttle WHERE subject = (SELECT subject FROM throttle ORDER BY restored_at LIMIT 1) \
                 AND EXISTS (SELECT 1 FROM throttle LIMIT 1 OFFSET ?2) \
                 AND NOT EXISTS (SELECT 1 FROM throttle WHERE subject = ?1)",
            params![row, KEPT_WHEN_SHORT],
        )?;
    }
    Ok(())
}

/// The latest `restored_at` at which one more attempt is left.
fn latest_whole(tx: &ReadTx<'_>, allowance: Allowance) -> Timestamp {
    let seconds = u64::from(allowance.attempts - 1) * u64::from(allowance.seconds);
    tx.now.plus(Duration::from_secs(seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(subject: &Subject<'_>) -> Vec<[u8; 16]> {
        let rows = subject.rows(&TagKey::from_bytes([1; 32]));
        rows.into_iter().map(|(row, _)| row).collect()
    }

    fn sign_in(ip: &str) -> Vec<[u8; 16]> {
        rows(&Subject::SignIn(ip.parse().expect("an address")))
    }

    #[test] // finding 8: one customer has up to 65,536 networks of 64 bits
    fn a_large_network_has_an_allowance_of_its_own() {
        let (one, other) = (sign_in("2001:db8:1:2::1"), sign_in("2001:db8:1:3::1"));
        assert_ne!(one[0], other[0]);
        assert_eq!(one[1..], other[1..]);
        let far = sign_in("2001:db8:1:ff00::1");
        assert_ne!(one[1], far[1]);
        assert_eq!(one[2], far[2]);
        assert_eq!(sign_in("192.0.2.1")[1], sign_in("192.0.2.200")[1]);
        assert_eq!(sign_in("192.0.2.1").len(), 2);
        assert!(sign_in("127.0.0.1").is_empty() && sign_in("::1").is_empty());
    }

    #[test] // finding 8
    fn sub_addresses_are_one_mailbox() {
        let one = rows(&Subject::Mailbox("victim+1@example.org"));
        assert_eq!(one, rows(&Subject::Mailbox("victim@example.org")));
        assert_ne!(one, rows(&Subject::Mailbox("victim@example.com")));
        assert_ne!(one, rows(&Subject::Notices("victim@example.org")));
    }
}
