//! `/dashboard/overview`: the server as a whole, once a second.

use serde::Serialize;

use crate::jetstream::{AccountUse, Histogram, JetStream, StoreHealth};
use crate::monitor::access::Asker;
use crate::monitor::varz::{self, Varz};
use crate::monitor::{healthz, jsz};
use crate::server::ServerState;

#[derive(Debug, Serialize)]
pub(super) struct Overview {
    jetsled: &'static str,
    health: &'static str,
    /// Whether messages are shown.
    peek: bool,
    varz: Varz,
    accounts: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    jetstream: Option<Streams>,
}

#[derive(Debug, Serialize)]
struct Streams {
    streams: usize,
    consumers: usize,
    messages: u64,
    /// Bytes.
    memory: u64,
    storage: u64,
    max_memory: u64,
    max_storage: u64,
    lost_messages: u64,
    quarantined_files: u64,
    damaged_regions: u64,
    failed_commits: u64,
    fenced_shards: u64,
    /// Seconds, the upper limits of all buckets but the last, which has none.
    limits: Vec<f64>,
    commit: Latency,
    ack: Latency,
    delivery: Latency,
}

/// Observations since the start, below each limit.
#[derive(Debug, Serialize)]
struct Latency {
    below: Vec<u64>,
    count: u64,
}

pub(super) fn gather(server: &ServerState, asker: &Asker) -> Overview {
    Overview {
        jetsled: env!("CARGO_PKG_VERSION"),
        health: healthz::status(server),
        peek: asker.may_peek,
        varz: varz::gather(server),
        accounts: server.accounts().len(),
        jetstream: server.jetstream().map(|js| Streams::of(server, js)),
    }
}

impl Streams {
    fn of(server: &ServerState, jetstream: &JetStream) -> Self {
        let uses = jsz::account_uses(server);
        let sum = |of: fn(&AccountUse) -> u64| uses.iter().map(|(_, used)| of(used)).sum();
        let (max_memory, max_storage) = jetstream.limits();
        let StoreHealth {
            found,
            lost_messages,
            failed_commits,
            fenced_shards,
            latencies,
            ..
        } = jetstream.health();
        Self {
            streams: uses.iter().map(|(_, used)| used.streams).sum(),
            consumers: uses.iter().map(|(_, used)| used.consumers).sum(),
            messages: sum(|used| used.messages),
            memory: sum(|used| used.memory),
            storage: sum(|used| used.storage),
            max_memory,
            max_storage,
            lost_messages,
            quarantined_files: found.quarantined_files,
            damaged_regions: found.regions,
            failed_commits,
            fenced_shards,
            limits: latencies
                .commit
                .cumulative()
                .map(|(limit, _)| limit)
                .collect(),
            commit: Latency::of(&latencies.commit),
            ack: Latency::of(&latencies.ack),
            delivery: Latency::of(&latencies.delivery),
        }
    }
}

impl Latency {
    fn of(histogram: &Histogram) -> Self {
        Self {
            below: histogram.cumulative().map(|(_, below)| below).collect(),
            count: histogram.total(),
        }
    }
}
