//! `/metrics`: accepted by a strict reader, prometheus-nats-exporter's names, true figures, a bound.
#![allow(clippy::unwrap_used, reason = "a test ends where something fails")]

mod exposition;
mod grafana;
#[path = "../support/mod.rs"]
mod support;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;

use exposition::{Exposition, Sample};
use jetsled_config::{Options, Port};
use jetsled_testkit::Peer;
use support::TestServer;

fn server(directory: &Path, change: impl FnOnce(&mut Options)) -> TestServer {
    TestServer::start(|options| {
        options.monitor.http_port = Some(Port::Random);
        options.jetstream.enabled = true;
        options.jetstream.configured_store_dir = Some(directory.into());
        change(options);
    })
}

#[track_caller]
fn metrics(server: &TestServer) -> Exposition {
    let mut stream = TcpStream::connect(server.monitor()).unwrap();
    let request = "GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
    let content_type = "Content-Type: text/plain; version=0.0.4; charset=utf-8\r\n";
    assert!(head.contains(content_type), "{head}");
    Exposition::parse(body).unwrap()
}

#[track_caller]
fn api(peer: &mut Peer, subject: &str, body: &str) {
    let answer = peer.request(&format!("$JS.API.{subject}"), body.as_bytes());
    let answer = String::from_utf8(answer.unwrap().payload).unwrap();
    assert!(!answer.contains("\"error\""), "{answer}");
}

fn create_stream(peer: &mut Peer, name: &str, more: &str) {
    let subject = format!("STREAM.CREATE.{name}");
    let body = format!("{{\"name\":\"{name}\",\"subjects\":[\"{name}.*\"]{more}}}");
    api(peer, &subject, &body);
}

fn create_consumer(peer: &mut Peer, stream: &str, name: &str, more: &str) {
    let body = format!(
        "{{\"stream_name\":\"{stream}\",\"config\":{{\"durable_name\":\"{name}\",\"ack_policy\":\"explicit\"{more}}}}}"
    );
    api(peer, &format!("CONSUMER.CREATE.{stream}.{name}"), &body);
}

/// Names of prometheus-nats-exporter, with labels that all samples have beside `server_id`.
const EXPORTER: &[(&str, &[&str])] = &[
    (
        "gnatsd_varz_connections gnatsd_varz_total_connections gnatsd_varz_in_msgs gnatsd_varz_in_bytes gnatsd_varz_out_msgs \
         gnatsd_varz_out_bytes gnatsd_varz_slow_consumers gnatsd_varz_subscriptions gnatsd_varz_mem gnatsd_varz_cpu gnatsd_varz_cores \
         gnatsd_varz_max_connections gnatsd_varz_max_payload gnatsd_varz_routes gnatsd_varz_leafnodes gnatsd_varz_remotes \
         gnatsd_varz_http_req_stats_metrics gnatsd_varz_jetstream_stats_memory gnatsd_varz_jetstream_stats_storage \
         gnatsd_varz_jetstream_stats_accounts gnatsd_varz_jetstream_stats_api_total gnatsd_varz_jetstream_stats_api_errors \
         gnatsd_varz_jetstream_config_max_memory gnatsd_varz_jetstream_config_max_storage gnatsd_varz_slow_consumer_stats_clients \
         gnatsd_varz_start gnatsd_varz_config_load_time gnatsd_routez_num_routes \
         gnatsd_subsz_num_subscriptions gnatsd_subsz_num_inserts gnatsd_subsz_num_removes gnatsd_subsz_num_matches gnatsd_subsz_num_cache \
         gnatsd_subsz_cache_hit_rate gnatsd_subsz_max_fanout gnatsd_subsz_avg_fanout \
         gnatsd_connz_num_connections gnatsd_connz_total gnatsd_connz_offset gnatsd_connz_limit gnatsd_connz_pending_bytes \
         gnatsd_connz_subscriptions gnatsd_connz_in_bytes gnatsd_connz_out_bytes gnatsd_connz_in_msgs gnatsd_connz_out_msgs \
         gnatsd_healthz_status",
        &[],
    ),
    (
        "gnatsd_varz_server_id gnatsd_varz_server_name gnatsd_varz_version gnatsd_healthz_status_value",
        &["value"],
    ),
    (
        "gnatsd_accstatz_current_connections gnatsd_accstatz_total_connections gnatsd_accstatz_subscriptions gnatsd_accstatz_leaf_nodes \
         gnatsd_accstatz_sent_messages gnatsd_accstatz_sent_bytes gnatsd_accstatz_received_messages gnatsd_accstatz_received_bytes \
         gnatsd_accstatz_slow_consumers",
        &["account", "account_id", "account_name"],
    ),
    (
        "jetstream_server_jetstream_disabled jetstream_server_total_streams jetstream_server_total_consumers \
         jetstream_server_total_messages jetstream_server_total_message_bytes jetstream_server_max_memory jetstream_server_max_storage",
        SERVER,
    ),
    (
        "jetstream_account_max_memory jetstream_account_max_storage jetstream_account_storage_used jetstream_account_memory_used",
        &[
            "server_name",
            "cluster",
            "domain",
            "meta_leader",
            "is_meta_leader",
            "account",
            "account_name",
            "account_id",
        ],
    ),
    (
        "jetstream_stream_total_messages jetstream_stream_total_bytes jetstream_stream_first_seq jetstream_stream_last_seq \
         jetstream_stream_consumer_count jetstream_stream_subject_count jetstream_stream_limit_bytes jetstream_stream_limit_messages",
        STREAM,
    ),
    (
        "jetstream_stream_mirror_lag jetstream_stream_mirror_active_duration_ns",
        &["stream_name", "mirror_name", "mirror_api", "mirror_deliver"],
    ),
    (
        "jetstream_stream_source_lag jetstream_stream_source_active_duration_ns",
        &["stream_name", "source_name", "source_api", "source_deliver"],
    ),
    (
        "jetstream_consumer_delivered_consumer_seq jetstream_consumer_delivered_stream_seq jetstream_consumer_num_ack_pending \
         jetstream_consumer_num_redelivered jetstream_consumer_num_waiting jetstream_consumer_num_pending \
         jetstream_consumer_ack_floor_stream_seq jetstream_consumer_ack_floor_consumer_seq jetstream_consumer_last_delivery_seconds \
         jetstream_consumer_last_ack_seconds",
        &[
            "account",
            "stream_name",
            "consumer_name",
            "consumer_leader",
            "is_consumer_leader",
            "consumer_desc",
        ],
    ),
];

const SERVER: &[&str] = &[
    "server_name",
    "cluster",
    "domain",
    "meta_leader",
    "is_meta_leader",
];

const STREAM: &[&str] = &[
    "server_name",
    "cluster",
    "domain",
    "meta_leader",
    "is_meta_leader",
    "account",
    "account_name",
    "account_id",
    "stream_name",
    "stream_leader",
    "is_stream_leader",
    "stream_raft_group",
];

#[test]
fn everything_that_the_exporter_tells_is_told() {
    let directory = tempfile::tempdir().unwrap();
    let server = server(directory.path(), |_| {});
    let mut peer = server.ready();
    create_stream(&mut peer, "S", ",\"max_msgs\":500");
    api(
        &mut peer,
        "STREAM.CREATE.M",
        "{\"name\":\"M\",\"mirror\":{\"name\":\"S\"}}",
    );
    api(
        &mut peer,
        "STREAM.CREATE.G",
        "{\"name\":\"G\",\"sources\":[{\"name\":\"S\"}]}",
    );
    create_consumer(
        &mut peer,
        "S",
        "C",
        ",\"description\":\"says \\\"it\\\" \\\\ and\\nmore\"",
    );
    for _ in 0..3 {
        peer.request("S.a", b"x").unwrap();
    }
    let taken = peer.request("$JS.API.CONSUMER.MSG.NEXT.S.C", b"").unwrap();
    peer.request(&taken.reply.unwrap(), b"+ACK").unwrap();

    metrics(&server);
    let told = metrics(&server);
    for (names, labels) in EXPORTER {
        for name in names.split_whitespace() {
            let samples: Vec<&Sample> = told.all(name).collect();
            assert!(!samples.is_empty(), "{name}");
            let kind = match name.strip_prefix("gnatsd_connz_") {
                Some(rest) if rest.starts_with("in_") || rest.starts_with("out_") => "counter",
                _ => "gauge",
            };
            assert_eq!(told.kinds[name], kind, "{name}");
            for sample in samples {
                assert!(!sample.label("server_id").is_empty(), "{sample:?}");
                for label in *labels {
                    assert!(sample.labels.contains_key(*label), "{label} of {sample:?}");
                }
            }
        }
    }
    grafana::check(&told);
    let of_stream = |name: &str| {
        let mut all = told.all(name);
        all.find(|sample| sample.label("stream_name") == "S")
            .unwrap()
            .value
    };
    assert_eq!(of_stream("jetstream_stream_total_messages"), 3.0);
    assert_eq!(of_stream("jetstream_stream_limit_messages"), 500.0);
    assert_eq!(of_stream("jetstream_stream_limit_bytes"), -1.0);
    assert_eq!(told.value("jetstream_server_total_streams"), 3.0);
    assert_eq!(told.value("jetstream_consumer_num_pending"), 2.0);
    assert_eq!(told.value("jetstream_consumer_ack_floor_stream_seq"), 1.0);
    assert_eq!(told.value("gnatsd_varz_http_req_stats_metrics"), 2.0);
    assert_eq!(told.value("gnatsd_healthz_status"), 0.0);
    let described = told.all("jetstream_consumer_num_waiting").next().unwrap();
    assert_eq!(described.label("consumer_desc"), "says \"it\" \\ and\nmore");
}

#[test]
fn latencies_count_commits_acks_and_first_deliveries() {
    let directory = tempfile::tempdir().unwrap();
    let server = server(directory.path(), |_| {});
    let mut peer = server.ready();
    create_stream(&mut peer, "S", "");
    create_stream(&mut peer, "M", ",\"storage\":\"memory\"");
    create_consumer(&mut peer, "S", "C", ",\"ack_wait\":30000000000");
    let before = metrics(&server);
    for _ in 0..10 {
        peer.request("S.a", b"x").unwrap();
        peer.request("M.a", b"x").unwrap();
    }
    for _ in 0..4 {
        let taken = peer.request("$JS.API.CONSUMER.MSG.NEXT.S.C", b"").unwrap();
        peer.request(&taken.reply.unwrap(), b"-NAK").unwrap();
    }
    // What was refused comes again: a second delivery, which does not count.
    let told = metrics(&server);
    assert_eq!(told.value("jetsled_ack_seconds_count"), 10.0);
    let commits =
        told.value("jetsled_commit_seconds_count") - before.value("jetsled_commit_seconds_count");
    assert!(commits >= 10.0, "{commits}");
    let deliveries = told.value("jetsled_delivery_seconds_count");
    let redelivered = 4.0 - deliveries;
    assert!(deliveries >= 1.0 && redelivered >= 0.0, "{deliveries}");
    for name in ["ack", "commit", "delivery"] {
        let sum = told.value(&format!("jetsled_{name}_seconds_sum"));
        assert!(sum > 0.0 && sum < 60.0, "{name}: {sum}");
    }
}

#[test]
fn how_much_is_told_has_a_bound() {
    let directory = tempfile::tempdir().unwrap();
    let server = server(directory.path(), |_| {});
    let mut peer = server.ready();
    for number in 0..1010 {
        create_stream(
            &mut peer,
            &format!("S{number:04}"),
            ",\"storage\":\"memory\"",
        );
    }
    let told = metrics(&server);
    assert_eq!(told.all("jetstream_stream_last_seq").count(), 1000);
    assert_eq!(told.value("jetstream_server_total_streams"), 1010.0);
    let mut left_out = told.all("jetsled_metrics_left_out");
    let streams = left_out.find(|sample| sample.label("what") == "streams");
    assert_eq!(streams.unwrap().value, 10.0);
}

#[test]
fn damage_is_counted() {
    let directory = tempfile::tempdir().unwrap();
    let mut running = server(directory.path(), |_| {});
    let mut peer = running.ready();
    create_stream(&mut peer, "S", "");
    for _ in 0..50 {
        peer.request("S.a", &[b'p'; 4000]).unwrap();
    }
    let told = metrics(&running);
    assert_eq!(told.value("jetsled_store_damaged_regions"), 0.0);
    assert_eq!(told.value("jetsled_store_rebuilt_shards"), 0.0);
    running.shutdown();

    let damaged = flip_a_payload_byte(directory.path());
    assert!(damaged, "no segment with a payload");
    let server = server(directory.path(), |_| {});
    let mut peer = server.ready();
    // A consumer that comes to it finds out, at the latest.
    create_consumer(&mut peer, "S", "C", "");
    for _ in 0..49 {
        peer.request("$JS.API.CONSUMER.MSG.NEXT.S.C", b"").unwrap();
    }
    let request = b"{\"no_wait\":true}";
    let end = peer
        .request("$JS.API.CONSUMER.MSG.NEXT.S.C", request)
        .unwrap();
    assert!(end.headers.contains("404"), "{end:?}");
    let told = metrics(&server);
    assert_eq!(told.value("jetsled_store_lost_messages"), 1.0);
    assert_eq!(told.value("jetsled_stream_lost_messages"), 1.0);
    assert_eq!(told.value("jetsled_store_fenced_shards"), 0.0);
}

/// Changes one byte of one message in the store.
fn flip_a_payload_byte(directory: &Path) -> bool {
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            if flip_a_payload_byte(&path) {
                return true;
            }
            continue;
        }
        let mut bytes = std::fs::read(&path).unwrap();
        let is_segment = path
            .extension()
            .is_some_and(|name| name == "log" || name == "seg");
        let payload = bytes
            .windows(4000)
            .rposition(|window| window.iter().all(|b| *b == b'p'));
        if let (true, Some(at)) = (is_segment, payload) {
            bytes[at + 2000] ^= 1;
            std::fs::write(&path, bytes).unwrap();
            return true;
        }
    }
    false
}

#[test]
fn without_jetstream_there_is_less_to_tell() {
    let server = TestServer::start(|options| options.monitor.http_port = Some(Port::Random));
    let told = metrics(&server);
    assert_eq!(told.value("jetstream_server_jetstream_disabled"), 1.0);
    assert_eq!(told.all("jetsled_commit_seconds_count").count(), 0);
}
