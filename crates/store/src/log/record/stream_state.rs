//! A stream's state.

use super::StreamId;

/// A stream's state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StreamState<'a> {
    /// The stream.
    pub stream: StreamId,
    /// Opaque: last sequence, deleted sequences and the like.
    pub state: &'a [u8],
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::{Record, testing};
    use super::*;

    proptest! {
        #[test]
        fn reads_back(stream: u32, state in prop::collection::vec(any::<u8>(), 0..200)) {
            let stream = StreamId(stream);
            testing::check(Record::StreamState(StreamState { stream, state: &state }));
        }
    }
}
