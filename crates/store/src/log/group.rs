//! Group commit under the shard's lock: taking one, and what its end means.

use std::sync::Arc;

use super::commit::{Commit, Committed, Outcome, Recycle, Sealing, Write};
use super::frame::FRAME_HEADER;
use super::record::kind;
use super::segment::SEGMENT_HEADER;
use super::{Active, CommitError, Log, LogPosition, SegmentNo, SyncPolicy};

impl Log {
    /// Takes what is to be written. `None` when nothing is, or when a commit is in flight.
    pub fn take_commit(&mut self) -> Option<Commit> {
        let sync = self.options.sync == SyncPolicy::EveryCommit;
        self.take(sync)
    }

    /// Whether a start now might find records of a commit that failed: the next commit, for which there need be nothing else to write, makes
    /// leftovers of them.
    #[must_use]
    pub fn is_unsettled(&self) -> bool {
        !self.voided.is_empty() || self.needs_mark()
    }

    /// Whether a mark in the active segment is all that is missing for that.
    fn needs_mark(&self) -> bool {
        self.resume && self.active.is_some()
    }

    /// Whether written bytes wait for an fdatasync under [`SyncPolicy::Interval`] and the last one
    /// was at least the interval ago. `now`: nanoseconds since 1970 UTC.
    #[must_use]
    pub fn sync_due(&self, now: i64) -> bool {
        let SyncPolicy::Interval(interval) = self.options.sync else {
            return false;
        };
        let waited = u128::try_from(now.saturating_sub(self.last_sync)).unwrap_or(u128::MAX);
        self.synced < self.position() && waited >= interval.as_nanos()
    }

    /// Whether the next commit, taken as the policy wants it, waits for the disk. `now`: as for [`Log::sync_due`].
    #[must_use]
    pub fn next_commit_syncs(&self, now: i64) -> bool {
        self.options.sync == SyncPolicy::EveryCommit
            || self.sync_due(now)
            || !self.erasures.is_empty()
            || self.new_names
    }

    /// Like [`Log::take_commit`], but the commit ends with an fdatasync under every policy and also
    /// covers what earlier commits only wrote. For the sync interval, and for records that must be
    /// durable whatever the policy.
    pub fn take_sync(&mut self, now: i64) -> Option<Commit> {
        let commit = self.take(true)?;
        self.last_sync = now;
        Some(commit)
    }

    fn take(&mut self, sync: bool) -> Option<Commit> {
        // What says that bytes go must be safe before they do.
        let sync = sync || !self.erasures.is_empty();
        let unwritten = !self.memory.open.is_empty() || self.is_unsettled();
        let unsynced = sync && (self.synced < self.written || !self.recycling.is_empty());
        debug_assert!(self.batch.is_none(), "a batch lies in one commit");
        if self.in_flight || self.fenced.is_some() || !(unwritten || unsynced) {
            return None;
        }
        self.in_flight = true;
        if self.needs_mark() && self.memory.open.is_empty() {
            self.resume = false;
            self.append_mark(kind::RESUME);
            self.barrier = true;
        }
        let (start, end) = (self.commit_start, self.position());
        let chunks = self.memory.take_open();
        let mut writes = Vec::with_capacity(chunks.len());
        for chunk in chunks {
            if let Some(file) = self.file_of(chunk.segment) {
                writes.push(Write { file, chunk });
            }
        }
        let guards = self.options.guards();
        let sealing = guards.keys.is_some().then(|| Sealing {
            buffer: std::mem::take(&mut self.sealing),
            salt: self.salt,
            guard: None,
        });
        let unsynced = if self.synced < self.written {
            self.file_of(self.written.segment())
        } else {
            None
        };
        let spare_room = self
            .options
            .spare_segments
            .saturating_sub(self.spares.len());
        let voided = self.voided.iter().enumerate();
        let clear = voided
            .map(|(number, segment)| Recycle {
                segment: *segment,
                keep: number < spare_room,
            })
            .collect();
        let spare_room = spare_room.saturating_sub(self.voided.len());
        // What is re-emitted must be durable before what it replaces goes.
        let recycling = if sync { &self.recycling[..] } else { &[] };
        let recycle = recycling
            .iter()
            .filter(|recycle| Some(recycle.segment) != self.indexing)
            .enumerate()
            .map(|(number, recycle)| Recycle {
                segment: recycle.segment,
                keep: recycle.keep && number < spare_room,
            })
            .collect();
        let barrier = std::mem::take(&mut self.barrier) && !writes.is_empty();
        let barrier = if barrier { FRAME_HEADER as usize } else { 0 };
        self.commit_start = end;
        if let (SyncPolicy::EveryCommit, Some(active)) = (self.options.sync, &mut self.active) {
            // Commits follow each other: this one is durable before the next one's first write.
            active.stable = active.end;
        }
        Some(Commit {
            storage: Arc::clone(&self.storage),
            dir: self.dir.clone(),
            guards,
            sealing,
            clear,
            sync_names: std::mem::take(&mut self.new_names),
            syncs: Arc::clone(&self.syncs),
            writes,
            barrier,
            unsynced,
            sync,
            erase: std::mem::take(&mut self.erasures),
            recycle,
            start,
            end,
        })
    }

    /// Ends a commit: the durable position advances, its buffer is reused, recycled segments are
    /// gone.
    ///
    /// # Errors
    /// [`CommitError`]: what to undo, or that the log is fenced.
    pub fn finish_commit(&mut self, committed: Committed) -> Result<LogPosition, CommitError> {
        let Committed {
            start,
            end,
            outcome,
            recycled,
            sealing,
        } = committed;
        self.in_flight = false;
        self.sealing = sealing;
        if let Some(source) = self.fenced.clone() {
            // By a sync that was not this commit's. It tells nothing good of what this one has written.
            return Err(CommitError::Fenced { source });
        }
        match outcome {
            Outcome::Written { synced } => {
                self.memory.written();
                self.written = end;
                if let Some(synced) = synced {
                    self.advance_synced(synced);
                }
                self.forget_given_back(&recycled);
                Ok(self.durable())
            }
            Outcome::NotWritten(error) => {
                self.forget_given_back(&recycled);
                self.void(start);
                Err(CommitError::Void {
                    void_from: start,
                    source: Arc::new(error),
                })
            }
            Outcome::NotSynced(source) => {
                self.fenced = Some(Arc::clone(&source));
                Err(CommitError::Fenced { source })
            }
        }
    }

    fn forget_given_back(&mut self, recycled: &[Recycle]) {
        for Recycle { segment, keep } in recycled {
            self.recycling.retain(|other| other.segment != *segment);
            self.voided.retain(|other| other != segment);
            if *keep {
                self.spares.push(*segment);
            }
        }
    }

    pub(super) fn advance_synced(&mut self, synced: LogPosition) {
        self.synced = self.synced.max(synced);
        if let (SyncPolicy::Interval(_), Some(active)) = (self.options.sync, &mut self.active)
            && synced.segment() == active.segment
        {
            active.stable = active.stable.max(synced.offset());
        }
    }

    /// Nothing from `start` on counts. What may have reached the disk of it becomes leftovers: a new
    /// session begins with the next record, and the segments begun since then keep their numbers to themselves.
    fn void(&mut self, start: LogPosition) {
        self.memory.void();
        self.forget_places();
        self.erasures.clear();
        self.disk.forget(start.segment());
        self.session += 1;
        self.salt = self.options.salt();
        self.new_names = true;
        // At offset 0 not even its header had been written.
        let kept = |segment: SegmentNo| LogPosition::new(segment, 0) < start;
        let begun: Vec<SegmentNo> = self
            .sealed
            .keys()
            .copied()
            .filter(|segment| !kept(*segment))
            .collect();
        for segment in begun {
            self.sealed.remove(&segment);
            self.voided.push(segment);
        }
        if let Some(active) = self.active.take_if(|active| !kept(active.segment)) {
            self.voided.push(active.segment);
        }
        if self.active.is_none()
            && let Some(mut sealed) = self.sealed.remove(&start.segment())
        {
            // It was full, or otherwise done with, before this commit began.
            let was_sealed = sealed.used <= start.offset();
            match sealed.building.take_if(|_| !was_sealed) {
                Some(building) => {
                    let segment = start.segment();
                    let guard = self.options.guards().of(segment);
                    let (len, end, live) = (building.len, sealed.used, sealed.live);
                    let stable = SEGMENT_HEADER;
                    let file = building.file;
                    let index = Arc::unwrap_or_clone(building.index);
                    let active = Active {
                        segment,
                        guard,
                        len,
                        end,
                        stable,
                        live,
                        previous: sealed.previous,
                        file,
                        index,
                    };
                    self.active = Some(active);
                }
                None => {
                    self.sealed.insert(start.segment(), sealed);
                }
            }
        }
        if let Some(active) = &mut self.active {
            active.end = start.offset();
            active.stable = match self.options.sync {
                SyncPolicy::EveryCommit => start.offset(),
                SyncPolicy::Interval(_) if self.synced.segment() == active.segment => {
                    self.synced.offset().max(SEGMENT_HEADER)
                }
                SyncPolicy::Interval(_) => SEGMENT_HEADER,
            };
            active.index.truncate(start.offset());
            self.resume = true;
        }
        self.commit_start = start;
    }

    pub(super) fn file_of(
        &self,
        segment: SegmentNo,
    ) -> Option<Arc<dyn crate::storage::StorageFile>> {
        let active = self
            .active
            .as_ref()
            .filter(|active| active.segment == segment);
        let building = || self.sealed.get(&segment)?.building.as_ref();
        let file = active.map(|active| &active.file);
        file.or_else(|| building().map(|building| &building.file))
            .map(Arc::clone)
    }
}
