//! A stream's consumers: by key, by name, and those that wait for messages.

use std::collections::BTreeSet;
use std::hash::BuildHasher;

use hashbrown::hash_map::Values;
use hashbrown::{DefaultHashBuilder, HashTable};
use jetsled_store::ConsumerKey;

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
    /// Those that would deliver a new message, as of their last dispatch.
    waiting: BTreeSet<ConsumerKey>,
    /// How many clients may see.
    public: usize,
    /// How many count for limits.
    limited: usize,
}

impl Consumers {
    pub(super) fn is_empty(&self) -> bool {
        self.by_key.is_empty()
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

    /// Those that would deliver a new message, oldest first.
    pub(super) fn waiting(&self) -> impl Iterator<Item = &RunningConsumer> {
        self.waiting.iter().filter_map(|key| self.get(*key))
    }

    /// Adds a consumer of a name that no other one has.
    pub(super) fn insert(&mut self, consumer: RunningConsumer) {
        self.public += usize::from(consumer.serves.is_public());
        self.limited += usize::from(consumer.serves.is_limited());
        let (key, hash) = (consumer.key(), self.hasher.hash_one(consumer.name()));
        self.by_key.insert(key, Box::new(consumer));
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
        self.waiting.remove(&key);
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
        if waits {
            self.waiting.insert(key);
        } else {
            self.waiting.remove(&key);
        }
    }

    /// # Panics
    /// When a consumer that wants messages, other than `but`, is not among those that wait.
    pub(super) fn validate_waiting(&self, but: Option<ConsumerKey>) {
        for consumer in self.iter().filter(|consumer| Some(consumer.key()) != but) {
            assert_eq!(
                consumer.wants_messages(),
                self.waiting.contains(&consumer.key()),
                "consumer {} waits for messages",
                consumer.name()
            );
        }
    }
}
