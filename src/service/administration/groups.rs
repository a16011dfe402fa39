//! What an operator or an administrator does of groups.

use serde_json::json;

use crate::service::account;
use crate::service::account::groups::{Group, MOST_GROUPS, grant, read_name, select};
use crate::service::administration::Administration;
use crate::service::event::Kind;
use crate::service::{Account, Error, Selector};
use crate::store::params;

impl Administration<'_> {
    /// Makes a group, for an operator.
    ///
    /// # Errors
    /// [`Code::InvalidRequest`](crate::service::Code::InvalidRequest) for a name that is none, or that another group has, and
    /// for the 1,001st group.
    pub fn add_group(&self, name: &str) -> Result<Group, Error> {
        let name = read_name(name)?;
        self.write(move |cx| {
            let made = cx.run(
                "INSERT INTO user_group (name, created_at) VALUES (?1, ?2) ON CONFLICT (name) DO NOTHING",
                params![name, cx.now],
            )?;
            if made == 0 {
                return Err(Error::invalid("A group with this name already exists. Choose another name."));
            }
            let groups: Option<u32> =
                cx.row("SELECT count(*) FROM user_group", params![], |row| row.get(0))?;
            if groups.unwrap_or(0) > MOST_GROUPS {
                return Err(Error::invalid(format!(
                    "There are {MOST_GROUPS} groups already. Delete one that nobody needs."
                )));
            }
            cx.event_of_nobody(Kind::GroupCreated)
                .detail(json!({ "group": name }))
                .write(cx)?;
            Ok(Group {
                name: name.clone(),
                members: 0,
                created_at: cx.now,
            })
        })
    }

    /// Deletes a group, for an operator; nobody is in it any more. Returns how many accounts were.
    ///
    /// # Errors
    /// [`Code::NotFound`](crate::service::Code::NotFound).
    pub fn delete_group(&self, name: &str) -> Result<usize, Error> {
        let name = name.to_owned();
        self.write(move |cx| {
            let group = select(cx, &name)?;
            let members = cx.run("DELETE FROM membership WHERE group_id = ?1", params![group])?;
            cx.run("DELETE FROM user_group WHERE id = ?1", params![group])?;
            cx.event_of_nobody(Kind::GroupDeleted)
                .detail(json!({ "group": name, "members": members }))
                .write(cx)?;
            Ok(members)
        })
    }

    /// Takes an account into a group, for an operator. Returns the account, and whether it was not in it before.
    ///
    /// # Errors
    /// [`Code::NotFound`](crate::service::Code::NotFound) if there is no such group or account;
    /// [`Code::InvalidRequest`](crate::service::Code::InvalidRequest) for the 33rd group of an account.
    pub fn grant_group(&self, name: &str, account: &Selector) -> Result<(Account, bool), Error> {
        let (name, account) = (name.to_owned(), account.clone());
        self.write(move |cx| {
            let group = select(cx, &name)?;
            let account = account::select(cx, &account)?;
            let granted = grant(cx, group, account.key)?;
            Ok((account.shown, granted))
        })
    }

    /// Takes an account out of a group, for an operator. Returns the account, and whether it was in it.
    ///
    /// # Errors
    /// [`Code::NotFound`](crate::service::Code::NotFound) if there is no such group or account.
    pub fn revoke_group(&self, name: &str, account: &Selector) -> Result<(Account, bool), Error> {
        let (name, account) = (name.to_owned(), account.clone());
        self.write(move |cx| {
            let group = select(cx, &name)?;
            let account = account::select(cx, &account)?;
            let revoked = cx.run(
                "DELETE FROM membership WHERE account_id = ?1 AND group_id = ?2",
                params![account.key, group],
            )?;
            if revoked == 1 {
                cx.record(Kind::GroupRevoked, account.key, json!({ "group": name }))?;
            }
            Ok((account.shown, revoked == 1))
        })
    }
}
