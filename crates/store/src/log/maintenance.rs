//! Work in no hurry, done without the shard's lock.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use super::disk::Disk;
use super::guard::Guards;
use super::index::building::BuildingIndex;
use super::index::file::{self, IndexSeal, IndexTable};
use super::lookup::name_every_stream;
use super::segment::spare_path;
use super::syncs::Syncs;
use super::{Log, LogPosition, SegmentNo, SyncPolicy};
use crate::storage::{OpenMode, Storage, StorageFile};

/// See [`Log::take_maintenance`].
#[derive(Debug)]
pub struct Maintenance {
    storage: Arc<dyn Storage>,
    dir: PathBuf,
    guards: Guards,
    job: Job,
}

#[derive(Debug)]
enum Job {
    Sync {
        file: Arc<dyn StorageFile>,
        syncs: Arc<Syncs>,
        /// What is written so far.
        until: LogPosition,
    },
    WriteIndex {
        segment: SegmentNo,
        index: Arc<BuildingIndex>,
        used: u32,
        session: u32,
    },
    MakeSpare {
        len: u32,
        /// Whether its blocks are written, too.
        filled: bool,
    },
}

/// What became of a [`Maintenance`].
#[derive(Debug)]
pub struct Maintained(Done);

#[derive(Debug)]
enum Done {
    Synced(Result<LogPosition, Arc<io::Error>>),
    Index {
        segment: SegmentNo,
        table: io::Result<IndexTable>,
    },
    Spare(io::Result<()>),
}

/// Bytes of a new segment written at a time: commits wait for what the disk has been given before.
const ZERO_STEP: usize = 128 << 10;

/// The next segment is made once this part of the present one is full: it takes a while, in small steps beside the commits.
const SPARE_FROM_PART: u32 = 8;

/// Under [`SyncPolicy::Interval`] a segment is synced whenever this part of it more is written: the first commit behind its end waits until all of
/// it is.
const EARLY_SYNC_PART: u32 = 8;

/// The name of a spare that was never a segment.
const NEW_SPARE: SegmentNo = SegmentNo(0);

impl Log {
    /// Work that is better done without the shard's lock, by any thread and in no hurry: writing the
    /// index of a sealed segment, preparing the next segment, syncing what need not be synced yet. Until it is done, the sealed
    /// segment's index stays in memory.
    pub fn take_maintenance(&mut self) -> Option<Maintenance> {
        if self.maintaining || self.fenced.is_some() {
            return None;
        }
        if let Some(file) = self.early_sync() {
            let (syncs, until) = (Arc::clone(&self.syncs), self.written);
            return Some(self.maintenance(Job::Sync { file, syncs, until }));
        }
        let synced = self.synced.segment();
        // Asked after each commit, and nearly always there is none.
        let from = self.unindexed_from.min(synced);
        let mut sealed = self.sealed.range(from..synced);
        let unindexed = sealed.find_map(|(segment, sealed)| {
            let building = sealed.building.as_ref()?;
            Some((
                *segment,
                Arc::clone(&building.index),
                sealed.used,
                sealed.session,
            ))
        });
        let retry = self
            .maintenance_failed
            .is_none_or(|failed| failed < self.next_segment);
        let filling = self
            .active
            .as_ref()
            .is_some_and(|active| active.end > active.len / SPARE_FROM_PART);
        let job = match unindexed {
            Some((segment, index, used, session)) if retry => Job::WriteIndex {
                segment,
                index,
                used,
                session,
            },
            _ if retry && filling && self.spares.is_empty() => Job::MakeSpare {
                len: self.options.segment_len(),
                // Only a commit that is waited for gains by it.
                filled: self.options.sync == SyncPolicy::EveryCommit,
            },
            _ => return None,
        };
        if let Job::WriteIndex { segment, .. } = &job {
            self.indexing = Some(*segment);
        }
        Some(self.maintenance(job))
    }

    fn maintenance(&mut self, job: Job) -> Maintenance {
        self.maintaining = true;
        let (storage, dir) = (Arc::clone(&self.storage), self.dir.clone());
        Maintenance {
            storage,
            dir,
            guards: self.options.guards(),
            job,
        }
    }

    /// Whether [`Log::take_maintenance`] should be called soon: much is written and not synced.
    #[must_use]
    pub fn is_early_sync_due(&self) -> bool {
        self.early_sync().is_some()
    }

    /// The file to sync early, if it is time.
    fn early_sync(&self) -> Option<Arc<dyn StorageFile>> {
        if self.options.sync == SyncPolicy::EveryCommit || self.maintaining || self.fenced.is_some()
        {
            return None;
        }
        // Before anything is written into a segment, all earlier ones are synced.
        let (written, synced) = (self.written, self.synced);
        let synced_of_it = if synced.segment() == written.segment() {
            synced.offset()
        } else {
            0
        };
        let unsynced = written.offset().saturating_sub(synced_of_it);
        if unsynced < self.options.segment_len() / EARLY_SYNC_PART {
            return None;
        }
        self.file_of(written.segment())
    }

    /// Takes the result of [`Maintenance::run`].
    pub fn finish_maintenance(&mut self, maintained: Maintained) {
        self.maintaining = false;
        self.indexing = None;
        match maintained.0 {
            Done::Synced(Ok(synced)) => self.advance_synced(synced),
            Done::Synced(Err(error)) => {
                // As with a commit's: what is lost is not known, and the next sync need not fail.
                tracing::error!(dir = %self.dir.display(), %error, "the log could not be synced");
                self.fenced = Some(error);
            }
            Done::Index {
                segment,
                table: Ok(table),
            } => {
                if let Some(sealed) = self.sealed.get_mut(&segment) {
                    sealed.building = None;
                    self.directory.insert(&table);
                    // A message may now be in more sections than the last one.
                    self.last_section = None;
                    let unindexed = |(segment, sealed): (&SegmentNo, &super::Sealed)| {
                        sealed.building.is_some().then_some(*segment)
                    };
                    let first = self.sealed.iter().find_map(unindexed);
                    self.unindexed_from = first.unwrap_or(self.next_segment);
                }
            }
            Done::Spare(Ok(())) => self.spares.push(NEW_SPARE),
            Done::Index {
                table: Err(error), ..
            }
            | Done::Spare(Err(error)) => {
                tracing::warn!(dir = %self.dir.display(), %error, "log maintenance failed");
                self.maintenance_failed = Some(self.next_segment);
            }
        }
    }
}

impl Maintenance {
    /// Does it. Blocks; holds no lock. Failures cost memory and time, never data.
    #[must_use = "give it to Log::finish_maintenance"]
    pub fn run(self) -> Maintained {
        let Self {
            storage,
            dir,
            guards,
            job,
        } = self;
        Maintained(match job {
            Job::Sync { file, syncs, until } => Done::Synced(syncs.sync(&*file).map(|()| until)),
            Job::WriteIndex {
                segment,
                index,
                used,
                session,
            } => {
                let seal = IndexSeal::new(&guards, segment);
                let disk = Disk::new(Arc::clone(&storage), dir.clone(), guards);
                let table = name_rest(index, used, disk).and_then(|index| {
                    let (bytes, table) = file::encode(&index, used, session, seal.as_ref());
                    file::write(&*storage, &dir, segment, &bytes)?;
                    Ok(table)
                });
                Done::Index { segment, table }
            }
            Job::MakeSpare { len, filled } => {
                let path = spare_path(&dir, NEW_SPARE);
                let len = u64::from(len);
                let made = storage.open(&path, OpenMode::Create).and_then(|file| {
                    file.preallocate(len)?;
                    if filled {
                        fill_with_zeros(&*file, len)?;
                    }
                    Ok(())
                });
                if made.is_err() {
                    // Half a spare would be found again at the next opening.
                    let _ = storage.remove(&path);
                }
                Done::Spare(made)
            }
        })
    }
}

/// Writes a new file's blocks once, so that no commit has to, a [step](ZERO_STEP) at a time.
fn fill_with_zeros(file: &dyn StorageFile, len: u64) -> io::Result<()> {
    let zeros = vec![0; ZERO_STEP];
    let mut at = 0;
    while at < len {
        let step = (len - at).min(ZERO_STEP as u64);
        file.write_all_at(&zeros[..step as usize], at)?;
        file.sync_data()?;
        at += step;
    }
    Ok(())
}

/// The index with the subjects that nobody has asked for yet.
fn name_rest(index: Arc<BuildingIndex>, used: u32, mut disk: Disk) -> io::Result<BuildingIndex> {
    let mut index = Arc::unwrap_or_clone(index);
    name_every_stream(&mut index, &mut disk, used).map_err(io::Error::other)?;
    Ok(index)
}
