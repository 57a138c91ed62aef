//! What the records of a log make of a shard, in order.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Range;

use jetsled_jetstream_api::{Nanos, StreamConfig};

use super::copies::Copies;
use super::entry::Entry;
use crate::Stream;
use crate::log::{ConsumerKey, LogPosition, ReadError, RecordAt, SegmentNo, StreamId};
use crate::shard::consumers::ConsumerEntry;
use crate::shard::{Shard, StoredConfig};
use crate::stream::{Decoder, ReplayedMessage, StreamHead};

/// What a replay must know beside the shard.
#[derive(Debug, Default)]
pub(super) struct Replay {
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
    /// Consumers of which the checkpoint has the state.
    pub(super) checkpointed: BTreeSet<ConsumerKey>,
    /// Streams that were met in the first pass, and whether by a configuration.
    pub(super) met: HashMap<StreamId, bool>,
    /// The first configuration of each stream of which records lie before it: damage, or the giving back of a segment, took an earlier one.
    late_configs: HashMap<StreamId, Vec<u8>>,
    /// Who bears a name.
    pub(super) stream_names: HashMap<(String, String), StreamId>,
    pub(super) consumer_names: HashMap<(StreamId, Box<str>), ConsumerKey>,
    pub(super) superseded_streams: Vec<StreamId>,
    pub(super) superseded_consumers: Vec<(StreamId, ConsumerKey)>,
    /// Where records are missing.
    pub(super) copies: Option<Copies>,
    /// Messages of which an erasure has left no more than what a replay needs.
    pub(super) erased: Vec<(StreamId, u64)>,
    /// Messages of streams that nobody knows, by segment.
    pub(super) orphans: BTreeMap<SegmentNo, u64>,
}

impl Replay {
    /// The first pass of a rebuild.
    pub(super) fn survey(&mut self, at: RecordAt, entry: Entry) {
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
    pub(super) fn survey_configs(&mut self, entry: Entry) {
        match entry {
            Entry::StreamConfig(stream, bytes) => {
                let configured = self.met.entry(stream).or_insert(true);
                if !std::mem::replace(configured, true) {
                    self.late_configs.insert(stream, bytes);
                }
            }
            Entry::Message(stream, message) => {
                self.met.entry(stream).or_insert(false);
                if let Some(copies) = &mut self.copies {
                    copies.meet(stream, message);
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

    /// Makes a stream whose first configuration is missing, without limits until a configuration comes that is there. One that is deleted further on
    /// would take its name from a newer one: the record of that may have been written anew.
    fn adopt(&mut self, shard: &mut Shard, stream: StreamId) {
        if shard.streams.contains_key(&stream)
            || shard.graves.streams.contains_key(&stream)
            || self.deleted.contains(&stream)
        {
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

    pub(super) fn apply(
        &mut self,
        shard: &mut Shard,
        at: RecordAt,
        entry: Entry,
    ) -> Result<(), ReadError> {
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
                    let passed_over = target.last_seq().0 + 1..message.seq;
                    for copy in self.take_copies(stream, passed_over) {
                        target.replay_copy(&mut shard.log, &copy)?;
                    }
                    if let Some(from) = target.replay_message(&mut shard.log, &message)? {
                        shard.reclaim.note_copied(from);
                    }
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
                    // One that was written anew by an older checkpoint, when this one was in the catalog already, and not finished, tells of less.
                    let is_known = self.checkpointed.contains(&consumer)
                        && position < shard.checkpoint_position;
                    if !is_known {
                        entry.deltas.retain(|(at, _)| *at >= position);
                        entry.checkpoint = Some(state.into());
                    }
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

    fn take_copies(&mut self, stream: StreamId, seqs: Range<u64>) -> Vec<ReplayedMessage> {
        let copies = self.copies.as_mut();
        copies.map_or_else(Vec::new, |copies| copies.take(stream, seqs))
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
                let mut found = self.gathered.remove(&stream).unwrap_or_default();
                found.extend(self.take_copies(stream, 0..head.last + 1));
                target.rebuild(head, found);
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
