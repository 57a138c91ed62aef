//! The catalog's directory, which sled keeps by itself on a real file system: kept, lost, or older than it was.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// The directories that a catalog may lie in, plain and encrypted, and copies that were once made of them.
#[derive(Debug)]
pub(crate) struct CatalogCopies([CatalogCopy; 2]);

#[derive(Debug)]
struct CatalogCopy {
    dir: PathBuf,
    copy: PathBuf,
}

impl CatalogCopies {
    pub(crate) fn new(store: &Path) -> Self {
        Self(["catalog", "catalog.sealed"].map(|name| CatalogCopy {
            dir: store.join(name),
            copy: store.join(format!("older-{name}")),
        }))
    }

    /// Waits until sled has let go of it: its threads do so some time after the store was closed.
    pub(crate) fn wait_until_free(&self) -> io::Result<()> {
        self.0.iter().try_for_each(CatalogCopy::wait_until_free)
    }

    /// Makes a copy for later. The store must be closed.
    pub(crate) fn keep_copy(&self) -> io::Result<()> {
        self.0.iter().try_for_each(|it| replace(&it.dir, &it.copy))
    }

    pub(crate) fn put_back_copy(&self) -> io::Result<()> {
        self.0.iter().try_for_each(|it| replace(&it.copy, &it.dir))
    }

    pub(crate) fn remove(&self) -> io::Result<()> {
        for CatalogCopy { dir, .. } in &self.0 {
            match fs::remove_dir_all(dir) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }
}

impl CatalogCopy {
    fn wait_until_free(&self) -> io::Result<()> {
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
