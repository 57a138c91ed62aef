//! Opening a store: its directory, its shards, what was found.

use std::path::PathBuf;
use std::sync::Arc;

use jetsled_jetstream_api::Timestamp;

use crate::catalog::{CatalogError, CatalogState};
use crate::log::{self, LogReport};
use crate::storage::Storage;
use crate::{Shard, StoreOptions};

/// An open store.
#[derive(Debug)]
pub struct Opened {
    /// Its shards; streams and consumers live in the one that they were created in.
    pub shards: Vec<Shard>,
    /// What was found.
    pub report: OpenReport,
}

/// What opening a store found; for the operator.
#[derive(Debug, Clone)]
pub struct OpenReport {
    /// The catalog.
    pub catalog: CatalogState,
    /// Each shard's log.
    pub shards: Vec<ShardReport>,
}

/// What opening a shard found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ShardReport {
    /// Its log.
    pub log: LogReport,
    /// Whether the shard was rebuilt from the whole log for want of a usable checkpoint.
    pub rebuilt: bool,
    /// Messages of streams whose configuration is lost: kept on disk, not served.
    pub orphaned_messages: u64,
}

/// Why a store did not open.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// A file operation failed.
    #[error("store {path}: {doing} failed: {source}")]
    Io {
        /// What was done.
        doing: &'static str,
        /// To which file or directory.
        path: PathBuf,
        /// The operating system's reason.
        source: std::io::Error,
    },
    /// The path is a file.
    #[error("store {0} is not a directory")]
    NotADirectory(PathBuf),
    /// The directory can not be written.
    #[error("store {0} is not writable")]
    NotWritable(PathBuf),
    /// Another process, or another opening in this one, has it.
    #[error("store {0} is in use by another process")]
    InUse(PathBuf),
    /// It was written by a newer version of the program.
    #[error("store {path} has format version {found}, newest known is {known}")]
    NewerFormat {
        /// The store directory.
        path: PathBuf,
        /// Its version.
        found: u32,
        /// Ours.
        known: u32,
    },
    /// The file that describes the store makes no sense.
    #[error("store description {0} is damaged")]
    DescriptionDamaged(PathBuf),
    /// A shard's log.
    #[error(transparent)]
    Log(#[from] log::OpenError),
    /// The catalog could not even be made anew.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
}

/// Opens the store in `options.dir`, creating it if missing: each shard's checkpoint, then the tail of its log; shards in parallel.
///
/// # Errors
/// [`OpenError`]; damage in a log or catalog is reported, not an error.
pub fn open(
    options: &StoreOptions,
    storage: Arc<dyn Storage>,
    now: Timestamp,
) -> Result<Opened, OpenError> {
    let _ = (options, storage, now);
    todo!()
}
