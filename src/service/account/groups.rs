//! Groups: what accounts have in common, for apps to read.
//!
//! To authd a group means nothing: it opens no door here. An app learns the names from access tokens of the scope
//! `groups`, or from `GET /v1/account`, and compares them exactly. So a name has one spelling, in lower-case ASCII, and
//! is never changed: an app that knows the old one would let nobody in, or the wrong people.
//!
//! Operators alone make groups and say who is in them. A token tells what was so when it was signed, so an app hears of a
//! change with the next refresh.

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::json;

use crate::clock::Timestamp;
use crate::ids::{AccountKey, GroupKey};
use crate::service::context::Context;
use crate::service::error::unexpected;
use crate::service::event::{Entry, Kind};
use crate::service::{Authd, Code, Error};
use crate::store::{ReadTx, params};

/// Groups of one account. Their names travel in access tokens, and a token has to fit into one header line of every
/// proxy on its way; 8 KiB is what the usual ones take.
pub const MOST_OF_ACCOUNT: u32 = 32;

/// Groups of a server: a list that an operator still reads.
pub const MOST_GROUPS: u32 = 1000;

/// Longest name, in characters.
pub const NAME_LENGTH: usize = 64;

/// A group as an operator sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Group {
    /// Its name, as apps compare it.
    pub name: String,
    /// How many accounts are in it.
    pub members: u64,
    /// When it was made.
    pub created_at: Timestamp,
}

impl Group {
    /// The most groups of a server.
    pub const MOST: usize = MOST_GROUPS as usize;
}

impl Authd {
    /// All groups, by name, for an operator.
    ///
    /// # Errors
    /// Only those of the store.
    pub fn groups(&self) -> Result<Vec<Group>, Error> {
        Ok(self.store.read(|tx| {
            tx.rows(
                "SELECT g.name, (SELECT count(*) FROM membership m WHERE m.group_id = g.id), g.created_at \
                 FROM user_group g ORDER BY g.name LIMIT ?1",
                params![MOST_GROUPS],
                |row| {
                    Ok(Group {
                        name: row.get(0)?,
                        members: row.get::<i64>(1)?.unsigned_abs(),
                        created_at: row.get(2)?,
                    })
                },
            )
        })?)
    }
}

/// The group of this name.
pub fn select(tx: &ReadTx<'_>, name: &str) -> Result<GroupKey, Error> {
    let found = tx.row(
        "SELECT id FROM user_group WHERE name = ?1",
        params![name],
        |row| row.get(0),
    )?;
    found.ok_or_else(|| {
        Error::no(
            Code::NotFound,
            "There is no such group. `authd group list` shows those that there are, and `authd group add` makes one.",
        )
    })
}

/// Takes an account into a group, with an event, which says who did it: an operator, an administrator, or the invitation
/// with which the account was made. Returns whether it was not in it before.
pub fn grant(cx: &Context<'_>, group: GroupKey, account: AccountKey) -> Result<bool, Error> {
    let granted = cx.run(
        "INSERT INTO membership (account_id, group_id, granted_at) VALUES (?1, ?2, ?3) \
         ON CONFLICT (account_id, group_id) DO NOTHING",
        params![account, group, cx.now],
    )?;
    let groups: u32 = cx
        .row(
            "SELECT count(*) FROM membership WHERE account_id = ?1",
            params![account],
            |row| row.get(0),
        )?
        .ok_or_else(|| unexpected("a count has no row"))?;
    if groups > MOST_OF_ACCOUNT {
        return Err(Error::invalid(format!(
            "This account is in {MOST_OF_ACCOUNT} groups already, and there is no room for more."
        )));
    }
    if granted == 1 {
        let name: Option<String> = cx.row(
            "SELECT name FROM user_group WHERE id = ?1",
            params![group],
            |row| row.get(0),
        )?;
        let detail = match cx.by() {
            Some(_) => json!({ "group": name }),
            None => json!({ "group": name, "by": "invitation" }),
        };
        Entry::of(Kind::GroupGranted, account)
            .by(cx.by())
            .detail(detail)
            .write(cx)?;
    }
    Ok(granted == 1)
}

/// Reads the name of a new group.
pub fn read_name(text: &str) -> Result<String, Error> {
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "._-".contains(c);
    let is_name = |text: &str| {
        text.len() <= NAME_LENGTH
            && text.chars().all(allowed)
            && text.starts_with(|c: char| c.is_ascii_alphanumeric())
    };
    if is_name(text) {
        return Ok(text.to_owned());
    }
    let lower = text.to_ascii_lowercase();
    Err(Error::invalid(if is_name(&lower) {
        format!(
            "A group's name is written in lower case, since apps compare it exactly: `{lower}`."
        )
    } else {
        format!(
            "A group's name has 1 to {NAME_LENGTH} lower-case letters (a-z), digits, dots, hyphens and underscores, and \
             begins with a letter or digit."
        )
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test] // apps compare names exactly: there is one way to write each
    fn names_have_one_spelling() {
        let longest = "a".repeat(NAME_LENGTH);
        for good in ["staff", "0", "team-a.b_c", &longest] {
            assert_eq!(read_name(good).ok().as_deref(), Some(good));
        }
        let long = "a".repeat(NAME_LENGTH + 1);
        for bad in [
            "", ".", "-a", "_a", "a b", " a", "a,b", "a/b", "é", "ﬁ", "a\n", "a\"", &long,
        ] {
            assert!(read_name(bad).is_err(), "{bad:?}");
        }
        let told = read_name("Admins").expect_err("not in lower case");
        assert!(told.to_string().contains("`admins`"), "{told}");
    }
}
