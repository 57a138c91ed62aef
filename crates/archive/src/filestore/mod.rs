//! What the files of nats-server's file store hold, one file a form: legacy archives contain them, and a store directory is made of them.

mod checksum;
mod consumer_state;
mod index;
mod meta;
mod record;

pub use checksum::ChecksumKey;
pub use consumer_state::decode_consumer_state;
pub use index::{IndexBlock, IndexEntry, IndexState, read_index};
pub use meta::{ConsumerMeta, StreamMeta};
pub use record::{Record, RecordError, RecordHead, RecordKind};
