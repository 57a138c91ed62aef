//! The files of a store that a check must not touch, and those that nothing needs.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{FlockOperation, flock};

use crate::catalog::{Catalog, CatalogState};
use crate::description::{DESCRIPTION, DESCRIPTION_COPY, shard_name};
use crate::log::LogFile;
use crate::open::{OpenError, io_error};
use crate::storage::StorageLock;

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
    /// Why it does not open.
    pub(super) damage: Option<String>,
    _dir: tempfile::TempDir,
}

impl CatalogCopy {
    pub(super) fn open(original: &Path) -> Result<Self, OpenError> {
        let dir = tempfile::tempdir()
            .map_err(|source| io_error("making a temporary directory for", original, source))?;
        let copy = dir.path().join("catalog");
        let exists = original.is_dir();
        if exists {
            copy_tree(original, &copy).map_err(|source| io_error("copying", original, source))?;
        }
        let (catalog, state) = Catalog::open(&copy)?;
        let damage = match state {
            CatalogState::SetAside { reason, .. } => Some(format!(
                "can not be opened, a start sets it aside: {reason}"
            )),
            CatalogState::Created if exists => Some("is empty".to_owned()),
            CatalogState::Created | CatalogState::Loaded => None,
        };
        Ok(Self {
            catalog,
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
pub(super) fn superfluous(dir: &Path, shards: u8) -> Result<Vec<PathBuf>, OpenError> {
    let shards: BTreeSet<String> = (0..shards).map(shard_name).collect();
    let mut found = Vec::new();
    for name in names(dir)? {
        let known = ["catalog", "lock", DESCRIPTION, DESCRIPTION_COPY];
        if shards.contains(&name) {
            shard_files(&dir.join(name), &mut found)?;
        } else if !known.contains(&&*name) {
            found.push(dir.join(name));
        }
    }
    found.sort();
    Ok(found)
}

fn shard_files(dir: &Path, found: &mut Vec<PathBuf>) -> Result<(), OpenError> {
    let names = names(dir)?;
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

fn names(dir: &Path) -> Result<Vec<String>, OpenError> {
    let list = || -> io::Result<Vec<String>> {
        fs::read_dir(dir)?
            .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
            .collect()
    };
    match list() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        listed => listed.map_err(|source| io_error("listing", dir, source)),
    }
}
