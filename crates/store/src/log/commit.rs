//! The group commit: what goes to the disk, in which order.
//!
//! Two rules make the last commit recognisable after a power cut (see recovery):
//! nothing is written into a segment before all earlier ones are durable, and a record's `stable` offset
//! is durable before the record is written.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use super::guard::{Guard, Guards};
use super::memory::{CHUNK_FULL, Chunk};
use super::segment::{SEGMENT_HEADER, index_path, segment_path, spare_path};
use super::syncs::Syncs;
use super::{Erasure, LogPosition, SegmentNo, erase};
use crate::crypt::SALT;
use crate::storage::{Storage, StorageFile};

/// What one group commit writes.
#[derive(Debug)]
pub struct Commit {
    pub(super) storage: Arc<dyn Storage>,
    pub(super) dir: PathBuf,
    pub(super) guards: Guards,
    /// For sealing, where the log is sealed.
    pub(super) sealing: Option<Sealing>,
    /// Segments of commits that have failed, which must be durably gone first: a start would count what is in them.
    pub(super) clear: Vec<Recycle>,
    /// Files have been made or renamed whose names must be durable first.
    pub(super) sync_names: bool,
    pub(super) syncs: Arc<Syncs>,
    pub(super) writes: Vec<Write>,
    /// This many bytes of the first write must be durable before anything else is written.
    pub(super) barrier: usize,
    /// The file that has been written to without fdatasync.
    pub(super) unsynced: Option<Arc<dyn StorageFile>>,
    pub(super) sync: bool,
    /// Records to overwrite once all of this is durable.
    pub(super) erase: Vec<Erasure>,
    pub(super) recycle: Vec<Recycle>,
    pub(super) start: LogPosition,
    pub(super) end: LogPosition,
}

#[derive(Debug)]
pub(super) struct Write {
    pub(super) file: Arc<dyn StorageFile>,
    pub(super) chunk: Arc<Chunk>,
}

/// Seals chunks in a buffer of its own: those in memory stay plain, to be read from there.
#[derive(Debug)]
pub(super) struct Sealing {
    pub(super) buffer: Vec<u8>,
    pub(super) salt: [u8; SALT],
    /// Of the segment that was sealed last.
    pub(super) guard: Option<(SegmentNo, Guard)>,
}

/// A segment whose file is given back, to be kept for reuse if there is need.
#[derive(Debug, Clone, Copy)]
pub(super) struct Recycle {
    pub(super) segment: SegmentNo,
    pub(super) keep: bool,
}

/// What became of a [`Commit`].
#[derive(Debug)]
pub struct Committed {
    pub(super) start: LogPosition,
    pub(super) end: LogPosition,
    pub(super) outcome: Outcome,
    /// Segments whose files are gone; durably, if all is written.
    pub(super) recycled: Vec<Recycle>,
    /// The buffer of [`Sealing`], for the next commit.
    pub(super) sealing: Vec<u8>,
}

#[derive(Debug)]
pub(super) enum Outcome {
    /// Written.
    Written {
        /// And fdatasynced up to here.
        synced: Option<LogPosition>,
    },
    /// A write failed, no sync did.
    NotWritten(io::Error),
    /// A sync failed.
    NotSynced(Arc<io::Error>),
}

enum Failure {
    Write(io::Error),
    Sync(Arc<io::Error>),
}

impl Failure {
    fn sync(error: io::Error) -> Self {
        Self::Sync(Arc::new(error))
    }
}

impl Committed {
    /// Whether all that the commit was to write is written, and synced where that was asked for.
    #[must_use]
    pub fn succeeded(&self) -> bool {
        matches!(self.outcome, Outcome::Written { .. })
    }
}

impl Sealing {
    /// A chunk as it is to stand in its segment.
    fn seal(&mut self, chunk: &Chunk, guards: &Guards) -> &[u8] {
        let Self {
            buffer,
            salt,
            guard,
        } = self;
        if guard
            .as_ref()
            .is_none_or(|(segment, _)| *segment != chunk.segment)
        {
            *guard = Some((chunk.segment, guards.of(chunk.segment)));
        }
        buffer.clear();
        buffer.extend_from_slice(&chunk.bytes);
        let header = if chunk.start == 0 { SEGMENT_HEADER } else { 0 };
        if let (Some((_, guard)), Some(records)) = (guard, buffer.get_mut(header as usize..)) {
            guard.seal_all(records, chunk.start + header, *salt);
        }
        buffer
    }
}

impl Commit {
    /// The position that is durable when this has succeeded.
    #[must_use]
    pub fn end(&self) -> LogPosition {
        self.end
    }

    /// Whether this does nothing but what makes leftovers of the records of a failed commit, see [`Log::is_unsettled`](super::Log::is_unsettled).
    #[must_use]
    pub fn only_settles(&self) -> bool {
        let bytes = self.writes.iter().map(|write| write.chunk.bytes.len());
        let settles = self.barrier > 0 || !self.clear.is_empty();
        settles && bytes.sum::<usize>() == self.barrier
    }

    /// One write and one fdatasync as a rule; more when the batch is larger than 1 MiB or reaches
    /// into another segment. Blocks; holds no lock.
    #[must_use = "give it to Log::finish_commit"]
    pub fn run(mut self) -> Committed {
        let (start, end) = (self.start, self.end);
        let mut sealing = self.sealing.take();
        let mut recycled = Vec::new();
        let written = self.write(&mut sealing, &mut recycled);
        let mut sealing = sealing.map(|sealing| sealing.buffer).unwrap_or_default();
        if sealing.capacity() > 2 * CHUNK_FULL {
            sealing = Vec::new();
        }
        match written {
            Ok(synced) => {
                recycled.extend(self.recycle());
                Committed {
                    start,
                    end,
                    outcome: Outcome::Written { synced },
                    recycled,
                    sealing,
                }
            }
            Err(failure) => {
                let outcome = match failure {
                    Failure::Write(error) => Outcome::NotWritten(error),
                    Failure::Sync(error) => Outcome::NotSynced(error),
                };
                Committed {
                    start,
                    end,
                    outcome,
                    recycled,
                    sealing,
                }
            }
        }
    }

    /// Answers how far it has synced, and in `cleared` what has been given back first.
    fn write(
        &self,
        sealing: &mut Option<Sealing>,
        cleared: &mut Vec<Recycle>,
    ) -> Result<Option<LogPosition>, Failure> {
        let sync = |file: &dyn StorageFile| self.syncs.sync(file).map_err(Failure::Sync);
        for recycle in &self.clear {
            cleared.push(self.give_back(recycle).map_err(Failure::Write)?);
        }
        if self.sync_names {
            self.storage.sync_dir(&self.dir).map_err(Failure::sync)?;
        }
        let mut synced = None;
        let mut dirty = self.unsynced.clone();
        let mut written = self.start;
        let mut barrier = self.barrier;
        for Write { file, chunk } in &self.writes {
            if chunk.segment != written.segment() {
                if let Some(before) = dirty.take() {
                    sync(&*before)?;
                }
                synced = Some(written);
            }
            let mut bytes = match sealing {
                Some(sealing) => sealing.seal(chunk, &self.guards),
                None => &chunk.bytes[..],
            };
            let mut offset = u64::from(chunk.start);
            if let Some((first, rest)) = bytes.split_at_checked(std::mem::take(&mut barrier))
                && !first.is_empty()
            {
                file.write_all_at(first, offset).map_err(Failure::Write)?;
                sync(&**file)?;
                offset += first.len() as u64;
                bytes = rest;
            }
            file.write_all_at(bytes, offset).map_err(Failure::Write)?;
            dirty = Some(Arc::clone(file));
            written = LogPosition::new(chunk.segment, chunk.end());
        }
        if self.sync {
            if let Some(file) = dirty {
                sync(&*file)?;
            }
            synced = Some(self.end);
        }
        // Another's sync may have failed, and this one asked for none.
        self.syncs.check().map_err(Failure::Sync)?;
        // A deletion was promised that can not be kept: as after a failed sync, only a new start can tell what is on the disk.
        erase::run(&*self.storage, &self.dir, &self.guards, &self.erase).map_err(Failure::sync)?;
        Ok(synced)
    }

    /// Failures leave the segment for another try: it only costs space.
    fn recycle(&self) -> Vec<Recycle> {
        let given_back = self.recycle.iter().map(|recycle| self.give_back(recycle));
        let mut done: Vec<Recycle> = given_back.filter_map(Result::ok).collect();
        if !done.is_empty() && self.storage.sync_dir(&self.dir).is_err() {
            done.clear();
        }
        done
    }

    /// Answers whether there is a file to keep.
    fn give_back(&self, recycle: &Recycle) -> io::Result<Recycle> {
        let from = segment_path(&self.dir, recycle.segment);
        // The index goes first, so that none is left over for a segment that is no more.
        match self.storage.remove(&index_path(&self.dir, recycle.segment)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let gone = if recycle.keep {
            self.storage
                .rename(&from, &spare_path(&self.dir, recycle.segment))
        } else {
            self.storage.remove(&from)
        };
        match gone {
            Ok(()) => Ok(*recycle),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Recycle {
                keep: false,
                ..*recycle
            }),
            Err(error) => Err(error),
        }
    }
}
