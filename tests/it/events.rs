//! Events: what an owner and an operator can find out afterwards.

use authd::service::EventQuery;

use crate::harness::*;

#[test]
fn a_life_of_an_account_can_be_read_afterwards() {
    let t = Harness::new();
    let laptop = t.sign_in("ann");
    t.sign_in_on(PHONE, "ann");
    t.try_sign_in(THIEF, "ann", "wrong wrong wrong");
    let laptop = t.change_password(&laptop, PASSWORD, NEW_PASSWORD).issued();
    t.sign_out(&laptop).gives(204);
    t.authd().disable_account(&account("ann")).expect("ann");
    t.authd().enable_account(&account("ann")).expect("ann");
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
    t.unchanged(|| {
        let body = serde_json::json!({ "name": "x", "username": "bob" });
        t.with_token(&ann, authd::http::message::Method::Patch, "/v1/account")
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
    assert_eq!(t.events("ann").len(), 6);
}
