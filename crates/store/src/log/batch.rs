//! Atomic batches: records that count together or not at all.
//!
//! The records of a batch lie one behind the other in one segment and in one commit, flagged, with a [`BatchCommit`] behind
//! them. So only the log's end can hold a batch without its commit, and a start cuts it off there.

use super::append::RESERVE;
use super::frame::FRAME_HEADER;
use super::guard::SEAL;
use super::position::padded;
use super::segment::SEGMENT_HEADER;
use super::{AppendError, BatchCommit, Log, Record, RecordAt};

impl Log {
    /// What a sealed record takes in addition, in bytes.
    pub const SEAL_BYTES: u64 = SEAL as u64;

    /// What this record takes in a segment, in bytes, without a seal.
    pub fn bytes_of(record: &Record<'_>) -> u64 {
        u64::from(FRAME_HEADER) + record.body_len().next_multiple_of(8)
    }

    /// The most that a batch may take, in bytes.
    pub fn batch_limit(&self) -> u64 {
        u64::from(self.options.segment_len() - SEGMENT_HEADER - RESERVE - COMMIT - self.seal())
    }

    /// Makes room for so many records in one segment: the next ones are not refused. `bytes`: the sum of [`Log::bytes_of`] over all of them, or more.
    ///
    /// # Errors
    /// [`AppendError::TooLarge`] when they do not fit one segment, else as [`Log::append`].
    pub fn reserve(&mut self, records: usize, bytes: u64) -> Result<(), AppendError> {
        if let Some(error) = &self.fenced {
            return Err(AppendError::Fenced(std::sync::Arc::clone(error)));
        }
        let seals = u64::from(self.seal()).saturating_mul(records as u64);
        self.make_room(bytes.saturating_add(seals))?;
        Ok(())
    }

    /// Begins a batch of so many records: what is appended until [`Log::commit_batch`] counts only with that. `bytes`: the sum of
    /// [`Log::bytes_of`] over all of them, or more.
    ///
    /// # Errors
    /// [`AppendError::TooLarge`] when they do not fit one segment, else as [`Log::append`]; no batch is open then.
    pub fn begin_batch(&mut self, records: usize, bytes: u64) -> Result<(), AppendError> {
        debug_assert!(self.batch.is_none(), "one batch at a time");
        self.reserve(records + 1, bytes.saturating_add(u64::from(COMMIT)))?;
        self.batch = self.active.as_ref().map(|active| active.end);
        Ok(())
    }

    /// Ends the open batch: its records count from here on.
    ///
    /// # Errors
    /// As [`Log::append`], when more was appended than was announced; the batch is still open then.
    pub fn commit_batch(&mut self, commit: BatchCommit) -> Result<RecordAt, AppendError> {
        let at = self.append(&Record::BatchCommit(commit))?;
        self.batch = None;
        Ok(at)
    }

    /// Takes back what was appended since [`Log::begin_batch`].
    pub fn abandon_batch(&mut self) {
        let Some(start) = self.batch.take() else {
            return;
        };
        if let Some(active) = &mut self.active {
            self.located.clear();
            self.memory.truncate_open(active.segment, start);
            let taken_back = active.end - start;
            active.end = start;
            active.live -= taken_back;
            self.appended_bytes -= u64::from(taken_back);
            active.index.truncate(start);
        }
    }
}

/// Bytes of the record that ends a batch.
const COMMIT: u32 = padded(FRAME_HEADER + BatchCommit::BODY_LEN as u32);
