//! What all accounts share: the shards and the server's limits.

use std::sync::Arc;

use jetsled_jetstream_api::ServerLimits;
use jetsled_store::{SetAside, StorageMeters};

use super::batch::BatchLimits;
use super::shard::ShardHandle;
use super::throttle::Throttle;
use super::transfer::Transfers;
use crate::account::Account;

/// The shards and limits of a running JetStream.
pub(super) struct Runtime {
    pub(super) shards: Box<[Arc<ShardHandle>]>,
    /// Streams that are not served, since a newer one has their name.
    pub(super) set_aside: Vec<SetAside>,
    pub(super) limits: ServerLimits,
    pub(super) batch_limits: Arc<BatchLimits>,
    pub(super) domain: Option<String>,
    pub(super) server_name: String,
    /// Empty if none is configured.
    pub(super) cluster_name: String,
    pub(super) system: Option<Arc<Account>>,
    /// Ack and flow control subjects name domain and account (`js_ack_fc_v2`). Both forms are understood.
    pub(super) second_form: bool,
    /// Unknown members of API requests are errors.
    pub(super) strict: bool,
    /// Bytes that all streams take, and may take and reserve.
    pub(super) meters: StorageMeters,
    /// When it was last said that a limit of the server is reached.
    pub(super) full_alarm: Throttle,
    /// Snapshots and restores under way.
    pub(super) transfers: Arc<Transfers>,
    /// The largest message that a client may publish, in bytes.
    pub(super) max_payload: usize,
}

impl Runtime {
    /// Where a new stream of this account and name goes: to the shard with the fewest. One that has a stream of the name set aside comes last: within a
    /// shard a new stream takes the place of an older one.
    pub(super) fn emptiest_shard(&self, account: &str, name: &str) -> &ShardHandle {
        let is_taken = |shard: &ShardHandle| {
            self.set_aside.iter().any(|aside| {
                aside.shard == usize::from(shard.index)
                    && aside.account == account
                    && aside.name == name
            })
        };
        self.shards
            .iter()
            .min_by_key(|shard| (is_taken(shard), shard.lock().streams.len()))
            .expect("a store has at least one shard")
    }
}
