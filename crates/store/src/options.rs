//! What a store is opened with.

use std::num::NonZeroU8;
use std::path::PathBuf;

use crate::crypt::Encryption;
use crate::log::SyncPolicy;

/// How to open a store.
#[derive(Debug, Clone)]
pub struct StoreOptions {
    /// The store directory; made if missing.
    pub dir: PathBuf,
    /// How many shards a new store gets, at most [`MAX_SHARDS`]; `None`: one for two cores, since a disk syncs one file
    /// after the other, and fewer syncs with more in each are quicker. An existing store keeps its number.
    pub shards: Option<NonZeroU8>,
    /// Size of a log segment in bytes; 64 MiB by default.
    pub segment_bytes: u32,
    /// When commits are synced.
    pub sync: SyncPolicy,
    /// Memory a shard may use for its tail cache and loaded segment indexes, in bytes; 32 MiB by default.
    pub cache_bytes: usize,
    /// Whether shards are recovered at the same time, by a thread each; else one after the other, by the caller's.
    pub parallel: bool,
    /// A random number; used once, when the store is made, for the secret in its checksums.
    pub random: u64,
    /// How much log may be written before [`crate::Shard::checkpoint_due`] asks for a checkpoint, in bytes; 256 MiB by default, and never less than
    /// four times the last checkpoint. Bounds the replay at a start.
    pub checkpoint_log_bytes: u64,
    /// The keys of an encrypted store; a new store is encrypted if there are any, and a plain one from now on.
    pub encryption: Option<Encryption>,
}

/// The most shards that a store may have.
pub const MAX_SHARDS: u8 = 8;

impl StoreOptions {
    /// The defaults, in `dir`.
    #[must_use]
    pub fn new(dir: impl Into<PathBuf>, random: u64) -> Self {
        Self {
            dir: dir.into(),
            shards: None,
            segment_bytes: 64 << 20,
            sync: SyncPolicy::EveryCommit,
            cache_bytes: 32 << 20,
            parallel: true,
            random,
            checkpoint_log_bytes: 256 << 20,
            encryption: None,
        }
    }
}
