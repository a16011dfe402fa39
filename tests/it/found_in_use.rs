//! Faults that people met in use: what browsers, generated clients and mail services send.

use std::collections::BTreeSet;

use authd::http::Method;
use authd::service::Registration;
use serde_json::{Value, json};

use crate::harness::*;

const APP: &str = "https://app.example.org";

fn with_app() -> Harness {
    Harness::with(|terms| terms.settings.cors_origins = vec![APP.to_owned()])
}

fn patch(t: &Harness, ann: &SignedIn, body: Value) -> Answer {
    t.with_token(ann, Method::PATCH, "/v1/account")
        .json(&body)
        .send()
}

#[test] // fault 20: tracing libraries add headers of their own to every call
fn a_preflight_allows_the_headers_that_an_allowed_origin_asks_for() {
    let t = with_app();
    let asked = |names: &str| {
        let answer = t
            .ask(Method::OPTIONS, "/v1/sessions")
            .header("origin", APP)
            .header("access-control-request-method", "POST")
            .header("access-control-request-headers", names)
            .send();
        answer
            .header("access-control-allow-headers")
            .map(str::to_owned)
    };
    let names = "content-type,sentry-trace,baggage,x-requested-with";
    assert_eq!(asked(names).as_deref(), Some(names));
    for odd in ["a\"b", "a:b", &"x".repeat(1025)] {
        let allowed = asked(odd).expect("a list");
        assert!(allowed.contains("idempotency-key"), "{allowed}");
    }
}

#[test] // fault 36, RFC 9562 §4: Swift writes UUIDs in capitals
fn an_id_is_read_in_capitals_too() {
    let t = Harness::new();
    let (ann, phone) = (t.sign_in("ann"), t.sign_in_on(PHONE, "ann"));
    let path = format!("/v1/sessions/{}", phone.session.to_uppercase());
    let named = t.with_token(&ann, Method::PATCH, &path);
    named
        .json(&json!({ "device_name": "phone" }))
        .send()
        .gives(200);
    let ended = t.with_token(&ann, Method::DELETE, &path).send();
    assert_eq!(ended.status, 204);
    assert!(!t.is_open(&phone));
}

#[test] // fault 37
fn null_clears_what_can_be_empty_and_is_refused_elsewhere() {
    let t = Harness::new();
    let ann = t.sign_in("ann");
    patch(&t, &ann, json!({ "name": "Ann" })).gives(200);
    let told = patch(&t, &ann, json!({ "name": null })).gives(200);
    assert_eq!(
        (&told["name"], &told["username"]),
        (&Value::Null, &json!("ann"))
    );
    let told = patch(&t, &ann, json!({ "username": null })).gives(200);
    assert_eq!(told["username"], Value::Null);
    t.unchanged(|| {
        let body = json!({ "email": null, "current_password": PASSWORD });
        patch(&t, &ann, body).refused("invalid_request");
    });
}

#[test] // fault 40, RFC 9110 §9.3.5: some gateways drop the body of DELETE
fn an_account_is_deleted_by_post_too() {
    let t = Harness::new();
    let ann = t.sign_in("ann");
    let delete = |password: &str| {
        t.with_token(&ann, Method::POST, "/v1/account/delete")
            .json(&json!({ "current_password": password }))
            .send()
    };
    delete("not the password").refused("wrong_password");
    assert_eq!(delete(PASSWORD).status, 204);
    assert_eq!(t.number("SELECT count(*) FROM account"), 0);
}

#[test] // fault 48: mail services add parameters of their own to links
fn a_link_is_understood_with_parameters_around_its_token() {
    let t = Harness::with(|terms| terms.policy.registration = Registration::Open);
    t.add("ann");
    let token = t.mailed_reset("ann");
    for query in [
        format!("token={token}&utm_source=mail"),
        format!("utm_source=x&token={token}"),
        format!("token={token}%20"),
    ] {
        let page = t.ask(Method::GET, &format!("/reset?{query}")).send();
        assert!(page.text().contains(&token), "{query}");
    }
    let page = t.ask(Method::GET, "/reset?token=<script>").send();
    assert!(!page.text().contains("script"));
}

#[test] // what a pattern would fit is not what the path takes
fn a_method_that_is_not_taken_is_told_with_those_of_its_own_path() {
    let t = Harness::new();
    let answer = t.ask(Method::PUT, "/v1/sessions/refresh").send();
    assert_eq!((answer.status, answer.header("allow")), (405, Some("POST")));
}

#[test] // fault 39: generated clients are called by these names
fn every_operation_and_schema_has_a_name_of_its_own() {
    let t = Harness::new();
    let document = t.ask(Method::GET, "/openapi.json").send().gives(200);
    let mut operations = BTreeSet::new();
    for methods in document["paths"].as_object().expect("paths").values() {
        for operation in methods.as_object().expect("methods").values() {
            let id = operation["operationId"].as_str().expect("an operationId");
            assert!(operations.insert(id.to_owned()), "{id} stands twice");
        }
    }
    assert!(operations.contains("refreshSession") && operations.len() > 25);
    let schemas = document["components"]["schemas"]
        .as_object()
        .expect("schemas");
    for name in schemas.keys() {
        assert!(!name.ends_with(|c: char| c.is_ascii_digit()), "{name}");
        assert!(!["Request", "Confirm", "Delete", "Name", "Change"].contains(&name.as_str()));
    }
    let events = &document["paths"]["/v1/account/events"]["get"]["parameters"];
    let names: Vec<_> = events
        .as_array()
        .expect("parameters")
        .iter()
        .map(|p| p["name"].clone())
        .collect();
    assert_eq!(names, ["before", "limit"]);
}
