//! Forms that another site sends, and forms without their token.

use authd::http::Method;

use super::browser::Browser;
use crate::harness::{Harness, ISSUER, LAPTOP, PASSWORD, PHONE, email};

const FORM: &str = "application/x-www-form-urlencoded";

#[test] // req 38
fn every_form_refuses_other_sites_and_changes_nothing() {
    let t = Harness::new();
    t.add_administrator("ann");
    let mut browser = Browser::new(&t, LAPTOP);
    let page = browser.sign_in("ann");
    let token = page
        .text()
        .split("name=\"form_token\" value=\"")
        .nth(1)
        .expect("a token")[..22]
        .to_owned();
    let session = t.sessions("ann")[0].id.to_string();
    let foreign: &[&[(&str, &str)]] = &[
        &[
            ("sec-fetch-site", "cross-site"),
            ("origin", "https://evil.example"),
        ],
        &[
            ("sec-fetch-site", "same-site"),
            ("origin", "https://app.example.org"),
        ],
        &[("sec-fetch-site", "none")],
        &[("origin", "null")],
        &[("origin", "http://localhost:9999")],
        &[],
    ];
    let pages = authd::http::page_routes().iter();
    // Those of other sites lead to a page and change nothing (OpenID Connect Core §3.1.2.1).
    let foreign_forms = ["/oauth/authorize", "/oauth/logout"];
    let forms =
        pages.filter(|route| route.method == Method::POST && !foreign_forms.contains(&route.path));
    let mut tried = 0;
    for route in forms {
        let path = route.path.replace("{id}", &session);
        for fields in foreign {
            let ask = browser
                .ask(Method::POST, &path)
                .header("content-type", FORM);
            let ask = fields
                .iter()
                .fold(ask, |ask, (name, value)| ask.header(name, value));
            let body = format!("form_token={token}&session={session}&device_name=x&new_password=x");
            let answer = t.unchanged(|| ask.body(body).send());
            let is_refused = answer.status == 403
                || answer
                    .header("location")
                    .is_some_and(|to| to.starts_with("/confirm"));
            assert!(is_refused, "{path} {fields:?} {}", answer.status);
        }
        tried += 1;
    }
    assert!(tried >= 15, "{tried} forms");
    assert_eq!(t.sessions("ann").len(), 1);
}

#[test]
fn a_form_without_its_token_or_with_another_visitors_is_refused() {
    let t = Harness::new();
    t.add("ann");
    t.add("bob");
    let mut browser = Browser::new(&t, LAPTOP);
    let page = browser.sign_in("ann");
    let mut other = Browser::new(&t, PHONE);
    let others = other.sign_in("bob");
    let token_of = |page: &super::browser::Page| {
        page.text()
            .split("name=\"form_token\" value=\"")
            .nth(1)
            .expect("a token")[..22]
            .to_owned()
    };
    let own = token_of(&page);
    for token in [
        None,
        Some(String::new()),
        Some(token_of(&others)),
        Some(format!("{own}A")),
        Some(own[1..].to_owned()),
    ] {
        let values: Vec<_> = token
            .into_iter()
            .map(|token| ("form_token".to_owned(), token))
            .collect();
        let answer = browser.post("/logout", &values);
        assert_eq!(answer.status, 403);
    }
    assert_eq!(t.sessions("ann").len(), 1);
    let answer = browser.post("/logout", &[("form_token".to_owned(), own)]);
    assert_eq!(answer.status, 303);
}

#[test] // login CSRF: the attacker's account in the victim's browser
fn a_sign_in_form_of_another_site_signs_nobody_in() {
    let t = Harness::new();
    t.add("eve");
    let attacker = Browser::new(&t, PHONE).open("/login");
    let token = attacker
        .text()
        .split("name=\"form_token\" value=\"")
        .nth(1)
        .expect("a token")[..22]
        .to_owned();
    let body = format!(
        "form_token={token}&login={}&password={}",
        email("eve"),
        PASSWORD.replace(' ', "+")
    );
    let mut victim = Browser::new(&t, LAPTOP);
    victim.open("/login");
    for (site, origin) in [
        ("cross-site", "https://evil.example"),
        ("same-origin", ISSUER),
    ] {
        let answer = victim
            .ask(Method::POST, "/login")
            .header("content-type", FORM)
            .header("sec-fetch-site", site)
            .header("origin", origin)
            .body(body.clone())
            .send();
        assert_eq!(answer.status, 403, "{site}");
    }
    assert!(t.sessions("eve").is_empty());
}

#[test] // req 39
fn a_page_says_what_a_browser_may_do_with_it() {
    let t = Harness::new();
    t.add("ann");
    let mut browser = Browser::new(&t, LAPTOP);
    browser.sign_in("ann");
    for (path, opener, form_action) in [
        ("/account", Some("same-origin"), true),
        ("/forgot", None, false),
        ("/nothing/here", None, false),
    ] {
        let answer = browser.open(path).answer;
        if path.starts_with("/nothing") {
            continue;
        }
        let policy = answer.header("content-security-policy").expect("a policy");
        for part in [
            "default-src 'none'",
            "style-src 'self'",
            "script-src 'self'",
            "base-uri 'none'",
            "frame-ancestors 'none'",
        ] {
            assert!(policy.contains(part), "{path} {part}");
        }
        assert_eq!(policy.contains("form-action 'self'"), form_action, "{path}");
        assert_eq!(
            answer.header("cross-origin-opener-policy"),
            opener,
            "{path}"
        );
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
        assert_eq!(answer.header("referrer-policy"), Some("same-origin"));
        assert_eq!(answer.header("cache-control"), Some("no-store"));
    }
}
