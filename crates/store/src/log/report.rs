//! What the log tells about itself.

use std::path::PathBuf;

use super::{Record, RecordAt, SegmentNo, StreamId};

/// A record met while opening or scanning.
#[derive(Debug, Clone, Copy)]
pub struct ReplayedRecord<'a> {
    /// Where it lies.
    pub at: RecordAt,
    /// What it says.
    pub record: Record<'a>,
}

/// What opening a log found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LogReport {
    /// Segments with records.
    pub segments: usize,
    /// Records given to the visitor.
    pub replayed: u64,
    /// Bytes behind the last durable record that an interrupted commit left and that do not count.
    pub torn_bytes: u64,
    /// Damage in what had been durable: these bytes were lost, their neighbours were not.
    pub damage: Vec<Damage>,
    /// Of that, what was missing at the end of a file, which has its length again.
    pub cut: Vec<Damage>,
    /// Indexes that were missing or damaged and have been rebuilt.
    pub rebuilt_indexes: usize,
    /// Segments that should have held records and held none of use; under these names now.
    pub set_aside: Vec<PathBuf>,
    /// Files with names that are not ours; they are left alone.
    pub strangers: Vec<PathBuf>,
    /// The last sequences that indexes name of segments that are gone, cut or unreadable: an index is only written of a durable segment, and goes
    /// before it. Of those that are only damaged, too.
    pub indexed: Vec<(StreamId, u64)>,
    /// The messages, stream and sequence, that damaged records claim to be, in order of the log. Only those that go on where their stream ends
    /// are to be believed.
    pub claimed: Vec<(StreamId, u64)>,
}

impl LogReport {
    /// Takes over what an earlier opening of the same log has found and seen to, so that this one did not find it. Damage that is there no more
    /// was an erasure that a stop had interrupted.
    pub(crate) fn continue_from(&mut self, earlier: Self) {
        self.set_aside.extend(earlier.set_aside);
        self.indexed.extend(earlier.indexed);
        for cut in earlier.cut {
            if !self.damage.contains(&cut) {
                self.damage.push(cut);
            }
            self.cut.push(cut);
        }
    }
}

/// Bytes of a segment that should be records and are not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Damage {
    /// The segment.
    pub segment: SegmentNo,
    /// The first byte that is not a record.
    pub from: u32,
    /// The next byte that is one, or the segment's end.
    pub to: u32,
}

/// A segment and how much of it still counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SegmentUsage {
    /// Which.
    pub segment: SegmentNo,
    /// Bytes used, by records live or dead.
    pub used: u32,
    /// Bytes of live records.
    pub live: u32,
    /// Whether the segment is full and will not be appended to. Only sealed segments can be
    /// recycled.
    pub sealed: bool,
    /// The one before it when it was begun; the numbers of commits that failed or were torn lie between. `None` if there was none, and for
    /// segments of which a start has read the index only.
    pub previous: Option<SegmentNo>,
}

impl SegmentUsage {
    /// Whether no segment between this and an earlier one has been given back.
    pub(crate) fn follows(&self, earlier: SegmentNo) -> bool {
        self.previous == Some(earlier) || self.segment == earlier.next()
    }
}
