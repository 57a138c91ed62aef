//! How a log is set up.

use std::sync::Arc;
use std::time::Duration;

use super::guard::Guards;
pub use crate::crypt::LogKeys;
use crate::crypt::SALT;

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
    /// What records and indexes are sealed with; `None`, the default: nothing is.
    pub keys: Option<Arc<LogKeys>>,
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
            keys: None,
        }
    }

    /// What the header of a segment says that is begun now.
    pub(crate) fn key_mark(&self) -> u32 {
        self.keys.as_ref().map_or(0, |keys| keys.mark())
    }

    /// A new salt for the records of a session.
    pub(crate) fn salt(&self) -> [u8; SALT] {
        self.keys.as_ref().map_or([0; SALT], |keys| keys.salt())
    }

    pub(crate) fn guards(&self) -> Guards {
        Guards {
            secret: self.secret,
            keys: self.keys.clone(),
        }
    }

    pub(crate) fn segment_len(&self) -> u32 {
        (self.segment_bytes & !0xfff).clamp(64 << 10, 1 << 30)
    }
}
