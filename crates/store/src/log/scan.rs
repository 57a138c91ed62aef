//! Walking the records of a segment's file, over damage.

use std::io;
use std::ops::Range;

use super::RecordAt;
use super::SegmentNo;
use super::disk::read_full;
use super::frame::{self, FRAME_HEADER, Frame};
use super::guard::Guard;
use super::position::padded;
use crate::storage::StorageFile;

/// A walk over one segment, in large reads.
#[derive(Debug)]
pub(crate) struct Scan<'f> {
    file: &'f dyn StorageFile,
    segment: SegmentNo,
    guard: Guard,
    /// Where the segment ends.
    len: u32,
    /// Records of a lower session are leftovers.
    session: u32,
    next: u32,
    /// The bytes from `buf_start` on.
    buf: Vec<u8>,
    buf_start: u32,
    /// What is known of where the file has anything but zeros: the last range asked for.
    data: Range<u32>,
}

/// What a scan meets.
#[derive(Debug)]
pub(crate) enum Found<'a> {
    /// A record, or one of the log's own marks, `gap` bytes behind the last one.
    Frame {
        /// Where.
        at: RecordAt,
        /// What.
        frame: Frame<'a>,
        /// Where the bytes begin that should have been a record, if not right here.
        gap_from: u32,
    },
    /// No further record.
    End,
}

const READ: usize = 1 << 20;
/// Records begin at multiples of this.
const STEP: u32 = 8;

impl<'f> Scan<'f> {
    pub(crate) fn new(
        file: &'f dyn StorageFile,
        segment: SegmentNo,
        guard: Guard,
        (from, len): (u32, u32),
        session: u32,
    ) -> Self {
        Self {
            file,
            segment,
            guard,
            len,
            session,
            next: from,
            buf: Vec::new(),
            buf_start: from,
            data: from..from,
        }
    }

    /// The highest session met.
    pub(crate) fn session(&self) -> u32 {
        self.session
    }

    pub(crate) fn step(&mut self) -> io::Result<Found<'_>> {
        let gap_from = self.next;
        let mut offset = self.next;
        loop {
            let Some(start) = self.data_from(offset)? else {
                return Ok(Found::End);
            };
            offset = start;
            if !self.fill(offset, STEP)? {
                return Ok(Found::End);
            }
            let from = (offset - self.buf_start) as usize;
            let skipped = skip_to_magic(&self.buf[from..]);
            if skipped > 0 {
                offset += skipped;
                continue;
            }
            // Only now beyond the data's end: a page that is read of a hole is none from then on.
            if self.fill(offset, FRAME_HEADER)?
                && let Some(len) = self.claimed_len(offset)
                && self.fill(offset, len)?
            {
                let from = (offset - self.buf_start) as usize;
                let valid = self
                    .guard
                    .open(&mut self.buf[from..], offset)
                    .is_some_and(|frame| frame.session >= self.session);
                if valid {
                    self.next = offset + padded(len);
                    break;
                }
            }
            offset += STEP;
        }
        let from = (offset - self.buf_start) as usize;
        // Decoded once more, without the checksum: the borrow could not leave the loop.
        match frame::decode_trusted(&self.buf[from..]) {
            Some(frame) => {
                self.session = frame.session;
                Ok(Found::Frame {
                    at: frame.at(self.segment, offset),
                    frame,
                    gap_from,
                })
            }
            None => Ok(Found::End),
        }
    }

    fn claimed_len(&self, offset: u32) -> Option<u32> {
        let from = (offset - self.buf_start) as usize;
        frame::claimed_len(self.buf.get(from..)?)
    }

    /// The next place at or after `offset` at which a record may begin: none does among zeros. `None`: nowhere.
    fn data_from(&mut self, offset: u32) -> io::Result<Option<u32>> {
        let mut from = offset;
        while !self.data.contains(&from) {
            if from >= self.len {
                return Ok(None);
            }
            let Some(data) = self.file.data_from(u64::from(from))? else {
                return Ok(None);
            };
            let within = |at: u64| u32::try_from(at).map_or(self.len, |at| at.min(self.len));
            from = within(data.start).next_multiple_of(STEP);
            self.data = from..within(data.end);
            if self.data.is_empty() {
                from = within(data.end).max(from + STEP);
            }
        }
        Ok(Some(from))
    }

    /// Makes sure that `len` bytes from `offset` are in the buffer; `false` if the segment ends before.
    fn fill(&mut self, offset: u32, len: u32) -> io::Result<bool> {
        let Some(end) = offset.checked_add(len).filter(|end| *end <= self.len) else {
            return Ok(false);
        };
        let buffered = self.buf_start as usize + self.buf.len();
        if offset >= self.buf_start && end as usize <= buffered {
            return Ok(true);
        }
        // No further than there is data, but the whole record: its own zeros may be a hole.
        let data = self.data.end.saturating_sub(offset) as usize;
        let want = (len as usize).max(READ.min(data));
        if offset >= self.buf_start && (offset as usize) < buffered {
            self.buf.drain(..(offset - self.buf_start) as usize);
        } else {
            self.buf.clear();
        }
        self.buf_start = offset;
        let have = self.buf.len();
        self.buf.resize(want, 0);
        let read = read_full(
            self.file,
            &mut self.buf[have..],
            u64::from(offset) + have as u64,
        )?;
        self.buf.truncate(have + read);
        Ok(self.buf.len() >= len as usize)
    }
}

/// Bytes that are held against zero at a time.
const ZEROS: usize = 256;

/// How many bytes, in steps of [`STEP`], come before the next place that looks like a record; stops where too
/// little is left to tell.
fn skip_to_magic(bytes: &[u8]) -> u32 {
    let mut skipped = 0;
    while bytes.len() - skipped >= STEP as usize && !frame::looks_like_frame(&bytes[skipped..]) {
        skipped += STEP as usize;
        // Nothing but zeros looks like no record at all.
        while let Some(zeros) = bytes.get(skipped..skipped + ZEROS)
            && zeros.iter().fold(0, |any, byte| any | byte) == 0
        {
            skipped += ZEROS;
        }
    }
    skipped as u32
}
