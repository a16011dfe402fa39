//! Passwords: signing in with one, and giving the current one inside a session.
//!
//! A sign-in has three steps. One transaction takes the attempt from the allowances of the network and of the login, and
//! counts it against the account, before anything is known. Then the password is hashed, outside of any transaction. Then
//! one transaction checks again what it relies on, gives the attempt back and begins the session; or writes the event of
//! the failure.
//!
//! Whatever is wrong with a sign-in, the answer and the work behind it are the same (req 10): an unknown login is hashed
//! against a dummy and leaves an event too. A right password that is refused looks like a wrong one.

use std::net::IpAddr;
use std::time::Duration;

use serde_json::json;

use super::hashing::read_password;
use super::session_start::{AppOpening, BrowserOpening, Opening};
use super::{Authenticated, Authentication, Method, Owed};
use crate::ids::{AccountId, AccountKey};
use crate::password::{self, Requester};
use crate::secret::PendingSignIn;
use crate::service::account::{self, identifiers};
use crate::service::context::Context;
use crate::service::delivery::message::Topic;
use crate::service::delivery::one_time_token;
use crate::service::delivery::outbox::{self, Outgoing};
use crate::service::event::{Entry, Kind};
use crate::service::session::Wanted;
use crate::service::session::browser::{BrowserWanted, NewCookie};
use crate::service::throttle::guesses::{self, Guess};
use crate::service::throttle::{self, Subject};
use crate::service::token::grant::SignIn;
use crate::service::{Authd, Code, Device, Error, Verification};
use crate::store::{Broken, ReadTx, Row, Tx, params};

/// The longest login that is looked at, in bytes: an e-mail address (RFC 5321 §4.5.3.1.3). Folding can make a text eleven
/// times as long, so a longer one is refused before.
const LONGEST_LOGIN: usize = 254;

/// How long a person may take to choose a password after signing in with a temporary one.
const PENDING_LIFETIME: Duration = Duration::from_secs(10 * 60);

/// What a sign-in with the right password came to.
#[derive(Clone, Debug)]
pub enum SignInStep<T> {
    /// The session began.
    Done(T),
    /// The password is temporary, and a new one is owed. The token completes the sign-in, within ten minutes.
    NewPasswordOwed(String),
}

/// What a sign-in is judged by.
#[derive(Clone)]
pub(super) struct Credentials {
    account: AccountKey,
    pub(super) password_hash: Option<String>,
    is_temporary: bool,
    is_disabled: bool,
}

/// A sign-in attempt that was taken from its allowances and counted.
#[derive(Clone)]
struct Attempt {
    login: String,
    ip: IpAddr,
    found: Option<Credentials>,
    /// How it was counted against the account, if the login has one.
    guess: Option<Guess>,
}

impl Attempt {
    fn subjects(&self) -> [Subject<'_>; 2] {
        [
            Subject::SignIn(self.ip),
            Subject::Login(&self.login, self.ip),
        ]
    }

    /// The account, if this attempt may succeed: it exists, is not disabled, and its count is not locked.
    fn may_succeed(&self) -> Option<&Credentials> {
        let is_locked = self.guess.as_ref().is_some_and(Guess::is_locked);
        self.found
            .as_ref()
            .filter(|found| !found.is_disabled && !is_locked)
    }

    /// Whose place in the queue for hashes it takes.
    fn requester(&self) -> Requester {
        match (&self.found, &self.guess) {
            (Some(found), Some(guess)) if guess.is_at_known_place() => {
                Requester::owner(self.ip, found.account)
            }
            // By the login that was typed, and not by its account: a refusal must not tell that two logins are one account.
            _ => Requester::client(self.ip, &self.login),
        }
    }

    /// Gives it back: it was no guess.
    fn give_back(&self, cx: &Context<'_>) -> Result<(), Broken> {
        for subject in self.subjects() {
            throttle::give_back(cx, cx.tag_key(), &subject)?;
        }
        match &self.guess {
            Some(guess) => guesses::give_back(cx, guess),
            None => Ok(()),
        }
    }
}

impl Authd {
    /// Signs an app in by e-mail address or username.
    ///
    /// `new_password` replaces a temporary password; with any other password the sign-in is refused.
    ///
    /// # Errors
    /// [`Code::InvalidCredentials`] for everything that is wrong with login, password or account, and while too many
    /// wrong passwords were given for the account; [`Code::TooManyRequests`] after too many for this login or from this
    /// network; [`Code::PasswordChangeRequired`] for a temporary password without a new one; [`Code::InvalidScope`];
    /// [`Error::Unavailable`] when too many passwords wait to be hashed.
    pub fn sign_in(
        &self,
        login: &str,
        password: &str,
        new_password: Option<&str>,
        wanted: Wanted<'_>,
        device: &Device,
    ) -> Result<SignIn, Error> {
        let opening = AppOpening::read(wanted, device)?;
        match self.sign_in_by_password(login, password, new_password, opening, device)? {
            SignInStep::Done(grant) => self.issue(grant),
            SignInStep::NewPasswordOwed(_) => Err(change_required()),
        }
    }

    /// Signs a browser in, as [`Authd::sign_in`] does an app. With a temporary password it is not signed in yet: the answer
    /// is a token with which [`Authd::sign_in_with_new_password`] completes the sign-in.
    ///
    /// # Errors
    /// Those of [`Authd::sign_in`], but for the scope and the temporary password.
    pub fn sign_in_browser(
        &self,
        login: &str,
        password: &str,
        wanted: BrowserWanted<'_>,
        device: &Device,
    ) -> Result<SignInStep<NewCookie>, Error> {
        let opening = BrowserOpening::new(wanted, device);
        self.sign_in_by_password(login, password, None, opening, device)
    }

    /// Completes a sign-in whose password was temporary, and signs the browser in. A new password that is refused does not
    /// use the token up.
    ///
    /// # Errors
    /// [`Code::InvalidCredentials`] if the token is older than ten minutes or the password was changed since;
    /// [`Code::WeakPassword`]; [`Error::Unavailable`].
    pub fn sign_in_with_new_password(
        &self,
        token: &str,
        new_password: &str,
        wanted: BrowserWanted<'_>,
        device: &Device,
    ) -> Result<NewCookie, Error> {
        let opening = BrowserOpening::new(wanted, device);
        let found = self.find_pending(token)?.ok_or_else(|| self.refused())?;
        let requester = Requester::owner(device.ip, found.account);
        if let Some(old) = &found.password_hash
            && self.is_password(new_password, old, requester)?
        {
            return Err(same_as_temporary());
        }
        let hash = self.replace(&found, new_password, requester)?;
        let begun = self.write(Some(device), move |cx| {
            complete(cx, None, &found, Some(&hash), &opening)
        })?;
        begun.ok_or_else(|| self.refused())
    }

    /// The login for which a new password is owed: shown to the person who signs in, and to password managers.
    ///
    /// # Errors
    /// Only those of the store. `None` if the token does not work.
    pub fn pending_login(&self, token: &str) -> Result<Option<String>, Error> {
        let Some(found) = self.find_pending(token)? else {
            return Ok(None);
        };
        let account = self.store.read(|tx| account::find(tx, found.account))?;
        Ok(account.map(|account| account.shown.email))
    }

    /// The account of a sign-in that waits for a new password.
    fn find_pending(&self, token: &str) -> Result<Option<Credentials>, Error> {
        let Some(pending) = PendingSignIn::read(token) else {
            return Ok(None);
        };
        let found = self.store.read(|tx| {
            let found = credentials_by_id(tx, pending.account())?;
            Ok::<_, Broken>(found.filter(|_| tx.now < pending.end()))
        })?;
        let key = &self.settings.tag_key;
        Ok(found.filter(|found| {
            let hash = found.password_hash.as_deref().unwrap_or_default();
            found.is_temporary && !found.is_disabled && pending.is_genuine(key, hash)
        }))
    }

    fn sign_in_by_password<O: Opening>(
        &self,
        login: &str,
        password: &str,
        new_password: Option<&str>,
        opening: O,
        device: &Device,
    ) -> Result<SignInStep<O::Begun>, Error> {
        let given = read_password(password)?;
        let attempt = self.take_attempt(login, device)?;
        let stored = attempt
            .found
            .as_ref()
            .and_then(|found| found.password_hash.as_deref());
        let requester = attempt.requester();
        let verification = match self.hasher.verify(requester, &given, stored) {
            Ok(verification) => verification,
            Err(overloaded) => {
                self.write(Some(device), move |cx| attempt.give_back(cx))?;
                return Err(overloaded.into());
            }
        };
        let (rehash, found) = match (verification, attempt.may_succeed()) {
            (password::Verification::Right { rehash }, Some(found)) => (rehash, found.clone()),
            (verification, _) => {
                let was_right = matches!(verification, password::Verification::Right { .. });
                self.record_failure(attempt, was_right, device)?;
                return Err(self.refused());
            }
        };
        let replacement = match (found.is_temporary, new_password) {
            // Without a place in the queue the old hash stays, and the next sign-in tries again.
            (false, None) if rehash => self
                .hasher
                .hash(requester, &given, self.entropy.bytes())
                .ok(),
            (false, None) => None,
            (true, Some(new)) if new != password => match self.replace(&found, new, requester) {
                Ok(hash) => Some(hash),
                Err(error) => {
                    let cause = "the new password was refused";
                    self.record_incomplete(found.account, cause, device)?;
                    return Err(error);
                }
            },
            (true, None) => {
                let cause = "the password is temporary and has to be changed";
                self.record_incomplete(found.account, cause, device)?;
                return self.owe_new_password(&found);
            }
            (is_temporary, _) => {
                return Err(self.refuse_right_password(found.account, is_temporary, device)?);
            }
        };
        let account = found.account;
        let begun = self.write(Some(device), move |cx| {
            complete(cx, Some(&attempt), &found, replacement.as_deref(), &opening)
        });
        if let Err(Error::No(Code::InvalidScope, _)) = &begun {
            let cause = "the scope `admin` is for administrators";
            self.record_incomplete(account, cause, device)?;
        }
        begun?.map(SignInStep::Done).ok_or_else(|| self.refused())
    }

    /// The token with which a sign-in goes on whose password is temporary.
    fn owe_new_password<T>(&self, found: &Credentials) -> Result<SignInStep<T>, Error> {
        let account = self.store.read(|tx| account::load(tx, found.account))?;
        let hash = found.password_hash.as_deref().unwrap_or_default();
        let end = self.clock.now().plus(PENDING_LIFETIME);
        let pending = PendingSignIn::new(&self.settings.tag_key, account.shown.id, end, hash);
        Ok(SignInStep::NewPasswordOwed(pending.reveal()))
    }

    /// The answer to a right password that came with a new one which cannot take its place. Each leaves an event, as a
    /// sign-in does, and is not given back: a list of stolen passwords cannot be tried in silence.
    fn refuse_right_password(
        &self,
        account: AccountKey,
        is_temporary: bool,
        device: &Device,
    ) -> Result<Error, Error> {
        let (cause, error) = match is_temporary {
            false => (
                "a new password was sent for one that is not temporary",
                self.refused(),
            ),
            true => ("the new password was refused", same_as_temporary()),
        };
        self.record_incomplete(account, cause, device)?;
        Ok(error)
    }

    /// Takes an attempt from its allowances and counts it, in one transaction, before the password is looked at.
    fn take_attempt(&self, login: &str, device: &Device) -> Result<Attempt, Error> {
        let ip = device.ip;
        // A long one is nobody's: it is looked up and hashed like any unknown login.
        let login = match login.len() {
            ..=LONGEST_LOGIN => identifiers::fold_login(login),
            _ => String::new(),
        };
        // A read first: a client that has to wait costs no commit.
        self.store.read(|tx| {
            let key = &self.settings.tag_key;
            throttle::check(tx, key, &Subject::SignIn(ip))?;
            throttle::check(tx, key, &Subject::Login(&login, ip))
        })?;
        self.write(Some(device), move |cx| {
            let mut attempt = Attempt {
                login: login.clone(),
                ip,
                found: credentials_by_login(cx, &login)?,
                guess: None,
            };
            for subject in attempt.subjects() {
                throttle::take(cx, cx.tag_key(), &subject)?;
            }
            if let Some(found) = &attempt.found {
                attempt.guess = Some(guesses::reserve(cx, cx.tag_key(), found.account, ip)?);
            }
            Ok(attempt)
        })
    }

    /// Writes the event of a failed sign-in, and tells the owner when there are many. An unknown login leaves an event of no
    /// account: operators see where guesses come from, and the answer takes the same time. While storage is short, only the
    /// log has failures: strangers cause as many as they like, at as many accounts as they know.
    fn record_failure(
        &self,
        attempt: Attempt,
        was_right: bool,
        device: &Device,
    ) -> Result<(), Error> {
        let reason = self.write(Some(device), move |cx| {
            let is_kept = !cx.is_short_of_storage()?;
            // Deleted while the password was hashed: no account has that login now.
            let found = match &attempt.found {
                Some(found) if account::find(cx, found.account)?.is_some() => found,
                _ => {
                    let detail = json!({ "cause": "no account has this login" });
                    let entry = Entry {
                        device: cx.device(),
                        ..Entry::of_nobody(Kind::SignInFailed)
                    };
                    if is_kept {
                        entry.detail(detail).write(cx)?;
                    }
                    return Ok::<_, Error>("unknown login");
                }
            };
            let guess = attempt.guess.as_ref();
            let is_locked = guess.is_some_and(Guess::is_locked);
            if guess.is_some_and(Guess::is_news) && !found.is_disabled {
                outbox::enqueue(cx, Outgoing::to(found.account, Topic::ManyFailures))?;
            }
            let reason = match (found.is_disabled, is_locked, was_right) {
                (true, _, _) => "the account is disabled",
                (false, true, true) => "right password, but too many wrong ones before it",
                (false, _, _) => "wrong password",
            };
            let kind = match is_locked || guess.is_some_and(Guess::locks) {
                true => Kind::SignInThrottled,
                false => Kind::SignInFailed,
            };
            if is_kept {
                cx.record(kind, found.account, json!({ "cause": reason }))?;
            }
            Ok(reason)
        })?;
        log_failure(device, reason);
        Ok(())
    }

    fn record_incomplete(
        &self,
        account: AccountKey,
        cause: &'static str,
        device: &Device,
    ) -> Result<(), Error> {
        self.write(Some(device), move |cx| {
            cx.record(Kind::SignInIncomplete, account, json!({ "cause": cause }))
        })?;
        log_failure(device, cause);
        Ok(())
    }

    fn replace(
        &self,
        found: &Credentials,
        new: &str,
        requester: Requester,
    ) -> Result<String, Error> {
        self.hash_new(found.account, new, requester, || self.refused())
    }

    /// The one answer to a sign-in that failed. Where registrations wait, one of them may be why.
    fn refused(&self) -> Error {
        Error::no(
            Code::InvalidCredentials,
            match self.policy().verification {
                Verification::Optional => "The login or the password is wrong.",
                Verification::Required => {
                    "The login or the password is wrong, or the e-mail address is not confirmed yet: the message that \
                     was sent there has the link."
                }
            },
        )
    }
}

/// Completes a sign-in whose password was right, and begins the session; `None` if the password or the account is another
/// by now.
fn complete<O: Opening>(
    cx: &Context<'_>,
    attempt: Option<&Attempt>,
    found: &Credentials,
    replacement: Option<&str>,
    opening: &O,
) -> Result<Option<O::Begun>, Error> {
    let still = cx.run(
        "UPDATE account SET password_hash = ?3, password_temporary = ?4 \
         WHERE id = ?1 AND password_hash = ?2 AND disabled_at IS NULL",
        params![
            found.account,
            found.password_hash.as_deref(),
            replacement.or(found.password_hash.as_deref()),
            found.is_temporary && replacement.is_none(),
        ],
    )?;
    if still == 0 {
        return Ok(None);
    }
    let authentication = authenticate(cx, found, replacement)?;
    let Authentication::Complete(who) = authentication else {
        return Err(change_required());
    };
    if let Some(attempt) = attempt {
        attempt.give_back(cx)?;
    }
    if let Some(device) = cx.device() {
        guesses::remember_place(cx, cx.tag_key(), found.account, device.ip)?;
    }
    if found.is_temporary {
        password_was_changed(cx, found.account)?;
        cx.event(Kind::PasswordChanged, found.account).write(cx)?;
    }
    opening.begin(cx, *who).map(Some)
}

/// What a right password comes to.
fn authenticate(
    tx: &Tx<'_>,
    found: &Credentials,
    replacement: Option<&str>,
) -> Result<Authentication, Broken> {
    if found.is_temporary && replacement.is_none() {
        return Ok(Authentication::Pending(Owed::NewPassword));
    }
    let account = account::load(tx, found.account)?;
    let who = Authenticated::by(tx, Method::Password, account);
    Ok(Authentication::Complete(Box::new(who)))
}

/// What goes with every new password: older links end, the wrong passwords for the old one are forgotten, and
/// the owner is told.
pub fn password_was_changed(cx: &Context<'_>, account: AccountKey) -> Result<(), Broken> {
    one_time_token::void_all(cx, account, "password_changed")?;
    guesses::clear(cx, account)?;
    outbox::enqueue(cx, Outgoing::to(account, Topic::PasswordChanged))
}

fn change_required() -> Error {
    Error::no(
        Code::PasswordChangeRequired,
        "An operator set this password, and it must be changed: sign in again with `new_password` as well.",
    )
}

fn same_as_temporary() -> Error {
    Error::no(
        Code::WeakPassword,
        "The new password is the temporary one. Choose another.",
    )
}

/// One line for each failed sign-in, in a form that fail2ban and similar programs can rely on (docs/proxy.md).
pub(super) fn log_failure(device: &Device, reason: &'static str) {
    tracing::warn!(address = %device.ip, reason, "sign-in failed");
}

fn credentials_by_login(tx: &ReadTx<'_>, login: &str) -> Result<Option<Credentials>, Broken> {
    tx.row(
        "SELECT id, password_hash, password_temporary, disabled_at IS NOT NULL FROM account \
         WHERE email_key = ?1 OR username_key = ?1",
        params![login],
        credentials_from_row,
    )
}

pub(super) fn credentials_by_key(
    tx: &ReadTx<'_>,
    key: AccountKey,
) -> Result<Option<Credentials>, Broken> {
    tx.row(
        "SELECT id, password_hash, password_temporary, disabled_at IS NOT NULL FROM account WHERE id = ?1",
        params![key],
        credentials_from_row,
    )
}

fn credentials_by_id(tx: &ReadTx<'_>, id: AccountId) -> Result<Option<Credentials>, Broken> {
    tx.row(
        "SELECT id, password_hash, password_temporary, disabled_at IS NOT NULL FROM account WHERE public_id = ?1",
        params![id],
        credentials_from_row,
    )
}

fn credentials_from_row(row: &Row<'_>) -> Result<Credentials, Broken> {
    Ok(Credentials {
        account: row.get(0)?,
        password_hash: row.get(1)?,
        is_temporary: row.get(2)?,
        is_disabled: row.get(3)?,
    })
}
