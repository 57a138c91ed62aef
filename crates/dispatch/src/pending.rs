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
}

impl Pending {
    pub(crate) fn len(&self) -> usize {
        self.live
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.live == 0
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
            acked: false,
        });
    }

    fn push_message(&mut self, message: PendingMessage) {
        debug_assert!(self.ring.back().is_none_or(|last| {
            last.stream_seq < message.stream_seq && last.consumer_seq < message.consumer_seq
        }));
        self.ring.push_back(message);
        self.live += 1;
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

    pub(crate) fn get_mut(&mut self, stream_seq: StreamSeq) -> Option<&mut PendingMessage> {
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
        self.live -= 1;
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
            if !message.acked {
                removed(message);
                self.live -= 1;
            }
            self.ring.pop_front();
        }
        self.drop_leading_holes();
    }

    /// Takes out everything above `last`: the stream lost its end.
    pub(crate) fn remove_above(&mut self, last: StreamSeq) {
        while let Some(message) = self.ring.back()
            && message.stream_seq > last
        {
            self.live -= usize::from(!message.acked);
            self.ring.pop_back();
        }
    }

    pub(crate) fn clear(&mut self) {
        self.ring.clear();
        self.live = 0;
    }

    pub(crate) fn first(&self) -> Option<&PendingMessage> {
        self.ring.front()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &PendingMessage> {
        self.ring.iter().filter(|message| !message.acked)
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = &mut PendingMessage> {
        self.ring.iter_mut().filter(|message| !message.acked)
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
