//! Push consumers wait for subscribers of their deliver subjects.

use std::sync::atomic::{AtomicUsize, Ordering};

use hashbrown::HashMap;
use jetsled_dispatch::Consumer;
use parking_lot::Mutex;

use super::AccountJetStream;
use super::target::ConsumerTarget;
use crate::account::InterestListener;
use crate::routing::FlushSet;

/// The push consumers of an account by deliver subject.
#[derive(Default)]
pub(super) struct PushInterest {
    /// How many entries there are: without any, a subscription costs one load.
    count: AtomicUsize,
    /// A leaf lock.
    consumers: Mutex<HashMap<Box<[u8]>, Vec<ConsumerTarget>>>,
}

impl PushInterest {
    pub(super) fn add(&self, deliver_subject: &[u8], consumer: ConsumerTarget) {
        let mut consumers = self.consumers.lock();
        consumers
            .entry(deliver_subject.into())
            .or_default()
            .push(consumer);
        self.count.fetch_add(1, Ordering::Release);
    }

    pub(super) fn remove(&self, deliver_subject: &[u8], consumer: ConsumerTarget) {
        let mut consumers = self.consumers.lock();
        let Some(there) = consumers.get_mut(deliver_subject) else {
            return;
        };
        let before = there.len();
        there.retain(|other| *other != consumer);
        self.count
            .fetch_sub(before - there.len(), Ordering::Release);
        if there.is_empty() {
            consumers.remove(deliver_subject);
        }
    }

    /// The consumers whose deliver subject is a subscription's subject.
    fn concerned(&self, subscribed: &[u8]) -> Vec<ConsumerTarget> {
        if self.count.load(Ordering::Acquire) == 0 {
            return Vec::new();
        }
        let consumers = self.consumers.lock();
        consumers.get(subscribed).cloned().unwrap_or_default()
    }

    fn all(&self) -> Vec<ConsumerTarget> {
        let consumers = self.consumers.lock();
        consumers.values().flatten().copied().collect()
    }
}

impl AccountJetStream {
    /// Lets consumers look anew whether anybody listens.
    fn review_interest(&self, concerned: Vec<ConsumerTarget>) {
        if concerned.is_empty() {
            return;
        }
        let mut flush = FlushSet::new();
        for target in concerned {
            let Some(shard) = self.shard(target.stream.shard) else {
                continue;
            };
            let mut state = shard.lock();
            state.raise(target, &mut flush, Consumer::on_interest_changed);
            state.end_of_batch(&mut flush);
        }
        flush.flush();
    }
}

impl InterestListener for AccountJetStream {
    fn interest_changed(&self, subject: &[u8]) {
        self.review_interest(self.push_interest.concerned(subject));
    }

    fn importers_changed(&self) {
        self.review_interest(self.push_interest.all());
    }
}
