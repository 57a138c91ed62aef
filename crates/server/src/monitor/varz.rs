//! `/varz`: the server.

use std::collections::BTreeMap;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

use jetsled_auth::jwt::{Claims, decode_generic};
use jetsled_config::{Options, Port};
use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;

use super::jsz::{JetStreamConfig, JetStreamLimits, JetStreamStats};
use super::omit::{is_false, is_zero};
use super::websocket::WebsocketVarz;
use super::{process, show};
use crate::client::Transport;
use crate::server::ServerState;

/// In nats-server's order.
#[derive(Debug, Serialize)]
pub(super) struct Varz {
    server_id: String,
    server_name: String,
    version: &'static str,
    proto: u32,
    go: &'static str,
    host: String,
    port: u16,
    #[serde(skip_serializing_if = "is_false")]
    auth_required: bool,
    #[serde(skip_serializing_if = "is_false")]
    tls_required: bool,
    #[serde(skip_serializing_if = "is_false")]
    tls_verify: bool,
    /// -1 if none is allowed (observed nats-server 2.15.1).
    max_connections: i64,
    #[serde(skip_serializing_if = "is_zero")]
    max_subscriptions: u64,
    ping_interval: u64,
    ping_max: u32,
    http_host: String,
    http_port: i32,
    http_base_path: String,
    https_port: i32,
    #[serde(serialize_with = "show::float")]
    auth_timeout: f64,
    max_control_line: usize,
    max_payload: usize,
    max_pending: usize,
    cluster: ClusterVarz,
    gateway: Unused,
    leaf: LeafVarz,
    mqtt: Unused,
    websocket: WebsocketVarz,
    jetstream: JetStreamVarz,
    #[serde(serialize_with = "show::float")]
    tls_timeout: f64,
    write_deadline: u64,
    start: Timestamp,
    now: Timestamp,
    uptime: String,
    mem: u64,
    cores: usize,
    gomaxprocs: usize,
    #[serde(serialize_with = "show::float")]
    cpu: f64,
    connections: usize,
    total_connections: u64,
    routes: u32,
    remotes: u32,
    leafnodes: u32,
    in_msgs: u64,
    in_bytes: u64,
    in_client_msgs: u64,
    in_client_bytes: u64,
    out_msgs: u64,
    out_bytes: u64,
    out_client_msgs: u64,
    out_client_bytes: u64,
    slow_consumers: u64,
    stale_connections: u64,
    stalled_clients: u64,
    subscriptions: usize,
    http_req_stats: BTreeMap<&'static str, u64>,
    config_load_time: Timestamp,
    config_digest: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tags: Vec<String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    metadata: BTreeMap<String, String>,
    /// All flags of nats-server 2.15.1; what can not be set here is what it is there by default.
    feature_flags: BTreeMap<&'static str, bool>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    trusted_operators_jwt: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    trusted_operators_claim: Vec<Claims<Value>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    system_account: Option<String>,
    #[serde(skip_serializing_if = "is_zero")]
    pinned_account_fails: u64,
    slow_consumer_stats: ByKind,
    stale_connection_stats: ByKind,
    disk_io_wait_stats: DiskIoWaitStats,
    #[serde(skip_serializing_if = "Option::is_none")]
    proxies: Option<Proxies>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tls_cert_not_after: Option<Timestamp>,
}

#[derive(Debug, Serialize)]
struct Proxies {
    trusted: Vec<Proxy>,
}

#[derive(Debug, Serialize)]
struct Proxy {
    key: String,
}

impl Proxies {
    /// `None` if none is trusted.
    fn of(keys: &[String]) -> Option<Self> {
        let trusted = keys.iter().map(|key| Proxy { key: key.clone() });
        (!keys.is_empty()).then(|| Self {
            trusted: trusted.collect(),
        })
    }
}

/// The block of a feature that is not in use.
#[derive(Debug, Default, Serialize)]
struct Unused {}

/// The cluster that this server is alone in; empty without one.
#[derive(Debug, Default, Serialize)]
struct ClusterVarz {
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    #[serde(rename = "addr", skip_serializing_if = "Option::is_none")]
    host: Option<String>,
    #[serde(rename = "cluster_port", skip_serializing_if = "Option::is_none")]
    port: Option<u16>,
}

impl ClusterVarz {
    fn of(server: &ServerState) -> Self {
        let options = server.options();
        Self {
            name: options.cluster_name.clone(),
            host: options.routes.as_ref().map(|routes| routes.host.clone()),
            port: server.route_address().map(|address| address.port()),
        }
    }
}

/// The listener that refuses leaf nodes; empty without one.
#[derive(Debug, Default, Serialize)]
struct LeafVarz {
    #[serde(skip_serializing_if = "Option::is_none")]
    host: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    port: Option<u16>,
}

impl LeafVarz {
    fn of(server: &ServerState) -> Self {
        let options = server.options();
        Self {
            host: options.leafnodes.as_ref().map(|leaf| leaf.host.clone()),
            port: server.leafnode_address().map(|address| address.port()),
        }
    }
}

/// JetStream in short.
#[derive(Debug, Default, Serialize)]
pub(crate) struct JetStreamVarz {
    #[serde(skip_serializing_if = "Option::is_none")]
    config: Option<JetStreamConfig>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stats: Option<JetStreamStats>,
    #[serde(skip_serializing_if = "Option::is_none")]
    limits: Option<JetStreamLimits>,
}

/// A count by the kind of connection.
#[derive(Debug, Default, Serialize)]
pub(crate) struct ByKind {
    clients: u64,
    routes: u64,
    gateways: u64,
    leafs: u64,
}

/// Waits for leave to use the disk: nothing waits here, since each shard has one writer of its own.
#[derive(Debug, Default, Serialize)]
struct DiskIoWaitStats {
    waiters: u64,
    waits: u64,
    wait_time: u64,
    max_wait_time: u64,
}

impl ByKind {
    /// All are clients.
    pub(crate) fn clients(count: &AtomicU64) -> Self {
        Self {
            clients: count.load(Relaxed),
            ..Self::default()
        }
    }

    pub(crate) fn is_zero(&self) -> bool {
        self.clients == 0
    }
}

pub(super) fn gather(server: &ServerState) -> Varz {
    let options = server.options();
    let (host, port) = server.advertised();
    let now = Timestamp::now();
    let start = server.monitoring.started;
    let counters = &server.counters;
    let clients = server.clients();
    let (mut out_msgs, mut out_bytes) = (
        counters.closed_out_messages.load(Relaxed),
        counters.closed_out_bytes.load(Relaxed),
    );
    for client in &clients {
        let counted = client.outbound.counted();
        out_msgs += counted.messages;
        out_bytes += counted.bytes;
    }
    let (in_msgs, in_bytes) = (
        counters.in_messages.load(Relaxed),
        counters.in_bytes.load(Relaxed),
    );
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    Varz {
        server_id: server.id().to_owned(),
        server_name: server.name().to_owned(),
        version: crate::VERSION,
        proto: 1,
        go: concat!("rust, jetsled ", env!("CARGO_PKG_VERSION")),
        host,
        port,
        auth_required: server.requires_login(Transport::Tcp),
        tls_required: options.tls.is_some() && !options.allow_non_tls,
        tls_verify: options.tls.as_ref().is_some_and(|tls| tls.verify),
        max_connections: match options.max_connections {
            None | Some(0) => -1,
            Some(max) => i64::try_from(max).unwrap_or(i64::MAX),
        },
        max_subscriptions: options.max_subscriptions.map_or(0, |max| max as u64),
        ping_interval: nanos(options.ping_interval),
        ping_max: options.ping_max,
        http_host: options
            .monitor
            .host
            .as_ref()
            .unwrap_or(&options.host)
            .clone(),
        http_port: configured(options.monitor.http_port),
        http_base_path: options.monitor.base_path.clone(),
        https_port: configured(options.monitor.https_port),
        auth_timeout: options.auth_timeout().as_secs_f64(),
        max_control_line: options.max_control_line,
        max_payload: options.max_payload,
        max_pending: options.max_pending,
        cluster: ClusterVarz::of(server),
        gateway: Unused {},
        leaf: LeafVarz::of(server),
        mqtt: Unused {},
        websocket: WebsocketVarz::of(server).unwrap_or_default(),
        jetstream: JetStreamVarz::of(server).unwrap_or_default(),
        tls_timeout: options
            .tls
            .as_ref()
            .map_or(2.0, |tls| tls.timeout.as_secs_f64()),
        write_deadline: nanos(options.write_deadline),
        start,
        now,
        uptime: show::uptime(show::between(start, now)),
        mem: process::resident_bytes(),
        cores,
        gomaxprocs: cores,
        cpu: server.monitoring.cpu_percent(),
        connections: clients.len(),
        total_connections: counters.total_connections.load(Relaxed),
        routes: 0,
        remotes: 0,
        leafnodes: 0,
        in_msgs,
        in_bytes,
        in_client_msgs: in_msgs,
        in_client_bytes: in_bytes,
        out_msgs,
        out_bytes,
        out_client_msgs: out_msgs,
        out_client_bytes: out_bytes,
        slow_consumers: counters.slow_consumers.load(Relaxed),
        stale_connections: counters.stale_connections.load(Relaxed),
        stalled_clients: counters.stalled_clients.load(Relaxed),
        subscriptions: server
            .accounts()
            .iter()
            .map(|account| account.target_count())
            .sum(),
        http_req_stats: server.monitoring.requests(),
        config_load_time: start,
        config_digest: options.config_digest.clone().unwrap_or_default(),
        tags: options.server_tags.clone(),
        metadata: options.server_metadata.clone(),
        feature_flags: feature_flags(&options),
        trusted_operators_jwt: options.operator.operator_tokens.clone(),
        trusted_operators_claim: options
            .operator
            .operator_tokens
            .iter()
            .filter_map(|token| decode_generic(token).ok())
            .collect(),
        system_account: server.system().map(|account| account.name().to_owned()),
        pinned_account_fails: counters.pinned_account_refusals.load(Relaxed),
        slow_consumer_stats: ByKind::clients(&counters.slow_consumers),
        stale_connection_stats: ByKind::clients(&counters.stale_connections),
        disk_io_wait_stats: DiskIoWaitStats::default(),
        proxies: Proxies::of(&options.trusted_proxies),
        tls_cert_not_after: server.certificate_end(),
    }
}

/// All flags, with what they are.
pub(crate) fn feature_flags(options: &Options) -> BTreeMap<&'static str, bool> {
    BTreeMap::from([
        ("js_ack_fc_v2", options.jetstream.ack_fc_v2),
        ("js_api_reply_v2", false),
        ("js_raft_delete_range", true),
        ("js_snapshot_sources", false),
    ])
}

impl JetStreamVarz {
    /// `None` without JetStream.
    pub(crate) fn of(server: &ServerState) -> Option<Self> {
        let options = server.options();
        let jetstream = server.jetstream()?;
        Some(Self {
            config: Some(JetStreamConfig::of(jetstream, &options)),
            stats: Some(JetStreamStats::of(server)),
            limits: Some(JetStreamLimits::of(jetstream, &options)),
        })
    }

    /// As it is told to others.
    pub(crate) fn without_store_dir(mut self) -> Self {
        if let Some(config) = &mut self.config {
            config.store_dir.clear();
        }
        self
    }
}

fn configured(port: Option<Port>) -> i32 {
    port.map_or(0, Port::to_config)
}

fn nanos(time: std::time::Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}
