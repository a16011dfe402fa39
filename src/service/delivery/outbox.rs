//! The outbox: letters that wait to leave.
//!
//! A letter is noted in the transaction that makes it due, so there is none without the other, and whoever asked for it
//! never waits for a mail server (fault 20). The row says for whom and what about; what stands in the letter, the
//! secret of a link above all, is made just before it leaves and kept in the memory of the [`Sender`] alone, for its
//! further tries.
//!
//! A try is three steps: *take* the letter that is due, with a pause until the next try already noted, so that a crash
//! costs one try and not a flood; *send* it, outside of any transaction and without holding the service; *settle*: it
//! has left and its row goes, or it is tried again when the pause is over, or it is given up, which is an event. A
//! letter whose connection broke at the wrong moment may arrive twice, and is the same letter then.
//!
//! A letter goes to the address that its account has when it leaves, unless the row names another: one that the account
//! has no more, or not yet, or somebody who has none.
//!
//! A notice takes the place of an older one about the same that still waits: a mail server that is down must not make
//! the file grow.
//!
//! An address that nobody has proven may be a stranger's, so it is not sent more than ten letters with a link in a row,
//! whatever they are about and whoever's account they come from; then none for an hour. Notices are counted apart, since
//! whoever has letters sent must not keep an owner from hearing of a new password.
//!
//! Where mail is off, nothing is noted.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Weak};
use std::time::Duration;

use serde_json::json;

use crate::clock::Timestamp;
use crate::ids::{AccountKey, InvitationKey, LetterKey, LinkKey, RegistrationKey};
use crate::mail::{Letter, Mailer, Undelivered};
use crate::secret::{Digest, InvitationToken, ResetToken, VerificationToken};
use crate::service::account;
use crate::service::account::pending_email;
use crate::service::delivery::message::{Message, Origin, Rendered, Server, Topic};
use crate::service::delivery::one_time_link::{self, Purpose};
use crate::service::error::unexpected;
use crate::service::event::{Entry, Kind};
use crate::service::sign_up::invitation;
use crate::service::sign_up::registration;
use crate::service::throttle::{self, Subject};
use crate::service::{Authd, Device, Error};
use crate::store::{Broken, ReadTx, Tx, params};

/// The pause after the first try that failed; each further one is twice as long.
const FIRST_PAUSE: Duration = Duration::from_secs(15);

/// The longest pause between two tries.
const LONGEST_PAUSE: Duration = Duration::from_secs(60 * 60);

/// A notice that could not be sent for this long is given up: it is news no more, and `authd event list` has it too.
const NOTICE_LIFETIME: Duration = Duration::from_secs(24 * 60 * 60);

/// Letters that one round sends, before whoever called it looks at something else.
const ROUND: usize = 100;

/// What the link in a letter lets an account's owner do; `None` where it has none, or is for somebody without an account.
const fn purpose_of(topic: Topic) -> Option<Purpose> {
    match topic {
        Topic::PasswordReset | Topic::AlreadyRegistered => Some(Purpose::PasswordReset),
        Topic::EmailVerification => Some(Purpose::EmailVerification),
        Topic::EmailChangePresent => Some(Purpose::EmailChangePresent),
        Topic::EmailChangeNew => Some(Purpose::EmailChangeNew),
        Topic::Registration
        | Topic::Invitation
        | Topic::PasswordChanged
        | Topic::EmailChanged
        | Topic::AccountDeleted
        | Topic::ManyFailures => None,
    }
}

/// For how long a letter is worth sending: one with a link for as long as that would work, which is a day for who registers
/// too. An invitation works for longer, but its operator should hear within a day that it went nowhere.
const fn lifetime(topic: Topic) -> Duration {
    match purpose_of(topic) {
        Some(purpose) => purpose.lifetime(),
        None => NOTICE_LIFETIME,
    }
}

/// Where letters are noted, if mail is on.
#[derive(Clone, Copy)]
pub(in crate::service) struct Outbox {
    is_on: bool,
}

/// A letter that becomes due: what about, to whom, and what it carries.
#[derive(Clone, Copy)]
pub(in crate::service) struct Note<'a> {
    topic: Topic,
    account: Option<AccountKey>,
    email: Option<&'a str>,
    link: Option<LinkKey>,
    registration: Option<RegistrationKey>,
    invitation: Option<InvitationKey>,
    device: Option<&'a Device>,
}

impl<'a> Note<'a> {
    /// To the owner of an account.
    pub fn to(account: AccountKey, topic: Topic) -> Note<'a> {
        Note {
            account: Some(account),
            ..Note::about(topic)
        }
    }

    /// To somebody whose account was just deleted.
    pub fn to_former_owner(email: &'a str) -> Note<'a> {
        Note::about(Topic::AccountDeleted).at(email)
    }

    /// To somebody who registered, and has no account yet.
    pub fn to_newcomer(email: &'a str, registration: RegistrationKey) -> Note<'a> {
        Note {
            email: Some(email),
            registration: Some(registration),
            ..Note::about(Topic::Registration)
        }
    }

    /// To somebody who is invited.
    pub fn to_guest(email: &'a str, invitation: InvitationKey) -> Note<'a> {
        Note {
            email: Some(email),
            invitation: Some(invitation),
            ..Note::about(Topic::Invitation)
        }
    }

    /// At an address that is not, or not any more, that of the account.
    pub fn at(self, email: &'a str) -> Note<'a> {
        Note {
            email: Some(email),
            ..self
        }
    }

    /// With a link.
    pub fn with(self, link: LinkKey) -> Note<'a> {
        Note {
            link: Some(link),
            ..self
        }
    }

    /// About something that was done from `device`, and not by an operator.
    pub fn from(self, device: &'a Device) -> Note<'a> {
        Note {
            device: Some(device),
            ..self
        }
    }

    fn about(topic: Topic) -> Note<'a> {
        Note {
            topic,
            account: None,
            email: None,
            link: None,
            registration: None,
            invitation: None,
            device: None,
        }
    }
}

impl Outbox {
    /// Whether mail is on. Where it is not, a letter that is noted is none.
    pub fn is_on(self) -> bool {
        self.is_on
    }

    /// Notes a letter.
    pub fn note(self, tx: &Tx<'_>, note: Note<'_>) -> Result<(), Broken> {
        if !self.is_on || is_too_much(tx, &note)? {
            return Ok(());
        }
        if let (Some(account), None, None) = (note.account, note.email, note.link) {
            // News of the same kind that did not leave yet: what is told last is what counts, and one row is enough.
            tx.run(
                "DELETE FROM outbox WHERE account_id = ?1 AND purpose = ?2",
                params![account, note.topic.as_str()],
            )?;
        }
        tx.run(
            "INSERT INTO outbox (public_id, account_id, email, purpose, link_id, registration_id, invitation_id, ip, \
             created_at, attempts, due_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, 0, ?9)",
            params![
                tx.random::<16>(),
                note.account,
                note.email,
                note.topic.as_str(),
                note.link,
                note.registration,
                note.invitation,
                note.device.map(|device| device.ip),
                tx.now,
            ],
        )?;
        Ok(())
    }
}

/// Counts a letter that goes to an address which nobody has proven, and says whether it is one too many.
fn is_too_much(tx: &Tx<'_>, note: &Note<'_>) -> Result<bool, Broken> {
    let email = match (note.topic, note.email, note.account) {
        // An operator's, and to one that has just confirmed the change.
        (Topic::Invitation | Topic::EmailChanged, _, _) => return Ok(false),
        (_, Some(email), _) => email.to_owned(),
        (_, None, Some(account)) => {
            let shown = account::load(tx, account)?.shown;
            if shown.email_verified {
                return Ok(false);
            }
            shown.email
        }
        (_, None, None) => return Err(unexpected("a letter is for nobody")),
    };
    let tag_key = crate::service::present_tag_key(tx)?;
    let email_key = email.to_ascii_lowercase();
    let addressee = match (note.link, note.registration) {
        (None, None) => Subject::Notified(&email_key),
        _ => Subject::Addressee(&email_key),
    };
    if throttle::blocked(tx, &tag_key, &addressee)?.is_some() {
        return Ok(true);
    }
    throttle::record(tx, &tag_key, &addressee)?;
    Ok(false)
}

/// What the secret in a letter is for.
#[derive(Clone, Copy)]
enum Cargo {
    Link(Purpose, LinkKey),
    Registration(RegistrationKey),
    Invitation(InvitationKey),
}

impl Cargo {
    /// What a letter carries; a notice carries nothing.
    fn of(due: &Due) -> Result<Option<Cargo>, Broken> {
        let cargo = match (purpose_of(due.topic), due.topic) {
            (Some(purpose), _) => due.link.map(|link| Cargo::Link(purpose, link)),
            (None, Topic::Registration) => due.registration.map(Cargo::Registration),
            (None, Topic::Invitation) => due.invitation.map(Cargo::Invitation),
            (None, _) => return Ok(None),
        };
        let lacking = || unexpected("a letter lacks what it carries");
        cargo.ok_or_else(lacking).map(Some)
    }

    /// Gives it its secret, in the place of an earlier one. Returns until when it works; `None` if it has ended.
    fn arm(self, tx: &Tx<'_>, digest: Digest) -> Result<Option<Timestamp>, Broken> {
        match self {
            Cargo::Link(purpose, link) => one_time_link::arm(tx, link, purpose, digest),
            Cargo::Registration(registration) => registration::arm(tx, registration, digest),
            Cargo::Invitation(invitation) => invitation::arm(tx, invitation, digest),
        }
    }

    /// Until when it works, if it has its secret and does.
    fn open_until(self, tx: &ReadTx<'_>) -> Result<Option<Timestamp>, Broken> {
        match self {
            Cargo::Link(_, link) => one_time_link::open_until(tx, link),
            Cargo::Registration(registration) => registration::open_until(tx, registration),
            Cargo::Invitation(invitation) => invitation::open_until(tx, invitation),
        }
    }
}

/// The secret that a letter carries.
#[derive(Clone)]
enum Carried {
    Reset(ResetToken),
    Verification(VerificationToken),
    Invitation(InvitationToken),
}

impl Carried {
    /// A new one of the kind that this takes.
    fn draw(tx: &Tx<'_>, cargo: Cargo) -> Carried {
        match cargo {
            Cargo::Link(Purpose::PasswordReset, _) => {
                Carried::Reset(ResetToken::from_bytes(tx.random()))
            }
            Cargo::Link(
                Purpose::EmailVerification | Purpose::EmailChangePresent | Purpose::EmailChangeNew,
                _,
            )
            | Cargo::Registration(_) => {
                Carried::Verification(VerificationToken::from_bytes(tx.random()))
            }
            Cargo::Invitation(_) => Carried::Invitation(InvitationToken::from_bytes(tx.random())),
        }
    }

    fn digest(&self) -> Digest {
        match self {
            Carried::Reset(token) => token.digest(),
            Carried::Verification(token) => token.digest(),
            Carried::Invitation(token) => token.digest(),
        }
    }
}

/// Sends what waits, one letter after the other, on whatever thread calls it.
pub struct Sender {
    // Weak, so that a mail server that hangs does not keep the database open when everybody else has gone.
    authd: Weak<Authd>,
    mailer: Mailer,
    /// The secrets of letters that could not be sent yet.
    kept: HashMap<LetterKey, Carried>,
}

/// A letter that is due.
struct Due {
    key: LetterKey,
    public_id: [u8; 16],
    account: Option<AccountKey>,
    email: Option<String>,
    topic: Topic,
    link: Option<LinkKey>,
    registration: Option<RegistrationKey>,
    invitation: Option<InvitationKey>,
    ip: Option<IpAddr>,
    created_at: Timestamp,
    attempts: u32,
}

/// What is to be done with it.
enum Taken {
    /// Send this.
    Letter(Box<Letter>, Due),
    /// It was given up, or is about something that is over.
    Dropped(LetterKey),
}

impl Sender {
    /// A sender of the letters of `authd`, by `mailer`. There should be one: two would each draw secrets for the
    /// same link, and the later one's would work.
    pub fn new(authd: &Arc<Authd>, mailer: Mailer) -> Sender {
        Sender {
            authd: Arc::downgrade(authd),
            mailer,
            kept: HashMap::new(),
        }
    }

    /// Tries every letter that is due, but no more than 100. Returns how many left. A mail server that hangs keeps
    /// this call for as long as [`mail::PATIENCE`](crate::mail::PATIENCE) a step.
    ///
    /// # Errors
    /// Only those of the store. What a mail server says is logged, and the letter tried again.
    pub fn send_due(&mut self) -> Result<usize, Error> {
        for _ in 0..ROUND {
            if self.grant_wishes()? == 0 {
                break;
            }
        }
        let mut sent = 0;
        for _ in 0..ROUND {
            let Some(taken) = self.take()? else { break };
            let (letter, due) = match taken {
                Taken::Letter(letter, due) => (letter, due),
                Taken::Dropped(key) => {
                    self.kept.remove(&key);
                    continue;
                }
            };
            let outcome = self.mailer.send(&letter);
            sent += usize::from(outcome.is_ok());
            self.settle(due, outcome)?;
        }
        Ok(sent)
    }

    fn grant_wishes(&self) -> Result<usize, Error> {
        self.authd
            .upgrade()
            .map_or(Ok(0), |authd| authd.grant_wishes())
    }

    fn take(&mut self) -> Result<Option<Taken>, Error> {
        let Some(authd) = self.authd.upgrade() else {
            return Ok(None);
        };
        // A look that costs no commit: most of the time nothing waits.
        let Some(key) = authd.store.read(next_due)? else {
            return Ok(None);
        };
        let issuer = authd.policy.issuer.clone();
        let kept = self.kept.get(&key).cloned();
        let (taken, carried) = authd
            .store
            .write(move |tx| take(tx, key, &issuer, kept.as_ref()))?;
        if let Some(carried) = carried {
            self.kept.insert(key, carried);
        }
        Ok(Some(taken))
    }

    fn settle(&mut self, due: Due, outcome: Result<(), Undelivered>) -> Result<(), Error> {
        let Some(authd) = self.authd.upgrade() else {
            return Ok(());
        };
        let Err(undelivered) = outcome else {
            self.kept.remove(&due.key);
            authd.store.write(move |tx| forget(tx, due.key))?;
            return Ok(());
        };
        let Undelivered { is_final, why, .. } = undelivered;
        let (topic, attempt) = (due.topic.as_str(), due.attempts);
        if !is_final {
            tracing::warn!(
                topic,
                attempt,
                why,
                "mail could not be sent; it is tried again"
            );
            return Ok(());
        }
        tracing::error!(topic, attempt, why, "mail was refused");
        self.kept.remove(&due.key);
        authd.store.write(move |tx| give_up(tx, &due, &why))?;
        Ok(())
    }
}

impl Authd {
    pub(in crate::service) fn outbox(&self) -> Outbox {
        Outbox {
            is_on: self.policy.sends_mail,
        }
    }
}

/// The pause after the `attempts`th try.
fn pause_after(attempts: u32) -> Duration {
    FIRST_PAUSE
        .saturating_mul(1 << attempts.saturating_sub(1).min(16))
        .min(LONGEST_PAUSE)
}

/// The letter that is due for the longest time.
fn next_due(tx: &ReadTx<'_>) -> Result<Option<LetterKey>, Broken> {
    tx.row(
        "SELECT id FROM outbox WHERE due_at <= ?1 ORDER BY due_at, id LIMIT 1",
        params![tx.now],
        |row| row.get(0),
    )
}

/// Takes a letter that is due, and notes when it would be tried next. With it comes the secret that it carries, if it
/// carries one: `kept` is that of the earlier tries.
fn take(
    tx: &Tx<'_>,
    key: LetterKey,
    issuer: &str,
    kept: Option<&Carried>,
) -> Result<(Taken, Option<Carried>), Broken> {
    let row = tx.row(
        "SELECT id, public_id, account_id, email, purpose, link_id, registration_id, invitation_id, ip, created_at, \
         attempts FROM outbox WHERE id = ?1",
        params![key],
        |row| {
            let topic: String = row.get(4)?;
            let due = Topic::read(&topic).map(|topic| {
                Ok(Due {
                    key: row.get(0)?,
                    public_id: row.get(1)?,
                    account: row.get(2)?,
                    email: row.get(3)?,
                    topic,
                    link: row.get(5)?,
                    registration: row.get(6)?,
                    invitation: row.get(7)?,
                    ip: row.get(8)?,
                    created_at: row.get(9)?,
                    attempts: row.get::<u32>(10)? + 1,
                })
            });
            due.transpose()
        },
    )?;
    let Some(mut due) = row.flatten() else {
        // It went since it was found; or is one of another release, which nobody here can write.
        forget(tx, key)?;
        return Ok((Taken::Dropped(key), None));
    };
    if tx.now.since(due.created_at) >= lifetime(due.topic) {
        give_up(tx, &due, "it could not be sent in time")?;
        return Ok((Taken::Dropped(key), None));
    }
    let carried = match Cargo::of(&due)? {
        None => None,
        Some(cargo) => match carried(tx, cargo, kept)? {
            Some(carried) => Some(carried),
            None => {
                forget(tx, key)?;
                return Ok((Taken::Dropped(key), None));
            }
        },
    };
    if due.attempts > 1 && carried.is_some() && kept.is_none() {
        // Tried before a restart, with a link that is void now. Where that one arrived all the same, this must not be taken
        // for its copy: another version has another name (RFC 5322 §3.6.4).
        due.public_id = tx.random();
    }
    tx.run(
        "UPDATE outbox SET attempts = ?2, due_at = ?3, public_id = ?4 WHERE id = ?1",
        params![
            key,
            due.attempts,
            tx.now.plus(pause_after(due.attempts)),
            due.public_id
        ],
    )?;
    let email = addressee(tx, &due)?;
    let new_email = match (due.topic, due.account) {
        (Topic::EmailChangePresent, Some(account)) => {
            pending_email::pending(tx, account)?.map(|pending| pending.email)
        }
        _ => None,
    };
    let server = Server { url: issuer };
    let message = message(server, &due, &email, new_email.as_deref(), carried.as_ref())?;
    let Rendered {
        subject,
        text,
        html,
    } = message.render();
    let letter = Letter {
        id: due.public_id,
        date: tx.now,
        to: email,
        subject,
        text,
        html,
    };
    let carried = carried.map(|(carried, _)| carried);
    Ok((Taken::Letter(Box::new(letter), due), carried))
}

/// What a letter says.
fn message<'a>(
    server: Server<'a>,
    due: &Due,
    email: &'a str,
    new_email: Option<&'a str>,
    carried: Option<&(Carried, Timestamp)>,
) -> Result<Message<'a>, Broken> {
    let origin = Origin {
        at: due.created_at,
        ip: due.ip,
    };
    let requested = origin;
    let link = carried.map(|(carried, until)| match carried {
        Carried::Reset(token) => server.reset_link(token, *until),
        Carried::Verification(token) => server.verification_link(token, *until),
        Carried::Invitation(token) => server.invitation_link(token, *until),
    });
    let message = match (due.topic, link) {
        (Topic::PasswordReset, Some(link)) => Message::PasswordReset {
            server,
            email,
            link,
            requested,
        },
        (Topic::EmailVerification, Some(link)) => Message::EmailVerification {
            server,
            email,
            link,
            requested,
        },
        (Topic::EmailChangePresent, Some(link)) => Message::EmailChangePresent {
            server,
            email,
            new_email: new_email.ok_or_else(|| unexpected("a change of address names none"))?,
            link,
            requested,
        },
        (Topic::EmailChangeNew, Some(link)) => Message::EmailChangeNew {
            server,
            email,
            link,
            requested,
        },
        (Topic::Registration, Some(link)) => Message::Registration {
            server,
            email,
            link,
            requested,
        },
        (Topic::AlreadyRegistered, Some(link)) => Message::AlreadyRegistered {
            server,
            email,
            link,
            requested,
        },
        (Topic::Invitation, Some(link)) => Message::Invitation {
            server,
            email,
            link,
        },
        (Topic::PasswordChanged, None) => Message::PasswordChanged {
            server,
            email,
            changed: origin,
        },
        (Topic::EmailChanged, None) => Message::EmailChanged {
            server,
            email,
            changed: origin,
        },
        (Topic::AccountDeleted, None) => Message::AccountDeleted {
            server,
            email,
            deleted: origin,
        },
        (Topic::ManyFailures, None) => Message::ManyFailures {
            server,
            email,
            latest: origin,
        },
        _ => return Err(unexpected("a letter lacks what it carries")),
    };
    Ok(message)
}

/// Where a letter goes.
fn addressee(tx: &ReadTx<'_>, due: &Due) -> Result<String, Broken> {
    match (&due.email, due.account) {
        (Some(email), _) => Ok(email.clone()),
        (None, Some(account)) => Ok(account::load(tx, account)?.shown.email),
        (None, None) => Err(unexpected("a letter is for nobody")),
    }
}

/// The secret that a letter carries: the one of the earlier tries, else a new one; and until when it works. `None` if
/// what it is for has ended.
fn carried(
    tx: &Tx<'_>,
    cargo: Cargo,
    kept: Option<&Carried>,
) -> Result<Option<(Carried, Timestamp)>, Broken> {
    if let Some(carried) = kept {
        let until = cargo.open_until(tx)?;
        return Ok(until.map(|until| (carried.clone(), until)));
    }
    let carried = Carried::draw(tx, cargo);
    let until = cargo.arm(tx, carried.digest())?;
    Ok(until.map(|until| (carried, until)))
}

/// Forgets the letter of a registration whose link an operator hands out: it would carry one that works no more, or make
/// that of the operator void when it leaves.
pub(in crate::service) fn forget_registration(
    tx: &Tx<'_>,
    registration: RegistrationKey,
) -> Result<(), Broken> {
    tx.run(
        "DELETE FROM outbox WHERE registration_id = ?1",
        params![registration],
    )?;
    Ok(())
}

fn forget(tx: &Tx<'_>, key: LetterKey) -> Result<usize, Broken> {
    tx.run("DELETE FROM outbox WHERE id = ?1", params![key])
}

fn give_up(tx: &Tx<'_>, due: &Due, why: &str) -> Result<(), Broken> {
    // Its account, and it with that, may have gone while it was tried.
    if forget(tx, due.key)? == 0 {
        return Ok(());
    }
    let waited = tx.now.since(due.created_at).as_secs();
    let entry = match due.account {
        Some(account) => Entry::of(Kind::MailFailed, account),
        None => Entry::of_nobody(Kind::MailFailed),
    };
    entry
        .detail(json!({ "letter": due.topic.as_str(), "cause": why, "seconds": waited }))
        .write(tx)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test] // fault 20
    fn pauses_grow_and_tries_are_bounded() {
        let pauses = [1, 2, 3, 8, 9, 10, 1000].map(|n| pause_after(n).as_secs());
        assert_eq!(pauses, [15, 30, 60, 1920, 3600, 3600, 3600]);
        let tries = |topic: Topic| {
            let mut waited = Duration::ZERO;
            (1..)
                .take_while(|n| {
                    let fits = waited < lifetime(topic);
                    waited += pause_after(*n);
                    fits
                })
                .count()
        };
        assert_eq!(tries(Topic::PasswordReset), 6);
        assert_eq!(tries(Topic::EmailVerification), 31);
        assert_eq!(tries(Topic::PasswordChanged), 31);
    }
}
