//! Messages that leave the stream, and messages that the stream keeps for this consumer.

use jetsled_jetstream_api::{AckNumbers, AckPolicy, ConsumerSeq, StreamSeq, Timestamp};
use jetsled_protocol::subject;

use crate::ack::terminated;
use crate::consumer::Consumer;
use crate::delivery::UNACKED_DELETED;
use crate::event::{Context, Removed, RemovedBy};
use crate::state::Acked;

impl Consumer {
    /// Messages left the stream one by one: limits, delete, rollup, filtered purge, age. To be raised before any
    /// other event that follows their removal.
    pub fn on_removed<'r>(
        &mut self,
        removed: impl IntoIterator<Item = Removed<'r>>,
        by: RemovedBy,
        ctx: &mut Context<'_>,
    ) {
        for Removed { seq, subject } in removed {
            if seq < self.next {
                if !self.state.pending.is_empty() || !self.state.exhausted.is_empty() {
                    self.drop_removed(seq, by, ctx);
                }
            } else if self.was_counted(seq, subject) {
                self.num_pending.take();
            }
        }
        self.validate_in_debug();
    }

    /// Whether a message that was to be delivered is part of `num_pending`. Takes it off the skip list.
    fn was_counted(&mut self, seq: StreamSeq, subject: &[u8]) -> bool {
        if let Some(list) = &mut self.state.skip_list
            && seq <= list.resume
        {
            let Ok(at) = list.seqs.binary_search(&seq) else {
                return false;
            };
            list.seqs.remove(at);
            if list.seqs.is_empty() {
                self.next = self.next.max(list.resume.next());
                self.state.skip_list = None;
            }
            return true;
        }
        self.num_pending.is_counted(seq) && self.rules.filter.matches(subject)
    }

    /// Forgets a delivered message that is gone from the stream, as if terminated.
    pub(crate) fn drop_removed(&mut self, seq: StreamSeq, by: RemovedBy, ctx: &mut Context<'_>) {
        match self.state.ack(seq, ConsumerSeq::default(), ctx.now) {
            Acked::Pending(message) => {
                ctx.out.progress.acked(seq, ctx.now);
                if by == RemovedBy::Purge {
                    return;
                }
                let numbers = AckNumbers {
                    // One too few of a redelivered message (observed nats-server 2.15.1).
                    delivered: u64::from(message.deliveries.saturating_sub(1).max(1)),
                    stream_seq: seq,
                    consumer_seq: message.consumer_seq,
                    timestamp: Timestamp::EPOCH,
                    pending: 0,
                };
                terminated(&numbers, UNACKED_DELETED.to_owned(), ctx);
            }
            Acked::Exhausted => ctx.out.progress.acked(seq, ctx.now),
            Acked::Unknown => {}
        }
    }

    /// The stream was purged, of one subject's messages if there is a `filter`. Those that left one by one were told
    /// by [`Consumer::on_removed`] before.
    ///
    /// The consumer goes on where the stream begins now, or where its own messages begin if they were all meant.
    pub fn on_purged(&mut self, filter: Option<&[u8]>, ctx: &mut Context<'_>) {
        let mut first = ctx.view.first_seq();
        if let Some(purged) = filter {
            let own = || self.rules.filter.patterns();
            let filtered = own().next().is_some();
            if filtered && own().all(|own| subject::is_subset(own, purged)) {
                let next = ctx.view.next_match(first, &self.rules.filter);
                first = match next {
                    Some(meta) => meta.seq,
                    None if ctx.view.is_unreadable() => first,
                    None => ctx.view.last_seq().next(),
                };
                // What an earlier filter let through is still there.
                let pending = self.state.pending.first().map(|message| message.stream_seq);
                let exhausted = self.state.exhausted.keys().next().copied();
                first = pending
                    .into_iter()
                    .chain(exhausted)
                    .fold(first, StreamSeq::min);
            } else if filtered && !own().any(|own| subject::is_subset(purged, own)) {
                return;
            }
        }
        let pending = self.state.pending.len();
        self.next = self.next.max(first);
        self.state.purge(first);
        ctx.out.progress.purged(first);
        // What does not match and was passed counts as delivered from now on.
        self.state.pass(self.next.previous());
        ctx.out.progress.passed(self.next.previous());
        if self.state.pending.len() < pending {
            self.state.last_acked = Some(ctx.now);
        }
        self.recount(ctx);
        self.validate_in_debug();
    }

    /// Whether interest or workqueue retention must keep the message for this consumer.
    pub fn needs(&self, seq: StreamSeq, subject: &[u8]) -> bool {
        if !self.rules.filter.matches(subject) {
            return false;
        }
        let state = &self.state;
        let unacked = seq > state.ack_floor.stream
            && match self.rules.ack_policy {
                AckPolicy::None | AckPolicy::All | AckPolicy::FlowControl => true,
                AckPolicy::Explicit => seq > state.delivered.stream || state.pending.contains(seq),
            };
        unacked || state.exhausted.contains_key(&seq)
    }

    /// Everything at or below was acked or skipped.
    pub fn ack_floor(&self) -> StreamSeq {
        self.state.ack_floor.stream
    }
}
