//! How a log is set up.

use std::time::Duration;

/// When written records are forced to the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SyncPolicy {
    /// One fdatasync a commit: what is announced survives a power cut. The default.
    EveryCommit,
    /// A commit only writes; [`Log::take_sync`](crate::log::Log::take_sync) forces, at this
    /// interval. What is announced survives a killed process, and a power cut if it is older than
    /// the interval.
    Interval(Duration),
}

/// The setup of one shard's log.
#[derive(Debug, Clone)]
pub struct LogOptions {
    /// Bytes of a segment: 64 KiB to 1 GiB, rounded down to 4 KiB; 64 MiB by default. May change
    /// between openings. A record never spans segments.
    pub segment_bytes: u32,
    /// When to force; [`SyncPolicy::EveryCommit`] by default.
    pub sync: SyncPolicy,
    /// Memory for recently written records; 16 MiB by default.
    pub tail_cache_bytes: usize,
    /// Memory for loaded indexes of sealed segments; 32 MiB by default. At least the one in use is kept.
    pub index_cache_bytes: usize,
    /// How many empty segments to keep for reuse; 2 by default, others are removed.
    pub spare_segments: usize,
    /// The store's secret, chosen at random when the store is created and kept with it. It is mixed
    /// into every checksum, so that no payload can be made that looks like a record, and no
    /// other store's segment is mistaken for ours.
    pub secret: u32,
}

impl LogOptions {
    /// The defaults with this secret.
    #[must_use]
    pub fn new(secret: u32) -> Self {
        Self {
            segment_bytes: 64 << 20,
            sync: SyncPolicy::EveryCommit,
            tail_cache_bytes: 16 << 20,
            index_cache_bytes: 32 << 20,
            spare_segments: 2,
            secret,
        }
    }

    pub(crate) fn segment_len(&self) -> u32 {
        (self.segment_bytes & !0xfff).clamp(64 << 10, 1 << 30)
    }
}
