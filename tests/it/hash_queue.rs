//! The queue for password hashes, as clients see it.

use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

use authd::http::Method;
use authd::password::Params;
use serde_json::json;

use crate::harness::*;

/// One worker, and hashes that take long enough for others to wait.
fn with_one_worker() -> Harness {
    Harness::with(|terms| terms.hashing = Params::default())
}

#[test] // finding 10: a flood must not use up what an owner may try inside a session
fn a_password_that_could_not_be_checked_is_no_guess() {
    let t = with_one_worker();
    let ann = t.sign_in("ann");
    t.add("bob");
    let change = || {
        let ask = t.with_token(&ann, Method::PUT, "/v1/account/password");
        let body = json!({ "current_password": PASSWORD, "new_password": "short" });
        ask.json(&body).send().status
    };
    let is_over = AtomicBool::new(false);
    std::thread::scope(|s| {
        // Nothing takes a place from an operator.
        for _ in 0..70 {
            s.spawn(|| {
                while !is_over.load(SeqCst) {
                    let _ = t.operator().set_password(&account("bob"), PASSWORD, false);
                }
            });
        }
        // All are asked before the flood ends, whatever they come to.
        let mut statuses = Vec::new();
        while statuses.len() < 1_000 && statuses.iter().filter(|it| **it == 503).count() < 6 {
            statuses.push(change());
        }
        is_over.store(true, SeqCst);
        assert!(
            statuses.iter().all(|status| [422, 503].contains(status)),
            "{statuses:?}"
        );
        assert!(
            statuses.iter().filter(|it| **it == 503).count() == 6,
            "{statuses:?}"
        );
    });
    assert_eq!(change(), 422);
}

#[test] // finding 10: the same account, right password, one address, in parallel
fn an_account_that_fills_the_queue_keeps_nobody_out() {
    let t = with_one_worker();
    t.add("ann");
    t.add("mallory");
    let elsewhere = Place::new("203.0.113.9", "a flood");
    std::thread::scope(|s| {
        let flood = [(); 8]
            .map(|()| s.spawn(|| t.try_sign_in(elsewhere, &email("mallory"), PASSWORD).status));
        let honest = t.try_sign_in(LAPTOP, &email("ann"), PASSWORD);
        assert_eq!(honest.status, 201);
        for status in flood.map(|it| it.join().expect("no panic")) {
            assert!([201, 503].contains(&status), "{status}");
        }
    });
}
