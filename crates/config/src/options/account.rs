use std::sync::Arc;

use jetsled_auth::{Permissions, Sharing, User};
use jetsled_protocol::MappingDestination;

/// One entry of `accounts`.
#[derive(Debug, Clone, PartialEq)]
pub struct AccountOptions {
    /// The account's name; case matters.
    pub name: Arc<str>,
    /// The account's public nkey.
    pub nkey: Option<String>,
    /// Its users.
    pub users: Vec<User>,
    /// Permissions of its users without their own.
    pub default_permissions: Option<Permissions>,
    /// `None`: JetStream is off for this account.
    pub jetstream: Option<AccountJetStreamOptions>,
    /// Limits on its connections.
    pub limits: AccountLimits,
    /// Its exports and imports.
    pub sharing: Sharing,
    /// Its subject mappings; the first that matches holds.
    pub mappings: Vec<MappingOptions>,
    /// Where message traces go that a distributed trace asks for.
    pub trace: Option<TraceOptions>,
}

/// Message traces that a sampled `traceparent` header asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TraceOptions {
    /// The subject that gets them.
    pub destination: String,
    /// How many of a hundred such messages are traced, 1 to 100.
    pub sampling: u8,
}

/// One subject mapping, checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MappingOptions {
    /// With wildcards.
    pub source: String,
    /// Where to.
    pub destinations: Vec<MappingDestination>,
}

impl AccountOptions {
    /// An account without users, JetStream or limits.
    pub fn new(name: impl Into<Arc<str>>) -> Self {
        Self {
            name: name.into(),
            nkey: None,
            users: Vec::new(),
            default_permissions: None,
            jetstream: None,
            limits: AccountLimits::default(),
            sharing: Sharing::default(),
            mappings: Vec::new(),
            trace: None,
        }
    }
}

/// What one account may store. `None` is unlimited.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AccountJetStreamOptions {
    /// Bytes in memory streams.
    pub max_memory: Option<u64>,
    /// Bytes in file streams.
    pub max_store: Option<u64>,
    /// Streams.
    pub max_streams: Option<u64>,
    /// Consumers of one stream.
    pub max_consumers: Option<u64>,
    /// Unacknowledged messages of one consumer.
    pub max_ack_pending: Option<u64>,
    /// Bytes that one memory stream may reserve.
    pub memory_max_stream_bytes: Option<u64>,
    /// Bytes that one file stream may reserve.
    pub store_max_stream_bytes: Option<u64>,
    /// Streams must say how many bytes they may hold.
    pub max_bytes_required: bool,
}

/// Limits of an account's connections. `None` is the server's limit.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AccountLimits {
    /// Client connections at once.
    pub max_connections: Option<u64>,
    /// Subscriptions of one connection.
    pub max_subscriptions: Option<usize>,
    /// Bytes of one message.
    pub max_payload: Option<usize>,
    /// Leaf node connections at once.
    pub max_leafnodes: Option<u64>,
}
