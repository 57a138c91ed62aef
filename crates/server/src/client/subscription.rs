//! A client's subscription.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};

use super::Client;

/// One subscription of a client. There may be very many.
pub(crate) struct Subscription {
    /// Whose it is.
    pub(crate) client: Arc<Client>,
    /// `<sid><subject>`, or `<sid><subject> <queue>`: subjects have no blanks.
    text: Box<[u8]>,
    sid_len: u32,
    /// After how many messages in total it ends, 0: never; with [`FILTERED`].
    limit: AtomicU32,
    delivered: AtomicU64,
}

/// The bit of `limit` that says that a denied subject may lie within this one.
const FILTERED: u32 = 1 << 31;

/// Sizes on control lines have nine digits at most.
const MAX_LIMIT: u32 = FILTERED - 1;

impl Subscription {
    /// `subject` is valid; `queue` empty: none.
    pub(crate) fn new(
        client: Arc<Client>,
        sid: &[u8],
        subject: &[u8],
        queue: &[u8],
        filtered: bool,
    ) -> Self {
        let blank: &[u8] = if queue.is_empty() { b"" } else { b" " };
        Self {
            client,
            text: [sid, subject, blank, queue].concat().into(),
            sid_len: u32::try_from(sid.len()).unwrap_or(u32::MAX),
            limit: AtomicU32::new(if filtered { FILTERED } else { 0 }),
            delivered: AtomicU64::new(0),
        }
    }

    /// The client's own name for it.
    pub(crate) fn sid(&self) -> &[u8] {
        self.split_sid().0
    }

    /// With wildcards.
    pub(crate) fn subject(&self) -> &[u8] {
        self.subject_and_queue().0
    }

    /// Empty: none.
    pub(crate) fn queue(&self) -> &[u8] {
        self.subject_and_queue().1
    }

    fn split_sid(&self) -> (&[u8], &[u8]) {
        self.text
            .split_at_checked(self.sid_len as usize)
            .unwrap_or((&self.text, &[]))
    }

    fn subject_and_queue(&self) -> (&[u8], &[u8]) {
        let (_, rest) = self.split_sid();
        match memchr::memchr(b' ', rest) {
            Some(blank) => (
                rest.get(..blank).unwrap_or_default(),
                rest.get(blank + 1..).unwrap_or_default(),
            ),
            None => (rest, &[]),
        }
    }

    /// Whether a denied subject may lie within this one, so that each subject asks the permissions.
    pub(crate) fn is_filtered(&self) -> bool {
        self.limit.load(Relaxed) & FILTERED != 0
    }

    /// Routes must be resolved anew after this.
    pub(super) fn set_filtered(&self, filtered: bool) {
        if filtered {
            self.limit.fetch_or(FILTERED, Relaxed);
        } else {
            self.limit.fetch_and(!FILTERED, Relaxed);
        }
    }

    /// Messages delivered so far.
    pub(crate) fn delivered(&self) -> u64 {
        self.delivered.load(Relaxed)
    }

    /// After how many messages in total it ends; 0: never.
    pub(crate) fn max(&self) -> u64 {
        u64::from(self.limit.load(Relaxed) & !FILTERED)
    }

    pub(super) fn set_max(&self, max: u32) {
        let max = max.min(MAX_LIMIT);
        self.limit
            .fetch_update(Relaxed, Relaxed, |limit| Some(limit & FILTERED | max))
            .ok();
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
            .field("sid", &String::from_utf8_lossy(self.sid()))
            .field("subject", &String::from_utf8_lossy(self.subject()))
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// With its two counts it fills a block of 64 bytes of the allocator, which takes 8 of them.
    #[test]
    fn a_subscription_fits_into_a_small_block() {
        assert_eq!(size_of::<Subscription>(), 40);
    }
}
