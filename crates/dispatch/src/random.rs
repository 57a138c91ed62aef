//! Randomness from a seed.

use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};

/// A seed that makes a new one of itself whenever it is used: chance is rare here, and a generator kept at hand larger.
#[derive(Debug)]
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// A generator for one occasion.
    pub(crate) fn rng(&mut self) -> SmallRng {
        let mut rng = SmallRng::seed_from_u64(self.0);
        self.0 = rng.random();
        rng
    }
}
