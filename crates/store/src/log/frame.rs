//! The frame around every record: header, checksum, padding.
//!
//! ```text
//!  0  u32  checksum: crc32c of bytes 4..len, begun with a value made of the store's secret, the
//!          segment's number and the record's offset, so that it holds at this place only
//!  4  u16  magic
//!  6  u8   kind
//!  7  u8   flags: 1, part of an atomic batch; 2, body sealed with ChaCha20-Poly1305; 4, with AES-GCM
//!  8  u32  len, header included, padding not
//! 12  u32  stable: all bytes of the segment below this offset were durable before this was written
//! 16  u32  session: grows with each opening and each failed write; a record of a lower session than one
//!          before it is a leftover
//! 20  u32  stream
//! 24       body, and its seal if it is sealed (see `guard`)
//! ```

use super::guard::SEAL;
use super::position::padded;
use super::record::{Record, StreamId, kind};
use super::{Message, RecordAt, SegmentNo};
use crate::crypt::Cipher;

pub(crate) const FRAME_HEADER: u32 = 24;
const MAGIC: u16 = 0x7A4A;
/// The flag of records that count only with the [`BatchCommit`](super::BatchCommit) behind them.
const IN_BATCH: u8 = 1;
/// The flags of sealed records, by the number of their cipher.
const SEALED: u8 = 0b110;
const CIPHER_SHIFT: u32 = 1;

/// What a record's checksum begins with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Seed(u32);

impl Seed {
    /// For one secret, different segments have different seeds: the multiplier is odd.
    pub(crate) const fn new(secret: u32, segment: SegmentNo) -> Self {
        Self(segment.0.wrapping_mul(0x9E37_79B1) ^ secret)
    }

    fn checksum(self, offset: u32, bytes: &[u8]) -> u32 {
        crc32c::crc32c_append(self.0 ^ offset, bytes)
    }

    /// Makes the checksum of a record that is all there is of `record`.
    pub(crate) fn stamp(self, record: &mut [u8], offset: u32) {
        if let Some((checksum, checked)) = record.split_first_chunk_mut() {
            *checksum = self.checksum(offset, checked).to_le_bytes();
        }
    }
}

/// What the log says about a record besides its content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stamp {
    pub(crate) seed: Seed,
    pub(crate) offset: u32,
    pub(crate) stable: u32,
    pub(crate) session: u32,
    /// Whether the record counts only with the batch that it is part of.
    pub(crate) in_batch: bool,
    /// What the record will be sealed with; its checksum is made then.
    pub(crate) cipher: Option<Cipher>,
}

/// A frame whose checksum holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Frame<'a> {
    pub(crate) kind: u8,
    pub(crate) flags: u8,
    pub(crate) len: u32,
    pub(crate) stable: u32,
    pub(crate) session: u32,
    pub(crate) stream: StreamId,
    pub(crate) body: &'a [u8],
}

impl<'a> Frame<'a> {
    pub(crate) fn record(&self) -> Option<Record<'a>> {
        Record::decode(self.kind, self.stream, self.body)
    }

    /// The message that it holds, if it is one.
    #[inline]
    pub(crate) fn message(&self) -> Option<Message<'a>> {
        (self.kind == kind::MESSAGE)
            .then(|| Message::decode(self.stream, self.body))
            .flatten()
    }

    pub(crate) const fn in_batch(&self) -> bool {
        self.flags & IN_BATCH != 0
    }

    /// What the record is or was sealed with.
    pub(crate) const fn cipher(&self) -> Option<Cipher> {
        Cipher::from_number((self.flags & SEALED) >> CIPHER_SHIFT)
    }

    pub(crate) const fn at(&self, segment: SegmentNo, offset: u32) -> RecordAt {
        RecordAt {
            segment,
            offset,
            len: self.len,
        }
    }
}

/// Appends a record's frame and padding; `len` is [`FRAME_HEADER`] plus the body's length, and [`SEAL`] if it is to be sealed.
pub(crate) fn encode(out: &mut Vec<u8>, stamp: Stamp, record: &Record<'_>, len: u32) {
    encode_with(out, stamp, (record.kind(), record.stream()), len, |out| {
        record.encode_body(out)
    });
}

/// As [`encode`] for a message.
#[inline]
pub(crate) fn encode_message(out: &mut Vec<u8>, stamp: Stamp, message: &Message<'_>, len: u32) {
    encode_with(out, stamp, (kind::MESSAGE, message.stream), len, |out| {
        message.encode_body(out);
    });
}

/// Appends a frame without body, for the log's own kinds.
pub(crate) fn encode_mark(out: &mut Vec<u8>, stamp: Stamp, kind: u8) {
    encode_with(out, stamp, (kind, StreamId(0)), FRAME_HEADER, |_| ());
}

#[inline]
fn encode_with(
    out: &mut Vec<u8>,
    stamp: Stamp,
    (kind, stream): (u8, StreamId),
    len: u32,
    body: impl FnOnce(&mut Vec<u8>),
) {
    let start = out.len();
    out.reserve(padded(len) as usize + 8);
    let mut header = [0; FRAME_HEADER as usize];
    header[4..6].copy_from_slice(&MAGIC.to_le_bytes());
    header[6] = kind;
    header[7] = if stamp.in_batch { IN_BATCH } else { 0 };
    if let Some(cipher) = stamp.cipher {
        header[7] |= (cipher as u8) << CIPHER_SHIFT;
    }
    header[8..12].copy_from_slice(&len.to_le_bytes());
    header[12..16].copy_from_slice(&stamp.stable.to_le_bytes());
    header[16..20].copy_from_slice(&stamp.session.to_le_bytes());
    header[20..24].copy_from_slice(&stream.0.to_le_bytes());
    out.extend_from_slice(&header);
    body(out);
    if stamp.cipher.is_some() {
        out.extend_from_slice(&[0; SEAL as usize]);
    }
    debug_assert_eq!(
        out.len() - start,
        len as usize,
        "a body has the length that it announced"
    );
    if stamp.cipher.is_none() {
        let checksum = stamp.seed.checksum(stamp.offset, &out[start + 4..]);
        out[start..start + 4].copy_from_slice(&checksum.to_le_bytes());
    }
    // A fixed number of bytes is one store.
    let end = start + padded(len) as usize;
    out.extend_from_slice(&[0; 8]);
    out.truncate(end);
}

/// The length that a header at the front of `bytes` claims, if it looks like one at all. `None`
/// also when fewer than a header's bytes are given.
pub(crate) fn claimed_len(bytes: &[u8]) -> Option<u32> {
    let header = bytes.first_chunk::<{ FRAME_HEADER as usize }>()?;
    if header[4..6] != MAGIC.to_le_bytes() {
        return None;
    }
    let len = u32_at(header, 8);
    (len >= FRAME_HEADER).then_some(len)
}

/// Whether the record at the front of `bytes`, if there is one, is or will be sealed.
pub(crate) fn is_sealed(bytes: &[u8]) -> bool {
    bytes.get(7).is_some_and(|flags| flags & SEALED != 0)
}

/// Which message the record at the front of `bytes` claims to be, if it claims to be one at all.
pub(crate) fn claimed_message(bytes: &[u8]) -> Option<(StreamId, u64)> {
    claimed_len(bytes)?;
    let header = bytes.first_chunk::<{ FRAME_HEADER as usize }>()?;
    let seq = bytes.get(FRAME_HEADER as usize..)?.first_chunk()?;
    let message = (StreamId(u32_at(header, 20)), u64::from_le_bytes(*seq));
    (header[6] == kind::MESSAGE).then_some(message)
}

/// The frame at the front of `bytes`, if its checksum holds there.
pub(crate) fn decode(bytes: &[u8], seed: Seed, offset: u32) -> Option<Frame<'_>> {
    let frame = decode_trusted(bytes)?;
    let checked = bytes.get(4..frame.len as usize)?;
    let checksum = u32_at(bytes.first_chunk::<24>()?, 0);
    (seed.checksum(offset, checked) == checksum).then_some(frame)
}

/// The same without the checksum, for bytes that never left memory or have been [opened](super::guard::Guard::open).
#[inline]
pub(crate) fn decode_trusted(bytes: &[u8]) -> Option<Frame<'_>> {
    let len = claimed_len(bytes)?;
    let header = bytes.first_chunk::<{ FRAME_HEADER as usize }>()?;
    let seal = if header[7] & SEALED == 0 { 0 } else { SEAL };
    let body = bytes.get(FRAME_HEADER as usize..len.checked_sub(seal)? as usize)?;
    Some(Frame {
        kind: header[6],
        flags: header[7],
        len,
        stable: u32_at(header, 12),
        session: u32_at(header, 16),
        stream: StreamId(u32_at(header, 20)),
        body,
    })
}

fn u32_at(header: &[u8; FRAME_HEADER as usize], at: usize) -> u32 {
    u32::from_le_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]])
}

/// Whether a resynchronising reader should look closer here: the magic stands at `bytes[4..6]`.
pub(crate) fn looks_like_frame(bytes: &[u8]) -> bool {
    bytes.get(4..6) == Some(&MAGIC.to_le_bytes())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::log::Delete;

    fn stamp(segment: u32, offset: u32) -> Stamp {
        let seed = Seed::new(7, SegmentNo(segment));
        Stamp {
            seed,
            offset,
            stable: 64,
            session: 3,
            in_batch: true,
            cipher: None,
        }
    }

    fn encoded(stamp: Stamp) -> Vec<u8> {
        let mut out = Vec::new();
        let record = Record::Delete(Delete {
            stream: StreamId(5),
            seq: 9,
        });
        encode(&mut out, stamp, &record, FRAME_HEADER + 8);
        out
    }

    #[test]
    fn holds_at_its_place_only() {
        let bytes = encoded(stamp(4, 640));
        let holds = |segment, offset, secret| {
            decode(&bytes, Seed::new(secret, SegmentNo(segment)), offset).is_some()
        };
        assert!(holds(4, 640, 7));
        assert!(!holds(5, 640, 7));
        assert!(!holds(4, 648, 7));
        assert!(!holds(4, 640, 8));
    }

    proptest! {
        #[test]
        fn any_changed_bit_is_noticed(bit in 0usize..32 * 8) {
            let stamp = stamp(4, 640);
            let mut bytes = encoded(stamp);
            bytes[bit / 8] ^= 1 << (bit % 8);
            prop_assert_eq!(decode(&bytes, stamp.seed, stamp.offset), None);
        }

        #[test]
        fn never_panics_on_noise(bytes in prop::collection::vec(any::<u8>(), 0..64), magic: bool) {
            let mut bytes = bytes;
            if magic && bytes.len() > 6 {
                bytes[4..6].copy_from_slice(&MAGIC.to_le_bytes());
            }
            let _ = decode(&bytes, Seed::new(0, SegmentNo(1)), 0);
            let _ = decode_trusted(&bytes).and_then(|frame| frame.record());
        }
    }
}
