//! Passwords: which are taken, how they are kept, how they change.

use authd::password::Params;
use authd::service::{NewAccount, Registration};
use serde_json::json;

use crate::harness::*;

fn open_to_all() -> Harness {
    Harness::with(|terms| terms.policy.registration = Registration::Open)
}

fn register(t: &Harness, name: &str, password: &str) -> Answer {
    let body = json!({ "email": email(name), "username": name, "password": password });
    t.post("/v1/accounts", body).send()
}

fn stored_hash(t: &Harness) -> String {
    let hash = t
        .sql()
        .query_row("SELECT password_hash FROM account", [], |row| row.get(0));
    hash.expect("one account")
}

#[test] // req 1
fn a_short_password_is_refused() {
    let t = open_to_all();
    let answer = t.unchanged(|| register(&t, "ann", "elevenchars"));
    answer.refused("weak_password");
    assert_eq!(answer.status, 422);
    register(&t, "ann", "twelve chars").issued();

    let strict = Harness::with(|terms| {
        terms.policy.registration = Registration::Open;
        terms.policy.password = authd::password::Policy::new(15, &[ISSUER]).expect("a policy");
    });
    register(&strict, "ann", "fourteen chars").refused("weak_password");
    register(&strict, "ann", "fifteen letters").issued();
}

#[test] // req 2: counted in code points
fn a_long_password_in_any_script_is_taken() {
    let t = open_to_all();
    for (name, password) in [
        ("ann", "k".repeat(55) + "9 violins"),
        ("bob", "violin 7".repeat(16)),
        ("cid", "파이올린".repeat(32)),
        ("dan", "🎻 violin".repeat(16)),
        ("eve", "日本語の十二文字の言葉".to_owned() + "だ"),
    ] {
        register(&t, name, &password).issued();
        t.try_sign_in(LAPTOP, name, &password).issued();
    }
    t.unchanged(|| register(&t, "fay", &"v".repeat(1025)).refused("invalid_request"));
}

#[test] // req 3
fn nobody_is_asked_for_digits_and_capitals() {
    let t = open_to_all();
    register(&t, "ann", "aaaaaaaaaaaaaaa1").issued();
    register(&t, "bob", "quietly growing moss").issued();
}

#[test] // req 4
fn a_common_password_is_refused_with_the_reason() {
    let t = open_to_all();
    for common in ["qwertyuiop123", "password1234", "PassWord1234"] {
        let body = register(&t, "ann", common).refused("weak_password");
        let detail = body["detail"].as_str().expect("a detail");
        assert!(detail.contains("attackers try"), "{detail}");
    }
    assert_eq!(t.number("SELECT count(*) FROM account"), 0);
}

#[test] // req 5
fn a_password_made_of_a_name_is_refused() {
    let t = open_to_all();
    for (name, password) in [
        ("bartholomew", "bartholomew2026"),
        ("bartholomew", "Bartholomew@example.org"),
        ("ann", "auth.example.org"),
        ("ann", "authdauthdauthd"),
    ] {
        register(&t, name, password).refused("weak_password");
    }
    assert_eq!(t.number("SELECT count(*) FROM account"), 0);
}

#[test] // req 7
fn both_unicode_forms_sign_in() {
    let t = open_to_all();
    let (composed, decomposed) = (
        "Zo\u{eb} \u{e9}coute les violons",
        "Zoe\u{308} e\u{301}coute les violons",
    );
    register(&t, "ann", decomposed).issued();
    t.try_sign_in(LAPTOP, "ann", composed).issued();
    t.try_sign_in(LAPTOP, "ann", decomposed).issued();
}

#[test] // req 8: the parameters that a server runs with
fn what_is_stored_is_argon2id_with_the_recommended_cost() {
    let t = Harness::with(|terms| terms.hashing = Params::default());
    t.add("ann");
    let hash = stored_hash(&t);
    assert!(
        hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"),
        "{hash}"
    );
    let salt = hash.split('$').nth(4).expect("a salt");
    assert!(salt.len() >= 22, "128 bits in base64: {salt}");
}

#[test] // no two accounts share a salt, nor do two passwords of one
fn every_hash_has_a_salt_of_its_own() {
    let t = Harness::new();
    let ann = t.sign_in("ann");
    let before = stored_hash(&t);
    t.change_password(&ann, PASSWORD, PASSWORD).issued();
    assert_ne!(before, stored_hash(&t));
}

#[test] // req 9: in the transaction of the sign-in
fn a_weaker_hash_is_renewed_when_its_owner_signs_in() {
    let mut t = Harness::new();
    t.add("ann");
    let weak = stored_hash(&t);
    t.restart_with(|terms| terms.hashing = Params::new(16, 2, 1).expect("parameters"));
    t.try_sign_in(LAPTOP, "ann", "something else")
        .refused("invalid_credentials");
    assert_eq!(stored_hash(&t), weak, "only the right password renews it");
    let before = t.authd().statistics().transactions;
    t.try_sign_in(LAPTOP, "ann", PASSWORD).issued();
    assert_eq!(
        t.authd().statistics().transactions - before,
        2,
        "one for the attempt, one for all the rest"
    );
    let strong = stored_hash(&t);
    assert!(
        strong.starts_with("$argon2id$v=19$m=16,t=2,p=1$"),
        "{strong}"
    );
    t.try_sign_in(LAPTOP, "ann", PASSWORD).issued();
    assert_eq!(stored_hash(&t), strong);
    // It is not a change of password: nothing ended.
    assert!(t.events_of("ann", "password_changed").is_empty());
    assert_eq!(t.sessions("ann").len(), 2);
}

#[test] // a hash that cannot be used lets nobody in
fn a_damaged_hash_lets_nobody_in() {
    let t = Harness::new();
    t.add("ann");
    for damaged in [
        "",
        "plain",
        "$argon2id$v=19$m=8,t=1,p=1$c2FsdA$",
        "$2b$12$abc",
    ] {
        t.sql()
            .execute("UPDATE account SET password_hash = ?1", [damaged])
            .expect("an update");
        for password in [PASSWORD, ""] {
            t.clock.advance(minutes(15));
            t.try_sign_in(PHONE, "ann", password)
                .refused("invalid_credentials");
        }
    }
    assert!(t.sessions("ann").is_empty());
}

#[test] // req 15, I10
fn a_new_password_ends_all_other_sessions_and_keeps_this_one() {
    let t = Harness::new();
    let (laptop, phone) = (t.sign_in("ann"), t.sign_in_on(PHONE, "ann"));
    let before = t.authd().statistics().transactions;
    let anew = t.change_password(&laptop, PASSWORD, NEW_PASSWORD).issued();
    assert_eq!(
        t.authd().statistics().transactions - before,
        3,
        "two for the attempt, one for all the rest"
    );
    // ASVS 5.0 §7.2.4, finding 14: the session goes on under another id, and no access token of the old one works.
    assert_ne!(anew.session, laptop.session);
    assert!(!t.is_open(&laptop));
    assert!(t.is_open(&anew));
    assert!(!t.is_open(&phone));
    t.refresh(&phone).refused("invalid_grant");
    // The old refresh token is dead with the old password, also inside its window.
    t.refresh(&laptop).refused("invalid_grant");
    let anew = t.refresh(&anew).issued();
    assert_eq!(t.sessions("ann").len(), 1);
    assert!(t.is_open(&anew));
    t.try_sign_in(LAPTOP, "ann", PASSWORD)
        .refused("invalid_credentials");
    t.try_sign_in(LAPTOP, "ann", NEW_PASSWORD).issued();
    assert_eq!(t.events_of("ann", "password_changed").len(), 1);
}

#[test] // I7: a new family is no new session
fn a_new_password_does_not_prolong_the_session() {
    let t = Harness::with(|terms| terms.policy.session_idle_lifetime = days(180));
    let laptop = t.sign_in("ann");
    t.clock.advance(days(179));
    let anew = t.change_password_after_refresh(&laptop);
    assert_eq!(anew.refresh_expires_in, days(1).as_secs());
    t.clock.advance(days(1));
    t.refresh(&anew).refused("invalid_grant");
}

#[test] // req 15, req 20: the limiter counts wrong current passwords too
fn a_wrong_current_password_is_refused_and_counted() {
    let t = Harness::new();
    let laptop = t.sign_in("ann");
    for _ in 0..5 {
        let answer = t.change_password(&laptop, "wrong wrong wrong", NEW_PASSWORD);
        answer.refused("wrong_password");
        assert_eq!(answer.status, 403);
    }
    let answer = t.change_password(&laptop, PASSWORD, NEW_PASSWORD);
    answer.refused("too_many_requests");
    assert_eq!(answer.status, 429);
    // Nor does a sign-in elsewhere wait for it, and strangers' guesses do not count here.
    let phone = t.try_sign_in(PHONE, "ann", PASSWORD).issued();
    t.sign_out(&phone);
    // Nothing changed, and the session that guessed goes on.
    assert!(t.is_open(&laptop));
    assert_eq!(t.sessions("ann").len(), 1);
    t.clock.advance(minutes(15));
    let next = t.refresh(&laptop).issued();
    t.change_password(&next, PASSWORD, NEW_PASSWORD).issued();
}

#[test] // req 15
fn a_weak_new_password_changes_nothing() {
    let t = Harness::new();
    let (laptop, phone) = (t.sign_in("ann"), t.sign_in_on(PHONE, "ann"));
    t.unchanged_but_counted(|| {
        t.change_password(&laptop, PASSWORD, "short")
            .refused("weak_password");
    });
    t.refresh(&phone).issued();
}

#[test] // fault 3: what cannot be counted is not answered, or guessing would be free on a full disk
fn a_wrong_current_password_that_cannot_be_counted_is_no_answer() {
    let mut t = Harness::new();
    let laptop = t.sign_in("ann");
    t.fill_the_disk(&laptop);
    let wrong = t.change_password(&laptop, "wrong wrong wrong", NEW_PASSWORD);
    assert_eq!(wrong.status, 503, "{}", wrong.text());
    // The counters of strangers are in few rows. One that has room is answered, and its event is in the log alone.
    let counted = || t.number("SELECT count(*) FROM throttle");
    let before = counted();
    let sign_in = t.try_sign_in(PHONE, "ann", "wrong wrong wrong");
    match sign_in.status {
        401 => assert!(counted() > before),
        _ => assert_eq!(sign_in.status, 503, "{}", sign_in.text()),
    }
}

#[test] // req 16: time alone ends no password
fn no_password_grows_too_old() {
    let t = Harness::new();
    t.add("ann");
    for _ in 0..30 {
        t.clock.advance(hours(20));
        t.authd().housekeep().expect("housekeeping");
    }
    t.clock.advance(days(1));
    t.try_sign_in(LAPTOP, "ann", PASSWORD).issued();
}

fn temporary(t: &Harness) {
    let account = NewAccount {
        temporary: true,
        ..new_account("ann")
    };
    t.operator()
        .add_account(account, Some(PASSWORD))
        .expect("an account");
}

#[test] // req 18
fn a_temporary_password_must_be_changed_at_the_first_sign_in() {
    let t = Harness::new();
    temporary(&t);
    let answer = t.try_sign_in(LAPTOP, "ann@example.org", PASSWORD);
    answer.refused("password_change_required");
    assert_eq!(answer.status, 403);
    let sign_in = |password: &str, new: &str| {
        let body = json!({ "login": "ann@example.org", "password": password, "new_password": new });
        t.post("/v1/sessions", body).send()
    };
    sign_in(PASSWORD, "short").refused("weak_password");
    sign_in(PASSWORD, PASSWORD).refused("weak_password");
    sign_in("wrong wrong wrong", NEW_PASSWORD).refused("invalid_credentials");
    assert!(t.sessions("ann").is_empty());
    sign_in(PASSWORD, NEW_PASSWORD).issued();
    sign_in(PASSWORD, NEW_PASSWORD).refused("invalid_credentials");
    t.try_sign_in(LAPTOP, "ann@example.org", NEW_PASSWORD)
        .issued();
    assert_eq!(t.events_of("ann", "password_changed").len(), 1);
}

#[test] // finding 13: where nothing is temporary, the field is not a way around the current password, and leaves a trace
fn a_new_password_at_sign_in_is_refused_otherwise() {
    let t = Harness::new();
    t.add("ann");
    let body = json!({ "login": "ann", "password": PASSWORD, "new_password": NEW_PASSWORD });
    // As a wrong one, and with an event.
    t.post("/v1/sessions", body)
        .send()
        .refused("invalid_credentials");
    assert_eq!(t.events_of("ann", "sign_in_incomplete").len(), 1);
    t.try_sign_in(LAPTOP, "ann", PASSWORD).issued();
    t.try_sign_in(LAPTOP, "ann", NEW_PASSWORD)
        .refused("invalid_credentials");
}

#[test] // I10: by an operator
fn an_operators_new_password_ends_all_sessions() {
    let t = Harness::new();
    let devices = [t.sign_in("ann"), t.sign_in_on(PHONE, "ann")];
    let ended = t
        .operator()
        .set_password(&account("ann"), NEW_PASSWORD, false);
    assert_eq!(ended.expect("ann"), 2);
    for device in &devices {
        t.refresh(device).refused("invalid_grant");
        assert!(!t.is_open(device));
    }
    t.try_sign_in(LAPTOP, "ann", NEW_PASSWORD).issued();
}
