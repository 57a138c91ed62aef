//! What is read of the monitoring endpoints' answers; those of nats-server do as well.

use jetsled_jetstream_api::{ConsumerInfo, StreamConfig, StreamState};
use serde::Deserialize;

/// `/varz`
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Varz {
    pub(super) host: String,
    pub(super) http_host: String,
    pub(super) auth_required: bool,
    pub(super) tls_required: bool,
    pub(super) connections: u64,
    pub(super) max_connections: u64,
    pub(super) slow_consumers: u64,
    pub(super) stalled_clients: u64,
    pub(super) jetstream: JetStreamVarz,
}

/// `jetstream` of `/varz`; nothing where JetStream is off.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct JetStreamVarz {
    pub(super) config: Option<JetStreamConfig>,
    pub(super) stats: JetStreamStats,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct JetStreamConfig {
    pub(super) max_memory: i64,
    pub(super) max_storage: i64,
    pub(super) store_dir: String,
    pub(super) sync_always: bool,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct JetStreamStats {
    pub(super) memory: u64,
    pub(super) storage: u64,
}

/// `/jsz` with everything.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Jsz {
    account_details: Vec<Account>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Account {
    stream_detail: Vec<StreamDetail>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct StreamDetail {
    pub(super) name: String,
    pub(super) config: StreamConfig,
    pub(super) state: StreamState,
    #[serde(rename = "consumer_detail")]
    pub(super) consumers: Vec<ConsumerInfo>,
}

impl Jsz {
    pub(super) fn streams(&self) -> impl Iterator<Item = &StreamDetail> {
        let accounts = self.account_details.iter();
        accounts.flat_map(|account| &account.stream_detail)
    }
}
