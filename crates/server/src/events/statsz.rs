//! The server's figures in short.

use std::sync::atomic::Ordering::Relaxed;

use jiff::Timestamp;
use serde::Serialize;

use crate::monitor::{ByKind, JetStreamVarz, usage};
use crate::server::ServerState;

#[derive(Serialize)]
pub(super) struct Statsz {
    start: Timestamp,
    mem: u64,
    cores: usize,
    #[serde(serialize_with = "crate::monitor::float")]
    cpu: f64,
    connections: usize,
    total_connections: u64,
    active_accounts: usize,
    subscriptions: usize,
    sent: Traffic,
    sent_to_clients: Traffic,
    received: Traffic,
    received_from_clients: Traffic,
    slow_consumers: u64,
    #[serde(skip_serializing_if = "ByKind::is_zero")]
    slow_consumer_stats: ByKind,
    #[serde(skip_serializing_if = "is_zero")]
    stale_connections: u64,
    #[serde(skip_serializing_if = "ByKind::is_zero")]
    stale_connection_stats: ByKind,
    #[serde(skip_serializing_if = "is_zero")]
    stalled_clients: u64,
    active_servers: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    jetstream: Option<JetStreamVarz>,
    gomaxprocs: usize,
}

#[derive(Clone, Copy, Serialize)]
struct Traffic {
    msgs: u64,
    bytes: u64,
}

pub(super) fn gather(server: &ServerState) -> Statsz {
    let counters = &server.counters;
    let clients = server.clients();
    let mut sent = Traffic {
        msgs: counters.closed_out_messages.load(Relaxed),
        bytes: counters.closed_out_bytes.load(Relaxed),
    };
    for client in &clients {
        let counted = client.outbound.counted();
        sent.msgs += counted.messages;
        sent.bytes += counted.bytes;
    }
    let received = Traffic {
        msgs: counters.in_messages.load(Relaxed),
        bytes: counters.in_bytes.load(Relaxed),
    };
    let accounts = server.accounts();
    let is_active = |connections: u64| connections > 0;
    let usage = usage(server);
    Statsz {
        start: server.monitoring.started,
        mem: usage.memory,
        cores: usage.cores,
        cpu: usage.cpu,
        connections: clients.len(),
        total_connections: counters.total_connections.load(Relaxed),
        active_accounts: accounts
            .iter()
            .filter(|account| is_active(account.counters.connections.load(Relaxed)))
            .count(),
        subscriptions: accounts.iter().map(|account| account.target_count()).sum(),
        sent,
        sent_to_clients: sent,
        received,
        received_from_clients: received,
        slow_consumers: counters.slow_consumers.load(Relaxed),
        slow_consumer_stats: ByKind::clients(&counters.slow_consumers),
        stale_connections: counters.stale_connections.load(Relaxed),
        stale_connection_stats: ByKind::clients(&counters.stale_connections),
        stalled_clients: counters.stalled_clients.load(Relaxed),
        active_servers: 1,
        jetstream: JetStreamVarz::of(server).map(JetStreamVarz::without_store_dir),
        gomaxprocs: usage.cores,
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
fn is_zero(value: &u64) -> bool {
    *value == 0
}
