//! Opening a store: its directory, its shards, what was found.

use std::io;
use std::num::{NonZero, NonZeroU8};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;

use jetsled_jetstream_api::Timestamp;
use serde::{Deserialize, Serialize};

use crate::catalog::{Catalog, CatalogError, CatalogState};
use crate::log::{self, LogOptions, LogReport};
use crate::shard::{Seat, recover};
use crate::storage::{OpenMode, Storage, StorageLock};
use crate::{MAX_SHARDS, Shard, StoreOptions};

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
        source: io::Error,
    },
    /// The path is a file.
    #[error("store {0} is not a directory")]
    NotADirectory(PathBuf),
    /// The directory can not be made.
    #[error("store {path} can not be created: {source}")]
    CreateDirectory {
        /// The store directory.
        path: PathBuf,
        /// The operating system's reason.
        source: io::Error,
    },
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
    /// A record of a log that its index knows could not be read.
    #[error(transparent)]
    Read(#[from] log::ReadError),
    /// The catalog could not even be made anew.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
}

/// Opens the store in `options.dir`, creating it if missing: each shard's checkpoint, then the tail of its log; shards in parallel.
/// The directory stays locked until the last shard drops.
///
/// # Errors
/// [`OpenError`]; damage in a log or catalog is reported, not an error.
pub fn open(
    options: &StoreOptions,
    storage: Arc<dyn Storage>,
    now: Timestamp,
) -> Result<Opened, OpenError> {
    let dir = &options.dir;
    storage
        .create_dir_all(dir)
        .map_err(|source| directory_error(dir, source))?;
    let lock = storage
        .lock(&dir.join("lock"))
        .map_err(|source| match source.kind() {
            io::ErrorKind::WouldBlock => OpenError::InUse(dir.clone()),
            _ => directory_error(dir, source),
        })?;
    let lock: Arc<dyn StorageLock> = Arc::from(lock);
    let description = Description::load_or_create(options, &*storage)?;
    let (catalog, catalog_state) = Catalog::open(&dir.join("catalog"))?;
    let log_options = LogOptions {
        segment_bytes: options.segment_bytes,
        sync: options.sync,
        tail_cache_bytes: options.cache_bytes / 3,
        index_cache_bytes: options.cache_bytes - options.cache_bytes / 3,
        ..LogOptions::new(description.secret)
    };
    let seats = (0..description.shards.get()).map(|number| Seat {
        number,
        dir: dir.join(format!("shard-{number:02}")),
        storage: Arc::clone(&storage),
        log_options: log_options.clone(),
        catalog: catalog.clone(),
        checkpoint_log_bytes: options.checkpoint_log_bytes,
        _lock: Arc::clone(&lock),
    });
    let recovered: Vec<_> = if options.parallel {
        recover_in_parallel(seats)
    } else {
        seats.map(recover).collect()
    };
    let mut shards = Vec::with_capacity(recovered.len());
    let mut reports = Vec::with_capacity(recovered.len());
    for recovered in recovered {
        let (mut shard, report) = recovered?;
        shard.tick(now);
        shards.push(shard);
        reports.push(report);
    }
    Ok(Opened {
        shards,
        report: OpenReport {
            catalog: catalog_state,
            shards: reports,
        },
    })
}

fn recover_in_parallel(
    seats: impl Iterator<Item = Seat>,
) -> Vec<Result<(Shard, ShardReport), OpenError>> {
    thread::scope(|scope| {
        let running: Vec<_> = seats.map(|seat| scope.spawn(|| recover(seat))).collect();
        running
            .into_iter()
            .map(|thread| match thread.join() {
                Ok(recovered) => recovered,
                Err(panic) => std::panic::resume_unwind(panic),
            })
            .collect()
    })
}

/// The file that says what the store is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Description {
    format: u32,
    pub(crate) shards: NonZeroU8,
    /// Mixed into every checksum of the logs.
    pub(crate) secret: u32,
}

/// The format version that this program writes.
const FORMAT: u32 = 1;
/// Name of the [`Description`] file.
const DESCRIPTION: &str = "store.json";

impl Description {
    fn load_or_create(options: &StoreOptions, storage: &dyn Storage) -> Result<Self, OpenError> {
        match Self::load(&options.dir, storage)? {
            Some(description) => Ok(description),
            None => Self::create(options, storage),
        }
    }

    /// `None` if there is none.
    pub(crate) fn load(dir: &Path, storage: &dyn Storage) -> Result<Option<Self>, OpenError> {
        let path = dir.join(DESCRIPTION);
        let file = match storage.open(&path, OpenMode::Read) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(io_error("opening the description", &path, source)),
        };
        let len = file
            .len()
            .map_err(|source| io_error("reading the description", &path, source))?;
        let mut bytes = vec![0; usize::try_from(len.min(MAX_DESCRIPTION)).unwrap_or(0)];
        let mut filled = 0;
        while filled < bytes.len() {
            let read = file
                .read_at(&mut bytes[filled..], filled as u64)
                .map_err(|source| io_error("reading the description", &path, source))?;
            if read == 0 {
                break;
            }
            filled += read;
        }
        bytes.truncate(filled);
        // A newer version may have other members, so its number is looked at first.
        #[derive(Deserialize)]
        struct Versioned {
            format: u32,
        }
        let damaged = |_| OpenError::DescriptionDamaged(path.clone());
        let Versioned { format } = serde_json::from_slice(&bytes).map_err(damaged)?;
        if format > FORMAT {
            return Err(OpenError::NewerFormat {
                path: dir.to_owned(),
                found: format,
                known: FORMAT,
            });
        }
        serde_json::from_slice(&bytes).map(Some).map_err(damaged)
    }

    fn create(options: &StoreOptions, storage: &dyn Storage) -> Result<Self, OpenError> {
        let cores = thread::available_parallelism().map_or(1, NonZero::get);
        let shards = options
            .shards
            .or_else(|| NonZeroU8::new(u8::try_from(cores / 2).unwrap_or(MAX_SHARDS)))
            .unwrap_or(NonZeroU8::MIN)
            .min(NonZeroU8::new(MAX_SHARDS).unwrap_or(NonZeroU8::MIN));
        let secret = (options.random ^ options.random >> 32) as u32;
        let description = Self {
            format: FORMAT,
            shards,
            secret,
        };
        description.write(&options.dir, storage)?;
        Ok(description)
    }

    pub(crate) fn write(&self, dir: &Path, storage: &dyn Storage) -> Result<(), OpenError> {
        let (path, fresh) = (dir.join(DESCRIPTION), dir.join("store.json.new"));
        let bytes = serde_json::to_vec(self).expect("three numbers are always JSON");
        let file = storage
            .open(&fresh, OpenMode::Create)
            .map_err(|source| directory_error(dir, source))?;
        file.write_all_at(&bytes, 0)
            .and_then(|()| file.sync_data())
            .and_then(|()| storage.rename(&fresh, &path))
            .and_then(|()| storage.sync_dir(dir))
            .map_err(|source| io_error("writing the description", &path, source))
    }
}

/// More than any description has.
const MAX_DESCRIPTION: u64 = 64 << 10;

fn io_error(doing: &'static str, path: &Path, source: io::Error) -> OpenError {
    OpenError::Io {
        doing,
        path: path.to_owned(),
        source,
    }
}

fn directory_error(dir: &Path, source: io::Error) -> OpenError {
    match source.kind() {
        io::ErrorKind::NotADirectory | io::ErrorKind::AlreadyExists => {
            OpenError::NotADirectory(dir.to_owned())
        }
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
            OpenError::NotWritable(dir.to_owned())
        }
        _ => OpenError::CreateDirectory {
            path: dir.to_owned(),
            source,
        },
    }
}
