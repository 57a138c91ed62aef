//! A compact set of sequences: the gaps of a stream.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use roaring::{RoaringBitmap, RoaringTreemap};

/// Sequences between a stream's first and last that hold no message. A run of any length costs a few bytes, scattered ones at most
/// a bit for each sequence of the span. Sequence 0 is never one.
///
/// What makes up whole chunks of 2^16 sequences is kept as runs of chunks, since a bitmap takes a few bytes for each; a mirror's origin may leave out 2^60.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct SeqSet {
    /// Numbers of chunks, the first and the last of each run. Runs do not touch.
    whole: BTreeMap<u64, u64>,
    /// All others, by the upper half of the sequence; none is empty.
    parts: BTreeMap<u32, RoaringBitmap>,
}

const CHUNK_BITS: u32 = 16;
/// The place in its chunk.
const IN_CHUNK: u64 = (1 << CHUNK_BITS) - 1;

impl SeqSet {
    pub(crate) fn len(&self) -> u64 {
        let chunks: u64 = self
            .whole
            .iter()
            .map(|(first, last)| last - first + 1)
            .sum();
        let others: u64 = self.parts.values().map(RoaringBitmap::len).sum();
        (chunks << CHUNK_BITS) + others
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.whole.is_empty() && self.parts.is_empty()
    }

    /// Those that are not in the other.
    pub(crate) fn without(&self, other: &Self) -> Self {
        let mut rest = Self::default();
        for (first, last) in self.runs() {
            let mut from = other.next_absent(first);
            while from <= last {
                let taken = other.next_present(from).filter(|taken| *taken <= last);
                rest.insert_range(from, taken.map_or(last, |taken| taken - 1));
                let Some(taken) = taken else { break };
                from = other.next_absent(taken);
            }
        }
        rest
    }

    pub(crate) fn add(&mut self, other: &Self) {
        for (first, last) in other.runs() {
            self.insert_range(first, last);
        }
    }

    /// Its runs without a gap, each with its first and last member.
    pub(crate) fn runs(&self) -> impl Iterator<Item = (u64, u64)> {
        let mut from = 0;
        std::iter::from_fn(move || {
            let first = self.next_present(from)?;
            from = self.next_absent(first);
            Some((first, from - 1))
        })
    }

    pub(crate) fn contains(&self, seq: u64) -> bool {
        let (high, low) = halves(seq);
        self.parts.get(&high).is_some_and(|part| part.contains(low))
            || self.whole_run(seq >> CHUNK_BITS).is_some()
    }

    pub(crate) fn insert(&mut self, seq: u64) {
        self.insert_in_chunk(seq, seq);
    }

    /// Adds `first` to `last`, both included; nothing if they are out of order.
    #[inline]
    pub(crate) fn insert_range(&mut self, first: u64, last: u64) {
        if first <= last {
            self.insert_run(first, last);
        }
    }

    fn insert_run(&mut self, first: u64, last: u64) {
        let (from, end) = (first >> CHUNK_BITS, last >> CHUNK_BITS);
        let (head, tail) = (first & IN_CHUNK != 0, last & IN_CHUNK != IN_CHUNK);
        let (from_whole, end_whole) = (from + u64::from(head), end + u64::from(!tail));
        if from_whole < end_whole {
            self.insert_chunks(from_whole, end_whole - 1);
        }
        if head {
            self.insert_in_chunk(first, last.min(first | IN_CHUNK));
        }
        if tail && (!head || from < end) {
            self.insert_in_chunk(first.max(last & !IN_CHUNK), last);
        }
    }

    /// Both of them are of one chunk.
    fn insert_in_chunk(&mut self, first: u64, last: u64) {
        let chunk = first >> CHUNK_BITS;
        if self.whole_run(chunk).is_some() {
            return;
        }
        let (high, from) = halves(first);
        let (_, to) = halves(last);
        let part = self.parts.entry(high).or_default();
        if from == to {
            part.insert(from);
        } else {
            part.insert_range(from..=to);
        }
        let (_, begin) = halves(first & !IN_CHUNK);
        let (_, end) = halves(first | IN_CHUNK);
        // The ends first: counting takes longer.
        if part.contains(begin) && part.contains(end) && part.contains_range(begin..=end) {
            self.insert_chunks(chunk, chunk);
        }
    }

    fn insert_chunks(&mut self, first: u64, last: u64) {
        self.remove_parts(first << CHUNK_BITS, last << CHUNK_BITS | IN_CHUNK);
        let (mut from, mut to) = (first, last);
        while let Some((start, end)) = self.whole.range(..=last + 1).next_back()
            && *end + 1 >= first
        {
            let (start, end) = (*start, *end);
            self.whole.remove(&start);
            from = from.min(start);
            to = to.max(end);
        }
        self.whole.insert(from, to);
    }

    fn remove_parts(&mut self, first: u64, last: u64) {
        let ((from, _), (to, _)) = (halves(first), halves(last));
        let keys: Vec<u32> = self.parts.range(from..=to).map(|(key, _)| *key).collect();
        for key in keys {
            if let Some(part) = self.parts.get_mut(&key) {
                part.remove_range(within(key, first, last));
                if part.is_empty() {
                    self.parts.remove(&key);
                }
            }
        }
    }

    /// Forgets everything below `seq`.
    pub(crate) fn remove_below(&mut self, seq: u64) {
        let (high, low) = halves(seq);
        while let Some(first) = self.parts.first_entry()
            && *first.key() < high
        {
            first.remove();
        }
        if let Some(part) = self.parts.get_mut(&high) {
            part.remove_range(..low);
            if part.is_empty() {
                self.parts.remove(&high);
            }
        }
        while let Some(first) = self.whole.first_entry()
            && *first.key() << CHUNK_BITS < seq
        {
            let last = first.remove() << CHUNK_BITS | IN_CHUNK;
            self.insert_range(seq, last);
        }
    }

    pub(crate) fn clear(&mut self) {
        self.whole.clear();
        self.parts.clear();
    }

    /// How many members lie from `first` to `last`, both included.
    pub(crate) fn count(&self, first: u64, last: u64) -> u64 {
        if first > last {
            return 0;
        }
        let ((from, _), (to, _)) = (halves(first), halves(last));
        let parts = self.parts.range(from..=to);
        let others: u64 = parts
            .map(|(key, part)| part.range_cardinality(within(*key, first, last)))
            .sum();
        let chunk = first >> CHUNK_BITS;
        let begin = self.whole_run(chunk).map_or(chunk, |(begin, _)| begin);
        let runs = self.whole.range(begin..=last >> CHUNK_BITS);
        let whole: u64 = runs
            .map(|(begin, end)| {
                let (begin, end) = (begin << CHUNK_BITS, end << CHUNK_BITS | IN_CHUNK);
                end.min(last) - begin.max(first) + 1
            })
            .sum();
        whole + others
    }

    /// The first sequence at or above `from` that is not a member.
    pub(crate) fn next_absent(&self, from: u64) -> u64 {
        let mut seq = from;
        while let Some(end) = self.run_end(seq) {
            // The last number is no sequence.
            let Some(next) = end.checked_add(1) else {
                break;
            };
            seq = next;
        }
        seq
    }

    /// The first member at or above `from`.
    pub(crate) fn next_present(&self, from: u64) -> Option<u64> {
        let chunk = from >> CHUNK_BITS;
        let whole = match self.whole_run(chunk) {
            Some(_) => Some(from),
            None => {
                let next = self.whole.range(chunk..).next();
                next.map(|(first, _)| first << CHUNK_BITS)
            }
        };
        let (high, low) = halves(from);
        let other = self.parts.range(high..).find_map(|(key, part)| {
            let low = if *key == high { low } else { 0 };
            let member = part.range(low..).next()?;
            Some(joined(*key, member))
        });
        [whole, other].into_iter().flatten().min()
    }

    /// The first sequence at or below `from` that is not a member; 0 is never one.
    pub(crate) fn previous_absent(&self, from: u64) -> u64 {
        let mut seq = from;
        while let Some(start) = self.run_start(seq) {
            seq = start.saturating_sub(1);
            if seq == 0 {
                break;
            }
        }
        seq
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = u64> {
        self.runs().flat_map(|(first, last)| first..=last)
    }

    /// The run of whole chunks that a chunk is in.
    fn whole_run(&self, chunk: u64) -> Option<(u64, u64)> {
        let (first, last) = self.whole.range(..=chunk).next_back()?;
        (*last >= chunk).then_some((*first, *last))
    }

    /// The last of the members that follow this one without a gap, or one on the way to it; `None` if it is no member.
    fn run_end(&self, seq: u64) -> Option<u64> {
        if let Some((_, last)) = self.whole_run(seq >> CHUNK_BITS) {
            return Some(last << CHUNK_BITS | IN_CHUNK);
        }
        let (high, low) = halves(seq);
        let part = self.parts.get(&high).filter(|part| part.contains(low))?;
        let run = part.range(low..).next_range()?;
        Some(joined(high, *run.end()))
    }

    /// As [`SeqSet::run_end`], downwards.
    fn run_start(&self, seq: u64) -> Option<u64> {
        if let Some((first, _)) = self.whole_run(seq >> CHUNK_BITS) {
            return Some(first << CHUNK_BITS);
        }
        let (high, low) = halves(seq);
        let part = self.parts.get(&high).filter(|part| part.contains(low))?;
        let run = part.range(..=low).next_range_back()?;
        Some(joined(high, *run.start()))
    }

    /// Whether [`SeqSet::encode`] writes more than earlier versions read.
    pub(crate) fn has_whole_chunks(&self) -> bool {
        !self.whole.is_empty()
    }

    /// The bitmaps as a `RoaringTreemap` is written, then the runs of whole chunks.
    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&(self.parts.len() as u64).to_le_bytes());
        for (key, part) in &self.parts {
            out.extend_from_slice(&key.to_le_bytes());
            part.serialize_into(&mut *out)
                .expect("writing to a Vec does not fail");
        }
        for (first, last) in &self.whole {
            out.extend_from_slice(&first.to_le_bytes());
            out.extend_from_slice(&last.to_le_bytes());
        }
    }

    /// Reads what [`SeqSet::encode`] wrote; `None` if the bytes make no sense.
    pub(crate) fn decode(mut bytes: &[u8]) -> Option<Self> {
        let treemap = RoaringTreemap::deserialize_from(&mut bytes).ok()?;
        let mut set = Self::default();
        for (key, part) in treemap.bitmaps() {
            if !part.is_empty() {
                set.parts.insert(key, part.clone());
            }
            // Earlier versions wrote whole chunks so as well.
            let mut members = part.iter();
            while let Some(run) = members.next_range() {
                let (first, last) = (joined(key, *run.start()), joined(key, *run.end()));
                if last - first >= IN_CHUNK {
                    set.insert_range(first, last);
                }
            }
        }
        while let Some((run, rest)) = bytes.split_first_chunk::<16>() {
            let (first, last) = run.split_first_chunk::<8>()?;
            let first = u64::from_le_bytes(*first);
            let last = u64::from_le_bytes(last.try_into().ok()?);
            if first > last || last > u64::MAX >> CHUNK_BITS {
                return None;
            }
            set.insert_chunks(first, last);
            bytes = rest;
        }
        bytes.is_empty().then_some(set)
    }
}

/// A sequence's upper and lower half.
fn halves(seq: u64) -> (u32, u32) {
    ((seq >> 32) as u32, seq as u32)
}

fn joined(high: u32, low: u32) -> u64 {
    u64::from(high) << 32 | u64::from(low)
}

/// What a bitmap has of the sequences from `first` to `last`, if these have any of its upper half.
fn within(high: u32, first: u64, last: u64) -> RangeInclusive<u32> {
    let (first, last) = (halves(first), halves(last));
    let from = if high == first.0 { first.1 } else { 0 };
    let to = if high == last.0 { last.1 } else { u32::MAX };
    from..=to
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::ops::Range;

    use proptest::prelude::*;

    use super::*;

    fn encoded(set: &SeqSet) -> Vec<u8> {
        let mut bytes = Vec::new();
        set.encode(&mut bytes);
        bytes
    }

    proptest! {
        #[test]
        fn answers_as_a_plain_set_does(
            ranges in proptest::collection::vec((1_u64..300, 0_u64..40), 0..12),
            base in prop_oneof![Just(0_u64), Just((1 << 16) - 150), Just((1 << 32) - 150)],
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
            prop_assert_eq!(set.iter().collect::<Vec<_>>(), model.into_iter().collect::<Vec<_>>());
            prop_assert_eq!(SeqSet::decode(&encoded(&set)), Some(set));
        }

        #[test]
        fn answers_as_a_list_of_long_ranges_does(
            ranges in proptest::collection::vec(range(), 0..8),
            others in proptest::collection::vec(range(), 0..4),
            below in place(),
            probe in place(),
        ) {
            let [mut set, other] = [&ranges, &others].map(|ranges| {
                let mut set = SeqSet::default();
                ranges.iter().for_each(|range| set.insert_range(range.start, range.end - 1));
                set
            });
            let (model, taken) = (joined_up(ranges), joined_up(others));
            prop_assert_eq!(ranges_of(&set.without(&other)), difference(&model, &taken));
            let mut both = set.clone();
            both.add(&other);
            prop_assert_eq!(ranges_of(&both), joined_up([model.clone(), taken].concat()));

            set.remove_below(below);
            let model = from(below, &model);
            prop_assert_eq!(&ranges_of(&set), &model);
            prop_assert_eq!(set.len(), len(&model));
            let behind = from(probe, &model);
            prop_assert_eq!(set.count(probe, u64::MAX - 1), len(&behind));
            prop_assert_eq!(set.count(1, probe), len(&model) - len(&from(probe + 1, &model)));
            let at = model.iter().find(|range| range.contains(&probe));
            prop_assert_eq!(set.contains(probe), at.is_some());
            prop_assert_eq!(set.next_absent(probe), at.map_or(probe, |range| range.end));
            prop_assert_eq!(set.previous_absent(probe), at.map_or(probe, |range| range.start - 1));
            prop_assert_eq!(set.next_present(probe), behind.first().map(|range| range.start));
            // However it came about, an equal set is an equal value.
            let mut same = SeqSet::default();
            model.iter().rev().for_each(|range| same.insert_range(range.start, range.end - 1));
            prop_assert_eq!(&same, &set);
            prop_assert_eq!(SeqSet::decode(&encoded(&set)), Some(set));
        }
    }

    /// Near the borders of chunks, and of bitmaps.
    fn place() -> impl Strategy<Value = u64> {
        let border = prop_oneof![
            (1_u64..6).prop_map(|chunk| chunk << 16),
            (1_u64..4).prop_map(|half| half << 32),
            Just(1 << 60),
        ];
        (border, 0_u64..5).prop_map(|(border, off)| border + off - 2)
    }

    fn range() -> impl Strategy<Value = Range<u64>> {
        (place(), place()).prop_map(|(a, b)| a.min(b)..a.max(b) + 1)
    }

    fn ranges_of(set: &SeqSet) -> Vec<Range<u64>> {
        set.runs().map(|(first, last)| first..last + 1).collect()
    }

    fn joined_up(mut ranges: Vec<Range<u64>>) -> Vec<Range<u64>> {
        ranges.sort_by_key(|range| range.start);
        let mut joined: Vec<Range<u64>> = Vec::new();
        for range in ranges {
            match joined.last_mut() {
                Some(last) if range.start <= last.end => last.end = last.end.max(range.end),
                _ => joined.push(range),
            }
        }
        joined
    }

    fn difference(ranges: &[Range<u64>], taken: &[Range<u64>]) -> Vec<Range<u64>> {
        let mut rest = ranges.to_vec();
        for taken in taken {
            rest = rest
                .into_iter()
                .flat_map(|range| {
                    let below = range.start..range.end.min(taken.start);
                    [below, range.start.max(taken.end)..range.end]
                })
                .filter(|range| !range.is_empty())
                .collect();
        }
        rest
    }

    /// What is not below `first`.
    fn from(first: u64, ranges: &[Range<u64>]) -> Vec<Range<u64>> {
        let cut = ranges.iter().map(|range| range.start.max(first)..range.end);
        cut.filter(|range| !range.is_empty()).collect()
    }

    fn len(ranges: &[Range<u64>]) -> u64 {
        ranges.iter().map(|range| range.end - range.start).sum()
    }

    #[test]
    fn a_gap_of_any_length_takes_a_few_bytes() {
        let mut set = SeqSet::default();
        set.insert_range(2, (1 << 60) - 1);
        assert_eq!(set.len(), (1 << 60) - 2);
        assert!(encoded(&set).len() < 100);
    }

    #[test]
    fn sequences_that_come_one_by_one_take_a_few_bytes_once_they_are_whole_chunks() {
        let mut set = SeqSet::default();
        (2..=200_000).for_each(|seq| set.insert(seq));
        let mut same = SeqSet::default();
        same.insert_range(2, 200_000);
        assert_eq!(set, same);
        assert!(encoded(&same).len() < 100);
    }

    #[test]
    fn what_earlier_versions_wrote_is_read() {
        let mut older = RoaringTreemap::new();
        older.insert_range(5..=200_000);
        older.insert(1 << 33);
        let mut bytes = Vec::new();
        older.serialize_into(&mut bytes).unwrap();
        let mut set = SeqSet::default();
        set.insert_range(5, 200_000);
        set.insert(1 << 33);
        assert_eq!(SeqSet::decode(&bytes), Some(set));
    }
}
