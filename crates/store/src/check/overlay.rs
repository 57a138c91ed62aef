//! A storage that changes nothing on the disk: what is written stays in memory, over what the disk has.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;

use crate::storage::{DirEntry, OpenMode, Storage, StorageFile, StorageLock};

/// Lets recovery run on a store that is only looked at. Memory: what recovery writes, above all the indexes that it makes anew.
#[derive(Debug)]
pub(super) struct Overlay {
    disk: Arc<dyn Storage>,
    changes: Mutex<Changes>,
}

#[derive(Debug, Default)]
struct Changes {
    /// Files as they are now; `None`: removed.
    files: BTreeMap<PathBuf, Option<Arc<OverlaidFile>>>,
    dirs: BTreeSet<PathBuf>,
}

#[derive(Debug)]
struct OverlaidFile {
    disk: Option<Arc<dyn StorageFile>>,
    state: Mutex<FileState>,
}

#[derive(Debug, Default)]
struct FileState {
    len: u64,
    /// How much of what is on the disk still counts.
    disk_len: u64,
    /// Offset and bytes, later ones over earlier ones.
    writes: Vec<(u64, Vec<u8>)>,
}

impl Overlay {
    pub(super) fn over(disk: Arc<dyn Storage>) -> Self {
        Self {
            disk,
            changes: Mutex::default(),
        }
    }

    fn changed(&self, path: &Path) -> Option<Option<Arc<OverlaidFile>>> {
        self.changes.lock().files.get(path).cloned()
    }

    fn current(&self, path: &Path) -> io::Result<Arc<OverlaidFile>> {
        match self.changed(path) {
            Some(Some(file)) => Ok(file),
            Some(None) => Err(io::ErrorKind::NotFound.into()),
            None => {
                let disk = self.disk.open(path, OpenMode::Read)?;
                let len = disk.len()?;
                let state = FileState {
                    len,
                    disk_len: len,
                    writes: Vec::new(),
                };
                Ok(Arc::new(OverlaidFile {
                    disk: Some(disk),
                    state: Mutex::new(state),
                }))
            }
        }
    }
}

impl Storage for Overlay {
    fn create_dir_all(&self, dir: &Path) -> io::Result<()> {
        self.changes.lock().dirs.insert(dir.to_owned());
        Ok(())
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<DirEntry>> {
        let on_disk = match self.disk.list(dir) {
            Err(error)
                if error.kind() == io::ErrorKind::NotFound
                    && self.changes.lock().dirs.contains(dir) =>
            {
                Vec::new()
            }
            listed => listed?,
        };
        let changes = self.changes.lock();
        let untouched = |entry: &DirEntry| !changes.files.contains_key(&dir.join(&entry.name));
        let mut entries: Vec<_> = on_disk.into_iter().filter(untouched).collect();
        for (path, file) in &changes.files {
            if path.parent() == Some(dir)
                && let (Some(file), Some(name)) = (file, path.file_name().and_then(|n| n.to_str()))
            {
                entries.push(DirEntry {
                    name: name.to_owned(),
                    len: file.state.lock().len,
                    is_dir: false,
                });
            }
        }
        Ok(entries)
    }

    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn StorageFile>> {
        let file = match mode {
            OpenMode::Read => match self.changed(path) {
                None => return self.disk.open(path, OpenMode::Read),
                Some(_) => return Ok(self.current(path)?),
            },
            OpenMode::Write => self.current(path)?,
            OpenMode::Create => Arc::new(OverlaidFile {
                disk: None,
                state: Mutex::default(),
            }),
        };
        let mut changes = self.changes.lock();
        changes
            .files
            .insert(path.to_owned(), Some(Arc::clone(&file)));
        Ok(file)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let file = self.current(from)?;
        let mut changes = self.changes.lock();
        changes.files.insert(from.to_owned(), None);
        changes.files.insert(to.to_owned(), Some(file));
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.current(path)?;
        self.changes.lock().files.insert(path.to_owned(), None);
        Ok(())
    }

    fn sync_dir(&self, _: &Path) -> io::Result<()> {
        Ok(())
    }

    fn lock(&self, path: &Path) -> io::Result<Box<dyn StorageLock>> {
        self.disk.lock(path)
    }
}

impl StorageFile for OverlaidFile {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        let state = self.state.lock();
        let wanted = state.len.saturating_sub(offset).min(buf.len() as u64) as usize;
        let buf = &mut buf[..wanted];
        buf.fill(0);
        if let Some(disk) = &self.disk {
            let from_disk = state.disk_len.saturating_sub(offset).min(wanted as u64) as usize;
            let mut done = 0;
            while done < from_disk {
                match disk.read_at(&mut buf[done..from_disk], offset + done as u64)? {
                    0 => break,
                    read => done += read,
                }
            }
        }
        for (at, bytes) in &state.writes {
            let from = (*at).max(offset);
            let to = (at + bytes.len() as u64).min(offset + wanted as u64);
            if from < to {
                let source = &bytes[(from - at) as usize..(to - at) as usize];
                buf[(from - offset) as usize..(to - offset) as usize].copy_from_slice(source);
            }
        }
        Ok(wanted)
    }

    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let mut state = self.state.lock();
        state.len = state.len.max(offset + bytes.len() as u64);
        state.writes.push((offset, bytes.to_vec()));
        Ok(())
    }

    fn preallocate(&self, len: u64) -> io::Result<()> {
        let mut state = self.state.lock();
        state.len = state.len.max(len);
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let mut state = self.state.lock();
        state.len = len;
        state.disk_len = state.disk_len.min(len);
        for (at, bytes) in &mut state.writes {
            bytes.truncate(len.saturating_sub(*at).min(bytes.len() as u64) as usize);
        }
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        Ok(())
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.state.lock().len)
    }

    fn data_from(&self, offset: u64) -> io::Result<Option<Range<u64>>> {
        match &self.disk {
            Some(disk) if self.state.lock().writes.is_empty() => disk.data_from(offset),
            _ => Ok(Some(offset..u64::MAX)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(file: &dyn StorageFile, len: usize) -> Vec<u8> {
        let mut buf = vec![0xee; len];
        let read = file.read_at(&mut buf, 0).unwrap();
        buf.truncate(read);
        buf
    }

    #[test]
    fn changes_show_and_leave_the_disk_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a");
        std::fs::write(&path, b"0123456789").unwrap();
        std::fs::write(dir.path().join("gone"), b"").unwrap();
        let overlay = Overlay::over(Arc::new(crate::storage::FsStorage));
        let file = overlay.open(&path, OpenMode::Write).unwrap();
        file.write_all_at(b"xy", 3).unwrap();
        file.write_all_at(b"z", 4).unwrap();
        file.preallocate(12).unwrap();
        let again = overlay.open(&path, OpenMode::Read).unwrap();
        assert_eq!(read(&*again, 20), b"012xz56789\0\0");
        file.set_len(4).unwrap();
        file.set_len(6).unwrap();
        assert_eq!(read(&*again, 20), b"012x\0\0");
        overlay.remove(&dir.path().join("gone")).unwrap();
        overlay.rename(&path, &dir.path().join("b")).unwrap();
        let new = overlay
            .open(&dir.path().join("c"), OpenMode::Create)
            .unwrap();
        new.write_all_at(b"new", 0).unwrap();
        let mut names: Vec<_> = overlay.list(dir.path()).unwrap();
        names.sort();
        let names: Vec<_> = names.iter().map(|e| (&*e.name, e.len)).collect();
        assert_eq!(names, [("b", 6), ("c", 3)]);
        assert!(overlay.open(&path, OpenMode::Read).is_err());
        assert_eq!(std::fs::read(&path).unwrap(), b"0123456789");
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 2);
    }
}
