//! Proof of addresses: what a letter proves, what typing an address does not, and what a stranger learns.

use std::thread;

use authd::http::message::Method;
use authd::service::Registration;
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

fn confirm(t: &Harness, token: &str) -> Answer {
    t.post("/v1/email-verification/confirm", json!({ "token": token }))
        .send()
}

/// Asserts that this token is no good, in the one way in which none is.
#[track_caller]
fn is_spent(t: &Harness, token: &str) {
    let refused = t.unchanged(|| confirm(t, token));
    assert_eq!(refused.refused("invalid_verification_token")["status"], 400);
}

fn shown(t: &Harness, device: &SignedIn) -> Value {
    t.with_token(device, Method::Get, "/v1/account")
        .send()
        .gives(200)
}

fn is_verified(t: &Harness, name: &str) -> bool {
    let found = t.authd().find_account(&account(name)).expect("an account");
    found.account.email_verified
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
    let won = statuses.iter().filter(|status| **status == 204).count();
    assert_eq!(won, 1, "{statuses:?}");
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
    t.authd().disable_account(&account("cid")).expect("cid");
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
                t.with_token(&ann, Method::Patch, "/v1/account")
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
    let page = t.unchanged(|| {
        t.ask(Method::Head, &format!("/verify?token={token}"))
            .send();
        t.ask(Method::Get, &format!("/verify?token={token}")).send()
    });
    assert_eq!(page.status, 200);
    assert_eq!(page.header("referrer-policy"), Some("no-referrer"));
    assert_eq!(page.header("cache-control"), Some("no-store"));
    assert!(page.text().contains(&token));
    for odd in ["%3Cscript%3E", "<script>", "ap_x", ""] {
        let page = t.ask(Method::Get, &format!("/verify?token={odd}")).send();
        assert!(page.text().contains("\"TOKEN\""), "{}", page.text());
    }
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
    t.authd().disable_account(&account("bob")).expect("bob");
    is_spent(&t, &token);
    t.authd().enable_account(&account("bob")).expect("bob");
    is_spent(&t, &token);

    t.add("cid");
    let token = mailed("cid");
    t.authd().delete_account(&account("cid")).expect("cid");
    is_spent(&t, &token);
}

#[test]
fn a_new_address_is_unproven_again() {
    let t = open();
    let ann = register(&t, "ann").issued();
    assert_eq!(confirm(&t, &link_token(&t.mail()[0])).status, 204);
    let change = |to: &str| {
        let body = json!({ "email": to, "current_password": PASSWORD });
        let answer = t.with_token(&ann, Method::Patch, "/v1/account").json(&body);
        answer.send().gives(200)
    };
    assert_eq!(change("ANN@example.org")["email_verified"], true);
    assert!(t.mail().is_empty());
    assert_eq!(change(&email("eve"))["email_verified"], false);
    let letters = t.mail();
    let letter = letters.iter().find(|letter| letter.to == email("eve"));
    assert_eq!(confirm(&t, &link_token(letter.expect("one"))).status, 204);
    assert_eq!(shown(&t, &ann)["email_verified"], true);
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
    let link = t.authd().reset_link(&account("bob")).expect("a link");
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
    assert_eq!(t.number("SELECT count(*) FROM link"), 0);
    let refused = t.unchanged(|| ask(&t, &email("ann")));
    let refused = refused.refused("no_mail");
    assert_eq!(refused["status"], 403);
    assert!(refused["detail"].to_string().contains("verify-link"));

    let link = || t.authd().verification_link(&account("ann"));
    let (first, second) = (link().expect("a link"), link().expect("a link"));
    assert_eq!(second.expires_at, START.plus(hours(24)));
    is_spent(&t, &first.token);
    assert_eq!(confirm(&t, &second.token).status, 204);
    t.unchanged(|| assert!(link().is_err(), "it is proven"));
    assert!(t.authd().verification_link(&account("nobody")).is_err());
}
