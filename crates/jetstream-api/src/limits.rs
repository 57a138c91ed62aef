//! Limits that come from the server's configuration or from the account.

use serde::{Deserialize, Serialize};

use crate::Nanos;

/// The server's limits, from `jetstream { limits { ... } }`. Zero is "no limit" where not said otherwise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerLimits {
    /// Whether streams may have more than one replica.
    pub clustered: bool,
    /// The longest `duplicate_window`, and its default below two minutes.
    pub duplicate_window: Nanos,
    /// The largest `max_ack_pending`.
    pub max_ack_pending: i64,
    /// The largest `max_batch`, and its default.
    pub max_request_batch: i64,
    /// How many consumers a stream may have whose `max_consumers` is -1; -1 is unlimited. The default is 1000 (2.15).
    pub default_max_consumers: i64,
}

impl Default for ServerLimits {
    fn default() -> Self {
        Self {
            clustered: false,
            duplicate_window: Nanos::ZERO,
            max_ack_pending: 0,
            max_request_batch: 0,
            default_max_consumers: 1000,
        }
    }
}

/// An account's limits; -1 is unlimited.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct AccountLimits {
    /// Bytes in memory storage.
    pub max_memory: i64,
    /// Bytes in file storage.
    pub max_storage: i64,
    /// Streams.
    pub max_streams: i64,
    /// Consumers of one stream.
    pub max_consumers: i64,
    /// The largest `max_ack_pending` of a consumer.
    pub max_ack_pending: i64,
    /// The largest `max_bytes` of a memory stream; zero is unlimited too.
    pub memory_max_stream_bytes: i64,
    /// The largest `max_bytes` of a file stream; zero is unlimited too.
    pub storage_max_stream_bytes: i64,
    /// Whether streams must have `max_bytes`.
    pub max_bytes_required: bool,
}

impl Default for AccountLimits {
    fn default() -> Self {
        Self {
            max_memory: -1,
            max_storage: -1,
            max_streams: -1,
            max_consumers: -1,
            max_ack_pending: -1,
            memory_max_stream_bytes: -1,
            storage_max_stream_bytes: -1,
            max_bytes_required: false,
        }
    }
}
