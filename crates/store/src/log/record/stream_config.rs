//! A stream's configuration.

use super::StreamId;

/// A stream's configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StreamConfig<'a> {
    /// The stream.
    pub stream: StreamId,
    /// Opaque: account, name, configuration, creation time.
    pub config: &'a [u8],
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::{Record, testing};
    use super::*;

    proptest! {
        #[test]
        fn reads_back(stream: u32, config in prop::collection::vec(any::<u8>(), 0..200)) {
            let stream = StreamId(stream);
            testing::check(Record::StreamConfig(StreamConfig { stream, config: &config }));
        }
    }
}
