//! What tools decode strictly must decode: each member has the Go type that nats-server 2.15.1 or the tool itself declares for it, so that a
//! number never stands where Go wants text, nor a fraction, a sign or `null` where it cannot.
//!
//! The exporter asserts types and panics where they are wrong; Telegraf and nats-top decode into nats-server's own structures; KEDA has
//! structures of its own and reads `/jsz` with `consumers=true&config=true`.

use jetsled_testkit::{Launch, Peer, Server};
use jetsled_tests::observed::http;
use jiff::Timestamp;
use serde_json::Value;

/// `PATH TYPE`, one a line; `[]` is each element, `{}` each member, a `?` behind the type lets it be absent. Integers: `int` is 64 bits.
type Members = &'static str;

/// Telegraf's `nats` input and nats-top decode all of `/varz`; the exporter's `varz` collects its numbers.
const VARZ: Members = "
server_id string
server_name string
version string
proto int
go string
host string
port int
auth_required bool?
tls_required bool?
max_connections int
max_subscriptions int?
ping_interval int
ping_max int
http_host string
http_port int
http_base_path string
https_port int
auth_timeout float
max_control_line int32
max_payload int
max_pending int
cluster object
cluster.urls array?
gateway object
leaf object
mqtt object
websocket object
jetstream object
jetstream.config.max_memory int
jetstream.config.max_storage int
jetstream.config.store_dir string
jetstream.config.sync_interval int?
jetstream.config.sync_always bool?
jetstream.config.domain string?
jetstream.config.strict bool?
jetstream.stats.memory uint64
jetstream.stats.storage uint64
jetstream.stats.reserved_memory uint64
jetstream.stats.reserved_storage uint64
jetstream.stats.accounts int
jetstream.stats.ha_assets int
jetstream.stats.api.level int
jetstream.stats.api.total uint64
jetstream.stats.api.errors uint64
jetstream.limits object?
tls_timeout float
write_deadline int
start time
now time
uptime uptime
mem int
cores int
gomaxprocs int
cpu float
connections int
total_connections uint64
routes int
remotes int
leafnodes int
in_msgs int
in_bytes int
in_client_msgs int
in_client_bytes int
out_msgs int
out_bytes int
out_client_msgs int
out_client_bytes int
slow_consumers int
stale_connections int
stalled_clients int
subscriptions uint32
http_req_stats.{} uint64
config_load_time time
config_digest string
tags[] string?
feature_flags.{} bool
system_account string?
connect_urls[] string?
slow_consumer_stats.clients uint64
slow_consumer_stats.routes uint64
slow_consumer_stats.gateways uint64
slow_consumer_stats.leafs uint64
stale_connection_stats.clients uint64
disk_io_wait_stats.waiters int
disk_io_wait_stats.waits uint64
disk_io_wait_stats.wait_time int
disk_io_wait_stats.max_wait_time int
";

/// nats-top shows these; the exporter's `connz_detailed` labels and measures each connection.
const CONNZ: Members = "
server_id string
now time
num_connections int
total int
offset int
limit int
connections array
connections[].cid uint64
connections[].kind string
connections[].type string
connections[].ip string
connections[].port int
connections[].start time
connections[].last_activity time
connections[].stop time?
connections[].reason string?
connections[].rtt duration
connections[].uptime uptime
connections[].idle uptime
connections[].pending_bytes int
connections[].in_msgs int
connections[].out_msgs int
connections[].in_bytes int
connections[].out_bytes int
connections[].stalls int?
connections[].subscriptions uint32
connections[].name string?
connections[].lang string?
connections[].version string?
connections[].tls_version string?
connections[].tls_cipher_suite string?
connections[].authorized_user string?
connections[].account string?
connections[].subscriptions_list[] string?
connections[].subscriptions_list_detail[].subject string?
connections[].subscriptions_list_detail[].sid string?
connections[].subscriptions_list_detail[].msgs int?
connections[].subscriptions_list_detail[].max int?
connections[].subscriptions_list_detail[].cid uint64?
connections[].name_tag string?
connections[].tags[] string?
";

const SUBSZ: Members = "
server_id string
now time
num_subscriptions uint32
num_cache uint32
num_inserts uint64
num_removes uint64
num_matches uint64
cache_hit_rate float
max_fanout uint32
avg_fanout float
total int
offset int
limit int
subscriptions_list[].account string?
subscriptions_list[].subject string?
subscriptions_list[].qgroup string?
subscriptions_list[].sid string?
subscriptions_list[].msgs int?
subscriptions_list[].cid uint64?
";

const ACCSTATZ: Members = "
server_id string
now time
account_statz[].acc string
account_statz[].name string
account_statz[].conns int
account_statz[].leafnodes int
account_statz[].total_conns int
account_statz[].num_subscriptions uint32
account_statz[].sent.msgs int
account_statz[].sent.bytes int
account_statz[].received.msgs int
account_statz[].received.bytes int
account_statz[].slow_consumers int
";

/// nats-server's structure, which the exporter uses, with what KEDA reads of it.
const JSZ: Members = "
memory uint64
storage uint64
reserved_memory uint64
reserved_storage uint64
accounts int
ha_assets int
api.level int
api.total uint64
api.errors uint64
server_id string
now time
disabled bool?
config.max_memory int
config.max_storage int
config.domain string?
streams int
consumers int
messages uint64
bytes uint64
meta_cluster object?
total int
account_details[].name string
account_details[].id string
account_details[].memory uint64
account_details[].storage uint64
account_details[].reserved_memory uint64
account_details[].reserved_storage uint64
account_details[].stream_detail[].name string
account_details[].stream_detail[].created time
account_details[].stream_detail[].cluster.leader string
account_details[].stream_detail[].config.subjects[] string
account_details[].stream_detail[].config.max_age int
account_details[].stream_detail[].config.max_msgs int
account_details[].stream_detail[].config.num_replicas int
account_details[].stream_detail[].config.duplicate_window int?
account_details[].stream_detail[].config.metadata.{} string?
account_details[].stream_detail[].state.messages uint64
account_details[].stream_detail[].state.bytes uint64
account_details[].stream_detail[].state.first_seq uint64
account_details[].stream_detail[].state.first_ts time
account_details[].stream_detail[].state.last_seq uint64
account_details[].stream_detail[].state.last_ts time
account_details[].stream_detail[].state.consumer_count int
account_details[].stream_detail[].consumer_detail[].stream_name string
account_details[].stream_detail[].consumer_detail[].name string
account_details[].stream_detail[].consumer_detail[].created time
account_details[].stream_detail[].consumer_detail[].ts time?
account_details[].stream_detail[].consumer_detail[].config.durable_name string?
account_details[].stream_detail[].consumer_detail[].config.description string?
account_details[].stream_detail[].consumer_detail[].config.ack_wait int?
account_details[].stream_detail[].consumer_detail[].config.max_deliver int?
account_details[].stream_detail[].consumer_detail[].delivered.consumer_seq uint64
account_details[].stream_detail[].consumer_detail[].delivered.stream_seq uint64
account_details[].stream_detail[].consumer_detail[].delivered.last_active time?
account_details[].stream_detail[].consumer_detail[].ack_floor.consumer_seq uint64
account_details[].stream_detail[].consumer_detail[].ack_floor.stream_seq uint64
account_details[].stream_detail[].consumer_detail[].num_ack_pending int
account_details[].stream_detail[].consumer_detail[].num_redelivered int
account_details[].stream_detail[].consumer_detail[].num_waiting int
account_details[].stream_detail[].consumer_detail[].num_pending uint64
account_details[].stream_detail[].consumer_detail[].cluster.leader string?
";

const HEALTHZ: Members = "status string";
const ROUTEZ: Members = "
server_id string
server_name string
now time
num_routes int
routes array
";
const LEAFZ: Members = "
server_id string
now time
leafnodes int
leafs array
";
const GATEWAYZ: Members = "
server_id string
now time
outbound_gateways object
inbound_gateways object
";

/// The values at a path; `None` for one that is absent.
fn at<'v>(value: &'v Value, path: &str) -> Vec<Option<&'v Value>> {
    let mut found = vec![Some(value)];
    for step in path.split('.') {
        let (name, is_list) = match step.strip_suffix("[]") {
            Some(name) => (name, true),
            None => (step, false),
        };
        let mut next = Vec::new();
        for value in found {
            match value {
                None => next.push(None),
                Some(Value::Object(members)) if name == "{}" => {
                    next.extend(members.values().map(Some));
                }
                Some(value) => match value.get(name) {
                    Some(Value::Array(elements)) if is_list => {
                        next.extend(elements.iter().map(Some));
                    }
                    // As Go's decoders take it: a list that is absent has no elements.
                    None if is_list => {}
                    member => next.push(member),
                },
            }
        }
        found = next;
    }
    found
}

fn decodes(kind: &str, value: &Value) -> bool {
    let text = value.as_str();
    match kind {
        "string" => text.is_some(),
        "bool" => value.is_boolean(),
        "int" => value.is_i64(),
        "uint64" => value.is_u64(),
        "int32" => value.as_i64().is_some_and(|n| i32::try_from(n).is_ok()),
        "uint32" => value.as_u64().is_some_and(|n| u32::try_from(n).is_ok()),
        "float" => value.is_number(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        "time" => text.is_some_and(|text| text.ends_with('Z') && text.parse::<Timestamp>().is_ok()),
        "duration" => text.is_some_and(|text| measures(text, &["h", "m", "s", "ms", "µs", "ns"])),
        "uptime" => text.is_some_and(|text| measures(text, &["y", "d", "h", "m", "s"])),
        other => panic!("no such type: {other}"),
    }
}

/// Numbers with units, as Go's `time.ParseDuration` or the exporter's reader of uptimes takes them.
fn measures(text: &str, units: &[&str]) -> bool {
    let mut rest = text;
    while !rest.is_empty() {
        let digits = rest.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.');
        let unit = digits.trim_start_matches(char::is_alphabetic);
        let unit = &digits[..digits.len() - unit.len()];
        if digits.len() == rest.len() || !units.contains(&unit) {
            return false;
        }
        rest = &digits[unit.len()..];
    }
    !text.is_empty()
}

#[track_caller]
fn check(server: &Server, path: &str, members: Members) {
    let monitor = server.monitor_address().expect("monitoring");
    let answer = http::get(monitor, path).expect("an answer");
    assert_eq!(answer.status, 200, "{path}: {}", answer.body);
    let value: Value = serde_json::from_str(&answer.body).expect("JSON");
    for line in members.lines().filter(|line| !line.is_empty()) {
        let (member, kind) = line.split_once(' ').expect("a path and a type");
        let (kind, may_be_absent) = match kind.strip_suffix('?') {
            Some(kind) => (kind, true),
            None => (kind, false),
        };
        for found in at(&value, member) {
            let fits = found.map_or(may_be_absent, |found| decodes(kind, found));
            assert!(fits, "{path}: {member} is no {kind}: {found:?}");
        }
    }
}

const CONFIG: &str = r#"
server_name: decoders
server_tags: ["a:b"]
accounts {
  A { jetstream: enabled, users: [ {user: a, password: p} ] }
  SYS { users: [ {user: system, password: p} ] }
}
system_account: SYS
jetstream { store_dir: js }
"#;

fn history(server: &Server) -> Vec<Peer> {
    let connect = |name: &str| {
        let mut peer = Peer::connect(server.address()).expect("connected");
        let options = format!(
            r#"{{"verbose":false,"user":"a","pass":"p","name":"{name}","lang":"go","version":"1","headers":true,"no_responders":true}}"#
        );
        peer.send(format!("CONNECT {options}\r\n")).expect("sent");
        peer.sync().expect("logged in");
        peer
    };
    let mut one = connect("one");
    drop(connect("gone"));
    one.send("SUB foo.* 1\r\nSUB bar workers 2\r\nUNSUB 2 5\r\nPUB foo.a 2\r\nhi\r\n")
        .expect("sent");
    for (subject, body) in [
        (
            "$JS.API.STREAM.CREATE.S",
            r#"{"name":"S","subjects":["s.>"],"max_age":60000000000}"#,
        ),
        (
            "$JS.API.CONSUMER.CREATE.S.C",
            r#"{"stream_name":"S","config":{"name":"C","durable_name":"C","ack_policy":"explicit"}}"#,
        ),
        ("s.1", "hello"),
        ("$JS.API.CONSUMER.MSG.NEXT.S.C", ""),
    ] {
        one.request(subject, body.as_bytes()).expect("answered");
    }
    vec![one]
}

#[test]
fn what_tools_decode_strictly_decodes() {
    let server = Launch::new()
        .config(CONFIG)
        .arg("-m")
        .arg("-1")
        .start()
        .expect("a server");
    let _peers = history(&server);
    check(&server, "/varz", VARZ);
    check(&server, "/connz", CONNZ);
    check(&server, "/connz?auth=1&subs=1", CONNZ);
    check(&server, "/connz?auth=1&subs=detail", CONNZ);
    check(&server, "/connz?state=all&sort=cid", CONNZ);
    check(&server, "/connz?limit=1&offset=5", CONNZ);
    check(&server, "/subsz", SUBSZ);
    check(&server, "/subsz?subs=1", SUBSZ);
    check(&server, "/accstatz?unused=1", ACCSTATZ);
    check(&server, "/jsz", JSZ);
    check(&server, "/jsz?accounts=true", JSZ);
    check(&server, "/jsz?acc=A&consumers=true&config=true", JSZ);
    check(&server, "/jsz?consumers=true&config=true&raft=1", JSZ);
    check(&server, "/healthz", HEALTHZ);
    check(&server, "/routez", ROUTEZ);
    check(&server, "/leafz", LEAFZ);
    check(&server, "/gatewayz", GATEWAYZ);
}

#[test]
fn a_server_without_anything_decodes_too() {
    let server = Launch::new()
        .called("nats-server")
        .arg("-m")
        .arg("-1")
        .start()
        .expect("a server");
    let without_jetstream: Vec<&str> = VARZ
        .lines()
        .filter(|line| !line.starts_with("jetstream."))
        .collect();
    check(&server, "/varz", without_jetstream.join("\n").leak());
    check(&server, "/connz?state=closed", CONNZ);
    check(&server, "/subsz?subs=1", SUBSZ);
    check(&server, "/accstatz?unused=1", ACCSTATZ);
}

#[test]
fn the_reader_of_types_is_strict() {
    let value = serde_json::json!({"a": [{"b": 1}, {"b": "1"}, {}], "c": null, "d": 1.5});
    assert_eq!(at(&value, "a[].b").len(), 3);
    assert_eq!(at(&value, "x.y"), [None]);
    assert!(decodes("int", &serde_json::json!(-1)) && !decodes("uint64", &serde_json::json!(-1)));
    assert!(!decodes("int", &value["d"]) && decodes("float", &value["d"]));
    assert!(!decodes("string", &value["c"]) && !decodes("array", &value["c"]));
    assert!(!decodes(
        "time",
        &serde_json::json!("2026-01-01T00:00:00+01:00")
    ));
    assert!(measures("1d2h3m4s", &["d", "h", "m", "s"]) && !measures("12", &["s"]));
    assert!(measures("301.027925ms", &["ms"]) && !measures("1 s", &["s"]));
}
