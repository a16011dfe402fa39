//! The administration: who may administer, what no one can do, and what is left in the events.

use std::collections::BTreeSet;

use authd::http::{Access, Method, Route, SettingInForce, routes};
use authd::service::{
    AccountChange, BrowserWanted, Code, Error, NewCookie, Registration, SignInStep, Wanted,
};
use serde_json::{Value, json};

use crate::harness::*;

const NO_ONE: &str = "00000000-0000-4000-8000-000000000000";

/// The routes of the administration.
fn administrative() -> Vec<&'static Route> {
    let of_administration = |route: &&Route| route.guard.access() == Access::AdminBearer;
    routes().filter(of_administration).collect()
}

fn path_of(route: &Route) -> String {
    let path = route.path.replace("{id}", NO_ONE);
    path.replace("{session}", NO_ONE).replace("{name}", "staff")
}

#[track_caller]
fn refused<T>(done: Result<T, Error>, code: Code) {
    match done {
        Err(Error::No(found, _)) => assert_eq!(found, code),
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("it was done"),
    }
}

/// The latest event of a kind, as an operator reads it.
fn latest(t: &Harness, kind: &str) -> Value {
    let query = authd::service::EventQuery {
        kind: Some(kind.to_owned()),
        limit: 1,
        ..Default::default()
    };
    let events = t.authd().events(&query).expect("events");
    json!(events.first().unwrap_or_else(|| panic!("no {kind}")))
}

#[test] // RFC 6750 §3.1
fn every_route_takes_a_token_of_the_scope_admin() {
    let t = Harness::new();
    let ann = t.sign_in("ann");
    // An administrator whose token was not asked for that.
    t.add_administrator("root");
    let root = t.sign_in("root");
    assert!(administrative().len() > 25);
    t.unchanged(|| {
        for route in administrative() {
            let ask = || {
                let ask = t.ask(route.method.clone(), &path_of(route));
                ask.json(&json!({ "odd": 1 }))
            };
            let without = ask().send();
            assert_eq!(
                without.refused("invalid_token")["status"],
                401,
                "{}",
                route.path
            );
            for token in [&ann.access, &root.access] {
                let answer = ask().bearer(token).send();
                assert_eq!(
                    answer.refused("insufficient_scope")["status"],
                    403,
                    "{}",
                    route.path
                );
                assert_eq!(
                    answer.header("www-authenticate"),
                    Some("Bearer realm=\"authd\", error=\"insufficient_scope\", scope=\"admin\"")
                );
            }
        }
    });
}

#[test] // everything below /v1/admin is guarded, and nothing else is
fn the_administration_is_below_its_path() {
    for route in routes() {
        let is_below = route.path.starts_with("/v1/admin/");
        assert_eq!(
            is_below,
            route.guard.access() == Access::AdminBearer,
            "{}",
            route.path
        );
    }
}

#[test]
fn the_scope_admin_is_for_administrators() {
    let t = Harness::with(|terms| terms.policy.registration = Registration::Open);
    t.add("ann");
    let refused_answer = t.try_administrator("ann");
    assert_eq!(refused_answer.refused("invalid_scope")["status"], 400);
    assert!(t.sessions("ann").is_empty());
    // The right password was shown: that leaves an event.
    assert_eq!(t.events_of("ann", "sign_in_incomplete").len(), 1);
    let wrong = json!({ "login": email("ann"), "password": "wrong wrong wrong", "scope": "admin" });
    t.post("/v1/sessions", wrong)
        .send()
        .refused("invalid_credentials");
    let body = json!({ "email": email("eve"), "password": PASSWORD, "scope": "admin" });
    t.unchanged(|| t.post("/v1/accounts", body).send().refused("invalid_scope"));
    let wanted = Wanted {
        scope: Some("admin"),
        ..Wanted::default()
    };
    let opened = t
        .authd()
        .open_session(&account("ann"), wanted, &LAPTOP.device());
    refused(opened, Code::InvalidScope);

    let root = t.administrator("root");
    assert_eq!(root.claims()["scope"], "admin");
    let renewed = t.refresh(&root);
    assert_eq!(renewed.json()["scope"], "admin");
    let page = t.with_token(&renewed.issued(), Method::GET, "/v1/admin/accounts");
    page.send().gives(200);
}

#[test]
fn the_first_administrator_can_administer_at_once() {
    let t = Harness::new();
    let link = t.authd().open_setup().expect("a store").expect("a link");
    let body = json!({
        "token": link.token, "email": email("root"), "password": PASSWORD, "scope": "admin groups",
    });
    let root = t.post("/v1/setup", body).send().issued();
    assert_eq!(root.claims()["scope"], "groups admin");
    t.with_token(&root, Method::GET, "/v1/admin/settings")
        .send()
        .gives(200);
}

#[test] // a token does not outlive the power of its account
fn demotion_ends_the_power_of_a_token_at_once() {
    let t = Harness::new();
    t.add_administrator("root");
    let ann = t.administrator("ann");
    let accounts = |device: &SignedIn| {
        t.with_token(device, Method::GET, "/v1/admin/accounts")
            .send()
    };
    accounts(&ann).gives(200);
    // It passed the guard before, and the change comes after.
    let device = LAPTOP.device();
    let held = t
        .authd()
        .administration(&ann.access, &device)
        .expect("an administrator");
    let demoted = AccountChange {
        admin: Some(false),
        ..AccountChange::default()
    };
    t.operator()
        .update_account(&account("ann"), &demoted)
        .expect("another is left");
    t.unchanged(|| {
        accounts(&ann).refused("insufficient_scope");
        refused(
            held.disable_account(&account("root")),
            Code::InsufficientScope,
        );
        refused(held.add_group("staff"), Code::InsufficientScope);
    });
    // The session goes on, and its tokens tell what is so now.
    assert!(t.is_open(&ann));
    let answer = t.refresh(&ann);
    assert_eq!(answer.json().get("scope"), None);
    let ann = answer.issued();
    assert_eq!(ann.claims().get("scope"), None);
    accounts(&ann).refused("insufficient_scope");
    let promoted = AccountChange {
        admin: Some(true),
        ..AccountChange::default()
    };
    t.operator()
        .update_account(&account("ann"), &promoted)
        .expect("ann");
    accounts(&t.refresh(&ann).issued()).gives(200);
    let kinds = t.events("ann");
    assert!(kinds.contains(&"administrator_demoted".to_owned()));
    assert!(kinds.contains(&"administrator_promoted".to_owned()));
}

#[test]
fn an_administrator_who_is_disabled_or_signed_out_administers_no_more() {
    let t = Harness::new();
    t.add_administrator("root");
    let (ann, bob) = (t.administrator("ann"), t.administrator("bob"));
    let ask = |device: &SignedIn| {
        let answer = t.with_token(device, Method::GET, "/v1/admin/keys").send();
        answer.refused("invalid_token");
    };
    t.operator().disable_account(&account("ann")).expect("ann");
    ask(&ann);
    t.sign_out(&bob).gives(204);
    ask(&bob);
}

#[test]
fn the_last_administrator_stays() {
    let t = Harness::new();
    let root = t.administrator("root");
    t.add("ann");
    // Disabled, and so nobody who could administer.
    t.add_administrator("gone");
    t.operator()
        .disable_account(&account("gone"))
        .expect("gone");
    let demoted = AccountChange {
        admin: Some(false),
        ..AccountChange::default()
    };
    let last = account("root");
    t.unchanged(|| {
        refused(t.operator().disable_account(&last), Code::LastAdministrator);
        refused(t.operator().delete_account(&last), Code::LastAdministrator);
        refused(
            t.operator().update_account(&last, &demoted),
            Code::LastAdministrator,
        );
    });
    let own = t
        .with_token(&root, Method::POST, "/v1/account/delete")
        .json(&json!({ "current_password": PASSWORD }))
        .send();
    assert_eq!(own.refused("last_administrator")["status"], 409);
    let path = format!("/v1/admin/accounts/{}", root.account);
    let ask = |method, below: &str, body| {
        t.with_token(&root, method, &format!("{path}{below}"))
            .json(&body)
            .send()
            .refused("last_administrator")
    };
    t.unchanged(|| {
        ask(Method::POST, "/disable", json!({}));
        ask(
            Method::DELETE,
            "",
            json!({ "confirm_email": email("root") }),
        );
        ask(Method::PATCH, "", json!({ "admin": false }));
    });
    let shown = t.with_token(&root, Method::GET, &path).send().gives(200);
    assert_eq!(shown["is_last_administrator"], true);
    // With another administrator there is no last one.
    let promoted = json!({ "admin": true });
    let ann = t.authd().find_account(&account("ann")).expect("ann");
    let ann = format!("/v1/admin/accounts/{}", ann.account.id);
    let shown = t.with_token(&root, Method::PATCH, &ann).json(&promoted);
    assert_eq!(shown.send().gives(200)["admin"], true);
    t.with_token(&root, Method::POST, "/v1/account/delete")
        .json(&json!({ "current_password": PASSWORD }))
        .send()
        .gives(204);
    refused(
        t.operator().delete_account(&account("ann")),
        Code::LastAdministrator,
    );
}

#[test] // by accident: another administrator can, and so can the operator
fn administrators_do_not_remove_themselves() {
    let t = Harness::new();
    t.add_administrator("root");
    let ann = t.administrator("ann");
    let path = format!("/v1/admin/accounts/{}", ann.account);
    let ask = |method, below: &str, body| {
        let answer = t
            .with_token(&ann, method, &format!("{path}{below}"))
            .json(&body)
            .send();
        assert_eq!(answer.refused("own_account")["status"], 409);
    };
    t.unchanged(|| {
        ask(Method::POST, "/disable", json!({}));
        ask(
            Method::POST,
            "/delete",
            json!({ "confirm_email": email("ann") }),
        );
        ask(Method::PATCH, "", json!({ "admin": false }));
    });
    let own = t.with_token(&ann, Method::PATCH, &path);
    own.json(&json!({ "name": "Ann" })).send().gives(200);
    t.operator().delete_account(&account("ann")).expect("ann");
}

#[test] // each change, with its event, which names the administrator
fn an_administrator_manages_accounts() {
    let t = Harness::new();
    let root = t.administrator("root");
    let ask = |method: Method, path: &str, body: Value| {
        t.with_token(&root, method, path).json(&body).send()
    };
    let told = |kind: &str| {
        let event = latest(&t, kind);
        let by = &event["detail"]["by"];
        assert_eq!(by["account"], root.account, "{event}");
        assert_eq!(by["email"], email("root"), "{event}");
        assert_eq!(event["ip"], LAPTOP.ip, "{event}");
        assert_eq!(event["user_agent"], LAPTOP.agent, "{event}");
        event
    };
    let new = json!({ "email": email("ann"), "username": "ann", "name": "Ann", "password": PASSWORD, "temporary": true });
    let ann = ask(Method::POST, "/v1/admin/accounts", new.clone()).gives(201);
    told("account_created");
    ask(Method::POST, "/v1/admin/accounts", new).refused("email_taken");
    let weak = json!({ "email": email("eve"), "password": "password1234" });
    ask(Method::POST, "/v1/admin/accounts", weak).refused("weak_password");
    let path = format!("/v1/admin/accounts/{}", ann["id"].as_str().expect("an id"));
    let below = |name: &str| format!("{path}/{name}");
    let shown = ask(Method::GET, &path, json!({})).gives(200);
    assert_eq!(shown["password"], "temporary");
    assert_eq!(
        (&shown["sessions"], &shown["locked_until"]),
        (&json!(0), &Value::Null)
    );

    let changed = ask(
        Method::PATCH,
        &path,
        json!({ "name": "Ann B.", "username": null }),
    );
    let changed = changed.gives(200);
    assert_eq!(
        (&changed["name"], &changed["username"]),
        (&json!("Ann B."), &Value::Null)
    );
    assert_eq!(
        told("account_changed")["detail"]["changed"],
        json!(["username", "name"])
    );
    ask(Method::PATCH, &path, json!({ "username": "root" })).refused("username_taken");
    ask(Method::PATCH, &path, json!({ "admin": true })).gives(200);
    told("administrator_promoted");
    ask(Method::PATCH, &path, json!({ "admin": false })).gives(200);
    told("administrator_demoted");

    let link = ask(
        Method::POST,
        &below("reset-link"),
        json!({ "delivery": "print" }),
    )
    .gives(201);
    told("password_reset_requested");
    let link = link["reset_link"].as_str().expect("a link");
    let token = link
        .strip_prefix(&format!("{ISSUER}/reset?token="))
        .expect("a link");
    t.reset(token, NEW_PASSWORD).gives(204);
    t.try_sign_in(PHONE, &email("ann"), NEW_PASSWORD).issued();
    let phone = t.try_sign_in(PHONE, &email("ann"), NEW_PASSWORD).issued();
    let listed = ask(Method::GET, &below("sessions"), json!({})).gives(200);
    assert_eq!(listed["sessions"].as_array().map(Vec::len), Some(2));
    ask(
        Method::DELETE,
        &below(&format!("sessions/{}", phone.session)),
        json!({}),
    )
    .gives(204);
    assert_eq!(
        told("session_ended")["detail"]["reason"],
        "ended_by_administrator"
    );
    ask(
        Method::DELETE,
        &below(&format!("sessions/{}", phone.session)),
        json!({}),
    )
    .refused("not_found");
    // Another account's session is not found below this one.
    ask(
        Method::DELETE,
        &below(&format!("sessions/{}", root.session)),
        json!({}),
    )
    .refused("not_found");
    assert_eq!(
        ask(Method::DELETE, &below("sessions"), json!({})).gives(200)["revoked"],
        1
    );
    told("sessions_ended");

    let disabled = ask(Method::POST, &below("disable"), json!({})).gives(200);
    assert!(disabled["account"]["disabled_at"].is_string());
    told("account_disabled");
    ask(
        Method::POST,
        &below("reset-link"),
        json!({ "delivery": "mail" }),
    )
    .refused("invalid_request");
    ask(Method::POST, &below("enable"), json!({})).gives(200);
    told("account_enabled");
    ask(Method::POST, &below("unlock"), json!({})).gives(200);

    let links = json!({ "user": email("ann") });
    let links = ask(Method::POST, "/v1/admin/verification-links", links);
    // The reset link was printed: it proved nothing.
    let links = links.gives(201)["links"].clone();
    assert_eq!(links[0]["proves"], "address");
    told("email_verification_requested");

    ask(
        Method::DELETE,
        &path,
        json!({ "confirm_email": email("bob") }),
    )
    .refused("invalid_request");
    ask(Method::DELETE, &path, json!({})).refused("invalid_request");
    ask(
        Method::DELETE,
        &path,
        json!({ "confirm_email": "ANN@example.org " }),
    )
    .gives(204);
    told("account_deleted");
    ask(Method::GET, &path, json!({})).refused("not_found");
}

#[test]
fn an_administrator_manages_groups_invitations_and_keys() {
    let t = Harness::with(|terms| terms.policy.registration = Registration::Invite);
    let root = t.administrator("root");
    t.add("ann");
    let ask = |method: Method, path: &str, body: Value| {
        t.with_token(&root, method, path).json(&body).send()
    };
    let told = |kind: &str| {
        let event = latest(&t, kind);
        assert_eq!(event["detail"]["by"]["account"], root.account, "{event}");
        event
    };
    ask(Method::POST, "/v1/admin/groups", json!({ "name": "staff" })).gives(201);
    assert_eq!(told("group_created")["detail"]["group"], "staff");
    ask(Method::POST, "/v1/admin/groups", json!({ "name": "staff" })).refused("invalid_request");
    let ann = t.authd().find_account(&account("ann")).expect("ann");
    let member = format!("/v1/admin/groups/staff/members/{}", ann.account.id);
    assert_eq!(
        ask(Method::PUT, &member, json!({})).gives(200)["changed"],
        true
    );
    assert_eq!(
        ask(Method::PUT, &member, json!({})).gives(200)["changed"],
        false
    );
    told("group_granted");
    let members = ask(Method::GET, "/v1/admin/groups/staff/members", json!({})).gives(200);
    assert_eq!(members["accounts"][0]["email"], email("ann"));
    assert_eq!(
        ask(Method::GET, "/v1/admin/groups", json!({})).gives(200)["groups"][0]["members"],
        1
    );
    assert_eq!(
        ask(Method::DELETE, &member, json!({})).gives(200)["changed"],
        true
    );
    told("group_revoked");
    ask(Method::PUT, "/v1/admin/groups/nothing/members/x", json!({})).refused("not_found");

    let invited = json!({ "email": email("eve"), "group": "staff", "expires_in": 3600 });
    let invited = ask(Method::POST, "/v1/admin/invitations", invited).gives(201);
    told("invitation_created");
    let link = invited["invitation_link"].as_str().expect("a link");
    assert!(link.starts_with(&format!("{ISSUER}/register?invite=")));
    let mailed = json!({ "email": email("sam"), "send": true });
    let mailed = ask(Method::POST, "/v1/admin/invitations", mailed).gives(201);
    assert!(mailed.get("invitation_link").is_none());
    let short = json!({ "expires_in": 60 });
    ask(Method::POST, "/v1/admin/invitations", short).refused("invalid_request");
    let list = ask(Method::GET, "/v1/admin/invitations", json!({})).gives(200);
    assert_eq!(list["invitations"].as_array().map(Vec::len), Some(2));
    let path = format!(
        "/v1/admin/invitations/{}",
        invited["id"].as_str().expect("an id")
    );
    ask(Method::DELETE, &path, json!({})).gives(204);
    told("invitation_withdrawn");
    ask(Method::DELETE, &path, json!({})).refused("not_found");
    assert_eq!(
        ask(Method::DELETE, "/v1/admin/groups/staff", json!({})).gives(200)["members"],
        0
    );
    told("group_deleted");

    let made = ask(Method::POST, "/v1/admin/keys", json!({})).gives(201);
    assert_eq!(made["state"], "next");
    told("signing_key_rotated");
    let keys = ask(Method::GET, "/v1/admin/keys", json!({})).gives(200);
    assert_eq!(keys["keys"].as_array().map(Vec::len), Some(2));
    assert!(!keys.to_string().contains("private"));
}

#[test]
fn a_mailed_reset_link_comes_from_the_administration() {
    let mut t = Harness::new();
    let root = t.administrator("root");
    t.add("ann");
    let ann = t.authd().find_account(&account("ann")).expect("ann");
    let path = format!("/v1/admin/accounts/{}/reset-link", ann.account.id);
    let send = |t: &Harness| {
        t.with_token(&root, Method::POST, &path)
            .json(&json!({ "delivery": "mail" }))
            .send()
    };
    assert_eq!(send(&t).status, 202);
    let letters = t.mail();
    assert_eq!(
        (letters.len(), letters[0].to.as_str()),
        (1, email("ann").as_str())
    );
    // Who administers, and from where, is nothing for the letter.
    let text = &letters[0].text;
    assert!(
        text.contains("by an operator") && !text.contains(LAPTOP.ip),
        "{text}"
    );
    t.reset(&link_token(&letters[0]), NEW_PASSWORD).gives(204);
    let ann = t.authd().find_account(&account("ann")).expect("ann");
    assert!(!ann.account.email_verified);
    let requests = path.replace("reset-link", "reset-requests");
    let requests = t
        .with_token(&root, Method::GET, &requests)
        .send()
        .gives(200);
    assert_eq!(requests["requests"][0]["end_reason"], "used");
    t.restart_with(|terms| terms.policy.sends_mail = false);
    send(&t).refused("no_mail");
}

#[test] // the owner hears that it was an administrator, not which one and from where
fn owners_do_not_see_who_administered() {
    let t = Harness::new();
    let root = t.administrator("root");
    let ann = t.sign_in("ann");
    let path = format!("/v1/admin/accounts/{}", ann.account);
    t.with_token(&root, Method::PATCH, &path)
        .json(&json!({ "name": "Ann" }))
        .send()
        .gives(200);
    let own = t
        .with_token(&ann, Method::GET, "/v1/account/events")
        .send()
        .gives(200);
    let events = own["events"].as_array().expect("events");
    let changed = events
        .iter()
        .find(|event| event["kind"] == "account_changed");
    let changed = changed.expect("an event");
    assert_eq!(changed["detail"]["by"], "administrator");
    assert_eq!(
        (&changed["ip"], &changed["user_agent"]),
        (&Value::Null, &Value::Null)
    );
    assert!(!own.to_string().contains(&root.account));
    // The operator is no secret.
    t.operator().enable_account(&account("ann")).expect("ann");
    t.operator().revoke_sessions(&account("ann")).expect("ann");
    assert_eq!(latest(&t, "sessions_ended")["detail"]["by"], "operator");
    // With the administrator's account goes the address, not the event.
    t.add_administrator("other");
    t.operator().delete_account(&account("root")).expect("root");
    let by = latest(&t, "account_changed")["detail"]["by"].clone();
    assert_eq!(by, json!({ "account": root.account, "email": null }));
}

#[test]
fn an_administrator_sees_why_mail_does_not_leave() {
    let t = Harness::new();
    let root = t.administrator("root");
    t.add("ann");
    let outbox = || {
        let asked = t.with_token(&root, Method::GET, "/v1/admin/outbox");
        asked.send().gives(200)["messages"].clone()
    };
    assert_eq!(outbox(), json!([]));
    t.post_office.refuse(false);
    t.ask_for_reset(&email("ann"));
    t.mail();
    let waiting = outbox();
    let message = &waiting[0];
    assert_eq!(message["to"], email("ann"));
    assert_eq!(message["topic"], "password_reset");
    assert_eq!(message["attempts"], 1);
    assert_eq!(message["failure"], "451 not now");
    assert_eq!(message["failed_at"], "2027-01-15T08:00:00Z");
    assert_eq!(message["next_try_at"], "2027-01-15T08:00:15Z");
    assert_eq!(t.authd().failing_messages().expect("a count"), 1);
    // It is not due yet.
    assert!(t.mail().is_empty());
    let path = format!("/v1/admin/outbox/{}", message["id"]);
    let retry = |path: &str| {
        t.with_token(&root, Method::POST, &format!("{path}/retry"))
            .send()
    };
    t.post_office.counter().refusal = None;
    assert_eq!(retry(&path).status, 202);
    let event = latest(&t, "mail_retried");
    assert_eq!(event["detail"]["by"]["account"], root.account);
    assert_eq!(event["detail"]["letter"], "password_reset");
    let letters = t.mail();
    assert_eq!(letters.len(), 1);
    retry(&path).refused("not_found");
    retry("/v1/admin/outbox/x").refused("not_found");
    retry("/v1/admin/outbox/-1").refused("not_found");

    t.ask_for_reset(&email("ann"));
    // One that was not looked up yet has an address, too.
    let message = outbox()[0].clone();
    assert_eq!(
        (&message["to"], &message["account"]),
        (&json!(email("ann")), &Value::Null)
    );
    let path = format!("/v1/admin/outbox/{}", message["id"]);
    t.with_token(&root, Method::DELETE, &path).send().gives(204);
    assert!(latest(&t, "mail_deleted")["detail"]["by"].is_object());
    assert!(t.mail().is_empty());
    // What becomes of messages is for operators.
    assert!(!t.sign_in("ann").access.is_empty());
    let ann = t.sign_in("ann");
    let own = t
        .with_token(&ann, Method::GET, "/v1/account/events")
        .send()
        .text();
    assert!(!own.contains("mail_retried"), "{own}");
}

#[test]
fn events_are_filtered_and_paged() {
    let t = Harness::new();
    let root = t.administrator("root");
    t.sign_in("ann");
    for place in [PHONE, THIEF] {
        t.try_sign_in(place, &email("ann"), "wrong wrong wrong");
    }
    t.try_sign_in(THIEF, "nobody", "wrong wrong wrong");
    let ask = |query: &str| {
        t.with_token(&root, Method::GET, &format!("/v1/admin/events?{query}"))
            .send()
    };
    let count = |query: &str| {
        ask(query).gives(200)["events"]
            .as_array()
            .map_or(0, Vec::len)
    };
    assert_eq!(count("kind=sign_in_failed"), 3);
    assert_eq!(count("kind=sign_in_failed&account=ann%40example.org"), 2);
    assert_eq!(count(&format!("ip={}", THIEF.ip)), 2);
    assert_eq!(count(&format!("ip={}&account=ann", THIEF.ip)), 1);
    assert_eq!(count("kind=sign_in_failed&limit=2"), 2);
    ask("account=nobody").refused("not_found");
    for odd in [
        "kind=nothing",
        "kind=%00",
        "ip=x",
        "limit=0",
        "limit=1001",
        "before=x",
        "odd=1",
    ] {
        ask(odd).refused("invalid_request");
    }
    let (mut seen, mut next) = (Vec::new(), String::new());
    loop {
        let page = ask(&format!("limit=2{next}")).gives(200);
        let events = page["events"].as_array().expect("events");
        seen.extend(events.iter().map(|event| event["id"].as_i64()));
        match page["next"].as_i64() {
            Some(id) => next = format!("&before={id}"),
            None => break,
        }
    }
    let all = t.number("SELECT count(*) FROM event");
    assert_eq!(seen, (1..=all).rev().map(Some).collect::<Vec<_>>());
}

#[test] // a page of events has a bound in bytes, and a search one in events
fn a_page_of_events_is_bounded() {
    let t = Harness::new();
    let root = t.administrator("root");
    t.execute(
        "INSERT INTO event (at, kind, detail) \
         WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 120000) \
         SELECT 0, CASE WHEN i % 60000 = 1 THEN 'mail_failed' ELSE 'sign_in_failed' END, \
             '{\"cause\":\"' || CASE WHEN i > 119000 THEN hex(zeroblob(1000)) ELSE '' END || '\"}' FROM n",
    );
    let ask = |query: &str| {
        let path = format!("/v1/admin/events?{query}");
        t.with_token(&root, Method::GET, &path).send()
    };
    let answer = ask("limit=1000");
    assert!(answer.body.len() < 300 * 1024, "{}", answer.body.len());
    let page = answer.gives(200);
    let events = page["events"].as_array().expect("events");
    assert!(events.len() > 50 && events.len() < 1000);
    assert_eq!(page["next"], events.last().expect("an event")["id"]);
    let (mut found, mut pages, mut next) = (0, 0, String::new());
    loop {
        let page = ask(&format!("kind=mail_failed{next}")).gives(200);
        found += page["events"].as_array().map_or(0, Vec::len);
        pages += 1;
        match page["next"].as_i64() {
            Some(id) => next = format!("&before={id}"),
            None => break,
        }
    }
    assert_eq!((found, pages), (2, 2));
}

#[test]
fn settings_registrations_and_locked_accounts_are_shown() {
    let t = Harness::with(|terms| {
        terms.settings.in_force = vec![SettingInForce {
            name: "mail".to_owned(),
            value: "smtps://user:***@mail.example.org".to_owned(),
            source: "default".to_owned(),
            description: "Where mail goes".to_owned(),
        }];
        terms.policy.registration = Registration::Open;
        terms.policy.verification = authd::service::Verification::Required;
    });
    let root = t.administrator("root");
    let ask = |path: &str| t.with_token(&root, Method::GET, path).send().gives(200);
    let settings = ask("/v1/admin/settings");
    assert_eq!(
        settings["settings"][0]["value"],
        "smtps://user:***@mail.example.org"
    );
    let body = json!({ "email": email("eve"), "password": PASSWORD });
    assert_eq!(t.post("/v1/accounts", body).send().status, 202);
    let waiting = ask("/v1/admin/registrations");
    assert_eq!(waiting["registrations"][0]["email"], email("eve"));

    t.add("ann");
    assert_eq!(ask("/v1/admin/locked-accounts")["locked"], json!([]));
    t.execute(
        "INSERT INTO sign_in_counter (account_id, place, failures, failed_at, locked_until) \
         SELECT id, x'', 100, 1800000000, 1800086400 FROM account WHERE username = 'ann'",
    );
    let locked = ask("/v1/admin/locked-accounts")["locked"].clone();
    assert_eq!(
        (&locked[0]["email"], &locked[0]["failures"]),
        (&json!(email("ann")), &json!(100))
    );
    let id = locked[0]["id"].as_str().expect("an id");
    let listed = ask("/v1/admin/accounts?search=ann");
    assert_eq!(
        listed["accounts"][0]["locked_until"],
        "2027-01-16T08:00:00Z"
    );
    let path = format!("/v1/admin/accounts/{id}");
    assert_eq!(ask(&path)["failed_sign_ins"], 100);
    let unlock = format!("{path}/unlock");
    let unlocked = t.with_token(&root, Method::POST, &unlock).send().gives(200);
    assert_eq!(unlocked["was_locked_until"], "2027-01-16T08:00:00Z");
    let event = latest(&t, "account_unlocked");
    assert_eq!(event["detail"]["by"]["account"], root.account);
}

#[test] // ASVS 5.0 §7.5: what an administrator does in a browser takes a recent authentication
fn a_browser_administers_for_ten_minutes() {
    let t = Harness::new();
    t.add_administrator("root");
    t.add("ann");
    let device = LAPTOP.device();
    let browser = |name: &str| {
        let step =
            t.authd()
                .sign_in_browser(&email(name), PASSWORD, BrowserWanted::default(), &device);
        let Ok(SignInStep::Done(NewCookie { cookie, .. })) = step else {
            panic!("it is not signed in");
        };
        let found = t.authd().browser(&cookie.reveal(), &device);
        found.expect("a store").expect("a session")
    };
    let ann = browser("ann");
    let refused_ann = t.authd().administration_in_browser(&ann, &device);
    refused(refused_ann, Code::InsufficientScope);
    let root = browser("root");
    let administration = t
        .authd()
        .administration_in_browser(&root, &device)
        .expect("an administrator");
    administration
        .disable_account(&account("ann"))
        .expect("ann");
    t.clock.advance(minutes(10));
    t.unchanged(|| {
        refused(
            administration.enable_account(&account("ann")),
            Code::StepUpRequired,
        )
    });
}

#[test] // the codes of the administration are those that it documents
fn the_document_describes_the_administration() {
    let t = Harness::new();
    let document = t.ask(Method::GET, "/openapi.json").send().gives(200);
    let text = document["info"]["description"].as_str().expect("a text");
    assert!(text.contains("`next`"), "paging is described once: {text}");
    let ids: BTreeSet<&str> = administrative()
        .iter()
        .map(|route| route.operation_id)
        .collect();
    assert_eq!(ids.len(), administrative().len());
    assert!(ids.iter().all(|id| id.starts_with("admin")));
}
