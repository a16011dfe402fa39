//! The public keys over HTTP.

use super::call::Call;
use super::error::Problem;
use super::message::Response;

pub(super) fn jwks(call: &Call<'_>) -> Result<Response, Problem> {
    let (keys, max_age) = call.authd.jwks()?;
    Ok(Response::json(200, &keys).header("cache-control", format!("public, max-age={max_age}")))
}
