//! A compact set of sequences: the gaps of a stream.

use roaring::RoaringTreemap;

/// Sequences between a stream's first and last that hold no message. A run of any length costs a few bytes, scattered ones at most
/// a bit for each sequence of the span.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct SeqSet {
    set: RoaringTreemap,
}

impl SeqSet {
    pub(crate) fn len(&self) -> u64 {
        self.set.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.set.is_empty()
    }

    /// Those that are not in the other.
    pub(crate) fn without(&self, other: &Self) -> Self {
        Self {
            set: &self.set - &other.set,
        }
    }

    pub(crate) fn add(&mut self, other: &Self) {
        self.set |= &other.set;
    }

    /// Its runs without a gap, each with its first and last member.
    pub(crate) fn runs(&self) -> impl Iterator<Item = (u64, u64)> {
        let mut members = self.set.iter().peekable();
        std::iter::from_fn(move || {
            let first = members.next()?;
            let mut last = first;
            while let Some(next) = members.next_if(|next| Some(*next) == last.checked_add(1)) {
                last = next;
            }
            Some((first, last))
        })
    }

    pub(crate) fn contains(&self, seq: u64) -> bool {
        self.set.contains(seq)
    }

    pub(crate) fn insert(&mut self, seq: u64) -> bool {
        self.set.insert(seq)
    }

    /// Adds `first` to `last`, both included; nothing if they are out of order.
    #[inline]
    pub(crate) fn insert_range(&mut self, first: u64, last: u64) {
        if first <= last {
            self.set.insert_range(first..=last);
        }
    }

    /// Forgets everything below `seq`.
    pub(crate) fn remove_below(&mut self, seq: u64) {
        if !self.set.is_empty() {
            self.set.remove_range(..seq);
        }
    }

    pub(crate) fn clear(&mut self) {
        self.set.clear();
    }

    /// How many members lie from `first` to `last`, both included.
    pub(crate) fn count(&self, first: u64, last: u64) -> u64 {
        if first > last || self.set.is_empty() {
            0
        } else {
            self.set.range_cardinality(first..=last)
        }
    }

    /// The first sequence at or above `from` that is not a member.
    pub(crate) fn next_absent(&self, from: u64) -> u64 {
        let mut seq = from;
        if self.set.is_empty() {
            return seq;
        }
        while self.set.contains(seq) {
            let (high, low) = ((seq >> 32) as u32, seq as u32);
            let run = self
                .set
                .bitmaps()
                .find(|(key, _)| *key == high)
                .and_then(|(_, bitmap)| bitmap.range(low..).next_range());
            match run {
                Some(run) => seq = (u64::from(high) << 32 | u64::from(*run.end())) + 1,
                None => break,
            }
        }
        seq
    }

    /// The first member at or above `from`.
    pub(crate) fn next_present(&self, from: u64) -> Option<u64> {
        if self.set.is_empty() {
            return None;
        }
        let mut members = self.set.iter();
        members.advance_to(from);
        members.next()
    }

    /// The first sequence at or below `from` that is not a member; 0 is never one.
    pub(crate) fn previous_absent(&self, from: u64) -> u64 {
        let mut seq = from;
        if self.set.is_empty() {
            return seq;
        }
        while self.set.contains(seq) {
            let (high, low) = ((seq >> 32) as u32, seq as u32);
            let run = self
                .set
                .bitmaps()
                .find(|(key, _)| *key == high)
                .and_then(|(_, bitmap)| bitmap.range(..=low).next_range_back());
            match run {
                Some(run) => {
                    seq = (u64::from(high) << 32 | u64::from(*run.start())).saturating_sub(1);
                }
                None => break,
            }
        }
        seq
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = u64> {
        self.set.iter()
    }

    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        self.set
            .serialize_into(out)
            .expect("writing to a Vec does not fail");
    }

    /// Reads what [`SeqSet::encode`] wrote; `None` if the bytes make no sense.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        RoaringTreemap::deserialize_from(bytes)
            .ok()
            .map(|set| Self { set })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn answers_as_a_plain_set_does(
            ranges in proptest::collection::vec((1_u64..300, 0_u64..40), 0..12),
            base in prop_oneof![Just(0_u64), Just((1 << 32) - 150)],
            probe in 1_u64..360,
        ) {
            let mut set = SeqSet::default();
            let mut model = BTreeSet::new();
            for (first, len) in ranges {
                set.insert_range(base + first, base + first + len);
                model.extend(base + first..=base + first + len);
            }
            let probe = base + probe;
            prop_assert_eq!(set.len(), model.len() as u64);
            prop_assert_eq!(set.next_absent(probe), (probe..).find(|s| !model.contains(s)).unwrap());
            prop_assert_eq!(set.next_present(probe), model.range(probe..).next().copied());
            prop_assert_eq!(set.previous_absent(probe), (0..=probe).rev().find(|s| !model.contains(s)).unwrap());
            prop_assert_eq!(set.count(probe, probe + 30), model.range(probe..=probe + 30).count() as u64);
            let mut bytes = Vec::new();
            set.encode(&mut bytes);
            prop_assert_eq!(SeqSet::decode(&bytes), Some(set));
        }
    }
}
