//! Health, for whoever watches over the process.

use super::error::Problem;
use super::message::Response;
use super::routes::Call;

pub(super) fn alive(_: &Call<'_>) -> Result<Response, Problem> {
    Ok(Response::text(200, "ok\n"))
}

pub(super) fn ready(call: &Call<'_>) -> Result<Response, Problem> {
    call.authd.ready()?;
    Ok(Response::text(200, "ready\n"))
}
