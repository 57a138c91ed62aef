//! Opening a store: its directory, its shards, what was found.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;

use jetsled_jetstream_api::Timestamp;

use crate::catalog::{Catalog, CatalogError, CatalogState};
use crate::duplicates::{SetAside, set_older_aside};
use crate::encryption::{Described, EncryptionState};
use crate::log::{self, LogReport};
use crate::shard::{Loaded, Seat, recover};
use crate::storage::{Storage, StorageLock};
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
    /// The encryption.
    pub encryption: EncryptionState,
    /// Each shard's log.
    pub shards: Vec<ShardReport>,
    /// Streams that stand behind a newer one of their name.
    pub set_aside_streams: Vec<SetAside>,
}

/// What opening a shard found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ShardReport {
    /// Its log.
    pub log: LogReport,
    /// Whether the shard was rebuilt from the whole log for want of a usable checkpoint.
    pub rebuilt: bool,
    /// Why the checkpoint could not be used, if there was one.
    pub checkpoint_unusable: Option<String>,
    /// Messages of streams whose configuration is lost: kept on disk, not served.
    pub orphaned_messages: u64,
    /// Segments from before the store was encrypted that are still there; they are being rewritten.
    pub plain_segments: usize,
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
    /// There is nothing of a store in the directory.
    #[error("{0} is not a store: it has no store.json")]
    NotAStore(PathBuf),
    /// Both files that describe the store are missing or make no sense.
    #[error("store description {0} and its copy are damaged")]
    DescriptionDamaged(PathBuf),
    /// The store is encrypted, and no key was given.
    #[error("store {0} is encrypted and there is no key for it")]
    KeyMissing(PathBuf),
    /// The store is encrypted with another key.
    #[error("store {0} is encrypted with another key")]
    WrongKey(PathBuf),
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
    let described = Described::load_or_create(options, &*storage)?;
    let description = &described.description;
    let (catalog, catalog_state, loaded) = load_catalog(options, &described)?;
    let seats = (0..description.shards.get()).map(|number| {
        let (storage, lock) = (Arc::clone(&storage), Arc::clone(&lock));
        let mut seat = Seat::new(
            number,
            options,
            description.secret,
            storage,
            catalog.clone(),
            lock,
        );
        seat.log_options.keys = described.log_keys(number).map(Arc::new);
        seat
    });
    let recovered = each(options.parallel, seats.zip(loaded), |(seat, loaded)| {
        recover(seat, loaded)
    });
    let mut shards = Vec::with_capacity(recovered.len());
    let mut reports = Vec::with_capacity(recovered.len());
    for recovered in recovered {
        let (shard, report) = recovered?;
        shards.push(shard);
        reports.push(report);
    }
    let set_aside_streams = set_older_aside(&mut shards);
    for shard in &mut shards {
        shard.tick(now);
    }
    Ok(Opened {
        shards,
        report: OpenReport {
            catalog: catalog_state,
            encryption: described.encryption,
            shards: reports,
            set_aside_streams,
        },
    })
}

/// Opens the catalog and reads all checkpoints. If it is damaged it is set aside, so that what is written from now on goes to a new one.
fn load_catalog(
    options: &StoreOptions,
    described: &Described,
) -> Result<(Catalog, CatalogState, Vec<Loaded>), OpenError> {
    let (catalog, state) = Catalog::open_in(&options.dir, described.data_key.clone())?;
    let numbers = 0..described.description.shards.get();
    let loaded = each(options.parallel, numbers, |number| {
        Loaded::of_shard(&catalog, number)
    });
    let Some(reason) = loaded.iter().find_map(Loaded::damage) else {
        return Ok((catalog, state, loaded));
    };
    drop(catalog);
    let key = described.data_key.clone();
    let (catalog, state) = Catalog::replace_in(&options.dir, key, reason)?;
    Ok((catalog, state, loaded))
}

/// Does this with each, in a thread of its own if that is wanted.
fn each<T: Send, R: Send>(
    in_parallel: bool,
    them: impl Iterator<Item = T>,
    what: impl Fn(T) -> R + Sync,
) -> Vec<R> {
    if !in_parallel {
        return them.map(what).collect();
    }
    let what = &what;
    thread::scope(|scope| {
        let running: Vec<_> = them.map(|it| scope.spawn(move || what(it))).collect();
        running
            .into_iter()
            .map(|thread| match thread.join() {
                Ok(done) => done,
                Err(panic) => std::panic::resume_unwind(panic),
            })
            .collect()
    })
}

pub(crate) fn io_error(doing: &'static str, path: &Path, source: io::Error) -> OpenError {
    OpenError::Io {
        doing,
        path: path.to_owned(),
        source,
    }
}

pub(crate) fn directory_error(dir: &Path, source: io::Error) -> OpenError {
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
