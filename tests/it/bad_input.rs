//! Bodies that are wrong in form, sent to every route that takes one.

use authd::http::{Method, Route, routes};
use serde_json::{Value, json};

use crate::harness::*;

/// For every route that takes a body, one that is right in form.
fn right(route: &Route) -> Value {
    match (&route.method, route.path) {
        (_, "/v1/setup") => {
            json!({ "token": "as_x", "email": "x@example.org", "password": PASSWORD })
        }
        (_, "/v1/accounts") => json!({ "email": "x@example.org", "password": PASSWORD }),
        (_, "/v1/sessions") => json!({ "login": "nobody", "password": PASSWORD }),
        (_, "/v1/sessions/refresh") => json!({ "refresh_token": "ar_x" }),
        (&Method::PATCH, "/v1/account") => json!({ "name": "Ann" }),
        (_, "/v1/account/delete") | (&Method::DELETE, "/v1/account") => {
            json!({ "current_password": "wrong" })
        }
        (_, "/v1/account/password") => {
            json!({ "current_password": "wrong", "new_password": NEW_PASSWORD })
        }
        (_, "/v1/password-reset") => json!({ "email": "x@example.org" }),
        (_, "/v1/password-reset/confirm") => {
            json!({ "token": "ap_x", "new_password": NEW_PASSWORD })
        }
        (_, "/v1/email-verification") => json!({ "email": "x@example.org" }),
        (_, "/v1/email-verification/confirm") => json!({ "token": "av_x" }),
        (&Method::PATCH, "/v1/sessions/{id}") => json!({ "device_name": "x" }),
        (_, "/v1/admin/accounts") => json!({ "email": "x@example.org", "password": PASSWORD }),
        (&Method::PATCH, "/v1/admin/accounts/{id}") => json!({ "name": "Ann" }),
        (_, "/v1/admin/accounts/{id}" | "/v1/admin/accounts/{id}/delete") => {
            json!({ "confirm_email": "x@example.org" })
        }
        (_, "/v1/admin/accounts/{id}/reset-link") => json!({ "delivery": "print" }),
        (_, "/v1/admin/verification-links") => json!({ "user": "nobody" }),
        (_, "/v1/admin/groups") => json!({ "name": "staff" }),
        (_, "/v1/admin/invitations") => json!({ "email": "x@example.org" }),
        (method, path) => panic!("a new route: {method:?} {path}"),
    }
}

/// Sends a body to every route that takes one, with the token of a session; each must refuse it and change nothing.
fn refused_everywhere(status: u16, code: &str, send: impl Fn(Ask<'_>, &Value) -> Answer) {
    let t = Harness::with(|terms| {
        terms.policy.registration = authd::service::Registration::Open;
    });
    let ann = t.administrator("ann");
    let taking = routes().filter(|route| route.takes_body());
    t.unchanged(|| {
        for route in taking {
            let path = route.path.replace("{id}", &ann.session);
            let ask = t.with_token(&ann, route.method.clone(), &path);
            let answer = send(ask, &right(route));
            assert_eq!(answer.status, status, "{} {}", route.path, answer.text());
            answer.refused(code);
        }
    });
    assert!(t.is_open(&ann));
}

const JSON: &str = "application/json";

#[test]
fn no_body() {
    refused_everywhere(400, "invalid_request", |ask, _| {
        ask.header("content-type", JSON).send()
    });
    refused_everywhere(415, "unsupported_media_type", |ask, _| ask.send());
}

#[test] // req 38's cousin: what a form on another site can send is not JSON
fn another_content_type() {
    for kind in [
        "application/x-www-form-urlencoded",
        "text/plain",
        "multipart/form-data; boundary=x",
        "application/json-patch+json",
        "application/jsonp",
        "text/json",
        "",
        ";",
        "application",
    ] {
        refused_everywhere(415, "unsupported_media_type", |ask, right| {
            ask.header("content-type", kind)
                .body(right.to_string())
                .send()
        });
    }
    refused_everywhere(415, "unsupported_media_type", |ask, right| {
        ask.header("content-type", JSON).json(right).send()
    });
}

#[test]
fn not_json() {
    for body in [
        "{",
        "}",
        "null",
        "true",
        "[]",
        "\"x\"",
        "1",
        "{'a': 1}",
        "\u{feff}{}",
        "{}{}",
        "a=b&c=d",
        "{\"a\":}",
    ] {
        refused_everywhere(400, "invalid_request", |ask, _| {
            ask.header("content-type", JSON).body(body).send()
        });
    }
    refused_everywhere(400, "invalid_request", |ask, right| {
        ask.header("content-type", JSON)
            .body(format!("{right} x"))
            .send()
    });
    refused_everywhere(400, "invalid_request", |ask, right| {
        let mut bytes = right.to_string().into_bytes();
        bytes.push(0);
        ask.header("content-type", JSON).body(bytes).send()
    });
}

#[test]
fn not_text() {
    refused_everywhere(400, "invalid_request", |ask, right| {
        let text = right.to_string();
        let at = text.rfind('"').expect("a text");
        let mut bytes = text.into_bytes();
        bytes.splice(at..at, [0xff, 0xfe, 0xc3]);
        ask.header("content-type", JSON).body(bytes).send()
    });
}

#[test] // CVE-2026-27946
fn an_unknown_member() {
    for name in ["admin", "x", "", "__proto__", "Password", "email\u{0}"] {
        refused_everywhere(400, "invalid_request", |ask, right| {
            let mut body = right.clone();
            body[name] = json!("x");
            ask.json(&body).send()
        });
    }
}

#[test] // serde would take the members in their order
fn a_list_of_the_members() {
    let t = Harness::new();
    t.add("ann");
    let list = json!([email("ann"), PASSWORD, null, null]);
    t.unchanged(|| {
        t.post("/v1/sessions", list)
            .send()
            .refused("invalid_request")
    });
}

#[test] // req 26: which of the two would count?
fn a_member_twice() {
    refused_everywhere(400, "invalid_request", |ask, right| {
        let members = right.as_object().expect("an object");
        let (name, value) = members.iter().next().expect("a member");
        let text = right.to_string();
        let body = format!("{{{}:{value},{}", json!(name), &text[1..]);
        ask.header("content-type", JSON).body(body).send()
    });
}

#[test] // req 26: arrays and objects where a text is expected
fn a_member_of_another_type() {
    for odd in [
        json!(1),
        json!(true),
        json!(["x"]),
        json!({ "$ne": "" }),
        json!(1e308),
    ] {
        refused_everywhere(400, "invalid_request", |ask, right| {
            let mut body = right.clone();
            for (_, value) in body.as_object_mut().expect("an object") {
                *value = odd.clone();
            }
            ask.json(&body).send()
        });
    }
}

#[test]
fn a_body_that_is_deep() {
    for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
        let deep = format!("{}1{}", open.repeat(10_000), close.repeat(10_000));
        refused_everywhere(400, "invalid_request", |ask, _| {
            ask.header("content-type", JSON).body(deep.clone()).send()
        });
        refused_everywhere(400, "invalid_request", |ask, right| {
            let text = right.to_string();
            let body = format!("{},\"x\":{deep}}}", &text[..text.len() - 1]);
            ask.header("content-type", JSON).body(body).send()
        });
    }
}

#[test]
fn sixty_four_kilobytes_of_garbage() {
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let garbage: Vec<u8> = (0..64 * 1024)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state.to_le_bytes()[0]
        })
        .collect();
    refused_everywhere(400, "invalid_request", |ask, _| {
        ask.header("content-type", JSON)
            .body(garbage.clone())
            .send()
    });
}

#[test] // texts as long as a body allows are refused as something, never broken on
fn very_long_texts() {
    let t = Harness::with(|terms| {
        terms.policy.registration = authd::service::Registration::Open;
    });
    let ann = t.administrator("ann");
    let long = "x".repeat(60_000);
    for route in routes().filter(|route| route.takes_body()) {
        let path = route.path.replace("{id}", &ann.session);
        let members: Vec<String> = right(route)
            .as_object()
            .expect("an object")
            .keys()
            .cloned()
            .collect();
        for member in members {
            let mut body = right(route);
            body[member] = json!(long);
            let answer = t
                .with_token(&ann, route.method.clone(), &path)
                .json(&body)
                .send();
            assert!(
                (400..500).contains(&answer.status),
                "{} {}",
                route.path,
                answer.text()
            );
            let shown = answer.text();
            assert!(
                shown.len() < 2000 && !shown.contains(&long[..500]),
                "it echoes"
            );
        }
    }
}

#[test] // a text is stored and shown as it was sent, and is not interpreted
fn texts_that_mean_something_elsewhere() {
    let t = Harness::new();
    let ann = t.sign_in("ann");
    for odd in [
        "'; DROP TABLE account; --",
        "<script>alert(1)</script>",
        "${jndi:ldap://x}",
        "%00%0d%0a",
        "{{7*7}}",
    ] {
        let shown = t
            .with_token(&ann, Method::PATCH, "/v1/account")
            .json(&json!({ "name": odd }))
            .send()
            .gives(200);
        assert_eq!(shown["name"], odd);
        let refused = t.try_sign_in(LAPTOP, odd, PASSWORD);
        refused.refused("invalid_credentials");
    }
}
