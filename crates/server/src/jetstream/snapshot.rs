//! What monitoring shows of JetStream.

use std::sync::atomic::Ordering::Relaxed;

use jetsled_jetstream_api::{SourceInfo, StorageType, StreamConfig, StreamState, Timestamp};
use jetsled_store::DeletedDetails;
use serde::Serialize;
use serde_json::Value;

use super::account::{AccountJetStream, StreamHandle};
use super::start::JetStream;
use super::stream::RunningStream;
use crate::routing::FlushSet;

/// What an account's JetStream takes.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct AccountUse {
    /// Bytes of memory streams.
    pub(crate) memory: u64,
    /// Bytes of file streams.
    pub(crate) storage: u64,
    /// The sum of `max_bytes` of memory streams.
    pub(crate) reserved_memory: u64,
    /// The sum of `max_bytes` of file streams.
    pub(crate) reserved_storage: u64,
    /// The account's limit on memory.
    pub(crate) memory_limit: Option<u64>,
    /// The account's limit on storage.
    pub(crate) storage_limit: Option<u64>,
    pub(crate) streams: usize,
    pub(crate) consumers: usize,
    pub(crate) messages: u64,
    pub(crate) api_total: u64,
    pub(crate) api_errors: u64,
}

/// What is wanted of each stream.
#[derive(Clone, Copy, Debug)]
pub(crate) struct WantedDetail {
    /// Configurations of streams and consumers.
    pub(crate) config: bool,
    /// Consumers that clients have made.
    pub(crate) consumers: bool,
    /// Consumers of the server itself, for sources and mirrors.
    pub(crate) direct_consumers: bool,
}

/// One stream in `/jsz`.
#[derive(Debug, Serialize)]
pub(crate) struct StreamDetail {
    name: String,
    created: Timestamp,
    cluster: Leader,
    #[serde(skip_serializing_if = "Option::is_none")]
    config: Option<StreamConfig>,
    state: StreamState,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    consumer_detail: Vec<Value>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    direct_consumer_detail: Vec<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    mirror: Option<SourceInfo>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    sources: Vec<SourceInfo>,
}

#[derive(Debug, Serialize)]
struct Leader {
    leader: String,
}

impl JetStream {
    /// Bytes that memory streams and file streams may take.
    pub(crate) fn limits(&self) -> (u64, u64) {
        (
            self.runtime().meters.memory.limit().unwrap_or(u64::MAX),
            self.runtime().meters.file.limit().unwrap_or(u64::MAX),
        )
    }

    /// `max_consumers` of streams that do not say.
    pub(crate) fn default_max_consumers(&self) -> u64 {
        u64::try_from(self.runtime().limits.default_max_consumers).unwrap_or(0)
    }

    /// Whether a part of the store refuses writes after one failed.
    pub(crate) fn is_fenced(&self) -> bool {
        self.runtime()
            .shards
            .iter()
            .any(|shard| shard.lock().store.is_fenced())
    }
}

impl AccountJetStream {
    /// What the account's streams and consumers take now.
    pub(crate) fn used(&self) -> AccountUse {
        let mut used = AccountUse {
            memory_limit: u64::try_from(self.account_limits().max_memory).ok(),
            storage_limit: u64::try_from(self.account_limits().max_storage).ok(),
            api_total: self.api_total.load(Relaxed),
            api_errors: self.api_errors.load(Relaxed),
            ..AccountUse::default()
        };
        for handle in self.streams() {
            let Some(shard) = self.shard(handle.target.shard) else {
                continue;
            };
            let state = shard.lock();
            let Some(stream) = state.store.stream(handle.target.stream) else {
                continue;
            };
            let reserved = u64::try_from(handle.config.max_bytes).unwrap_or(0);
            match handle.config.storage {
                StorageType::Memory => {
                    used.memory += stream.bytes();
                    used.reserved_memory += reserved;
                }
                StorageType::File => {
                    used.storage += stream.bytes();
                    used.reserved_storage += reserved;
                }
            }
            used.messages += stream.messages();
            used.streams += 1;
            used.consumers += state
                .streams
                .get(&handle.target.stream)
                .map_or(0, RunningStream::public_consumers);
        }
        used
    }

    /// The consumers of a stream; `None` if there is no such stream.
    pub(crate) fn consumer_names(&self, stream: &str) -> Option<Vec<String>> {
        let mut flush = FlushSet::new();
        let names = self.with_stream(stream, &mut flush, |access, _| access.consumer_names());
        flush.flush();
        names
    }

    /// All streams in detail, by name; `leader` is this server.
    pub(crate) fn stream_details(&self, wanted: WantedDetail, leader: &str) -> Vec<StreamDetail> {
        let mut flush = FlushSet::new();
        let details = self
            .streams()
            .iter()
            .filter_map(|handle| self.stream_detail(handle, wanted, leader, &mut flush))
            .collect();
        flush.flush();
        details
    }

    fn stream_detail(
        &self,
        handle: &StreamHandle,
        wanted: WantedDetail,
        leader: &str,
        flush: &mut FlushSet,
    ) -> Option<StreamDetail> {
        self.with_stream(&handle.config.name, flush, |access, flush| {
            let id = access.id();
            let mut state = access.store().state(id, DeletedDetails::Count).ok()?;
            state.consumer_count = access.consumer_count() as u64;
            let names: Vec<(String, bool)> = access
                .consumers()
                .map(|consumer| (consumer.name().to_owned(), !consumer.serves.is_public()))
                .collect();
            let mut infos = |direct: bool| -> Vec<Value> {
                let mut names: Vec<_> = names.iter().filter(|(_, d)| *d == direct).collect();
                names.sort_unstable();
                names
                    .into_iter()
                    .filter_map(|(name, _)| {
                        let mut info =
                            serde_json::to_value(access.consumer_info(name, flush)?).ok()?;
                        if !wanted.config {
                            info.as_object_mut()?.remove("config");
                        }
                        Some(info)
                    })
                    .collect()
            };
            let (consumer_detail, direct_consumer_detail) = (
                if wanted.consumers {
                    infos(false)
                } else {
                    Vec::new()
                },
                if wanted.direct_consumers {
                    infos(true)
                } else {
                    Vec::new()
                },
            );
            let (mirror, sources) = access.origins();
            Some(StreamDetail {
                name: handle.config.name.clone(),
                created: handle.created,
                cluster: Leader {
                    leader: leader.to_owned(),
                },
                config: wanted.config.then(|| (*handle.config).clone()),
                consumer_detail,
                direct_consumer_detail,
                mirror,
                sources,
                state,
            })
        })
        .flatten()
    }
}
