//! The OpenAPI document: it agrees with the routes and their answers, and its names suit a generated client.

use std::collections::{BTreeMap, BTreeSet};

use authd::http::{Access, Method, page_routes, routes};
use serde_json::{Value, json};

use crate::harness::*;

fn document(t: &Harness) -> Value {
    t.ask(Method::GET, "/openapi.json").send().gives(200)
}

/// The JSON pointers of all `$ref`s in a document.
fn references(value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(members) => {
            for (name, value) in members {
                if let ("$ref", Value::String(target)) = (name.as_str(), value) {
                    found.insert(target.clone());
                }
                references(value, found);
            }
        }
        Value::Array(items) => items.iter().for_each(|item| references(item, found)),
        _ => {}
    }
}

#[test]
fn the_openapi_document_lists_exactly_the_routes() {
    let t = Harness::new();
    let document = document(&t);
    assert_eq!(document["openapi"], "3.1.0");
    assert_eq!(document["servers"][0]["url"], ISSUER);
    let mut listed = BTreeSet::new();
    for (path, operations) in document["paths"].as_object().expect("paths") {
        for (method, operation) in operations.as_object().expect("operations") {
            listed.insert(format!("{} {path}", method.to_uppercase()));
            let guarded = operation.get("security").is_some();
            let route = routes().find(|route| {
                route.path == path && route.method.as_str().eq_ignore_ascii_case(method)
            });
            let route = route.expect("a route");
            assert_eq!(guarded, route.takes_access_token(), "{method} {path}");
            assert_eq!(operation.get("requestBody").is_some(), route.takes_body());
            let mut statuses: BTreeSet<u16> = route.refuses.iter().copied().collect();
            statuses.extend(route.answers.iter().map(|answer| answer.status));
            statuses.insert(503);
            if guarded {
                statuses.insert(401);
            }
            if route.guard.access() == Access::AdminBearer {
                statuses.insert(403);
                assert_eq!(operation["security"][0]["accessToken"], json!(["admin"]));
            }
            let described = operation["responses"].as_object().expect("responses");
            let described: BTreeSet<u16> = described
                .keys()
                .filter_map(|key| key.parse().ok())
                .collect();
            assert_eq!(described, statuses, "{method} {path}");
        }
    }
    let routes: BTreeSet<String> = routes()
        .map(|route| format!("{} {}", route.method, route.path))
        .collect();
    assert_eq!(listed, routes);
    let mut targets = BTreeSet::new();
    references(&document, &mut targets);
    assert!(!targets.is_empty(), "references were found");
    for target in targets {
        let pointer = target
            .strip_prefix('#')
            .expect("a reference inside the document");
        assert!(
            document.pointer(pointer).is_some(),
            "{target} leads nowhere"
        );
    }
}

/// Whether `value` has the form that `schema` (with the components of `document`) says.
fn fits(document: &Value, schema: &Value, value: &Value) -> Result<(), String> {
    if let Some(target) = schema["$ref"].as_str() {
        let found = document.pointer(target.trim_start_matches('#'));
        return fits(document, found.ok_or("a reference leads nowhere")?, value);
    }
    if let Some(choices) = schema["anyOf"].as_array() {
        return match choices
            .iter()
            .any(|choice| fits(document, choice, value).is_ok())
        {
            true => Ok(()),
            false => Err(format!("{value} fits none of {choices:?}")),
        };
    }
    if let Some(values) = schema["enum"].as_array()
        && !values.contains(value)
    {
        return Err(format!("{value} is none of {values:?}"));
    }
    let kind = match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    let kinds: Vec<&str> = match &schema["type"] {
        Value::String(one) => vec![one],
        Value::Array(some) => some.iter().filter_map(Value::as_str).collect(),
        _ => vec![kind],
    };
    if !kinds.contains(&kind) {
        return Err(format!("{value} is no {kinds:?}"));
    }
    if let Value::Array(items) = value {
        items
            .iter()
            .try_for_each(|item| fits(document, &schema["items"], item))?;
    }
    if let Value::Object(members) = value {
        for required in schema["required"].as_array().unwrap_or(&Vec::new()) {
            let name = required.as_str().unwrap_or_default();
            members
                .get(name)
                .ok_or(format!("{name} is missing in {value}"))?;
        }
        for (name, member) in members {
            let described = &schema["properties"][name];
            if described.is_null() {
                return Err(format!("{name} is not described"));
            }
            fits(document, described, member).map_err(|why| format!("{name}: {why}"))?;
        }
    }
    Ok(())
}

#[test]
fn answers_have_the_form_that_the_document_says() {
    let t = Harness::new();
    let document = document(&t);
    let ann = t.sign_in("ann");
    let check = |method: &str, path: &str, answer: Answer| {
        let response = &document["paths"][path][method]["responses"][answer.status.to_string()];
        let kind = answer.header("content-type").expect("a type");
        let schema = &response["content"][kind]["schema"];
        assert!(
            schema.is_object(),
            "{method} {path} {}: {response}",
            answer.status
        );
        if let Err(why) = fits(&document, schema, &answer.json()) {
            panic!("{method} {path} {}: {why}", answer.status);
        }
    };
    check(
        "post",
        "/v1/sessions",
        t.try_sign_in(LAPTOP, "ann", PASSWORD),
    );
    check(
        "post",
        "/v1/sessions",
        t.try_sign_in(LAPTOP, "ann", "wrong wrong wrong"),
    );
    check("post", "/v1/sessions/refresh", t.refresh(&ann));
    check(
        "get",
        "/v1/sessions",
        t.with_token(&ann, Method::GET, "/v1/sessions").send(),
    );
    check(
        "get",
        "/v1/account",
        t.with_token(&ann, Method::GET, "/v1/account").send(),
    );
    check(
        "get",
        "/v1/account",
        t.ask(Method::GET, "/v1/account").send(),
    );
    check(
        "get",
        "/oauth/jwks",
        t.ask(Method::GET, "/oauth/jwks").send(),
    );
    check(
        "delete",
        "/v1/sessions",
        t.with_token(&ann, Method::DELETE, "/v1/sessions").send(),
    );
}

/// Each operation, with its method and path.
fn operations(document: &Value) -> Vec<(String, &Value)> {
    let paths = document["paths"].as_object().expect("paths");
    let operations = paths.iter().flat_map(|(path, operations)| {
        let operations = operations.as_object().expect("operations");
        let named = move |(method, operation)| (format!("{method} {path}"), operation);
        operations.iter().map(named)
    });
    operations.collect()
}

#[test] // fault 39
fn a_generated_client_gets_names_that_say_what_they_are_for() {
    let t = Harness::new();
    let document = document(&t);
    let mut ids = BTreeSet::new();
    assert!(
        operations(&document).len() >= 20,
        "the operations were found"
    );
    for (name, operation) in operations(&document) {
        let id = operation["operationId"].as_str().expect(&name);
        let is_camel = id.chars().all(|c| c.is_ascii_alphanumeric());
        assert!(
            is_camel && id.starts_with(|c: char| c.is_ascii_lowercase()),
            "{name}: {id}"
        );
        assert!(ids.insert(id), "{id} occurs twice");
    }
    for id in [
        "signIn",
        "refreshSession",
        "listSessions",
        "endSession",
        "signOut",
    ] {
        assert!(ids.contains(id), "{id}");
    }
    let schemas = document["components"]["schemas"].as_object();
    for name in schemas.expect("schemas").keys() {
        let is_pascal = name.chars().all(|c| c.is_ascii_alphabetic());
        // schemars appends a number to a name that occurs twice.
        assert!(
            is_pascal && name.starts_with(|c: char| c.is_ascii_uppercase()),
            "{name}"
        );
        assert!(
            !["Request", "Confirm", "Delete", "Name", "Change"].contains(&name.as_str()),
            "{name}"
        );
    }
}

/// The parameters of an operation, by their names.
fn parameters(document: &Value, method: &str, path: &str) -> BTreeMap<String, Value> {
    let listed = document["paths"][path][method]["parameters"].as_array();
    let named = |parameter: &Value| {
        let name = parameter["name"].as_str().expect("a name").to_owned();
        (name, parameter.clone())
    };
    listed.into_iter().flatten().map(named).collect()
}

#[test]
fn every_parameter_is_described() {
    let t = Harness::new();
    let document = document(&t);
    let page = parameters(&document, "get", "/v1/account/events");
    assert_eq!(page["before"]["schema"]["type"], "integer");
    assert_eq!(page["before"]["required"], false);
    let limit = &page["limit"]["schema"];
    assert_eq!(
        (&limit["minimum"], &limit["maximum"], &limit["default"]),
        (&json!(1), &json!(1000), &json!(50))
    );
    let except = parameters(&document, "delete", "/v1/sessions");
    assert_eq!(except["except"]["schema"]["enum"], json!(["current"]));
    let key = parameters(&document, "post", "/v1/sessions/refresh");
    assert_eq!(key["Idempotency-Key"]["in"], "header");
    for (name, operation) in operations(&document) {
        let takes_id = operation["parameters"][0]["in"] == "path";
        assert_eq!(name.contains('{'), takes_id, "{name}");
    }
    let text = document.to_string();
    assert!(
        !text.contains("\"default\":null"),
        "a client would send null"
    );
}

#[test]
fn the_document_lists_every_code() {
    let t = Harness::new();
    let document = document(&t);
    let code = &document["components"]["schemas"]["Problem"]["properties"]["code"];
    let codes = code["enum"].as_array().expect("codes").iter();
    let listed: BTreeSet<&str> = codes.filter_map(Value::as_str).collect();
    for code in [
        "malformed_request",
        "request_timeout",
        "body_too_large",
        "target_too_long",
        "expectation_failed",
        "head_too_large",
        "unknown_transfer_coding",
        "overloaded",
        "too_many_connections",
        "version_not_supported",
        "server_error",
    ] {
        assert!(listed.contains(code), "{code}");
    }
}

#[test]
fn every_error_is_described_as_problem_details_and_no_page_is_in_the_document() {
    let t = Harness::new();
    let document = document(&t);
    for route in routes() {
        let method = route.method.as_str().to_ascii_lowercase();
        let refused = &document["paths"][route.path][method]["responses"]["503"]["content"];
        assert!(
            refused["application/problem+json"].is_object(),
            "{} {refused}",
            route.path
        );
    }
    for page in page_routes() {
        assert!(document["paths"][page.path].is_null(), "{}", page.path);
    }
}
