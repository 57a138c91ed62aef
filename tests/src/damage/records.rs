//! Records of segments, by `docs/storage-format.md`.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// A record that counts.
#[derive(Debug, Clone)]
pub struct Found {
    /// Its segment's file.
    pub file: PathBuf,
    /// Where it begins.
    pub from: usize,
    /// Where it ends.
    pub to: usize,
    /// Its kind.
    pub kind: u8,
    /// Its stream's number in the shard.
    pub stream: u32,
    /// The message's sequence, of messages.
    pub seq: u64,
}

/// The kind of messages.
pub const MESSAGE: u8 = 1;

/// All records of a store's shard, in order.
///
/// # Errors
///
/// When a file can not be read.
pub fn of_shard(dir: &Path, secret: u32) -> io::Result<Vec<Found>> {
    let mut segments: Vec<PathBuf> = fs::read_dir(dir)?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|ext| ext == "seg"))
        .collect();
    segments.sort();
    let mut found = Vec::new();
    let mut session = 0;
    for path in segments {
        let bytes = fs::read(&path)?;
        let stem = path.file_stem().and_then(|stem| stem.to_str());
        let number: u32 = stem.and_then(|stem| stem.parse().ok()).unwrap_or(0);
        let mut at = 64;
        while let Some((record, its_session)) = decode(&bytes, at, number, secret) {
            if its_session < session {
                break;
            }
            session = its_session;
            let (kind, to) = (record.kind, record.to);
            found.push(Found {
                file: path.clone(),
                ..record
            });
            at = to.next_multiple_of(8);
            if kind == 241 {
                break;
            }
        }
    }
    Ok(found)
}

fn decode(bytes: &[u8], at: usize, segment: u32, secret: u32) -> Option<(Found, u32)> {
    let header = bytes.get(at..at + 24)?;
    let u32_at = |from: usize| {
        let bytes = header.get(from..from + 4)?.try_into().ok()?;
        Some(u32::from_le_bytes(bytes))
    };
    if header.get(4..6)? != [0x4a, 0x7a] {
        return None;
    }
    let len = u32_at(8)? as usize;
    let whole = bytes.get(at..at + len)?;
    let begin = segment.wrapping_mul(0x9E37_79B1) ^ secret ^ u32::try_from(at).ok()?;
    if u32_at(0)? != crc32c::crc32c_append(begin, whole.get(4..)?) {
        return None;
    }
    let kind = *header.get(6)?;
    let seq = match kind {
        MESSAGE => u64::from_le_bytes(whole.get(24..32)?.try_into().ok()?),
        _ => 0,
    };
    let found = Found {
        file: PathBuf::new(),
        from: at,
        to: at + len,
        kind,
        stream: u32_at(20)?,
        seq,
    };
    Some((found, u32_at(16)?))
}
