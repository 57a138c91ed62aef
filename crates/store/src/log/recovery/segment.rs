//! A segment's file, as a start opens it.

use std::path::Path;
use std::sync::Arc;

use super::{Recovery, io_error};
use crate::log::disk::read_full;
use crate::log::guard::Guard;
use crate::log::scan::Scan;
use crate::log::segment::{
    FORMAT_VERSION, HeaderCheck, SEGMENT_HEADER, SegmentHeader, segment_path,
};
use crate::log::{OpenError, SegmentNo};
use crate::storage::{OpenMode, StorageFile};

/// A segment's file, opened.
pub(super) struct Segment {
    pub(super) no: SegmentNo,
    pub(super) guard: Guard,
    pub(super) file: Arc<dyn StorageFile>,
    pub(super) header: HeaderCheck,
    pub(super) len: u32,
    /// What is left of it: less than its length if its end is gone.
    pub(super) file_len: u32,
}

impl Segment {
    /// Whether its commit failed and writing went on in an earlier segment.
    pub(super) fn is_voided(&self, session: u32) -> bool {
        matches!(self.header, HeaderCheck::Valid(header) if header.session < session)
    }

    /// The segment before it when it was begun, if its header says so.
    pub(super) fn previous(&self) -> Option<SegmentNo> {
        match self.header {
            HeaderCheck::Valid(header) => header.previous,
            _ => None,
        }
    }

    pub(super) fn scan(&self, from: u32, session: u32) -> Scan<'_> {
        let guard = self.guard.clone();
        Scan::new(&*self.file, self.no, guard, (from, self.len), session)
    }
}

impl Recovery {
    pub(super) fn open_segment(&self, no: SegmentNo) -> Result<Segment, OpenError> {
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
            file_len,
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
}
