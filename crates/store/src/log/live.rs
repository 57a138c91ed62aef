//! How much of each segment still counts, and what a checkpoint keeps of it.

use std::collections::BTreeMap;

use super::{LogPosition, RecordAt, SegmentNo};

/// How many bytes of each segment are live, as the log counts them while it replays.
#[derive(Debug, Default)]
pub struct LiveBytes {
    segments: BTreeMap<SegmentNo, u32>,
}

impl LiveBytes {
    /// This record, replayed now or before, is dead.
    pub fn release(&mut self, at: RecordAt) {
        if let Some(live) = self.segments.get_mut(&at.segment) {
            *live = live.saturating_sub(at.footprint());
        }
    }

    pub(crate) fn add(&mut self, at: RecordAt) {
        *self.segments.entry(at.segment).or_default() += at.footprint();
    }

    pub(crate) fn set(&mut self, segment: SegmentNo, live: u32) {
        self.segments.insert(segment, live);
    }

    pub(crate) fn get(&self, segment: SegmentNo) -> u32 {
        self.segments.get(&segment).copied().unwrap_or(0)
    }
}

/// What a checkpoint must keep about the log, so that the next opening replays only what follows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogCheckpoint {
    /// Replay starts here.
    pub position: LogPosition,
    /// Live bytes of each segment.
    pub live: Vec<(SegmentNo, u32)>,
}

impl LogCheckpoint {
    /// For the catalog.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(8 + 8 * self.live.len());
        out.extend_from_slice(&self.position.to_u64().to_le_bytes());
        for (segment, live) in &self.live {
            out.extend_from_slice(&segment.0.to_le_bytes());
            out.extend_from_slice(&live.to_le_bytes());
        }
        out
    }

    /// From [`LogCheckpoint::encode`]; `None` if the bytes make no sense.
    #[must_use]
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let (position, rest) = bytes.split_first_chunk::<8>()?;
        let (entries, rest) = rest.as_chunks::<8>();
        let live = entries.iter().map(|entry| {
            let [a, b, c, d, e, f, g, h] = *entry;
            (
                SegmentNo(u32::from_le_bytes([a, b, c, d])),
                u32::from_le_bytes([e, f, g, h]),
            )
        });
        let position = LogPosition::from_u64(u64::from_le_bytes(*position));
        rest.is_empty().then(|| Self {
            position,
            live: live.collect(),
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_checkpoint_reads_back(position: u64, live: Vec<(u32, u32)>) {
            let position = LogPosition::from_u64(position);
            let live = live.into_iter().map(|(no, live)| (SegmentNo(no), live)).collect();
            let checkpoint = LogCheckpoint { position, live };
            let bytes = checkpoint.encode();
            prop_assert_eq!(LogCheckpoint::decode(&bytes), Some(checkpoint));
            prop_assert_eq!(LogCheckpoint::decode(&bytes[..bytes.len() - 1]), None);
        }
    }
}
