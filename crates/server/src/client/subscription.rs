//! A client's subscription.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

use super::Client;

/// One subscription of a client.
pub(crate) struct Subscription {
    /// Whose it is.
    pub(crate) client: Arc<Client>,
    /// The client's own name for it.
    pub(crate) sid: Box<[u8]>,
    /// With wildcards.
    pub(crate) subject: Box<[u8]>,
    /// Empty: none.
    pub(crate) queue: Box<[u8]>,
    filtered: AtomicBool,
    /// After how many messages in total it ends; 0: never.
    max: AtomicU64,
    delivered: AtomicU64,
}

impl Subscription {
    pub(crate) fn new(
        client: Arc<Client>,
        sid: &[u8],
        subject: &[u8],
        queue: &[u8],
        filtered: bool,
    ) -> Self {
        Self {
            client,
            sid: sid.into(),
            subject: subject.into(),
            queue: queue.into(),
            filtered: AtomicBool::new(filtered),
            max: AtomicU64::new(0),
            delivered: AtomicU64::new(0),
        }
    }

    /// Whether a denied subject may lie within this one, so that each subject asks the permissions.
    pub(crate) fn is_filtered(&self) -> bool {
        self.filtered.load(Relaxed)
    }

    /// Routes must be resolved anew after this.
    pub(super) fn set_filtered(&self, filtered: bool) {
        self.filtered.store(filtered, Relaxed);
    }

    /// Messages delivered so far.
    pub(crate) fn delivered(&self) -> u64 {
        self.delivered.load(Relaxed)
    }

    /// After how many messages in total it ends; 0: never.
    pub(crate) fn max(&self) -> u64 {
        self.max.load(Relaxed)
    }

    pub(super) fn set_max(&self, max: u64) {
        self.max.store(max, Relaxed);
    }

    /// Whether it has had its last message and only waits to be taken out.
    pub(super) fn is_exhausted(&self) -> bool {
        let max = self.max();
        max > 0 && self.delivered() >= max
    }

    /// Counts deliveries to a subscription without a maximum.
    pub(crate) fn count(&self, messages: u64) {
        self.delivered.fetch_add(messages, Relaxed);
    }

    /// Counts one delivery to a subscription with a maximum.
    pub(crate) fn count_limited(&self) -> Limited {
        let delivered = self.delivered.fetch_add(1, Relaxed) + 1;
        match delivered.cmp(&self.max()) {
            std::cmp::Ordering::Less => Limited::Deliver,
            std::cmp::Ordering::Equal => Limited::Last,
            std::cmp::Ordering::Greater => Limited::Exceeded,
        }
    }
}

/// Whether a subscription with a maximum takes one more message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Limited {
    Deliver,
    /// Deliver, then remove the subscription.
    Last,
    Exceeded,
}

impl std::fmt::Debug for Subscription {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Subscription")
            .field("cid", &self.client.cid())
            .field("sid", &String::from_utf8_lossy(&self.sid))
            .field("subject", &String::from_utf8_lossy(&self.subject))
            .finish_non_exhaustive()
    }
}
