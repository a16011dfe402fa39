//! The public keys over HTTP.

use crate::http::api::problem::Problem;
use crate::http::response::Response;
use crate::http::route::Call;

pub(in crate::http) fn jwks(call: &Call<'_>) -> Result<Response, Problem> {
    let (keys, max_age) = call.authd.jwks()?;
    Ok(Response::json(200, &keys).header("cache-control", format!("public, max-age={max_age}")))
}
