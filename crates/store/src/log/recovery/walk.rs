//! What of a segment counts, and its replay.

use super::segment::Segment;
use super::{Recovery, Visit, claims, io_error};
use crate::log::index::building::BuildingIndex;
use crate::log::index::file;
use crate::log::index::rebuild::rebuild;
use crate::log::record::kind;
use crate::log::scan::Found;
use crate::log::segment::{HeaderCheck, SEGMENT_HEADER, segment_path};
use crate::log::unfinished::UnfinishedBatch;
use crate::log::{Damage, OpenError, Record, RecordAt, ReplayedRecord, SegmentNo};

/// What a walk over a segment found.
pub(super) struct Walked {
    /// Where the last record that counts ends.
    pub(super) end: u32,
    pub(super) sealed: bool,
    pub(super) records: u64,
    /// The highest `stable` of any.
    pub(super) stable: u32,
    /// Unless there is an index file.
    pub(super) index: Option<BuildingIndex>,
    pub(super) session: u32,
}

impl Recovery {
    /// Walks a segment and replays what lies at or after the checkpoint.
    pub(super) fn walk(
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
            stable: SEGMENT_HEADER,
            index: None,
            session: self.session,
        };
        let mut settled = self.settled_by_checkpoint(no);
        let damage_before = self.report.damage.len();
        let mut surveyed = false;
        let mut holes = Vec::new();
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
                holes.push(gap_from..at.offset);
            }
            self.session = frame.session;
            walked.stable = walked.stable.max(frame.stable);
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
        for hole in holes {
            let claimed = claims::in_hole(&*segment.file, hole);
            self.report.claimed.extend(claimed.map_err(read_error)?);
        }
        walked.session = self.session;
        walked.index = index;
        if let Some(table) = indexed {
            if walked.records > 0 && walked.sealed && table.used == walked.end {
                self.directory.insert(&table);
                if self.report.damage.len() > damage_before {
                    self.outlived(&table);
                }
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
    pub(super) fn settled_by_checkpoint(&self, no: SegmentNo) -> u32 {
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

    pub(super) fn damaged(&mut self, segment: SegmentNo, from: u32, to: u32) {
        tracing::error!(dir = %self.dir.display(), %segment, from, to, "log is damaged");
        self.report.damage.push(Damage { segment, from, to });
    }
}
