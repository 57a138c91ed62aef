//! What metrics and the dashboard show of JetStream.

use std::sync::Arc;

use jetsled_jetstream_api::{
    ConsumerInfo, RetentionPolicy, SourceInfo, StorageType, StreamConfig, StreamSeq, StreamState,
};
use jetsled_protocol::SubjectFilter;
use jetsled_store::{CatalogState, DeletedDetails, OpenReport, StoredMessage, Stream};
use serde::{Serialize, Serializer};

use super::account::{AccountJetStream, StreamHandle};
use super::latency::Latencies;
use super::start::JetStream;
use super::stream::RunningStream;
use crate::routing::FlushSet;

/// Damage that opening the store has found. It is the same until the next start.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct FoundDamage {
    /// Stretches of the log that had been durable and are no records any more.
    pub(crate) regions: u64,
    /// Their bytes.
    pub(crate) bytes: u64,
    /// Segments and catalogs that could not be used and were set aside, not deleted.
    pub(crate) quarantined_files: u64,
    /// Messages of streams whose configuration is lost: kept, not served.
    pub(crate) orphaned_messages: u64,
    /// Bytes of an unfinished write that was never acknowledged; not damage, but what a crash leaves.
    pub(crate) torn_bytes: u64,
    /// Indexes of segments that were missing or damaged.
    pub(crate) rebuilt_indexes: u64,
    /// Shards without a usable checkpoint, rebuilt from their whole log.
    pub(crate) rebuilt_shards: u64,
}

impl FoundDamage {
    pub(super) fn in_report(report: &OpenReport) -> Self {
        let catalog = matches!(report.catalog, CatalogState::SetAside { .. });
        let mut found = Self {
            quarantined_files: u64::from(catalog),
            ..Self::default()
        };
        for shard in &report.shards {
            let log = &shard.log;
            found.regions += log.damage.len() as u64;
            for damage in &log.damage {
                found.bytes += u64::from(damage.to.saturating_sub(damage.from));
            }
            found.quarantined_files += log.set_aside.len() as u64;
            found.orphaned_messages += shard.orphaned_messages;
            found.torn_bytes += log.torn_bytes;
            found.rebuilt_indexes += log.rebuilt_indexes as u64;
            // A new store has no checkpoint either.
            found.rebuilt_shards += u64::from(shard.rebuilt && log.replayed > 0);
        }
        found
    }
}

/// How the store does.
#[derive(Clone, Debug, Default)]
pub(crate) struct StoreHealth {
    pub(crate) found: FoundDamage,
    /// Messages that damage took, as far as it is known.
    pub(crate) lost_messages: u64,
    pub(crate) failed_commits: u64,
    pub(crate) shards: u64,
    /// Shards that refuse writes after one failed.
    pub(crate) fenced_shards: u64,
    pub(crate) latencies: Latencies,
}

impl JetStream {
    /// How the store does now.
    pub(crate) fn health(&self) -> StoreHealth {
        let mut health = StoreHealth {
            found: self.found(),
            ..StoreHealth::default()
        };
        for shard in &*self.runtime().shards {
            let state = shard.lock();
            let lost = state.store.streams().map(Stream::lost_messages);
            health.lost_messages += lost.sum::<u64>();
            health.failed_commits += state.failed_commits;
            health.shards += 1;
            health.fenced_shards += u64::from(state.store.is_fenced());
            health.latencies.add(&state.latencies);
        }
        health
    }
}

/// How many more streams and consumers are to be shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Room {
    pub(crate) streams: usize,
    pub(crate) consumers: usize,
}

/// How far a look goes back for a message that matches.
const MAX_STEPS_BACK: usize = 1000;

/// A stream in short.
#[derive(Debug, Serialize)]
pub(crate) struct StreamRow {
    #[serde(serialize_with = "in_short")]
    pub(crate) config: Arc<StreamConfig>,
    pub(crate) messages: u64,
    pub(crate) bytes: u64,
    pub(crate) first_seq: u64,
    pub(crate) last_seq: u64,
    pub(crate) num_subjects: u64,
    pub(crate) consumers: usize,
}

/// What a list shows of a configuration.
fn in_short<S: Serializer>(config: &Arc<StreamConfig>, serializer: S) -> Result<S::Ok, S::Error> {
    #[derive(Serialize)]
    struct Short<'a> {
        name: &'a str,
        subjects: &'a [String],
        retention: RetentionPolicy,
        storage: StorageType,
    }
    let short = Short {
        name: &config.name,
        subjects: &config.subjects,
        retention: config.retention,
        storage: config.storage,
    };
    short.serialize(serializer)
}

/// A stream with its consumers.
pub(crate) struct ObservedStream {
    pub(crate) config: Arc<StreamConfig>,
    pub(crate) state: StreamState,
    /// Those that clients have made, by name.
    pub(crate) consumers: Vec<ConsumerInfo>,
    pub(crate) mirror: Option<SourceInfo>,
    pub(crate) sources: Vec<SourceInfo>,
}

impl AccountJetStream {
    /// The account's streams by name, each with its consumers, as long as there is room, which they take up.
    pub(crate) fn observe(&self, room: &mut Room) -> Vec<ObservedStream> {
        let mut flush = FlushSet::new();
        let mut observed = Vec::new();
        for handle in self.streams().iter().take(room.streams) {
            observed.extend(self.observe_stream(handle, &mut room.consumers, &mut flush));
        }
        flush.flush();
        room.streams -= observed.len();
        observed
    }

    /// One stream, with this many of its consumers at most; `None` if there is no such stream.
    pub(crate) fn observe_one(&self, name: &str, mut consumers: usize) -> Option<ObservedStream> {
        let mut flush = FlushSet::new();
        let handle = self.stream(name)?;
        let observed = self.observe_stream(&handle, &mut consumers, &mut flush);
        flush.flush();
        observed
    }

    /// All streams in short, by name.
    pub(crate) fn stream_rows(&self) -> impl Iterator<Item = StreamRow> {
        self.streams().into_iter().filter_map(|handle| {
            let state = self.shard(handle.target.shard)?.lock();
            let stream = state.store.stream(handle.target.stream)?;
            let running = state.streams.get(&handle.target.stream);
            Some(StreamRow {
                messages: stream.messages(),
                bytes: stream.bytes(),
                first_seq: stream.first_seq().0,
                last_seq: stream.last_seq().0,
                num_subjects: stream.num_subjects(),
                consumers: running.map_or(0, RunningStream::public_consumers),
                config: handle.config,
            })
        })
    }

    /// Shows `look` the first durable message at or above `from` that matches, or with `back` the last one at or below it. `None` if there is
    /// none, or no such stream, or it can not be read.
    pub(crate) fn peek<R>(
        &self,
        stream: &str,
        from: StreamSeq,
        back: bool,
        filter: &SubjectFilter,
        look: impl FnOnce(&StoredMessage<'_>) -> R,
    ) -> Option<R> {
        let mut flush = FlushSet::new();
        let seen = self.with_stream(stream, &mut flush, |access, _| {
            let id = access.id();
            let durable = access.stream().visible_last_seq();
            let first = access.stream().first_seq();
            let store = access.store();
            let mut seq = if back { from.min(durable) } else { from };
            let message = if back {
                // Step by step, for as long as a look may take.
                let mut found = None;
                for _ in 0..MAX_STEPS_BACK {
                    if seq < first || seq.0 == 0 {
                        break;
                    }
                    let at = store.load(id, seq).ok()?;
                    if at.is_some_and(|message| filter.matches(message.subject)) {
                        found = Some(seq);
                        break;
                    }
                    seq = StreamSeq(seq.0 - 1);
                }
                store.load(id, found?).ok()?
            } else {
                store.load_next(id, seq, filter).ok()?
            }?;
            (message.seq <= durable).then(|| look(&message))
        });
        flush.flush();
        seen.flatten()
    }

    fn observe_stream(
        &self,
        handle: &StreamHandle,
        room: &mut usize,
        flush: &mut FlushSet,
    ) -> Option<ObservedStream> {
        self.with_stream_at(handle, flush, |access, flush| {
            let id = access.id();
            let mut state = access.store().state(id, DeletedDetails::Count).ok()?;
            state.consumer_count = access.consumer_count() as u64;
            let mut names = access.consumer_names();
            names.truncate(*room);
            let infos = names.iter().map(|name| access.consumer_info(name, flush));
            let consumers: Vec<_> = infos.flatten().collect();
            *room -= consumers.len();
            let (mirror, sources) = access.origins();
            Some(ObservedStream {
                config: Arc::clone(&handle.config),
                state,
                consumers,
                mirror,
                sources,
            })
        })
        .flatten()
    }
}
