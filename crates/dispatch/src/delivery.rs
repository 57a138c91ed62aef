//! The dispatch loop: finds the next message, finds who gets it, delivers.

use bytes::Bytes;
use jetsled_jetstream_api::{
    AckNumbers, AckPolicy, ConsumerSeq, PriorityPolicy, RetentionPolicy, StreamSeq, Timestamp,
};

use crate::consumer::{Consumer, Mode};
use crate::event::{Context, Dispatched, RemovedBy};
use crate::outbox::{Advisory, Delivery, SubjectIndex, Target};
use crate::priority::{Verdict, judge};
use crate::status::Status;
use crate::view::MessageMeta;

/// Deliveries that fit in one outbox, so that a long backlog cannot make it grow. Few enough that what was read to decide
/// is still in the processor's caches when it is delivered.
pub(crate) const MAX_DELIVERIES: u32 = 1024;
/// Bytes of messages that one outbox may name.
pub(crate) const MAX_DELIVERED_BYTES: u64 = 8 * 1024 * 1024;

/// The message whose turn it is.
#[derive(Debug, Clone, Copy)]
struct Candidate {
    meta: MessageMeta,
    /// Deliveries before this one; 0 for a new message.
    delivered_before: u32,
    is_new: bool,
}

/// Why nothing can be delivered now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum WaitFor {
    /// Nobody wants a message, or a message nobody who waits may have.
    Clients,
    /// `max_ack_pending` is reached.
    Acks,
    /// Everything stored was delivered.
    Messages,
    /// Rate limit or original replay.
    Time(Timestamp),
}

/// Who gets the message.
enum Recipient {
    Subject,
    Request {
        index: SubjectIndex,
        pin_id: Option<SubjectIndex>,
    },
}

impl Consumer {
    /// Delivers what may be delivered now. To be called after events, and when messages became visible.
    pub fn dispatch(&mut self, ctx: &mut Context<'_>) -> Dispatched {
        self.refresh_interest(ctx);
        self.held_until = None;
        let wait = loop {
            if ctx.out.deliveries >= MAX_DELIVERIES
                || ctx.out.delivered_bytes >= MAX_DELIVERED_BYTES
            {
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
    fn size(&self, meta: &MessageMeta, numbers: &AckNumbers) -> u64 {
        let payload = if self.config.headers_only {
            0
        } else {
            u64::from(meta.payload_len)
        };
        let header = if self.config.headers_only {
            headers_only_len(meta)
        } else {
            u64::from(meta.header_len)
        };
        u64::from(meta.subject_len)
            + header
            + payload
            + self.identity.ack_prefix.written_len(numbers) as u64
    }

    /// The message whose turn it is: redeliveries first, then the skip list, then the stream.
    #[inline]
    fn next_candidate(&mut self, ctx: &mut Context<'_>) -> Result<Candidate, WaitFor> {
        self.num_pending
            .refresh(ctx.view, &self.rules.filter, self.next);
        if self.state.pending.queued() > 0
            && let Some(candidate) = self.next_redelivery(ctx)
        {
            return Ok(candidate);
        }
        if self.state.pending.len() >= self.rules.max_ack_pending {
            return Err(WaitFor::Acks);
        }
        let meta = if self.state.skip_list.is_some() {
            match self.next_of_skip_list(ctx) {
                Some(meta) => Some(meta),
                None => ctx.view.next_match(self.next, &self.rules.filter),
            }
        } else {
            ctx.view.next_match(self.next, &self.rules.filter)
        };
        match meta {
            Some(meta) => Ok(Candidate {
                meta,
                delivered_before: 0,
                is_new: true,
            }),
            None => {
                let last = ctx.view.last_seq();
                self.next = self.next.max(last.next());
                self.num_pending.at_end(last);
                Err(WaitFor::Messages)
            }
        }
    }

    fn next_redelivery(&mut self, ctx: &mut Context<'_>) -> Option<Candidate> {
        while let Some(message) = self.redelivery.peek(&self.state.pending).copied() {
            let seq = message.stream_seq;
            if message.deliveries >= self.rules.max_deliver {
                self.exhaust(seq, ctx);
                continue;
            }
            if let Some(meta) = ctx.view.meta(seq) {
                return Some(Candidate {
                    meta,
                    delivered_before: message.deliveries,
                    is_new: false,
                });
            }
            self.drop_removed(seq, RemovedBy::Limit, ctx);
        }
        None
    }

    fn next_of_skip_list(&mut self, ctx: &mut Context<'_>) -> Option<MessageMeta> {
        while let Some(list) = &mut self.state.skip_list {
            if let Some(seq) = list.seqs.front().copied() {
                if let Some(meta) = ctx.view.meta(seq) {
                    return Some(meta);
                }
                list.seqs.pop_front();
                self.num_pending.take();
            }
            if list.seqs.is_empty() {
                self.next = self.next.max(list.resume.next());
                self.state.skip_list = None;
            }
        }
        None
    }

    /// Finds the waiting request that gets this message, and charges it. Ends requests that cannot be served.
    #[inline]
    fn choose_request(
        &mut self,
        meta: &MessageMeta,
        numbers: &AckNumbers,
        ctx: &mut Context<'_>,
    ) -> Option<Recipient> {
        let Mode::Pull(pull) = &self.mode else {
            return None;
        };
        let mut passed_over = 0;
        let may_pass_over = pull.queue.len();
        let mut size = None;
        loop {
            let Mode::Pull(pull) = &mut self.mode else {
                return None;
            };
            let request = pull.queue.front()?;
            if request.is_expired(ctx.now) {
                self.end_first_request(Status::RequestTimeout, ctx);
                continue;
            }
            let mut new_pin = false;
            if self.rules.priority != PriorityPolicy::None {
                let pending = numbers.pending + 1;
                let ack_pending = self.state.pending.len();
                let asked = request.priority.as_deref();
                match judge(self.rules.priority, asked, &pull.pin, pending, ack_pending) {
                    Verdict::Serve => {}
                    Verdict::Pin => new_pin = true,
                    Verdict::PassOver => {
                        pull.queue.cycle();
                        passed_over += 1;
                        if passed_over >= may_pass_over.min(pull.queue.len()) {
                            return None;
                        }
                        continue;
                    }
                    Verdict::WrongPin => {
                        self.end_first_request(Status::WrongPinId, ctx);
                        continue;
                    }
                }
            }
            if request.bytes > 0 && size.is_none() {
                size = Some(self.size(meta, numbers));
                continue;
            }
            let generation = ctx.interest.generation();
            if request.interest_generation != Some(generation) {
                if !ctx.interest.has_interest(&request.reply) {
                    self.drop_first_request(ctx);
                    continue;
                }
                request.interest_generation = Some(generation);
            }
            if let Some(size) = size.filter(|_| request.bytes > 0) {
                let size = i64::try_from(size).unwrap_or(i64::MAX);
                if size > request.bytes {
                    self.end_first_request(Status::MessageSizeExceedsMaxBytes, ctx);
                    continue;
                }
                request.bytes -= size;
                if request.bytes == 0 {
                    request.wanted = 1;
                }
            }
            if request.heartbeat_at.is_some() {
                request.heartbeat_at = Some(ctx.now.saturating_add(request.heartbeat));
            }
            let index = request.subject(ctx.out);
            if new_pin {
                self.pin_first_request(ctx);
            }
            let pin_id = self.current_pin_id(ctx);
            return Some(Recipient::Request { index, pin_id });
        }
    }

    /// Makes the client of the first request the pinned one.
    fn pin_first_request(&mut self, ctx: &mut Context<'_>) {
        let ttl = self.config.pinned_ttl;
        let Mode::Pull(pull) = &mut self.mode else {
            return;
        };
        let Some(asked) = pull
            .queue
            .front()
            .and_then(|request| request.priority.as_mut())
        else {
            return;
        };
        pull.pin.assign(&asked.group, ttl, ctx.now, &mut self.rng);
        if let Some(pinned) = pull.pin.current() {
            asked.id.clone_from(&pinned.id);
            ctx.out.advise(Advisory::Pinned {
                group: pinned.group.clone(),
                pinned_id: pinned.id.clone(),
            });
        }
    }

    /// The pin that a delivery names, which is empty while nobody has it (observed nats-server 2.15.1).
    fn current_pin_id(&self, ctx: &mut Context<'_>) -> Option<SubjectIndex> {
        if self.rules.priority != PriorityPolicy::PinnedClient {
            return None;
        }
        let pinned = self.pull()?.pin.current();
        Some(
            ctx.out
                .intern_pin_id(pinned.map_or("", |pinned| &pinned.id)),
        )
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
        if self.identity.retention == RetentionPolicy::Limits {
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
