use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::omit::is_zero_u64;
use crate::{StreamSeq, Timestamp};

/// What a stream holds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct StreamState {
    /// How many messages there are.
    pub messages: u64,
    /// Their size; for file storage 22 + subject + (4 + headers, if any) + payload + 8 each, for memory
    /// subject + headers + payload + 16.
    pub bytes: u64,
    /// The first message; one past `last_seq` in an emptied stream, zero in one never used.
    pub first_seq: StreamSeq,
    /// When the first message was stored; unset without one.
    pub first_ts: Timestamp,
    /// The last sequence given.
    pub last_seq: StreamSeq,
    /// When the last message was stored, even if it is gone.
    pub last_ts: Timestamp,
    /// How many subjects there are.
    #[serde(skip_serializing_if = "is_zero_u64")]
    pub num_subjects: u64,
    /// The count of messages by subject, if asked for.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub subjects: BTreeMap<String, u64>,
    /// How many sequences between the first and the last are gone.
    #[serde(skip_serializing_if = "is_zero_u64")]
    pub num_deleted: u64,
    /// Those sequences, if asked for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub deleted: Vec<StreamSeq>,
    /// What damage took.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lost: Option<LostStreamData>,
    /// How many consumers there are, without the server's own.
    pub consumer_count: u64,
}

/// What damage took from a stream.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct LostStreamData {
    /// The sequences.
    #[serde(rename = "msgs")]
    pub messages: Vec<StreamSeq>,
    /// Their bytes.
    pub bytes: u64,
}
