//! One message was deleted.

use super::{StreamId, fields};

/// One message was deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Delete {
    /// Its stream.
    pub stream: StreamId,
    /// Its sequence.
    pub seq: u64,
}

impl Delete {
    pub(super) const BODY_LEN: u64 = 8;

    pub(super) fn encode_body(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.seq.to_le_bytes());
    }

    pub(super) fn decode(stream: StreamId, mut body: &[u8]) -> Option<Self> {
        let seq = fields::u64(&mut body)?;
        body.is_empty().then_some(Self { stream, seq })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::{Record, testing};
    use super::*;

    proptest! {
        #[test]
        fn reads_back(stream: u32, seq: u64) {
            testing::check(Record::Delete(Delete { stream: StreamId(stream), seq }));
        }
    }
}
