//! The entries of a `NATSARC1` archive.
//!
//! Each begins with the name's length (uvarint), a time (zigzag varint, nanoseconds since the epoch), a sequence and the lengths of
//! headers and payload (uvarints); name, headers and payload follow. An entry of zeros is the end.

use std::io::{self, BufRead, Read, Write};

use jetsled_jetstream_api::{StreamSeq, Timestamp};

use crate::ArchiveError;

/// What an archive begins with.
pub(crate) const MAGIC: &[u8; 8] = b"NATSARC1";
/// The name of the stream's state.
pub(crate) const STATE: &[u8] = b"state.json";
/// What consumers' names begin with.
pub(crate) const CONSUMERS: &[u8] = b"consumers/";

/// The longest name that is read, in bytes.
const MAX_NAME: u64 = 1 << 20;

/// A message of an archive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ArchivedMessage<'a> {
    /// Its sequence.
    pub seq: StreamSeq,
    /// When it was stored.
    pub timestamp: Timestamp,
    /// Its subject, not checked.
    pub subject: &'a [u8],
    /// The header block, or nothing; not checked.
    pub headers: &'a [u8],
    /// What follows the headers.
    pub payload: &'a [u8],
}

/// The front of an entry.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) name_len: u64,
    pub(crate) timestamp: i64,
    pub(crate) seq: u64,
    pub(crate) headers_len: u64,
    pub(crate) payload_len: u64,
}

impl Head {
    /// Whether this is the end of the archive.
    pub(crate) fn is_sentinel(&self) -> bool {
        *self == Self::default()
    }

    pub(crate) fn write(&self, to: &mut impl Write) -> io::Result<()> {
        let mut bytes = Vec::with_capacity(50);
        put(&mut bytes, self.name_len);
        put(&mut bytes, zigzag(self.timestamp));
        put(&mut bytes, self.seq);
        put(&mut bytes, self.headers_len);
        put(&mut bytes, self.payload_len);
        to.write_all(&bytes)
    }

    pub(crate) fn read(from: &mut impl BufRead) -> Result<Self, ArchiveError> {
        if from.fill_buf()?.is_empty() {
            return Err(ArchiveError::Truncated);
        }
        let head = Self {
            name_len: uvarint(from)?,
            timestamp: unzigzag(uvarint(from)?),
            seq: uvarint(from)?,
            headers_len: uvarint(from)?,
            payload_len: uvarint(from)?,
        };
        let fits = |len: u64| i64::try_from(len).is_ok();
        let total = head.headers_len.saturating_add(head.payload_len);
        if head.name_len > MAX_NAME || !fits(total) {
            return Err(ArchiveError::Invalid);
        }
        Ok(head)
    }
}

/// Appends the next `len` bytes, which were checked to be bounded, to `into`.
pub(crate) fn take(from: &mut impl Read, len: u64, into: &mut Vec<u8>) -> Result<(), ArchiveError> {
    // Grows with what comes, not with what was announced.
    let taken = from.take(len).read_to_end(into)?;
    if (taken as u64) < len {
        return Err(ArchiveError::Invalid);
    }
    Ok(())
}

fn put(to: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        to.push(number as u8 | 0x80);
        number >>= 7;
    }
    to.push(number as u8);
}

pub(crate) fn uvarint(from: &mut impl BufRead) -> Result<u64, ArchiveError> {
    let mut number = 0;
    for shift in (0..64).step_by(7) {
        let Some(byte) = from.fill_buf()?.first().copied() else {
            return Err(ArchiveError::Invalid);
        };
        from.consume(1);
        if shift == 63 && byte > 1 {
            break;
        }
        number |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Ok(number);
        }
    }
    Err(ArchiveError::Invalid)
}

fn zigzag(number: i64) -> u64 {
    ((number << 1) ^ (number >> 63)) as u64
}

pub(crate) fn unzigzag(number: u64) -> i64 {
    (number >> 1) as i64 ^ -((number & 1) as i64)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn numbers_beyond_64_bits_are_refused() {
        let mut bytes = &[0xff; 11][..];
        assert!(matches!(uvarint(&mut bytes), Err(ArchiveError::Invalid)));
        let mut largest = &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1][..];
        assert_eq!(uvarint(&mut largest).unwrap(), u64::MAX);
    }

    proptest! {
        #[test]
        fn heads_are_read_as_written(
            name_len in 0..=MAX_NAME,
            timestamp in any::<i64>(),
            seq in any::<u64>(),
            headers_len in 0..=u64::MAX / 4,
            payload_len in 0..=u64::MAX / 4,
        ) {
            let head = Head { name_len, timestamp, seq, headers_len, payload_len };
            let mut bytes = Vec::new();
            head.write(&mut bytes).unwrap();
            prop_assert_eq!(Head::read(&mut &bytes[..]).unwrap(), head);
            for cut in 0..bytes.len() {
                prop_assert!(Head::read(&mut &bytes[..cut]).is_err());
            }
        }
    }
}
