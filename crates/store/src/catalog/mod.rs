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
//! The catalog of an encrypted store lies beside where a plain one would; its values are sealed with a key a checkpoint, and its heads
//! have what that is made of: cipher u8, salt 16 bytes before the checksum.
//!
//! Values are little-endian; a checksum is the crc32c of the fields before it, and of an entry's section,
//! key and whole value.

mod entry;
mod error;
mod files;
mod syncs;
#[cfg(test)]
mod tests;
mod writer;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use parking_lot::Mutex;

pub use entry::Section;
use entry::{Head, Reading, Sealed, ValueSeal, checksum, split_key};
pub use error::CatalogError;
use error::sled_error;
use files::{remove_plain, set_aside};
use syncs::Syncs;
pub use writer::CheckpointWriter;
use writer::drop_generations;

use crate::crypt::DataKey;

/// An open catalog. Cheap to clone; shards share it.
#[derive(Debug, Clone)]
pub struct Catalog {
    dir: PathBuf,
    db: sled::Db,
    heads: sled::Tree,
    key: Option<DataKey>,
    /// Held while files are synced: shards that write a checkpoint at the same time do that one after the other.
    syncs: Arc<Mutex<Syncs>>,
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

/// What a checkpoint's entries are given to: section, key, value.
pub type EntryVisitor<'v> = &'v mut dyn FnMut(Section, &[u8], Vec<u8>);

const CACHE_BYTES: u64 = 8 << 20;
/// Where the catalog lies in a store, and where that of an encrypted store does.
pub(crate) const PLAIN: &str = "catalog";
pub(crate) const SEALED: &str = "catalog.sealed";

impl Catalog {
    /// Opens or creates the catalog directory. One that can't be opened because of what is in it is
    /// renamed to `<dir>.damaged-<n>`, of which the newest three are kept, and a new one is made; one that another process holds, or that the
    /// file system does not let us open, is left alone.
    ///
    /// # Errors
    /// When it is left alone, or when not even a new one can be made.
    pub fn open(dir: &Path) -> Result<(Self, CatalogState), CatalogError> {
        Self::open_with(dir, None)
    }

    /// Opens or creates the catalog in a store's directory. That of a store which has been encrypted since is removed: it is made anew
    /// from the log.
    pub(crate) fn open_in(
        store: &Path,
        key: Option<DataKey>,
    ) -> Result<(Self, CatalogState), CatalogError> {
        let plain = store.join(PLAIN);
        if key.is_none() {
            return Self::open(&plain);
        }
        remove_plain(store, PLAIN)?;
        Self::open_with(&store.join(SEALED), key)
    }

    /// Sets the catalog in a store's directory aside, which does not give what was written, and makes a new one. No handle of the old one may be left.
    pub(crate) fn replace_in(
        store: &Path,
        key: Option<DataKey>,
        reason: &str,
    ) -> Result<(Self, CatalogState), CatalogError> {
        let dir = store.join(if key.is_some() { SEALED } else { PLAIN });
        let path = set_aside(&dir)?;
        let (catalog, _) = Self::open_with(&dir, key)?;
        let reason = reason.to_owned();
        Ok((catalog, CatalogState::SetAside { path, reason }))
    }

    fn open_with(dir: &Path, key: Option<DataKey>) -> Result<(Self, CatalogState), CatalogError> {
        let (mut catalog, state) = Self::open_unsealed(dir)?;
        catalog.key = key;
        Ok((catalog, state))
    }

    fn open_unsealed(dir: &Path) -> Result<(Self, CatalogState), CatalogError> {
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
            let db = open_unlocked(&config)?;
            let heads = db.open_tree("heads")?;
            Ok((db, heads))
        };
        // sled panics on some damage; its state is dropped with it.
        match catch_unwind(AssertUnwindSafe(open)) {
            Ok(Ok((db, heads))) => Ok(Self {
                dir: dir.to_owned(),
                db,
                heads,
                key: None,
                syncs: Arc::default(),
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
        let head = self.head(shard)?;
        let tree = self.tree(shard)?;
        let Some(head) = head else {
            return Ok(None);
        };
        let seal = self.seal_of(shard, &head)?;
        let mut entries = 0;
        let mut reading: Option<Reading> = None;
        let generation = head.generation.to_be_bytes();
        // All that there is: damage elsewhere would keep the next checkpoint from being written.
        for item in tree.iter() {
            let (key, bytes) = item.map_err(sled_error("read"))?;
            if !key.starts_with(&generation) {
                continue;
            }
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
                let value = match &seal {
                    Some(seal) => seal
                        .open(done.section, &done.key, &done.value)
                        .ok_or_else(damaged)?,
                    None => done.value,
                };
                visit(done.section, &done.key, value);
            }
        }
        if reading.is_some() || entries != head.entries {
            let section = reading.map(|reading| reading.section);
            return Err(CatalogError::Damaged { shard, section });
        }
        Ok(Some(()))
    }

    /// What opens the entries of a checkpoint. One that is sealed though the store is not, or the other way round, is not ours.
    fn seal_of(&self, shard: u8, head: &Head) -> Result<Option<ValueSeal>, CatalogError> {
        match (&self.key, head.sealed) {
            (None, None) => Ok(None),
            (Some(key), Some(Sealed { cipher, salt })) => Ok(Some(ValueSeal {
                key: key.checkpoint(cipher, shard, &salt),
                generation: head.generation,
            })),
            _ => Err(CatalogError::Damaged {
                shard,
                section: None,
            }),
        }
    }

    /// Begins a new checkpoint of a shard; an unfinished earlier one is dropped.
    ///
    /// # Errors
    /// sled's.
    pub fn begin(&self, shard: u8) -> Result<CheckpointWriter, CatalogError> {
        CheckpointWriter::begin(self, shard)
    }

    /// Drops a shard's checkpoint, so that the next opening replays the whole log.
    ///
    /// # Errors
    /// sled's.
    pub fn forget(&self, shard: u8) -> Result<(), CatalogError> {
        let gone = self.heads.remove([shard]);
        gone.map_err(sled_error("remove"))?;
        drop_generations(&self.tree(shard)?, |_| true)?;
        self.sync()
    }

    fn tree(&self, shard: u8) -> Result<sled::Tree, CatalogError> {
        let tree = self.db.open_tree(format!("shard-{shard}"));
        tree.map_err(sled_error("open of a tree"))
    }

    fn head(&self, shard: u8) -> Result<Option<Head>, CatalogError> {
        let bytes = self.heads.get([shard]);
        let bytes = bytes.map_err(sled_error("read"))?;
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
        flushed.map_err(sled_error("flush"))?;
        self.syncs.lock().sync(&self.dir)?;
        Ok(())
    }
}

/// How long a lock may last that nobody holds any more.
const LOCK_LASTS: Duration = Duration::from_secs(5);
const LOCK_STEP: Duration = Duration::from_millis(1);

/// sled gives its lock back some time after its last handle was dropped. That it is somebody else's is out of the question in a store, which
/// has a lock of its own.
fn open_unlocked(config: &sled::Config) -> sled::Result<sled::Db> {
    let mut waited = Duration::ZERO;
    loop {
        match config.open() {
            Err(sled::Error::Io(error)) if error::is_lock(&error) && waited < LOCK_LASTS => {
                thread::sleep(LOCK_STEP);
                waited += LOCK_STEP;
            }
            opened => return opened,
        }
    }
}
