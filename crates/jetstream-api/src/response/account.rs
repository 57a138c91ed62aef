use std::collections::BTreeMap;

use serde::Serialize;

use crate::AccountLimits;
use crate::omit::{is_false, is_zero_u64};
use crate::response::response_types;

/// `INFO`: what an account uses and may use.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct AccountInfo {
    /// The account's use, or the sum of its tiers'.
    #[serde(flatten)]
    pub usage: AccountUsage,
    /// The JetStream domain.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub domain: String,
    /// How the API was used.
    pub api: ApiStats,
    /// The use by replica count, if limits are set so.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub tiers: BTreeMap<String, AccountUsage>,
}

/// What an account or one of its tiers uses and may use.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct AccountUsage {
    /// Bytes in memory storage.
    pub memory: u64,
    /// Bytes in file storage.
    pub storage: u64,
    /// The sum of `max_bytes` of memory streams.
    pub reserved_memory: u64,
    /// The sum of `max_bytes` of file streams.
    pub reserved_storage: u64,
    /// Streams.
    pub streams: u64,
    /// Consumers, without the server's own.
    pub consumers: u64,
    /// What it may use.
    pub limits: AccountLimits,
}

/// How an account used the API since the server started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ApiStats {
    /// The server's API level.
    pub level: u32,
    /// Replies.
    pub total: u64,
    /// Error replies.
    pub errors: u64,
    /// Requests that wait.
    #[serde(skip_serializing_if = "is_zero_u64")]
    pub inflight: u64,
}

/// The reply of `INFO`; nothing on an error.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct AccountInfoReply {
    /// The account.
    #[serde(flatten)]
    pub info: Option<AccountInfo>,
}

/// The reply of `ACCOUNT.PURGE` in the system account.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct AccountPurge {
    /// Whether the account's streams are gone.
    #[serde(skip_serializing_if = "is_false")]
    pub initiated: bool,
}

/// The reply to what is no endpoint, in the system account (observed nats-server 2.15.1). It is always an error.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct System {}

response_types! {
    AccountInfoReply = "account_info_response",
    System = "system_response",
    AccountPurge = "account_purge_response",
}
