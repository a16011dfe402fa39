//! Password reset by a mailed link.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::http::call::Call;
use crate::http::error::HttpError;
use crate::http::input::{Json, trimmed};
use crate::http::response::Response;

/// A request for a reset link.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct PasswordResetRequest {
    /// The e-mail address of the account.
    email: String,
}

/// A new password, by a reset link.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct PasswordResetConfirmation {
    /// The token of the link.
    #[serde(deserialize_with = "trimmed")]
    token: String,
    /// A new password.
    new_password: String,
}

pub(in crate::http) fn request(
    call: &Call<'_>,
    Json(body): Json<PasswordResetRequest>,
) -> Result<Response, HttpError> {
    call.authd
        .request_password_reset(&body.email, &call.device)?;
    Ok(Response::new(202))
}

pub(in crate::http) fn confirm(
    call: &Call<'_>,
    Json(body): Json<PasswordResetConfirmation>,
) -> Result<Response, HttpError> {
    call.authd
        .reset_password(&body.token, &body.new_password, &call.device)?;
    Ok(Response::new(204))
}
