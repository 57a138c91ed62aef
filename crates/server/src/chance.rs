//! Random numbers. A thread that drives a server step by step gives a seed for them.

use std::cell::RefCell;

use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};

thread_local! {
    /// Where this thread takes its numbers from, in place of the machine's randomness.
    static SEEDED: RefCell<Option<SmallRng>> = const { RefCell::new(None) };
}

/// A random number, not to be guessed unless a seed was given.
pub(crate) fn number() -> u64 {
    SEEDED.with_borrow_mut(|seeded| match seeded {
        Some(seeded) => seeded.random(),
        None => rand::random(),
    })
}

/// 32 random bytes, not to be guessed unless a seed was given.
pub(crate) fn bytes() -> [u8; 32] {
    let mut bytes = [0; 32];
    for eight in bytes.chunks_exact_mut(8) {
        eight.copy_from_slice(&number().to_le_bytes());
    }
    bytes
}

/// Gives this thread a seed; `None` gives it the machine's randomness back.
pub(crate) fn seed(seed: Option<u64>) {
    SEEDED.set(seed.map(SmallRng::seed_from_u64));
}
