//! What happened on a consumer.

use super::{ConsumerKey, StreamId, fields};

/// What happened on a consumer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConsumerProgress<'a> {
    /// The consumer's stream.
    pub stream: StreamId,
    /// The consumer.
    pub consumer: ConsumerKey,
    /// Opaque.
    pub delta: &'a [u8],
}

impl<'a> ConsumerProgress<'a> {
    pub(super) const FIXED: u64 = 4;

    pub(super) fn encode_body(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.consumer.0.to_le_bytes());
        out.extend_from_slice(self.delta);
    }

    pub(super) fn decode(stream: StreamId, mut body: &'a [u8]) -> Option<Self> {
        let consumer = ConsumerKey(fields::u32(&mut body)?);
        Some(Self {
            stream,
            consumer,
            delta: body,
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
            stream: u32, consumer: u32, delta in prop::collection::vec(any::<u8>(), 0..200),
        ) {
            let (stream, consumer) = (StreamId(stream), ConsumerKey(consumer));
            testing::check(Record::ConsumerProgress(ConsumerProgress { stream, consumer, delta: &delta }));
        }
    }
}
