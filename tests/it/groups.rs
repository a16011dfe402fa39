//! Groups: who is in which, and who hears of it.

use authd::http::message::Method;
use serde_json::{Value, json};

use crate::harness::*;

/// What `GET /v1/account` says of groups.
fn shown_to(t: &Harness, device: &SignedIn) -> Value {
    let account = t.with_token(device, Method::Get, "/v1/account").send();
    account.gives(200)["groups"].clone()
}

fn grant(t: &Harness, group: &str, name: &str) -> bool {
    let granted = t.authd().grant_group(group, &account(name));
    granted.expect("a group and an account").1
}

fn revoke(t: &Harness, group: &str, name: &str) -> bool {
    let revoked = t.authd().revoke_group(group, &account(name));
    revoked.expect("a group and an account").1
}

/// Makes groups.
fn add(t: &Harness, names: &[&str]) {
    for name in names {
        t.authd().add_group(name).expect("a group");
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
    let changed = t.with_token(&ann, Method::Patch, "/v1/account");
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
            let change = t.with_token(&ann, Method::Patch, "/v1/account");
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
    assert_eq!(t.authd().delete_group("staff").expect("a group"), 2);
    for device in [&ann, &bob] {
        assert_eq!(shown_to(&t, device), json!(["family"]));
    }
    // A group of the same name is another group.
    add(&t, &["staff"]);
    assert_eq!(shown_to(&t, &ann), json!(["family"]));
    // A deleted account is in no group, nor is whoever gets its address.
    t.authd().delete_account(&account("bob")).expect("bob");
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
        t.authd().add_group(&format!("g{number}")).expect("a group");
    }
    t.unchanged(|| {
        let refused = t.authd().add_group("one-more").expect_err("too many");
        assert!(refused.to_string().contains("1000"), "{refused}");
    });
    for number in 0..32 {
        assert!(grant(&t, &format!("g{number}"), "ann"));
    }
    t.unchanged(|| {
        let refused = t.authd().grant_group("g32", &account("ann"));
        let refused = refused.expect_err("too many").to_string();
        assert!(refused.contains("32"), "{refused}");
        // Those that it is in already are no more.
        assert!(!grant(&t, "g31", "ann"));
    });
    assert_eq!(shown_to(&t, &ann).as_array().map(Vec::len), Some(32));
}
