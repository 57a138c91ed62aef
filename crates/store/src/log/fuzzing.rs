//! Entry points for the fuzz targets; no part of the interface.

use super::SegmentNo;
use super::frame::{self, Seed};
use super::index::file::decode_table;
use super::index::pages::Pages;
use super::index::section::Section;

/// Decodes bytes as a record. The checksum is passed over, so that the fuzzer reaches what is behind it.
#[doc(hidden)]
pub fn decode_record(bytes: &[u8]) {
    let _ = frame::decode(bytes, Seed::new(0, SegmentNo(1)), 64);
    if let Some(frame) = frame::decode_trusted(bytes) {
        let _ = frame.record();
    }
}

/// Decodes bytes as an index file's table, and as one stream's section with all that can be asked of it.
#[doc(hidden)]
pub fn decode_index(bytes: &[u8]) {
    let _ = decode_table(bytes, SegmentNo(1));
    if let Ok(section) = Section::new(Pages::in_memory(bytes)) {
        let _ = section.exercise();
    }
}
