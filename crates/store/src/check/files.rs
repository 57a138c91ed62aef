//! The files of a store that a check must not touch, and those that nothing needs.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{FlockOperation, flock};

use crate::catalog::{Catalog, CatalogState, PLAIN, SEALED};
use crate::crypt::DataKey;
use crate::description::{DESCRIPTION, DESCRIPTION_COPY, shard_name};
use crate::log::LogFile;
use crate::open::{OpenError, io_error};
use crate::storage::{Storage, StorageLock};

/// Keeps servers out while it lives. Several checks may run at a time.
#[derive(Debug)]
pub(super) struct StoreLock {
    _file: Option<fs::File>,
}

impl StorageLock for StoreLock {}

impl StoreLock {
    pub(super) fn take(dir: &Path) -> Result<Arc<dyn StorageLock>, OpenError> {
        if !dir.is_dir() {
            return Err(OpenError::NotADirectory(dir.to_owned()));
        }
        let path = dir.join("lock");
        let file = match fs::File::open(&path) {
            Ok(file) => Some(file),
            // Every server makes one.
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(source) => return Err(io_error("opening", &path, source)),
        };
        if let Some(file) = &file {
            flock(file, FlockOperation::NonBlockingLockShared).map_err(|error| {
                let error = io::Error::from(error);
                match error.kind() {
                    io::ErrorKind::WouldBlock => OpenError::InUse(dir.to_owned()),
                    _ => io_error("locking", &path, error),
                }
            })?;
        }
        Ok(Arc::new(Self { _file: file }))
    }
}

/// A catalog that sled may write to.
#[derive(Debug)]
pub(super) struct CatalogCopy {
    pub(super) catalog: Catalog,
    /// What it is a copy of.
    pub(super) original: PathBuf,
    /// Why it does not open.
    pub(super) damage: Option<String>,
    _dir: tempfile::TempDir,
}

impl CatalogCopy {
    /// Of the store in `store`, encrypted if there is a key, to a new directory in `scratch`.
    pub(super) fn open(
        store: &Path,
        key: Option<DataKey>,
        scratch: &Path,
    ) -> Result<Self, OpenError> {
        let name = if key.is_some() { SEALED } else { PLAIN };
        let original = store.join(name);
        let dir = tempfile::tempdir_in(scratch)
            .map_err(|source| io_error("making a temporary directory in", scratch, source))?;
        let exists = original.is_dir();
        if exists {
            copy_tree(&original, &dir.path().join(name))
                .map_err(|source| io_error("copying", &original, source))?;
        }
        let (catalog, state) = Catalog::open_in(dir.path(), key)?;
        let damage = match state {
            CatalogState::SetAside { reason, .. } => Some(format!(
                "can not be opened, a start sets it aside: {reason}"
            )),
            CatalogState::Created if exists => Some("is empty".to_owned()),
            CatalogState::Created | CatalogState::Loaded => None,
        };
        Ok(Self {
            catalog,
            original,
            damage,
            _dir: dir,
        })
    }
}

fn copy_tree(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy_tree(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}

/// What is in the store and nothing reads.
pub(super) fn superfluous(
    disk: &dyn Storage,
    dir: &Path,
    shards: u8,
) -> Result<Vec<PathBuf>, OpenError> {
    let shards: BTreeSet<String> = (0..shards).map(shard_name).collect();
    let mut found = Vec::new();
    for name in names(disk, dir)? {
        let known = [PLAIN, SEALED, "lock", DESCRIPTION, DESCRIPTION_COPY];
        if shards.contains(&name) {
            shard_files(disk, &dir.join(name), &mut found)?;
        } else if !known.contains(&&*name) {
            found.push(dir.join(name));
        }
    }
    found.sort();
    Ok(found)
}

fn shard_files(disk: &dyn Storage, dir: &Path, found: &mut Vec<PathBuf>) -> Result<(), OpenError> {
    let names = names(disk, dir)?;
    let segments: BTreeSet<_> = names
        .iter()
        .filter_map(|name| match LogFile::parse(name) {
            Some(LogFile::Segment(no)) => Some(no),
            _ => None,
        })
        .collect();
    for name in &names {
        let needed = match LogFile::parse(name) {
            Some(LogFile::Segment(_) | LogFile::Spare(_)) => true,
            Some(LogFile::Index(no)) => segments.contains(&no),
            Some(LogFile::Aside(_) | LogFile::Temporary) | None => false,
        };
        if !needed {
            found.push(dir.join(name));
        }
    }
    Ok(())
}

fn names(disk: &dyn Storage, dir: &Path) -> Result<Vec<String>, OpenError> {
    let listed = disk.list(dir);
    match listed.map(|entries| entries.into_iter().map(|entry| entry.name).collect()) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        listed => listed.map_err(|source| io_error("listing", dir, source)),
    }
}
