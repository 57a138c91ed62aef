//! `meta.inf`: configurations.

use jetsled_jetstream_api::{ConsumerConfig, StreamConfig, Timestamp};
use serde::Deserialize;

/// `meta.inf` of a stream.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct StreamMeta {
    /// When it was created; unset in files of old servers.
    #[serde(rename = "Created", default)]
    pub created: Timestamp,
    /// Its configuration, not validated.
    #[serde(flatten)]
    pub config: StreamConfig,
}

/// `meta.inf` of a consumer.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct ConsumerMeta {
    /// When it was created; unset in files of old servers.
    #[serde(rename = "Created", default)]
    pub created: Timestamp,
    /// Its configuration, not validated.
    #[serde(flatten)]
    pub config: ConsumerConfig,
}
