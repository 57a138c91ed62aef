//! One shard's log: segments on the disk, one open buffer in memory, group commit.
//!
//! The log knows records, not JetStream's rules: which of them are live is the caller's business, told
//! by [`Log::release`].
//!
//! ```text
//! append* -> take_commit (under the shard's lock) -> Commit::run (without it) -> finish_commit (under it)
//! ```
//!
//! At most one commit is in flight; appends go on meanwhile into the next open buffer.

mod error;
mod options;
mod position;
mod record;

use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub use error::{AppendError, CommitError, OpenError, ReadError};
pub use options::{LogOptions, SyncPolicy};
pub use position::{LogPosition, RecordAt, SegmentNo};
pub use record::{
    BatchCommit, ConsumerConfig, ConsumerDeleted, ConsumerKey, ConsumerProgress, ConsumerState,
    Delete, Message, Purge, Record, StreamConfig, StreamDeleted, StreamId, StreamState,
};

use crate::storage::Storage;

/// A shard's log.
#[derive(Debug)]
pub struct Log {}

/// A record met while opening.
#[derive(Debug, Clone, Copy)]
pub struct ReplayedRecord<'a> {
    /// Where it lies.
    pub at: RecordAt,
    /// What it says.
    pub record: Record<'a>,
}

/// What opening a log found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LogReport {
    /// Segments with records.
    pub segments: usize,
    /// Records given to the visitor.
    pub replayed: u64,
    /// Bytes behind the last durable record that an interrupted commit left and that do not count.
    pub torn_bytes: u64,
    /// Damage in what had been durable: these bytes were lost, their neighbours were not.
    pub damage: Vec<Damage>,
    /// Indexes that were missing or damaged and have been rebuilt.
    pub rebuilt_indexes: usize,
    /// Files that were set aside because they make no sense.
    pub set_aside: Vec<PathBuf>,
}

/// Bytes of a segment that should be records and are not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Damage {
    /// The segment.
    pub segment: SegmentNo,
    /// The first byte that is not a record.
    pub from: u32,
    /// The next byte that is one, or the segment's end.
    pub to: u32,
}

/// How many bytes of each segment are live, as the log counts them while it replays.
#[derive(Debug)]
pub struct LiveBytes {}

impl LiveBytes {
    /// This record, replayed now or before, is dead.
    pub fn release(&mut self, _at: RecordAt) {
        todo!()
    }
}

/// What a checkpoint must keep about the log, so that the next opening replays only what follows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogCheckpoint {
    /// Replay starts here.
    pub position: LogPosition,
    /// Live bytes of each segment.
    pub live: Vec<(SegmentNo, u32)>,
}

impl LogCheckpoint {
    /// For the catalog.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        todo!()
    }

    /// From [`LogCheckpoint::encode`]; `None` if the bytes make no sense.
    #[must_use]
    pub fn decode(_bytes: &[u8]) -> Option<Self> {
        todo!()
    }
}

/// A segment and how much of it still counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SegmentUsage {
    /// Which.
    pub segment: SegmentNo,
    /// Bytes used by records, live or dead.
    pub used: u32,
    /// Bytes of live records.
    pub live: u32,
    /// Whether the segment is full and will not be appended to. Only sealed segments can be recycled.
    pub sealed: bool,
}

/// A message found by an index.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Located {
    /// Its sequence.
    pub seq: u64,
    /// Its record.
    pub at: RecordAt,
}

/// What a walk over one stream's subjects in one segment says of a subject.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SubjectInSegment<'a> {
    /// The subject.
    pub subject: &'a [u8],
    /// How many message records it has there, dead ones included.
    pub records: u32,
    /// The lowest sequence.
    pub first: u64,
    /// The highest sequence.
    pub last: u64,
}

/// Which subjects are wanted, and what has been worked out about it: for each segment the set of its
/// subjects that match, so that the test runs once a subject and not once a message. Keep it with whoever asks
/// repeatedly (a consumer); forget it freely.
#[derive(Debug, Default)]
pub struct Selection {}

impl Selection {
    /// Nothing worked out yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }
}

/// A test of subjects.
pub type SubjectMatcher<'a> = &'a mut dyn FnMut(&[u8]) -> bool;

impl Log {
    /// Opens the log in `dir`, which is created when missing, and replays every record at or after the
    /// checkpoint (all without one), in order, to `visit`.
    ///
    /// Every replayed record counts as live unless `visit` releases it.
    /// An interrupted last commit is cut off at its first incomplete record; damage elsewhere is
    /// skipped and reported.
    ///
    /// # Errors
    /// [`OpenError`]; damage is not an error.
    pub fn open(
        _storage: Arc<dyn Storage>,
        _dir: &Path,
        _options: LogOptions,
        _checkpoint: Option<&LogCheckpoint>,
        _visit: &mut dyn FnMut(ReplayedRecord<'_>, &mut LiveBytes),
    ) -> Result<(Self, LogReport), OpenError> {
        todo!()
    }

    /// Encodes a record into the open buffer. It is readable at once, and durable when
    /// [`Log::durable`] has reached its [`RecordAt::end`].
    ///
    /// When the segment is full this makes the next one (a few system calls each 64 MiB), so that want of space shows
    /// here, before anything is promised.
    ///
    /// # Errors
    /// [`AppendError`]; nothing has changed then.
    pub fn append(&mut self, _record: &Record<'_>) -> Result<RecordAt, AppendError> {
        todo!()
    }

    /// The end of what has been appended.
    #[must_use]
    pub fn position(&self) -> LogPosition {
        todo!()
    }

    /// The end of what may be announced: written and fdatasynced, or only written under
    /// [`SyncPolicy::Interval`].
    #[must_use]
    pub fn durable(&self) -> LogPosition {
        todo!()
    }

    /// The end of what has been fdatasynced, whatever the policy.
    #[must_use]
    pub fn synced(&self) -> LogPosition {
        todo!()
    }

    /// Bytes appended since the log was opened.
    #[must_use]
    pub fn appended_bytes(&self) -> u64 {
        todo!()
    }

    /// Whether the log refuses writes for good, see [`CommitError::Fenced`].
    #[must_use]
    pub fn is_fenced(&self) -> bool {
        todo!()
    }

    /// Takes what is to be written. `None` when nothing is, or when a commit is in flight.
    pub fn take_commit(&mut self) -> Option<Commit> {
        todo!()
    }

    /// Whether written bytes wait for an fdatasync under [`SyncPolicy::Interval`] and the last one was at
    /// least the interval ago. `now`: nanoseconds since 1970 UTC.
    #[must_use]
    pub fn sync_due(&self, _now: i64) -> bool {
        todo!()
    }

    /// Like [`Log::take_commit`], but the commit ends with an fdatasync under every policy and also
    /// covers what earlier commits only wrote. For the sync interval, and for records that must be durable
    /// whatever the policy.
    pub fn take_sync(&mut self, _now: i64) -> Option<Commit> {
        todo!()
    }

    /// Ends a commit: the durable position advances, its buffer is reused, recycled segments are gone.
    ///
    /// # Errors
    /// [`CommitError`]: what to undo, or that the log is fenced.
    pub fn finish_commit(&mut self, _committed: Committed) -> Result<LogPosition, CommitError> {
        todo!()
    }

    /// The record at a place that [`Log::append`], [`Log::locate`] or the replay has named. Served from memory if recent,
    /// else from the disk with its checksum verified; sequential reads are served by large ones.
    ///
    /// # Errors
    /// [`ReadError`].
    pub fn read(&mut self, _at: RecordAt) -> Result<Record<'_>, ReadError> {
        todo!()
    }

    /// This record is dead: its bytes no longer count as live.
    pub fn release(&mut self, _at: RecordAt) {
        todo!()
    }

    /// All segments, oldest first; the last is the one being filled.
    pub fn segments(&self) -> impl Iterator<Item = SegmentUsage> {
        std::iter::empty()
    }

    /// Gives a sealed segment's space back. Its records can't be read or located from now on; the file goes at the end of the next
    /// commit, after everything appended so far is durable, so re-emit what must live first and
    /// call this right after. Until [`Log::is_recycled`] a crash can bring the segment back as it was: keep what
    /// supersedes its records (deletes, purges) live until then.
    pub fn recycle(&mut self, _segment: SegmentNo) {
        todo!()
    }

    /// Whether a segment is durably gone.
    #[must_use]
    pub fn is_recycled(&self, _segment: SegmentNo) -> bool {
        todo!()
    }

    /// Walks a sealed segment's records from `from` (0 for the start) for at most `max_bytes`, for rewriting what
    /// lives. Returns where to go on, or `None` at the end. Damaged bytes are skipped.
    ///
    /// # Errors
    /// [`ReadError`].
    pub fn scan(
        &mut self,
        _segment: SegmentNo,
        _from: u32,
        _max_bytes: u32,
        _visit: &mut dyn FnMut(ReplayedRecord<'_>),
    ) -> Result<Option<u32>, ReadError> {
        todo!()
    }

    /// What a checkpoint of everything durable needs. The caller's own state must reflect exactly the records before
    /// [`LogCheckpoint::position`], which is the append position: commit first, and keep the checkpoint only once
    /// [`Log::synced`] has reached it.
    #[must_use]
    pub fn checkpoint(&self) -> LogCheckpoint {
        todo!()
    }

    /// The newest record of a message, wherever it lies; dead ones are found as well until their segment is
    /// recycled.
    ///
    /// # Errors
    /// [`ReadError`] when an index could be neither loaded nor rebuilt.
    pub fn locate(&mut self, _stream: StreamId, _seq: u64) -> Result<Option<RecordAt>, ReadError> {
        todo!()
    }

    /// The message of the lowest sequence of at least `from` whose subject matches; dead ones are found as
    /// well. `matcher` must answer the same for the same subject as long as `selection` is kept.
    ///
    /// # Errors
    /// As [`Log::locate`].
    pub fn next_match(
        &mut self,
        _stream: StreamId,
        _from: u64,
        _selection: &mut Selection,
        _matcher: SubjectMatcher<'_>,
    ) -> Result<Option<Located>, ReadError> {
        todo!()
    }

    /// The mirror image of [`Log::next_match`]: the highest sequence of at most `from`.
    ///
    /// # Errors
    /// As [`Log::locate`].
    pub fn previous_match(
        &mut self,
        _stream: StreamId,
        _from: u64,
        _selection: &mut Selection,
        _matcher: SubjectMatcher<'_>,
    ) -> Result<Option<Located>, ReadError> {
        todo!()
    }

    /// How many messages in the range match, dead ones included, each sequence once.
    ///
    /// # Errors
    /// As [`Log::locate`].
    pub fn count(
        &mut self,
        _stream: StreamId,
        _range: RangeInclusive<u64>,
        _selection: &mut Selection,
        _matcher: SubjectMatcher<'_>,
    ) -> Result<u64, ReadError> {
        todo!()
    }

    /// Walks the subjects of a stream, segment by segment, oldest first; a subject comes once for each segment that
    /// has it.
    ///
    /// # Errors
    /// As [`Log::locate`].
    pub fn subjects(
        &mut self,
        _stream: StreamId,
        _visit: &mut dyn FnMut(SubjectInSegment<'_>),
    ) -> Result<(), ReadError> {
        todo!()
    }

    /// Work that is better done without the shard's lock, by any thread and in no hurry: writing the
    /// index of a sealed segment, preparing the next segment. Until it is done, the sealed segment's index stays in memory.
    pub fn take_maintenance(&mut self) -> Option<Maintenance> {
        todo!()
    }

    /// Takes the result of [`Maintenance::run`].
    pub fn finish_maintenance(&mut self, _maintained: Maintained) {
        todo!()
    }
}

/// What one group commit writes.
#[derive(Debug)]
pub struct Commit {}

impl Commit {
    /// The position that is durable when this has succeeded.
    #[must_use]
    pub fn end(&self) -> LogPosition {
        todo!()
    }

    /// One write and one fdatasync a touched segment, one of each as a rule. Blocks; holds no lock.
    #[must_use = "give it to Log::finish_commit"]
    pub fn run(self) -> Committed {
        todo!()
    }
}

/// What became of a [`Commit`].
#[derive(Debug)]
pub struct Committed {}

/// See [`Log::take_maintenance`].
#[derive(Debug)]
pub struct Maintenance {}

impl Maintenance {
    /// Does it. Blocks; holds no lock. Failures cost memory and time, never data.
    #[must_use = "give it to Log::finish_maintenance"]
    pub fn run(self) -> Maintained {
        todo!()
    }
}

/// What became of a [`Maintenance`].
#[derive(Debug)]
pub struct Maintained {}
