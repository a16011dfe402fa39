//! Every route of the table, with clients that are and are not allowed to call it.

use std::collections::BTreeSet;

use authd::http::{Access, DOCTOR_PATH, Method, Route, Surface, routes};
use authd::secret::TagKey;
use serde_json::{Value, json};

use crate::harness::*;

/// Every method that has a route, and two that have none.
fn methods() -> [Method; 8] {
    [
        Method::GET,
        Method::HEAD,
        Method::POST,
        Method::PUT,
        Method::PATCH,
        Method::DELETE,
        Method::OPTIONS,
        brew(),
    ]
}

/// A method that no route has.
fn brew() -> Method {
    Method::from_bytes(b"BREW").expect("a method")
}

fn path(route: &Route) -> String {
    let id = "00000000-0000-4000-8000-000000000000";
    let path = route.path.replace("{id}", id).replace("{session}", id);
    path.replace("{name}", "staff")
}

/// A body with every member that a route knows, so that the guard alone can refuse.
fn some_body() -> Value {
    json!({})
}

#[test] // CVE-2026-9090, RFC 6750 §3
fn every_guarded_route_refuses_a_client_that_is_not_signed_in() {
    let t = Harness::new();
    let ended = t.sign_in("ann");
    t.sign_out(&ended).gives(204);
    let elsewhere = Harness::new().sign_in("ann");
    let expired = t.sign_in_on(PHONE, "ann");
    t.clock.advance(minutes(10));
    let bob = t.sign_in("bob");
    let guarded: Vec<&Route> = routes()
        .filter(|route| route.takes_access_token())
        .collect();
    assert!(guarded.len() >= 8);
    t.unchanged(|| {
        for route in guarded {
            let ask = || t.ask(route.method.clone(), &path(route)).json(&some_body());
            let without_token = ask().send();
            assert_eq!(
                without_token.refused("invalid_token")["status"],
                401,
                "{}",
                route.path
            );
            assert_eq!(
                without_token.header("www-authenticate"),
                Some("Bearer realm=\"authd\"")
            );
            for token in [
                "x",
                "",
                "a.b.c",
                &ended.access,
                &expired.access,
                &elsewhere.access,
                &bob.refresh,
            ] {
                let answer = ask().bearer(token).send();
                assert_eq!(
                    answer.refused("invalid_token")["status"],
                    401,
                    "{}",
                    route.path
                );
                let challenge = answer.header("www-authenticate").expect("a challenge");
                assert!(challenge.starts_with("Bearer "), "{challenge}");
            }
        }
    });
}

#[test] // a new public route has to be added here
fn the_public_routes_are_these() {
    let public: Vec<String> = routes()
        .filter(|route| route.guard.access() == Access::Public)
        .map(|route| format!("{} {}", route.method, route.path))
        .collect();
    assert_eq!(
        public,
        [
            "POST /v1/setup",
            "POST /v1/accounts",
            "POST /v1/sessions",
            "POST /v1/sessions/refresh",
            "POST /v1/password-reset",
            "POST /v1/password-reset/confirm",
            "POST /v1/email-verification",
            "POST /v1/email-verification/confirm",
            "GET /oauth/jwks",
            "GET /.well-known/jwks.json",
            "GET /healthz",
            "GET /readyz",
            "GET /openapi.json",
        ]
    );
}

#[test]
fn the_route_of_authd_doctor_does_not_exist_for_other_clients() {
    let t = Harness::new();
    let ann = t.sign_in("ann");
    let nothing = t.ask(Method::GET, "/nowhere").send();
    for token in [
        "",
        "x",
        "ad_",
        "ad_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
        &ann.access,
        &ann.refresh,
    ] {
        let answer = t.ask(Method::GET, DOCTOR_PATH).bearer(token).send();
        answer.refused("not_found");
        assert_eq!(answer.status, nothing.status);
    }
    let key: Vec<u8> = t
        .sql()
        .query_row("SELECT tag_key FROM server", [], |row| row.get(0))
        .expect("a key");
    let key = TagKey::from_bytes(key.try_into().expect("32 bytes"));
    let ask = |pass: &str| t.ask(Method::GET, DOCTOR_PATH).bearer(pass).send().status;
    t.unchanged(|| {
        let pass = key.pass(t.clock.wall().plus(minutes(1)));
        assert_eq!(ask(&pass), 200);
        // A pass that claims to be good for longer than a minute is refused.
        assert_eq!(ask(&key.pass(t.clock.wall().plus(seconds(61)))), 404);
        t.clock.advance(minutes(1));
        assert_eq!(ask(&pass), 404);
        let other = TagKey::from_bytes([7; 32]).pass(t.clock.wall().plus(seconds(30)));
        assert_eq!(ask(&other), 404);
    });
}

#[test] // RFC 9110 §15.5.6
fn a_wrong_method_is_answered_with_the_right_ones() {
    let t = Harness::new();
    let ann = t.sign_in("ann");
    t.unchanged(|| {
        for route in routes() {
            let path = path(route);
            let of_path = routes().filter(|other| other.path == route.path);
            let mut right: BTreeSet<&str> = of_path.map(|other| other.method.as_str()).collect();
            if right.contains("GET") {
                right.insert("HEAD");
            }
            for method in methods() {
                if right.contains(method.as_str()) || method == Method::OPTIONS {
                    continue;
                }
                let answer = t.with_token(&ann, method.clone(), &path).send();
                if route.access() == Access::Doctor {
                    // finding 25: for other clients it does not exist, with any method.
                    assert_eq!(answer.status, 404, "{method} {path}");
                    continue;
                }
                assert_eq!(answer.status, 405, "{method} {path}");
                let allowed = answer.header("allow").expect("RFC 9110 §10.2.1");
                let allowed: BTreeSet<_> = allowed.split(", ").collect();
                assert_eq!(allowed, right, "{path}");
                if route.surface == Surface::Api {
                    answer.refused("method_not_allowed");
                }
            }
        }
    });
}

#[test]
fn the_methods_of_a_session_are_not_those_of_a_path_beside_it() {
    let t = Harness::new();
    let allowed = |method, path| {
        let answer = t.ask(method, path).send();
        assert_eq!(answer.status, 405, "{path}");
        answer.header("allow").expect("the methods").to_owned()
    };
    assert_eq!(allowed(Method::PUT, "/v1/sessions/refresh"), "POST");
    assert_eq!(allowed(Method::DELETE, "/v1/sessions/refresh"), "POST");
    assert_eq!(allowed(Method::PATCH, "/v1/sessions/current"), "DELETE");
    assert_eq!(allowed(Method::PUT, "/v1/sessions/x"), "PATCH, DELETE");
}

#[test]
fn an_error_on_a_page_is_a_page_that_says_what_to_do() {
    let t = Harness::new();
    let answer = t.ask(Method::PUT, "/reset?token=secret").send();
    assert_eq!(answer.status, 405);
    assert_eq!(answer.header("allow"), Some("GET, POST, HEAD"));
    let kind = answer.header("content-type");
    assert_eq!(kind, Some("text/html; charset=utf-8"));
    assert!(!answer.text().contains("secret"));
    assert!(answer.text().contains("href=\"/login\""));
}

#[test] // RFC 9110 §9.3.2; req 40
fn head_is_get_and_neither_changes_anything() {
    let t = Harness::new();
    let ann = t.administrator("ann");
    t.operator().add_group("staff").expect("a group");
    t.unchanged(|| {
        let gets = routes()
            .filter(|route| route.method == Method::GET && route.guard.access() != Access::Doctor);
        for route in gets {
            let path = path(route).replace("00000000-0000-4000-8000-000000000000", &ann.account);
            let get = t.with_token(&ann, Method::GET, &path).send();
            let head = t.with_token(&ann, Method::HEAD, &path).send();
            assert_eq!(get.status, 200, "{}", route.path);
            assert_eq!(head.status, 200, "{}", route.path);
            let without_id = |answer: &Answer| {
                let mut headers = answer.headers.clone();
                headers.retain(|(name, _)| name != "x-request-id");
                headers
            };
            assert_eq!(without_id(&get), without_id(&head), "{}", route.path);
        }
    });
}

#[test] // paths are compared as they were sent
fn a_path_that_is_written_otherwise_is_not_found() {
    let t = Harness::new();
    let ann = t.sign_in("ann");
    t.unchanged(|| {
        for odd in [
            "",
            "//v1/account",
            "/v1/account/",
            "/V1/account",
            "/v1/./account",
            "/v1/x/../account",
            "/v1/%61ccount",
            "/v1/account%00",
            "/v1/account;x=1",
            "/v1/sessions/",
            "/v1/sessions/a/b",
            "*",
        ] {
            let answer = t.with_token(&ann, Method::GET, odd).send();
            assert!(
                matches!(answer.status, 404 | 405),
                "{odd:?} {}",
                answer.status
            );
            assert_eq!(
                answer.header("content-type"),
                Some("application/problem+json")
            );
        }
    });
}

#[test] // req 39, req 54
fn every_answer_carries_the_protecting_headers() {
    let t = Harness::new();
    let ann = t.sign_in("ann");
    let mut ids = BTreeSet::new();
    let mut check = |answer: Answer, what: &str| {
        assert_eq!(
            answer.header("x-content-type-options"),
            Some("nosniff"),
            "{what}"
        );
        assert_eq!(
            answer.header("referrer-policy"),
            Some("no-referrer"),
            "{what}"
        );
        let policy = answer.header("content-security-policy").expect("a policy");
        assert!(policy.contains("default-src 'none'") && policy.contains("frame-ancestors 'none'"));
        // The public keys are for every origin.
        let origin = answer.header("access-control-allow-origin");
        let is_metadata = ["/oauth/jwks", "/.well-known/jwks.json"].contains(&what);
        assert!(
            origin.is_none() || (is_metadata && origin == Some("*")),
            "{what}"
        );
        assert_eq!(
            answer.header("access-control-allow-credentials"),
            None,
            "{what}"
        );
        let cache = answer.header("cache-control").expect("a word on caches");
        let public = ["/oauth/jwks", "/.well-known/jwks.json", "/openapi.json"];
        match public.contains(&what) && answer.status == 200 {
            true => assert!(cache.starts_with("public, max-age="), "{what}"),
            false => assert_eq!(cache, "no-store", "{what}"),
        }
        let id = answer.header("x-request-id").expect("an id").to_owned();
        if answer.header("content-type") == Some("application/problem+json") {
            assert_eq!(answer.json()["request_id"], id, "{what}");
        }
        assert!(ids.insert(id), "an id of its own");
    };
    for route in routes() {
        // Not the ones that would end the session that asks.
        let asks = match route.method {
            Method::DELETE => t.ask(Method::DELETE, &path(route)),
            _ => t.with_token(&ann, route.method.clone(), &path(route)),
        };
        check(
            asks.header("origin", "https://evil.example").send(),
            route.path,
        );
        check(t.ask(brew(), &path(route)).send(), route.path);
        check(t.ask(Method::OPTIONS, &path(route)).send(), route.path);
    }
    check(t.ask(Method::GET, "/nowhere").send(), "/nowhere");
    check(t.sign_out(&ann), "a sign-out");
}

#[test] // req 54, CVE-2024-41657
fn only_listed_origins_may_read_answers() {
    let app = "https://app.example.org";
    let t = Harness::with(|terms| terms.settings.cors_origins = vec![app.to_owned()]);
    let ask = |origin: &str| {
        t.ask(Method::GET, "/healthz")
            .header("origin", origin)
            .send()
    };
    let answer = ask(app);
    assert_eq!(answer.header("access-control-allow-origin"), Some(app));
    assert_eq!(answer.header("vary"), Some("origin"));
    for foreign in [
        "https://app.example.org.evil.example",
        "http://app.example.org",
        "https://app.example.org:443",
        "https://APP.example.org",
        "https://app.example.org/",
        "null",
        "*",
        "",
        "https://evil.example",
    ] {
        let answer = ask(foreign);
        assert_eq!(
            answer.header("access-control-allow-origin"),
            None,
            "{foreign}"
        );
        assert_eq!(answer.header("vary"), Some("origin"));
        assert_eq!(answer.header("access-control-allow-credentials"), None);
    }
    let preflight = |origin: &str, path: &str| {
        t.ask(Method::OPTIONS, path)
            .header("origin", origin)
            .header("access-control-request-method", "DELETE")
            .send()
    };
    let allowed = preflight(app, "/v1/sessions");
    assert_eq!(allowed.status, 204);
    assert_eq!(allowed.header("access-control-allow-origin"), Some(app));
    assert_eq!(
        allowed.header("access-control-allow-methods"),
        Some("POST, GET, DELETE, HEAD")
    );
    let headers = allowed
        .header("access-control-allow-headers")
        .expect("headers");
    assert!(headers.contains("authorization") && headers.contains("idempotency-key"));
    let foreign = preflight("https://evil.example", "/v1/sessions");
    for (name, _) in &foreign.headers {
        assert!(!name.starts_with("access-control-"), "{name}");
    }
    assert_eq!(foreign.header("allow"), Some("POST, GET, DELETE, HEAD"));
    assert_eq!(foreign.header("vary"), Some("origin"));
    assert_eq!(preflight(app, "/nowhere").status, 404);
    assert_eq!(t.number("SELECT count(*) FROM session"), 0);
}

#[test] // fault 20: tracing libraries add headers of their own to every call
fn a_preflight_allows_the_headers_that_an_allowed_origin_asks_for() {
    let app = "capacitor://localhost";
    let t = Harness::with(|terms| terms.settings.cors_origins = vec![app.to_owned()]);
    let allowed = |names: &str| {
        let answer = t
            .ask(Method::OPTIONS, "/v1/sessions")
            .header("origin", app)
            .header("access-control-request-method", "POST")
            .header("access-control-request-headers", names)
            .send();
        let allowed = answer.header("access-control-allow-headers");
        allowed.expect("a list").to_owned()
    };
    let names = "content-type,sentry-trace,baggage,x-requested-with";
    assert_eq!(allowed(names), names);
    for odd in ["a\"b", "a:b", &"x".repeat(1025)] {
        assert!(allowed(odd).contains("idempotency-key"), "{odd}");
    }
}

#[test] // req 62: rightmost hop that is not a proxy's, and only from proxies
fn a_trusted_proxy_names_its_client() {
    let t = Harness::with(|terms| {
        terms.settings.trusted_proxies = vec!["10.0.0.0/8".parse().expect("a net")];
    });
    t.add("ann");
    let proxy = Place::new("10.0.0.1", "Firefox");
    let sign_in = |place, forwarded: &str| {
        let body = json!({ "login": "ann", "password": PASSWORD });
        let device = t
            .post("/v1/sessions", body)
            .from(place)
            .header("x-forwarded-for", forwarded)
            .send()
            .issued();
        let open = t
            .sessions("ann")
            .into_iter()
            .find(|open| open.id.to_string() == device.session);
        open.expect("the session").ip.to_string()
    };
    assert_eq!(sign_in(proxy, "198.51.100.7"), "198.51.100.7");
    assert_eq!(
        sign_in(proxy, "203.0.113.9, 198.51.100.7, 10.0.0.2"),
        "198.51.100.7"
    );
    assert_eq!(sign_in(LAPTOP, "198.51.100.7"), LAPTOP.ip);
}

#[test] // req 62, CVE-2024-21500: each client has a counter, and a forged address does not give it another
fn clients_behind_a_proxy_are_counted_separately() {
    let t = Harness::with(|terms| {
        terms.settings.trusted_proxies = vec!["10.0.0.1/32".parse().expect("a net")];
    });
    t.add("ann");
    let try_as = |client: &str, forged: u32, login: &str, password: &str| {
        let forwarded = format!("192.0.2.{}, {client}", forged % 250);
        t.post(
            "/v1/sessions",
            json!({ "login": login, "password": password }),
        )
        .from(Place::new("10.0.0.1", "curl"))
        .header("x-forwarded-for", &forwarded)
        .send()
        .status
    };
    for number in 0..40 {
        assert_eq!(
            try_as(
                "203.0.113.66",
                number,
                &format!("user{number}"),
                "wrong wrong"
            ),
            401
        );
    }
    for number in 40..1000 {
        assert_eq!(try_as("203.0.113.66", number, "ann", PASSWORD), 429);
    }
    assert_eq!(try_as("198.51.100.20", 1, "ann", PASSWORD), 201);
}

#[test] // req 25: the server's URL comes from its settings
fn no_header_changes_the_servers_url() {
    let t = Harness::new();
    let text = t
        .ask(Method::GET, "/openapi.json")
        .header("host", "127.0.0.1:8080")
        .header("x-forwarded-host", "evil.example")
        .header("x-forwarded-proto", "http")
        .header("forwarded", "host=evil.example")
        .send()
        .text();
    assert!(text.contains(ISSUER), "{text}");
    assert!(
        !text.contains("evil") && !text.contains("127.0.0.1"),
        "{text}"
    );
}

#[test] // req 28, req 40: a link that is opened changes nothing, and its token is in no page
fn the_token_of_a_link_is_shown_nowhere() {
    let t = Harness::new();
    let link = t.authd().open_setup().expect("a link").expect("no admin");
    let open = |query: &str| t.ask(Method::GET, &format!("/setup?token={query}")).send();
    let opened = t.unchanged(|| open(&link.token));
    assert_eq!(
        (opened.status, opened.header("location")),
        (303, Some("/setup"))
    );
    assert!(opened.text().is_empty());
    for odd in [
        "<script>",
        "';%20rm%20-rf",
        "a%0d%0aset-cookie:x=y",
        "$(id)",
        &"a".repeat(300),
    ] {
        let answer = open(odd);
        let set: Vec<_> = answer
            .headers
            .iter()
            .filter(|(name, _)| name == "set-cookie")
            .collect();
        assert!(
            set.iter().all(
                |(_, cookie)| cookie.contains("authd_link=;") || cookie.contains("authd_form=")
            ),
            "{set:?}"
        );
    }
    let body = json!({ "token": link.token, "email": email("root"), "password": PASSWORD });
    t.post("/v1/setup", body).send().issued();
}

#[test]
fn health_needs_no_token() {
    let t = Harness::new();
    let ask = |path| t.ask(Method::GET, path).send();
    assert_eq!(
        (ask("/healthz").status, ask("/healthz").text().as_str()),
        (200, "ok\n")
    );
    assert_eq!(
        (ask("/readyz").status, ask("/readyz").text().as_str()),
        (200, "ready\n")
    );
}

#[test] // fault 3, fault 4, CVE-2020-15223: a full disk never looks like "signed out", nor like a sign-out that was done
fn a_full_disk_is_a_503_and_reads_go_on() {
    let mut t = Harness::new();
    let ann = t.sign_in("ann");
    t.fill_the_disk(&ann);
    let full = t.try_sign_in(LAPTOP, "ann", PASSWORD);
    full.refused("unavailable");
    assert_eq!(full.status, 503);
    assert!(full.header("retry-after").is_some());
    assert_eq!(t.ask(Method::GET, "/readyz").send().status, 503);
    assert_eq!(t.ask(Method::GET, "/healthz").send().status, 200);
    assert_eq!(t.ask(Method::GET, "/oauth/jwks").send().status, 200);
    let kept = t.unchanged(|| t.sign_out(&ann));
    assert_eq!(kept.refused("unavailable")["status"], 503);
    assert!(t.is_open(&ann));
    // A bound that is raised is room: it recovers.
    t.restart_with(|terms| terms.max_size = None);
    t.try_sign_in(LAPTOP, "ann", PASSWORD).issued();
    assert_eq!(t.ask(Method::GET, "/readyz").send().status, 200);
}

#[test] // messages name the server's own address
fn the_front_page_leads_to_the_account() {
    let t = Harness::new();
    let front = t.ask(Method::GET, "/").send();
    assert_eq!(
        (front.status, front.header("location")),
        (303, Some("/account"))
    );
    let account = t.ask(Method::GET, "/account").send();
    assert_eq!(
        (account.status, account.header("location")),
        (303, Some("/login"))
    );
}

#[test] // finding 25, decision 13: a website whose name resolves to this server learns nothing
fn a_request_for_another_host_is_refused() {
    let t = Harness::with(|terms| {
        terms.settings.trusted_proxies = vec!["10.1.0.0/16".parse().expect("a net")];
    });
    let ask = |path: &str, host: &str, from: Place| {
        t.ask(Method::GET, path)
            .from(from)
            .header("host", host)
            .send()
    };
    for path in ["/v1/account", "/oauth/jwks", "/login", "/nowhere"] {
        assert_eq!(ask(path, "evil.example:8080", LAPTOP).status, 421, "{path}");
    }
    for path in ["/healthz", "/readyz"] {
        assert_eq!(ask(path, "evil.example", LAPTOP).status, 200, "{path}");
    }
    for host in ["auth.example.org", "localhost:8080", "192.0.2.7", "[::1]"] {
        assert_eq!(ask("/oauth/jwks", host, LAPTOP).status, 200, "{host}");
    }
    // A trusted proxy may name authd as it likes.
    let proxy = Place::new("10.1.2.3", LAPTOP.agent);
    assert_eq!(ask("/oauth/jwks", "authd:8080", proxy).status, 200);
}

#[test] // cookies belong to the name: a page that was opened by address is opened by name
fn a_page_on_loopback_is_opened_by_its_name() {
    let t = Harness::with(|terms| terms.policy.issuer = "http://localhost:8080".to_owned());
    let open = |method, path: &str| {
        let answer = t.ask(method, path).header("host", "127.0.0.1:8080").send();
        (answer.status, answer.header("location").map(str::to_owned))
    };
    let elsewhere = Some("http://localhost:8080/login?return_to=/account".to_owned());
    assert_eq!(
        open(Method::GET, "/login?return_to=/account"),
        (303, elsewhere)
    );
    assert_eq!(open(Method::GET, "/oauth/jwks").0, 200);
}
