//! A stream's consumers: by key, by name, by what they want, and those that wait for messages.

use std::collections::BTreeSet;
use std::hash::BuildHasher;

use hashbrown::hash_map::Values;
use hashbrown::{DefaultHashBuilder, HashTable};
use jetsled_protocol::{MatchResult, Sublist};
use jetsled_store::ConsumerKey;
use smallvec::SmallVec;

use super::consumer::RunningConsumer;
use super::id_map::IdMap;

/// The consumers of one stream. What costs in proportion to their number says so.
#[derive(Default)]
pub(super) struct Consumers {
    /// Boxed, since a table has room for nearly twice as many as it holds.
    by_key: IdMap<ConsumerKey, Box<RunningConsumer>>,
    /// Keys by the names that their consumers have.
    by_name: HashTable<ConsumerKey>,
    hasher: DefaultHashBuilder,
    /// Keys by the filters of those that do not want everything.
    by_filter: Sublist<ConsumerKey>,
    filtered: usize,
    waiting: Waiting,
    /// Whom the messages stored since the last [`Consumers::take_stored`] concern.
    stored: Concerned,
    /// Whom the messages concern that are about to be shown.
    due: Concerned,
    matched: MatchResult<ConsumerKey>,
    /// How many clients may see.
    public: usize,
    /// How many count for limits.
    limited: usize,
}

/// Those that would deliver a new message, as of their last dispatch.
#[derive(Default)]
struct Waiting {
    for_everything: BTreeSet<ConsumerKey>,
    filtered: BTreeSet<ConsumerKey>,
}

/// Whom some messages concern, besides those that want everything.
#[derive(Default)]
enum Concerned {
    /// All with a filter.
    All,
    #[default]
    None,
    Some(BTreeSet<ConsumerKey>),
}

impl Concerned {
    fn add(&mut self, other: Self) {
        *self = match (std::mem::take(self), other) {
            (Self::All, _) | (_, Self::All) => Self::All,
            (Self::None, only) | (only, Self::None) => only,
            (Self::Some(mut keys), Self::Some(more)) => {
                keys.extend(more);
                Self::Some(keys)
            }
        }
    }
}

/// Up to so many consumers with filters are told of every message: that costs no more than to find out whom it concerns.
const FEW: usize = 16;

impl Consumers {
    pub(super) fn is_empty(&self) -> bool {
        self.by_key.is_empty()
    }

    /// How many there are, those of mirrors and sources too.
    pub(super) fn len(&self) -> usize {
        self.by_key.len()
    }

    /// How many there are that clients may see.
    pub(super) fn public(&self) -> usize {
        self.public
    }

    /// How many there are that count for limits: not those that serve mirrors and sources.
    pub(super) fn limited(&self) -> usize {
        self.limited
    }

    pub(super) fn get(&self, key: ConsumerKey) -> Option<&RunningConsumer> {
        self.by_key.get(&key).map(|consumer| &**consumer)
    }

    pub(super) fn get_mut(&mut self, key: ConsumerKey) -> Option<&mut RunningConsumer> {
        self.by_key.get_mut(&key).map(|consumer| &mut **consumer)
    }

    pub(super) fn named(&self, name: &str) -> Option<&RunningConsumer> {
        let found = self.by_name.find(self.hasher.hash_one(name), |key| {
            self.get(*key).is_some_and(|other| other.name() == name)
        });
        self.get(*found?)
    }

    /// All of them, in no order.
    pub(super) fn iter(&self) -> Values<'_, ConsumerKey, Box<RunningConsumer>> {
        self.by_key.values()
    }

    /// All of them, in no order. What finds them must not change: names and filters.
    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut RunningConsumer> {
        self.by_key.values_mut().map(|consumer| &mut **consumer)
    }

    /// Whether one of them wants messages of this subject.
    pub(super) fn want(&self, subject: &[u8]) -> bool {
        self.filtered < self.by_key.len() || self.by_filter.has_interest(subject)
    }

    /// A message was stored; without a subject, of whichever.
    pub(super) fn note_stored(&mut self, subject: Option<&[u8]>) {
        match (&mut self.stored, subject) {
            (Concerned::All, _) => {}
            (stored, Some(subject)) if self.filtered > FEW => {
                self.by_filter.match_subject(subject, &mut self.matched);
                let keys = self.matched.plain.iter().copied();
                match stored {
                    Concerned::Some(concerned) => concerned.extend(keys),
                    other if !self.matched.plain.is_empty() => {
                        *other = Concerned::Some(keys.collect());
                    }
                    _ => {}
                }
            }
            (stored, _) => *stored = Concerned::All,
        }
    }

    /// What was stored so far is about to be shown.
    pub(super) fn take_stored(&mut self) {
        let stored = std::mem::take(&mut self.stored);
        self.due.add(stored);
    }

    /// The consumers that wait, and that messages about to be shown may concern.
    pub(super) fn take_concerned(&mut self) -> impl Iterator<Item = &RunningConsumer> {
        let Waiting {
            for_everything,
            filtered,
        } = &self.waiting;
        let mut concerned: SmallVec<[ConsumerKey; 8]> = for_everything.iter().copied().collect();
        match std::mem::take(&mut self.due) {
            Concerned::None => {}
            Concerned::All => concerned.extend(filtered.iter().copied()),
            Concerned::Some(keys) => concerned.extend(keys.intersection(filtered).copied()),
        }
        concerned.into_iter().filter_map(|key| self.get(key))
    }

    /// Adds a consumer of a name that no other one has.
    pub(super) fn insert(&mut self, consumer: RunningConsumer) {
        self.public += usize::from(consumer.serves.is_public());
        self.limited += usize::from(consumer.serves.is_limited());
        let (key, hash) = (consumer.key(), self.hasher.hash_one(consumer.name()));
        self.by_key.insert(key, Box::new(consumer));
        self.add_filter(key);
        let Self {
            by_key,
            by_name,
            hasher,
            ..
        } = self;
        by_name.insert_unique(hash, key, |key| {
            hasher.hash_one(by_key.get(key).map_or("", |consumer| consumer.name()))
        });
    }

    pub(super) fn remove(&mut self, key: ConsumerKey) -> Option<Box<RunningConsumer>> {
        let hash = self.hasher.hash_one(self.get(key)?.name());
        if let Ok(named) = self.by_name.find_entry(hash, |other| *other == key) {
            named.remove();
        }
        self.remove_filter(key);
        let consumer = self.by_key.remove(&key)?;
        self.public -= usize::from(consumer.serves.is_public());
        self.limited -= usize::from(consumer.serves.is_limited());
        Some(consumer)
    }

    /// Notes whether a consumer waits for new messages, after each dispatch: nothing else changes that.
    pub(super) fn note_waiting(&mut self, key: ConsumerKey) {
        let Some(consumer) = self.by_key.get_mut(&key) else {
            return;
        };
        let waits = consumer.wants_messages();
        if waits == std::mem::replace(&mut consumer.waits, waits) {
            return;
        }
        let waiting = if consumer.wants_everything() {
            &mut self.waiting.for_everything
        } else {
            &mut self.waiting.filtered
        };
        if waits {
            waiting.insert(key);
        } else {
            waiting.remove(&key);
        }
    }

    /// To be called before a change of its filter, or its end: it counts as one that does not wait.
    pub(super) fn remove_filter(&mut self, key: ConsumerKey) {
        let Some(consumer) = self.by_key.get_mut(&key) else {
            return;
        };
        consumer.waits = false;
        // What was worked out about it must not count for another one.
        consumer.selection = Some(Box::default());
        self.waiting.for_everything.remove(&key);
        self.waiting.filtered.remove(&key);
        if !consumer.wants_everything() {
            self.filtered -= 1;
            for pattern in consumer.state.filter().patterns() {
                self.by_filter.remove(pattern, None, |other| *other == key);
            }
        }
    }

    /// To be called after a change of its filter; a dispatch must follow.
    pub(super) fn add_filter(&mut self, key: ConsumerKey) {
        let Some(consumer) = self.by_key.get_mut(&key) else {
            return;
        };
        consumer.select_anew();
        if !consumer.wants_everything() {
            self.filtered += 1;
            for pattern in consumer.state.filter().patterns() {
                self.by_filter.insert(pattern, None, key);
            }
        }
        // What was stored before may concern it.
        self.stored = Concerned::All;
        self.due = Concerned::All;
    }

    /// # Panics
    /// When a consumer that wants messages, other than `but`, is not among those that wait.
    pub(super) fn validate_waiting(&self, but: Option<ConsumerKey>) {
        for consumer in self.iter().filter(|consumer| Some(consumer.key()) != but) {
            assert_eq!(
                consumer.wants_messages(),
                self.waiting.for_everything.contains(&consumer.key())
                    || self.waiting.filtered.contains(&consumer.key()),
                "consumer {} waits for messages",
                consumer.name()
            );
        }
    }
}

#[cfg(test)]
mod tests;
