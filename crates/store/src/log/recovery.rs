//! Opening a log: what is on the disk, what of it counts, and where writing goes on.
//!
//! A hole in the records is either damage to what had been durable, or the edge of a commit that a
//! power cut interrupted. The order of writes tells them apart (see `commit`): bytes are durable if a
//! later record says so with its `stable` offset, if a later segment has any record, or if the
//! checkpoint reaches beyond them. The first hole that nothing vouches for ends the log.
//!
//! Which messages were in a hole that is damage, later records, checkpoints and indexes tell. Where none does, the damaged records may:
//! see `claims`.

mod claims;
mod finish;
mod segment;
mod walk;

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::index::directory::Directory;
use super::index::file::{self, IndexTable};
use super::segment::{LogFile, index_path, spare_path};
use super::{
    LiveBytes, Log, LogCheckpoint, LogOptions, LogPosition, LogReport, OpenError, ReplayedRecord,
    Sealed, SegmentNo,
};
use crate::storage::Storage;
use segment::Segment;
use walk::Walked;

/// What replayed records are given to.
type Visit<'v> = &'v mut dyn FnMut(ReplayedRecord<'_>, &mut LiveBytes);

impl Log {
    /// Opens the log in `dir`, which is created when missing, and replays every record at or after
    /// the checkpoint (all without one), in order, to `visit`.
    ///
    /// Every replayed record counts as live unless `visit` releases it.
    /// An interrupted last commit is cut off at its first incomplete record; damage elsewhere is
    /// skipped and reported.
    ///
    /// # Errors
    /// [`OpenError`]; damage is not an error.
    pub fn open(
        storage: Arc<dyn Storage>,
        dir: &Path,
        options: LogOptions,
        checkpoint: Option<&LogCheckpoint>,
        visit: &mut dyn FnMut(ReplayedRecord<'_>, &mut LiveBytes),
    ) -> Result<(Self, LogReport), OpenError> {
        let recovery = Recovery {
            storage,
            dir: dir.to_owned(),
            options,
            replay_from: checkpoint.map_or(LogPosition::ZERO, |checkpoint| checkpoint.position),
            session: 0,
            live: LiveBytes::default(),
            sealed: BTreeMap::new(),
            directory: Directory::default(),
            report: LogReport::default(),
        };
        recovery.run(checkpoint, visit)
    }
}

struct Recovery {
    storage: Arc<dyn Storage>,
    dir: PathBuf,
    options: LogOptions,
    replay_from: LogPosition,
    /// The highest session so far.
    session: u32,
    live: LiveBytes,
    sealed: BTreeMap<SegmentNo, Sealed>,
    directory: Directory,
    report: LogReport,
}

impl Recovery {
    fn run(
        mut self,
        checkpoint: Option<&LogCheckpoint>,
        visit: Visit<'_>,
    ) -> Result<(Log, LogReport), OpenError> {
        self.storage
            .create_dir_all(&self.dir)
            .map_err(|source| io_error("creating the directory", &self.dir, source))?;
        let Listing {
            segments,
            spares,
            mut next_segment,
        } = self.list()?;
        if let Some(checkpoint) = checkpoint {
            checkpoint
                .live
                .iter()
                .for_each(|(segment, live)| self.live.set(*segment, *live));
            next_segment = next_segment.max(checkpoint.position.segment().next());
        }
        let has_files = !segments.is_empty() || !spares.is_empty();
        let mut last: Option<(Segment, Walked)> = None;
        let mut empty = Vec::new();
        for (number, no) in segments.iter().enumerate() {
            if *no < self.replay_from.segment() {
                self.load_sealed(*no)?;
                continue;
            }
            let segment = self.open_segment(*no)?;
            let voided = segment.is_voided(self.session);
            let walked = self.walk(&segment, &segments[number + 1..], visit)?;
            let expected = *no <= self.replay_from.segment() && checkpoint.is_some();
            if walked.records == 0 && !expected {
                empty.push((segment, voided));
                continue;
            }
            if let Some((before, walked)) = last.replace((segment, walked)) {
                self.seal(before, walked);
            }
        }
        let mut spares = spares;
        self.clear_away(
            empty,
            last.as_ref().map(|(segment, _)| segment.no),
            &mut spares,
        )?;
        self.report.segments = self.sealed.len() + usize::from(last.is_some());
        let active = match last {
            Some((segment, walked)) => self.go_on(segment, walked)?,
            None => None,
        };
        if has_files {
            self.storage
                .sync_dir(&self.dir)
                .map_err(|source| io_error("syncing the directory", &self.dir, source))?;
        }
        Ok(self.into_log(active, spares, next_segment))
    }

    /// Sorts the directory's files and removes what is left over from interrupted work.
    fn list(&mut self) -> Result<Listing, OpenError> {
        let entries = self.storage.list(&self.dir);
        let entries = entries.map_err(|source| io_error("listing", &self.dir, source))?;
        let mut listing = Listing {
            segments: Vec::new(),
            spares: Vec::new(),
            next_segment: SegmentNo(1),
        };
        let mut indexes = Vec::new();
        for entry in entries {
            let path = self.dir.join(&entry.name);
            let file = if entry.is_dir {
                None
            } else {
                LogFile::parse(&entry.name)
            };
            match file {
                Some(LogFile::Segment(no)) => listing.segments.push(no),
                Some(LogFile::Spare(no)) => listing.spares.push(no),
                Some(LogFile::Index(no)) => indexes.push(no),
                Some(LogFile::Aside(_)) => {}
                Some(LogFile::Temporary) => self.remove(&path)?,
                None => self.report.strangers.push(path),
            }
            if let Some(no) = file.and_then(LogFile::number) {
                listing.next_segment = listing.next_segment.max(no.next());
            }
        }
        listing.segments.sort_unstable();
        indexes.retain(|no| listing.segments.binary_search(no).is_err());
        for no in indexes {
            let path = index_path(&self.dir, no);
            let table = file::read_table(&*self.storage, &self.dir, no, &self.options.guards());
            // What it says is a help, no more.
            if let Ok(Some(table)) = table {
                self.outlived(&table);
            }
            self.remove(&path)?;
        }
        let (plain, spares) = listing
            .spares
            .into_iter()
            .partition(|no| self.is_plain(*no));
        listing.spares = spares;
        for no in plain {
            self.remove(&spare_path(&self.dir, no))?;
        }
        while listing.spares.len() > self.options.spare_segments
            && let Some(no) = listing.spares.pop()
        {
            self.remove(&spare_path(&self.dir, no))?;
        }
        Ok(listing)
    }

    /// Whether a file of this number may hold plain records, and none should.
    fn is_plain(&self, no: SegmentNo) -> bool {
        let keys = self.options.keys.as_ref();
        keys.is_some_and(|keys| keys.may_be_plain(no))
    }

    /// The index of a segment of which the end, or all, is gone.
    fn outlived(&mut self, table: &IndexTable) {
        let streams = table.streams.iter();
        self.report
            .indexed
            .extend(streams.map(|(stream, section)| (*stream, section.last)));
    }

    fn remove(&self, path: &Path) -> Result<(), OpenError> {
        self.storage
            .remove(path)
            .map_err(|source| io_error("removing", path, source))
    }

    /// A segment before the checkpoint: its index says all that is needed.
    fn load_sealed(&mut self, no: SegmentNo) -> Result<(), OpenError> {
        let path = index_path(&self.dir, no);
        let table = file::read_table(&*self.storage, &self.dir, no, &self.options.guards())
            .map_err(|source| io_error("reading", &path, source))?;
        if let Some(table) = table {
            let live = self.live.get(no);
            let (used, session) = (table.used, table.session);
            self.sealed.insert(
                no,
                Sealed {
                    used,
                    live,
                    session,
                    previous: None,
                    building: None,
                },
            );
            self.directory.insert(&table);
            return Ok(());
        }
        let segment = self.open_segment(no)?;
        let walked = self.walk(&segment, &[], &mut |_, _| ())?;
        self.seal(segment, walked);
        Ok(())
    }
}

struct Listing {
    segments: Vec<SegmentNo>,
    spares: Vec<SegmentNo>,
    /// Above every number that a file here has.
    next_segment: SegmentNo,
}

fn io_error(doing: &'static str, path: &Path, source: io::Error) -> OpenError {
    OpenError::Io {
        doing,
        path: path.to_owned(),
        source,
    }
}
