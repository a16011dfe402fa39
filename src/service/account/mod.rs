//! Accounts.
//!
//! An account is found by e-mail address or username, each in one folded form ([`identifiers`]), so that `Ann@Example.org`
//! and `ann@example.org` are one account.

pub mod groups;
pub mod identifiers;
pub mod pending_email;

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::json;

use crate::clock::Timestamp;
use crate::ids::{AccountId, AccountKey};
use crate::service::context::Context;
use crate::service::error::{invalid_token, unexpected};
use crate::service::event::{Entry, Kind};
use crate::service::{Actor, Authd, Code, Error};
use crate::store::{Broken, ReadTx, Row, Tx, params};

/// The columns of an account, of which the table is called `a`; [`from_row`] reads them.
macro_rules! account_columns {
    () => {
        "a.id, a.public_id, a.email, a.email_verified_at IS NOT NULL, a.username, a.name, a.admin, a.disabled_at, \
         a.created_at"
    };
}
pub(in crate::service) use account_columns;

/// An account as its owner and an operator see it.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Account {
    /// Its public name (a UUID), the `sub` of its tokens.
    pub id: AccountId,
    /// E-mail address, as it was typed.
    pub email: String,
    /// Whether its owner has proven to read mail at this address. No request can set it.
    pub email_verified: bool,
    /// Another name to sign in with.
    pub username: Option<String>,
    /// The owner's name, as people write it.
    pub name: Option<String>,
    /// Whether its owner may administer this server.
    pub admin: bool,
    /// When it was disabled; absent if it may sign in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub disabled_at: Option<Timestamp>,
    /// When it was made.
    pub created_at: Timestamp,
}

/// An account with what is looked up for one alone: as its owner sees it, and an operator who asks for just this one.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct AccountDetails {
    /// The account.
    #[serde(flatten)]
    pub account: Account,
    /// The address that it will have when that is confirmed at both; absent if no change waits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pending_email: Option<String>,
    /// The names of the groups that it is in, sorted.
    pub groups: Vec<String>,
}

/// An account with its row, inside a transaction.
#[derive(Clone, Debug)]
pub struct Loaded {
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
    /// The owner's name, as people write it.
    pub name: Option<String>,
    /// Whether its owner may administer this server.
    pub admin: bool,
    /// Whether the password has to be changed at the first sign-in.
    pub temporary: bool,
}

/// How an operator names an account.
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

impl Authd {
    /// The account of the client that asks.
    ///
    /// # Errors
    /// [`Code::InvalidToken`] if it was deleted meanwhile.
    pub fn account(&self, actor: &Actor) -> Result<AccountDetails, Error> {
        self.store.read(|tx| {
            let found = find(tx, actor.account_key)?;
            Ok(details(tx, found.ok_or_else(invalid_token)?)?)
        })
    }
}

impl Authd {
    /// The change of the e-mail address of the client that asks, if one waits.
    ///
    /// # Errors
    /// Only those of the store.
    pub fn email_change(&self, actor: &Actor) -> Result<Option<PendingEmailChange>, Error> {
        let account = actor.account_key;
        let pending = self.store.read(|tx| pending_email::pending(tx, account))?;
        Ok(pending.map(|pending| PendingEmailChange {
            email: pending.email,
            present_confirmed: pending.present_confirmed,
            new_confirmed: pending.new_confirmed,
        }))
    }
}

/// A change of e-mail address that waits to be confirmed at both addresses.
#[derive(Clone, Debug)]
pub struct PendingEmailChange {
    /// The new address.
    pub email: String,
    /// Whether it was confirmed at the present address.
    pub present_confirmed: bool,
    /// Whether it was confirmed at the new address.
    pub new_confirmed: bool,
}

/// An account that was checked and hashed, ready to be written.
pub struct Prepared {
    pub account: NewAccount,
    pub email: String,
    pub email_key: String,
    pub username: Option<(String, String)>,
    pub name: Option<String>,
    pub hash: Option<String>,
}

/// Finds the account that an operator named.
pub fn select(tx: &ReadTx<'_>, selector: &Selector) -> Result<Loaded, Error> {
    let found = match selector {
        Selector::Id(id) => tx.row(
            concat!(
                "SELECT ",
                account_columns!(),
                " FROM account a WHERE a.public_id = ?1"
            ),
            params![id],
            from_row,
        ),
        Selector::Login(login) => tx.row(
            concat!(
                "SELECT ",
                account_columns!(),
                " FROM account a WHERE a.email_key = ?1 OR a.username_key = ?1"
            ),
            params![identifiers::fold_login(login)],
            from_row,
        ),
    }?;
    found.ok_or_else(|| Error::not_found("account"))
}

/// Loads an account that is known to exist.
pub fn load(tx: &ReadTx<'_>, key: AccountKey) -> Result<Loaded, Broken> {
    find(tx, key)?.ok_or_else(|| unexpected("an account is gone"))
}

/// Loads an account, unless it was deleted.
pub fn find(tx: &ReadTx<'_>, key: AccountKey) -> Result<Option<Loaded>, Broken> {
    tx.row(
        concat!(
            "SELECT ",
            account_columns!(),
            " FROM account a WHERE a.id = ?1"
        ),
        params![key],
        from_row,
    )
}

/// Adds to an account its groups and the address that waits.
pub fn details(tx: &ReadTx<'_>, account: Loaded) -> Result<AccountDetails, Broken> {
    Ok(AccountDetails {
        pending_email: pending_email::pending(tx, account.key)?.map(|pending| pending.email),
        groups: groups(tx, account.key)?,
        account: account.shown,
    })
}

/// The names of the groups that an account is in, sorted.
pub fn groups(tx: &ReadTx<'_>, account: AccountKey) -> Result<Vec<String>, Broken> {
    tx.rows(
        "SELECT g.name FROM membership m JOIN user_group g ON g.id = m.group_id WHERE m.account_id = ?1 \
         ORDER BY g.name",
        params![account],
        |row| row.get(0),
    )
}

/// Reads a row that begins with the columns of an account.
pub fn from_row(row: &Row<'_>) -> Result<Loaded, Broken> {
    from_columns(row, 0)
}

/// Reads the columns of an account out of a wider row, from `first` on.
pub fn from_columns(row: &Row<'_>, first: usize) -> Result<Loaded, Broken> {
    Ok(Loaded {
        key: row.get(first)?,
        shown: Account {
            id: row.get(first + 1)?,
            email: row.get(first + 2)?,
            email_verified: row.get(first + 3)?,
            username: row.get(first + 4)?,
            name: row.get(first + 5)?,
            admin: row.get(first + 6)?,
            disabled_at: row.get(first + 7)?,
            created_at: row.get(first + 8)?,
        },
    })
}

/// Inserts an account that was checked and hashed.
///
/// # Errors
/// [`Code::EmailTaken`]; [`Code::UsernameTaken`].
pub fn insert(cx: &Context<'_>, new: &Prepared) -> Result<Loaded, Error> {
    let nobody = AccountKey::from_row(0);
    refuse_taken_email(cx, &new.email_key, nobody)?;
    let (username, username_key) = new.username.clone().unzip();
    if let Some(key) = &username_key {
        refuse_taken_username(cx, key, nobody)?;
    }
    let key = cx
        .row(
            "INSERT INTO account (public_id, email, email_key, username, username_key, name, name_key, admin, \
             password_hash, password_temporary, created_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11) \
             RETURNING id",
            params![
                AccountId::random(cx.random()),
                new.email,
                new.email_key,
                username,
                username_key,
                new.name,
                new.name.as_deref().map(identifiers::fold),
                new.account.admin,
                new.hash,
                new.account.temporary,
                cx.now,
            ],
            |row| row.get(0),
        )?
        .ok_or_else(|| unexpected("an insertion returned no row"))?;
    if new.account.admin {
        // An open set-up link would make another administrator.
        cx.run("UPDATE server SET setup_digest = NULL", params![])?;
    }
    Entry::of(Kind::AccountCreated, key).by(cx.by()).write(cx)?;
    Ok(load(cx, key)?)
}

/// Gives an account a username that was read in its two forms, or none.
///
/// # Errors
/// [`Code::UsernameTaken`].
pub fn set_username(
    tx: &Tx<'_>,
    account: AccountKey,
    username: Option<(String, String)>,
) -> Result<(), Error> {
    let (username, key) = username.unzip();
    if let Some(key) = &key {
        refuse_taken_username(tx, key, account)?;
    }
    tx.run(
        "UPDATE account SET username = ?2, username_key = ?3 WHERE id = ?1",
        params![account, username, key],
    )?;
    Ok(())
}

/// Gives an account a name that was read, or none.
pub fn set_name(tx: &Tx<'_>, account: AccountKey, name: Option<&str>) -> Result<(), Broken> {
    tx.run(
        "UPDATE account SET name = ?2, name_key = ?3 WHERE id = ?1",
        params![account, name, name.map(identifiers::fold)],
    )?;
    Ok(())
}

/// Deletes an account with its sessions, events and counters.
pub fn delete(cx: &Context<'_>, account: AccountKey) -> Result<(), Broken> {
    let id = load(cx, account)?.shown.id;
    cx.run("DELETE FROM account WHERE id = ?1", params![account])?;
    // This event stays, without the address: operators see that an account was deleted, and when.
    cx.event_of_nobody(Kind::AccountDeleted)
        .detail(json!({ "account": id }))
        .write(cx)
}

/// Refuses a new account whose username another account has.
pub fn refuse_taken_name(tx: &ReadTx<'_>, account: &NewAccount) -> Result<(), Error> {
    let username = account
        .username
        .as_deref()
        .map(identifiers::read_username)
        .transpose()?;
    match username.flatten() {
        Some((_, key)) => refuse_taken_username(tx, &key, AccountKey::from_row(0)),
        None => Ok(()),
    }
}

/// The account that has an address.
pub struct Owner {
    pub key: AccountKey,
    pub is_disabled: bool,
}

/// The account that has an address, if one has.
pub fn owner_of(tx: &ReadTx<'_>, email_key: &str) -> Result<Option<Owner>, Broken> {
    tx.row(
        "SELECT id, disabled_at IS NOT NULL FROM account WHERE email_key = ?1",
        params![email_key],
        |row| {
            Ok(Owner {
                key: row.get(0)?,
                is_disabled: row.get(1)?,
            })
        },
    )
}

/// Whether an account has this username.
pub fn is_username_taken(tx: &ReadTx<'_>, key: &str) -> Result<bool, Broken> {
    let taken = tx.row(
        "SELECT id FROM account WHERE username_key = ?1",
        params![key],
        |row| row.get::<AccountKey>(0),
    )?;
    Ok(taken.is_some())
}

pub fn refuse_taken_email(tx: &ReadTx<'_>, key: &str, but: AccountKey) -> Result<(), Error> {
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

pub fn refuse_taken_username(tx: &ReadTx<'_>, key: &str, but: AccountKey) -> Result<(), Error> {
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
