//! Archives of streams: what a snapshot writes and a restore reads.
//!
//! nats-server knows two forms, and tells them apart by their first bytes. Both are one S2 stream. Since 2.15 it holds a
//! `NATSARC1` archive: the stream's state, its consumers, its messages, a sentinel. Before, it held a tar of the
//! stream's directory.
//!
//! Everything is written and read front to back in bounded memory; only `std::io` traits are needed. What the entries mean for a
//! stream is left to the caller.
//!
//! ```
//! use jetsled_archive::{ArchiveReader, ArchiveWriter, Entry, Limits, ArchivedMessage};
//! use jetsled_jetstream_api::{StreamSeq, StreamState, Timestamp};
//!
//! let mut writer = ArchiveWriter::new(Vec::new());
//! writer.state(&StreamState::default(), Timestamp::EPOCH)?;
//! writer.message(&ArchivedMessage {
//!     seq: StreamSeq(7),
//!     timestamp: Timestamp(1),
//!     subject: b"orders",
//!     headers: b"",
//!     payload: b"hello",
//! })?;
//! let bytes = writer.finish()?;
//!
//! let mut reader = ArchiveReader::open(&bytes[..], Limits::default())?;
//! assert!(matches!(reader.next()?, Entry::State(_)));
//! assert!(matches!(reader.next()?, Entry::Message(message) if message.seq == StreamSeq(7)));
//! assert!(matches!(reader.next()?, Entry::End));
//! # Ok::<(), jetsled_archive::ArchiveError>(())
//! ```

mod entry;
mod error;
pub mod filestore;
mod legacy;
mod reader;
mod s2;
mod writer;

pub use entry::ArchivedMessage;
pub use error::ArchiveError;
pub use legacy::{LegacyArchive, LegacyEntry};
pub use reader::{Archive, ArchiveReader, ArchivedConsumer, Entry, Limits};
pub use s2::{S2Error, S2Reader, S2Writer};
pub use writer::ArchiveWriter;
