//! A stream's index, as a whole.

use std::collections::BTreeMap;

use jetsled_archive::filestore::{ChecksumKey, IndexBlock, IndexEntry, IndexState, read_index};
use roaring::RoaringTreemap;

use crate::crypt::ObjectKey;

/// `index.db`.
#[derive(Debug)]
pub(crate) struct Index {
    pub(crate) state: IndexState,
    pub(crate) blocks: BTreeMap<u64, IndexedBlock>,
    /// The block that was written to last.
    pub(crate) last_block: u64,
    /// The checksum of its last record.
    pub(crate) last_checksum: [u8; 8],
}

/// A block, and which of its sequences have no message.
#[derive(Debug)]
pub(crate) struct IndexedBlock {
    pub(crate) block: IndexBlock,
    pub(crate) deleted: RoaringTreemap,
}

impl IndexedBlock {
    pub(crate) fn is_live(&self, seq: u64) -> bool {
        let IndexBlock {
            first_seq,
            last_seq,
            ..
        } = self.block;
        (first_seq.get()..=last_seq.get()).contains(&seq) && !self.deleted.contains(seq)
    }

    /// How many messages it has.
    pub(crate) fn messages(&self) -> u64 {
        let IndexBlock {
            first_seq,
            last_seq,
            ..
        } = self.block;
        match last_seq.get().checked_sub(first_seq.get()) {
            Some(span) => span.saturating_add(1).saturating_sub(self.deleted.len()),
            None => 0,
        }
    }
}

impl Index {
    /// Reads the file; `None` if it is damaged, or not sealed with this key.
    pub(crate) fn decode(bytes: &[u8], stream: &str, key: Option<&ObjectKey>) -> Option<Self> {
        let (bytes, checksum) = bytes.split_last_chunk::<8>()?;
        if ChecksumKey::of(stream).checksum(&[bytes]) != *checksum {
            return None;
        }
        match key {
            Some(key) => Self::parse(&key.open(bytes)?),
            None => Self::parse(bytes),
        }
    }

    fn parse(mut bytes: &[u8]) -> Option<Self> {
        let mut state = None;
        let mut end = None;
        let mut blocks: BTreeMap<u64, IndexedBlock> = BTreeMap::new();
        let mut current = 0;
        read_index(&mut bytes, &mut |entry| {
            match entry {
                IndexEntry::State(read) => state = Some(read),
                IndexEntry::Block(block) => {
                    current = block.number;
                    let deleted = RoaringTreemap::new();
                    blocks.insert(current, IndexedBlock { block, deleted });
                }
                IndexEntry::Deleted(seq) => {
                    if let Some(block) = blocks.get_mut(&current) {
                        block.deleted.insert(seq.get());
                    }
                }
                IndexEntry::End(last_block, checksum) => end = Some((last_block, checksum)),
            }
            true
        })
        .ok()?;
        let (last_block, last_checksum) = end?;
        Some(Self {
            state: state?,
            blocks,
            last_block,
            last_checksum,
        })
    }
}
