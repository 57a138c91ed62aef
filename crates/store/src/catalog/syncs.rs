//! Making the catalog's files durable, which sled itself does not.

use std::collections::HashMap;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::Path;

use super::CatalogError;

/// Where sled keeps what is too long for its pages, a file each.
const BLOBS: &str = "blobs";

/// What of an open catalog is known to be on the disk.
#[derive(Debug, Default)]
pub(super) struct Syncs {
    /// Blobs that were fsynced, and how long they were then. sled writes each once, so one that has not grown since is not fsynced again: a catalog
    /// of some hundred MB has more than a thousand, which would keep the disk from everything else for a second and more.
    blobs: HashMap<OsString, u64>,
}

impl Syncs {
    /// fsyncs every file and directory below that may have changed since the last call, and the name of the directory itself. Answers how many files
    /// that were.
    pub(super) fn sync(&mut self, dir: &Path) -> Result<usize, CatalogError> {
        let files = self.sync_below(dir);
        let parent = dir
            .parent()
            .map_or(Ok(()), |parent| fs::File::open(parent)?.sync_all());
        files
            .and_then(|files| parent.map(|()| files))
            .map_err(|source| CatalogError::Io {
                doing: "fsync",
                path: dir.to_owned(),
                source,
            })
    }

    fn sync_below(&mut self, dir: &Path) -> io::Result<usize> {
        let mut files = 0;
        for entry in fs::read_dir(dir)? {
            let entry = entry?;
            let path = entry.path();
            if !entry.file_type()?.is_dir() {
                files += usize::from(sync_file(&path)?.is_some());
            } else if entry.file_name() == BLOBS {
                files += self.sync_blobs(&path)?;
            } else {
                files += self.sync_below(&path)?;
            }
        }
        fs::File::open(dir)?.sync_all()?;
        Ok(files)
    }

    fn sync_blobs(&mut self, dir: &Path) -> io::Result<usize> {
        let mut files = 0;
        let before = std::mem::take(&mut self.blobs);
        for entry in fs::read_dir(dir)? {
            let entry = entry?;
            let Some(mut len) = unless_gone(entry.metadata())?.map(|found| found.len()) else {
                continue;
            };
            let name = entry.file_name();
            // One that is longer was being written the last time.
            if before.get(&name) != Some(&len) {
                let Some(synced) = sync_file(&entry.path())? else {
                    continue;
                };
                len = synced;
                files += 1;
            }
            self.blobs.insert(name, len);
        }
        fs::File::open(dir)?.sync_all()?;
        Ok(files)
    }
}

/// Answers the length up to which the file is durable; `None` if it is gone.
fn sync_file(path: &Path) -> io::Result<Option<u64>> {
    let Some(file) = unless_gone(fs::File::open(path))? else {
        return Ok(None);
    };
    let len = file.metadata()?.len();
    file.sync_all()?;
    Ok(Some(len))
}

/// sled replaces its snapshots, and removes blobs, whenever it likes.
fn unless_gone<T>(found: io::Result<T>) -> io::Result<Option<T>> {
    match found {
        Ok(found) => Ok(Some(found)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_blob_is_synced_again_only_if_it_has_grown() {
        let dir = tempfile::tempdir().unwrap();
        let catalog = dir.path().join("catalog");
        let blobs = catalog.join(BLOBS);
        fs::create_dir_all(&blobs).unwrap();
        let write = |name: &str, bytes: &[u8]| fs::write(catalog.join(name), bytes).unwrap();
        let mut syncs = Syncs::default();
        let mut synced = || syncs.sync(&catalog).unwrap();
        write("db", b"pages");
        write("blobs/1", b"a blob");
        write("blobs/2", b"half of");
        assert_eq!(synced(), 3);
        assert_eq!(synced(), 1, "the pages, in which sled writes at any time");
        write("blobs/2", b"half of a blob");
        write("blobs/3", b"another");
        assert_eq!(synced(), 3);
        fs::remove_file(blobs.join("3")).unwrap();
        assert_eq!(synced(), 1);
        write("blobs/3", b"another");
        assert_eq!(synced(), 2, "one that was gone is another one");
        let again = Syncs::default().sync(&catalog).unwrap();
        assert_eq!(again, 4, "who opens a catalog knows of nothing");
    }
}
