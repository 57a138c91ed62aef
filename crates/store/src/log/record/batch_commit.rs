//! The records of an atomic batch count.

use super::{StreamId, fields};

/// The records right before it that are flagged as part of a batch count: the messages `first` to `last` inclusive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BatchCommit {
    /// The stream.
    pub stream: StreamId,
    /// The batch's first sequence.
    pub first: u64,
    /// The batch's last sequence.
    pub last: u64,
}

impl BatchCommit {
    pub(crate) const BODY_LEN: u64 = 16;

    pub(super) fn encode_body(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.first.to_le_bytes());
        out.extend_from_slice(&self.last.to_le_bytes());
    }

    pub(super) fn decode(stream: StreamId, mut body: &[u8]) -> Option<Self> {
        let first = fields::u64(&mut body)?;
        let last = fields::u64(&mut body)?;
        body.is_empty().then_some(Self {
            stream,
            first,
            last,
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
        fn reads_back(stream: u32, first: u64, last: u64) {
            let stream = StreamId(stream);
            testing::check(Record::BatchCommit(BatchCommit { stream, first, last }));
        }
    }
}
