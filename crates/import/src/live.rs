//! Which messages of a stream are there, as nats-server would find at its next start.
//!
//! An index that matches the last block's last record tells all. Otherwise the blocks do: what they hold, less what tombstones in them take back.

use std::collections::BTreeMap;

use jetsled_archive::filestore::RecordKind;
use jetsled_jetstream_api::{StreamSeq, Timestamp};
use roaring::RoaringTreemap;

use crate::block::Told;
use crate::index::{Index, IndexedBlock};

/// Where a stream ends.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct End {
    /// The last sequence that was used, whether or not its message is there.
    pub last_seq: StreamSeq,
    /// When that message was stored; unset if nothing tells.
    pub last_time: Timestamp,
}

#[derive(Debug)]
pub(crate) enum Live {
    Indexed(Index),
    Scanned(Scanned),
}

/// What was found by looking through all blocks.
#[derive(Debug, Default)]
pub(crate) struct Scanned {
    /// Sequences taken back.
    gone: RoaringTreemap,
    /// The lowest and highest sequence that was stored in each block.
    spans: BTreeMap<u64, (u64, u64)>,
    end: End,
}

impl Scanned {
    pub(crate) fn note(&mut self, block: u64, told: &Told) {
        let (seq, time) = (told.place.seq, told.place.timestamp);
        if seq == 0 {
            return;
        }
        if told.kind == RecordKind::Tombstone {
            self.gone.insert(seq);
        } else {
            let span = self.spans.entry(block).or_insert((seq, seq));
            span.0 = span.0.min(seq);
            span.1 = span.1.max(seq);
        }
        if seq > self.end.last_seq.get() || (seq == self.end.last_seq.get() && time != 0) {
            self.end = End {
                last_seq: StreamSeq(seq),
                last_time: Timestamp(time),
            };
        }
    }

    /// An index that is out of date may remember a later end.
    pub(crate) fn note_end(&mut self, end: End) {
        if end.last_seq > self.end.last_seq {
            self.end = end;
        }
    }

    /// The highest sequence stored before this block.
    fn stored_before(&self, block: u64) -> u64 {
        let before = self.spans.range(..block).map(|(_, span)| span.1);
        before.max().unwrap_or(0)
    }

    /// The lowest sequence stored behind this block.
    fn stored_behind(&self, block: u64) -> Option<u64> {
        let behind = self.spans.range(block + 1..).map(|(_, span)| span.0);
        behind.min()
    }

    /// The sequences that may be lost where reading block `block` broke off; whether there may be more at the end of the stream.
    pub(crate) fn lost(
        &self,
        block: u64,
        above: u64,
        below: Option<u64>,
        into: &mut Vec<std::ops::RangeInclusive<u64>>,
    ) -> bool {
        let above = above.max(self.stored_before(block));
        match below.or_else(|| self.stored_behind(block)) {
            Some(below) => {
                without(above + 1, below - 1, &self.gone, into);
                false
            }
            None => true,
        }
    }
}

impl Live {
    pub(crate) fn end(&self) -> End {
        let mut end = match self {
            Self::Indexed(index) => End {
                last_seq: index.state.last_seq,
                last_time: index.state.last_time,
            },
            Self::Scanned(scanned) => scanned.end,
        };
        // Zero stands for no time.
        if end.last_time == Timestamp::EPOCH {
            end.last_time = Timestamp::UNSET;
        }
        end
    }

    pub(crate) fn indexed(&self, block: u64) -> Option<&IndexedBlock> {
        match self {
            Self::Indexed(index) => index.blocks.get(&block),
            Self::Scanned(_) => None,
        }
    }

    /// Whether a message stored in this block is still there.
    pub(crate) fn is_live(&self, block: u64, seq: u64) -> bool {
        match self {
            Self::Indexed(index) => index
                .blocks
                .get(&block)
                .is_some_and(|block| block.is_live(seq)),
            Self::Scanned(scanned) => !scanned.gone.contains(seq),
        }
    }
}

/// The parts of `first..=last` that `deleted` does not cover.
pub(crate) fn without(
    first: u64,
    last: u64,
    deleted: &RoaringTreemap,
    into: &mut Vec<std::ops::RangeInclusive<u64>>,
) {
    let mut from = first;
    if first <= last {
        let mut inside = deleted.iter();
        inside.advance_to(first);
        for gone in inside.take_while(|gone| *gone <= last) {
            if from < gone {
                into.push(from..=gone - 1);
            }
            from = gone.saturating_add(1);
        }
    }
    if from <= last {
        into.push(from..=last);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_deleted_is_not_lost() {
        let deleted: RoaringTreemap = [1, 4, 5, 9, 12].into_iter().collect();
        let check = |first, last, expected: &[std::ops::RangeInclusive<u64>]| {
            let mut ranges = Vec::new();
            without(first, last, &deleted, &mut ranges);
            assert_eq!(ranges, expected, "{first}-{last}");
        };
        check(2, 10, &[2..=3, 6..=8, 10..=10]);
        check(4, 5, &[]);
        check(6, 6, &[6..=6]);
        check(13, 15, &[13..=15]);
        check(7, 6, &[]);
    }
}
