//! What an account owner changes inside a session: the password, the account, its end.
//!
//! What an attacker with a stolen access token must not be able to do takes the current password (req 15, req 36).

use std::ops::ControlFlow;

use serde_json::json;

use crate::clock::Timestamp;
use crate::ids::AccountKey;
use crate::password::Requester;
use crate::service::account::{self, AccountDetails, identifiers};
use crate::service::administration;
use crate::service::authentication::password;
use crate::service::authentication::proof::Confirmation;
use crate::service::authentication::session_start::{self, Renewed};
use crate::service::context::Context;
use crate::service::delivery::message::Topic;
use crate::service::delivery::outbox::{self, Outgoing};
use crate::service::error::{invalid_token, unexpected};
use crate::service::event::{self, Event, Kind};
use crate::service::recovery::email_change;
use crate::service::session::browser::{Browser, NewCookie};
use crate::service::session::{self, Ended};
use crate::service::{Actor, Authd, Code, Device, Error, SignIn, throttle};
use crate::store::params;

/// Changes to an account by its owner; what is absent stays as it is, and an empty text takes away.
#[derive(Clone, Debug, Default)]
pub struct Profile {
    /// A new e-mail address; takes a proof that the account owner asks, and confirmation at both addresses.
    pub email: Option<String>,
    /// A new username.
    pub username: Option<String>,
    /// A new name.
    pub name: Option<String>,
}

/// A [`Profile`] that was read: each text in its two forms.
struct Changes {
    email: Option<(String, String)>,
    username: Option<Option<(String, String)>>,
    name: Option<Option<String>>,
}

impl Authd {
    /// Changes the password of the account of an app that asks, ends every other session, and answers with new tokens: the
    /// session goes on under a new id, and every token of the old one is dead.
    ///
    /// # Errors
    /// [`Code::WrongPassword`] if the current one is wrong;
    /// [`Code::WeakPassword`];
    /// [`Code::TooManyRequests`] after too many wrong ones in this session.
    pub fn change_password(
        &self,
        actor: &Actor,
        current: &str,
        new: &str,
        device: &Device,
    ) -> Result<SignIn, Error> {
        match self.replace_password(actor, current, new, device)? {
            Renewed::App(grant) => self.issue(*grant),
            Renewed::Browser(_) => Err(unexpected("an app has the session of a browser").into()),
        }
    }

    /// Changes the password, as [`Authd::change_password`] does, for a browser that asks; the answer is its new cookie.
    ///
    /// # Errors
    /// Those of [`Authd::change_password`].
    pub fn change_password_in_browser(
        &self,
        browser: &Browser,
        current: &str,
        new: &str,
        device: &Device,
    ) -> Result<NewCookie, Error> {
        match self.replace_password(&browser.actor, current, new, device)? {
            Renewed::Browser(cookie) => Ok(cookie),
            Renewed::App(_) => Err(unexpected("a browser has the session of an app").into()),
        }
    }

    fn replace_password(
        &self,
        actor: &Actor,
        current: &str,
        new: &str,
        device: &Device,
    ) -> Result<Renewed, Error> {
        let proof = self.prove(actor, Confirmation::Password(Some(current)), device)?;
        let requester = Requester::owner(device.ip, actor.account_key);
        let hash = self.hash_new(actor.account_key, new, requester, invalid_token)?;
        let (account, kept) = (actor.account_key, actor.session_key);
        let from = device.clone();
        self.write(Some(device), move |cx| {
            proof.require(cx)?;
            cx.run(
                "UPDATE account SET password_hash = ?2, password_temporary = 0 WHERE id = ?1",
                params![account, hash],
            )?;
            password::password_was_changed(cx, account)?;
            cx.event(Kind::PasswordChanged, account).write(cx)?;
            session::end_all(cx, account, Some(kept), Ended::PasswordChanged)?;
            session_start::begin_anew(cx, kept, account::load(cx, account)?, &from)
        })
    }

    /// Changes the account of the client that asks. A new e-mail address takes a confirmation (req 36), and waits until it is confirmed at both addresses; where mail is off and no proof is required, it is taken at once. With the present
    /// address, a change that waits is withdrawn.
    ///
    /// # Errors
    /// [`Code::WrongPassword`]; [`Code::StepUpRequired`];
    /// [`Code::EmailTaken`], where no proof is required;
    /// [`Code::UsernameTaken`];
    /// [`Code::InvalidRequest`];
    /// [`Code::TooManyRequests`] for the fourth new address within an hour, and for a
    /// network that asks again and again.
    pub fn change_account(
        &self,
        actor: &Actor,
        change: Profile,
        confirmation: Confirmation<'_>,
        device: &Device,
    ) -> Result<AccountDetails, Error> {
        let changes = Changes::read(&change)?;
        let proof = match changes.email {
            Some(_) => Some(self.prove(actor, confirmation, device)?),
            None => None,
        };
        let (actor, ip) = (actor.clone(), device.ip);
        let changed = self.write(Some(device), move |cx| {
            match &proof {
                Some(proof) => proof.require(cx)?,
                None => session::require_open(cx, &actor, cx.idle())?,
            }
            let account = actor.account_key;
            let changed = changes.apply(cx, account)?;
            if !changed.is_empty() {
                cx.record(Kind::AccountChanged, account, json!({ "changed": changed }))?;
            }
            let account = account::load(cx, account)?;
            Ok(account::details(cx, account)?)
        });
        if let Err(Error::No(Code::EmailTaken | Code::UsernameTaken, _)) = changed {
            // A client that tries one after the other would learn who has an account here.
            self.write(Some(device), move |cx| {
                throttle::take(cx, cx.tag_key(), &throttle::Subject::Registration(ip))
            })?;
        }
        changed
    }

    /// Shows `take` the events of the account of the client that asks, newest first, until it breaks: at most `limit` events
    /// (1 to 1,000) before the one with the number `before`, or the latest. They are shown one at a time, so that memory does
    /// not depend on their number.
    ///
    /// # Errors
    /// Only those of the store.
    pub fn own_events(
        &self,
        actor: &Actor,
        before: Option<i64>,
        limit: u32,
        mut take: impl FnMut(&Event) -> ControlFlow<()>,
    ) -> Result<(), Error> {
        let (before, limit) = (
            before.unwrap_or(i64::MAX),
            limit.clamp(1, event::MOST_LISTED),
        );
        let account = actor.account_key;
        Ok(self
            .store
            .read(|tx| event::show_to_owner(tx, account, before, limit, &mut take))?)
    }

    /// The latest event of one kind of the account of the client that asks, if it was after `since`.
    ///
    /// # Errors
    /// Only those of the store.
    pub fn latest_own_event(
        &self,
        actor: &Actor,
        kind: &str,
        since: Timestamp,
    ) -> Result<Option<Event>, Error> {
        let account = actor.account_key;
        Ok(self
            .store
            .read(|tx| event::latest_of_kind(tx, account, kind, since))?)
    }

    /// Deletes the account of the client that asks, with its sessions and events.
    ///
    /// # Errors
    /// [`Code::WrongPassword`] if the current password is wrong; [`Code::StepUpRequired`]; [`Code::LastAdministrator`].
    pub fn delete_own_account(
        &self,
        actor: &Actor,
        confirmation: Confirmation<'_>,
        device: &Device,
    ) -> Result<(), Error> {
        let proof = self.prove(actor, confirmation, device)?;
        let account = actor.account_key;
        self.write(Some(device), move |cx| {
            proof.require(cx)?;
            let owner = account::load(cx, account)?;
            administration::refuse_last(cx, &owner)?;
            let email = owner.shown.email;
            account::delete(cx, account)?;
            // The messages of the account were deleted with it, and this one tells its owner.
            Ok(outbox::enqueue(
                cx,
                Outgoing::to_address(&email, Topic::AccountDeleted),
            )?)
        })
    }
}

impl Changes {
    fn read(change: &Profile) -> Result<Changes, Error> {
        let (email, username, name) = (&change.email, &change.username, &change.name);
        Ok(Changes {
            email: email.as_deref().map(identifiers::read_email).transpose()?,
            username: username
                .as_deref()
                .map(identifiers::read_username)
                .transpose()?,
            name: name.as_deref().map(identifiers::read_name).transpose()?,
        })
    }

    /// Writes them. Returns the names of what changed.
    fn apply(&self, cx: &Context<'_>, account: AccountKey) -> Result<Vec<&'static str>, Error> {
        let mut changed = Vec::new();
        if let Some((email, key)) = &self.email
            && email_change::request(cx, account, email, key)?
        {
            changed.push("email");
        }
        if let Some(username) = &self.username {
            account::set_username(cx, account, username.clone())?;
            changed.push("username");
        }
        if let Some(name) = &self.name {
            account::set_name(cx, account, name.as_deref())?;
            changed.push("name");
        }
        Ok(changed)
    }
}
