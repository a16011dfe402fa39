//! Proof of addresses: what a letter proves, what typing an address does not, and what a stranger learns.

use std::thread;

use authd::clock::Clock;
use authd::entropy::Entropy;
use authd::http::Method;
use authd::service::{
    EventQuery, NewInvitation, Proves, Registration, Verification, VerificationLink, begin_epoch,
};
use authd::store::{Options, Role, Store};
use serde_json::{Value, json};

use crate::harness::*;

/// A server where everybody may make an account.
fn open() -> Harness {
    Harness::with(|terms| terms.policy.registration = Registration::Open)
}

fn register(t: &Harness, name: &str) -> Answer {
    let body = json!({ "email": email(name), "password": PASSWORD });
    t.post("/v1/accounts", body).send()
}

fn ask(t: &Harness, typed: &str) -> Answer {
    t.post("/v1/email-verification", json!({ "email": typed }))
        .send()
}

/// Follows a link, with the password that a registration takes; others do not look at it.
fn confirm(t: &Harness, token: &str) -> Answer {
    confirm_with(t, token, PASSWORD)
}

fn confirm_with(t: &Harness, token: &str, password: &str) -> Answer {
    let body = json!({ "token": token, "password": password });
    t.post("/v1/email-verification/confirm", body).send()
}

/// Asserts that this token does not work, a minute later: until then a second use is answered as the first was.
#[track_caller]
fn is_spent(t: &Harness, token: &str) {
    t.clock.advance(seconds(61));
    let refused = t.unchanged(|| confirm(t, token));
    assert_eq!(refused.refused("invalid_verification_token")["status"], 400);
}

fn shown(t: &Harness, device: &SignedIn) -> Value {
    t.with_token(device, Method::GET, "/v1/account")
        .send()
        .gives(200)
}

fn is_verified(t: &Harness, name: &str) -> bool {
    let found = t.authd().find_account(&account(name)).expect("an account");
    found.account.email_verified
}

/// Asks for another address.
fn change(t: &Harness, device: &SignedIn, to: &str) -> Answer {
    let body = json!({ "email": to, "current_password": PASSWORD });
    t.with_token(device, Method::PATCH, "/v1/account")
        .json(&body)
        .send()
}

/// The tokens of the letters to the present and to the new address, and nothing else was sent.
#[track_caller]
fn both_links(t: &Harness, present: &str, new: &str) -> (String, String) {
    let letters = t.mail();
    let to: Vec<&str> = letters.iter().map(|letter| letter.to.as_str()).collect();
    assert_eq!(to, [email(present), email(new)]);
    (link_token(&letters[0]), link_token(&letters[1]))
}

/// The headers that an answer has whoever asks.
fn headers(answer: &Answer) -> Vec<(String, String)> {
    let mut headers = answer.headers.clone();
    headers.retain(|(name, _)| name != "x-request-id");
    headers
}

#[test]
fn whoever_registers_proves_the_address_by_the_letter() {
    let t = open();
    let answer = register(&t, "ann");
    let ann = answer.issued();
    assert_eq!(answer.json()["account"]["email_verified"], false);
    let letters = t.mail();
    assert_eq!(letters.len(), 1);
    assert_eq!(letters[0].to, email("ann"));
    let token = link_token(&letters[0]);
    assert!(token.starts_with("av_"), "{token}");
    for part in [&letters[0].text, &letters[0].html] {
        assert!(
            part.contains(&format!("{ISSUER}/verify?token={token}")),
            "{part}"
        );
        assert!(part.contains(LAPTOP.ip), "{part}");
    }

    let answer = confirm(&t, &token);
    assert_eq!((answer.status, answer.text()), (204, String::new()));
    assert_eq!(shown(&t, &ann)["email_verified"], true);
    assert_eq!(
        t.events("ann"),
        [
            "account_created",
            "email_verification_requested",
            "sign_in",
            "email_verified"
        ]
    );
    assert!(t.mail().is_empty());
    is_spent(&t, &token);
}

#[test]
fn a_link_works_for_a_day() {
    let t = open();
    register(&t, "ann").issued();
    let token = link_token(&t.mail()[0]);
    t.clock.advance(hours(24) - seconds(1));
    assert_eq!(confirm(&t, &token).status, 204);

    register(&t, "bob").issued();
    let token = link_token(&t.mail()[0]);
    t.clock.advance(hours(24) + seconds(1));
    is_spent(&t, &token);
    assert!(!is_verified(&t, "bob"));
}

#[test]
fn sixteen_who_race_with_one_link_prove_one_address_once() {
    let t = open();
    register(&t, "ann").issued();
    let token = link_token(&t.mail()[0]);
    let statuses: Vec<u16> = thread::scope(|scope| {
        let racers: Vec<_> = (0..16)
            .map(|_| scope.spawn(|| confirm(&t, &token).status))
            .collect();
        let answers = racers.into_iter().map(|racer| racer.join().expect("one"));
        answers.collect()
    });
    // One proves; those that come later are told the same, and change nothing.
    assert!(statuses.contains(&204), "{statuses:?}");
    assert_eq!(t.events_of("ann", "email_verified").len(), 1);
}

#[test] // one answer for everybody, and one commit behind it
fn asking_does_not_tell_who_has_an_account() {
    let t = open();
    for name in ["ann", "bob", "cid"] {
        t.add(name);
    }
    ask(&t, &email("bob")).gives(202);
    assert_eq!(confirm(&t, &link_token(&t.mail()[0])).status, 204);
    t.operator().disable_account(&account("cid")).expect("cid");
    let unknown = headers(&ask(&t, &email("other")));
    let commits = || t.authd().statistics().commits;
    for name in ["ann", "bob", "cid", "nobody"] {
        let before = commits();
        let answer = ask(&t, &email(name));
        assert_eq!(commits() - before, 1, "{name}");
        assert_eq!((answer.status, answer.text()), (202, String::new()));
        assert_eq!(headers(&answer), unknown, "{name}");
    }
    let letters = t.mail();
    let to: Vec<&str> = letters.iter().map(|letter| letter.to.as_str()).collect();
    assert_eq!(to, [email("ann")]);
}

#[test]
fn nobody_can_fill_a_mailbox_or_ask_for_everybody() {
    let t = open();
    t.add("ann");
    let sent = |_| {
        ask(&t, &email("ann")).gives(202);
        t.mail().len()
    };
    assert_eq!([1, 2, 3, 4, 5].map(sent), [1, 1, 1, 0, 0]);
    t.clock.advance(hours(1));
    assert_eq!(sent(6), 1);
    let answers: Vec<u16> = (0..30)
        .map(|number| ask(&t, &email(&number.to_string())).status)
        .collect();
    assert_eq!(answers[29], 429);
}

#[test] // what an account is allowed to be sent says nothing where a stranger makes one account after the other
fn nobody_can_fill_the_mailbox_of_somebody_else_by_having_accounts() {
    let t = open();
    let to_victim = || {
        let letters = t.mail();
        let to_victim = letters.iter().filter(|letter| letter.to == email("victim"));
        to_victim.count()
    };
    let mut sent = 0;
    for _ in 0..3 {
        let mut theirs = register(&t, "victim").issued();
        sent += to_victim();
        let (mut current, mut new) = (PASSWORD, NEW_PASSWORD);
        for _ in 0..4 {
            theirs = t.change_password(&theirs, current, new).issued();
            (current, new) = (new, current);
            sent += to_victim();
        }
        t.with_token(&theirs, Method::DELETE, "/v1/account")
            .json(&json!({ "current_password": current }))
            .send();
    }
    for number in 0..8 {
        let theirs = register(&t, &format!("eve{number}")).issued();
        change(&t, &theirs, &email("victim")).gives(200);
        sent += to_victim();
    }
    // Of those with a link, and of those without.
    assert_eq!(sent, 10 + 10);
    t.clock.advance(hours(1) + seconds(1));
    register(&t, "victim").issued();
    assert_eq!(to_victim(), 1);
}

#[test] // an account for each would do otherwise
fn nobody_can_write_to_everybody_by_having_accounts() {
    let t = open();
    let statuses: Vec<u16> = (0..30)
        .map(|number| {
            let name = format!("eve{number}");
            let theirs = t.sign_in(&name);
            change(&t, &theirs, &email(&format!("stranger{number}"))).status
        })
        .collect();
    assert_eq!(statuses[19], 200);
    assert_eq!(statuses[29], 429);
    t.clock.advance(hours(1));
    let theirs = t.sign_in("eve29");
    change(&t, &theirs, &email("stranger")).gives(200);
}

#[test] // an account that an operator made is unproven, and has an owner all the same
fn a_stranger_who_asks_for_letters_does_not_keep_a_notice_from_leaving() {
    let t = open();
    t.add("ann");
    let mut sent = 0;
    for pause in [minutes(60), minutes(30)] {
        for _ in 0..3 {
            t.ask_for_reset(&email("ann"));
            sent += t.mail().len();
            ask(&t, &email("ann"));
            sent += t.mail().len();
        }
        t.clock.advance(pause);
    }
    assert!(sent >= 10, "{sent}");
    let ann = t.sign_in("ann");
    t.change_password(&ann, PASSWORD, NEW_PASSWORD).issued();
    let letters = t.mail();
    assert_eq!(letters.len(), 1);
    assert!(letters[0].subject.contains("was changed"));
}

#[test] // its owner has to hear of it each time
fn whoever_has_proven_an_address_hears_of_everything() {
    let t = open();
    let mut ann = register(&t, "ann").issued();
    assert_eq!(confirm(&t, &link_token(&t.mail()[0])).status, 204);
    let (mut current, mut new) = (PASSWORD, NEW_PASSWORD);
    for _ in 0..12 {
        ann = t.change_password(&ann, current, new).issued();
        (current, new) = (new, current);
        assert_eq!(t.mail().len(), 1);
    }
}

#[test] // CVE-2026-27946: the proof is a letter, and nothing that a request says
fn nobody_can_say_of_themselves_that_they_are_verified() {
    let t = open();
    let ann = t.sign_in("ann");
    t.unchanged(|| {
        for said in [json!(true), json!("true"), json!(1)] {
            for member in ["email_verified", "email_verified_at", "emailVerified"] {
                let mut body = json!({ "email": email("eve"), "password": PASSWORD });
                body[member] = said.clone();
                t.post("/v1/accounts", body)
                    .send()
                    .refused("invalid_request");
                let mut body = json!({ "name": "Ann" });
                body[member] = said.clone();
                t.with_token(&ann, Method::PATCH, "/v1/account")
                    .json(&body)
                    .send()
                    .refused("invalid_request");
            }
        }
    });
    assert_eq!(shown(&t, &ann)["email_verified"], false);
}

#[test] // req 28, req 40: mail programs open links before people do
fn opening_the_link_uses_nothing_up() {
    let t = open();
    register(&t, "ann").issued();
    let token = link_token(&t.mail()[0]);
    let opened = t.unchanged(|| {
        t.ask(Method::HEAD, &format!("/verify?token={token}"))
            .send();
        t.ask(Method::GET, &format!("/verify?token={token}")).send()
    });
    assert_eq!(
        (opened.status, opened.header("location")),
        (303, Some("/verify"))
    );
    assert_eq!(opened.header("referrer-policy"), Some("same-origin"));
    assert_eq!(opened.header("cache-control"), Some("no-store"));
    assert_eq!(confirm(&t, &token).status, 204);
}

#[test] // a link of one kind opens nothing of another
fn nothing_but_the_link_proves_an_address() {
    let t = open();
    t.add("ann");
    let reset = t.mailed_reset("ann");
    ask(&t, &email("ann")).gives(202);
    let token = link_token(&t.mail()[0]);
    let unknown = format!("av_{}", "A".repeat(43));
    for wrong in ["", "av_", "TOKEN", &token[..45], &reset, &unknown] {
        is_spent(&t, wrong);
    }
    is_spent(&t, &reset.replace("ap_", "av_"));
    t.unchanged(|| {
        t.reset(&token, NEW_PASSWORD).refused("invalid_reset_token");
        t.reset(&token.replace("av_", "ap_"), NEW_PASSWORD)
            .refused("invalid_reset_token");
    });
    assert_eq!(confirm(&t, &token).status, 204);
}

#[test]
fn a_link_does_not_outlive_what_it_was_for() {
    let t = open();
    let mailed = |name: &str| {
        ask(&t, &email(name)).gives(202);
        link_token(t.mail().last().expect("a letter"))
    };
    let ann = t.sign_in("ann");
    let (old, new) = (mailed("ann"), mailed("ann"));
    is_spent(&t, &old);
    t.change_password(&ann, PASSWORD, NEW_PASSWORD).issued();
    is_spent(&t, &new);

    t.add("bob");
    let token = mailed("bob");
    t.operator().disable_account(&account("bob")).expect("bob");
    is_spent(&t, &token);
    t.operator().enable_account(&account("bob")).expect("bob");
    is_spent(&t, &token);

    t.add("cid");
    let token = mailed("cid");
    t.operator().delete_account(&account("cid")).expect("cid");
    is_spent(&t, &token);
}

#[test]
fn a_new_address_that_nobody_confirmed_is_unproven_again() {
    let mut t = open();
    register(&t, "ann").issued();
    assert_eq!(confirm(&t, &link_token(&t.mail()[0])).status, 204);
    t.restart_with(|terms| terms.policy.sends_mail = false);
    let ann = t.sign_in("ann");
    let told = change(&t, &ann, "ANN@example.org").gives(200);
    assert_eq!(told["email_verified"], true);
    let told = change(&t, &ann, &email("eve")).gives(200);
    assert_eq!(
        (&told["email"], &told["email_verified"]),
        (&json!(email("eve")), &json!(false))
    );
    assert_eq!(told.get("pending_email"), None);
    t.try_sign_in(LAPTOP, &email("eve"), PASSWORD).issued();
}

#[test] // CVE-2026-44166, CVE-2026-53516: whoever reads the mail gets the account, and whoever was first loses it
fn a_reset_by_mail_proves_the_address_and_puts_out_who_registered_with_it() {
    let t = open();
    let body = json!({ "email": email("ann"), "password": PASSWORD });
    let thief = t.post("/v1/accounts", body).from(THIEF).send().issued();
    let warning = &t.mail()[0];
    assert!(warning.text.contains(THIEF.ip), "{}", warning.text);
    let left_over = link_token(warning);
    let token = t.mailed_reset("ann");
    assert_eq!(t.reset(&token, NEW_PASSWORD).status, 204);
    assert!(is_verified(&t, "ann"));
    assert!(!t.is_open(&thief));
    is_spent(&t, &left_over);
    t.try_sign_in(THIEF, &email("ann"), PASSWORD)
        .refused("invalid_credentials");

    // What an operator hands out says nothing about who reads mail there.
    t.add("bob");
    let link = t.operator().reset_link(&account("bob")).expect("a link");
    assert_eq!(t.reset(&link.token, NEW_PASSWORD).status, 204);
    assert!(!is_verified(&t, "bob"));
}

#[test] // every mailed link has a twin on the command line, and that needs no mail
fn an_operator_hands_out_the_same_link() {
    let t = Harness::with(|terms| {
        terms.policy.registration = Registration::Open;
        terms.policy.sends_mail = false;
    });
    register(&t, "ann").issued();
    assert_eq!(t.number("SELECT count(*) FROM one_time_token"), 0);
    let refused = t.unchanged(|| ask(&t, &email("ann")));
    let refused = refused.refused("no_mail");
    assert_eq!(refused["status"], 403);
    assert!(refused["detail"].to_string().contains("verify-link"));

    let links = || t.operator().verification_links(&email("ann"));
    let first = links().expect("a link").remove(0);
    let second = links().expect("a link").remove(0);
    assert_eq!(second.expires_at, START.plus(hours(24)));
    is_spent(&t, &first.token);
    assert_eq!(confirm(&t, &second.token).status, 204);
    t.unchanged(|| assert!(links().is_err(), "it is proven"));
    for nobody in ["nobody@example.org", "nobody", ""] {
        assert!(t.operator().verification_links(nobody).is_err(), "{nobody}");
    }
}

/// A server where everybody may make an account, once the address is proven.
fn proven_first() -> Harness {
    Harness::with(|terms| {
        terms.policy.registration = Registration::Open;
        terms.policy.verification = Verification::Required;
    })
}

fn register_with(t: &Harness, place: Place, body: Value) -> Answer {
    t.post("/v1/accounts", body).from(place).send()
}

fn accounts(t: &Harness) -> i64 {
    t.number("SELECT count(*) FROM account")
}

#[test] // req 11
fn there_is_no_account_before_its_address_is_proven() {
    let t = proven_first();
    let body = json!({ "email": "Ann@Example.org", "password": PASSWORD, "username": "ann", "name": "Ann" });
    let answer = register_with(&t, LAPTOP, body);
    assert_eq!((answer.status, answer.text()), (202, String::new()));
    assert_eq!(accounts(&t), 0);
    t.try_sign_in(LAPTOP, &email("ann"), PASSWORD)
        .refused("invalid_credentials");

    let letters = t.mail();
    assert_eq!(letters.len(), 1);
    assert_eq!(letters[0].to, "Ann@Example.org");
    for part in [LAPTOP.ip, "15 January 2027, 08:00 UTC"] {
        let text = letters[0].text.replace('\n', " ");
        assert!(text.contains(part), "{text}");
    }
    assert!(!letters[0].text.contains(LAPTOP.agent));
    let token = link_token(&letters[0]);
    let answer = confirm(&t, &token);
    assert_eq!((answer.status, answer.text()), (204, String::new()));
    let ann = t.try_sign_in(LAPTOP, "ann", PASSWORD);
    let shown = &ann.json()["account"];
    assert_eq!(shown["email"], "Ann@Example.org");
    assert_eq!(
        (&shown["name"], &shown["email_verified"]),
        (&json!("Ann"), &json!(true))
    );
    assert_eq!(
        t.events("ann"),
        ["account_created", "email_verified", "sign_in"]
    );
    assert_eq!(t.number("SELECT count(*) FROM registration"), 0);
    is_spent(&t, &token);
}

#[test] // req 11: the same status, headers and body after the same one commit; and the owner gets mail
fn registering_does_not_tell_which_addresses_are_taken() {
    let t = proven_first();
    t.add("ann");
    t.add("bob");
    t.operator().disable_account(&account("bob")).expect("bob");
    let commits = || t.authd().statistics().commits;
    let answers = ["ann", "bob", "new", "other"].map(|name| {
        let before = commits();
        let body = json!({ "email": email(name), "password": NEW_PASSWORD, "username": format!("{name}9") });
        let answer = register_with(&t, PHONE, body);
        (answer.status, answer.text(), headers(&answer), commits() - before)
    });
    assert_eq!((answers[0].0, answers[0].3), (202, 1));
    for answer in &answers[1..] {
        assert_eq!(answer, &answers[0]);
    }
    let letters = t.mail();
    let to: Vec<&str> = letters.iter().map(|letter| letter.to.as_str()).collect();
    assert_eq!(to, [email("ann"), email("new"), email("other")]);
    // What was registered with is nobody's: the owner is helped in, and the account is as it was.
    assert!(letters[0].subject.contains("already"));
    assert!(letters[0].text.contains(PHONE.ip), "{}", letters[0].text);
    t.try_sign_in(PHONE, &email("ann"), NEW_PASSWORD)
        .refused("invalid_credentials");
    t.sign_in("ann");
    let token = link_token(&letters[0]);
    assert_eq!(t.reset(&token, "another four quiet words").status, 204);

    // What is wrong for another reason is wrong for all alike.
    t.unchanged_but_counted(|| {
        for name in ["ann", "fresh"] {
            let weak = json!({ "email": email(name), "password": "password1234" });
            register_with(&t, PHONE, weak).refused("weak_password");
            let taken = json!({ "email": email(name), "password": PASSWORD, "username": "ann" });
            register_with(&t, PHONE, taken).refused("username_taken");
        }
    });
}

#[test] // finding 15, fault 53, CVE-2026-44166, CVE-2026-53516: being first or last with another person's address gains nothing
fn a_registration_takes_the_mailbox_and_the_password_of_one_person() {
    let t = proven_first();
    let with = |place, password: &str| {
        let body = json!({ "email": email("ann"), "password": password });
        register_with(&t, place, body).gives(202);
        link_token(&t.mail()[0])
    };
    let ann = with(LAPTOP, PASSWORD);
    let thief = with(THIEF, "the thief knows this one");
    // Only the newest link works, and Ann, who reads it, does not know its password.
    is_spent(&t, &ann);
    let refused = confirm(&t, &thief);
    assert_eq!(refused.refused("wrong_password")["status"], 403);
    let alone = t.post("/v1/email-verification/confirm", json!({ "token": thief }));
    assert_eq!(alone.send().refused("password_required")["status"], 400);
    assert_eq!(accounts(&t), 0);
    let again = with(LAPTOP, PASSWORD);
    assert_eq!(confirm(&t, &again).status, 204);
    t.try_sign_in(LAPTOP, &email("ann"), PASSWORD).issued();
    is_spent(&t, &thief);
    assert_eq!(accounts(&t), 1);
}

#[test] // req 20: the password of a registration is no way around the limits
fn guessing_the_password_of_a_registration_is_limited() {
    let t = proven_first();
    register(&t, "ann").gives(202);
    let token = link_token(&t.mail()[0]);
    let statuses: Vec<u16> = (0..50)
        .map(|number| {
            let body = json!({ "token": token, "password": format!("guess number {number}") });
            let answer = t.post("/v1/email-verification/confirm", body);
            answer.from(THIEF).send().status
        })
        .collect();
    assert_eq!((statuses[39], statuses[40]), (403, 429));
}

#[test]
fn a_registration_waits_for_a_day() {
    let t = proven_first();
    register(&t, "ann").gives(202);
    let token = link_token(&t.mail()[0]);
    t.clock.advance(hours(24) - seconds(1));
    assert_eq!(confirm(&t, &token).status, 204);

    register(&t, "bob").gives(202);
    let token = link_token(&t.mail()[0]);
    t.clock.advance(hours(24) + seconds(1));
    is_spent(&t, &token);
    assert_eq!(t.authd().sweep().expect("swept").registrations, 0);
    t.clock.advance(hours(24));
    t.authd().housekeep().expect("a round");
    assert_eq!(t.authd().sweep().expect("swept").registrations, 1);
    assert_eq!(accounts(&t), 1);
}

#[test]
fn sixteen_who_race_with_one_registration_make_one_account() {
    let t = proven_first();
    register(&t, "ann").gives(202);
    register(&t, "ann").gives(202);
    let tokens: Vec<String> = t.mail().iter().map(link_token).collect();
    assert_eq!(tokens.len(), 2);
    let statuses: Vec<u16> = thread::scope(|scope| {
        let racers: Vec<_> = (0..16)
            .map(|number| {
                let (t, token) = (&t, &tokens[number % 2]);
                scope.spawn(move || confirm(t, token).status)
            })
            .collect();
        let answers = racers.into_iter().map(|racer| racer.join().expect("one"));
        answers.collect()
    });
    assert!(statuses.contains(&204), "{statuses:?}");
    assert!(
        statuses
            .iter()
            .all(|status| [204, 400, 409].contains(status))
    );
    assert_eq!(accounts(&t), 1);
}

#[test] // three letters an hour go to one address, and the answer stays the same
fn nobody_can_fill_a_mailbox_by_registering() {
    let t = proven_first();
    t.add("bob");
    for name in ["ann", "bob"] {
        let sent = |_| {
            register(&t, name).gives(202);
            t.mail().len()
        };
        assert_eq!([1, 2, 3, 4, 5].map(sent), [1, 1, 1, 0, 0], "{name}");
    }
    assert_eq!(t.number("SELECT count(*) FROM registration"), 3);
    t.clock.advance(hours(1));
    register(&t, "ann").gives(202);
    assert_eq!(t.mail().len(), 1);
}

#[test] // the address has an account by now: nothing is lost, and nobody is told more than the mailbox knows
fn an_operator_who_was_faster_is_not_overruled() {
    let t = proven_first();
    register(&t, "ann").gives(202);
    let token = link_token(&t.mail()[0]);
    t.add("ann");
    let refused = t.unchanged(|| confirm(&t, &token));
    assert_eq!(refused.refused("email_taken")["status"], 409);
    t.operator().delete_account(&account("ann")).expect("ann");
    assert_eq!(confirm(&t, &token).status, 204);
    t.try_sign_in(LAPTOP, &email("ann"), PASSWORD).issued();
}

#[test]
fn a_username_that_was_taken_meanwhile_is_left_out() {
    let t = proven_first();
    let body =
        |name: &str| json!({ "email": email(name), "password": PASSWORD, "username": "sun" });
    for name in ["ann", "bob"] {
        register_with(&t, LAPTOP, body(name)).gives(202);
    }
    for letter in t.mail() {
        assert_eq!(confirm(&t, &link_token(&letter)).status, 204);
    }
    let username = |name: &str| {
        let found = t.authd().find_account(&account(name)).expect("an account");
        found.account.username
    };
    assert_eq!(
        (username("ann").as_deref(), username("bob")),
        (Some("sun"), None)
    );
    let told = t.events_of("bob", "email_verified")[0].detail.clone();
    assert_eq!(told.expect("a detail")["username_taken_meanwhile"], "sun");
}

#[test]
fn an_invitation_is_used_up_by_the_account_and_not_by_the_registration() {
    let t = Harness::with(|terms| {
        terms.policy.registration = Registration::Invite;
        terms.policy.verification = Verification::Required;
    });
    t.operator().add_group("friends").expect("a group");
    let new = NewInvitation {
        email: None,
        group: Some("friends".to_owned()),
        is_mailed: false,
        lifetime: hours(2),
    };
    let invited = t.operator().invite(&new).expect("an invitation");
    let token = invited.token.expect("a token");
    let with = |name: &str| {
        let body = json!({ "email": email(name), "password": PASSWORD, "invite": token });
        register_with(&t, LAPTOP, body).gives(202);
        link_token(&t.mail()[0])
    };
    let (ann, bob) = (with("ann"), with("bob"));
    let used = || t.authd().invitations().expect("a list")[0].state;
    assert_eq!(used(), "open");
    // It worked when she registered, and her mail was slow.
    t.clock.advance(hours(3));
    assert_eq!(confirm(&t, &ann).status, 204);
    assert_eq!(used(), "used");
    let found = t.authd().find_account(&account("ann")).expect("ann");
    assert_eq!(found.groups, ["friends"]);
    let refused = t.unchanged(|| confirm(&t, &bob));
    assert_eq!(refused.refused("invalid_invitation")["status"], 403);

    // Whoever holds one that came by mail reads mail there.
    let mailed = NewInvitation {
        email: Some(email("eve")),
        is_mailed: true,
        ..new
    };
    t.operator().invite(&mailed).expect("an invitation");
    let letter = &t.mail()[0];
    let (_, token) = letter.text.split_once("?invite=").expect("a link");
    let token = token.lines().next().expect("a token");
    let body = json!({ "email": email("eve"), "password": PASSWORD, "invite": token });
    let eve = register_with(&t, PHONE, body);
    eve.issued();
    assert_eq!(eve.json()["account"]["email_verified"], true);
    assert!(t.mail().is_empty());
}

#[test] // what is wrong is not told, that it may be this is
fn a_refused_sign_in_says_for_everybody_alike_what_it_may_be() {
    let t = proven_first();
    t.add("ann");
    t.add("cid");
    t.operator().disable_account(&account("cid")).expect("cid");
    register(&t, "bob").gives(202);
    let told = ["ann", "bob", "cid", "nobody"].map(|name| {
        let answer = t.try_sign_in(LAPTOP, &email(name), "wrong wrong wrong");
        answer.refused("invalid_credentials")["detail"].clone()
    });
    assert!(
        told[0].to_string().contains("not confirmed yet"),
        "{}",
        told[0]
    );
    assert!(told.iter().all(|text| *text == told[0]));
    // Whoever was there before, or was made by an operator, gets in as before.
    let signed_in = t.try_sign_in(LAPTOP, "ann", PASSWORD);
    assert_eq!(signed_in.gives(201)["account"]["email_verified"], false);
}

#[test] // the secret is drawn when the letter leaves, and is in memory alone
fn a_letter_that_left_late_has_a_link_that_works() {
    let mut t = proven_first();
    t.post_office.refuse(false);
    register(&t, "ann").gives(202);
    let tried = t.mail().remove(0);
    let first = link_token(&tried);
    t.clock.advance(seconds(15));
    let again = t.mail().remove(0);
    assert_eq!((again.id, link_token(&again)), (tried.id, first.clone()));
    assert!(!format!("{:?}", t.dump()).contains(&first[3..]));
    t.post_office.counter().refusal = None;
    t.restart();
    t.clock.advance(seconds(30));
    let sent = t.mail().remove(0);
    // Whoever got the first one all the same must not take this one for its copy.
    assert_ne!(sent.id, tried.id);
    let sent = link_token(&sent);
    is_spent(&t, &first);
    assert_eq!(confirm(&t, &sent).status, 204);

    // One that could not leave for a day is given up, and an operator hears of it.
    t.post_office.refuse(true);
    register(&t, "bob").gives(202);
    assert_eq!(t.mail().len(), 1);
    let query = EventQuery {
        limit: 1,
        ..EventQuery::default()
    };
    let last = t.authd().events(&query).expect("events").remove(0);
    assert_eq!((last.kind.as_str(), last.account), ("mail_failed", None));
    assert_eq!(t.number("SELECT count(*) FROM outbox"), 0);
}

#[test] // without mail an operator is the way in
fn an_operator_hands_out_the_link_of_the_newest_registration() {
    let t = Harness::with(|terms| {
        terms.policy.registration = Registration::Open;
        terms.policy.verification = Verification::Required;
        terms.policy.sends_mail = false;
    });
    t.add("bob");
    for place in [THIEF, LAPTOP] {
        for name in ["ann", "bob"] {
            let body = json!({ "email": email(name), "password": PASSWORD });
            assert_eq!(register_with(&t, place, body).status, 202);
        }
        t.clock.advance(minutes(5));
    }
    assert_eq!(t.number("SELECT count(*) FROM outbox"), 0);
    let links = t.operator().verification_links("ANN@example.org");
    let links = links.expect("links");
    let from: Vec<_> = links.iter().map(|link| link.asked_for).collect();
    let ip = |place: Place| place.ip.parse().expect("an address");
    // Of several registrations the newest one's link works alone.
    assert_eq!(from, [Some((START.plus(minutes(5)), ip(LAPTOP)))]);
    assert_eq!(confirm(&t, &links[0].token).status, 204);
    is_spent(&t, &links[0].token);
}

#[test] // a letter that is late must not void what was handed out meanwhile, nor carry what that made void
fn a_link_that_an_operator_handed_out_takes_the_place_of_a_letter_that_waits() {
    for was_tried in [false, true] {
        let t = proven_first();
        t.post_office.refuse(false);
        register(&t, "ann").gives(202);
        if was_tried {
            assert_eq!(t.mail().len(), 1);
        }
        let links = t.operator().verification_links(&email("ann"));
        t.post_office.counter().refusal = None;
        t.clock.advance(minutes(5));
        assert!(t.mail().is_empty());
        assert_eq!(confirm(&t, &links.expect("a link")[0].token).status, 204);
    }
}

#[test] // I11
fn a_restore_forgets_who_waits() {
    let mut t = proven_first();
    register(&t, "ann").gives(202);
    let token = link_token(&t.mail()[0]);
    t.add("bob");
    ask(&t, &email("bob")).gives(202);
    let other = link_token(&t.mail()[0]);
    register(&t, "cid").gives(202);
    let dan = t.sign_in("dan");
    change(&t, &dan, &email("eve")).gives(200);
    let clock = Clock::manual(t.clock.wall()).0;
    t.stopped(|path| {
        let options = Options {
            accept_network_filesystem: true,
            readers: 1,
            role: Role::Command,
            max_size: None,
        };
        let store = Store::open(path, clock.clone(), Entropy::seeded(7), options);
        begin_epoch(&store.expect("a database"), &clock, 0).expect("an epoch");
    });
    is_spent(&t, &token);
    is_spent(&t, &other);
    assert!(t.mail().is_empty());
    for table in ["registration", "email_change", "one_time_token"] {
        assert_eq!(t.number(&format!("SELECT count(*) FROM {table}")), 0);
    }
}

#[test] // req 36
fn a_new_address_is_confirmed_at_both() {
    // In either order.
    for is_present_first in [true, false] {
        let t = open();
        let ann = t.sign_in("ann");
        let told = change(&t, &ann, "Eve@example.org").gives(200);
        assert_eq!(
            (&told["email"], &told["pending_email"]),
            (&json!(email("ann")), &json!("Eve@example.org"))
        );
        assert_eq!(shown(&t, &ann)["pending_email"], "Eve@example.org");
        let letters = t.mail();
        let to: Vec<&str> = letters.iter().map(|letter| letter.to.as_str()).collect();
        assert_eq!(to, [&*email("ann"), "Eve@example.org"]);
        // Whoever confirms at the present address sees what; the new one may be a stranger's, who learns of nobody.
        assert!(
            letters[0]
                .text
                .replace('\n', " ")
                .contains("Eve@example.org")
        );
        for part in [&letters[1].text, &letters[1].html] {
            assert!(!part.contains("ann@"), "{part}");
        }
        let (present, new) = (link_token(&letters[0]), link_token(&letters[1]));
        let (first, second) = match is_present_first {
            true => (present, new),
            false => (new, present),
        };

        assert_eq!(confirm(&t, &first).status, 204);
        assert_eq!(shown(&t, &ann)["email"], email("ann"));
        is_spent(&t, &first);
        assert_eq!(confirm(&t, &second).status, 204);
        is_spent(&t, &second);
        let told = shown(&t, &ann);
        assert_eq!(
            (
                &told["email"],
                &told["email_verified"],
                told.get("pending_email")
            ),
            (&json!("Eve@example.org"), &json!(true), None)
        );
        let notice = t.mail();
        assert_eq!((notice.len(), &notice[0].to), (1, &email("ann")));
        assert!(!notice[0].text.contains("token="));
        assert_eq!(
            t.events("eve")[2..],
            ["email_change_requested", "email_changed"]
        );
        t.try_sign_in(LAPTOP, &email("ann"), PASSWORD)
            .refused("invalid_credentials");
    }
}

#[test]
fn a_change_waits_for_as_long_as_its_links_work() {
    let t = open();
    let ann = t.sign_in("ann");
    change(&t, &ann, &email("eve")).gives(200);
    let (present, new) = both_links(&t, "ann", "eve");
    t.clock.advance(hours(24) - seconds(1));
    assert_eq!(confirm(&t, &present).status, 204);
    t.clock.advance(seconds(2));
    is_spent(&t, &new);
    assert_eq!(t.authd().sweep().expect("swept").email_changes, 0);
    t.clock.advance(hours(24));
    t.authd().housekeep().expect("a round");
    assert_eq!(t.authd().sweep().expect("swept").email_changes, 1);
    let found = t.authd().find_account(&account("ann")).expect("ann");
    assert_eq!(found.pending_email, None);
}

#[test]
fn a_newer_wish_takes_the_place_of_the_older_and_the_present_address_withdraws_it() {
    let t = open();
    let ann = t.sign_in("ann");
    change(&t, &ann, &email("eve")).gives(200);
    let (old_present, old_new) = both_links(&t, "ann", "eve");
    assert_eq!(confirm(&t, &old_new).status, 204);
    change(&t, &ann, &email("fay")).gives(200);
    let (present, new) = both_links(&t, "ann", "fay");
    is_spent(&t, &old_present);
    // What was confirmed of the older one counts for nothing.
    assert_eq!(confirm(&t, &present).status, 204);
    assert_eq!(shown(&t, &ann)["email"], email("ann"));

    let told = change(&t, &ann, &email("ann")).gives(200);
    assert_eq!(told.get("pending_email"), None);
    is_spent(&t, &new);
    assert!(t.mail().is_empty());

    change(&t, &ann, &email("gus")).gives(200);
    t.mail();
    let refused = t.unchanged_but_counted(|| change(&t, &ann, &email("hal")));
    assert_eq!(refused.refused("too_many_requests")["status"], 429);
    t.clock.advance(hours(1));
    let ann = t.refresh(&ann).issued();
    change(&t, &ann, &email("hal")).gives(200);
}

#[test] // somebody who had the password must not keep a change in flight
fn whatever_puts_a_thief_out_ends_the_change() {
    type Story = fn(&Harness, &SignedIn);
    let stories: [(&str, Story); 4] = [
        ("a new password", |t, ann| {
            t.change_password(ann, PASSWORD, NEW_PASSWORD).issued();
        }),
        ("a reset", |t, _| {
            let token = t.mailed_reset("ann");
            assert_eq!(t.reset(&token, NEW_PASSWORD).status, 204);
        }),
        ("an operator's password", |t, _| {
            let done = t
                .operator()
                .set_password(&account("ann"), NEW_PASSWORD, false);
            done.expect("ann");
        }),
        ("disabling", |t, _| {
            t.operator().disable_account(&account("ann")).expect("ann");
            t.operator().enable_account(&account("ann")).expect("ann");
        }),
    ];
    for (what, happens) in stories {
        let t = open();
        let ann = t.sign_in("ann");
        change(&t, &ann, &email("eve")).gives(200);
        let (present, new) = both_links(&t, "ann", "eve");
        assert_eq!(confirm(&t, &new).status, 204, "{what}");
        happens(&t, &ann);
        is_spent(&t, &present);
        let found = t.authd().find_account(&account("ann")).expect("ann");
        assert_eq!(found.pending_email, None, "{what}");
    }
}

#[test] // the links of the old address go with it
fn a_change_voids_what_is_in_the_old_mailbox() {
    let t = open();
    let ann = t.sign_in("ann");
    let reset = t.mailed_reset("ann");
    ask(&t, &email("ann")).gives(202);
    let proof = link_token(&t.mail()[0]);
    change(&t, &ann, &email("eve")).gives(200);
    let (present, new) = both_links(&t, "ann", "eve");
    for token in [&present, &new] {
        assert_eq!(confirm(&t, token).status, 204);
    }
    t.unchanged(|| t.reset(&reset, NEW_PASSWORD).refused("invalid_reset_token"));
    is_spent(&t, &proof);
    assert!(t.is_open(&ann));
}

#[test]
fn an_address_that_was_taken_meanwhile_is_not_given_twice() {
    let t = open();
    let ann = t.sign_in("ann");
    change(&t, &ann, &email("eve")).gives(200);
    let (present, new) = both_links(&t, "ann", "eve");
    assert_eq!(confirm(&t, &present).status, 204);
    t.add("eve");
    let refused = t.unchanged(|| confirm(&t, &new));
    assert_eq!(refused.refused("email_taken")["status"], 409);
    t.operator().delete_account(&account("eve")).expect("eve");
    assert_eq!(confirm(&t, &new).status, 204);
    assert_eq!(shown(&t, &ann)["email"], email("eve"));
}

#[test]
fn two_who_race_for_one_address_do_not_both_get_it() {
    let t = open();
    let devices = ["ann", "bob"].map(|name| t.sign_in(name));
    let links: Vec<(String, String)> = ["ann", "bob"]
        .iter()
        .zip(&devices)
        .map(|(name, device)| {
            change(&t, device, &email("eve")).gives(200);
            both_links(&t, name, "eve")
        })
        .collect();
    let statuses: Vec<u16> = thread::scope(|scope| {
        let racers: Vec<_> = links
            .iter()
            .flat_map(|(present, new)| [present, new])
            .map(|token| scope.spawn(|| confirm(&t, token).status))
            .collect();
        let answers = racers.into_iter().map(|racer| racer.join().expect("one"));
        answers.collect()
    });
    let refused = statuses.iter().filter(|status| **status == 409).count();
    let confirmed = statuses.iter().filter(|status| **status == 204).count();
    assert_eq!((confirmed, refused), (3, 1), "{statuses:?}");
    assert_eq!(
        t.number("SELECT count(*) FROM account WHERE email_key = 'eve@example.org'"),
        1
    );
}

#[test] // req 11: nor does changing tell it
fn asking_for_a_taken_address_tells_only_where_registering_would() {
    let t = open();
    let ann = t.sign_in("ann");
    t.add("bob");
    t.unchanged_but_counted(|| change(&t, &ann, &email("bob")).refused("email_taken"));

    let t = proven_first();
    let ann = t.sign_in("ann");
    t.add("bob");
    let commits = || t.authd().statistics().commits;
    let answers = ["bob", "new"].map(|name| {
        let before = commits();
        let answer = change(&t, &ann, &email(name));
        let mut body = answer.gives(200);
        assert_eq!(body["pending_email"], email(name));
        body["pending_email"] = Value::Null;
        (body, headers(&answer), commits() - before)
    });
    assert_eq!(answers[0], answers[1]);
    assert_eq!(answers[0].2, 3, "two for the password, one for the change");
    let letters = t.mail();
    // The owner of the taken one is told, and nothing there confirms anything. What waited for it is replaced by now.
    let to: Vec<&str> = letters.iter().map(|letter| letter.to.as_str()).collect();
    assert_eq!(to, [email("bob"), email("ann"), email("new")]);
    assert!(link_token(&letters[0]).starts_with("ap_"));
}

#[test] // finding 22: a signed-in user who asks for one address after another is slowed down, also where registration is closed
fn a_search_for_taken_addresses_by_a_signed_in_user_is_limited() {
    let t = Harness::new();
    let ann = t.sign_in("ann");
    t.add("bob");
    let answers: Vec<u16> = (0..60)
        .map(|_| change(&t, &ann, &email("bob")).status)
        .collect();
    assert_eq!(answers[0], 409);
    assert_eq!(answers[59], 429);
}

#[test] // where the present mailbox is lost, an operator is the way
fn an_operator_hands_out_both_links_of_a_change() {
    let t = Harness::with(|terms| {
        terms.policy.verification = Verification::Required;
        terms.policy.sends_mail = false;
    });
    let ann = t.sign_in("ann");
    change(&t, &ann, &email("eve")).gives(200);
    let links = || t.operator().verification_links("ann").expect("links");
    let proves = |links: &[VerificationLink]| -> Vec<(Proves, String)> {
        let told = links.iter().map(|link| (link.proves, link.email.clone()));
        told.collect()
    };
    let first = links();
    assert_eq!(
        proves(&first),
        [
            (Proves::Address, email("ann")),
            (Proves::PresentAddress, email("ann")),
            (Proves::NewAddress, email("eve")),
        ]
    );
    assert_eq!(confirm(&t, &first[1].token).status, 204);
    let second = links();
    assert_eq!(
        proves(&second),
        [
            (Proves::Address, email("ann")),
            (Proves::NewAddress, email("eve"))
        ]
    );
    is_spent(&t, &first[2].token);
    assert_eq!(confirm(&t, &second[1].token).status, 204);
    assert_eq!(shown(&t, &ann)["email"], email("eve"));
}

#[test] // with mail off an operator is the only one who can let them in
fn an_operator_sees_who_waits() {
    let t = proven_first();
    assert!(
        t.authd()
            .waiting_registrations()
            .expect("a list")
            .is_empty()
    );
    for name in ["ann", "bob"] {
        assert_eq!(register(&t, name).status, 202);
    }
    let waiting = t.authd().waiting_registrations().expect("a list");
    let who: Vec<_> = waiting.iter().map(|one| one.email.clone()).collect();
    assert_eq!(who, [email("bob"), email("ann")]);
    assert_eq!(waiting[0].ip.to_string(), LAPTOP.ip);
    assert_eq!(waiting[0].expires_at, None, "its letter has not left");
    assert_eq!(confirm(&t, &link_token(&t.mail()[0])).status, 204);
    assert_eq!(t.authd().waiting_registrations().expect("a list").len(), 1);
}

#[test] // whoever closes the door means those on the doorstep, too
fn nobody_gets_in_by_a_link_after_registration_was_closed() {
    let mut t = proven_first();
    assert_eq!(register(&t, "ann").status, 202);
    let token = link_token(&t.mail()[0]);
    t.restart_with(|terms| terms.policy.registration = Registration::Closed);
    t.unchanged(|| confirm(&t, &token).refused("registration_closed"));
    t.restart_with(|terms| terms.policy.registration = Registration::Open);
    assert_eq!(confirm(&t, &token).status, 204);
    t.try_sign_in(LAPTOP, &email("ann"), PASSWORD).issued();
}
