//! Header blocks (ADR-4): `NATS/1.0[ status[ description]]` CR LF, then `Key: value` CR LF lines, then CR LF.
//!
//! A server passes on any bytes as a block, so nothing here assumes that it is well formed: lookups in garbage find nothing.

mod edit;
mod status;

pub use edit::{append, remove, set};
pub use status::{Status, build_status};

/// The first line of a block without a status, with its line end.
pub const HEADER_LINE: &[u8] = b"NATS/1.0\r\n";

/// The first value of `key`: matched case-sensitively at the start of a line after the first, leading blanks trimmed.
#[must_use]
pub fn get<'a>(block: &'a [u8], key: &[u8]) -> Option<&'a [u8]> {
    get_all(block, key).next()
}

/// All values of `key` in order.
pub fn get_all<'a>(block: &'a [u8], key: &[u8]) -> impl Iterator<Item = &'a [u8]> {
    let _ = (block, key);
    std::iter::empty()
}

/// All keys and values in order. Lines without a `:` are left out.
pub fn iter(block: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    let _ = block;
    std::iter::empty()
}
