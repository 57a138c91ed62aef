//! A shard's checkpoint in the catalog, written and read.

use std::collections::{BTreeMap, BTreeSet};

use crate::Stream;
use crate::catalog::{Catalog, CatalogError, Section};
use crate::checkpoint::{LOG_KEY, SHARD_KEY};
use crate::log::{ConsumerKey, Log, LogCheckpoint, LogPosition, SegmentNo, StreamId};
use crate::shard::consumers::ConsumerEntry;
use crate::shard::{Graves, Shard, StoredConfig};
use crate::stream::{Decoder, encode_bytes};

impl Shard {
    /// The counters and graves, for a checkpoint.
    pub(in crate::shard) fn encode_counters(&self) -> Vec<u8> {
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
    pub(in crate::shard) fn encode(&self) -> Vec<u8> {
        let mut out = self.stream.0.to_le_bytes().to_vec();
        out.extend_from_slice(&self.emitted_at.to_u64().to_le_bytes());
        encode_bytes(&mut out, self.name.as_bytes());
        out.extend_from_slice(&self.config);
        out
    }

    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
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
pub(super) struct Checkpointed {
    pub(super) log: LogCheckpoint,
    pub(super) next_stream: u32,
    pub(super) next_consumer: u32,
    pub(super) graves: Graves,
    pub(super) copied: BTreeSet<SegmentNo>,
    pub(super) kept: BTreeMap<SegmentNo, u64>,
    pub(super) streams: BTreeMap<StreamId, Stream>,
    pub(super) consumers: BTreeMap<ConsumerKey, Box<ConsumerEntry>>,
}

/// What the catalog had of a shard.
#[derive(Debug, Default)]
pub(crate) struct Loaded {
    /// The newest checkpoint, if there is one that can be used.
    pub(super) checkpoint: Option<Checkpointed>,
    /// Why the newest one can not be used, if there is one.
    pub(super) unusable: Option<String>,
    /// Whether the catalog itself is at fault: nothing should be written to it any more.
    is_damage: bool,
}

impl Loaded {
    pub(crate) fn of_shard(catalog: &Catalog, number: u8) -> Self {
        let (reason, is_damage) = match Checkpointed::load(catalog, number) {
            Ok(Ok(checkpoint)) => {
                return Self {
                    checkpoint,
                    ..Self::default()
                };
            }
            Ok(Err(senseless)) => (senseless, false),
            Err(error) => (error.to_string(), error.is_damage()),
        };
        tracing::warn!(
            shard = number,
            reason,
            "checkpoint is unusable, rebuilding from the log"
        );
        Self {
            checkpoint: None,
            unusable: Some(reason),
            is_damage,
        }
    }

    /// Why the catalog is not to be used any more.
    pub(crate) fn damage(&self) -> Option<&str> {
        self.unusable.as_deref().filter(|_| self.is_damage)
    }
}

impl Checkpointed {
    /// Whether every segment is there in which it says that something lives, or from which what came after it is replayed. An older catalog
    /// that was put back tells of segments that have been given back since.
    pub(super) fn fits(&self, log: &Log) -> bool {
        let there: BTreeSet<SegmentNo> = log.segments().map(|usage| usage.segment).collect();
        let streams = self.streams.values();
        let mut lives = streams.flat_map(|stream| stream.extents().iter());
        let from = self.log.position.segment();
        // The log was empty, since its first segment could not be made.
        let was_empty = self.log.position.offset() == 0;
        let mut before = None;
        let mut replayed = log.segments().filter(|usage| usage.segment >= from);
        lives.all(|extent| there.contains(&extent.segment))
            && replayed.all(|usage| match before.replace(usage.segment) {
                Some(before) => usage.follows(before),
                None => usage.segment == from || was_empty && usage.previous.is_none(),
            })
    }

    /// The newest checkpoint; `None` if there is none, the reason if it makes no sense.
    fn load(catalog: &Catalog, shard: u8) -> Result<Result<Option<Self>, String>, CatalogError> {
        let mut log = None;
        let mut counters = None;
        let mut streams = BTreeMap::new();
        let mut consumers = BTreeMap::new();
        let mut bad: Option<Section> = None;
        let found = catalog.load(shard, &mut |section, key, value| {
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
        if found?.is_none() {
            return Ok(Ok(None));
        }
        if let Some(section) = bad {
            return Ok(Err(format!("section {section:?} makes no sense")));
        }
        let (Some(log), Some(counters)) = (log, counters) else {
            return Ok(Err("it has no log position, or no counters".to_owned()));
        };
        Ok(Ok(Some(Self {
            log,
            next_stream: counters.next_stream,
            next_consumer: counters.next_consumer,
            graves: counters.graves,
            copied: counters.copied,
            kept: counters.kept,
            streams,
            consumers,
        })))
    }
}

fn number(key: &[u8]) -> Option<u32> {
    key.try_into().ok().map(u32::from_be_bytes)
}

/// What a checkpoint has of the shard itself.
#[derive(Debug)]
pub(super) struct Counters {
    next_stream: u32,
    next_consumer: u32,
    graves: Graves,
    copied: BTreeSet<SegmentNo>,
    kept: BTreeMap<SegmentNo, u64>,
}

pub(super) fn decode_counters(bytes: &[u8]) -> Option<Counters> {
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
