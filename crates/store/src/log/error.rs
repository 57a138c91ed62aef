//! What can go wrong with a log, one type an operation.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use super::{LogPosition, RecordAt, SegmentNo};

/// Why a log did not open.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// A file operation failed.
    #[error("log {path}: {doing} failed: {source}")]
    Io {
        /// What was done.
        doing: &'static str,
        /// To which file or directory.
        path: PathBuf,
        /// The operating system's reason.
        source: io::Error,
    },
    /// A segment was written by a newer version of the program.
    #[error("segment {path} has format version {found}, newest known is {known}")]
    NewerFormat {
        /// The segment's file.
        path: PathBuf,
        /// Its version.
        found: u16,
        /// Ours.
        known: u16,
    },
    /// The segment is sealed, and the store is said not to be.
    #[error("segment {path} is encrypted and the store has no key")]
    Sealed {
        /// The segment's file.
        path: PathBuf,
    },
    /// The segment belongs to another store, or the store's secret was lost.
    #[error("segment {path} belongs to another store")]
    ForeignSegment {
        /// The segment's file.
        path: PathBuf,
    },
}

/// Why a record was not appended. Nothing has changed.
#[derive(Debug, Clone, thiserror::Error)]
pub enum AppendError {
    /// An earlier fdatasync failed, or writes failed in a way that leaves the disk's state unknown;
    /// only a new opening of the log can tell what is on it.
    #[error("log is fenced until the next start: {0}")]
    Fenced(Arc<io::Error>),
    /// There is no room for another segment. Worth trying again when space has returned.
    #[error("no space for another log segment: {0}")]
    NoSpace(Arc<io::Error>),
    /// The new segment's file could not be made, for another reason than space.
    #[error("cannot create log segment {segment}: {source}")]
    CreateSegment {
        /// The segment.
        segment: SegmentNo,
        /// The operating system's reason.
        source: Arc<io::Error>,
    },
    /// The record does not fit a segment.
    #[error("record of {len} bytes exceeds the segment's {limit}")]
    TooLarge {
        /// Bytes of the encoded record.
        len: u64,
        /// The largest possible.
        limit: u32,
    },
    /// A subject or name is longer than its length field can say.
    #[error("{field} of {len} bytes exceeds {limit}")]
    FieldTooLong {
        /// Which.
        field: &'static str,
        /// Its bytes.
        len: usize,
        /// The largest possible.
        limit: usize,
    },
}

/// Why a commit did not make its records durable.
#[derive(Debug, Clone, thiserror::Error)]
pub enum CommitError {
    /// The write failed before anything was forced, for example for want of space. Every record
    /// from `void_from` on, the ones appended since the commit was taken included, is void: the caller
    /// answers their publishers with an error, undoes them and releases them. The log goes on from
    /// `void_from`. A crash before the next successful commit may still bring them back.
    #[error("log write failed, records from {void_from} on are void: {source}")]
    Void {
        /// The first position that does not count.
        void_from: LogPosition,
        /// The operating system's reason.
        source: Arc<io::Error>,
    },
    /// fdatasync failed: what is on the disk is unknown, and asking again could report a success
    /// that is none. The log stays fenced until it is opened again.
    #[error("log sync failed, log is fenced: {source}")]
    Fenced {
        /// The operating system's reason.
        source: Arc<io::Error>,
    },
}

/// Why a record could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// There is no such segment (recycled?).
    #[error("log has no segment {0}")]
    NoSegment(SegmentNo),
    /// The bytes there are not the record that was written.
    #[error("record at {} is damaged", .0.start())]
    Damaged(RecordAt),
    /// A file operation failed.
    #[error("reading log segment {segment} failed: {source}")]
    Io {
        /// The segment.
        segment: SegmentNo,
        /// The operating system's reason.
        source: io::Error,
    },
}
