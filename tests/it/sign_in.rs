//! Signing in, and what guessing costs.

use std::collections::BTreeSet;
use std::thread;

use authd::service::Wanted;
use serde_json::json;

use crate::harness::*;

const WRONG: &str = "not the password at all";

/// An answer without what differs between any two: the request's name.
fn face(answer: &Answer) -> (u16, Vec<(String, String)>, String) {
    let mut headers = answer.headers.clone();
    headers.retain(|(name, _)| name != "x-request-id");
    let mut body = answer.json();
    body["request_id"].take();
    (answer.status, headers, body.to_string())
}

/// Fails `times` times, waiting out every pause.
fn guess(t: &Harness, place: Place, login: &str, times: u32) {
    for _ in 0..times {
        t.try_sign_in(place, login, WRONG)
            .refused("invalid_credentials");
        t.clock.advance(minutes(15));
    }
}

#[test] // req 14
fn a_fresh_install_lets_nobody_in() {
    let t = Harness::new();
    assert_eq!(t.number("SELECT count(*) FROM account"), 0);
    for (login, password) in [
        ("admin", "admin"),
        ("admin", ""),
        ("authd", "authd"),
        ("", ""),
    ] {
        t.try_sign_in(LAPTOP, login, password)
            .refused("invalid_credentials");
    }
}

#[test]
fn somebody_signs_in_by_address_or_username() {
    let t = Harness::new();
    t.add("ann");
    for login in [
        "ann@example.org",
        "ANN@Example.ORG",
        "ann",
        "Ann",
        " ann ",
        "ＡＮＮ",
    ] {
        let device = t.try_sign_in(LAPTOP, login, PASSWORD).issued();
        assert!(t.is_open(&device), "{login}");
    }
    assert_eq!(t.sessions("ann").len(), 6);
}

#[test] // req 6
fn a_password_counts_to_its_last_byte() {
    let t = Harness::new();
    t.add("ann");
    for almost in [
        &PASSWORD[..PASSWORD.len() - 1],
        &format!("{PASSWORD} "),
        &format!(" {PASSWORD}"),
        &PASSWORD.to_uppercase(),
        &PASSWORD.replace('2', "3"),
    ] {
        t.try_sign_in(PHONE, "ann", almost)
            .refused("invalid_credentials");
    }
    assert!(t.sessions("ann").is_empty());
}

#[test] // req 10, CVE-2026-23511: status, body and headers
fn unknown_wrong_and_disabled_look_alike() {
    let t = Harness::new();
    t.add("ann");
    t.add("bob");
    t.operator().disable_account(&account("bob")).expect("bob");
    let faces: BTreeSet<_> = [
        t.try_sign_in(LAPTOP, "nobody@example.org", PASSWORD),
        t.try_sign_in(LAPTOP, "ann", WRONG),
        t.try_sign_in(LAPTOP, "bob", PASSWORD),
        t.try_sign_in(LAPTOP, "bob", WRONG),
        t.try_sign_in(LAPTOP, "", ""),
    ]
    .iter()
    .map(face)
    .collect();
    assert_eq!(faces.len(), 1, "{faces:?}");
}

#[test] // req 10: and they go on looking alike when they are slowed down
fn unknown_wrong_and_disabled_are_slowed_down_alike() {
    let t = Harness::new();
    t.add("ann");
    t.add("bob");
    t.operator().disable_account(&account("bob")).expect("bob");
    let course = |place, login: &str, password: &str| -> Vec<_> {
        (0..12_u8)
            .map(|number| {
                t.clock.advance(seconds(u64::from(number > 5)));
                face(&t.try_sign_in(place, login, password))
            })
            .collect()
    };
    let unknown = course(LAPTOP, "nobody", PASSWORD);
    assert_eq!(unknown, course(PHONE, "ann", WRONG));
    assert_eq!(unknown, course(THIEF, "bob", PASSWORD));
    assert_eq!(unknown[11].0, 429);
}

#[test] // req 10: the same number of transactions and rows, since a sync takes longer than anything else
fn unknown_wrong_and_disabled_cost_the_same_work() {
    let t = Harness::new();
    t.add("ann");
    t.add("bob");
    t.operator().disable_account(&account("bob")).expect("bob");
    let work = |place, login: &str, password: &str| {
        let before = t.authd().statistics();
        let throttles = t.number("SELECT count(*) FROM throttle");
        t.try_sign_in(place, login, password)
            .refused("invalid_credentials");
        let after = t.authd().statistics();
        (
            after.transactions - before.transactions,
            after.commits - before.commits,
            t.number("SELECT count(*) FROM throttle") - throttles,
        )
    };
    let unknown = work(LAPTOP, "nobody", PASSWORD);
    assert_eq!(
        unknown,
        (2, 2, 3),
        "one commit for the attempt, one for its event"
    );
    assert_eq!(unknown, work(PHONE, "ann", WRONG));
    assert_eq!(unknown, work(THIEF, "bob", PASSWORD));
}

#[test] // req 12, NIST SP 800-63B-4 §3.2.2; finding 12: the lock is silent
fn after_a_hundred_failures_the_right_password_is_refused_for_a_day() {
    let t = Harness::new();
    t.add("ann");
    guess(&t, THIEF, "ann", 100);
    t.try_sign_in(PHONE, "ann", PASSWORD)
        .refused("invalid_credentials");
    assert!(t.sessions("ann").is_empty());
    // Further guesses do not prolong it.
    t.clock.advance(hours(23));
    t.try_sign_in(THIEF, "ann", WRONG)
        .refused("invalid_credentials");
    t.clock.advance(hours(1));
    t.try_sign_in(PHONE, "ann", PASSWORD).issued();
}

#[test] // finding 5, fault 56: strangers cannot keep the owner out
fn an_owner_gets_in_from_a_known_place_while_strangers_guess() {
    let t = Harness::new();
    t.sign_in_on(PHONE, "ann");
    guess(&t, THIEF, "ann", 100);
    t.try_sign_in(LAPTOP, "ann", PASSWORD)
        .refused("invalid_credentials");
    t.try_sign_in(PHONE, "ann", PASSWORD).issued();
    // The place has a count of its own.
    guess(&t, PHONE, "ann", 100);
    t.try_sign_in(PHONE, "ann", PASSWORD)
        .refused("invalid_credentials");
    // A place is known for 90 days.
    t.clock.advance(days(91));
    guess(&t, THIEF, "ann", 100);
    t.try_sign_in(PHONE, "ann", PASSWORD)
        .refused("invalid_credentials");
}

#[test] // finding 11: the attempts are counted before the passwords are hashed
fn a_burst_gets_no_more_guesses_than_a_sequence() {
    let t = Harness::new();
    for number in 0..66 {
        t.add(&format!("user{number}"));
    }
    let answers: Vec<u16> = thread::scope(|scope| {
        let tries = (0..66).map(|number| {
            let t = &t;
            scope.spawn(move || t.try_sign_in(THIEF, &format!("user{number}"), WRONG).status)
        });
        let tries: Vec<_> = tries.collect();
        tries
            .into_iter()
            .map(|one| one.join().expect("an answer"))
            .collect()
    });
    let of = |status| answers.iter().filter(|answer| **answer == status).count();
    assert_eq!((of(401), of(429)), (40, 26));
    t.try_sign_in(THIEF, "user1", PASSWORD)
        .refused("too_many_requests");
}

#[test] // req 12: an operator ends the delay with a new password
fn a_new_password_ends_the_delay() {
    let t = Harness::new();
    t.add("ann");
    guess(&t, THIEF, "ann", 100);
    t.try_sign_in(PHONE, "ann", PASSWORD)
        .refused("invalid_credentials");
    let set = t
        .operator()
        .set_password(&account("ann"), NEW_PASSWORD, false);
    set.expect("ann");
    t.try_sign_in(PHONE, "ann", NEW_PASSWORD).issued();
}

#[test] // an operator ends the delay and leaves the password
fn an_account_can_be_unlocked() {
    let t = Harness::new();
    t.add("ann");
    guess(&t, THIEF, "ann", 100);
    t.try_sign_in(PHONE, "ann", PASSWORD)
        .refused("invalid_credentials");
    let (_, locked) = t.operator().unlock_account(&account("ann")).expect("ann");
    assert!(locked.is_some());
    t.try_sign_in(PHONE, "ann", PASSWORD).issued();
    assert_eq!(t.events_of("ann", "account_unlocked").len(), 1);
    let (_, locked) = t.operator().unlock_account(&account("ann")).expect("ann");
    assert_eq!(locked, None);
    assert_eq!(t.events_of("ann", "account_unlocked").len(), 1);
}

#[test] // which accounts, since when, from where
fn an_operator_sees_which_accounts_are_locked() {
    let t = Harness::new();
    t.add("ann");
    t.sign_in("bob");
    assert!(t.authd().locked_accounts().expect("a list").is_empty());
    guess(&t, LAPTOP, "ann", 1);
    guess(&t, PHONE, "bob", 2);
    guess(&t, THIEF, "ann", 98);
    t.try_sign_in(THIEF, "ann", WRONG)
        .refused("invalid_credentials");
    let locked = t.authd().locked_accounts().expect("a list");
    assert_eq!(locked.len(), 1, "{locked:?}");
    let ann = &locked[0];
    assert_eq!((ann.email.as_str(), ann.failures), ("ann@example.org", 100));
    assert_eq!(ann.last_at, t.clock.wall());
    assert_eq!(ann.locked_until, Some(t.clock.wall().plus(days(1))));
    let from: Vec<_> = ann.addresses.iter().map(ToString::to_string).collect();
    assert_eq!(from, [THIEF.ip, LAPTOP.ip]);

    // Two wrong ones are counted, and lock nothing; a day's break forgets them.
    let failures = |name: &str| t.authd().failures(&account(name)).expect(name);
    assert!(failures("bob").is_none());
    guess(&t, PHONE, "bob", 2);
    let bob = failures("bob").expect("failures");
    assert_eq!((bob.failures, bob.locked_until), (2, None));

    t.clock.advance(days(1));
    assert!(t.authd().locked_accounts().expect("a list").is_empty());
    t.try_sign_in(PHONE, "ann", PASSWORD).issued();
    assert!(failures("ann").is_none());
}

#[test] // req 13: guessing badly signs nobody out
fn a_locked_account_keeps_its_sessions() {
    let t = Harness::new();
    let laptop = t.sign_in("ann");
    guess(&t, THIEF, "ann", 100);
    t.try_sign_in(PHONE, "ann", PASSWORD)
        .refused("invalid_credentials");
    let next = t.refresh(&laptop).issued();
    assert!(t.is_open(&next));
    assert_eq!(t.sessions("ann").len(), 1);
}

#[test] // CVE-2025-24806, CVE-2026-47203: one account, one count, however its login is written
fn every_way_of_writing_a_login_is_one_count() {
    let t = Harness::new();
    t.add("ann");
    let logins = ["ann", "ANN", "ann@example.org", "Ann@Example.Org", "Ａnn"];
    for number in 0..100 {
        t.try_sign_in(THIEF, logins[number % 5], WRONG)
            .refused("invalid_credentials");
        t.clock.advance(minutes(15));
    }
    for login in logins {
        t.try_sign_in(PHONE, login, PASSWORD)
            .refused("invalid_credentials");
    }
    // What is shown depends on the login as it is typed, and is alike for one that no account has.
    for login in ["nobody", "NoBody", "nobody ", "ｎobody", "NOBODY"] {
        for _ in 0..2 {
            t.try_sign_in(LAPTOP, login, WRONG)
                .refused("invalid_credentials");
        }
    }
    t.try_sign_in(LAPTOP, "nobody", WRONG)
        .refused("too_many_requests");
}

#[test] // finding 12: which name belongs to which address is not to be read from a counter
fn a_counter_does_not_tell_that_two_logins_are_one_account() {
    let t = Harness::new();
    t.add("ann");
    for _ in 0..10 {
        t.try_sign_in(THIEF, "ann", WRONG)
            .refused("invalid_credentials");
    }
    t.try_sign_in(THIEF, "ann", WRONG)
        .refused("too_many_requests");
    t.try_sign_in(THIEF, "ann@example.org", WRONG)
        .refused("invalid_credentials");
    t.try_sign_in(THIEF, "bob@example.org", WRONG)
        .refused("invalid_credentials");
}

#[test] // finding 12: nor that the owner signed in
fn a_sign_in_of_the_owner_is_not_to_be_read_from_a_counter() {
    let t = Harness::new();
    t.add("ann");
    let course = |login: &str| -> Vec<u16> {
        let before = (0..8).map(|_| t.try_sign_in(THIEF, login, WRONG).status);
        let before: Vec<u16> = before.collect();
        if login == "ann" {
            t.try_sign_in(PHONE, "ann", PASSWORD).issued();
            t.try_sign_in(THIEF, "ann", PASSWORD).issued();
        }
        let after = (0..4).map(|_| t.try_sign_in(THIEF, login, WRONG).status);
        before.into_iter().chain(after).collect()
    };
    assert_eq!(course("ann"), course("nobody"));
}

#[test] // CVE-2026-33544 has a cousin: one counter for all would let one attacker lock every account
fn one_accounts_failures_are_not_anothers() {
    let t = Harness::new();
    t.add("ann");
    t.add("bob");
    guess(&t, THIEF, "ann", 100);
    t.try_sign_in(PHONE, "ann", PASSWORD)
        .refused("invalid_credentials");
    t.try_sign_in(PHONE, "bob", PASSWORD).issued();
}

#[test] // req 20
fn a_restart_forgives_nothing() {
    let mut t = Harness::new();
    t.add("ann");
    for _ in 0..10 {
        t.try_sign_in(THIEF, "ann", WRONG)
            .refused("invalid_credentials");
    }
    t.restart();
    t.try_sign_in(THIEF, "ann", PASSWORD)
        .refused("too_many_requests");
}

#[test] // I8: nor does a clock that is set back, or a year ahead and back
fn no_clock_forgives_anything() {
    let mut t = Harness::new();
    t.add("ann");
    guess(&t, THIEF, "ann", 100);
    t.clock.jump(-3600);
    t.try_sign_in(PHONE, "ann", PASSWORD)
        .refused("invalid_credentials");
    t.reboot_at(authd::clock::Timestamp::from_unix(0));
    t.try_sign_in(PHONE, "ann", PASSWORD)
        .refused("invalid_credentials");
}

#[test] // one address that tries many names; fault 55: the first forty of an office are not hindered
fn an_address_that_fails_everywhere_has_to_wait() {
    let t = Harness::new();
    t.add("ann");
    for number in 0..40 {
        t.try_sign_in(THIEF, &format!("user{number}"), WRONG)
            .refused("invalid_credentials");
    }
    let answer = t.try_sign_in(THIEF, "ann", PASSWORD);
    answer.refused("too_many_requests");
    assert_eq!(answer.header("retry-after"), Some("90"));
    t.try_sign_in(PHONE, "ann", PASSWORD).issued();
    // A neighbour in one IPv6 network is the same customer.
    for number in 0..40 {
        let place = Place::new("2001:db8:1:2::1", "curl");
        t.try_sign_in(place, &format!("other{number}"), WRONG)
            .refused("invalid_credentials");
    }
    let neighbour = Place::new("2001:db8:1:2:ffff::1", "curl");
    t.try_sign_in(neighbour, "ann", PASSWORD)
        .refused("too_many_requests");
    let elsewhere = Place::new("2001:db8:1:3::1", "curl");
    t.try_sign_in(elsewhere, "ann", PASSWORD).issued();
    t.clock.advance(seconds(90));
    t.try_sign_in(THIEF, "ann", PASSWORD).issued();
}

#[test] // finding 8: a customer with a /48 has 65,536 networks of 64 bits
fn a_larger_network_has_an_end_too() {
    let t = Harness::new();
    let statuses = (0..400_u32).map(|number| {
        let ip = format!("2001:db8:7:{number:x}::1");
        let place = Place::new(ip.leak(), "curl");
        t.try_sign_in(place, &format!("user{number}"), WRONG).status
    });
    let failed = statuses.filter(|status| *status == 401).count();
    assert_eq!(failed, 240, "two networks of 56 bits, 120 tries each");
}

#[test] // finding 3: folding can make a login eleven times as long
fn a_long_login_is_an_unknown_one() {
    let t = Harness::new();
    t.add("ann");
    let long = "\u{fdfa}".repeat(21_000);
    t.try_sign_in(THIEF, &long, WRONG)
        .refused("invalid_credentials");
    let padded = format!("ann{}", " ".repeat(300));
    t.try_sign_in(THIEF, &padded, PASSWORD)
        .refused("invalid_credentials");
}

#[test] // an application that signs its own users in comes from one address
fn loopback_stands_for_others_and_does_not_wait() {
    let t = Harness::new();
    t.add("ann");
    let local = Place::new("127.0.0.1", "app");
    for number in 0..40 {
        t.try_sign_in(local, &format!("user{number}"), WRONG)
            .refused("invalid_credentials");
    }
    t.try_sign_in(local, "ann", PASSWORD).issued();
}

#[test] // CVE-2024-21500, CVE-2026-108162: what a client writes into the header is nothing
fn a_forged_forwarding_header_beats_no_limit() {
    let t = Harness::new();
    t.add("ann");
    let try_as = |number: u32, login: &str, password: &str| {
        let forwarded = format!("198.51.{}.{}", number / 250, number % 250);
        t.post(
            "/v1/sessions",
            json!({ "login": login, "password": password }),
        )
        .from(THIEF)
        .header("x-forwarded-for", &forwarded)
        .header("x-real-ip", &forwarded)
        .header("forwarded", format!("for={forwarded}"))
        .send()
        .status
    };
    let answers: Vec<u16> = (0..1000)
        .map(|number| try_as(number, &format!("user{number}"), WRONG))
        .collect();
    assert!(answers[..40].iter().all(|status| *status == 401));
    assert!(answers[40..].iter().all(|status| *status == 429));
    assert_eq!(try_as(7, "ann", PASSWORD), 429);
}

#[test] // what was typed wrong before costs a person a minute at most
fn a_success_takes_its_own_attempt_back() {
    let t = Harness::new();
    t.add("ann");
    for _ in 0..3 {
        for _ in 0..3 {
            t.try_sign_in(PHONE, "ann", WRONG)
                .refused("invalid_credentials");
        }
        t.try_sign_in(PHONE, "ann", PASSWORD).issued();
    }
}

#[test] // a home that signs in often is no attacker
fn successes_are_never_counted() {
    let t = Harness::new();
    t.add("ann");
    for _ in 0..60 {
        t.try_sign_in(PHONE, "ann", PASSWORD).issued();
    }
    assert_eq!(t.number("SELECT count(*) FROM throttle"), 0);
}

#[test] // the owner sees who tried
fn failures_are_events() {
    let t = Harness::new();
    t.add("ann");
    for _ in 0..7 {
        t.try_sign_in(THIEF, "ann", WRONG);
    }
    let failed = t.events_of("ann", "sign_in_failed");
    assert_eq!(failed.len(), 7);
    let event = &failed[0];
    assert_eq!(event.ip.map(|ip| ip.to_string()).as_deref(), Some(THIEF.ip));
    let detail = event.detail.as_ref().expect("a detail");
    assert_eq!(detail["cause"], "wrong password");
    for _ in 0..3 {
        t.try_sign_in(THIEF, "ann", WRONG);
    }
    // An attempt that has to wait is not looked at, and leaves nothing.
    t.unchanged(|| {
        t.try_sign_in(THIEF, "ann", WRONG)
            .refused("too_many_requests")
    });
}

#[test] // fault 54: operators see guesses for logins that no account has, without the login, which may be a password
fn unknown_logins_leave_events_of_no_account() {
    let t = Harness::new();
    t.try_sign_in(THIEF, "hunter2", WRONG)
        .refused("invalid_credentials");
    let kind = "SELECT count(*) FROM event WHERE kind = 'sign_in_failed' AND account_id IS NULL";
    assert_eq!(t.number(kind), 1);
    assert_eq!(
        t.number("SELECT count(*) FROM event WHERE detail LIKE '%hunter2%'"),
        0
    );
}

#[test] // CVE-2026-33544: everybody gets their own
fn parallel_sign_ins_do_not_mix_accounts() {
    let t = Harness::new();
    let names: Vec<String> = (0..20).map(|number| format!("user{number}")).collect();
    for name in &names {
        t.add(name);
    }
    thread::scope(|scope| {
        for name in &names {
            let t = &t;
            scope.spawn(move || {
                let id = t
                    .authd()
                    .find_account(&account(name))
                    .expect("it")
                    .account
                    .id;
                for _ in 0..25 {
                    let device = t.try_sign_in(PHONE, name, PASSWORD).issued();
                    assert_eq!(device.account, id.to_string());
                    let shown = t.with_token(&device, authd::http::Method::GET, "/v1/account");
                    assert_eq!(shown.send().gives(200)["email"], email(name));
                    assert_eq!(t.refresh(&device).issued().account, id.to_string());
                }
            });
        }
    });
    assert_eq!(t.number("SELECT count(*) FROM session"), 500);
}

#[test] // req 31, CVE-2026-7507, GHSA-c9h6-v78w-52wj: nothing of an earlier sign-in is taken over
fn every_sign_in_has_a_session_of_its_own() {
    let t = Harness::new();
    let (ann, bob) = (t.sign_in("ann"), t.sign_in("bob"));
    let again = t
        .post(
            "/v1/sessions",
            json!({ "login": "bob", "password": PASSWORD }),
        )
        .bearer(&ann.access)
        .send()
        .issued();
    let ids = BTreeSet::from([&ann.session, &bob.session, &again.session]);
    assert_eq!(ids.len(), 3);
    assert_eq!(again.account, bob.account);
    assert!(t.is_open(&ann));
}

#[test] // a script that signs in at every run must not fill the disk
fn the_hundred_and_first_session_ends_the_one_unused_longest() {
    let t = Harness::new();
    let first = t.sign_in("ann");
    t.clock.advance(seconds(1));
    let second = t.sign_in("ann");
    t.clock.advance(seconds(1));
    let first = t.refresh(&first).issued();
    t.clock.advance(seconds(1));
    for _ in 0..99 {
        t.sign_in("ann");
    }
    assert_eq!(t.sessions("ann").len(), 100);
    t.refresh(&second).refused("invalid_grant");
    t.refresh(&first).issued();
    let ended = t.events_of("ann", "session_ended");
    assert_eq!(ended.len(), 1);
    assert_eq!(
        ended[0].detail.as_ref().expect("a detail")["reason"],
        "too_many_sessions"
    );
}

#[test] // a session that was rekeyed by a new password is one session, and not more
fn changed_passwords_do_not_use_up_sessions() {
    let t = Harness::new();
    let mut laptop = t.sign_in("ann");
    for _ in 0..60 {
        laptop = t.change_password(&laptop, PASSWORD, PASSWORD).issued();
    }
    for _ in 0..45 {
        t.sign_in_on(PHONE, "ann");
    }
    assert_eq!(t.sessions("ann").len(), 46);
    t.refresh(&laptop).issued();
}

#[test] // programs that embed authd and know who it is
fn a_session_can_be_opened_without_a_password() {
    let t = Harness::new();
    t.add("ann");
    let wanted = Wanted {
        device_name: Some("tv"),
        ..Wanted::default()
    };
    let open = || {
        t.authd()
            .open_session(&account("ann"), wanted, &PHONE.device())
    };
    let opened = open().expect("a session");
    assert_eq!(t.sessions("ann")[0].id, opened.session.id);
    t.operator().disable_account(&account("ann")).expect("ann");
    t.unchanged(|| assert!(open().is_err()));
}
