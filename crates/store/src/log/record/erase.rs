//! A deleted message's bytes must go.

use super::super::{RecordAt, SegmentNo};
use super::{StreamId, fields};

/// The bytes of a deleted message at this place must go: once this is durable they are overwritten, and again at a start that reads this.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Erase<'a> {
    /// Its stream.
    pub stream: StreamId,
    /// Where the message lies.
    pub at: RecordAt,
    /// How the record that takes its place begins; the rest of it is zeros. Empty: all of it.
    pub front: &'a [u8],
}

impl<'a> Erase<'a> {
    pub(super) const FIXED: u64 = 12;

    pub(super) fn encode_body(&self, out: &mut Vec<u8>) {
        for number in [self.at.segment.0, self.at.offset, self.at.len] {
            out.extend_from_slice(&number.to_le_bytes());
        }
        out.extend_from_slice(self.front);
    }

    pub(super) fn decode(stream: StreamId, mut body: &'a [u8]) -> Option<Self> {
        let segment = SegmentNo(fields::u32(&mut body)?);
        let offset = fields::u32(&mut body)?;
        let len = fields::u32(&mut body)?;
        (body.len() <= len as usize).then_some(Self {
            stream,
            at: RecordAt {
                segment,
                offset,
                len,
            },
            front: body,
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
        fn reads_back(stream: u32, segment: u32, offset: u32, len in 20_u32.., front in proptest::collection::vec(any::<u8>(), 0..20)) {
            let at = RecordAt { segment: SegmentNo(segment), offset, len };
            testing::check(Record::Erase(Erase { stream: StreamId(stream), at, front: &front }));
        }
    }
}
