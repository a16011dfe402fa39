//! Proof of e-mail addresses over HTTP.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::http::api::problem::Problem;
use crate::http::response::Response;
use crate::http::route::Call;

/// A request for a link that proves an address.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct RequestEmailVerification {
    /// The e-mail address of the account.
    email: String,
}

/// The proof of an address.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct ConfirmEmailVerification {
    /// The token of the link.
    token: String,
    /// The password that was chosen, where the link completes a registration.
    password: Option<String>,
}

pub(in crate::http) fn request(call: &Call<'_>) -> Result<Response, Problem> {
    let body: RequestEmailVerification = call.json()?;
    call.authd
        .request_email_verification(&body.email, &call.device)?;
    Ok(Response::new(202))
}

pub(in crate::http) fn confirm(call: &Call<'_>) -> Result<Response, Problem> {
    let body: ConfirmEmailVerification = call.json()?;
    call.authd
        .confirm_email(&body.token, body.password.as_deref(), &call.device)?;
    Ok(Response::new(204))
}
