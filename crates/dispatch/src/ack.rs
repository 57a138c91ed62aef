//! Acks of every kind.

use bytes::Bytes;
use jetsled_jetstream_api::{
    AckKind, AckNumbers, AckPolicy, ConsumerSeq, Nanos, RetentionPolicy, StreamSeq,
};
use rand::RngExt;

use crate::consumer::Consumer;
use crate::event::{AckEvent, Context, PullEvent};
use crate::outbox::{Advisory, Command};
use crate::pending::PendingMessage;
use crate::state::Acked;

/// Whether an ack is confirmed when it asks for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Answer {
    Yes,
    No,
}

impl Consumer {
    /// An ack came in. Consumers without acks, and those that ack by flow control, take none.
    #[inline]
    pub fn on_ack(&mut self, ack: &AckEvent<'_>, ctx: &mut Context<'_>) {
        if !matches!(self.rules.ack_policy, AckPolicy::Explicit | AckPolicy::All) {
            return;
        }
        self.inactivity.acked(ctx.now);
        let answer_known = match ack.numbers.stream_seq.is_zero() {
            true => Answer::No,
            false => Answer::Yes,
        };
        let answer = match ack.kind {
            AckKind::Ack => self.ack(&ack.numbers, Sample::Yes, ctx),
            AckKind::Next(payload) => {
                self.ack(&ack.numbers, Sample::Yes, ctx);
                self.pull_next(payload, ack.reply.clone(), ctx);
                Answer::No
            }
            AckKind::Nak { delay, .. } => {
                self.nak(&ack.numbers, delay, ctx);
                answer_known
            }
            AckKind::InProgress => {
                let seq = ack.numbers.stream_seq;
                if self.state.pending.set_since(seq, ctx.now) {
                    self.state.last_delivered = Some(ctx.now);
                    ctx.out.progress.since(seq, ctx.now);
                }
                answer_known
            }
            AckKind::Term { reason } => {
                let answer = self.ack(&ack.numbers, Sample::No, ctx);
                let reason = String::from_utf8_lossy(reason).into_owned();
                terminated(&ack.numbers, reason, ctx);
                answer
            }
            AckKind::Unknown => answer_known,
        };
        if answer == Answer::Yes
            && let Some(reply) = &ack.reply
        {
            ctx.out.push(Command::AckReply { to: reply.clone() });
        }
        self.validate_in_debug();
    }

    /// Plain acks that want no confirmation, `count` of them: the first with these numbers, each for the delivery and the message behind the
    /// one before.
    pub fn on_acks(&mut self, first: &AckNumbers, count: u64, ctx: &mut Context<'_>) {
        if !matches!(self.rules.ack_policy, AckPolicy::Explicit | AckPolicy::All) {
            return;
        }
        self.inactivity.acked(ctx.now);
        let mut numbers = *first;
        for _ in 0..count {
            self.ack(&numbers, Sample::Yes, ctx);
            numbers.stream_seq = numbers.stream_seq.next();
            numbers.consumer_seq = numbers.consumer_seq.next();
        }
        self.validate_in_debug();
    }

    /// `+NXT`: the rest of the payload is a pull request.
    fn pull_next(&mut self, payload: &[u8], reply: Option<Bytes>, ctx: &mut Context<'_>) {
        if let Some(reply) = reply {
            let pull = PullEvent {
                payload,
                reply,
                api_level_too_high: false,
                imported: false,
            };
            self.on_pull(pull, ctx);
        }
    }

    #[inline]
    fn ack(&mut self, numbers: &AckNumbers, sample: Sample, ctx: &mut Context<'_>) -> Answer {
        let seq = numbers.stream_seq;
        if seq >= self.next {
            // Never delivered: whoever sent this does not speak of this consumer's life.
            return Answer::No;
        }
        if self.rules.ack_policy == AckPolicy::All {
            if seq.is_zero() {
                return Answer::No;
            }
            self.ack_through(seq, numbers.consumer_seq, ctx);
            return Answer::Yes;
        }
        match self.state.ack(seq, numbers.consumer_seq, ctx.now) {
            Acked::Pending(message) => {
                ctx.out.progress.acked(seq, ctx.now);
                self.release(seq, ctx);
                if sample == Sample::Yes && self.rules.sample_percent > 0 {
                    self.sample(numbers, &message, ctx);
                }
            }
            Acked::Exhausted => {
                ctx.out.progress.acked(seq, ctx.now);
                self.release(seq, ctx);
            }
            Acked::Unknown => {
                self.state.last_acked = Some(ctx.now);
                self.release_passed(seq, ctx);
            }
        }
        Answer::Yes
    }

    /// An ack of what was delivered before a reset: the consumer that went on behind it does not need it any more.
    fn release_passed(&mut self, seq: StreamSeq, ctx: &mut Context<'_>) {
        if self.identity.stream.retention == RetentionPolicy::Limits {
            return;
        }
        let found = ctx.view.next_match(seq, &self.rules.filter);
        if found.is_some_and(|found| found.seq == seq) {
            self.release(seq, ctx);
        }
    }

    /// Everything up to a delivery is acked.
    pub(crate) fn ack_through(
        &mut self,
        seq: StreamSeq,
        consumer_seq: ConsumerSeq,
        ctx: &mut Context<'_>,
    ) {
        if seq <= self.state.ack_floor.stream || seq > self.state.delivered.stream {
            return;
        }
        // An ack of a redelivery names its number; the floor counts first deliveries.
        let consumer_seq = self
            .state
            .pending
            .get(seq)
            .map_or(consumer_seq, |m| m.consumer_seq.max(consumer_seq));
        let mut released = std::mem::take(&mut ctx.out.scratch);
        released.clear();
        released.extend(self.state.exhausted.range(..=seq).map(|(seq, _)| *seq));
        self.state
            .ack_through(seq, consumer_seq, ctx.now, |m| released.push(m.stream_seq));
        ctx.out.progress.acked_through(seq, consumer_seq, ctx.now);
        released.sort_unstable();
        for seq in &released {
            self.release(*seq, ctx);
        }
        ctx.out.scratch = released;
    }

    fn nak(&mut self, numbers: &AckNumbers, delay: Option<Nanos>, ctx: &mut Context<'_>) {
        let seq = numbers.stream_seq;
        // One beyond the last delivery is let through, too (observed nats-server 2.15.1).
        let in_range = numbers.consumer_seq > self.state.ack_floor.consumer
            && numbers.consumer_seq <= self.state.delivered.consumer.next();
        let Some(message) = self.state.pending.get(seq).copied().filter(|_| in_range) else {
            return;
        };
        ctx.out.advise(Advisory::Nak {
            consumer_seq: numbers.consumer_seq,
            stream_seq: seq,
            deliveries: numbers.delivered,
        });
        if let Some(delay) = delay {
            // The timer is the same for all, so the delay moves its start.
            let wait = self
                .rules
                .ack_wait(message.deliveries)
                .unwrap_or(Nanos::ZERO);
            let since = ctx.now.saturating_add(delay).saturating_sub(wait);
            self.redelivery.remove(&mut self.state.pending, seq);
            self.state.pending.set_since(seq, since);
            self.state.last_delivered = Some(ctx.now);
            ctx.out.progress.since(seq, since);
            self.redelivery
                .arm(ctx.now.saturating_add(delay).max(ctx.now));
        } else {
            // Even the last delivery: that it is given up shows when its turn comes.
            self.redelivery.push(&mut self.state.pending, seq);
        }
    }

    fn sample(&mut self, numbers: &AckNumbers, message: &PendingMessage, ctx: &mut Context<'_>) {
        if self.random.rng().random_range(0..100) < self.rules.sample_percent {
            ctx.out.advise(Advisory::Acked {
                consumer_seq: numbers.consumer_seq,
                stream_seq: numbers.stream_seq,
                deliveries: numbers.delivered,
                delay_nanos: ctx.now.since(message.since).get(),
            });
        }
    }
}

/// Whether an ack may publish a metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sample {
    Yes,
    No,
}

pub(crate) fn terminated(numbers: &AckNumbers, reason: String, ctx: &mut Context<'_>) {
    ctx.out.advise(Advisory::Terminated {
        consumer_seq: numbers.consumer_seq,
        stream_seq: numbers.stream_seq,
        deliveries: numbers.delivered,
        reason,
    });
}
