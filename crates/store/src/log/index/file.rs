//! The index file of a sealed segment.
//!
//! ```text
//!  0  [u8; 8] magic
//!  8  u32     crc32c of bytes 12.. up to the first section, begun with the segment's number
//! 12  u16     format version
//! 14  u16     0, or the number of the cipher that sections are sealed with
//! 16  u32     segment number
//! 20  u32     bytes used in the segment
//! 24  u32     highest session in the segment
//! 28  u32     number of streams
//! 32  salt of the key that they are sealed with, 16 bytes if they are
//! ..  a table entry a stream:
//!       u32 stream, u32 crc32c of the section's checksums, u64 first sequence, u64 last sequence,
//!       u32 messages, u32 offset of the section, u32 length of the section, u32 reserved
//! ..  sections
//! ```

use std::io;
use std::path::Path;
use std::sync::Arc;

use super::building::BuildingIndex;
use super::pages::PageSeal;
use super::{pages, section};
use crate::crypt::{Aead, Cipher};
use crate::log::disk::read_full;
use crate::log::guard::Guards;
use crate::log::segment::index_path;
use crate::log::{SegmentNo, StreamId};
use crate::storage::{OpenMode, Storage, StorageFile};

const MAGIC: &[u8; 8] = b"JETSLIDX";
const VERSION: u16 = 2;
const HEADER: usize = 32;
const ENTRY: usize = 40;
const SALT: usize = 16;

/// What an index file says before its sections.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct IndexTable {
    pub(crate) segment: SegmentNo,
    pub(crate) used: u32,
    pub(crate) session: u32,
    pub(crate) streams: Vec<(StreamId, SectionRef)>,
}

/// Where one stream's section lies, and what it covers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SectionRef {
    pub(crate) segment: SegmentNo,
    pub(crate) first: u64,
    pub(crate) last: u64,
    pub(crate) messages: u32,
    pub(crate) offset: u32,
    pub(crate) len: u32,
    pub(crate) checksum: u32,
}

/// What the sections of an index file are sealed with.
#[derive(Debug)]
pub(crate) struct IndexSeal {
    cipher: Cipher,
    salt: [u8; SALT],
    key: Arc<Aead>,
}

impl IndexSeal {
    /// For a new file; `None` if it is not to be sealed.
    pub(crate) fn new(guards: &Guards, segment: SegmentNo) -> Option<Self> {
        let keys = guards.keys.as_ref()?;
        let (cipher, salt) = (keys.cipher(), keys.salt());
        let key = Arc::new(keys.index(cipher, segment, &salt));
        Some(Self { cipher, salt, key })
    }

    /// What a file is sealed with; the outer `None` if we can not read it, or should not since nothing here may be plain.
    pub(crate) fn of_file(
        file: &dyn StorageFile,
        guards: &Guards,
        segment: SegmentNo,
    ) -> io::Result<Option<Option<Self>>> {
        let Some(keys) = &guards.keys else {
            return Ok(Some(None));
        };
        let mut bytes = [0; HEADER + SALT];
        let read = read_full(file, &mut bytes, 0)?;
        Ok(match cipher_of(&bytes[..read]) {
            Some(None) => keys.may_be_plain(segment).then_some(None),
            Some(Some((cipher, salt))) => {
                let key = Arc::new(keys.index(cipher, segment, &salt));
                Some(Some(Self { cipher, salt, key }))
            }
            None => None,
        })
    }

    /// Seals and opens the section at this place.
    pub(crate) fn section(&self, offset: u32) -> PageSeal {
        PageSeal {
            key: Arc::clone(&self.key),
            section: offset,
        }
    }
}

/// What the front of a file says that it is sealed with.
fn cipher_of(bytes: &[u8]) -> Option<Option<(Cipher, [u8; SALT])>> {
    let number = u16::from_le_bytes(*bytes.get(14..)?.first_chunk()?);
    if number == 0 {
        return Some(None);
    }
    let cipher = Cipher::from_number(u8::try_from(number).ok()?)?;
    Some(Some((cipher, *bytes.get(HEADER..)?.first_chunk()?)))
}

/// The file's bytes and its table. All messages must have been named.
pub(crate) fn encode(
    index: &BuildingIndex,
    used: u32,
    session: u32,
    seal: Option<&IndexSeal>,
) -> (Vec<u8>, IndexTable) {
    let segment = index.segment();
    let mut sections = Vec::new();
    let mut streams = Vec::new();
    let listed = index.listed();
    let header = HEADER + seal.map_or(0, |_| SALT);
    let table_end = (header + listed.len() * ENTRY) as u32;
    for (stream, (first, last)) in listed {
        let merged = stream.merged();
        let start = sections.len();
        section::encode(&mut sections, &merged, &stream.subjects);
        let offset = table_end + start as u32;
        let page_seal = seal.map(|seal| seal.section(offset));
        let checksum = pages::seal(&mut sections, start, page_seal.as_ref());
        let len = (sections.len() - start) as u32;
        let messages = merged.seqs.len() as u32;
        let section = SectionRef {
            segment,
            first,
            last,
            messages,
            offset,
            len,
            checksum,
        };
        streams.push((stream.stream, section));
    }
    let mut out = Vec::with_capacity(table_end as usize + sections.len());
    out.extend_from_slice(MAGIC);
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(&VERSION.to_le_bytes());
    let cipher = seal.map_or(0, |seal| seal.cipher as u16);
    out.extend_from_slice(&cipher.to_le_bytes());
    for field in [segment.0, used, session, streams.len() as u32] {
        out.extend_from_slice(&field.to_le_bytes());
    }
    if let Some(seal) = seal {
        out.extend_from_slice(&seal.salt);
    }
    for (stream, section) in &streams {
        out.extend_from_slice(&stream.0.to_le_bytes());
        out.extend_from_slice(&section.checksum.to_le_bytes());
        out.extend_from_slice(&section.first.to_le_bytes());
        out.extend_from_slice(&section.last.to_le_bytes());
        for field in [section.messages, section.offset, section.len, 0] {
            out.extend_from_slice(&field.to_le_bytes());
        }
    }
    let checksum = table_checksum(segment, &out[12..]);
    out[8..12].copy_from_slice(&checksum.to_le_bytes());
    out.extend_from_slice(&sections);
    (
        out,
        IndexTable {
            segment,
            used,
            session,
            streams,
        },
    )
}

/// The table of an index file of this segment, from its first bytes. `None` if it is not one, or if
/// `bytes` ends before the table does.
pub(crate) fn decode_table(bytes: &[u8], segment: SegmentNo) -> Option<IndexTable> {
    let u32_at = |at: usize| Some(u32::from_le_bytes(*bytes.get(at..)?.first_chunk()?));
    let u64_at = |at: usize| Some(u64::from_le_bytes(*bytes.get(at..)?.first_chunk()?));
    let table = bytes.get(12..table_len(bytes)?)?;
    if u32_at(8)? != table_checksum(segment, table) || u32_at(16)? != segment.0 {
        return None;
    }
    let header = header_len(bytes)?;
    let entry = |number: usize| {
        let at = header + number * ENTRY;
        let section = SectionRef {
            segment,
            first: u64_at(at + 8)?,
            last: u64_at(at + 16)?,
            messages: u32_at(at + 24)?,
            offset: u32_at(at + 28)?,
            len: u32_at(at + 32)?,
            checksum: u32_at(at + 4)?,
        };
        Some((StreamId(u32_at(at)?), section))
    };
    let streams = (0..u32_at(28)? as usize)
        .map(entry)
        .collect::<Option<_>>()?;
    Some(IndexTable {
        segment,
        used: u32_at(20)?,
        session: u32_at(24)?,
        streams,
    })
}

/// How long header and table claim to be.
fn table_len(bytes: &[u8]) -> Option<usize> {
    let header = bytes.get(..HEADER)?;
    let version = u16::from_le_bytes(*header.get(12..)?.first_chunk()?);
    if &header[..8] != MAGIC || version != VERSION {
        return None;
    }
    let streams = u32::from_le_bytes(*header.get(28..)?.first_chunk()?) as usize;
    header_len(bytes)?.checked_add(streams.checked_mul(ENTRY)?)
}

fn header_len(bytes: &[u8]) -> Option<usize> {
    Some(HEADER + cipher_of(bytes)?.map_or(0, |_| SALT))
}

/// Writes an index file so that its name stands for whole contents only.
pub(crate) fn write(
    storage: &dyn Storage,
    dir: &Path,
    segment: SegmentNo,
    bytes: &[u8],
) -> io::Result<()> {
    let path = index_path(dir, segment);
    let temporary = path.with_extension("idx.tmp");
    let file = storage.open(&temporary, OpenMode::Create)?;
    file.write_all_at(bytes, 0)?;
    file.sync_data()?;
    drop(file);
    storage.rename(&temporary, &path)?;
    storage.sync_dir(dir)
}

/// Reads the table of a segment's index file. `Ok(None)`: missing or damaged.
pub(crate) fn read_table(
    storage: &dyn Storage,
    dir: &Path,
    segment: SegmentNo,
    guards: &Guards,
) -> io::Result<Option<IndexTable>> {
    let file = match storage.open(&index_path(dir, segment), OpenMode::Read) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    if IndexSeal::of_file(&*file, guards, segment)?.is_none() {
        return Ok(None);
    }
    let file_len = file.len()?;
    let mut bytes = vec![0; 4096.min(file_len as usize)];
    let read = read_full(&*file, &mut bytes, 0)?;
    bytes.truncate(read);
    let Some(len) = table_len(&bytes).filter(|len| *len as u64 <= file_len) else {
        return Ok(None);
    };
    if len > bytes.len() {
        bytes.resize(len, 0);
        read_full(&*file, &mut bytes, 0)?;
    }
    let fits = |table: &IndexTable| {
        let end = |s: &SectionRef| u64::from(s.offset) + u64::from(s.len);
        table
            .streams
            .iter()
            .all(|(_, section)| end(section) <= file_len)
    };
    Ok(decode_table(&bytes, segment).filter(fits))
}

fn table_checksum(segment: SegmentNo, table: &[u8]) -> u32 {
    crc32c::crc32c_append(segment.0, table)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Seed 911346: `jetsled check` compares an index with what its segment gives.
    #[test]
    fn void_records_leave_no_trace_in_an_index() {
        let of = |streams: [u32; 2]| {
            let mut index = BuildingIndex::new(SegmentNo(1));
            for (stream, offset) in streams.into_iter().zip([64, 128]) {
                index.push_named(StreamId(stream), 1, (offset, 64), b"a");
            }
            index
        };
        let mut index = of([2, 1]);
        index.truncate(64);
        index.push_named(StreamId(1), 1, (64, 64), b"a");
        index.push_named(StreamId(2), 1, (128, 64), b"a");
        let encoded = |index| encode(index, 192, 0, None).0;
        assert_eq!(encoded(&index), encoded(&of([1, 2])));
    }
}
