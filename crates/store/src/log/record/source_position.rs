//! A message of a source was dealt with and not stored.

use super::StreamId;

/// A message of a source was dealt with and not stored: a duplicate, or one that nobody wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SourcePosition<'a> {
    /// The stream that has the source.
    pub stream: StreamId,
    /// What its `Nats-Stream-Source` would say.
    pub source: &'a [u8],
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::{Record, testing};
    use super::*;

    proptest! {
        #[test]
        fn reads_back(stream: u32, source in prop::collection::vec(any::<u8>(), 0..200)) {
            let stream = StreamId(stream);
            testing::check(Record::SourcePosition(SourcePosition { stream, source: &source }));
        }
    }
}
