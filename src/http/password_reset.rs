//! Password reset over HTTP.
//!
//! The link leads to `GET /reset`, which changes nothing and uses nothing up: mail programs and scanners open links
//! before people do (req 28, req 40).

use schemars::JsonSchema;
use serde::Deserialize;

use super::call::Call;
use super::error::Problem;
use super::message::Response;
use crate::secret::ResetToken;

/// A wish for a reset link.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Request {
    /// The e-mail address of the account.
    email: String,
}

/// A new password, by a reset link.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Confirm {
    /// The token of the link.
    token: String,
    /// A new password.
    new_password: String,
}

/// What the reset link shows to whoever opens it in a browser.
pub(super) fn explain(call: &Call<'_>) -> Result<Response, Problem> {
    let token = call.token_of_link(|token| ResetToken::read(token).is_some());
    let issuer = &call.authd.policy().issuer;
    Ok(Response::text(
        200,
        &format!(
            "Choose a new password with this line, after putting it in the place of the dots:\n\n\
             curl {issuer}/v1/password-reset/confirm -H 'Content-Type: application/json' \\\n  \
             -d '{{\"token\":\"{token}\",\"new_password\":\"…\"}}'\n\n\
             It works once, within 15 minutes, and signs out every device. Then sign in with the new password.\n"
        ),
    ))
}

pub(super) fn request(call: &Call<'_>) -> Result<Response, Problem> {
    let body: Request = call.json()?;
    call.authd
        .request_password_reset(&body.email, &call.device)?;
    Ok(Response::new(202))
}

pub(super) fn confirm(call: &Call<'_>) -> Result<Response, Problem> {
    let body: Confirm = call.json()?;
    call.authd
        .reset_password(&body.token, &body.new_password, &call.device)?;
    Ok(Response::new(204))
}
