//! What happens by itself as time passes.

use jetsled_jetstream_api::{AckPolicy, StreamSeq, Timestamp};

use crate::consumer::{Consumer, Mode};
use crate::delivery::AtEnd;
use crate::event::Context;
use crate::outbox::{Advisory, Command, UnpinReason};
use crate::redelivery::in_hand_until;
use crate::status::Status;

impl Consumer {
    /// The time asked for by [`Consumer::next_wake`] has come. Harmless at any other time. To be followed by
    /// [`Consumer::dispatch`].
    pub fn on_time(&mut self, ctx: &mut Context<'_>) {
        let now = ctx.now;
        let is_due = |at: Option<Timestamp>| at.is_some_and(|at| at <= now);
        if is_due(self.paused_until)
            && let Some(until) = self.paused_until.take()
        {
            ctx.out.advise(Advisory::Resumed { until });
        }
        if is_due(self.redelivery.check_at()) {
            self.check_ack_timers(false, ctx);
        }
        match &self.mode {
            Mode::Pull(pull) => {
                let lapsed = is_due(pull.pin.current().map(|pinned| pinned.lapses_at));
                if is_due(pull.queue.wake_at()) {
                    // Requests that do not wait have waited long enough for acks, too (observed nats-server 2.15.1).
                    self.review_requests(AtEnd::Yes, ctx);
                }
                if lapsed {
                    self.release_pin(UnpinReason::Timeout, ctx);
                }
            }
            Mode::Push(push) => {
                if is_due(push.heartbeat_at) {
                    self.push_heartbeat(ctx);
                }
            }
        }
        if is_due(self.inactivity.due_at()) {
            self.check_inactivity(ctx);
        }
        self.validate_in_debug();
    }

    /// When [`Consumer::on_time`] has something to do, if nothing else happens.
    pub fn next_wake(&self) -> Option<Timestamp> {
        let of_mode = match &self.mode {
            Mode::Pull(pull) => [
                pull.queue.wake_at(),
                pull.pin.current().map(|pinned| pinned.lapses_at),
            ],
            Mode::Push(push) => [push.heartbeat_at, None],
        };
        [
            self.paused_until,
            self.held_until,
            self.redelivery.check_at(),
            self.inactivity.due_at(),
        ]
        .into_iter()
        .chain(of_mode)
        .flatten()
        .min()
    }

    /// Queues messages whose ack is late, or all that are pending; those without deliveries left are exhausted.
    pub(crate) fn check_ack_timers(&mut self, all: bool, ctx: &mut Context<'_>) {
        let mut exhausted = std::mem::take(&mut ctx.out.scratch);
        exhausted.clear();
        let max_deliver = self.rules.max_deliver;
        self.redelivery.check(
            &mut self.state.pending,
            &self.rules,
            ctx.now,
            all,
            |message| {
                if message.deliveries >= max_deliver {
                    exhausted.push(message.stream_seq);
                }
            },
        );
        for seq in &exhausted {
            self.exhaust(*seq, ctx);
        }
        ctx.out.scratch = exhausted;
    }

    fn push_heartbeat(&mut self, ctx: &mut Context<'_>) {
        let status = self.heartbeat_status();
        let acks_by_flow = self.rules.ack_policy == AckPolicy::FlowControl;
        let has_pending = !self.state.pending.is_empty();
        let Mode::Push(push) = &mut self.mode else {
            return;
        };
        push.restart_heartbeat(ctx.now);
        if !push.active {
            return;
        }
        ctx.out.tell(push.subject.clone(), status);
        let is_asked = push
            .flow_control
            .as_ref()
            .is_some_and(|flow| flow.is_asked());
        if acks_by_flow && has_pending && !is_asked {
            self.ask_for_flow_control(ctx);
        }
    }

    /// What a heartbeat says now.
    pub(crate) fn heartbeat_status(&self) -> Status {
        let stalled = match &self.mode {
            Mode::Push(push) => push
                .flow_control
                .as_ref()
                .and_then(|flow| flow.asked())
                .cloned(),
            Mode::Pull(_) => None,
        };
        Status::IdleHeartbeat {
            last_consumer: self.state.delivered.consumer,
            last_stream: self.next.previous().max(StreamSeq(0)),
            stalled,
        }
    }

    /// Deletes the consumer if nobody uses it any more, or finds out when to look again.
    fn check_inactivity(&mut self, ctx: &mut Context<'_>) {
        let now = ctx.now;
        if let Some(over_at) = self.in_use_until(ctx).filter(|over_at| *over_at > now) {
            self.inactivity.look_again_at(over_at);
            return;
        }
        if let Mode::Push(push) = &self.mode
            && push.active
        {
            self.inactivity.stop();
            return;
        }
        ctx.out.push(Command::DeleteInactive);
        self.inactivity.start(now);
    }

    /// When the last use is a threshold ago: a request, a delivery, an ack; of a pull consumer also a request that waits or expired and
    /// a message that somebody may still work on.
    fn in_use_until(&mut self, ctx: &mut Context<'_>) -> Option<Timestamp> {
        let over_at = self.inactivity.over_at()?;
        if over_at > ctx.now {
            return Some(over_at);
        }
        self.pull()?;
        self.review_requests(AtEnd::Yes, ctx);
        if self.pull().is_some_and(|pull| !pull.queue.is_empty()) {
            return self.inactivity.over_after(ctx.now);
        }
        let has_timer = |at: &Timestamp| *at < Timestamp(i64::MAX);
        let rules = &self.rules;
        let last = self
            .state
            .pending
            .iter()
            .map(|m| in_hand_until(m, rules))
            .filter(has_timer)
            .max()?;
        self.inactivity.over_after(last)
    }
}
