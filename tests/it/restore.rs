//! What a restore leaves of what was issued before it: nothing (I11).

use authd::clock::Clock;
use authd::entropy::Entropy;
use authd::http::Method;
use authd::service::{NewInvitation, Registration, begin_epoch, compare, contents};
use authd::store::{Options, Role, Store};
use serde_json::json;
use std::fs;
use std::path::Path;

use crate::harness::{
    Harness, LAPTOP, NEW_PASSWORD, PASSWORD, PHONE, START, account, days, email, seconds,
};

/// Opens a file that nobody serves, as a command does.
fn open(path: &Path, clock: &Clock) -> Store {
    let options = Options {
        accept_network_filesystem: true,
        readers: 1,
        role: Role::Command,
        max_size: None,
    };
    Store::open(path, clock.clone(), Entropy::seeded(7), options).expect("a database")
}

/// Begins a new epoch in the file while no server runs.
fn restored(t: &mut Harness) -> authd::service::Begun {
    let clock = Clock::manual(t.clock.wall()).0;
    t.stopped(|path| begin_epoch(&open(path, &clock), &clock, 0).expect("an epoch"))
}

#[test] // I11
fn nothing_that_was_issued_before_a_restore_works_after_it() {
    let mut t = Harness::new();
    let setup = t.authd().open_setup().expect("a link").expect("no admin");
    let (laptop, phone) = (t.sign_in("ann"), t.sign_in_on(PHONE, "ann"));
    let used = phone.clone();
    let phone = t.refresh(&phone).issued();
    let bob = t.sign_in("bob");
    let jwks = |t: &Harness| t.ask(Method::GET, "/oauth/jwks").send().text();
    let old_keys = jwks(&t);

    let begun = restored(&mut t);
    assert_eq!((begun.epoch, begun.sessions_ended), (2, 3));
    for device in [&laptop, &phone, &used, &bob] {
        t.unchanged(|| t.refresh(device).refused("invalid_grant"));
        t.unchanged(|| {
            t.with_token(device, Method::GET, "/v1/account")
                .send()
                .refused("invalid_token")
        });
    }
    let body = json!({ "token": setup.token, "email": email("eve"), "password": NEW_PASSWORD });
    t.unchanged(|| {
        t.post("/v1/setup", body)
            .send()
            .refused("invalid_setup_token")
    });
    assert_ne!(jwks(&t), old_keys);
    assert!(jwks(&t).contains(&begun.kid));
    for table in ["session", "refresh_family", "seal_key"] {
        assert_eq!(t.number(&format!("SELECT count(*) FROM {table}")), 0);
    }
    assert_eq!(t.number("SELECT count(*) FROM signing_key"), 1);

    // And everybody signs in with their password.
    for name in ["ann", "bob"] {
        let again = t.sign_in(name);
        t.refresh(&again).issued();
    }
    assert_eq!(t.events("ann").last().map(String::as_str), Some("sign_in"));
    let told = t.events_of("ann", "sessions_ended");
    assert_eq!(
        told[0].detail.as_ref().expect("a detail")["reason"],
        "database_restored"
    );
}

#[test] // I11: what two restores of one backup issue has nothing in common
fn each_restore_of_one_backup_is_an_epoch_of_its_own() {
    let mut t = Harness::new();
    t.sign_in("ann");
    let backup = t.stopped(|path| fs::read(path).expect("the file"));
    restored(&mut t);
    let first = t.sign_in("ann");
    t.stopped(|path| fs::write(path, backup).expect("the file"));
    restored(&mut t);
    t.unchanged(|| t.refresh(&first).refused("invalid_grant"));
    assert!(!t.is_open(&first));
}

#[test] // req 12: a restore is no way around a lock
fn a_locked_account_stays_locked_over_a_restore() {
    let mut t = Harness::new();
    t.add("ann");
    t.add("bob");
    // From everywhere, so that no address has to wait, and late enough that no pause is in the way.
    for _ in 0..100 {
        t.clock.advance(seconds(16 * 60));
        t.try_sign_in(LAPTOP, &email("ann"), "not the password")
            .refused("invalid_credentials");
    }
    t.try_sign_in(PHONE, &email("ann"), PASSWORD)
        .refused("invalid_credentials");
    restored(&mut t);
    t.try_sign_in(PHONE, &email("ann"), PASSWORD)
        .refused("invalid_credentials");
    assert_eq!(
        t.number("SELECT count(*) FROM sign_in_counter WHERE locked_until IS NOT NULL"),
        1
    );
    t.sign_in("bob");
    t.clock.advance(days(2));
    t.sign_in("ann");
}

#[test] // I11: what an account is stays, and what was issued goes
fn groups_outlive_a_restore() {
    let mut t = Harness::new();
    t.add("ann");
    t.operator().add_group("staff").expect("a group");
    let granted = t.operator().grant_group("staff", &account("ann"));
    assert!(granted.expect("an account").1);
    restored(&mut t);
    let ann = t.sign_in("ann");
    let shown = t.with_token(&ann, Method::GET, "/v1/account").send();
    assert_eq!(shown.gives(200)["groups"], json!(["staff"]));
}

#[test] // I11: whoever has the backup has what an invitation is checked by, and may have the invitation
fn an_invitation_from_before_a_restore_invites_nobody() {
    let mut t = Harness::with(|terms| terms.policy.registration = Registration::Invite);
    let new = NewInvitation {
        email: None,
        group: None,
        lifetime: days(7),
        is_mailed: false,
    };
    let invited = t.operator().invite(&new).expect("an invitation");
    restored(&mut t);
    let body = json!({ "email": email("ann"), "password": PASSWORD, "invite": invited.token });
    t.unchanged(|| {
        t.post("/v1/accounts", body)
            .send()
            .refused("invalid_invitation")
    });
    assert!(t.authd().invitations().expect("a list").is_empty());
}

#[test]
fn what_is_lost_is_counted() {
    let mut t = Harness::new();
    for name in ["ann", "bob", "cid", "dan"] {
        t.add(name);
    }
    for group in ["staff", "guests"] {
        t.operator().add_group(group).expect("a group");
        t.operator()
            .grant_group(group, &account("dan"))
            .expect("one");
    }
    t.operator()
        .grant_group("guests", &account("cid"))
        .expect("one");
    let old = t.stopped(|path| {
        let old = path.with_file_name("old.db");
        fs::copy(path, &old).expect("a copy");
        old
    });
    t.operator().delete_account(&account("ann")).expect("one");
    t.operator().disable_account(&account("bob")).expect("one");
    t.operator()
        .set_password(&account("cid"), NEW_PASSWORD, false)
        .expect("one");
    t.operator()
        .revoke_group("staff", &account("dan"))
        .expect("one");
    t.sign_in("eve");
    t.sign_in("fay");
    t.stopped(|path| {
        let clock = Clock::manual(START).0;
        let (present, backup) = (open(path, &clock), open(&old, &clock));
        let lost = compare(&present, &backup).expect("a comparison");
        assert_eq!((lost.missing, lost.revived), (2, 1));
        assert_eq!((lost.older_passwords, lost.enabled_again), (1, 1));
        assert_eq!(lost.in_group_again, 1);
        assert_eq!(compare(&backup, &backup).expect("one"), Default::default());
        let counted = contents(&present).expect("a count");
        assert_eq!((counted.accounts, counted.sessions), (5, 2));
    });
}

#[test] // I8: time goes on from the later of the two files' marks
fn a_restore_does_not_turn_the_clock_back() {
    let mut t = Harness::new();
    t.add("ann");
    let backup = t.stopped(|path| {
        let backup = path.with_file_name("backup.db");
        fs::copy(path, &backup).expect("a copy");
        backup
    });
    t.clock.advance(days(3));
    t.add("bob");
    t.stopped(|path| {
        // The machine has forgotten the time.
        let clock = Clock::manual(START).0;
        drop(open(path, &clock));
        let scratch = open(&backup, &clock);
        begin_epoch(&scratch, &clock, 5).expect("an epoch");
        drop(scratch);
        fs::rename(&backup, path).expect("a file");
    });
    assert_eq!(t.number("SELECT epoch FROM server"), 6);
    let latest = t.number("SELECT clock_latest FROM server");
    assert!(latest >= START.plus(days(3)).as_unix());
}
