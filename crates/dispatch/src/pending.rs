//! Messages that were delivered and wait for their ack.

use std::collections::VecDeque;

use jetsled_jetstream_api::{ConsumerSeq, StreamSeq, Timestamp};

/// One message that waits for its ack.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct PendingMessage {
    pub(crate) stream_seq: StreamSeq,
    /// The number of its *first* delivery; redeliveries get new numbers on the wire, the ack floor counts this one.
    pub(crate) consumer_seq: ConsumerSeq,
    /// When its ack timer started.
    pub(crate) since: Timestamp,
    /// Deliveries so far; 0 when the first one found nobody.
    pub(crate) deliveries: u32,
    /// Whether it is on the redelivery queue; its timer rests meanwhile.
    pub(crate) queued: bool,
    /// Whether it is there because its timer ran out.
    pub(crate) lapsed: bool,
    acked: bool,
}

/// The pending messages in the order of their first delivery, which is also the order of both sequences.
///
/// An ack in the middle leaves a hole; holes are dropped once they outnumber the messages. So an entry is found
/// by its distance from the first one, and by binary search where that guess fails.
#[derive(Debug, Default, Clone)]
pub(crate) struct Pending {
    ring: VecDeque<PendingMessage>,
    live: usize,
    queued: usize,
    redelivered: usize,
}

impl Pending {
    pub(crate) fn len(&self) -> usize {
        self.live
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.live == 0
    }

    /// How many are on the redelivery queue.
    pub(crate) fn queued(&self) -> usize {
        self.queued
    }

    /// How many were delivered more than once.
    pub(crate) fn redelivered(&self) -> usize {
        self.redelivered
    }

    /// Adds the first delivery of a message; both sequences must be above all others here.
    pub(crate) fn push(
        &mut self,
        stream_seq: StreamSeq,
        consumer_seq: ConsumerSeq,
        since: Timestamp,
    ) {
        self.push_message(PendingMessage {
            stream_seq,
            consumer_seq,
            since,
            deliveries: 1,
            queued: false,
            lapsed: false,
            acked: false,
        });
    }

    /// As [`Pending::push`], for an entry of a checkpoint.
    pub(crate) fn restore(
        &mut self,
        stream_seq: StreamSeq,
        consumer_seq: ConsumerSeq,
        since: Timestamp,
        deliveries: u32,
    ) {
        self.push_message(PendingMessage {
            stream_seq,
            consumer_seq,
            since,
            deliveries,
            queued: false,
            lapsed: false,
            acked: false,
        });
    }

    fn push_message(&mut self, message: PendingMessage) {
        debug_assert!(self.ring.back().is_none_or(|last| {
            last.stream_seq < message.stream_seq && last.consumer_seq < message.consumer_seq
        }));
        self.ring.push_back(message);
        self.live += 1;
        self.redelivered += usize::from(message.deliveries > 1);
    }

    /// Finds a message; `hint` is the consumer sequence that the ack named.
    #[inline]
    fn position(&self, stream_seq: StreamSeq, hint: ConsumerSeq) -> Option<usize> {
        let first = self.ring.front()?;
        let by_consumer_seq = hint.get().wrapping_sub(first.consumer_seq.get());
        let by_stream_seq = stream_seq.get().wrapping_sub(first.stream_seq.get());
        for guess in [by_consumer_seq, by_stream_seq] {
            let Ok(guess) = usize::try_from(guess) else {
                continue;
            };
            if let Some(message) = self.ring.get(guess)
                && message.stream_seq == stream_seq
            {
                return (!message.acked).then_some(guess);
            }
        }
        let found = self
            .ring
            .binary_search_by_key(&stream_seq, |message| message.stream_seq)
            .ok()?;
        (!self.ring[found].acked).then_some(found)
    }

    pub(crate) fn get(&self, stream_seq: StreamSeq) -> Option<&PendingMessage> {
        self.ring
            .get(self.position(stream_seq, ConsumerSeq::default())?)
    }

    fn get_mut(&mut self, stream_seq: StreamSeq) -> Option<&mut PendingMessage> {
        let position = self.position(stream_seq, ConsumerSeq::default())?;
        self.ring.get_mut(position)
    }

    pub(crate) fn contains(&self, stream_seq: StreamSeq) -> bool {
        self.position(stream_seq, ConsumerSeq::default()).is_some()
    }

    /// Takes a message out; `hint` is the consumer sequence that the ack named.
    #[inline]
    pub(crate) fn remove(
        &mut self,
        stream_seq: StreamSeq,
        hint: ConsumerSeq,
    ) -> Option<PendingMessage> {
        let position = self.position(stream_seq, hint)?;
        let slot = self.ring.get_mut(position)?;
        let message = *slot;
        slot.acked = true;
        self.uncount(&message);
        if position == 0 {
            self.drop_leading_holes();
        } else if self.ring.len() > 2 * self.live + HOLES_KEPT {
            self.ring.retain(|message| !message.acked);
        }
        Some(message)
    }

    /// Takes out everything up to and including `last`, in order.
    pub(crate) fn remove_through(
        &mut self,
        last: StreamSeq,
        mut removed: impl FnMut(&PendingMessage),
    ) {
        while let Some(message) = self.ring.front()
            && message.stream_seq <= last
        {
            let message = *message;
            self.ring.pop_front();
            if !message.acked {
                self.uncount(&message);
                removed(&message);
            }
        }
        self.drop_leading_holes();
    }

    /// Takes out everything above `last`: the stream lost its end.
    pub(crate) fn remove_above(&mut self, last: StreamSeq) {
        while let Some(message) = self.ring.back()
            && message.stream_seq > last
        {
            let message = *message;
            self.ring.pop_back();
            if !message.acked {
                self.uncount(&message);
            }
        }
    }

    fn uncount(&mut self, message: &PendingMessage) {
        self.live -= 1;
        self.queued -= usize::from(message.queued);
        self.redelivered -= usize::from(message.deliveries > 1);
    }

    /// Marks a message as on or off the redelivery queue. Returns whether that changed.
    pub(crate) fn set_queued(&mut self, stream_seq: StreamSeq, queued: bool) -> bool {
        let Some(message) = self.get_mut(stream_seq) else {
            return false;
        };
        let changed = message.queued != queued;
        message.queued = queued;
        message.lapsed &= queued;
        match (changed, queued) {
            (true, true) => self.queued += 1,
            (true, false) => self.queued -= 1,
            (false, _) => {}
        }
        changed
    }

    /// Counts another delivery, which takes it off the redelivery queue. Returns how many there were.
    pub(crate) fn redeliver(&mut self, stream_seq: StreamSeq, now: Timestamp) -> Option<u32> {
        self.set_queued(stream_seq, false);
        let message = self.get_mut(stream_seq)?;
        message.since = now;
        message.deliveries = message.deliveries.saturating_add(1);
        let deliveries = message.deliveries;
        self.redelivered += usize::from(deliveries == 2);
        Some(deliveries)
    }

    /// Takes the last delivery back. Returns whether the message is pending.
    pub(crate) fn take_delivery_back(&mut self, stream_seq: StreamSeq) -> bool {
        let Some(message) = self.get_mut(stream_seq) else {
            return false;
        };
        let was_redelivered = message.deliveries == 2;
        message.deliveries = message.deliveries.saturating_sub(1);
        self.redelivered -= usize::from(was_redelivered);
        true
    }

    /// Starts the ack timer anew. Returns whether the message is pending.
    pub(crate) fn set_since(&mut self, stream_seq: StreamSeq, since: Timestamp) -> bool {
        let Some(message) = self.get_mut(stream_seq) else {
            return false;
        };
        message.since = since;
        message.lapsed = false;
        true
    }

    /// Puts every message whose time is over on the redelivery queue, that is marks it and hands it on in order.
    /// Returns when the next one's time is over.
    pub(crate) fn expire(
        &mut self,
        now: Timestamp,
        deadline: impl Fn(&PendingMessage) -> Timestamp,
        mut expired: impl FnMut(&PendingMessage),
    ) -> Option<Timestamp> {
        let mut next: Option<Timestamp> = None;
        for message in self
            .ring
            .iter_mut()
            .filter(|message| !message.acked && !message.queued)
        {
            let deadline = deadline(message);
            if deadline <= now {
                message.queued = true;
                message.lapsed = true;
                self.queued += 1;
                expired(message);
            } else if next.is_none_or(|next| deadline < next) {
                next = Some(deadline);
            }
        }
        next
    }

    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }

    pub(crate) fn first(&self) -> Option<&PendingMessage> {
        self.ring.front()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &PendingMessage> {
        self.ring.iter().filter(|message| !message.acked)
    }

    fn drop_leading_holes(&mut self) {
        while self.ring.front().is_some_and(|message| message.acked) {
            self.ring.pop_front();
        }
    }

    /// # Panics
    /// When an invariant is broken.
    pub(crate) fn validate(&self) {
        assert_eq!(
            self.live,
            self.iter().count(),
            "the count of pending messages"
        );
        assert_eq!(
            self.queued,
            self.iter().filter(|message| message.queued).count(),
            "the count of queued messages"
        );
        assert_eq!(
            self.redelivered,
            self.iter().filter(|message| message.deliveries > 1).count(),
            "the count of redelivered messages"
        );
        assert!(
            self.ring.front().is_none_or(|message| !message.acked),
            "the first pending message is not acked"
        );
        for (before, after) in self.ring.iter().zip(self.ring.iter().skip(1)) {
            assert!(
                before.stream_seq < after.stream_seq && before.consumer_seq < after.consumer_seq,
                "pending messages are in order: {before:?} {after:?}"
            );
        }
    }
}

/// Holes that are never worth a compaction.
const HOLES_KEPT: usize = 64;
