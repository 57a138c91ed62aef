//! `index.db`: where the stream begins, and what of its blocks is gone without a trace in them.

use std::io::{BufRead, Read};

use jetsled_jetstream_api::StreamSeq;

use super::{LegacyEntry, is_end};
use crate::ArchiveError;
use crate::entry::uvarint;

const MAGIC: u8 = 11;
/// The versions that are known.
const VERSIONS: std::ops::RangeInclusive<u8> = 1..=4;
const SET_MAGIC: u8 = 22;

/// Reads the index; one that makes no sense is left alone from there on, since it only shortens what the blocks tell.
pub(super) fn read<E: From<ArchiveError>>(
    file: &mut impl BufRead,
    visit: &mut dyn FnMut(LegacyEntry<'_>) -> Result<(), E>,
) -> Result<(), E> {
    let mut outcome = Ok(());
    let read = parse(file, &mut |entry| {
        outcome = visit(entry);
        outcome.is_ok()
    });
    outcome?;
    match read {
        Err(ArchiveError::Io(error)) if !is_end(&error) => Err(ArchiveError::Io(error).into()),
        _ => Ok(()),
    }
}

/// Calls `visit` until it answers false.
fn parse(
    file: &mut impl BufRead,
    visit: &mut dyn FnMut(LegacyEntry<'_>) -> bool,
) -> Result<(), ArchiveError> {
    let mut front = [0; 2];
    file.read_exact(&mut front)?;
    let [magic, version] = front;
    if magic != MAGIC || !VERSIONS.contains(&version) {
        return Err(ArchiveError::Invalid);
    }
    let [_messages, _bytes, first, _first_time, _last, _last_time] = numbers(file)?;
    if !visit(LegacyEntry::First(StreamSeq(first))) {
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
            _index,
            _bytes,
            _first,
            _first_time,
            _last,
            _last_time,
            deleted,
        ] = numbers(file)?;
        if version >= 2 {
            uvarint(file)?;
        }
        if version >= 3 {
            uvarint(file)?;
        }
        if deleted > 0 && !deleted_set(file, visit)? {
            return Ok(());
        }
    }
    Ok(())
}

/// Reads a set of sequences, a tree of bitmaps; answers whether to go on.
fn deleted_set(
    file: &mut impl BufRead,
    visit: &mut dyn FnMut(LegacyEntry<'_>) -> bool,
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
                if !visit(LegacyEntry::Deleted(StreamSeq(seq))) {
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
