use std::collections::BTreeMap;

use serde::Serialize;

use crate::omit::is_false;
use crate::response::{Page, response_types};
use crate::{ConsumerInfo, Nanos, StreamSeq, Timestamp};

/// All forms of `CONSUMER.CREATE`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ConsumerCreate {
    /// The consumer.
    #[serde(flatten)]
    pub info: Option<ConsumerInfo>,
}

/// `CONSUMER.INFO`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ConsumerInfoReply {
    /// The consumer.
    #[serde(flatten)]
    pub info: Option<ConsumerInfo>,
}

/// `CONSUMER.NAMES`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ConsumerNames {
    /// The part that this reply holds.
    #[serde(flatten)]
    pub page: Page,
    /// The names.
    pub consumers: Vec<String>,
}

/// `CONSUMER.LIST`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ConsumerList {
    /// The part that this reply holds.
    #[serde(flatten)]
    pub page: Page,
    /// The consumers.
    pub consumers: Vec<ConsumerInfo>,
    /// Consumers that did not answer.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub missing: Vec<String>,
    /// Consumers that can not be served, and why.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub offline: BTreeMap<String, String>,
}

/// `CONSUMER.DELETE`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ConsumerDelete {
    /// Whether it is done.
    #[serde(skip_serializing_if = "is_false")]
    pub success: bool,
}

/// `CONSUMER.PAUSE`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ConsumerPause {
    /// Whether the consumer is paused now.
    pub paused: bool,
    /// Until when.
    pub pause_until: Timestamp,
    /// How much longer.
    #[serde(skip_serializing_if = "Nanos::is_zero")]
    pub pause_remaining: Nanos,
}

/// `CONSUMER.UNPIN`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ConsumerUnpin {}

/// `CONSUMER.RESET`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ConsumerReset {
    /// The consumer.
    #[serde(flatten)]
    pub info: Option<ConsumerInfo>,
    /// The next stream sequence that it delivers.
    pub reset_seq: StreamSeq,
}

/// `CONSUMER.LEADER.STEPDOWN`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ConsumerLeaderStepdown {
    /// Whether it is done.
    #[serde(skip_serializing_if = "is_false")]
    pub success: bool,
}

/// `CONSUMER.PEER.REMOVE`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ConsumerRemovePeer {
    /// Whether it is done.
    #[serde(skip_serializing_if = "is_false")]
    pub success: bool,
}

/// `CONSUMER.PEER.EVACUATE`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ConsumerEvacuatePeer {
    /// Whether it is done.
    #[serde(skip_serializing_if = "is_false")]
    pub success: bool,
}

response_types! {
    ConsumerRemovePeer = "consumer_remove_peer_response",
    ConsumerEvacuatePeer = "consumer_evacuate_peer_response",
    ConsumerCreate = "consumer_create_response",
    ConsumerInfoReply = "consumer_info_response",
    ConsumerNames = "consumer_names_response",
    ConsumerList = "consumer_list_response",
    ConsumerDelete = "consumer_delete_response",
    ConsumerPause = "consumer_pause_response",
    ConsumerUnpin = "consumer_unpin_response",
    ConsumerReset = "consumer_reset_response",
    ConsumerLeaderStepdown = "consumer_leader_stepdown_response",
}
