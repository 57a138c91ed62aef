use serde::Deserialize;

use crate::wire_enum::wire_enum;
use crate::{ConsumerConfig, StreamSeq, Timestamp};

/// All forms of `CONSUMER.CREATE`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct CreateConsumerRequest {
    /// The stream, which must be the one of the subject.
    #[serde(rename = "stream_name")]
    pub stream: String,
    /// The configuration, not validated yet.
    pub config: ConsumerConfig,
    /// Whether the consumer may or must exist.
    pub action: ConsumerAction,
    /// Refuse instead of adjusting silently.
    pub pedantic: bool,
}

wire_enum! {
    /// Whether a consumer may or must exist when it is created.
    ConsumerAction {
        /// Either is fine.
        #[default]
        CreateOrUpdate = "",
        /// It must be new, or the same.
        Create = "create",
        /// It must exist.
        Update = "update",
    }
}

/// `CONSUMER.PAUSE`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct ConsumerPauseRequest {
    /// Until when; unset or past is to resume.
    pub pause_until: Timestamp,
}

/// `CONSUMER.UNPIN`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct ConsumerUnpinRequest {
    /// The priority group.
    pub group: String,
}

/// `CONSUMER.RESET`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct ConsumerResetRequest {
    /// The next stream sequence to deliver; zero is the one after the ack floor.
    pub seq: StreamSeq,
}
