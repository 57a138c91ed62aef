//! A consumer is gone.

use super::{ConsumerKey, StreamId, fields};

/// A consumer is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConsumerDeleted {
    /// The consumer's stream.
    pub stream: StreamId,
    /// The consumer.
    pub consumer: ConsumerKey,
}

impl ConsumerDeleted {
    pub(super) const BODY_LEN: u64 = 4;

    pub(super) fn encode_body(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.consumer.0.to_le_bytes());
    }

    pub(super) fn decode(stream: StreamId, mut body: &[u8]) -> Option<Self> {
        let consumer = ConsumerKey(fields::u32(&mut body)?);
        body.is_empty().then_some(Self { stream, consumer })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::{Record, testing};
    use super::*;

    proptest! {
        #[test]
        fn reads_back(stream: u32, consumer: u32) {
            let (stream, consumer) = (StreamId(stream), ConsumerKey(consumer));
            testing::check(Record::ConsumerDeleted(ConsumerDeleted { stream, consumer }));
        }
    }
}
