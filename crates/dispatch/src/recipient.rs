//! Who gets a message: the deliver subject, or one of the requests that wait.

use jetsled_jetstream_api::{AckNumbers, PriorityPolicy};

use crate::consumer::{Consumer, Mode};
use crate::event::Context;
use crate::outbox::{Advisory, SubjectIndex};
use crate::priority::{Verdict, judge};
use crate::status::Status;
use crate::view::MessageMeta;

/// Who gets the message.
pub(crate) enum Recipient {
    Subject,
    Request {
        index: SubjectIndex,
        pin_id: Option<SubjectIndex>,
    },
}

impl Consumer {
    /// Finds the waiting request that gets this message, and charges it. Ends requests that cannot be served.
    #[inline]
    pub(crate) fn choose_request(
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
            if let Some(expires) = request.expires.filter(|at| *at <= ctx.now) {
                self.inactivity.waited_until(expires);
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
        let ttl = self.rules.rare().pinned_ttl;
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
        pull.pin
            .assign(&asked.group, ttl, ctx.now, &mut self.random.rng());
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
}
