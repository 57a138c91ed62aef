//! `/metrics`: everything for Prometheus.
//!
//! What prometheus-nats-exporter tells has its names, types and labels here (varz, connz, subsz, routez, healthz, accstatz, jsz with all streams and
//! consumers); to it come the store's latencies and damage (`jetsled_...`) and the process (`process_...`).

mod accounts;
mod answers;
mod jetstream;
mod process;
mod store;
mod text;

pub(crate) use text::CONTENT_TYPE;
use text::{Exposition, Kind, Labels, Value};

use crate::server::ServerState;

/// Accounts that are told of; those that come later by name are only counted.
const MAX_ACCOUNTS: usize = 1000;

/// Streams that are told of.
const MAX_STREAMS: usize = 1000;

/// Consumers that are told of.
const MAX_CONSUMERS: usize = 2000;

/// All metrics of the process, and of the server if there is one yet.
pub(crate) fn gather(server: Option<&ServerState>) -> String {
    let mut exposition = Exposition::default();
    if let Some(server) = server {
        let id = Labels::default().with("server_id", server.id());
        answers::tell(server, &id, &mut exposition);
        let accounts = accounts::tell(server, &id, &mut exposition);
        let left_out = jetstream::tell(server, &id, &mut exposition);
        store::tell(server, &mut exposition);
        let left_out = [("accounts", accounts), left_out[0], left_out[1]];
        if let Some(mut family) = exposition.family(
            "jetsled_metrics_left_out",
            Kind::Gauge,
            "Accounts, streams and consumers that have no metrics of their own, because there are more than /metrics tells of.",
        ) {
            for (what, count) in left_out {
                family.sample(&Labels::default().with("what", what), count as u64);
            }
        }
    }
    process::tell(&mut exposition);
    exposition.into_text()
}

/// A family, where its samples come from, and what they mean.
struct Row<T> {
    name: &'static str,
    help: &'static str,
    value: fn(&T) -> Option<Value>,
}

impl<T> Row<T> {
    /// Tells one family of gauges after the other, each with a sample of every item that has a value.
    fn tell_all(rows: &[Self], items: &[(Labels, T)], exposition: &mut Exposition) {
        for row in rows {
            let Some(mut family) = exposition.family(row.name, Kind::Gauge, row.help) else {
                continue;
            };
            for (labels, item) in items {
                if let Some(value) = (row.value)(item) {
                    family.sample(labels, value);
                }
            }
        }
    }
}
