//! Counters of the whole server.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

use crate::client::Client;

/// What the server has done since its start. Outbound counts of open connections are in their queues.
#[derive(Debug, Default)]
pub(crate) struct ServerCounters {
    /// Logins refused because their account is not among the pinned ones.
    pub(crate) pinned_account_refusals: AtomicU64,
    pub(crate) in_messages: AtomicU64,
    pub(crate) in_bytes: AtomicU64,
    /// Of connections that have ended.
    pub(crate) closed_out_messages: AtomicU64,
    /// Of connections that have ended.
    pub(crate) closed_out_bytes: AtomicU64,
    pub(crate) total_connections: AtomicU64,
    pub(crate) slow_consumers: AtomicU64,
    pub(crate) stale_connections: AtomicU64,
    pub(crate) stalled_clients: AtomicU64,
    /// Events sent and requests answered below `$SYS`.
    pub(crate) system_messages: AtomicU64,
}

impl ServerCounters {
    /// Adds one read batch.
    pub(crate) fn add_batch(&self, messages: u64, bytes: u64) {
        self.in_messages.fetch_add(messages, Relaxed);
        self.in_bytes.fetch_add(bytes, Relaxed);
    }

    /// Keeps what an ended connection has got.
    pub(crate) fn add_closed(&self, client: &Client) {
        let counted = client.outbound.counted();
        self.closed_out_messages
            .fetch_add(counted.messages, Relaxed);
        self.closed_out_bytes.fetch_add(counted.bytes, Relaxed);
    }
}
