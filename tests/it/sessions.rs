//! Sessions: seeing them, naming them, ending them.

use authd::http::Method;
use serde_json::{Value, json};

use crate::harness::*;

fn list(t: &Harness, device: &SignedIn) -> Vec<Value> {
    let answer = t.with_token(device, Method::GET, "/v1/sessions").send();
    let body = answer.gives(200);
    body["sessions"].as_array().expect("a list").clone()
}

fn end(t: &Harness, device: &SignedIn, target: &str) -> Answer {
    t.with_token(device, Method::DELETE, &format!("/v1/sessions{target}"))
        .send()
}

#[test] // req 35
fn an_owner_sees_every_device_and_which_one_asks() {
    let t = Harness::new();
    let laptop = t.sign_in("ann");
    t.clock.advance(minutes(1));
    let phone = t.sign_in_on(PHONE, "ann");
    t.sign_in("bob");
    t.clock.advance(minutes(1));
    let laptop = t
        .refresh(&laptop.copied_to(Place::new("192.0.2.99", "Firefox, the next")))
        .issued();
    let listed = list(&t, &laptop);
    let ids: Vec<&str> = listed
        .iter()
        .filter_map(|open| open["id"].as_str())
        .collect();
    assert_eq!(
        ids,
        [&laptop.session, &phone.session],
        "the one used last first"
    );
    assert_eq!(listed[0]["current"], true);
    assert_eq!(listed[1]["current"], false);
    assert_eq!(listed[0]["ip"], "192.0.2.99");
    assert_eq!(listed[0]["user_agent"], "Firefox, the next");
    assert_eq!(listed[0]["created_at"], START.to_string());
    assert_eq!(
        listed[0]["last_used_at"],
        START.plus(minutes(2)).to_string()
    );
    assert_eq!(
        listed[0]["expires_at"],
        START.plus(minutes(2)).plus(days(30)).to_string()
    );
    assert_eq!(listed[1]["ip"], PHONE.ip);
}

#[test] // req 35, req 32
fn any_device_ends_any_other() {
    let t = Harness::new();
    let (laptop, phone) = (t.sign_in("ann"), t.sign_in_on(PHONE, "ann"));
    end(&t, &laptop, &format!("/{}", phone.session)).gives(204);
    assert!(!t.is_open(&phone));
    t.refresh(&phone).refused("invalid_grant");
    assert!(t.is_open(&laptop));
    let again = t.unchanged(|| end(&t, &laptop, &format!("/{}", phone.session)));
    again.refused("not_found");
    assert_eq!(again.status, 404);
    let events = t.events_of("ann", "session_ended");
    assert_eq!(events.len(), 1);
    assert_eq!(
        events[0].ip.map(|ip| ip.to_string()).as_deref(),
        Some(LAPTOP.ip)
    );
    assert_eq!(
        events[0].session.map(|id| id.to_string()),
        Some(phone.session)
    );
}

#[test] // req 32, ASVS 7.4.1
fn signing_out_ends_everything_at_once() {
    let t = Harness::new();
    let laptop = t.sign_in("ann");
    let next = t.refresh(&laptop).issued();
    t.sign_out(&next).gives(204);
    for dead in [&laptop, &next] {
        assert!(!t.is_open(dead));
        t.refresh(dead).refused("invalid_grant");
    }
    // Inside the window too, and it is no reuse.
    assert!(t.events_of("ann", "refresh_token_reused").is_empty());
    let again = t.sign_out(&next);
    again.refused("invalid_token");
    assert_eq!(again.status, 401);
}

#[test]
fn all_others_end_and_this_one_stays() {
    let t = Harness::new();
    let laptop = t.sign_in("ann");
    let others = [t.sign_in_on(PHONE, "ann"), t.sign_in_on(PHONE, "ann")];
    let bob = t.sign_in("bob");
    assert_eq!(
        end(&t, &laptop, "?except=current").gives(200),
        json!({ "revoked": 2 })
    );
    assert_eq!(list(&t, &laptop).len(), 1);
    for other in &others {
        t.refresh(other).refused("invalid_grant");
    }
    t.unchanged(|| {
        assert_eq!(
            end(&t, &laptop, "?except=current").gives(200),
            json!({ "revoked": 0 })
        );
    });
    assert!(t.is_open(&bob));
    t.refresh(&laptop).issued();
}

#[test]
fn all_end_with_this_one() {
    let t = Harness::new();
    let (laptop, phone) = (t.sign_in("ann"), t.sign_in_on(PHONE, "ann"));
    assert_eq!(end(&t, &laptop, "").gives(200), json!({ "revoked": 2 }));
    for dead in [&laptop, &phone] {
        assert!(!t.is_open(dead));
        t.refresh(dead).refused("invalid_grant");
    }
}

#[test] // guessing here could sign somebody out of everything
fn a_query_that_is_not_understood_ends_nothing() {
    let t = Harness::new();
    let laptop = t.sign_in("ann");
    t.unchanged(|| {
        for query in [
            "?except=others",
            "?except=current&x=1",
            "?Except=current",
            "?all",
            "?except=",
        ] {
            end(&t, &laptop, query).refused("invalid_request");
        }
    });
}

#[test] // nobody's else's session can be seen, named or ended, nor told from none
fn anothers_session_is_not_found() {
    let t = Harness::new();
    let (ann, bob) = (t.sign_in("ann"), t.sign_in("bob"));
    let none = "00000000-0000-4000-8000-000000000000";
    t.unchanged(|| {
        let mut answers = Vec::new();
        for id in [&bob.session, none, "x", &bob.session.to_uppercase()] {
            for method in [Method::DELETE, Method::PATCH] {
                let ask = t.with_token(&ann, method, &format!("/v1/sessions/{id}"));
                let answer = ask.json(&json!({ "device_name": "mine" })).send();
                let mut body = answer.refused("not_found");
                body["request_id"].take();
                answers.push(body);
            }
        }
        assert!(
            answers.iter().all(|body| *body == answers[0]),
            "{answers:?}"
        );
    });
    assert!(t.is_open(&bob));
}

#[test]
fn a_device_has_a_name() {
    let t = Harness::new();
    let (laptop, phone) = (t.sign_in("ann"), t.sign_in_on(PHONE, "ann"));
    let name = |name: Value| {
        t.with_token(
            &laptop,
            Method::PATCH,
            &format!("/v1/sessions/{}", phone.session),
        )
        .json(&json!({ "device_name": name }))
        .send()
    };
    assert_eq!(
        name(json!("  Ann's phone ")).gives(200)["device_name"],
        "Ann's phone"
    );
    assert_eq!(list(&t, &phone)[0]["device_name"], "Ann's phone");
    t.unchanged(|| {
        name(json!("a\nb")).refused("invalid_request");
        name(json!("x".repeat(101))).refused("invalid_request");
    });
    assert_eq!(
        name(json!("x".repeat(100))).gives(200)["device_name"],
        "x".repeat(100)
    );
    assert_eq!(name(Value::Null).gives(200)["device_name"], Value::Null);
    assert_eq!(name(json!("")).gives(200)["device_name"], Value::Null);
    end(&t, &laptop, &format!("/{}", phone.session)).gives(204);
    name(json!("gone")).refused("not_found");
}

#[test] // a device that says nothing, or far too much
fn user_agents_are_labels_and_nothing_more() {
    let t = Harness::new();
    t.add("ann");
    let long: &'static str = Box::leak("x".repeat(5000).into_boxed_str());
    for (agent, shown) in [
        ("", None),
        ("a\u{1b}[31mb\tc", Some("a[31mbc".to_owned())),
        (long, Some("x".repeat(256))),
    ] {
        let device = t.sign_in_on(Place::new("192.0.2.1", agent), "ann");
        assert_eq!(
            list(&t, &device)[0]["user_agent"].as_str(),
            shown.as_deref()
        );
        end(&t, &device, "").gives(200);
    }
    let again = t.sign_in_on(Place::new("192.0.2.2", long), "ann");
    assert_eq!(list(&t, &again).len(), 1);
    // Each text stands once.
    assert_eq!(t.number("SELECT count(*) FROM user_agent"), 3);
}

#[test] // an access token opens nothing after its session, whatever its own time
fn an_access_token_ends_with_its_session() {
    let t = Harness::with(|terms| terms.policy.access_token_lifetime = hours(1));
    let laptop = t.sign_in("ann");
    assert!(t.is_open(&laptop));
    t.operator().revoke_sessions(&account("ann")).expect("ann");
    assert!(!t.is_open(&laptop));
}
