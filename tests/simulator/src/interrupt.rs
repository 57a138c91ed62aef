//! What happens while somebody waits for the disk.
//!
//! A commit writes and syncs without the shard's lock. In the program other connections publish meanwhile; here the disk itself calls them.

use std::cell::RefCell;
use std::io;
use std::path::Path;
use std::sync::Arc;

use jetsled_store::storage::{DirEntry, OpenMode, Storage, StorageFile, StorageLock};
use jetsled_testkit::FaultyStorage;

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
pub(crate) struct InterruptedStorage(pub(crate) FaultyStorage);

impl Storage for InterruptedStorage {
    fn create_dir_all(&self, dir: &Path) -> io::Result<()> {
        self.0.create_dir_all(dir)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<DirEntry>> {
        self.0.list(dir)
    }

    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn StorageFile>> {
        Ok(Arc::new(InterruptedFile(self.0.open(path, mode)?)))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.0.rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.0.remove(path)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        self.0.sync_dir(dir)
    }

    fn lock(&self, path: &Path) -> io::Result<Box<dyn StorageLock>> {
        self.0.lock(path)
    }
}

#[derive(Debug)]
struct InterruptedFile(Arc<dyn StorageFile>);

impl StorageFile for InterruptedFile {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        self.0.read_at(buf, offset)
    }

    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.0.write_all_at(bytes, offset)
    }

    fn preallocate(&self, len: u64) -> io::Result<()> {
        self.0.preallocate(len)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        interrupt();
        self.0.sync_data()
    }

    fn len(&self) -> io::Result<u64> {
        self.0.len()
    }
}
