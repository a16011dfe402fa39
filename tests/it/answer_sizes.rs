//! The largest answer of every route that a client can cause: the server keeps an answer until its client has read it.

use std::net::IpAddr;

use authd::http::{
    Access, Brand, LARGEST_ANSWER, LARGEST_LOGO, Logo, Method, Route, page_routes, routes,
};
use authd::service::{Device, EventQuery, Registration, Wanted};
use serde_json::{Value, json};

use crate::harness::*;
use crate::pages::browser::Browser;

/// Two bytes of JSON for each byte.
fn quotes(count: usize) -> String {
    "\"".repeat(count)
}

/// An account with everything that makes answers large: 100 sessions and 32 groups with long names, and as many events as
/// are kept, each as long as an event can be.
fn with_large_account() -> (Harness, SignedIn) {
    let t = Harness::with(|terms| {
        terms.policy.registration = Registration::Open;
        terms.settings.cors_origins = vec!["https://app.example.org".to_owned()];
        let mut svg = b"<svg>".to_vec();
        svg.resize(LARGEST_LOGO, b' ');
        terms.settings.brand = Brand {
            name: quotes(64),
            logo: Some(Logo::read(svg).expect("a logo")),
            ..Brand::default()
        };
    });
    let agent = quotes(256);
    let loud = Place::new("2001:db8:1111:2222:3333:4444:5555:6666", agent.leak());
    let ann = t.sign_in_on(loud, "ann");
    for number in 0..32 {
        let name = format!("{number:02}{}", "g".repeat(62));
        t.operator().add_group(&name).expect("a group");
        t.operator()
            .grant_group(&name, &account("ann"))
            .expect("ann");
    }
    let change = t.with_token(&ann, Method::PATCH, "/v1/account");
    change
        .json(&json!({ "name": quotes(200), "username": "ж".repeat(64) }))
        .send()
        .gives(200);
    // The longest event: a reuse has two devices and two addresses.
    let stolen = t.sign_in_on(loud, "ann");
    let next = t.refresh(&stolen).issued();
    t.refresh(&next).issued();
    t.clock.advance(minutes(5));
    t.refresh(&stolen).refused("invalid_grant");
    let copied = t.execute(
        "INSERT INTO event (at, kind, account_id, session_id, ip, user_agent, detail) \
         SELECT e.at, e.kind, e.account_id, e.session_id, e.ip, e.user_agent, e.detail FROM event e \
         JOIN (WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2000) SELECT i FROM n) \
         WHERE e.kind = 'refresh_token_reused'",
    );
    assert_eq!(copied, 2000);
    let device_name = quotes(100);
    let wanted = || Wanted {
        device_name: Some(&device_name),
        scope: Some("groups"),
    };
    let device = Device::new(loud.ip.parse::<IpAddr>().expect("an address"), loud.agent);
    for _ in 0..99 {
        t.authd()
            .open_session(&account("ann"), wanted(), &device)
            .expect("a session");
    }
    // Used last, so that a sign-in beyond the hundredth does not end it.
    t.clock.advance(seconds(1));
    let ann = t.refresh(&ann).issued();
    (t, ann)
}

/// The body of a request that a route takes, with its text members as long as they may be.
fn body_of(route: &Route, ann: &SignedIn) -> Option<Value> {
    Some(match route.operation_id {
        "signIn" => json!({
            "login": email("ann"), "password": PASSWORD, "device_name": quotes(100), "scope": "groups",
        }),
        "refreshSession" => json!({ "refresh_token": ann.refresh }),
        "renameSession" => json!({ "device_name": quotes(100) }),
        "updateAccount" => json!({ "name": quotes(200) }),
        "register" => json!({
            "email": "bob@example.org", "password": PASSWORD, "name": quotes(200), "scope": "groups",
        }),
        "changePassword" => json!({ "current_password": PASSWORD, "new_password": NEW_PASSWORD }),
        _ if route.takes_body() => json!({}),
        _ => return None,
    })
}

#[test] // finding 4: an answer that its client does not read is kept, so the memory that doctor promises depends on its size
fn the_largest_answer_of_each_route_is_within_the_bound() {
    let (t, ann) = with_large_account();
    let mut largest = (0, "");
    // The lists of the administration are longer. Who reads them is an administrator, and no attacker.
    let routes = routes().filter(|route| route.guard.access() != Access::AdminBearer);
    for route in routes {
        let query = match route.operation_id {
            "listAccountEvents" => "?limit=1000",
            _ => "",
        };
        let path = route.path.replace("{id}", &ann.session) + query;
        let ask = |path: &str| {
            let ask = t.ask(route.method.clone(), path).from(ann.place);
            match route.guard.access() {
                Access::Public => ask,
                Access::Bearer => ask.bearer(&ann.access),
                Access::Doctor => ask,
                Access::AdminBearer | Access::Cookie | Access::Administrator => {
                    panic!("{path} is a page")
                }
            }
        };
        let hold = |answer: Answer| {
            assert!(answer.body.len() <= LARGEST_ANSWER, "{path}");
            answer.body.len()
        };
        // Errors quote the request.
        let long_name = "\\\"".repeat(32_000);
        hold(
            ask(&path)
                .header("content-type", "application/json")
                .body(format!("{{\"{long_name}\":1}}"))
                .send(),
        );
        hold(ask(&format!("{}?{}=1", route.path, "%01".repeat(5_000))).send());
        hold(ask(&format!("{}?limit={}", route.path, "%22".repeat(5_000))).send());
        if matches!(
            route.operation_id,
            "endSessions"
                | "signOut"
                | "endSession"
                | "deleteAccount"
                | "deleteAccountWithBody"
                | "changePassword"
        ) {
            // Their answers are counts and tokens, and the account is needed for the other routes.
            continue;
        }
        let answer = match body_of(route, &ann) {
            Some(body) => ask(&path).json(&body).send(),
            None => ask(&path).send(),
        };
        let bytes = hold(answer);
        if bytes > largest.0 {
            largest = (bytes, route.operation_id);
        }
    }
    // The account does make the large answers that this is about.
    assert_eq!(largest.1, "listSessions", "{largest:?}");
}

/// The fields of all forms.
const FIELDS: &[&str] = &[
    "login",
    "password",
    "new_password",
    "current_password",
    "email",
    "username",
    "name",
    "device_name",
    "typed",
    "session",
    "purpose",
    "return_to",
];

/// Forms whose effect would take away what the other pages show.
const ENDS_SESSIONS: &[&str] = &["/logout", "/account/sessions/end-others"];

#[test] // finding 4: a form that is shown again has what was typed, and HTML writes a quotation mark with five bytes
fn the_largest_answer_of_each_page_is_within_the_bound() {
    let (t, ann) = with_large_account();
    let mut owner = Browser::new(&t, LAPTOP);
    owner.sign_in("ann");
    let visitor = Browser::new(&t, PHONE);
    let mut sizes = Vec::new();
    let mut hold = |what: String, answer: Answer| {
        let bytes = answer.body.len();
        assert!(bytes <= LARGEST_ANSWER, "{what}: {bytes}");
        sizes.push((bytes, what));
    };
    for mut browser in [owner, visitor] {
        let page = browser.open("/confirm?purpose=email");
        let token = page.form_token();
        for route in page_routes() {
            let path = route.path.replace("{id}", &ann.session);
            if route.method == Method::GET {
                hold(path.clone(), browser.get(&path));
                let return_to = format!("{path}?return_to=/{}", "%27".repeat(2_040));
                hold(return_to.clone(), browser.get(&return_to));
                let unknown = format!("{path}?{}=1", "%01".repeat(5_000));
                hold(unknown.clone(), browser.get(&unknown));
                continue;
            }
            if ENDS_SESSIONS.contains(&route.path) {
                continue;
            }
            for field in FIELDS {
                for length in [200, 250, 2_000, 60_000] {
                    let what = format!("{path}, {length} bytes of {field}");
                    let values = [("form_token", token.as_str()), (field, &quotes(length))]
                        .map(|(name, value)| (name.to_owned(), value.to_owned()));
                    hold(what.clone(), browser.post(&path, &values));
                    hold(what, browser.post_raw(&path, &values));
                }
            }
        }
    }
    // The answers have what this is about: what was typed, and the logo.
    let bytes_of = |path: &str| {
        sizes
            .iter()
            .filter(|(_, what)| what.starts_with(path))
            .map(|(bytes, _)| *bytes)
            .max()
    };
    assert!(
        bytes_of("/register") > Some(10_000),
        "{:?}",
        bytes_of("/register")
    );
    assert!(bytes_of("/brand/logo") >= Some(LARGEST_LOGO));
}

#[test] // finding 4, finding 24
fn a_page_of_events_is_bounded_in_bytes_and_the_next_one_goes_on() {
    let (t, ann) = with_large_account();
    let all = t.number("SELECT count(*) FROM event WHERE account_id IS NOT NULL");
    let mut before = i64::MAX;
    let mut seen = Vec::new();
    loop {
        let path = format!("/v1/account/events?limit=1000&before={before}");
        let answer = t.with_token(&ann, Method::GET, &path).send();
        assert!(answer.body.len() <= LARGEST_ANSWER);
        let page = answer.gives(200)["events"].clone();
        let ids = page.as_array().expect("a list").iter();
        let ids: Vec<i64> = ids
            .map(|event| event["id"].as_i64().expect("an id"))
            .collect();
        let Some(last) = ids.last() else { break };
        assert!(ids.len() < 200, "{} long events", ids.len());
        before = *last;
        seen.extend(ids);
    }
    assert_eq!(i64::try_from(seen.len()).expect("a count"), all);
    assert!(seen.windows(2).all(|pair| pair[0] > pair[1]));
}

#[test] // finding 4: a character can have four bytes
fn what_is_stored_for_display_is_bounded_in_bytes() {
    let t = Harness::new();
    let ann = t.sign_in_on(Place::new(LAPTOP.ip, "🦊".repeat(300).leak()), "ann");
    let query = EventQuery {
        account: Some(account("ann")),
        before: None,
        limit: 1,
        kind: None,
        ip: None,
    };
    let event = &t.authd().events(&query).expect("events")[0];
    assert_eq!(event.user_agent.as_deref(), Some(&*"🦊".repeat(64)));
    let rename = |name: &str| {
        let path = format!("/v1/sessions/{}", ann.session);
        t.with_token(&ann, Method::PATCH, &path)
            .json(&json!({ "device_name": name }))
            .send()
    };
    rename(&"🦊".repeat(64)).gives(200);
    rename(&"🦊".repeat(65)).refused("invalid_request");
    let call = |name: &str| {
        t.with_token(&ann, Method::PATCH, "/v1/account")
            .json(&json!({ "name": name }))
            .send()
    };
    call(&"é".repeat(128)).gives(200);
    call(&"é".repeat(129)).refused("invalid_request");
}
