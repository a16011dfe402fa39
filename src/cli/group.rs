//! `authd group …`

use clap::{Args, Subcommand};
use serde_json::json;

use super::output::Output;
use super::{Common, Failure};
use crate::service::{AccountQuery, Selector};

#[derive(Subcommand)]
pub(super) enum Group {
    /// Make a group
    Add {
        /// Its name: lower-case letters, digits, dots, hyphens and underscores
        name: String,
    },
    /// List the groups
    List,
    /// List the accounts in a group
    Show {
        /// Its name
        name: String,
        /// Only those made after this one: the list is cut at 1,000
        #[arg(long, value_name = "USER")]
        after: Option<String>,
    },
    /// Delete a group; nobody is in it any more
    Delete {
        /// Its name
        name: String,
    },
    /// Take an account into a group
    Grant(Membership),
    /// Take an account out of a group
    Revoke(Membership),
}

#[derive(Args)]
pub(super) struct Membership {
    /// The group's name
    group: String,
    /// E-mail address, username or id
    user: String,
}

impl Group {
    pub fn run(self, common: &Common, out: &Output) -> Result<(), Failure> {
        let authd = common.open()?;
        match self {
            Group::Add { name } => out.record(&json!(authd.add_group(&name)?)),
            Group::List => out.groups(&authd.groups()?),
            Group::Show { name, after } => {
                let after = after.as_deref().map(Selector::read);
                let group = Some(name);
                out.accounts(&authd.accounts(&AccountQuery { after, group })?)
            }
            Group::Delete { name } => {
                let members = authd.delete_group(&name)?;
                out.record(&json!({ "deleted": name, "members": members }))
            }
            Group::Grant(Membership { group, user }) => {
                let (account, changed) = authd.grant_group(&group, &Selector::read(&user))?;
                out.record(
                    &json!({ "granted": group, "account": account.email, "changed": changed }),
                )
            }
            Group::Revoke(Membership { group, user }) => {
                let (account, changed) = authd.revoke_group(&group, &Selector::read(&user))?;
                out.record(
                    &json!({ "revoked": group, "account": account.email, "changed": changed }),
                )
            }
        }
    }
}
