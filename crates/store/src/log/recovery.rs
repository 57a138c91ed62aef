//! Opening a log: what is on the disk, what of it counts, and where writing goes on.
//!
//! A hole in the records is either damage to what had been durable, or the edge of a commit that a
//! power cut interrupted. The order of writes tells them apart (see `commit`): bytes are durable if a
//! later record says so with its `stable` offset, if a later segment has any record, or if the
//! checkpoint reaches beyond them. The first hole that nothing vouches for ends the log.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::disk::{Disk, read_full};
use super::follow::Following;
use super::frame::{self, FRAME_HEADER, Stamp};
use super::guard::Guard;
use super::index::building::BuildingIndex;
use super::index::directory::{Directory, SectionCache};
use super::index::file::{self, IndexSeal, IndexTable};
use super::index::rebuild::rebuild;
use super::memory::Memory;
use super::record::kind;
use super::scan::{Found, Scan};
use super::segment::{
    FORMAT_VERSION, HeaderCheck, LogFile, SEGMENT_HEADER, SegmentHeader, aside_path, index_path,
    segment_path, spare_path,
};
use super::unfinished::UnfinishedBatch;
use super::{
    Active, Damage, LiveBytes, Log, LogCheckpoint, LogOptions, LogPosition, LogReport, OpenError,
    Record, RecordAt, ReplayedRecord, Sealed, SegmentNo, Unindexed,
};
use crate::storage::{OpenMode, Storage, StorageFile};

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

/// A segment's file, opened.
struct Segment {
    no: SegmentNo,
    guard: Guard,
    file: Arc<dyn StorageFile>,
    header: HeaderCheck,
    len: u32,
}

/// What a walk over a segment found.
struct Walked {
    /// Where the last record that counts ends.
    end: u32,
    sealed: bool,
    records: u64,
    /// Unless there is an index file.
    index: Option<BuildingIndex>,
    session: u32,
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
        self.storage
            .sync_dir(&self.dir)
            .map_err(|source| io_error("syncing the directory", &self.dir, source))?;
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
            match table {
                Ok(Some(table)) => self.outlived(&table),
                // What it says is a help, no more.
                Ok(None) | Err(_) => {}
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

    fn open_segment(&self, no: SegmentNo) -> Result<Segment, OpenError> {
        let path = segment_path(&self.dir, no);
        let file = self.storage.open(&path, OpenMode::Write);
        let file = file.map_err(|source| io_error("opening", &path, source))?;
        let file_len = file
            .len()
            .map_err(|source| io_error("measuring", &path, source))?;
        let mut bytes = [0; SEGMENT_HEADER as usize];
        read_full(&*file, &mut bytes, 0).map_err(|source| io_error("reading", &path, source))?;
        let header = SegmentHeader::check(&bytes, self.options.secret, no);
        let header = self.check_key(&path, no, header)?;
        let file_len = u32::try_from(file_len).unwrap_or(!0xfff);
        let len = match header {
            HeaderCheck::Valid(header) => header.segment_len,
            HeaderCheck::NewerFormat(found) => {
                return Err(OpenError::NewerFormat {
                    path,
                    found,
                    known: FORMAT_VERSION,
                });
            }
            HeaderCheck::Foreign => return Err(OpenError::ForeignSegment { path }),
            HeaderCheck::Invalid => file_len,
        };
        Ok(Segment {
            no,
            guard: self.options.guards().of(no),
            file,
            header,
            len,
        })
    }

    /// Whether a segment was begun with our key.
    fn check_key(
        &self,
        path: &Path,
        no: SegmentNo,
        header: HeaderCheck,
    ) -> Result<HeaderCheck, OpenError> {
        let HeaderCheck::Valid(SegmentHeader { key_mark, .. }) = header else {
            return Ok(header);
        };
        let path = || path.to_owned();
        match &self.options.keys {
            None if key_mark != 0 => Err(OpenError::Sealed { path: path() }),
            Some(keys) if key_mark == 0 && !keys.may_be_plain(no) => Ok(HeaderCheck::Invalid),
            Some(keys) if key_mark != 0 && key_mark != keys.mark() => {
                Err(OpenError::ForeignSegment { path: path() })
            }
            _ => Ok(header),
        }
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

    /// Walks a segment and replays what lies at or after the checkpoint.
    fn walk(
        &mut self,
        segment: &Segment,
        later: &[SegmentNo],
        visit: Visit<'_>,
    ) -> Result<Walked, OpenError> {
        let no = segment.no;
        let path = segment_path(&self.dir, no);
        let read_error = |source| io_error("reading", &path, source);
        let indexed = file::read_table(&*self.storage, &self.dir, no, &self.options.guards())
            .map_err(read_error)?;
        if let HeaderCheck::Valid(header) = segment.header {
            self.session = self.session.max(header.session);
        }
        if later.is_empty() {
            segment.file.read_sparsely();
        }
        let mut scan = segment.scan(SEGMENT_HEADER, self.session);
        let mut index = indexed.is_none().then(|| BuildingIndex::new(no));
        let mut walked = Walked {
            end: SEGMENT_HEADER,
            sealed: false,
            records: 0,
            index: None,
            session: self.session,
        };
        let mut settled = self.settled_by_checkpoint(no);
        let mut surveyed = false;
        let mut batch = UnfinishedBatch::default();
        while let Found::Frame {
            at,
            frame,
            gap_from,
        } = scan.step().map_err(read_error)?
        {
            if gap_from < at.offset {
                if gap_from >= settled && !surveyed {
                    settled = settled.max(self.survey(segment, at.offset, later)?);
                    surveyed = true;
                }
                if gap_from >= settled {
                    self.report.torn_bytes += u64::from(at.end().offset() - gap_from);
                    while let Found::Frame { at, .. } = scan.step().map_err(read_error)? {
                        self.report.torn_bytes += u64::from(at.footprint());
                    }
                    break;
                }
                self.damaged(no, gap_from, at.offset);
            }
            self.session = frame.session;
            walked.records += 1;
            walked.end = at.end().offset();
            let record = frame.record();
            if frame.in_batch() && matches!(record, Some(ref record) if !record.ends_batch()) {
                batch.hold(at, &frame);
                continue;
            }
            batch.release(|at, record| self.replay(at, record, &mut index, visit));
            match record {
                Some(record) => self.replay(at, record, &mut index, visit),
                None if frame.kind == kind::SEAL => {
                    walked.sealed = true;
                    break;
                }
                None if frame.kind == kind::RESUME => {}
                None => self.damaged(no, at.offset, at.end().offset()),
            }
        }
        if let Some(start) = batch.start() {
            if start >= settled && !surveyed {
                settled = settled.max(self.survey(segment, walked.end, later)?);
            }
            if start >= settled {
                self.report.torn_bytes += u64::from(walked.end - start);
                walked.end = start;
                walked.records -= batch.len();
            } else {
                batch.release(|at, record| self.replay(at, record, &mut index, visit));
            }
        }
        let promised = self.settled_by_checkpoint(no);
        if !walked.sealed && promised > walked.end && promised != u32::MAX {
            self.damaged(no, walked.end, promised);
            walked.end = promised;
        }
        if walked.records > 0 && !matches!(segment.header, HeaderCheck::Valid(_)) {
            self.damaged(no, 0, SEGMENT_HEADER);
        }
        walked.session = self.session;
        walked.index = index;
        if let Some(table) = indexed {
            if walked.records > 0 && walked.sealed && table.used == walked.end {
                self.directory.insert(&table);
                return Ok(walked);
            }
            // Its end is damaged.
            self.outlived(&table);
            if walked.records > 0 {
                let rebuilt = rebuild(&*segment.file, no, segment.guard.clone(), walked.end);
                walked.index = Some(rebuilt.map_err(read_error)?);
            }
        }
        Ok(walked)
    }

    /// A record that counts.
    fn replay(
        &mut self,
        at: RecordAt,
        record: Record<'_>,
        index: &mut Option<BuildingIndex>,
        visit: Visit<'_>,
    ) {
        if let (Record::Message(message) | Record::ErasedMessage(message), Some(index)) =
            (&record, index)
        {
            let place = (at.offset, at.len);
            index.push_named(message.stream, message.seq, place, message.subject);
        }
        if at.start() >= self.replay_from {
            self.report.replayed += 1;
            self.live.add(at);
            visit(ReplayedRecord { at, record }, &mut self.live);
        }
    }

    /// How far the checkpoint vouches for a segment.
    fn settled_by_checkpoint(&self, no: SegmentNo) -> u32 {
        match no.cmp(&self.replay_from.segment()) {
            std::cmp::Ordering::Less => u32::MAX,
            std::cmp::Ordering::Equal => self.replay_from.offset(),
            std::cmp::Ordering::Greater => 0,
        }
    }

    /// How far the records behind a hole vouch for what is before them.
    fn survey(
        &self,
        segment: &Segment,
        behind: u32,
        later: &[SegmentNo],
    ) -> Result<u32, OpenError> {
        let mut scan = segment.scan(behind, self.session);
        let mut stable = 0;
        let path = segment_path(&self.dir, segment.no);
        while let Found::Frame { frame, .. } = scan
            .step()
            .map_err(|source| io_error("reading", &path, source))?
        {
            stable = stable.max(frame.stable);
        }
        for no in later {
            let segment = self.open_segment(*no)?;
            let path = segment_path(&self.dir, *no);
            let mut scan = segment.scan(SEGMENT_HEADER, scan.session());
            let found = scan
                .step()
                .map_err(|source| io_error("reading", &path, source))?;
            if matches!(found, Found::Frame { .. }) {
                return Ok(u32::MAX);
            }
        }
        Ok(stable)
    }

    fn damaged(&mut self, segment: SegmentNo, from: u32, to: u32) {
        tracing::error!(dir = %self.dir.display(), %segment, from, to, "log is damaged");
        self.report.damage.push(Damage { segment, from, to });
    }

    /// A segment that others follow.
    fn seal(&mut self, segment: Segment, walked: Walked) {
        let Segment { no, file, len, .. } = segment;
        let used = if walked.sealed { walked.end } else { len };
        if !walked.sealed && walked.end < len {
            self.damaged(no, walked.end, len);
        }
        let session = walked.session;
        let mut building = None;
        if let Some(index) = walked.index {
            self.report.rebuilt_indexes += 1;
            let seal = IndexSeal::new(&self.options.guards(), no);
            let (bytes, table) = file::encode(&index, used, session, seal.as_ref());
            match file::write(&*self.storage, &self.dir, no, &bytes) {
                Ok(()) => self.directory.insert(&table),
                Err(error) => {
                    tracing::warn!(segment = %no, %error, "log index could not be written");
                    building = Some(Unindexed {
                        file,
                        len,
                        index: Arc::new(index),
                    });
                }
            }
        }
        let live = self.live.get(no);
        self.sealed.insert(
            no,
            Sealed {
                used,
                live,
                session,
                building,
            },
        );
    }

    /// Segments without any record. Behind the last record they were begun by a commit that did not come to its end;
    /// elsewhere their records have been voided, or somebody has damaged them.
    fn clear_away(
        &mut self,
        empty: Vec<(Segment, bool)>,
        last: Option<SegmentNo>,
        spares: &mut Vec<SegmentNo>,
    ) -> Result<(), OpenError> {
        for (Segment { no, len, .. }, voided) in empty {
            let path = segment_path(&self.dir, no);
            let unused = voided || last.is_none_or(|last| no > last);
            if unused && spares.len() < self.options.spare_segments && !self.is_plain(no) {
                let renamed = self.storage.rename(&path, &spare_path(&self.dir, no));
                renamed.map_err(|source| io_error("renaming", &path, source))?;
                spares.push(no);
            } else if unused {
                self.remove(&path)?;
            } else {
                self.damaged(no, 0, len);
                let aside = aside_path(&self.dir, no);
                let renamed = self.storage.rename(&path, &aside);
                renamed.map_err(|source| io_error("renaming", &path, source))?;
                self.report.set_aside.push(aside);
            }
            match self.storage.remove(&index_path(&self.dir, no)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(io_error("removing", &index_path(&self.dir, no), error));
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Makes the last segment ready to be appended to: what a cut has left behind its end becomes
    /// leftovers of an earlier session. `None` if it is full.
    fn go_on(&mut self, segment: Segment, walked: Walked) -> Result<Option<Active>, OpenError> {
        if walked.sealed {
            // A kill may have come before its sync, and from here on it counts.
            let path = segment_path(&self.dir, segment.no);
            segment
                .file
                .sync_data()
                .map_err(|source| io_error("syncing", &path, source))?;
            self.seal(segment, walked);
            return Ok(None);
        }
        let Segment {
            no,
            guard,
            file,
            header,
            len,
        } = segment;
        let path = segment_path(&self.dir, no);
        let write_error = |source| io_error("writing", &path, source);
        self.session += 1;
        let plain = match (header, &self.options.keys) {
            (HeaderCheck::Valid(header), _) => header.key_mark == 0,
            (_, Some(keys)) => keys.may_be_plain(no),
            (_, None) => true,
        };
        if file.len().map_err(write_error)? < u64::from(len) {
            file.preallocate(u64::from(len)).map_err(write_error)?;
        }
        if !matches!(header, HeaderCheck::Valid(_)) {
            let header = SegmentHeader {
                segment: no,
                segment_len: len,
                session: 0,
                key_mark: if plain { 0 } else { self.options.key_mark() },
            };
            file.write_all_at(&header.encode(self.options.secret), 0)
                .map_err(write_error)?;
        }
        // A segment that was begun plain stays so: what comes is sealed, in one of its own.
        let full = walked.end + 2 * FRAME_HEADER > len || plain != self.options.keys.is_none();
        let stamp = Stamp {
            seed: guard.seed,
            offset: walked.end,
            stable: walked.end,
            session: self.session,
            in_batch: false,
            cipher: None,
        };
        let mut mark = Vec::new();
        frame::encode_mark(
            &mut mark,
            stamp,
            if full { kind::SEAL } else { kind::RESUME },
        );
        if walked.end + FRAME_HEADER <= len {
            file.write_all_at(&mark, u64::from(walked.end))
                .map_err(write_error)?;
        }
        file.sync_data().map_err(write_error)?;
        let end = (walked.end + FRAME_HEADER).min(len);
        let index = walked.index.unwrap_or_else(|| BuildingIndex::new(no));
        if full {
            let session = self.session;
            let (sealed, records, index) = (true, walked.records, Some(index));
            let segment = Segment {
                no,
                guard,
                file,
                header,
                len,
            };
            self.seal(
                segment,
                Walked {
                    end,
                    sealed,
                    records,
                    index,
                    session,
                },
            );
            return Ok(None);
        }
        let live = self.live.get(no);
        Ok(Some(Active {
            segment: no,
            guard,
            len,
            end,
            stable: end,
            live,
            file,
            index,
        }))
    }

    fn into_log(
        self,
        active: Option<Active>,
        spares: Vec<SegmentNo>,
        next_segment: SegmentNo,
    ) -> (Log, LogReport) {
        let position = match (&active, self.sealed.last_key_value()) {
            (Some(active), _) => LogPosition::new(active.segment, active.end),
            (None, Some((segment, sealed))) => LogPosition::new(*segment, sealed.used),
            (None, None) => LogPosition::new(next_segment, 0),
        };
        let unindexed = |(segment, sealed): (&SegmentNo, &Sealed)| {
            sealed.building.is_some().then_some(*segment)
        };
        let unindexed_from = self.sealed.iter().find_map(unindexed);
        let salt = self.options.salt();
        let log = Log {
            unindexed_from: unindexed_from.unwrap_or(next_segment),
            memory: Memory::new(self.options.tail_cache_bytes),
            disk: Disk::new(
                Arc::clone(&self.storage),
                self.dir.clone(),
                self.options.guards(),
            ),
            sections: SectionCache::new(self.options.index_cache_bytes, self.options.guards()),
            storage: self.storage,
            dir: self.dir,
            options: self.options,
            active,
            sealed: self.sealed,
            next_segment,
            session: self.session,
            salt,
            resume: false,
            barrier: false,
            directory: self.directory,
            last_section: None,
            located: VecDeque::new(),
            following: Following::default(),
            spares,
            recycling: Vec::new(),
            erasures: Vec::new(),
            sealing: Vec::new(),
            new_names: false,
            commit_start: position,
            in_flight: false,
            batch: None,
            maintaining: false,
            indexing: None,
            maintenance_failed: None,
            written: position,
            synced: position,
            last_sync: 0,
            appended_bytes: 0,
            fenced: None,
        };
        (log, self.report)
    }
}

struct Listing {
    segments: Vec<SegmentNo>,
    spares: Vec<SegmentNo>,
    /// Above every number that a file here has.
    next_segment: SegmentNo,
}

impl Segment {
    /// Whether its commit failed and writing went on in an earlier segment.
    fn is_voided(&self, session: u32) -> bool {
        matches!(self.header, HeaderCheck::Valid(header) if header.session < session)
    }

    fn scan(&self, from: u32, session: u32) -> Scan<'_> {
        let guard = self.guard.clone();
        Scan::new(&*self.file, self.no, guard, (from, self.len), session)
    }
}

fn io_error(doing: &'static str, path: &Path, source: io::Error) -> OpenError {
    OpenError::Io {
        doing,
        path: path.to_owned(),
        source,
    }
}
