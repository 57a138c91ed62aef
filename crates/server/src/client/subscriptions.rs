//! A connection's subscriptions.

use std::hash::BuildHasher;
use std::sync::Arc;

use hashbrown::hash_table::Entry;
use hashbrown::{DefaultHashBuilder, HashTable};

use super::Subscription;

/// Found by their sid, which each of them holds itself.
#[derive(Debug, Default)]
pub(super) struct Subscriptions {
    by_sid: HashTable<Arc<Subscription>>,
    hasher: DefaultHashBuilder,
}

impl Subscriptions {
    pub(super) fn len(&self) -> usize {
        self.by_sid.len()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Arc<Subscription>> {
        self.by_sid.iter()
    }

    pub(super) fn get(&self, sid: &[u8]) -> Option<&Arc<Subscription>> {
        let hash = self.hasher.hash_one(sid);
        self.by_sid.find(hash, |other| other.sid() == sid)
    }

    /// Puts it in the place of the one with the same sid, which is returned.
    pub(super) fn insert(&mut self, subscription: &Arc<Subscription>) -> Option<Arc<Subscription>> {
        let sid = subscription.sid();
        let entry = self.by_sid.entry(
            self.hasher.hash_one(sid),
            |other| other.sid() == sid,
            |other| self.hasher.hash_one(other.sid()),
        );
        match entry {
            Entry::Occupied(mut entry) => {
                Some(std::mem::replace(entry.get_mut(), Arc::clone(subscription)))
            }
            Entry::Vacant(entry) => {
                entry.insert(Arc::clone(subscription));
                None
            }
        }
    }

    /// Removes just this one; whether it was there.
    pub(super) fn remove(&mut self, subscription: &Arc<Subscription>) -> bool {
        let hash = self.hasher.hash_one(subscription.sid());
        self.by_sid
            .find_entry(hash, |other| Arc::ptr_eq(other, subscription))
            .map(|entry| entry.remove())
            .is_ok()
    }
}
