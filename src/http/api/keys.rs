//! The public keys that verify access tokens (RFC 7517).

use crate::http::call::Call;
use crate::http::error::HttpError;
use crate::http::response::Response;

pub(in crate::http) fn jwks(call: &Call<'_>, (): ()) -> Result<Response, HttpError> {
    let (keys, max_age) = call.authd.jwks()?;
    Ok(Response::json(200, &keys).header("cache-control", format!("public, max-age={max_age}")))
}
