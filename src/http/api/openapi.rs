//! The interface as an OpenAPI 3.1 document, written from the table of routes and the types that they take and answer.

use schemars::SchemaGenerator;
use schemars::generate::SchemaSettings;
use schemars::transform::RecursiveTransform;
use serde_json::{Map, Value, json};

use super::problem::Problem;
use crate::http::call::Call;
use crate::http::error::HttpError;
use crate::http::input::{Parameter, remove_null_default};
use crate::http::response::Response;
use crate::http::route::{Access, Content, Route};

pub(in crate::http) fn show(call: &Call<'_>, (): ()) -> Result<Response, HttpError> {
    // It does not change while the server runs, and takes a millisecond and much memory to write (finding 25).
    let document = call.openapi.get_or_init(|| {
        let document = write(crate::http::routes(), &call.authd.policy().issuer);
        let mut text = document.to_string().into_bytes();
        text.push(b'\n');
        text
    });
    Ok(Response::json_text(200, document.clone()).header("cache-control", "public, max-age=3600"))
}

/// What holds for all operations.
const ABOUT: &str = "Accounts, sessions and tokens. Errors are RFC 9457 problem details with a stable `code`. Long lists of \
    the administration (`/v1/admin/…`) are read page by page: `limit` is how many things a page has at most, and `next` of a \
    page is what to send as `after` (with events: as `before`) for the one that follows; the last page has none.";

/// The document of `routes` for a server at `issuer`.
fn write(routes: impl Iterator<Item = &'static Route>, issuer: &str) -> Value {
    let mut settings = SchemaSettings::draft2020_12();
    settings.definitions_path = "/components/schemas".into();
    settings.meta_schema = None;
    let mut generator = settings
        .with_transform(RecursiveTransform(remove_null_default))
        .into_generator();
    let mut paths = Map::new();
    for route in routes {
        let operation = operation(route, &mut generator);
        let path = paths.entry(route.path).or_insert_with(|| json!({}));
        path[route.method.as_str().to_ascii_lowercase()] = operation;
    }
    let schemas = generator.take_definitions(true);
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "authd",
            "version": env!("CARGO_PKG_VERSION"),
            "description": ABOUT,
            "license": { "name": "MIT OR Apache-2.0", "identifier": "MIT OR Apache-2.0" },
        },
        "servers": [{ "url": issuer }],
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {
                "accessToken": { "type": "http", "scheme": "bearer", "bearerFormat": "JWT" },
            },
        },
    })
}

fn operation(route: &Route, generator: &mut SchemaGenerator) -> Value {
    let mut operation = json!({
        "operationId": route.operation_id,
        "summary": route.summary,
        "responses": responses(route, generator),
    });
    let input = route.guard.describe_input(generator);
    if let Some((media_type, schema)) = input.body {
        operation["requestBody"] = json!({
            "required": true,
            "content": { media_type: { "schema": schema } },
        });
    }
    if route.takes_access_token() {
        let scopes: &[&str] = match route.guard.access() {
            Access::AdminBearer => &["admin"],
            _ => &[],
        };
        operation["security"] = json!([{ "accessToken": scopes }]);
    }
    if !input.parameters.is_empty() {
        operation["parameters"] = input.parameters.iter().map(parameter).collect();
    }
    operation
}

fn responses(route: &Route, generator: &mut SchemaGenerator) -> Map<String, Value> {
    let mut responses = Map::new();
    for answer in route.answers {
        let mut response = json!({ "description": answer.description });
        match answer.content {
            Content::Nothing => {}
            Content::Json(describe) => {
                let schema = describe(generator);
                response["content"] = json!({ "application/json": { "schema": schema } });
            }
            Content::AnyJson => response["content"] = json!({ "application/json": {} }),
            Content::Text => response["content"] = text("text/plain"),
        }
        responses.insert(answer.status.to_string(), response);
    }
    let everywhere: &[u16] = match route.guard.access() {
        Access::AdminBearer => &[401, 403, 503],
        Access::Bearer => &[401, 503],
        _ => &[503],
    };
    let schema = generator.subschema_for::<Problem<'_>>();
    let content = json!({ super::problem::MEDIA_TYPE: { "schema": schema } });
    for status in route.refuses.iter().chain(everywhere) {
        let response = json!({ "description": "Refused.", "content": content });
        responses.insert(status.to_string(), response);
    }
    responses
}

fn text(media_type: &str) -> Value {
    json!({ media_type: { "schema": { "type": "string" } } })
}

fn parameter(parameter: &Parameter) -> Value {
    let mut value = json!({
        "name": parameter.name,
        "in": parameter.place,
        "required": parameter.is_required,
        "schema": parameter.schema,
    });
    if let Some(description) = &parameter.description {
        value["description"] = json!(description);
    }
    value
}
