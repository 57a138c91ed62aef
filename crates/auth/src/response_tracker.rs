use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use crate::ResponsePermission;

/// The reply subjects that one connection may still answer under `allow_responses`.
///
/// Bounded: at [`ResponseTracker::CAPACITY`] open replies the expired ones are dropped, and if none is expired the
/// oldest, so that a connection that never answers cannot make it grow.
#[derive(Debug)]
pub struct ResponseTracker {
    permission: ResponsePermission,
    replies: HashMap<Box<[u8]>, OpenReply>,
    next_prune: usize,
}

#[derive(Debug)]
struct OpenReply {
    delivered: Instant,
    sent: u32,
}

impl ResponseTracker {
    /// Replies kept open at most.
    pub const CAPACITY: usize = 16_384;
    /// Number of open replies at which expired ones are first looked for (nats-server's 4096).
    const PRUNE_AT: usize = 4096;

    /// A tracker without open replies.
    pub fn new(permission: ResponsePermission) -> Self {
        Self {
            permission,
            replies: HashMap::new(),
            next_prune: Self::PRUNE_AT,
        }
    }

    /// Notes that a message with this reply subject went to the connection.
    pub fn delivered(&mut self, reply: &[u8], now: Instant) {
        if self.replies.len() >= self.next_prune {
            self.prune(now);
        }
        self.replies.insert(
            reply.into(),
            OpenReply {
                delivered: now,
                sent: 0,
            },
        );
    }

    /// Whether a response on `subject` is allowed now; if so, it is counted.
    pub fn take(&mut self, subject: &[u8], now: Instant) -> bool {
        let permission = self.permission;
        let Some(reply) = self.replies.get_mut(subject) else {
            return false;
        };
        let spent = permission.max.is_some_and(|max| reply.sent >= max);
        if spent || reply.is_expired(permission.expires, now) {
            self.replies.remove(subject);
            return false;
        }
        reply.sent += 1;
        true
    }

    fn prune(&mut self, now: Instant) {
        let expires = self.permission.expires;
        self.replies
            .retain(|_, reply| !reply.is_expired(expires, now));
        if self.replies.len() >= Self::CAPACITY {
            let mut times: Vec<_> = self.replies.values().map(|reply| reply.delivered).collect();
            let (_, median, _) = times.select_nth_unstable(Self::CAPACITY / 2);
            let median = *median;
            self.replies.retain(|_, reply| reply.delivered > median);
        }
        self.next_prune = (self.replies.len() * 2).clamp(Self::PRUNE_AT, Self::CAPACITY);
    }
}

impl OpenReply {
    fn is_expired(&self, expires: Option<Duration>, now: Instant) -> bool {
        expires.is_some_and(|expires| now.saturating_duration_since(self.delivered) > expires)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tracker(max: Option<u32>, expires: Option<u64>) -> ResponseTracker {
        ResponseTracker::new(ResponsePermission {
            max,
            expires: expires.map(Duration::from_secs),
        })
    }

    #[test]
    fn a_reply_may_be_answered_max_times() {
        let now = Instant::now();
        let mut tracker = tracker(Some(2), None);
        tracker.delivered(b"inbox.1", now);
        assert!(tracker.take(b"inbox.1", now));
        assert!(tracker.take(b"inbox.1", now));
        assert!(!tracker.take(b"inbox.1", now));
        assert!(!tracker.take(b"inbox.2", now));
    }

    #[test]
    fn a_reply_expires() {
        let now = Instant::now();
        let mut tracker = tracker(None, Some(10));
        tracker.delivered(b"inbox.1", now);
        assert!(tracker.take(b"inbox.1", now + Duration::from_secs(10)));
        assert!(!tracker.take(b"inbox.1", now + Duration::from_secs(11)));
        assert!(
            !tracker.take(b"inbox.1", now),
            "an expired reply is forgotten"
        );
    }

    #[test]
    fn replies_that_are_never_answered_do_not_grow_without_bound() {
        let start = Instant::now();
        let mut tracker = tracker(Some(1), None);
        for index in 0..5 * ResponseTracker::CAPACITY {
            let now = start + Duration::from_millis(index as u64);
            tracker.delivered(format!("inbox.{index}").as_bytes(), now);
            assert!(tracker.replies.len() <= ResponseTracker::CAPACITY);
        }
        let last = format!("inbox.{}", 5 * ResponseTracker::CAPACITY - 1);
        assert!(
            tracker.take(last.as_bytes(), start),
            "the newest reply is kept"
        );
    }

    #[test]
    fn replies_with_one_delivery_time_do_not_grow_without_bound() {
        let now = Instant::now();
        let mut tracker = tracker(Some(1), None);
        for index in 0..3 * ResponseTracker::CAPACITY {
            tracker.delivered(format!("inbox.{index}").as_bytes(), now);
            assert!(tracker.replies.len() <= ResponseTracker::CAPACITY);
        }
    }
}
