//! Health, for whoever watches over the process.

use super::call::Call;
use super::error::Problem;
use super::message::Response;

pub(super) fn alive(_: &Call<'_>) -> Result<Response, Problem> {
    Ok(Response::text(200, "ok\n"))
}

pub(super) fn ready(call: &Call<'_>) -> Result<Response, Problem> {
    call.authd.ready()?;
    // A warning and no 503: to take the server out of service would help nobody who is signed in.
    Ok(Response::text(
        200,
        match call.authd.has_gone_back() {
            true => "ready\nwarning: file_rolled_back\n",
            false => "ready\n",
        },
    ))
}
