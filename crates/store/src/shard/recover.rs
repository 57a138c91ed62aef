//! A shard after a start: the last checkpoint and the log behind it, or the whole log.

mod checkpointed;
mod copies;
mod entry;
mod fuzzing;
mod replay;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::{Arc, Weak};

use super::{Graves, Metering, Reclaim, Shard};
use crate::catalog::Catalog;
use crate::description::shard_dir;
use crate::log::{
    AppendError, ConsumerDeleted, InterruptedErasures, Log, LogCheckpoint, LogOptions, LogPosition,
    LogReport, ReadError, Record, RecordAt, SegmentNo, StreamDeleted, StreamId,
};
use crate::open::{OpenError, ShardReport};
use crate::storage::{Storage, StorageLock};
use crate::{StoreOptions, Stream};
use checkpointed::Checkpointed;
pub(crate) use checkpointed::Loaded;
use copies::Copies;
use entry::Entry;
pub use fuzzing::decode_catalog_value;
use replay::Replay;

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

/// Opens a shard. `loaded`: what the catalog has of it.
pub(crate) fn recover(seat: Seat, loaded: Loaded) -> Result<(Shard, ShardReport), OpenError> {
    let Loaded {
        mut checkpoint,
        mut unusable,
        ..
    } = loaded;
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
        checkpoint_under_way: Weak::new(),
        checkpoint_position: LogPosition::ZERO,
        checkpoint_appended: 0,
        checkpoint_bytes: 0,
        failed_commits: Arc::default(),
        catalog_is_newest,
        has_lost: false,
        reclaim: Reclaim::default(),
        scheduled: Vec::new(),
        broken: None,
    };
    let plain_segments = shard.plain_segments();
    let rebuilt = checkpoint.is_none();
    let records_miss = !log_report.damage.is_empty()
        || !log_report.set_aside.is_empty()
        || !log_report.indexed.is_empty();
    let orphaned_messages = shard.restore(checkpoint, records_miss)?;
    shard.lose_indexed(&log_report.indexed);
    shard.lose_claimed(&log_report.claimed);
    shard.has_lost = records_miss;
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
    /// A rebuild reads the log twice. So does a start behind a checkpoint if `records_miss`: of a stream made since then, the configuration may, and of a
    /// message the original.
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
            replay.checkpointed = checkpoint.consumers.keys().copied().collect();
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
                let mut copies = Copies::default();
                for (id, stream) in &self.streams {
                    copies.begin(*id, stream.last_seq().0);
                }
                replay.copies = Some(copies);
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
            replay.copies = records_miss.then(Copies::default);
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
        let there = self.segments().collect();
        self.reclaim.keep_copied(&there);
        self.lose_missing_segments(&there);
        self.drop_unfinished_restores();
        Ok(self.reclaim.kept().values().sum())
    }

    /// What the checkpoint says lives in segments that are not there is lost.
    fn lose_missing_segments(&mut self, there: &BTreeSet<SegmentNo>) {
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
            self.lose_to(*id, *last);
        }
    }

    /// What damaged records claim to be is lost. Nothing shows that they are right: one that does not go on where its stream ends is not believed.
    fn lose_claimed(&mut self, claimed: &[(StreamId, u64)]) {
        for (id, seq) in claimed {
            let last = self.streams.get(id).map(Stream::last_seq);
            if last.is_some_and(|last| last.0.checked_add(1) == Some(*seq)) {
                self.lose_to(*id, *seq);
            }
        }
    }

    fn lose_to(&mut self, id: StreamId, last: u64) {
        if let Some(stream) = self.streams.get_mut(&id)
            && let Err(error) = stream.lose_to(&mut self.log, last)
        {
            tracing::warn!(stream = %stream.config().name, last, %error, "sequences of lost messages were not used up");
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
        let checkpoint = Loaded::of_shard(&self.seat.catalog, self.seat.number).checkpoint;
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
}

fn name_of(stream: &Stream) -> (String, String) {
    (stream.account().to_owned(), stream.config().name.clone())
}
