//! Apps that have access to the account that asks.

use schemars::{JsonSchema, SchemaGenerator};
use serde::Serialize;

use crate::http::call::Call;
use crate::http::error::HttpError;
use crate::http::input::{Input, InputDescription, Parameter};
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

/// The `{id}` of a path: the `client_id` of an app.
pub(in crate::http) struct PathApp(String);

impl Input for PathApp {
    fn read(call: &Call<'_>) -> Result<PathApp, HttpError> {
        Ok(PathApp(call.parameters[0].to_owned()))
    }

    fn describe(description: &mut InputDescription, generator: &mut SchemaGenerator) {
        description.parameters.push(Parameter {
            name: "id".into(),
            place: "path",
            is_required: true,
            description: Some("The `client_id` of an app.".into()),
            schema: generator.subschema_for::<String>().into(),
        });
    }
}

pub(in crate::http) fn end(
    call: &Call<'_>,
    actor: &Actor,
    PathApp(client_id): PathApp,
) -> Result<Response, HttpError> {
    call.authd.end_app(actor, &client_id, &call.device)?;
    Ok(Response::new(204))
}
