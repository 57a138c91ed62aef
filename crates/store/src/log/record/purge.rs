//! Messages were purged.

use super::{StreamId, fields};

/// Messages were purged: those with a sequence of at most `through`, whose subject matches `filter`,
/// except the newest `keep` of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Purge<'a> {
    /// The stream.
    pub stream: StreamId,
    /// The highest sequence that may go; the stream's last one for a whole purge.
    pub through: u64,
    /// How many of the newest matching messages stay.
    pub keep: u64,
    /// The subject filter, empty for all; at most 65,535 bytes.
    pub filter: &'a [u8],
}

impl<'a> Purge<'a> {
    pub(super) const fn body_len(&self) -> u64 {
        16 + self.filter.len() as u64
    }

    pub(super) fn encode_body(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.through.to_le_bytes());
        out.extend_from_slice(&self.keep.to_le_bytes());
        out.extend_from_slice(self.filter);
    }

    pub(super) fn decode(stream: StreamId, mut body: &'a [u8]) -> Option<Self> {
        let through = fields::u64(&mut body)?;
        let keep = fields::u64(&mut body)?;
        Some(Self {
            stream,
            through,
            keep,
            filter: body,
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
            stream: u32, through: u64, keep: u64,
            filter in prop::collection::vec(any::<u8>(), 0..60),
        ) {
            let stream = StreamId(stream);
            testing::check(Record::Purge(Purge { stream, through, keep, filter: &filter }));
        }
    }
}
