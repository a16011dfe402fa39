//! Chance, as an argument.
//!
//! Whatever has to be unguessable is drawn here: from the operating system in a server, from a seed in a test
//! that wants to see the same tokens twice. No other file names a generator; the linter holds that.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use rand::rngs::{StdRng, SysRng};
use rand::{Rng, SeedableRng, TryRng};

/// A source of random bytes; clones share it.
#[derive(Clone)]
pub struct Entropy(Source);

#[derive(Clone)]
enum Source {
    System,
    Seeded(Arc<Mutex<StdRng>>),
}

impl Entropy {
    /// The generator of the operating system.
    pub fn system() -> Entropy {
        Entropy(Source::System)
    }

    /// The same bytes for the same seed. For tests and simulations: what it yields can be foretold.
    pub fn seeded(seed: u64) -> Entropy {
        Entropy(Source::Seeded(Arc::new(Mutex::new(StdRng::seed_from_u64(
            seed,
        )))))
    }

    /// Fills `bytes` with chance.
    ///
    /// # Panics
    /// If the operating system refuses to give random bytes: nothing safe can be done without them.
    pub fn fill(&self, bytes: &mut [u8]) {
        match &self.0 {
            Source::System => {
                SysRng
                    .try_fill_bytes(bytes)
                    .expect("the operating system gives random bytes");
            }
            Source::Seeded(generator) => {
                generator
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .fill_bytes(bytes);
            }
        }
    }

    /// `N` random bytes.
    pub fn bytes<const N: usize>(&self) -> [u8; N] {
        let mut bytes = [0; N];
        self.fill(&mut bytes);
        bytes
    }
}

impl fmt::Debug for Entropy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Entropy")
    }
}
