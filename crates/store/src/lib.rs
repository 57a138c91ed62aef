//! The persistent stream store: shards, log, segments, indexes, catalog, memory streams.
//!
//! [`open`] gives the store's [`Shard`]s. A shard is a plain value with one owner at a time: it applies a stream's rules to
//! what is published, appends what they allow to its log, and commits in groups. What must survive is in the log first;
//! the catalog only shortens a start.
//!
//! ```text
//! publish*, purge, log_progress ... -> take_commit (shard locked) -> Commit::run (not locked) -> finish_commit (locked)
//! ```

pub mod backup;
pub mod catalog;
pub mod check;
mod checkpoint;
mod crypt;
mod description;
mod duplicates;
mod encryption;
pub mod log;
mod open;
mod options;
mod schedule;
mod shard;
pub mod storage;
mod stream;

pub use catalog::{CatalogError, CatalogState};
pub use checkpoint::{Checkpoint, CheckpointError, Checkpointed};
pub use crypt::{Cipher, Encryption, StoreKey, UnknownCipher};
pub use duplicates::SetAside;
pub use encryption::EncryptionState;
pub use log::{
    AppendError, Commit, CommitError, Committed, ConsumerKey, Damage, LogPosition, LogReport,
    Maintained, Maintenance, ReadError, Selection, StreamId, SyncPolicy,
};
pub use open::{OpenError, OpenReport, Opened, ShardReport, open};
pub use options::{MAX_SHARDS, StoreOptions};
#[doc(hidden)]
pub use shard::decode_catalog_value;
pub use shard::{Publisher, Shard};
pub use stream::{
    ChangeError, DeletedDetails, Erase, MessageMeta, PendingCount, Publish, PublishError,
    Published, Purge, Purged, RecoveredConsumer, RemoveReason, Removed, Scheduled, Sender,
    StagedBatch, StagedMessage, StorageMeter, StorageMeters, StoredMessage, Stream, TooManyResults,
};

#[cfg(test)]
mod tests;
