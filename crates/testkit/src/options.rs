//! Options of servers with JetStream on a disk of a test's own.

use std::num::NonZeroU8;
use std::path::Path;

use jetsled_config::JetStreamOptions;
use jetsled_store::StoreOptions;

/// JetStream with room that does not depend on the machine.
pub fn jetstream_options() -> JetStreamOptions {
    JetStreamOptions {
        enabled: true,
        max_memory_store: Some(1 << 20),
        max_file_store: Some(1 << 30),
        ..JetStreamOptions::default()
    }
}

/// A store of one shard, which one worker drives.
pub fn one_shard(directory: &Path) -> StoreOptions {
    StoreOptions {
        shards: NonZeroU8::new(1),
        ..StoreOptions::new(directory, 1)
    }
}
