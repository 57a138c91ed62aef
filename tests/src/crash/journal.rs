//! What was sent in a round, and what was answered.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::changes::Changes;
use super::consumers::Consumer;
use super::message::Message;

/// The order of what happens on all connections: an event before which another one was over has a higher number.
#[derive(Debug, Default)]
pub(super) struct Clock(AtomicU64);

impl Clock {
    pub(super) fn tick(&self) -> u64 {
        self.0.fetch_add(1, Ordering::SeqCst) + 1
    }
}

/// When something is over of which nothing is known.
pub(super) const NEVER: u64 = u64::MAX;

/// What became of something that was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// It was not answered.
    Unknown,
    /// Stored, with this sequence.
    Stored(u64),
    /// It is not there.
    Refused,
}

/// One time that a message was published.
#[derive(Clone, Debug)]
pub(super) struct Publish {
    pub(super) stream: StreamKey,
    pub(super) message: Arc<Message>,
    /// Event numbers of sending it and of its answer.
    pub(super) issued: u64,
    pub(super) settled: u64,
    pub(super) fate: Fate,
    /// The batch that it is of.
    pub(super) batch: Option<u64>,
}

/// A stream's name, and which creation of it.
pub(super) type StreamKey = (String, u64);

/// Something that was to be removed.
#[derive(Clone, Debug)]
pub(super) struct Removal {
    pub(super) stream: StreamKey,
    pub(super) what: Removed,
    pub(super) issued: u64,
    pub(super) settled: u64,
    pub(super) fate: Done,
}

/// What became of a removal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Done {
    Unknown,
    Confirmed,
    Refused,
}

/// What is to be removed.
#[derive(Clone, Debug)]
pub(super) enum Removed {
    Message(u64),
    Everything,
    Subject(String),
    /// What is before this sequence.
    Below(u64),
    /// All but the last ones.
    Keep,
}

impl Removed {
    pub(super) fn hits(&self, seq: u64, subject: &str) -> bool {
        match self {
            Self::Message(at) => *at == seq,
            Self::Everything | Self::Keep => true,
            Self::Subject(on) => on == subject,
            Self::Below(end) => seq < *end,
        }
    }
}

/// A stream's messages at the end of the last round.
#[derive(Clone, Debug, Default)]
pub(super) struct StreamState {
    pub(super) messages: BTreeMap<u64, Arc<Message>>,
    pub(super) last: u64,
}

/// What the server had at the end of the last round.
#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) streams: BTreeMap<StreamKey, StreamState>,
    pub(super) consumers: Vec<Consumer>,
    pub(super) changes: Changes,
    /// By publisher: messages with ids that were sent and not answered.
    pub(super) unanswered: BTreeMap<u64, Vec<Arc<Message>>>,
}

/// What a round has added.
#[derive(Debug, Default)]
pub(super) struct Round {
    pub(super) publishes: Vec<Publish>,
    pub(super) removals: Vec<Removal>,
}

impl State {
    /// The key of a stream that is there.
    pub(super) fn key(&self, name: &str) -> StreamKey {
        let now = self.changes.now(&super::changes::Name::stream(name));
        (name.to_owned(), now.map_or(0, |version| version.creation))
    }
}
