//! Health, for the program that supervises the process.

use crate::http::error::HttpError;
use crate::http::response::Response;
use crate::http::route::Call;

pub(in crate::http) fn alive(_: &Call<'_>, (): ()) -> Result<Response, HttpError> {
    Ok(Response::text(200, "ok\n"))
}

pub(in crate::http) fn ready(call: &Call<'_>, (): ()) -> Result<Response, HttpError> {
    call.authd.ready()?;
    // A warning and not a 503: users who are signed in lose more when the server is taken out of service.
    let text = match call.authd.has_gone_back() {
        true => "ready\nwarning: file_rolled_back\n",
        false => "ready\n",
    };
    Ok(Response::text(200, text))
}
