//! Signing in on a device without a browser (RFC 8628).

use authd::http::Method;
use serde_json::Value;

use super::app::{App, claims, refused, signed_in};
use crate::harness::{Answer, Harness, ISSUER, email, minutes, seconds};

const GRANT: &str = "urn:ietf:params:oauth:grant-type:device_code";

fn television(t: &Harness) -> App {
    App::register(t, |new| {
        new.is_public = true;
        new.settings.redirect_uris = None;
        new.settings.grant_types = Some(vec!["device_code".into(), "refresh_token".into()]);
    })
}

fn begin(t: &Harness, app: &App) -> Value {
    app.post(
        t,
        "/oauth/device_authorization",
        &[("scope", "openid email offline_access")],
    )
    .gives(200)
}

fn poll(t: &Harness, app: &App, begun: &Value) -> Answer {
    let code = begun["device_code"].as_str().expect("a code");
    app.post(
        t,
        "/oauth/token",
        &[("grant_type", GRANT), ("device_code", code)],
    )
}

#[test]
fn a_person_signs_a_television_in() {
    let t = Harness::new();
    t.add("ann");
    let app = television(&t);
    let begun = begin(&t, &app);
    assert_eq!(begun["verification_uri"], format!("{ISSUER}/device"));
    let code = begun["user_code"].as_str().expect("a code").to_owned();
    let complete = begun["verification_uri_complete"]
        .as_str()
        .expect("an address");
    refused(&poll(&t, &app, &begun), 400, "authorization_pending");
    let mut browser = signed_in(&t, "ann");
    let path = complete
        .strip_prefix(ISSUER)
        .expect("an address of this server");
    // A link alone allows nothing.
    let page = browser.open(path);
    let page = browser.send(&page, "/device", &[]);
    page.says(200, "Photos");
    page.says(200, &code);
    page.says(200, "198.51.100.7");
    t.clock.advance(seconds(6));
    refused(&poll(&t, &app, &begun), 400, "authorization_pending");
    let page = browser.send(&page, "/device", &[("decision", "allow")]);
    page.says(200, "The device is signed in");
    t.clock.advance(seconds(6));
    let tokens = poll(&t, &app, &begun).gives(200);
    assert_eq!(claims(&tokens["id_token"])["email"], email("ann"));
    app.refresh(&t, tokens["refresh_token"].as_str().expect("a token"))
        .gives(200);
    // It works once.
    t.clock.advance(seconds(6));
    refused(&poll(&t, &app, &begun), 400, "invalid_grant");
    browser.open("/account/apps").says(200, "Photos");
}

#[test] // RFC 8628 §3.5
fn a_device_that_asks_too_often_is_slowed_down() {
    let t = Harness::new();
    let app = television(&t);
    let begun = begin(&t, &app);
    refused(&poll(&t, &app, &begun), 400, "authorization_pending");
    t.clock.advance(seconds(4));
    refused(&poll(&t, &app, &begun), 400, "slow_down");
    t.clock.advance(seconds(6));
    refused(&poll(&t, &app, &begun), 400, "slow_down");
    t.clock.advance(seconds(16));
    refused(&poll(&t, &app, &begun), 400, "authorization_pending");
    t.clock.advance(minutes(10));
    refused(&poll(&t, &app, &begun), 400, "expired_token");
}

#[test]
fn a_person_can_refuse_a_device() {
    let t = Harness::new();
    t.add("ann");
    let app = television(&t);
    let begun = begin(&t, &app);
    let code = begun["user_code"]
        .as_str()
        .expect("a code")
        .to_lowercase()
        .replace('-', " ");
    let mut browser = signed_in(&t, "ann");
    let page = browser.open("/device");
    let page = browser.send(&page, "/device", &[("user_code", &code)]);
    let page = browser.send(&page, "/device", &[("decision", "deny")]);
    page.says(200, "The device was refused");
    refused(&poll(&t, &app, &begun), 400, "access_denied");
}

#[test] // a code has 34 bits: guesses are counted
fn codes_cannot_be_guessed() {
    let t = Harness::new();
    t.add("ann");
    let app = television(&t);
    begin(&t, &app);
    let mut browser = signed_in(&t, "ann");
    let mut words = Vec::new();
    for _ in 0..12 {
        let page = browser.open("/device");
        let page = browser.send(&page, "/device", &[("user_code", "BBBB-BBBB")]);
        words.push(page.text().contains("No device waits with this code"));
    }
    assert_eq!(words.iter().filter(|word| **word).count(), 10);
}

#[test]
fn a_device_code_is_its_clients_own() {
    let t = Harness::new();
    let app = television(&t);
    let other = television(&t);
    let begun = begin(&t, &app);
    t.unchanged(|| refused(&poll(&t, &other, &begun), 400, "invalid_grant"));
    let without = App::register(&t, |_| {});
    let answer = without.post(&t, "/oauth/device_authorization", &[]);
    refused(&answer, 400, "unauthorized_client");
    assert_eq!(t.ask(Method::GET, "/device").send().status, 303);
}
