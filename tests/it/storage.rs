//! While storage is short nothing is stored on behalf of strangers, and account owners notice nothing.

use authd::http::Method;
use authd::service::{NewInvitation, Registration, Verification};
use serde_json::json;

use crate::harness::*;

/// The bound of the file: the smallest that the settings accept.
const BOUND: u64 = 1 << 20;

/// A server with open registration and a bound, on which ann has an account.
fn bounded() -> (Harness, SignedIn) {
    let t = Harness::with(|terms| {
        terms.policy.registration = Registration::Open;
        terms.max_size = Some(BOUND);
    });
    let ann = t.sign_in("ann");
    (t, ann)
}

/// A client in a network of its own.
fn stranger(number: usize) -> Place {
    let ip = format!("10.{}.{}.1", number / 250, number % 250);
    Place::new(Box::leak(ip.into_boxed_str()), "a stranger")
}

fn register(t: &Harness, number: usize, name: &str) -> Answer {
    let body = json!({ "email": email(name), "password": PASSWORD });
    t.post("/v1/accounts", body).from(stranger(number)).send()
}

/// Strangers register until the server takes no more.
fn fill(t: &Harness) {
    let refused = (0..2000)
        .map(|number| register(t, number, &format!("stranger{number}")))
        .find(|answer| answer.status != 201);
    assert_storage_low(&refused.expect("strangers filled the file"));
    t.authd().housekeep().expect("a round");
}

#[track_caller]
fn assert_storage_low(answer: &Answer) {
    assert_eq!(answer.refused("storage_low")["status"], 503);
    assert_eq!(answer.header("retry-after"), Some("60"));
}

fn readiness(t: &Harness) -> Answer {
    t.ask(Method::GET, "/readyz").send()
}

/// The part of the bound that is in use, in percent.
fn percent(t: &Harness) -> u64 {
    let pages = t
        .number("SELECT page_count - freelist_count FROM pragma_page_count, pragma_freelist_count");
    pages.unsigned_abs() * 4096 * 100 / BOUND
}

#[test] // finding 20: strangers fill max_db_size; the owner of an account signs in all the same
fn strangers_cannot_fill_the_file_up() {
    let (mut t, ann) = bounded();
    assert_eq!(readiness(&t).text(), "ready\n");
    fill(&t);
    assert!((80..85).contains(&percent(&t)), "{} %", percent(&t));
    let ready = readiness(&t);
    assert_eq!(ready.status, 200);
    assert_eq!(ready.text(), "ready\nwarning: storage_low\n");

    // Nothing that a stranger asks for is stored.
    t.unchanged(|| {
        for target in ["/v1/password-reset", "/v1/email-verification"] {
            for name in ["ann", "nobody"] {
                let asked = t.post(target, json!({ "email": email(name) }));
                assert_storage_low(&asked.from(THIEF).send());
            }
        }
        assert_storage_low(&register(&t, 3000, "ann"));
        assert_storage_low(&register(&t, 3000, "somebody"));
    });

    // The owner and the operator go on.
    let phone = t.try_sign_in(PHONE, "ann@example.org", PASSWORD).issued();
    let ann = t.refresh(&ann).issued();
    let ann = t.change_password(&ann, PASSWORD, NEW_PASSWORD).issued();
    assert!(!t.is_open(&phone));
    t.sign_out(&ann).gives(204);
    t.add("bob");
    t.try_sign_in(PHONE, "ann@example.org", NEW_PASSWORD)
        .issued();

    // A bound that is raised is room.
    t.restart_with(|terms| terms.max_size = Some(8 * BOUND));
    assert_eq!(readiness(&t).text(), "ready\n");
    register(&t, 3000, "somebody").issued();
}

#[test] // finding 20
fn room_that_is_made_ends_the_shortage() {
    let (t, _) = bounded();
    fill(&t);
    t.execute("DELETE FROM account WHERE email LIKE 'stranger%'");
    t.authd().housekeep().expect("a round");
    assert_eq!(readiness(&t).text(), "ready\n");
    register(&t, 3000, "somebody").issued();
}

#[test] // finding 20: a shortage tells nobody which logins exist, and lifts no limit
fn guesses_while_storage_is_short_are_limited_and_leave_no_rows() {
    let (t, _) = bounded();
    fill(&t);
    let events = t.number("SELECT count(*) FROM event");
    let guess = |place, login: &str| t.try_sign_in(place, login, "not the password");
    for login in ["ann@example.org", "nobody@example.org"] {
        for _ in 0..10 {
            guess(THIEF, login).refused("invalid_credentials");
        }
        guess(THIEF, login).refused("too_many_requests");
    }
    assert_eq!(t.number("SELECT count(*) FROM event"), events);

    // However many networks the guesses come from, their rows do not fill the file.
    let rows = || t.number("SELECT count(*) FROM throttle");
    let before = rows();
    for number in 3000..3800 {
        guess(stranger(number), "nobody@example.org").refused("invalid_credentials");
    }
    assert!(rows() < before + 2000, "{} rows", rows());
    assert!(percent(&t) <= 91, "{} %", percent(&t));
    t.try_sign_in(PHONE, "ann@example.org", PASSWORD).issued();
}

#[test] // finding 20
fn an_invitation_works_while_storage_is_short() {
    let (t, _) = bounded();
    fill(&t);
    let new = NewInvitation {
        email: None,
        group: None,
        lifetime: days(7),
        is_mailed: false,
    };
    let invited = t.operator().invite(&new).expect("an invitation");
    let body = json!({
        "email": "bob@example.org", "password": PASSWORD, "invite": invited.token.expect("it is printed"),
    });
    t.post("/v1/accounts", body).send().issued();
}

#[test] // finding 20
fn registrations_that_wait_for_their_proof_are_refused_as_well() {
    let (mut t, _) = bounded();
    fill(&t);
    t.restart_with(|terms| terms.policy.verification = Verification::Required);
    // The taken address and the free one look alike.
    t.unchanged(|| {
        assert_storage_low(&register(&t, 3000, "ann"));
        assert_storage_low(&register(&t, 3000, "somebody"));
    });
}
