//! The seam to the disk: the few operations that the log needs, so that tests can stand in a storage
//! that fails, tears and forgets.
//!
//! [`FsStorage`] is the real one. Whoever implements [`Storage`] must keep the durability rules of
//! POSIX, no stronger and no weaker: bytes are safe after [`StorageFile::sync_data`], names
//! (created, renamed, removed) after [`Storage::sync_dir`] of their directory.

use std::fmt::Debug;
use std::fs;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

use rustix::fs::{
    Advice, FallocateFlags, FlockOperation, SeekFrom, fadvise, fallocate, flock, seek,
};
use rustix::io::Errno;

/// A file system as the store sees it.
pub trait Storage: Debug + Send + Sync + 'static {
    /// Creates a directory and its parents, durably; an existing directory is fine.
    ///
    /// # Errors
    /// What the operating system says; a path that is a file is `NotADirectory` or `AlreadyExists`.
    fn create_dir_all(&self, dir: &Path) -> io::Result<()>;

    /// The entries of a directory, in no particular order.
    ///
    /// # Errors
    /// What the operating system says.
    fn list(&self, dir: &Path) -> io::Result<Vec<DirEntry>>;

    /// Opens a file.
    ///
    /// # Errors
    /// `NotFound` without [`OpenMode::Create`], otherwise what the operating system says.
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn StorageFile>>;

    /// Renames within one file system; replaces the target.
    ///
    /// # Errors
    /// What the operating system says.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Removes a file.
    ///
    /// # Errors
    /// What the operating system says.
    fn remove(&self, path: &Path) -> io::Result<()>;

    /// Makes creations, renames and removals in this directory durable.
    ///
    /// # Errors
    /// What the operating system says.
    fn sync_dir(&self, dir: &Path) -> io::Result<()>;

    /// Takes an exclusive lock on a file (created when missing), held until the returned value drops.
    ///
    /// # Errors
    /// `WouldBlock` when another process, or another opening in this one, holds it.
    fn lock(&self, path: &Path) -> io::Result<Box<dyn StorageLock>>;
}

/// An open file. All calls take `&self`: offsets are explicit and there is no shared cursor.
pub trait StorageFile: Debug + Send + Sync {
    /// Reads at most `buf.len()` bytes; 0 means end of file.
    ///
    /// # Errors
    /// What the operating system says.
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize>;

    /// Writes all of `bytes`. After an error any part of it may have been written.
    ///
    /// # Errors
    /// What the operating system says.
    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()>;

    /// Reserves disk space for the first `len` bytes and grows the file to that length. A file
    /// system that cannot reserve only grows it.
    ///
    /// # Errors
    /// `StorageFull` when the space is not there.
    fn preallocate(&self, len: u64) -> io::Result<()>;

    /// Cuts or grows the file.
    ///
    /// # Errors
    /// What the operating system says.
    fn set_len(&self, len: u64) -> io::Result<()>;

    /// fdatasync: contents, and the metadata needed to read them back, are on the disk afterwards.
    ///
    /// # Errors
    /// After an error nothing is known about what was written since the last success.
    fn sync_data(&self) -> io::Result<()>;

    /// The file's length in bytes.
    ///
    /// # Errors
    /// What the operating system says.
    fn len(&self) -> io::Result<u64>;

    /// The next bytes at or after `offset` that may be anything but zeros; `None`: there are none to the end of the file. Nothing
    /// needs to be known: all from `offset` on may be answered, however long the file is.
    ///
    /// # Errors
    /// What the operating system says.
    fn data_from(&self, offset: u64) -> io::Result<Option<Range<u64>>> {
        Ok(Some(offset..u64::MAX))
    }

    /// The file will be read with holes left out: nothing is to be read ahead into them.
    fn read_sparsely(&self) {}

    /// Whether the file has no bytes.
    ///
    /// # Errors
    /// As [`StorageFile::len`].
    fn is_empty(&self) -> io::Result<bool> {
        Ok(self.len()? == 0)
    }
}

/// Keeps a lock while it lives.
pub trait StorageLock: Debug + Send + Sync {}

/// How to open a file; always readable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OpenMode {
    /// The file must exist and is not written.
    Read,
    /// The file must exist.
    Write,
    /// The file is created, or emptied when it exists.
    Create,
}

/// One entry of a directory.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct DirEntry {
    /// The last component of its path; names that are not UTF-8 are not ours and are left out.
    pub name: String,
    /// Bytes, 0 for a directory.
    pub len: u64,
    /// Whether it is a directory.
    pub is_dir: bool,
}

/// The operating system's file system.
#[derive(Debug, Clone, Copy, Default)]
pub struct FsStorage;

impl Storage for FsStorage {
    fn create_dir_all(&self, dir: &Path) -> io::Result<()> {
        let missing = |dir: &&Path| !dir.as_os_str().is_empty() && !dir.exists();
        let created: Vec<&Path> = dir.ancestors().take_while(missing).collect();
        fs::create_dir_all(dir)?;
        for dir in created {
            let parent = dir.parent().filter(|parent| !parent.as_os_str().is_empty());
            match self.sync_dir(parent.unwrap_or(Path::new("."))) {
                // Whoever may make an entry need not be allowed to open the directory.
                Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {}
                synced => synced?,
            }
        }
        Ok(())
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<DirEntry>> {
        let mut entries = Vec::new();
        for entry in fs::read_dir(dir)? {
            let entry = entry?;
            let metadata = entry.metadata()?;
            if let Ok(name) = entry.file_name().into_string() {
                let is_dir = metadata.is_dir();
                let len = if is_dir { 0 } else { metadata.len() };
                entries.push(DirEntry { name, len, is_dir });
            }
        }
        Ok(entries)
    }

    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn StorageFile>> {
        let mut options = fs::OpenOptions::new();
        options.read(true);
        match mode {
            OpenMode::Read => {}
            OpenMode::Write => {
                options.write(true);
            }
            OpenMode::Create => {
                options.write(true).create(true).truncate(true);
            }
        }
        Ok(Arc::new(FsFile(options.open(path)?)))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        fs::File::open(dir)?.sync_all()
    }

    fn lock(&self, path: &Path) -> io::Result<Box<dyn StorageLock>> {
        let file = fs::OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)?;
        flock(&file, FlockOperation::NonBlockingLockExclusive)?;
        Ok(Box::new(FsLock { _file: file }))
    }
}

#[derive(Debug)]
struct FsFile(fs::File);

impl StorageFile for FsFile {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        loop {
            match self.0.read_at(buf, offset) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                result => return result,
            }
        }
    }

    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.0.write_all_at(bytes, offset)
    }

    fn preallocate(&self, len: u64) -> io::Result<()> {
        match fallocate(&self.0, FallocateFlags::empty(), 0, len) {
            Ok(()) => Ok(()),
            Err(Errno::OPNOTSUPP | Errno::NOSYS) => {
                if self.len()? < len {
                    self.0.set_len(len)
                } else {
                    Ok(())
                }
            }
            Err(error) => Err(error.into()),
        }
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.0.sync_data()
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }

    fn data_from(&self, offset: u64) -> io::Result<Option<Range<u64>>> {
        let seek_to = |to| match seek(&self.0, to) {
            Ok(at) => Ok(Some(at)),
            Err(Errno::NXIO) => Ok(None),
            Err(error) => Err(error),
        };
        let found = seek_to(SeekFrom::Data(offset)).and_then(|data| match data {
            Some(start) => Ok(Some(
                start..seek_to(SeekFrom::Hole(start))?.unwrap_or(start),
            )),
            None => Ok(None),
        });
        match found {
            // The file system does not tell.
            Err(Errno::INVAL | Errno::OPNOTSUPP) => Ok(Some(offset..u64::MAX)),
            found => Ok(found?),
        }
    }

    fn read_sparsely(&self) {
        // Only advice: without it more is read.
        let _ = fadvise(&self.0, 0, None, Advice::Random);
    }
}

/// flock(2) goes with the open file: dropping closes it and so unlocks, and so does the end of the
/// process, however it comes.
#[derive(Debug)]
struct FsLock {
    _file: fs::File,
}

impl StorageLock for FsLock {}
