//! `authd group …`

use clap::{Args, Subcommand};
use serde_json::json;

use super::output::Output;
use super::{Common, Failure};
use crate::service::{AccountFilter, AccountQuery, Selector};

#[derive(Subcommand)]
pub(super) enum Group {
    /// Create a group
    Add {
        /// Name of the group: lower-case letters, digits, dots, hyphens and underscores
        name: String,
    },
    /// List all groups
    List,
    /// List the accounts in a group
    Show {
        /// Name of the group
        name: String,
        /// Only accounts created after this one; a list has at most 1,000
        #[arg(long, value_name = "USER")]
        after: Option<String>,
    },
    /// Delete a group; its accounts stay
    Delete {
        /// Name of the group
        name: String,
    },
    /// Add an account to a group
    Grant(Membership),
    /// Remove an account from a group
    Revoke(Membership),
}

#[derive(Args)]
pub(super) struct Membership {
    /// Name of the group
    group: String,
    /// E-mail address, username or id
    user: String,
}

impl Group {
    pub fn run(self, common: &Common, out: &Output) -> Result<(), Failure> {
        let authd = common.open()?;
        match self {
            Group::Add { name } => out.record(&json!(authd.as_operator().add_group(&name)?)),
            Group::List => out.groups(&authd.groups()?),
            Group::Show { name, after } => {
                let query = AccountQuery {
                    filter: AccountFilter::Group(name),
                    after,
                    ..AccountQuery::default()
                };
                out.accounts(&authd.accounts(&query)?)
            }
            Group::Delete { name } => {
                let members = authd.as_operator().delete_group(&name)?;
                out.record(&json!({ "deleted": name, "members": members }))
            }
            Group::Grant(Membership { group, user }) => {
                let (account, changed) = authd
                    .as_operator()
                    .grant_group(&group, &Selector::read(&user))?;
                out.record(
                    &json!({ "granted": group, "account": account.email, "changed": changed }),
                )
            }
            Group::Revoke(Membership { group, user }) => {
                let (account, changed) = authd
                    .as_operator()
                    .revoke_group(&group, &Selector::read(&user))?;
                out.record(
                    &json!({ "revoked": group, "account": account.email, "changed": changed }),
                )
            }
        }
    }
}
