//! A consumer's configuration.

use super::{ConsumerKey, StreamId, fields};

/// A consumer's configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConsumerConfig<'a> {
    /// The consumer's stream.
    pub stream: StreamId,
    /// The consumer.
    pub consumer: ConsumerKey,
    /// Its name; at most 65,535 bytes.
    pub name: &'a [u8],
    /// Opaque.
    pub config: &'a [u8],
}

impl<'a> ConsumerConfig<'a> {
    pub(super) const fn body_len(&self) -> u64 {
        6 + self.name.len() as u64 + self.config.len() as u64
    }

    pub(super) fn encode_body(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.consumer.0.to_le_bytes());
        out.extend_from_slice(&(self.name.len() as u16).to_le_bytes());
        out.extend_from_slice(self.name);
        out.extend_from_slice(self.config);
    }

    pub(super) fn decode(stream: StreamId, mut body: &'a [u8]) -> Option<Self> {
        let consumer = ConsumerKey(fields::u32(&mut body)?);
        let name_len = usize::from(fields::u16(&mut body)?);
        let name = fields::bytes(&mut body, name_len)?;
        Some(Self {
            stream,
            consumer,
            name,
            config: body,
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
            stream: u32, consumer: u32,
            name in prop::collection::vec(any::<u8>(), 0..60),
            config in prop::collection::vec(any::<u8>(), 0..200),
        ) {
            let (stream, consumer) = (StreamId(stream), ConsumerKey(consumer));
            let (name, config) = (&name[..], &config[..]);
            testing::check(Record::ConsumerConfig(ConsumerConfig {
                stream, consumer, name, config,
            }));
        }
    }
}
