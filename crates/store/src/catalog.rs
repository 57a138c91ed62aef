//! The catalog: checkpoints in sled, always rebuildable from the log.
//!
//! sled's own flush relies on `sync_file_range`, which does not make a grown file safe against a
//! power cut, so a checkpoint fsyncs sled's files itself. A checkpoint is written beside its
//! predecessor and takes its place in one step.
//!
//! ```text
//! tree "heads":    shard u8                                     -> generation u64, entries u32, checksum u32
//! tree "shard-N":  generation u64 BE, section u8, key length u16 BE, key, chunk u32 BE
//!                  -> chunk 0: value length u32, checksum u32, bytes; the others: bytes
//! ```
//!
//! Values are little-endian; a checksum is the crc32c of the fields before it, and of an entry's section,
//! key and whole value.

use std::fs;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

/// An open catalog. Cheap to clone; shards share it.
#[derive(Debug, Clone)]
pub struct Catalog {
    dir: PathBuf,
    db: sled::Db,
    heads: sled::Tree,
}

/// How a catalog was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CatalogState {
    /// As it was left.
    Loaded,
    /// There was none.
    Created,
    /// It could not be opened, lies under this name now, and a new one was made.
    SetAside {
        /// Where it went.
        path: PathBuf,
        /// What was wrong with it.
        reason: String,
    },
}

/// Why a catalog operation failed.
#[derive(Debug, thiserror::Error)]
pub enum CatalogError {
    /// sled's reason.
    #[error("catalog {doing} failed: {source}")]
    Sled {
        /// What was done.
        doing: &'static str,
        /// Why it failed.
        source: sled::Error,
    },
    /// A file operation failed.
    #[error("catalog {path}: {doing} failed: {source}")]
    Io {
        /// What was done.
        doing: &'static str,
        /// To which file.
        path: PathBuf,
        /// The operating system's reason.
        source: io::Error,
    },
    /// sled panicked while opening, even on an empty directory.
    #[error("catalog {path}: opening panicked: {reason}")]
    Panicked {
        /// The catalog's directory.
        path: PathBuf,
        /// What the panic said.
        reason: String,
    },
    /// A value's checksum or chunks are wrong. Rebuild from the log.
    #[error("catalog entry {section:?} of shard {shard} is damaged")]
    Damaged {
        /// The shard.
        shard: u8,
        /// The section; `None` if it is not even known which.
        section: Option<Section>,
    },
    /// A key or value is too long.
    #[error("catalog {field} of {len} bytes exceeds {limit}")]
    TooLong {
        /// Key or value.
        field: &'static str,
        /// Its bytes.
        len: usize,
        /// The most there can be.
        limit: usize,
    },
}

/// What a checkpoint's entries are given to: section, key, value.
pub type EntryVisitor<'v> = &'v mut dyn FnMut(Section, &[u8], Vec<u8>);

/// The parts of a checkpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Section {
    /// The log's checkpoint, one entry.
    Log = 0,
    /// A stream's configuration, by stream.
    StreamConfig = 1,
    /// A stream's state, by stream.
    StreamState = 2,
    /// A consumer's configuration, by consumer.
    ConsumerConfig = 3,
    /// A consumer's state, by consumer.
    ConsumerState = 4,
}

/// sled keeps larger values in files of their own and rewrites pages that hold large ones.
const CHUNK: usize = (16 << 10) - 64;
const CHUNK_HEADER: usize = 8;
/// Entries written to sled at a time.
const BATCH: usize = 128;
const CACHE_BYTES: u64 = 8 << 20;

impl Catalog {
    /// Opens or creates the catalog directory. One that can't be opened because of what is in it is
    /// renamed to `<dir>.damaged-<n>` and a new one is made; one that another process holds, or that the
    /// file system does not let us open, is left alone.
    ///
    /// # Errors
    /// When it is left alone, or when not even a new one can be made.
    pub fn open(dir: &Path) -> Result<(Self, CatalogState), CatalogError> {
        let existed = dir.exists();
        match Self::open_db(dir) {
            Ok(catalog) if existed => Ok((catalog, CatalogState::Loaded)),
            Ok(catalog) => Ok((catalog, CatalogState::Created)),
            Err(error) if !existed || !error.is_damage() => Err(error),
            Err(error) => {
                let path = set_aside(dir)?;
                let reason = error.to_string();
                Ok((Self::open_db(dir)?, CatalogState::SetAside { path, reason }))
            }
        }
    }

    fn open_db(dir: &Path) -> Result<Self, CatalogError> {
        let open = || -> sled::Result<(sled::Db, sled::Tree)> {
            let config = sled::Config::new()
                .path(dir)
                .cache_capacity(CACHE_BYTES)
                .flush_every_ms(None);
            let db = config.open()?;
            let heads = db.open_tree("heads")?;
            Ok((db, heads))
        };
        // sled panics on some damage; its state is dropped with it.
        match catch_unwind(AssertUnwindSafe(open)) {
            Ok(Ok((db, heads))) => Ok(Self {
                dir: dir.to_owned(),
                db,
                heads,
            }),
            Ok(Err(source)) => Err(CatalogError::Sled {
                doing: "open",
                source,
            }),
            Err(panic) => {
                let text = panic.downcast_ref::<String>().map(String::as_str);
                let reason = text.or_else(|| panic.downcast_ref::<&str>().copied());
                let reason = reason.unwrap_or("no reason given").to_owned();
                Err(CatalogError::Panicked {
                    path: dir.to_owned(),
                    reason,
                })
            }
        }
    }

    /// Reads a shard's newest complete checkpoint entry by entry, in order of section, length of the
    /// key, key. `None` if there is none.
    ///
    /// # Errors
    /// [`CatalogError::Damaged`] at the first entry that is not what was written: the caller forgets
    /// what it has read and replays the log.
    pub fn load(&self, shard: u8, visit: EntryVisitor<'_>) -> Result<Option<()>, CatalogError> {
        // sled panics on some damage here too.
        catch_unwind(AssertUnwindSafe(|| self.load_unguarded(shard, visit))).unwrap_or(Err(
            CatalogError::Damaged {
                shard,
                section: None,
            },
        ))
    }

    fn load_unguarded(
        &self,
        shard: u8,
        visit: EntryVisitor<'_>,
    ) -> Result<Option<()>, CatalogError> {
        let Some(head) = self.head(shard)? else {
            return Ok(None);
        };
        let tree = self.tree(shard)?;
        let mut entries = 0;
        let mut reading: Option<Reading> = None;
        for item in tree.scan_prefix(head.generation.to_be_bytes()) {
            let (key, bytes) = item.map_err(|source| CatalogError::Sled {
                doing: "read",
                source,
            })?;
            let damaged = |section| CatalogError::Damaged { shard, section };
            let (section, name, chunk) = split_key(&key).ok_or(damaged(None))?;
            let damaged = || damaged(Some(section));
            match (&mut reading, chunk) {
                (None, 0) => {
                    reading = Some(Reading::begin(section, name, &bytes).ok_or_else(damaged)?);
                }
                (Some(reading), chunk) if reading.continues(section, name, chunk) => {
                    reading.value.extend_from_slice(&bytes);
                    reading.chunks += 1;
                }
                _ => return Err(damaged()),
            }
            if let Some(done) = reading.take_if(|reading| reading.is_complete()) {
                if done.checksum != checksum(done.section, &done.key, &done.value) {
                    return Err(damaged());
                }
                entries += 1;
                visit(done.section, &done.key, done.value);
            }
        }
        if reading.is_some() || entries != head.entries {
            let section = reading.map(|reading| reading.section);
            return Err(CatalogError::Damaged { shard, section });
        }
        Ok(Some(()))
    }

    /// Begins a new checkpoint of a shard; an unfinished earlier one is dropped.
    ///
    /// # Errors
    /// sled's.
    pub fn begin(&self, shard: u8) -> Result<CheckpointWriter, CatalogError> {
        // A damaged head has nothing worth keeping.
        let current = self.head(shard).ok().flatten().map(|head| head.generation);
        let tree = self.tree(shard)?;
        let newest = tree.last().map_err(|source| CatalogError::Sled {
            doing: "read",
            source,
        })?;
        let newest = newest.and_then(|(key, _)| Some(u64::from_be_bytes(*key.first_chunk()?)));
        let generation = current.max(newest).unwrap_or(0) + 1;
        drop_all(&tree, |other| Some(other) != current)?;
        let (catalog, batch) = (self.clone(), sled::Batch::default());
        Ok(CheckpointWriter {
            catalog,
            shard,
            tree,
            generation,
            entries: 0,
            batch,
            batched: 0,
        })
    }

    /// Drops a shard's checkpoint, so that the next opening replays the whole log.
    ///
    /// # Errors
    /// sled's.
    pub fn forget(&self, shard: u8) -> Result<(), CatalogError> {
        let gone = self.heads.remove([shard]);
        gone.map_err(|source| CatalogError::Sled {
            doing: "remove",
            source,
        })?;
        drop_all(&self.tree(shard)?, |_| true)?;
        self.sync()
    }

    fn tree(&self, shard: u8) -> Result<sled::Tree, CatalogError> {
        let tree = self.db.open_tree(format!("shard-{shard}"));
        tree.map_err(|source| CatalogError::Sled {
            doing: "open of a tree",
            source,
        })
    }

    fn head(&self, shard: u8) -> Result<Option<Head>, CatalogError> {
        let bytes = self.heads.get([shard]);
        let bytes = bytes.map_err(|source| CatalogError::Sled {
            doing: "read",
            source,
        })?;
        let Some(bytes) = bytes else { return Ok(None) };
        let head = Head::decode(&bytes).ok_or(CatalogError::Damaged {
            shard,
            section: None,
        })?;
        Ok(Some(head))
    }

    /// Makes everything written so far durable.
    fn sync(&self) -> Result<(), CatalogError> {
        let flushed = self.db.flush();
        flushed.map_err(|source| CatalogError::Sled {
            doing: "flush",
            source,
        })?;
        sync_files(&self.dir)
    }
}

impl CatalogError {
    /// Whether the catalog's own bytes are at fault, not the circumstances.
    fn is_damage(&self) -> bool {
        match self {
            Self::Panicked { .. } => true,
            Self::Sled {
                source: sled::Error::Io(error),
                ..
            } => match error.kind() {
                io::ErrorKind::PermissionDenied
                | io::ErrorKind::StorageFull
                | io::ErrorKind::ReadOnlyFilesystem
                | io::ErrorKind::WouldBlock => false,
                // sled has no better way to say that somebody else has it open.
                _ => !error.to_string().contains("acquire lock"),
            },
            Self::Sled { .. } => true,
            _ => false,
        }
    }
}

/// A checkpoint being written.
#[derive(Debug)]
pub struct CheckpointWriter {
    catalog: Catalog,
    shard: u8,
    tree: sled::Tree,
    generation: u64,
    entries: u32,
    batch: sled::Batch,
    batched: usize,
}

impl CheckpointWriter {
    /// Adds an entry. Values of up to 4 GiB, kept in chunks of at most 16 KiB; keys of at most 65,535 bytes.
    ///
    /// # Errors
    /// sled's, or [`CatalogError::TooLong`].
    pub fn put(&mut self, section: Section, key: &[u8], value: &[u8]) -> Result<(), CatalogError> {
        let too_long = |field, len, limit| CatalogError::TooLong { field, len, limit };
        let key_len = u16::try_from(key.len())
            .map_err(|_| too_long("key", key.len(), usize::from(u16::MAX)))?;
        let value_len = u32::try_from(value.len())
            .map_err(|_| too_long("value", value.len(), u32::MAX as usize))?;
        let mut name = Vec::with_capacity(15 + key.len());
        name.extend_from_slice(&self.generation.to_be_bytes());
        name.push(section as u8);
        name.extend_from_slice(&key_len.to_be_bytes());
        name.extend_from_slice(key);
        let (first, rest) = value.split_at(value.len().min(CHUNK - CHUNK_HEADER));
        let mut bytes = Vec::with_capacity(CHUNK_HEADER + first.len());
        bytes.extend_from_slice(&value_len.to_le_bytes());
        bytes.extend_from_slice(&checksum(section, key, value).to_le_bytes());
        bytes.extend_from_slice(first);
        self.put_chunk(&name, 0, bytes)?;
        for (number, chunk) in rest.chunks(CHUNK).enumerate() {
            self.put_chunk(&name, number as u32 + 1, chunk.to_vec())?;
        }
        self.entries += 1;
        Ok(())
    }

    fn put_chunk(&mut self, name: &[u8], chunk: u32, bytes: Vec<u8>) -> Result<(), CatalogError> {
        self.batch
            .insert([name, &chunk.to_be_bytes()].concat(), bytes);
        self.batched += 1;
        if self.batched >= BATCH {
            self.apply()
        } else {
            Ok(())
        }
    }

    fn apply(&mut self) -> Result<(), CatalogError> {
        self.batched = 0;
        let applied = self.tree.apply_batch(std::mem::take(&mut self.batch));
        applied.map_err(|source| CatalogError::Sled {
            doing: "write",
            source,
        })
    }

    /// Makes the checkpoint durable, then the current one, then drops its predecessor. Blocks for
    /// some milliseconds.
    ///
    /// # Errors
    /// The predecessor stays current then, unless the error came after the change; either is whole.
    pub fn finish(mut self) -> Result<(), CatalogError> {
        self.apply()?;
        self.catalog.sync()?;
        let head = Head {
            generation: self.generation,
            entries: self.entries,
        };
        let changed = self
            .catalog
            .heads
            .insert([self.shard], head.encode().to_vec());
        changed.map_err(|source| CatalogError::Sled {
            doing: "write",
            source,
        })?;
        self.catalog.sync()?;
        drop_all(&self.tree, |generation| generation != self.generation)
    }
}

/// Which checkpoint of a shard is the current one.
#[derive(Debug, Clone, Copy)]
struct Head {
    generation: u64,
    entries: u32,
}

impl Head {
    fn encode(self) -> [u8; 16] {
        let mut out = [0; 16];
        out[..8].copy_from_slice(&self.generation.to_le_bytes());
        out[8..12].copy_from_slice(&self.entries.to_le_bytes());
        let checksum = crc32c::crc32c(&out[..12]);
        out[12..].copy_from_slice(&checksum.to_le_bytes());
        out
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let (fields, checksum) = bytes.split_at_checked(12)?;
        if *checksum != crc32c::crc32c(fields).to_le_bytes() {
            return None;
        }
        let (generation, entries) = fields.split_first_chunk()?;
        let entries = u32::from_le_bytes(*entries.first_chunk()?);
        Some(Self {
            generation: u64::from_le_bytes(*generation),
            entries,
        })
    }
}

/// An entry of which some chunks have been read.
#[derive(Debug)]
struct Reading {
    section: Section,
    key: Vec<u8>,
    value: Vec<u8>,
    value_len: usize,
    checksum: u32,
    chunks: u32,
}

impl Reading {
    fn begin(section: Section, key: &[u8], bytes: &[u8]) -> Option<Self> {
        let (value_len, rest) = bytes.split_first_chunk()?;
        let (checksum, value) = rest.split_first_chunk()?;
        let value_len = u32::from_le_bytes(*value_len) as usize;
        let checksum = u32::from_le_bytes(*checksum);
        let (key, value) = (key.to_vec(), value.to_vec());
        Some(Self {
            section,
            key,
            value,
            value_len,
            checksum,
            chunks: 1,
        })
    }

    fn continues(&self, section: Section, key: &[u8], chunk: u32) -> bool {
        self.section == section && self.key == key && self.chunks == chunk
    }

    fn is_complete(&self) -> bool {
        self.value.len() >= self.value_len
    }
}

fn split_key(key: &[u8]) -> Option<(Section, &[u8], u32)> {
    let (section, rest) = key.get(8..)?.split_first()?;
    let section = match section {
        0 => Section::Log,
        1 => Section::StreamConfig,
        2 => Section::StreamState,
        3 => Section::ConsumerConfig,
        4 => Section::ConsumerState,
        _ => return None,
    };
    let (len, rest) = rest.split_first_chunk()?;
    let (name, chunk) = rest.split_at_checked(usize::from(u16::from_be_bytes(*len)))?;
    Some((section, name, u32::from_be_bytes(chunk.try_into().ok()?)))
}

fn checksum(section: Section, key: &[u8], value: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c_append(section as u32, key), value)
}

/// Removes the entries of some generations.
fn drop_all(tree: &sled::Tree, doomed: impl Fn(u64) -> bool) -> Result<(), CatalogError> {
    let sled = |source| CatalogError::Sled {
        doing: "remove",
        source,
    };
    let mut batch = sled::Batch::default();
    let mut batched = 0;
    for key in tree.iter().keys() {
        let key = key.map_err(sled)?;
        if key
            .first_chunk()
            .is_none_or(|generation| doomed(u64::from_be_bytes(*generation)))
        {
            batch.remove(key);
            batched += 1;
        }
        if batched == BATCH {
            batched = 0;
            tree.apply_batch(std::mem::take(&mut batch)).map_err(sled)?;
        }
    }
    tree.apply_batch(batch).map_err(sled)
}

/// fsyncs every file and directory below, and the name of the directory itself.
fn sync_files(dir: &Path) -> Result<(), CatalogError> {
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

/// Renames what can't be opened to a name that is free.
fn set_aside(dir: &Path) -> Result<PathBuf, CatalogError> {
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

#[cfg(test)]
mod tests {
    use super::*;

    type Entries = Vec<(Section, Vec<u8>, Vec<u8>)>;

    fn load(catalog: &Catalog, shard: u8) -> Result<Option<Entries>, CatalogError> {
        let mut entries = Vec::new();
        let mut visit = |section, key: &[u8], value| entries.push((section, key.to_vec(), value));
        let found = catalog.load(shard, &mut visit)?;
        Ok(found.map(|()| entries))
    }

    fn write(catalog: &Catalog, shard: u8, entries: &Entries) {
        let mut writer = catalog.begin(shard).unwrap();
        for (section, key, value) in entries {
            writer.put(*section, key, value).unwrap();
        }
        writer.finish().unwrap();
    }

    fn entries(salt: u8) -> Entries {
        let sizes = [0, 1, CHUNK - 9, CHUNK - 8, CHUNK - 7, 3 * CHUNK, 100_000];
        let value = |len: usize| (0..len).map(|byte| byte as u8 ^ salt).collect();
        let entry = |(number, len): (usize, &usize)| {
            (
                Section::StreamState,
                (number as u32).to_be_bytes().to_vec(),
                value(*len),
            )
        };
        let mut entries = vec![(Section::Log, Vec::new(), vec![salt; 20])];
        entries.extend(sizes.iter().enumerate().map(entry));
        entries.push((Section::ConsumerState, b"c".to_vec(), vec![1]));
        entries
    }

    #[test]
    fn the_newest_finished_checkpoint_is_loaded() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("catalog");
        {
            let (catalog, state) = Catalog::open(&path).unwrap();
            assert_eq!(state, CatalogState::Created);
            assert_eq!(load(&catalog, 0).unwrap(), None);
            write(&catalog, 0, &entries(1));
            write(&catalog, 1, &entries(2));
            write(&catalog, 0, &entries(3));
            let mut unfinished = catalog.begin(0).unwrap();
            unfinished.put(Section::Log, b"", b"never").unwrap();
        }
        let (catalog, state) = Catalog::open(&path).unwrap();
        assert_eq!(state, CatalogState::Loaded);
        assert_eq!(load(&catalog, 0).unwrap(), Some(entries(3)));
        assert_eq!(load(&catalog, 1).unwrap(), Some(entries(2)));
        catalog.forget(0).unwrap();
        assert_eq!(load(&catalog, 0).unwrap(), None);
        assert_eq!(load(&catalog, 1).unwrap(), Some(entries(2)));
        assert!(
            matches!(Catalog::open(&path), Err(CatalogError::Sled { .. })),
            "in use"
        );
        assert!(path.exists(), "a catalog in use is left alone");
    }

    #[test]
    fn a_changed_entry_is_noticed() {
        let dir = tempfile::tempdir().unwrap();
        let (catalog, _) = Catalog::open(&dir.path().join("catalog")).unwrap();
        write(&catalog, 0, &entries(1));
        let tree = catalog.tree(0).unwrap();
        for item in tree.iter().collect::<Result<Vec<_>, _>>().unwrap() {
            let (key, value) = item;
            let mut changed = value.to_vec();
            *changed.last_mut().unwrap() ^= 1;
            tree.insert(&key, changed).unwrap();
            assert!(load(&catalog, 0).is_err(), "changed value");
            tree.remove(&key).unwrap();
            assert!(load(&catalog, 0).is_err(), "missing chunk");
            tree.insert(&key, value).unwrap();
            assert_eq!(load(&catalog, 0).unwrap(), Some(entries(1)));
        }
    }

    #[test]
    fn what_cannot_be_opened_is_set_aside() {
        let damage: [fn(&Path); 2] = [
            |path| fs::write(path, b"not a directory").unwrap(),
            |path| {
                drop(Catalog::open(path).map(|(catalog, _)| write(&catalog, 0, &entries(1))));
                fs::remove_file(path.join("db")).unwrap();
                fs::create_dir(path.join("db")).unwrap();
            },
        ];
        for damage in damage {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("catalog");
            damage(&path);
            let (catalog, state) = Catalog::open(&path).unwrap();
            let CatalogState::SetAside { path: aside, .. } = state else {
                panic!("{state:?}")
            };
            assert!(aside.exists());
            assert_eq!(load(&catalog, 0).unwrap(), None);
            write(&catalog, 0, &entries(1));
        }
    }

    /// Whatever a catalog's files hold, it opens or is set aside, and what it gives back is what was written.
    #[test]
    fn damaged_files_never_give_wrong_entries() {
        for round in 0..24usize {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("catalog");
            drop(Catalog::open(&path).map(|(catalog, _)| write(&catalog, 0, &entries(1))));
            let file = path.join("db");
            let mut bytes = fs::read(&file).unwrap();
            let at = round * 7919 * 13 % bytes.len().min(200_000);
            if round % 3 == 0 {
                bytes.truncate(at);
            } else {
                let end = bytes.len().min(at + 64);
                bytes[at..end].iter_mut().for_each(|byte| *byte = !*byte);
            }
            fs::write(&file, bytes).unwrap();
            let (catalog, _) = Catalog::open(&path).unwrap();
            if let Ok(Some(found)) = load(&catalog, 0) {
                assert_eq!(found, entries(1), "round {round}");
            }
        }
    }
}
