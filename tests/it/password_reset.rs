//! Password reset and the letters around it: what a request reveals, what a link opens, what a mail server can do.

use std::net::{IpAddr, Ipv4Addr};
use std::thread;

use authd::http::Method;
use authd::service::{Device, NewAccount};
use serde_json::json;

use crate::harness::*;

fn with_ann() -> Harness {
    let t = Harness::new();
    t.add("ann");
    t
}

#[test] // req 21, req 27: one answer for everybody, and one commit behind it
fn a_request_does_not_tell_whether_there_is_an_account() {
    let t = with_ann();
    t.add("bob");
    t.operator().disable_account(&account("bob")).expect("bob");
    let commits = || t.authd().statistics().commits;
    let mut costs = Vec::new();
    for typed in ["ann@example.org", "nobody@example.org", "bob@example.org"] {
        let before = commits();
        let answer = t.ask_for_reset(typed);
        costs.push(commits() - before);
        assert_eq!((answer.status, answer.text()), (202, String::new()));
        let mut headers = answer.headers;
        headers.retain(|(name, _)| name != "x-request-id");
        assert_eq!(
            headers,
            {
                let mut headers = t.ask_for_reset("other@example.org").headers;
                headers.retain(|(name, _)| name != "x-request-id");
                headers
            },
            "{typed}"
        );
    }
    assert_eq!(costs, [1, 1, 1]);
    let letters = t.mail();
    assert_eq!(letters.len(), 1);
    assert_eq!(letters[0].to, "ann@example.org");
}

#[test] // req 27
fn the_letter_goes_to_the_address_that_is_stored() {
    let t = Harness::new();
    let stored = NewAccount {
        email: "Ann@Example.org".to_owned(),
        username: None,
        name: None,
        admin: false,
        temporary: false,
    };
    t.operator()
        .add_account(stored, Some(PASSWORD))
        .expect("ann");
    assert_eq!(t.ask_for_reset("aNN@eXAMPLE.ORG").status, 202);
    assert_eq!(t.mail()[0].to, "Ann@Example.org");
}

#[test] // req 22, I9: the secret is drawn when the letter leaves, and its digest is all that is stored
fn the_file_has_no_usable_link() {
    let t = with_ann();
    t.ask_for_reset(&email("ann"));
    let digests = "SELECT count(*) FROM one_time_token WHERE digest IS NOT NULL";
    assert_eq!(t.number(digests), 0, "nothing to find before it is sent");
    let token = link_token(&t.mail()[0]);
    assert!(token.starts_with("ap_") && token.len() == 46, "{token}");
    assert_eq!(t.number(digests), 1);
    assert_eq!(t.number("SELECT count(*) FROM outbox"), 0);
    let dump = format!("{:?}", t.dump());
    assert!(!dump.contains(&token[3..]));
}

#[test] // req 23
fn a_link_works_for_fifteen_minutes_and_once() {
    let t = with_ann();
    let token = t.mailed_reset("ann");
    t.clock.advance(minutes(15) - seconds(1));
    assert_eq!(t.reset(&token, NEW_PASSWORD).status, 204);
    let again = t.unchanged(|| t.reset(&token, PASSWORD));
    assert_eq!(again.refused("invalid_reset_token")["status"], 400);

    let late = t.mailed_reset("ann");
    t.clock.advance(minutes(15) + seconds(1));
    let late = t.unchanged(|| t.reset(&late, PASSWORD));
    assert_eq!(late.refused("invalid_reset_token")["status"], 400);
}

#[test] // req 23
fn sixteen_who_race_with_one_link_set_one_password() {
    let t = with_ann();
    let token = t.mailed_reset("ann");
    let won: Vec<String> = thread::scope(|scope| {
        let racers: Vec<_> = (0..16)
            .map(|number| {
                let (t, token) = (&t, &token);
                scope.spawn(move || {
                    let password = format!("{number} grey umbrellas in a row");
                    (t.reset(token, &password).status == 204).then_some(password)
                })
            })
            .collect();
        let answers = racers.into_iter().map(|racer| racer.join().expect("one"));
        answers.flatten().collect()
    });
    assert_eq!(won.len(), 1);
    t.try_sign_in(PHONE, &email("ann"), &won[0]).issued();
}

#[test] // req 24, finding 6: an older link works until the newer one leaves
fn a_new_link_ends_the_old_one_and_a_request_changes_nothing() {
    let t = Harness::new();
    let ann = t.sign_in("ann");
    let accounts = |t: &Harness| (t.dump()["account"].clone(), t.dump()["session"].clone());
    let before = accounts(&t);
    let old = t.mailed_reset("ann");
    assert_eq!(t.ask_for_reset(&email("ann")).status, 202);
    assert_eq!(before, accounts(&t));
    t.unchanged(|| t.reset(&old, "short").refused("weak_password"));
    let new = link_token(&t.mail()[0]);
    t.unchanged(|| t.reset(&old, NEW_PASSWORD).refused("invalid_reset_token"));
    assert!(t.is_open(&ann));
    assert_eq!(t.reset(&new, NEW_PASSWORD).status, 204);
}

#[test] // finding 6: no stranger ends a link that an operator printed
fn a_request_does_not_end_the_link_of_an_operator() {
    let t = with_ann();
    let link = t.operator().reset_link(&account("ann")).expect("a link");
    let mailed = t.mailed_reset("ann");
    t.unchanged(|| t.reset(&mailed, "short").refused("weak_password"));
    assert_eq!(t.reset(&link.token, NEW_PASSWORD).status, 204);
    t.clock.advance(seconds(61));
    t.unchanged(|| {
        t.reset(&mailed, NEW_PASSWORD)
            .refused("invalid_reset_token")
    });
}

#[test] // finding 7: strangers cannot fill the file while the mail server hangs
fn requests_are_one_row_for_an_address_and_bounded_over_all() {
    let t = with_ann();
    for _ in 0..5 {
        t.ask_for_reset(&email("ann")).gives(202);
        t.ask_for_reset(&email("nobody")).gives(202);
    }
    assert_eq!(t.number("SELECT count(*) FROM outbox"), 2);
    let statuses = (0..2010_u32).map(|number| {
        let ip = format!("10.{}.{}.9", number / 250, number % 250);
        let body = json!({ "email": format!("other{number}@example.org") });
        let asked = t.post("/v1/password-reset", body);
        asked.from(Place::new(ip.leak(), "curl")).send().status
    });
    let refused = statuses.filter(|status| *status == 503).count();
    assert_eq!(refused, 12);
    assert_eq!(t.mail().len(), 1);
    assert_eq!(t.number("SELECT count(*) FROM outbox"), 0);
}

#[test] // fault 49: the third link expired unread, and asking again brings another
fn a_link_comes_again_when_the_last_one_has_expired() {
    let t = with_ann();
    for _ in 0..3 {
        t.mailed_reset("ann");
    }
    t.ask_for_reset(&email("ann")).gives(202);
    assert!(t.mail().is_empty());
    t.clock.advance(minutes(16));
    let token = t.mailed_reset("ann");
    assert_eq!(t.reset(&token, NEW_PASSWORD).status, 204);
}

#[test] // fault 50: a form that was sent twice
fn the_same_reset_again_is_answered_as_the_first() {
    let t = with_ann();
    let token = t.mailed_reset("ann");
    assert_eq!(t.reset(&token, NEW_PASSWORD).status, 204);
    t.unchanged(|| assert_eq!(t.reset(&token, NEW_PASSWORD).status, 204));
    t.unchanged(|| t.reset(&token, PASSWORD).refused("invalid_reset_token"));
    t.clock.advance(seconds(61));
    t.unchanged(|| t.reset(&token, NEW_PASSWORD).refused("invalid_reset_token"));
}

#[test] // what was asked for before a new password must not open the account after it
fn a_new_password_ends_what_was_asked_for_and_not_looked_at_yet() {
    let t = Harness::new();
    let ann = t.sign_in("ann");
    t.ask_for_reset(&email("ann"));
    t.change_password(&ann, PASSWORD, NEW_PASSWORD).issued();
    let letters = t.mail();
    assert_eq!(letters.len(), 1);
    assert!(!letters[0].text.contains("?token="), "{}", letters[0].text);
}

#[test] // req 24: a letter whose link is void before it leaves is not sent
fn two_requests_before_the_mail_leaves_are_one_letter() {
    let t = with_ann();
    t.ask_for_reset(&email("ann"));
    t.ask_for_reset(&email("ann"));
    let letters = t.mail();
    assert_eq!(letters.len(), 1);
    assert_eq!(t.reset(&link_token(&letters[0]), NEW_PASSWORD).status, 204);
}

#[test] // req 25
fn the_link_is_made_of_the_configured_url() {
    let t = with_ann();
    t.post("/v1/password-reset", json!({ "email": email("ann") }))
        .header("host", "evil.localhost")
        .header("x-forwarded-host", "evil.example")
        .header("x-forwarded-proto", "gopher")
        .header("forwarded", "host=evil.example;proto=gopher")
        .header("origin", "https://evil.example")
        .send()
        .gives(202);
    let letter = &t.mail()[0];
    let link = format!("{ISSUER}/reset?token=ap_");
    for part in [&letter.text, &letter.html] {
        assert!(part.contains(&link), "{part}");
        assert!(!part.contains("evil") && !part.contains("gopher"), "{part}");
    }
}

#[test] // req 26
fn what_is_not_one_address_is_refused_and_nobody_gets_mail() {
    let t = with_ann();
    t.unchanged(|| {
        for bad in [
            json!({ "email": ["ann@example.org", "eve@example.org"] }),
            json!({ "email": "ann@example.org,eve@example.org" }),
            json!({ "email": "ann@example.org\r\nBcc: eve@example.org" }),
            json!({ "email": "ann\u{ff20}example.org" }),
            json!({ "email": "-ann@example.org" }),
            json!({ "email": "ann@example.org", "cc": "eve@example.org" }),
            json!({ "email": null }),
            json!({}),
        ] {
            let answer = t.post("/v1/password-reset", bad.clone()).send();
            assert_eq!(answer.refused("invalid_request")["status"], 400, "{bad}");
        }
        let twice = r#"{"email":"ann@example.org","email":"eve@example.org"}"#;
        let twice = t
            .ask(Method::POST, "/v1/password-reset")
            .header("content-type", "application/json")
            .body(twice)
            .send();
        assert_eq!(twice.refused("invalid_request")["status"], 400);
    });
    assert!(t.mail().is_empty());
}

#[test] // req 28, req 40: mail programs open links before people do
fn opening_the_link_uses_nothing_up_and_tells_nobody() {
    let t = with_ann();
    let token = t.mailed_reset("ann");
    let opened = t.unchanged(|| {
        t.ask(Method::HEAD, &format!("/reset?token={token}")).send();
        t.ask(Method::GET, &format!("/reset?token={token}")).send()
    });
    assert_eq!(
        (opened.status, opened.header("location")),
        (303, Some("/reset"))
    );
    assert_eq!(opened.header("referrer-policy"), Some("same-origin"));
    assert_eq!(opened.header("cache-control"), Some("no-store"));
    assert_eq!(t.reset(&token, NEW_PASSWORD).status, 204);
}

#[test] // req 29, req 30, I10
fn a_reset_ends_every_session_and_signs_nobody_in() {
    let t = Harness::new();
    let laptop = t.sign_in("ann");
    let phone = t.sign_in_on(PHONE, "ann");
    let bob = t.sign_in("bob");
    let token = t.mailed_reset("ann");
    let answer = t.reset(&token, NEW_PASSWORD);
    assert_eq!((answer.status, answer.text()), (204, String::new()));
    assert!(answer.header("set-cookie").is_none());
    for device in [&laptop, &phone] {
        assert!(!t.is_open(device));
        t.refresh(device).refused("invalid_grant");
    }
    assert!(t.sessions("ann").is_empty());
    assert!(t.is_open(&bob));
    t.try_sign_in(PHONE, &email("ann"), PASSWORD)
        .refused("invalid_credentials");
    t.try_sign_in(PHONE, &email("ann"), NEW_PASSWORD).issued();

    let notice = &t.mail()[0];
    assert!(notice.subject.contains("was changed"), "{}", notice.subject);
    assert_eq!(notice.to, email("ann"));
    assert!(notice.text.contains(LAPTOP.ip), "{}", notice.text);
    assert!(!notice.text.contains("token="));
    assert_eq!(
        t.events("ann")[3..7],
        [
            "password_reset_requested",
            "email_verified",
            "password_changed",
            "sessions_ended"
        ]
    );
}

#[test] // CVE-2026-18963: only a token sets a password, and a refused password does not use it up
fn a_weak_password_leaves_the_link_as_it_was() {
    let t = with_ann();
    let token = t.mailed_reset("ann");
    t.unchanged(|| {
        t.reset(&token, "short").refused("weak_password");
        t.reset(&token, &email("ann")).refused("weak_password");
        for wrong in ["", "ap_", "TOKEN", &token[..45], &token.to_uppercase()] {
            t.reset(wrong, NEW_PASSWORD).refused("invalid_reset_token");
        }
        let unknown = format!("ap_{}", "A".repeat(43));
        t.reset(&unknown, NEW_PASSWORD)
            .refused("invalid_reset_token");
    });
    assert_eq!(t.reset(&token, NEW_PASSWORD).status, 204);
}

#[test] // a lock after guesses is no lock-out for the owner
fn a_reset_forgives_the_failures() {
    let t = with_ann();
    for _ in 0..100 {
        t.clock.advance(minutes(15));
        t.try_sign_in(THIEF, &email("ann"), "wrong wrong wrong");
    }
    t.try_sign_in(LAPTOP, &email("ann"), PASSWORD)
        .refused("invalid_credentials");
    let token = t.mailed_reset("ann");
    assert_eq!(t.reset(&token, NEW_PASSWORD).status, 204);
    t.try_sign_in(LAPTOP, &email("ann"), NEW_PASSWORD).issued();
}

#[test] // whatever changes the password, or keeps somebody out, voids what is in a mailbox
fn a_link_does_not_outlive_what_it_was_for() {
    let t = Harness::new();
    let voided = |t: &Harness, token: &str| {
        t.reset(token, "another four quiet words")
            .refused("invalid_reset_token");
    };
    let ann = t.sign_in("ann");
    let token = t.mailed_reset("ann");
    t.change_password(&ann, PASSWORD, NEW_PASSWORD).issued();
    voided(&t, &token);

    let token = t.mailed_reset("ann");
    t.operator()
        .set_password(&account("ann"), PASSWORD, false)
        .expect("ann");
    voided(&t, &token);

    t.add("bob");
    let token = t.mailed_reset("bob");
    t.operator().disable_account(&account("bob")).expect("bob");
    voided(&t, &token);
    t.operator().enable_account(&account("bob")).expect("bob");
    voided(&t, &token);
}

#[test] // three letters an hour, counted in the table; the answer stays the same
fn nobody_can_fill_a_mailbox() {
    let t = with_ann();
    let ask_from = |number: u8| {
        let ip = IpAddr::from(Ipv4Addr::new(203, 0, 113, number));
        let device = Device::new(ip, "curl");
        t.authd()
            .request_password_reset(&email("ann"), &device)
            .expect("the same answer");
        t.mail().len()
    };
    assert_eq!([1, 2, 3, 4, 5].map(ask_from), [1, 1, 1, 0, 0]);
    t.clock.advance(hours(1));
    assert_eq!(ask_from(7), 1);
    assert_eq!(ask_from(8), 1);
    let requests = t.authd().reset_requests(&account("ann")).expect("ann");
    assert_eq!(requests.len(), 5);
    assert_eq!(requests[0].ended_at, None);
    assert_eq!(requests[1].end_reason.as_deref(), Some("replaced"));
    assert_eq!(requests[4].user_agent.as_deref(), Some("curl"));
    assert_eq!(requests[4].ip, Some(IpAddr::from([203, 0, 113, 1])));
}

#[test]
fn an_address_of_the_network_that_asks_for_everybody_waits() {
    let t = with_ann();
    let answers: Vec<u16> = (0..30)
        .map(|number| t.ask_for_reset(&format!("{number}@example.org")).status)
        .collect();
    assert_eq!(answers[..20], [202; 20]);
    assert_eq!(answers[29], 429);
    t.ask_for_reset(&email("ann")).refused("too_many_requests");
}

#[test] // every mailed link has a twin on the command line, and that needs no mail
fn an_operator_hands_out_the_same_link() {
    let t = Harness::with(|terms| terms.policy.sends_mail = false);
    t.add("ann");
    let refused = t.unchanged(|| t.ask_for_reset(&email("ann")));
    assert_eq!(refused.refused("no_mail")["status"], 403);

    let first = t.operator().reset_link(&account("ann")).expect("a link");
    let second = t.operator().reset_link(&account("ann")).expect("a link");
    assert_eq!(second.expires_at, START.plus(minutes(15)));
    t.reset(&first.token, NEW_PASSWORD)
        .refused("invalid_reset_token");
    assert_eq!(t.reset(&second.token, NEW_PASSWORD).status, 204);
    assert!(t.operator().reset_link(&account("nobody")).is_err());
    assert_eq!(t.number("SELECT count(*) FROM outbox"), 0);
}

#[test] // somebody without a password gets one this way
fn the_first_password_can_come_by_link() {
    let t = Harness::new();
    let new = new_account("ann");
    t.operator().add_account(new, None).expect("ann");
    let token = t.mailed_reset("ann");
    assert_eq!(t.reset(&token, NEW_PASSWORD).status, 204);
    t.try_sign_in(PHONE, &email("ann"), NEW_PASSWORD).issued();
}

#[test] // fault 20
fn a_mail_server_that_is_down_is_tried_again_with_growing_pauses_and_not_forever() {
    let t = with_ann();
    t.post_office.refuse(false);
    t.ask_for_reset(&email("ann")).gives(202);
    let mut tries = Vec::new();
    for second in 0..20 * 60 {
        for letter in t.mail() {
            tries.push((second, letter));
        }
        t.clock.advance(seconds(1));
    }
    let times: Vec<_> = tries.iter().map(|(second, _)| *second).collect();
    assert_eq!(times, [0, 15, 45, 105, 225, 465]);
    // One letter with one link, so that a try that arrived after all is as good as another.
    let (_, first) = &tries[0];
    for (_, letter) in &tries {
        assert_eq!(link_token(letter), link_token(first));
        assert_eq!(letter.id, first.id);
    }
    assert_eq!(t.number("SELECT count(*) FROM outbox"), 0);
    let failed = t.events_of("ann", "mail_failed");
    assert_eq!(failed.len(), 1);
}

#[test] // fault 20
fn a_letter_that_could_not_leave_leaves_later_and_works() {
    let t = with_ann();
    t.post_office.refuse(false);
    t.ask_for_reset(&email("ann")).gives(202);
    assert_eq!(t.mail().len(), 1);
    assert!(t.mail().is_empty(), "not at once");
    t.post_office.counter().refusal = None;
    t.clock.advance(seconds(15));
    let token = link_token(&t.mail()[0]);
    t.clock.advance(seconds(60));
    assert!(t.mail().is_empty(), "it was sent once");
    assert_eq!(t.reset(&token, NEW_PASSWORD).status, 204);
}

#[test]
fn a_letter_that_is_refused_for_good_is_not_tried_again() {
    let t = with_ann();
    t.post_office.refuse(true);
    t.ask_for_reset(&email("ann")).gives(202);
    assert_eq!(t.mail().len(), 1);
    t.clock.advance(hours(1));
    assert!(t.mail().is_empty());
    assert_eq!(t.events_of("ann", "mail_failed").len(), 1);
}

#[test] // the secret is in memory alone: after a restart the letter gets another
fn a_restart_between_two_tries_sends_a_link_that_works() {
    let mut t = with_ann();
    t.post_office.refuse(false);
    t.ask_for_reset(&email("ann")).gives(202);
    let lost = link_token(&t.mail()[0]);
    t.post_office.counter().refusal = None;
    t.restart();
    t.clock.advance(seconds(15));
    let sent = link_token(&t.mail()[0]);
    t.reset(&lost, NEW_PASSWORD).refused("invalid_reset_token");
    assert_eq!(t.reset(&sent, NEW_PASSWORD).status, 204);
}

#[test]
fn a_deleted_account_takes_its_letters_with_it() {
    let t = with_ann();
    t.ask_for_reset(&email("ann")).gives(202);
    t.operator().delete_account(&account("ann")).expect("ann");
    assert!(t.mail().is_empty());
    assert_eq!(t.number("SELECT count(*) FROM one_time_token"), 0);
}

#[test]
fn every_change_of_password_is_told() {
    let t = Harness::new();
    let ann = t.sign_in("ann");
    t.change_password(&ann, PASSWORD, NEW_PASSWORD).issued();
    let notice = &t.mail()[0];
    assert!(notice.text.contains(LAPTOP.ip), "{}", notice.text);
    t.operator()
        .set_password(&account("ann"), PASSWORD, true)
        .expect("ann");
    let notice = &t.mail()[0];
    assert!(notice.text.contains("by an operator of this server"));
    let body = json!({ "login": email("ann"), "password": PASSWORD, "new_password": NEW_PASSWORD });
    t.post("/v1/sessions", body).send().issued();
    assert_eq!(t.mail().len(), 1);
}

#[test] // fault 20: a mail server that is down does not make the file grow
fn news_that_waits_is_replaced_by_later_news() {
    let t = Harness::new();
    let mut ann = t.sign_in("ann");
    t.post_office.refuse(false);
    for _ in 0..3 {
        ann = t.change_password(&ann, PASSWORD, NEW_PASSWORD).issued();
        ann = t.change_password(&ann, NEW_PASSWORD, PASSWORD).issued();
        t.mail();
        t.clock.advance(minutes(5));
        ann = t.refresh(&ann).issued();
    }
    assert_eq!(t.number("SELECT count(*) FROM outbox"), 1);
    t.post_office.counter().refusal = None;
    let letters = t.mail();
    assert_eq!(letters.len(), 1);
    assert!(letters[0].subject.contains("was changed"));
}

#[test] // whoever takes an account along must not take the news of it along as well
fn the_end_of_an_account_is_told() {
    let t = Harness::new();
    let ann = t.sign_in("ann");
    let body = json!({ "current_password": PASSWORD });
    let delete = t
        .with_token(&ann, Method::DELETE, "/v1/account")
        .json(&body);
    delete.send().gives(204);
    let letters = t.mail();
    assert_eq!(letters.len(), 1);
    assert_eq!(letters[0].to, email("ann"));
    assert!(letters[0].subject.contains("was deleted"));
    assert!(letters[0].text.contains(LAPTOP.ip), "{}", letters[0].text);
    assert!(t.mail().is_empty());
}

#[test] // an owner hears of guesses, and guessing does not fill a mailbox
fn many_failures_are_told_twice_at_most() {
    let t = Harness::new();
    t.add("ann");
    let mut told = Vec::new();
    for failed in 1..=120 {
        t.clock.advance(hours(1));
        t.authd().housekeep().expect("a round");
        t.try_sign_in(THIEF, &email("ann"), "wrong wrong wrong")
            .refused("invalid_credentials");
        told.extend(t.mail().into_iter().map(|letter| (failed, letter)));
    }
    let times: Vec<i32> = told.iter().map(|(failed, _)| *failed).collect();
    assert_eq!(times, [10, 100]);
    let (_, letter) = &told[0];
    assert!(letter.text.contains(THIEF.ip), "{}", letter.text);
    assert!(!letter.text.contains(THIEF.agent), "{}", letter.text);
    assert!(letter.subject.contains("wrong passwords"));

    // After a day without a guess the count begins anew.
    t.clock.advance(days(2));
    t.authd().housekeep().expect("a round");
    t.sign_in("ann");
    for _ in 0..12 {
        t.clock.advance(hours(1));
        t.try_sign_in(THIEF, &email("ann"), "wrong wrong wrong");
    }
    assert_eq!(t.mail().len(), 1);
}

#[test]
fn nobody_is_told_of_failures_on_an_account_that_is_not_theirs() {
    let t = with_ann();
    t.operator().disable_account(&account("ann")).expect("ann");
    for login in ["nobody@example.org", "ann@example.org"] {
        for _ in 0..12 {
            t.clock.advance(hours(1));
            t.try_sign_in(THIEF, login, "wrong wrong wrong");
        }
    }
    assert!(t.mail().is_empty());
}

#[test]
fn old_requests_are_swept() {
    let t = with_ann();
    t.mailed_reset("ann");
    t.clock.advance(days(1));
    assert_eq!(t.authd().sweep().expect("swept").links, 0);
    for _ in 0..6 {
        t.clock.advance(days(1));
        t.authd().housekeep().expect("a round");
    }
    t.clock.advance(hours(1));
    assert_eq!(t.authd().sweep().expect("swept").links, 1);
}
