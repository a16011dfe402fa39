//! Refresh tokens: what each way of presenting one leads to, and what it must leave alone.

use std::collections::BTreeSet;
use std::fs;
use std::thread;

use authd::http::Method;
use authd::secret::{RefreshToken, Secret, TagKey};
use authd::service::{Device, Ended};
use serde_json::json;

use crate::harness::*;

/// How often one generation may be replayed.
const MOST_REPLAYS: usize = 128;

fn tag_key(t: &Harness) -> TagKey {
    let key = t
        .sql()
        .query_row("SELECT tag_key FROM server", [], |row| row.get(0));
    TagKey::from_bytes(key.expect("a key"))
}

/// A token with a genuine tag, whatever it says: what only who has the file could make.
fn forged(
    t: &Harness,
    like: &SignedIn,
    change: impl FnOnce(RefreshToken) -> RefreshToken,
) -> SignedIn {
    let key = tag_key(t);
    let token = RefreshToken::read(&like.refresh, &key).expect("its own token");
    SignedIn {
        refresh: change(token).reveal(&key),
        ..like.clone()
    }
}

fn family(t: &Harness, column: &str) -> i64 {
    t.number(&format!("SELECT {column} FROM refresh_family"))
}

#[test] // I1
fn the_live_token_is_exchanged_for_its_successor() {
    let t = Harness::new();
    let first = t.sign_in("ann");
    t.clock.advance(hours(1));
    let second = t.refresh(&first).issued();
    assert_ne!(first.refresh, second.refresh);
    assert_ne!(first.access, second.access);
    assert_eq!(first.session, second.session);
    assert!(t.is_open(&second));
    assert_eq!(t.number("SELECT count(*) FROM refresh_family"), 1);
    assert_eq!(family(&t, "generation"), 2);
    // A rotation is the normal case and no event.
    assert_eq!(t.events("ann"), ["account_created", "sign_in"]);
}

#[test] // I2, fault 24: a client that lost the answer asks again and gets the same
fn a_lost_answer_can_be_asked_for_again() {
    let t = Harness::new();
    let first = t.sign_in("ann");
    let second = t.refresh(&first).issued();
    t.clock.advance(seconds(60));
    let again = t.refresh(&first).issued();
    assert_eq!(again.refresh, second.refresh);
    assert_eq!(again.session, second.session);
    assert_ne!(again.access, second.access, "a fresh access token");
    assert!(t.is_open(&again));
    assert_eq!(family(&t, "generation"), 2);
    assert_eq!(t.events("ann"), ["account_created", "sign_in"]);
    t.refresh(&again).issued();
}

#[test] // I2, I6: the replay needs nothing that a restart forgets
fn a_lost_answer_survives_a_restart() {
    let mut t = Harness::new();
    let first = t.sign_in("ann");
    let second = t.refresh(&first).issued();
    t.restart();
    assert_eq!(t.refresh(&first).issued().refresh, second.refresh);
    t.refresh(&second).issued();
}

#[test] // I2, fault 23, CVE-2026-1035, CVE-2026-53517, CVE-2026-50631, CVE-2026-126280
fn sixty_four_threads_with_one_token_get_one_successor() {
    let t = Harness::new();
    let first = t.sign_in("ann");
    let successors: BTreeSet<String> = thread::scope(|scope| {
        let threads: Vec<_> = (0..64)
            .map(|_| scope.spawn(|| t.refresh(&first).issued().refresh))
            .collect();
        let answers = threads.into_iter().map(|thread| thread.join());
        answers.map(|answer| answer.expect("an answer")).collect()
    });
    assert_eq!(successors.len(), 1);
    assert_eq!(family(&t, "generation"), 2);
    assert_eq!(family(&t, "replays"), 63);
    assert_eq!(t.sessions("ann").len(), 1);
}

#[test] // I3: a revocation that is answered holds against rotations that are under way
fn no_rotation_survives_a_revocation() {
    let t = Harness::new();
    for _ in 0..8 {
        let device = t.sign_in("ann");
        let late = thread::scope(|scope| {
            let rotating = scope.spawn(|| {
                let mut held = device.clone();
                loop {
                    let answer = t.refresh(&held);
                    if answer.status == 401 {
                        return held;
                    }
                    held = answer.issued();
                }
            });
            let ended = t.operator().revoke_sessions(&account("ann"));
            assert_eq!(ended.expect("an account"), 1);
            assert!(t.sessions("ann").is_empty());
            rotating.join().expect("the rotating thread")
        });
        t.refresh(&late).refused("invalid_grant");
        t.refresh(&device).refused("invalid_grant");
        assert!(!t.is_open(&late));
        assert!(t.sessions("ann").is_empty());
    }
}

#[test] // req 47, RFC 9700 §4.14.2
fn reuse_ends_every_session_of_the_family() {
    let t = Harness::new();
    let laptop = t.sign_in("ann");
    let phone = t.sign_in_on(PHONE, "ann");
    let next = t.refresh(&laptop).issued();
    t.clock.advance(minutes(5));
    t.refresh(&laptop).refused("invalid_grant");
    t.refresh(&next).refused("invalid_grant");
    assert!(!t.is_open(&next));
    // The owner's other device is left alone.
    assert_eq!(t.sessions("ann").len(), 1);
    t.refresh(&phone).issued();
}

#[test] // I4: the verdict is in the file, synced, when it is answered
fn a_verdict_of_reuse_is_durable_before_it_is_answered() {
    let t = Harness::new();
    let first = t.sign_in("ann");
    t.refresh(&first).issued();
    t.clock.advance(minutes(5));
    t.refresh(&first).refused("invalid_grant");
    // What a crash at this moment would leave: the file and its WAL, without the server's closing words.
    let crashed = tempfile::tempdir().expect("a directory");
    for file in ["authd.db", "authd.db-wal"] {
        fs::copy(t.path().with_file_name(file), crashed.path().join(file)).expect("a copy");
    }
    let db = rusqlite::Connection::open(crashed.path().join("authd.db")).expect("the copy");
    let (ended, revoked, events): (String, String, i64) = db
        .query_row(
            "SELECT s.end_reason, f.revoke_reason, \
             (SELECT count(*) FROM event WHERE kind = 'refresh_token_reused') \
             FROM session s JOIN refresh_family f ON f.session_id = s.id",
            [],
            |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)),
        )
        .expect("one session");
    assert_eq!(
        (ended.as_str(), revoked.as_str(), events),
        ("refresh_token_reused", "refresh_token_reused", 1)
    );
}

#[test] // req 47: the owner can tell both devices apart, and how far apart they were
fn the_event_of_a_reuse_names_both_devices() {
    let t = Harness::new();
    let laptop = t.sign_in("ann");
    t.refresh(&laptop).issued();
    t.clock.advance(minutes(5));
    t.refresh(&laptop.copied_to(THIEF)).refused("invalid_grant");
    let events = t.events_of("ann", "refresh_token_reused");
    assert_eq!(events.len(), 1);
    let event = &events[0];
    assert_eq!(event.ip.map(|ip| ip.to_string()).as_deref(), Some(THIEF.ip));
    assert_eq!(event.user_agent.as_deref(), Some(THIEF.agent));
    assert_eq!(event.session.map(|id| id.to_string()), Some(laptop.session));
    let detail = event.detail.as_ref().expect("a detail");
    assert_eq!(detail["rotated"]["ip"], LAPTOP.ip);
    assert_eq!(detail["rotated"]["user_agent"], LAPTOP.agent);
    assert_eq!(detail["rotated"]["at"], START.to_string());
    assert_eq!(detail["seconds_since_rotation"], 300);
    assert_eq!(detail["generation"], 1);
    assert_eq!(detail["live_generation"], 2);
}

#[test] // an unused successor may mean a laptop that slept: the words do not accuse
fn a_late_retry_is_told_from_a_copy() {
    let finding = |t: &Harness| {
        t.events_of("ann", "refresh_token_reused")[0]
            .detail
            .clone()
            .expect("a detail")["finding"]
            .clone()
    };
    let t = Harness::new();
    let first = t.sign_in("ann");
    t.refresh(&first).issued();
    t.clock.advance(seconds(61));
    t.refresh(&first).refused("invalid_grant");
    assert_eq!(finding(&t), "retried late or copied");

    let t = Harness::new();
    let first = t.sign_in("ann");
    let second = t.refresh(&first).issued();
    t.refresh(&second).issued();
    // Two generations old, and inside the window: the window is the predecessor's alone.
    t.refresh(&first).refused("invalid_grant");
    assert_eq!(finding(&t), "copied");
    assert!(t.sessions("ann").is_empty());
}

#[test]
fn the_window_ends_when_it_says() {
    for (after, fine) in [(59, true), (60, true), (61, false)] {
        let t = Harness::new();
        let first = t.sign_in("ann");
        t.refresh(&first).issued();
        t.clock.advance(seconds(after));
        assert_eq!(t.refresh(&first).status == 200, fine, "after {after} s");
        assert_eq!(t.sessions("ann").len(), usize::from(fine));
    }
}

#[test] // finding 18: a window of zero closes that of an Idempotency-Key as well
fn without_a_window_every_retry_is_reuse() {
    let t = Harness::with(|terms| terms.policy.replay_window = seconds(0));
    let first = t.sign_in("ann");
    t.refresh_with_key(&first, "5f0c").issued();
    t.refresh_with_key(&first, "5f0c").refused("invalid_grant");
    assert!(t.sessions("ann").is_empty());
}

#[test] // finding 18: a client does not believe in a key that was ignored
fn an_idempotency_key_that_is_not_text_is_refused_and_rotates_nothing() {
    let t = Harness::new();
    let first = t.sign_in("ann");
    let refresh = |key: &[u8]| {
        let body = json!({ "refresh_token": first.refresh });
        let asked = t.post("/v1/sessions/refresh", body);
        asked.header("idempotency-key", key).send()
    };
    t.unchanged(|| refresh(b"\xff\xfe").refused("invalid_request"));
    refresh(b"5f0c").issued();
}

#[test]
fn without_a_window_every_second_use_is_reuse() {
    let t = Harness::with(|terms| terms.policy.replay_window = seconds(0));
    let first = t.sign_in("ann");
    t.refresh(&first).issued();
    t.refresh(&first).refused("invalid_grant");
    assert!(t.sessions("ann").is_empty());
}

#[test] // a window of one's own, as a client may ask for it
fn a_clients_own_window_takes_the_place_of_the_configured_one() {
    let t = Harness::new();
    t.execute("UPDATE client SET replay_window = 86400");
    let first = t.sign_in("ann");
    let second = t.refresh(&first).issued();
    t.clock.advance(hours(24));
    assert_eq!(t.refresh(&first).issued().refresh, second.refresh);
    t.clock.advance(seconds(1));
    t.refresh(&first).refused("invalid_grant");
}

#[test] // a laptop that slept over the answer
fn a_retry_with_the_same_idempotency_key_is_served_for_a_day() {
    let t = Harness::new();
    let first = t.sign_in("ann");
    let second = t.refresh_with_key(&first, "5f0c").issued();
    t.clock.advance(hours(24));
    let again = t.refresh_with_key(&first, "5f0c").issued();
    assert_eq!(again.refresh, second.refresh);
    t.clock.advance(seconds(1));
    t.refresh_with_key(&first, "5f0c").refused("invalid_grant");
    assert!(t.sessions("ann").is_empty());
}

#[test]
fn another_idempotency_key_or_none_serves_the_window_only() {
    for key in [Some("other"), None] {
        let t = Harness::new();
        let first = t.sign_in("ann");
        t.refresh_with_key(&first, "5f0c").issued();
        t.clock.advance(minutes(2));
        let late = match key {
            Some(key) => t.refresh_with_key(&first, key),
            None => t.refresh(&first),
        };
        late.refused("invalid_grant");
        assert!(t.sessions("ann").is_empty(), "{key:?}");
    }
}

#[test]
fn an_idempotency_key_is_worth_nothing_once_the_successor_was_used() {
    let t = Harness::new();
    let first = t.sign_in("ann");
    let second = t.refresh_with_key(&first, "5f0c").issued();
    t.refresh_with_key(&second, "5f0c").issued();
    t.refresh_with_key(&first, "5f0c").refused("invalid_grant");
    assert_eq!(t.events_of("ann", "refresh_token_reused").len(), 1);
}

#[test]
fn an_idempotency_key_is_one_and_of_bounded_length() {
    let t = Harness::new();
    let first = t.sign_in("ann");
    t.unchanged(|| {
        t.refresh_with_key(&first, "").refused("invalid_request");
        let long = "k".repeat(256);
        t.refresh_with_key(&first, &long).refused("invalid_request");
        let body = serde_json::json!({ "refresh_token": first.refresh });
        let twice = t.post("/v1/sessions/refresh", body);
        let twice = twice
            .header("idempotency-key", "a")
            .header("idempotency-key", "b");
        twice.send().refused("invalid_request");
    });
    t.refresh_with_key(&first, &"k".repeat(255)).issued();
}

#[test] // replays are bounded, and running out of them costs nobody the session
fn the_129th_replay_is_refused_and_changes_nothing() {
    let t = Harness::new();
    let first = t.sign_in("ann");
    let second = t.refresh(&first).issued();
    for _ in 0..MOST_REPLAYS {
        assert_eq!(t.refresh(&first).issued().refresh, second.refresh);
    }
    t.clock.advance(seconds(20));
    let answer = t.unchanged(|| t.refresh(&first));
    answer.refused("too_many_requests");
    assert_eq!(answer.status, 429);
    // Whoever came back when it said so would come after the window, and be taken for a thief.
    assert_eq!(answer.header("retry-after"), None);
    assert!(t.is_open(&second));
    // The successor has replays of its own.
    let third = t.refresh(&second).issued();
    assert_eq!(t.refresh(&second).issued().refresh, third.refresh);
}

#[test] // I5: nobody can sign anybody out by guessing
fn garbage_changes_nothing() {
    let t = Harness::new();
    let ann = t.sign_in("ann");
    let stranger = Harness::new();
    let transactions = t.authd().statistics().transactions;
    let mut half = ann.refresh.clone();
    half.truncate(50);
    let mut other_tag = ann.refresh.clone();
    other_tag.replace_range(80..81, if &other_tag[80..81] == "A" { "B" } else { "A" });
    let other_server = SignedIn {
        refresh: {
            let key = TagKey::from_bytes([7; 32]);
            let genuine = RefreshToken::read(&ann.refresh, &tag_key(&t)).expect("a token");
            genuine.reveal(&key)
        },
        ..ann.clone()
    };
    t.unchanged(|| {
        for token in [
            "",
            "ar_",
            "x",
            &ann.access,
            &half,
            &other_tag,
            &other_server.refresh,
        ] {
            let bad = SignedIn {
                refresh: token.to_owned(),
                ..ann.clone()
            };
            let answer = t.refresh(&bad);
            answer.refused("invalid_grant");
            assert_eq!(answer.status, 401);
        }
    });
    // A bad tag is refused without touching the database.
    assert_eq!(t.authd().statistics().transactions, transactions);
    stranger.unchanged(|| stranger.refresh(&ann).refused("invalid_grant"));
    t.refresh(&ann).issued();
}

#[test] // I5
fn a_genuine_token_of_no_family_changes_nothing() {
    let t = Harness::new();
    let ann = t.sign_in("ann");
    let unknown = forged(&t, &ann, |token| RefreshToken {
        family: authd::ids::FamilyId::from_bytes([7; 16]),
        ..token
    });
    t.unchanged(|| t.refresh(&unknown).refused("invalid_grant"));
    t.refresh(&ann).issued();
}

#[test] // I5, req 48, CVE-2026-53512, CVE-2026-28513: revocation must not be a weapon
fn another_clients_token_is_refused_and_left_alone() {
    let t = Harness::new();
    let ann = t.sign_in("ann");
    let rotated = t.refresh(&ann).issued();
    t.execute("INSERT INTO client (id, client_id, name, created_at) VALUES (2, 'wiki', 'Wiki', 0)");
    t.execute("UPDATE refresh_family SET client_id = 2");
    t.clock.advance(minutes(5));
    let newer = forged(&t, &rotated, |token| RefreshToken {
        generation: 9,
        ..token
    });
    // The live one, one that would be reuse, one that would be a rollback.
    for token in [&rotated, &ann, &newer] {
        t.unchanged(|| t.refresh(token).refused("invalid_grant"));
    }
    t.execute("UPDATE refresh_family SET client_id = 1");
    t.refresh(&rotated).issued();
}

#[test] // each replay from elsewhere is told to the owner; three generations in a row are theft
fn following_in_lockstep_is_found_out() {
    let t = Harness::new();
    let mut held = t.sign_in("ann");
    for generation in 1..=2 {
        let next = t.refresh(&held).issued();
        let stolen = t.refresh(&held.copied_to(THIEF)).issued();
        assert_eq!(stolen.refresh, next.refresh);
        let seen = t.events_of("ann", "refresh_replayed_elsewhere");
        assert_eq!(seen.len(), generation);
        let last = seen.last().expect("an event");
        assert_eq!(last.ip.map(|ip| ip.to_string()).as_deref(), Some(THIEF.ip));
        let detail = last.detail.as_ref().expect("a detail");
        assert_eq!(detail["generations_in_a_row"], generation);
        assert_eq!(detail["rotated"]["ip"], LAPTOP.ip);
        held = next;
        t.clock.advance(minutes(20));
    }
    let next = t.refresh(&held).issued();
    t.refresh(&held.copied_to(THIEF)).refused("invalid_grant");
    t.refresh(&next).refused("invalid_grant");
    let reuse = t.events_of("ann", "refresh_token_reused");
    let detail = reuse[0].detail.as_ref().expect("a detail");
    assert_eq!(detail["finding"], "followed in lockstep");
    assert!(t.sessions("ann").is_empty());
}

#[test] // finding 25: a thief must not push older events out by replaying one token again and again
fn replays_in_one_generation_are_one_event() {
    let t = Harness::new();
    let held = t.sign_in("ann");
    t.refresh(&held).issued();
    let stolen = held.copied_to(THIEF);
    for _ in 0..MOST_REPLAYS {
        t.refresh(&stolen).issued();
    }
    let told = t.refresh(&stolen).refused("too_many_requests");
    assert!(
        told["detail"]
            .as_str()
            .expect("a text")
            .contains("Do not send it again")
    );
    assert_eq!(t.events_of("ann", "refresh_replayed_elsewhere").len(), 1);
}

#[test] // a phone that changed networks once, or a browser that updated itself, is no thief
fn a_stranger_differs_in_address_and_in_user_agent_and_again_and_again() {
    let t = Harness::new();
    let mut held = t.sign_in("ann");
    let moved = Place::new(THIEF.ip, LAPTOP.agent);
    let updated = Place::new(LAPTOP.ip, "Firefox, the next");
    for place in [moved, updated, moved, updated, moved] {
        let next = t.refresh(&held).issued();
        t.refresh(&held.copied_to(place)).issued();
        held = next;
    }
    assert!(t.events_of("ann", "refresh_replayed_elsewhere").is_empty());
    // With a generation in between that nobody else replayed, the count begins anew.
    for round in 0..6 {
        let next = t.refresh(&held).issued();
        if round % 3 != 2 {
            t.refresh(&held.copied_to(THIEF)).issued();
        }
        held = next;
    }
    // Many replays of one generation count once.
    let next = t.refresh(&held).issued();
    for _ in 0..5 {
        t.refresh(&held.copied_to(THIEF)).issued();
    }
    t.refresh(&next).issued();
}

#[test] // a token that is newer than the file is genuine all the same, and not theft
fn a_file_that_went_back_in_time_is_found_out() {
    let mut t = Harness::new();
    let first = t.sign_in("ann");
    let old = t.stopped(|path| fs::read(path).expect("the file"));
    let second = t.refresh(&first).issued();
    let third = t.refresh(&second).issued();
    t.stopped(|path| fs::write(path, old).expect("the old file"));
    let readiness = |t: &Harness| t.ask(Method::GET, "/readyz").send();
    assert_eq!(readiness(&t).text(), "ready\n");
    t.refresh(&third).refused("invalid_grant");
    assert_eq!(readiness(&t).status, 200);
    assert_eq!(readiness(&t).text(), "ready\nwarning: file_rolled_back\n");
    assert!(t.sessions("ann").is_empty());
    let events = t.events("ann");
    assert_eq!(events.last().map(String::as_str), Some("file_rolled_back"));
    assert!(!events.contains(&"refresh_token_reused".to_owned()));
    t.refresh(&first).refused("invalid_grant");
}

#[test] // the same after the old file has gone on by itself: two lives of one generation
fn a_token_of_another_life_of_the_file_is_found_out() {
    let mut t = Harness::new();
    let first = t.sign_in("ann");
    let old = t.stopped(|path| fs::read(path).expect("the file"));
    let second = t.refresh(&first).issued();
    t.stopped(|path| fs::write(path, old).expect("the old file"));
    let other_second = t.refresh(&first).issued();
    assert_ne!(second.refresh, other_second.refresh);
    t.refresh(&second).refused("invalid_grant");
    t.refresh(&other_second).refused("invalid_grant");
    assert_eq!(t.events_of("ann", "file_rolled_back").len(), 1);

    // And where the seal was closed for the other life's token.
    let t = Harness::new();
    let first = t.sign_in("bob");
    t.refresh(&first).issued();
    let stranger = forged(&t, &first, |token| RefreshToken {
        secret: Secret::from_bytes([7; 32]),
        ..token
    });
    t.refresh(&stranger).refused("invalid_grant");
    assert_eq!(t.events_of("bob", "file_rolled_back").len(), 1);
}

#[test]
fn the_last_generation_is_refused_and_never_wrapped() {
    let t = Harness::new();
    let ann = t.sign_in("ann");
    t.execute("UPDATE refresh_family SET generation = 4294967295");
    let last = forged(&t, &ann, |token| RefreshToken {
        generation: u32::MAX,
        ..token
    });
    t.refresh(&last).refused("invalid_grant");
    t.refresh(&last).refused("invalid_grant");
    assert_eq!(family(&t, "generation"), i64::from(u32::MAX));
    assert_eq!(family(&t, "revoked_at IS NULL"), 1);
    let refused = t.events_of("ann", "refresh_refused");
    assert_eq!(refused.len(), 1, "the owner is told once");
}

#[test] // req 34: a session that was not used for its idle lifetime is over
fn an_idle_session_expires_and_use_keeps_it() {
    let t = Harness::new();
    let mut held = t.sign_in("ann");
    for _ in 0..3 {
        t.clock.advance(days(29));
        held = t.refresh(&held).issued();
    }
    t.clock.advance(days(30) - seconds(1));
    assert_eq!(t.sessions("ann").len(), 1);
    held = t.refresh(&held).issued();
    t.clock.advance(days(30));
    assert!(t.sessions("ann").is_empty());
    t.refresh(&held).refused("invalid_grant");
    assert!(!t.is_open(&held));
    // Time ended it: nobody revoked it, and nobody stole anything.
    assert_eq!(
        t.events("ann").last().map(String::as_str),
        Some("refresh_refused")
    );
}

#[test] // req 34, I7
fn no_successor_outlives_the_absolute_end() {
    let t = Harness::new();
    let mut held = t.sign_in("ann");
    assert_eq!(held.refresh_expires_in, days(30).as_secs());
    for day in (10..180).step_by(10) {
        t.clock.advance(days(10));
        held = t.refresh(&held).issued();
        let left = days(180 - day).min(days(30)).as_secs();
        assert_eq!(held.refresh_expires_in, left, "on day {day}");
    }
    t.clock.advance(days(10) - seconds(1));
    let last = t.refresh(&held).issued();
    assert_eq!(last.refresh_expires_in, 1);
    t.clock.advance(seconds(1));
    t.refresh(&last).refused("invalid_grant");
    t.refresh(&held).refused("invalid_grant");
    assert!(t.sessions("ann").is_empty());
}

#[test] // I10, CVE-2026-43983
fn a_disabled_account_refreshes_nothing_and_enabling_revives_nothing() {
    let t = Harness::new();
    let ann = t.sign_in("ann");
    let (_, ended) = t.operator().disable_account(&account("ann")).expect("ann");
    assert_eq!(ended, 1);
    t.refresh(&ann).refused("invalid_grant");
    t.operator().enable_account(&account("ann")).expect("ann");
    t.refresh(&ann).refused("invalid_grant");
    assert!(!t.is_open(&ann));
    t.sign_in("ann");
}

#[test] // CVE-2026-43983: also where only the account's row says so
fn a_family_is_judged_by_its_account() {
    let t = Harness::new();
    let ann = t.sign_in("ann");
    t.execute("UPDATE account SET disabled_at = 1");
    t.refresh(&ann).refused("invalid_grant");
    assert!(!t.is_open(&ann));
    assert_eq!(family(&t, "generation"), 1);
}

#[test] // I11
fn nothing_from_an_older_epoch_works() {
    let mut t = Harness::new();
    let ann = t.sign_in("ann");
    t.execute("UPDATE server SET epoch = epoch + 1");
    t.restart();
    // A restore also empties the sessions (tests/it/restore.rs); the number alone ends the families.
    t.refresh(&ann).refused("invalid_grant");
    let anew = t.sign_in("ann");
    t.refresh(&anew).issued();
}

#[test] // I3, CVE-2026-9802
fn a_restart_revives_nothing() {
    let mut t = Harness::new();
    let (signed_out, reused) = (t.sign_in("ann"), t.sign_in_on(PHONE, "ann"));
    t.sign_out(&signed_out).gives(204);
    let successor = t.refresh(&reused).issued();
    t.clock.advance(minutes(5));
    t.refresh(&reused).refused("invalid_grant");
    t.restart();
    for dead in [&signed_out, &reused, &successor] {
        t.refresh(dead).refused("invalid_grant");
        assert!(!t.is_open(dead));
    }
}

#[test] // the owner is told once, however often a dead token knocks
fn a_dead_token_that_keeps_asking_makes_one_event() {
    let t = Harness::new();
    let ann = t.sign_in("ann");
    t.sign_out(&ann).gives(204);
    for _ in 0..20 {
        t.refresh(&ann).refused("invalid_grant");
    }
    assert_eq!(t.events_of("ann", "refresh_refused").len(), 1);
    assert_eq!(t.number("SELECT count(*) FROM refresh_family"), 1);
}

#[test] // every refusal looks alike: nobody learns from outside what was wrong
fn refusals_do_not_tell_their_cause() {
    let t = Harness::new();
    let (ended, copied) = (t.sign_in("ann"), t.sign_in_on(PHONE, "ann"));
    t.sign_out(&ended).gives(204);
    t.refresh(&copied).issued();
    t.clock.advance(minutes(5));
    let garbage = SignedIn {
        refresh: "ar_x".to_owned(),
        ..ended.clone()
    };
    let bodies: BTreeSet<String> = [&ended, &copied, &garbage]
        .map(|token| {
            let mut body = t.refresh(token).refused("invalid_grant");
            body["request_id"].take();
            body.to_string()
        })
        .into();
    assert_eq!(bodies.len(), 1, "{bodies:?}");
}

// What the systems before authd could do with their table of tokens, by its meaning.

#[test] // create with family, expiry, session, device name, address
fn a_sign_in_records_device_address_and_end() {
    let t = Harness::new();
    t.add("ann");
    let body = serde_json::json!({ "login": "ann", "password": PASSWORD, "device_name": "Kitchen tablet" });
    let device = t.post("/v1/sessions", body).from(PHONE).send().issued();
    let open = &t.sessions("ann")[0];
    assert_eq!(open.id.to_string(), device.session);
    assert_eq!(open.device_name.as_deref(), Some("Kitchen tablet"));
    assert_eq!(open.ip.to_string(), PHONE.ip);
    assert_eq!(open.user_agent.as_deref(), Some(PHONE.agent));
    assert_eq!(open.created_at, START);
    assert_eq!(open.expires_at, START.plus(days(30)));
    assert_eq!(family(&t, "expires_at"), START.plus(days(180)).as_unix());
}

#[test] // find by hash; find valid by hash
fn a_token_is_found_by_its_digest_and_whether_it_is_good() {
    let t = Harness::new();
    let first = t.sign_in("ann");
    let second = t.refresh(&first).issued();
    let find = |token: &SignedIn| t.authd().find_refresh_token(&token.refresh);
    let live = find(&second).expect("the live token");
    assert!(live.valid);
    assert_eq!((live.generation, live.client_id.as_str()), (2, "authd"));
    assert_eq!(live.email, email("ann"));
    assert_eq!(live.session.to_string(), second.session);
    assert_eq!(live.expires_at, START.plus(days(180)));
    assert!(!find(&first).expect("an old token").valid);
    t.clock.advance(days(30));
    assert!(!find(&second).expect("an expired token").valid);
    let other = forged(&t, &second, |token| RefreshToken {
        secret: Secret::from_bytes([7; 32]),
        ..token
    });
    assert!(!find(&other).expect("another secret").valid);
    assert!(t.authd().find_refresh_token("ar_x").is_err());
}

#[test] // revoke one; revoke a family, returning the count
fn a_token_that_was_found_somewhere_ends_its_session() {
    let t = Harness::new();
    let old = t.sign_in("ann");
    let other = t.sign_in_on(PHONE, "ann");
    let live = t.refresh(&old).issued();
    let revoke = |token: &SignedIn| {
        t.operator()
            .revoke_refresh_token(&token.refresh, Ended::Operator)
    };
    assert_eq!(revoke(&old).expect("its family"), 1);
    assert_eq!(revoke(&live).expect("its family"), 0, "it had ended");
    t.refresh(&live).refused("invalid_grant");
    t.refresh(&other).issued();
    let ended = t.events_of("ann", "session_ended");
    assert_eq!(ended.len(), 1);
    assert!(
        t.operator()
            .revoke_refresh_token("ar_x", Ended::Operator)
            .is_err()
    );
}

#[test] // revoke all of an account, returning the count
fn all_sessions_of_an_account_end_at_once() {
    let t = Harness::new();
    let devices = [LAPTOP, PHONE, THIEF].map(|place| t.sign_in_on(place, "ann"));
    let bob = t.sign_in("bob");
    let count = || t.operator().revoke_sessions(&account("ann")).expect("ann");
    assert_eq!(count(), 3);
    assert_eq!(count(), 0);
    for device in &devices {
        t.refresh(device).refused("invalid_grant");
    }
    t.refresh(&bob).issued();
    let events = t.events_of("ann", "sessions_ended");
    assert_eq!(events.len(), 1);
    assert_eq!(events[0].detail.as_ref().expect("a detail")["sessions"], 3);
}

#[test] // list and revoke by account and token id
fn a_session_ends_for_its_own_account_only() {
    let t = Harness::new();
    let (ann, bob) = (t.sign_in("ann"), t.sign_in("bob"));
    let id = t.sessions("ann")[0].id;
    t.unchanged(|| {
        let refused = t.operator().revoke_session(&account("bob"), id);
        assert!(refused.is_err());
    });
    t.operator()
        .revoke_session(&account("ann"), id)
        .expect("her session");
    t.refresh(&ann).refused("invalid_grant");
    t.refresh(&bob).issued();
}

#[test] // delete what has expired, returning the count
fn what_has_expired_is_deleted_and_counted() {
    let t = Harness::new();
    t.sign_in("ann");
    t.sign_in_on(PHONE, "ann");
    t.clock.advance(days(29));
    let kept = t.sign_in("bob");
    t.clock.advance(days(1));
    let swept = t.authd().sweep().expect("a sweep");
    assert_eq!(swept.sessions, 2);
    assert_eq!(t.number("SELECT count(*) FROM refresh_family"), 1);
    assert_eq!(t.authd().sweep().expect("a sweep").sessions, 0);
    t.refresh(&kept).issued();
}

#[test] // a device that calls itself something else at every turn does not fill the disk
fn user_agents_are_bounded() {
    let t = Harness::new();
    let mut device = t.sign_in("ann");
    // Texts of one slice, as if there were 64 times as many. Without the key no client can find them (finding 25).
    let key = tag_key(&t);
    let agents = (0..)
        .map(|n| format!("agent {n}"))
        .filter(|agent| key.agent_key(agent).as_row() >> 57 == 7);
    for agent in agents.take(200) {
        let device_now = Device::new(device.place.ip.parse().expect("an address"), &agent);
        let grant = t.authd().refresh(&device.refresh, None, &device_now);
        let grant = grant.expect("its own token");
        assert_eq!(grant.session.user_agent.as_deref(), Some(agent.as_str()));
        device.refresh = grant.refresh_token;
    }
    let kept = t.number("SELECT count(*) FROM user_agent WHERE text LIKE 'agent %'");
    assert_eq!(kept, 160);
    t.refresh(&device).issued();
}
