//! The catalog: checkpoints and placement in sled, always rebuildable from the log.
//!
//! sled's own flush relies on `sync_file_range`, which does not make a grown file safe against a power
//! cut, so a checkpoint fsyncs sled's files itself. A checkpoint is written beside its
//! predecessor and takes its place in one step.

use std::path::{Path, PathBuf};

/// An open catalog. Cheap to clone; shards share it.
#[derive(Debug, Clone)]
pub struct Catalog {}

/// How a catalog was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CatalogState {
    /// As it was left.
    Loaded,
    /// There was none.
    Created,
    /// It could not be opened, lies under this name now, and a new one was made.
    SetAside {
        /// Where it went.
        path: PathBuf,
        /// What was wrong with it.
        reason: String,
    },
}

/// Why a catalog operation failed.
#[derive(Debug, thiserror::Error)]
pub enum CatalogError {
    /// sled's reason.
    #[error("catalog {doing} failed: {source}")]
    Sled {
        /// What was done.
        doing: &'static str,
        /// Why it failed.
        source: sled::Error,
    },
    /// A file operation failed.
    #[error("catalog {path}: {doing} failed: {source}")]
    Io {
        /// What was done.
        doing: &'static str,
        /// To which file.
        path: PathBuf,
        /// The operating system's reason.
        source: std::io::Error,
    },
    /// A value's checksum or chunks are wrong. Rebuild from the log.
    #[error("catalog entry {section:?} of shard {shard} is damaged")]
    Damaged {
        /// The shard.
        shard: u8,
        /// The section.
        section: Section,
    },
}

/// What a checkpoint's entries are given to: section, key, value.
pub type EntryVisitor<'v> = &'v mut dyn FnMut(Section, &[u8], Vec<u8>);

/// The parts of a checkpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Section {
    /// The log's checkpoint, one entry.
    Log = 0,
    /// A stream's configuration, by stream.
    StreamConfig = 1,
    /// A stream's state, by stream.
    StreamState = 2,
    /// A consumer's configuration, by consumer.
    ConsumerConfig = 3,
    /// A consumer's state, by consumer.
    ConsumerState = 4,
}

impl Catalog {
    /// Opens or creates the catalog directory. One that can't be opened is renamed to
    /// `<dir>.damaged-<n>` and a new one is made.
    ///
    /// # Errors
    /// When not even a new one can be made.
    pub fn open(_dir: &Path) -> Result<(Self, CatalogState), CatalogError> {
        todo!()
    }

    /// Reads a shard's newest complete checkpoint entry by entry, in order of section and key. `None` if there is
    /// none.
    ///
    /// # Errors
    /// [`CatalogError::Damaged`] at the first entry that is not what was written: the caller forgets what it has read
    /// and replays the log.
    pub fn load(&self, _shard: u8, _visit: EntryVisitor<'_>) -> Result<Option<()>, CatalogError> {
        todo!()
    }

    /// Begins a new checkpoint of a shard; an unfinished earlier one is dropped.
    ///
    /// # Errors
    /// sled's.
    pub fn begin(&self, _shard: u8) -> Result<CheckpointWriter, CatalogError> {
        todo!()
    }

    /// Drops a shard's checkpoint, so that the next opening replays the whole log.
    ///
    /// # Errors
    /// sled's.
    pub fn forget(&self, _shard: u8) -> Result<(), CatalogError> {
        todo!()
    }
}

/// A checkpoint being written.
#[derive(Debug)]
pub struct CheckpointWriter {}

impl CheckpointWriter {
    /// Adds an entry. Values of any size, kept in chunks of at most 16 KiB.
    ///
    /// # Errors
    /// sled's.
    pub fn put(
        &mut self,
        _section: Section,
        _key: &[u8],
        _value: &[u8],
    ) -> Result<(), CatalogError> {
        todo!()
    }

    /// Makes the checkpoint durable, then the current one, then drops its predecessor. Blocks for some milliseconds.
    ///
    /// # Errors
    /// The predecessor stays current then.
    pub fn finish(self) -> Result<(), CatalogError> {
        todo!()
    }
}
