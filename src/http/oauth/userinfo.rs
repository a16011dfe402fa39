//! The userinfo endpoint (OpenID Connect Core §5.3): by GET and POST, with the token in the header or in the form.

use super::parameters::{FORM, Parameters, read};
use crate::http::call::Call;
use crate::http::error::HttpError;
use crate::http::response::Response;

pub(super) fn show(call: &Call<'_>, (): ()) -> Result<Response, HttpError> {
    let token = call.bearer_token().ok_or_else(HttpError::missing_token)?;
    Ok(Response::json(200, &call.authd.userinfo(token)?))
}

pub(super) fn show_to_form(call: &Call<'_>, (): ()) -> Result<Response, HttpError> {
    let request = call.request;
    let is_form = request
        .header("content-type")
        .is_some_and(|text| text.to_ascii_lowercase().starts_with(FORM));
    let form = Parameters(if is_form {
        read(&request.body)?
    } else {
        Vec::new()
    });
    let token = match (call.bearer_token(), form.get("access_token")?) {
        // RFC 6750 §2: one way of the three.
        (Some(_), Some(_)) => {
            return Err(HttpError::invalid_request(
                "The access token came in two places.",
            ));
        }
        (token, other) => token.or(other).ok_or_else(HttpError::missing_token)?,
    };
    Ok(Response::json(200, &call.authd.userinfo(token)?))
}
