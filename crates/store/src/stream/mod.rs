//! One stream: its rules and its counters.
//!
//! Every change goes the same way: decide (may refuse), log, apply. A replay applies what was logged through the same functions, so that
//! memory after a restart is what it was. What limits remove at a publish is a function of configuration and state and is not
//! logged; everything else that leaves (expiry, purge, delete, release) is.

mod batch;
mod counter;
mod dedup;
mod extents;
mod memory;
mod meter;
mod overdue;
mod publish;
mod publish_headers;
mod read;
mod remove;
mod replay;
mod request;
mod restore;
mod schedules;
mod seq_set;
mod sequences;
mod snapshot;
mod source_positions;
mod subject_table;
mod ttl;
mod ttl_queue;

use std::collections::HashSet;
use std::ops::RangeInclusive;
use std::sync::Arc;

use jetsled_jetstream_api::{ApiError, StorageType, StreamConfig, StreamSeq, Timestamp};

use crate::log::{Log, LogPosition, Message, ReadError, Record, SegmentNo, StreamId};
pub use batch::{StagedBatch, StagedMessage};
use dedup::DedupWindow;
use extents::Extents;
use memory::MemoryMessages;
use meter::Metered;
pub use meter::{StorageMeter, StorageMeters};
use overdue::Overdue;
use publish::Edits;
pub(crate) use replay::ReplayedMessage;
pub use request::{
    ChangeError, DeletedDetails, Erase, MessageMeta, PendingCount, Publish, PublishError,
    Published, Purge, Purged, RecoveredConsumer, RemoveReason, Removed, Scheduled, Sender,
    StoredMessage, TooManyResults,
};
use schedules::Schedules;
pub(crate) use seq_set::SeqSet;
pub(crate) use snapshot::{Decoder, StreamHead, encode_bytes};
use source_positions::SourcePositions;
use subject_table::{SubjectId, SubjectTable};
use ttl_queue::TtlQueue;

/// A stream of a shard: identity, configuration, counters.
#[derive(Debug)]
pub struct Stream {
    id: StreamId,
    account: Box<str>,
    config: StreamConfig,
    created: Timestamp,

    /// One past `last` when empty.
    first: u64,
    last: u64,
    visible_last: u64,
    messages: u64,
    bytes: u64,
    metered: Metered,
    /// Of the message stored last; unset in a new stream.
    last_time: Timestamp,
    /// Empty if the message stored last had none.
    last_msg_id: Vec<u8>,
    /// Between `first` and `last`.
    gaps: SeqSet,
    subjects: SubjectTable,
    dedup: DedupWindow,
    ttls: TtlQueue,
    schedules: Schedules,
    /// How far its sources were copied.
    sources: SourcePositions,
    /// Messages below are gone or never expire by age.
    age_checked_below: u64,
    /// The message that expires by age next, with its time.
    age_head: Option<(u64, i64)>,
    /// Sequences that damage took.
    lost: SeqSet,
    /// Some of them were found since somebody has last asked.
    found_lost: bool,
    /// Since then: subjects that are known to count none of them.
    recounted: HashSet<SubjectId>,
    overdue: Overdue,

    /// Where a file stream's messages lie.
    extents: Extents,
    /// A memory stream's messages.
    memory: Option<MemoryMessages>,
    /// The last configuration and state in the log begin behind this.
    emitted_at: LogPosition,
    /// Whether a message has left or was copied since. A rebuild needs the record of each message that the last head says lives before
    /// that head, so a segment may not go while this is set.
    head_is_old: bool,
    /// Neither `first_seq` nor a purge has said where it begins: until the first message its sequences are told as 0.
    is_unused: bool,
    /// Published to since the last commit was taken.
    touched: bool,
    /// It is being filled from an archive.
    restoring: bool,
    /// Whether a newer stream of its name, in another shard, is the one that counts.
    set_aside: bool,
    /// What left while somebody watched.
    removed: Option<Vec<Removed>>,
    /// What was stored of the last message otherwise than it came.
    edits: Edits,
    /// In decimal digits.
    counter_value: String,
}

/// A stream's state lists at most so many lost sequences.
const LOST_LISTED: usize = 1 << 16;

impl Stream {
    pub(crate) fn new(
        id: StreamId,
        account: &str,
        config: StreamConfig,
        created: Timestamp,
    ) -> Self {
        let first = config.first_seq.get().max(1);
        let config_first_is_default = config.first_seq.is_zero();
        let memory = (config.storage == StorageType::Memory).then(MemoryMessages::default);
        let subjects = subject_table_for(&config);
        Self {
            id,
            account: account.into(),
            config,
            created,
            first,
            last: first - 1,
            visible_last: first - 1,
            messages: 0,
            bytes: 0,
            metered: Metered::default(),
            last_time: Timestamp::UNSET,
            last_msg_id: Vec::new(),
            gaps: SeqSet::default(),
            subjects,
            dedup: DedupWindow::default(),
            ttls: TtlQueue::default(),
            schedules: Schedules::default(),
            sources: SourcePositions::default(),
            age_checked_below: 0,
            age_head: None,
            lost: SeqSet::default(),
            found_lost: false,
            recounted: HashSet::new(),
            overdue: Overdue::default(),
            extents: Extents::default(),
            memory,
            emitted_at: LogPosition::ZERO,
            head_is_old: true,
            is_unused: config_first_is_default,
            touched: false,
            restoring: false,
            set_aside: false,
            removed: None,
            edits: Edits::default(),
            counter_value: String::new(),
        }
    }

    /// Its number in the shard.
    #[must_use]
    pub fn id(&self) -> StreamId {
        self.id
    }

    /// The account that owns it.
    #[must_use]
    pub fn account(&self) -> &str {
        &self.account
    }

    /// Its configuration.
    #[must_use]
    pub fn config(&self) -> &StreamConfig {
        &self.config
    }

    /// When it was created.
    #[must_use]
    pub fn created(&self) -> Timestamp {
        self.created
    }

    /// The lowest sequence still stored; one past the last when empty.
    #[must_use]
    pub fn first_seq(&self) -> StreamSeq {
        StreamSeq(self.first)
    }

    /// The highest sequence given, durable or not.
    #[must_use]
    pub fn last_seq(&self) -> StreamSeq {
        StreamSeq(self.last)
    }

    /// The highest sequence that is durable: what consumers may see.
    #[must_use]
    pub fn visible_last_seq(&self) -> StreamSeq {
        StreamSeq(if self.memory.is_some() {
            self.last
        } else {
            self.visible_last
        })
    }

    /// When the message stored last was stored; unset in a new stream.
    #[must_use]
    pub fn last_time(&self) -> Timestamp {
        self.last_time
    }

    /// How many messages it holds.
    #[must_use]
    pub fn messages(&self) -> u64 {
        self.messages
    }

    /// Their bytes, counted as nats-server counts them.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// How many subjects they have.
    #[must_use]
    pub fn num_subjects(&self) -> u64 {
        self.subjects.len() as u64
    }

    /// How many messages damage took.
    #[must_use]
    pub fn lost_messages(&self) -> u64 {
        self.lost.len()
    }

    /// Whether more of them were found to be lost since the last time that this was asked. The log does not say so.
    pub(crate) fn take_found_lost(&mut self) -> bool {
        std::mem::take(&mut self.found_lost)
    }

    /// The value of the counter to which the last publish added, in decimal digits.
    #[must_use]
    pub fn counter_value(&self) -> &str {
        &self.counter_value
    }

    /// Whether it is being filled from an archive, see [`Shard::begin_restore`](crate::Shard::begin_restore).
    #[must_use]
    pub fn is_restoring(&self) -> bool {
        self.restoring
    }

    pub(crate) fn set_restoring(&mut self, restoring: bool) {
        self.restoring = restoring;
    }

    /// Whether it stands behind a newer stream of its account and name, see [`SetAside`](crate::SetAside): it can be read, and nothing of it expires.
    #[must_use]
    pub fn is_set_aside(&self) -> bool {
        self.set_aside
    }

    pub(crate) fn set_aside(&mut self) {
        self.set_aside = true;
    }

    /// The sequences that damage took, as runs of first and last, ascending. A purge forgets those that it covers.
    pub fn lost(&self) -> impl Iterator<Item = (StreamSeq, StreamSeq)> {
        self.lost
            .runs()
            .map(|(first, last)| (StreamSeq(first), StreamSeq(last)))
    }

    /// Whether its messages are in memory only.
    #[must_use]
    pub fn is_memory(&self) -> bool {
        self.memory.is_some()
    }

    /// Tells its account how many bytes it has now. Answers the change since the last time, as a number that wraps around.
    pub(crate) fn settle(&mut self) -> u64 {
        self.metered.settle(self.bytes)
    }

    pub(crate) fn join_server_meter(&mut self, meter: Arc<StorageMeter>) {
        self.metered.join_server(meter);
    }

    pub(crate) fn join_account_meter(&mut self, meter: Option<Arc<StorageMeter>>) {
        self.metered.join_account(meter);
    }

    pub(crate) fn account_meter(&self) -> Option<&Arc<StorageMeter>> {
        self.metered.account()
    }

    /// Whether server and account have room for a message of these lengths of subject, headers and payload.
    pub(crate) fn check_room(&self, lens: [usize; 3]) -> Result<(), ApiError> {
        let [subject, headers, payload] = lens;
        self.metered.check_server()?;
        let bytes = self.size_of(subject, headers, payload);
        self.metered.check_account(bytes)
    }

    pub(crate) fn extents(&self) -> &Extents {
        &self.extents
    }

    /// A live message, of these lengths of subject, headers and payload, was copied to another segment.
    pub(crate) fn relocated(&mut self, seq: u64, lens: [usize; 3], to: SegmentNo) {
        self.head_is_old = true;
        self.relocate(seq, lens, to);
    }

    /// Notes that a live message's record is in this segment now. Answers where it was, if that is elsewhere.
    fn relocate(&mut self, seq: u64, lens: [usize; 3], to: SegmentNo) -> Option<SegmentNo> {
        let run = self.extents.run_of(seq).filter(|run| run.segment != to)?;
        let [subject, headers, payload] = lens;
        let bytes = self.size_of(subject, headers, payload);
        // Those that were not copied before it, in order.
        let below = self.count_live(run.first, seq - 1);
        self.extents.relocate(seq, bytes, below, to);
        Some(run.segment)
    }

    /// What is said to live in this segment can not be read.
    pub(crate) fn lose_segment(&mut self, segment: SegmentNo) {
        let runs: Vec<(u64, u64)> = self
            .extents
            .iter()
            .filter(|extent| extent.segment == segment)
            .map(|extent| (extent.first, extent.last))
            .collect();
        for (first, last) in runs {
            let mut from = first;
            while let Some(seq) = self.next_live(from).filter(|seq| *seq <= last) {
                self.lose(seq);
                from = seq + 1;
            }
        }
    }

    /// When the clock has work here.
    pub(crate) fn next_due(
        &mut self,
        log: &mut Log,
        now: Timestamp,
    ) -> Result<Option<Timestamp>, ReadError> {
        let window = self.config.duplicate_window;
        self.dedup.expire(now.saturating_sub(window).0);
        let dedup = self
            .dedup
            .oldest()
            .map(|time| Timestamp(time).saturating_add(window));
        let next_schedule = self.schedules.next().filter(|_| !self.config.sealed);
        let scheduled = next_schedule.map(Timestamp);
        Ok([self.next_expiry(log)?, dedup, scheduled]
            .into_iter()
            .flatten()
            .min())
    }

    /// Whether a rebuild would miss this segment, in which nothing lives any more: it holds the last head, or may hold the only record
    /// before the last head of a message that the head says lives.
    pub(crate) fn needs_emission(&self, segment: SegmentNo) -> bool {
        self.head_is_old || self.emitted_at.segment() <= segment
    }

    /// Its configuration, as of now or later, lies at this position.
    pub(crate) fn set_emitted_at(&mut self, position: LogPosition) {
        self.emitted_at = position;
    }

    /// Its configuration and head as of now begin at this position.
    pub(crate) fn emitted(&mut self, position: LogPosition) {
        self.emitted_at = position;
        self.head_is_old = false;
    }

    pub(crate) fn set_last_time(&mut self, time: Timestamp) {
        self.last_time = time;
    }

    pub(crate) fn set_visible_last(&mut self, seq: u64) {
        self.visible_last = self.visible_last.max(seq);
    }

    /// Notes that it was published to; answers whether that is news since the last commit was taken.
    #[inline]
    pub(crate) fn touch(&mut self) -> bool {
        !std::mem::replace(&mut self.touched, true)
    }

    pub(crate) fn untouch(&mut self) {
        self.touched = false;
    }

    pub(crate) fn watch_removed(&mut self, watched: bool) {
        match (watched, &self.removed) {
            (true, None) => self.removed = Some(Vec::new()),
            (false, Some(_)) => self.removed = None,
            _ => {}
        }
    }

    pub(crate) fn take_removed(&mut self, out: &mut Vec<Removed>) {
        if let Some(removed) = &mut self.removed {
            out.append(removed);
        }
    }

    /// Whether the message is there; without a look at the log.
    #[must_use]
    pub fn contains(&self, seq: StreamSeq) -> bool {
        self.is_live(seq.get())
    }

    pub(crate) fn is_live(&self, seq: u64) -> bool {
        self.messages > 0 && seq >= self.first && seq <= self.last && !self.gaps.contains(seq)
    }

    /// The first message at or above `from`.
    fn next_live(&self, from: u64) -> Option<u64> {
        let seq = self.gaps.next_absent(from.max(self.first));
        (self.messages > 0 && seq <= self.last).then_some(seq)
    }

    /// Messages without a gap: `seqs` up to the first one that does not live.
    fn live_run(&self, seqs: RangeInclusive<u64>) -> RangeInclusive<u64> {
        let (first, last) = (*seqs.start(), *seqs.end());
        let mut end = last.min(self.last);
        if let Some(gap) = self.gaps.next_present(first) {
            end = end.min(gap.saturating_sub(1));
        }
        if self.messages == 0 || first < self.first {
            end = first.saturating_sub(1);
        }
        first..=end
    }

    /// The last message at or below `from`.
    fn previous_live(&self, from: u64) -> Option<u64> {
        let seq = self.gaps.previous_absent(from.min(self.last));
        (self.messages > 0 && seq >= self.first).then_some(seq)
    }

    /// How many messages lie from `first` to `last`.
    fn count_live(&self, first: u64, last: u64) -> u64 {
        let (first, last) = (first.max(self.first), last.min(self.last));
        if first > last {
            0
        } else {
            last - first + 1 - self.gaps.count(first, last)
        }
    }

    /// A message's accounted size, as nats-server counts it.
    #[inline]
    fn size_of(&self, subject_len: usize, header_len: usize, payload_len: usize) -> u64 {
        let bytes = (subject_len + header_len + payload_len) as u64;
        if self.memory.is_some() {
            bytes + 16
        } else {
            bytes + 30 + if header_len > 0 { 4 } else { 0 }
        }
    }

    /// Checks what must hold between calls. For tests.
    #[cfg(test)]
    pub(crate) fn validate(&self) {
        assert!(
            self.first >= 1 && self.first <= self.last + 1,
            "{} {}",
            self.first,
            self.last
        );
        let span = self.last + 1 - self.first;
        assert_eq!(
            span,
            self.messages + self.gaps.len(),
            "messages and gaps fill the span"
        );
        let counted: u64 = self
            .subjects
            .iter()
            .map(|(.., entry)| u64::from(entry.count))
            .sum();
        assert_eq!(counted, self.messages, "subjects count all messages");
        if self.messages == 0 {
            assert_eq!((self.first, self.bytes), (self.last + 1, 0));
        } else {
            assert!(self.is_live(self.first), "the first message lives");
        }
        if self.memory.is_none() {
            let (live, bytes) = self.extents.iter().fold((0, 0), |(live, bytes), extent| {
                (live + extent.live, bytes + extent.live_bytes)
            });
            assert_eq!(
                (live, bytes),
                (self.messages, self.bytes),
                "extents cover all messages"
            );
            for run in self.extents.iter() {
                let live = self.count_live(run.first, run.last);
                assert_eq!((run.live, live > 0), (live, true), "{run:?}");
            }
        }
    }
}

/// A small `max_msgs_per_subject` needs each subject's sequences.
fn subject_table_for(config: &StreamConfig) -> SubjectTable {
    if (2..=HISTORY_MAX).contains(&config.max_msgs_per_subject) {
        SubjectTable::with_history()
    } else {
        SubjectTable::default()
    }
}

/// Up to so many messages of a subject are remembered one by one (64 is the largest history of a key-value bucket).
const HISTORY_MAX: i64 = 64;

/// The message at `seq`, if it is stored, dead or alive.
fn fetch<'a>(
    memory: Option<&'a MemoryMessages>,
    log: &'a mut Log,
    stream: StreamId,
    seq: u64,
) -> Result<Option<StoredMessage<'a>>, ReadError> {
    read(memory, log, stream, seq, false)
}

/// As [`fetch`], but also what an erasure has left: for a replay, which meets it before its deletion, and for removing it.
fn fetch_erased_too<'a>(
    memory: Option<&'a MemoryMessages>,
    log: &'a mut Log,
    stream: StreamId,
    seq: u64,
) -> Result<Option<StoredMessage<'a>>, ReadError> {
    read(memory, log, stream, seq, true)
}

fn read<'a>(
    memory: Option<&'a MemoryMessages>,
    log: &'a mut Log,
    stream: StreamId,
    seq: u64,
    erased_too: bool,
) -> Result<Option<StoredMessage<'a>>, ReadError> {
    if let Some(memory) = memory {
        return Ok(memory.get(seq));
    }
    let Some(at) = log.locate(stream, seq)? else {
        return Ok(None);
    };
    let message = match log.read(at)? {
        Record::Message(message) => message,
        Record::ErasedMessage(message) if erased_too => message,
        _ => return Err(ReadError::Damaged(at)),
    };
    if message.stream == stream && message.seq == seq {
        Ok(Some(stored(&message)))
    } else {
        Err(ReadError::Damaged(at))
    }
}

fn stored<'a>(message: &Message<'a>) -> StoredMessage<'a> {
    StoredMessage {
        seq: StreamSeq(message.seq),
        timestamp: Timestamp(message.timestamp),
        subject: message.subject,
        headers: message.headers,
        payload: message.payload,
    }
}
