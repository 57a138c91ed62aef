//! What happens while somebody waits for the disk.
//!
//! A commit writes and syncs without the shard's lock. In the program other connections publish meanwhile; here the disk itself calls them.

use std::cell::RefCell;
use std::io;
use std::path::Path;
use std::sync::Arc;

use jetsled_store::storage::{DirEntry, OpenMode, Storage, StorageFile, StorageLock};
use jetsled_testkit::FaultyStorage;

use crate::breakage::Rule;

type Hook = Box<dyn FnMut()>;

thread_local! {
    static HOOK: RefCell<Option<Hook>> = const { RefCell::new(None) };
}

/// Calls `hook` whenever this thread syncs a file of an [`InterruptedStorage`], but for syncs within the hook.
pub(crate) fn set_hook(hook: Option<Hook>) {
    HOOK.set(hook);
}

fn interrupt() {
    // Taken for the call, so that the hook's own syncs find none.
    let Some(mut hook) = HOOK.take() else { return };
    hook();
    HOOK.set(Some(hook));
}

/// A disk that lets others work while it syncs.
#[derive(Clone, Debug)]
pub(crate) struct InterruptedStorage {
    pub(crate) disk: FaultyStorage,
    /// A rule that is broken on purpose.
    pub(crate) broken: Option<Rule>,
}

impl Storage for InterruptedStorage {
    fn create_dir_all(&self, dir: &Path) -> io::Result<()> {
        self.disk.create_dir_all(dir)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<DirEntry>> {
        self.disk.list(dir)
    }

    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn StorageFile>> {
        let is_segment = path.extension().is_some_and(|end| end == "seg");
        Ok(Arc::new(InterruptedFile {
            file: self.disk.open(path, mode)?,
            broken: self.broken.filter(|_| is_segment),
        }))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.disk.rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.disk.remove(path)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        self.disk.sync_dir(dir)
    }

    fn lock(&self, path: &Path) -> io::Result<Box<dyn StorageLock>> {
        self.disk.lock(path)
    }
}

#[derive(Debug)]
struct InterruptedFile {
    file: Arc<dyn StorageFile>,
    broken: Option<Rule>,
}

impl StorageFile for InterruptedFile {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        self.file.read_at(buf, offset)
    }

    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        match self.broken {
            Some(rule) => self
                .file
                .write_all_at(&rule.break_write(bytes, offset), offset),
            None => self.file.write_all_at(bytes, offset),
        }
    }

    fn preallocate(&self, len: u64) -> io::Result<()> {
        self.file.preallocate(len)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.file.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        interrupt();
        if self.broken == Some(Rule::SyncBeforeAnswer) {
            return Ok(());
        }
        self.file.sync_data()
    }

    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }
}
