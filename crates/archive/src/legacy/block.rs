//! Message blocks: records to the end of the file, each with a checksum of its own.

use std::io::BufRead;

use highway::{HighwayHash, HighwayHasher, Key};
use jetsled_jetstream_api::{StreamSeq, Timestamp};
use sha2::{Digest, Sha256};

use super::{LegacyEntry, exactly};
use crate::{ArchiveError, ArchivedMessage, Limits};

/// Length, sequence, time, length of the subject.
const HEAD: usize = 4 + 8 + 8 + 2;
const CHECKSUM: usize = 8;
/// The largest record (observed nats-server 2.15.1).
const MAX_RECORD: usize = 32 << 20;
const HAS_HEADERS: u32 = 1 << 31;
const ERASED: u64 = 1 << 63;
const TOMBSTONE: u64 = 1 << 62;

/// Reads a block; `name` is `<stream>-<number>`, of which the checksums' key is made. Damage ends it.
pub(super) fn read<E: From<ArchiveError>>(
    file: &mut impl BufRead,
    name: &str,
    limits: Limits,
    visit: &mut dyn FnMut(LegacyEntry<'_>) -> Result<(), E>,
) -> Result<(), E> {
    let key = key(name);
    let mut record = Vec::new();
    loop {
        record.clear();
        if !exactly(file, HEAD as u64, &mut record)? {
            return Ok(());
        }
        let Some(head) = Head::parse(&record) else {
            return Ok(());
        };
        if !exactly(file, (head.len - HEAD) as u64, &mut record)? {
            return Ok(());
        }
        let Some(parts) = head.split(&record) else {
            return Ok(());
        };
        if parts.checksum != checksum(key, &record, &parts) {
            return Ok(());
        }
        let seq = head.seq & !(ERASED | TOMBSTONE);
        if head.seq & (ERASED | TOMBSTONE) != 0 {
            if seq > 0 {
                visit(LegacyEntry::Gone(StreamSeq(seq)))?;
            }
            continue;
        }
        if seq == 0 {
            continue;
        }
        if (parts.headers.len() + parts.payload.len()) as u64 > limits.message {
            return Err(ArchiveError::TooLarge(seq).into());
        }
        visit(LegacyEntry::Message(ArchivedMessage {
            seq: StreamSeq(seq),
            timestamp: Timestamp(head.timestamp),
            subject: parts.subject,
            headers: parts.headers,
            payload: parts.payload,
        }))?;
    }
}

/// The front of a record.
struct Head {
    len: usize,
    has_headers: bool,
    seq: u64,
    timestamp: i64,
    subject_len: usize,
}

struct Parts<'a> {
    subject: &'a [u8],
    headers: &'a [u8],
    payload: &'a [u8],
    checksum: u64,
}

impl Head {
    fn parse(bytes: &[u8]) -> Option<Self> {
        let (len, rest) = bytes.split_first_chunk()?;
        let (seq, rest) = rest.split_first_chunk()?;
        let (timestamp, rest) = rest.split_first_chunk()?;
        let (subject_len, _) = rest.split_first_chunk()?;
        let len = u32::from_le_bytes(*len);
        let head = Self {
            len: (len & !HAS_HEADERS) as usize,
            has_headers: len & HAS_HEADERS != 0,
            seq: u64::from_le_bytes(*seq),
            timestamp: i64::from_le_bytes(*timestamp),
            subject_len: usize::from(u16::from_le_bytes(*subject_len)),
        };
        let least = HEAD + head.subject_len + CHECKSUM;
        (least..=MAX_RECORD).contains(&head.len).then_some(head)
    }

    fn split<'a>(&self, record: &'a [u8]) -> Option<Parts<'a>> {
        let (rest, checksum) = record.get(HEAD..)?.split_last_chunk::<CHECKSUM>()?;
        let (subject, rest) = rest.split_at_checked(self.subject_len)?;
        let (headers, payload) = if self.has_headers {
            let (len, rest) = rest.split_first_chunk()?;
            rest.split_at_checked(u32::from_le_bytes(*len) as usize)?
        } else {
            (&[][..], rest)
        };
        Some(Parts {
            subject,
            headers,
            payload,
            checksum: u64::from_le_bytes(*checksum),
        })
    }
}

fn key(name: &str) -> Key {
    let digest: [u8; 32] = Sha256::digest(name.as_bytes()).into();
    let mut lanes = [0; 4];
    for (lane, bytes) in lanes.iter_mut().zip(digest.chunks_exact(8)) {
        *lane = u64::from_le_bytes(bytes.try_into().unwrap_or_default());
    }
    Key(lanes)
}

fn checksum(key: Key, record: &[u8], parts: &Parts<'_>) -> u64 {
    let mut hasher = HighwayHasher::new(key);
    hasher.append(&record[4..20]);
    hasher.append(parts.subject);
    hasher.append(parts.headers);
    hasher.append(parts.payload);
    hasher.finalize64()
}
