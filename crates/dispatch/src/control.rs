//! What operators and the runtime ask of a consumer: interest, flow control answers, pause, unpin, reset, the end.

use bytes::Bytes;
use jetsled_jetstream_api::{AckPolicy, ConsumerSeq, StreamSeq, Timestamp};

use crate::consumer::{Consumer, Mode};
use crate::error::ResetError;
use crate::event::Context;
use crate::outbox::{Advisory, UnpinReason};
use crate::priority::random_text;
use crate::rules::Resets;
use crate::status::Status;

impl Consumer {
    /// Somebody subscribed to or left the deliver subject of a push consumer. Pull consumers do not need it.
    pub fn on_interest_changed(&mut self, ctx: &mut Context<'_>) {
        self.refresh_interest(ctx);
    }

    #[inline]
    pub(crate) fn refresh_interest(&mut self, ctx: &mut Context<'_>) {
        if let Mode::Push(push) = &mut self.mode {
            push.refresh_interest(ctx.interest);
            if push.active {
                self.inactivity.stop();
            } else if !self.inactivity.is_running() {
                self.inactivity.start(ctx.now);
            }
        }
    }

    /// Somebody published to a flow control subject `$JS.FC.<stream>.<consumer>.<id>`; `processed` are the headers
    /// `Nats-Last-Consumer` and `Nats-Last-Stream` of that message.
    pub fn on_flow_control_reply(
        &mut self,
        subject: &[u8],
        processed: Option<(ConsumerSeq, StreamSeq)>,
        ctx: &mut Context<'_>,
    ) {
        let Mode::Push(push) = &mut self.mode else {
            return;
        };
        let answered = push
            .flow_control
            .as_mut()
            .is_some_and(|flow| flow.answer(subject));
        if !answered || self.rules.ack_policy != AckPolicy::FlowControl {
            return;
        }
        if let Some((consumer_seq, stream_seq)) = processed
            && !stream_seq.is_zero()
        {
            self.ack_through(stream_seq, consumer_seq, ctx);
        }
        self.validate_in_debug();
    }

    pub(crate) fn ask_for_flow_control(&mut self, ctx: &mut Context<'_>) {
        if let Mode::Push(push) = &mut self.mode
            && let Some(flow) = &mut push.flow_control
        {
            let id = random_text(&mut self.random.rng(), 4);
            let reply = Bytes::from(self.identity.ack_prefix.flow_control_subject(&id));
            flow.ask(reply.clone());
            let status = Status::FlowControlRequest { reply };
            ctx.out.tell(push.subject.clone(), status);
        }
    }

    /// The PAUSE API with a `pause_until` that differs from the configuration's: no deliveries before it; `None` or a past time
    /// resumes.
    pub fn pause(&mut self, until: Option<Timestamp>, ctx: &mut Context<'_>) {
        self.paused_until = until.filter(|until| *until > ctx.now);
        let advisory = match self.paused_until {
            Some(until) => Advisory::Paused { until },
            None => Advisory::Resumed {
                until: until.unwrap_or_default(),
            },
        };
        ctx.out.advise(advisory);
    }

    /// The UNPIN API; the caller has checked that `group` is one of the consumer's.
    pub fn unpin(&mut self, group: &str, ctx: &mut Context<'_>) {
        if let Mode::Pull(pull) = &mut self.mode {
            pull.pin.release();
            ctx.out.advise(Advisory::Unpinned {
                group: group.to_owned(),
                reason: UnpinReason::Admin,
            });
        }
    }

    pub(crate) fn release_pin(&mut self, reason: UnpinReason, ctx: &mut Context<'_>) {
        if let Mode::Pull(pull) = &mut self.mode
            && let Some(pinned) = pull.pin.release()
        {
            ctx.out.advise(Advisory::Unpinned {
                group: pinned.group,
                reason,
            });
        }
    }

    /// The RESET API: `seq` zero goes back to the ack floor. Returns the next stream sequence. On streams with interest
    /// retention the caller looks for messages that are no longer [needed](Consumer::needs).
    ///
    /// # Errors
    /// When the deliver policy forbids it (error 10204).
    pub fn reset(
        &mut self,
        seq: StreamSeq,
        ctx: &mut Context<'_>,
    ) -> Result<StreamSeq, ResetError> {
        let next = if seq.is_zero() {
            self.state.ack_floor.stream.next()
        } else {
            self.check_reset(seq, ctx)?;
            seq
        };
        self.restart_at(next, ctx);
        self.validate_in_debug();
        Ok(next)
    }

    /// Forgets what was delivered and goes on with `next`.
    pub(crate) fn restart_at(&mut self, next: StreamSeq, ctx: &mut Context<'_>) {
        self.begin_at(next, ctx);
        self.redelivery.clear();
        self.held_until = None;
        self.recount(ctx);
    }

    fn check_reset(&self, seq: StreamSeq, ctx: &mut Context<'_>) -> Result<(), ResetError> {
        match self.rules.resets {
            Resets::NotBelow(start) if seq < start => Err(ResetError::BelowStartSeq),
            Resets::NotBefore(time) if seq < ctx.view.seq_for_time(time) => {
                Err(ResetError::BelowStartTime)
            }
            Resets::Anywhere | Resets::NotBelow(_) | Resets::NotBefore(_) => Ok(()),
            Resets::Nowhere => Err(ResetError::NotAllowed),
        }
    }

    /// The consumer or its stream is deleted: tells those who wait.
    pub fn on_delete(&mut self, ctx: &mut Context<'_>) {
        self.end_all_requests(|_| Status::ConsumerDeleted, ctx);
    }

    /// The server stops: tells those who wait.
    pub fn on_shutdown(&mut self, ctx: &mut Context<'_>) {
        self.end_all_requests(Status::ServerShutdown, ctx);
    }
}
