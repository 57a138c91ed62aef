//! Points in time and spans of time as JetStream writes them.

mod nanos;
mod timestamp;

pub use nanos::{Nanos, ParseNanosError};
pub use timestamp::{ParseTimestampError, Timestamp};
