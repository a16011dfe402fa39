//! Which tokens had a good signature when they were presented before.
//!
//! A client presents the same access token again and again, and checking an ES256 signature takes 55 us. So tokens that passed
//! the check are remembered, 8,192 at most.
//!
//! The memory answers for the signature and for nothing else. At each presentation the caller still checks that the key is
//! one of ours, the type, the times, the issuer, the audience and the session. No token is kept: an entry is a keyed digest
//! of the whole token, and the key is drawn at each start, so an entry is of no use to an attacker who can read the memory,
//! however long it stays after the token has expired.

use std::fmt;

use quick_cache::sync::Cache;

use crate::entropy::Entropy;
use crate::secret::{Fingerprint, FingerprintKey};

/// Most tokens that are remembered; together they take about half a megabyte. When it is full, a token that was not presented
/// lately is forgotten for each new one.
const MOST: usize = 8192;

/// The tokens whose signature was good; shared by all threads.
pub(super) struct CheckedSignatures {
    key: FingerprintKey,
    good: Cache<Fingerprint, ()>,
}

impl CheckedSignatures {
    pub fn new(entropy: &Entropy) -> CheckedSignatures {
        CheckedSignatures {
            key: FingerprintKey::from_random(entropy.bytes()),
            good: Cache::new(MOST),
        }
    }

    /// What stands for this token, signature included.
    pub fn fingerprint(&self, token: &str) -> Fingerprint {
        self.key.of(token)
    }

    /// Whether the token's signature was found good before.
    pub fn contains(&self, token: &Fingerprint) -> bool {
        self.good.get(token).is_some()
    }

    /// Remembers that the token's signature is good.
    pub fn insert(&self, token: Fingerprint) {
        self.good.insert(token, ());
    }

    /// Forgets all tokens.
    pub fn clear(&self) {
        self.good.clear();
    }

    #[cfg(test)]
    pub fn len(&self) -> usize {
        self.good.len()
    }
}

impl fmt::Debug for CheckedSignatures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CheckedSignatures")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_remembered_until_all_are_forgotten() {
        let checked = CheckedSignatures::new(&Entropy::seeded(1));
        let token = checked.fingerprint("a.b.c");
        assert!(!checked.contains(&token));
        checked.insert(token);
        assert!(checked.contains(&token));
        assert!(!checked.contains(&checked.fingerprint("a.b.d")));
        checked.clear();
        assert!(!checked.contains(&token));
    }

    #[test]
    fn no_more_are_remembered_than_there_is_room_for() {
        let checked = CheckedSignatures::new(&Entropy::seeded(1));
        for number in 0..3 * MOST {
            checked.insert(checked.fingerprint(&number.to_string()));
            assert!(checked.len() <= MOST, "after {number}");
        }
        assert!(checked.len() > MOST / 2);
    }

    #[test]
    fn each_start_has_fingerprints_of_its_own() {
        let first = CheckedSignatures::new(&Entropy::seeded(1)).fingerprint("a.b.c");
        let second = CheckedSignatures::new(&Entropy::seeded(2)).fingerprint("a.b.c");
        assert!(first != second);
    }
}
