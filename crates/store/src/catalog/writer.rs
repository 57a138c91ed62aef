//! Writing a checkpoint.

use super::entry::{CHUNK, CHUNK_HEADER, Head, Sealed, ValueSeal, checksum, join_key};
use super::error::{CatalogError, sled_error};
use super::{Catalog, Section};

/// Entries written to sled at a time.
const BATCH: usize = 128;

/// A checkpoint being written.
#[derive(Debug)]
pub struct CheckpointWriter {
    catalog: Catalog,
    shard: u8,
    tree: sled::Tree,
    generation: u64,
    entries: u32,
    sealed: Option<(Sealed, ValueSeal)>,
    batch: sled::Batch,
    batched: usize,
}

impl CheckpointWriter {
    pub(super) fn begin(catalog: &Catalog, shard: u8) -> Result<Self, CatalogError> {
        // A damaged head has nothing worth keeping.
        let current = catalog
            .head(shard)
            .ok()
            .flatten()
            .map(|head| head.generation);
        let tree = catalog.tree(shard)?;
        let newest = tree.last().map_err(sled_error("read"))?;
        let newest = newest.and_then(|(key, _)| Some(u64::from_be_bytes(*key.first_chunk()?)));
        let generation = current.max(newest).unwrap_or(0) + 1;
        drop_generations(&tree, |other| Some(other) != current)?;
        let sealed = catalog.key.as_ref().map(|key| {
            let (cipher, salt) = (key.cipher(), key.salt());
            let key = key.checkpoint(cipher, shard, &salt);
            (Sealed { cipher, salt }, ValueSeal { key, generation })
        });
        Ok(CheckpointWriter {
            catalog: catalog.clone(),
            shard,
            tree,
            generation,
            entries: 0,
            sealed,
            batch: sled::Batch::default(),
            batched: 0,
        })
    }

    /// Adds an entry. Values of up to 4 GiB, kept in chunks of at most 16 KiB; keys of at most 65,535 bytes.
    ///
    /// # Errors
    /// sled's, or [`CatalogError::TooLong`].
    pub fn put(&mut self, section: Section, key: &[u8], value: &[u8]) -> Result<(), CatalogError> {
        let sealed = self.sealed.as_ref();
        let sealed = sealed.map(|(_, seal)| seal.seal(self.entries, section, key, value));
        let value = sealed.as_deref().unwrap_or(value);
        let too_long = |field, len, limit| CatalogError::TooLong { field, len, limit };
        let key_len = u16::try_from(key.len())
            .map_err(|_| too_long("key", key.len(), usize::from(u16::MAX)))?;
        let value_len = u32::try_from(value.len())
            .map_err(|_| too_long("value", value.len(), u32::MAX as usize))?;
        let name = join_key(self.generation, section, key_len, key);
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
        applied.map_err(sled_error("write"))
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
            sealed: self.sealed.as_ref().map(|(sealed, _)| *sealed),
        };
        let changed = self.catalog.heads.insert([self.shard], head.encode());
        changed.map_err(sled_error("write"))?;
        self.catalog.sync()?;
        drop_generations(&self.tree, |generation| generation != self.generation)
    }
}

/// Removes the entries of some generations.
pub(super) fn drop_generations(
    tree: &sled::Tree,
    doomed: impl Fn(u64) -> bool,
) -> Result<(), CatalogError> {
    let sled = sled_error("remove");
    let mut batch = sled::Batch::default();
    let mut batched = 0;
    for key in tree.iter().keys() {
        let key = key.map_err(&sled)?;
        if key
            .first_chunk()
            .is_none_or(|generation| doomed(u64::from_be_bytes(*generation)))
        {
            batch.remove(key);
            batched += 1;
        }
        if batched == BATCH {
            batched = 0;
            tree.apply_batch(std::mem::take(&mut batch))
                .map_err(&sled)?;
        }
    }
    tree.apply_batch(batch).map_err(sled)
}
