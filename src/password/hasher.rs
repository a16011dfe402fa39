//! Hashing passwords for storage, and checking them.
//!
//! The stored form is a PHC string, `$argon2id$v=19$m=…,t=…,p=…$salt$output`: Argon2id version
//! 0x13 (RFC 9106), by default with 19 MiB, two passes and one lane, the first choice of the OWASP
//! Password Storage cheat sheet and of ASVS 5.0 appendix C for machines of this size.
//!
//! # The same work for every account
//!
//! [`Hasher::verify`] without a stored hash computes one all the same, with today's parameters,
//! and returns [`Verification::Wrong`], so that the time of an answer does not tell whether an
//! account exists (req 10). A hash with other parameters takes another time, until the account's
//! next sign-in replaces it (`rehash`).
//!
//! # Stored hashes with other parameters
//!
//! Hashes may have been made with other parameters or by another program. The stored string says
//! how much memory and time checking it takes, so it is checked before that is spent:
//!
//! * only Argon2id version 0x13, within the bounds of [`Params`];
//! * it may need more memory than today's parameters, up to the whole budget; then it waits until
//!   that much is free (see `workers`);
//! * anything else is treated like an unknown account, and logged as an error, because the account
//!   owner can't sign in until the password is reset.

use std::{fmt, thread, time::Duration};

use argon2::{
    Algorithm, Argon2, Block, Version,
    password_hash::phc::{Output, PasswordHash, Salt},
};

use super::{
    Overloaded, Password, Requester,
    workers::{Limits, Workers},
};

/// Length of a salt, in bytes: 128 bits (req 8, RFC 9106 §3.1).
pub const SALT_LEN: usize = 16;

/// Length of the output, in bytes: 256 bits (RFC 9106 §4).
const OUTPUT_LEN: usize = 32;

/// The shortest output that is accepted, in bytes. Many passwords would match a stored hash that
/// was cut short.
const SHORTEST_OUTPUT: usize = 16;

/// The most requests that wait for a worker. At 20 ms a hash, one core serves the last of them
/// after about a second, and together they occupy an eighth of the server's threads.
const WAITING: usize = 64;

/// The longest wait for a worker. Most clients have given up by then.
const LONGEST_WAIT: Duration = Duration::from_secs(10);

/// Arenas are freed after this time without a sign-in.
const IDLE: Duration = Duration::from_secs(60);

/// The cost of a hash: memory, passes, lanes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Params {
    memory_kib: u32,
    passes: u32,
    lanes: u32,
}

impl Params {
    /// The most memory of one hash, in KiB: 64 MiB, what common libraries use by default.
    pub const MAX_MEMORY_KIB: u32 = 64 * 1024;
    /// The most passes over the memory.
    pub const MAX_PASSES: u32 = 10;
    /// The most lanes. One thread computes them one after the other.
    pub const MAX_LANES: u32 = 4;

    /// Parameters out of `memory_kib` (8 for each lane, up to [`Params::MAX_MEMORY_KIB`]), `passes`
    /// (1 to [`Params::MAX_PASSES`]) and `lanes` (1 to [`Params::MAX_LANES`]): `m`, `t` and `p` of
    /// RFC 9106.
    ///
    /// The bounds say what can be computed, not what is advisable: that is the default. The lower
    /// ones are useful only in tests.
    ///
    /// # Errors
    ///
    /// [`InvalidParams`] if one of them is out of its bounds.
    pub fn new(memory_kib: u32, passes: u32, lanes: u32) -> Result<Params, InvalidParams> {
        let bounded = memory_kib <= Params::MAX_MEMORY_KIB
            && passes <= Params::MAX_PASSES
            && lanes <= Params::MAX_LANES;
        if !bounded || argon2::Params::new(memory_kib, passes, lanes, None).is_err() {
            return Err(InvalidParams);
        }
        Ok(Params {
            memory_kib,
            passes,
            lanes,
        })
    }

    /// How many blocks of 1 KiB the computation takes.
    fn blocks(self) -> usize {
        self.memory_kib as usize
    }
}

impl Default for Params {
    /// 19 MiB, two passes, one lane (req 8).
    fn default() -> Params {
        Params {
            memory_kib: 19 * 1024,
            passes: 2,
            lanes: 1,
        }
    }
}

/// Parameters that Argon2 does not allow or that cost too much.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidParams;

impl fmt::Display for InvalidParams {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "Argon2id takes 8 KiB for each lane to {} KiB, 1 to {} passes and 1 to {} lanes",
            Params::MAX_MEMORY_KIB,
            Params::MAX_PASSES,
            Params::MAX_LANES
        )
    }
}

impl std::error::Error for InvalidParams {}

/// Whether a password is the stored one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Verification {
    /// It is not, or no usable hash is stored.
    Wrong,
    /// It is.
    Right {
        /// The stored hash is weaker than a new one would be: store a new one in the transaction
        /// that signs in (req 9).
        rehash: bool,
    },
}

/// Computes and checks password hashes within a memory budget. Its methods wait for their result.
/// Share one between all threads.
pub struct Hasher {
    params: Params,
    budget: usize,
    workers: Workers,
}

impl Hasher {
    /// A hasher that uses at most `ram_bytes` for Argon2, or the memory of one hash if that is more.
    /// It has as many threads as there are cores, and no more than hashes fit into that memory.
    ///
    /// Nothing is started or allocated until the first password comes, and the memory is freed
    /// after a minute without one.
    pub fn new(ram_bytes: u64, params: Params) -> Hasher {
        let budget = usize::try_from(ram_bytes / Block::SIZE as u64).unwrap_or(usize::MAX);
        let budget = budget.max(params.blocks());
        let cores = thread::available_parallelism().map_or(1, usize::from);
        let workers = Workers::new(Limits {
            threads: cores.min(budget / params.blocks()),
            budget,
            arena: params.blocks(),
            waiting: WAITING,
            longest_wait: LONGEST_WAIT,
            idle: IDLE,
        });
        Hasher {
            params,
            budget,
            workers,
        }
    }

    /// The PHC string to store for a password. `salt` is random and used once.
    ///
    /// # Errors
    ///
    /// [`Overloaded`] if the queue has no place for `requester`, or this request waited too long.
    pub fn hash(
        &self,
        requester: Requester,
        password: &Password,
        salt: [u8; SALT_LEN],
    ) -> Result<String, Overloaded> {
        let params = self.params;
        let salt = Stored::salt(salt);
        let output = self.compute(requester, password, params, salt, OUTPUT_LEN)?;
        let stored = Stored {
            params,
            salt,
            output,
        };
        Ok(stored.to_string())
    }

    /// Checks a password against a stored PHC string. If there is no such account (`None`) or its
    /// hash can't be used (see the module), does the same work and returns
    /// [`Verification::Wrong`].
    ///
    /// # Errors
    ///
    /// [`Overloaded`] if the queue has no place for `requester`, or this request waited too long.
    pub fn verify(
        &self,
        requester: Requester,
        password: &Password,
        stored: Option<&str>,
    ) -> Result<Verification, Overloaded> {
        let usable = stored.and_then(|phc| {
            Stored::read(phc, self.budget)
                .inspect_err(|why| {
                    tracing::error!(
                        why,
                        "a stored password hash can't be used; reset the password of the account"
                    )
                })
                .ok()
        });
        let exists = usable.is_some();
        let stored = usable.unwrap_or_else(|| Stored::dummy(self.params));
        let length = stored.output.len();
        let computed = self.compute(requester, password, stored.params, stored.salt, length)?;
        // `Output` compares in constant time (req 60).
        if computed == stored.output && exists {
            let rehash = stored.is_weaker_than(self.params);
            Ok(Verification::Right { rehash })
        } else {
            Ok(Verification::Wrong)
        }
    }

    /// The most hashes that are computed at once.
    pub fn workers(&self) -> usize {
        self.workers.threads()
    }

    /// How many requests wait for a worker now.
    pub fn waiting(&self) -> usize {
        self.workers.waiting()
    }

    fn compute(
        &self,
        requester: Requester,
        password: &Password,
        params: Params,
        salt: Salt,
        length: usize,
    ) -> Result<Output, Overloaded> {
        let password = password.clone();
        self.workers.run(requester, params.blocks(), move |memory| {
            argon2id(password.as_str().as_bytes(), params, &salt, length, memory)
        })
    }
}

/// The bare function (RFC 9106 §3), its lanes one after the other on this thread.
///
/// `length` is one of an [`Output`], `memory` at least `params.blocks()`.
fn argon2id(
    password: &[u8],
    params: Params,
    salt: &[u8],
    length: usize,
    memory: &mut [Block],
) -> Output {
    let Params {
        memory_kib,
        passes,
        lanes,
    } = params;
    let mut bytes = [0; Output::MAX_LENGTH];
    argon2::Params::new(memory_kib, passes, lanes, Some(length))
        .map(|params| Argon2::new(Algorithm::Argon2id, Version::V0x13, params))
        .and_then(|f| {
            f.hash_password_into_with_memory(password, salt, &mut bytes[..length], memory)
        })
        .expect("parameters, salt and length were checked when they were created");
    Output::new(&bytes[..length]).expect("the length is one of an output")
}

/// The content of a PHC string; `Display` writes it.
struct Stored {
    params: Params,
    salt: Salt,
    output: Output,
}

impl Stored {
    /// Reads a PHC string that can be checked with at most `budget` blocks of memory, or says why
    /// it can't.
    fn read(phc: &str, budget: usize) -> Result<Stored, &'static str> {
        let phc = PasswordHash::new(phc).map_err(|_| "it is no PHC string")?;
        if phc.algorithm != Algorithm::Argon2id.ident()
            || phc.version != Some(Version::V0x13.into())
        {
            return Err("it is not of Argon2id version 19");
        }
        let params = argon2::Params::try_from(&phc)
            .map_err(|_| "its parameters are none of Argon2")
            .and_then(|read| {
                if !read.data().is_empty() || !read.keyid().is_empty() {
                    return Err("it was made with a key or associated data");
                }
                Params::new(read.m_cost(), read.t_cost(), read.p_cost())
                    .map_err(|_| "it costs more than any hash may")
            })?;
        if params.blocks() > budget {
            return Err("it takes more memory than there is for passwords");
        }
        let (Some(salt), Some(output)) = (phc.salt, phc.hash) else {
            return Err("it has no salt or no output");
        };
        if output.len() < SHORTEST_OUTPUT {
            return Err("its output is too short");
        }
        Ok(Stored {
            params,
            salt,
            output,
        })
    }

    /// The hash that an unknown account is checked against. The result of the check is not used.
    fn dummy(params: Params) -> Stored {
        let output = Output::new(&[0; OUTPUT_LEN]).expect("the length is one of an output");
        Stored {
            params,
            salt: Stored::salt([0; SALT_LEN]),
            output,
        }
    }

    fn salt(bytes: [u8; SALT_LEN]) -> Salt {
        Salt::new(&bytes).expect("the length is one of a salt")
    }

    /// Whether a hash made now with `current` would be stronger in any respect. Lanes don't count,
    /// because they divide the same work.
    fn is_weaker_than(&self, current: Params) -> bool {
        self.params.memory_kib < current.memory_kib
            || self.params.passes < current.passes
            || self.salt.len() < SALT_LEN
            || self.output.len() < OUTPUT_LEN
    }
}

impl fmt::Display for Stored {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Params {
            memory_kib: m,
            passes: t,
            lanes: p,
        } = self.params;
        let (salt, output) = (self.salt.to_salt_string(), self.output);
        write!(f, "$argon2id$v=19$m={m},t={t},p={p}${salt}${output}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use std::sync::{
        Arc, RwLock,
        atomic::{AtomicUsize, Ordering::SeqCst},
    };

    const MIB: u64 = 1024 * 1024;

    /// Made by another implementation, the reference one in C, through Python's argon2-cffi.
    const KNOWN: [(&str, &str); 4] = [
        (
            "correct horse battery staple",
            "$argon2id$v=19$m=19456,t=2,p=1$MDEyMzQ1Njc4OWFiY2RlZg\
             $gy5SuVm5Z7Vw7keB9se9p87QGcomaseB/S2U1OhTsM0",
        ),
        (
            "correct horse battery staple",
            "$argon2id$v=19$m=256,t=3,p=4$c29tZXNhbHQxMjM0NTY3OA\
             $t5bcTiILN4CwuJghzPFZm9qjY2HKQgH8KIwapJtkmyw",
        ),
        (
            "correct horse battery staple",
            "$argon2id$v=19$m=100,t=2,p=1$c29tZXNhbHQxMjM0NTY3OA\
             $4EvfEdTHUOCvsculCDg4XcRKaQE7H69nIIZiSPp32lNlcxweNv0ZQ7X7n5k/njkxthHE8w8uYXsm\
             /06VR60Fvg",
        ),
        (
            "Zoë trinkt café ☕",
            "$argon2id$v=19$m=64,t=1,p=1$AAECAwQFBgcICQoLDA0ODw\
             $gNz0jfMDmzGUb0Aee/Wzt6ndl89jiGivsIiKJqEhoeI",
        ),
    ];

    fn password(typed: &str) -> Password {
        Password::new(typed).expect("within the bound")
    }

    fn params(memory_kib: u32, passes: u32, lanes: u32) -> Params {
        Params::new(memory_kib, passes, lanes).expect("within the bounds")
    }

    /// The cheapest parameters of Argon2.
    fn hasher() -> Hasher {
        Hasher::new(MIB, params(8, 1, 1))
    }

    fn verify(hasher: &Hasher, typed: &str, stored: &str) -> Verification {
        hasher
            .verify(Requester::OPERATOR, &password(typed), Some(stored))
            .expect("there is room")
    }

    fn is_right(verification: Verification) -> bool {
        matches!(verification, Verification::Right { .. })
    }

    #[test] // req 8
    fn hashes_of_another_implementation_are_understood() {
        let hasher = Hasher::new(20 * MIB, params(8, 1, 1));
        for (typed, phc) in KNOWN {
            assert!(is_right(verify(&hasher, typed, phc)), "{phc}");
            assert_eq!(
                verify(&hasher, "Correct horse battery staple", phc),
                Verification::Wrong
            );
        }
    }

    #[test] // req 8
    fn the_stored_form_is_argon2id_of_19_mib_two_passes_and_a_128_bit_salt() {
        let (typed, phc) = KNOWN[0];
        let hasher = Hasher::new(20 * MIB, Params::default());
        let hash = hasher
            .hash(Requester::OPERATOR, &password(typed), *b"0123456789abcdef")
            .expect("there is room");
        assert_eq!(
            hash, phc,
            "byte for byte what the other implementation writes"
        );
        assert_eq!(
            verify(&hasher, typed, &hash),
            Verification::Right { rehash: false }
        );
    }

    #[test] // req 8
    fn another_salt_makes_another_hash() {
        let hasher = hasher();
        let hash = |salt| {
            hasher
                .hash(Requester::OPERATOR, &password("same password"), salt)
                .expect("there is room")
        };
        assert_ne!(hash([1; SALT_LEN]), hash([2; SALT_LEN]));
        assert_eq!(hash([1; SALT_LEN]), hash([1; SALT_LEN]));
    }

    #[test] // req 6
    fn every_byte_of_a_password_counts() {
        let hasher = hasher();
        for length in [12, 64, 72, 73, 128, Password::MAX_BYTES] {
            let typed = "x".repeat(length);
            let stored = hasher
                .hash(Requester::OPERATOR, &password(&typed), [7; SALT_LEN])
                .expect("there is room");
            assert!(is_right(verify(&hasher, &typed, &stored)));

            let other_end = format!("{}y", &typed[1..]);
            for other in [
                &other_end,
                &typed[1..],
                &typed.to_uppercase(),
                &format!("y{}", &typed[1..]),
            ] {
                assert_eq!(
                    verify(&hasher, other, &stored),
                    Verification::Wrong,
                    "{length}"
                );
            }
            if length < Password::MAX_BYTES {
                assert_eq!(
                    verify(&hasher, &format!("{typed} "), &stored),
                    Verification::Wrong
                );
            }
        }
    }

    #[test] // req 7
    fn both_unicode_forms_of_a_password_are_right() {
        let hasher = hasher();
        let stored = hasher.hash(
            Requester::OPERATOR,
            &password("Zoe\u{308} cafe\u{301}"),
            [7; SALT_LEN],
        );
        let stored = stored.expect("there is room");
        assert!(is_right(verify(&hasher, "Zo\u{eb} caf\u{e9}", &stored)));
        assert!(is_right(verify(&hasher, "Zoe\u{308} cafe\u{301}", &stored)));
        assert_eq!(verify(&hasher, "Zoe cafe", &stored), Verification::Wrong);
    }

    #[test] // req 9
    fn a_weaker_hash_is_replaced_and_a_stronger_one_kept() {
        let current = Hasher::new(MIB, params(64, 2, 1));
        for (memory_kib, passes, lanes, rehash) in [
            (64, 2, 1, false),
            (63, 2, 1, true),
            (64, 1, 1, true),
            (128, 1, 1, true),
            (32, 4, 1, true),
            (65, 2, 1, false),
            (64, 3, 1, false),
            (64, 2, 4, false),
        ] {
            let made = Hasher::new(MIB, params(memory_kib, passes, lanes));
            let stored = made.hash(
                Requester::OPERATOR,
                &password("same password"),
                [7; SALT_LEN],
            );
            let verification = verify(&current, "same password", &stored.expect("there is room"));
            assert_eq!(
                verification,
                Verification::Right { rehash },
                "{memory_kib} {passes}"
            );
        }
        let short_salt_and_output =
            "$argon2id$v=19$m=64,t=2,p=1$c2FsdHNhbHQ$MHR5rZBiMhWgUShyrRRQ3g";
        let read =
            Stored::read(short_salt_and_output, 64).map(|it| it.is_weaker_than(params(8, 1, 1)));
        assert_eq!(read, Ok(true));
    }

    #[test] // req 10
    fn an_unknown_account_takes_the_same_work_as_a_wrong_password() {
        let hasher = hasher();
        let unknown = |typed| hasher.verify(Requester::OPERATOR, &password(typed), None);
        assert_eq!(
            unknown("correct horse battery staple"),
            Ok(Verification::Wrong)
        );
        assert_eq!(unknown(""), Ok(Verification::Wrong));

        // The work is done: it is refused when the queue is full.
        when_full(&hasher, || {
            assert_eq!(unknown("correct horse battery staple"), Err(Overloaded));
            let stored = Some(KNOWN[3].1);
            assert_eq!(
                hasher.verify(Requester::OPERATOR, &password(KNOWN[3].0), stored),
                Err(Overloaded)
            );
            assert_eq!(
                hasher.hash(Requester::OPERATOR, &password(KNOWN[3].0), [7; SALT_LEN]),
                Err(Overloaded)
            );
        });
        assert_eq!(
            unknown("correct horse battery staple"),
            Ok(Verification::Wrong)
        );
    }

    #[test]
    fn a_stored_hash_that_cannot_be_used_is_wrong_for_every_password() {
        let ours = "$argon2id$v=19$m=64,t=1,p=1$AAECAwQFBgcICQoLDA0ODw\
                    $gNz0jfMDmzGUb0Aee/Wzt6ndl89jiGivsIiKJqEhoeI";
        let hasher = hasher();
        assert!(is_right(verify(&hasher, KNOWN[3].0, ours)));
        let changed = |from, to| ours.replace(from, to);
        for (phc, why) in [
            (String::new(), "it is no PHC string"),
            ("correct horse battery staple".into(), "it is no PHC string"),
            (
                "$2b$12$R9h/cIPz0gi.URNNX3kh2OPST9/PgBkqquzi.Ss7KIUgO2t0jWMUW".into(),
                "it is no PHC string",
            ),
            (
                changed("argon2id", "argon2i"),
                "it is not of Argon2id version 19",
            ),
            (changed("v=19", "v=16"), "it is not of Argon2id version 19"),
            (changed("$v=19", ""), "it is not of Argon2id version 19"),
            (changed("m=64", "m=7"), "its parameters are none of Argon2"),
            (changed("p=1", "p=0"), "its parameters are none of Argon2"),
            (
                changed("p=1", "p=1,x=1"),
                "its parameters are none of Argon2",
            ),
            (
                changed("p=1", "p=1,data=AAAA"),
                "it was made with a key or associated data",
            ),
            (
                changed("p=1", "p=1,keyid=AAAA"),
                "it was made with a key or associated data",
            ),
            (
                changed("m=64", "m=65537"),
                "it costs more than any hash may",
            ),
            (
                changed("m=64", "m=4294967295"),
                "it costs more than any hash may",
            ),
            (changed("t=1", "t=11"), "it costs more than any hash may"),
            (changed("p=1", "p=5"), "it costs more than any hash may"),
            (
                changed("m=64", "m=1025"),
                "it takes more memory than there is for passwords",
            ),
            (
                changed("$gNz0jfMDmzGUb0Aee/Wzt6ndl89jiGivsIiKJqEhoeI", ""),
                "it has no salt or no output",
            ),
            (
                changed("t6ndl89jiGivsIiKJqEhoeI", ""),
                "its output is too short",
            ),
        ] {
            assert_eq!(Stored::read(&phc, 1024).err(), Some(why), "{phc}");
            assert_eq!(
                verify(&hasher, KNOWN[3].0, &phc),
                Verification::Wrong,
                "{phc}"
            );
        }
    }

    #[test]
    fn parameters_have_bounds() {
        for (memory_kib, passes, lanes, valid) in [
            (8, 1, 1, true),
            (7, 1, 1, false),
            (8, 0, 1, false),
            (8, 1, 0, false),
            (31, 1, 4, false),
            (32, 1, 4, true),
            (65_536, 10, 4, true),
            (65_537, 10, 4, false),
            (65_536, 11, 4, false),
            (65_536, 10, 5, false),
            (u32::MAX, u32::MAX, u32::MAX, false),
        ] {
            assert_eq!(
                Params::new(memory_kib, passes, lanes).is_ok(),
                valid,
                "{memory_kib}"
            );
        }
    }

    #[test]
    fn the_budget_decides_how_many_hashes_are_computed_at_once() {
        let cores = thread::available_parallelism().map_or(1, usize::from);
        let workers = |ram| Hasher::new(ram, Params::default()).workers();
        assert_eq!(workers(0), 1, "at least one hash");
        assert_eq!(workers(2 * 19 * MIB - 1), 1);
        assert_eq!(workers(2 * 19 * MIB), cores.min(2));
        assert_eq!(workers(u64::MAX), cores);
    }

    #[test] // fault 17
    fn the_65th_request_in_the_queue_is_refused() {
        let hasher = hasher();
        when_full(&hasher, || {
            assert_eq!(hasher.waiting(), 64);
            assert_eq!(
                hasher.verify(Requester::OPERATOR, &password("whatever"), None),
                Err(Overloaded)
            );
        });
        assert_eq!(hasher.waiting(), 0);
    }

    #[test] // finding 10
    fn an_honest_sign_in_is_served_under_a_flood() {
        let hasher = hasher();
        let gate = Arc::new(RwLock::new(()));
        let held = Arc::new(AtomicUsize::new(0));
        let refused = AtomicUsize::new(0);
        let until = |condition: &dyn Fn() -> bool| {
            while !condition() {
                thread::yield_now();
            }
        };
        let verify = |ip: String, login: &str| {
            let requester = Requester::client(ip.parse().expect("an address"), login);
            let answer = hasher.verify(requester, &password("whatever"), None);
            if answer.is_err() {
                refused.fetch_add(1, SeqCst);
            }
            answer
        };
        thread::scope(|s| {
            let closed = gate.write();
            for _ in 0..hasher.workers() {
                let (gate, held) = (Arc::clone(&gate), Arc::clone(&held));
                let workers = &hasher.workers;
                s.spawn(move || {
                    workers.run(Requester::OPERATOR, 1, move |_| {
                        held.fetch_add(1, SeqCst);
                        drop(gate.read());
                    })
                });
            }
            until(&|| held.load(SeqCst) == hasher.workers());
            // Unknown logins from an address each, more than there is room for.
            for number in 0..WAITING + 10 {
                let verify = &verify;
                s.spawn(move || {
                    let login = number.to_string();
                    let _ = verify(format!("2001:db8:{number:x}::1"), &login);
                });
            }
            until(&|| hasher.waiting() == WAITING && refused.load(SeqCst) == 10);
            let honest = s.spawn(|| verify("192.0.2.1".to_owned(), "ann"));
            // One of the flood is refused at once: its place is taken.
            until(&|| refused.load(SeqCst) == 11);
            drop(closed);
            assert_eq!(honest.join().expect("no panic"), Ok(Verification::Wrong));
        });
        assert_eq!(refused.load(SeqCst), 11);
    }

    /// Runs `test` while every worker is held and the queue is full.
    fn when_full(hasher: &Hasher, test: impl FnOnce()) {
        let gate = Arc::new(RwLock::new(()));
        let held = Arc::new(AtomicUsize::new(0));
        let hold = || {
            let (gate, held) = (Arc::clone(&gate), Arc::clone(&held));
            hasher.workers.run(Requester::OPERATOR, 1, move |_| {
                held.fetch_add(1, SeqCst);
                drop(gate.read());
            })
        };
        thread::scope(|s| {
            let closed = gate.write();
            let mut jobs = Vec::new();
            for job in 1..=hasher.workers() + WAITING {
                jobs.push(s.spawn(hold));
                while held.load(SeqCst) < job.min(hasher.workers())
                    || hasher.waiting() < job.saturating_sub(hasher.workers())
                {
                    thread::yield_now();
                }
            }
            test();
            drop(closed);
            for job in jobs {
                assert_eq!(job.join().expect("no panic"), Ok(()));
            }
        });
    }
}
