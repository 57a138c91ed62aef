//! Which messages are due again: the queue, and the one ack timer of a consumer.

use std::collections::VecDeque;

use jetsled_jetstream_api::{Nanos, StreamSeq, Timestamp};

use crate::pending::{Pending, PendingMessage};
use crate::rules::Rules;

/// Messages to deliver again, and when to look for more.
///
/// The queue holds sequences; whether one still counts says its pending message. Time is watched lazily: `check_at` is never
/// later than the first deadline, and a check that comes too early only finds out the next one. With a constant ack wait
/// a healthy consumer so looks at its pending messages once per ack wait, and no message costs a timer.
#[derive(Debug, Default)]
pub(crate) struct Redelivery {
    queue: VecDeque<StreamSeq>,
    check_at: Option<Timestamp>,
}

impl Redelivery {
    pub(crate) fn check_at(&self) -> Option<Timestamp> {
        self.check_at
    }

    /// Sees to it that a check happens at `deadline` or before.
    #[inline]
    pub(crate) fn arm(&mut self, deadline: Timestamp) {
        if self.check_at.is_none_or(|check_at| deadline < check_at) {
            self.check_at = Some(deadline);
        }
    }

    /// Puts a message at the end, unless it is queued already.
    pub(crate) fn push(&mut self, pending: &mut Pending, seq: StreamSeq) {
        self.forget_stale(pending);
        if pending.set_queued(seq, true) {
            self.queue.push_back(seq);
        }
    }

    /// Takes a message off the queue, wherever in it.
    pub(crate) fn remove(&mut self, pending: &mut Pending, seq: StreamSeq) {
        if pending.set_queued(seq, false) {
            self.queue.retain(|queued| *queued != seq);
        }
    }

    /// The first message that is still queued. It stays until its delivery, or [`Redelivery::remove`].
    pub(crate) fn peek<'p>(&mut self, pending: &'p Pending) -> Option<&'p PendingMessage> {
        while let Some(seq) = self.queue.front() {
            match pending.get(*seq) {
                Some(message) if message.queued => return Some(message),
                _ => self.queue.pop_front(),
            };
        }
        None
    }

    /// Queues what is over its time at `now`, or everything if `all`, and plans the next check.
    /// The messages queued are handed to `expired` too.
    pub(crate) fn check(
        &mut self,
        pending: &mut Pending,
        rules: &Rules,
        now: Timestamp,
        all: bool,
        mut expired: impl FnMut(&PendingMessage),
    ) {
        self.forget_stale(pending);
        let next = pending.expire(
            now,
            |message| {
                if all { now } else { deadline(message, rules) }
            },
            |message| {
                self.queue.push_back(message.stream_seq);
                expired(message);
            },
        );
        let soonest = now.saturating_add(resolution(pending.len()));
        self.check_at = next.map(|next| next.max(soonest));
    }

    /// Acked messages stay on the queue until they come to its front; at least when all are acked they go.
    fn forget_stale(&mut self, pending: &Pending) {
        if pending.queued() == 0 {
            self.queue.clear();
        }
    }

    pub(crate) fn clear(&mut self) {
        self.queue.clear();
        self.check_at = None;
    }
}

/// When the ack timer of a message runs out; the end of time if it never does.
pub(crate) fn deadline(message: &PendingMessage, rules: &Rules) -> Timestamp {
    match rules.ack_wait(message.deliveries) {
        Some(wait) => message.since.saturating_add(wait),
        None => Timestamp(i64::MAX),
    }
}

/// Until when somebody may be at work on a message. A timer that runs out starts once more, while the message waits for whoever gets
/// it next (observed nats-server 2.15.1).
pub(crate) fn in_hand_until(message: &PendingMessage, rules: &Rules) -> Timestamp {
    let ends_at = deadline(message, rules);
    match rules.ack_wait(message.deliveries) {
        Some(wait) if message.lapsed => ends_at.saturating_add(wait),
        _ => ends_at,
    }
}

/// How close together checks may be: a millisecond as in nats-server, more when there is so much to look at that checks
/// would take a noticeable share of the time.
fn resolution(pending: usize) -> Nanos {
    Nanos(1_000_000_i64.max(pending as i64 * 100))
}
