//! Accounts: how one comes to be, what its owner may change, how it goes.

use std::thread;

use authd::http::Method;
use authd::service::{AccountQuery, Code, Confirmation, Error, NewAccount, Profile, Registration};
use serde_json::{Value, json};

use crate::harness::*;

fn open_to_all() -> Harness {
    Harness::with(|terms| terms.policy.registration = Registration::Open)
}

fn register(t: &Harness, body: Value) -> Answer {
    t.post("/v1/accounts", body).from(PHONE).send()
}

fn change(t: &Harness, device: &SignedIn, body: Value) -> Answer {
    t.with_token(device, Method::PATCH, "/v1/account")
        .json(&body)
        .send()
}

fn set_up(t: &Harness, token: &str) -> Answer {
    let body = json!({ "token": token, "email": email("root"), "password": PASSWORD });
    t.post("/v1/setup", body).send()
}

#[test] // req 14
fn the_set_up_link_makes_the_first_administrator_once() {
    let t = Harness::new();
    let link = t.authd().open_setup().expect("a link").expect("no admin");
    let answer = set_up(&t, &link.token);
    let root = answer.issued();
    assert_eq!(answer.gives(201)["account"]["admin"], true);
    assert!(t.is_open(&root));
    let again = t.unchanged(|| set_up(&t, &link.token));
    again.refused("invalid_setup_token");
    assert_eq!(again.status, 403);
    assert!(t.authd().open_setup().expect("no link").is_none());
}

#[test]
fn a_new_set_up_link_voids_the_old_one() {
    let t = Harness::new();
    let old = t.authd().open_setup().expect("a link").expect("no admin");
    let new = t.authd().open_setup().expect("a link").expect("no admin");
    t.unchanged(|| {
        set_up(&t, &old.token).refused("invalid_setup_token");
        set_up(&t, "as_").refused("invalid_setup_token");
        set_up(&t, "").refused("invalid_setup_token");
    });
    set_up(&t, &new.token).issued();
}

#[test] // a link that was printed and forgotten makes nobody an administrator
fn the_set_up_link_dies_when_an_operator_makes_an_administrator() {
    let t = Harness::new();
    let link = t.authd().open_setup().expect("a link").expect("no admin");
    let root = NewAccount {
        admin: true,
        ..new_account("operator")
    };
    t.operator()
        .add_account(root, Some(PASSWORD))
        .expect("an account");
    t.unchanged(|| set_up(&t, &link.token).refused("invalid_setup_token"));
}

#[test] // a weak password or a taken address does not spend the link
fn what_is_refused_does_not_spend_the_set_up_link() {
    let t = Harness::new();
    t.add("ann");
    let link = t.authd().open_setup().expect("a link").expect("no admin");
    let try_with = |email: String, password: &str| {
        let body = json!({ "token": link.token, "email": email, "password": password });
        t.post("/v1/setup", body).send()
    };
    t.unchanged(|| {
        try_with(email("root"), "short").refused("weak_password");
        try_with("root".to_owned(), PASSWORD).refused("invalid_request");
        try_with(email("ann"), PASSWORD).refused("email_taken");
    });
    set_up(&t, &link.token).issued();
}

#[test]
fn sixteen_who_race_for_the_set_up_link_make_one_administrator() {
    let t = Harness::new();
    let link = t.authd().open_setup().expect("a link").expect("no admin");
    let made = thread::scope(|scope| {
        let racers: Vec<_> = (0..16)
            .map(|number| {
                let body = json!({
                    "token": link.token, "email": email(&format!("root{number}")), "password": PASSWORD,
                });
                let t = &t;
                scope.spawn(move || t.post("/v1/setup", body).send().status == 201)
            })
            .collect();
        racers
            .into_iter()
            .map(|racer| racer.join().expect("an answer"))
            .filter(|made| *made)
            .count()
    });
    assert_eq!(made, 1);
    assert_eq!(t.number("SELECT count(*) FROM account WHERE admin = 1"), 1);
}

#[test]
fn registration_is_closed_until_an_operator_opens_it() {
    let body = json!({ "email": email("ann"), "password": PASSWORD });
    let t = Harness::new();
    let answer = t.unchanged(|| register(&t, body.clone()));
    answer.refused("registration_closed");
    assert_eq!(answer.status, 403);

    let t = open_to_all();
    let ann = register(&t, body).issued();
    assert!(t.is_open(&ann));
    assert_eq!(
        t.events("ann"),
        ["account_created", "email_verification_requested", "sign_in"]
    );
}

#[test] // CVE-2026-27946: nobody makes themselves more than they are
fn what_is_not_asked_for_is_refused_and_not_ignored() {
    let t = open_to_all();
    t.unchanged(|| {
        for extra in [
            "admin",
            "email_verified",
            "disabled_at",
            "id",
            "password_hash",
            "public_id",
        ] {
            let mut body = json!({ "email": email("ann"), "password": PASSWORD });
            body[extra] = json!(true);
            register(&t, body).refused("invalid_request");
        }
    });
    let ann = t.sign_in("ann");
    t.unchanged(|| {
        for extra in ["admin", "email_verified", "disabled_at", "id", "password"] {
            let mut body = json!({ "name": "Ann" });
            body[extra] = json!(true);
            change(&t, &ann, body).refused("invalid_request");
        }
    });
}

#[test] // one address, one account, however it is written
fn an_address_is_taken_in_every_way_of_writing_it() {
    let t = open_to_all();
    register(
        &t,
        json!({ "email": "Ann@Example.org", "password": PASSWORD }),
    )
    .issued();
    t.unchanged_but_counted(|| {
        for same in ["ann@example.org", "ANN@EXAMPLE.ORG", " Ann@Example.org "] {
            let answer = register(&t, json!({ "email": same, "password": PASSWORD }));
            answer.refused("email_taken");
            assert_eq!(answer.status, 409);
        }
    });
    // It is shown as it was typed.
    assert_eq!(
        t.authd()
            .find_account(&account("ann"))
            .expect("ann")
            .account
            .email,
        "Ann@Example.org"
    );
}

#[test] // full-width letters, ligatures and the two forms of an accent make no second name
fn a_username_is_taken_in_every_way_of_writing_it() {
    let t = open_to_all();
    let named = |address: &str, name: &str| {
        register(
            &t,
            json!({ "email": email(address), "password": PASSWORD, "username": name }),
        )
    };
    named("a", "Élodie").issued();
    named("b", "finn").issued();
    t.unchanged_but_counted(|| {
        for same in ["élodie", "E\u{301}LODIE", " Finn "] {
            named("c", same).refused("username_taken");
        }
        for odd in ["ﬁnn", "ＦＩＮＮ"] {
            named("c", odd).refused("invalid_request");
        }
    });
}

#[test] // asking for one address after the other tells who has an account here: slowly, please
fn whoever_asks_for_taken_addresses_is_slowed_down() {
    let t = open_to_all();
    register(&t, json!({ "email": email("ann"), "password": PASSWORD })).issued();
    let ask = || register(&t, json!({ "email": email("ann"), "password": PASSWORD }));
    let answers: Vec<_> = (0..30).map(|_| ask().status).collect();
    assert_eq!(answers[0], 409);
    assert_eq!(answers[29], 429);
    t.clock.advance(hours(1));
    assert_eq!(ask().status, 409);
}

#[test] // req 26, CVE-2020-28247, CVE-2021-38189: what is no plain address or name makes no account
fn odd_addresses_and_names_are_refused() {
    let t = open_to_all();
    t.unchanged(|| {
        for odd in [
            "",
            "ann",
            "ann@",
            "a,b@example.org",
            "ann@example.org\r\nBcc: x@y",
            "ann\u{ff20}example.org",
            "-ann@example.org",
            "ann@example.org,bob@example.org",
            "ann@[192.0.2.1]",
        ] {
            register(&t, json!({ "email": odd, "password": PASSWORD })).refused("invalid_request");
        }
        for odd in [
            "a@b",
            "a b",
            "-a",
            "a\u{200b}b",
            "\u{202e}nna",
            &"a".repeat(65),
        ] {
            let body = json!({ "email": email("ann"), "password": PASSWORD, "username": odd });
            register(&t, body).refused("invalid_request");
        }
        for odd in ["a\nb", "\u{1b}[31m", &"a".repeat(201)] {
            let body = json!({ "email": email("ann"), "password": PASSWORD, "name": odd });
            register(&t, body).refused("invalid_request");
        }
    });
}

#[test] // a username cannot be somebody else's address
fn nobody_can_be_called_by_anothers_address() {
    let t = Harness::new();
    let ann = t.sign_in("ann");
    t.add("bob");
    t.unchanged_but_counted(|| {
        change(&t, &ann, json!({ "username": email("bob") })).refused("invalid_request");
        change(&t, &ann, json!({ "username": "BOB" })).refused("username_taken");
    });
}

#[test]
fn sixteen_who_race_for_one_address_make_one_account() {
    let t = open_to_all();
    let statuses: Vec<u16> = thread::scope(|scope| {
        let racers: Vec<_> = (0..16)
            .map(|_| {
                scope.spawn(|| {
                    register(&t, json!({ "email": email("ann"), "password": PASSWORD })).status
                })
            })
            .collect();
        let answers = racers.into_iter().map(|racer| racer.join());
        answers.map(|answer| answer.expect("an answer")).collect()
    });
    assert_eq!(statuses.iter().filter(|status| **status == 201).count(), 1);
    assert_eq!(statuses.iter().filter(|status| **status == 409).count(), 15);
    assert_eq!(t.number("SELECT count(*) FROM account"), 1);
    assert_eq!(t.number("SELECT count(*) FROM session"), 1);
}

#[test]
fn an_owner_sees_and_changes_the_account() {
    let t = Harness::new();
    let ann = t.sign_in("ann");
    let shown = t
        .with_token(&ann, Method::GET, "/v1/account")
        .send()
        .gives(200);
    assert_eq!(shown["email"], email("ann"));
    assert_eq!(shown["username"], "ann");
    assert_eq!(shown["admin"], false);
    let shown = change(&t, &ann, json!({ "name": "Ann B.", "username": "annb" })).gives(200);
    assert_eq!(
        (&shown["name"], &shown["username"]),
        (&json!("Ann B."), &json!("annb"))
    );
    // What is absent stays, and an empty text takes away.
    let shown = change(&t, &ann, json!({ "name": "" })).gives(200);
    assert_eq!(
        (&shown["name"], &shown["username"]),
        (&Value::Null, &json!("annb"))
    );
    t.try_sign_in(LAPTOP, "ann", PASSWORD)
        .refused("invalid_credentials");
    t.try_sign_in(LAPTOP, "annb", PASSWORD).issued();
    let changed = t.events_of("ann", "account_changed");
    assert_eq!(
        changed[0].detail.as_ref().expect("a detail")["changed"],
        json!(["username", "name"])
    );
}

#[test] // req 36
fn a_new_address_takes_the_current_password() {
    // Without mail it is taken at once.
    let t = Harness::with(|terms| terms.policy.sends_mail = false);
    let ann = t.sign_in("ann");
    t.add("bob");
    change(&t, &ann, json!({ "email": email("eve") })).refused("wrong_password");
    let body = json!({ "email": email("eve"), "current_password": "wrong wrong wrong" });
    change(&t, &ann, body).refused("wrong_password");
    let body = json!({ "email": email("bob"), "current_password": PASSWORD });
    t.unchanged_but_counted(|| change(&t, &ann, body).refused("email_taken"));
    let body = json!({ "email": email("eve"), "current_password": PASSWORD });
    assert_eq!(change(&t, &ann, body).gives(200)["email"], email("eve"));
    t.try_sign_in(LAPTOP, &email("ann"), PASSWORD)
        .refused("invalid_credentials");
    t.try_sign_in(LAPTOP, &email("eve"), PASSWORD).issued();
}

#[test] // a change is one: where a part is refused nothing of it is done
fn a_change_is_all_or_nothing() {
    let t = Harness::new();
    let ann = t.sign_in("ann");
    t.add("bob");
    t.unchanged_but_counted(|| {
        let body =
            json!({ "email": email("eve"), "username": "bob", "current_password": PASSWORD });
        change(&t, &ann, body).refused("username_taken");
        change(&t, &ann, json!({ "username": "eve", "name": "a\nb" })).refused("invalid_request");
    });
}

#[test] // req 33
fn an_account_goes_with_everything_that_belongs_to_it() {
    let t = Harness::new();
    let (laptop, phone) = (t.sign_in("ann"), t.sign_in_on(PHONE, "ann"));
    let bob = t.sign_in("bob");
    let delete = |password: &str| {
        t.with_token(&laptop, Method::DELETE, "/v1/account")
            .json(&json!({ "current_password": password }))
            .send()
    };
    delete("wrong wrong wrong").refused("wrong_password");
    delete(PASSWORD).gives(204);
    for dead in [&laptop, &phone] {
        assert!(!t.is_open(dead));
        t.unchanged(|| t.refresh(dead).refused("invalid_grant"));
    }
    for table in ["account", "session", "refresh_family"] {
        assert_eq!(
            t.number(&format!("SELECT count(*) FROM {table}")),
            1,
            "{table}"
        );
    }
    assert!(t.is_open(&bob));
    // What remains of her events has no address.
    let about = "SELECT count(*) FROM event WHERE ip IS NOT NULL AND account_id IS NULL";
    assert_eq!(t.number(about), 0);
    t.try_sign_in(PHONE, "ann", PASSWORD)
        .refused("invalid_credentials");
    assert_eq!(
        t.number("SELECT count(*) FROM event WHERE kind = 'account_deleted'"),
        1
    );
}

#[test] // whoever takes a freed address is somebody else
fn a_freed_address_inherits_nothing() {
    let t = Harness::new();
    let old = t.sign_in("ann");
    let deleted = t.operator().delete_account(&account("ann")).expect("ann");
    let new = t.sign_in("ann");
    assert_ne!(new.account, deleted.id.to_string());
    assert!(!t.is_open(&old));
    assert_eq!(t.events("ann"), ["account_created", "sign_in"]);
    assert_eq!(t.sessions("ann").len(), 1);
}

#[test] // what a request learned about somebody who is gone fits nobody who comes after
fn whoever_comes_after_a_deleted_account_is_nobodys_prey() {
    let t = Harness::new();
    let ann = t.sign_in("ann");
    let actor = t.authd().authenticate(&ann.access).expect("signed in");
    t.operator()
        .delete_account(&account("ann"))
        .expect("deleted");
    let bob = t.sign_in("bob");
    let device = LAPTOP.device();
    t.unchanged_but_counted(|| {
        let name = Profile {
            name: Some("not bob".into()),
            ..Profile::default()
        };
        let address = Profile {
            email: Some(email("thief")),
            ..Profile::default()
        };
        for change in [name, address] {
            let refused = t.authd().change_account(
                &actor,
                change,
                Confirmation::Password(Some(PASSWORD)),
                &device,
            );
            assert!(refused.is_err());
        }
        let taken = t
            .authd()
            .change_password(&actor, PASSWORD, NEW_PASSWORD, &device);
        assert!(taken.is_err());
        let deleted =
            t.authd()
                .delete_own_account(&actor, Confirmation::Password(Some(PASSWORD)), &device);
        assert!(deleted.is_err());
        let shown = t.authd().account(&actor);
        assert!(matches!(shown, Err(Error::No(Code::InvalidToken, _))));
    });
    assert!(t.is_open(&bob));
}

#[test] // sixteen strangers delete their account at once, while somebody else makes one
fn deletions_that_race_take_one_account_with_them() {
    let t = open_to_all();
    let ann = t.sign_in("ann");
    thread::scope(|scope| {
        for _ in 0..16 {
            scope.spawn(|| {
                let body = json!({ "current_password": PASSWORD });
                let answer = t.with_token(&ann, Method::DELETE, "/v1/account");
                let status = answer.json(&body).send().status;
                assert!([204, 401, 403, 429].contains(&status), "{status}");
            });
        }
        scope.spawn(|| {
            while t.authd().find_account(&account("ann")).is_ok() {
                thread::yield_now();
            }
            let body = json!({ "email": email("bob"), "password": PASSWORD });
            register(&t, body).issued();
        });
    });
    t.authd().find_account(&account("bob")).expect("still here");
}

#[test] // req 12: failures go with the account that they were counted against
fn whoever_comes_after_a_locked_account_is_not_locked() {
    let t = Harness::new();
    t.add("ann");
    for _ in 0..10 {
        t.try_sign_in(PHONE, &email("ann"), "not the password");
    }
    let failures = t.authd().failures(&account("ann")).expect("ann");
    assert_eq!(failures.expect("failures").failures, 10);
    t.operator()
        .delete_account(&account("ann"))
        .expect("deleted");
    t.sign_in("bob");
    assert_eq!(
        t.number("SELECT count(*) FROM sign_in_counter WHERE failures > 0"),
        0
    );
}

#[test] // a session that ended while the password was hashed changes nothing any more
fn an_ended_session_changes_nothing_with_the_right_password() {
    let t = Harness::new();
    let stolen = t.sign_in("ann");
    let actor = t.authd().authenticate(&stolen.access).expect("signed in");
    t.sign_out(&stolen);
    let device = THIEF.device();
    t.unchanged_but_counted(|| {
        let taken = t
            .authd()
            .change_password(&actor, PASSWORD, NEW_PASSWORD, &device);
        assert!(matches!(taken, Err(Error::No(Code::InvalidToken, _))));
        let deleted =
            t.authd()
                .delete_own_account(&actor, Confirmation::Password(Some(PASSWORD)), &device);
        assert!(matches!(deleted, Err(Error::No(Code::InvalidToken, _))));
    });
}

#[test] // I10, req 33
fn disabling_an_account_is_one_stroke() {
    let t = Harness::new();
    let devices = [t.sign_in("ann"), t.sign_in_on(PHONE, "ann")];
    let before = t.authd().statistics().transactions;
    let (shown, ended) = t.operator().disable_account(&account("ann")).expect("ann");
    assert_eq!(t.authd().statistics().transactions - before, 1);
    assert_eq!((shown.disabled_at, ended), (Some(START), 2));
    for device in &devices {
        assert!(!t.is_open(device));
        t.refresh(device).refused("invalid_grant");
    }
    // Once more changes nothing.
    let (_, ended) = t.unchanged(|| t.operator().disable_account(&account("ann")).expect("ann"));
    assert_eq!(ended, 0);
    t.operator().enable_account(&account("ann")).expect("ann");
    t.unchanged(|| t.operator().enable_account(&account("ann")).expect("ann"));
    t.sign_in("ann");
}

#[test] // I10: a sign-in that was hashing while the account was disabled opens nothing
fn sign_ins_race_with_disabling_and_lose() {
    let t = Harness::new();
    t.add("ann");
    for _ in 0..10 {
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    t.try_sign_in(Place::new("127.0.0.1", ""), "ann", PASSWORD)
                        .status
                });
            }
            t.operator().disable_account(&account("ann")).expect("ann");
            assert!(t.sessions("ann").is_empty());
        });
        assert!(t.sessions("ann").is_empty());
        let open = "SELECT count(*) FROM session WHERE ended_at IS NULL";
        assert_eq!(t.number(open), 0);
        t.operator().enable_account(&account("ann")).expect("ann");
    }
}

#[test]
fn an_account_without_a_password_lets_nobody_in() {
    let t = Harness::new();
    let new = new_account("ann");
    t.operator().add_account(new, None).expect("an account");
    for password in ["", PASSWORD] {
        t.try_sign_in(LAPTOP, &email("ann"), password)
            .refused("invalid_credentials");
    }
}

#[test]
fn an_operator_lists_accounts_page_by_page() {
    let t = Harness::new();
    for name in ["ann", "bob", "cid"] {
        t.add(name);
    }
    let emails = |after: Option<&str>| -> Vec<String> {
        let after = after.map(email);
        let query = AccountQuery {
            after,
            ..AccountQuery::default()
        };
        let listed = t.authd().accounts(&query).expect("a list");
        listed
            .accounts
            .into_iter()
            .map(|listed| listed.account.email)
            .collect()
    };
    assert_eq!(emails(None), ["ann", "bob", "cid"].map(email));
    assert_eq!(emails(Some("bob")), ["cid"].map(email));
    let nobody = AccountQuery {
        after: Some(email("nobody")),
        ..AccountQuery::default()
    };
    assert!(t.authd().accounts(&nobody).is_err());
}
