//! Message blocks are records to the end of the file, each with a checksum of its own.

use jetsled_jetstream_api::{StreamSeq, Timestamp};

use super::ChecksumKey;

/// A record of a message block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Record<'a> {
    /// The bytes that it takes in the block.
    pub len: usize,
    /// What it tells of.
    pub kind: RecordKind,
    /// Of which sequence; 0 is none.
    pub seq: StreamSeq,
    /// When the message was stored.
    pub timestamp: Timestamp,
    /// Its subject, not checked.
    pub subject: &'a [u8],
    /// The header block, or nothing; not checked.
    pub headers: &'a [u8],
    /// What follows the headers.
    pub payload: &'a [u8],
}

/// What a record tells of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RecordKind {
    /// A message.
    Message,
    /// A message whose bytes were overwritten in place.
    Erased,
    /// The message of this sequence, which was stored earlier, is gone.
    Tombstone,
}

/// Why bytes are no record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// The lengths in it make no sense, or it goes on behind the end of the block.
    #[error("a record's lengths make no sense")]
    Malformed,
    /// Its checksum is wrong.
    #[error("a record's checksum is wrong")]
    Checksum {
        /// The bytes that it claims to take.
        len: usize,
    },
}

/// The front of a record.
#[derive(Debug, Clone, Copy)]
pub struct RecordHead {
    /// The bytes that the whole record takes.
    pub len: usize,
    has_headers: bool,
    seq: u64,
    timestamp: i64,
    subject_len: usize,
}

const CHECKSUM: usize = 8;
/// The largest record (observed nats-server 2.15.1).
const MAX_RECORD: usize = 32 << 20;
const HAS_HEADERS: u32 = 1 << 31;
const ERASED: u64 = 1 << 63;
const TOMBSTONE: u64 = 1 << 62;

impl RecordHead {
    /// Bytes of a front: length, sequence, time, length of the subject.
    pub const LEN: usize = 4 + 8 + 8 + 2;

    /// Reads a front; `None` if it makes no sense.
    #[must_use]
    pub fn parse(bytes: &[u8]) -> Option<Self> {
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
        let least = Self::LEN + head.subject_len + CHECKSUM;
        (least..=MAX_RECORD).contains(&head.len).then_some(head)
    }

    /// What the record tells of, and of which sequence. Not checked.
    #[must_use]
    pub fn tells(&self) -> (RecordKind, StreamSeq) {
        let kind = if self.seq & TOMBSTONE != 0 {
            RecordKind::Tombstone
        } else if self.seq & ERASED != 0 {
            RecordKind::Erased
        } else {
            RecordKind::Message
        };
        (kind, StreamSeq(self.seq & !(ERASED | TOMBSTONE)))
    }
}

impl<'a> Record<'a> {
    /// Reads the record that `bytes` begin with; `key` is that of its block.
    ///
    /// # Errors
    /// [`RecordError`].
    pub fn read(bytes: &'a [u8], key: &ChecksumKey) -> Result<Self, RecordError> {
        let head = RecordHead::parse(bytes).ok_or(RecordError::Malformed)?;
        let record = bytes.get(..head.len).ok_or(RecordError::Malformed)?;
        let (record_of, checksum) = Self::split(head, record).ok_or(RecordError::Malformed)?;
        let hashed = [
            &record[4..20],
            record_of.subject,
            record_of.headers,
            record_of.payload,
        ];
        if key.checksum(&hashed) != checksum {
            return Err(RecordError::Checksum { len: head.len });
        }
        Ok(record_of)
    }

    fn split(head: RecordHead, record: &'a [u8]) -> Option<(Self, [u8; CHECKSUM])> {
        let (rest, checksum) = record
            .get(RecordHead::LEN..)?
            .split_last_chunk::<CHECKSUM>()?;
        let (subject, rest) = rest.split_at_checked(head.subject_len)?;
        let (headers, payload) = if head.has_headers {
            let (len, rest) = rest.split_first_chunk()?;
            rest.split_at_checked(u32::from_le_bytes(*len) as usize)?
        } else {
            (&[][..], rest)
        };
        let (kind, seq) = head.tells();
        let record = Self {
            len: head.len,
            kind,
            seq,
            timestamp: Timestamp(head.timestamp),
            subject,
            headers,
            payload,
        };
        Some((record, *checksum))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A record as nats-server writes it.
    fn written(key: &ChecksumKey, seq: u64, time: i64, parts: [&[u8]; 3]) -> Vec<u8> {
        let [subject, headers, payload] = parts;
        let mut len = RecordHead::LEN + subject.len() + payload.len() + CHECKSUM;
        let mut flag = 0;
        if !headers.is_empty() {
            len += 4 + headers.len();
            flag = HAS_HEADERS;
        }
        let mut bytes = (len as u32 | flag).to_le_bytes().to_vec();
        bytes.extend_from_slice(&seq.to_le_bytes());
        bytes.extend_from_slice(&time.to_le_bytes());
        bytes.extend_from_slice(&(subject.len() as u16).to_le_bytes());
        bytes.extend_from_slice(subject);
        if !headers.is_empty() {
            bytes.extend_from_slice(&(headers.len() as u32).to_le_bytes());
            bytes.extend_from_slice(headers);
        }
        bytes.extend_from_slice(payload);
        let checksum = key.checksum(&[&bytes[4..20], subject, headers, payload]);
        bytes.extend_from_slice(&checksum);
        bytes
    }

    proptest! {
        #[test]
        fn reads_back_and_finds_damage(
            seq in 1_u64..1 << 40,
            time: i64,
            marks in 0_u64..3,
            subject in prop::collection::vec(any::<u8>(), 0..40),
            headers in prop::collection::vec(any::<u8>(), 0..40),
            payload in prop::collection::vec(any::<u8>(), 0..40),
            at: prop::sample::Index,
        ) {
            let key = ChecksumKey::of("ORDERS-1");
            let parts = [&subject[..], &headers, &payload];
            let mut bytes = written(&key, seq | [0, ERASED, TOMBSTONE][marks as usize], time, parts);
            let len = bytes.len();
            bytes.extend_from_slice(b"what follows");
            let record = Record::read(&bytes, &key).unwrap();
            let kinds = [RecordKind::Message, RecordKind::Erased, RecordKind::Tombstone];
            let expected = Record {
                len,
                kind: kinds[marks as usize],
                seq: StreamSeq(seq),
                timestamp: Timestamp(time),
                subject: &subject,
                headers: &headers,
                payload: &payload,
            };
            prop_assert_eq!(record, expected);
            prop_assert_eq!(Record::read(&bytes[..len - 1], &key), Err(RecordError::Malformed));
            prop_assert!(Record::read(&bytes, &ChecksumKey::of("ORDERS-2")).is_err());
            // The lengths inside are not covered: only what they delimit is.
            let lengths_in = [0..4, 20..22, 22 + subject.len()..26 + subject.len()];
            let at = at.index(len);
            if !lengths_in.iter().any(|range| range.contains(&at)) {
                bytes[at] ^= 0x20;
                prop_assert!(Record::read(&bytes, &key).is_err(), "byte {at} changed");
            }
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..80), len in 0_u8..90) {
            let key = ChecksumKey::of("S-1");
            let _ = Record::read(&bytes, &key);
            let _ = Record::read(&[&[len, 0, 0, 0x80][..], &bytes].concat(), &key);
        }
    }
}
