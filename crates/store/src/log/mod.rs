//! One shard's log: segments on the disk, one open buffer in memory, group commit.
//!
//! The log knows records, not JetStream's rules: which of them are live is the caller's business,
//! told by [`Log::release`].
//!
//! ```text
//! append* -> take_commit (under the shard's lock) -> Commit::run (without it) -> finish_commit (under it)
//! ```
//!
//! At most one commit is in flight; appends go on meanwhile into the next open buffer. The bytes on
//! the disk are described in `docs/storage-format.md`.

mod append;
mod batch;
mod commit;
mod disk;
mod erase;
mod error;
mod examine;
mod extent;
mod follow;
mod frame;
#[doc(hidden)]
pub mod fuzzing;
mod group;
mod guard;
mod index;
mod live;
mod locate;
mod lookup;
mod maintenance;
mod memory;
mod options;
mod position;
mod record;
mod recovery;
mod report;
mod scan;
mod segment;
mod syncs;
mod unfinished;

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

pub use commit::{Commit, Committed};
pub use erase::Erasure;
pub(crate) use erase::InterruptedErasures;
pub use error::{AppendError, CommitError, OpenError, ReadError};
pub(crate) use examine::{Examined, IndexFile};
pub(crate) use extent::{Extent, extent};
pub(crate) use follow::Pass;
pub use index::{Located, Selection, SubjectInSegment, SubjectMatcher};
pub use live::{LiveBytes, LogCheckpoint};
pub use maintenance::{Maintained, Maintenance};
pub use options::{LogKeys, LogOptions, SyncPolicy};
pub use position::{LogPosition, RecordAt, SegmentNo};
pub use record::{
    BatchCommit, ConsumerConfig, ConsumerDeleted, ConsumerKey, ConsumerProgress, ConsumerState,
    Delete, Erase, Message, Purge, Record, SourcePosition, StreamConfig, StreamDeleted, StreamId,
    StreamState,
};
pub use report::{Damage, LogReport, ReplayedRecord, SegmentUsage};
pub(crate) use segment::highest_segment;

use commit::Recycle;
use disk::Disk;
use follow::Following;
use guard::Guard;
use index::building::BuildingIndex;
use index::directory::{Directory, SectionCache};
use locate::LastSection;
use memory::Memory;
use scan::{Found, Scan};
pub(crate) use segment::{LogFile, SEGMENT_HEADER, segment_path};
use syncs::Syncs;

use crate::crypt::SALT;
use crate::storage::{Storage, StorageFile};

/// A shard's log.
pub struct Log {
    storage: Arc<dyn Storage>,
    dir: PathBuf,
    options: LogOptions,
    /// The segment being filled; none right after opening, if the last one was full.
    active: Option<Active>,
    /// Sealed segments, oldest first.
    sealed: BTreeMap<SegmentNo, Sealed>,
    /// Never goes back, so that no number is used twice.
    next_segment: SegmentNo,
    session: u32,
    /// What this session's records are sealed with, beside the key.
    salt: [u8; SALT],
    /// A resume mark must be durable before anything else is written.
    resume: bool,
    /// The open or taken commit begins with that mark.
    barrier: bool,
    memory: Memory,
    disk: Disk,
    /// Segments below this one have index files.
    unindexed_from: SegmentNo,
    directory: Directory,
    sections: SectionCache,
    last_section: Option<LastSection>,
    /// Where messages lie that were located lately, in the order in which they were asked for.
    located: VecDeque<(StreamId, u64, RecordAt)>,
    following: Following,
    /// Emptied files to reuse, by the number in their name.
    spares: Vec<SegmentNo>,
    /// Segments given back, whose files still stand.
    recycling: Vec<Recycle>,
    /// Segments begun by commits that failed: they go before anything more is written.
    voided: Vec<SegmentNo>,
    /// What the open commit overwrites when it is durable.
    erasures: Vec<Erasure>,
    /// A buffer for sealing commits.
    sealing: Vec<u8>,
    /// Files have been made or renamed since the directory was last synced.
    new_names: bool,
    /// Where the open commit begins.
    commit_start: LogPosition,
    in_flight: bool,
    /// Where the open batch begins in the active segment.
    batch: Option<u32>,
    maintaining: bool,
    /// Its index is being written: it is not given back meanwhile.
    indexing: Option<SegmentNo>,
    /// Writing an index failed: not tried again before the next segment.
    maintenance_failed: Option<SegmentNo>,
    written: LogPosition,
    synced: LogPosition,
    last_sync: i64,
    appended_bytes: u64,
    syncs: Arc<Syncs>,
    fenced: Option<Arc<io::Error>>,
}

/// The segment being filled.
struct Active {
    segment: SegmentNo,
    guard: Guard,
    /// Bytes that the segment may hold.
    len: u32,
    /// Where the next record goes.
    end: u32,
    /// See the frame's field of this name.
    stable: u32,
    live: u32,
    /// See [`SegmentUsage::previous`].
    previous: Option<SegmentNo>,
    file: Arc<dyn StorageFile>,
    index: BuildingIndex,
}

/// A segment that is full.
struct Sealed {
    used: u32,
    live: u32,
    session: u32,
    /// See [`SegmentUsage::previous`].
    previous: Option<SegmentNo>,
    /// Until its index file is written.
    building: Option<Unindexed>,
}

struct Unindexed {
    file: Arc<dyn StorageFile>,
    len: u32,
    index: Arc<BuildingIndex>,
}

impl fmt::Debug for Log {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Log")
            .field("dir", &self.dir)
            .field("position", &self.position())
            .field("written", &self.written)
            .field("synced", &self.synced)
            .field("sealed", &self.sealed.len())
            .field("fenced", &self.fenced)
            .finish_non_exhaustive()
    }
}

impl Log {
    /// The end of what has been appended.
    #[must_use]
    pub fn position(&self) -> LogPosition {
        match &self.active {
            Some(active) => LogPosition::new(active.segment, active.end),
            None => self.commit_start,
        }
    }

    /// The end of what may be announced: written and fdatasynced, or only written under
    /// [`SyncPolicy::Interval`].
    #[must_use]
    pub fn durable(&self) -> LogPosition {
        match self.options.sync {
            SyncPolicy::EveryCommit => self.synced,
            SyncPolicy::Interval(_) => self.written,
        }
    }

    /// The end of what has been fdatasynced, whatever the policy.
    #[must_use]
    pub fn synced(&self) -> LogPosition {
        self.synced
    }

    /// Bytes that wait for a commit to write them. Costs in proportion to their megabytes.
    pub fn unwritten_bytes(&self) -> usize {
        self.memory.open_bytes()
    }

    /// Bytes appended since the log was opened.
    #[must_use]
    pub fn appended_bytes(&self) -> u64 {
        self.appended_bytes
    }

    /// Whether the log refuses writes for good, see [`CommitError::Fenced`].
    #[must_use]
    pub fn is_fenced(&self) -> bool {
        self.fenced.is_some()
    }

    /// Refuses writes from here on, as after a failed sync: what is in memory may not be what the log says.
    pub fn fence(&mut self, reason: io::Error) {
        self.fenced.get_or_insert_with(|| Arc::new(reason));
    }

    /// The record at a place that [`Log::append`], [`Log::locate`] or the replay has named. Served
    /// from memory if recent, else from the disk with its checksum verified; sequential reads are
    /// served by large ones.
    ///
    /// # Errors
    /// [`ReadError`].
    pub fn read(&mut self, at: RecordAt) -> Result<Record<'_>, ReadError> {
        let frame = match self.memory.get(at) {
            Some(bytes) => frame::decode_trusted(bytes),
            None => {
                let window = match self.disk.window_of(at) {
                    Some(window) => window,
                    None => {
                        let written = self.written_in(at.segment)?;
                        self.disk.load(at, written)?
                    }
                };
                Some(self.disk.read_in(window, at)?)
            }
        };
        frame
            .and_then(|frame| frame.record())
            .ok_or(ReadError::Damaged(at))
    }

    /// How far a segment's file holds records that may be read.
    fn written_in(&self, segment: SegmentNo) -> Result<u32, ReadError> {
        if segment == self.written.segment() {
            return Ok(self.written.offset());
        }
        match self.sealed.get(&segment) {
            Some(sealed) if segment < self.written.segment() => Ok(sealed.used),
            _ => Err(ReadError::NoSegment(segment)),
        }
    }

    /// This record is dead: its bytes no longer count as live.
    pub fn release(&mut self, at: RecordAt) {
        let live = match &mut self.active {
            Some(active) if active.segment == at.segment => &mut active.live,
            _ => match self.sealed.get_mut(&at.segment) {
                Some(sealed) => &mut sealed.live,
                None => return,
            },
        };
        *live = live.saturating_sub(at.footprint());
    }

    /// All segments, oldest first; the last is the one being filled.
    pub fn segments(&self) -> impl Iterator<Item = SegmentUsage> {
        let sealed = self.sealed.iter().map(|(segment, sealed)| SegmentUsage {
            segment: *segment,
            used: sealed.used,
            live: sealed.live,
            sealed: true,
            previous: sealed.previous,
        });
        let active = self.active.iter().map(|active| SegmentUsage {
            segment: active.segment,
            used: active.end,
            live: active.live,
            sealed: false,
            previous: active.previous,
        });
        sealed.chain(active)
    }

    /// Gives a sealed segment's space back; any other is left alone. Its records can't be read or
    /// located from now on; the file goes at the end of the next commit that syncs. What must live is
    /// re-emitted first, and synced: a commit that fails would void it, and the segment is not taken back. Until
    /// [`Log::is_recycled`] a crash can bring the segment back as it was: keep what supersedes
    /// its records (deletes, purges) live until then.
    pub fn recycle(&mut self, segment: SegmentNo) {
        self.give_back(segment, true);
    }

    /// As [`Log::recycle`], but the file is removed instead of reused: it holds copies of messages that live elsewhere, which must not
    /// be left over when those are erased.
    pub fn discard(&mut self, segment: SegmentNo) {
        self.give_back(segment, false);
    }

    fn give_back(&mut self, segment: SegmentNo, keep: bool) {
        if segment < self.synced.segment() && self.sealed.remove(&segment).is_some() {
            self.forget_places();
            self.directory.remove(segment);
            self.sections.forget(segment);
            self.disk.forget(segment);
            // A spare must hold nothing that is plain.
            let keep = keep && !self.is_plain(segment);
            self.recycling.push(Recycle { segment, keep });
        }
    }

    /// Whether segments go at the end of the next commit that syncs.
    #[must_use]
    pub fn is_giving_back(&self) -> bool {
        !self.recycling.is_empty()
    }

    /// Records are about to go from where they are.
    fn forget_places(&mut self) {
        self.located.clear();
        self.following.forget();
        self.last_section = None;
    }

    /// Whether a segment is from before the log was sealed: its records may be plain.
    #[must_use]
    pub fn is_plain(&self, segment: SegmentNo) -> bool {
        let keys = self.options.keys.as_ref();
        keys.is_some_and(|keys| keys.may_be_plain(segment))
    }

    /// Whether a segment is durably gone.
    #[must_use]
    pub fn is_recycled(&self, segment: SegmentNo) -> bool {
        segment < self.next_segment
            && !self.sealed.contains_key(&segment)
            && !self.recycling.iter().any(|other| other.segment == segment)
            && !self.voided.contains(&segment)
            && self
                .active
                .as_ref()
                .is_none_or(|active| active.segment != segment)
    }

    /// Walks a segment's written records from `from` (0 for the start) for at least one record and at
    /// most about `max_bytes`, for rewriting what lives and for replaying. Returns where to go on, or `None` at the
    /// end. Damaged bytes are skipped.
    ///
    /// # Errors
    /// [`ReadError`].
    pub fn scan(
        &mut self,
        segment: SegmentNo,
        from: u32,
        max_bytes: u32,
        visit: &mut dyn FnMut(ReplayedRecord<'_>),
    ) -> Result<Option<u32>, ReadError> {
        let used = if segment == self.written.segment() {
            self.written.offset()
        } else {
            let sealed = self.sealed.get(&segment);
            let sealed = sealed.filter(|_| segment < self.written.segment());
            sealed.ok_or(ReadError::NoSegment(segment))?.used
        };
        let file = self.disk.file(segment)?;
        let start = from.max(SEGMENT_HEADER).next_multiple_of(8);
        let guard = self.options.guards().of(segment);
        let mut scan = Scan::new(&*file, segment, guard, (start, used), 0);
        loop {
            match scan
                .step()
                .map_err(|source| ReadError::Io { segment, source })?
            {
                Found::End => return Ok(None),
                Found::Frame { at, frame, .. } => {
                    if let Some(record) = frame.record() {
                        visit(ReplayedRecord { at, record });
                    }
                    let next = at.end().offset();
                    if next - start >= max_bytes {
                        return Ok(Some(next));
                    }
                }
            }
        }
    }

    /// What a checkpoint taken now needs. The caller's own state must reflect exactly the records
    /// before [`LogCheckpoint::position`], which is the append position: commit first, and keep
    /// the checkpoint only once [`Log::synced`] has reached it.
    #[must_use]
    pub fn checkpoint(&self) -> LogCheckpoint {
        let live = self
            .segments()
            .map(|usage| (usage.segment, usage.live))
            .collect();
        LogCheckpoint {
            position: self.position(),
            live,
        }
    }
}
