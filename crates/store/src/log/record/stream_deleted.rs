//! A stream is gone.

use super::StreamId;

/// A stream is gone, with its messages and consumers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StreamDeleted {
    /// The stream.
    pub stream: StreamId,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::{Record, testing};
    use super::*;

    proptest! {
        #[test]
        fn reads_back(stream: u32) {
            testing::check(Record::StreamDeleted(StreamDeleted { stream: StreamId(stream) }));
        }
    }
}
