//! Whether the time of an answer tells what the answer does not: why a sign-in was refused (req 10), and whether an address
//! that somebody registers with is taken (req 11).
//!
//! An unknown login, a wrong password and a disabled account are tried in random order with the password hashing of a
//! real server, and so are a new and a taken address; each pair of them is compared by the area under the ROC curve: the probability that an attacker
//! who is shown one time of each kind tells them apart. 0.5 is a coin; the figure to stay below is 0.55. No test
//! asserts it, since a busy machine may answer in any order; the stories hold that the work is the same.
//!
//! `cargo bench --bench enumeration -- --samples 2000`

#[allow(dead_code)] // Shared with the tests, which use all of it.
#[path = "../tests/it/harness.rs"]
mod harness;

use std::env;

use authd::clock::monotonic;
use authd::entropy::Entropy;
use authd::password::Params;
use authd::service::{Registration, Verification};
use harness::{Answer, Harness, PASSWORD, Place, account, email, hours};
use serde_json::json;

/// Enough that the standard error of the area is below 0.01.
const SAMPLES: usize = 2000;

/// Not throttled by address: only the account's own counter stands in the way.
const LOCAL: Place = Place::new("127.0.0.1", "bench");

/// What is tried: its name, the status that it is answered with, and how it is done for the n-th time.
type Kind<'a> = (&'a str, u16, &'a dyn Fn(usize) -> Answer);

fn main() {
    let arguments: Vec<String> = env::args().collect();
    let given = arguments
        .iter()
        .position(|argument| argument == "--samples");
    let samples = given
        .and_then(|at| arguments.get(at + 1)?.parse().ok())
        .unwrap_or(SAMPLES);
    let t = Harness::with(|terms| {
        terms.hashing = Params::default();
        terms.policy.registration = Registration::Open;
        terms.policy.verification = Verification::Required;
    });
    t.add("ann");
    t.add("bob");
    t.operator().disable_account(&account("bob")).expect("bob");
    let sign_in = |name: &str, password: &str| t.try_sign_in(LOCAL, &email(name), password);
    let register = |name: &str| {
        let body = json!({ "email": email(name), "password": PASSWORD });
        t.post("/v1/accounts", body).from(LOCAL).send()
    };
    compare(
        &t,
        samples,
        &[
            ("unknown login", 401, &|_| sign_in("nobody", PASSWORD)),
            ("wrong password", 401, &|_| {
                sign_in("ann", "wrong wrong wrong")
            }),
            ("disabled account", 401, &|_| sign_in("bob", PASSWORD)),
        ],
    );
    compare(
        &t,
        samples,
        &[
            ("new address", 202, &|number| {
                register(&format!("new{number}"))
            }),
            ("taken address", 202, &|_| register("ann")),
        ],
    );
}

/// Tries all kinds in random order, and prints how well their times tell them apart.
fn compare(t: &Harness, samples: usize, kinds: &[Kind<'_>]) {
    let mut times = vec![Vec::new(); kinds.len()];
    let chance = Entropy::seeded(1);
    println!("{samples} requests of each kind, in random order ...");
    while times
        .iter()
        .any(|of_kind: &Vec<u128>| of_kind.len() < samples)
    {
        let kind = usize::from(chance.bytes::<1>()[0]) % kinds.len();
        let (_, status, attempt) = kinds[kind];
        // Past every pause of the throttle, so that each try is a first one.
        t.clock.advance(hours(25));
        // A day has passed, and a server would have swept.
        t.authd().housekeep().expect("a round");
        t.authd().sweep().expect("swept");
        let begin = monotonic();
        let answer = attempt(times[kind].len());
        let micros = begin.elapsed().as_micros();
        assert_eq!(answer.status, status, "{}", answer.text());
        times[kind].push(micros);
    }
    for (of_kind, (name, ..)) in times.iter_mut().zip(kinds) {
        of_kind.truncate(samples);
        of_kind.sort_unstable();
        let at = |share: usize| of_kind[(of_kind.len() - 1) * share / 100];
        println!(
            "{name:<17} p10 {:>7} us  p50 {:>7} us  p90 {:>7} us",
            at(10),
            at(50),
            at(90)
        );
    }
    for one in 0..kinds.len() {
        for other in one + 1..kinds.len() {
            println!(
                "{:<17} against {:<17} AUC {:.3}",
                kinds[one].0,
                kinds[other].0,
                area(&times[one], &times[other])
            );
        }
    }
}

/// The probability that a time of `one` is greater than one of `other`, ties by half; folded to above 0.5. Both sorted.
fn area(one: &[u128], other: &[u128]) -> f64 {
    let greater: f64 = one
        .iter()
        .map(|time| {
            let below = other.partition_point(|t| t < time);
            let equal = other.partition_point(|t| t <= time) - below;
            below as f64 + equal as f64 / 2.0
        })
        .sum();
    let area = greater / (one.len() as f64 * other.len() as f64);
    area.max(1.0 - area)
}
