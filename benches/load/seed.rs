//! A database with many open sessions, made through the library: no password is hashed and no socket is used.

use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::Duration;

use authd::clock::Clock;
use authd::entropy::Entropy;
use authd::password::{self, Hasher, Params};
use authd::service::{
    Authd, Device, NewAccount, Policy, Registration, Selector, Verification, Wanted,
};
use authd::store::{Options, Role, Store};

use crate::Result;
use crate::drive::{Token, USER_AGENT};

/// Sessions of one account: as many as may be open at a time.
const OF_ONE_ACCOUNT: u32 = 100;

/// Enough callers that a commit carries many sign-ins.
const THREADS: usize = 32;

/// Makes the database at `db` with `count` sessions. Returns the refresh token of each.
pub fn sessions(db: &Path, count: u32) -> Result<Vec<Token>> {
    let authd = open(db)?;
    let made = AtomicU32::new(0);
    let accounts = AtomicU32::new(0);
    let wanted = Wanted {
        device_name: Some("laptop"),
        ..Wanted::default()
    };
    let device = Device::new([127, 0, 0, 1].into(), USER_AGENT);
    let worker = || -> std::result::Result<Vec<Token>, String> {
        let mut tokens = Vec::new();
        loop {
            let number = accounts.fetch_add(1, Ordering::Relaxed);
            let first = number * OF_ONE_ACCOUNT;
            if first >= count {
                return Ok(tokens);
            }
            let account = authd
                .as_operator()
                .add_account(person(number), None)
                .map_err(|error| error.to_string())?;
            for _ in first..count.min(first + OF_ONE_ACCOUNT) {
                let signed_in = authd
                    .open_session(&Selector::Id(account.id), wanted, &device)
                    .map_err(|error| error.to_string())?;
                let token = Token::read(signed_in.refresh_token.as_bytes());
                tokens.push(token.ok_or("a sign-in gave no refresh token")?);
                let made = made.fetch_add(1, Ordering::Relaxed) + 1;
                if made.is_multiple_of(25_000) {
                    eprintln!("{made} of {count} sessions");
                }
            }
        }
    };
    let shares = thread::scope(|scope| {
        let workers = [(); THREADS].map(|()| scope.spawn(worker));
        workers.map(|worker| worker.join().unwrap_or_else(|_| Err("a panic".into())))
    });
    let mut tokens = Vec::with_capacity(count as usize);
    for share in shares {
        tokens.extend(share?);
    }
    Ok(tokens)
}

fn open(db: &Path) -> Result<std::sync::Arc<Authd>> {
    let (clock, entropy) = (Clock::system(), Entropy::system());
    let options = Options {
        accept_network_filesystem: true,
        readers: 1,
        role: Role::Server,
        max_size: None,
    };
    let store = Store::open(db, clock.clone(), entropy.clone(), options)?;
    let days = |days: u64| Duration::from_secs(days * 24 * 60 * 60);
    let policy = Policy {
        issuer: "http://127.0.0.1".to_owned(),
        registration: Registration::Closed,
        verification: Verification::Optional,
        password: password::Policy::new(12, &[])?,
        access_token_lifetime: Duration::from_secs(600),
        session_idle_lifetime: days(30),
        session_lifetime: days(365),
        replay_window: Duration::from_secs(60),
        signing_key_lifetime: days(90),
        event_retention: days(90),
        sends_mail: false,
    };
    let hasher = Hasher::new(0, Params::default());
    Ok(Authd::open(store, clock, entropy, hasher, policy)?)
}

fn person(number: u32) -> NewAccount {
    NewAccount {
        email: format!("person-{number}@example.org"),
        username: Some(format!("person-{number}")),
        name: None,
        admin: false,
        temporary: false,
    }
}
