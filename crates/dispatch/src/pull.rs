//! Pull requests: their checks on arrival, and their end.

use jetsled_jetstream_api::{Nanos, PriorityPolicy, PullPriority, PullRequest as Wanted};

use crate::consumer::{Consumer, Mode, Pull};
use crate::delivery::AtEnd;
use crate::event::{Context, PullEvent};
use crate::pull_queue::{Keep, PullRequest};
use crate::status::{Status, Unserved};

impl Consumer {
    /// A pull request came in.
    pub fn on_pull(&mut self, pull: PullEvent<'_>, ctx: &mut Context<'_>) {
        match self.admit(&pull, ctx) {
            Ok(request) => self.enqueue(request),
            Err(Refusal::Status(status)) => {
                ctx.out.tell(pull.reply, status);
            }
            Err(Refusal::Silent) => {}
        }
        self.validate_in_debug();
    }

    /// Checks a request in nats-server's order and makes it one that waits.
    fn admit(
        &mut self,
        pull: &PullEvent<'_>,
        ctx: &mut Context<'_>,
    ) -> Result<PullRequest, Refusal> {
        if matches!(self.mode, Mode::Push(_)) {
            return Err(Status::PushBased.into());
        }
        if pull.api_level_too_high {
            return Err(Status::RequiredApiLevel.into());
        }
        let wanted = Wanted::parse(pull.payload).map_err(bad_request)?;
        if wanted.heartbeat > Nanos::ZERO
            && wanted.heartbeat.get().saturating_mul(2) > wanted.expires.get()
        {
            return Err(bad_request("heartbeat value too large"));
        }
        self.check_limits(&wanted)?;
        if let Some(asked) = &wanted.priority {
            self.check_priority(asked, ctx)?;
        }
        self.inactivity.touch(ctx.now);
        self.make_room(ctx);
        if wanted.no_wait {
            self.check_no_wait(&wanted, ctx)?;
        }
        if self.pull().is_some_and(|pull| pull.queue.is_full()) {
            // A client with heartbeats finds out by their absence; a status would make it ask again at once.
            return Err(match wanted.heartbeat {
                Nanos::ZERO => Refusal::Status(Status::ExceededMaxWaiting),
                _ => Refusal::Silent,
            });
        }
        let in_group = self.rules.priority != PriorityPolicy::None;
        Ok(PullRequest {
            reply: pull.reply.clone(),
            wanted: wanted.batch,
            delivered: 0,
            bytes: wanted.max_bytes,
            expires: (!wanted.expires.is_zero()).then(|| ctx.now.saturating_add(wanted.expires)),
            heartbeat: wanted.heartbeat,
            heartbeat_at: (wanted.heartbeat > Nanos::ZERO)
                .then(|| ctx.now.saturating_add(wanted.heartbeat)),
            no_wait: wanted.no_wait,
            imported: pull.imported,
            priority: wanted.priority.filter(|_| in_group).map(Box::new),
            interest_generation: None,
            interned: None,
        })
    }

    fn enqueue(&mut self, request: PullRequest) {
        if let Mode::Pull(pull) = &mut self.mode {
            pull.queue.push(request);
        }
    }

    fn check_limits(&self, wanted: &Wanted) -> Result<(), Refusal> {
        let above = |value: i64, limit: i64| limit > 0 && value > limit;
        let rare = self.rules.rare();
        if above(wanted.batch, rare.max_request_batch) {
            return Err(Status::ExceededMaxRequestBatch(rare.max_request_batch).into());
        }
        let max_expires = rare.max_request_expires;
        if max_expires > Nanos::ZERO && wanted.expires > max_expires {
            return Err(Status::ExceededMaxRequestExpires(max_expires).into());
        }
        if above(wanted.max_bytes, rare.max_request_max_bytes) {
            return Err(Status::ExceededMaxRequestMaxBytes(rare.max_request_max_bytes).into());
        }
        Ok(())
    }

    fn check_priority(&mut self, asked: &PullPriority, ctx: &Context<'_>) -> Result<(), Refusal> {
        let policy = self.rules.priority;
        if (asked.min_pending != 0 || asked.min_ack_pending != 0)
            && policy != PriorityPolicy::Overflow
        {
            return Err(bad_request("Not a Overflow Priority consumer"));
        }
        if !asked.id.is_empty() && policy != PriorityPolicy::PinnedClient {
            return Err(bad_request("Not a Pinned Client Priority consumer"));
        }
        if !(0..=9).contains(&asked.priority) {
            return Err(bad_request("Priority must be between 0 and 9"));
        }
        if policy == PriorityPolicy::None {
            return Ok(());
        }
        if asked.group.is_empty() {
            return Err(bad_request("Priority Group missing"));
        }
        if !self.rules.rare().priority_groups.contains(&asked.group) {
            return Err(bad_request("Invalid Priority Group"));
        }
        let ttl = self.rules.rare().pinned_ttl;
        if let Mode::Pull(Pull { pin, .. }) = &mut self.mode
            && let Some(pinned) = pin.current()
        {
            if pinned.id == asked.id {
                pin.renew(ttl, ctx.now);
            } else if !asked.id.is_empty() {
                return Err(Status::PinIdMismatch.into());
            }
        }
        Ok(())
    }

    /// When the queue is full, looks for requests that are over, at most once a second.
    fn make_room(&mut self, ctx: &mut Context<'_>) {
        let Mode::Pull(pull) = &self.mode else {
            return;
        };
        let lately = pull
            .reviewed_at
            .is_some_and(|reviewed_at| ctx.now.since(reviewed_at) <= Nanos::from_secs(1));
        if pull.queue.is_full() && !lately {
            self.review_requests(AtEnd::No, ctx);
        }
    }

    /// A request that does not wait is refused when nothing is there, or others already want it all.
    fn check_no_wait(&mut self, wanted: &Wanted, ctx: &mut Context<'_>) -> Result<(), Refusal> {
        self.num_pending
            .refresh(ctx.view, &self.rules.filter, self.next);
        let available = self.num_pending.get() + self.state.pending.queued() as u64;
        if available == 0 {
            return if wanted.expires.is_zero() {
                Err(Status::NoMessages.into())
            } else {
                Ok(())
            };
        }
        self.review_requests(AtEnd::No, ctx);
        if self
            .pull()
            .is_some_and(|pull| u64::try_from(pull.queue.wanted()).is_ok_and(|all| available < all))
        {
            return Err(Status::RequestsPending.into());
        }
        Ok(())
    }

    /// Looks at every waiting request: ends those that are over, drops those nobody listens to, sends heartbeats.
    pub(crate) fn review_requests(&mut self, at_end: AtEnd, ctx: &mut Context<'_>) {
        let heartbeat = self.heartbeat_status();
        let Mode::Pull(pull) = &mut self.mode else {
            return;
        };
        pull.reviewed_at = Some(ctx.now);
        let inactivity = &mut self.inactivity;
        let (interest, now, out) = (ctx.interest, ctx.now, &mut *ctx.out);
        let generation = interest.generation();
        pull.queue.review(|request| {
            let mut tell = |request: &PullRequest, status| {
                out.tell(request.reply.clone(), status);
            };
            if request.is_expired(now) {
                tell(request, Status::RequestTimeout(request.unserved()));
                if let Some(expires) = request.expires {
                    inactivity.waited_until(expires);
                }
                return Keep::No;
            }
            let one_shot_is_over = request.expires.is_none() || request.delivered > 0;
            if at_end == AtEnd::Yes && request.no_wait && one_shot_is_over {
                tell(request, Status::NoMessages);
                return Keep::No;
            }
            if request.interest_generation != Some(generation) {
                if !interest.has_interest(&request.reply) {
                    if request.imported {
                        tell(request, Status::InterestExpired(request.unserved()));
                    }
                    return Keep::No;
                }
                request.interest_generation = Some(generation);
            }
            if request.heartbeat_at.is_some_and(|at| at <= now) {
                tell(request, heartbeat.clone());
                request.heartbeat_at = Some(now.saturating_add(request.heartbeat));
            }
            Keep::Yes
        });
    }

    /// Ends the first waiting request with a status.
    pub(crate) fn end_first_request(
        &mut self,
        status: impl FnOnce(Unserved) -> Status,
        ctx: &mut Context<'_>,
    ) {
        if let Mode::Pull(pull) = &mut self.mode
            && let Some(request) = pull.queue.pop()
        {
            let status = status(request.unserved());
            ctx.out.tell(request.reply, status);
        }
    }

    /// Drops the first waiting request, whose reply subject lost its interest.
    pub(crate) fn drop_first_request(&mut self, ctx: &mut Context<'_>) {
        if let Mode::Pull(pull) = &mut self.mode
            && let Some(request) = pull.queue.pop()
            && request.imported
        {
            let status = Status::InterestExpired(request.unserved());
            ctx.out.tell(request.reply, status);
        }
    }

    /// Ends all waiting requests.
    pub(crate) fn end_all_requests(
        &mut self,
        status: impl Fn(Unserved) -> Status,
        ctx: &mut Context<'_>,
    ) {
        while self.pull().is_some_and(|pull| !pull.queue.is_empty()) {
            self.end_first_request(&status, ctx);
        }
    }

    pub(crate) fn pull(&self) -> Option<&Pull> {
        match &self.mode {
            Mode::Pull(pull) => Some(pull),
            Mode::Push(_) => None,
        }
    }
}

/// Why a request does not get to wait.
enum Refusal {
    Status(Status),
    Silent,
}

impl From<Status> for Refusal {
    fn from(status: Status) -> Self {
        Self::Status(status)
    }
}

fn bad_request(reason: impl Into<std::borrow::Cow<'static, str>>) -> Refusal {
    Refusal::Status(Status::BadRequest(reason.into()))
}
