//! A shard: some streams, their consumers' bytes, and one log with one group commit.

mod commit;
mod consumers;
mod copies;
mod metering;
mod reads;
mod reclaim;
mod recover;
mod restore;

use std::collections::BTreeMap;
use std::io;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Weak};

use jetsled_jetstream_api::{StreamConfig, StreamSeq, Timestamp};
use serde::{Deserialize, Serialize};

use crate::log::{self, AppendError, ConsumerKey, Log, LogPosition, Record, StreamId};
use crate::{
    ChangeError, Erase, Publish, PublishError, Published, Purge, Purged, Removed, Scheduled, Stream,
};
use commit::EXPIRY_STEP;
use consumers::ConsumerEntry;
use metering::Metering;
use reclaim::Reclaim;
pub use recover::decode_catalog_value;
pub(crate) use recover::{Loaded, Seat, recover};

/// One shard of the store. A plain value: the server gives it one owner at a time.
///
/// Changes are applied to memory and to the open commit at once; they survive once [`Shard::durable`] has reached
/// the position that they answered with. Memory streams go through the same calls and answer without a position.
#[derive(Debug)]
pub struct Shard {
    /// Where it lives; to open it again.
    seat: Seat,
    log: Log,
    streams: BTreeMap<StreamId, Stream>,
    metering: Metering,
    /// Boxed: a tree's nodes are half empty when keys ascend.
    consumers: BTreeMap<ConsumerKey, Box<ConsumerEntry>>,
    /// Whether consumers were found at the start and nobody has asked for them.
    consumers_recovered: bool,
    next_stream: u32,
    next_consumer: u32,
    graves: Graves,
    /// File streams published to since the last commit was taken.
    touched: Vec<StreamId>,
    /// The last sequences that the commit under way makes visible.
    in_flight: Vec<(StreamId, u64)>,
    checkpoint_under_way: Weak<()>,
    /// What the last checkpoint describes; segments before it may be reclaimed.
    checkpoint_position: LogPosition,
    /// Bytes appended to the log when it was taken.
    checkpoint_appended: u64,
    /// Its size in bytes; 0 at a start.
    checkpoint_bytes: u64,
    /// Commits that have failed, and other syncs: a checkpoint taken before one may describe what is not there.
    failed_commits: Arc<AtomicU64>,
    /// Whether the catalog has the newest checkpoint, as far as the log knows.
    catalog_is_newest: bool,
    /// Whether damage was found, at the start or by a read, that no checkpoint tells of yet.
    has_lost: bool,
    reclaim: Reclaim,
    /// What schedules have sent since the last [`Shard::take_scheduled`].
    scheduled: Vec<Scheduled>,
    /// After a failed commit the log could not be read again: memory tells of what is not there, so nothing may be written.
    broken: Option<Arc<io::Error>>,
}

/// Deleted streams and consumers of which older segments may still tell, with the place of the record that says so.
#[derive(Debug, Default)]
struct Graves {
    streams: BTreeMap<StreamId, LogPosition>,
    consumers: BTreeMap<ConsumerKey, (StreamId, LogPosition)>,
}

/// What the log's configuration record holds.
#[derive(Debug, Serialize, Deserialize)]
struct StoredConfig {
    account: String,
    created: Timestamp,
    config: StreamConfig,
    /// Whether the stream is being filled from an archive: it is dropped at the next start.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    restoring: bool,
}

impl StoredConfig {
    fn encode(stream: &Stream) -> Vec<u8> {
        let stored = Self {
            account: stream.account().to_owned(),
            created: stream.created(),
            config: stream.config().clone(),
            restoring: stream.is_restoring(),
        };
        serde_json::to_vec(&stored).expect("a configuration has no map with keys that are not text")
    }
}

impl Shard {
    /// Creates a stream. `config` must be validated. The change is durable at [`Shard::position`] as of the return.
    ///
    /// # Errors
    /// When the log takes no records.
    pub fn create_stream(
        &mut self,
        account: &str,
        config: StreamConfig,
        created: Timestamp,
    ) -> Result<StreamId, ChangeError> {
        let id = StreamId(self.next_stream);
        self.add_stream(Stream::new(id, account, config, created))
    }

    fn add_stream(&mut self, mut stream: Stream) -> Result<StreamId, ChangeError> {
        self.check_broken()?;
        let id = stream.id();
        if !stream.is_memory() {
            let config = StoredConfig::encode(&stream);
            let record = Record::StreamConfig(log::StreamConfig {
                stream: id,
                config: &config,
            });
            stream.set_emitted_at(self.log.append(&record)?.start());
        }
        self.next_stream += 1;
        self.metering.welcome(&mut stream);
        self.streams.insert(id, stream);
        Ok(id)
    }

    /// Replaces a stream's configuration, validated as an update of the present one, and enforces lowered limits at once.
    ///
    /// # Errors
    /// When the stream is unknown or the log takes no records.
    pub fn update_stream(
        &mut self,
        stream: StreamId,
        config: StreamConfig,
        now: Timestamp,
    ) -> Result<(), ChangeError> {
        self.check_broken()?;
        let target = self
            .streams
            .get_mut(&stream)
            .ok_or(ChangeError::UnknownStream(stream))?;
        if !target.is_memory() {
            let stored = StoredConfig {
                account: target.account().to_owned(),
                created: target.created(),
                config: config.clone(),
                restoring: target.is_restoring(),
            };
            let bytes = serde_json::to_vec(&stored)
                .expect("a configuration has no map with keys that are not text");
            self.log.append(&Record::StreamConfig(log::StreamConfig {
                stream,
                config: &bytes,
            }))?;
        }
        let applied = target.apply_config(&mut self.log, config);
        // What a lowered age ends beyond this step goes by the next ticks; so does what can not go now, since the configuration is in force.
        if applied.is_ok()
            && let Err(error) = target.expire(&mut self.log, now, EXPIRY_STEP)
        {
            tracing::warn!(stream = %target.config().name, %error, "expiry was put off");
        }
        self.metering.settle(target);
        applied?;
        if !target.is_memory() && target.touch() {
            self.touched.push(stream);
        }
        Ok(())
    }

    /// Leaves a stream as it is, since another one of its name counts.
    pub(crate) fn set_aside(&mut self, stream: StreamId) {
        if let Some(target) = self.streams.get_mut(&stream) {
            target.set_aside();
        }
    }

    /// Deletes a stream with its messages and consumers.
    ///
    /// # Errors
    /// When the stream is unknown or the log takes no records.
    pub fn delete_stream(&mut self, stream: StreamId) -> Result<(), ChangeError> {
        self.check_broken()?;
        let target = self
            .streams
            .get(&stream)
            .ok_or(ChangeError::UnknownStream(stream))?;
        if !target.is_memory() {
            let at = self
                .log
                .append(&Record::StreamDeleted(log::StreamDeleted { stream }))?;
            self.graves.streams.insert(stream, at.start());
        }
        if let Some(mut gone) = self.streams.remove(&stream) {
            self.metering.forget(&mut gone);
        }
        self.consumers.retain(|_, entry| entry.stream != stream);
        self.reclaim.hurry();
        Ok(())
    }

    /// A stream's identity, configuration and counters.
    #[must_use]
    pub fn stream(&self, stream: StreamId) -> Option<&Stream> {
        self.streams.get(&stream)
    }

    /// All streams, by id.
    pub fn streams(&self) -> impl Iterator<Item = &Stream> {
        self.streams.values()
    }

    /// Applies the stream's rules to a message and stores it if they allow: everything of the publish flow after the
    /// input transform, in nats-server's order of checks. Status line and `Nats-Request-Info` are dropped.
    ///
    /// # Errors
    /// [`PublishError::Rejected`] has what the publisher is told.
    pub fn publish(
        &mut self,
        stream: StreamId,
        message: &Publish<'_>,
        now: Timestamp,
    ) -> Result<Published, PublishError> {
        self.publisher(stream)?.publish(message, now)
    }

    /// For many publishes to one stream.
    ///
    /// # Errors
    /// When the stream is unknown or the log takes no records.
    pub fn publisher(&mut self, stream: StreamId) -> Result<Publisher<'_>, PublishError> {
        self.check_broken()?;
        let Some(stream) = self.streams.get_mut(&stream) else {
            return Err(PublishError::UnknownStream(stream));
        };
        Ok(Publisher {
            stream,
            log: &mut self.log,
            metering: &mut self.metering,
            touched: &mut self.touched,
        })
    }

    /// Applies the stream's rules to a message of a fast-ingest batch: those of [`Shard::publish`] in the order in which
    /// nats-server checks batches.
    ///
    /// # Errors
    /// As [`Shard::publish`].
    pub fn publish_fast(
        &mut self,
        stream: StreamId,
        message: &Publish<'_>,
        now: Timestamp,
    ) -> Result<Published, PublishError> {
        self.check_broken()?;
        let Some(target) = self.streams.get_mut(&stream) else {
            return Err(PublishError::UnknownStream(stream));
        };
        let outcome = target.publish_fast(&mut self.log, message, now);
        self.metering.settle(target);
        let mut published = outcome?;
        note_published(target, &self.log, &mut self.touched, &mut published);
        Ok(published)
    }

    /// Stores the messages of an atomic batch together, or none of them: also over a crash. Each is checked as it would be
    /// behind those before it. Gives each, as it was stored, to `stored`, with what became of it, and answers the last one's sequence.
    ///
    /// # Errors
    /// As [`Shard::publish`], of the first message that is refused.
    pub fn publish_batch(
        &mut self,
        stream: StreamId,
        messages: &[Publish<'_>],
        now: Timestamp,
        stored: &mut dyn FnMut(&Publish<'_>, &Published),
    ) -> Result<StreamSeq, PublishError> {
        self.check_broken()?;
        let Some(target) = self.streams.get_mut(&stream) else {
            return Err(PublishError::UnknownStream(stream));
        };
        let log = &mut self.log;
        let outcome = target.publish_batch(log, messages, now);
        self.metering.settle(target);
        for (message, (mut published, edits)) in messages.iter().zip(outcome?) {
            note_published(target, log, &mut self.touched, &mut published);
            stored(&edits.apply(message), &published);
        }
        Ok(target.last_seq())
    }

    /// The most that an atomic batch may take in the log, in bytes (see [`StagedBatch::log_bytes`](crate::StagedBatch)):
    /// its records lie in one segment.
    #[must_use]
    pub fn batch_limit(&self) -> u64 {
        self.log.batch_limit()
    }

    /// The message as the [`Shard::publish`] or [`Shard::publish_fast`] just done with it stored it: with the headers that the server adds, and a counter's new
    /// value as its body.
    #[must_use]
    pub fn as_stored<'a>(
        &'a self,
        stream: StreamId,
        message: &Publish<'a>,
        published: &Published,
    ) -> Publish<'a> {
        if !published.edited {
            return *message;
        }
        let target = self.streams.get(&stream);
        target.map_or(*message, |target| target.as_stored(message))
    }

    /// Moves what schedules have sent at the last [`Shard::tick`] to the end of `out`. Publish each into its stream; a schedule whose message
    /// was not stored must be [put off](Shard::put_off_schedule).
    pub fn take_scheduled(&mut self, out: &mut Vec<Scheduled>) {
        out.append(&mut self.scheduled);
    }

    /// A message that a schedule sent was not stored: the schedule is due again at `until`. Lasts until a restart, after which it is
    /// due at once.
    pub fn put_off_schedule(&mut self, stream: StreamId, schedule: StreamSeq, until: Timestamp) {
        if let Some(target) = self.streams.get_mut(&stream) {
            target.put_off_schedule(schedule.0, until);
        }
    }

    /// Purges messages.
    ///
    /// # Errors
    /// [`ChangeError::Rejected`] for `deny_purge` and sealed streams.
    pub fn purge(&mut self, stream: StreamId, purge: &Purge<'_>) -> Result<Purged, ChangeError> {
        let (messages, position) = self.change(stream, |target, log| target.purge(log, purge))?;
        self.reclaim.hurry();
        Ok(Purged { messages, position })
    }

    /// Deletes one message. The change is durable at [`Shard::position`] as of the return.
    ///
    /// # Errors
    /// [`ChangeError::Rejected`] for `deny_delete`, sealed streams, and sequences without a message.
    pub fn delete_message(
        &mut self,
        stream: StreamId,
        seq: StreamSeq,
        erase: Erase,
    ) -> Result<(), ChangeError> {
        self.change(stream, |target, log| {
            let erasures = match erase {
                Erase::Yes if !target.is_memory() => log.erasures(stream, seq.0)?,
                _ => Vec::new(),
            };
            target.delete(log, seq.0)?;
            Ok(log.erase(stream, erasures)?)
        })?;
        Ok(())
    }

    /// Removes a message that no consumer needs any more (interest and workqueue retention). A message that is gone already is fine.
    ///
    /// # Errors
    /// When the stream is unknown or the log takes no records.
    pub fn release(&mut self, stream: StreamId, seq: StreamSeq) -> Result<(), ChangeError> {
        self.change(stream, |target, log| target.release(log, seq.0))
            .map(|_| ())
    }

    /// Starts or stops the recording of removed messages for [`Shard::take_removed`]. Streams with consumers are watched.
    pub fn watch_removed(&mut self, stream: StreamId, watched: bool) {
        if let Some(target) = self.streams.get_mut(&stream) {
            target.watch_removed(watched);
        }
    }

    /// Moves what limits, purges, deletes and rollups have removed since the last call to the end of `out`.
    pub fn take_removed(&mut self, stream: StreamId, out: &mut Vec<Removed>) {
        if let Some(target) = self.streams.get_mut(&stream) {
            target.take_removed(out);
        }
    }

    fn check_broken(&self) -> Result<(), AppendError> {
        match &self.broken {
            None => Ok(()),
            Some(reason) => Err(AppendError::Fenced(Arc::clone(reason))),
        }
    }

    /// Changes a stream; answers with the position at which the change is durable.
    fn change<T>(
        &mut self,
        stream: StreamId,
        change: impl FnOnce(&mut Stream, &mut Log) -> Result<T, ChangeError>,
    ) -> Result<(T, Option<LogPosition>), ChangeError> {
        self.check_broken()?;
        let target = self
            .streams
            .get_mut(&stream)
            .ok_or(ChangeError::UnknownStream(stream))?;
        let outcome = change(target, &mut self.log);
        self.metering.settle(target);
        let changed = outcome?;
        if target.is_memory() {
            return Ok((changed, None));
        }
        if target.touch() {
            self.touched.push(stream);
        }
        Ok((changed, Some(self.log.position())))
    }

    /// Writes a stream's configuration and head anew, so that what is older can go.
    fn emit_stream(log: &mut Log, stream: &mut Stream) -> Result<(), AppendError> {
        let id = stream.id();
        let config = StoredConfig::encode(stream);
        let at = log.append(&Record::StreamConfig(log::StreamConfig {
            stream: id,
            config: &config,
        }))?;
        let mut state = Vec::new();
        stream.head().encode(&mut state);
        log.append(&Record::StreamState(log::StreamState {
            stream: id,
            state: &state,
        }))?;
        stream.emitted(at.start());
        Ok(())
    }
}

/// One who publishes to one stream: what a publish needs besides the message is looked up once.
#[derive(Debug)]
pub struct Publisher<'a> {
    stream: &'a mut Stream,
    log: &'a mut Log,
    metering: &'a mut Metering,
    touched: &'a mut Vec<StreamId>,
}

impl Publisher<'_> {
    /// As [`Shard::publish`].
    ///
    /// # Errors
    /// [`PublishError::Rejected`] has what the publisher is told.
    #[inline]
    pub fn publish(
        &mut self,
        message: &Publish<'_>,
        now: Timestamp,
    ) -> Result<Published, PublishError> {
        let outcome = self.stream.publish(self.log, message, now);
        self.metering.settle(self.stream);
        let mut published = outcome?;
        note_published(self.stream, self.log, self.touched, &mut published);
        Ok(published)
    }
}

/// Notes where a published message becomes durable.
#[inline]
fn note_published(
    target: &mut Stream,
    log: &Log,
    touched: &mut Vec<StreamId>,
    published: &mut Published,
) {
    if target.is_memory() {
        return;
    }
    // A duplicate of a message that is not durable yet must wait for it.
    if !published.duplicate || published.seq > target.visible_last_seq() {
        published.position = Some(log.position());
    }
    if !published.duplicate && target.touch() {
        touched.push(target.id());
    }
}
