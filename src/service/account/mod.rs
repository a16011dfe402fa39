//! Accounts: who somebody is.
//!
//! Somebody is found by e-mail address or username; each is compared in one folded form, so that `Ann@Example.org` and
//! `ann@example.org` are one account. What comes from outside is read here into its two forms, the one that is shown and
//! the one that is compared, or refused.

pub mod groups;
pub mod pending_email;

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::json;
use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;

use crate::clock::Timestamp;
use crate::ids::{AccountId, AccountKey};
use crate::secret::TagKey;
use crate::service::error::{invalid_token, unexpected};
use crate::service::event::{self, Entry, Kind};
use crate::service::throttle;
use crate::service::{Actor, Authd, Code, Error, Event, EventQuery};
use crate::store::{Broken, ReadTx, Row, Tx, params};

/// RFC 5321 §4.5.3.1: an address has at most 254 octets, its local part 64.
const EMAIL_LENGTH: usize = 254;
const LOCAL_PART_LENGTH: usize = 64;

/// Longest username, in characters.
const USERNAME_LENGTH: usize = 64;

/// Longest name of a person, in characters.
const NAME_LENGTH: usize = 200;

/// An account as its owner and an operator see it.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Account {
    /// Its public name (a UUID), the `sub` of its tokens.
    pub id: AccountId,
    /// E-mail address, as it was typed.
    pub email: String,
    /// Whether it was shown that its owner reads mail at this address. Nobody can set it.
    pub email_verified: bool,
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
pub(in crate::service) struct Loaded {
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

impl Authd {
    /// The account of whoever asks.
    ///
    /// # Errors
    /// [`Code::InvalidToken`] if it was deleted since.
    pub fn account(&self, actor: &Actor) -> Result<AccountDetails, Error> {
        self.store.read(|tx| {
            let found = find(tx, actor.account_key)?;
            Ok(details(tx, found.ok_or_else(invalid_token)?)?)
        })
    }

    /// What happened to the account of whoever asks, newest first: at most `limit` events (1 to [`EventQuery::MOST`])
    /// before the one with the number `before`, or the latest.
    ///
    /// # Errors
    /// Only those of the store.
    pub fn own_events(
        &self,
        actor: &Actor,
        before: Option<i64>,
        limit: u32,
    ) -> Result<Vec<Event>, Error> {
        let (before, limit) = (before.unwrap_or(i64::MAX), limit.clamp(1, EventQuery::MOST));
        let account = actor.account_key;
        Ok(self
            .store
            .read(|tx| event::list_for_owner(tx, account, before, limit))?)
    }
}

/// An account that was checked and hashed, ready to be written.
pub(in crate::service) struct Prepared {
    pub account: NewAccount,
    pub email: String,
    pub email_key: String,
    pub username: Option<(String, String)>,
    pub name: Option<String>,
    pub hash: Option<String>,
}

/// Finds an account by how an operator points at it.
pub(in crate::service) fn select(tx: &ReadTx<'_>, selector: &Selector) -> Result<Loaded, Error> {
    let found = match selector {
        Selector::Id(id) => tx.row(
            "SELECT id, public_id, email, email_verified_at IS NOT NULL, username, name, admin, disabled_at, \
             created_at FROM account WHERE public_id = ?1",
            params![id],
            from_row,
        ),
        Selector::Login(login) => tx.row(
            "SELECT id, public_id, email, email_verified_at IS NOT NULL, username, name, admin, disabled_at, \
             created_at FROM account WHERE email_key = ?1 OR username_key = ?1",
            params![fold_login(login)],
            from_row,
        ),
    }?;
    found.ok_or_else(|| Error::not_found("account"))
}

/// Loads an account that is known to exist.
pub(in crate::service) fn load(tx: &ReadTx<'_>, key: AccountKey) -> Result<Loaded, Broken> {
    find(tx, key)?.ok_or_else(|| unexpected("an account is gone"))
}

/// Loads an account, unless it was deleted.
pub(in crate::service) fn find(tx: &ReadTx<'_>, key: AccountKey) -> Result<Option<Loaded>, Broken> {
    tx.row(
        "SELECT id, public_id, email, email_verified_at IS NOT NULL, username, name, admin, disabled_at, \
         created_at FROM account WHERE id = ?1",
        params![key],
        from_row,
    )
}

/// Adds to an account what stands beside its row.
pub(in crate::service) fn details(
    tx: &ReadTx<'_>,
    account: Loaded,
) -> Result<AccountDetails, Broken> {
    Ok(AccountDetails {
        pending_email: pending_email::pending(tx, account.key)?.map(|pending| pending.email),
        groups: groups(tx, account.key)?,
        account: account.shown,
    })
}

/// The names of the groups that an account is in, sorted.
pub(in crate::service) fn groups(
    tx: &ReadTx<'_>,
    account: AccountKey,
) -> Result<Vec<String>, Broken> {
    tx.rows(
        "SELECT g.name FROM membership m JOIN user_group g ON g.id = m.group_id WHERE m.account_id = ?1 \
         ORDER BY g.name",
        params![account],
        |row| row.get(0),
    )
}

/// Reads a row that begins with the key and what is shown of an account.
pub(in crate::service) fn from_row(row: &Row<'_>) -> Result<Loaded, Broken> {
    from_columns(row, 0, 1)
}

/// Reads an account out of a wider row: its key stands at `key`, what is shown of it from `first` on.
pub(in crate::service) fn from_columns(
    row: &Row<'_>,
    key: usize,
    first: usize,
) -> Result<Loaded, Broken> {
    Ok(Loaded {
        key: row.get(key)?,
        shown: Account {
            id: row.get(first)?,
            email: row.get(first + 1)?,
            email_verified: row.get(first + 2)?,
            username: row.get(first + 3)?,
            name: row.get(first + 4)?,
            admin: row.get(first + 5)?,
            disabled_at: row.get(first + 6)?,
            created_at: row.get(first + 7)?,
        },
    })
}

pub(in crate::service) fn insert(tx: &Tx<'_>, new: &Prepared) -> Result<Loaded, Error> {
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
             RETURNING id, public_id, email, email_verified_at IS NOT NULL, username, name, admin, disabled_at, \
                 created_at",
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
    if new.account.admin {
        // However this one was made: an open set-up link would make another.
        tx.run("UPDATE server SET setup_digest = NULL", params![])?;
    }
    Entry::of(Kind::AccountCreated, account.key).write(tx)?;
    Ok(account)
}

/// Deletes an account with its sessions, events and failures.
pub(in crate::service) fn delete(
    tx: &Tx<'_>,
    key: &TagKey,
    account: AccountKey,
) -> Result<(), Broken> {
    let id = load(tx, account)?.shown.id;
    throttle::clear(tx, key, account)?;
    tx.run("DELETE FROM account WHERE id = ?1", params![account])?;
    // What remains names nobody: the operator sees that an account went, and when.
    Entry::of_nobody(Kind::AccountDeleted)
        .detail(json!({ "account": id }))
        .write(tx)
}

/// Refuses an account whose username another has; one that asks for none is not refused.
pub(in crate::service) fn refuse_taken_name(
    tx: &ReadTx<'_>,
    account: &NewAccount,
) -> Result<(), Error> {
    let username = account.username.as_deref().map(read_username).transpose()?;
    match username.flatten() {
        Some((_, key)) => refuse_taken_username(tx, &key, AccountKey::from_row(0)),
        None => Ok(()),
    }
}

/// Whose an address is.
pub(in crate::service) struct Owner {
    pub key: AccountKey,
    pub is_disabled: bool,
}

/// Whose an address is, if there is an account with it.
pub(in crate::service) fn owner_of(
    tx: &ReadTx<'_>,
    email_key: &str,
) -> Result<Option<Owner>, Broken> {
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
pub(in crate::service) fn is_username_taken(tx: &ReadTx<'_>, key: &str) -> Result<bool, Broken> {
    let taken = tx.row(
        "SELECT id FROM account WHERE username_key = ?1",
        params![key],
        |row| row.get::<AccountKey>(0),
    )?;
    Ok(taken.is_some())
}

pub(in crate::service) fn refuse_taken_email(
    tx: &ReadTx<'_>,
    key: &str,
    but: AccountKey,
) -> Result<(), Error> {
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

pub(in crate::service) fn refuse_taken_username(
    tx: &ReadTx<'_>,
    key: &str,
    but: AccountKey,
) -> Result<(), Error> {
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

/// One form for all ways of writing one login: compatibility-normalised and folded in case, so that full-width letters,
/// ligatures and a final sigma do not make a second `ann`. By way of the capitals, since that is where `ς` and `σ`, `ß` and
/// `ss` meet.
pub(in crate::service) fn fold_login(text: &str) -> String {
    let capitals = text.trim().nfkc().flat_map(char::to_uppercase);
    let folded: String = capitals.flat_map(char::to_lowercase).collect();
    folded.nfkc().collect()
}

/// Reads an e-mail address: ASCII, one `@`, no quoting, comments or lists (req 26). Returns it and its compared form.
pub(in crate::service) fn read_email(text: &str) -> Result<(String, String), Error> {
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
pub(in crate::service) fn read_username(text: &str) -> Result<Option<(String, String)>, Error> {
    let username: String = text.trim().nfc().collect();
    if username.is_empty() {
        return Ok(None);
    }
    // Marks are letters' companions: many scripts cannot be written without them.
    let allowed = |c: char| c.is_alphanumeric() || is_combining_mark(c) || "._-".contains(c);
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
pub(in crate::service) fn read_name(text: &str) -> Result<Option<String>, Error> {
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
        assert_eq!(fold_login("ΣΑΣ"), fold_login("σας"));
        assert_eq!(fold_login("Straße"), fold_login("STRASSE"));
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
        assert!(key("İstanbul").is_ok() && key("हिन्दी").is_ok());
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
