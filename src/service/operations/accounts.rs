//! What an operator does: make, find, disable and delete accounts, set their passwords, look at what happened.
//!
//! These methods ask nobody for a password and are not to be reached by a stranger: the command line calls them, on the
//! strength of being able to open the file.

use std::net::IpAddr;

use serde::Serialize;
use serde_json::json;

use crate::clock::Timestamp;
use crate::ids::AccountKey;
use crate::secret::TagKey;
use crate::service::account;
use crate::service::account::groups;
use crate::service::delivery::message::Topic;
use crate::service::delivery::one_time_link;
use crate::service::delivery::outbox::Note;
use crate::service::event::{self, Entry, Kind};
use crate::service::session::{self, Ended};
use crate::service::throttle;
use crate::service::{Account, AccountDetails, Authd, Error, Event, NewAccount, Selector};
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

/// Which events to list.
#[derive(Clone, Debug, Default)]
pub struct EventQuery {
    /// Of this account only.
    pub account: Option<Selector>,
    /// Older than this event.
    pub before: Option<i64>,
    /// At most this many, newest first; 1 to [`EventQuery::MOST`].
    pub limit: u32,
}

impl EventQuery {
    /// The most events that one question answers.
    pub const MOST: u32 = 1000;
}

/// Failed sign-ins of an account, one after the other.
#[derive(Clone, Debug, Serialize)]
pub struct Failures {
    /// Whose, by e-mail address.
    pub email: String,
    /// How many in a row.
    pub failures: u32,
    /// When the last one was: since then it has to wait, if it has to.
    pub last_at: Timestamp,
    /// Until when nobody can sign in to it; absent if anybody may try. Sessions go on.
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
        Ok(self.store.write(move |tx| account::insert(tx, &new))?.shown)
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
                    "SELECT id, public_id, email, email_verified_at IS NOT NULL, username, name, admin, disabled_at, \
                     created_at FROM account WHERE id > ?1 ORDER BY id LIMIT ?2",
                    params![after, MOST_LISTED],
                    account::from_row,
                ),
                Some(name) => tx.rows(
                    "SELECT a.id, a.public_id, a.email, a.email_verified_at IS NOT NULL, a.username, a.name, a.admin, \
                            a.disabled_at, a.created_at \
                     FROM membership m JOIN account a ON a.id = m.account_id \
                     WHERE m.group_id = ?3 AND m.account_id > ?1 ORDER BY m.account_id LIMIT ?2",
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

    /// Disables an account: it cannot sign in, and its sessions end with the same stroke. Returns the account and how
    /// many sessions that ended.
    ///
    /// # Errors
    /// [`Code::NotFound`](crate::service::Code::NotFound).
    pub fn disable_account(&self, selector: &Selector) -> Result<(Account, usize), Error> {
        let selector = selector.clone();
        self.store.write(move |tx| {
            let account = account::select(tx, &selector)?;
            let disabled = tx.run(
                "UPDATE account SET disabled_at = ?2 WHERE id = ?1 AND disabled_at IS NULL",
                params![account.key, tx.now],
            )?;
            if disabled == 1 {
                Entry::of(Kind::AccountDisabled, account.key).write(tx)?;
            }
            one_time_link::void_all(tx, account.key, "account_disabled")?;
            let ended = session::end_all(tx, account.key, None, Ended::AccountDisabled, None)?;
            Ok((account::load(tx, account.key)?.shown, ended))
        })
    }

    /// Lets a disabled account sign in again. Its old sessions stay ended.
    ///
    /// # Errors
    /// [`Code::NotFound`](crate::service::Code::NotFound).
    pub fn enable_account(&self, selector: &Selector) -> Result<Account, Error> {
        let selector = selector.clone();
        self.store.write(move |tx| {
            let account = account::select(tx, &selector)?;
            let enabled = tx.run(
                "UPDATE account SET disabled_at = NULL WHERE id = ?1 AND disabled_at IS NOT NULL",
                params![account.key],
            )?;
            if enabled == 1 {
                Entry::of(Kind::AccountEnabled, account.key).write(tx)?;
            }
            Ok(account::load(tx, account.key)?.shown)
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
        let (selector, tag_key) = (selector.clone(), self.tag_key.clone());
        self.store.write(move |tx| {
            let account = account::select(tx, &selector)?;
            let subject = throttle::Subject::Account(account.key);
            let locked = throttle::blocked(tx, &tag_key, &subject)?;
            throttle::clear(tx, &tag_key, account.key)?;
            if locked.is_some() {
                Entry::of(Kind::AccountUnlocked, account.key).write(tx)?;
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
            Ok(failures_of(tx, &self.tag_key, account)?)
        })
    }

    /// The accounts that nobody can sign in to for now, since too many tried in vain, for an operator.
    ///
    /// # Errors
    /// Only those of the store.
    pub fn locked_accounts(&self) -> Result<Vec<Failures>, Error> {
        self.store.read(|tx| {
            let mut locked = Vec::new();
            for account in throttle::waiting(tx, &self.tag_key)? {
                let account = account::load(tx, account)?;
                locked.extend(failures_of(tx, &self.tag_key, account)?);
            }
            Ok(locked)
        })
    }

    /// Deletes an account with its sessions and events, for an operator.
    ///
    /// # Errors
    /// [`Code::NotFound`](crate::service::Code::NotFound).
    pub fn delete_account(&self, selector: &Selector) -> Result<Account, Error> {
        let (selector, tag_key) = (selector.clone(), self.tag_key.clone());
        self.store.write(move |tx| {
            let account = account::select(tx, &selector)?;
            account::delete(tx, &tag_key, account.key)?;
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
        let (tag_key, outbox) = (self.tag_key.clone(), self.outbox());
        self.store.write(move |tx| {
            let changed = tx.run(
                "UPDATE account SET password_hash = ?2, password_temporary = ?3 WHERE id = ?1",
                params![account, hash, temporary],
            )?;
            if changed == 0 {
                return Err(Error::not_found("account"));
            }
            throttle::clear(tx, &tag_key, account)?;
            one_time_link::void_all(tx, account, "password_changed")?;
            Entry::of(Kind::PasswordChanged, account)
                .detail(json!({ "by": "operator" }))
                .write(tx)?;
            outbox.note(tx, Note::to(account, Topic::PasswordChanged))?;
            session::end_all(tx, account, None, Ended::PasswordChanged, None)
        })
    }

    /// What happened after the event `after`, oldest first, at most [`EventQuery::MOST`], for an operator who looks on.
    ///
    /// # Errors
    /// [`Code::NotFound`](crate::service::Code::NotFound) if the account that is asked about does not exist.
    pub fn events_after(
        &self,
        account: Option<&Selector>,
        after: i64,
    ) -> Result<Vec<Event>, Error> {
        self.store.read(|tx| {
            let account = match account {
                Some(selector) => Some(account::select(tx, selector)?.key),
                None => None,
            };
            Ok(event::list_after(tx, account, after, EventQuery::MOST)?)
        })
    }

    /// Lists what happened, newest first.
    ///
    /// # Errors
    /// [`Code::NotFound`](crate::service::Code::NotFound) if the account that is asked about does not exist.
    pub fn events(&self, query: &EventQuery) -> Result<Vec<Event>, Error> {
        let limit = query.limit.clamp(1, EventQuery::MOST);
        let before = query.before.unwrap_or(i64::MAX);
        self.store.read(|tx| {
            let account = match &query.account {
                Some(selector) => Some(account::select(tx, selector)?.key),
                None => None,
            };
            Ok(event::list(tx, account, before, limit)?)
        })
    }
}

fn failures_of(
    tx: &ReadTx<'_>,
    key: &TagKey,
    account: account::Loaded,
) -> Result<Option<Failures>, Broken> {
    let Some(count) = throttle::count(tx, key, account.key)? else {
        return Ok(None);
    };
    Ok(Some(Failures {
        email: account.shown.email,
        failures: count.failures,
        last_at: count.last_at,
        locked_until: Some(count.blocked_until).filter(|until| *until > tx.now),
        addresses: event::failing_addresses(tx, account.key, Failures::MOST_ADDRESSES)?,
    }))
}
