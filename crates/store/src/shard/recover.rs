//! A shard after a start: the last checkpoint and the log behind it, or the whole log.

mod fuzzing;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::PathBuf;
use std::sync::Arc;

use jetsled_jetstream_api::{Nanos, StreamConfig};

use super::consumers::ConsumerEntry;
use super::{Graves, Metering, Reclaim, Shard, StoredConfig};
use crate::catalog::{Catalog, Section};
use crate::checkpoint::{LOG_KEY, SHARD_KEY};
use crate::description::shard_dir;
use crate::log::{
    AppendError, ConsumerDeleted, ConsumerKey, InterruptedErasures, Log, LogCheckpoint, LogOptions,
    LogPosition, LogReport, ReadError, Record, RecordAt, ReplayedRecord, SegmentNo, StreamDeleted,
    StreamId,
};
use crate::open::{OpenError, ShardReport};
use crate::storage::{Storage, StorageLock};
use crate::stream::{Decoder, ReplayedMessage, StreamHead, encode_bytes};
use crate::{StoreOptions, Stream};
pub use fuzzing::decode_catalog_value;

/// Where a shard lives.
#[derive(Debug, Clone)]
pub(crate) struct Seat {
    pub(crate) number: u8,
    pub(crate) dir: PathBuf,
    pub(crate) storage: Arc<dyn Storage>,
    pub(crate) log_options: LogOptions,
    pub(crate) catalog: Catalog,
    pub(crate) checkpoint_log_bytes: u64,
    /// Keeps other processes out of the store.
    pub(crate) _lock: Arc<dyn StorageLock>,
}

impl Seat {
    pub(crate) fn new(
        number: u8,
        options: &StoreOptions,
        secret: u32,
        storage: Arc<dyn Storage>,
        catalog: Catalog,
        lock: Arc<dyn StorageLock>,
    ) -> Self {
        Self {
            number,
            dir: shard_dir(&options.dir, number),
            storage,
            log_options: LogOptions {
                segment_bytes: options.segment_bytes,
                sync: options.sync,
                tail_cache_bytes: options.cache_bytes / 3,
                index_cache_bytes: options.cache_bytes - options.cache_bytes / 3,
                ..LogOptions::new(secret)
            },
            catalog,
            checkpoint_log_bytes: options.checkpoint_log_bytes,
            _lock: lock,
        }
    }
}

/// Bytes of log that a replay holds at a time.
const STEP_BYTES: u32 = 1 << 20;

/// Opens a shard.
pub(crate) fn recover(seat: Seat) -> Result<(Shard, ShardReport), OpenError> {
    let (mut checkpoint, mut unusable) = Checkpointed::load_or_reason(&seat);
    let mut marks = 0;
    let from = checkpoint.as_ref().map(|found| &found.log);
    let (mut log, mut log_report) = open_log(&seat, from, &mut marks)?;
    let mut catalog_is_newest = checkpoint.is_some() && marks == 0;
    if !catalog_is_newest && checkpoint.as_ref().is_some_and(|found| !found.fits(&log)) {
        tracing::warn!(
            shard = seat.number,
            "checkpoint is of segments that are not there, rebuilding from the log"
        );
        unusable = Some("it is of segments that are not there".to_owned());
        checkpoint = None;
        drop(log);
        let earlier = log_report;
        (log, log_report) = open_log(&seat, None, &mut marks)?;
        log_report.continue_from(earlier);
        catalog_is_newest = false;
    }
    let mut shard = Shard {
        seat,
        log,
        streams: BTreeMap::new(),
        metering: Metering::default(),
        consumers: BTreeMap::new(),
        consumers_recovered: true,
        next_stream: 1,
        next_consumer: 1,
        graves: Graves::default(),
        touched: Vec::new(),
        in_flight: Vec::new(),
        checkpoint_position: LogPosition::ZERO,
        checkpoint_appended: 0,
        catalog_is_newest,
        reclaim: Reclaim::default(),
        scheduled: Vec::new(),
        broken: None,
    };
    let plain_segments = shard.plain_segments();
    let rebuilt = checkpoint.is_none();
    let records_miss = !log_report.damage.is_empty() || !log_report.set_aside.is_empty();
    let orphaned_messages = shard.restore(checkpoint, records_miss)?;
    shard.lose_indexed(&log_report.indexed);
    Ok((
        shard,
        ShardReport {
            log: log_report,
            rebuilt,
            checkpoint_unusable: unusable,
            orphaned_messages,
            plain_segments,
        },
    ))
}

/// Opens the log and finishes what erasures a stop has interrupted. If one was torn, the log is read once more as it is then.
/// `marks`: how many checkpoints were begun behind the one given.
fn open_log(
    seat: &Seat,
    checkpoint: Option<&LogCheckpoint>,
    marks: &mut u64,
) -> Result<(Log, LogReport), OpenError> {
    *marks = 0;
    let mut open = |interrupted: &mut InterruptedErasures| {
        Log::open(
            Arc::clone(&seat.storage),
            &seat.dir,
            seat.log_options.clone(),
            checkpoint,
            &mut |replayed, _| match &replayed.record {
                Record::Erase(erase) => interrupted.note(erase),
                Record::Checkpoint => *marks += 1,
                _ => {}
            },
        )
    };
    let mut interrupted = InterruptedErasures::default();
    let opened = open(&mut interrupted)?;
    let torn = interrupted
        .run(&*seat.storage, &seat.dir, &seat.log_options)
        .map_err(|source| OpenError::Io {
            doing: "erasing deleted messages",
            path: seat.dir.clone(),
            source,
        })?;
    if torn {
        let (log, earlier) = opened;
        drop(log);
        let (log, mut report) = open(&mut InterruptedErasures::default())?;
        report.continue_from(earlier);
        return Ok((log, report));
    }
    Ok(opened)
}

/// A record that a replay holds on to while it applies it.
#[derive(Debug)]
enum Entry {
    Message(StreamId, ReplayedMessage),
    Delete(StreamId, u64),
    Purge(StreamId, u64, u64, Vec<u8>),
    StreamConfig(StreamId, Vec<u8>),
    StreamHead(StreamId, Vec<u8>),
    StreamDeleted(StreamId),
    ConsumerConfig(StreamId, ConsumerKey, Vec<u8>, Vec<u8>),
    ConsumerState(ConsumerKey, Vec<u8>),
    ConsumerDeleted(StreamId, ConsumerKey),
    ConsumerProgress(ConsumerKey, Vec<u8>),
    SourcePosition(StreamId, Vec<u8>),
}

impl Entry {
    fn of(replayed: ReplayedRecord<'_>) -> Option<Self> {
        Some(match replayed.record {
            Record::Message(message) | Record::ErasedMessage(message) => Self::Message(
                message.stream,
                ReplayedMessage {
                    erased: matches!(replayed.record, Record::ErasedMessage(_)),
                    seq: message.seq,
                    time: message.timestamp,
                    subject: message.subject.to_vec(),
                    headers: message.headers.to_vec(),
                    payload_len: message.payload.len(),
                    segment: replayed.at.segment,
                    offset: replayed.at.offset,
                },
            ),
            Record::Delete(delete) => Self::Delete(delete.stream, delete.seq),
            Record::Purge(purge) => Self::Purge(
                purge.stream,
                purge.through,
                purge.keep,
                purge.filter.to_vec(),
            ),
            Record::StreamConfig(config) => {
                Self::StreamConfig(config.stream, config.config.to_vec())
            }
            Record::StreamState(state) => Self::StreamHead(state.stream, state.state.to_vec()),
            Record::StreamDeleted(deleted) => Self::StreamDeleted(deleted.stream),
            Record::ConsumerConfig(config) => Self::ConsumerConfig(
                config.stream,
                config.consumer,
                config.name.to_vec(),
                config.config.to_vec(),
            ),
            Record::ConsumerState(state) => {
                Self::ConsumerState(state.consumer, state.state.to_vec())
            }
            Record::ConsumerDeleted(deleted) => {
                Self::ConsumerDeleted(deleted.stream, deleted.consumer)
            }
            Record::ConsumerProgress(progress) => {
                Self::ConsumerProgress(progress.consumer, progress.delta.to_vec())
            }
            Record::SourcePosition(position) => {
                Self::SourcePosition(position.stream, position.source.to_vec())
            }
            Record::BatchCommit(_) | Record::Erase(_) | Record::Checkpoint => return None,
        })
    }

    fn stream(&self) -> Option<StreamId> {
        match self {
            Self::Message(stream, _)
            | Self::Delete(stream, _)
            | Self::Purge(stream, ..)
            | Self::StreamConfig(stream, _)
            | Self::StreamHead(stream, _)
            | Self::StreamDeleted(stream)
            | Self::ConsumerConfig(stream, ..)
            | Self::ConsumerDeleted(stream, _)
            | Self::SourcePosition(stream, _) => Some(*stream),
            Self::ConsumerState(..) | Self::ConsumerProgress(..) => None,
        }
    }
}

/// What a replay must know beside the shard.
#[derive(Debug, Default)]
struct Replay {
    /// In a rebuild, where each stream's newest head lies. Before it only messages count, and only those that it says live.
    heads: HashMap<StreamId, LogPosition>,
    /// In a rebuild, streams deleted somewhere in the log: nothing of them counts.
    deleted: BTreeSet<StreamId>,
    /// Messages before their stream's newest head.
    gathered: HashMap<StreamId, Vec<ReplayedMessage>>,
    /// In a rebuild, progress that lies before its consumer's only configuration: that was written anew behind it, and the original has
    /// gone with its segment.
    ahead: HashMap<ConsumerKey, Vec<(LogPosition, Vec<u8>)>>,
    /// The configuration record met last, of each stream and consumer.
    configs: HashMap<StreamId, LogPosition>,
    consumer_configs: HashMap<ConsumerKey, LogPosition>,
    /// Streams that were met in the first pass, and whether by a configuration.
    met: HashMap<StreamId, bool>,
    /// The first configuration of each stream of which records lie before it: damage, or the giving back of a segment, took an earlier one.
    late_configs: HashMap<StreamId, Vec<u8>>,
    /// Who bears a name.
    stream_names: HashMap<(String, String), StreamId>,
    consumer_names: HashMap<(StreamId, Box<str>), ConsumerKey>,
    superseded_streams: Vec<StreamId>,
    superseded_consumers: Vec<(StreamId, ConsumerKey)>,
    /// Messages of which an erasure has left no more than what a replay needs.
    erased: Vec<(StreamId, u64)>,
    /// Messages of streams that nobody knows, by segment.
    orphans: BTreeMap<SegmentNo, u64>,
}

impl Replay {
    /// The first pass of a rebuild.
    fn survey(&mut self, at: RecordAt, entry: Entry) {
        match entry {
            Entry::StreamHead(stream, _) => {
                self.heads.insert(stream, at.start());
            }
            Entry::StreamDeleted(stream) => {
                self.deleted.insert(stream);
            }
            entry => self.survey_configs(entry),
        }
    }

    /// The first pass where a configuration may be missing.
    fn survey_configs(&mut self, entry: Entry) {
        match entry {
            Entry::StreamConfig(stream, bytes) => {
                let configured = self.met.entry(stream).or_insert(true);
                if !std::mem::replace(configured, true) {
                    self.late_configs.insert(stream, bytes);
                }
            }
            entry => {
                if let Some(stream) = entry.stream() {
                    self.met.entry(stream).or_insert(false);
                }
            }
        }
    }

    /// A stream takes its name. One that had it was deleted before: damage took the record of that.
    fn supersede_stream(&mut self, shard: &mut Shard, stream: StreamId, stored: &StoredConfig) {
        let name = (stored.account.clone(), stored.config.name.clone());
        let Some(older) = self.stream_names.insert(name, stream) else {
            return;
        };
        if older != stream && shard.streams.remove(&older).is_some() {
            tracing::error!(stream = %stored.config.name, "the deletion of an earlier stream of this name was lost to damage");
            shard
                .consumers
                .retain(|_, consumer| consumer.stream != older);
            self.deleted.insert(older);
            self.superseded_streams.push(older);
        }
    }

    /// As [`Replay::supersede_stream`], for a consumer.
    fn supersede_consumer(&mut self, shard: &mut Shard, key: ConsumerKey) {
        let Some(consumer) = shard.consumers.get(&key) else {
            return;
        };
        let name = (consumer.stream, consumer.name.clone());
        if let Some(older) = self.consumer_names.insert(name, key)
            && older != key
            && let Some(gone) = shard.consumers.remove(&older)
        {
            tracing::error!(consumer = %gone.name, "the deletion of an earlier consumer of this name was lost to damage");
            self.superseded_consumers.push((gone.stream, older));
        }
    }

    /// Makes a stream whose first configuration is missing, without limits until a configuration comes that is there.
    fn adopt(&mut self, shard: &mut Shard, stream: StreamId) {
        if shard.streams.contains_key(&stream) || shard.graves.streams.contains_key(&stream) {
            return;
        }
        let Some(bytes) = self.late_configs.remove(&stream) else {
            return;
        };
        let Ok(stored) = serde_json::from_slice::<StoredConfig>(&bytes) else {
            return;
        };
        self.supersede_stream(shard, stream, &stored);
        let config = StreamConfig {
            max_msgs: -1,
            max_bytes: -1,
            max_msgs_per_subject: -1,
            max_age: Nanos::ZERO,
            ..stored.config
        };
        let mut target = Stream::new(stream, &stored.account, config, stored.created);
        target.set_restoring(stored.restoring);
        shard.streams.insert(stream, target);
    }

    fn apply(&mut self, shard: &mut Shard, at: RecordAt, entry: Entry) -> Result<(), ReadError> {
        if let Some(stream) = entry.stream() {
            shard.next_stream = shard.next_stream.max(stream.0.saturating_add(1));
            if self.deleted.contains(&stream) && !matches!(entry, Entry::StreamDeleted(_)) {
                return Ok(());
            }
            self.adopt(shard, stream);
        }
        match entry {
            Entry::Message(stream, message) => {
                if message.erased {
                    self.erased.push((stream, message.seq));
                }
                if self.before_head(stream, at) {
                    self.gathered.entry(stream).or_default().push(message);
                } else if let Some(target) = shard.streams.get_mut(&stream) {
                    target.replay_message(&mut shard.log, &message)?;
                } else if !shard.graves.streams.contains_key(&stream) {
                    *self.orphans.entry(at.segment).or_default() += 1;
                }
            }
            Entry::Delete(stream, seq) if !self.before_head(stream, at) => {
                if let Some(target) = shard.streams.get_mut(&stream) {
                    target.replay_delete(&mut shard.log, seq)?;
                }
            }
            Entry::Purge(stream, through, keep, filter) if !self.before_head(stream, at) => {
                if let Some(target) = shard.streams.get_mut(&stream) {
                    target.replay_purge(&mut shard.log, through, keep, &filter)?;
                }
            }
            Entry::SourcePosition(stream, source) if !self.before_head(stream, at) => {
                if let Some(target) = shard.streams.get_mut(&stream) {
                    target.note_source(&source);
                }
            }
            Entry::Delete(..) | Entry::Purge(..) | Entry::SourcePosition(..) => {}
            Entry::StreamConfig(stream, bytes) => self.stream_config(shard, at, stream, &bytes)?,
            Entry::StreamHead(stream, bytes) => self.stream_head(shard, at, stream, &bytes),
            Entry::StreamDeleted(stream) => {
                shard.streams.remove(&stream);
                shard
                    .consumers
                    .retain(|_, consumer| consumer.stream != stream);
                shard.graves.streams.insert(stream, at.start());
            }
            Entry::ConsumerConfig(stream, consumer, name, config) => {
                self.consumer_config(shard, at, (stream, consumer), &name, config);
            }
            Entry::ConsumerState(consumer, bytes) => {
                shard.next_consumer = shard.next_consumer.max(consumer.0.saturating_add(1));
                if let Some(entry) = shard.consumers.get_mut(&consumer)
                    && let Some((position, state)) = bytes.split_first_chunk()
                {
                    let position = LogPosition::from_u64(u64::from_le_bytes(*position));
                    entry.deltas.retain(|(at, _)| *at >= position);
                    entry.checkpoint = Some(state.into());
                    if let Some(at) = self.consumer_configs.get(&consumer) {
                        entry.emitted_at = *at;
                    }
                }
            }
            Entry::ConsumerDeleted(stream, consumer) => {
                shard.consumers.remove(&consumer);
                self.ahead.remove(&consumer);
                shard
                    .graves
                    .consumers
                    .insert(consumer, (stream, at.start()));
                shard.next_consumer = shard.next_consumer.max(consumer.0.saturating_add(1));
            }
            Entry::ConsumerProgress(consumer, delta) => {
                shard.next_consumer = shard.next_consumer.max(consumer.0.saturating_add(1));
                let progress = match shard.consumers.get_mut(&consumer) {
                    Some(entry) => &mut entry.deltas,
                    None => self.ahead.entry(consumer).or_default(),
                };
                progress.push((at.start(), delta));
            }
        }
        Ok(())
    }

    fn before_head(&self, stream: StreamId, at: RecordAt) -> bool {
        self.heads
            .get(&stream)
            .is_some_and(|head| at.start() < *head)
    }

    fn stream_config(
        &mut self,
        shard: &mut Shard,
        at: RecordAt,
        stream: StreamId,
        bytes: &[u8],
    ) -> Result<(), ReadError> {
        let Ok(stored) = serde_json::from_slice::<StoredConfig>(bytes) else {
            tracing::error!(stream = stream.0, at = %at.start(), "stream configuration is unreadable");
            return Ok(());
        };
        self.configs.insert(stream, at.start());
        match shard.streams.get_mut(&stream) {
            Some(target) => {
                target.set_restoring(stored.restoring);
                target.apply_config(&mut shard.log, stored.config)
            }
            None => {
                self.supersede_stream(shard, stream, &stored);
                let mut target =
                    Stream::new(stream, &stored.account, stored.config, stored.created);
                target.set_restoring(stored.restoring);
                target.set_emitted_at(at.start());
                shard.streams.insert(stream, target);
                Ok(())
            }
        }
    }

    fn stream_head(&mut self, shard: &mut Shard, at: RecordAt, stream: StreamId, bytes: &[u8]) {
        let Some(target) = shard.streams.get_mut(&stream) else {
            return;
        };
        if let Some(config_at) = self.configs.get(&stream) {
            target.set_emitted_at(*config_at);
        }
        if self.heads.get(&stream) != Some(&at.start()) {
            return;
        }
        match StreamHead::decode(&mut Decoder::new(bytes)) {
            Some(head) => {
                target.rebuild(head, self.gathered.remove(&stream).unwrap_or_default());
            }
            None => {
                tracing::error!(stream = stream.0, at = %at.start(), "stream state is unreadable")
            }
        }
    }

    fn consumer_config(
        &mut self,
        shard: &mut Shard,
        at: RecordAt,
        (stream, consumer): (StreamId, ConsumerKey),
        name: &[u8],
        config: Vec<u8>,
    ) {
        shard.next_consumer = shard.next_consumer.max(consumer.0.saturating_add(1));
        self.consumer_configs.insert(consumer, at.start());
        let is_new = !shard.consumers.contains_key(&consumer);
        let ahead = &mut self.ahead;
        let entry = shard.consumers.entry(consumer).or_insert_with(|| {
            Box::new(ConsumerEntry {
                stream,
                name: String::from_utf8_lossy(name).into(),
                config: Box::default(),
                checkpoint: None,
                deltas: ahead.remove(&consumer).unwrap_or_default(),
                emitted_at: at.start(),
                emitted_state: LogPosition::ZERO,
                in_memory: false,
            })
        });
        entry.config = config.into();
        if is_new {
            self.supersede_consumer(shard, consumer);
        }
    }
}

impl Shard {
    /// Visits every record from `from` on, a bounded stretch of the log at a time.
    fn walk(
        &mut self,
        from: LogPosition,
        mut visit: impl FnMut(&mut Self, RecordAt, Entry) -> Result<(), ReadError>,
    ) -> Result<(), OpenError> {
        let segments: Vec<SegmentNo> = self
            .log
            .segments()
            .map(|usage| usage.segment)
            .filter(|segment| *segment >= from.segment())
            .collect();
        let mut stretch: Vec<(RecordAt, Entry)> = Vec::new();
        for segment in segments {
            let mut offset = if segment == from.segment() {
                Some(from.offset())
            } else {
                Some(0)
            };
            while let Some(at) = offset {
                offset = self.log.scan(segment, at, STEP_BYTES, &mut |replayed| {
                    if replayed.at.start() >= from
                        && let Some(entry) = Entry::of(replayed)
                    {
                        stretch.push((replayed.at, entry));
                    }
                })?;
                for (at, entry) in stretch.drain(..) {
                    visit(self, at, entry)?;
                }
            }
        }
        Ok(())
    }

    /// Makes streams and consumers what checkpoint and log say. Answers how many messages belong to no known stream.
    ///
    /// A rebuild reads the log twice. So does a start behind a checkpoint if `records_miss`: of a stream made since then, the configuration may.
    fn restore(
        &mut self,
        checkpoint: Option<Checkpointed>,
        records_miss: bool,
    ) -> Result<u64, OpenError> {
        let mut replay = Replay::default();
        let mut from = LogPosition::ZERO;
        self.streams.clear();
        self.consumers.clear();
        self.graves = Graves::default();
        self.touched.clear();
        self.in_flight.clear();
        self.reclaim = Reclaim::default();
        self.scheduled.clear();
        if let Some(checkpoint) = checkpoint {
            from = checkpoint.log.position;
            let streams = checkpoint.streams.iter();
            replay.stream_names = streams.map(|(id, stream)| (name_of(stream), *id)).collect();
            let consumers = checkpoint.consumers.iter();
            replay.consumer_names = consumers
                .map(|(key, consumer)| ((consumer.stream, consumer.name.clone()), *key))
                .collect();
            self.streams = checkpoint.streams;
            self.consumers = checkpoint.consumers;
            self.next_stream = self.next_stream.max(checkpoint.next_stream);
            self.next_consumer = self.next_consumer.max(checkpoint.next_consumer);
            self.graves = checkpoint.graves;
            self.reclaim.set_copied(checkpoint.copied);
            self.reclaim.keep(checkpoint.kept);
            if records_miss {
                replay.met = self.streams.keys().map(|id| (*id, true)).collect();
                self.walk(from, |_, _, entry| {
                    replay.survey_configs(entry);
                    Ok(())
                })?;
            }
        } else {
            // Which of them messages were copied from is forgotten.
            let sealed = self.log.segments().filter(|usage| usage.sealed);
            let all = sealed.map(|usage| usage.segment).collect();
            self.reclaim.set_copied(all);
            self.walk(from, |_, at, entry| {
                replay.survey(at, entry);
                Ok(())
            })?;
        }
        self.checkpoint_position = from;
        self.walk(from, |shard, at, entry| replay.apply(shard, at, entry))?;
        for (stream, seq) in std::mem::take(&mut replay.erased) {
            // Damage took the record of its deletion.
            if let Some(target) = self.streams.get_mut(&stream) {
                target.replay_delete(&mut self.log, seq)?;
            }
        }
        if let Err(error) = self.bury_superseded(&replay) {
            // The next start finds the same.
            tracing::warn!(shard = self.seat.number, %error, "superseded streams and consumers were not logged as deleted");
        }
        let streams = &self.streams;
        self.consumers
            .retain(|_, consumer| streams.contains_key(&consumer.stream));
        self.reclaim.keep(replay.orphans);
        self.lose_missing_segments();
        self.drop_unfinished_restores();
        Ok(self.reclaim.kept().values().sum())
    }

    /// What the checkpoint says lives in segments that are not there is lost.
    fn lose_missing_segments(&mut self) {
        let there: BTreeSet<SegmentNo> = self.log.segments().map(|usage| usage.segment).collect();
        for stream in self.streams.values_mut() {
            let extents = stream.extents().iter();
            let missing: BTreeSet<SegmentNo> = extents
                .map(|extent| extent.segment)
                .filter(|segment| !there.contains(segment))
                .collect();
            for segment in missing {
                tracing::error!(stream = %stream.config().name, %segment, "a segment is missing");
                stream.lose_segment(segment);
            }
        }
    }

    /// What indexes name behind the end of a stream is lost with the segments that they are of. Its sequences are not given out again.
    fn lose_indexed(&mut self, indexed: &[(StreamId, u64)]) {
        for (id, last) in indexed {
            let Some(stream) = self.streams.get_mut(id) else {
                continue;
            };
            if let Err(error) = stream.lose_to(&mut self.log, *last) {
                tracing::warn!(stream = %stream.config().name, last, %error, "sequences of lost messages were not used up");
            }
        }
    }

    /// Logs what [`Replay::supersede_stream`] and its like have found, so that it holds when the newer ones are deleted in their turn.
    fn bury_superseded(&mut self, replay: &Replay) -> Result<(), AppendError> {
        for stream in &replay.superseded_streams {
            let record = Record::StreamDeleted(StreamDeleted { stream: *stream });
            let at = self.log.append(&record)?;
            self.graves.streams.insert(*stream, at.start());
        }
        for (stream, consumer) in &replay.superseded_consumers {
            let (stream, consumer) = (*stream, *consumer);
            let record = Record::ConsumerDeleted(ConsumerDeleted { stream, consumer });
            let at = self.log.append(&record)?;
            self.graves.consumers.insert(consumer, (stream, at.start()));
        }
        Ok(())
    }

    /// Makes memory what the log says, after a commit failed and the log has dropped what was not durable. Memory streams, which
    /// are not in the log, stay.
    pub(super) fn reload(&mut self) {
        let mut streams = std::mem::take(&mut self.streams);
        let mut consumers = std::mem::take(&mut self.consumers);
        let mut meters = BTreeMap::new();
        let mut aside = Vec::new();
        streams.retain(|id, stream| {
            if stream.is_memory() {
                return true;
            }
            if stream.is_set_aside() {
                aside.push(*id);
            }
            meters.extend(stream.account_meter().map(|meter| (*id, Arc::clone(meter))));
            self.metering.forget(stream);
            false
        });
        consumers.retain(|_, consumer| consumer.in_memory);
        let checkpoint = Checkpointed::load_usable(&self.seat);
        let usable = |found: &Checkpointed| self.catalog_is_newest || found.fits(&self.log);
        let checkpoint = checkpoint.filter(usable);
        // Whether the start had found damage is forgotten.
        let restored = self.restore(checkpoint, true);
        if let Err(error) = restored {
            tracing::error!(shard = self.seat.number, %error, "shard could not be read again after a failed commit");
            self.broken = Some(Arc::new(std::io::Error::other(error.to_string())));
        }
        self.consumers_recovered = true;
        for stream in aside {
            self.set_aside(stream);
        }
        for (id, stream) in &mut self.streams {
            self.metering.welcome(stream);
            stream.join_account_meter(meters.remove(id));
        }
        self.streams.append(&mut streams);
        self.consumers.append(&mut consumers);
    }

    /// The counters and graves, for a checkpoint.
    pub(super) fn encode_counters(&self) -> Vec<u8> {
        let mut out = Vec::new();
        out.extend_from_slice(&self.next_stream.to_le_bytes());
        out.extend_from_slice(&self.next_consumer.to_le_bytes());
        out.extend_from_slice(&(self.graves.streams.len() as u64).to_le_bytes());
        for (stream, at) in &self.graves.streams {
            out.extend_from_slice(&stream.0.to_le_bytes());
            out.extend_from_slice(&at.to_u64().to_le_bytes());
        }
        out.extend_from_slice(&(self.graves.consumers.len() as u64).to_le_bytes());
        for (consumer, (stream, at)) in &self.graves.consumers {
            out.extend_from_slice(&consumer.0.to_le_bytes());
            out.extend_from_slice(&stream.0.to_le_bytes());
            out.extend_from_slice(&at.to_u64().to_le_bytes());
        }
        out.extend_from_slice(&(self.reclaim.copied().len() as u64).to_le_bytes());
        for segment in self.reclaim.copied() {
            out.extend_from_slice(&segment.0.to_le_bytes());
        }
        out.extend_from_slice(&(self.reclaim.kept().len() as u64).to_le_bytes());
        for (segment, messages) in self.reclaim.kept() {
            out.extend_from_slice(&segment.0.to_le_bytes());
            out.extend_from_slice(&messages.to_le_bytes());
        }
        out
    }
}

impl ConsumerEntry {
    /// For a checkpoint.
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut out = self.stream.0.to_le_bytes().to_vec();
        out.extend_from_slice(&self.emitted_at.to_u64().to_le_bytes());
        encode_bytes(&mut out, self.name.as_bytes());
        out.extend_from_slice(&self.config);
        out
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let mut from = Decoder::new(bytes);
        Some(Self {
            stream: StreamId(from.u32()?),
            emitted_at: LogPosition::from_u64(from.u64()?),
            emitted_state: LogPosition::ZERO,
            name: std::str::from_utf8(from.bytes()?).ok()?.into(),
            config: from.rest().into(),
            checkpoint: None,
            deltas: Vec::new(),
            in_memory: false,
        })
    }
}

/// A shard's state as a checkpoint describes it.
#[derive(Debug)]
struct Checkpointed {
    log: LogCheckpoint,
    next_stream: u32,
    next_consumer: u32,
    graves: Graves,
    copied: BTreeSet<SegmentNo>,
    kept: BTreeMap<SegmentNo, u64>,
    streams: BTreeMap<StreamId, Stream>,
    consumers: BTreeMap<ConsumerKey, Box<ConsumerEntry>>,
}

impl Checkpointed {
    /// The newest checkpoint, if there is one that can be used.
    fn load_usable(seat: &Seat) -> Option<Self> {
        Self::load_or_reason(seat).0
    }

    /// As [`Checkpointed::load_usable`], with the reason if there is one that can not be used.
    fn load_or_reason(seat: &Seat) -> (Option<Self>, Option<String>) {
        match Self::load(seat) {
            Ok(found) => (found, None),
            Err(reason) => {
                tracing::warn!(
                    shard = seat.number,
                    reason,
                    "checkpoint is unusable, rebuilding from the log"
                );
                (None, Some(reason))
            }
        }
    }

    /// Whether every segment is there in which it says that something lives, or from which what came after it is replayed. An older catalog
    /// that was put back tells of segments that have been given back since.
    fn fits(&self, log: &Log) -> bool {
        let there: BTreeSet<SegmentNo> = log.segments().map(|usage| usage.segment).collect();
        let streams = self.streams.values();
        let mut lives = streams.flat_map(|stream| stream.extents().iter());
        let from = self.log.position.segment();
        let replayed = there.range(from..).count() as u64;
        let end = there.last().map_or(0, |last| u64::from(last.0) + 1);
        lives.all(|extent| there.contains(&extent.segment))
            && replayed == end.saturating_sub(u64::from(from.0))
    }

    /// The newest checkpoint; `None` if there is none, the reason if it can not be used.
    fn load(seat: &Seat) -> Result<Option<Self>, String> {
        let mut log = None;
        let mut counters = None;
        let mut streams = BTreeMap::new();
        let mut consumers = BTreeMap::new();
        let mut bad: Option<Section> = None;
        let found = seat.catalog.load(seat.number, &mut |section, key, value| {
            let taken = match section {
                Section::Log if key == LOG_KEY => {
                    log = LogCheckpoint::decode(&value);
                    log.is_some()
                }
                Section::Log => {
                    counters = decode_counters(&value);
                    key != SHARD_KEY || counters.is_some()
                }
                Section::StreamConfig => number(key)
                    .zip(serde_json::from_slice::<StoredConfig>(&value).ok())
                    .map(|(id, stored)| {
                        let id = StreamId(id);
                        let mut stream =
                            Stream::new(id, &stored.account, stored.config, stored.created);
                        stream.set_restoring(stored.restoring);
                        streams.insert(id, stream);
                    })
                    .is_some(),
                Section::StreamState => number(key)
                    .and_then(|id| streams.get_mut(&StreamId(id)))
                    .and_then(|stream| stream.decode_state(&mut Decoder::new(&value)))
                    .is_some(),
                Section::ConsumerConfig => number(key)
                    .zip(ConsumerEntry::decode(&value))
                    .map(|(id, entry)| consumers.insert(ConsumerKey(id), Box::new(entry)))
                    .is_some(),
                Section::ConsumerState => number(key)
                    .and_then(|id| consumers.get_mut(&ConsumerKey(id)))
                    .map(|entry| entry.checkpoint = Some(value.into()))
                    .is_some(),
            };
            if !taken {
                bad.get_or_insert(section);
            }
        });
        if found.map_err(|error| error.to_string())?.is_none() {
            return Ok(None);
        }
        if let Some(section) = bad {
            return Err(format!("section {section:?} makes no sense"));
        }
        let log = log.ok_or("it has no log position")?;
        let counters = counters.ok_or("it has no counters")?;
        Ok(Some(Self {
            log,
            next_stream: counters.next_stream,
            next_consumer: counters.next_consumer,
            graves: counters.graves,
            copied: counters.copied,
            kept: counters.kept,
            streams,
            consumers,
        }))
    }
}

fn name_of(stream: &Stream) -> (String, String) {
    (stream.account().to_owned(), stream.config().name.clone())
}

fn number(key: &[u8]) -> Option<u32> {
    key.try_into().ok().map(u32::from_be_bytes)
}

/// What a checkpoint has of the shard itself.
#[derive(Debug)]
struct Counters {
    next_stream: u32,
    next_consumer: u32,
    graves: Graves,
    copied: BTreeSet<SegmentNo>,
    kept: BTreeMap<SegmentNo, u64>,
}

fn decode_counters(bytes: &[u8]) -> Option<Counters> {
    let mut from = Decoder::new(bytes);
    let (next_stream, next_consumer) = (from.u32()?, from.u32()?);
    let mut graves = Graves::default();
    for _ in 0..from.count(12)? {
        let stream = StreamId(from.u32()?);
        graves
            .streams
            .insert(stream, LogPosition::from_u64(from.u64()?));
    }
    for _ in 0..from.count(16)? {
        let consumer = ConsumerKey(from.u32()?);
        let stream = StreamId(from.u32()?);
        graves
            .consumers
            .insert(consumer, (stream, LogPosition::from_u64(from.u64()?)));
    }
    let copied = (0..from.count(4)?)
        .map(|_| from.u32().map(SegmentNo))
        .collect::<Option<_>>()?;
    let kept = (0..from.count(12)?)
        .map(|_| Some((SegmentNo(from.u32()?), from.u64()?)))
        .collect::<Option<_>>()?;
    Some(Counters {
        next_stream,
        next_consumer,
        graves,
        copied,
        kept,
    })
}
