//! Message bodies that tell which message they are, and whether a bit of them has changed.

use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

/// The body of the message with this number, `len` bytes and at least 8.
pub(crate) fn payload(id: u32, len: usize) -> Vec<u8> {
    let mut bytes = format!("{id:08x}").into_bytes();
    let head = bytes.len();
    bytes.resize(len.max(head), 0);
    SmallRng::seed_from_u64(u64::from(id)).fill_bytes(&mut bytes[head..]);
    bytes
}

/// What the message with this number adds to a counter: now and then more than a machine word holds.
pub(crate) fn increment(id: u32) -> i128 {
    let small = i128::from(id.wrapping_mul(2_654_435_761) % 2001) - 1000;
    match id % 8 {
        0 => small * 10_000_000_000_000_000_000_000,
        _ => small,
    }
}

/// The number of the message with this body, if its front is one's.
pub(crate) fn id(payload: &[u8]) -> Option<u32> {
    let head = std::str::from_utf8(payload.get(..8)?).ok()?;
    u32::from_str_radix(head, 16).ok()
}
