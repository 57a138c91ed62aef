//! Options of nats-server that this server does not have. They are refused by name at start: a setting is never parsed
//! and ignored.

use jetsled_protocol::GoQuoted;

use crate::{
    ConfigError,
    language::{Kind, Value},
};

/// Where an option stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Block {
    TopLevel,
    Authorization,
    AuthCallout,
    Proxies,
    Resolver,
    ResolverTls,
    User,
    Account,
    AccountJetStream,
    Export,
    Import,
    AccountLimits,
    JetStream,
    JetStreamLimits,
    JetStreamBatchLimits,
    Tls,
    Permissions,
    Websocket,
    WebsocketAuthorization,
    Monitoring,
    Leafnodes,
    Cluster,
}

/// What is wrong with a field that its block does not read; nothing if it is only a variable, or switched off.
pub(crate) fn refusal(block: Block, key: &str, value: &Value) -> Option<ConfigError> {
    let name = key.to_lowercase();
    match UNSUPPORTED
        .iter()
        .find(|entry| entry.block == block && entry.names.contains(&name.as_str()))
    {
        Some(_) if is_off(&value.kind) => None,
        Some(entry) => {
            Some(value.error(format!("field {key:?} is not supported: {}", entry.reason)))
        }
        None if value.used_as_variable => None,
        None => Some(value.error(unknown_field_text(block, key))),
    }
}

/// Why a flag is refused, if it is one that nats-server has and this server has not.
pub(crate) fn flag_refusal(flag: &str) -> Option<&'static str> {
    UNSUPPORTED_FLAGS
        .iter()
        .find(|(names, _)| names.contains(&flag))
        .map(|(_, reason)| *reason)
}

/// A value that says what holds without the option anyway.
fn is_off(kind: &Kind) -> bool {
    match kind {
        Kind::Bool(flag) => !flag,
        Kind::Integer(number) => *number == 0,
        Kind::String(text) => text.is_empty(),
        Kind::Array(values) => values.is_empty(),
        Kind::Map(map) => map.is_empty(),
        Kind::Float(_) | Kind::Datetime(_) => false,
    }
}

fn unknown_field_text(block: Block, key: &str) -> String {
    let key = GoQuoted(key.as_bytes());
    match block {
        Block::Tls => format!("error parsing tls config, unknown field {key}"),
        Block::AccountLimits => format!("Unknown field {key} parsing account limits"),
        Block::Permissions => format!("Unknown field {key} parsing permissions"),
        Block::AuthCallout => format!("Unknown field {key} parsing authorization callout"),
        _ => format!("unknown field {key}"),
    }
}

struct Unsupported {
    block: Block,
    names: &'static [&'static str],
    reason: &'static str,
}

const fn refuse(block: Block, names: &'static [&'static str], reason: &'static str) -> Unsupported {
    Unsupported {
        block,
        names,
        reason,
    }
}

const CLUSTERING: &str = "this server runs alone; clustering comes with a later version";
const SYSLOG: &str = "log to a file or to standard error, which journald and containers collect";
const PROFILING: &str = "there is no Go runtime to profile";
const OCSP: &str = "OCSP comes with a later version";
const CERTIFICATE_STORE: &str =
    "the Windows certificate store is not available; use cert_file and key_file";
const LEAF_NODES: &str = "leaf nodes come with a later version";
const META: &str = "it tunes the metadata group of a cluster; this server runs alone";

static UNSUPPORTED: &[Unsupported] = &[
    refuse(
        Block::Cluster,
        &[
            "routes",
            "tls",
            "cluster_advertise",
            "advertise",
            "connect_retries",
            "connect_backoff",
            "permissions",
            "pool_size",
            "accounts",
            "compression",
            "ping_interval",
            "ping_max",
            "write_deadline",
            "write_timeout",
        ],
        CLUSTERING,
    ),
    refuse(
        Block::TopLevel,
        &["gateway"],
        "gateways come with a later version",
    ),
    refuse(
        Block::Leafnodes,
        &[
            "remotes",
            "authorization",
            "tls",
            "advertise",
            "leafnode_advertise",
            "no_advertise",
            "compression",
            "min_version",
            "minimum_version",
            "isolate_leafnode_interest",
            "isolate",
            "reconnect",
            "reconnect_delay",
            "reconnect_interval",
            "dial_timeout",
            "write_deadline",
            "write_timeout",
        ],
        LEAF_NODES,
    ),
    refuse(
        Block::TopLevel,
        &["mqtt"],
        "MQTT comes with a later version",
    ),
    refuse(
        Block::TopLevel,
        &["proxy_protocol"],
        "the PROXY protocol comes with a later version",
    ),
    refuse(Block::TopLevel, &["ocsp", "ocsp_cache"], OCSP),
    refuse(Block::TopLevel, &["syslog", "remote_syslog"], SYSLOG),
    refuse(
        Block::TopLevel,
        &["prof_port", "prof_block_rate"],
        PROFILING,
    ),
    refuse(
        Block::TopLevel,
        &["default_js_domain"],
        "it belongs to JetStream over leaf nodes, which come with a later version",
    ),
    refuse(
        Block::TopLevel,
        &["write_timeout"],
        "a client past its write deadline is closed, which is what the values default and close say",
    ),
    refuse(Block::AccountJetStream, &["cluster_traffic"], CLUSTERING),
    refuse(
        Block::JetStream,
        &["tpm"],
        "keys of the store do not come from a TPM; give it as encryption_key, from a variable",
    ),
    refuse(
        Block::JetStream,
        &["extension_hint"],
        "JetStream over leaf nodes comes with a later version",
    ),
    refuse(
        Block::JetStream,
        &["max_outstanding_catchup"],
        "it tunes replication; this server runs alone",
    ),
    refuse(
        Block::JetStream,
        &["meta_compact", "meta_compact_size", "meta_compact_sync"],
        META,
    ),
    refuse(
        Block::JetStream,
        &["max_concurrent_io"],
        "it bounds blocking calls of nats-server's file store; this store has one writer a shard",
    ),
    refuse(
        Block::Tls,
        &["verify_cert_and_check_known_urls"],
        CLUSTERING,
    ),
    refuse(
        Block::Tls,
        &["insecure"],
        "it is about outgoing connections, which a client listener has not",
    ),
    refuse(
        Block::Tls,
        &["certs", "certificates"],
        "several certificates (SNI) come with a later version",
    ),
    refuse(
        Block::Tls,
        &["connection_rate_limit"],
        "limiting the rate of handshakes comes with a later version",
    ),
    refuse(Block::Tls, &["ocsp_peer"], OCSP),
    refuse(
        Block::ResolverTls,
        &[
            "cert_file",
            "key_file",
            "verify",
            "insecure",
            "timeout",
            "cipher_suites",
            "curve_preferences",
            "min_version",
        ],
        "a resolver's server is verified against ca_file or the system's roots, and asks for no certificate",
    ),
    refuse(
        Block::Tls,
        &[
            "cert_store",
            "cert_match_by",
            "cert_match",
            "ca_certs_match",
            "cert_match_skip_invalid",
        ],
        CERTIFICATE_STORE,
    ),
];

static UNSUPPORTED_FLAGS: &[(&[&str], &str)] = &[
    (&["s", "syslog", "r", "remote_syslog"], SYSLOG),
    (&["profile"], PROFILING),
    (
        &[
            "routes",
            "cluster",
            "cluster_listen",
            "cluster_advertise",
            "no_advertise",
            "connect_retries",
        ],
        CLUSTERING,
    ),
];
