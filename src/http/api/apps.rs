//! Apps that have access to the account that asks.

use schemars::JsonSchema;
use serde::Serialize;

use crate::http::call::Call;
use crate::http::error::HttpError;
use crate::http::response::Response;
use crate::service::{Actor, AppWithAccess};

/// The apps with access.
#[derive(Serialize, JsonSchema)]
pub(in crate::http) struct AppList {
    apps: Vec<AppWithAccess>,
}

pub(in crate::http) fn list(call: &Call<'_>, actor: &Actor, (): ()) -> Result<Response, HttpError> {
    let apps = call.authd.apps(actor)?;
    Ok(Response::json(200, &AppList { apps }))
}

pub(in crate::http) fn end(call: &Call<'_>, actor: &Actor, (): ()) -> Result<Response, HttpError> {
    call.authd
        .end_app(actor, call.parameters[0], &call.device)?;
    Ok(Response::new(204))
}
