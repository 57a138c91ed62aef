//! Appending: into the open buffer, and over to the next segment.

use std::io;
use std::sync::Arc;

use super::frame::{self, FRAME_HEADER, Stamp};
use super::guard::SEAL;
use super::index::building::BuildingIndex;
use super::memory::CHUNK_FULL;
use super::position::padded;
use super::record::kind;
use super::segment::{SEGMENT_HEADER, SegmentHeader, segment_path, spare_path};
use super::{Active, AppendError, Log, Message, Record, RecordAt, Sealed, SegmentNo, Unindexed};
use crate::storage::{OpenMode, StorageFile};

/// Room kept at a segment's end for its seal, and for a resume mark before that.
pub(super) const RESERVE: u32 = 2 * FRAME_HEADER;

impl Log {
    /// Encodes a record into the open buffer. It is readable at once, and durable when
    /// [`Log::durable`] has reached its [`RecordAt::end`].
    ///
    /// When the segment is full this makes the next one (a few system calls each 64 MiB), so that
    /// want of space shows here, before anything is promised.
    ///
    /// # Errors
    /// [`AppendError`]; nothing has changed then.
    pub fn append(&mut self, record: &Record<'_>) -> Result<RecordAt, AppendError> {
        if let Record::Message(message) = record {
            return self.append_message(message);
        }
        record.check()?;
        self.append_encoded(record.body_len(), |out, stamp, len| {
            frame::encode(out, stamp, record, len);
        })
    }

    /// As [`Log::append`] for a message, which is what most records are.
    ///
    /// # Errors
    /// [`AppendError`]; nothing has changed then.
    #[inline]
    pub fn append_message(&mut self, message: &Message<'_>) -> Result<RecordAt, AppendError> {
        message.check()?;
        let at = self.append_encoded(message.body_len(), |out, stamp, len| {
            frame::encode_message(out, stamp, message, len);
        })?;
        if let Some(active) = &mut self.active {
            active.index.push(message, at.offset, at.len);
        }
        Ok(at)
    }

    /// Appends a record with a body of so many bytes, which `encode` writes with its frame.
    #[inline]
    fn append_encoded(
        &mut self,
        body_len: u64,
        encode: impl FnOnce(&mut Vec<u8>, Stamp, u32),
    ) -> Result<RecordAt, AppendError> {
        if let Some(error) = &self.fenced {
            return Err(AppendError::Fenced(Arc::clone(error)));
        }
        let len = self.make_room(u64::from(FRAME_HEADER + self.seal()) + body_len)?;
        let session = self.session;
        let in_batch = self.batch.is_some();
        let Some(active) = &mut self.active else {
            unreachable!("roll leaves an active segment")
        };
        let out = match self.memory.open.last_mut() {
            Some(chunk) if chunk.bytes.len() < CHUNK_FULL && chunk.segment == active.segment => {
                &mut chunk.bytes
            }
            _ => self.memory.begin_chunk(active.segment, active.end),
        };
        let offset = active.end;
        encode(out, active.stamp(session, in_batch), len);
        active.end += padded(len);
        active.live += padded(len);
        self.appended_bytes += u64::from(padded(len));
        Ok(RecordAt {
            segment: active.segment,
            offset,
            len,
        })
    }

    /// What a record takes beside header and body, in bytes.
    #[inline]
    pub(super) fn seal(&self) -> u32 {
        if self.options.keys.is_some() { SEAL } else { 0 }
    }

    /// Makes sure that so many bytes fit the active segment, in a new one if need be, and that they may follow.
    #[inline]
    pub(super) fn make_room(&mut self, bytes: u64) -> Result<u32, AppendError> {
        let limit = self.options.segment_len() - SEGMENT_HEADER - RESERVE;
        let too_large = AppendError::TooLarge { len: bytes, limit };
        let Some(len) = u32::try_from(bytes).ok().filter(|len| *len <= limit) else {
            return Err(too_large);
        };
        if self.active.as_ref().is_none_or(|active| !active.fits(len)) {
            if self.batch.is_some() {
                return Err(too_large);
            }
            self.roll()?;
        }
        if std::mem::take(&mut self.resume) {
            self.append_mark(kind::RESUME);
            self.barrier = true;
        }
        Ok(len)
    }

    /// Appends one of the log's own marks to the active segment, for which room is reserved.
    pub(super) fn append_mark(&mut self, kind: u8) {
        let session = self.session;
        let Some(active) = &mut self.active else {
            return;
        };
        let out = match self.memory.open.last_mut() {
            Some(chunk) if chunk.segment == active.segment => &mut chunk.bytes,
            _ => self.memory.begin_chunk(active.segment, active.end),
        };
        let stamp = Stamp {
            cipher: None,
            ..active.stamp(session, false)
        };
        frame::encode_mark(out, stamp, kind);
        active.end += FRAME_HEADER;
    }

    /// Seals the active segment and begins the next one.
    fn roll(&mut self) -> Result<(), AppendError> {
        let segment = self.next_segment;
        let len = self.options.segment_len();
        let file = self
            .create_segment(segment, len)
            .map_err(|source| match source.kind() {
                io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                    AppendError::NoSpace(Arc::new(source))
                }
                _ => AppendError::CreateSegment {
                    segment,
                    source: Arc::new(source),
                },
            })?;
        if std::mem::take(&mut self.resume) {
            // What a failed commit left behind the end must stay a leftover.
            self.append_mark(kind::RESUME);
            self.barrier = true;
        }
        self.append_mark(kind::SEAL);
        self.seal_active();
        let previous = self.sealed.last_key_value().map(|(before, _)| *before);
        self.next_segment = segment.next();
        let guard = self.options.guards().of(segment);
        let index = BuildingIndex::new(segment);
        let (end, stable, live) = (SEGMENT_HEADER, SEGMENT_HEADER, 0);
        self.active = Some(Active {
            segment,
            guard,
            len,
            end,
            stable,
            live,
            previous,
            file,
            index,
        });
        let header = SegmentHeader {
            segment,
            segment_len: len,
            session: self.session,
            key_mark: self.options.key_mark(),
            previous,
        };
        let out = self.memory.begin_chunk(segment, 0);
        out.extend_from_slice(&header.encode(self.options.secret));
        Ok(())
    }

    fn seal_active(&mut self) {
        if let Some(active) = self.active.take() {
            let Active {
                segment,
                len,
                end,
                live,
                previous,
                file,
                index,
                ..
            } = active;
            let building = Some(Unindexed {
                file,
                len,
                index: Arc::new(index),
            });
            let sealed = Sealed {
                used: end,
                live,
                session: self.session,
                previous,
                building,
            };
            self.sealed.insert(segment, sealed);
            self.unindexed_from = self.unindexed_from.min(segment);
        }
    }

    /// A file of this length for a new segment: an emptied one if there is any, since its blocks are
    /// already written to.
    fn create_segment(&mut self, segment: SegmentNo, len: u32) -> io::Result<Arc<dyn StorageFile>> {
        let path = segment_path(&self.dir, segment);
        let spare = self.spares.pop();
        let reused = spare.map(|spare| self.storage.rename(&spare_path(&self.dir, spare), &path));
        let mode = if matches!(reused, Some(Ok(()))) {
            OpenMode::Write
        } else {
            OpenMode::Create
        };
        let file = self.storage.open(&path, mode)?;
        if file.len()? < u64::from(len)
            && let Err(error) = file.preallocate(u64::from(len))
        {
            // The number will be tried again; an empty file in its place is harmless until then.
            let _ = self.storage.remove(&path);
            return Err(error);
        }
        self.new_names = true;
        Ok(file)
    }
}

impl Active {
    /// Whether a record of this length fits, with room to seal the segment after it.
    #[inline]
    pub(super) fn fits(&self, len: u32) -> bool {
        u64::from(self.end) + u64::from(padded(len)) + u64::from(RESERVE) <= u64::from(self.len)
    }

    #[inline]
    fn stamp(&self, session: u32, in_batch: bool) -> Stamp {
        Stamp {
            seed: self.guard.seed,
            offset: self.end,
            stable: self.stable,
            session,
            in_batch,
            cipher: self.guard.cipher(),
        }
    }
}
