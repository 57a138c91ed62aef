//! Records of segments, by `docs/storage-format.md`: what lies where, read off the files without the store's own code.

use std::fs;
use std::path::{Path, PathBuf};

use super::unseal::Keys;

/// A record that counts.
#[derive(Debug, Clone)]
pub struct Found {
    /// Its segment's file.
    pub file: PathBuf,
    /// Its segment's number.
    pub segment: u32,
    /// Where it begins.
    pub from: usize,
    /// Where it ends.
    pub to: usize,
    /// Its kind.
    pub kind: u8,
    /// What was durable in its segment before it was written.
    pub stable: usize,
    /// Its stream's number in the shard.
    pub stream: u32,
    /// The message's sequence, of messages, erased or not.
    pub seq: u64,
    /// The message's subject, of the same.
    pub subject: Vec<u8>,
}

/// The kind of messages.
pub const MESSAGE: u8 = 1;
/// The kind of what an erasure has left of one.
pub const ERASED: u8 = 14;
/// The kind of what stands right before the position of a checkpoint.
pub const CHECKPOINT: u8 = 15;
/// The kind of what ends a segment.
const SEAL: u8 = 241;
/// Where the first record of a segment begins.
const SEGMENT_HEADER: usize = 64;
const HEADER: usize = 24;

/// Reads the records of a store.
#[derive(Debug)]
pub struct Records {
    secret: u32,
    keys: Option<Keys>,
    shards: Vec<PathBuf>,
}

impl Records {
    /// `key`: the operator's, of a store that is encrypted.
    ///
    /// # Errors
    ///
    /// When the store's description can not be read, or does not open with the key.
    pub fn of_store(store: &Path, key: Option<&str>) -> Result<Self, String> {
        let description = fs::read(store.join("store.json")).map_err(|error| error.to_string())?;
        let description: serde_json::Value =
            serde_json::from_slice(&description).map_err(|error| error.to_string())?;
        let keys = match (&description["encryption"], key) {
            (serde_json::Value::Null, _) => None,
            (_, Some(key)) => Some(Keys::open(&description, key)?),
            (_, None) => return Err("the store is encrypted".to_owned()),
        };
        let shards = description["shards"].as_u64().unwrap_or(0);
        Ok(Self {
            secret: description["secret"].as_u64().unwrap_or(0) as u32,
            keys,
            shards: (0..shards)
                .map(|shard| store.join(format!("shard-{shard:02}")))
                .collect(),
        })
    }

    /// All records of each shard, in order.
    ///
    /// # Errors
    ///
    /// When a file can not be read, or a record not be opened.
    pub fn by_shard(&self) -> Result<Vec<Vec<Found>>, String> {
        let shards = self.shards.iter().enumerate();
        shards
            .map(|(number, dir)| self.of_shard(number as u8, dir))
            .collect()
    }

    fn of_shard(&self, shard: u8, dir: &Path) -> Result<Vec<Found>, String> {
        let failed = |error: std::io::Error| format!("{}: {error}", dir.display());
        let mut segments: Vec<PathBuf> = fs::read_dir(dir)
            .map_err(failed)?
            .filter_map(|entry| Some(entry.ok()?.path()))
            .filter(|path| path.extension().is_some_and(|ext| ext == "seg"))
            .collect();
        segments.sort();
        let mut found = Vec::new();
        let mut session = 0;
        for file in segments {
            let mut bytes = fs::read(&file).map_err(failed)?;
            let stem = file.file_stem().and_then(|stem| stem.to_str());
            let segment: u32 = stem.and_then(|stem| stem.parse().ok()).unwrap_or(0);
            let mut from = SEGMENT_HEADER;
            while let Some(len) = checked_len(&bytes, from, segment, self.secret) {
                let Some(bytes) = bytes.get_mut(from..from + len) else {
                    break;
                };
                let its_session = u32_at(bytes, 16).unwrap_or(0);
                if its_session < session {
                    break;
                }
                session = its_session;
                let body = match &self.keys {
                    None => bytes.get(HEADER..),
                    Some(keys) => keys.body(shard, segment, from, bytes)?,
                };
                let body = body.unwrap_or_default().to_vec();
                let record = Found {
                    file: file.clone(),
                    segment,
                    from,
                    to: from + len,
                    kind: bytes.get(6).copied().unwrap_or(0),
                    stable: u32_at(bytes, 12).unwrap_or(0) as usize,
                    stream: u32_at(bytes, 20).unwrap_or(0),
                    seq: 0,
                    subject: Vec::new(),
                };
                from = record.to.next_multiple_of(8);
                let ends = record.kind == SEAL;
                found.push(record.with_body(&body));
                if ends {
                    break;
                }
            }
        }
        Ok(found)
    }
}

impl Found {
    /// A message's body: u64 sequence, i64 time, u32 header length, u16 subject length, subject, headers, payload.
    fn with_body(mut self, body: &[u8]) -> Self {
        if matches!(self.kind, MESSAGE | ERASED)
            && let Some(seq) = body.first_chunk()
            && let Some([low, high]) = body.get(20..22)
        {
            let len = usize::from(u16::from_le_bytes([*low, *high]));
            self.seq = u64::from_le_bytes(*seq);
            self.subject = body.get(22..22 + len).unwrap_or_default().to_vec();
        }
        self
    }
}

/// The length of the record that begins at `at`, if one does.
fn checked_len(bytes: &[u8], at: usize, segment: u32, secret: u32) -> Option<usize> {
    let header = bytes.get(at..at + HEADER)?;
    if header.get(4..6)? != [0x4a, 0x7a] {
        return None;
    }
    let len = u32_at(header, 8)? as usize;
    let whole = bytes.get(at..at.checked_add(len)?)?;
    let begin = segment.wrapping_mul(0x9E37_79B1) ^ secret ^ u32::try_from(at).ok()?;
    let checksum = crc32c::crc32c_append(begin, whole.get(4..)?);
    (u32_at(header, 0)? == checksum).then_some(len)
}

fn u32_at(bytes: &[u8], from: usize) -> Option<u32> {
    let bytes = bytes.get(from..from + 4)?.try_into().ok()?;
    Some(u32::from_le_bytes(bytes))
}
