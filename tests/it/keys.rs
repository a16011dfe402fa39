//! Signing keys: their succession, which nobody notices, and their loss, which everybody must.

use authd::clock::Clock;
use authd::entropy::Entropy;
use authd::http::Method;
use authd::password::Hasher;
use authd::service::{Authd, OpenError, replace_signing_keys};
use authd::store::{Options, Role, Store};

use crate::harness::*;

fn published(t: &Harness) -> Vec<String> {
    let jwks = t.ask(Method::GET, "/oauth/jwks").send().gives(200);
    let keys = jwks["keys"].as_array().expect("keys").clone();
    let kids = keys.iter().filter_map(|key| key["kid"].as_str());
    kids.map(str::to_owned).collect()
}

/// The states of the keys, in the order in which they sign.
fn states(t: &Harness) -> Vec<&'static str> {
    let keys = t.authd().signing_keys().expect("keys");
    keys.into_iter().map(|key| key.state).collect()
}

/// Opens the file as a command beside the server does.
fn beside(t: &Harness) -> Store {
    let options = Options {
        accept_network_filesystem: true,
        readers: 1,
        role: Role::Command,
        max_size: None,
    };
    Store::open(
        &t.path(),
        Clock::manual(START).0,
        Entropy::seeded(99),
        options,
    )
    .expect("the file")
}

#[test] // RFC 7517, RFC 7518 §6.2: nothing of the private key
fn the_jwks_is_public_and_may_be_kept() {
    let t = Harness::new();
    for path in ["/oauth/jwks", "/.well-known/jwks.json"] {
        let answer = t.ask(Method::GET, path).send();
        assert_eq!(answer.header("cache-control"), Some("public, max-age=900"));
        assert_eq!(answer.header("content-type"), Some("application/json"));
        let jwks = answer.gives(200);
        let key = jwks["keys"][0].as_object().expect("a key");
        let mut members: Vec<&str> = key.keys().map(String::as_str).collect();
        members.sort_unstable();
        assert_eq!(members, ["alg", "crv", "kid", "kty", "use", "x", "y"]);
    }
}

#[test] // a key is published before it signs, and after, until its last token has expired
fn keys_succeed_one_another_unnoticed() {
    let t = Harness::with(|terms| terms.policy.session_idle_lifetime = days(180));
    let housekeep = || t.authd().housekeep().expect("housekeeping");
    let ann = t.sign_in("ann");
    let old = published(&t);
    assert_eq!(old.len(), 1);
    for _ in 0..89 {
        t.clock.advance(days(1));
        housekeep();
    }
    assert_eq!(published(&t), old);
    // An hour ahead the next key is made, and signs nothing yet.
    t.clock.advance(hours(23));
    housekeep();
    let both = published(&t);
    assert_eq!((both.len(), &both[0]), (2, &old[0]));
    assert_eq!(states(&t), ["signing", "next"]);
    t.clock.advance(minutes(59));
    let last_of_old = t.refresh(&ann).issued();
    assert_eq!(kid(&last_of_old), old[0]);
    t.clock.advance(minutes(1));
    housekeep();
    let first_of_new = t.refresh(&last_of_old).issued();
    assert_eq!(kid(&first_of_new), both[1]);
    assert!(t.is_open(&last_of_old) && t.is_open(&first_of_new));
    assert_eq!(states(&t), ["retired", "signing"]);
    assert_eq!(published(&t), both);
    // Its last token lives ten minutes; verifiers get an hour more.
    t.clock.advance(minutes(69));
    housekeep();
    assert_eq!(published(&t), both);
    t.clock.advance(minutes(2));
    housekeep();
    assert_eq!(published(&t), both[1..]);
    assert_eq!(t.number("SELECT count(*) FROM signing_key"), 1);
    assert!(!t.is_open(&last_of_old));
}

fn kid(device: &SignedIn) -> String {
    use base64::Engine;
    let header = device.access.split('.').next().expect("a header");
    let header = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(header);
    let header: serde_json::Value =
        serde_json::from_slice(&header.expect("base64url")).expect("JSON");
    header["kid"].as_str().expect("a kid").to_owned()
}

#[test] // issue 15, point 4: nothing is signed with a key that the JWKS has not shown
fn a_replaced_key_is_published_as_soon_as_the_command_has_ended() {
    let t = Harness::new();
    let ann = t.sign_in("ann");
    // The server has not written or done any housekeeping since, so that it did not notice the change yet.
    let made = replace_signing_keys(&beside(&t)).expect("a key");
    assert_eq!(published(&t), std::slice::from_ref(&made));
    assert!(!t.is_open(&ann));
    assert_eq!(kid(&t.refresh(&ann).issued()), made);
}

#[test] // for a key that leaked: at once, by a command beside the server
fn a_key_can_be_replaced_at_once() {
    let t = Harness::new();
    let ann = t.sign_in("ann");
    // Its signature was checked once; that is no reason to accept it later.
    assert!(t.is_open(&ann));
    let old = published(&t);
    let made = replace_signing_keys(&beside(&t)).expect("a key");
    t.authd().housekeep().expect("housekeeping");
    assert!(!old.contains(&made));
    assert_eq!(published(&t), std::slice::from_ref(&made));
    // Whoever has the old key signs nothing with it any more; whoever is signed in refreshes.
    assert!(!t.is_open(&ann));
    let next = t.refresh(&ann).issued();
    assert_eq!(kid(&next), made);
    assert!(t.is_open(&next));
    assert_eq!(
        t.number("SELECT count(*) FROM event WHERE kind = 'signing_key_rotated'"),
        1
    );
}

#[test] // the keys outlive a restart
fn a_restart_keeps_the_keys() {
    let mut t = Harness::new();
    let ann = t.sign_in("ann");
    let before = published(&t);
    t.restart();
    assert_eq!(published(&t), before);
    assert!(t.is_open(&ann));
}

#[test] // fault 26: never silently a new one
fn a_lost_or_damaged_key_is_not_replaced_silently() {
    for damage in [
        "DELETE FROM signing_key",
        "UPDATE signing_key SET private_key = x'00'",
    ] {
        let mut t = Harness::new();
        t.sign_in("ann");
        t.stopped(|path| {
            let db = rusqlite::Connection::open(path).expect("the file");
            db.execute(damage, []).expect(damage);
            let count = || {
                db.query_row("SELECT count(*) FROM signing_key", [], |row| {
                    row.get::<_, i64>(0)
                })
            };
            let before = count().expect("a count");
            let opened = open(path);
            let Err(OpenError::KeysLost(_)) = opened else {
                panic!("{damage}: it started")
            };
            assert_eq!(count().expect("a count"), before, "{damage}");
            // What the message says to do helps.
            replace_signing_keys(&store(path)).expect("a new key");
        });
        assert_eq!(published(&t).len(), 1);
        let ann = t.sign_in("ann");
        assert!(t.is_open(&ann));
    }
}

fn store(path: &std::path::Path) -> Store {
    let options = Options {
        accept_network_filesystem: true,
        readers: 1,
        role: Role::Server,
        max_size: None,
    };
    Store::open(path, Clock::manual(START).0, Entropy::seeded(5), options).expect("the file")
}

fn open(path: &std::path::Path) -> Result<std::sync::Arc<Authd>, OpenError> {
    let terms = Terms::default();
    let hasher = Hasher::new(1 << 20, terms.hashing);
    Authd::open(
        store(path),
        Clock::manual(START).0,
        Entropy::seeded(6),
        hasher,
        terms.policy,
    )
}
