//! `authd invite`

use std::time::Duration;

use clap::Args;
use serde_json::json;

use super::output::Output;
use super::{Common, Failure};
use crate::service::{Invited, NewInvitation};

#[derive(Args)]
pub(super) struct Invite {
    /// Allow only this e-mail address
    #[arg(long, value_name = "EMAIL")]
    email: Option<String>,
    /// Add the new account to this group
    #[arg(long, value_name = "GROUP")]
    group: Option<String>,
    /// Let the server mail the link to that address instead of printing it
    #[arg(long, requires = "email")]
    send: bool,
    /// How long the link works, from 1h to 90d
    #[arg(long, value_name = "TIME", default_value = "7d", value_parser = humantime::parse_duration)]
    expires: Duration,
    /// List open invitations, and those of the last 30 days; create none
    #[arg(long, conflicts_with_all = ["email", "group", "send", "expires", "revoke"])]
    list: bool,
    /// Withdraw the open invitation with this id; create none
    #[arg(long, value_name = "ID", conflicts_with_all = ["email", "group", "send", "expires"])]
    revoke: Option<String>,
}

impl Invite {
    pub fn run(self, common: &Common, out: &Output) -> Result<(), Failure> {
        let authd = common.open()?;
        if self.list {
            return out.invitations(&authd.invitations()?);
        }
        if let Some(id) = self.revoke {
            let parsed = id.parse().map_err(|_| {
                Failure::Refused(
                    "that is not the id of an invitation. `authd invite --list` shows them.".into(),
                )
            })?;
            authd.as_operator().withdraw_invitation(parsed)?;
            return out.record(&json!({ "withdrawn": id }));
        }
        let new = NewInvitation {
            email: self.email,
            group: self.group,
            lifetime: self.expires,
            is_mailed: self.send,
        };
        let Invited { invitation, token } = authd.as_operator().invite(&new)?;
        let mut shown = json!({
            "id": invitation.id,
            "email": invitation.email,
            "group": invitation.group,
            "expires_at": invitation.expires_at,
        });
        let issuer = &authd.policy().issuer;
        match token {
            Some(token) => {
                shown["invitation_link"] = json!(format!("{issuer}/register?invite={token}"))
            }
            None => shown["letter"] = json!("the server sends it as soon as it runs"),
        }
        out.record(&shown)
    }
}
