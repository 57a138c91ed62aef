//! A message block: from the bytes of its file to its messages.

use std::io::Read;

use jetsled_archive::filestore::{ChecksumKey, Record, RecordError, RecordHead, RecordKind};
use jetsled_archive::{ArchivedMessage, S2Reader};
use jetsled_jetstream_api::{StreamSeq, Timestamp};

use crate::DamageCause;

/// The messages of a block that are there.
#[derive(Debug, Default)]
pub struct Block {
    /// Its number.
    pub number: u64,
    /// Bytes of its file.
    pub file_len: u64,
    pub(crate) bytes: Vec<u8>,
    pub(crate) messages: Vec<Place>,
}

/// Where a message lies in a block.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place {
    pub(crate) seq: u64,
    pub(crate) timestamp: i64,
    subject: u32,
    headers: u32,
    payload: u32,
    subject_len: u16,
    headers_len: u32,
    payload_len: u32,
}

impl Block {
    /// The messages in the order of their sequences.
    pub fn messages(&self) -> impl ExactSizeIterator<Item = ArchivedMessage<'_>> {
        let part = |at: u32, len: usize| {
            let at = at as usize;
            self.bytes.get(at..at + len).unwrap_or_default()
        };
        self.messages.iter().map(move |place| ArchivedMessage {
            seq: StreamSeq(place.seq),
            timestamp: Timestamp(place.timestamp),
            subject: part(place.subject, usize::from(place.subject_len)),
            headers: part(place.headers, place.headers_len as usize),
            payload: part(place.payload, place.payload_len as usize),
        })
    }
}

/// What a record tells, and where it lies if it is a message.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Told {
    pub(crate) kind: RecordKind,
    pub(crate) place: Place,
}

/// A place where reading broke off, between the records before and behind it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Break {
    pub(crate) cause: DamageCause,
    /// The highest sequence told before it in this block; 0 if there was none.
    pub(crate) above: u64,
    /// The sequence of the first message or erased one behind it; `None`: there was nothing more.
    pub(crate) below: Option<u64>,
}

/// Visits all records of a block that was uncovered and decompressed. A record with a wrong checksum is passed over if one that is right
/// follows; nats-server would end there.
pub(crate) fn records(bytes: &[u8], key: &ChecksumKey, visit: &mut dyn FnMut(Told)) -> Vec<Break> {
    let mut breaks: Vec<Break> = Vec::new();
    let mut at = 0;
    let mut above = 0;
    while at < bytes.len() {
        let record = match Record::read(&bytes[at..], key) {
            Ok(record) => record,
            Err(error) => {
                let (cause, next) = match error {
                    RecordError::Malformed => (DamageCause::Truncated, None),
                    RecordError::Checksum { len } => (DamageCause::Checksum, Some(at + len)),
                };
                if breaks.last().is_none_or(|last| last.below.is_some()) {
                    breaks.push(Break {
                        cause,
                        above,
                        below: None,
                    });
                }
                match next {
                    Some(next) if Record::read(&bytes[next..], key).is_ok() => at = next,
                    _ => break,
                }
                continue;
            }
        };
        let told = Told {
            kind: record.kind,
            place: Place::of(&record, bytes, at),
        };
        at += record.len;
        if record.kind != RecordKind::Tombstone && record.seq.get() > above {
            above = record.seq.get();
            if let Some(open) = breaks.last_mut()
                && open.below.is_none()
            {
                open.below = Some(above);
            }
        }
        visit(told);
    }
    breaks
}

impl Place {
    fn of(record: &Record<'_>, bytes: &[u8], at: usize) -> Self {
        let head = at + RecordHead::LEN;
        let payload = at + record.len - 8 - record.payload.len();
        debug_assert_eq!(
            record.payload,
            &bytes[payload..payload + record.payload.len()]
        );
        let at = |offset: usize| u32::try_from(offset).unwrap_or(u32::MAX);
        Self {
            seq: record.seq.get(),
            timestamp: record.timestamp.0,
            subject: at(head),
            headers: at(payload - record.headers.len()),
            payload: at(payload),
            subject_len: u16::try_from(record.subject.len()).unwrap_or(u16::MAX),
            headers_len: at(record.headers.len()),
            payload_len: at(record.payload.len()),
        }
    }
}

/// The largest block that is decompressed, in bytes: nats-server closes blocks at 8 MiB, old ones did at 64 MiB, and one record may take
/// 32 MiB.
const MAX_BLOCK: u64 = 256 << 20;
/// What a compressed block begins with, before the number of the algorithm.
const COMPRESSED: &[u8; 3] = b"cmp";
const S2: u8 = 1;
/// These many bytes of a compressed block's end are not compressed.
const TAIL: usize = 8;

/// Decompresses a block, if it is compressed, as far as that is possible.
pub(crate) fn decompress(bytes: Vec<u8>) -> (Vec<u8>, Option<DamageCause>) {
    let Some(rest) = bytes.strip_prefix(COMPRESSED) else {
        return (bytes, None);
    };
    let failed = Some(DamageCause::Compression);
    let Some((algorithm, rest)) = rest.split_first() else {
        return (Vec::new(), failed);
    };
    let Some((size, rest)) = uvarint(rest) else {
        return (Vec::new(), failed);
    };
    match *algorithm {
        0 => return (rest.to_vec(), None),
        S2 => {}
        _ => return (Vec::new(), failed),
    }
    let Some((compressed, tail)) = rest.split_last_chunk::<TAIL>() else {
        return (Vec::new(), failed);
    };
    let mut out = Vec::with_capacity(usize::try_from(size.min(MAX_BLOCK)).unwrap_or_default());
    let read = S2Reader::new(compressed)
        .take(MAX_BLOCK)
        .read_to_end(&mut out);
    out.extend_from_slice(tail);
    let whole = read.is_ok() && out.len() as u64 == size;
    if !whole {
        out.truncate(out.len() - TAIL);
    }
    (out, if whole { None } else { failed })
}

/// A number of at most 64 bits, and what follows.
fn uvarint(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let mut number = 0_u64;
    for (at, byte) in bytes.iter().enumerate().take(10) {
        let low = u64::from(byte & 0x7f);
        let shift = 7 * at as u32;
        if shift == 63 && low > 1 {
            return None;
        }
        number |= low << shift;
        if byte & 0x80 == 0 {
            return Some((number, &bytes[at + 1..]));
        }
    }
    None
}

/// Decodes the bytes of block `number` of `stream`, not encrypted: all messages in it whose sequences rise. Entry point for the fuzz target.
#[doc(hidden)]
#[must_use]
pub fn decode_block(bytes: Vec<u8>, stream: &str, number: u64) -> Block {
    let file_len = bytes.len() as u64;
    let (bytes, _) = decompress(bytes);
    let key = ChecksumKey::of(&format!("{stream}-{number}"));
    let mut messages = Vec::new();
    let mut above = 0;
    records(&bytes, &key, &mut |told| {
        if told.kind == RecordKind::Message && told.place.seq > above {
            above = told.place.seq;
            messages.push(told.place);
        }
    });
    Block {
        number,
        file_len,
        bytes,
        messages,
    }
}
