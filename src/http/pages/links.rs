//! What the links in messages and on the command line lead to: how to use the token that is in the link.
//!
//! A token is shown again only if it has the form of a token, so a page cannot be made to show anything else.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::http::error::HttpError;
use crate::http::input::Query;
use crate::http::response::Response;
use crate::http::route::Call;
use crate::secret::{InvitationToken, ResetToken, SetupToken, VerificationToken};

/// What stands in the place of a token that the link does not have.
const PLACEHOLDER: &str = "TOKEN";

/// The query of a link. Parameters that a mail service added are ignored.
#[derive(Deserialize, JsonSchema)]
pub(in crate::http) struct Link {
    /// The token.
    #[schemars(with = "String")]
    #[serde(default)]
    token: Option<String>,
}

/// The query of an invitation's link.
#[derive(Deserialize, JsonSchema)]
pub(in crate::http) struct InvitationLink {
    /// The token of the invitation.
    #[schemars(with = "String")]
    #[serde(default)]
    invite: Option<String>,
}

/// A page that explains what to do with a token.
fn page(token: Option<&str>, explain: impl FnOnce(&str) -> String) -> Response {
    let text = explain(token.unwrap_or(PLACEHOLDER));
    match token {
        Some(_) => Response::text(200, &text),
        None => Response::text(
            200,
            &format!(
                "This link has no valid token: part of it is missing or was changed. Open the whole link, or put the \
                 token in the place of {PLACEHOLDER} below.\n\n{text}"
            ),
        ),
    }
}

/// A token as it stands in a link, without the spaces that were copied with it, if it has the form of one.
fn valid(token: Option<&String>, is_token: impl Fn(&str) -> bool) -> Option<&str> {
    token.map(|token| token.trim()).filter(|it| is_token(it))
}

pub(in crate::http) fn explain_setup(
    call: &Call<'_>,
    Query(link): Query<Link>,
) -> Result<Response, HttpError> {
    let issuer = &call.authd.policy().issuer;
    if !call.authd.awaits_setup()? {
        let text = "This server is set up. Sign in with POST /v1/sessions.\n";
        return Ok(Response::text(200, text));
    }
    let token = valid(link.token.as_ref(), |it| SetupToken::read(it).is_some());
    Ok(page(token, |token| {
        format!(
            "Create the first administrator of this server with this command, with your address and a password in it:\n\n\
             curl {issuer}/v1/setup -H 'Content-Type: application/json' \\\n  \
             -d '{{\"token\":\"{token}\",\"email\":\"you@example.org\",\"password\":\"…\"}}'\n\n\
             It works once. As long as there is no administrator, `authd user setup-link` prints a new link.\n"
        )
    }))
}

pub(in crate::http) fn explain_register(
    call: &Call<'_>,
    Query(link): Query<InvitationLink>,
) -> Result<Response, HttpError> {
    let issuer = &call.authd.policy().issuer;
    let is_token = |it: &str| InvitationToken::read(it).is_some();
    Ok(page(valid(link.invite.as_ref(), is_token), |token| {
        format!(
            "Create your account with this command, with your address and a password in it:\n\n\
             curl {issuer}/v1/accounts -H 'Content-Type: application/json' \\\n  \
             -d '{{\"invite\":\"{token}\",\"email\":\"you@example.org\",\"password\":\"…\"}}'\n\n\
             An invitation works once. Then sign in with POST /v1/sessions.\n"
        )
    }))
}

pub(in crate::http) fn explain_reset(
    call: &Call<'_>,
    Query(link): Query<Link>,
) -> Result<Response, HttpError> {
    let issuer = &call.authd.policy().issuer;
    let token = valid(link.token.as_ref(), |it| ResetToken::read(it).is_some());
    Ok(page(token, |token| {
        format!(
            "Choose a new password with this command, with the password in the place of the dots:\n\n\
             curl {issuer}/v1/password-reset/confirm -H 'Content-Type: application/json' \\\n  \
             -d '{{\"token\":\"{token}\",\"new_password\":\"…\"}}'\n\n\
             It works once, within 15 minutes, and signs out every device. Then sign in with the new password.\n"
        )
    }))
}

pub(in crate::http) fn explain_verify(
    call: &Call<'_>,
    Query(link): Query<Link>,
) -> Result<Response, HttpError> {
    let issuer = &call.authd.policy().issuer;
    let token = valid(link.token.as_ref(), |it| {
        VerificationToken::read(it).is_some()
    });
    Ok(page(token, |token| {
        format!(
            "Confirm your e-mail address with this command:\n\n\
             curl {issuer}/v1/email-verification/confirm -H 'Content-Type: application/json' \\\n  \
             -d '{{\"token\":\"{token}\"}}'\n\n\
             It works once, within 24 hours. Do not run it if the message is about something that you did not ask for.\n"
        )
    }))
}
