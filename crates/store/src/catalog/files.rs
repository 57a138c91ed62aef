//! The catalog's files: what sled does not do for them.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::CatalogError;

/// fsyncs every file and directory below, and the name of the directory itself.
pub(super) fn sync_files(dir: &Path) -> Result<(), CatalogError> {
    fn below(dir: &Path) -> io::Result<()> {
        for entry in fs::read_dir(dir)? {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                below(&entry.path())?;
                continue;
            }
            match fs::File::open(entry.path()) {
                Ok(file) => file.sync_all()?,
                // sled replaces its snapshots whenever it likes.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        fs::File::open(dir)?.sync_all()
    }
    let parent = dir
        .parent()
        .map_or(Ok(()), |parent| fs::File::open(parent)?.sync_all());
    below(dir).and(parent).map_err(|source| CatalogError::Io {
        doing: "fsync",
        path: dir.to_owned(),
        source,
    })
}

/// Removes the catalogs, set aside or not, that a store had before it was encrypted. What they say the log says, too.
pub(super) fn remove_plain(store: &Path, name: &str) -> Result<(), CatalogError> {
    let aside = format!("{name}.damaged-");
    let failed = |path: &Path| {
        let path = path.to_owned();
        |source| CatalogError::Io {
            doing: "removing",
            path,
            source,
        }
    };
    for entry in fs::read_dir(store).map_err(failed(store))? {
        let entry = entry.map_err(failed(store))?;
        let is_plain = entry
            .file_name()
            .to_str()
            .is_some_and(|found| found == name || found.starts_with(&aside));
        if is_plain {
            let path = entry.path();
            let is_dir = entry.file_type().map_err(failed(&path))?.is_dir();
            let removed = if is_dir {
                fs::remove_dir_all(&path)
            } else {
                fs::remove_file(&path)
            };
            removed.map_err(failed(&path))?;
        }
    }
    Ok(())
}

/// Renames what can't be opened to a name that is free.
pub(super) fn set_aside(dir: &Path) -> Result<PathBuf, CatalogError> {
    let name = |number: u32| {
        let mut name = dir.as_os_str().to_owned();
        name.push(format!(".damaged-{number}"));
        PathBuf::from(name)
    };
    let free = (1..)
        .map(name)
        .find(|path| !path.exists())
        .unwrap_or_else(|| name(0));
    match fs::rename(dir, &free) {
        Ok(()) => Ok(free),
        Err(source) => Err(CatalogError::Io {
            doing: "renaming",
            path: dir.to_owned(),
            source,
        }),
    }
}
