//! The messages of a memory stream.

use std::collections::VecDeque;

use jetsled_jetstream_api::{StreamSeq, Timestamp};

use super::StoredMessage;

/// Messages by sequence; a removed one leaves an empty slot until it reaches the front. Sequences that were never used have no slot: a
/// mirror's origin may leave out any number of them.
///
/// Their bytes lie in blocks, one message behind the other. A block of which less than half lives is written anew, without what is dead, so
/// that dead bytes never exceed the living ones by more than a block.
#[derive(Debug, Default)]
pub(crate) struct MemoryMessages {
    slots: VecDeque<(u64, Option<MemoryMessage>)>,
    /// In order of their messages' sequences; messages are added to the last one.
    blocks: VecDeque<Block>,
    /// Number of the first block: they are numbered in order, for ever.
    first_block: u64,
}

/// Subject, headers and payload lie in its block.
#[derive(Debug, Clone, Copy)]
struct MemoryMessage {
    timestamp: i64,
    block: u64,
    at: u32,
    subject_len: u32,
    header_len: u32,
    payload_len: u32,
}

#[derive(Debug)]
struct Block {
    bytes: Vec<u8>,
    /// Sequence of the first message that was put there.
    first: u64,
    /// Bytes of messages that are still there.
    live: usize,
}

/// Size of a stream's first block in bytes. Each is twice as large as the one before it, up to [`BLOCK_BYTES`].
const FIRST_BLOCK_BYTES: usize = 1 << 10;
/// A larger message has a block of its own.
const BLOCK_BYTES: usize = 64 << 10;

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
        let len = subject.len() + headers.len() + payload.len();
        let has_room = |block: &Block| block.bytes.capacity() - block.bytes.len() >= len;
        if !self.blocks.back().is_some_and(has_room) {
            self.begin_block(seq, len);
        }
        let number = self.first_block + self.blocks.len() as u64 - 1;
        let Some(block) = self.blocks.back_mut() else {
            return;
        };
        let message = MemoryMessage {
            timestamp,
            block: number,
            at: block.bytes.len() as u32,
            subject_len: subject.len() as u32,
            header_len: headers.len() as u32,
            payload_len: payload.len() as u32,
        };
        block.bytes.extend_from_slice(subject);
        block.bytes.extend_from_slice(headers);
        block.bytes.extend_from_slice(payload);
        block.live += len;
        self.slots.push_back((seq, Some(message)));
    }

    pub(crate) fn get(&self, seq: u64) -> Option<StoredMessage<'_>> {
        let (_, message) = self.slots.get(self.slot_of(seq)?)?;
        let message = message.as_ref()?;
        let block = message.block.checked_sub(self.first_block)?;
        let block = self.blocks.get(usize::try_from(block).ok()?)?;
        let bytes = block.bytes.get(message.range())?;
        let (subject, rest) = bytes.split_at_checked(message.subject_len as usize)?;
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
        let slot = self.slot_of(seq).and_then(|at| self.slots.get_mut(at));
        let removed = slot.and_then(|(_, slot)| slot.take());
        while let Some((_, None)) = self.slots.front() {
            self.slots.pop_front();
        }
        if let Some(message) = removed {
            self.shrink_block(message);
        }
    }

    fn begin_block(&mut self, first: u64, len: usize) {
        let mut capacity = FIRST_BLOCK_BYTES;
        if let Some(before) = self.blocks.back() {
            capacity = (before.bytes.capacity() * 2).clamp(FIRST_BLOCK_BYTES, BLOCK_BYTES);
            self.compact(self.blocks.len() - 1);
        }
        self.blocks.push_back(Block {
            bytes: Vec::with_capacity(capacity.max(len)),
            first,
            live: 0,
        });
    }

    /// Gives back memory of the block that a message was removed from.
    fn shrink_block(&mut self, removed: MemoryMessage) {
        let index = (removed.block - self.first_block) as usize;
        let is_last = index + 1 == self.blocks.len();
        let Some(block) = self.blocks.get_mut(index) else {
            return;
        };
        block.live -= removed.range().len();
        if block.live == 0 {
            block.bytes = Vec::new();
        } else if !is_last {
            self.compact(index);
        }
        while self.blocks.front().is_some_and(|block| block.live == 0) {
            self.blocks.pop_front();
            self.first_block += 1;
        }
    }

    /// Writes a block anew if less than half of it lives.
    fn compact(&mut self, index: usize) {
        let number = self.first_block + index as u64;
        let Some(block) = self.blocks.get_mut(index) else {
            return;
        };
        if block.live >= block.bytes.capacity().div_ceil(2) {
            return;
        }
        let first = block.first;
        let old = std::mem::replace(&mut block.bytes, Vec::with_capacity(block.live));
        let from = self.slots.partition_point(|(seq, _)| *seq < first);
        let messages = self.slots.iter_mut().skip(from);
        for message in messages.filter_map(|(_, slot)| slot.as_mut()) {
            if message.block != number {
                break;
            }
            let at = block.bytes.len() as u32;
            block.bytes.extend_from_slice(&old[message.range()]);
            message.at = at;
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

impl MemoryMessage {
    fn range(self) -> std::ops::Range<usize> {
        let len = self.subject_len as usize + self.header_len as usize + self.payload_len as usize;
        self.at as usize..self.at as usize + len
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    impl MemoryMessages {
        fn held_bytes(&self) -> usize {
            let blocks = self.blocks.iter();
            blocks.map(|block| block.bytes.capacity()).sum()
        }
    }

    proptest! {
        #[test]
        fn has_what_was_not_removed_and_gives_back_what_was(
            steps in prop::collection::vec((0u64..3, 0usize..9000, any::<prop::sample::Index>()), 1..400),
        ) {
            let mut messages = MemoryMessages::default();
            let mut model = BTreeMap::new();
            let mut seq = 0;
            for (step, len, index) in steps {
                if step > 0 || model.is_empty() {
                    seq += 1 + step / 2 * 3;
                    let payload = vec![seq as u8; len];
                    messages.push(seq, seq as i64, b"a.b", &payload[..len / 3], &payload);
                    model.insert(seq, payload);
                } else {
                    let removed = *index.get(&model.keys().copied().collect::<Vec<_>>());
                    messages.remove(removed);
                    messages.remove(removed);
                    model.remove(&removed);
                    prop_assert!(messages.get(removed).is_none());
                }
                let live: usize = model.values().map(|payload| 3 + payload.len() / 3 + payload.len()).sum();
                prop_assert!(messages.held_bytes() <= 2 * live + BLOCK_BYTES);
            }
            for (seq, payload) in &model {
                let found = messages.get(*seq).map(|found| (found.subject, found.headers, found.payload));
                let headers = &payload[..payload.len() / 3];
                prop_assert_eq!(found, Some((&b"a.b"[..], headers, &payload[..])));
            }
        }
    }
}
