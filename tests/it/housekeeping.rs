//! Housekeeping, and clocks that lie.

use authd::clock::{Standing, Timestamp};
use authd::service::Swept;

use crate::harness::*;

const YEAR: i64 = 365 * 86_400;

fn sweep(t: &Harness) -> Swept {
    t.authd().sweep().expect("a sweep")
}

#[test] // an ended session is remembered for a day, so that its tokens are told from garbage
fn what_has_ended_goes_an_hour_later() {
    let t = Harness::new();
    let ann = t.sign_in("ann");
    t.sign_out(&ann).gives(204);
    t.clock.advance(hours(1));
    assert_eq!(sweep(&t).sessions, 0);
    t.clock.advance(seconds(1));
    assert_eq!(sweep(&t).sessions, 1);
    assert_eq!(t.number("SELECT count(*) FROM refresh_family"), 0);
    t.unchanged(|| t.refresh(&ann).refused("invalid_grant"));
}

#[test] // what lives is never swept, however many there are
fn what_is_in_use_stays() {
    let t = Harness::new();
    t.add("ann");
    for _ in 0..50 {
        t.sign_in("ann");
    }
    let mut kept = t.sign_in_on(PHONE, "ann");
    for _ in 0..5 {
        t.clock.advance(days(20));
        kept = t.refresh(&kept).issued();
        sweep(&t);
    }
    assert_eq!(t.sessions("ann").len(), 1);
    assert_eq!(t.number("SELECT count(*) FROM session"), 1);
    let listed = t.sessions("ann");
    assert_eq!(
        listed[0].user_agent.as_deref(),
        Some(PHONE.agent),
        "its text is still known"
    );
}

#[test]
fn old_events_and_forgotten_failures_go() {
    let t = Harness::with(|terms| terms.policy.event_retention = days(2));
    t.add("ann");
    t.try_sign_in(PHONE, "ann", "wrong wrong wrong");
    t.clock.advance(minutes(61));
    let swept = sweep(&t);
    assert_eq!(
        (swept.events, swept.throttles),
        (0, 3),
        "those of two networks and of the login; not the account's"
    );
    t.clock.advance(days(2));
    let swept = sweep(&t);
    assert_eq!((swept.events, swept.throttles), (2, 1));
    assert_eq!(t.number("SELECT count(*) FROM sign_in_counter"), 0);
}

#[test]
fn user_agents_that_nobody_uses_go() {
    let t = Harness::new();
    t.sign_in("ann");
    let kept = t.sign_in_on(PHONE, "ann");
    t.clock.advance(days(29));
    t.refresh(&kept).issued();
    t.clock.advance(days(4));
    assert_eq!(sweep(&t).user_agents, 1);
    assert_eq!(
        t.sessions("ann")[0].user_agent.as_deref(),
        Some(PHONE.agent)
    );
}

#[test] // I9: a seal dies with its key
fn seal_keys_die_when_their_windows_are_over() {
    let t = Harness::new();
    let keys = |long: bool| {
        t.number(&format!(
            "SELECT count(*) FROM seal_key WHERE long = {long}"
        ))
    };
    t.clock.advance(minutes(59));
    let ann = t.sign_in("ann");
    let next = t.refresh(&ann).issued();
    let last = t.refresh_with_key(&next, "5f0c").issued();
    assert_eq!((keys(false), keys(true)), (1, 1));
    // The hour ends, and then the longest of the ordinary windows.
    t.clock.advance(minutes(10));
    sweep(&t);
    assert_eq!((keys(false), keys(true)), (1, 1));
    t.clock.advance(minutes(1));
    assert_eq!(sweep(&t).seal_keys, 1);
    assert_eq!((keys(false), keys(true)), (0, 1));
    // A retry of the hour's last minute may come a day later.
    t.clock.advance(hours(23) + minutes(49));
    sweep(&t);
    assert_eq!(
        t.refresh_with_key(&next, "5f0c").issued().refresh,
        last.refresh
    );
    t.clock.advance(minutes(1));
    assert_eq!(sweep(&t).seal_keys, 1);
    assert_eq!(keys(true), 0);
    t.refresh(&last).issued();
}

#[test] // a key of the window in use is never swept from under it
fn every_window_outlives_the_sweep() {
    for (window, key) in [(600, None), (600, Some("5f0c"))] {
        let t = Harness::with(|terms| terms.policy.replay_window = seconds(window));
        t.clock.advance(minutes(59));
        let first = t.sign_in("ann");
        let second = t.refresh(&first).issued();
        let ask = || match key {
            Some(key) => t.refresh_with_key(&second, key),
            None => t.refresh(&second),
        };
        let third = ask().issued();
        t.clock
            .advance(seconds(if key.is_some() { 86_400 } else { window }));
        sweep(&t);
        assert_eq!(ask().issued().refresh, third.refresh);
    }
}

#[test] // fault 18, I8
fn a_clock_that_is_set_back_revives_nothing() {
    for back in [-3600, -YEAR] {
        let t = Harness::new();
        let (expired, copied) = (t.sign_in("ann"), t.sign_in_on(PHONE, "ann"));
        t.clock.advance(days(29));
        let copied_next = t.refresh(&copied).issued();
        t.clock.advance(days(1));
        t.refresh(&expired).refused("invalid_grant");
        t.clock.jump(back);
        assert!(matches!(t.authd().clock_standing(), Standing::Behind(_)));
        t.refresh(&expired).refused("invalid_grant");
        // The window that had closed stays closed.
        t.refresh(&copied).refused("invalid_grant");
        t.refresh(&copied_next).refused("invalid_grant");
        assert!(t.sessions("ann").is_empty());
        assert_eq!(t.events_of("ann", "refresh_token_reused").len(), 1);
        // And life goes on, from the latest time that was seen.
        let anew = t.sign_in("ann");
        assert_eq!(t.sessions("ann")[0].created_at, START.plus(days(30)));
        let next = t.refresh(&anew).issued();
        assert!(t.is_open(&next));
    }
}

#[test] // fault 18: a board without a battery boots in 1970
fn a_reboot_in_the_past_revives_nothing() {
    let mut t = Harness::new();
    let expired = t.sign_in("ann");
    t.clock.advance(days(30));
    t.refresh(&expired).refused("invalid_grant");
    t.reboot_at(Timestamp::from_unix(0));
    assert!(t.sessions("ann").is_empty());
    t.refresh(&expired).refused("invalid_grant");
    let anew = t.sign_in("ann");
    t.clock.advance(minutes(2));
    let next = t.refresh(&anew).issued();
    t.clock.advance(minutes(2));
    t.refresh(&anew).refused("invalid_grant");
    t.refresh(&next).refused("invalid_grant");
}

#[test] // fault 19
fn a_jump_of_ten_years_and_back_costs_nobody_a_session() {
    let t = Harness::new();
    let ann = t.sign_in("ann");
    t.clock.jump(10 * YEAR);
    assert!(matches!(
        t.authd().clock_standing(),
        Standing::Unconfirmed(_)
    ));
    let swept = t.unchanged(|| sweep(&t));
    assert_eq!(
        swept,
        Swept {
            paused: true,
            ..Swept::default()
        }
    );
    assert_eq!(t.sessions("ann").len(), 1);
    t.clock.jump(-10 * YEAR);
    assert_eq!(sweep(&t), Swept::default());
    let next = t.refresh(&ann).issued();
    assert!(t.is_open(&next));
}

#[test] // fault 19: also when it is used meanwhile, and restarted
fn a_session_that_is_used_during_a_jump_goes_on_after_it() {
    let mut t = Harness::new();
    let ann = t.sign_in("ann");
    t.clock.jump(10 * YEAR);
    let during = t.refresh(&ann).issued();
    t.restart();
    assert!(matches!(
        t.authd().clock_standing(),
        Standing::Unconfirmed(_)
    ));
    assert!(sweep(&t).paused);
    let during = t.refresh(&during).issued();
    t.clock.jump(-10 * YEAR);
    let after = t.refresh(&during).issued();
    t.clock.advance(days(29));
    t.refresh(&after).issued();
}

#[test] // fault 19: short windows close meanwhile
fn a_jump_closes_the_windows() {
    let t = Harness::new();
    let ann = t.sign_in("ann");
    t.refresh(&ann).issued();
    t.clock.jump(10 * YEAR);
    t.refresh(&ann).refused("invalid_grant");
    assert!(t.sessions("ann").is_empty());
}

#[test] // an operator who has looked at the clock says so
fn a_confirmed_jump_is_time_that_has_passed() {
    let t = Harness::new();
    let ann = t.sign_in("ann");
    t.clock.jump(YEAR);
    assert!(sweep(&t).paused);
    t.authd().confirm_clock().expect("a confirmation");
    assert_eq!(t.authd().clock_standing(), Standing::Steady);
    assert_eq!(sweep(&t).sessions, 1);
    t.refresh(&ann).refused("invalid_grant");
}

#[test] // a server that was off for a year sweeps when the clock has kept step for an hour
fn a_jump_that_lasts_is_believed() {
    let t = Harness::new();
    t.sign_in("ann");
    t.clock.jump(YEAR);
    assert!(sweep(&t).paused);
    for _ in 0..61 {
        t.clock.advance(minutes(1));
        t.authd().housekeep().expect("housekeeping");
    }
    assert_eq!(sweep(&t).sessions, 1);
}

#[test] // the API has no say in housekeeping: it is refused where it is dead, swept or not
fn nothing_depends_on_the_sweep() {
    let t = Harness::new();
    let ann = t.sign_in("ann");
    t.clock.advance(days(400));
    for _ in 0..61 {
        t.clock.advance(minutes(1));
        t.authd().housekeep().expect("housekeeping");
    }
    t.refresh(&ann).refused("invalid_grant");
    assert!(t.sessions("ann").is_empty());
    assert_eq!(t.number("SELECT count(*) FROM session"), 1);
}
