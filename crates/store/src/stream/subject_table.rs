//! The subjects of a stream, interned, with what the rules need of each.

use std::collections::VecDeque;
use std::hash::BuildHasher;

use hashbrown::{DefaultHashBuilder, HashTable};

use super::seq_set::SeqSet;

/// Names a subject in its [`SubjectTable`] until its last message is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct SubjectId(u32);

/// What is known of one subject.
///
/// Removing a message in the middle of a subject would cost a search for its new end, so that is put off: the marks say that
/// a bound is only a bound, and whoever needs the exact one searches from there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SubjectEntry {
    /// No message of the subject lies below; exact unless `first_is_bound`.
    pub(crate) first: u64,
    /// No message of the subject lies above; exact unless `last_is_bound`.
    pub(crate) last: u64,
    /// How many messages it has; 0 in a free entry.
    pub(crate) count: u32,
    /// Accounted size of the message at `last`, 0 when not known.
    pub(crate) last_bytes: u32,
    name_at: u32,
    name_len: u16,
    pub(crate) first_is_bound: bool,
    pub(crate) last_is_bound: bool,
}

/// About 40 bytes a subject plus its name.
#[derive(Debug, Default)]
pub(crate) struct SubjectTable {
    names: Vec<u8>,
    /// Bytes of `names` that belong to free entries.
    garbage: usize,
    entries: Vec<SubjectEntry>,
    free: Vec<u32>,
    /// The entry pushed to last: most publishers stay with a subject for long.
    latest: u32,
    index: HashTable<u32>,
    hasher: DefaultHashBuilder,
    /// The sequences of each subject, by entry, where a small `max_msgs_per_subject` bounds them: the limit needs each
    /// subject's next oldest message at every publish.
    history: Option<Vec<VecDeque<u64>>>,
}

impl SubjectTable {
    /// A table that keeps every subject's sequences.
    pub(crate) fn with_history() -> Self {
        Self {
            history: Some(Vec::new()),
            ..Self::default()
        }
    }

    pub(crate) fn has_history(&self) -> bool {
        self.history.is_some()
    }

    /// The sequences of a subject, where the table keeps them.
    pub(crate) fn history(&self, id: SubjectId) -> Option<&VecDeque<u64>> {
        self.history.as_ref()?.get(id.0 as usize)
    }

    pub(crate) fn len(&self) -> usize {
        self.index.len()
    }

    pub(crate) fn find(&self, subject: &[u8]) -> Option<SubjectId> {
        let hash = self.hasher.hash_one(subject);
        self.index
            .find(hash, |id| self.name_of(*id) == subject)
            .map(|id| SubjectId(*id))
    }

    pub(crate) fn entry(&self, id: SubjectId) -> &SubjectEntry {
        &self.entries[id.0 as usize]
    }

    pub(crate) fn entry_mut(&mut self, id: SubjectId) -> &mut SubjectEntry {
        &mut self.entries[id.0 as usize]
    }

    pub(crate) fn name(&self, id: SubjectId) -> &[u8] {
        self.name_of(id.0)
    }

    /// Counts a new newest message. Answers the previous entry, if there was one.
    #[inline]
    pub(crate) fn push(
        &mut self,
        subject: &[u8],
        seq: u64,
        bytes: u32,
    ) -> (SubjectId, Option<SubjectEntry>) {
        let (id, before) = match self.find_or_hash(subject) {
            Ok(id) => {
                let entry = &mut self.entries[id as usize];
                let before = *entry;
                entry.count = entry.count.saturating_add(1);
                entry.last = seq;
                entry.last_bytes = bytes;
                entry.last_is_bound = false;
                (id, Some(before))
            }
            Err(hash) => {
                let id = self.add(subject, hash);
                let entry = &mut self.entries[id as usize];
                (entry.first, entry.last, entry.count, entry.last_bytes) = (seq, seq, 1, bytes);
                (id, None)
            }
        };
        self.latest = id;
        self.remember(id, seq);
        (SubjectId(id), before)
    }

    /// The subject's entry, or the hash under which it is to be added.
    #[inline]
    fn find_or_hash(&self, subject: &[u8]) -> Result<u32, u64> {
        let latest = self.entries.get(self.latest as usize);
        if latest.is_some_and(|entry| entry.count > 0 && name_in(&self.names, entry) == subject) {
            return Ok(self.latest);
        }
        let hash = self.hasher.hash_one(subject);
        let found = self.index.find(hash, |id| self.name_of(*id) == subject);
        found.copied().ok_or(hash)
    }

    #[inline]
    fn remember(&mut self, id: u32, seq: u64) {
        if let Some(history) = &mut self.history {
            let at = id as usize;
            if history.len() <= at {
                history.resize_with(at + 1, VecDeque::new);
            }
            history[at].push_back(seq);
        }
    }

    /// Counts a removed message out; the entry goes with its last one.
    pub(crate) fn remove(&mut self, id: SubjectId, seq: u64) {
        let entry = &mut self.entries[id.0 as usize];
        entry.count = entry.count.saturating_sub(1);
        if entry.count == 0 {
            self.drop_entry(id);
            return;
        }
        if let Some(seqs) = self
            .history
            .as_mut()
            .and_then(|all| all.get_mut(id.0 as usize))
        {
            if let Ok(at) = seqs.binary_search(&seq) {
                seqs.remove(at);
            }
            if let (Some(first), Some(last)) = (seqs.front(), seqs.back()) {
                if entry.last != *last {
                    entry.last_bytes = 0;
                }
                (entry.first, entry.last) = (*first, *last);
            }
            return;
        }
        if seq == entry.last {
            entry.last = seq - 1;
            entry.last_is_bound = true;
            entry.last_bytes = 0;
        }
        if seq == entry.first {
            entry.first = seq + 1;
            entry.first_is_bound = true;
        }
        if entry.count == 1 && entry.last_is_bound != entry.first_is_bound {
            // One message left and one end known: that is the message.
            if entry.last_is_bound {
                entry.last = entry.first;
                entry.last_is_bound = false;
            } else {
                entry.first = entry.last;
                entry.first_is_bound = false;
            }
        }
    }

    /// Counts these subjects, of which no messages are left, no more.
    pub(crate) fn forget(&mut self, gone: &[SubjectId]) {
        for id in gone {
            // The table is cleared with its last one.
            if let Some(entry) = self.entries.get_mut(id.0 as usize) {
                entry.count = 0;
                self.drop_entry(*id);
            }
        }
    }

    /// These are all messages that a subject has, if it has any.
    pub(crate) fn correct(&mut self, id: SubjectId, live: &SeqSet) {
        let (Some(first), Some(last)) = (live.iter().next(), live.runs().last()) else {
            return;
        };
        let (entry, last) = (&mut self.entries[id.0 as usize], last.1);
        if entry.last != last {
            (entry.last, entry.last_bytes) = (last, 0);
        }
        entry.first = first;
        entry.count = u32::try_from(live.len()).unwrap_or(u32::MAX);
        (entry.first_is_bound, entry.last_is_bound) = (false, false);
        let history = self.history.as_mut();
        if let Some(seqs) = history.and_then(|all| all.get_mut(id.0 as usize)) {
            seqs.retain(|seq| live.contains(*seq));
        }
    }

    pub(crate) fn clear(&mut self) {
        let history = self.history.as_ref().map(|_| Vec::new());
        *self = Self {
            hasher: self.hasher.clone(),
            history,
            ..Self::default()
        };
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (SubjectId, &[u8], &SubjectEntry)> {
        self.entries
            .iter()
            .enumerate()
            .filter(|(_, entry)| entry.count > 0)
            .map(|(id, entry)| (SubjectId(id as u32), self.name_of(id as u32), entry))
    }

    /// Puts back an entry from a checkpoint.
    pub(crate) fn restore(&mut self, subject: &[u8], restored: RestoredSubject, seqs: &[u64]) {
        let hash = self.hasher.hash_one(subject);
        let id = self.add(subject, hash);
        let entry = &mut self.entries[id as usize];
        entry.first = restored.first;
        entry.last = restored.last;
        entry.count = restored.count;
        entry.last_bytes = restored.last_bytes;
        entry.first_is_bound = restored.first_is_bound;
        entry.last_is_bound = restored.last_is_bound;
        for seq in seqs {
            self.remember(id, *seq);
        }
    }

    /// Bytes of memory that the table holds.
    #[cfg(test)]
    pub(crate) fn memory_bytes(&self) -> usize {
        self.names.capacity()
            + self.entries.capacity() * size_of::<SubjectEntry>()
            + self.index.allocation_size()
            + self.free.capacity() * 4
    }

    fn add(&mut self, subject: &[u8], hash: u64) -> u32 {
        if self.garbage > MIN_GARBAGE && self.garbage * 2 > self.names.len() {
            self.compact_names();
        }
        let entry = SubjectEntry {
            first: 0,
            last: 0,
            count: 0,
            last_bytes: 0,
            name_at: u32::try_from(self.names.len()).unwrap_or(u32::MAX),
            name_len: u16::try_from(subject.len()).unwrap_or(u16::MAX),
            first_is_bound: false,
            last_is_bound: false,
        };
        self.names.extend_from_slice(subject);
        let id = if let Some(id) = self.free.pop() {
            self.entries[id as usize] = entry;
            id
        } else {
            self.entries.push(entry);
            (self.entries.len() - 1) as u32
        };
        let Self {
            index,
            entries,
            names,
            hasher,
            ..
        } = self;
        index.insert_unique(hash, id, |id| {
            hasher.hash_one(name_in(names, &entries[*id as usize]))
        });
        id
    }

    fn drop_entry(&mut self, id: SubjectId) {
        let hash = self.hasher.hash_one(self.name_of(id.0));
        if let Ok(found) = self.index.find_entry(hash, |other| *other == id.0) {
            found.remove();
        }
        if let Some(seqs) = self
            .history
            .as_mut()
            .and_then(|all| all.get_mut(id.0 as usize))
        {
            seqs.clear();
        }
        self.garbage += usize::from(self.entries[id.0 as usize].name_len);
        self.free.push(id.0);
        if self.index.is_empty() {
            self.clear();
        }
    }

    fn compact_names(&mut self) {
        let mut names = Vec::with_capacity(self.names.len() - self.garbage);
        for entry in self.entries.iter_mut().filter(|entry| entry.count > 0) {
            let at = names.len() as u32;
            names.extend_from_slice(name_in(&self.names, entry));
            entry.name_at = at;
        }
        self.names = names;
        self.garbage = 0;
    }

    fn name_of(&self, id: u32) -> &[u8] {
        name_in(&self.names, &self.entries[id as usize])
    }
}

/// What a checkpoint keeps of a subject.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RestoredSubject {
    pub(crate) first: u64,
    pub(crate) last: u64,
    pub(crate) count: u32,
    pub(crate) last_bytes: u32,
    pub(crate) first_is_bound: bool,
    pub(crate) last_is_bound: bool,
}

fn name_in<'a>(names: &'a [u8], entry: &SubjectEntry) -> &'a [u8] {
    let at = entry.name_at as usize;
    names
        .get(at..at + usize::from(entry.name_len))
        .unwrap_or_default()
}

/// Below this compaction is not worth while.
const MIN_GARBAGE: usize = 64 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_go_with_their_last_message_and_names_are_compacted() {
        let mut table = SubjectTable::default();
        for round in 0..20_u64 {
            for n in 0..1000_u64 {
                table.push(format!("orders.{n}").as_bytes(), round * 1000 + n + 1, 100);
            }
            for n in 0..999_u64 {
                let id = table.find(format!("orders.{n}").as_bytes()).unwrap();
                table.remove(id, round * 1000 + n + 1);
            }
        }
        assert_eq!(table.len(), 1);
        let id = table.find(b"orders.999").unwrap();
        assert_eq!(table.entry(id).count, 20);
        assert_eq!(
            (table.entry(id).first, table.entry(id).last),
            (1000, 20_000)
        );
        assert!(table.names.len() < 200_000, "{}", table.names.len());
    }

    #[test]
    fn a_subject_costs_under_a_hundred_bytes() {
        let mut table = SubjectTable::default();
        for n in 0..100_000_u64 {
            table.push(format!("bench.subject.{n}").as_bytes(), n + 1, 100);
        }
        let each = table.memory_bytes() / 100_000;
        assert!(each < 100, "{each} bytes a subject");
    }
}
