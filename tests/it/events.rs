//! Events: what an owner and an operator can find out afterwards.

use authd::http::Method;
use authd::service::EventQuery;
use serde_json::{Value, json};

use crate::harness::*;

#[test]
fn a_life_of_an_account_can_be_read_afterwards() {
    let t = Harness::new();
    let laptop = t.sign_in("ann");
    t.sign_in_on(PHONE, "ann");
    t.try_sign_in(THIEF, "ann", "wrong wrong wrong");
    let laptop = t.change_password(&laptop, PASSWORD, NEW_PASSWORD).issued();
    t.sign_out(&laptop).gives(204);
    t.operator().disable_account(&account("ann")).expect("ann");
    t.operator().enable_account(&account("ann")).expect("ann");
    let told = [
        "account_created",
        "sign_in",
        "sign_in",
        "sign_in_failed",
        "password_changed",
        "sessions_ended",
        "session_ended",
        "account_disabled",
        "account_enabled",
    ];
    assert_eq!(t.events("ann"), told);
}

#[test]
fn events_are_paged_newest_first_and_kept_apart() {
    let t = Harness::new();
    t.sign_in("bob");
    for _ in 0..4 {
        t.sign_in("ann");
    }
    let ask = |of: Option<&str>, before, limit| {
        let query = EventQuery {
            account: of.map(account),
            before,
            limit,
            ..EventQuery::default()
        };
        t.authd().events(&query).expect("events")
    };
    let first = ask(Some("ann"), None, 3);
    assert_eq!(first.len(), 3);
    assert!(first.windows(2).all(|pair| pair[0].id > pair[1].id));
    let rest = ask(Some("ann"), Some(first[2].id), 1000);
    assert_eq!(rest.len(), 2);
    assert_eq!(ask(None, None, 1000).len(), 7);
    assert!(
        ask(Some("bob"), None, 1000)
            .iter()
            .all(|event| event.email == Some(email("bob")))
    );
    assert_eq!(ask(None, None, 0).len(), 1, "at least one");
}

#[test] // a refused request leaves no event of what it did not do
fn what_is_rolled_back_is_no_event() {
    let t = Harness::new();
    let ann = t.sign_in("ann");
    t.add("bob");
    t.unchanged_but_counted(|| {
        let body = json!({ "name": "x", "username": "bob" });
        t.with_token(&ann, Method::PATCH, "/v1/account")
            .json(&body)
            .send()
            .refused("username_taken");
    });
}

#[test] // somebody who knocks again and again cannot fill the disk with it
fn a_throttled_try_is_no_event() {
    let t = Harness::new();
    t.add("ann");
    for _ in 0..200 {
        t.try_sign_in(THIEF, "ann", "wrong wrong wrong");
    }
    assert_eq!(t.events("ann").len(), 11);
}

#[test]
fn an_owner_reads_what_happened_to_the_account() {
    let t = Harness::new();
    let ann = t.sign_in("ann");
    t.sign_in("bob");
    t.try_sign_in(THIEF, "ann", "wrong wrong wrong");
    let ask = |query: &str| {
        t.with_token(&ann, Method::GET, &format!("/v1/account/events{query}"))
            .send()
    };
    let list = |query: &str| -> Vec<Value> {
        ask(query).gives(200)["events"]
            .as_array()
            .expect("a list")
            .clone()
    };
    let all = list("");
    let kinds: Vec<_> = all
        .iter()
        .map(|event| event["kind"].as_str().expect("a kind"))
        .collect();
    assert_eq!(kinds, ["sign_in_failed", "sign_in", "account_created"]);
    assert_eq!(all[0]["ip"], THIEF.ip);
    assert_eq!(all[0]["user_agent"], THIEF.agent);
    assert_eq!(all[1]["session"], ann.session);

    // By pages.
    assert_eq!(list("?limit=2"), all[..2]);
    assert_eq!(list(&format!("?limit=2&before={}", all[1]["id"])), all[2..]);
    assert!(list(&format!("?before={}", all[2]["id"])).is_empty());
    assert!(list("?before=-1").is_empty());
    for wrong in [
        "?limit=0",
        "?limit=1001",
        "?limit=x",
        "?before=",
        "?before=1;--",
        "?user=bob",
        "?limit=1&limit=2",
        "?before=99999999999999999999",
        "?limit",
    ] {
        ask(wrong).refused("invalid_request");
    }
    t.ask(Method::GET, "/v1/account/events")
        .send()
        .refused("invalid_token");
}

#[test] // what the mail server said is none of the owner's business
fn an_operator_alone_reads_why_a_letter_did_not_leave() {
    let t = Harness::new();
    let ann = t.sign_in("ann");
    t.post_office.refuse(true);
    t.ask_for_reset(&email("ann")).gives(202);
    t.mail();
    assert_eq!(t.events_of("ann", "mail_failed").len(), 1);
    let own = t
        .with_token(&ann, Method::GET, "/v1/account/events")
        .send()
        .gives(200);
    assert!(!own.to_string().contains("451"), "{own}");
    assert!(
        own.to_string().contains("password_reset_requested"),
        "{own}"
    );
}

#[test]
fn whoever_looks_on_misses_nothing() {
    let t = Harness::new();
    t.sign_in("ann");
    let seen = t
        .authd()
        .events(&EventQuery {
            account: None,
            before: None,
            limit: 1,
            ..EventQuery::default()
        })
        .expect("events")[0]
        .id;
    t.sign_in("bob");
    t.sign_in("ann");
    let news = |of: Option<&str>| -> Vec<String> {
        let of = of.map(account);
        let events = t.authd().events_after(of.as_ref(), seen).expect("events");
        assert!(events.windows(2).all(|pair| pair[0].id < pair[1].id));
        events.into_iter().map(|event| event.kind).collect()
    };
    assert_eq!(news(None), ["account_created", "sign_in", "sign_in"]);
    assert_eq!(news(Some("ann")), ["sign_in"]);
}
