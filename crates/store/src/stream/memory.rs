//! The messages of a memory stream.

use std::collections::VecDeque;

use jetsled_jetstream_api::{StreamSeq, Timestamp};

use super::StoredMessage;

/// Messages by sequence; a removed one leaves an empty slot until it reaches the front. Sequences that were never used have no slot: a
/// mirror's origin may leave out any number of them.
#[derive(Debug, Default)]
pub(crate) struct MemoryMessages {
    slots: VecDeque<(u64, Option<MemoryMessage>)>,
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
        let message = MemoryMessage {
            timestamp,
            subject_len: subject.len() as u32,
            header_len: headers.len() as u32,
            bytes: [subject, headers, payload].concat().into_boxed_slice(),
        };
        self.slots.push_back((seq, Some(message)));
    }

    pub(crate) fn get(&self, seq: u64) -> Option<StoredMessage<'_>> {
        let (_, message) = self.slots.get(self.slot_of(seq)?)?;
        let message = message.as_ref()?;
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
        if let Some((_, slot)) = self.slot_of(seq).and_then(|at| self.slots.get_mut(at)) {
            *slot = None;
        }
        while let Some((_, None)) = self.slots.front() {
            self.slots.pop_front();
        }
    }

    /// Where the message lies: mostly as far from the front as its sequence is from the first, else before that.
    fn slot_of(&self, seq: u64) -> Option<usize> {
        let (first, _) = self.slots.front()?;
        let guess = usize::try_from(seq.checked_sub(*first)?).unwrap_or(usize::MAX);
        if self
            .slots
            .get(guess)
            .is_some_and(|(found, _)| *found == seq)
        {
            return Some(guess);
        }
        self.slots
            .binary_search_by_key(&seq, |(found, _)| *found)
            .ok()
    }

    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }
}
