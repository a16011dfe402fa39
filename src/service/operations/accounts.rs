//! What an operator does with accounts: make, find, disable and delete them, set their passwords, read their events.
//!
//! What only reads is a method of [`Authd`] and checks no permission.

use std::net::IpAddr;

use schemars::JsonSchema;
use serde::Serialize;

use crate::clock::Timestamp;
use crate::ids::AccountId;
use crate::password::Requester;
use crate::service::account::{self, identifiers};
use crate::service::administration::{self, Administration};
use crate::service::authentication::password;
use crate::service::delivery::one_time_token;
use crate::service::event::{self, Kind};
use crate::service::session::{self, Ended};
use crate::service::throttle::guesses;
use crate::service::{Account, AccountDetails, Authd, Error, NewAccount, Selector};
use crate::store::{Broken, ReadTx, params};

/// Locked accounts that one question lists.
const MOST_LISTED: u32 = 1000;

/// Wrong passwords for an account, without a day's break.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Failures {
    /// The account.
    pub id: AccountId,
    /// The e-mail address of the account.
    pub email: String,
    /// How many.
    pub failures: u32,
    /// When the last one was.
    pub last_at: Timestamp,
    /// Until when strangers are refused, even with the right password; absent if they are not. Known places and open
    /// sessions are not concerned.
    pub locked_until: Option<Timestamp>,
    /// From where they came, the latest first, at most [`Failures::MOST_ADDRESSES`].
    pub addresses: Vec<IpAddr>,
}

impl Failures {
    /// The most addresses that are named.
    pub const MOST_ADDRESSES: u32 = 10;
}

impl Authd {
    /// One account, for an operator.
    ///
    /// # Errors
    /// [`Code::NotFound`](crate::service::Code::NotFound).
    pub fn find_account(&self, selector: &Selector) -> Result<AccountDetails, Error> {
        self.store.read(|tx| {
            let found = account::select(tx, selector)?;
            Ok(account::details(tx, found)?)
        })
    }

    /// The failed sign-ins of an account since somebody last signed in to it, for an operator; `None` if there are none.
    ///
    /// # Errors
    /// [`Code::NotFound`](crate::service::Code::NotFound).
    pub fn failures(&self, selector: &Selector) -> Result<Option<Failures>, Error> {
        self.store.read(|tx| {
            let account = account::select(tx, selector)?;
            Ok(failures_of(tx, account)?)
        })
    }

    /// The accounts for which too many wrong passwords were given, for an operator; at most 1,000.
    ///
    /// # Errors
    /// Only those of the store.
    pub fn locked_accounts(&self) -> Result<Vec<Failures>, Error> {
        self.store.read(|tx| {
            let mut locked = Vec::new();
            for account in guesses::locked(tx, MOST_LISTED)? {
                let account = account::load(tx, account)?;
                locked.extend(failures_of(tx, account)?);
            }
            Ok(locked)
        })
    }
}

impl Administration<'_> {
    /// Makes an account, for an operator. Without a password nobody can sign in to it yet.
    ///
    /// # Errors
    /// [`Code::WeakPassword`](crate::service::Code::WeakPassword); [`Code::EmailTaken`](crate::service::Code::EmailTaken);
    /// [`Code::UsernameTaken`](crate::service::Code::UsernameTaken); [`Code::InvalidRequest`](crate::service::Code::InvalidRequest).
    pub fn add_account(
        &self,
        account: NewAccount,
        password: Option<&str>,
    ) -> Result<Account, Error> {
        let new = self.authd.prepare(account, password, Requester::OPERATOR)?;
        Ok(self.write(move |cx| account::insert(cx, &new))?.shown)
    }

    /// Disables an account: it cannot sign in, and its sessions end in the same transaction. Returns the account and how
    /// many sessions that ended.
    ///
    /// # Errors
    /// [`Code::NotFound`](crate::service::Code::NotFound);
    /// [`Code::LastAdministrator`](crate::service::Code::LastAdministrator);
    /// [`Code::OwnAccount`](crate::service::Code::OwnAccount).
    pub fn disable_account(&self, selector: &Selector) -> Result<(Account, usize), Error> {
        let selector = selector.clone();
        self.write(move |cx| {
            let account = account::select(cx, &selector)?;
            administration::refuse_removal(cx, &account)?;
            let disabled = cx.run(
                "UPDATE account SET disabled_at = ?2 WHERE id = ?1 AND disabled_at IS NULL",
                params![account.key, cx.now],
            )?;
            if disabled == 1 {
                cx.event(Kind::AccountDisabled, account.key).write(cx)?;
            }
            one_time_token::void_all(cx, account.key, "account_disabled")?;
            let ended = session::end_all(cx, account.key, None, Ended::AccountDisabled)?;
            Ok((account::load(cx, account.key)?.shown, ended))
        })
    }

    /// Lets a disabled account sign in again. Its old sessions stay ended.
    ///
    /// # Errors
    /// [`Code::NotFound`](crate::service::Code::NotFound).
    pub fn enable_account(&self, selector: &Selector) -> Result<Account, Error> {
        let selector = selector.clone();
        self.write(move |cx| {
            let account = account::select(cx, &selector)?;
            let enabled = cx.run(
                "UPDATE account SET disabled_at = NULL WHERE id = ?1 AND disabled_at IS NOT NULL",
                params![account.key],
            )?;
            if enabled == 1 {
                cx.event(Kind::AccountEnabled, account.key).write(cx)?;
            }
            Ok(account::load(cx, account.key)?.shown)
        })
    }

    /// Forgets the failures on an account, so that its owner need not wait, for an operator. Returns the account, and until
    /// when it was locked, if it was.
    ///
    /// # Errors
    /// [`Code::NotFound`](crate::service::Code::NotFound).
    pub fn unlock_account(
        &self,
        selector: &Selector,
    ) -> Result<(Account, Option<Timestamp>), Error> {
        let selector = selector.clone();
        self.write(move |cx| {
            let account = account::select(cx, &selector)?;
            let count = guesses::count(cx, account.key)?;
            let locked = count.and_then(|count| count.locked_until);
            guesses::clear(cx, account.key)?;
            if locked.is_some() {
                cx.event(Kind::AccountUnlocked, account.key).write(cx)?;
            }
            Ok((account.shown, locked))
        })
    }

    /// Deletes an account with its sessions and events, for an operator.
    ///
    /// # Errors
    /// [`Code::NotFound`](crate::service::Code::NotFound);
    /// [`Code::LastAdministrator`](crate::service::Code::LastAdministrator);
    /// [`Code::OwnAccount`](crate::service::Code::OwnAccount).
    pub fn delete_account(&self, selector: &Selector) -> Result<Account, Error> {
        self.delete_if(selector, |_| Ok(()))
    }

    /// [`Administration::delete_account`], if `email` is the account's address: for a client in which it was typed.
    ///
    /// # Errors
    /// Those of [`Administration::delete_account`]; [`Code::InvalidRequest`](crate::service::Code::InvalidRequest) for
    /// another address.
    pub fn delete_confirmed_account(
        &self,
        selector: &Selector,
        email: &str,
    ) -> Result<Account, Error> {
        let typed = identifiers::fold_login(email);
        self.delete_if(selector, move |account| {
            match identifiers::fold_login(&account.email) == typed {
                true => Ok(()),
                false => Err(Error::invalid(
                    "This is not the e-mail address of the account, so nothing was deleted.",
                )),
            }
        })
    }

    fn delete_if(
        &self,
        selector: &Selector,
        confirm: impl Fn(&Account) -> Result<(), Error> + Send + 'static,
    ) -> Result<Account, Error> {
        let selector = selector.clone();
        self.write(move |cx| {
            let account = account::select(cx, &selector)?;
            confirm(&account.shown)?;
            administration::refuse_removal(cx, &account)?;
            account::delete(cx, account.key)?;
            Ok(account.shown)
        })
    }

    /// Sets the password of an account, for an operator: ends its sessions and forgets its failures. Returns how many
    /// sessions that ended.
    ///
    /// # Errors
    /// [`Code::NotFound`](crate::service::Code::NotFound); [`Code::WeakPassword`](crate::service::Code::WeakPassword).
    pub fn set_password(
        &self,
        selector: &Selector,
        password: &str,
        temporary: bool,
    ) -> Result<usize, Error> {
        let account = self
            .authd
            .store
            .read(|tx| account::select(tx, selector))?
            .key;
        let hash = self
            .authd
            .hash_new(account, password, Requester::OPERATOR, || {
                Error::not_found("account")
            })?;
        self.write(move |cx| {
            let changed = cx.run(
                "UPDATE account SET password_hash = ?2, password_temporary = ?3 WHERE id = ?1",
                params![account, hash, temporary],
            )?;
            if changed == 0 {
                return Err(Error::not_found("account"));
            }
            password::password_was_changed(cx, account)?;
            cx.event(Kind::PasswordChanged, account).write(cx)?;
            session::end_all(cx, account, None, Ended::PasswordChanged)
        })
    }
}

fn failures_of(tx: &ReadTx<'_>, account: account::Loaded) -> Result<Option<Failures>, Broken> {
    let Some(count) = guesses::count(tx, account.key)? else {
        return Ok(None);
    };
    Ok(Some(Failures {
        id: account.shown.id,
        email: account.shown.email,
        failures: count.failures,
        last_at: count.last_at,
        locked_until: count.locked_until,
        addresses: event::failing_addresses(tx, account.key, Failures::MOST_ADDRESSES)?,
    }))
}
