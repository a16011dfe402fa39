//! Groups: who is in which, and who hears of it; and the scope by which tokens tell.

use authd::http::Method;
use authd::service::{Registration, Wanted};
use serde_json::{Value, json};

use crate::harness::*;

/// What `GET /v1/account` says of groups.
fn shown_to(t: &Harness, device: &SignedIn) -> Value {
    let account = t.with_token(device, Method::GET, "/v1/account").send();
    account.gives(200)["groups"].clone()
}

fn grant(t: &Harness, group: &str, name: &str) -> bool {
    let granted = t.operator().grant_group(group, &account(name));
    granted.expect("a group and an account").1
}

fn revoke(t: &Harness, group: &str, name: &str) -> bool {
    let revoked = t.operator().revoke_group(group, &account(name));
    revoked.expect("a group and an account").1
}

/// Makes groups.
fn add(t: &Harness, names: &[&str]) {
    for name in names {
        t.operator().add_group(name).expect("a group");
    }
}

#[test]
fn an_owner_sees_the_groups_that_an_operator_granted() {
    let t = Harness::new();
    add(&t, &["staff", "admins", "family"]);
    let (ann, bob) = (t.sign_in("ann"), t.sign_in("bob"));
    assert_eq!(shown_to(&t, &ann), json!([]));
    assert!(grant(&t, "staff", "ann") && grant(&t, "admins", "ann"));
    assert_eq!(shown_to(&t, &ann), json!(["admins", "staff"]));
    assert_eq!(shown_to(&t, &bob), json!([]));
    // A change of the account answers with the same picture of it.
    let changed = t.with_token(&ann, Method::PATCH, "/v1/account");
    let changed = changed.json(&json!({ "name": "Ann" })).send().gives(200);
    assert_eq!(changed["groups"], json!(["admins", "staff"]));
    assert!(revoke(&t, "staff", "ann"));
    assert_eq!(shown_to(&t, &ann), json!(["admins"]));

    // Each change is told once.
    t.unchanged(|| assert!(!grant(&t, "admins", "ann") && !revoke(&t, "staff", "ann")));
    let detail = |kind: &str| {
        let events = t.events_of("ann", kind).into_iter();
        events
            .filter_map(|event| event.detail)
            .collect::<Vec<Value>>()
    };
    let by_operator = |group: &str| json!({ "group": group, "by": "operator" });
    assert_eq!(
        detail("group_granted"),
        [by_operator("staff"), by_operator("admins")]
    );
    assert_eq!(detail("group_revoked"), [by_operator("staff")]);
}

#[test] // an owner changes the account, and never what it may do
fn nobody_takes_a_group() {
    let t = Harness::new();
    add(&t, &["admins"]);
    let ann = t.sign_in("ann");
    for body in [
        json!({ "groups": ["admins"] }),
        json!({ "name": "Ann", "group": "admins" }),
    ] {
        t.unchanged(|| {
            let change = t.with_token(&ann, Method::PATCH, "/v1/account");
            change.json(&body).send().refused("invalid_request");
        });
    }
}

#[test]
fn a_deleted_group_leaves_nobody_in_it() {
    let t = Harness::new();
    add(&t, &["staff", "family"]);
    let (ann, bob) = (t.sign_in("ann"), t.sign_in("bob"));
    for name in ["ann", "bob"] {
        grant(&t, "staff", name);
        grant(&t, "family", name);
    }
    assert_eq!(t.operator().delete_group("staff").expect("a group"), 2);
    for device in [&ann, &bob] {
        assert_eq!(shown_to(&t, device), json!(["family"]));
    }
    // A group of the same name is another group.
    add(&t, &["staff"]);
    assert_eq!(shown_to(&t, &ann), json!(["family"]));
    // A deleted account is in no group, nor is whoever gets its address.
    t.operator().delete_account(&account("bob")).expect("bob");
    assert_eq!(shown_to(&t, &t.sign_in("bob")), json!([]));
    let members = |name: &str| {
        let groups = t.authd().groups().expect("groups");
        let found = groups.into_iter().find(|group| group.name == name);
        found.expect("a group").members
    };
    assert_eq!((members("family"), members("staff")), (1, 0));
}

#[test] // what there is of everything is bounded
fn groups_are_few() {
    let t = Harness::new();
    let ann = t.sign_in("ann");
    for number in 0..1000 {
        t.operator()
            .add_group(&format!("g{number}"))
            .expect("a group");
    }
    t.unchanged(|| {
        let refused = t.operator().add_group("one-more").expect_err("too many");
        assert!(refused.to_string().contains("1000"), "{refused}");
    });
    for number in 0..32 {
        assert!(grant(&t, &format!("g{number}"), "ann"));
    }
    t.unchanged(|| {
        let refused = t.operator().grant_group("g32", &account("ann"));
        let refused = refused.expect_err("too many").to_string();
        assert!(refused.contains("32"), "{refused}");
        // Those that it is in already are no more.
        assert!(!grant(&t, "g31", "ann"));
    });
    assert_eq!(shown_to(&t, &ann).as_array().map(Vec::len), Some(32));
}

/// Signs in on the laptop and asks for a scope; the account is made if there is none.
fn try_sign_in_for(t: &Harness, name: &str, scope: &Value) -> Answer {
    if t.authd().find_account(&account(name)).is_err() {
        t.add(name);
    }
    let body = json!({ "login": name, "password": PASSWORD, "scope": scope });
    t.post("/v1/sessions", body).send()
}

fn sign_in_for_groups(t: &Harness, name: &str) -> SignedIn {
    try_sign_in_for(t, name, &json!("groups")).issued()
}

#[test] // RFC 6749 §5.1, RFC 9068 §2.2.3.1
fn a_token_tells_groups_to_whoever_asked_for_them() {
    let t = Harness::new();
    add(&t, &["staff", "admins"]);
    t.add("ann");
    grant(&t, "staff", "ann");
    grant(&t, "admins", "ann");
    let answer = try_sign_in_for(&t, "ann", &json!("groups"));
    assert_eq!(answer.json()["scope"], "groups");
    assert!(answer.json()["account"].get("groups").is_none());
    let ann = answer.issued();
    assert_eq!(ann.claims()["scope"], "groups");
    assert_eq!(ann.claims()["groups"], json!(["admins", "staff"]));
    assert!(t.is_open(&ann));
    // In no group, and asked: an empty list, which is an answer too.
    let bob = sign_in_for_groups(&t, "bob");
    assert_eq!(bob.claims()["groups"], json!([]));
}

#[test] // whoever asks for nothing gets what everybody got
fn without_a_scope_a_token_says_nothing_of_groups() {
    let t = Harness::new();
    add(&t, &["staff"]);
    t.add("ann");
    grant(&t, "staff", "ann");
    for scope in [json!(null), json!("")] {
        let answer = try_sign_in_for(&t, "ann", &scope);
        let refreshed = t.refresh(&answer.issued());
        for answer in [answer, refreshed] {
            assert!(answer.json().get("scope").is_none(), "{scope}");
            let claims = answer.issued().claims();
            assert!(claims.get("scope").is_none() && claims.get("groups").is_none());
        }
    }
    let kept = t.number("SELECT count(*) FROM refresh_family WHERE scope IS NOT NULL");
    assert_eq!(kept, 0);
}

#[test] // a token tells what is so when it is signed
fn a_revoked_group_is_gone_with_the_next_refresh() {
    let t = Harness::new();
    add(&t, &["staff", "family"]);
    t.add("ann");
    grant(&t, "staff", "ann");
    let ann = sign_in_for_groups(&t, "ann");
    assert_eq!(ann.claims()["groups"], json!(["staff"]));
    revoke(&t, "staff", "ann");
    grant(&t, "family", "ann");
    let answer = t.refresh(&ann);
    assert_eq!(answer.json()["scope"], "groups");
    let next = answer.issued();
    assert_eq!(next.claims()["scope"], "groups");
    assert_eq!(next.claims()["groups"], json!(["family"]));
    t.operator().delete_group("family").expect("a group");
    assert_eq!(t.refresh(&next).issued().claims()["groups"], json!([]));
}

#[test] // I2: the same successor, and an access token of this moment
fn a_replay_gives_the_same_successor_with_the_groups_of_now() {
    let t = Harness::new();
    add(&t, &["staff"]);
    t.add("ann");
    grant(&t, "staff", "ann");
    let ann = sign_in_for_groups(&t, "ann");
    let first = t.refresh(&ann).issued();
    assert_eq!(first.claims()["groups"], json!(["staff"]));
    revoke(&t, "staff", "ann");
    let again = t.refresh(&ann).issued();
    assert_eq!(again.refresh, first.refresh);
    assert_eq!(again.claims()["groups"], json!([]));
}

#[test] // one session, one scope: what the app asked for at the sign-in
fn a_new_password_keeps_the_scope_of_its_session() {
    let t = Harness::new();
    add(&t, &["staff"]);
    t.add("ann");
    grant(&t, "staff", "ann");
    let laptop = sign_in_for_groups(&t, "ann");
    let answer = t.change_password(&laptop, PASSWORD, NEW_PASSWORD);
    assert_eq!(answer.json()["scope"], "groups");
    let laptop = answer.issued();
    assert_eq!(laptop.claims()["groups"], json!(["staff"]));
    let next = t.refresh(&laptop).issued();
    assert_eq!(next.claims()["groups"], json!(["staff"]));
}

#[test] // RFC 6749 §3.3
fn a_scope_that_is_not_known_is_refused() {
    let t = Harness::with(|terms| terms.policy.registration = Registration::Open);
    t.add("ann");
    for scope in [
        "openid",
        "Groups",
        "groups administer",
        " groups",
        "groups  groups",
    ] {
        t.unchanged(|| {
            let refused = try_sign_in_for(&t, "ann", &json!(scope));
            assert_eq!(refused.refused("invalid_scope")["status"], 400, "{scope}");
            let body = json!({ "email": email("eve"), "password": PASSWORD, "scope": scope });
            t.post("/v1/accounts", body).send().refused("invalid_scope");
            let wanted = Wanted {
                scope: Some(scope),
                ..Wanted::default()
            };
            let opened = t
                .authd()
                .open_session(&account("ann"), wanted, &LAPTOP.device());
            assert!(opened.is_err());
        });
    }
    t.unchanged(|| {
        try_sign_in_for(&t, "ann", &json!(["groups"])).refused("invalid_request");
    });
    let twice = try_sign_in_for(&t, "ann", &json!("groups groups"));
    assert_eq!(twice.json()["scope"], "groups");
}

#[test] // every call that signs in takes a scope
fn registration_and_set_up_take_a_scope() {
    let t = Harness::with(|terms| terms.policy.registration = Registration::Open);
    let setup = t.authd().open_setup().expect("a link").expect("no admin");
    let body =
        |name: &str| json!({ "email": email(name), "password": PASSWORD, "scope": "groups" });
    let mut root = body("root");
    root["token"] = json!(setup.token);
    for (path, body) in [("/v1/setup", root), ("/v1/accounts", body("ann"))] {
        let answer = t.post(path, body).send();
        assert_eq!(answer.json()["scope"], "groups", "{path}");
        assert_eq!(answer.issued().claims()["groups"], json!([]), "{path}");
    }
}

#[test] // the longest token there can be is taken by authd, and by proxies with lines of 8 KiB
fn a_token_with_the_most_and_longest_groups_is_honoured() {
    let label = "a".repeat(63);
    let host = [label.as_str(), &label, &label, &label[..61]].join(".");
    assert_eq!(host.len(), 253);
    let t = Harness::with(|terms| terms.policy.issuer = format!("https://{host}:65535"));
    t.add("ann");
    for number in 0..32 {
        let name = format!("{number:a>64}");
        add(&t, &[&name]);
        grant(&t, &name, "ann");
    }
    let ann = sign_in_for_groups(&t, "ann");
    assert_eq!(ann.claims()["groups"].as_array().map(Vec::len), Some(32));
    assert!(
        (4096..5000).contains(&ann.access.len()),
        "{}",
        ann.access.len()
    );
    assert!(t.is_open(&ann));
}
