//! Segment files: their names and their header.
//!
//! ```text
//!  0  [u8; 8] magic
//!  8  u16     format version
//! 10  u16     length of the header
//! 12  u32     crc32c of bytes 8..12 and 16..64
//! 16  u32     segment number, as in the file's name
//! 20  u32     length of the segment in bytes
//! 24  u32     session in which the segment was begun
//! 28  u32     mark of the store's secret
//! 32  u32     mark of the key that its records are sealed with; zero: they are plain
//! 36  u32     number of the segment before it, when it was begun; zero: there was none, or it is not known any more
//! 40  zeros up to 64
//! ```

use std::io;
use std::path::{Path, PathBuf};

use super::SegmentNo;
use crate::storage::Storage;

/// Records begin here.
pub(crate) const SEGMENT_HEADER: u32 = 64;
/// The format that this program writes and the newest that it reads.
pub(crate) const FORMAT_VERSION: u16 = 1;
const MAGIC: &[u8; 8] = b"JETSLED\x01";

/// The header of a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SegmentHeader {
    pub(crate) segment: SegmentNo,
    pub(crate) segment_len: u32,
    pub(crate) session: u32,
    pub(crate) key_mark: u32,
    pub(crate) previous: Option<SegmentNo>,
}

/// What the first bytes of a segment's file turned out to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum HeaderCheck {
    Valid(SegmentHeader),
    NewerFormat(u16),
    Foreign,
    /// Never written, left over from the file's former life, or damaged.
    Invalid,
}

impl SegmentHeader {
    pub(crate) fn encode(&self, secret: u32) -> [u8; SEGMENT_HEADER as usize] {
        let mut out = [0; SEGMENT_HEADER as usize];
        out[..8].copy_from_slice(MAGIC);
        out[8..10].copy_from_slice(&FORMAT_VERSION.to_le_bytes());
        out[10..12].copy_from_slice(&(SEGMENT_HEADER as u16).to_le_bytes());
        out[16..20].copy_from_slice(&self.segment.0.to_le_bytes());
        out[20..24].copy_from_slice(&self.segment_len.to_le_bytes());
        out[24..28].copy_from_slice(&self.session.to_le_bytes());
        out[28..32].copy_from_slice(&secret_mark(secret).to_le_bytes());
        out[32..36].copy_from_slice(&self.key_mark.to_le_bytes());
        let previous = self.previous.map_or(0, SegmentNo::get);
        out[36..40].copy_from_slice(&previous.to_le_bytes());
        let checksum = checksum(&out);
        out[12..16].copy_from_slice(&checksum.to_le_bytes());
        out
    }

    /// `expected`: the number in the file's name.
    pub(crate) fn check(
        bytes: &[u8; SEGMENT_HEADER as usize],
        secret: u32,
        expected: SegmentNo,
    ) -> HeaderCheck {
        let u32_at = |at: usize| {
            u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
        };
        if &bytes[..8] != MAGIC || u32_at(12) != checksum(bytes) {
            return HeaderCheck::Invalid;
        }
        let header = Self {
            segment: SegmentNo(u32_at(16)),
            segment_len: u32_at(20),
            session: u32_at(24),
            key_mark: u32_at(32),
            previous: Some(SegmentNo(u32_at(36))).filter(|previous| previous.0 > 0),
        };
        let version = u16::from_le_bytes([bytes[8], bytes[9]]);
        if version > FORMAT_VERSION {
            HeaderCheck::NewerFormat(version)
        } else if u32_at(28) != secret_mark(secret) {
            HeaderCheck::Foreign
        } else if header.segment != expected {
            HeaderCheck::Invalid
        } else {
            HeaderCheck::Valid(header)
        }
    }
}

fn checksum(header: &[u8; SEGMENT_HEADER as usize]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&header[8..12]), &header[16..])
}

fn secret_mark(secret: u32) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(b"jetsled secret"), &secret.to_le_bytes())
}

pub(crate) fn segment_path(dir: &Path, segment: SegmentNo) -> PathBuf {
    dir.join(format!("{segment}.seg"))
}

pub(crate) fn index_path(dir: &Path, segment: SegmentNo) -> PathBuf {
    dir.join(format!("{segment}.idx"))
}

/// An emptied segment's file that waits for its next life, under its former number.
pub(crate) fn spare_path(dir: &Path, segment: SegmentNo) -> PathBuf {
    dir.join(format!("{segment}.spare"))
}

/// A segment's file that held nothing of use where it should have; kept for whoever wants to look.
pub(crate) fn aside_path(dir: &Path, segment: SegmentNo) -> PathBuf {
    dir.join(format!("{segment}.aside"))
}

/// The highest number that a file in a log's directory has.
pub(crate) fn highest_segment(storage: &dyn Storage, dir: &Path) -> io::Result<Option<u32>> {
    let entries = storage.list(dir)?;
    let numbers = entries
        .iter()
        .filter_map(|entry| LogFile::parse(&entry.name)?.number());
    Ok(numbers.map(SegmentNo::get).max())
}

/// What a file of the log's directory is, by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LogFile {
    Segment(SegmentNo),
    Index(SegmentNo),
    Spare(SegmentNo),
    Aside(SegmentNo),
    /// An index that was being written.
    Temporary,
}

impl LogFile {
    pub(crate) fn parse(name: &str) -> Option<Self> {
        let (number, extension) = name.split_once('.')?;
        if number.len() != 10 {
            return None;
        }
        let segment = SegmentNo(number.parse().ok()?);
        match extension {
            "seg" => Some(Self::Segment(segment)),
            "idx" => Some(Self::Index(segment)),
            "spare" => Some(Self::Spare(segment)),
            "aside" => Some(Self::Aside(segment)),
            "idx.tmp" => Some(Self::Temporary),
            _ => None,
        }
    }

    /// The segment's number: those of all files together tell which have been used.
    pub(crate) fn number(self) -> Option<SegmentNo> {
        match self {
            Self::Segment(no) | Self::Index(no) | Self::Spare(no) | Self::Aside(no) => Some(no),
            Self::Temporary => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_is_told_apart() {
        let segment = SegmentNo(12);
        let header = SegmentHeader {
            segment,
            segment_len: 1 << 20,
            session: 3,
            key_mark: 5,
            previous: Some(SegmentNo(10)),
        };
        let bytes = header.encode(9);
        let check =
            |bytes: &[u8; 64], secret, no| SegmentHeader::check(bytes, secret, SegmentNo(no));
        assert_eq!(check(&bytes, 9, 12), HeaderCheck::Valid(header));
        assert_eq!(check(&bytes, 9, 13), HeaderCheck::Invalid);
        assert_eq!(check(&bytes, 8, 12), HeaderCheck::Foreign);
        let mut newer = bytes;
        newer[8] = 2;
        let sum = checksum(&newer);
        newer[12..16].copy_from_slice(&sum.to_le_bytes());
        assert_eq!(check(&newer, 9, 12), HeaderCheck::NewerFormat(2));
        for bit in 0..64 * 8 {
            let mut damaged = bytes;
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(check(&damaged, 9, 12), HeaderCheck::Invalid, "bit {bit}");
        }
    }

    #[test]
    fn names_read_back() {
        let dir = Path::new("d");
        let name = |path: PathBuf| path.file_name().unwrap().to_str().unwrap().to_owned();
        let no = SegmentNo(u32::MAX);
        assert_eq!(
            LogFile::parse(&name(segment_path(dir, no))),
            Some(LogFile::Segment(no))
        );
        assert_eq!(
            LogFile::parse(&name(index_path(dir, no))),
            Some(LogFile::Index(no))
        );
        assert_eq!(
            LogFile::parse(&name(spare_path(dir, no))),
            Some(LogFile::Spare(no))
        );
        for other in [
            "",
            "x.seg",
            "1.seg",
            "0000000001.seg2",
            "99999999999.seg",
            "9999999999.seg",
        ] {
            assert_eq!(LogFile::parse(other), None, "{other}");
        }
    }
}
