//! Who may administer in a browser, and until when.

use authd::http::{Access, Method, Route, page_routes};
use authd::service::AccountChange;

use super::{act, administrator, page_of};
use crate::harness::{Harness, LAPTOP, PASSWORD, PHONE, account, minutes};
use crate::pages::browser::Browser;

const FORM: &str = "application/x-www-form-urlencoded";

/// The routes of the administration.
fn administrative() -> Vec<&'static Route> {
    let routes = page_routes().iter();
    let found: Vec<&Route> = routes
        .filter(|route| route.guard.access() == Access::Administrator)
        .collect();
    assert!(found.len() > 45, "{}", found.len());
    found
}

/// The path of a route about the account of `ann`.
fn path(t: &Harness, route: &Route) -> String {
    let id = page_of(t, "ann").replace("/admin/accounts/", "");
    route.path.replace("{id}", &id).replace("{name}", "staff")
}

#[test] // everything below /admin is guarded, and nothing else is
fn the_administration_is_below_its_path() {
    for route in page_routes() {
        let is_below = route.path == "/admin" || route.path.starts_with("/admin/");
        let access = route.guard.access();
        assert_eq!(is_below, access == Access::Administrator, "{}", route.path);
    }
}

#[test]
fn an_account_that_is_no_administrator_sees_and_changes_nothing() {
    let t = Harness::new();
    t.add("ann");
    t.operator().add_group("staff").expect("a group");
    let mut browser = Browser::new(&t, LAPTOP);
    let page = browser.sign_in("ann");
    assert!(!page.text().contains("/admin"));
    let token = page.form_token();
    for route in administrative() {
        let path = path(&t, route);
        let answer = t.unchanged(|| match route.method {
            Method::GET => browser.get(&path),
            _ => browser.post(&path, &[("form_token".to_owned(), token.clone())]),
        });
        assert_eq!(answer.status, 403, "{path}");
        assert!(!answer.text().contains("staff"), "{path}");
    }
    browser
        .open("/admin")
        .says(403, "may not administer this server");
}

#[test]
fn a_visitor_signs_in_first_and_goes_on_to_the_page() {
    let t = Harness::new();
    t.add_administrator("root");
    let mut browser = Browser::new(&t, LAPTOP);
    let page = browser.open("/admin/accounts?q=ann");
    assert_eq!(page.path, "/login?return_to=%2Fadmin%2Faccounts%3Fq%3Dann");
    let login = crate::harness::email("root");
    let fields = [("login", login.as_str()), ("password", PASSWORD)];
    let page = browser.send(&page, "/login", &fields);
    assert_eq!(page.path, "/admin/accounts?q=ann");
    // Every page leads administrators to the administration.
    browser.open("/account").says(200, "href=\"/admin\"");
}

#[test] // req 36: step-up
fn the_password_is_asked_for_again_after_ten_minutes() {
    let t = Harness::new();
    t.add("ann");
    t.operator().add_group("staff").expect("a group");
    let mut browser = administrator(&t, "root");
    let ann = page_of(&t, "ann");
    t.clock.advance(minutes(9));
    let page = browser.open(&ann);
    assert_eq!(page.path, ann);
    t.clock.advance(minutes(2));
    // A form that was opened in time, and is sent too late.
    let asked = browser.send(&page, &format!("{ann}/groups/add"), &[("group", "staff")]);
    let expected = format!(
        "/confirm?purpose=administration&return_to={}",
        ann.replace('/', "%2F")
    );
    assert_eq!(asked.path, expected);
    for route in administrative() {
        let path = path(&t, route);
        let answer = t.unchanged(|| match route.method {
            Method::GET => browser.get(&path),
            _ => browser.post(&path, &[("form_token".to_owned(), asked.form_token())]),
        });
        let location = answer.header("location").unwrap_or_default();
        assert_eq!(answer.status, 303, "{path}");
        assert!(
            location.starts_with("/confirm?purpose=administration"),
            "{path}"
        );
    }
    let before = browser.session_cookie();
    let page = browser.send(&asked, "/confirm", &[("password", PASSWORD)]);
    assert_eq!(page.path, ann);
    // req 31: a new cookie, and the one of before is dead.
    assert_ne!(browser.session_cookie(), before);
    // A step-up for another purpose is none for this one.
    t.clock.advance(minutes(11));
    let page = browser.open("/account/email");
    browser.send(&page, "/confirm", &[("password", PASSWORD)]);
    let page = browser.open("/admin");
    assert!(page.path.starts_with("/confirm?purpose=administration"));
}

#[test]
fn a_demoted_administrator_loses_the_administration_at_once() {
    let t = Harness::new();
    t.add_administrator("root");
    t.add("bob");
    let mut browser = administrator(&t, "ann");
    let bob = page_of(&t, "bob");
    let page = browser.open(&format!("{bob}/disable"));
    let demote = AccountChange {
        admin: Some(false),
        ..AccountChange::default()
    };
    t.operator()
        .update_account(&account("ann"), &demote)
        .expect("ann");
    let answer = t.unchanged(|| browser.send(&page, &format!("{bob}/disable"), &[]));
    answer.says(403, "may not administer this server");
    assert_eq!(browser.open("/admin").answer.status, 403);
    // The account itself stays signed in.
    let page = browser.open("/account");
    assert_eq!(page.path, "/account");
    assert!(!page.text().contains("href=\"/admin\""));
}

#[test] // req 38
fn every_form_of_the_administration_refuses_other_sites_and_foreign_tokens() {
    let t = Harness::new();
    t.add("ann");
    t.operator().add_group("staff").expect("a group");
    let mut browser = administrator(&t, "root");
    let token = browser.open("/admin/groups").form_token();
    let others = Browser::new(&t, PHONE).open("/login").form_token();
    let cross_site: &[&[(&str, &str)]] = &[
        &[
            ("sec-fetch-site", "cross-site"),
            ("origin", "https://evil.example"),
        ],
        &[
            ("sec-fetch-site", "same-site"),
            ("origin", "https://app.example.org"),
        ],
        &[("origin", "http://localhost:9999")],
        &[("origin", "null")],
        &[],
    ];
    let fields = "typed=ann%40example.org&account=x&group=staff&name=new&email=new%40example.org";
    let mut forms = 0;
    for route in administrative() {
        if route.method != Method::POST {
            continue;
        }
        let path = path(&t, route);
        for headers in cross_site {
            let ask = browser
                .ask(Method::POST, &path)
                .header("content-type", FORM);
            let ask = headers
                .iter()
                .fold(ask, |ask, (name, value)| ask.header(name, value));
            let body = format!("form_token={token}&{fields}");
            let answer = t.unchanged(|| ask.body(body).send());
            assert_eq!(answer.status, 403, "{path} {headers:?}");
        }
        for token in ["", &others, &token[1..]] {
            let values = [("form_token", token), ("typed", "ann@example.org")]
                .map(|(name, value)| (name.to_owned(), value.to_owned()));
            let answer = t.unchanged(|| browser.post(&path, &values));
            assert_eq!(answer.status, 403, "{path} {token}");
            assert!(answer.text().contains("href=\"/admin"), "{path}");
        }
        forms += 1;
    }
    assert!(forms > 20, "{forms}");
}

#[test] // req 40
fn opening_a_page_of_the_administration_changes_nothing() {
    let t = Harness::new();
    t.add("ann");
    t.operator().add_group("staff").expect("a group");
    let mut browser = administrator(&t, "root");
    for route in administrative() {
        if route.method != Method::GET {
            continue;
        }
        let path = path(&t, route);
        let answer = t.unchanged(|| browser.get(&path));
        assert!(
            matches!(answer.status, 200 | 303 | 404),
            "{path} {}",
            answer.status
        );
        assert_eq!(answer.header("cache-control"), Some("no-store"), "{path}");
        let policy = answer.header("cross-origin-opener-policy");
        assert_eq!(policy, Some("same-origin"), "{path}");
    }
}

#[test]
fn the_last_administrator_stays_and_no_one_removes_the_own_account() {
    let t = Harness::new();
    let mut browser = administrator(&t, "root");
    let root = page_of(&t, "root");
    let page = browser.open(&root);
    page.says(200, "This is the only administrator");
    for link in ["/disable", "/delete", "/demote"] {
        assert!(!page.text().contains(&format!("{root}{link}")), "{link}");
    }
    let typed = [("typed", "root@example.org")];
    for action in ["disable", "delete", "demote"] {
        let page = t.unchanged(|| act(&mut browser, &root, action, &typed));
        page.says(422, "This is the only administrator");
    }
    t.unchanged(|| browser.open("/account/delete"))
        .says(200, "only administrator");
    let values = [
        ("form_token".to_owned(), page.form_token()),
        ("typed".to_owned(), "root@example.org".to_owned()),
    ];
    let answer = t.unchanged(|| browser.post("/account/delete", &values));
    assert_eq!(answer.status, 422);

    // With a second administrator it is still the own account.
    t.add_administrator("ann");
    browser.open(&root).says(200, "your own account here");
    for action in ["disable", "delete", "demote"] {
        let page = t.unchanged(|| act(&mut browser, &root, action, &typed));
        page.says(422, "This is your own account");
    }
    let page = browser.open("/account/delete");
    let page = browser.send(&page, "/account/delete", &typed);
    assert_eq!(page.path, "/account-deleted");
}

#[test]
fn names_of_other_people_are_shown_as_text() {
    const HOSTILE: &str = "<img src=x onerror=alert(1)>\u{202e}\"'&";
    let t = Harness::new();
    t.add("ann");
    let name = AccountChange {
        name: Some(HOSTILE.to_owned()),
        ..AccountChange::default()
    };
    t.operator()
        .update_account(&account("ann"), &name)
        .expect("ann");
    t.operator().add_group("staff").expect("a group");
    t.operator()
        .grant_group("staff", &account("ann"))
        .expect("ann");
    let hostile = crate::harness::Place::new("203.0.113.7", "<script>alert(2)</script>");
    t.try_sign_in(hostile, "<b>eve</b>@example.org", "wrong wrong wrong");
    t.sign_in_on(hostile, "ann");
    let mut browser = administrator(&t, "root");
    let ann = page_of(&t, "ann");
    let query = "%3Cimg%20src%3Dx%20onerror%3Dalert(1)%3E";
    for path in [
        "/admin/accounts".to_owned(),
        format!("/admin/accounts?q={query}"),
        format!("/admin/events?account={query}&ip={query}&kind={query}"),
        "/admin/events".to_owned(),
        "/admin/groups/staff".to_owned(),
        format!("{ann}/change"),
        ann,
    ] {
        let text = browser.open(&path).text();
        for raw in ["<img", "<script>a", "<b>eve"] {
            assert!(!text.contains(raw), "{path} {raw}");
        }
    }
}
