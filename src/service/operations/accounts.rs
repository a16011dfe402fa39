//! What an operator does with accounts: make, find, disable and delete them, set their passwords, read their events.
//!
//! These methods check no permission. The command line calls them: a person who can open the file can do all of this.

use std::net::IpAddr;

use serde::Serialize;
use serde_json::json;

use crate::clock::Timestamp;
use crate::ids::AccountKey;
use crate::service::account::{self, account_columns, groups};
use crate::service::authentication::password;
use crate::service::delivery::one_time_token;
use crate::service::event::{self, Entry, Kind};
use crate::service::session::{self, Ended};
use crate::service::throttle::guesses;
use crate::service::{Account, AccountDetails, Authd, Error, NewAccount, Selector};
use crate::store::{Broken, ReadTx, params};

/// Accounts that one question lists.
const MOST_LISTED: u32 = 1000;

/// Which accounts to list.
#[derive(Clone, Debug, Default)]
pub struct AccountQuery {
    /// Only those made after this one.
    pub after: Option<Selector>,
    /// Only those in the group of this name.
    pub group: Option<String>,
}

/// Wrong passwords for an account, without a day's break.
#[derive(Clone, Debug, Serialize)]
pub struct Failures {
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
        let new = self.prepare(account, password)?;
        Ok(self.write(None, move |cx| account::insert(cx, &new))?.shown)
    }

    /// At most 1,000 accounts in the order of their making, for an operator.
    ///
    /// # Errors
    /// [`Code::NotFound`](crate::service::Code::NotFound) if there is no such account to begin after, or no such group.
    pub fn accounts(&self, query: &AccountQuery) -> Result<Vec<Account>, Error> {
        self.store.read(|tx| {
            let after = match &query.after {
                Some(selector) => account::select(tx, selector)?.key,
                None => AccountKey::from_row(0),
            };
            let listed = match &query.group {
                None => tx.rows(
                    concat!(
                        "SELECT ",
                        account_columns!(),
                        " FROM account a WHERE a.id > ?1 ORDER BY a.id LIMIT ?2"
                    ),
                    params![after, MOST_LISTED],
                    account::from_row,
                ),
                Some(name) => tx.rows(
                    concat!(
                        "SELECT ",
                        account_columns!(),
                        " FROM membership m JOIN account a ON a.id = m.account_id \
                         WHERE m.group_id = ?3 AND m.account_id > ?1 ORDER BY m.account_id LIMIT ?2"
                    ),
                    params![after, MOST_LISTED, groups::select(tx, name)?],
                    account::from_row,
                ),
            }?;
            Ok(listed.into_iter().map(|loaded| loaded.shown).collect())
        })
    }

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

    /// Disables an account: it cannot sign in, and its sessions end in the same transaction. Returns the account and how
    /// many sessions that ended.
    ///
    /// # Errors
    /// [`Code::NotFound`](crate::service::Code::NotFound).
    pub fn disable_account(&self, selector: &Selector) -> Result<(Account, usize), Error> {
        let selector = selector.clone();
        self.write(None, move |cx| {
            let account = account::select(cx, &selector)?;
            let disabled = cx.run(
                "UPDATE account SET disabled_at = ?2 WHERE id = ?1 AND disabled_at IS NULL",
                params![account.key, cx.now],
            )?;
            if disabled == 1 {
                Entry::of(Kind::AccountDisabled, account.key).write(cx)?;
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
        self.write(None, move |cx| {
            let account = account::select(cx, &selector)?;
            let enabled = cx.run(
                "UPDATE account SET disabled_at = NULL WHERE id = ?1 AND disabled_at IS NOT NULL",
                params![account.key],
            )?;
            if enabled == 1 {
                Entry::of(Kind::AccountEnabled, account.key).write(cx)?;
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
        self.write(None, move |cx| {
            let account = account::select(cx, &selector)?;
            let count = guesses::count(cx, account.key)?;
            let locked = count.and_then(|count| count.locked_until);
            guesses::clear(cx, account.key)?;
            if locked.is_some() {
                Entry::of(Kind::AccountUnlocked, account.key).write(cx)?;
            }
            Ok((account.shown, locked))
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

    /// Deletes an account with its sessions and events, for an operator.
    ///
    /// # Errors
    /// [`Code::NotFound`](crate::service::Code::NotFound).
    pub fn delete_account(&self, selector: &Selector) -> Result<Account, Error> {
        let selector = selector.clone();
        self.write(None, move |cx| {
            let account = account::select(cx, &selector)?;
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
        let account = self.store.read(|tx| account::select(tx, selector))?.key;
        let hash = self.hash_new(account, password, || Error::not_found("account"))?;
        self.write(None, move |cx| {
            let changed = cx.run(
                "UPDATE account SET password_hash = ?2, password_temporary = ?3 WHERE id = ?1",
                params![account, hash, temporary],
            )?;
            if changed == 0 {
                return Err(Error::not_found("account"));
            }
            password::password_was_changed(cx, account)?;
            cx.record(Kind::PasswordChanged, account, json!({ "by": "operator" }))?;
            session::end_all(cx, account, None, Ended::PasswordChanged)
        })
    }
}

fn failures_of(tx: &ReadTx<'_>, account: account::Loaded) -> Result<Option<Failures>, Broken> {
    let Some(count) = guesses::count(tx, account.key)? else {
        return Ok(None);
    };
    Ok(Some(Failures {
        email: account.shown.email,
        failures: count.failures,
        last_at: count.last_at,
        locked_until: count.locked_until,
        addresses: event::failing_addresses(tx, account.key, Failures::MOST_ADDRESSES)?,
    }))
}
