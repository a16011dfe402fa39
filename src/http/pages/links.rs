//! What a link shows when it is opened: in plain text, which line of the JSON API uses it.
//!
//! Opening a link changes nothing and uses nothing up: mail programs and scanners open links before people do (req 28,
//! req 40).

use crate::http::api::problem::Problem;
use crate::http::response::Response;
use crate::http::route::Call;
use crate::secret::{InvitationToken, ResetToken, SetupToken, VerificationToken};

/// What the set-up link shows in a browser.
pub fn set_up(call: &Call<'_>) -> Result<Response, Problem> {
    let token = call.token_of_link(|token| SetupToken::read(token).is_some());
    let issuer = &call.authd.policy().issuer;
    if !call.authd.awaits_setup()? {
        return Ok(Response::text(
            200,
            "This server is set up. Sign in with POST /v1/sessions.\n",
        ));
    }
    Ok(Response::text(
        200,
        &format!(
            "Make the first administrator of this server with this line, after putting in your address and a \
             password:\n\n\
             curl {issuer}/v1/setup -H 'Content-Type: application/json' \\\n  \
             -d '{{\"token\":\"{token}\",\"email\":\"you@example.org\",\"password\":\"…\"}}'\n\n\
             It works once. `authd user setup-link` makes a new link as long as there is no administrator.\n"
        ),
    ))
}

/// What the link of an invitation shows in a browser.
pub fn register(call: &Call<'_>) -> Result<Response, Problem> {
    let is_token = |token: &str| InvitationToken::read(token).is_some();
    let token = call
        .secret_of_link("invite", is_token)
        .unwrap_or_else(|| "TOKEN".to_owned());
    let issuer = &call.authd.policy().issuer;
    Ok(Response::text(
        200,
        &format!(
            "Make your account with this line, after putting in your address and a password:\n\n\
             curl {issuer}/v1/accounts -H 'Content-Type: application/json' \\\n  \
             -d '{{\"invite\":\"{token}\",\"email\":\"you@example.org\",\"password\":\"…\"}}'\n\n\
             An invitation works once. Then sign in with POST /v1/sessions.\n"
        ),
    ))
}

/// What the reset link shows in a browser.
pub fn reset(call: &Call<'_>) -> Result<Response, Problem> {
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

/// What a link that proves an address shows in a browser.
pub fn verify(call: &Call<'_>) -> Result<Response, Problem> {
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
