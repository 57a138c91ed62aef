//! One consumer.

use bytes::Bytes;
use jetsled_jetstream_api::{
    AckKind, AckNumbers, AckSubjectPrefix, ConsumerConfig, ConsumerInfo, ConsumerSeq,
    RetentionPolicy, StreamSeq, Timestamp,
};

use crate::outbox::Outbox;
use crate::view::{Interest, StreamView};

/// What an event may look at, and where its results go.
pub struct Context<'a> {
    /// The stream.
    pub view: &'a mut dyn StreamView,
    /// The account's subscriptions.
    pub interest: &'a dyn Interest,
    /// The time of the event.
    pub now: Timestamp,
    /// Collects commands and progress of this consumer only.
    pub out: &'a mut Outbox,
}

/// What a consumer is and belongs to; none of it changes.
#[derive(Debug, Clone)]
pub struct ConsumerIdentity {
    /// The stream's name.
    pub stream: String,
    /// The consumer's name.
    pub name: String,
    /// When it was created.
    pub created: Timestamp,
    /// The stream's retention decides whether [`crate::Command::Release`] is used.
    pub retention: RetentionPolicy,
    /// The stream keeps one message a subject: `last_per_subject` starts as `all`.
    pub one_per_subject: bool,
    /// The burst of a rate limited push consumer in bytes: the stream's `max_msg_size` or else the account's `max_payload`.
    pub max_message_bytes: u64,
    /// What its ack subjects start with; their length counts for `max_bytes` and flow control.
    pub ack_prefix: AckSubjectPrefix,
    /// What its flow control subjects start with, trailing dot included: `$JS.FC.<stream>.<consumer>.`
    pub flow_control_prefix: String,
    /// Feeds pin ids, flow control subjects, jitter and sampling.
    pub seed: u64,
}

/// An ack, as parsed from its subject and payload.
#[derive(Debug, Clone)]
pub struct AckEvent<'a> {
    /// The numbers of the ack subject.
    pub numbers: AckNumbers,
    /// What the payload says.
    pub kind: AckKind<'a>,
    /// The ack's own reply subject: it wants to be confirmed, or for `+NXT` where messages go.
    pub reply: Option<Bytes>,
}

/// A pull request.
#[derive(Debug, Clone)]
pub struct PullEvent<'a> {
    /// The payload without headers: empty, a number, or JSON.
    pub payload: &'a [u8],
    /// Where messages and status go. The runtime ignores requests without one.
    pub reply: Bytes,
    /// `Nats-Required-Api-Level` is above what the server supports.
    pub api_level_too_high: bool,
    /// The request came through an account import, so that lost interest is told.
    pub imported: bool,
}

/// A message that left the stream.
#[derive(Debug, Clone, Copy)]
pub struct Removed<'a> {
    /// Its sequence.
    pub seq: StreamSeq,
    /// Its subject.
    pub subject: &'a [u8],
}

/// How [`Consumer::dispatch`] ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum Dispatched {
    /// Nothing more can be delivered before another event.
    Idle,
    /// The outbox is full: run and clear it, then dispatch again.
    More,
}

/// The stored state of a consumer cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RecoverError {
    /// The checkpoint ends early or holds impossible values.
    #[error("checkpoint of consumer {consumer:?} is damaged at byte {at}")]
    Checkpoint {
        /// The consumer's name.
        consumer: String,
        /// Where.
        at: usize,
    },
    /// The checkpoint was written by a later version.
    #[error("checkpoint of consumer {consumer:?} has format {found}, this program knows {known}")]
    Version {
        /// The consumer's name.
        consumer: String,
        /// The format found.
        found: u8,
        /// The newest format known.
        known: u8,
    },
    /// A progress record ends early or holds impossible values.
    #[error("progress record {record} of consumer {consumer:?} is damaged at byte {at}")]
    Progress {
        /// The consumer's name.
        consumer: String,
        /// Its place among the records given, from 0.
        record: usize,
        /// Where in it.
        at: usize,
    },
}

/// Why a reset is refused; the texts are those of error 10204.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ResetError {
    /// Below `opt_start_seq`.
    #[error("below start seq")]
    BelowStartSeq,
    /// Below the first message at `opt_start_time`.
    #[error("below start time")]
    BelowStartTime,
    /// The deliver policy has no other start.
    #[error("not allowed")]
    NotAllowed,
}

/// A consumer: what of its stream was delivered and acked, who waits for messages, and what happens when.
pub struct Consumer {
    identity: ConsumerIdentity,
    config: ConsumerConfig,
}

impl Consumer {
    /// Creates a consumer of a valid configuration and finds where it starts. The progress in `ctx.out` must be logged
    /// like any other, after the configuration.
    pub fn new(identity: ConsumerIdentity, config: ConsumerConfig, ctx: &mut Context<'_>) -> Self {
        let _ = ctx;
        Self { identity, config }
    }

    /// Rebuilds a consumer from its last checkpoint and the progress records logged after it, oldest first.
    ///
    /// A state ahead of the stream is clamped to it.
    ///
    /// # Errors
    /// When the checkpoint or a record cannot be read.
    pub fn recover<'d>(
        identity: ConsumerIdentity,
        config: ConsumerConfig,
        checkpoint: Option<&[u8]>,
        progress: impl IntoIterator<Item = &'d [u8]>,
        ctx: &mut Context<'_>,
    ) -> Result<Self, RecoverError> {
        let _ = (checkpoint, progress.into_iter().count());
        Ok(Self::new(identity, config, ctx))
    }

    /// Takes a new configuration that was checked against [`Consumer::config`].
    pub fn update(&mut self, config: ConsumerConfig, ctx: &mut Context<'_>) {
        let _ = (config, ctx);
        todo!()
    }

    /// An ack came in.
    pub fn on_ack(&mut self, ack: &AckEvent<'_>, ctx: &mut Context<'_>) {
        let _ = (ack, ctx);
        todo!()
    }

    /// A pull request came in.
    pub fn on_pull(&mut self, pull: PullEvent<'_>, ctx: &mut Context<'_>) {
        let _ = (pull, ctx);
        todo!()
    }

    /// Messages left the stream one by one: limits, delete, rollup, filtered purge, age. To be raised before any
    /// other event that follows their removal.
    pub fn on_removed<'r>(
        &mut self,
        removed: impl IntoIterator<Item = Removed<'r>>,
        ctx: &mut Context<'_>,
    ) {
        let _ = (removed.into_iter().count(), ctx);
        todo!()
    }

    /// Everything below `ctx.view.first_seq()` left the stream, without a list: a purge.
    pub fn on_purged(&mut self, ctx: &mut Context<'_>) {
        let _ = ctx;
        todo!()
    }

    /// Somebody subscribed to or left the deliver subject of a push consumer. Pull consumers do not need it.
    pub fn on_interest_changed(&mut self, ctx: &mut Context<'_>) {
        let _ = ctx;
        todo!()
    }

    /// A delivery of this consumer reached nobody: its count is taken back and it is queued again.
    pub fn on_not_delivered(
        &mut self,
        stream_seq: StreamSeq,
        reply: Option<&Bytes>,
        ctx: &mut Context<'_>,
    ) {
        let _ = (stream_seq, reply, ctx);
        todo!()
    }

    /// Somebody published to a flow control subject `$JS.FC.<stream>.<consumer>.<id>`; `processed` are the headers
    /// `Nats-Last-Consumer` and `Nats-Last-Stream` of that message.
    pub fn on_flow_control_reply(
        &mut self,
        subject: &[u8],
        processed: Option<(ConsumerSeq, StreamSeq)>,
        ctx: &mut Context<'_>,
    ) {
        let _ = (subject, processed, ctx);
        todo!()
    }

    /// The time asked for by [`Consumer::next_wake`] has come. Harmless at any other time.
    pub fn on_time(&mut self, ctx: &mut Context<'_>) {
        let _ = ctx;
        todo!()
    }

    /// The PAUSE API: no deliveries before `until`; `None` or a past time resumes.
    pub fn pause(&mut self, until: Option<Timestamp>, ctx: &mut Context<'_>) {
        let _ = (until, ctx);
        todo!()
    }

    /// The UNPIN API.
    pub fn unpin(&mut self, group: &str, ctx: &mut Context<'_>) {
        let _ = (group, ctx);
        todo!()
    }

    /// The RESET API: `seq` zero goes back to the ack floor. Returns the next stream sequence.
    ///
    /// # Errors
    /// When the deliver policy forbids it (error 10204).
    pub fn reset(
        &mut self,
        seq: StreamSeq,
        ctx: &mut Context<'_>,
    ) -> Result<StreamSeq, ResetError> {
        let _ = (seq, ctx);
        todo!()
    }

    /// The consumer or its stream is deleted: tells those who wait.
    pub fn on_delete(&mut self, ctx: &mut Context<'_>) {
        let _ = ctx;
        todo!()
    }

    /// The server stops: tells those who wait.
    pub fn on_shutdown(&mut self, ctx: &mut Context<'_>) {
        let _ = ctx;
        todo!()
    }

    /// Delivers what may be delivered now. To be called after events, and when messages became visible.
    pub fn dispatch(&mut self, ctx: &mut Context<'_>) -> Dispatched {
        let _ = ctx;
        todo!()
    }

    /// When [`Consumer::on_time`] has something to do, if nothing else happens.
    pub fn next_wake(&self) -> Option<Timestamp> {
        todo!()
    }

    /// The state as the API reports it (`config` included, `cluster` not). Drops requests that expired or lost their interest.
    pub fn info(&mut self, ctx: &mut Context<'_>) -> ConsumerInfo {
        let _ = ctx;
        todo!()
    }

    /// The configuration, with the current `pause_until`.
    pub fn config(&self) -> &ConsumerConfig {
        &self.config
    }

    /// Who it is.
    pub fn identity(&self) -> &ConsumerIdentity {
        &self.identity
    }

    /// Whether `dispatch` could deliver a newly stored message: a waiting request, or an active deliver subject. When false, new
    /// messages need no call.
    pub fn wants_messages(&self) -> bool {
        todo!()
    }

    /// Whether interest or workqueue retention must keep the message for this consumer.
    pub fn needs(&self, seq: StreamSeq, subject: &[u8]) -> bool {
        let _ = (seq, subject);
        todo!()
    }

    /// Everything at or below was acked or skipped.
    pub fn ack_floor(&self) -> StreamSeq {
        todo!()
    }

    /// Appends the whole durable state to `to`: what [`Consumer::recover`] takes as checkpoint. It reflects every
    /// progress record taken from the outbox so far, so it must be taken when the outbox is clear.
    pub fn encode_checkpoint(&self, to: &mut Vec<u8>) {
        let _ = to;
        todo!()
    }

    /// Checks the relations inside the state.
    ///
    /// # Panics
    /// When one is broken, which is a bug.
    pub fn validate(&self) {
        todo!()
    }
}
