//! Files of older releases: they open, are brought up to date, and keep their sessions.

use std::fs;
use std::path::Path;

use authd::http::Method;
use authd::password::Params;
use serde_json::{Value, json};

use crate::harness::*;

/// A server on a copy of the database that release 0.1.0 made, and the tokens that it gave out.
fn of_0_1_0() -> (Harness, Value) {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    let told = fs::read_to_string(fixtures.join("authd-0.1.0.json")).expect("its tokens");
    // Its passwords were hashed as a server does, and take its memory.
    let mut t =
        Harness::with(|terms| terms.hashing = Params::new(19_456, 2, 1).expect("parameters"));
    t.stopped(|path| {
        fs::copy(fixtures.join("authd-0.1.0.db"), path).expect("a copy");
    });
    (t, serde_json::from_str(&told).expect("JSON"))
}

fn refresh(t: &Harness, token: &Value) -> Answer {
    t.post("/v1/sessions/refresh", json!({ "refresh_token": token }))
        .send()
}

#[test]
fn a_file_of_0_1_0_keeps_its_sessions_and_accounts() {
    let (t, told) = of_0_1_0();
    let email = told["email"].as_str().expect("an address");
    let listed = t.sessions("old");
    assert_eq!(listed.len(), 2);
    assert!(
        listed
            .iter()
            .all(|open| open.last_used_at >= open.created_at)
    );
    let phone = refresh(&t, &told["phone"]).issued();
    let laptop = refresh(&t, &told["laptop"]).issued();
    for device in [&phone, &laptop] {
        let shown = t.with_token(device, Method::GET, "/v1/account").send();
        assert_eq!(shown.gives(200)["email"], email);
        refresh(&t, &json!(device.refresh)).issued();
    }
    assert_eq!(t.sessions("old").len(), 2);
    // A token that was used up there is still found out here, and ends its own session alone.
    refresh(&t, &told["laptop_used"]).refused("invalid_grant");
    assert_eq!(t.events_of("old", "refresh_token_reused").len(), 1);
    assert_eq!(t.sessions("old").len(), 1);
    let password = told["password"].as_str().expect("a password");
    t.try_sign_in(LAPTOP, email, password).issued();
}
