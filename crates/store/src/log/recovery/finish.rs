//! What becomes of the segments once all were walked, and where writing goes on.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;

use super::segment::Segment;
use super::walk::Walked;
use super::{Recovery, io_error};
use crate::log::disk::{Disk, read_full};
use crate::log::follow::Following;
use crate::log::frame::{self, FRAME_HEADER, Stamp};
use crate::log::index::building::BuildingIndex;
use crate::log::index::directory::SectionCache;
use crate::log::index::file::{self, IndexSeal};
use crate::log::memory::Memory;
use crate::log::record::kind;
use crate::log::segment::{
    HeaderCheck, SEGMENT_HEADER, SegmentHeader, aside_path, index_path, segment_path, spare_path,
};
use crate::log::{Active, Log, LogPosition, LogReport, OpenError, Sealed, SegmentNo, Unindexed};

/// Bytes that are written once more at a time.
const REWRITE: usize = 1 << 20;

impl Recovery {
    /// A segment that others follow.
    pub(super) fn seal(&mut self, segment: Segment, walked: Walked) {
        let previous = segment.previous();
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
                previous,
                building,
            },
        );
    }

    /// Segments without any record. Behind the last record they were begun by a commit that did not come to its end;
    /// elsewhere their records have been voided, or somebody has damaged them.
    pub(super) fn clear_away(
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
    pub(super) fn go_on(
        &mut self,
        segment: Segment,
        walked: Walked,
    ) -> Result<Option<Active>, OpenError> {
        // Ahead of the mark, which says that it is durable.
        self.make_durable(&segment, &walked)?;
        if walked.sealed {
            self.seal(segment, walked);
            return Ok(None);
        }
        let previous = segment.previous();
        let Segment {
            no,
            guard,
            file,
            header,
            len,
            file_len,
        } = segment;
        // It had its length before its first commit was durable.
        if file_len < len && walked.stable > SEGMENT_HEADER {
            self.damaged(no, walked.end, len);
            self.report.cut.extend(self.report.damage.last().copied());
        }
        let path = segment_path(&self.dir, no);
        let write_error = |source| io_error("writing", &path, source);
        self.session += 1;
        let plain = match (header, &self.options.keys) {
            (HeaderCheck::Valid(header), _) => header.key_mark == 0,
            (_, Some(keys)) => keys.may_be_plain(no),
            (_, None) => true,
        };
        if file_len < len {
            file.preallocate(u64::from(len)).map_err(write_error)?;
        }
        if !matches!(header, HeaderCheck::Valid(_)) {
            let header = SegmentHeader {
                segment: no,
                segment_len: len,
                session: 0,
                key_mark: if plain { 0 } else { self.options.key_mark() },
                previous,
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
                file_len: len,
            };
            self.seal(
                segment,
                Walked {
                    end,
                    sealed,
                    records,
                    stable: end,
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
            previous,
            file,
            index,
        }))
    }

    /// A kill may have come before the sync of what counts from here on. If that sync has failed, the operating system shows what it was to write and
    /// takes it for written: it is written once more.
    fn make_durable(&self, segment: &Segment, walked: &Walked) -> Result<(), OpenError> {
        let path = segment_path(&self.dir, segment.no);
        let file = &*segment.file;
        let known = if walked.stable > SEGMENT_HEADER {
            walked.stable
        } else {
            0
        };
        let mut at = known.max(self.settled_by_checkpoint(segment.no));
        let mut bytes = Vec::new();
        while at < walked.end {
            bytes.resize(REWRITE.min((walked.end - at) as usize), 0);
            let read = read_full(file, &mut bytes, u64::from(at));
            let read = read.map_err(|source| io_error("reading", &path, source))?;
            if read == 0 {
                break;
            }
            file.write_all_at(&bytes[..read], u64::from(at))
                .map_err(|source| io_error("writing", &path, source))?;
            at += read as u32;
        }
        file.sync_data()
            .map_err(|source| io_error("syncing", &path, source))
    }

    pub(super) fn into_log(
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
            voided: Vec::new(),
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
            syncs: Arc::default(),
            fenced: None,
        };
        (log, self.report)
    }
}
