//! What a consumer is told: its identity, the context of an event, and the events that carry something.

use std::sync::Arc;

use bytes::Bytes;
use jetsled_jetstream_api::{
    AckKind, AckNumbers, AckSubjectPrefix, RetentionPolicy, StreamSeq, Timestamp,
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
    /// Its stream.
    pub stream: Arc<StreamIdentity>,
    /// When it was created.
    pub created: Timestamp,
    /// What its ack and flow control subjects start with, its name at the end; their length counts for `max_bytes` and flow control.
    pub ack_prefix: AckSubjectPrefix,
}

impl ConsumerIdentity {
    /// The consumer's name.
    pub fn name(&self) -> &str {
        self.ack_prefix.consumer()
    }
}

/// What the consumers of a stream share.
#[derive(Debug, Clone)]
pub struct StreamIdentity {
    /// The stream's name.
    pub name: String,
    /// The stream's retention decides whether [`crate::Command::Release`] is used.
    pub retention: RetentionPolicy,
    /// The stream keeps one message a subject: `last_per_subject` starts as `all`.
    pub one_per_subject: bool,
    /// The burst of a rate limited push consumer in bytes: the stream's `max_msg_size` or else the account's `max_payload`.
    pub max_message_bytes: u64,
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

/// Why messages left the stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RemovedBy {
    /// Limits, age, roll-up, delete: clients that had the message are told of its end by an advisory.
    Limit,
    /// The PURGE API, which tells nobody (observed nats-server 2.15.1).
    Purge,
}

/// How [`Consumer::dispatch`](crate::Consumer::dispatch) ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum Dispatched {
    /// Nothing more can be delivered before another event.
    Idle,
    /// The outbox is full: run and clear it, then dispatch again.
    More,
}
