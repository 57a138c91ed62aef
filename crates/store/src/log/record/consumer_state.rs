//! A consumer's state.

use super::{ConsumerKey, StreamId, fields};

/// A consumer's state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConsumerState<'a> {
    /// The consumer's stream.
    pub stream: StreamId,
    /// The consumer.
    pub consumer: ConsumerKey,
    /// Opaque.
    pub state: &'a [u8],
}

impl<'a> ConsumerState<'a> {
    pub(super) const FIXED: u64 = 4;

    pub(super) fn encode_body(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.consumer.0.to_le_bytes());
        out.extend_from_slice(self.state);
    }

    pub(super) fn decode(stream: StreamId, mut body: &'a [u8]) -> Option<Self> {
        let consumer = ConsumerKey(fields::u32(&mut body)?);
        Some(Self {
            stream,
            consumer,
            state: body,
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::{Record, testing};
    use super::*;

    proptest! {
        #[test]
        fn reads_back(
            stream: u32, consumer: u32, state in prop::collection::vec(any::<u8>(), 0..200),
        ) {
            let (stream, consumer) = (StreamId(stream), ConsumerKey(consumer));
            testing::check(Record::ConsumerState(ConsumerState { stream, consumer, state: &state }));
        }
    }
}
