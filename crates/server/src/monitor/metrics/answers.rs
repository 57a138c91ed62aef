//! `gnatsd_varz_...`, `gnatsd_subsz_...`, `gnatsd_routez_...`, `gnatsd_connz_...`, `gnatsd_healthz_...`: what the endpoints of these names answer.

use std::sync::atomic::Ordering::Relaxed;

use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value as Json;

use super::text::{Exposition, Kind, Labels, Value};
use crate::monitor::query::Query;
use crate::monitor::{alone, healthz, subsz, varz};
use crate::server::ServerState;

/// `id`: the label that says whose they are.
pub(super) fn tell(server: &ServerState, id: &Labels, exposition: &mut Exposition) {
    let everything = Query::default();
    flatten("varz", &varz::gather(server), id, exposition);
    if let Ok(subsz) = subsz::gather(server, &everything) {
        flatten("subsz", &subsz, id, exposition);
    }
    if let Ok(routez) = alone::routez(server, &everything) {
        flatten("routez", &routez, id, exposition);
    }
    connections(server, id, exposition);
    health(server, id, exposition);
}

/// Texts that are told, as a label; times among them as a number of milliseconds since 1970.
const TEXTS: [&str; 8] = [
    "server_id",
    "server_name",
    "version",
    "domain",
    "leader",
    "name",
    "start",
    "config_load_time",
];

/// Every number in an endpoint's answer, by its path, and some texts, as prometheus-nats-exporter tells them.
fn flatten(endpoint: &str, answer: &impl Serialize, id: &Labels, exposition: &mut Exposition) {
    if let Ok(Json::Object(fields)) = serde_json::to_value(answer) {
        flatten_fields(endpoint, &fields, &mut Vec::new(), id, exposition);
    }
}

fn flatten_fields<'a>(
    endpoint: &str,
    fields: &'a serde_json::Map<String, Json>,
    path: &mut Vec<&'a str>,
    id: &Labels,
    exposition: &mut Exposition,
) {
    for (key, value) in fields {
        path.push(key);
        match value {
            Json::Object(fields) => flatten_fields(endpoint, fields, path, id, exposition),
            Json::Number(number) => {
                let value = match (number.as_u64(), number.as_i64()) {
                    (Some(count), _) => Value::Count(count),
                    (None, Some(number)) => Value::Signed(number),
                    (None, None) => Value::Float(number.as_f64().unwrap_or(f64::NAN)),
                };
                gauge(endpoint, path, id, value, exposition);
            }
            Json::String(text) if TEXTS.contains(&key.as_str()) => {
                match text.parse::<Timestamp>() {
                    Ok(time) => {
                        gauge(endpoint, path, id, time.as_millisecond().into(), exposition);
                    }
                    Err(_) => {
                        let labels = id.clone().with("value", text);
                        gauge(endpoint, path, &labels, Value::Count(1), exposition);
                    }
                }
            }
            _ => {}
        }
        path.pop();
    }
}

fn gauge(
    endpoint: &str,
    path: &[&str],
    labels: &Labels,
    value: Value,
    exposition: &mut Exposition,
) {
    let help = format!("{} of /{endpoint}.", path.join("."));
    let name = format!("gnatsd_{endpoint}_{}", joined(path));
    exposition.single(&name, Kind::Gauge, &help, labels, value);
}

/// The words of a path with single underscores between them: `http_req_stats`, `/varz` is `http_req_stats_varz`.
fn joined(path: &[&str]) -> String {
    let words = path.iter().flat_map(|key| key.split(['/', '_']));
    let words: Vec<_> = words.filter(|word| !word.is_empty()).collect();
    words.join("_")
}

/// Open connections and what they have carried, all together.
fn connections(server: &ServerState, id: &Labels, exposition: &mut Exposition) {
    let clients = server.clients();
    let (mut pending, mut subscriptions) = (0_u64, 0_u64);
    let [
        mut in_bytes,
        mut out_bytes,
        mut in_messages,
        mut out_messages,
    ] = [0_u64; 4];
    for client in &clients {
        let sent = client.outbound.counted();
        pending += client.outbound.pending() as u64;
        subscriptions += client.subscription_count() as u64;
        in_bytes += client.counters.in_bytes.load(Relaxed);
        out_bytes += sent.bytes;
        in_messages += client.counters.in_messages.load(Relaxed);
        out_messages += sent.messages;
    }
    let count = clients.len() as u64;
    let everything = Query::default().page().map_or(0, |page| page.limit as u64);
    for (name, kind, help, value) in [
        (
            "gnatsd_connz_num_connections",
            Kind::Gauge,
            "Open connections.",
            count,
        ),
        (
            "gnatsd_connz_total",
            Kind::Gauge,
            "Open connections.",
            count,
        ),
        (
            "gnatsd_connz_offset",
            Kind::Gauge,
            "Connections that are not counted: none.",
            0,
        ),
        (
            "gnatsd_connz_limit",
            Kind::Gauge,
            "Connections that /connz lists unless it is asked for more.",
            everything,
        ),
        (
            "gnatsd_connz_pending_bytes",
            Kind::Gauge,
            "Bytes that wait to be sent to open connections.",
            pending,
        ),
        (
            "gnatsd_connz_subscriptions",
            Kind::Gauge,
            "Subscriptions of open connections.",
            subscriptions,
        ),
        (
            "gnatsd_connz_in_bytes",
            Kind::Counter,
            "Bytes of messages received from connections that are open.",
            in_bytes,
        ),
        (
            "gnatsd_connz_out_bytes",
            Kind::Counter,
            "Bytes of messages sent to connections that are open.",
            out_bytes,
        ),
        (
            "gnatsd_connz_in_msgs",
            Kind::Counter,
            "Messages received from connections that are open.",
            in_messages,
        ),
        (
            "gnatsd_connz_out_msgs",
            Kind::Counter,
            "Messages sent to connections that are open.",
            out_messages,
        ),
    ] {
        exposition.single(name, kind, help, id, value);
    }
}

fn health(server: &ServerState, id: &Labels, exposition: &mut Exposition) {
    let status = healthz::status(server);
    let is_ok = status == "ok";
    exposition.single(
        "gnatsd_healthz_status",
        Kind::Gauge,
        "0 if /healthz says ok, else 1.",
        id,
        u64::from(!is_ok),
    );
    exposition.single(
        "gnatsd_healthz_status_value",
        Kind::Gauge,
        "1 if /healthz says ok, else 0; what it says is the label.",
        &id.clone().with("value", status),
        u64::from(is_ok),
    );
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn answers_are_flattened_as_the_exporter_does() {
        let answer = json!({
            "server_id": "ID", "host": "0.0.0.0", "cores": 2, "cpu": 1.5, "low": -1, "on": true, "tags": [1],
            "start": "2026-01-01T00:00:00Z",
            "http_req_stats": {"/": 1, "/varz": 2},
            "jetstream": {"config": {"domain": "hub"}, "stats": {"api": {"total": 3}}},
        });
        let mut exposition = Exposition::default();
        flatten(
            "varz",
            &answer,
            &Labels::default().with("server_id", "ID"),
            &mut exposition,
        );
        let text = exposition.into_text();
        let samples: Vec<_> = text.lines().filter(|line| !line.starts_with('#')).collect();
        assert_eq!(
            samples,
            [
                "gnatsd_varz_cores{server_id=\"ID\"} 2",
                "gnatsd_varz_cpu{server_id=\"ID\"} 1.5",
                "gnatsd_varz_http_req_stats{server_id=\"ID\"} 1",
                "gnatsd_varz_http_req_stats_varz{server_id=\"ID\"} 2",
                "gnatsd_varz_jetstream_config_domain{server_id=\"ID\",value=\"hub\"} 1",
                "gnatsd_varz_jetstream_stats_api_total{server_id=\"ID\"} 3",
                "gnatsd_varz_low{server_id=\"ID\"} -1",
                "gnatsd_varz_server_id{server_id=\"ID\",value=\"ID\"} 1",
                "gnatsd_varz_start{server_id=\"ID\"} 1767225600000",
            ]
        );
    }
}
