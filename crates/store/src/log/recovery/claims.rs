//! What records claim to be that damage took.

use std::io;
use std::ops::Range;

use crate::log::StreamId;
use crate::log::disk::read_full;
use crate::log::frame::{self, FRAME_HEADER};
use crate::log::position::padded;
use crate::storage::StorageFile;

/// A header, and the sequence of a message.
const READ: usize = FRAME_HEADER as usize + 8;

/// The messages, stream and sequence, that a hole in the records was made of, as far as their headers go: each says where the next one begins. Nothing shows
/// that they are whole. What looks like a record elsewhere in the hole may be part of a payload, and is not asked.
pub(super) fn in_hole(
    file: &dyn StorageFile,
    hole: Range<u32>,
) -> io::Result<Vec<(StreamId, u64)>> {
    let mut claimed = Vec::new();
    let mut at = hole.start;
    let mut bytes = [0; READ];
    while at < hole.end && read_full(file, &mut bytes, u64::from(at))? == READ {
        let len = frame::claimed_len(&bytes);
        let Some(len) = len.filter(|len| *len <= hole.end - at) else {
            break;
        };
        if !frame::is_sealed(&bytes) {
            claimed.extend(frame::claimed_message(&bytes));
        }
        at = at.saturating_add(padded(len));
    }
    Ok(claimed)
}
