//! Proof of e-mail addresses by a mailed link.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::http::call::Call;
use crate::http::error::HttpError;
use crate::http::input::{Json, trimmed};
use crate::http::response::Response;

/// A request for a link that proves an address.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct EmailVerificationRequest {
    /// The e-mail address of the account.
    email: String,
}

/// The proof of an address.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct EmailVerificationConfirmation {
    /// The token of the link.
    #[serde(deserialize_with = "trimmed")]
    token: String,
    /// The password that was chosen, where the link completes a registration.
    password: Option<String>,
}

pub(in crate::http) fn request(
    call: &Call<'_>,
    Json(body): Json<EmailVerificationRequest>,
) -> Result<Response, HttpError> {
    call.authd
        .request_email_verification(&body.email, &call.device)?;
    Ok(Response::new(202))
}

pub(in crate::http) fn confirm(
    call: &Call<'_>,
    Json(body): Json<EmailVerificationConfirmation>,
) -> Result<Response, HttpError> {
    call.authd
        .confirm_email(&body.token, body.password.as_deref(), &call.device)?;
    Ok(Response::new(204))
}
