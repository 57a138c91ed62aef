//! `index.db`: where the stream begins, and what of its blocks is gone without a trace in them.

use std::io::{BufRead, Read};

use jetsled_jetstream_api::{StreamSeq, Timestamp};

use crate::ArchiveError;
use crate::entry::{unzigzag, uvarint};

const MAGIC: u8 = 11;
/// The versions that are known.
const VERSIONS: std::ops::RangeInclusive<u8> = 1..=4;
const SET_MAGIC: u8 = 22;

/// What the index holds next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IndexEntry {
    /// The stream's own numbers; comes first.
    State(IndexState),
    /// A block; the sequences deleted in it follow.
    Block(IndexBlock),
    /// There is no message at this sequence of the block before.
    Deleted(StreamSeq),
    /// The block that was written to last, and the checksum of its last record; comes last.
    End(u64, [u8; 8]),
}

/// The stream's own numbers in an index.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IndexState {
    /// How many messages.
    pub messages: u64,
    /// Their bytes.
    pub bytes: u64,
    /// The first sequence.
    pub first_seq: StreamSeq,
    /// The last sequence.
    pub last_seq: StreamSeq,
    /// When the last message was stored; unset if there was none.
    pub last_time: Timestamp,
}

/// A block as an index knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IndexBlock {
    /// The number in its file's name.
    pub number: u64,
    /// The first sequence in it.
    pub first_seq: StreamSeq,
    /// The last sequence in it; below the first if it has none.
    pub last_seq: StreamSeq,
}

/// Reads an index without its checksum; calls `visit` until it answers false.
///
/// # Errors
/// When reading fails or it makes no sense from here on.
pub fn read_index(
    file: &mut impl BufRead,
    visit: &mut dyn FnMut(IndexEntry) -> bool,
) -> Result<(), ArchiveError> {
    let mut front = [0; 2];
    file.read_exact(&mut front)?;
    let [magic, version] = front;
    if magic != MAGIC || !VERSIONS.contains(&version) {
        return Err(ArchiveError::Invalid);
    }
    let [messages, bytes, first, _first_time, last, last_time] = numbers(file)?;
    let state = IndexState {
        messages,
        bytes,
        first_seq: StreamSeq(first),
        last_seq: StreamSeq(last),
        last_time: Timestamp(unzigzag(last_time)),
    };
    if !visit(IndexEntry::State(state)) {
        return Ok(());
    }
    for _ in 0..uvarint(file)? {
        let len = uvarint(file)?;
        skip(file, len)?;
        let count = uvarint(file)?;
        uvarint(file)?;
        if version >= 4 || count > 1 {
            uvarint(file)?;
        }
    }
    for _ in 0..uvarint(file)? {
        let [
            number,
            _bytes,
            first,
            _first_time,
            last,
            _last_time,
            deleted,
        ] = numbers(file)?;
        if version >= 2 {
            uvarint(file)?;
        }
        if version >= 3 {
            uvarint(file)?;
        }
        let block = IndexBlock {
            number,
            first_seq: StreamSeq(first),
            last_seq: StreamSeq(last),
        };
        if !visit(IndexEntry::Block(block)) || (deleted > 0 && !deleted_set(file, visit)?) {
            return Ok(());
        }
    }
    let last_block = uvarint(file)?;
    let checksum = word(file)?.to_le_bytes();
    visit(IndexEntry::End(last_block, checksum));
    Ok(())
}

/// Reads a set of sequences, a tree of bitmaps; answers whether to go on.
fn deleted_set(
    file: &mut impl BufRead,
    visit: &mut dyn FnMut(IndexEntry) -> bool,
) -> Result<bool, ArchiveError> {
    let mut front = [0; 10];
    file.read_exact(&mut front)?;
    let [magic, version, nodes @ ..] = front;
    let words = match version {
        1 => 64,
        2 => 32,
        _ => return Err(ArchiveError::Invalid),
    };
    if magic != SET_MAGIC {
        return Err(ArchiveError::Invalid);
    }
    let [a, b, c, d, ..] = nodes;
    for _ in 0..u32::from_le_bytes([a, b, c, d]) {
        let base = word(file)?;
        for word_at in 0..words {
            let mut bits = word(file)?;
            while bits != 0 {
                let bit = u64::from(bits.trailing_zeros());
                bits &= bits - 1;
                let seq = base
                    .checked_add(word_at * 64 + bit)
                    .ok_or(ArchiveError::Invalid)?;
                if !visit(IndexEntry::Deleted(StreamSeq(seq))) {
                    return Ok(false);
                }
            }
        }
        skip(file, 2)?;
    }
    Ok(true)
}

fn numbers<const N: usize>(file: &mut impl BufRead) -> Result<[u64; N], ArchiveError> {
    let mut numbers = [0; N];
    for number in &mut numbers {
        *number = uvarint(file)?;
    }
    Ok(numbers)
}

fn word(file: &mut impl BufRead) -> Result<u64, ArchiveError> {
    let mut bytes = [0; 8];
    file.read_exact(&mut bytes)?;
    Ok(u64::from_le_bytes(bytes))
}

fn skip(file: &mut impl BufRead, len: u64) -> Result<(), ArchiveError> {
    let skipped = std::io::copy(&mut file.take(len), &mut std::io::sink())?;
    if skipped < len {
        return Err(ArchiveError::Invalid);
    }
    Ok(())
}
