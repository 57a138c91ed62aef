//! Records that are read back from the disk, always with their checksum.

use std::io;
use std::ops::{Range, RangeInclusive};
use std::path::PathBuf;
use std::sync::Arc;

use super::frame::{self, Frame};
use super::guard::{Guard, Guards};
use super::position::padded;
use super::segment::segment_path;
use super::{LogPosition, Message, ReadError, RecordAt, SegmentNo, StreamId};
use crate::storage::{OpenMode, Storage, StorageFile};

/// Reads records of written segments through a few read-ahead windows.
#[derive(Debug)]
pub(crate) struct Disk {
    storage: Arc<dyn Storage>,
    dir: PathBuf,
    guards: Guards,
    /// Open files, the most recently used last.
    files: Vec<OpenFile>,
    windows: Vec<Window>,
    clock: u64,
}

#[derive(Debug)]
struct OpenFile {
    segment: SegmentNo,
    file: Arc<dyn StorageFile>,
    guard: Guard,
}

/// A piece of a segment in memory.
#[derive(Debug)]
struct Window {
    segment: SegmentNo,
    guard: Guard,
    start: u32,
    bytes: Vec<u8>,
    /// Where the last record served ended: a read from here on is a sequential one.
    served: u32,
    /// Records in this range have passed their checksums since they were read.
    checked: Range<u32>,
    /// Of a sealed log instead: a bit for each 8 bytes, where a record begins that has been opened.
    opened: Vec<u64>,
    used_at: u64,
}

/// How many sequential readers are served well at a time.
const WINDOWS: usize = 8;
const READ_AHEAD: u32 = 256 << 10;
/// A reader that skips at most this much is still sequential.
const SKIP: u32 = 32 << 10;
const FILES: usize = 64;

impl Disk {
    pub(crate) fn new(storage: Arc<dyn Storage>, dir: PathBuf, guards: Guards) -> Self {
        Self {
            storage,
            dir,
            guards,
            files: Vec::new(),
            windows: Vec::new(),
            clock: 0,
        }
    }

    /// `written`: how far the segment's file holds records that may be read.
    pub(crate) fn read(&mut self, at: RecordAt, written: u32) -> Result<Frame<'_>, ReadError> {
        let window = match self.window_of(at) {
            Some(window) => window,
            None => self.load(at, written)?,
        };
        self.read_in(window, at)
    }

    /// The window that holds a record, if one does: for [`Disk::read_in`].
    pub(crate) fn window_of(&self, at: RecordAt) -> Option<usize> {
        self.windows.iter().position(|window| window.holds(at))
    }

    /// Reads a record into a window, which it answers.
    pub(crate) fn load(&mut self, at: RecordAt, written: u32) -> Result<usize, ReadError> {
        match at.offset.checked_add(at.len) {
            Some(end) if end <= written => self.fill(at, written),
            _ => Err(ReadError::Damaged(at)),
        }
    }

    /// The record, which this window holds.
    pub(crate) fn read_in(&mut self, window: usize, at: RecordAt) -> Result<Frame<'_>, ReadError> {
        self.check_in(window, at)?;
        let window = &self.windows[window];
        let from = (at.offset - window.start) as usize;
        frame::decode_trusted(&window.bytes[from..from + at.len as usize])
            .filter(|frame| frame.len == at.len)
            .ok_or(ReadError::Damaged(at))
    }

    /// Makes sure that a record, which this window holds, has passed its checksum since it was read.
    pub(crate) fn check_in(&mut self, window: usize, at: RecordAt) -> Result<(), ReadError> {
        let end = at.offset + at.len;
        self.clock += 1;
        let window = &mut self.windows[window];
        window.used_at = self.clock;
        window.served = end;
        if window.guard.cipher().is_some() {
            return window.open(at);
        }
        let checked = &mut window.checked;
        if at.offset < checked.start || end > checked.end {
            let from = (at.offset - window.start) as usize;
            let bytes = &window.bytes[from..from + at.len as usize];
            frame::decode(bytes, window.guard.seed, at.offset).ok_or(ReadError::Damaged(at))?;
            pass(checked, at.offset..end);
        }
        Ok(())
    }

    /// The record that begins at `start`, if this window holds it and it claims to be this message.
    pub(crate) fn message_at(
        &mut self,
        window: usize,
        start: LogPosition,
        (stream, seq): (StreamId, u64),
    ) -> Option<RecordAt> {
        let window = self.windows.get_mut(window)?;
        if window.segment != start.segment() {
            return None;
        }
        let from = start.offset().checked_sub(window.start)? as usize;
        let len = frame::claimed_len(window.bytes.get(from..)?)?;
        let at = RecordAt {
            segment: window.segment,
            offset: start.offset(),
            len,
        };
        if window.guard.cipher().is_some() && window.holds(at) {
            window.open(at).ok()?;
        }
        let found = frame::claimed_message(window.bytes.get(from..)?)?;
        (found == (stream, seq) && window.holds(at)).then_some(at)
    }

    /// Shows `visit` a stream's messages in order, the first of `seqs` at `start`, as far as they lie one right behind the other in this window
    /// and pass their checksums. Answers how many there were and where the last one ends. Those of a sealed log are opened one by one, by
    /// [`Disk::message_at`].
    pub(crate) fn run(
        &mut self,
        window: usize,
        start: LogPosition,
        (stream, seqs): (StreamId, RangeInclusive<u64>),
        mut visit: impl FnMut(&Message<'_>),
    ) -> Option<(u64, LogPosition)> {
        let Window {
            segment,
            guard,
            start: window_start,
            bytes,
            served,
            checked,
            used_at,
            ..
        } = self.windows.get_mut(window)?;
        if *segment != start.segment() || guard.cipher().is_some() {
            return None;
        }
        let mut offset = start.offset();
        let mut shown = 0;
        for seq in seqs {
            let from = offset.checked_sub(*window_start)? as usize;
            let record = bytes.get(from..).unwrap_or_default();
            let Some(frame) = frame::decode_trusted(record) else {
                break;
            };
            let Some(message) = frame
                .message()
                .filter(|m| (m.stream, m.seq) == (stream, seq))
            else {
                break;
            };
            let end = offset + frame.len;
            if offset < checked.start || end > checked.end {
                if frame::decode(record, guard.seed, offset).is_none() {
                    break;
                }
                pass(checked, offset..end);
            }
            visit(&message);
            shown += 1;
            *served = end;
            offset = padded(end);
        }
        self.clock += 1;
        *used_at = self.clock;
        Some((shown, LogPosition::new(*segment, offset)))
    }

    /// Forgets a segment whose bytes change.
    pub(crate) fn forget(&mut self, segment: SegmentNo) {
        self.files.retain(|open| open.segment != segment);
        self.windows.retain(|window| window.segment != segment);
    }

    pub(crate) fn file(&mut self, segment: SegmentNo) -> Result<Arc<dyn StorageFile>, ReadError> {
        self.open_file(segment).map(|open| Arc::clone(&open.file))
    }

    fn open_file(&mut self, segment: SegmentNo) -> Result<&OpenFile, ReadError> {
        if let Some(index) = self.files.iter().position(|open| open.segment == segment) {
            let entry = self.files.remove(index);
            self.files.push(entry);
            return Ok(&self.files[self.files.len() - 1]);
        }
        let file = self
            .storage
            .open(&segment_path(&self.dir, segment), OpenMode::Read)
            .map_err(|source| ReadError::Io { segment, source })?;
        if self.files.len() >= FILES {
            self.files.remove(0);
        }
        let guard = self.guards.of(segment);
        self.files.push(OpenFile {
            segment,
            file,
            guard,
        });
        Ok(&self.files[self.files.len() - 1])
    }

    /// Reads what holds the record into a window and returns its index.
    fn fill(&mut self, at: RecordAt, written: u32) -> Result<usize, ReadError> {
        let segment = at.segment;
        let open = self.open_file(segment)?;
        let (file, guard) = (Arc::clone(&open.file), open.guard.clone());
        let follows = |window: &Window| {
            let skipped = at.offset.checked_sub(window.served);
            window.segment == segment && skipped.is_some_and(|skipped| skipped <= SKIP)
        };
        let len = if self.windows.iter().any(follows) {
            at.len.max(READ_AHEAD)
        } else {
            at.len
        };
        let len = len.min(written - at.offset);
        // Not in place of the reader's last window: what it has seen there it may read once more.
        let index = if self.windows.len() < WINDOWS {
            let (start, served) = (at.offset, at.offset);
            self.windows.push(Window {
                segment,
                guard: guard.clone(),
                start,
                bytes: Vec::new(),
                served,
                checked: start..start,
                opened: Vec::new(),
                used_at: 0,
            });
            self.windows.len() - 1
        } else {
            let oldest = self
                .windows
                .iter()
                .enumerate()
                .min_by_key(|(_, window)| window.used_at);
            oldest.map_or(0, |(index, _)| index)
        };
        let window = &mut self.windows[index];
        window.segment = segment;
        window.guard = guard;
        window.opened.clear();
        window.start = at.offset;
        window.checked = at.offset..at.offset;
        if window.bytes.capacity() > 4 * READ_AHEAD as usize {
            window.bytes = Vec::new();
        }
        window.bytes.resize(len as usize, 0);
        let read = read_full(&*file, &mut window.bytes, u64::from(at.offset));
        match read {
            Ok(read) if read >= at.len as usize => {
                window.bytes.truncate(read);
                Ok(index)
            }
            failed => {
                self.windows.remove(index);
                match failed {
                    Ok(_) => Err(ReadError::Damaged(at)),
                    Err(source) => Err(ReadError::Io { segment, source }),
                }
            }
        }
    }
}

impl Window {
    /// Opens a record of a sealed log, which this window holds, if it has not been yet.
    fn open(&mut self, at: RecordAt) -> Result<(), ReadError> {
        let from = (at.offset - self.start) as usize;
        let (word, bit) = (from / (8 * 64), 1 << (from / 8 % 64));
        if self.opened.len() <= word {
            self.opened.resize(word + 1, 0);
        }
        if self.opened[word] & bit == 0 {
            let bytes = &mut self.bytes[from..from + at.len as usize];
            let opened = self.guard.open(bytes, at.offset);
            opened.ok_or(ReadError::Damaged(at))?;
            self.opened[word] |= bit;
        }
        Ok(())
    }

    fn holds(&self, at: RecordAt) -> bool {
        self.segment == at.segment
            && at.offset >= self.start
            && (at.offset - self.start) as usize + at.len as usize <= self.bytes.len()
    }
}

/// Adds a record to those that have passed their checksum, if it lies behind them; else it is the only one.
fn pass(checked: &mut Range<u32>, record: Range<u32>) {
    if record.start >= checked.start && record.start <= padded(checked.end) {
        checked.end = record.end;
    } else {
        *checked = record;
    }
}

/// Reads until the buffer is full or the file ends; returns how much.
pub(crate) fn read_full(file: &dyn StorageFile, buf: &mut [u8], offset: u64) -> io::Result<usize> {
    let mut done = 0;
    while let Some(rest) = buf.get_mut(done..)
        && !rest.is_empty()
    {
        let read = file.read_at(rest, offset + done as u64)?;
        if read == 0 {
            break;
        }
        done += read;
    }
    Ok(done)
}
