//! Password reset over HTTP.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::http::api::problem::Problem;
use crate::http::response::Response;
use crate::http::route::Call;

/// A request for a reset link.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct RequestPasswordReset {
    /// The e-mail address of the account.
    email: String,
}

/// A new password, by a reset link.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct ConfirmPasswordReset {
    /// The token of the link.
    token: String,
    /// A new password.
    new_password: String,
}

pub(in crate::http) fn request(call: &Call<'_>) -> Result<Response, Problem> {
    let body: RequestPasswordReset = call.json()?;
    call.authd
        .request_password_reset(&body.email, &call.device)?;
    Ok(Response::new(202))
}

pub(in crate::http) fn confirm(call: &Call<'_>) -> Result<Response, Problem> {
    let body: ConfirmPasswordReset = call.json()?;
    call.authd
        .reset_password(&body.token, &body.new_password, &call.device)?;
    Ok(Response::new(204))
}
