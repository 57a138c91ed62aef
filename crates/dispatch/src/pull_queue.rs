//! The pull requests that wait.

use std::collections::VecDeque;

use bytes::Bytes;
use jetsled_jetstream_api::{Nanos, PullPriority, Timestamp};

use crate::outbox::{Outbox, SubjectIndex};
use crate::status::Unserved;

/// A waiting pull request.
#[derive(Debug)]
pub(crate) struct PullRequest {
    pub(crate) reply: Bytes,
    /// Messages still wanted. A request may start at zero or below: it gets one message all the same.
    pub(crate) wanted: i64,
    pub(crate) delivered: u64,
    /// Bytes still allowed if above zero; one that limits them is done when it gets there.
    pub(crate) bytes: i64,
    pub(crate) expires: Option<Timestamp>,
    pub(crate) heartbeat: Nanos,
    pub(crate) heartbeat_at: Option<Timestamp>,
    pub(crate) no_wait: bool,
    pub(crate) imported: bool,
    pub(crate) priority: Option<Box<PullPriority>>,
    /// The generation of interest in which somebody listened.
    pub(crate) interest_generation: Option<u64>,
    /// Where the reply subject stands in the outbox of that epoch.
    pub(crate) interned: Option<(u64, SubjectIndex)>,
}

impl PullRequest {
    pub(crate) fn unserved(&self) -> Unserved {
        Unserved {
            messages: self.wanted,
            bytes: self.bytes,
        }
    }

    pub(crate) fn is_expired(&self, now: Timestamp) -> bool {
        self.expires.is_some_and(|expires| expires <= now)
    }

    /// The reply subject as commands name it.
    #[inline]
    pub(crate) fn subject(&mut self, out: &mut Outbox) -> SubjectIndex {
        match self.interned {
            Some((epoch, index)) if epoch == out.epoch => index,
            _ => {
                let index = out.intern(&self.reply);
                self.interned = Some((out.epoch, index));
                index
            }
        }
    }

    fn wake_at(&self) -> Option<Timestamp> {
        match (self.expires, self.heartbeat_at) {
            (Some(expires), Some(heartbeat)) => Some(expires.min(heartbeat)),
            (expires, heartbeat) => expires.or(heartbeat),
        }
    }

    /// Its place when the policy is prioritized: requests without a group come last.
    fn rank(&self) -> i64 {
        self.priority
            .as_ref()
            .map_or(i64::MAX, |priority| priority.priority)
    }
}

/// What becomes of a request that was looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Keep {
    Yes,
    No,
}

/// Requests in the order in which they are served: one message each, then back to the end.
#[derive(Debug)]
pub(crate) struct PullQueue {
    requests: VecDeque<PullRequest>,
    /// `max_waiting`.
    limit: usize,
    /// Whether the best priority goes first.
    ranked: bool,
    /// Never later than the first expiry or heartbeat.
    wake_at: Option<Timestamp>,
    no_wait: usize,
}

impl PullQueue {
    pub(crate) fn new(limit: usize, ranked: bool) -> Self {
        Self {
            requests: VecDeque::new(),
            limit,
            ranked,
            wake_at: None,
            no_wait: 0,
        }
    }

    pub(crate) fn set_ranked(&mut self, ranked: bool) {
        self.ranked = ranked;
        if ranked {
            self.requests
                .make_contiguous()
                .sort_by_key(PullRequest::rank);
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.requests.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.requests.is_empty()
    }

    pub(crate) fn is_full(&self) -> bool {
        self.requests.len() >= self.limit
    }

    pub(crate) fn wake_at(&self) -> Option<Timestamp> {
        self.wake_at
    }

    /// Whether some request ends at the end of the stream.
    pub(crate) fn has_no_wait(&self) -> bool {
        self.no_wait > 0
    }

    /// Messages wanted by all.
    pub(crate) fn wanted(&self) -> i64 {
        self.requests
            .iter()
            .fold(0, |sum: i64, request| sum.saturating_add(request.wanted))
    }

    /// Adds a request; the caller has seen that there is room.
    pub(crate) fn push(&mut self, request: PullRequest) {
        self.no_wait += usize::from(request.no_wait);
        self.arm(request.wake_at());
        self.enqueue(request);
    }

    fn enqueue(&mut self, request: PullRequest) {
        if self.ranked {
            let rank = request.rank();
            let at = self
                .requests
                .partition_point(|waiting| waiting.rank() <= rank);
            self.requests.insert(at, request);
        } else {
            self.requests.push_back(request);
        }
    }

    #[inline]
    pub(crate) fn front(&mut self) -> Option<&mut PullRequest> {
        self.requests.front_mut()
    }

    pub(crate) fn pop(&mut self) -> Option<PullRequest> {
        let request = self.requests.pop_front()?;
        self.no_wait -= usize::from(request.no_wait);
        Some(request)
    }

    /// Passes over the first request: to the end with it.
    pub(crate) fn cycle(&mut self) {
        if self.requests.len() > 1 {
            self.requests.rotate_left(1);
        }
    }

    /// The first request got a message: it goes to the end, or leaves when it has all.
    #[inline]
    pub(crate) fn served(&mut self) -> Option<PullRequest> {
        let first = self.requests.front_mut()?;
        first.delivered += 1;
        first.wanted = first.wanted.saturating_sub(1);
        if first.wanted <= 0 {
            return self.pop();
        }
        if self.requests.len() > 1 {
            let request = self.requests.pop_front()?;
            self.enqueue(request);
        }
        None
    }

    /// Gives a delivery that reached nobody back to its request, if it still waits.
    pub(crate) fn credit(&mut self, reply: &[u8]) {
        if let Some(request) = self
            .requests
            .iter_mut()
            .find(|request| request.reply == reply)
        {
            request.wanted = request.wanted.saturating_add(1);
            request.delivered = request.delivered.saturating_sub(1);
        }
    }

    /// Looks at every request and keeps some.
    pub(crate) fn review(&mut self, mut review: impl FnMut(&mut PullRequest) -> Keep) {
        self.requests
            .retain_mut(|request| review(request) == Keep::Yes);
        self.no_wait = self
            .requests
            .iter()
            .filter(|request| request.no_wait)
            .count();
        self.wake_at = self.requests.iter().filter_map(PullRequest::wake_at).min();
    }

    fn arm(&mut self, at: Option<Timestamp>) {
        if let Some(at) = at
            && self.wake_at.is_none_or(|wake_at| at < wake_at)
        {
            self.wake_at = Some(at);
        }
    }

    /// # Panics
    /// When an invariant is broken.
    pub(crate) fn validate(&self) {
        assert!(
            self.requests.len() <= self.limit,
            "no more requests wait than may"
        );
        assert_eq!(
            self.no_wait,
            self.requests
                .iter()
                .filter(|request| request.no_wait)
                .count(),
            "the count of requests that do not wait"
        );
        for request in &self.requests {
            if let Some(at) = request.wake_at() {
                assert!(
                    self.wake_at.is_some_and(|wake_at| wake_at <= at),
                    "{request:?} is watched"
                );
            }
        }
        assert!(
            !self.ranked || self.requests.iter().is_sorted_by_key(PullRequest::rank),
            "requests are in the order of their priorities"
        );
    }
}
