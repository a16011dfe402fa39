//! The interface as an OpenAPI 3.1 document, written from the table of routes and the types themselves.

use schemars::SchemaGenerator;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

use crate::http::api::problem::Body;
use crate::http::request::Method;
use crate::http::route::Route;

/// The document of `routes` for a server at `issuer`.
pub(in crate::http) fn write(routes: &[Route], issuer: &str) -> Value {
    let mut settings = SchemaSettings::draft2020_12();
    settings.definitions_path = "/components/schemas".into();
    settings.meta_schema = None;
    let mut generator = settings.into_generator();
    let problem = generator.subschema_for::<Body<'_>>();
    let mut paths = Map::new();
    for route in routes {
        let operation = operation(route, &mut generator, problem.as_value());
        let path = paths.entry(route.path).or_insert_with(|| json!({}));
        path[route.method.name().to_ascii_lowercase()] = operation;
    }
    let schemas = generator.take_definitions(true);
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "authd",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "Accounts, sessions and tokens. Errors are RFC 9457 problem details with a stable `code`.",
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

fn operation(route: &Route, generator: &mut SchemaGenerator, problem: &Value) -> Value {
    let (status, given) = route.gives;
    let mut responses = Map::new();
    let content = match given {
        Some(describe) => json!({ "application/json": { "schema": describe(generator) } }),
        None if matches!(status, 202 | 204) => Value::Null,
        None if route.path == "/openapi.json" => json!({ "application/json": {} }),
        None => json!({ "text/plain": { "schema": { "type": "string" } } }),
    };
    responses.insert(status.to_string(), response("Done.", &content));
    if (route.method, route.path) == (Method::Post, "/v1/accounts") {
        let waits = "With `verification = \"required\"`: done when the address is proven by the link in a letter.";
        responses.insert("202".to_owned(), response(waits, &Value::Null));
    }
    let refused = json!({ "application/problem+json": { "schema": problem } });
    let everywhere: &[u16] = if route.is_guarded() {
        &[401, 503]
    } else {
        &[503]
    };
    for status in route.refuses.iter().chain(everywhere) {
        responses.insert(
            status.to_string(),
            response("Refused; see `code`.", &refused),
        );
    }
    let mut operation =
        json!({ "operationId": route.operation, "summary": route.summary, "responses": responses });
    if let Some(describe) = route.takes {
        operation["requestBody"] = json!({
            "required": true,
            "content": { "application/json": { "schema": describe(generator) } },
        });
    }
    if route.is_guarded() {
        operation["security"] = json!([{ "accessToken": [] }]);
    }
    let parameters = parameters(route);
    if !parameters.is_empty() {
        operation["parameters"] = Value::Array(parameters);
    }
    operation
}

fn response(description: &str, content: &Value) -> Value {
    let mut response = json!({ "description": description });
    if !content.is_null() {
        response["content"] = content.clone();
    }
    response
}

fn parameters(route: &Route) -> Vec<Value> {
    let mut parameters = Vec::new();
    if route.path.contains("{id}") {
        parameters.push(json!({
            "name": "id", "in": "path", "required": true,
            "schema": { "type": "string", "format": "uuid" },
        }));
    }
    match (route.method, route.path) {
        (Method::Delete, "/v1/sessions") => parameters.push(json!({
            "name": "except", "in": "query", "description": "Keep the session that asks.",
            "schema": { "type": "string", "enum": ["current"] },
        })),
        (Method::Get, "/v1/account/events") => parameters.extend([
            json!({
                "name": "before", "in": "query", "description": "Older than the event with this id.",
                "schema": { "type": "integer", "format": "int64" },
            }),
            json!({
                "name": "limit", "in": "query", "description": "How many; 50 if absent.",
                "schema": { "type": "integer", "minimum": 1, "maximum": 1000 },
            }),
        ]),
        (Method::Post, "/v1/sessions/refresh") => parameters.push(json!({
            "name": "Idempotency-Key", "in": "header",
            "description": "Kept with the rotation: a retry with the same key is served for a day.",
            "schema": { "type": "string", "minLength": 1, "maxLength": 255 },
        })),
        _ => {}
    }
    parameters
}
