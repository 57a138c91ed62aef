//! The deduplication window: which `Nats-Msg-Id`s were seen of late.

use std::collections::VecDeque;
use std::hash::BuildHasher;

use hashbrown::{DefaultHashBuilder, HashTable, hash_table};

/// The ids of a window in order of arrival, in one ring of entries and one ring of bytes, so that a publish allocates nothing once
/// the rings have grown to the window's size.
#[derive(Debug, Default)]
pub(crate) struct DedupWindow {
    entries: VecDeque<Entry>,
    bytes: VecDeque<u8>,
    /// Number of the entry at the front: entries are numbered in order of arrival, for ever.
    front: u64,
    /// Offset of the first byte, counted in the same way.
    bytes_front: u64,
    index: HashTable<Slot>,
    hasher: DefaultHashBuilder,
}

/// Where an id's entry is. The hash stands here, too: what is only in the same place of the table is told apart without a look at the rings, and
/// a table that grows does not look at them at all.
#[derive(Debug, Clone, Copy)]
struct Slot {
    /// The lower half of the entry's number.
    number: u32,
    hash: u32,
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    seq: u64,
    /// Nanoseconds since 1970.
    time: i64,
    at: u64,
    len: u32,
    /// Of the id's hash, for [`spread`].
    hash: u32,
}

impl DedupWindow {
    /// The sequence that was stored under `id`.
    pub(crate) fn find(&self, id: &[u8]) -> Option<u64> {
        if self.entries.is_empty() {
            return None;
        }
        let hash = self.hash(id);
        let slot = self.index.find(spread(hash), |slot| {
            slot.hash == hash && self.is(slot.number, id)
        })?;
        Some(self.entry(slot.number)?.seq)
    }

    /// Remembers an id unless it is in the window.
    pub(crate) fn insert(&mut self, id: &[u8], seq: u64, time: i64) {
        let hash = self.hash(id);
        let Self {
            index,
            entries,
            bytes,
            front,
            bytes_front,
            ..
        } = self;
        let vacant = index.entry(
            spread(hash),
            |slot| {
                slot.hash == hash && {
                    let entry = entries[slot.number.wrapping_sub(*front as u32) as usize];
                    is(pieces(bytes, *bytes_front, entry), id)
                }
            },
            |slot| spread(slot.hash),
        );
        let hash_table::Entry::Vacant(vacant) = vacant else {
            return;
        };
        vacant.insert(Slot {
            number: (*front + entries.len() as u64) as u32,
            hash,
        });
        let at = *bytes_front + bytes.len() as u64;
        bytes.extend(id);
        entries.push_back(Entry {
            seq,
            time,
            at,
            len: id.len() as u32,
            hash,
        });
    }

    /// Forgets what arrived before `time`.
    pub(crate) fn expire(&mut self, time: i64) {
        while let Some(entry) = self.entries.front().copied() {
            if entry.time >= time {
                break;
            }
            let number = self.front as u32;
            let hash = spread(entry.hash);
            if let Ok(found) = self.index.find_entry(hash, |slot| slot.number == number) {
                found.remove();
            }
            self.entries.pop_front();
            self.bytes.drain(..entry.len as usize);
            self.front += 1;
            self.bytes_front += u64::from(entry.len);
        }
        if self.entries.is_empty() && self.entries.capacity() > SMALL {
            *self = Self {
                hasher: self.hasher.clone(),
                ..Self::default()
            };
        }
    }

    pub(crate) fn clear(&mut self) {
        *self = Self {
            hasher: self.hasher.clone(),
            ..Self::default()
        };
    }

    /// When the oldest id arrived.
    pub(crate) fn oldest(&self) -> Option<i64> {
        self.entries.front().map(|entry| entry.time)
    }

    /// Sequence, time and id of each, in order of arrival. An id comes in two pieces, of which one may be empty.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (u64, i64, [&[u8]; 2])> {
        self.entries.iter().map(|entry| {
            let id = pieces(&self.bytes, self.bytes_front, *entry);
            (entry.seq, entry.time, id)
        })
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    fn entry(&self, number: u32) -> Option<&Entry> {
        self.entries
            .get(number.wrapping_sub(self.front as u32) as usize)
    }

    fn is(&self, number: u32, id: &[u8]) -> bool {
        self.entry(number)
            .is_some_and(|entry| is(pieces(&self.bytes, self.bytes_front, *entry), id))
    }

    fn hash(&self, id: &[u8]) -> u32 {
        self.hasher.hash_one(id) as u32
    }
}

/// An id: the ring may end within it.
fn pieces(bytes: &VecDeque<u8>, bytes_front: u64, entry: Entry) -> [&[u8]; 2] {
    let at = (entry.at - bytes_front) as usize;
    let end = at + entry.len as usize;
    let (front, back) = bytes.as_slices();
    let cut = front.len();
    [
        &front[at.min(cut)..end.min(cut)],
        &back[at.saturating_sub(cut)..end.saturating_sub(cut)],
    ]
}

fn is([front, back]: [&[u8]; 2], id: &[u8]) -> bool {
    id.strip_prefix(front) == Some(back)
}

/// The table wants its hashes even in all 64 bits.
fn spread(hash: u32) -> u64 {
    u64::from(hash).wrapping_mul(0x9E37_79B9_7F4A_7C15)
}

/// An empty window of at most this many entries keeps its memory.
const SMALL: usize = 1024;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn finds_what_a_plain_list_finds(ids in proptest::collection::vec((0_u32..40, 0_i64..5), 1..300)) {
            let mut window = DedupWindow::default();
            let mut model: Vec<(String, u64, i64)> = Vec::new();
            let mut now = 0;
            for (n, (id, step)) in ids.into_iter().enumerate() {
                now += step;
                window.expire(now - 20);
                model.retain(|(_, _, time)| *time >= now - 20);
                let id = "x".repeat(id as usize % 7) + &id.to_string();
                let expected = model.iter().find(|(other, ..)| *other == id).map(|(_, seq, _)| *seq);
                prop_assert_eq!(window.find(id.as_bytes()), expected);
                if expected.is_none() {
                    window.insert(id.as_bytes(), n as u64, now);
                    model.push((id, n as u64, now));
                }
                prop_assert_eq!(window.len(), model.len());
            }
        }
    }
}
