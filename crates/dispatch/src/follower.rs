//! A stream that follows another one: its side of the consumer that the origin makes for it (mirrors and sources).
//!
//! A [`Follower`] asks the origin for a push consumer behind what the stream has, checks that nothing is missing in what
//! comes, and starts over behind the last stored message when something is, when the origin falls silent, or when it refuses.
//! It knows no store and no subjects but those of the exchange; the runtime feeds it answers, messages and time, and runs its
//! [`FollowerCommand`]s. What it holds in memory is rebuilt from the stream at each start: the position of a mirror is
//! the mirror's last sequence, that of a source is kept by the stream with its messages.
//!
//! ```text
//!              on_time                    on_answer
//!   Waiting -------------> Asked ------------------------> Following
//!      ^                     |                                 |
//!      |   refused, late     |     gap, refusal, silence       |
//!      +---------------------+---------------------------------+
//! ```
//!
//! Times and wire forms are those observed on nats-server 2.15.1.

mod answer;
mod inbound;
mod plan;
mod request;
#[cfg(test)]
mod tests;

use jetsled_jetstream_api::{ApiError, ConsumerSeq, Nanos, StreamSeq, Timestamp};
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};

pub use answer::Answer;
pub use inbound::{Inbound, Verdict};
pub use plan::{FollowKind, FollowPlan};
pub use request::{FollowRequest, delete_request};

use request::Level;

/// Follows one origin.
#[derive(Debug)]
pub struct Follower {
    plan: FollowPlan,
    phase: Phase,
    /// The origin's last sequence that is stored here, or that was passed without a message for us.
    position: StreamSeq,
    /// The origin's last sequence that is stored here.
    stored: StreamSeq,
    /// The consumer's last sequence that was seen.
    delivered: ConsumerSeq,
    /// The origin's identity when the position was taken; empty if it is not known.
    identity: String,
    /// The origin was made anew: what it has is copied from its start.
    recreated: bool,
    /// Refusals since the last success.
    failures: u32,
    asked_at: Option<Timestamp>,
    heard_at: Option<Timestamp>,
    /// How many requests there were; an answer to an older one is late.
    requests: u64,
    lag: u64,
    error: Option<ApiError>,
    rng: SmallRng,
}

#[derive(Debug)]
enum Phase {
    /// Asks at this time.
    Waiting {
        until: Timestamp,
        /// It listens on the deliver subject of a durable consumer that did not answer: a sign of life ends the wait.
        probing: bool,
    },
    /// Waits for the answer to a request.
    Asked { level: Level, give_up_at: Timestamp },
    /// Messages come from this consumer.
    Following { consumer: Box<[u8]> },
}

/// How a follower keeps up; [`FollowPlan::info`] makes stream info of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FollowStatus {
    /// How many messages are still to be copied.
    pub lag: u64,
    /// The origin's last sequence that is stored here.
    pub stored: StreamSeq,
    /// Whether the origin was asked yet.
    pub asked: bool,
    /// When the origin was last heard of.
    pub heard_at: Option<Timestamp>,
    /// Why it can not follow.
    pub error: Option<ApiError>,
}

/// What the following stream has.
#[derive(Clone, Copy, Debug)]
pub struct Tail {
    /// How many messages it holds.
    pub messages: u64,
    /// Its first sequence; one past the last when empty.
    pub first: StreamSeq,
    /// Its last sequence; zero if it was never used.
    pub last: StreamSeq,
    /// When that was stored; unset in a new stream.
    pub last_time: Timestamp,
}

/// What a follower wants done, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FollowerCommand {
    /// Send a request; its answer is for [`Follower::on_answer`].
    Ask(FollowRequest),
    /// Listen on the deliver subject, and nowhere else. It may be the one already listened on.
    Listen(String),
    /// Listen nowhere.
    Silence,
    /// Once everything stored so far is durable, answer a flow control request with how far it is.
    Confirm {
        /// The subject to answer to.
        reply: Box<[u8]>,
        /// The last sequence of the consumer.
        consumer_seq: ConsumerSeq,
        /// The last sequence of the origin.
        stream_seq: StreamSeq,
    },
    /// Send an empty message: the origin thinks that flow control is stuck.
    Unstall(Box<[u8]>),
    /// Use up sequences to this one without messages: there are none below in the origin. Mirrors only.
    SkipTo(StreamSeq),
    /// Tell the operator that the origin was made anew and is copied from its start.
    Recreated,
    /// Tell the operator why the origin refused.
    Refused(ApiError),
}

impl Follower {
    /// A follower that asks soon. `position` and `identity` are how far a source was copied; a mirror finds its own from its
    /// [`Tail`].
    #[must_use]
    pub fn new(
        plan: FollowPlan,
        position: StreamSeq,
        identity: &str,
        now: Timestamp,
        seed: u64,
    ) -> Self {
        let mut rng = SmallRng::seed_from_u64(seed);
        let until = now.saturating_add(jitter(&mut rng));
        Self {
            plan,
            phase: Phase::Waiting {
                until,
                probing: false,
            },
            position,
            stored: position,
            delivered: ConsumerSeq(0),
            identity: identity.to_owned(),
            recreated: false,
            failures: 0,
            asked_at: None,
            heard_at: None,
            requests: 0,
            lag: 0,
            error: None,
            rng,
        }
    }

    /// What it follows, and for whom.
    #[must_use]
    pub fn plan(&self) -> &FollowPlan {
        &self.plan
    }

    /// The origin's identity, as far as it is known.
    #[must_use]
    pub fn identity(&self) -> &str {
        &self.identity
    }

    /// The number of the last request, for [`Follower::on_answer`].
    #[must_use]
    pub fn requests(&self) -> u64 {
        self.requests
    }

    /// Whether it waits for an answer.
    #[must_use]
    pub fn is_asking(&self) -> bool {
        matches!(self.phase, Phase::Asked { .. })
    }

    /// How it keeps up.
    #[must_use]
    pub fn status(&self) -> FollowStatus {
        FollowStatus {
            lag: self.lag,
            stored: self.stored,
            asked: self.asked_at.is_some(),
            heard_at: self.heard_at,
            error: self.error.clone(),
        }
    }

    /// When [`Follower::on_time`] has something to do, if nothing else happens.
    #[must_use]
    pub fn next_wake(&self) -> Timestamp {
        match &self.phase {
            Phase::Waiting { until, .. } => *until,
            Phase::Asked { give_up_at, .. } => *give_up_at,
            Phase::Following { .. } => self
                .heard_at
                .map_or(Timestamp::EPOCH, |at| at.saturating_add(SILENCE)),
        }
    }

    /// The time asked for by [`Follower::next_wake`] has come. Harmless at any other time.
    pub fn on_time(&mut self, tail: &Tail, now: Timestamp, out: &mut Vec<FollowerCommand>) {
        if self.next_wake() > now {
            return;
        }
        match &self.phase {
            Phase::Waiting { probing, .. } => {
                if *probing {
                    out.push(FollowerCommand::Silence);
                }
                self.ask(Level::newest(self.plan.kind), tail, now, out);
            }
            Phase::Asked { .. } => {
                self.failures += 1;
                self.start_over(now, out);
                if let Some(consumer) = &self.plan.source.consumer {
                    out.push(FollowerCommand::Listen(consumer.deliver_subject.clone()));
                    self.phase = Phase::Waiting {
                        until: self.next_wake(),
                        probing: true,
                    };
                }
            }
            Phase::Following { .. } => self.start_over(now, out),
        }
    }

    /// A message that it let through is in the stream now. Duplicates and messages without interest are not.
    pub fn on_stored(&mut self, seq: StreamSeq) {
        self.stored = seq;
    }

    /// A message that it let through could not be stored: it is asked for again.
    pub fn on_refused(&mut self, seq: StreamSeq, now: Timestamp, out: &mut Vec<FollowerCommand>) {
        self.position = seq.previous();
        self.start_over(now, out);
    }

    /// What was stored of late is lost: `position` is how far the stream has copied after all.
    pub fn on_lost(&mut self, position: StreamSeq, now: Timestamp, out: &mut Vec<FollowerCommand>) {
        self.position = position;
        self.start_over(now, out);
    }

    fn ask(&mut self, level: Level, tail: &Tail, now: Timestamp, out: &mut Vec<FollowerCommand>) {
        if self.plan.kind == FollowKind::Mirror {
            self.position = tail.last;
        }
        let (request, deliver_subject) = self.request(level, tail);
        self.requests += 1;
        self.asked_at = Some(now);
        self.error = None;
        let patience = if self.plan.source.consumer.is_some() {
            RESET_PATIENCE
        } else {
            CREATE_PATIENCE
        };
        self.phase = Phase::Asked {
            level,
            give_up_at: now.saturating_add(patience),
        };
        // The consumer delivers at once if anybody else listens there.
        out.extend(deliver_subject.map(FollowerCommand::Listen));
        out.push(FollowerCommand::Ask(request));
    }

    /// Leaves the consumer and asks for a new one soon.
    fn start_over(&mut self, now: Timestamp, out: &mut Vec<FollowerCommand>) {
        out.push(FollowerCommand::Silence);
        self.wait(now);
    }

    /// Not sooner than two seconds after the last request, later with each failure, never exactly then.
    fn wait(&mut self, now: Timestamp) {
        let since = self.asked_at.map_or(BETWEEN_REQUESTS, |at| now.since(at));
        let left = BETWEEN_REQUESTS.get() - since.get().clamp(0, BETWEEN_REQUESTS.get());
        let backoff =
            (PER_FAILURE.get() * i64::from(self.failures.min(100))).min(MOST_BACKOFF.get());
        let pause = Nanos(left + backoff + jitter(&mut self.rng).get());
        self.phase = Phase::Waiting {
            until: now.saturating_add(pause),
            probing: false,
        };
    }
}

fn jitter(rng: &mut SmallRng) -> Nanos {
    Nanos(rng.random_range(100_000_000..200_000_000))
}

/// Without a sign of life for so long the consumer is taken for gone.
const SILENCE: Nanos = Nanos::from_secs(10);
const BETWEEN_REQUESTS: Nanos = Nanos::from_secs(2);
const PER_FAILURE: Nanos = Nanos::from_secs(10);
const MOST_BACKOFF: Nanos = Nanos::from_secs(120);
const CREATE_PATIENCE: Nanos = Nanos::from_secs(30);
const RESET_PATIENCE: Nanos = Nanos::from_secs(5);
