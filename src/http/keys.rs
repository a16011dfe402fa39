//! The public keys over HTTP.

use super::error::Problem;
use super::message::Response;
use super::routes::Call;

pub(super) fn jwks(call: &Call<'_>) -> Result<Response, Problem> {
    let (keys, max_age) = call.authd.jwks()?;
    Ok(Response::json(200, &keys).header("cache-control", format!("public, max-age={max_age}")))
}
