//! One stream: its rules and its counters.

mod request;

use jetsled_jetstream_api::{StreamConfig, StreamSeq, Timestamp};

use crate::log::StreamId;
pub use request::{
    ChangeError, DeletedDetails, Erase, MessageMeta, PendingCount, Publish, PublishError,
    Published, Purge, Purged, RecoveredConsumer, RemoveReason, Removed, StoredMessage,
    TooManyResults,
};

/// A stream of a shard: identity, configuration, counters.
#[derive(Debug)]
pub struct Stream {
    id: StreamId,
    account: Box<str>,
    config: StreamConfig,
    created: Timestamp,
}

impl Stream {
    /// Its number in the shard.
    #[must_use]
    pub fn id(&self) -> StreamId {
        self.id
    }

    /// The account that owns it.
    #[must_use]
    pub fn account(&self) -> &str {
        &self.account
    }

    /// Its configuration.
    #[must_use]
    pub fn config(&self) -> &StreamConfig {
        &self.config
    }

    /// When it was created.
    #[must_use]
    pub fn created(&self) -> Timestamp {
        self.created
    }

    /// The lowest sequence still stored; one past the last when empty; 0 if never used.
    #[must_use]
    pub fn first_seq(&self) -> StreamSeq {
        todo!()
    }

    /// The highest sequence given, durable or not.
    #[must_use]
    pub fn last_seq(&self) -> StreamSeq {
        todo!()
    }

    /// The highest sequence that is durable: what consumers may see.
    #[must_use]
    pub fn visible_last_seq(&self) -> StreamSeq {
        todo!()
    }

    /// How many messages it holds.
    #[must_use]
    pub fn messages(&self) -> u64 {
        todo!()
    }

    /// Their bytes, counted as nats-server counts them.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        todo!()
    }

    /// How many subjects they have.
    #[must_use]
    pub fn num_subjects(&self) -> u64 {
        todo!()
    }
}
