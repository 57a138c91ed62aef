//! Entry point for the fuzz target; no part of the interface.

use super::checkpointed::decode_counters;
use crate::Stream;
use crate::log::{LogCheckpoint, StreamId};
use crate::shard::StoredConfig;
use crate::shard::consumers::ConsumerEntry;
use crate::stream::Decoder;

/// Decodes bytes as each kind of value that a checkpoint has. Its checksum has been checked by then.
#[doc(hidden)]
pub fn decode_catalog_value(bytes: &[u8]) {
    let _ = LogCheckpoint::decode(bytes);
    let _ = decode_counters(bytes);
    let _ = ConsumerEntry::decode(bytes);
    let split = bytes.iter().position(|byte| *byte == 0);
    let (config, state) = bytes.split_at(split.unwrap_or(0));
    let stored = serde_json::from_slice::<StoredConfig>(config);
    let (account, config, created) = stored.map_or_else(
        |_| Default::default(),
        |stored| (stored.account, stored.config, stored.created),
    );
    let mut stream = Stream::new(StreamId(1), &account, config, created);
    let _ = stream.decode_state(&mut Decoder::new(state));
}
