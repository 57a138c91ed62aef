//! One consumer: its parts, and its life from creation or recovery through updates.

use std::sync::Arc;

use bytes::Bytes;
use jetsled_jetstream_api::{
    AckPolicy, ConsumerConfig, ConsumerSeq, Nanos, PriorityPolicy, ReplayPolicy, StreamSeq,
    Timestamp,
};
use jetsled_protocol::SubjectFilter;
use rand::RngExt;

use crate::checkpoint::{self, Unreadable};
use crate::error::RecoverError;
use crate::event::{ConsumerIdentity, Context, StreamIdentity};
use crate::inactivity::Inactivity;
use crate::num_pending::NumPending;
use crate::pace::Replay;
use crate::priority::Pin;
use crate::progress;
use crate::pull_queue::PullQueue;
use crate::push::Push;
use crate::random::Random;
use crate::redelivery::{Redelivery, deadline};
use crate::rules::Rules;
use crate::start::Start;
use crate::state::State;
use crate::varint::Damaged;

/// A consumer: what of its stream was delivered and acked, who waits for messages, and what happens when.
#[derive(Debug)]
pub struct Consumer {
    pub(crate) identity: ConsumerIdentity,
    pub(crate) rules: Rules,
    /// What survives a restart.
    pub(crate) state: State,
    /// Nothing between the last delivery and this sequence matches.
    pub(crate) next: StreamSeq,
    pub(crate) num_pending: NumPending,
    pub(crate) redelivery: Redelivery,
    pub(crate) mode: Mode,
    pub(crate) replay: Option<Box<Replay>>,
    /// Rate limit or replay hold the next message back until then.
    pub(crate) held_until: Option<Timestamp>,
    pub(crate) paused_until: Option<Timestamp>,
    pub(crate) inactivity: Inactivity,
    pub(crate) random: Random,
}

/// How messages get to clients.
#[derive(Debug)]
pub(crate) enum Mode {
    /// Clients ask.
    Pull(Pull),
    /// Messages go to the deliver subject.
    Push(Box<Push>),
}

/// The pull side of a consumer.
#[derive(Debug)]
pub(crate) struct Pull {
    pub(crate) queue: PullQueue,
    pub(crate) pin: Pin,
    /// When the whole queue was last looked through because it was full.
    pub(crate) reviewed_at: Option<Timestamp>,
}

impl Consumer {
    /// Creates a consumer of a valid configuration and finds where it starts. The progress in `ctx.out` must be logged
    /// like any other, after the configuration.
    ///
    /// `seed` feeds pin ids, flow control subjects, jitter and sampling.
    pub fn new(
        identity: ConsumerIdentity,
        seed: u64,
        config: &ConsumerConfig,
        ctx: &mut Context<'_>,
    ) -> Self {
        let state = State::new(config.ack_policy);
        let mut consumer = Self::with_state(identity, seed, config, state, ctx);
        consumer.start(config, ctx);
        consumer.refresh_interest(ctx);
        consumer
    }

    /// Rebuilds a consumer from its last checkpoint and the progress records logged after it, oldest first.
    ///
    /// A state ahead of the stream is clamped to it, and messages that are gone are no longer pending. Without any
    /// checkpoint or record the consumer starts as a new one.
    ///
    /// # Errors
    /// When the checkpoint or a record cannot be read.
    pub fn recover<'d>(
        identity: ConsumerIdentity,
        seed: u64,
        config: &ConsumerConfig,
        checkpoint: Option<&[u8]>,
        progress: impl IntoIterator<Item = &'d [u8]>,
        ctx: &mut Context<'_>,
    ) -> Result<Self, RecoverError> {
        let state = stored_state(identity.name(), config.ack_policy, checkpoint, progress)?;
        let started = state.is_some();
        let state = state.unwrap_or_else(|| State::new(config.ack_policy));
        let mut consumer = Self::with_state(identity, seed, config, state, ctx);
        if started {
            consumer.reconcile(ctx);
            consumer.rewind_sourcing(ctx);
        } else {
            consumer.start(config, ctx);
        }
        consumer.refresh_interest(ctx);
        Ok(consumer)
    }

    /// The checkpoint of a consumer that does not run: what [`Consumer::recover`] would have been given, in one piece. `None`
    /// if there was nothing.
    ///
    /// # Errors
    /// When the checkpoint or a record cannot be read.
    pub fn merge_checkpoint<'d>(
        name: &str,
        ack_policy: AckPolicy,
        checkpoint: Option<&[u8]>,
        progress: impl IntoIterator<Item = &'d [u8]>,
    ) -> Result<Option<Vec<u8>>, RecoverError> {
        let state = stored_state(name, ack_policy, checkpoint, progress)?;
        Ok(state.map(|state| {
            let mut bytes = Vec::new();
            checkpoint::encode(&state, &mut bytes);
            bytes
        }))
    }

    fn with_state(
        identity: ConsumerIdentity,
        seed: u64,
        config: &ConsumerConfig,
        state: State,
        ctx: &mut Context<'_>,
    ) -> Self {
        let mut random = Random::new(seed);
        let mode = if config.is_pull() {
            let limit = usize::try_from(config.max_waiting).unwrap_or(0).max(1);
            Mode::Pull(Pull {
                queue: PullQueue::new(limit, is_ranked(config.priority_policy)),
                pin: Pin::default(),
                reviewed_at: None,
            })
        } else {
            let burst = identity.stream.max_message_bytes;
            Mode::Push(Box::new(Push::new(config, burst, ctx.now)))
        };
        let replay = match config.replay_policy {
            ReplayPolicy::Original => Some(Box::new(Replay::new(ctx.view.last_seq()))),
            ReplayPolicy::Instant => None,
        };
        Self {
            rules: Rules::new(config),
            next: state.delivered.stream.next(),
            state,
            num_pending: NumPending::default(),
            redelivery: Redelivery::default(),
            mode,
            replay,
            held_until: None,
            paused_until: config.pause_until.filter(|until| *until > ctx.now),
            inactivity: Inactivity::new(config, ctx.now, &mut random),
            random,
            identity,
        }
    }

    fn start(&mut self, config: &ConsumerConfig, ctx: &mut Context<'_>) {
        let one_per_subject = self.identity.stream.one_per_subject;
        let start = Start::find(config, &self.rules.filter, one_per_subject, ctx.view);
        self.begin_at(start.next, ctx);
        if let Some(list) = &start.skip_list {
            ctx.out.progress.skip_list(list.resume, list.seqs.iter());
        }
        self.state.skip_list = start.skip_list.map(Box::new);
        self.recount(ctx);
    }

    /// Its state starts, or starts over, with `next`, which may lie beyond the stream's end.
    pub(crate) fn begin_at(&mut self, next: StreamSeq, ctx: &mut Context<'_>) {
        let is_ahead = next > ctx.view.last_seq().next();
        self.state.start(next, is_ahead);
        ctx.out.progress.start(next, is_ahead);
        self.next = next;
    }

    /// A consumer that sources durably starts over after its ack floor whenever its origin or its configuration does: what
    /// was under way is asked for again (observed nats-server 2.15.1).
    fn rewind_sourcing(&mut self, ctx: &mut Context<'_>) {
        if self.rules.sourcing {
            self.restart_at(self.state.ack_floor.stream.next(), ctx);
        }
    }

    /// Fits a recovered state to the stream as it is now.
    fn reconcile(&mut self, ctx: &mut Context<'_>) {
        let last = ctx.view.last_seq();
        let seen = self.state.delivered;
        self.state.clamp(last);
        if self.state.delivered != seen {
            ctx.out.progress.clamped(last);
        }
        // A removal may have outlived what was logged of it here.
        let unacked = self.state.pending.iter().map(|message| message.stream_seq);
        let given_up = self.state.exhausted.keys().copied();
        let gone: Vec<StreamSeq> = unacked
            .chain(given_up)
            .filter(|seq| !ctx.view.contains(*seq))
            .collect();
        for seq in gone {
            self.state.ack(seq, ConsumerSeq::default(), ctx.now);
            ctx.out.progress.acked(seq, ctx.now);
        }
        self.next = self.state.delivered.stream.next();
        self.recount(ctx);
        if !self.state.pending.is_empty() {
            // Clients get a moment to come back and ack before their messages go to others.
            let delay = self.random.rng().random_range(500_000_000..1_500_000_000);
            self.redelivery.arm(ctx.now.saturating_add(Nanos(delay)));
        }
    }

    /// Takes a new configuration that was checked against the old one. A pause stays what it is.
    ///
    /// On streams with interest retention the caller looks for messages that a narrower filter no longer
    /// [needs](Consumer::needs).
    pub fn update(&mut self, config: &ConsumerConfig, ctx: &mut Context<'_>) {
        let old = std::mem::replace(&mut self.rules, Rules::new(config));
        if !old.filter.patterns().eq(self.rules.filter.patterns()) {
            self.recount(ctx);
        }
        self.inactivity.configure(config, ctx.now, &mut self.random);
        let moves = match &mut self.mode {
            Mode::Push(push) => {
                let moves = *push.subject != *config.deliver_subject.as_bytes();
                push.configure(config, self.identity.stream.max_message_bytes, ctx.now);
                moves
            }
            Mode::Pull(pull) => {
                pull.queue.set_ranked(is_ranked(self.rules.priority));
                if !self.rules.has_priorities_of(&old) {
                    pull.pin.release();
                }
                false
            }
        };
        self.held_until = None;
        self.rewind_sourcing(ctx);
        if moves {
            self.check_ack_timers(true, ctx);
        } else if !self.rules.waits_as(&old) {
            self.redelivery.arm(ctx.now);
        }
        self.refresh_interest(ctx);
        self.validate_in_debug();
    }

    /// Takes what changed of its stream's configuration. What it is done with and has not [released](crate::Command::Release), since the stream
    /// did not ask, the caller looks for.
    pub fn set_stream(&mut self, stream: Arc<StreamIdentity>) {
        self.identity.stream = stream;
    }

    pub(crate) fn recount(&mut self, ctx: &mut Context<'_>) {
        let skip_list = self.state.skip_list.as_deref();
        self.num_pending
            .recount(ctx.view, &self.rules.filter, self.next, skip_list);
    }

    /// What it delivers.
    pub fn filter(&self) -> &SubjectFilter {
        &self.rules.filter
    }

    /// What an ack means.
    pub fn ack_policy(&self) -> AckPolicy {
        self.rules.ack_policy
    }

    /// Whether payloads are left out.
    pub fn is_headers_only(&self) -> bool {
        self.rules.headers_only
    }

    /// Where a push consumer delivers; `None` for a pull consumer.
    pub fn deliver_subject(&self) -> Option<&Bytes> {
        match &self.mode {
            Mode::Pull(_) => None,
            Mode::Push(push) => Some(&push.subject),
        }
    }

    /// Whether it asks its subscriber to confirm progress.
    pub fn has_flow_control(&self) -> bool {
        match &self.mode {
            Mode::Pull(_) => false,
            Mode::Push(push) => push.flow_control.is_some(),
        }
    }

    /// Who it is.
    pub fn identity(&self) -> &ConsumerIdentity {
        &self.identity
    }

    /// Appends the whole durable state to `to`: what [`Consumer::recover`] takes as checkpoint. It reflects every
    /// progress record taken from the outbox so far, so it must be taken when the outbox is clear.
    pub fn encode_checkpoint(&self, to: &mut Vec<u8>) {
        checkpoint::encode(&self.state, to);
    }

    /// Checks the relations inside the state.
    ///
    /// # Panics
    /// When one is broken, which is a bug.
    pub fn validate(&self) {
        self.state.validate();
        assert!(
            self.next > self.state.delivered.stream,
            "the next sequence {} is beyond the last delivery {:?}",
            self.next,
            self.state.delivered
        );
        if let Mode::Pull(pull) = &self.mode {
            pull.queue.validate();
        }
        if self.rules.ack_policy != AckPolicy::None {
            for message in self.state.pending.iter().filter(|message| !message.queued) {
                let ends_at = deadline(message, &self.rules);
                let watched = self.redelivery.check_at();
                assert!(
                    ends_at == Timestamp(i64::MAX) || watched.is_some(),
                    "the ack timer of {message:?} is watched"
                );
            }
        }
    }

    #[inline]
    pub(crate) fn validate_in_debug(&self) {
        // Cheap enough for tests, too slow for long queues.
        if cfg!(debug_assertions) && self.state.pending.len() < 64 {
            self.validate();
        }
    }
}

/// The state that a checkpoint and the progress after it tell; `None` without either.
fn stored_state<'d>(
    name: &str,
    ack_policy: AckPolicy,
    checkpoint: Option<&[u8]>,
    progress: impl IntoIterator<Item = &'d [u8]>,
) -> Result<Option<State>, RecoverError> {
    let mut state = checkpoint
        .map(|bytes| checkpoint::decode(bytes, ack_policy))
        .transpose()
        .map_err(|unreadable| {
            let consumer = name.to_owned();
            match unreadable {
                Unreadable::Damaged(Damaged(at)) => RecoverError::Checkpoint { consumer, at },
                Unreadable::Version(found) => RecoverError::Version {
                    consumer,
                    found,
                    known: checkpoint::VERSION,
                },
            }
        })?;
    for (record, bytes) in progress.into_iter().enumerate() {
        let state = state.get_or_insert_with(|| State::new(ack_policy));
        progress::read(bytes, |change| state.apply(change)).map_err(|Damaged(at)| {
            RecoverError::Progress {
                consumer: name.to_owned(),
                record,
                at,
            }
        })?;
    }
    Ok(state)
}

fn is_ranked(policy: PriorityPolicy) -> bool {
    policy == PriorityPolicy::Prioritized
}
