//! The part of a consumer that survives: floors, pending, redeliveries. Live events and recovery change it through the
//! same methods.

use std::collections::{BTreeMap, VecDeque};

use jetsled_jetstream_api::{AckPolicy, ConsumerSeq, StreamSeq, Timestamp};

use crate::pending::{Pending, PendingMessage};
use crate::progress::Change;

/// A place in both numberings.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Position {
    pub(crate) consumer: ConsumerSeq,
    pub(crate) stream: StreamSeq,
}

/// The messages with which `last_per_subject` starts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SkipList {
    /// After the list delivery goes on after this sequence.
    pub(crate) resume: StreamSeq,
    /// What of the list is not delivered yet, ascending.
    pub(crate) seqs: VecDeque<StreamSeq>,
}

/// The durable state.
///
/// ```text
///            delivered            acked, or gone from the stream
///  (stream) ----------> pending ---------------------------------> done
///                        |  ^ \
///            timer, nak  |  |  \ timer or nak after max_deliver
///                        v  |   v
///                       queued  exhausted --- late ack, or gone ---> done
/// ```
#[derive(Debug, Clone)]
pub(crate) struct State {
    pub(crate) ack_policy: AckPolicy,
    /// The number of the last delivery, and the highest stream sequence of one.
    pub(crate) delivered: Position,
    /// Everything at or below is done.
    pub(crate) ack_floor: Position,
    pub(crate) last_delivered: Option<Timestamp>,
    pub(crate) last_acked: Option<Timestamp>,
    pub(crate) pending: Pending,
    /// Messages with all deliveries used up, and their count. The stream bounds their number.
    pub(crate) exhausted: BTreeMap<StreamSeq, u32>,
    pub(crate) skip_list: Option<Box<SkipList>>,
    /// It was told to start beyond the stream's end, and the stream has not come there yet.
    pub(crate) is_ahead: bool,
}

/// What an ack found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Acked {
    /// The message was pending.
    Pending(PendingMessage),
    /// Its deliveries were used up.
    Exhausted,
    /// Neither: never delivered, or acked before.
    Unknown,
}

impl State {
    pub(crate) fn new(ack_policy: AckPolicy) -> Self {
        Self {
            ack_policy,
            delivered: Position::default(),
            ack_floor: Position::default(),
            last_delivered: None,
            last_acked: None,
            pending: Pending::default(),
            exhausted: BTreeMap::new(),
            skip_list: None,
            is_ahead: false,
        }
    }

    /// Puts an entry of a checkpoint back.
    pub(crate) fn restore_pending(&mut self, at: Position, since: Timestamp, deliveries: u32) {
        self.pending
            .restore(at.stream, at.consumer, since, deliveries);
    }

    /// `num_redelivered`.
    pub(crate) fn num_redelivered(&self) -> usize {
        self.pending.redelivered() + self.exhausted.len()
    }

    /// Starts, or starts over, with `next` as the next stream sequence. `is_ahead`: beyond the stream's end.
    pub(crate) fn start(&mut self, next: StreamSeq, is_ahead: bool) {
        self.is_ahead = is_ahead;
        self.delivered = Position {
            consumer: ConsumerSeq(0),
            stream: next.previous(),
        };
        self.ack_floor = self.delivered;
        self.last_delivered = None;
        self.last_acked = None;
        self.pending.clear();
        self.exhausted.clear();
        self.skip_list = None;
    }

    /// The first delivery of a message. Returns the number of the delivery.
    #[inline]
    pub(crate) fn deliver(&mut self, seq: StreamSeq, now: Timestamp) -> ConsumerSeq {
        debug_assert!(seq > self.delivered.stream, "first deliveries go in order");
        self.delivered.consumer = self.delivered.consumer.next();
        self.delivered.stream = seq;
        self.is_ahead = false;
        self.last_delivered = Some(now);
        if self.skip_list.is_some() {
            self.pass_skip_list(seq);
        }
        if self.ack_policy == AckPolicy::None {
            self.ack_floor = self.delivered;
        } else {
            self.pending.push(seq, self.delivered.consumer, now);
        }
        self.delivered.consumer
    }

    fn pass_skip_list(&mut self, seq: StreamSeq) {
        if let Some(list) = &mut self.skip_list {
            while list.seqs.front().is_some_and(|first| *first <= seq) {
                list.seqs.pop_front();
            }
            if list.seqs.is_empty() {
                self.skip_list = None;
            }
        }
    }

    /// Another delivery of a pending message. Returns its number and the count of deliveries.
    pub(crate) fn redeliver(
        &mut self,
        seq: StreamSeq,
        now: Timestamp,
    ) -> Option<(ConsumerSeq, u32)> {
        let deliveries = self.pending.redeliver(seq, now)?;
        self.delivered.consumer = self.delivered.consumer.next();
        self.last_delivered = Some(now);
        Some((self.delivered.consumer, deliveries))
    }

    /// One message is done, pending or exhausted.
    #[inline]
    pub(crate) fn ack(&mut self, seq: StreamSeq, hint: ConsumerSeq, now: Timestamp) -> Acked {
        match self.pending.remove(seq, hint) {
            Some(message) => {
                self.last_acked = Some(now);
                self.raise_ack_floor(&message);
                Acked::Pending(message)
            }
            None if self.exhausted.remove(&seq).is_some() => {
                self.last_acked = Some(now);
                Acked::Exhausted
            }
            None => Acked::Unknown,
        }
    }

    /// Below a message that was given up unacked the floor stays until nothing is pending (observed nats-server 2.15.1).
    fn raise_ack_floor(&mut self, acked: &PendingMessage) {
        match self.pending.first() {
            None => self.ack_floor = self.delivered,
            Some(first) if acked.consumer_seq == self.ack_floor.consumer.next() => {
                self.ack_floor = Position {
                    consumer: first.consumer_seq.previous(),
                    stream: first.stream_seq.previous(),
                };
            }
            Some(_) => {}
        }
    }

    /// Everything up to `seq` is done; `consumer_seq` is the number that the ack named.
    pub(crate) fn ack_through(
        &mut self,
        seq: StreamSeq,
        consumer_seq: ConsumerSeq,
        now: Timestamp,
        done: impl FnMut(&PendingMessage),
    ) {
        if seq <= self.ack_floor.stream || seq > self.delivered.stream {
            return;
        }
        self.last_acked = Some(now);
        self.pending.remove_through(seq, done);
        self.exhausted = self.exhausted.split_off(&seq.next());
        let highest = self
            .pending
            .first()
            .map_or(self.delivered.consumer, |first| {
                first.consumer_seq.previous()
            });
        self.ack_floor = Position {
            consumer: consumer_seq.clamp(self.ack_floor.consumer.min(highest), highest),
            stream: seq,
        };
    }

    /// A pending message used up its deliveries.
    pub(crate) fn exhaust(&mut self, seq: StreamSeq, hint: ConsumerSeq) -> Option<PendingMessage> {
        let message = self.pending.remove(seq, hint)?;
        self.exhausted.insert(seq, message.deliveries);
        Some(message)
    }

    /// Everything below `first` left the stream.
    pub(crate) fn purge(&mut self, first: StreamSeq) {
        let last = first.previous();
        self.pending.remove_through(last, |_| {});
        self.exhausted = self.exhausted.split_off(&first);
        self.is_ahead &= self.delivered.stream >= last;
        self.delivered.stream = self.delivered.stream.max(last);
        self.ack_floor.stream = self.ack_floor.stream.max(last);
        if self.skip_list.is_some() {
            self.pass_skip_list(last);
        }
        let Some(message) = self.pending.first() else {
            self.ack_floor = self.delivered;
            return;
        };
        // The floor only lags behind the first pending message because of what was unacked below, or given up.
        let done = message.consumer_seq.previous();
        let given_up = self.exhausted.keys().next();
        if done > self.ack_floor.consumer && given_up.is_none_or(|seq| *seq > message.stream_seq) {
            self.ack_floor = Position {
                consumer: done,
                stream: message.stream_seq.previous(),
            };
        }
    }

    /// Nothing up to `seq` is left to deliver; it counts as delivered.
    pub(crate) fn pass(&mut self, seq: StreamSeq) {
        if self.skip_list.is_some() {
            return;
        }
        self.is_ahead &= self.delivered.stream >= seq;
        self.delivered.stream = self.delivered.stream.max(seq);
        if self.pending.is_empty() {
            self.ack_floor = self.delivered;
        }
    }

    /// Forgets what lies behind the end of the stream: it lost messages that this state has seen.
    pub(crate) fn clamp(&mut self, last: StreamSeq) {
        // A start beyond the end that was asked for is not a loss.
        if self.is_ahead || self.delivered.stream <= last {
            return;
        }
        self.pending.remove_above(last);
        self.exhausted.split_off(&last.next());
        self.delivered.stream = last;
        self.skip_list = None;
        self.ack_floor.stream = self.ack_floor.stream.min(last);
        if self.pending.is_empty() {
            self.ack_floor = self.delivered;
        }
    }

    /// Repeats a logged change. What does not fit is ignored: the log is ours, but damage must not panic.
    pub(crate) fn apply(&mut self, change: Change) {
        match change {
            Change::Start { next, is_ahead } => self.start(next, is_ahead),
            Change::SkipList { resume, seqs } => {
                let seqs = seqs.into();
                self.skip_list = Some(Box::new(SkipList { resume, seqs }));
                self.pass_skip_list(self.delivered.stream);
            }
            Change::Delivered { first, count, at } => {
                for seq in (first.get()..first.get().saturating_add(count)).map(StreamSeq) {
                    if seq > self.delivered.stream {
                        self.deliver(seq, at);
                    }
                }
            }
            Change::Redelivered { seq, at } => {
                self.redeliver(seq, at);
            }
            Change::NotDelivered { seq } => {
                self.pending.take_delivery_back(seq);
            }
            Change::Acked { first, count, at } => {
                for seq in (first.get()..first.get().saturating_add(count)).map(StreamSeq) {
                    self.ack(seq, ConsumerSeq::default(), at);
                }
            }
            Change::AckedThrough {
                seq,
                consumer_seq,
                at,
            } => self.ack_through(seq, consumer_seq, at, |_| {}),
            Change::Exhausted { seq } => {
                self.exhaust(seq, ConsumerSeq::default());
            }
            Change::Since { seq, since } => {
                self.pending.set_since(seq, since);
            }
            Change::Purged { first } => self.purge(first),
            Change::Passed { seq } => self.pass(seq),
            Change::Clamped { last } => self.clamp(last),
        }
    }

    /// # Panics
    /// When an invariant is broken.
    pub(crate) fn validate(&self) {
        self.pending.validate();
        assert!(
            self.ack_floor.stream <= self.delivered.stream
                && self.ack_floor.consumer <= self.delivered.consumer,
            "the ack floor {:?} is not beyond the last delivery {:?}",
            self.ack_floor,
            self.delivered
        );
        for message in self.pending.iter() {
            assert!(
                message.stream_seq > self.ack_floor.stream
                    && message.consumer_seq > self.ack_floor.consumer,
                "pending {message:?} is above the ack floor {:?}",
                self.ack_floor
            );
            assert!(
                message.stream_seq <= self.delivered.stream
                    && message.consumer_seq <= self.delivered.consumer,
                "pending {message:?} was delivered, as of {:?}",
                self.delivered
            );
            assert!(
                !self.exhausted.contains_key(&message.stream_seq),
                "pending {message:?} is not exhausted"
            );
        }
        if let Some(list) = &self.skip_list {
            assert!(
                list.seqs
                    .front()
                    .is_some_and(|first| *first > self.delivered.stream),
                "the skip list {list:?} lies ahead of {:?}",
                self.delivered
            );
        }
        assert!(
            self.ack_policy != AckPolicy::None || self.pending.is_empty(),
            "nothing is pending without acks"
        );
    }
}
