use std::collections::BTreeMap;

use serde::Serialize;

use crate::omit::is_false;
use crate::response::{Page, response_types};
use crate::{StreamConfig, StreamInfo, StreamSeq, StreamState, Timestamp};

/// `STREAM.CREATE`, and the end of a restore.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct StreamCreate {
    /// The stream.
    #[serde(flatten)]
    pub info: Option<StreamInfo>,
    /// Whether the stream is new; a server alone says so even if it is not.
    #[serde(skip_serializing_if = "is_false")]
    pub did_create: bool,
}

/// `STREAM.UPDATE`.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct StreamUpdate {
    /// The stream.
    #[serde(flatten)]
    pub info: Option<StreamInfo>,
}

/// `STREAM.INFO`.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct StreamInfoReply {
    /// The part of the subjects that is listed; zero if none were asked for.
    #[serde(flatten)]
    pub page: Page,
    /// The stream.
    #[serde(flatten)]
    pub info: Option<StreamInfo>,
}

/// `STREAM.NAMES`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct StreamNames {
    /// The part that this reply holds.
    #[serde(flatten)]
    pub page: Page,
    /// The names; `null` if there are none.
    #[serde(serialize_with = "null_if_empty")]
    pub streams: Vec<String>,
}

/// `STREAM.LIST`.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct StreamList {
    /// The part that this reply holds.
    #[serde(flatten)]
    pub page: Page,
    /// The streams.
    pub streams: Vec<StreamInfo>,
    /// Streams that did not answer.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub missing: Vec<String>,
    /// Streams that can not be served, and why.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub offline: BTreeMap<String, String>,
}

/// `STREAM.DELETE`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct StreamDelete {
    /// Whether it is done.
    #[serde(skip_serializing_if = "is_false")]
    pub success: bool,
}

/// `STREAM.PURGE`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct StreamPurge {
    /// Whether it is done.
    #[serde(skip_serializing_if = "is_false")]
    pub success: bool,
    /// How many messages are gone.
    pub purged: u64,
}

/// `STREAM.MSG.GET`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct MsgGet {
    /// The message.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<StoredMessage>,
}

/// A message of a stream.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct StoredMessage {
    /// Its subject.
    pub subject: String,
    /// Its sequence.
    pub seq: StreamSeq,
    /// The raw header block.
    #[serde(
        rename = "hdrs",
        skip_serializing_if = "Vec::is_empty",
        serialize_with = "base64"
    )]
    pub headers: Vec<u8>,
    /// The payload.
    #[serde(
        rename = "data",
        skip_serializing_if = "Vec::is_empty",
        serialize_with = "base64"
    )]
    pub payload: Vec<u8>,
    /// When it was stored.
    pub time: Timestamp,
}

/// `STREAM.MSG.DELETE`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct MsgDelete {
    /// Whether it is done.
    #[serde(skip_serializing_if = "is_false")]
    pub success: bool,
}

/// `STREAM.SNAPSHOT`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct StreamSnapshot {
    /// The stream's configuration.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub config: Option<StreamConfig>,
    /// What it holds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<StreamState>,
}

/// `STREAM.RESTORE`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct StreamRestore {
    /// Where the chunks go.
    pub deliver_subject: String,
}

/// `STREAM.LEADER.STEPDOWN`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct StreamLeaderStepdown {
    /// Whether it is done.
    #[serde(skip_serializing_if = "is_false")]
    pub success: bool,
}

/// `STREAM.PEER.REMOVE`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct StreamRemovePeer {
    /// Whether it is done.
    #[serde(skip_serializing_if = "is_false")]
    pub success: bool,
}

/// `STREAM.PEER.EVACUATE`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct StreamEvacuatePeer {
    /// Whether it is done.
    #[serde(skip_serializing_if = "is_false")]
    pub success: bool,
}

/// `STREAM.CANCEL_MOVE`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct StreamCancelMove {
    /// Whether it is done.
    #[serde(skip_serializing_if = "is_false")]
    pub success: bool,
}

response_types! {
    StreamEvacuatePeer = "stream_evacuate_peer_response",
    StreamCancelMove = "stream_cancel_move_response",
    StreamCreate = "stream_create_response",
    StreamUpdate = "stream_update_response",
    StreamInfoReply = "stream_info_response",
    StreamNames = "stream_names_response",
    StreamList = "stream_list_response",
    StreamDelete = "stream_delete_response",
    StreamPurge = "stream_purge_response",
    MsgGet = "stream_msg_get_response",
    MsgDelete = "stream_msg_delete_response",
    StreamSnapshot = "stream_snapshot_response",
    StreamRestore = "stream_restore_response",
    StreamLeaderStepdown = "stream_leader_stepdown_response",
    StreamRemovePeer = "stream_remove_peer_response",
}

fn null_if_empty<S: serde::Serializer>(names: &[String], serializer: S) -> Result<S::Ok, S::Error> {
    if names.is_empty() {
        serializer.serialize_none()
    } else {
        names.serialize(serializer)
    }
}

fn base64<S: serde::Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&base64::display::Base64Display::new(
        bytes,
        &base64::engine::general_purpose::STANDARD,
    ))
}
