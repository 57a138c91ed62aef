//! Bytes that never come twice.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use ring::hkdf::{HKDF_SHA256, KeyType, Prk};

/// Makes as many salts as are asked for out of the 32 random bytes of an opening.
#[derive(Debug)]
pub(super) struct Salts {
    from: Prk,
    given: AtomicU64,
}

struct Length(usize);

impl KeyType for Length {
    fn len(&self) -> usize {
        self.0
    }
}

impl Salts {
    pub(super) fn new(random: &[u8; 32]) -> Self {
        Self {
            from: Prk::new_less_safe(HKDF_SHA256, random),
            given: AtomicU64::new(0),
        }
    }

    /// The next `N` bytes, at most 64.
    pub(super) fn next<const N: usize>(&self) -> [u8; N] {
        let number = self.given.fetch_add(1, Relaxed).to_le_bytes();
        expand(&self.from, &[b"jetsled salt", &number])
    }
}

/// `N` bytes, at most 64, derived for one purpose.
pub(super) fn expand<const N: usize>(from: &Prk, info: &[&[u8]]) -> [u8; N] {
    const { assert!(N <= 64) };
    let mut out = [0; N];
    let filled = from
        .expand(info, Length(N))
        .and_then(|okm| okm.fill(&mut out));
    filled.expect("HKDF gives up to 8160 bytes");
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn salts_differ() {
        let salts = Salts::new(&[7; 32]);
        let other = Salts::new(&[8; 32]);
        let all: std::collections::BTreeSet<[u8; 8]> = (0..100)
            .flat_map(|_| [salts.next(), other.next()])
            .collect();
        assert_eq!(all.len(), 200);
    }
}
