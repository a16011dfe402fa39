//! Health, for whoever watches over the process.

use crate::http::api::problem::Problem;
use crate::http::response::Response;
use crate::http::route::Call;

pub(in crate::http) fn alive(_: &Call<'_>) -> Result<Response, Problem> {
    Ok(Response::text(200, "ok\n"))
}

pub(in crate::http) fn ready(call: &Call<'_>) -> Result<Response, Problem> {
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
