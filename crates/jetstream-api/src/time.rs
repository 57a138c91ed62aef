//! Points in time and spans of time as JetStream writes them.

mod nanos;
mod rfc3339;
mod timestamp;

pub use nanos::{Nanos, ParseNanosError};
pub use rfc3339::ParseTimestampError;
pub use timestamp::Timestamp;
