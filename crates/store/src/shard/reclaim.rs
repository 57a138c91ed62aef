//! Giving space back: segments with nothing live are recycled, mostly dead ones rewritten.
//!
//! A segment may go when nothing in it is needed by either way to start. A checkpoint must have seen it dead, so that checkpoint and
//! tail do without it; and for a rebuild without the catalog everything in it that still counts is written anew first:
//! live messages, configurations, stream heads (which tell what older deletes and purges removed), consumers' states, graves. Only when
//! that is durable does the segment go: a commit that fails takes it back.

use std::collections::{BTreeMap, BTreeSet};

use jetsled_jetstream_api::{Nanos, Timestamp};

use super::Shard;
use crate::log::{self, AppendError, LogPosition, Record, SegmentNo, SegmentUsage, StreamId};

/// Where the reclaiming of space stands.
#[derive(Debug, Default)]
pub(super) struct Reclaim {
    /// The sealed segment being rewritten and the offset to go on from.
    rewriting: Option<(SegmentNo, u32)>,
    /// Segments in which the last checkpoint saw nothing live. Only they may go: a start replays removals after the checkpoint, for
    /// which it reads the removed messages.
    recyclable: BTreeSet<SegmentNo>,
    /// Segments of which everything that counts was written anew; they go once that is synced, up to the position.
    leaving: BTreeMap<SegmentNo, LogPosition>,
    /// Segments from which messages were copied: their files are not reused, or those messages could not be erased.
    copied: BTreeSet<SegmentNo>,
    /// Segments with messages of streams that nobody knows, and how many: they stay.
    kept: BTreeMap<SegmentNo, u64>,
    /// Segments that could not be read to be rewritten; not tried again until a restart.
    unreadable: BTreeSet<SegmentNo>,
    wants_checkpoint: bool,
    /// Not before this time is worth while.
    next: Option<Timestamp>,
}

impl Reclaim {
    /// Much was removed: look soon.
    pub(super) fn hurry(&mut self) {
        self.next = None;
    }

    pub(super) fn copied(&self) -> &BTreeSet<SegmentNo> {
        &self.copied
    }

    pub(super) fn set_copied(&mut self, copied: BTreeSet<SegmentNo>) {
        self.copied = copied;
    }

    /// A message was copied from this segment.
    pub(super) fn note_copied(&mut self, from: SegmentNo) {
        self.copied.insert(from);
    }

    /// Forgets the segments that are gone.
    pub(super) fn keep_copied(&mut self, there: &BTreeSet<SegmentNo>) {
        self.copied.retain(|segment| there.contains(segment));
    }

    pub(super) fn kept(&self) -> &BTreeMap<SegmentNo, u64> {
        &self.kept
    }

    /// These segments stay, whatever lives in them.
    pub(super) fn keep(&mut self, kept: BTreeMap<SegmentNo, u64>) {
        for (segment, messages) in kept {
            *self.kept.entry(segment).or_default() += messages;
        }
    }

    pub(super) fn wants_checkpoint(&self) -> bool {
        self.wants_checkpoint
    }

    pub(super) fn checkpoint_done(&mut self, dead: BTreeSet<SegmentNo>) {
        self.recyclable = dead;
        self.wants_checkpoint = false;
        self.next = None;
    }
}

/// Bytes of a segment that one step reads.
const STEP_BYTES: u32 = 1 << 20;
/// How often to look for something to do.
const PAUSE: Nanos = Nanos::from_secs(2);

/// A live message on its way to a new segment.
struct Copied {
    stream: StreamId,
    seq: u64,
    timestamp: i64,
    lens: [usize; 3],
}

impl Shard {
    /// One bounded step; answers when the next one is worth while.
    pub(super) fn reclaim_step(&mut self, now: Timestamp) -> Option<Timestamp> {
        if self.log.is_fenced() {
            return None;
        }
        if self.reclaim.next.is_some_and(|next| now < next) {
            return self.reclaim.next;
        }
        // What is written anew goes by the last checkpoint, and of a stream that is behind the log it would make a start forget what the log
        // says ahead of it.
        if self.is_checkpoint_under_way() || self.has_overdue() {
            self.reclaim.next = Some(now.saturating_add(PAUSE));
            return self.reclaim.next;
        }
        let given_back = self.give_back();
        let worked = match self.reclaim.rewriting {
            Some((segment, from)) => self.rewrite(segment, from).map(|()| true),
            None => self.find_segment().map(|found| found || given_back),
        };
        match worked {
            Ok(true) => Some(now),
            Ok(false) => {
                self.reclaim.next = Some(now.saturating_add(PAUSE));
                self.reclaim.next
            }
            Err(error) => {
                tracing::warn!(%error, "reclaiming log space was put off");
                self.reclaim.rewriting = None;
                self.reclaim.next = Some(now.saturating_add(PAUSE));
                self.reclaim.next
            }
        }
    }

    /// Gives back the segments whose replacement is synced. Answers whether there were any.
    fn give_back(&mut self) -> bool {
        let synced = self.log.synced();
        let leaving = std::mem::take(&mut self.reclaim.leaving);
        let (gone, left): (BTreeMap<_, _>, BTreeMap<_, _>) = leaving
            .into_iter()
            .partition(|(_, replaced_up_to)| *replaced_up_to <= synced);
        self.reclaim.leaving = left;
        for segment in gone.keys() {
            if self.reclaim.copied.remove(segment) {
                self.log.discard(*segment);
            } else {
                self.log.recycle(*segment);
            }
        }
        if gone.keys().any(|segment| self.log.is_plain(*segment)) {
            let (shard, left) = (self.seat.number, self.plain_segments());
            tracing::info!(shard, left, "segments from before the store was encrypted");
        }
        !gone.is_empty()
    }

    /// Lets a dead segment leave or begins to rewrite one. Answers whether there was something to do.
    fn find_segment(&mut self) -> Result<bool, AppendError> {
        let live = self.live_bytes();
        // What is not synced can still turn out never to have been.
        let synced = self.log.synced();
        let sealed: Vec<SegmentUsage> = self
            .log
            .segments()
            .filter(|usage| {
                let end = LogPosition::new(usage.segment, usage.used);
                let is_synced = usage.segment < synced.segment();
                usage.sealed && (is_synced || self.log.is_plain(usage.segment) && end <= synced)
            })
            .filter(|usage| !self.reclaim.leaving.contains_key(&usage.segment))
            .filter(|usage| !self.reclaim.kept.contains_key(&usage.segment))
            .collect();
        let oldest = sealed.first().map(|usage| usage.segment);
        let mut sparse = None;
        for usage in sealed {
            let segment = usage.segment;
            let live = live.get(&segment).copied().unwrap_or(0);
            // What is from before the store was encrypted goes whatever lives there.
            let plain = self.log.is_plain(segment);
            if live > 0 && live * 2 > u64::from(usage.used) && !plain {
                continue;
            }
            if live == 0 {
                if self.reclaim.recyclable.remove(&segment) {
                    self.write_anew(segment, oldest == Some(segment))?;
                    return Ok(true);
                }
                self.reclaim.wants_checkpoint = true;
                continue;
            }
            if sparse.is_none() && !self.reclaim.unreadable.contains(&segment) {
                sparse = Some(segment);
            }
        }
        // Dead ones go first: a checkpoint takes a moment, rewriting a segment seconds, which a server that dies all the time never has.
        if let Some(segment) = sparse
            && !self.reclaim.wants_checkpoint
        {
            self.reclaim.rewriting = Some((segment, 0));
            return Ok(true);
        }
        self.bury();
        Ok(false)
    }

    /// Whether a commit would give space back, even if nothing was written.
    #[must_use]
    pub fn is_giving_back(&self) -> bool {
        self.log.is_giving_back()
    }

    /// Whether a commit would put records of a failed one out of the way, even if nothing was written: until then a start may find them.
    #[must_use]
    pub fn is_unsettled(&self) -> bool {
        self.log.is_unsettled()
    }

    /// How many segments from before the store was encrypted are still there.
    #[must_use]
    pub fn plain_segments(&self) -> usize {
        let segments = self.log.segments();
        segments
            .filter(|usage| self.log.is_plain(usage.segment))
            .count()
    }

    /// How many segments the log has.
    #[cfg(test)]
    pub(crate) fn segment_count(&self) -> usize {
        self.log.segments().count()
    }

    /// The sealed segments in which nothing lives.
    pub(super) fn dead_segments(&self) -> BTreeSet<SegmentNo> {
        let live = self.live_bytes();
        let sealed = self.log.segments().filter(|usage| usage.sealed);
        sealed
            .map(|usage| usage.segment)
            .filter(|segment| !live.contains_key(segment))
            .collect()
    }

    fn live_bytes(&self) -> BTreeMap<SegmentNo, u64> {
        let mut live = BTreeMap::new();
        for stream in self.streams.values() {
            for extent in stream.extents().iter() {
                *live.entry(extent.segment).or_default() += extent.live_bytes.max(extent.live);
            }
        }
        live
    }

    /// Writes anew what else the segment may hold, which then leaves.
    fn write_anew(&mut self, segment: SegmentNo, oldest: bool) -> Result<(), AppendError> {
        for stream in self.streams.values_mut() {
            if !stream.is_memory() && stream.needs_emission(segment) {
                Self::emit_stream(&mut self.log, stream)?;
            }
        }
        for (key, consumer) in &mut self.consumers {
            if !consumer.in_memory && consumer.needs_emission(segment) {
                consumer.emit(&mut self.log, *key, self.checkpoint_position)?;
            }
        }
        if oldest {
            self.graves.streams.retain(|_, at| at.segment() > segment);
            self.graves
                .consumers
                .retain(|_, (_, at)| at.segment() > segment);
        } else {
            for (stream, at) in &mut self.graves.streams {
                if at.segment() == segment {
                    let record = Record::StreamDeleted(log::StreamDeleted { stream: *stream });
                    *at = self.log.append(&record)?.start();
                }
            }
            for (consumer, (stream, at)) in &mut self.graves.consumers {
                if at.segment() == segment {
                    let record = log::ConsumerDeleted {
                        stream: *stream,
                        consumer: *consumer,
                    };
                    *at = self.log.append(&Record::ConsumerDeleted(record))?.start();
                }
            }
        }
        let replaced_up_to = self.log.position();
        self.reclaim.leaving.insert(segment, replaced_up_to);
        Ok(())
    }

    /// Forgets graves that no older segment can contradict.
    fn bury(&mut self) {
        let Some(oldest) = self.log.segments().map(|usage| usage.segment).next() else {
            return;
        };
        self.graves.streams.retain(|_, at| at.segment() > oldest);
        self.graves
            .consumers
            .retain(|_, (_, at)| at.segment() > oldest);
    }

    /// Copies the live messages of a stretch of a segment to the log's end.
    fn rewrite(&mut self, segment: SegmentNo, from: u32) -> Result<(), AppendError> {
        let mut bytes = Vec::new();
        let mut copied = Vec::new();
        let streams = &self.streams;
        let next = self.log.scan(segment, from, STEP_BYTES, &mut |replayed| {
            let Record::Message(message) = replayed.record else {
                return;
            };
            let lives = streams.get(&message.stream).is_some_and(|stream| {
                stream.is_live(message.seq)
                    && stream.extents().segment_of(message.seq) == Some(segment)
            });
            if lives {
                let parts = [message.subject, message.headers, message.payload];
                parts.iter().for_each(|part| bytes.extend_from_slice(part));
                copied.push(Copied {
                    stream: message.stream,
                    seq: message.seq,
                    timestamp: message.timestamp,
                    lens: parts.map(<[u8]>::len),
                });
            }
        });
        if !copied.is_empty() {
            self.reclaim.note_copied(segment);
        }
        let mut at = 0;
        for message in copied {
            let [subject, headers, payload] = message.lens.map(|len| {
                at += len;
                bytes.get(at - len..at).unwrap_or_default()
            });
            let to = self.log.append(&Record::Message(log::Message {
                stream: message.stream,
                seq: message.seq,
                timestamp: message.timestamp,
                subject,
                headers,
                payload,
            }))?;
            if let Some(stream) = self.streams.get_mut(&message.stream) {
                stream.relocated(message.seq, message.lens, to.segment);
            }
        }
        match next {
            Ok(Some(offset)) => self.reclaim.rewriting = Some((segment, offset)),
            Ok(None) => {
                self.reclaim.rewriting = None;
                self.drop_unreadable(segment);
                self.reclaim.wants_checkpoint = true;
            }
            Err(error) => {
                tracing::error!(%segment, %error, "a segment could not be read to be rewritten");
                self.reclaim.rewriting = None;
                self.reclaim.unreadable.insert(segment);
            }
        }
        Ok(())
    }

    /// After a segment was rewritten whole: what still counts as live there could not be read.
    fn drop_unreadable(&mut self, segment: SegmentNo) {
        for stream in self.streams.values_mut() {
            stream.lose_segment(segment);
        }
    }
}
