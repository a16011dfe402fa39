//! Proof of e-mail addresses over HTTP.
//!
//! The link leads to `GET /verify`, which changes nothing and uses nothing up: mail programs and scanners open links
//! before people do (req 28, req 40).

use schemars::JsonSchema;
use serde::Deserialize;

use super::call::Call;
use super::error::Problem;
use super::message::Response;
use crate::secret::VerificationToken;

/// A wish for a link that proves an address.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Request {
    /// The e-mail address of the account.
    email: String,
}

/// The proof of an address.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Confirm {
    /// The token of the link.
    token: String,
    /// The password that was chosen, where the link completes a registration.
    password: Option<String>,
}

/// What the link shows to whoever opens it in a browser.
pub(super) fn explain(call: &Call<'_>) -> Result<Response, Problem> {
    let token = call.token_of_link(|token| VerificationToken::read(token).is_some());
    let issuer = &call.authd.policy().issuer;
    Ok(Response::text(
        200,
        &format!(
            "Confirm what the letter is about with this line:\n\n\
             curl {issuer}/v1/email-verification/confirm -H 'Content-Type: application/json' \\\n  \
             -d '{{\"token\":\"{token}\"}}'\n\n\
             It works once, within 24 hours. If the letter that brought you here is about something that you did not \
             ask for, do not.\n"
        ),
    ))
}

pub(super) fn request(call: &Call<'_>) -> Result<Response, Problem> {
    let body: Request = call.json()?;
    call.authd
        .request_email_verification(&body.email, &call.device)?;
    Ok(Response::new(202))
}

pub(super) fn confirm(call: &Call<'_>) -> Result<Response, Problem> {
    let body: Confirm = call.json()?;
    call.authd
        .confirm_email(&body.token, body.password.as_deref(), &call.device)?;
    Ok(Response::new(204))
}
