//! `jetsled_...`: how long commits, acks and deliveries take, and what damage the store knows of.

use super::text::{Exposition, Kind, Labels};
use crate::jetstream::{Histogram, StoreHealth};
use crate::server::ServerState;

pub(super) fn tell(server: &ServerState, exposition: &mut Exposition) {
    let versions = Labels::default()
        .with("version", env!("CARGO_PKG_VERSION"))
        .with("follows", crate::VERSION);
    exposition.single(
        "jetsled_build_info",
        Kind::Gauge,
        "1; which jetsled this is, and which nats-server it follows.",
        &versions,
        1_u64,
    );
    let Some(jetstream) = server.jetstream() else {
        return;
    };
    let health = jetstream.health();
    let latencies = &health.latencies;
    for (name, help, histogram) in [
        (
            "jetsled_commit_seconds",
            "Time to write and sync one group of records (group commit).",
            &latencies.commit,
        ),
        (
            "jetsled_ack_seconds",
            "Time from a message's arrival at its file stream to its ack, which the disk lets go.",
            &latencies.ack,
        ),
        (
            "jetsled_delivery_seconds",
            "Time from a message's storing to its first delivery by a consumer; of old messages, how old they are.",
            &latencies.delivery,
        ),
    ] {
        tell_histogram(name, help, histogram, exposition);
    }
    exposition.single(
        "jetsled_store_failed_commits_total",
        Kind::Counter,
        "Commits that failed; what waited for them was refused.",
        &Labels::default(),
        health.failed_commits,
    );
    for (name, help, value) in GAUGES {
        exposition.single(name, Kind::Gauge, help, &Labels::default(), value(&health));
    }
}

type Gauge = (&'static str, &'static str, fn(&StoreHealth) -> u64);

const GAUGES: [Gauge; 10] = [
    ("jetsled_store_shards", "Shards of the store.", |health| {
        health.shards
    }),
    (
        "jetsled_store_fenced_shards",
        "Shards that refuse writes after one has failed.",
        |health| health.fenced_shards,
    ),
    (
        "jetsled_store_lost_messages",
        "Messages that damage took, as far as it is known.",
        |health| health.lost_messages,
    ),
    (
        "jetsled_store_damaged_regions",
        "Stretches of the log that the last start found to be no records any more.",
        |health| health.found.regions,
    ),
    (
        "jetsled_store_damaged_bytes",
        "Bytes of these stretches.",
        |health| health.found.bytes,
    ),
    (
        "jetsled_store_quarantined_files",
        "Segments and catalogs that the last start could not use and has set aside.",
        |health| health.found.quarantined_files,
    ),
    (
        "jetsled_store_orphaned_messages",
        "Messages of streams whose configuration is lost: kept, not served.",
        |health| health.found.orphaned_messages,
    ),
    (
        "jetsled_store_torn_bytes",
        "Bytes of an unfinished write, never acknowledged, that the last start dropped.",
        |health| health.found.torn_bytes,
    ),
    (
        "jetsled_store_rebuilt_indexes",
        "Indexes that the last start has rebuilt.",
        |health| health.found.rebuilt_indexes,
    ),
    (
        "jetsled_store_rebuilt_shards",
        "Shards that the last start has rebuilt from their whole log.",
        |health| health.found.rebuilt_shards,
    ),
];

fn tell_histogram(name: &str, help: &str, histogram: &Histogram, exposition: &mut Exposition) {
    let Some(mut family) = exposition.family(name, Kind::Histogram, help) else {
        return;
    };
    let limit = |limit: &str| Labels::default().with("le", limit);
    for (seconds, below) in histogram.cumulative() {
        family.suffixed("_bucket", &limit(&seconds.to_string()), below);
    }
    let total = histogram.total();
    family.suffixed("_bucket", &limit("+Inf"), total);
    family.suffixed("_sum", &Labels::default(), histogram.sum_seconds());
    family.suffixed("_count", &Labels::default(), total);
}
