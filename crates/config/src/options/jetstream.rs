use std::fmt;
use std::{path::PathBuf, time::Duration};

use jetsled_auth::Secret;

/// The `jetstream` block and its flags.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JetStreamOptions {
    /// JetStream is on.
    pub enabled: bool,
    /// The directory as configured; the store lives in its subdirectory `jetstream`. `None` takes
    /// [`JetStreamOptions::store_dir`]'s default. Kept without effect while JetStream is off.
    pub configured_store_dir: Option<PathBuf>,
    /// Bytes of all memory streams; `None` is 75 % of the machine's memory.
    pub max_memory_store: Option<u64>,
    /// Bytes of all file streams; `None` is 75 % of the free disk space.
    pub max_file_store: Option<u64>,
    /// The JetStream domain: INFO's `domain`, and the API prefix `$JS.<domain>.API`.
    pub domain: Option<String>,
    /// Unknown fields in API requests are errors.
    pub strict: bool,
    /// The feature flag `js_ack_fc_v2`: ack and flow control subjects name the domain and the account.
    pub ack_fc_v2: bool,
    /// When written messages are synced to the disk.
    pub sync: SyncPolicy,
    /// `key`: the store is encrypted with it; `None`: it is not.
    pub encryption_key: Option<Secret>,
    /// `prev_key`: what the store is still encrypted with where `key` is new. Without that it means nothing.
    pub previous_encryption_key: Option<Secret>,
    /// What is written is sealed with this.
    pub cipher: StoreCipher,
    /// Tag that replicas of a stream must differ in; shown in `/varz`.
    pub unique_tag: Option<String>,
    /// Bounds on what API requests may ask for.
    pub limits: JetStreamLimits,
    /// Messages of one stream between receipt and storage. Here they go into the log's open buffer as they come.
    pub max_buffered_msgs: usize,
    /// Bytes of one stream between receipt and storage.
    pub max_buffered_size: usize,
    /// API requests waiting at once. Here each is answered as it comes.
    pub request_queue_limit: usize,
    /// Info requests waiting at once.
    pub info_queue_limit: usize,
}

impl Default for JetStreamOptions {
    fn default() -> Self {
        Self {
            enabled: false,
            configured_store_dir: None,
            max_memory_store: None,
            max_file_store: None,
            domain: None,
            strict: true,
            ack_fc_v2: false,
            sync: SyncPolicy::default(),
            encryption_key: None,
            previous_encryption_key: None,
            cipher: StoreCipher::default(),
            unique_tag: None,
            limits: JetStreamLimits::default(),
            max_buffered_msgs: 10_000,
            max_buffered_size: 128 << 20,
            request_queue_limit: 10_000,
            info_queue_limit: 10_000,
        }
    }
}

impl JetStreamOptions {
    /// The directory that holds the store: `jetstream` below the configured one, or below the system's temporary
    /// `nats` directory (observed nats-server 2.15.1).
    pub fn store_dir(&self) -> PathBuf {
        match &self.configured_store_dir {
            Some(dir) => dir.join("jetstream"),
            None => std::env::temp_dir().join("nats").join("jetstream"),
        }
    }
}

/// `sync_interval`: when an acknowledged message is on the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SyncPolicy {
    /// Not configured, or `always`: before its acknowledgement.
    #[default]
    BeforeAck,
    /// A duration: acknowledgements leave after the write, the disk is synced this often (nats-server's trade).
    Every(Duration),
}

/// `cipher`: what an encrypted store is sealed with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum StoreCipher {
    /// `chacha` or `chachapoly`, and the default.
    #[default]
    ChaCha,
    /// `aes`.
    Aes,
}

impl fmt::Display for StoreCipher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ChaCha => "ChaCha20-Poly1305",
            Self::Aes => "AES-GCM",
        })
    }
}

/// `jetstream.limits`. `None` is nats-server's default.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct JetStreamLimits {
    /// Largest `max_ack_pending` of a consumer.
    pub max_ack_pending: Option<u64>,
    /// Replicated streams and consumers on this server.
    pub max_ha_assets: Option<u64>,
    /// Largest batch of one pull request.
    pub max_request_batch: Option<u64>,
    /// Longest duplicate window of a stream.
    pub max_duplicate_window: Option<Duration>,
    /// Batches of a kind (atomic, fast ingest) in flight on one stream.
    pub max_batch_inflight_per_stream: Option<u64>,
    /// Batches of a kind in flight on the server.
    pub max_batch_inflight_total: Option<u64>,
    /// Messages in one atomic batch.
    pub max_batch_size: Option<u64>,
    /// Idle time after which a batch is dropped.
    pub max_batch_timeout: Option<Duration>,
}
