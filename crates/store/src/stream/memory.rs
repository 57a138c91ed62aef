//! The messages of a memory stream.

use std::collections::VecDeque;

use jetsled_jetstream_api::{StreamSeq, Timestamp};

use super::StoredMessage;

/// Messages by sequence; a removed one leaves an empty slot until it reaches the front.
#[derive(Debug, Default)]
pub(crate) struct MemoryMessages {
    /// Sequence of the first slot.
    base: u64,
    slots: VecDeque<Option<MemoryMessage>>,
}

#[derive(Debug)]
struct MemoryMessage {
    timestamp: i64,
    subject_len: u32,
    header_len: u32,
    /// Subject, headers, payload.
    bytes: Box<[u8]>,
}

impl MemoryMessages {
    /// Adds the newest message; sequences rise, not always by one.
    pub(crate) fn push(
        &mut self,
        seq: u64,
        timestamp: i64,
        subject: &[u8],
        headers: &[u8],
        payload: &[u8],
    ) {
        if self.slots.is_empty() {
            self.base = seq;
        }
        while self.base + (self.slots.len() as u64) < seq {
            self.slots.push_back(None);
        }
        self.slots.push_back(Some(MemoryMessage {
            timestamp,
            subject_len: subject.len() as u32,
            header_len: headers.len() as u32,
            bytes: [subject, headers, payload].concat().into_boxed_slice(),
        }));
    }

    pub(crate) fn get(&self, seq: u64) -> Option<StoredMessage<'_>> {
        let at = usize::try_from(seq.checked_sub(self.base)?).ok()?;
        let message = self.slots.get(at)?.as_ref()?;
        let (subject, rest) = message
            .bytes
            .split_at_checked(message.subject_len as usize)?;
        let (headers, payload) = rest.split_at_checked(message.header_len as usize)?;
        let timestamp = Timestamp(message.timestamp);
        Some(StoredMessage {
            seq: StreamSeq(seq),
            timestamp,
            subject,
            headers,
            payload,
        })
    }

    pub(crate) fn remove(&mut self, seq: u64) {
        let at = seq
            .checked_sub(self.base)
            .and_then(|at| usize::try_from(at).ok());
        if let Some(slot) = at.and_then(|at| self.slots.get_mut(at)) {
            *slot = None;
        }
        while let Some(None) = self.slots.front() {
            self.slots.pop_front();
            self.base += 1;
        }
    }

    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }
}
