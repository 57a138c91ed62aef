//! A file system in memory that fails on request and can lose its power.
//!
//! It promises as little as POSIX does: a write may reach the disk in any part and any order until
//! its file's `sync_data` has returned, and so may a created, renamed or removed name until its directory's
//! `sync_dir` has. As on Linux, a sync that fails leaves what it was to write readable and takes it for written: later syncs pass it over.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jetsled_store::storage::{DirEntry, OpenMode, Storage, StorageFile, StorageLock};
use parking_lot::Mutex;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

/// The storage; clones share one disk.
#[derive(Debug, Clone, Default)]
pub struct FaultyStorage {
    disk: Arc<Mutex<Disk>>,
}

/// A kind of call that changes the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Call {
    /// `StorageFile::write_all_at`
    Write,
    /// `StorageFile::sync_data`
    SyncData,
    /// `Storage::sync_dir`
    SyncDir,
    /// `StorageFile::preallocate` and `set_len`
    Allocate,
    /// `Storage::rename`, `remove`, and `open` that creates
    Name,
    /// `StorageFile::read_at`
    Read,
}

/// What an injected failure looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Nothing is done, the call fails with this.
    Error(io::ErrorKind),
    /// A write stops after half of its bytes and fails with this.
    Short(io::ErrorKind),
}

#[derive(Debug, Default)]
struct Disk {
    inodes: Vec<Inode>,
    names: BTreeMap<PathBuf, usize>,
    dirs: BTreeSet<PathBuf>,
    durable_names: BTreeMap<PathBuf, usize>,
    /// Changes to names that no `sync_dir` has covered.
    pending_names: Vec<NameChange>,
    locks: BTreeSet<PathBuf>,
    /// Changing calls so far.
    changes: u64,
    power_fails_at: Option<u64>,
    faults: Vec<(Call, u64, Fault)>,
    capacity: Option<u64>,
    reads: u64,
}

#[derive(Debug, Default, Clone)]
struct Inode {
    now: Vec<u8>,
    durable: Vec<u8>,
    pending: Vec<Change>,
    /// Writes that a sync was to cover and failed. Of them a later sync writes what shares a page with something that was written since.
    given_up: Vec<Change>,
}

#[derive(Debug, Clone)]
enum Change {
    Write { offset: usize, bytes: Vec<u8> },
    Len(usize),
}

#[derive(Debug, Clone)]
enum NameChange {
    Create(PathBuf, usize),
    Rename(PathBuf, PathBuf),
    Remove(PathBuf),
}

/// What a disk writes in one piece.
const SECTOR: usize = 512;
/// What an operating system does.
const PAGE: usize = 4096;

impl FaultyStorage {
    /// An empty disk without faults.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// How many changing calls have been made.
    #[must_use]
    pub fn changes(&self) -> u64 {
        self.disk.lock().changes
    }

    /// The changing call with this number, counted from 0 over the disk's life, and all calls after it fail:
    /// nothing reaches the disk any more.
    pub fn cut_power_at(&self, change: u64) {
        self.disk.lock().power_fails_at = Some(change);
    }

    /// The next call of this kind but `skip` fails, once.
    pub fn fail(&self, call: Call, skip: u64, fault: Fault) {
        self.disk.lock().faults.push((call, skip, fault));
    }

    /// Nothing that was to fail fails any more, and there is room again.
    pub fn heal(&self) {
        let mut disk = self.disk.lock();
        disk.faults.clear();
        disk.capacity = None;
    }

    /// At most so many bytes in all files; `None` for no limit. What a file has room for already can be written whatever the limit: with 0
    /// a log fills its segment and gets no other one.
    pub fn limit(&self, capacity: Option<u64>) {
        self.disk.lock().capacity = capacity;
    }

    /// What a power cut now leaves: every change that no sync has covered is kept, dropped or torn, as the seed
    /// decides. This storage goes on undisturbed.
    #[must_use]
    pub fn after_power_cut(&self, seed: u64) -> Self {
        let mut random = StdRng::seed_from_u64(seed);
        let disk = self.disk.lock();
        let mut names = disk.durable_names.clone();
        // A cut that keeps everything and one that drops everything are likely too.
        let keep = [0.0, 0.2, 0.5, 0.8, 1.0][random.random_range(0..5)];
        for change in &disk.pending_names {
            if random.random_bool(keep) {
                change.apply(&mut names);
            }
        }
        let inodes: Vec<_> = disk
            .inodes
            .iter()
            .map(|inode| inode.after_cut(&mut random))
            .collect();
        let after = Disk {
            inodes,
            durable_names: names.clone(),
            names,
            dirs: disk.dirs.clone(),
            ..Disk::default()
        };
        Self {
            disk: Arc::new(Mutex::new(after)),
        }
    }

    /// A copy of the disk as a killed process leaves it: nothing is lost, and what no sync has covered may be at the next power cut.
    #[must_use]
    pub fn after_kill(&self) -> Self {
        let disk = self.disk.lock();
        let after = Disk {
            inodes: disk.inodes.clone(),
            names: disk.names.clone(),
            durable_names: disk.durable_names.clone(),
            pending_names: disk.pending_names.clone(),
            dirs: disk.dirs.clone(),
            ..Disk::default()
        };
        Self {
            disk: Arc::new(Mutex::new(after)),
        }
    }

    /// The paths of all files.
    #[must_use]
    pub fn files(&self) -> Vec<PathBuf> {
        self.disk.lock().names.keys().cloned().collect()
    }

    /// A file's bytes, if there is one.
    #[must_use]
    pub fn contents(&self, path: &Path) -> Option<Vec<u8>> {
        let disk = self.disk.lock();
        Some(disk.inodes.get(*disk.names.get(path)?)?.now.clone())
    }

    /// Changes a file behind everybody's back, durably. Creates it when missing.
    pub fn damage(&self, path: &Path, change: impl FnOnce(&mut Vec<u8>)) {
        let mut disk = self.disk.lock();
        let disk = &mut *disk;
        let inode = *disk.names.entry(path.to_owned()).or_insert_with(|| {
            disk.inodes.push(Inode::default());
            disk.inodes.len() - 1
        });
        disk.durable_names.insert(path.to_owned(), inode);
        if let Some(inode) = disk.inodes.get_mut(inode) {
            change(&mut inode.now);
            inode.durable.clone_from(&inode.now);
            inode.pending.clear();
            inode.given_up.clear();
        }
    }

    /// How often a file has been read from.
    #[must_use]
    pub fn reads(&self) -> u64 {
        self.disk.lock().reads
    }
}

impl Disk {
    /// Counts a changing call and says whether it fails.
    fn change(&mut self, call: Call) -> Result<(), Fault> {
        let number = self.changes;
        self.changes += 1;
        if self.power_fails_at.is_some_and(|at| number >= at) {
            return Err(Fault::Error(io::ErrorKind::BrokenPipe));
        }
        self.fault(call)
    }

    fn fault(&mut self, call: Call) -> Result<(), Fault> {
        let mut hit = None;
        for (number, (other, skip, fault)) in self.faults.iter_mut().enumerate() {
            if *other == call {
                if *skip == 0 {
                    hit = hit.or(Some((number, *fault)));
                } else {
                    *skip -= 1;
                }
            }
        }
        match hit {
            Some((number, fault)) => {
                self.faults.remove(number);
                Err(fault)
            }
            None => Ok(()),
        }
    }

    fn used(&self) -> u64 {
        self.names
            .values()
            .filter_map(|inode| self.inodes.get(*inode))
            .map(|i| i.now.len() as u64)
            .sum()
    }

    /// Whether a file may grow by this.
    fn grow(&self, by: u64) -> io::Result<()> {
        match self.capacity {
            Some(capacity) if by > 0 && self.used() + by > capacity => {
                Err(io::ErrorKind::StorageFull.into())
            }
            _ => Ok(()),
        }
    }

    fn rename(&mut self, change: NameChange) {
        change.apply(&mut self.names);
        self.pending_names.push(change);
    }
}

impl NameChange {
    /// Does nothing when a change that it builds on was lost.
    fn apply(&self, names: &mut BTreeMap<PathBuf, usize>) {
        match self {
            Self::Create(path, inode) => {
                names.insert(path.clone(), *inode);
            }
            Self::Rename(from, to) => {
                if let Some(inode) = names.remove(from) {
                    names.insert(to.clone(), inode);
                }
            }
            Self::Remove(path) => {
                names.remove(path);
            }
        }
    }

    fn dir(&self) -> Option<&Path> {
        match self {
            Self::Create(path, _) | Self::Rename(_, path) | Self::Remove(path) => path.parent(),
        }
    }
}

impl Change {
    fn apply(&self, bytes: &mut Vec<u8>) {
        match self {
            Self::Write {
                offset,
                bytes: written,
            } => write(bytes, *offset, written),
            Self::Len(len) => bytes.resize(*len, 0),
        }
    }
}

fn write(bytes: &mut Vec<u8>, offset: usize, written: &[u8]) {
    let end = offset + written.len();
    if bytes.len() < end {
        bytes.resize(end, 0);
    }
    bytes[offset..end].copy_from_slice(written);
}

impl Inode {
    fn change(&mut self, change: Change) {
        change.apply(&mut self.now);
        self.pending.push(change);
    }

    fn sync(&mut self) {
        for change in std::mem::take(&mut self.pending) {
            change.apply(&mut self.durable);
            if let Change::Write { offset, bytes } = change {
                let pages = offset / PAGE * PAGE..(offset + bytes.len()).next_multiple_of(PAGE);
                let end = pages.end.min(self.now.len()).min(self.durable.len());
                if let (Some(to), Some(from)) = (
                    self.durable.get_mut(pages.start..end),
                    self.now.get(pages.start..end),
                ) {
                    to.copy_from_slice(from);
                }
            }
        }
        self.given_up.clear();
    }

    fn fail_to_sync(&mut self) {
        let is_write = |change: &Change| matches!(change, Change::Write { .. });
        let pending = std::mem::take(&mut self.pending);
        let (writes, rest): (Vec<_>, Vec<_>) = pending.into_iter().partition(is_write);
        self.given_up.extend(writes);
        self.pending = rest;
    }

    fn after_cut(&self, random: &mut StdRng) -> Self {
        let mut now = self.durable.clone();
        for change in self.given_up.iter().chain(&self.pending) {
            match (random.random_range(0..5), change) {
                (0, _) => {}
                (1, _) | (_, Change::Len(_)) => change.apply(&mut now),
                // The front of it.
                (2, Change::Write { offset, bytes }) => {
                    let kept = random.random_range(0..=bytes.len());
                    write(&mut now, *offset, &bytes[..kept]);
                }
                // Some sectors of it, in no order.
                (_, Change::Write { offset, bytes }) => {
                    let mut at = *offset;
                    let end = offset + bytes.len();
                    while at < end {
                        let next = (at / SECTOR + 1) * SECTOR;
                        let next = next.min(end);
                        if random.random_bool(0.6) {
                            write(&mut now, at, &bytes[at - offset..next - offset]);
                        }
                        at = next;
                    }
                }
            }
        }
        Self {
            durable: now.clone(),
            now,
            pending: Vec::new(),
            given_up: Vec::new(),
        }
    }
}

impl Fault {
    fn error(self) -> io::Error {
        match self {
            Self::Error(kind) | Self::Short(kind) => kind.into(),
        }
    }
}

impl Storage for FaultyStorage {
    fn create_dir_all(&self, dir: &Path) -> io::Result<()> {
        let mut disk = self.disk.lock();
        if disk.names.contains_key(dir) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        // Durable at once, as the trait says.
        disk.dirs.extend(dir.ancestors().map(Path::to_owned));
        Ok(())
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<DirEntry>> {
        let disk = self.disk.lock();
        if !disk.dirs.contains(dir) {
            return Err(io::ErrorKind::NotFound.into());
        }
        let name = |path: &Path| Some(path.file_name()?.to_str()?.to_owned());
        let inside = |path: &&PathBuf| path.parent() == Some(dir);
        let files = disk
            .names
            .iter()
            .filter(|(path, _)| inside(path))
            .filter_map(|(path, inode)| {
                let len = disk.inodes.get(*inode)?.now.len() as u64;
                Some(DirEntry {
                    name: name(path)?,
                    len,
                    is_dir: false,
                })
            });
        let dirs = disk.dirs.iter().filter(inside).filter_map(|path| {
            Some(DirEntry {
                name: name(path)?,
                len: 0,
                is_dir: true,
            })
        });
        Ok(files.chain(dirs).collect())
    }

    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn StorageFile>> {
        let mut disk = self.disk.lock();
        let known = disk.names.get(path).copied();
        let inode = match (known, mode) {
            (None, OpenMode::Read | OpenMode::Write) => return Err(io::ErrorKind::NotFound.into()),
            (Some(inode), OpenMode::Read | OpenMode::Write) => inode,
            (Some(inode), OpenMode::Create) => {
                disk.change(Call::Name).map_err(Fault::error)?;
                if let Some(inode) = disk.inodes.get_mut(inode) {
                    inode.change(Change::Len(0));
                }
                inode
            }
            (None, OpenMode::Create) => {
                disk.change(Call::Name).map_err(Fault::error)?;
                disk.inodes.push(Inode::default());
                let inode = disk.inodes.len() - 1;
                disk.rename(NameChange::Create(path.to_owned(), inode));
                inode
            }
        };
        let writable = mode != OpenMode::Read;
        Ok(Arc::new(FaultyFile {
            disk: Arc::clone(&self.disk),
            inode,
            writable,
        }))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut disk = self.disk.lock();
        disk.change(Call::Name).map_err(Fault::error)?;
        if !disk.names.contains_key(from) {
            return Err(io::ErrorKind::NotFound.into());
        }
        disk.rename(NameChange::Rename(from.to_owned(), to.to_owned()));
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut disk = self.disk.lock();
        if !disk.names.contains_key(path) {
            return Err(io::ErrorKind::NotFound.into());
        }
        disk.change(Call::Name).map_err(Fault::error)?;
        disk.rename(NameChange::Remove(path.to_owned()));
        Ok(())
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        let mut disk = self.disk.lock();
        disk.change(Call::SyncDir).map_err(Fault::error)?;
        let disk = &mut *disk;
        let (covered, rest) = std::mem::take(&mut disk.pending_names)
            .into_iter()
            .partition(|change| change.dir() == Some(dir));
        disk.pending_names = rest;
        let covered: Vec<NameChange> = covered;
        covered
            .iter()
            .for_each(|change| change.apply(&mut disk.durable_names));
        Ok(())
    }

    fn lock(&self, path: &Path) -> io::Result<Box<dyn StorageLock>> {
        let mut disk = self.disk.lock();
        if !disk.locks.insert(path.to_owned()) {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        Ok(Box::new(FaultyLock {
            disk: Arc::clone(&self.disk),
            path: path.to_owned(),
        }))
    }
}

#[derive(Debug)]
struct FaultyFile {
    disk: Arc<Mutex<Disk>>,
    inode: usize,
    writable: bool,
}

impl StorageFile for FaultyFile {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut disk = self.disk.lock();
        disk.fault(Call::Read).map_err(Fault::error)?;
        disk.reads += 1;
        let bytes = disk
            .inodes
            .get(self.inode)
            .map_or(&[][..], |inode| &inode.now);
        let rest = bytes.get(offset as usize..).unwrap_or(&[]);
        let len = rest.len().min(buf.len());
        buf[..len].copy_from_slice(&rest[..len]);
        Ok(len)
    }

    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let mut disk = self.disk.lock();
        if !self.writable {
            return Err(io::ErrorKind::PermissionDenied.into());
        }
        let fault = disk.change(Call::Write).err();
        let written = match fault {
            Some(Fault::Error(kind)) => return Err(kind.into()),
            Some(Fault::Short(_)) => &bytes[..bytes.len() / 2],
            None => bytes,
        };
        let len = disk
            .inodes
            .get(self.inode)
            .map_or(0, |inode| inode.now.len());
        let end = offset as usize + written.len();
        disk.grow(end.saturating_sub(len) as u64)?;
        if let Some(inode) = disk.inodes.get_mut(self.inode) {
            inode.change(Change::Write {
                offset: offset as usize,
                bytes: written.to_vec(),
            });
        }
        fault.map_or(Ok(()), |fault| Err(fault.error()))
    }

    fn preallocate(&self, len: u64) -> io::Result<()> {
        let now = self.len()?;
        if len > now { self.set_len(len) } else { Ok(()) }
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let now = self.len()?;
        let mut disk = self.disk.lock();
        disk.change(Call::Allocate).map_err(Fault::error)?;
        disk.grow(len.saturating_sub(now))?;
        if let Some(inode) = disk.inodes.get_mut(self.inode) {
            inode.change(Change::Len(len as usize));
        }
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut disk = self.disk.lock();
        let failed = disk.change(Call::SyncData).err();
        if let Some(inode) = disk.inodes.get_mut(self.inode) {
            match failed {
                None => inode.sync(),
                Some(_) => inode.fail_to_sync(),
            }
        }
        failed.map_or(Ok(()), |fault| Err(fault.error()))
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self
            .disk
            .lock()
            .inodes
            .get(self.inode)
            .map_or(0, |inode| inode.now.len() as u64))
    }
}

#[derive(Debug)]
struct FaultyLock {
    disk: Arc<Mutex<Disk>>,
    path: PathBuf,
}

impl Drop for FaultyLock {
    fn drop(&mut self) {
        self.disk.lock().locks.remove(&self.path);
    }
}

impl StorageLock for FaultyLock {}
