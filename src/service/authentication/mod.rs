//! Signing in, and everything else that takes a password.
//!
//! A sign-in is a read (who, and may they try), the hashing (outside of any transaction, for seconds if need be) and a
//! write that checks once more what it relies on.
//!
//! Whatever is wrong with a sign-in, the answer and the work behind it are the same: an unknown login is hashed against
//! a dummy, counted like an account, and refused in the same words (req 10). Every way of presenting a password
//! goes through the same throttle (req 20).

use std::time::Duration;

use serde_json::json;

use crate::ids::{AccountKey, SessionId, SessionKey};
use crate::password::{self, Password};
use crate::secret::{SetupToken, TagKey};
use crate::service::account::{self, Prepared};
use crate::service::delivery::message::Topic;
use crate::service::delivery::one_time_link;
use crate::service::delivery::outbox::Note;
use crate::service::error::{invalid_token, unexpected};
use crate::service::event::{Entry, Kind};
use crate::service::recovery::email_verification;
use crate::service::session::client;
use crate::service::session::scope::Scope;
use crate::service::session::{self, Ended, Grant, SignIn, Wanted};
use crate::service::sign_up::invitation;
use crate::service::throttle::{self, Subject};
use crate::service::token::refresh;
use crate::service::{
    AccountDetails, Actor, Authd, Code, Device, Error, NewAccount, Registration, Selector,
    Verification,
};
use crate::store::{Broken, ReadTx, Row, Tx, params};

/// What became of a registration.
#[derive(Debug)]
pub enum Registered {
    /// The account is made, and its owner signed in.
    SignedIn(Box<SignIn>),
    /// There is an account as soon as the address is proven; or there was one before, which this does not tell.
    Waiting,
}

/// A set-up link that is open.
#[derive(Clone, Debug)]
pub struct SetupLink {
    /// The plain token, for the link and for `POST /v1/setup`.
    pub token: String,
}

/// Changes to an account by its owner; what is absent stays as it is, and an empty text takes away.
#[derive(Clone, Debug, Default)]
pub struct Profile {
    /// A new e-mail address; takes the current password, and confirmation at both addresses.
    pub email: Option<String>,
    /// A new username.
    pub username: Option<String>,
    /// A new name.
    pub name: Option<String>,
    /// The current password.
    pub current_password: Option<String>,
}

/// That the current password was given: good where the change is written only if [`Proof::require`] says so there.
struct Proof {
    actor: Actor,
    /// The hash that the password was right for.
    hash: String,
    tag_key: TagKey,
}

impl Proof {
    /// Asks once more. While the password was hashed, others may have failed (and a right guess among them must not
    /// count), the password may have been changed, the session ended, the account deleted.
    fn require(&self, tx: &ReadTx<'_>) -> Result<(), Error> {
        session::require_open(tx, &self.actor)?;
        let account = Subject::Account(self.actor.account_key);
        let found = credentials_by_key(tx, self.actor.account_key)?;
        let unchanged = found.is_some_and(|found| found.password_hash.as_ref() == Some(&self.hash));
        if unchanged && throttle::blocked(tx, &self.tag_key, &account)?.is_none() {
            Ok(())
        } else {
            Err(wrong_password())
        }
    }
}

/// How a session begins, when what was asked of it has been checked.
struct Opening {
    device: Device,
    device_name: Option<String>,
    scope: Scope,
    lifetime: Duration,
    idle: Duration,
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

    /// Whether there is an open set-up link.
    ///
    /// # Errors
    /// Only those of the store.
    pub fn awaits_setup(&self) -> Result<bool, Error> {
        let open: Option<i64> = self.store.read(|tx| {
            tx.row(
                "SELECT 1 FROM server WHERE setup_digest IS NOT NULL",
                params![],
                |row| row.get(0),
            )
        })?;
        Ok(open.is_some())
    }

    /// Makes the first administrator with the token of the set-up link, and signs in.
    ///
    /// # Errors
    /// [`Code::InvalidSetupToken`] if the link was used or replaced; [`Code::WeakPassword`]; [`Code::InvalidScope`];
    /// [`Code::InvalidRequest`] for what is wrong with the address; [`Code::EmailTaken`].
    pub fn set_up(
        &self,
        token: &str,
        email: &str,
        password: &str,
        wanted: Wanted<'_>,
        device: &Device,
    ) -> Result<SignIn, Error> {
        let opening = self.opening(wanted, device)?;
        let spent = || {
            Error::no(
                Code::InvalidSetupToken,
                "This set-up link was used or replaced. `authd user setup-link` makes a new one, as long as there is no \
                 administrator.",
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
        let grant = self.store.write(move |tx| {
            let claimed = tx.run(
                "UPDATE server SET setup_digest = NULL WHERE setup_digest = ?1",
                params![digest],
            )?;
            if claimed == 0 {
                return Err(spent());
            }
            let account = account::insert(tx, &new)?;
            begin_session(tx, account, &opening)
        })?;
        self.issue(grant)
    }

    /// Makes an account for whoever asks, and signs in; or lets the registration wait, where addresses have to be proven
    /// first: with the same answer after the same work whether or not the address is taken (req 11). An invitation is used
    /// up by the account, and by nothing else: a refused registration can be tried again.
    ///
    /// # Errors
    /// [`Code::RegistrationClosed`]; [`Code::InvitationRequired`]; [`Code::InvalidInvitation`]; [`Code::WeakPassword`];
    /// [`Code::EmailTaken`], where no proof is required; [`Code::UsernameTaken`]; [`Code::InvalidScope`];
    /// [`Code::InvalidRequest`] for what is wrong with a name; [`Code::TooManyRequests`] for an address that makes one
    /// account after the other.
    pub fn register(
        &self,
        account: NewAccount,
        password: &str,
        invite: Option<&str>,
        wanted: Wanted<'_>,
        device: &Device,
    ) -> Result<Registered, Error> {
        let invitation = match (self.policy.registration, invite) {
            (Registration::Closed, _) => {
                return Err(Error::no(
                    Code::RegistrationClosed,
                    "Registration is closed here. Ask whoever runs this server for an account.",
                ));
            }
            (Registration::Invite, None) => {
                return Err(Error::no(
                    Code::InvitationRequired,
                    "Registration takes an invitation here, as `invite`. Ask whoever runs this server for one.",
                ));
            }
            (Registration::Open, None) => None,
            (Registration::Invite | Registration::Open, Some(token)) => {
                Some(invitation::read(token)?)
            }
        };
        let opening = self.opening(wanted, device)?;
        let account = NewAccount {
            admin: false,
            temporary: false,
            ..account
        };
        // Asked before hashing, so that strangers cannot make the server hash, and a form sent twice costs nothing; decided
        // where the invitation is used up, and by the unique index. Without an invitation nobody learns what is taken.
        let (_, email_key) = account::read_email(&account.email)?;
        let asked = self.store.read(|tx| {
            throttle::refuse_blocked(tx, &self.tag_key, &Subject::Registration(device.ip))?;
            let invitation = match invitation {
                Some(digest) => Some(invitation::find(tx, digest, &email_key)?),
                None => None,
            };
            let is_proven = invitation.is_some_and(|invitation| invitation.is_mailed);
            let waits = self.policy.verification == Verification::Required && !is_proven;
            if !waits {
                account::refuse_taken_email(tx, &email_key, AccountKey::from_row(0))?;
            }
            account::refuse_taken_name(tx, &account)?;
            Ok((invitation.map(|invitation| invitation.key), waits))
        });
        if let Err(Error::No(Code::EmailTaken | Code::UsernameTaken, _)) = asked {
            // Whoever asks for one address after the other learns who has an account here.
            let (tag_key, ip) = (self.tag_key.clone(), device.ip);
            self.store
                .write(move |tx| throttle::record(tx, &tag_key, &Subject::Registration(ip)))?;
        }
        let (invitation, waits) = asked?;
        let new = self.prepare(account, Some(password))?;
        let (tag_key, outbox) = (self.tag_key.clone(), self.outbox());
        if waits {
            self.store.write(move |tx| {
                throttle::record(tx, &tag_key, &Subject::Registration(opening.device.ip))?;
                // One row for every address, taken or not: both cost a commit.
                throttle::record(tx, &tag_key, &Subject::Asked(&new.email_key))?;
                email_verification::await_proof(tx, outbox, &new, invitation, &opening.device)
            })?;
            return Ok(Registered::Waiting);
        }
        let grant = self.store.write(move |tx| {
            throttle::record(tx, &tag_key, &Subject::Registration(opening.device.ip))?;
            let mut account = account::insert(tx, &new)?;
            if let Some(invitation) = invitation {
                invitation::claim(tx, invitation, account.key, &new.email_key, tx.now)?;
                // One that was mailed has proven the address.
                account = account::load(tx, account.key)?;
            }
            if !account.shown.email_verified {
                email_verification::ask(tx, outbox, account.key, &opening.device)?;
            }
            begin_session(tx, account, &opening)
        })?;
        Ok(Registered::SignedIn(Box::new(self.issue(grant)?)))
    }

    /// Signs in by e-mail address or username.
    ///
    /// `new_password` takes the place of a temporary password, and is refused otherwise.
    ///
    /// # Errors
    /// [`Code::InvalidCredentials`] for everything that is wrong with login, password or account;
    /// [`Code::TooManyRequests`] after too many failures; [`Code::PasswordChangeRequired`] for a temporary
    /// password without a new one; [`Code::InvalidScope`]; [`Error::Unavailable`] when too many passwords wait to be
    /// hashed.
    pub fn sign_in(
        &self,
        login: &str,
        password: &str,
        new_password: Option<&str>,
        wanted: Wanted<'_>,
        device: &Device,
    ) -> Result<SignIn, Error> {
        let refused = || invalid_credentials(self.policy.verification);
        let opening = self.opening(wanted, device)?;
        let given = read_password(password)?;
        let login = account::fold_login(login);
        let credentials = self.store.read(|tx| {
            let found = credentials_by_login(tx, &login)?;
            self.refuse_blocked(tx, found.as_ref(), &login, device)?;
            Ok::<_, Error>(found)
        })?;
        let stored = credentials
            .as_ref()
            .and_then(|found| found.password_hash.as_deref());
        let verification = self.hasher.verify(&given, stored)?;
        let (rehash, found) = match (verification, credentials) {
            (password::Verification::Right { rehash }, Some(found)) if !found.disabled => {
                (rehash, found)
            }
            (_, found) => {
                self.count_failure(found, login, device)?;
                return Err(refused());
            }
        };
        if found.temporary || new_password.is_some() {
            // What is answered from here on says that the password was right.
            let account = Subject::Account(found.account);
            let blocked = |tx: &ReadTx<'_>| throttle::blocked(tx, &self.tag_key, &account);
            if self.store.read(blocked)?.is_some() {
                return Err(refused());
            }
        }
        let replacement = match (found.temporary, new_password) {
            (true, None) => {
                return Err(Error::no(
                    Code::PasswordChangeRequired,
                    "This password was set for you and must be changed: sign in again with `new_password` as well.",
                ));
            }
            (true, Some(new)) if new == password => {
                return Err(Error::no(
                    Code::WeakPassword,
                    "The new password is the temporary one. Choose another.",
                ));
            }
            (true, Some(new)) => Some(self.hash_new(found.account, new, refused)?),
            (false, Some(_)) => {
                return Err(Error::invalid(
                    "This password is not temporary: sign in without `new_password`, and change it then.",
                ));
            }
            (false, None) if rehash => Some(self.hasher.hash(&given, self.entropy.bytes())?),
            (false, None) => None,
        };
        let (tag_key, outbox) = (self.tag_key.clone(), self.outbox());
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
                    .device(&opening.device)
                    .write(tx)?;
                one_time_link::void_all(tx, found.account, "password_changed")?;
                let letter = Note::to(found.account, Topic::PasswordChanged);
                outbox.note(tx, letter.from(&opening.device))?;
            }
            let account = account::load(tx, found.account)?;
            begin_session(tx, account, &opening).map(Some)
        })?;
        granted
            .ok_or_else(refused)
            .and_then(|grant| self.issue(grant))
    }

    /// Opens a session for an account without asking for its password: for programs that embed authd and
    /// have made sure by other means of who it is.
    ///
    /// # Errors
    /// [`Code::NotFound`] if there is no such account, or it is disabled; [`Code::InvalidScope`].
    pub fn open_session(
        &self,
        account: &Selector,
        wanted: Wanted<'_>,
        device: &Device,
    ) -> Result<SignIn, Error> {
        let opening = self.opening(wanted, device)?;
        let account = account.clone();
        let grant = self.store.write(move |tx| {
            let account = account::select(tx, &account)?;
            if account.shown.disabled_at.is_some() {
                return Err(Error::not_found("account that may sign in"));
            }
            begin_session(tx, account, &opening)
        })?;
        self.issue(grant)
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
        let proof = self.require_password(actor, Some(current), device)?;
        let hash = self.hash_new(actor.account_key, new, invalid_token)?;
        let (account, kept) = (actor.account_key, actor.session_key);
        let (device, idle) = (device.clone(), self.policy.session_idle_lifetime);
        let outbox = self.outbox();
        let grant = self.store.write(move |tx| {
            proof.require(tx)?;
            tx.run(
                "UPDATE account SET password_hash = ?2, password_temporary = 0 WHERE id = ?1",
                params![account, hash],
            )?;
            throttle::clear(tx, &proof.tag_key, account)?;
            one_time_link::void_all(tx, account, "password_changed")?;
            Entry::of(Kind::PasswordChanged, account)
                .device(&device)
                .write(tx)?;
            outbox.note(tx, Note::to(account, Topic::PasswordChanged).from(&device))?;
            session::end_all(
                tx,
                account,
                Some(kept),
                Ended::PasswordChanged,
                Some(&device),
            )?;
            begin_anew(tx, kept, account::load(tx, account)?, &device, idle)
        })?;
        self.issue(grant)
    }

    /// Checks the current password of whoever asks; a wrong one counts like a failed sign-in (req 15, req 20).
    fn require_password(
        &self,
        actor: &Actor,
        password: Option<&str>,
        device: &Device,
    ) -> Result<Proof, Error> {
        let password = password.ok_or_else(|| {
            Error::no(
                Code::WrongPassword,
                "This change takes the current password as `current_password`.",
            )
        })?;
        let password = read_password(password)?;
        let found = self.store.read(|tx| {
            let found = credentials_by_key(tx, actor.account_key)?.ok_or_else(invalid_token)?;
            self.refuse_blocked(tx, Some(&found), "", device)?;
            Ok::<_, Error>(found)
        })?;
        let stored = found.password_hash.clone();
        match (self.hasher.verify(&password, stored.as_deref())?, stored) {
            (password::Verification::Right { .. }, Some(hash)) => Ok(Proof {
                actor: actor.clone(),
                hash,
                tag_key: self.tag_key.clone(),
            }),
            _ => {
                self.count_failure(Some(found), String::new(), device)?;
                Err(wrong_password())
            }
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
            throttle::refuse_blocked(tx, &self.tag_key, &subject)?;
        }
        Ok(())
    }

    /// Commits a failure. What cannot be counted must not be answered either: guessing would be free as long as the
    /// disk is full.
    fn count_failure(
        &self,
        found: Option<Credentials>,
        login: String,
        device: &Device,
    ) -> Result<(), Error> {
        let (tag_key, outbox, device) = (self.tag_key.clone(), self.outbox(), device.clone());
        self.store.write(move |tx| {
            // Deleted while the password was hashed: from now on nobody has that login.
            let found = match found {
                Some(found) if account::find(tx, found.account)?.is_some() => Some(found),
                _ => None,
            };
            let [who, whence] = subjects(found.as_ref(), &login, &device);
            let failures = throttle::record(tx, &tag_key, &who)?;
            throttle::record(tx, &tag_key, &whence)?;
            if let Some(found) = &found {
                if throttle::is_news(failures) && !found.disabled {
                    outbox.note(
                        tx,
                        Note::to(found.account, Topic::ManyFailures).from(&device),
                    )?;
                }
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
        })
    }

    pub(in crate::service) fn prepare(
        &self,
        account: NewAccount,
        password: Option<&str>,
    ) -> Result<Prepared, Error> {
        let (email, email_key) = account::read_email(&account.email)?;
        let username = account
            .username
            .as_deref()
            .map(account::read_username)
            .transpose()?
            .flatten();
        let name = account
            .name
            .as_deref()
            .map(account::read_name)
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

    /// Checks and hashes a new password of `account`; if that was deleted, what is wrong is for the caller to say.
    pub(in crate::service) fn hash_new(
        &self,
        account: AccountKey,
        password: &str,
        deleted: impl FnOnce() -> Error,
    ) -> Result<String, Error> {
        let found = self.store.read(|tx| account::find(tx, account))?;
        let account = found.ok_or_else(deleted)?.shown;
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

    fn opening(&self, wanted: Wanted<'_>, device: &Device) -> Result<Opening, Error> {
        Ok(Opening {
            device: device.clone(),
            device_name: session::device_name(wanted.device_name)?,
            scope: Scope::read(wanted.scope)?,
            lifetime: self.policy.session_lifetime,
            idle: self.policy.session_idle_lifetime,
        })
    }

    /// Changes the account of whoever asks. A new e-mail address takes the current password (req 36), and waits until it is
    /// confirmed at both addresses; where mail is off and no proof is required, it is taken at once. With the present
    /// address a change that waits is withdrawn.
    ///
    /// # Errors
    /// [`Code::WrongPassword`]; [`Code::EmailTaken`], where no proof is required; [`Code::UsernameTaken`];
    /// [`Code::InvalidRequest`]; [`Code::TooManyRequests`] for the fourth new address within an hour, and for an address of
    /// the network that has letters sent again and again.
    pub fn change_account(
        &self,
        actor: &Actor,
        change: Profile,
        device: &Device,
    ) -> Result<AccountDetails, Error> {
        let email = change
            .email
            .as_deref()
            .map(account::read_email)
            .transpose()?;
        let username = change
            .username
            .as_deref()
            .map(account::read_username)
            .transpose()?;
        let name = change.name.as_deref().map(account::read_name).transpose()?;
        let proof = match email {
            Some(_) => {
                Some(self.require_password(actor, change.current_password.as_deref(), device)?)
            }
            None => None,
        };
        let (actor, device, outbox) = (actor.clone(), device.clone(), self.outbox());
        let verification = self.policy.verification;
        self.store.write(move |tx| {
            match proof {
                Some(proof) => proof.require(tx)?,
                None => session::require_open(tx, &actor)?,
            }
            let account = actor.account_key;
            let mut changed = Vec::new();
            if let Some((email, key)) = &email
                && email_verification::change_email(
                    tx,
                    outbox,
                    verification,
                    account,
                    email,
                    key,
                    &device,
                )?
            {
                changed.push("email");
            }
            if let Some(username) = username {
                let (username, key) = username.unzip();
                if let Some(key) = &key {
                    account::refuse_taken_username(tx, key, account)?;
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
            let account = account::load(tx, account)?;
            Ok(account::details(tx, account)?)
        })
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
        let proof = self.require_password(actor, Some(current_password), device)?;
        let (outbox, device) = (self.outbox(), device.clone());
        self.store.write(move |tx| {
            proof.require(tx)?;
            let account = proof.actor.account_key;
            let email = account::load(tx, account)?.shown.email;
            account::delete(tx, &proof.tag_key, account)?;
            // Letters of the account have gone with it: this is the one that tells of whatever was done before.
            outbox.note(tx, Note::to_former_owner(&email).from(&device))?;
            Ok(())
        })
    }
}

/// Opens a session for `account`, with the first refresh token of its first-party family.
fn begin_session(tx: &Tx<'_>, account: account::Loaded, opening: &Opening) -> Result<Grant, Error> {
    session::make_room(tx, account.key)?;
    let id = SessionId::random(tx.random());
    let expires_at = tx.now.plus(opening.lifetime);
    let key = tx
        .row(
            "INSERT INTO session (public_id, account_id, device_name, created_at, expires_at) \
             VALUES (?1, ?2, ?3, ?4, ?5) RETURNING id",
            params![id, account.key, opening.device_name, tx.now, expires_at],
            |row| row.get(0),
        )?
        .ok_or_else(|| unexpected("an insertion returned no row"))?;
    let token = refresh::begin(
        tx,
        key,
        client::FIRST_PARTY_KEY,
        expires_at,
        &opening.scope,
        &opening.device,
    )?;
    Entry::of(Kind::SignIn, account.key)
        .session(id)
        .device(&opening.device)
        .write(tx)?;
    Ok(Grant {
        token,
        session: session::load(tx, key, opening.idle)?,
        disclosure: opening.scope.disclose(tx, account.key)?,
        account,
    })
}

/// Gives an open session a new first-party family of the same scope; the tokens of the old one are dead.
fn begin_anew(
    tx: &Tx<'_>,
    session: SessionKey,
    account: account::Loaded,
    device: &Device,
    idle: Duration,
) -> Result<Grant, Error> {
    // Those of earlier changes have nothing to tell any more.
    tx.run(
        "DELETE FROM refresh_family WHERE session_id = ?1 AND client_id = ?2 AND revoked_at IS NOT NULL",
        params![session, client::FIRST_PARTY_KEY],
    )?;
    let old = tx.row(
        "UPDATE refresh_family SET revoked_at = ?3, revoke_reason = ?4 \
         WHERE session_id = ?1 AND client_id = ?2 AND revoked_at IS NULL RETURNING expires_at, scope",
        params![
            session,
            client::FIRST_PARTY_KEY,
            tx.now,
            Ended::PasswordChanged.as_str()
        ],
        |row| Ok((row.get(0)?, row.get::<Option<String>>(1)?)),
    )?;
    let (expires_at, scope) = old.ok_or_else(|| Error::not_found("open session"))?;
    let scope = Scope::from_row(scope.as_deref());
    let token = refresh::begin(
        tx,
        session,
        client::FIRST_PARTY_KEY,
        expires_at,
        &scope,
        device,
    )?;
    Ok(Grant {
        token,
        session: session::load(tx, session, idle)?,
        disclosure: scope.disclose(tx, account.key)?,
        account,
    })
}

/// The one answer to a sign-in that failed. Where registrations wait, one of them may be why.
fn invalid_credentials(verification: Verification) -> Error {
    Error::no(
        Code::InvalidCredentials,
        match verification {
            Verification::Optional => "The login or the password is wrong.",
            Verification::Required => {
                "The login or the password is wrong, or the e-mail address is not confirmed yet: the link for that is \
                 in the letter."
            }
        },
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

fn read_password(text: &str) -> Result<Password, Error> {
    Password::new(text).map_err(|too_long| Error::invalid(too_long.to_string()))
}
