//! The catalog's directory, which sled keeps by itself on a real file system: kept, lost, or older than it was.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// The directory and a copy that was once made of it.
#[derive(Debug)]
pub(crate) struct CatalogCopies {
    dir: PathBuf,
    copy: PathBuf,
}

impl CatalogCopies {
    pub(crate) fn new(store: &Path) -> Self {
        Self {
            dir: store.join("catalog"),
            copy: store.join("older-catalog"),
        }
    }

    /// Waits until sled has let go of it: its threads do so some time after the store was closed.
    pub(crate) fn wait_until_free(&self) -> io::Result<()> {
        let path = self.dir.join("db");
        let patience = Instant::now() + Duration::from_secs(20);
        while path.exists() {
            match fs::File::open(&path)?.try_lock() {
                Ok(()) => return Ok(()),
                Err(fs::TryLockError::WouldBlock) if Instant::now() < patience => {
                    std::thread::sleep(Duration::from_micros(100));
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// Makes a copy for later. The store must be closed.
    pub(crate) fn keep_copy(&self) -> io::Result<()> {
        replace(&self.dir, &self.copy)
    }

    pub(crate) fn put_back_copy(&self) -> io::Result<()> {
        replace(&self.copy, &self.dir)
    }

    pub(crate) fn remove(&self) -> io::Result<()> {
        match fs::remove_dir_all(&self.dir) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }
}

fn replace(from: &Path, to: &Path) -> io::Result<()> {
    if !from.exists() {
        return Ok(());
    }
    if to.exists() {
        fs::remove_dir_all(to)?;
    }
    copy(from, to)
}

fn copy(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}
