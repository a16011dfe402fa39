//! Invitations.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::PathInvitation;
use crate::http::call::Call;
use crate::http::error::HttpError;
use crate::http::input::Json;
use crate::http::response::Response;
use crate::service::{Administration, Invitation, NewInvitation};

/// How long an invitation works if the client does not say: a week, in seconds.
const DEFAULT_LIFETIME: u64 = 7 * 24 * 60 * 60;

/// A new invitation.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct InviteRequest {
    /// The address that the account has to have; absent for any.
    email: Option<String>,
    /// The group that the account is in from the start.
    group: Option<String>,
    /// For how many seconds it works: an hour to 90 days.
    #[serde(default = "default_lifetime")]
    #[schemars(range(min = 3600, max = 7_776_000))]
    expires_in: u64,
    /// Whether it is mailed to its address; then it is not in the answer.
    #[serde(default)]
    send: bool,
}

fn default_lifetime() -> u64 {
    DEFAULT_LIFETIME
}

/// A new invitation.
#[derive(Serialize, JsonSchema)]
pub(in crate::http) struct CreatedInvitation {
    #[serde(flatten)]
    invitation: Invitation,
    /// The link, shown this once; absent where it is mailed.
    #[serde(skip_serializing_if = "Option::is_none")]
    invitation_link: Option<String>,
}

/// Invitations.
#[derive(Serialize, JsonSchema)]
pub(in crate::http) struct InvitationList {
    /// The open ones, then those that ended within the last 30 days; of each the newest first, at most 2,000.
    invitations: Vec<Invitation>,
}

pub(in crate::http) fn list(
    call: &Call<'_>,
    _: &Administration<'_>,
    (): (),
) -> Result<Response, HttpError> {
    let invitations = call.authd.invitations()?;
    Ok(Response::json(200, &InvitationList { invitations }))
}

pub(in crate::http) fn create(
    call: &Call<'_>,
    administration: &Administration<'_>,
    Json(body): Json<InviteRequest>,
) -> Result<Response, HttpError> {
    let invited = administration.invite(&NewInvitation {
        email: body.email,
        group: body.group,
        lifetime: Duration::from_secs(body.expires_in),
        is_mailed: body.send,
    })?;
    let issuer = &call.authd.policy().issuer;
    let link = |token| format!("{issuer}/register?invite={token}");
    let created = CreatedInvitation {
        invitation: invited.invitation,
        invitation_link: invited.token.map(link),
    };
    Ok(Response::json(201, &created))
}

pub(in crate::http) fn withdraw(
    _: &Call<'_>,
    administration: &Administration<'_>,
    PathInvitation(id): PathInvitation,
) -> Result<Response, HttpError> {
    administration.withdraw_invitation(id)?;
    Ok(Response::new(204))
}
