//! Chance that is the same on every machine and in every version of every library.

use super::step::History;

/// As many histories of each flavour as its last member says, by name and seed.
pub(super) fn of_flavours<F: Copy>(
    flavours: &[(F, &str, u64)],
    history: impl Fn(F, String, u64) -> History,
) -> Vec<History> {
    let mut histories = Vec::new();
    for &(flavour, name, count) in flavours {
        for seed in 0..count {
            histories.push(history(flavour, format!("{name}-{seed}"), seed));
        }
    }
    histories
}

/// SplitMix64.
pub(super) struct Random(u64);

impl Random {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// 0 to `end - 1`.
    pub(super) fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    /// Whether something happens that happens `percent` times in a hundred.
    pub(super) fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    /// One of these.
    pub(super) fn pick<'a, T: ?Sized>(&mut self, of: &[&'a T]) -> &'a T {
        of[usize::try_from(self.below(of.len() as u64)).unwrap_or(0)]
    }

    /// Less than `end` bytes of no meaning.
    pub(super) fn filler(&mut self, end: u64) -> String {
        "x".repeat(usize::try_from(self.below(end)).unwrap_or(0))
    }

    /// An index into weights, in proportion to them.
    pub(super) fn weighted(&mut self, weights: &[u64]) -> usize {
        let mut at = self.below(weights.iter().sum());
        for (index, weight) in weights.iter().enumerate() {
            if at < *weight {
                return index;
            }
            at -= weight;
        }
        0
    }
}
