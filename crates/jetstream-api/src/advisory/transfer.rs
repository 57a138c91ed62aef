use serde::Serialize;
use serde_json::value::RawValue;

use crate::advisory::advisories;
use crate::{StreamState, Timestamp};

/// A snapshot begins.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct SnapshotCreate<'a> {
    /// The stream.
    pub stream: &'a str,
    /// What it holds.
    pub state: &'a StreamState,
    /// Who asked: nats-server's client info.
    pub client: &'a RawValue,
    /// The JetStream domain.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub domain: Option<&'a str>,
}

/// A snapshot has ended.
#[derive(Clone, Debug, Serialize)]
pub struct SnapshotComplete<'a> {
    /// The stream.
    pub stream: &'a str,
    /// When it began.
    pub start: Timestamp,
    /// When it ended.
    pub end: Timestamp,
    /// Who asked: nats-server's client info.
    pub client: &'a RawValue,
    /// The JetStream domain.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub domain: Option<&'a str>,
    /// Why it ended early.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// A restore begins.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct RestoreCreate<'a> {
    /// The stream.
    pub stream: &'a str,
    /// Who asked: nats-server's client info.
    pub client: &'a RawValue,
    /// The JetStream domain.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub domain: Option<&'a str>,
}

/// A restore has ended, whether or not it made a stream.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct RestoreComplete<'a> {
    /// The stream.
    pub stream: &'a str,
    /// When it began.
    pub start: Timestamp,
    /// When it ended.
    pub end: Timestamp,
    /// How many bytes of the archive came.
    pub bytes: u64,
    /// Who asked: nats-server's client info.
    pub client: &'a RawValue,
    /// The JetStream domain.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub domain: Option<&'a str>,
}

advisories! {
    SnapshotCreate = "advisory.v1.snapshot_create" at "ADVISORY.STREAM.SNAPSHOT_CREATE" . stream;
    SnapshotComplete = "advisory.v1.snapshot_complete" at "ADVISORY.STREAM.SNAPSHOT_COMPLETE" . stream;
    RestoreCreate = "advisory.v1.restore_create" at "ADVISORY.STREAM.RESTORE_CREATE" . stream;
    RestoreComplete = "advisory.v1.restore_complete" at "ADVISORY.STREAM.RESTORE_COMPLETE" . stream;
}
