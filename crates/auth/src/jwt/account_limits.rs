use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Limits of an account. Negative is no limit.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct OperatorLimits {
    /// Subscriptions of a connection.
    pub subs: i64,
    /// Bytes; not enforced by nats-server either.
    pub data: i64,
    /// Bytes of one message.
    pub payload: i64,
    /// Number of imports.
    pub imports: i64,
    /// Number of exports.
    pub exports: i64,
    /// Exports may have wildcards.
    pub wildcards: bool,
    /// Users must sign the nonce.
    pub disallow_bearer: bool,
    /// Client connections at once.
    pub conn: i64,
    /// Leaf node connections at once.
    pub leaf: i64,
    /// JetStream, the same for every number of replicas.
    #[serde(flatten)]
    pub jetstream: JetStreamLimits,
    /// JetStream by number of replicas: `R1`, `R3`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub tiered_limits: BTreeMap<String, JetStreamLimits>,
}

/// JetStream limits of an account or of one tier. Storage of 0 is none, negative is no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct JetStreamLimits {
    /// Bytes in memory.
    pub mem_storage: i64,
    /// Bytes on disk.
    pub disk_storage: i64,
    /// Streams.
    pub streams: i64,
    /// Consumers.
    pub consumer: i64,
    /// Unacknowledged messages of one consumer; 0 is no limit.
    pub max_ack_pending: i64,
    /// Bytes of one memory stream; 0 is no limit.
    pub mem_max_stream_bytes: i64,
    /// Bytes of one file stream; 0 is no limit.
    pub disk_max_stream_bytes: i64,
    /// Streams must say how many bytes they may hold.
    pub max_bytes_required: bool,
}

impl JetStreamLimits {
    /// Whether anything may be stored.
    pub fn is_enabled(&self) -> bool {
        self.mem_storage != 0 || self.disk_storage != 0
    }
}
