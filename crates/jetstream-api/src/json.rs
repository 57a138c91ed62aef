//! JSON as Go's `encoding/json` reads and writes it.
//!
//! Reading: keys match without regard to case, `null` leaves a default, several documents in one payload are decoded one
//! after another onto the same value, and unknown keys are an error or a warning. Writing: `<`, `>` and `&` in strings
//! are escaped.

mod decode;
mod document;
mod encode;
mod syntax;
mod type_error;

pub use decode::{Decoded, Strictness, decode, decode_as, decode_one, is_empty_request, kind};
pub(crate) use decode::{decode_with, unmarshal_text};
pub use encode::to_vec;
