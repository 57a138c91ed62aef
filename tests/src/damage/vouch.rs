//! What still vouches for records once a file is damaged, by `docs/storage-format.md`, section "Recovery".

use std::collections::BTreeMap;

use super::inflict::Hits;
use super::records::{CHECKPOINT, Found};

/// A segment, and where in it.
pub(crate) type Place = (u32, usize);

/// Of one shard's log.
#[derive(Debug)]
pub(crate) struct Vouched {
    /// The position of the last checkpoint.
    checkpoint: Place,
    /// Where the log ends for whoever reads it after the damage, if it hit what nothing vouches for.
    ends: Option<Place>,
    /// The highest sequences of streams that messages say which are left.
    last: BTreeMap<u32, u64>,
}

/// Why a start may not know that a message was there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Excuse {
    /// Nothing that is left vouches for its record: as if it had never come to the disk.
    Unvouched,
    /// Its record is known to have been there. But the stream's last ones behind the checkpoint stand in no other place, so that nothing says whose it was.
    Nameless,
}

/// The position of the last checkpoint that was begun.
pub(crate) fn last_checkpoint(records: &[Found]) -> Place {
    let mut marks = records.iter().filter(|record| record.kind == CHECKPOINT);
    marks
        .next_back()
        .map_or((0, 0), |mark| (mark.segment, mark.to))
}

impl Vouched {
    /// `records`: those before the damage, in order.
    pub(crate) fn of(records: &[Found], checkpoint: Place, hits: &Hits) -> Self {
        let is_hit = |record: &Found| hits.touch(&record.file, record.from, record.to);
        let left = || records.iter().filter(|record| !is_hit(record));
        let last_segment = left().map(|record| record.segment).max().unwrap_or(0);
        let mut settled: BTreeMap<u32, usize> = BTreeMap::new();
        for record in left() {
            let stable = settled.entry(record.segment).or_default();
            *stable = (*stable).max(record.stable);
        }
        let is_settled = |record: &Found| {
            record.segment < last_segment
                || (record.segment, record.from) < checkpoint
                || settled
                    .get(&record.segment)
                    .is_some_and(|stable| record.from < *stable)
        };
        let mut ends = None;
        let mut was_hit = false;
        for record in records {
            let hit = is_hit(record);
            // Where a hole begins decides about all of it.
            if hit && !was_hit && !is_settled(record) {
                ends = Some((record.segment, record.from));
                break;
            }
            was_hit = hit;
        }
        // Behind a hole that does not end, nothing says how far it went.
        let at_the_end = records.iter().rev().take_while(|record| is_hit(record));
        let silent = at_the_end.filter(|record| !is_settled(record)).last();
        let ends = ends.or(silent.map(|record| (record.segment, record.from)));
        let mut last: BTreeMap<u32, u64> = BTreeMap::new();
        let counts = |record: &&Found| ends.is_none_or(|end| (record.segment, record.from) < end);
        for record in left().filter(counts) {
            let seq = last.entry(record.stream).or_default();
            *seq = record.seq.max(*seq);
        }
        Self {
            checkpoint,
            ends,
            last,
        }
    }

    /// Whether the log ends before this record.
    pub(crate) fn is_cut_off(&self, record: &Found) -> bool {
        self.ends
            .is_some_and(|end| (record.segment, record.from) >= end)
    }

    /// Why a start need not know the sequence of a message whose newest record is this, and was hit or cut off.
    pub(crate) fn excuse(&self, record: &Found) -> Option<Excuse> {
        if (record.segment, record.from) < self.checkpoint {
            None
        } else if self.is_cut_off(record) {
            Some(Excuse::Unvouched)
        } else {
            let last = self.last.get(&record.stream).copied().unwrap_or(0);
            (record.seq > last).then_some(Excuse::Nameless)
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::damage::records::MESSAGE;

    const SIZE: usize = 100;

    /// A segment of messages of 100 bytes each, of stream and sequence, each synced before the next.
    fn log(messages: &[(u32, u64)], checkpoint_before: Option<usize>) -> Vec<Found> {
        let record = |at: usize, (stream, seq): (u32, u64)| Found {
            file: PathBuf::from("1.seg"),
            segment: 1,
            from: at * SIZE,
            to: (at + 1) * SIZE,
            kind: if checkpoint_before == Some(at + 1) {
                CHECKPOINT
            } else {
                MESSAGE
            },
            stable: at * SIZE,
            stream,
            seq,
            subject: Vec::new(),
        };
        messages
            .iter()
            .enumerate()
            .map(|(at, message)| record(at, *message))
            .collect()
    }

    /// Which excuses there are for the messages from the first that was hit on.
    fn check(log: &[Found], hit: std::ops::Range<usize>, expected: &[Option<Excuse>]) {
        let hits = Hits {
            file: PathBuf::from("1.seg"),
            ranges: std::iter::once(hit.start * SIZE..hit.end.saturating_mul(SIZE)).collect(),
        };
        let vouched = Vouched::of(log, last_checkpoint(log), &hits);
        let found: Vec<_> = log[hit.start..]
            .iter()
            .map(|record| vouched.excuse(record))
            .collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn only_the_end_of_the_log_and_of_a_stream_are_excused() {
        use Excuse::{Nameless, Unvouched};
        let none = log(&[(1, 1), (1, 2), (2, 1), (1, 3)], None);
        // A later message of its stream names it.
        check(&none, 1..2, &[None, None, None]);
        check(&none, 2..3, &[Some(Nameless), None]);
        check(&none, 3..4, &[Some(Unvouched)]);
        check(&none, 1..usize::MAX, &[Some(Unvouched); 3]);
        // The checkpoint knows what lies before it.
        let checkpointed = log(&[(1, 1), (2, 1), (0, 0), (1, 2)], Some(3));
        check(&checkpointed, 1..2, &[None, None, None]);
        check(&checkpointed, 1..usize::MAX, &[None, None, Some(Unvouched)]);
    }
}
