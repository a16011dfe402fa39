//! Sign-outs that an app asks for (OpenID Connect RP-Initiated Logout 1.0).

use authd::http::Method;

use super::app::{App, claims, received, refused, signed_in};
use crate::harness::{Harness, LAPTOP, PHONE, hours};
use crate::pages::browser::Browser;

const OUT: &str = "https://app.example.net/signed-out?from=authd";

fn register(t: &Harness) -> App {
    App::register(t, |new| {
        new.settings.post_logout_redirect_uris = Some(vec![OUT.into()])
    })
}

fn address(pairs: &[(&str, &str)]) -> String {
    let query = form_urlencoded::Serializer::new(String::new())
        .extend_pairs(pairs)
        .finish();
    format!("/oauth/logout?{query}")
}

#[test] // app 20
fn an_app_that_shows_its_id_token_signs_the_person_out() {
    let t = Harness::new();
    t.add("ann");
    let app = register(&t);
    let mut browser = signed_in(&t, "ann");
    let tokens = app.sign_in(&t, &mut browser, "ann");
    let hint = tokens["id_token"].as_str().expect("a token").to_owned();
    // An expired token still says who it was.
    t.clock.advance(hours(1));
    let state = "s!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~";
    let pairs = [
        ("id_token_hint", hint.as_str()),
        ("post_logout_redirect_uri", OUT),
        ("state", state),
    ];
    let answer = browser.get(&address(&pairs));
    let location = answer.header("location").expect("a location");
    let rest = location.strip_prefix(OUT).expect("the registered address");
    let read: Vec<_> = form_urlencoded::parse(&rest.as_bytes()[1..])
        .into_owned()
        .collect();
    assert_eq!(read, [("state".to_owned(), state.to_owned())]);
    assert_eq!(
        received(&browser.get(&app.request(&[("prompt", "none")])))["error"],
        "login_required"
    );
    let token = tokens["refresh_token"].as_str().expect("a token");
    refused(&app.refresh(&t, token), 400, "invalid_grant");
    // Again, where nobody is signed in: straight on, without a state where none was sent.
    let answer = browser.get(&address(&pairs[..2]));
    assert_eq!(answer.header("location"), Some(OUT));
}

#[test] // req 53
fn with_anything_less_the_person_is_asked_and_stays_here() {
    let t = Harness::new();
    t.add("ann");
    t.add("bob");
    let app = register(&t);
    let other = App::register(&t, |_| {});
    let mut browser = signed_in(&t, "ann");
    let tokens = app.sign_in(&t, &mut browser, "ann");
    let hint = tokens["id_token"].as_str().expect("a token").to_owned();
    let (_, rest) = hint.split_once('.').expect("a header");
    let unsigned = format!(
        "eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0.{}.",
        rest.split('.').next().expect("claims")
    );
    let access = tokens["access_token"].as_str().expect("a token");
    for pairs in [
        vec![],
        vec![("state", "x")],
        vec![("client_id", app.id.as_str())],
        vec![("post_logout_redirect_uri", OUT), ("client_id", &app.id)],
        vec![
            ("post_logout_redirect_uri", OUT),
            ("id_token_hint", &unsigned),
        ],
        vec![("post_logout_redirect_uri", OUT), ("id_token_hint", access)],
        vec![
            ("post_logout_redirect_uri", OUT),
            ("id_token_hint", &hint),
            ("client_id", &other.id),
        ],
    ] {
        let page = browser.open(&address(&pairs));
        page.says(200, "Sign out?");
        assert_eq!(t.sessions("ann").len(), 1, "{pairs:?}");
    }
    // An address that is not registered is not gone to, whatever the token says.
    for uri in [
        "https://evil.example/",
        "https://app.example.net/signed-out",
        &format!("{OUT}&x=1"),
    ] {
        let page = browser.open("/account");
        page.says(200, "ann");
        let answer = Browser::new(&t, PHONE).get(&address(&[
            ("id_token_hint", &hint),
            ("post_logout_redirect_uri", uri),
        ]));
        assert_eq!(answer.header("location"), Some("/signed-out"));
    }
    let page = browser.open(&address(&[("post_logout_redirect_uri", OUT)]));
    let page = browser.send(&page, "/oauth/logout/confirm", &[]);
    assert_eq!(page.path, "/signed-out");
    assert!(t.sessions("ann").is_empty());
    // Another account's token: a question.
    let mut bobs = signed_in(&t, "bob");
    bobs.open(&address(&[
        ("id_token_hint", &hint),
        ("post_logout_redirect_uri", OUT),
    ]))
    .says(200, "Sign out?");
}

#[test]
fn a_request_can_come_in_a_form() {
    let t = Harness::new();
    let answer = t
        .ask(Method::POST, "/oauth/logout")
        .header("content-type", "application/x-www-form-urlencoded")
        .header("sec-fetch-site", "cross-site")
        .body("state=a+b")
        .send();
    assert_eq!(answer.header("location"), Some("/oauth/logout?state=a+b"));
}

#[test]
fn an_owner_takes_the_access_of_an_app_back() {
    let t = Harness::new();
    t.add("ann");
    let app = register(&t);
    let mut browser = Browser::new(&t, LAPTOP);
    browser.sign_in("ann");
    browser.open("/account/apps").says(200, "No apps yet");
    let tokens = app.sign_in(&t, &mut browser, "ann");
    let page = browser.open("/account/apps");
    page.says(200, "Photos");
    page.says(200, "see your e-mail address");
    let phone = t.sign_in_on(PHONE, "ann");
    let list = t
        .with_token(&phone, Method::GET, "/v1/account/apps")
        .send()
        .gives(200);
    assert_eq!(list["apps"][0]["client_id"], app.id);
    assert_eq!(list["apps"][0]["sessions"], 1);
    let page = browser.send(&page, "/account/apps/end", &[("client_id", &app.id)]);
    page.says(200, "The app has no access any more");
    let token = tokens["refresh_token"].as_str().expect("a token");
    refused(&app.refresh(&t, token), 400, "invalid_grant");
    let silent = browser.get(&app.request(&[("prompt", "none")]));
    assert_eq!(received(&silent)["error"], "consent_required");
    // By the interface too; what is not there is not found, and of another account nothing is.
    app.sign_in(&t, &mut browser, "ann");
    let path = format!("/v1/account/apps/{}", app.id);
    t.add("bob");
    let bob = t.sign_in("bob");
    t.with_token(&bob, Method::DELETE, &path)
        .send()
        .refused("not_found");
    assert_eq!(
        t.with_token(&phone, Method::DELETE, &path).send().status,
        204
    );
    t.with_token(&phone, Method::DELETE, &path)
        .send()
        .refused("not_found");
    assert!(t.events("ann").contains(&"app_access_ended".to_owned()));
    assert!(claims(&tokens["id_token"])["sid"].is_string());
}
