//! A store on a disk in memory.

use std::num::NonZeroU8;
use std::path::Path;
use std::sync::Arc;

use jetsled_jetstream_api::{StreamConfig, Timestamp};
use jetsled_store::{Opened, Shard, StoreOptions};
use jetsled_testkit::FaultyStorage;

/// When everything happens that does not say otherwise.
pub(crate) const NOW: Timestamp = Timestamp(1_700_000_000_000_000_000);

/// Opens a store with so many shards and small segments.
pub(crate) fn open_shards(disk: &FaultyStorage, dir: &Path, shards: u8) -> Opened {
    let options = StoreOptions {
        shards: NonZeroU8::new(shards),
        segment_bytes: 64 << 10,
        ..StoreOptions::new(dir, 3)
    };
    jetsled_store::open(&options, Arc::new(disk.clone()), NOW).expect("a store")
}

/// The only shard of a store.
pub(crate) fn open(disk: &FaultyStorage, dir: &Path) -> Shard {
    open_shards(disk, dir, 1).shards.remove(0)
}

/// A stream without limits.
pub(crate) fn config(name: &str) -> StreamConfig {
    StreamConfig {
        name: name.to_owned(),
        max_msgs: -1,
        max_msgs_per_subject: -1,
        max_bytes: -1,
        max_msg_size: -1,
        ..StreamConfig::default()
    }
}

/// Writes and syncs what waits for it.
pub(crate) fn commit(shard: &mut Shard) {
    if let Some(commit) = shard.take_commit() {
        shard.finish_commit(commit.run()).expect("it is written");
    }
}

/// Takes a checkpoint.
pub(crate) fn checkpoint(shard: &mut Shard) {
    let checkpoint = shard.take_checkpoint(std::iter::empty());
    commit(shard);
    let done = checkpoint.run(shard.synced());
    shard.finish_checkpoint(done).expect("a checkpoint");
}
