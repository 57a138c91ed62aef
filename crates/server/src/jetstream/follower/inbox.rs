//! What came for a follower.

use super::Channel;
use crate::routing::RoutedMessage;

/// Messages in order of arrival, in one buffer that is reused.
///
/// They are put in under the lock of the shard that delivers them, so their order is that of delivery whichever threads do
/// so. An origin's flow control keeps what is under way below 32 MiB; what exceeds [`MOST_BYTES`] is dropped, which the
/// follower notices as a gap.
#[derive(Debug, Default)]
pub(super) struct Inbox {
    entries: Vec<Entry>,
    bytes: Vec<u8>,
    dropped: bool,
}

#[derive(Debug)]
struct Entry {
    channel: Channel,
    subject: u32,
    reply: u32,
    headers: u32,
    payload: u32,
}

/// A message as it lies in the inbox.
#[derive(Clone, Copy, Debug)]
pub(super) struct Arrived<'a> {
    pub(super) channel: Channel,
    pub(super) subject: &'a [u8],
    pub(super) reply: &'a [u8],
    pub(super) headers: &'a [u8],
    pub(super) payload: &'a [u8],
}

const MOST_BYTES: usize = 64 * 1024 * 1024;

/// A buffer that has grown beyond this is given back when it is empty.
const KEPT_BYTES: usize = 1024 * 1024;

impl Inbox {
    /// Adds a message. Answers whether it is the first one.
    pub(super) fn push(&mut self, channel: Channel, message: &RoutedMessage<'_>) -> bool {
        self.add(
            channel,
            [
                message.subject,
                message.reply,
                message.headers,
                &message.payload,
            ],
        )
    }

    /// Adds a message that has lain in another inbox.
    pub(super) fn push_arrived(&mut self, arrived: &Arrived<'_>) {
        let parts = [
            arrived.subject,
            arrived.reply,
            arrived.headers,
            arrived.payload,
        ];
        self.add(arrived.channel, parts);
    }

    fn add(&mut self, channel: Channel, parts: [&[u8]; 4]) -> bool {
        let is_first = self.entries.is_empty();
        let size: usize = parts.iter().map(|part| part.len()).sum();
        if self.bytes.len() + size > MOST_BYTES {
            if !std::mem::replace(&mut self.dropped, true) {
                let subject = String::from_utf8_lossy(parts[0]);
                tracing::warn!("JetStream follower does not keep up, dropping from '{subject}' on");
            }
            return false;
        }
        for part in parts {
            self.bytes.extend_from_slice(part);
        }
        let [subject, reply, headers, payload] = parts.map(|part| part.len() as u32);
        self.entries.push(Entry {
            channel,
            subject,
            reply,
            headers,
            payload,
        });
        is_first
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = Arrived<'_>> {
        let mut rest = self.bytes.as_slice();
        self.entries.iter().map(move |entry| {
            let mut take = |len: u32| {
                let (part, behind) = rest.split_at(len as usize);
                rest = behind;
                part
            };
            Arrived {
                channel: entry.channel,
                subject: take(entry.subject),
                reply: take(entry.reply),
                headers: take(entry.headers),
                payload: take(entry.payload),
            }
        })
    }

    pub(super) fn clear(&mut self) {
        self.entries.clear();
        self.bytes.clear();
        self.dropped = false;
        if self.bytes.capacity() > KEPT_BYTES {
            *self = Self::default();
        }
    }
}
