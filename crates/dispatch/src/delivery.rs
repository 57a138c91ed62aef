//! The dispatch loop: takes the next message, delivers it to whom it goes, and keeps count.

use bytes::Bytes;
use jetsled_jetstream_api::{
    AckNumbers, AckPolicy, ConsumerSeq, RetentionPolicy, StreamSeq, Timestamp,
};

use crate::candidate::Candidate;
use crate::consumer::{Consumer, Mode};
use crate::event::{Context, Dispatched};
use crate::outbox::{Advisory, Delivery, Target};
use crate::recipient::Recipient;
use crate::status::Status;
use crate::view::MessageMeta;

/// Deliveries that fit in one outbox, so that a long backlog cannot make it grow. Few enough that what was read to decide
/// is still in the processor's caches when it is delivered.
pub(crate) const MAX_DELIVERIES: u32 = 1024;
/// Bytes of messages that one outbox may name.
pub(crate) const MAX_DELIVERED_BYTES: u64 = 8 * 1024 * 1024;

/// Why nothing can be delivered now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum WaitFor {
    /// Nobody wants a message, or a message nobody who waits may have.
    Clients,
    /// `max_ack_pending` is reached.
    Acks,
    /// Everything stored was delivered.
    Messages,
    /// Rate limit or original replay, or the stream can not be read now.
    Time(Timestamp),
}

impl Consumer {
    /// Delivers what may be delivered now. To be called after events, and when messages became visible.
    pub fn dispatch(&mut self, ctx: &mut Context<'_>) -> Dispatched {
        self.refresh_interest(ctx);
        self.held_until = None;
        let wait = loop {
            if ctx.out.is_full() {
                return Dispatched::More;
            }
            match self.deliver_one(ctx) {
                Ok(()) => {}
                Err(wait) => break wait,
            }
        };
        if let WaitFor::Time(until) = wait {
            self.held_until = Some(until);
        }
        if self
            .replay
            .as_ref()
            .is_some_and(|replay| replay.is_over(self.next))
        {
            self.replay = None;
        }
        if let Mode::Pull(pull) = &self.mode
            && pull.queue.has_no_wait()
        {
            match wait {
                // Those end when they have waited for something: see `on_time`.
                WaitFor::Time(_) | WaitFor::Acks => {}
                WaitFor::Clients | WaitFor::Messages => self.review_requests(AtEnd::Yes, ctx),
            }
        }
        self.validate_in_debug();
        Dispatched::Idle
    }

    /// Whether [`Consumer::dispatch`] could deliver a newly stored message: a waiting request, or an active deliver subject.
    /// When false, new messages need no call.
    pub fn wants_messages(&self) -> bool {
        match &self.mode {
            Mode::Pull(pull) => !pull.queue.is_empty(),
            Mode::Push(push) => push.active,
        }
    }

    #[inline]
    fn deliver_one(&mut self, ctx: &mut Context<'_>) -> Result<(), WaitFor> {
        match &self.mode {
            Mode::Pull(pull) if pull.queue.is_empty() => return Err(WaitFor::Clients),
            Mode::Push(push) if !push.active => return Err(WaitFor::Clients),
            Mode::Push(push) if push.flow_control.as_ref().is_some_and(|f| f.is_stalled()) => {
                return Err(WaitFor::Clients);
            }
            _ => {}
        }
        if self.paused_until.is_some_and(|until| until > ctx.now) {
            return Err(WaitFor::Clients);
        }
        let candidate = self.next_candidate(ctx)?;
        if let Some(replay) = &self.replay
            && let Some(ready_at) = replay.ready_at(candidate.meta.timestamp)
            && ready_at > ctx.now
        {
            return Err(WaitFor::Time(ready_at));
        }
        let numbers = self.numbers(&candidate);
        let recipient = match &self.mode {
            Mode::Pull(_) => self
                .choose_request(&candidate.meta, &numbers, ctx)
                .ok_or(WaitFor::Clients)?,
            Mode::Push(push) => {
                if let Some(limit) = &push.rate_limit {
                    let ready_at = limit.ready_at(self.size(&candidate.meta, &numbers));
                    if ready_at > ctx.now {
                        return Err(WaitFor::Time(ready_at));
                    }
                }
                Recipient::Subject
            }
        };
        self.deliver(&candidate, numbers, &recipient, ctx);
        Ok(())
    }

    /// What the ack subject of the next delivery carries.
    #[inline]
    fn numbers(&self, candidate: &Candidate) -> AckNumbers {
        let pending = self.num_pending.get();
        AckNumbers {
            delivered: u64::from(candidate.delivered_before) + 1,
            stream_seq: candidate.meta.seq,
            consumer_seq: self.state.delivered.consumer.next(),
            timestamp: candidate.meta.timestamp,
            pending: if candidate.is_new {
                pending.saturating_sub(1)
            } else {
                pending
            },
        }
    }

    /// What `max_bytes`, the rate limit and flow control count of a message.
    pub(crate) fn size(&self, meta: &MessageMeta, numbers: &AckNumbers) -> u64 {
        let payload = if self.rules.headers_only {
            0
        } else {
            u64::from(meta.payload_len)
        };
        let header = if self.rules.headers_only {
            headers_only_len(meta)
        } else {
            u64::from(meta.header_len)
        };
        u64::from(meta.subject_len)
            + header
            + payload
            + self.identity.ack_prefix.written_len(numbers) as u64
    }

    #[inline]
    fn deliver(
        &mut self,
        candidate: &Candidate,
        numbers: AckNumbers,
        recipient: &Recipient,
        ctx: &mut Context<'_>,
    ) {
        let seq = candidate.meta.seq;
        if candidate.is_new {
            self.deliver_new(seq, ctx);
        } else {
            self.deliver_again(seq, ctx);
        }
        let (to, pin_id) = match recipient {
            Recipient::Subject => (Target::DeliverSubject, None),
            Recipient::Request { index, pin_id } => (Target::Request(*index), *pin_id),
        };
        ctx.out.deliver(
            Delivery {
                numbers,
                to,
                pin_id,
            },
            candidate.meta.len(),
        );
        self.inactivity.touch(ctx.now);
        if let Some(replay) = &mut self.replay {
            replay.delivered(candidate.meta.timestamp, ctx.now);
        }
        match recipient {
            Recipient::Subject => self.after_push(&candidate.meta, &numbers, ctx),
            Recipient::Request { .. } => self.after_pull(ctx),
        }
    }

    #[inline]
    fn deliver_new(&mut self, seq: StreamSeq, ctx: &mut Context<'_>) {
        self.num_pending.take();
        let resume = self.state.skip_list.as_ref().map(|list| list.resume);
        self.state.deliver(seq, ctx.now);
        ctx.out.progress.delivered(seq, ctx.now);
        self.next = match resume {
            Some(resume) if self.state.skip_list.is_none() => resume.max(seq).next(),
            _ => seq.next(),
        };
        if self.rules.ack_policy == AckPolicy::None {
            self.release(seq, ctx);
        } else if let Some(wait) = self.rules.ack_wait(1) {
            self.redelivery.arm(ctx.now.saturating_add(wait));
        }
    }

    fn deliver_again(&mut self, seq: StreamSeq, ctx: &mut Context<'_>) {
        if let Some((_, deliveries)) = self.state.redeliver(seq, ctx.now) {
            ctx.out.progress.redelivered(seq, ctx.now);
            if let Some(wait) = self.rules.ack_wait(deliveries) {
                self.redelivery.arm(ctx.now.saturating_add(wait));
            }
        }
    }

    #[inline]
    fn after_pull(&mut self, ctx: &mut Context<'_>) {
        let Mode::Pull(pull) = &mut self.mode else {
            return;
        };
        if let Some(done) = pull.queue.served()
            && done.bytes > 0
        {
            let status = Status::BatchCompleted(done.unserved());
            ctx.out.tell(done.reply, status);
        }
    }

    fn after_push(&mut self, meta: &MessageMeta, numbers: &AckNumbers, ctx: &mut Context<'_>) {
        let size = match &self.mode {
            Mode::Push(push) if push.flow_control.is_some() || push.rate_limit.is_some() => {
                self.size(meta, numbers)
            }
            _ => 0,
        };
        let pending_is_full = self.state.pending.len() >= self.rules.max_ack_pending;
        let Mode::Push(push) = &mut self.mode else {
            return;
        };
        push.restart_heartbeat(ctx.now);
        if let Some(limit) = &mut push.rate_limit {
            limit.take(size, ctx.now);
        }
        if let Some(flow) = &mut push.flow_control {
            let acks_by_flow = self.rules.ack_policy == AckPolicy::FlowControl;
            let ask = flow.delivered(size) || (acks_by_flow && pending_is_full && !flow.is_asked());
            if ask {
                self.ask_for_flow_control(ctx);
            }
        }
    }

    /// This consumer is done with a message; interest and workqueue streams want to know.
    #[inline]
    pub(crate) fn release(&self, seq: StreamSeq, ctx: &mut Context<'_>) {
        if self.identity.stream.retention == RetentionPolicy::Limits {
            return;
        }
        ctx.out.release(seq);
    }

    /// A pending message used up its deliveries. It keeps its record and is not released.
    pub(crate) fn exhaust(&mut self, seq: StreamSeq, ctx: &mut Context<'_>) {
        if let Some(message) = self.state.exhaust(seq, ConsumerSeq::default()) {
            self.state.last_delivered = Some(ctx.now);
            ctx.out.progress.exhausted(seq);
            ctx.out.advise(Advisory::MaxDeliveries {
                stream_seq: seq,
                deliveries: u64::from(message.deliveries),
            });
        }
    }

    /// A delivery of this consumer reached nobody: its count is taken back and it is queued again. `reply` is where a pull
    /// consumer's delivery went.
    pub fn on_not_delivered(
        &mut self,
        stream_seq: StreamSeq,
        reply: Option<&Bytes>,
        ctx: &mut Context<'_>,
    ) {
        if self.state.pending.take_delivery_back(stream_seq) {
            ctx.out.progress.not_delivered(stream_seq);
            self.redelivery.push(&mut self.state.pending, stream_seq);
        }
        match &mut self.mode {
            Mode::Push(push) => push.doubt_interest(),
            Mode::Pull(pull) => {
                if let Some(reply) = reply {
                    pull.queue.credit(reply);
                }
            }
        }
        self.validate_in_debug();
    }
}

/// Whether the end of the stream ends requests that do not wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AtEnd {
    Yes,
    No,
}

/// Bytes of the header block when the body is dropped and its size told instead.
fn headers_only_len(meta: &MessageMeta) -> u64 {
    let digits = meta
        .payload_len
        .checked_ilog10()
        .map_or(1, |log| u64::from(log) + 1);
    let line = "Nats-Msg-Size: \r\n".len() as u64 + digits;
    match meta.header_len {
        0 => "NATS/1.0\r\n\r\n".len() as u64 + line,
        len => u64::from(len) + line,
    }
}

/// Why a message is terminated that left the stream unacked.
pub(crate) const UNACKED_DELETED: &str = "Unacknowledged message was deleted";
