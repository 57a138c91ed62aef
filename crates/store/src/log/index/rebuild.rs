//! An index made again from its segment.

use std::io;

use super::building::BuildingIndex;
use crate::log::guard::Guard;
use crate::log::scan::{Found, Scan};
use crate::log::segment::SEGMENT_HEADER;
use crate::log::{Record, SegmentNo};
use crate::storage::StorageFile;

/// Reads a segment up to `used` and indexes its messages, subjects included; damage is skipped.
pub(crate) fn rebuild(
    file: &dyn StorageFile,
    segment: SegmentNo,
    guard: Guard,
    used: u32,
) -> io::Result<BuildingIndex> {
    let mut index = BuildingIndex::new(segment);
    let mut scan = Scan::new(file, segment, guard, (SEGMENT_HEADER, used), 0);
    while let Found::Frame { at, frame, .. } = scan.step()? {
        if let Some(Record::Message(message) | Record::ErasedMessage(message)) = frame.record() {
            index.push_named(
                message.stream,
                message.seq,
                (at.offset, at.len),
                message.subject,
            );
        }
    }
    Ok(index)
}
