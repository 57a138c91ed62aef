//! An atomic batch before its commit.

use jetsled_protocol::headers;

use crate::log::{Log, Message, Record, StreamId};

/// The messages of an atomic batch that waits for its commit, one behind the other in one buffer.
#[derive(Debug, Default)]
pub struct StagedBatch {
    bytes: Vec<u8>,
    messages: Vec<Lengths>,
    log_bytes: u64,
}

#[derive(Debug, Clone, Copy)]
struct Lengths {
    subject: usize,
    headers: usize,
    payload: usize,
}

/// One of its messages, as it was published.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StagedMessage<'a> {
    /// The subject, before the stream's input transform.
    pub subject: &'a [u8],
    /// The whole header block.
    pub headers: &'a [u8],
    /// The body.
    pub payload: &'a [u8],
}

impl StagedBatch {
    /// Adds a message.
    pub fn push(&mut self, message: &StagedMessage<'_>) {
        self.log_bytes += Self::log_bytes_of(message);
        for part in [message.subject, message.headers, message.payload] {
            self.bytes.extend_from_slice(part);
        }
        self.messages.push(Lengths {
            subject: message.subject.len(),
            headers: message.headers.len(),
            payload: message.payload.len(),
        });
    }

    /// How many messages it has.
    #[must_use]
    pub fn len(&self) -> usize {
        self.messages.len()
    }

    /// Whether it has none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.messages.is_empty()
    }

    /// What its messages would take in the log, sealed, in bytes: about its size in memory, and bounded by
    /// [`Shard::batch_limit`](crate::Shard::batch_limit).
    #[must_use]
    pub fn log_bytes(&self) -> u64 {
        self.log_bytes
    }

    /// What this message adds to [`StagedBatch::log_bytes`].
    #[must_use]
    pub fn log_bytes_of(message: &StagedMessage<'_>) -> u64 {
        let plain = Log::bytes_of(&Record::Message(Message {
            stream: StreamId(0),
            seq: 0,
            timestamp: 0,
            subject: message.subject,
            headers: message.headers,
            payload: message.payload,
        }));
        plain + Log::SEAL_BYTES
    }

    /// The messages, in order.
    pub fn iter(&self) -> impl Iterator<Item = StagedMessage<'_>> {
        let mut rest = self.bytes.as_slice();
        self.messages.iter().map(move |lengths| {
            let mut take = |len: usize| {
                let (front, behind) = rest.split_at(len);
                rest = behind;
                front
            };
            StagedMessage {
                subject: take(lengths.subject),
                headers: take(lengths.headers),
                payload: take(lengths.payload),
            }
        })
    }

    /// Gives the last message another header: the commit of a batch that was ended by a message which is not stored.
    pub fn append_header_to_last(&mut self, key: &[u8], value: &[u8]) {
        let Some(last) = self.messages.last_mut() else {
            return;
        };
        let end = self.bytes.len() - last.payload;
        let start = end - last.headers;
        let mut block = self.bytes[start..end].to_vec();
        headers::append(&mut block, key, value);
        last.headers = block.len();
        self.bytes.splice(start..end, block);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_come_out_as_they_went_in() {
        let mut batch = StagedBatch::default();
        let block = b"NATS/1.0\r\nA: b\r\n\r\n";
        let messages = [
            ("a", &b""[..], &b"1"[..]),
            ("b.c", block, b""),
            ("d", block, b"22"),
        ];
        let staged = messages.map(|(subject, headers, payload)| StagedMessage {
            subject: subject.as_bytes(),
            headers,
            payload,
        });
        for message in &staged {
            batch.push(message);
        }
        assert!(batch.iter().eq(staged));
        batch.append_header_to_last(b"Nats-Batch-Commit", b"1");
        assert_eq!(batch.len(), 3);
        assert!(batch.iter().take(2).eq(staged[..2].iter().copied()));
        let last = batch.iter().last().unwrap();
        assert_eq!(
            last.headers,
            b"NATS/1.0\r\nA: b\r\nNats-Batch-Commit: 1\r\n\r\n"
        );
        assert_eq!((last.subject, last.payload), (&b"d"[..], &b"22"[..]));
    }
}
