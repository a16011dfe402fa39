//! Health, for whoever watches over the process.

use super::call::Call;
use super::error::Problem;
use super::message::Response;

pub(super) fn alive(_: &Call<'_>) -> Result<Response, Problem> {
    Ok(Response::text(200, "ok\n"))
}

pub(super) fn ready(call: &Call<'_>) -> Result<Response, Problem> {
    call.authd.ready()?;
    Ok(Response::text(200, "ready\n"))
}
