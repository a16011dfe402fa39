//! Random bytes.
//!
//! Everything that must be unpredictable comes from here: from the operating system in a server, or from a seed in a test
//! that needs the same tokens twice. No other file names a random number generator; the linter enforces that.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use rand::rngs::{StdRng, SysRng};
use rand::{Rng, SeedableRng, TryRng};

/// A source of random bytes. Clones share it.
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

    /// A source that gives the same bytes for the same seed. Only for tests and simulations, because its output is
    /// predictable.
    pub fn seeded(seed: u64) -> Entropy {
        Entropy(Source::Seeded(Arc::new(Mutex::new(StdRng::seed_from_u64(
            seed,
        )))))
    }

    /// Fills `bytes` with random bytes.
    ///
    /// # Panics
    /// If the operating system gives no random bytes. Nothing can be done safely without them.
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
