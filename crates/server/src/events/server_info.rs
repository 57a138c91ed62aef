//! How the server describes itself in every event and answer.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering::Relaxed;

use jiff::Timestamp;
use serde::Serialize;

use crate::monitor::feature_flags;
use crate::server::ServerState;

/// It has JetStream, snapshots streams in binary form, and lets accounts have replication traffic of their own: what
/// nats-server 2.15.1 says where JetStream is on.
const HAS_JETSTREAM: u64 = 1 | 2 | 4;

#[derive(Serialize)]
struct ServerInfo<'a> {
    name: &'a str,
    host: &'a str,
    id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    domain: Option<&'a str>,
    ver: &'static str,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    tags: &'a [String],
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    metadata: &'a BTreeMap<String, String>,
    feature_flags: BTreeMap<&'static str, bool>,
    jetstream: bool,
    flags: u64,
    /// Counts what the server sends.
    seq: u64,
    time: Timestamp,
}

/// An object with the server's description first and the members of `rest`, an object, behind it.
pub(crate) fn described(server: &ServerState, rest: &impl Serialize) -> Vec<u8> {
    let mut body = b"{\"server\":".to_vec();
    body.extend_from_slice(&json(server));
    let rest = serde_json::to_vec(rest).unwrap_or_default();
    if rest.len() > 2 {
        body.push(b',');
    }
    body.extend_from_slice(rest.get(1..).unwrap_or(b"}"));
    body
}

/// The server's description as JSON, with the next number.
pub(super) fn json(server: &ServerState) -> Vec<u8> {
    let options = server.options();
    let has_jetstream = server.jetstream().is_some();
    let info = ServerInfo {
        name: server.name(),
        host: &options.host,
        id: server.id(),
        domain: options.jetstream.domain.as_deref(),
        ver: crate::VERSION,
        tags: &options.server_tags,
        metadata: &options.server_metadata,
        feature_flags: feature_flags(&options),
        jetstream: has_jetstream,
        flags: if has_jetstream { HAS_JETSTREAM } else { 0 },
        seq: server.counters.system_messages.fetch_add(1, Relaxed) + 1,
        time: Timestamp::now(),
    };
    serde_json::to_vec(&info).unwrap_or_default()
}
