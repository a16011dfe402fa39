//! Health, for the program that supervises the process.

use crate::http::call::Call;
use crate::http::error::HttpError;
use crate::http::response::Response;

pub(in crate::http) fn alive(_: &Call<'_>, (): ()) -> Result<Response, HttpError> {
    Ok(Response::text(200, "ok\n"))
}

pub(in crate::http) fn ready(call: &Call<'_>, (): ()) -> Result<Response, HttpError> {
    call.authd.ready()?;
    // Warnings and not a 503: users who are signed in lose more when the server is taken out of service.
    let mut text = "ready\n".to_owned();
    if call.authd.has_gone_back() {
        text += "warning: file_rolled_back\n";
    }
    if call.authd.storage_shortage().is_some() {
        text += "warning: storage_low\n";
    }
    Ok(Response::text(200, &text))
}
