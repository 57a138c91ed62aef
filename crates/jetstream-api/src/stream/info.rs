use serde::{Deserialize, Serialize};

use crate::omit::{is_false, is_zero_u64};
use crate::stream::{ExternalStream, StreamConfig, StreamState, SubjectTransform};
use crate::{ApiError, Nanos, StreamSeq, Timestamp};

/// A stream's configuration and state as reported.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct StreamInfo {
    /// The effective configuration.
    pub config: StreamConfig,
    /// When the stream was created.
    pub created: Timestamp,
    /// What it holds.
    pub state: StreamState,
    /// The JetStream domain.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub domain: String,
    /// Who keeps it; on a server alone only its name as leader.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cluster: Option<ClusterInfo>,
    /// How the mirror keeps up.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mirror: Option<SourceInfo>,
    /// How the sources keep up.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub sources: Vec<SourceInfo>,
    /// The stream and its mirrors, the nearest first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub alternates: Vec<StreamAlternate>,
    /// When this was gathered.
    #[serde(rename = "ts")]
    pub timestamp: Timestamp,
}

/// A stream or one of its mirrors.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct StreamAlternate {
    /// The stream's name.
    pub name: String,
    /// Its domain.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub domain: String,
    /// Its cluster.
    pub cluster: String,
}

/// How a mirror or source keeps up with its origin.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct SourceInfo {
    /// The origin.
    pub name: String,
    /// How the origin is reached.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub external: Option<ExternalStream>,
    /// How many messages are still to be copied.
    pub lag: u64,
    /// The last sequence of the origin that was stored (2.15, sources only).
    #[serde(skip_serializing_if = "StreamSeq::is_zero")]
    pub seq: StreamSeq,
    /// The time since the origin was last heard of; -1 is never.
    pub active: Nanos,
    /// What is wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<ApiError>,
    /// The subjects that are copied.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub filter_subject: String,
    /// The subjects that are copied and their new names.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub subject_transforms: Vec<SubjectTransform>,
}

/// Who keeps a stream or consumer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ClusterInfo {
    /// The cluster's name.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// The Raft group's name.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub raft_group: String,
    /// The leading server's name.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub leader: String,
    /// Since when it leads.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub leader_since: Option<Timestamp>,
    /// Whether the traffic between replicas is the system account's.
    #[serde(skip_serializing_if = "is_false")]
    pub system_account: bool,
    /// The account of the traffic between replicas.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub traffic_account: String,
    /// The other replicas.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub replicas: Vec<PeerInfo>,
}

/// A replica.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct PeerInfo {
    /// The server's name.
    pub name: String,
    /// Whether it is up to date.
    pub current: bool,
    /// Whether it is unreachable.
    #[serde(skip_serializing_if = "is_false")]
    pub offline: bool,
    /// The time since it was last heard of.
    pub active: Nanos,
    /// How many operations it is behind.
    #[serde(skip_serializing_if = "is_zero_u64")]
    pub lag: u64,
    /// Its eight-character id.
    pub peer: String,
}
