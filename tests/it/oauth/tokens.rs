//! The token endpoint, and what becomes of what it gives.

use authd::http::Method;
use serde_json::{Value, json};

use super::app::{
    App, BACKEND, CALLBACK, VERIFIER, basic, claims, form, header, refused, signed_in,
};
use crate::harness::{Harness, ISSUER, LAPTOP, minutes, seconds};
use crate::pages::browser::Browser;

fn text(value: &Value) -> &str {
    value.as_str().expect("a text")
}

#[test] // app 8, app 10, app 11, app 12
fn the_id_token_and_userinfo_have_all_claims() {
    let t = Harness::new();
    t.add("ann");
    t.operator().add_group("family").expect("a group");
    let ann = crate::harness::account("ann");
    t.operator().grant_group("family", &ann).expect("granted");
    let app = App::register(&t, |_| {});
    let mut browser = signed_in(&t, "ann");
    let tokens = app.sign_in(&t, &mut browser, "ann");
    // app 1
    assert_eq!(header(&tokens["id_token"])["alg"], "RS256");
    let id_token = claims(&tokens["id_token"]);
    assert_eq!(id_token["iss"], ISSUER);
    assert_eq!(id_token["aud"], Value::String(app.id.clone()));
    assert_eq!(id_token["acr"], "1");
    assert_eq!(id_token["amr"], json!(["pwd"]));
    let answer = t
        .ask(Method::GET, "/oauth/userinfo")
        .bearer(text(&tokens["access_token"]))
        .send();
    assert_eq!(answer.header("content-type"), Some("application/json"));
    let userinfo = answer.gives(200);
    for claim in [
        "sub",
        "name",
        "preferred_username",
        "email",
        "email_verified",
        "groups",
    ] {
        assert_eq!(userinfo[claim], id_token[claim], "{claim}");
        assert!(!userinfo[claim].is_null(), "{claim}");
    }
    assert_eq!(userinfo["groups"], json!(["family"]));
    // The same after a refresh, without the nonce (OpenID Connect Core §12.2).
    let refreshed = app.refresh(&t, text(&tokens["refresh_token"])).gives(200);
    let again = claims(&refreshed["id_token"]);
    assert_eq!(again["groups"], json!(["family"]));
    assert_eq!(again["auth_time"], id_token["auth_time"]);
    assert!(again.get("nonce").is_none());
    // app 19: by POST too, in the header and in the form
    let access = text(&refreshed["access_token"]);
    t.ask(Method::POST, "/oauth/userinfo")
        .bearer(access)
        .send()
        .gives(200);
    form(&t, "/oauth/userinfo", &[("access_token", access)])
        .send()
        .gives(200);
    let both = form(&t, "/oauth/userinfo", &[("access_token", access)])
        .bearer(access)
        .send();
    refused(&both, 400, "invalid_request");
}

#[test] // req 43
fn a_code_works_once_and_its_second_use_ends_what_came_of_it() {
    let t = Harness::new();
    t.add("ann");
    let app = App::register(&t, |_| {});
    let mut browser = signed_in(&t, "ann");
    let code = app.code(&mut browser, "ann", &[]);
    let tokens = app.exchange(&t, &code).gives(200);
    t.clock.advance(seconds(30));
    refused(&app.exchange(&t, &code), 400, "invalid_grant");
    refused(
        &app.refresh(&t, text(&tokens["refresh_token"])),
        400,
        "invalid_grant",
    );
    let answer = t
        .ask(Method::GET, "/oauth/userinfo")
        .bearer(text(&tokens["access_token"]))
        .send();
    refused(&answer, 401, "invalid_token");
    assert!(
        t.events("ann")
            .contains(&"authorization_code_reused".to_owned())
    );
    // It also expires.
    let code = app.code(&mut browser, "ann", &[]);
    t.clock.advance(seconds(61));
    refused(&app.exchange(&t, &code), 400, "invalid_grant");
}

#[test] // req 43: many at once
fn of_many_who_use_a_code_at_once_one_gets_tokens() {
    let t = Harness::new();
    t.add("ann");
    let app = App::register(&t, |_| {});
    let mut browser = signed_in(&t, "ann");
    let code = app.code(&mut browser, "ann", &[]);
    let answers: Vec<u16> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..64)
            .map(|_| scope.spawn(|| app.exchange(&t, &code).status))
            .collect();
        threads
            .into_iter()
            .map(|thread| thread.join().expect("an answer"))
            .collect()
    });
    assert_eq!(answers.iter().filter(|status| **status == 200).count(), 1);
    assert_eq!(answers.iter().filter(|status| **status == 400).count(), 63);
}

#[test] // req 44, app 6
fn what_does_not_fit_a_code_leaves_it_usable() {
    let t = Harness::new();
    t.add("ann");
    let app = App::register(&t, |_| {});
    let other = App::register(&t, |_| {});
    let mut browser = signed_in(&t, "ann");
    let code = app.code(&mut browser, "ann", &[]);
    refused(&other.exchange(&t, &code), 400, "invalid_grant");
    let wrong = App {
        id: app.id.clone(),
        secret: Some(format!("acs_{}", "A".repeat(43))),
    };
    let answer = wrong.exchange(&t, &code);
    refused(&answer, 401, "invalid_client");
    assert!(
        answer
            .header("www-authenticate")
            .is_some_and(|it| it.starts_with("Basic"))
    );
    for more in [
        ("redirect_uri", "https://app.example.net/other"),
        ("redirect_uri", ""),
        ("code_verifier", ""),
        ("code_verifier", &VERIFIER.replace('d', "e")),
        ("code_verifier", "short"),
    ] {
        let answer = app.exchange_with(&t, &code, &[more]);
        assert_eq!(answer.status, 400, "{more:?}");
    }
    app.exchange(&t, &code).gives(200);
}

#[test] // app 4, app 5, req 48
fn a_client_may_say_who_it_is_in_two_ways() {
    let t = Harness::new();
    t.add("ann");
    let app = App::register(&t, |_| {});
    let secret = app.secret.clone().expect("a secret");
    assert!(
        secret.len() <= 64
            && secret
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b))
    );
    let mut browser = signed_in(&t, "ann");
    let mut exchange = |fields: &[(&str, &str)], header: Option<String>| {
        let code = app.code(&mut browser, "ann", &[]);
        let mut all = vec![
            ("grant_type", "authorization_code"),
            ("code", code.as_str()),
            ("redirect_uri", CALLBACK),
            ("code_verifier", VERIFIER),
        ];
        all.extend(fields);
        let ask = form(&t, "/oauth/token", &all);
        match header {
            Some(header) => ask.header("authorization", header).send(),
            None => ask.send(),
        }
    };
    let id = app.id.as_str();
    exchange(&[("client_id", id), ("client_secret", &secret)], None).gives(200);
    exchange(&[("client_id", id)], Some(basic(id, &secret))).gives(200);
    // Percent-encoded, as RFC 6749 §2.3.1 has it
    let encoded = secret.replace('_', "%5F");
    exchange(&[], Some(basic(id, &encoded))).gives(200);
    refused(&exchange(&[("client_id", id)], None), 401, "invalid_client");
    refused(
        &exchange(&[("client_id", "other")], Some(basic(id, &secret))),
        400,
        "invalid_request",
    );
    refused(&exchange(&[], None), 400, "invalid_request");
    refused(
        &exchange(&[], Some("Bearer x".into())),
        400,
        "invalid_request",
    );
    refused(
        &exchange(&[], Some(basic("nobody", &secret))),
        401,
        "invalid_client",
    );
}

#[test] // req 48, req 49
fn a_refresh_token_is_the_clients_own_and_never_grows() {
    let t = Harness::new();
    t.add("ann");
    let app = App::register(&t, |_| {});
    let other = App::register(&t, |_| {});
    let mut browser = signed_in(&t, "ann");
    let tokens = app.sign_in(&t, &mut browser, "ann");
    let token = text(&tokens["refresh_token"]).to_owned();
    t.unchanged(|| refused(&other.refresh(&t, &token), 400, "invalid_grant"));
    // Nor is it good at the interface of first-party sessions, nor the reverse.
    t.post("/v1/sessions/refresh", json!({ "refresh_token": token }))
        .send()
        .refused("invalid_grant");
    let first_party = t.sign_in("ann");
    refused(&app.refresh(&t, &first_party.refresh), 400, "invalid_grant");
    let with_scope = |token: &str, scope: &str| {
        let fields = [
            ("grant_type", "refresh_token"),
            ("refresh_token", token),
            ("scope", scope),
        ];
        app.post(&t, "/oauth/token", &fields)
    };
    refused(&with_scope(&token, "openid admin"), 400, "invalid_scope");
    let narrow = with_scope(&token, "openid email").gives(200);
    assert_eq!(narrow["scope"], "openid email");
    assert!(claims(&narrow["id_token"]).get("groups").is_none());
    // The grant itself is as wide as before.
    let wide = app.refresh(&t, text(&narrow["refresh_token"])).gives(200);
    assert_eq!(wide["scope"], tokens["scope"]);
}

#[test] // req 47
fn a_refresh_token_that_is_used_again_ends_the_apps_access_alone() {
    let t = Harness::new();
    t.add("ann");
    let app = App::register(&t, |_| {});
    let other = App::register(&t, |_| {});
    let mut browser = signed_in(&t, "ann");
    let tokens = app.sign_in(&t, &mut browser, "ann");
    let others = other.sign_in(&t, &mut browser, "ann");
    let first = text(&tokens["refresh_token"]).to_owned();
    // A lost answer: the same successor.
    let one = app.refresh(&t, &first).gives(200);
    let same = app.refresh(&t, &first).gives(200);
    assert_eq!(one["refresh_token"], same["refresh_token"]);
    t.clock.advance(minutes(5));
    refused(&app.refresh(&t, &first), 400, "invalid_grant");
    refused(
        &app.refresh(&t, text(&one["refresh_token"])),
        400,
        "invalid_grant",
    );
    other.refresh(&t, text(&others["refresh_token"])).gives(200);
    assert_eq!(browser.open("/account").path, "/account");
}

#[test]
fn what_ends_a_session_ends_the_grants_in_it() {
    let t = Harness::new();
    t.add("ann");
    let app = App::register(&t, |_| {});
    let mut browser = signed_in(&t, "ann");
    let tokens = app.sign_in(&t, &mut browser, "ann");
    let page = browser.open("/account");
    browser.send(&page, "/logout", &[]);
    refused(
        &app.refresh(&t, text(&tokens["refresh_token"])),
        400,
        "invalid_grant",
    );
    let answer = t
        .ask(Method::GET, "/oauth/userinfo")
        .bearer(text(&tokens["access_token"]))
        .send();
    refused(&answer, 401, "invalid_token");
}

#[test] // an app's token opens nothing of the account itself
fn an_access_token_of_an_app_is_not_good_at_v1() {
    let t = Harness::new();
    t.add("ann");
    let app = App::register(&t, |_| {});
    let mut browser = signed_in(&t, "ann");
    let tokens = app.sign_in(&t, &mut browser, "ann");
    for token in ["access_token", "id_token"] {
        let answer = t
            .ask(Method::GET, "/v1/account")
            .bearer(text(&tokens[token]))
            .send();
        answer.refused("invalid_token");
    }
    // Nor the reverse (req 58).
    let first_party = t.sign_in("ann");
    for token in [first_party.access.as_str(), text(&tokens["id_token"])] {
        let answer = t.ask(Method::GET, "/oauth/userinfo").bearer(token).send();
        refused(&answer, 401, "invalid_token");
    }
    let none = t.ask(Method::GET, "/oauth/userinfo").send();
    assert_eq!(
        none.header("www-authenticate"),
        Some("Bearer realm=\"authd\"")
    );
}

#[test] // RFC 6749 §4.4
fn a_client_gets_a_token_for_itself() {
    let t = Harness::new();
    let app = App::register(&t, |new| {
        new.settings.grant_types = Some(vec!["client_credentials".into()]);
        new.settings.scope = Some("openid email jobs:read jobs:write".into());
        new.settings.resources = Some(vec!["https://api.example.net".into()]);
    });
    let ask = |more: &[(&str, &str)]| {
        let mut fields = vec![("grant_type", "client_credentials")];
        fields.extend(more);
        app.post(&t, "/oauth/token", &fields)
    };
    let tokens = ask(&[
        ("scope", "jobs:read openid other"),
        ("resource", "https://api.example.net/"),
    ])
    .gives(200);
    assert_eq!(tokens["scope"], "jobs:read");
    assert!(tokens.get("refresh_token").is_none() && tokens.get("id_token").is_none());
    let said = claims(&tokens["access_token"]);
    assert_eq!(said["sub"], Value::String(app.id.clone()));
    assert_eq!(said["aud"], "https://api.example.net");
    assert!(said.get("sid").is_none());
    refused(&ask(&[("resource", ISSUER)]), 400, "invalid_target");
    refused(&app.exchange(&t, "ac_x"), 400, "unauthorized_client");
    let answer = app.post(
        &t,
        "/oauth/token",
        &[
            ("grant_type", "password"),
            ("username", "ann"),
            ("password", "x"),
        ],
    );
    refused(&answer, 400, "unsupported_grant_type");
    let seen = app
        .post(
            &t,
            "/oauth/introspect",
            &[("token", text(&tokens["access_token"]))],
        )
        .gives(200);
    assert_eq!(
        (&seen["active"], &seen["scope"]),
        (&json!(true), &json!("jobs:read"))
    );
    let answer = app.post(
        &t,
        "/oauth/revoke",
        &[("token", text(&tokens["access_token"]))],
    );
    refused(&answer, 400, "unsupported_token_type");
}

#[test] // RFC 7662, RFC 7009, req 52
fn a_token_can_be_asked_about_and_given_back() {
    let t = Harness::new();
    t.add("ann");
    let app = App::register(&t, |_| {});
    let other = App::register(&t, |_| {});
    let mut browser = signed_in(&t, "ann");
    let tokens = app.sign_in(&t, &mut browser, "ann");
    let (access, refresh) = (
        text(&tokens["access_token"]),
        text(&tokens["refresh_token"]),
    );
    let active = |app: &App, token: &str| {
        app.post(&t, "/oauth/introspect", &[("token", token)])
            .gives(200)
    };
    let seen = active(&app, access);
    assert_eq!(seen["active"], true);
    assert_eq!(seen["client_id"], Value::String(app.id.clone()));
    assert_eq!(seen["username"], "ann");
    assert_eq!(seen["token_type"], "Bearer");
    assert_eq!(active(&app, refresh)["active"], true);
    // Of another client's refresh token nothing is told, and it cannot be revoked.
    for token in [refresh, "x", "ar_x", text(&tokens["id_token"])] {
        assert_eq!(active(&other, token), json!({ "active": false }));
        t.unchanged(|| {
            assert_eq!(
                other.post(&t, "/oauth/revoke", &[("token", token)]).status,
                200
            )
        });
    }
    let first_party = t.sign_in("ann");
    assert_eq!(active(&other, &first_party.access)["active"], true);
    t.sign_out(&first_party);
    assert_eq!(
        active(&other, &first_party.access),
        json!({ "active": false })
    );
    assert_eq!(
        app.post(&t, "/oauth/revoke", &[("token", refresh)]).status,
        200
    );
    assert_eq!(active(&app, access), json!({ "active": false }));
    refused(&app.refresh(&t, refresh), 400, "invalid_grant");
    // Again is no error (RFC 7009 §2.2).
    assert_eq!(
        app.post(&t, "/oauth/revoke", &[("token", refresh)]).status,
        200
    );
    let public = App::register(&t, |new| new.is_public = true);
    refused(
        &public.post(&t, "/oauth/introspect", &[("token", access)]),
        401,
        "invalid_client",
    );
}

#[test]
fn offline_access_outlives_the_browsers_session() {
    let t = Harness::new();
    t.add("ann");
    let app = App::register(&t, |_| {});
    let mut browser = Browser::new(&t, LAPTOP);
    browser.sign_in("ann");
    let offline = app.sign_in(&t, &mut browser, "ann");
    let code = app.code(&mut browser, "ann", &[("scope", "openid")]);
    let online = app.exchange(&t, &code).gives(200);
    // A session that the browser does not keep ends after a day.
    t.clock.advance(crate::harness::hours(25));
    refused(
        &app.refresh(&t, text(&online["refresh_token"])),
        400,
        "invalid_grant",
    );
    let next = app.refresh(&t, text(&offline["refresh_token"])).gives(200);
    t.authd().sweep().expect("swept");
    let next = app.refresh(&t, text(&next["refresh_token"])).gives(200);
    assert_eq!(browser.open("/account").path, "/login");
    // A new password ends it.
    let ann = t.sign_in("ann");
    t.change_password(&ann, crate::harness::PASSWORD, "a quite different one")
        .gives(200);
    refused(
        &app.refresh(&t, text(&next["refresh_token"])),
        400,
        "invalid_grant",
    );
}

#[test] // app 3, app 17, app 18
fn discovery_says_what_is_true() {
    let t = Harness::new();
    let app = App::register(&t, |new| {
        new.settings.origins = Some(vec!["https://spa.example.net".into()])
    });
    let ask = |path: &str, origin: &str| t.ask(Method::GET, path).header("origin", origin).send();
    let path = "/.well-known/openid-configuration";
    let answer = ask(path, "https://any.example");
    assert_eq!(answer.header("access-control-allow-origin"), Some("*"));
    let document = answer.gives(200);
    assert_eq!(document["issuer"], ISSUER);
    assert_eq!(
        ask(
            "/.well-known/oauth-authorization-server",
            "https://any.example"
        )
        .gives(200),
        document
    );
    for (name, value) in document.as_object().expect("an object") {
        assert!(!value.is_null() && *value != json!([]), "{name}");
        if let Some(url) = value
            .as_str()
            .filter(|_| name.ends_with("_endpoint") || name.ends_with("_uri"))
        {
            let path = url.strip_prefix(ISSUER).expect("an address of this server");
            let answer = t.ask(Method::GET, path).send();
            assert_ne!(answer.status, 404, "{name}");
        }
    }
    let jwks = ask("/oauth/jwks", "https://any.example");
    assert_eq!(jwks.header("access-control-allow-origin"), Some("*"));
    let jwks = jwks.gives(200);
    // app 2: RSA first, and no key of an Edwards curve
    let types: Vec<&str> = jwks["keys"]
        .as_array()
        .expect("keys")
        .iter()
        .map(|key| text(&key["kty"]))
        .collect();
    assert_eq!(types, ["RSA", "EC"]);
    App::register(&t, |new| {
        new.settings.id_token_algorithm = Some("EdDSA".into())
    });
    let jwks = ask("/oauth/jwks", "https://any.example").gives(200);
    assert_eq!(jwks["keys"][2]["kty"], "OKP");
    // Scripts of a client's origin may call, others not (req 54).
    let post = |origin: &str| {
        let answer = form(&t, "/oauth/token", &[("client_id", &app.id)])
            .header("origin", origin)
            .send();
        answer
            .header("access-control-allow-origin")
            .map(str::to_owned)
    };
    assert_eq!(
        post("https://spa.example.net").as_deref(),
        Some("https://spa.example.net")
    );
    assert_eq!(post("https://evil.example"), None);
    let preflight = t
        .ask(Method::OPTIONS, "/oauth/userinfo")
        .header("origin", "https://spa.example.net")
        .header("access-control-request-headers", "authorization")
        .send();
    assert_eq!(
        preflight.header("access-control-allow-headers"),
        Some("authorization")
    );
}

#[test] // RFC 8707
fn a_token_can_be_for_one_server() {
    let t = Harness::new();
    t.add("ann");
    let app = App::register(&t, |new| {
        new.settings.resources = Some(vec!["https://api.example.net/mcp".into()])
    });
    let mut browser = signed_in(&t, "ann");
    let code = app.code(
        &mut browser,
        "ann",
        &[("resource", "https://api.example.net/mcp")],
    );
    let tokens = app.exchange(&t, &code).gives(200);
    assert_eq!(
        claims(&tokens["access_token"])["aud"],
        "https://api.example.net/mcp"
    );
    let answer = t
        .ask(Method::GET, "/oauth/userinfo")
        .bearer(text(&tokens["access_token"]))
        .from(BACKEND)
        .send();
    refused(&answer, 401, "invalid_token");
    let next = app.refresh(&t, text(&tokens["refresh_token"])).gives(200);
    assert_eq!(
        claims(&next["access_token"])["aud"],
        "https://api.example.net/mcp"
    );
}

#[test] // an app with another algorithm
fn an_id_token_has_the_algorithm_of_its_client() {
    let t = Harness::new();
    t.add("ann");
    let mut browser = signed_in(&t, "ann");
    for algorithm in ["ES256", "EdDSA"] {
        let app = App::register(&t, |new| {
            new.settings.id_token_algorithm = Some(algorithm.into())
        });
        let tokens = app.sign_in(&t, &mut browser, "ann");
        assert_eq!(header(&tokens["id_token"])["alg"], algorithm);
        assert_eq!(header(&tokens["access_token"])["alg"], "ES256");
        let hint = text(&tokens["id_token"]).to_owned();
        let silent = browser.get(&app.request(&[("prompt", "none"), ("id_token_hint", &hint)]));
        assert!(super::app::received(&silent).contains_key("code"));
    }
}
