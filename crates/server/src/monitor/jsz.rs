//! `/jsz`: JetStream.

use jetsled_config::{Options, SyncPolicy};
use jiff::Timestamp;
use serde::Serialize;

use super::omit::{is_false, is_zero};
use super::query::{BadRequest, Query};
use crate::info::API_LEVEL;
use crate::jetstream::{AccountUse, JetStream, StreamDetail, WantedDetail};
use crate::server::ServerState;

#[derive(Debug, Serialize)]
pub(super) struct Jsz {
    #[serde(flatten)]
    stats: JetStreamStats,
    server_id: String,
    now: Timestamp,
    #[serde(skip_serializing_if = "is_false")]
    disabled: bool,
    config: JetStreamConfig,
    #[serde(skip_serializing_if = "Option::is_none")]
    limits: Option<JetStreamLimits>,
    streams: usize,
    /// Those that this server leads: all.
    #[serde(skip_serializing_if = "is_zero")]
    streams_leader: u64,
    consumers: usize,
    #[serde(skip_serializing_if = "is_zero")]
    consumers_leader: u64,
    messages: u64,
    bytes: u64,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    account_details: Vec<AccountDetail>,
    total: usize,
}

/// What JetStream takes, of the server or of an account.
#[derive(Debug, Default, Serialize)]
pub(super) struct JetStreamStats {
    memory: u64,
    storage: u64,
    reserved_memory: u64,
    reserved_storage: u64,
    accounts: usize,
    ha_assets: usize,
    api: ApiStats,
}

#[derive(Debug, Default, Serialize)]
struct ApiStats {
    level: u32,
    total: u64,
    errors: u64,
}

/// How JetStream is configured.
#[derive(Debug, Default, Serialize)]
pub(super) struct JetStreamConfig {
    max_memory: u64,
    max_storage: u64,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(super) store_dir: String,
    /// Nanoseconds.
    #[serde(skip_serializing_if = "is_zero")]
    sync_interval: u64,
    #[serde(skip_serializing_if = "is_false")]
    sync_always: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    domain: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    unique_tag: Option<String>,
    #[serde(skip_serializing_if = "is_false")]
    strict: bool,
}

/// The server's limits on what API requests may ask for.
#[derive(Debug, Default, Serialize)]
pub(super) struct JetStreamLimits {
    #[serde(skip_serializing_if = "is_zero")]
    max_request_batch: u64,
    #[serde(skip_serializing_if = "is_zero")]
    max_ack_pending: u64,
    #[serde(skip_serializing_if = "is_zero")]
    max_ha_assets: u64,
    /// Nanoseconds.
    #[serde(skip_serializing_if = "is_zero")]
    max_duplicate_window: u64,
    #[serde(skip_serializing_if = "is_zero")]
    max_batch_inflight_per_stream: u64,
    #[serde(skip_serializing_if = "is_zero")]
    max_batch_inflight_total: u64,
    #[serde(skip_serializing_if = "is_zero")]
    max_batch_size: u64,
    /// Nanoseconds.
    #[serde(skip_serializing_if = "is_zero")]
    max_batch_timeout: u64,
    #[serde(skip_serializing_if = "is_zero")]
    default_max_consumers: u64,
}

#[derive(Debug, Serialize)]
pub(super) struct AccountDetail {
    name: String,
    id: String,
    #[serde(flatten)]
    stats: JetStreamStats,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    stream_detail: Vec<StreamDetail>,
}

pub(super) fn gather(server: &ServerState, query: &Query) -> Result<Jsz, BadRequest> {
    let consumers = query.flag("consumers")?;
    let direct_consumers = query.flag("direct-consumers")?;
    let streams = query.flag("streams")? || consumers || direct_consumers;
    let wanted = WantedDetail {
        config: query.flag("config")?,
        consumers,
        direct_consumers,
    };
    let wanted_account = query.text("acc");
    let with_accounts = query.flag("accounts")? || streams || !wanted_account.is_empty();
    // A server alone has no Raft groups and leads everything.
    let raft = query.flag("raft")?;
    let _ = (
        query.flag("leader-only")?,
        query.flag("stream-leader-only")?,
    );
    let page = query.page()?;

    let options = server.options();
    let jetstream = server.jetstream();
    let uses = account_uses(server);
    let streams_count = uses.iter().map(|(_, used)| used.streams).sum();
    let consumers_count = uses.iter().map(|(_, used)| used.consumers).sum();
    let led = |count: usize| if raft { count as u64 } else { 0 };
    let mut jsz = Jsz {
        stats: JetStreamStats::sum(&uses, jetstream.map_or(0, |_| API_LEVEL)),
        server_id: server.id().to_owned(),
        now: Timestamp::now(),
        disabled: jetstream.is_none(),
        config: jetstream.map_or_else(JetStreamConfig::default, |js| {
            JetStreamConfig::of(js, &options)
        }),
        limits: jetstream.map(|js| JetStreamLimits::of(js, &options)),
        streams: streams_count,
        streams_leader: led(streams_count),
        consumers: consumers_count,
        consumers_leader: led(consumers_count),
        messages: uses.iter().map(|(_, used)| used.messages).sum(),
        bytes: uses
            .iter()
            .map(|(_, used)| used.memory + used.storage)
            .sum(),
        account_details: Vec::new(),
        total: uses.len(),
    };
    if with_accounts {
        let matching = uses
            .into_iter()
            .filter(|(name, _)| wanted_account.is_empty() || name == wanted_account)
            .collect();
        jsz.account_details = page
            .of(matching)
            .into_iter()
            .map(|(name, used)| AccountDetail {
                stream_detail: if streams {
                    stream_details(server, &name, wanted)
                } else {
                    Vec::new()
                },
                stats: JetStreamStats::of_account(&used),
                name: server.name_tag(&name),
                id: name,
            })
            .collect();
    }
    Ok(jsz)
}

/// One account's part; `None` if it has no JetStream.
pub(super) fn account(
    server: &ServerState,
    name: &str,
    query: &Query,
) -> Result<Option<AccountDetail>, BadRequest> {
    let mut jsz = gather(server, query)?;
    let at = jsz
        .account_details
        .iter()
        .position(|detail| detail.id == name);
    Ok(at.map(|at| jsz.account_details.swap_remove(at)))
}

/// What each account with JetStream takes, by name.
pub(super) fn account_uses(server: &ServerState) -> Vec<(String, AccountUse)> {
    let mut uses: Vec<_> = server
        .accounts()
        .iter()
        .filter_map(|account| Some((account.name().to_owned(), account.jetstream()?.used())))
        .collect();
    uses.sort_by(|(a, _), (b, _)| a.cmp(b));
    uses
}

fn stream_details(server: &ServerState, account: &str, wanted: WantedDetail) -> Vec<StreamDetail> {
    let account = server.account(account);
    account
        .and_then(|account| Some(account.jetstream()?.stream_details(wanted, server.name())))
        .unwrap_or_default()
}

impl JetStreamStats {
    /// Of the whole server.
    pub(super) fn of(server: &ServerState) -> Self {
        Self::sum(&account_uses(server), API_LEVEL)
    }

    /// Of the accounts together; `level` is 0 without JetStream.
    fn sum(uses: &[(String, AccountUse)], level: u32) -> Self {
        let mut stats = Self {
            accounts: uses.len(),
            ..Self::default()
        };
        stats.api.level = level;
        for (_, used) in uses {
            stats.memory += used.memory;
            stats.storage += used.storage;
            stats.reserved_memory += used.reserved_memory;
            stats.reserved_storage += used.reserved_storage;
            stats.api.total += used.api_total;
            stats.api.errors += used.api_errors;
        }
        stats
    }

    fn of_account(used: &AccountUse) -> Self {
        // An account without a limit has reserved everything (observed nats-server 2.15.1).
        let reserved = |limit: Option<u64>| limit.unwrap_or(u64::MAX);
        Self {
            memory: used.memory,
            storage: used.storage,
            reserved_memory: reserved(used.memory_limit),
            reserved_storage: reserved(used.storage_limit),
            accounts: 0,
            ha_assets: 0,
            api: ApiStats {
                level: 0,
                total: used.api_total,
                errors: used.api_errors,
            },
        }
    }
}

impl JetStreamConfig {
    pub(super) fn of(jetstream: &JetStream, options: &Options) -> Self {
        let configured = &options.jetstream;
        let (max_memory, max_storage) = jetstream.limits();
        let (sync_interval, sync_always) = match configured.sync {
            SyncPolicy::BeforeAck => (0, true),
            SyncPolicy::Every(time) => (nanos(Some(time)), false),
        };
        Self {
            max_memory,
            max_storage,
            store_dir: jetstream.store_dir().display().to_string(),
            sync_interval,
            sync_always,
            domain: configured.domain.clone(),
            unique_tag: configured.unique_tag.clone(),
            strict: configured.strict,
        }
    }
}

impl JetStreamLimits {
    pub(super) fn of(jetstream: &JetStream, options: &Options) -> Self {
        let limits = &options.jetstream.limits;
        Self {
            max_request_batch: limits.max_request_batch.unwrap_or(0),
            max_ack_pending: limits.max_ack_pending.unwrap_or(0),
            max_ha_assets: limits.max_ha_assets.unwrap_or(0),
            max_duplicate_window: nanos(limits.max_duplicate_window),
            max_batch_inflight_per_stream: limits.max_batch_inflight_per_stream.unwrap_or(0),
            max_batch_inflight_total: limits.max_batch_inflight_total.unwrap_or(0),
            max_batch_size: limits.max_batch_size.unwrap_or(0),
            max_batch_timeout: nanos(limits.max_batch_timeout),
            default_max_consumers: jetstream.default_max_consumers(),
        }
    }
}

fn nanos(time: Option<std::time::Duration>) -> u64 {
    time.map_or(0, |time| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX))
}
