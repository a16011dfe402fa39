//! Accounts: who somebody is, and the password that proves it.
//!
//! Somebody signs in by e-mail address or username; each is compared in one folded form, so that `Ann@Example.org`
//! and `ann@example.org` are one account. A sign-in is a read (who, and may they try), the hashing (outside of any
//! transaction, for seconds if need be) and a write that checks once more what it relies on.
//!
//! Whatever is wrong with a sign-in, the answer and the work behind it are the same: an unknown login is hashed
//! against a dummy, counted like an account, and refused in the same words (req 10).

use std::time::Duration;

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::json;
use unicode_normalization::UnicodeNormalization;

use super::error::unexpected;
use super::event::{Entry, Kind};
use super::session::{self, Ended, SignIn};
use super::throttle::{self, Subject};
use super::{Actor, Authd, Code, Device, Error};
use crate::clock::Timestamp;
use crate::ids::{AccountId, AccountKey};
use crate::password::{Password, Verification};
use crate::secret::SetupToken;
use crate::store::{Broken, ReadTx, Row, Tx, params};

/// RFC 5321 §4.5.3.1: an address has at most 254 octets, its local part 64.
const EMAIL_LENGTH: usize = 254;
const LOCAL_PART_LENGTH: usize = 64;

/// Longest username, in characters.
const USERNAME_LENGTH: usize = 64;

/// Longest name of a person, in characters.
const NAME_LENGTH: usize = 200;

/// Accounts that one question lists.
const MOST_LISTED: u32 = 1000;

/// Who may make an account.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Registration {
    /// Only operators.
    Closed,
    /// Everybody.
    Open,
}

/// An account as its owner and an operator see it.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Account {
    /// Its public name (a UUID), the `sub` of its tokens.
    pub id: AccountId,
    /// E-mail address, as it was typed.
    pub email: String,
    /// Another name to sign in with.
    pub username: Option<String>,
    /// What people call its owner.
    pub name: Option<String>,
    /// Whether its owner may administer this server.
    pub admin: bool,
    /// Since when it may not sign in; absent if it may.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub disabled_at: Option<Timestamp>,
    /// When it was made.
    pub created_at: Timestamp,
}

/// An account with its row, inside a transaction.
#[derive(Clone, Debug)]
pub(super) struct Loaded {
    pub key: AccountKey,
    pub shown: Account,
}

/// What is needed to make an account.
#[derive(Clone, Debug)]
pub struct NewAccount {
    /// E-mail address.
    pub email: String,
    /// Another name to sign in with.
    pub username: Option<String>,
    /// What people call its owner.
    pub name: Option<String>,
    /// Whether its owner may administer this server.
    pub admin: bool,
    /// Whether the password has to be changed at the first sign-in.
    pub temporary: bool,
}

/// Changes to an account by its owner; what is absent stays as it is, and an empty text takes away.
#[derive(Clone, Debug, Default)]
pub struct Profile {
    /// A new e-mail address; takes the current password.
    pub email: Option<String>,
    /// A new username.
    pub username: Option<String>,
    /// A new name.
    pub name: Option<String>,
    /// The current password.
    pub current_password: Option<String>,
}

/// How an operator points at an account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Selector {
    /// By its public name.
    Id(AccountId),
    /// By its e-mail address or username.
    Login(String),
}

impl Selector {
    /// Reads a UUID as an id, and anything else as a login.
    pub fn read(text: &str) -> Selector {
        text.parse()
            .map_or_else(|_| Selector::Login(text.to_owned()), Selector::Id)
    }
}

/// A set-up link that is open.
#[derive(Clone, Debug)]
pub struct SetupLink {
    /// The plain token, for the link and for `POST /v1/setup`.
    pub token: String,
}

/// What a sign-in is judged by.
struct Credentials {
    account: AccountKey,
    password_hash: Option<String>,
    temporary: bool,
    disabled: bool,
}

impl Authd {
    /// Opens a set-up link, as long as there is no administrator; an earlier one is void then.
    ///
    /// # Errors
    /// Only those of the store. `None` if there is an administrator.
    pub fn open_setup(&self) -> Result<Option<SetupLink>, Error> {
        let token = SetupToken::from_bytes(self.entropy.bytes());
        let digest = token.digest();
        let opened = self.store.write(move |tx| {
            tx.run(
                "UPDATE server SET setup_digest = ?1 WHERE NOT EXISTS (SELECT 1 FROM account WHERE admin = 1)",
                params![digest],
            )
        })?;
        Ok((opened == 1).then(|| SetupLink {
            token: token.reveal(),
        }))
    }

    /// Makes the first administrator with the token of the set-up link, and signs in.
    ///
    /// # Errors
    /// [`Code::InvalidSetupToken`] if the link was used or replaced; [`Code::WeakPassword`];
    /// [`Code::InvalidRequest`] for what is wrong with the address; [`Code::EmailTaken`].
    pub fn set_up(
        &self,
        token: &str,
        email: &str,
        password: &str,
        device: &Device,
    ) -> Result<SignIn, Error> {
        let spent = || {
            Error::no(
                Code::InvalidSetupToken,
                "This set-up link was used or replaced. `authd user setup-link` prints the one that is open.",
            )
        };
        let digest = SetupToken::read(token).ok_or_else(spent)?.digest();
        // Looked at before hashing, so that strangers cannot make the server hash; decided where it is spent.
        let open = self.store.read(|tx| {
            tx.row(
                "SELECT 1 FROM server WHERE setup_digest = ?1",
                params![digest],
                |row| row.get::<i64>(0),
            )
        })?;
        if open.is_none() {
            return Err(spent());
        }
        let account = NewAccount {
            email: email.to_owned(),
            username: None,
            name: None,
            admin: true,
            temporary: false,
        };
        let new = self.prepare(account, Some(password))?;
        let (device, lifetime, idle) = self.session_terms(device);
        let grant = self.store.write(move |tx| {
            let claimed = tx.run(
                "UPDATE server SET setup_digest = NULL WHERE setup_digest = ?1",
                params![digest],
            )?;
            if claimed == 0 {
                return Err(spent());
            }
            let account = insert(tx, &new)?;
            session::open(tx, account, &device, None, lifetime, idle)
        })?;
        self.issue(grant)
    }

    /// Makes an account for whoever asks, and signs in.
    ///
    /// # Errors
    /// [`Code::RegistrationClosed`]; [`Code::WeakPassword`]; [`Code::EmailTaken`]; [`Code::UsernameTaken`];
    /// [`Code::InvalidRequest`] for what is wrong with a name; [`Code::TooManyRequests`] for an address that
    /// makes one account after the other.
    pub fn register(
        &self,
        account: NewAccount,
        password: &str,
        device: &Device,
    ) -> Result<SignIn, Error> {
        if self.policy.registration != Registration::Open {
            return Err(Error::no(
                Code::RegistrationClosed,
                "Registration is closed here. Ask whoever runs this server for an account.",
            ));
        }
        let account = NewAccount {
            admin: false,
            temporary: false,
            ..account
        };
        // Asked before hashing, so that a form sent twice costs nothing; decided by the unique index.
        self.store.read(|tx| {
            self.refuse_blocked_subject(tx, &Subject::Registration(device.ip))?;
            refuse_taken(tx, &account)
        })?;
        let new = self.prepare(account, Some(password))?;
        let (device, lifetime, idle) = self.session_terms(device);
        let tag_key = self.tag_key.clone();
        let grant = self.store.write(move |tx| {
            throttle::record(tx, &tag_key, &Subject::Registration(device.ip))?;
            let account = insert(tx, &new)?;
            session::open(tx, account, &device, None, lifetime, idle)
        })?;
        self.issue(grant)
    }

    /// Signs in by e-mail address or username.
    ///
    /// `new_password` takes the place of a temporary password, and is not looked at otherwise.
    ///
    /// # Errors
    /// [`Code::InvalidCredentials`] for everything that is wrong with login, password or account;
    /// [`Code::TooManyRequests`] after too many failures; [`Code::PasswordChangeRequired`] for a temporary
    /// password without a new one; [`Error::Unavailable`] when too many passwords wait to be hashed.
    pub fn sign_in(
        &self,
        login: &str,
        password: &str,
        new_password: Option<&str>,
        device_name: Option<&str>,
        device: &Device,
    ) -> Result<SignIn, Error> {
        let device_name = session::device_name(device_name)?;
        let password = read_password(password)?;
        let login = fold_login(login);
        let credentials = self.store.read(|tx| {
            let found = credentials_by_login(tx, &login)?;
            self.refuse_blocked(tx, found.as_ref(), &login, device)?;
            Ok::<_, Error>(found)
        })?;
        let stored = credentials
            .as_ref()
            .and_then(|found| found.password_hash.as_deref());
        let verification = self.hasher.verify(&password, stored)?;
        let (rehash, found) = match (verification, credentials) {
            (Verification::Right { rehash }, Some(found)) if !found.disabled => (rehash, found),
            (_, found) => return Err(self.count_failure(found, login, device)),
        };
        let replacement = match (found.temporary, new_password) {
            (true, None) => {
                return Err(Error::no(
                    Code::PasswordChangeRequired,
                    "This password was set for you and must be changed: sign in again with `new_password` as well.",
                ));
            }
            (true, Some(new)) => Some(self.hash_new(found.account, new)?),
            (false, _) if rehash => Some(self.hasher.hash(&password, self.entropy.bytes())?),
            (false, _) => None,
        };
        let (device, lifetime, idle) = self.session_terms(device);
        let tag_key = self.tag_key.clone();
        let granted = self.store.write(move |tx| {
            // Others may have failed, and the password may have been changed, while this one was hashed.
            if throttle::blocked(tx, &tag_key, &Subject::Account(found.account))?.is_some() {
                return Ok(None);
            }
            let still = tx.run(
                "UPDATE account SET password_hash = ?3, password_temporary = 0 \
                 WHERE id = ?1 AND password_hash = ?2 AND disabled_at IS NULL",
                params![
                    found.account,
                    found.password_hash.as_deref(),
                    replacement.as_deref().or(found.password_hash.as_deref()),
                ],
            )?;
            if still == 0 {
                return Ok(None);
            }
            throttle::clear(tx, &tag_key, found.account)?;
            if found.temporary {
                Entry::of(Kind::PasswordChanged, found.account)
                    .device(&device)
                    .write(tx)?;
            }
            let account = load(tx, found.account)?;
            session::open(tx, account, &device, device_name.as_deref(), lifetime, idle).map(Some)
        })?;
        granted
            .ok_or_else(invalid_credentials)
            .and_then(|grant| self.issue(grant))
    }

    /// Opens a session for an account without asking for its password: for programs that embed authd and
    /// have made sure by other means of who it is.
    ///
    /// # Errors
    /// [`Code::NotFound`] if there is no such account, or it is disabled.
    pub fn open_session(
        &self,
        account: &Selector,
        device_name: Option<&str>,
        device: &Device,
    ) -> Result<SignIn, Error> {
        let device_name = session::device_name(device_name)?;
        let account = account.clone();
        let (device, lifetime, idle) = self.session_terms(device);
        let grant = self.store.write(move |tx| {
            let account = select(tx, &account)?;
            if account.shown.disabled_at.is_some() {
                return Err(Error::not_found("account that may sign in"));
            }
            session::open(tx, account, &device, device_name.as_deref(), lifetime, idle)
        })?;
        self.issue(grant)
    }

    /// The account of whoever asks.
    ///
    /// # Errors
    /// Only those of the store.
    pub fn account(&self, actor: &Actor) -> Result<Account, Error> {
        Ok(self.store.read(|tx| load(tx, actor.account_key))?.shown)
    }

    /// Changes the account of whoever asks. A new e-mail address takes the current password (req 36).
    ///
    /// # Errors
    /// [`Code::WrongPassword`]; [`Code::EmailTaken`]; [`Code::UsernameTaken`]; [`Code::InvalidRequest`].
    pub fn change_account(
        &self,
        actor: &Actor,
        change: Profile,
        device: &Device,
    ) -> Result<Account, Error> {
        let email = change.email.as_deref().map(read_email).transpose()?;
        let username = change.username.as_deref().map(read_username).transpose()?;
        let name = change.name.as_deref().map(read_name).transpose()?;
        if email.is_some() {
            self.require_password(actor, change.current_password.as_deref(), device)?;
        }
        let (account, device) = (actor.account_key, device.clone());
        self.store.write(move |tx| {
            let mut changed = Vec::new();
            if let Some((email, key)) = email {
                refuse_taken_email(tx, &key, account)?;
                tx.run(
                    "UPDATE account SET email = ?2, email_key = ?3 WHERE id = ?1",
                    params![account, email, key],
                )?;
                changed.push("email");
            }
            if let Some(username) = username {
                let (username, key) = username.unzip();
                if let Some(key) = &key {
                    refuse_taken_username(tx, key, account)?;
                }
                tx.run(
                    "UPDATE account SET username = ?2, username_key = ?3 WHERE id = ?1",
                    params![account, username, key],
                )?;
                changed.push("username");
            }
            if let Some(name) = name {
                tx.run(
                    "UPDATE account SET name = ?2 WHERE id = ?1",
                    params![account, name],
                )?;
                changed.push("name");
            }
            if !changed.is_empty() {
                Entry::of(Kind::AccountChanged, account)
                    .device(&device)
                    .detail(json!({ "changed": changed }))
                    .write(tx)?;
            }
            Ok(load(tx, account)?.shown)
        })
    }

    /// Changes the password of whoever asks, ends every other session, and answers with new tokens for this one:
    /// its old refresh token is dead with the old password.
    ///
    /// # Errors
    /// [`Code::WrongPassword`] if the current one is wrong, which counts as a failure; [`Code::WeakPassword`].
    pub fn change_password(
        &self,
        actor: &Actor,
        current: &str,
        new: &str,
        device: &Device,
    ) -> Result<SignIn, Error> {
        let proven = self.require_password(actor, Some(current), device)?;
        let hash = self.hash_new(actor.account_key, new)?;
        let (account, kept) = (actor.account_key, actor.session_key);
        let (device, _, idle) = self.session_terms(device);
        let tag_key = self.tag_key.clone();
        let grant = self.store.write(move |tx| {
            let changed = tx.run(
                "UPDATE account SET password_hash = ?3, password_temporary = 0 WHERE id = ?1 AND password_hash = ?2",
                params![account, proven, hash],
            )?;
            if changed == 0 {
                return Err(wrong_password());
            }
            throttle::clear(tx, &tag_key, account)?;
            Entry::of(Kind::PasswordChanged, account).device(&device).write(tx)?;
            session::end_all(tx, account, Some(kept), Ended::PasswordChanged, Some(&device))?;
            session::rekey(tx, kept, load(tx, account)?, &device, idle)
        })?;
        self.issue(grant)
    }

    /// Deletes the account of whoever asks, with its sessions and events.
    ///
    /// # Errors
    /// [`Code::WrongPassword`] if the current password is wrong, which counts as a failure.
    pub fn delete_own_account(
        &self,
        actor: &Actor,
        current_password: &str,
        device: &Device,
    ) -> Result<(), Error> {
        self.require_password(actor, Some(current_password), device)?;
        let account = actor.account_key;
        Ok(self.store.write(move |tx| delete(tx, account))?)
    }

    /// Makes an account, for an operator. Without a password nobody can sign in to it yet.
    ///
    /// # Errors
    /// [`Code::WeakPassword`]; [`Code::EmailTaken`]; [`Code::UsernameTaken`]; [`Code::InvalidRequest`].
    pub fn add_account(
        &self,
        account: NewAccount,
        password: Option<&str>,
    ) -> Result<Account, Error> {
        let new = self.prepare(account, password)?;
        Ok(self.store.write(move |tx| insert(tx, &new))?.shown)
    }

    /// At most 1,000 accounts in the order of their making, after `after`, for an operator.
    ///
    /// # Errors
    /// [`Code::NotFound`] if `after` is no account.
    pub fn accounts(&self, after: Option<&Selector>) -> Result<Vec<Account>, Error> {
        self.store.read(|tx| {
            let after = match after {
                Some(selector) => select(tx, selector)?.key,
                None => AccountKey::from_row(0),
            };
            let listed = tx.rows(
                "SELECT id, public_id, email, username, name, admin, disabled_at, created_at FROM account \
                 WHERE id > ?1 ORDER BY id LIMIT ?2",
                params![after, MOST_LISTED],
                from_row,
            )?;
            Ok(listed.into_iter().map(|loaded| loaded.shown).collect())
        })
    }

    /// One account, for an operator.
    ///
    /// # Errors
    /// [`Code::NotFound`].
    pub fn find_account(&self, selector: &Selector) -> Result<Account, Error> {
        Ok(self.store.read(|tx| select(tx, selector))?.shown)
    }

    /// Disables an account: it cannot sign in, and its sessions end with the same stroke. Returns the account and how
    /// many sessions that ended.
    ///
    /// # Errors
    /// [`Code::NotFound`].
    pub fn disable_account(&self, selector: &Selector) -> Result<(Account, usize), Error> {
        let selector = selector.clone();
        self.store.write(move |tx| {
            let account = select(tx, &selector)?;
            let disabled = tx.run(
                "UPDATE account SET disabled_at = ?2 WHERE id = ?1 AND disabled_at IS NULL",
                params![account.key, tx.now],
            )?;
            if disabled == 1 {
                Entry::of(Kind::AccountDisabled, account.key).write(tx)?;
            }
            let ended = session::end_all(tx, account.key, None, Ended::AccountDisabled, None)?;
            Ok((load(tx, account.key)?.shown, ended))
        })
    }

    /// Lets a disabled account sign in again. Its old sessions stay ended.
    ///
    /// # Errors
    /// [`Code::NotFound`].
    pub fn enable_account(&self, selector: &Selector) -> Result<Account, Error> {
        let selector = selector.clone();
        self.store.write(move |tx| {
            let account = select(tx, &selector)?;
            let enabled = tx.run(
                "UPDATE account SET disabled_at = NULL WHERE id = ?1 AND disabled_at IS NOT NULL",
                params![account.key],
            )?;
            if enabled == 1 {
                Entry::of(Kind::AccountEnabled, account.key).write(tx)?;
            }
            Ok(load(tx, account.key)?.shown)
        })
    }

    /// Deletes an account with its sessions and events, for an operator.
    ///
    /// # Errors
    /// [`Code::NotFound`].
    pub fn delete_account(&self, selector: &Selector) -> Result<Account, Error> {
        let selector = selector.clone();
        self.store.write(move |tx| {
            let account = select(tx, &selector)?;
            delete(tx, account.key)?;
            Ok(account.shown)
        })
    }

    /// Sets the password of an account, for an operator: ends its sessions and forgets its failures. Returns how many
    /// sessions that ended.
    ///
    /// # Errors
    /// [`Code::NotFound`]; [`Code::WeakPassword`].
    pub fn set_password(
        &self,
        selector: &Selector,
        password: &str,
        temporary: bool,
    ) -> Result<usize, Error> {
        let account = self.store.read(|tx| select(tx, selector))?.key;
        let hash = self.hash_new(account, password)?;
        let tag_key = self.tag_key.clone();
        self.store.write(move |tx| {
            let changed = tx.run(
                "UPDATE account SET password_hash = ?2, password_temporary = ?3 WHERE id = ?1",
                params![account, hash, temporary],
            )?;
            if changed == 0 {
                return Err(Error::not_found("account"));
            }
            throttle::clear(tx, &tag_key, account)?;
            Entry::of(Kind::PasswordChanged, account)
                .detail(json!({ "by": "operator" }))
                .write(tx)?;
            session::end_all(tx, account, None, Ended::PasswordChanged, None)
        })
    }

    /// Checks the current password of whoever asks; a wrong one counts like a failed sign-in (req 15, req 20).
    /// Returns the hash that it was right for.
    fn require_password(
        &self,
        actor: &Actor,
        password: Option<&str>,
        device: &Device,
    ) -> Result<String, Error> {
        let password = password.ok_or_else(|| {
            Error::no(
                Code::WrongPassword,
                "This change takes the current password as `current_password`.",
            )
        })?;
        let password = read_password(password)?;
        let found = self.store.read(|tx| {
            let found = credentials_by_key(tx, actor.account_key)?;
            self.refuse_blocked(tx, found.as_ref(), "", device)?;
            Ok::<_, Error>(found)
        })?;
        let stored = found.as_ref().and_then(|found| found.password_hash.clone());
        match (self.hasher.verify(&password, stored.as_deref())?, stored) {
            (Verification::Right { .. }, Some(stored)) => Ok(stored),
            _ => Err(match self.count_failure(found, String::new(), device) {
                Error::No(Code::InvalidCredentials, _) => wrong_password(),
                uncounted => uncounted,
            }),
        }
    }

    fn refuse_blocked(
        &self,
        tx: &ReadTx<'_>,
        found: Option<&Credentials>,
        login: &str,
        device: &Device,
    ) -> Result<(), Error> {
        for subject in subjects(found, login, device) {
            self.refuse_blocked_subject(tx, &subject)?;
        }
        Ok(())
    }

    fn refuse_blocked_subject(&self, tx: &ReadTx<'_>, subject: &Subject<'_>) -> Result<(), Error> {
        match throttle::blocked(tx, &self.tag_key, subject)? {
            None => Ok(()),
            Some(until) => Err(Error::Later(
                Code::TooManyRequests,
                until.since(tx.now).as_secs().max(1),
            )),
        }
    }

    /// Commits a failure, and gives the one answer for all of them; or the store's, if it cannot be counted.
    fn count_failure(&self, found: Option<Credentials>, login: String, device: &Device) -> Error {
        let (tag_key, device) = (self.tag_key.clone(), device.clone());
        let counted: Result<(), Error> = self.store.write(move |tx| {
            for subject in subjects(found.as_ref(), &login, &device) {
                throttle::record(tx, &tag_key, &subject)?;
            }
            if let Some(found) = &found {
                let cause = if found.disabled {
                    "the account is disabled"
                } else {
                    "wrong password"
                };
                let blocked = throttle::blocked(tx, &tag_key, &Subject::Account(found.account))?;
                let kind = if blocked.is_some() {
                    Kind::SignInThrottled
                } else {
                    Kind::SignInFailed
                };
                Entry::of(kind, found.account)
                    .device(&device)
                    .detail(json!({ "cause": cause, "blocked_until": blocked }))
                    .write(tx)?;
            }
            Ok(())
        });
        counted.err().unwrap_or_else(invalid_credentials)
    }

    fn prepare(&self, account: NewAccount, password: Option<&str>) -> Result<Prepared, Error> {
        let (email, email_key) = read_email(&account.email)?;
        let username = account
            .username
            .as_deref()
            .map(read_username)
            .transpose()?
            .flatten();
        let name = account
            .name
            .as_deref()
            .map(read_name)
            .transpose()?
            .flatten();
        let hash = match password {
            None => None,
            Some(password) => {
                let context = [
                    Some(email_key.as_str()),
                    username.as_ref().map(|(_, key)| key.as_str()),
                ];
                Some(self.hash_checked(password, &context)?)
            }
        };
        Ok(Prepared {
            account,
            email,
            email_key,
            username,
            name,
            hash,
        })
    }

    fn hash_new(&self, account: AccountKey, password: &str) -> Result<String, Error> {
        let account = self.store.read(|tx| load(tx, account))?.shown;
        self.hash_checked(
            password,
            &[Some(&account.email), account.username.as_deref()],
        )
    }

    fn hash_checked(&self, password: &str, context: &[Option<&str>]) -> Result<String, Error> {
        let password = read_password(password)?;
        let words: Vec<&str> = context.iter().flatten().copied().collect();
        self.policy.password.check(&password, &words)?;
        Ok(self.hasher.hash(&password, self.entropy.bytes())?)
    }

    fn session_terms(&self, device: &Device) -> (Device, Duration, Duration) {
        (
            device.clone(),
            self.policy.session_lifetime,
            self.policy.session_idle_lifetime,
        )
    }
}

/// An account that was checked and hashed, ready to be written.
struct Prepared {
    account: NewAccount,
    email: String,
    email_key: String,
    username: Option<(String, String)>,
    name: Option<String>,
    hash: Option<String>,
}

fn invalid_credentials() -> Error {
    Error::no(
        Code::InvalidCredentials,
        "The login or the password is wrong.",
    )
}

fn wrong_password() -> Error {
    Error::no(Code::WrongPassword, "The current password is wrong.")
}

fn subjects<'a>(found: Option<&Credentials>, login: &'a str, device: &Device) -> [Subject<'a>; 2] {
    let who = match found {
        Some(found) => Subject::Account(found.account),
        None => Subject::Unknown(login),
    };
    [who, Subject::Address(device.ip)]
}

/// Finds an account by how an operator points at it.
pub(super) fn select(tx: &ReadTx<'_>, selector: &Selector) -> Result<Loaded, Error> {
    let found = match selector {
        Selector::Id(id) => tx.row(
            "SELECT id, public_id, email, username, name, admin, disabled_at, created_at FROM account \
             WHERE public_id = ?1",
            params![id],
            from_row,
        ),
        Selector::Login(login) => tx.row(
            "SELECT id, public_id, email, username, name, admin, disabled_at, created_at FROM account \
             WHERE email_key = ?1 OR username_key = ?1",
            params![fold_login(login)],
            from_row,
        ),
    }?;
    found.ok_or_else(|| Error::not_found("account"))
}

/// Loads an account that is known to exist.
pub(super) fn load(tx: &ReadTx<'_>, key: AccountKey) -> Result<Loaded, Broken> {
    tx.row(
        "SELECT id, public_id, email, username, name, admin, disabled_at, created_at FROM account WHERE id = ?1",
        params![key],
        from_row,
    )?
    .ok_or_else(|| unexpected("an account is gone"))
}

fn from_row(row: &Row<'_>) -> Result<Loaded, Broken> {
    Ok(Loaded {
        key: row.get(0)?,
        shown: Account {
            id: row.get(1)?,
            email: row.get(2)?,
            username: row.get(3)?,
            name: row.get(4)?,
            admin: row.get(5)?,
            disabled_at: row.get(6)?,
            created_at: row.get(7)?,
        },
    })
}

fn insert(tx: &Tx<'_>, new: &Prepared) -> Result<Loaded, Error> {
    let nobody = AccountKey::from_row(0);
    refuse_taken_email(tx, &new.email_key, nobody)?;
    let (username, username_key) = new.username.clone().unzip();
    if let Some(key) = &username_key {
        refuse_taken_username(tx, key, nobody)?;
    }
    let account = tx
        .row(
            "INSERT INTO account (public_id, email, email_key, username, username_key, name, admin, password_hash, \
             password_temporary, created_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10) \
             RETURNING id, public_id, email, username, name, admin, disabled_at, created_at",
            params![
                AccountId::random(tx.random()),
                new.email,
                new.email_key,
                username,
                username_key,
                new.name,
                new.account.admin,
                new.hash,
                new.account.temporary,
                tx.now,
            ],
            from_row,
        )?
        .ok_or_else(|| unexpected("an insertion returned no row"))?;
    Entry::of(Kind::AccountCreated, account.key).write(tx)?;
    Ok(account)
}

fn delete(tx: &Tx<'_>, account: AccountKey) -> Result<(), Broken> {
    let id = load(tx, account)?.shown.id;
    tx.run("DELETE FROM account WHERE id = ?1", params![account])?;
    // What remains names nobody: the operator sees that an account went, and when.
    let nobody = Entry {
        account: None,
        ..Entry::of(Kind::AccountDeleted, account)
    };
    nobody.detail(json!({ "account": id })).write(tx)
}

fn credentials_by_login(tx: &ReadTx<'_>, login: &str) -> Result<Option<Credentials>, Broken> {
    tx.row(
        "SELECT id, password_hash, password_temporary, disabled_at IS NOT NULL FROM account \
         WHERE email_key = ?1 OR username_key = ?1",
        params![login],
        credentials_from_row,
    )
}

fn credentials_by_key(tx: &ReadTx<'_>, key: AccountKey) -> Result<Option<Credentials>, Broken> {
    tx.row(
        "SELECT id, password_hash, password_temporary, disabled_at IS NOT NULL FROM account WHERE id = ?1",
        params![key],
        credentials_from_row,
    )
}

fn credentials_from_row(row: &Row<'_>) -> Result<Credentials, Broken> {
    Ok(Credentials {
        account: row.get(0)?,
        password_hash: row.get(1)?,
        temporary: row.get(2)?,
        disabled: row.get(3)?,
    })
}

fn refuse_taken(tx: &ReadTx<'_>, account: &NewAccount) -> Result<(), Error> {
    let nobody = AccountKey::from_row(0);
    refuse_taken_email(tx, &read_email(&account.email)?.1, nobody)?;
    match account
        .username
        .as_deref()
        .map(read_username)
        .transpose()?
        .flatten()
    {
        Some((_, key)) => refuse_taken_username(tx, &key, nobody),
        None => Ok(()),
    }
}

fn refuse_taken_email(tx: &ReadTx<'_>, key: &str, but: AccountKey) -> Result<(), Error> {
    let taken: Option<AccountKey> = tx.row(
        "SELECT id FROM account WHERE email_key = ?1 AND id <> ?2",
        params![key, but],
        |row| row.get(0),
    )?;
    match taken {
        None => Ok(()),
        Some(_) => Err(Error::no(
            Code::EmailTaken,
            "Another account has this e-mail address.",
        )),
    }
}

fn refuse_taken_username(tx: &ReadTx<'_>, key: &str, but: AccountKey) -> Result<(), Error> {
    let taken: Option<AccountKey> = tx.row(
        "SELECT id FROM account WHERE username_key = ?1 AND id <> ?2",
        params![key, but],
        |row| row.get(0),
    )?;
    match taken {
        None => Ok(()),
        Some(_) => Err(Error::no(
            Code::UsernameTaken,
            "Another account has this username.",
        )),
    }
}

fn read_password(text: &str) -> Result<Password, Error> {
    Password::new(text).map_err(|too_long| Error::invalid(too_long.to_string()))
}

/// One form for all ways of writing one login: compatibility-normalised and lower-case, so that full-width letters and
/// ligatures do not make a second `ann`.
fn fold_login(text: &str) -> String {
    let lower: String = text.trim().nfkc().flat_map(char::to_lowercase).collect();
    lower.nfkc().collect()
}

/// Reads an e-mail address: ASCII, one `@`, no quoting, comments or lists (req 26). Returns it and its compared form.
fn read_email(text: &str) -> Result<(String, String), Error> {
    let refuse = |why: &str| {
        Err(Error::invalid(format!(
            "This is not an e-mail address: {why}."
        )))
    };
    let email = text.trim_matches(' ');
    if email.len() > EMAIL_LENGTH {
        return refuse("it has more than 254 characters");
    }
    let Some((local, domain)) = email.split_once('@') else {
        return refuse("it has no @");
    };
    let atom = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-/=?^_`{|}~".contains(c);
    let dot_atom = local
        .split('.')
        .all(|part| !part.is_empty() && part.chars().all(atom));
    // A leading hyphen would be an option to a mail program.
    if !dot_atom || local.len() > LOCAL_PART_LENGTH || local.starts_with('-') {
        return refuse("what stands before the @ is not a plain name");
    }
    let label = |part: &str| {
        !part.is_empty()
            && part.len() <= 63
            && part.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
            && !part.starts_with('-')
            && !part.ends_with('-')
    };
    if !domain.split('.').all(label) {
        return refuse(
            "what stands after the @ is not a host name (write an international one as xn--…)",
        );
    }
    Ok((email.to_owned(), email.to_ascii_lowercase()))
}

/// Reads a username; an empty text is none. Returns it and its compared form.
fn read_username(text: &str) -> Result<Option<(String, String)>, Error> {
    let username: String = text.trim().nfc().collect();
    if username.is_empty() {
        return Ok(None);
    }
    let allowed = |c: char| c.is_alphanumeric() || "._-".contains(c);
    let key = fold_login(&username);
    let fits = |text: &str| text.chars().count() <= USERNAME_LENGTH && text.chars().all(allowed);
    if !fits(&username) || !fits(&key) || !key.starts_with(char::is_alphanumeric) {
        return Err(Error::invalid(
            "A username has at most 64 letters, digits, dots, hyphens and underscores, and begins with a letter or digit.",
        ));
    }
    Ok(Some((username, key)))
}

/// Reads a person's name; an empty text is none.
fn read_name(text: &str) -> Result<Option<String>, Error> {
    let name: String = text.trim().nfc().collect();
    if name.chars().count() > NAME_LENGTH || name.chars().any(char::is_control) {
        return Err(Error::invalid(
            "A name has at most 200 characters, and no control characters.",
        ));
    }
    Ok(Some(name).filter(|name| !name.is_empty()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test] // req 26, CVE-2020-28247
    fn addresses_are_plain_or_refused() {
        for good in [
            "ann@example.org",
            "a.b+c@x",
            "o'neil@xn--bcher-kva.example",
            "Ann@Example.ORG",
        ] {
            assert!(read_email(good).is_ok(), "{good}");
        }
        let long = format!("{}@example.org", "a".repeat(65));
        for bad in [
            "",
            "ann",
            "@",
            "ann@",
            "@example.org",
            "a@b@c",
            "a,b@example.org",
            "a b@example.org",
            "ann@example.org\r\nBcc: x@y",
            "ann\u{ff20}example.org",
            "-ann@example.org",
            "\"a\"@example.org",
            ".a@example.org",
            "a..b@example.org",
            "ann@-x.org",
            "ann@x-.org",
            "ann@x..org",
            "ann@[192.0.2.1]",
            "a<b>@example.org",
            "änn@example.org",
            "ann@exämple.org",
            "a\0@example.org",
            &long,
        ] {
            assert!(read_email(bad).is_err(), "{bad:?}");
        }
    }

    #[test] // CVE-2025-24806: one account, one counter, however it is written
    fn one_login_has_one_form() {
        let forms = ["ann", "ANN", " Ann ", "ＡＮＮ", "Ａnn"];
        assert!(forms.iter().all(|form| fold_login(form) == "ann"));
        assert_eq!(fold_login("ÉLODIE"), fold_login("e\u{301}lodie"));
        assert_eq!(fold_login("ﬁn"), "fin");
    }

    #[test]
    fn usernames_cannot_be_taken_for_addresses() {
        let key = |text: &str| read_username(text).map(|read| read.map(|(_, key)| key));
        assert_eq!(
            key("Ann.B-c_9").ok().flatten().as_deref(),
            Some("ann.b-c_9")
        );
        assert_eq!(key("Łukasz").ok().flatten().as_deref(), Some("łukasz"));
        assert_eq!(key("  ").ok().flatten(), None);
        for bad in [
            "a@b",
            "a b",
            "-a",
            "_a",
            "a\u{200b}b",
            "a/b",
            "℀",
            &"a".repeat(65),
        ] {
            assert!(read_username(bad).is_err(), "{bad:?}");
        }
    }
}
