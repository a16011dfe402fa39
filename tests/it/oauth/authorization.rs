//! From an authorization request to a code.

use authd::http::Method;

use super::app::{App, CALLBACK, CHALLENGE, claims, go, received, settings, signed_in, submit};
use crate::harness::{Harness, LAPTOP, email, minutes, seconds};
use crate::pages::browser::{Browser, Page};

#[test]
fn a_person_signs_in_to_an_app() {
    let t = Harness::new();
    t.add("ann");
    let app = App::register(&t, |_| {});
    let mut browser = Browser::new(&t, LAPTOP);
    let answer = go(&mut browser, "ann", &app.request(&[]));
    let answer = received(&answer);
    assert_eq!(answer["state"], "the state");
    // req 51
    assert_eq!(answer["iss"], crate::harness::ISSUER);
    let tokens = app.exchange(&t, &answer["code"]).gives(200);
    let id_token = claims(&tokens["id_token"]);
    assert_eq!(id_token["nonce"], "n-1");
    assert_eq!(id_token["email"], email("ann"));
    // The second time nobody is asked anything.
    let again = browser.get(&app.request(&[("prompt", "none")]));
    assert!(received(&again).contains_key("code"));
}

#[test] // req 42, fault: an open redirect
fn nothing_is_sent_to_an_address_that_is_not_registered() {
    let t = Harness::new();
    t.add("ann");
    let app = App::register(&t, |_| {});
    let mut browser = signed_in(&t, "ann");
    for (more, words) in [
        (
            vec![("redirect_uri", "https://evil.example/callback")],
            "not registered",
        ),
        (
            vec![("redirect_uri", "https://app.example.net/callback/")],
            "not registered",
        ),
        (vec![("redirect_uri", "")], "not registered"),
        (vec![("client_id", "nobody")], "does not know"),
        (vec![("client_id", "")], "does not know"),
        (vec![("client_id", "authd")], "does not know"),
    ] {
        let page = browser.open(&app.request(&more));
        page.says(400, words);
        assert!(page.answer.header("location").is_none());
    }
    // Twice is not once: the second could be another reader's.
    for twice in ["client_id=other", "redirect_uri=https%3A%2F%2Fevil.example"] {
        let page = browser.open(&format!("{}&{twice}", app.request(&[])));
        assert_eq!(page.answer.status, 400);
    }
}

#[test] // req 45, req 46
fn what_is_wrong_with_a_request_is_told_to_the_app() {
    let t = Harness::new();
    t.add("ann");
    let app = App::register(&t, |_| {});
    let mut browser = signed_in(&t, "ann");
    let object = "eyJhbGciOiJub25lIn0.eyJzdGF0ZSI6ImlubmVyIn0.";
    let long = "x".repeat(3000);
    for (more, error) in [
        (vec![("response_type", "")], "invalid_request"),
        (
            vec![("response_type", "token")],
            "unsupported_response_type",
        ),
        (
            vec![("response_type", "code id_token")],
            "unsupported_response_type",
        ),
        (
            vec![("code_challenge", ""), ("code_challenge_method", "")],
            "invalid_request",
        ),
        (vec![("code_challenge_method", "plain")], "invalid_request"),
        (vec![("code_challenge_method", "")], "invalid_request"),
        (vec![("code_challenge", "short")], "invalid_request"),
        (vec![("scope", "openid \"")], "invalid_scope"),
        (vec![("prompt", "none login")], "invalid_request"),
        (vec![("max_age", "soon")], "invalid_request"),
        (vec![("max_age", "-1")], "invalid_request"),
        (vec![("claims", "[1]")], "invalid_request"),
        (vec![("nonce", &long)], "invalid_request"),
        (vec![("response_mode", "web_message")], "invalid_request"),
        (
            vec![("resource", "https://api.example.net")],
            "invalid_target",
        ),
        (vec![("id_token_hint", "x.y.z")], "invalid_request"),
        (vec![("request", object)], "request_not_supported"),
        (
            vec![("request_uri", "https://app.example.net/r")],
            "request_uri_not_supported",
        ),
    ] {
        let answer = received(&browser.get(&app.request(&more)));
        assert_eq!(answer["error"], error, "{more:?}");
        assert_eq!(answer["state"], "the state");
        assert_eq!(answer["iss"], crate::harness::ISSUER);
        assert!(!answer.contains_key("code"));
    }
    let refused = received(
        &browser.get(&app.request(&[("code_challenge", ""), ("code_challenge_method", "")])),
    );
    // app 7: the refusal names the switch
    assert!(refused["error_description"].contains("--allow-no-pkce"));
    let twice = received(&browser.get(&format!("{}&nonce=2", app.request(&[]))));
    assert_eq!(twice["error"], "invalid_request");
}

#[test] // app 7
fn an_app_that_cannot_do_pkce_is_let_in_by_a_switch() {
    let t = Harness::new();
    t.add("ann");
    let app = App::register(&t, |new| new.settings.require_pkce = Some(false));
    let mut browser = signed_in(&t, "ann");
    let bare = [("code_challenge", ""), ("code_challenge_method", "")];
    let code = app.code(&mut browser, "ann", &bare);
    // req 45: a verifier without a challenge
    let answer = app.exchange(&t, &code);
    super::app::refused(&answer, 400, "invalid_grant");
    app.exchange_with(&t, &code, &[("code_verifier", "")])
        .gives(200);
    // What is sent is checked.
    let code = app.code(&mut browser, "ann", &[("code_challenge", CHALLENGE)]);
    let answer = app.exchange_with(&t, &code, &[("code_verifier", "")]);
    super::app::refused(&answer, 400, "invalid_grant");
}

#[test] // the state comes back byte for byte, and stays inside its parameter (fault: CRLF in state)
fn a_state_is_the_apps_own() {
    let t = Harness::new();
    t.add("ann");
    let app = App::register(&t, |_| {});
    let mut browser = signed_in(&t, "ann");
    let long = "s".repeat(2048);
    for state in [
        "a b&c=d#e?f/%25\"<>\\",
        "x\r\nSet-Cookie: a=b",
        "-._~",
        "äöü",
        &long,
    ] {
        let answer = go(&mut browser, "ann", &app.request(&[("state", state)]));
        assert_eq!(received(&answer)["state"], state);
        assert!(answer.header("set-cookie").is_none());
    }
}

#[test]
fn an_answer_comes_in_the_way_that_was_asked_for() {
    let t = Harness::new();
    t.add("ann");
    let app = App::register(&t, |_| {});
    let mut browser = signed_in(&t, "ann");
    go(&mut browser, "ann", &app.request(&[]));
    let answer = browser.get(&app.request(&[("response_mode", "fragment")]));
    let location = answer.header("location").expect("a location");
    assert!(
        location.starts_with(&format!("{CALLBACK}#code=ac_")),
        "{location}"
    );
    let page = browser.open(&app.request(&[("response_mode", "form_post")]));
    let fields = page.form(CALLBACK);
    assert!(
        fields
            .iter()
            .any(|(name, value)| name == "code" && value.starts_with("ac_"))
    );
    assert!(fields.contains(&("state".into(), "the state".into())));
    let policy = page
        .answer
        .header("content-security-policy")
        .expect("a policy");
    assert!(!policy.contains("form-action"), "{policy}");
    assert!(page.text().contains(" data-send"));
    // An error too, and of a request object that says so inside alone.
    let object =
        "eyJhbGciOiJub25lIn0.eyJzdGF0ZSI6ImlubmVyIiwicmVzcG9uc2VfbW9kZSI6ImZvcm1fcG9zdCJ9.";
    let page = browser.open(&app.request(&[("request", object), ("state", "")]));
    let fields = page.form(CALLBACK);
    assert!(fields.contains(&("error".into(), "request_not_supported".into())));
    assert!(fields.contains(&("state".into(), "inner".into())));
}

#[test]
fn a_request_can_come_in_a_form_of_the_app() {
    let t = Harness::new();
    t.add("ann");
    let app = App::register(&t, |_| {});
    let mut browser = signed_in(&t, "ann");
    let (path, query) = app
        .request(&[])
        .split_once('?')
        .map(|(a, b)| (a.to_owned(), b.to_owned()))
        .expect("a query");
    // A form of another site: without cookies, and cross-site.
    let answer = t
        .ask(Method::POST, &path)
        .header("content-type", "application/x-www-form-urlencoded")
        .header("origin", "https://app.example.net")
        .header("sec-fetch-site", "cross-site")
        .body(query)
        .send();
    assert_eq!(answer.status, 303);
    let location = answer.header("location").expect("a location");
    assert!(received(&go(&mut browser, "ann", location)).contains_key("code"));
}

#[test]
fn prompt_none_never_shows_a_page() {
    let t = Harness::new();
    t.add("ann");
    t.add("bob");
    let app = App::register(&t, |_| {});
    let silent = |browser: &mut Browser<'_>, more: &[(&str, &str)]| {
        let mut all = vec![("prompt", "none")];
        all.extend(more);
        received(&browser.get(&app.request(&all)))
            .get("error")
            .cloned()
    };
    let mut stranger = Browser::new(&t, LAPTOP);
    assert_eq!(
        silent(&mut stranger, &[]).as_deref(),
        Some("login_required")
    );
    let mut browser = signed_in(&t, "ann");
    assert_eq!(
        silent(&mut browser, &[]).as_deref(),
        Some("consent_required")
    );
    let tokens = app.sign_in(&t, &mut browser, "ann");
    assert_eq!(silent(&mut browser, &[]), None);
    let hint = tokens["id_token"].as_str().expect("a token");
    assert_eq!(silent(&mut browser, &[("id_token_hint", hint)]), None);
    // req 58: an access token is no hint
    let access = tokens["access_token"].as_str().expect("a token");
    assert_eq!(
        silent(&mut browser, &[("id_token_hint", access)]).as_deref(),
        Some("invalid_request")
    );
    let mut other = signed_in(&t, "bob");
    go(&mut other, "bob", &app.request(&[]));
    assert_eq!(
        silent(&mut other, &[("id_token_hint", hint)]).as_deref(),
        Some("login_required")
    );
    t.clock.advance(seconds(30));
    assert_eq!(
        silent(&mut browser, &[("max_age", "10")]).as_deref(),
        Some("login_required")
    );
    assert_eq!(silent(&mut browser, &[("max_age", "60")]), None);
}

#[test]
fn an_app_can_ask_for_a_fresh_sign_in() {
    let t = Harness::new();
    t.add("ann");
    let app = App::register(&t, |_| {});
    let mut browser = signed_in(&t, "ann");
    let auth_time = |tokens: &serde_json::Value| {
        claims(&tokens["id_token"])["auth_time"]
            .as_i64()
            .expect("a time")
    };
    let first = app.sign_in(&t, &mut browser, "ann");
    t.clock.advance(minutes(2));
    let second = app.sign_in(&t, &mut browser, "ann");
    assert_eq!(auth_time(&first), auth_time(&second));
    for more in [("prompt", "login"), ("max_age", "1"), ("max_age", "0")] {
        t.clock.advance(minutes(2));
        let page = browser.open(&app.request(&[more]));
        page.says(200, "sign in again");
        let code = app.code(&mut browser, "ann", &[more]);
        let tokens = app.exchange(&t, &code).gives(200);
        assert!(auth_time(&tokens) >= auth_time(&second) + 120);
        // The session stays the same: other apps are not signed out.
        assert_eq!(
            claims(&tokens["id_token"])["sid"],
            claims(&first["id_token"])["sid"]
        );
    }
}

#[test] // the mark of a fresh sign-in is this server's own
fn a_fresh_sign_in_cannot_be_claimed() {
    let t = Harness::new();
    t.add("ann");
    let app = App::register(&t, |_| {});
    let mut browser = signed_in(&t, "ann");
    t.clock.advance(minutes(2));
    for since in ["1.x", "0.", "9999999999.AAAAAAAAAAAAAAAAAAAAAA"] {
        let page = browser.open(&app.request(&[("prompt", "login"), ("since", since)]));
        page.says(200, "sign in again");
    }
}

#[test]
fn a_person_can_refuse_and_can_change_the_account() {
    let t = Harness::new();
    t.add("ann");
    t.add("bob");
    let app = App::register(&t, |_| {});
    let mut browser = signed_in(&t, "ann");
    let page = browser.open(&app.request(&[]));
    page.says(200, "Photos");
    page.says(200, "see your e-mail address");
    page.says(200, "app.example.net");
    let answer = submit(
        &mut browser,
        &page,
        "/consent",
        &[("decision", "deny".into())],
    );
    assert_eq!(received(&answer)["error"], "access_denied");
    let page = browser.open(&app.request(&[("prompt", "select_account")]));
    let answer = submit(
        &mut browser,
        &page,
        "/consent",
        &[("decision", "switch".into())],
    );
    let next = answer.header("location").expect("a location").to_owned();
    assert!(next.starts_with("/login?"), "{next}");
    let code = received(&go(&mut browser, "bob", &next))["code"].clone();
    let tokens = app.exchange(&t, &code).gives(200);
    assert_eq!(claims(&tokens["id_token"])["email"], email("bob"));
    assert!(t.sessions("ann").is_empty());
}

#[test] // a decision is a form of this server's page
fn another_site_cannot_agree_for_a_person() {
    let t = Harness::new();
    t.add("ann");
    let app = App::register(&t, |_| {});
    let mut browser = signed_in(&t, "ann");
    let page = browser.open(&app.request(&[]));
    let fields = page.form("/consent");
    let request = fields
        .iter()
        .find(|(name, _)| name == "request")
        .expect("a request")
        .1
        .clone();
    let forged = [
        ("request".to_owned(), request.clone()),
        ("decision".to_owned(), "allow".to_owned()),
    ];
    assert_eq!(browser.post("/consent", &forged).status, 403);
    // And the request in it is checked as any other.
    let evil = request.replace("app.example.net", "evil.example");
    let page = browser.open(&app.request(&[]));
    let answer = submit(
        &mut browser,
        &page,
        "/consent",
        &[("decision", "allow".into()), ("request", evil)],
    );
    assert_eq!(answer.status, 400);
    assert!(answer.header("location").is_none());
}

#[test] // req 55
fn of_an_app_without_a_secret_the_person_is_always_asked() {
    let t = Harness::new();
    t.add("ann");
    let app = App::register(&t, |new| new.is_public = true);
    let mut browser = signed_in(&t, "ann");
    for _ in 0..2 {
        let page = browser.open(&app.request(&[]));
        page.says(200, "Photos");
        let silent = browser.get(&app.request(&[("prompt", "none")]));
        assert_eq!(received(&silent)["error"], "consent_required");
        app.sign_in(&t, &mut browser, "ann");
    }
}

#[test]
fn an_app_can_be_for_some_groups_alone() {
    let t = Harness::new();
    t.add("ann");
    t.operator().add_group("family").expect("a group");
    let app = App::register(&t, |new| {
        new.settings.groups = Some(Some(vec!["family".into()]))
    });
    let mut browser = signed_in(&t, "ann");
    browser
        .open(&app.request(&[]))
        .says(403, "You may not use this app");
    let silent = browser.get(&app.request(&[("prompt", "none")]));
    assert_eq!(received(&silent)["error"], "access_denied");
    let ann = crate::harness::account("ann");
    t.operator().grant_group("family", &ann).expect("granted");
    let tokens = app.sign_in(&t, &mut browser, "ann");
    // Taken out of the group, the app gets nothing more.
    t.operator().revoke_group("family", &ann).expect("revoked");
    let refresh = tokens["refresh_token"].as_str().expect("a token");
    super::app::refused(&app.refresh(&t, refresh), 400, "invalid_grant");
    // A group that is deleted lets nobody in.
    t.operator().delete_group("family").expect("deleted");
    browser
        .open(&app.request(&[]))
        .says(403, "You may not use this app");
}

#[test] // app 13, app 16
fn unknown_words_and_parameters_are_ignored() {
    let t = Harness::new();
    t.add("ann");
    let app = App::register(&t, |_| {});
    let mut browser = signed_in(&t, "ann");
    let more = [
        ("scope", "phone openid  address email"),
        ("extra", "foobar"),
        ("display", "popup"),
        ("claims_locales", "se"),
        ("ui_locales", "se"),
        ("acr_values", "1 2"),
        ("login_hint", "buffy@example.org"),
    ];
    let code = app.code(&mut browser, "ann", &more);
    let tokens = app.exchange(&t, &code).gives(200);
    assert_eq!(tokens["scope"], "openid email");
    // An empty scope is no crash, and brings no ID token.
    let code = app.code(&mut browser, "ann", &[("scope", "")]);
    let tokens = app.exchange(&t, &code).gives(200);
    assert!(tokens.get("id_token").is_none());
}

#[test]
fn the_claims_parameter_brings_the_scope_of_the_claim() {
    let t = Harness::new();
    t.add("ann");
    let app = App::register(&t, |_| {});
    let mut browser = signed_in(&t, "ann");
    let claimed = r#"{"userinfo":{"name":{"essential":true}}}"#;
    let code = app.code(
        &mut browser,
        "ann",
        &[("scope", "openid"), ("claims", claimed)],
    );
    let tokens = app.exchange(&t, &code).gives(200);
    assert_eq!(tokens["scope"], "openid profile");
    let sub = claims(&tokens["id_token"])["sub"]
        .as_str()
        .expect("a sub")
        .to_owned();
    let same = format!(r#"{{"id_token":{{"sub":{{"value":"{sub}"}}}}}}"#);
    let silent =
        browser.get(&app.request(&[("prompt", "none"), ("scope", "openid"), ("claims", &same)]));
    assert!(received(&silent).contains_key("code"));
    let other = r#"{"id_token":{"sub":{"value":"00000000-0000-4000-8000-000000000000"}}}"#;
    let silent =
        browser.get(&app.request(&[("prompt", "none"), ("scope", "openid"), ("claims", other)]));
    assert_eq!(received(&silent)["error"], "login_required");
}

#[test]
fn a_login_hint_is_in_the_form() {
    let t = Harness::new();
    let app = App::register(&t, |_| {});
    let mut browser = Browser::new(&t, LAPTOP);
    let page = browser.open(&app.request(&[("login_hint", "ann@example.org\"><script>")]));
    let fields = page.form("/login");
    assert!(
        fields.contains(&("login".into(), "ann@example.org\"&#62;<script&#62;".into())),
        "{fields:?}"
    );
}

#[test]
fn settings_of_an_app_apply_at_once() {
    let t = Harness::new();
    t.add("ann");
    let app = App::register(&t, |_| {});
    let mut browser = signed_in(&t, "ann");
    app.sign_in(&t, &mut browser, "ann");
    let change = authd::service::ClientChange {
        name: None,
        redirect_uris: Some(vec!["https://moved.example.net/callback".into()]),
        ..settings()
    };
    t.operator()
        .update_client(&app.id, &change)
        .expect("changed");
    let page: Page = browser.open(&app.request(&[]));
    page.says(400, "not registered");
}
