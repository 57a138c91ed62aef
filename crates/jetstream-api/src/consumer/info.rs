use serde::{Deserialize, Serialize};

use crate::omit::is_false;
use crate::{ClusterInfo, ConsumerConfig, ConsumerSeq, Nanos, StreamSeq, Timestamp};

/// A consumer's configuration and state as reported.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ConsumerInfo {
    /// The stream.
    #[serde(rename = "stream_name")]
    pub stream: String,
    /// The consumer.
    pub name: String,
    /// When it was created.
    pub created: Timestamp,
    /// The effective configuration.
    pub config: ConsumerConfig,
    /// The last delivery.
    pub delivered: SequenceInfo,
    /// Up to where everything is acknowledged.
    pub ack_floor: SequenceInfo,
    /// How many delivered messages wait for their ack.
    pub num_ack_pending: u64,
    /// How many of them were delivered more than once.
    pub num_redelivered: u64,
    /// How many pull requests wait.
    pub num_waiting: u64,
    /// How many messages are still to be delivered.
    pub num_pending: u64,
    /// Who keeps it; absent on a server alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cluster: Option<ClusterInfo>,
    /// Whether a push consumer has a subscriber.
    #[serde(skip_serializing_if = "is_false")]
    pub push_bound: bool,
    /// Whether it is paused.
    #[serde(skip_serializing_if = "is_false")]
    pub paused: bool,
    /// How much longer.
    #[serde(skip_serializing_if = "Nanos::is_zero")]
    pub pause_remaining: Nanos,
    /// When this was gathered.
    #[serde(rename = "ts")]
    pub timestamp: Timestamp,
    /// The state of the first priority group.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub priority_groups: Vec<PriorityGroupState>,
}

/// A position in the consumer's and in the stream's numbering.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct SequenceInfo {
    /// In the consumer's.
    pub consumer_seq: ConsumerSeq,
    /// In the stream's.
    pub stream_seq: StreamSeq,
    /// When it was reached.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_active: Option<Timestamp>,
}

/// The state of a priority group.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct PriorityGroupState {
    /// Its name.
    pub group: String,
    /// The pin of the client that is served.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub pinned_client_id: String,
    /// Since when; unset without one.
    #[serde(rename = "pinned_ts")]
    pub pinned_since: Timestamp,
}
