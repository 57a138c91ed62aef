//! A stored message.

use super::{StreamId, fields};
use crate::log::AppendError;

/// A stored message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Message<'a> {
    /// Its stream.
    pub stream: StreamId,
    /// Its sequence in the stream.
    pub seq: u64,
    /// Nanoseconds since 1970 UTC.
    pub timestamp: i64,
    /// The subject; at most 65,535 bytes.
    pub subject: &'a [u8],
    /// The header block as on the wire, `NATS/1.0\r\n` included; empty without headers.
    pub headers: &'a [u8],
    /// The payload.
    pub payload: &'a [u8],
}

const FIXED: usize = 22;

impl<'a> Message<'a> {
    /// Whether every field fits its length.
    #[inline]
    pub(in crate::log) fn check(&self) -> Result<(), AppendError> {
        let (len, limit) = (self.subject.len(), usize::from(u16::MAX));
        if len > limit {
            let field = "subject";
            return Err(AppendError::FieldTooLong { field, len, limit });
        }
        Ok(())
    }

    #[inline]
    pub(in crate::log) const fn body_len(&self) -> u64 {
        (FIXED + self.subject.len() + self.headers.len() + self.payload.len()) as u64
    }

    #[inline]
    pub(in crate::log) fn encode_body(&self, out: &mut Vec<u8>) {
        let mut fixed = [0; FIXED];
        fixed[..8].copy_from_slice(&self.seq.to_le_bytes());
        fixed[8..16].copy_from_slice(&self.timestamp.to_le_bytes());
        fixed[16..20].copy_from_slice(&(self.headers.len() as u32).to_le_bytes());
        fixed[20..].copy_from_slice(&(self.subject.len() as u16).to_le_bytes());
        out.extend_from_slice(&fixed);
        out.extend_from_slice(self.subject);
        if !self.headers.is_empty() {
            out.extend_from_slice(self.headers);
        }
        out.extend_from_slice(self.payload);
    }

    #[inline]
    pub(in crate::log) fn decode(stream: StreamId, mut body: &'a [u8]) -> Option<Self> {
        let seq = fields::u64(&mut body)?;
        let timestamp = fields::u64(&mut body)? as i64;
        let headers_len = fields::u32(&mut body)? as usize;
        let subject_len = usize::from(fields::u16(&mut body)?);
        let subject = fields::bytes(&mut body, subject_len)?;
        let headers = fields::bytes(&mut body, headers_len)?;
        Some(Self {
            stream,
            seq,
            timestamp,
            subject,
            headers,
            payload: body,
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
            stream: u32, seq: u64, timestamp: i64,
            subject in prop::collection::vec(any::<u8>(), 0..80),
            headers in prop::collection::vec(any::<u8>(), 0..80),
            payload in prop::collection::vec(any::<u8>(), 0..200),
        ) {
            let stream = StreamId(stream);
            let (subject, headers, payload) = (&subject[..], &headers[..], &payload[..]);
            let message = Message {
                stream, seq, timestamp, subject, headers, payload,
            };
            testing::check(Record::Message(message));
            testing::check(Record::ErasedMessage(message));
        }
    }
}
