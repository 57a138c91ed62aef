use std::io;

use super::SegmentNo;
use super::disk::read_full;
use super::guard::Guard;
use super::record::kind;
use super::scan::{Found, Scan};
use super::segment::{HeaderCheck, SEGMENT_HEADER, SegmentHeader};
use crate::storage::StorageFile;

/// How far a segment's file has records, for whoever has nothing but the file.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Extent {
    /// The end of the last record.
    pub(crate) end: u32,
    /// Whether that record ends the segment.
    pub(crate) sealed: bool,
    /// Bytes before the end that are no records.
    pub(crate) holes: Vec<(u32, u32)>,
}

/// Reads a segment's file, whose records may be sealed; `None` if nothing was ever written to it under this number, or its header is lost.
///
/// # Errors
/// What the operating system says.
pub(crate) fn extent(
    file: &dyn StorageFile,
    segment: SegmentNo,
    secret: u32,
) -> io::Result<Option<Extent>> {
    let mut header = [0; SEGMENT_HEADER as usize];
    read_full(file, &mut header, 0)?;
    let HeaderCheck::Valid(header) = SegmentHeader::check(&header, secret, segment) else {
        return Ok(None);
    };
    let guard = Guard::of_checksums(secret, segment);
    let range = (SEGMENT_HEADER, header.segment_len);
    let mut scan = Scan::new(file, segment, guard, range, 0);
    let mut extent = Extent {
        end: SEGMENT_HEADER,
        sealed: false,
        holes: Vec::new(),
    };
    while let Found::Frame {
        at,
        frame,
        gap_from,
    } = scan.step()?
    {
        if gap_from < at.offset {
            extent.holes.push((gap_from, at.offset));
        }
        extent.end = at.end().offset();
        extent.sealed = frame.kind == kind::SEAL;
    }
    Ok(Some(extent))
}
