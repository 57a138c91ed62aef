//! Copies of messages whose originals damage took.

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;

use crate::log::StreamId;
use crate::stream::{ReplayedMessage, SeqSet};

/// Giving a segment back copies what lives in it to the log's end. Until it is gone both are there, and a replay takes the copy for what it knows
/// already. If damage took the original, the copy counts in its place: what the log says behind the original applies to it as well.
#[derive(Debug, Default)]
pub(super) struct Copies {
    streams: HashMap<StreamId, Met>,
}

/// The messages of a stream that were met.
#[derive(Debug, Default)]
struct Met {
    last: u64,
    /// Those that were passed over.
    missing: SeqSet,
    /// Those of them that came later.
    copies: BTreeMap<u64, ReplayedMessage>,
}

impl Copies {
    /// The stream has everything up to this sequence.
    pub(super) fn begin(&mut self, stream: StreamId, last: u64) {
        self.streams.entry(stream).or_default().last = last;
    }

    /// In order of the log.
    pub(super) fn meet(&mut self, stream: StreamId, message: ReplayedMessage) {
        let Met {
            last,
            missing,
            copies,
        } = self.streams.entry(stream).or_default();
        let seq = message.seq;
        if seq > *last {
            if seq > *last + 1 {
                missing.insert_range(*last + 1, seq - 1);
            }
            *last = seq;
        } else if missing.contains(seq) {
            copies.insert(seq, message);
        }
    }

    /// Takes those of a range of sequences, in order.
    pub(super) fn take(&mut self, stream: StreamId, seqs: Range<u64>) -> Vec<ReplayedMessage> {
        let Some(Met { copies, .. }) = self.streams.get_mut(&stream) else {
            return Vec::new();
        };
        if copies.is_empty() || seqs.is_empty() {
            return Vec::new();
        }
        let mut taken = copies.split_off(&seqs.start);
        copies.append(&mut taken.split_off(&seqs.end));
        taken.into_values().collect()
    }
}
