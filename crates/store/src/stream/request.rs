//! What callers ask of a stream and what they get back.

use jetsled_jetstream_api::{ApiError, StreamSeq, Timestamp};

use crate::log::{AppendError, ConsumerKey, LogPosition, ReadError, StreamId};

/// A message on its way into a stream.
#[derive(Debug, Clone, Copy)]
pub struct Publish<'a> {
    /// The subject to store, after the stream's input transform.
    pub subject: &'a [u8],
    /// The whole header block, from `NATS/1.0\r\n` to the blank line; empty without headers.
    pub headers: &'a [u8],
    /// The body.
    pub payload: &'a [u8],
    /// Whether some consumer wants this subject. Looked at by interest retention only: without interest
    /// the message takes a sequence and is not stored.
    pub has_interest: bool,
    /// Who sends it.
    pub sender: Sender,
}

/// Who sends a message to a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sender {
    /// A client, which must keep the rules for publish headers.
    Client,
    /// The server itself: what it takes from another stream or fires by a schedule is stored with the headers that it has. Those that
    /// the stream does not allow have no effect.
    Server,
}

/// A message that a schedule sends now, to be published by [`Sender::Server`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scheduled {
    /// The stream of the schedule, into which its message goes.
    pub stream: StreamId,
    /// The schedule's message; for [`crate::Shard::put_off_schedule`].
    pub schedule: StreamSeq,
    /// The target, before the stream's input transform.
    pub subject: Vec<u8>,
    /// The header block.
    pub headers: Vec<u8>,
    /// The body.
    pub payload: Vec<u8>,
    /// When the schedule is due again; `None` if this was its only time.
    pub next: Option<Timestamp>,
}

/// What a successful publish did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Published {
    /// The sequence given, or that of the original for a duplicate.
    pub seq: StreamSeq,
    /// Whether `Nats-Msg-Id` was seen within the window: nothing was stored.
    pub duplicate: bool,
    /// Whether the message is in the stream now; `false` for duplicates and messages without interest.
    pub stored: bool,
    /// The sequence of the previous message on this subject, 0 without one (republish's `Nats-Last-Sequence`).
    pub previous_on_subject: StreamSeq,
    /// When the message was stored.
    pub timestamp: Timestamp,
    /// Whether headers or body were stored otherwise than they came: see [`crate::Shard::as_stored`].
    pub edited: bool,
    /// The ack may leave once [`crate::Shard::durable`] has reached this; `None`: at once.
    pub position: Option<LogPosition>,
}

impl Published {
    /// `position` is left to the shard.
    pub(crate) fn stored(seq: StreamSeq, previous: StreamSeq, timestamp: Timestamp) -> Self {
        Self {
            seq,
            duplicate: false,
            stored: true,
            previous_on_subject: previous,
            timestamp,
            edited: false,
            position: None,
        }
    }

    /// `position` is left to the shard.
    pub(crate) fn duplicate(seq: StreamSeq, timestamp: Timestamp) -> Self {
        Self {
            duplicate: true,
            stored: false,
            ..Self::stored(seq, StreamSeq(0), timestamp)
        }
    }
}

/// Why a publish stored nothing.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    /// The stream's rules refuse it; the error goes to the publisher as it is.
    #[error("{0}")]
    Rejected(#[from] ApiError),
    /// The log takes no records at present.
    #[error("publish to the log: {0}")]
    Log(#[from] AppendError),
    /// A record that the rules need could not be read.
    #[error("publish needs a stored record: {0}")]
    Read(#[from] ReadError),
    /// No such stream in this shard.
    #[error("stream {} does not exist in this shard", .0.0)]
    UnknownStream(StreamId),
}

/// Which messages to purge. The default purges all.
#[derive(Debug, Clone, Copy, Default)]
pub struct Purge<'a> {
    /// Only subjects that match this filter.
    pub filter: Option<&'a [u8]>,
    /// Only messages below this sequence; 0 is unset.
    pub below: StreamSeq,
    /// The newest this many (of the filter) stay; 0 is unset.
    pub keep: u64,
}

/// What a purge did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Purged {
    /// How many messages it removed.
    pub messages: u64,
    /// The reply may leave once this is durable; `None`: at once.
    pub position: Option<LogPosition>,
}

/// Whether a deleted message's bytes must become unreadable on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Erase {
    /// Mark only (`no_erase`); the bytes go when the segment is recycled or rewritten.
    No,
    /// Headers and body are overwritten in place by the commit that carries the deletion, before it is announced as durable. Subject,
    /// `Nats-Msg-Id` and rollups stay until the segment goes.
    Yes,
}

/// Why a purge, delete or other change of a stream was refused.
#[derive(Debug, thiserror::Error)]
pub enum ChangeError {
    /// The stream's rules refuse it; the error goes to the client as it is.
    #[error("{0}")]
    Rejected(#[from] ApiError),
    /// The log takes no records at present.
    #[error("write to the log: {0}")]
    Log(#[from] AppendError),
    /// A stored record could not be read.
    #[error("read from the log: {0}")]
    Read(#[from] ReadError),
    /// No such stream in this shard.
    #[error("stream {} does not exist in this shard", .0.0)]
    UnknownStream(StreamId),
    /// No such consumer in this shard.
    #[error("consumer {} does not exist in this shard", .0.0)]
    UnknownConsumer(ConsumerKey),
}

impl From<ChangeError> for PublishError {
    fn from(error: ChangeError) -> Self {
        match error {
            ChangeError::Rejected(error) => Self::Rejected(error),
            ChangeError::Log(error) => Self::Log(error),
            ChangeError::Read(error) => Self::Read(error),
            ChangeError::UnknownStream(stream) => Self::UnknownStream(stream),
            ChangeError::UnknownConsumer(_) => {
                unreachable!("storing a message involves no consumer")
            }
        }
    }
}

/// A stored message, borrowed from the shard until the next call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StoredMessage<'a> {
    /// Its sequence.
    pub seq: StreamSeq,
    /// When it was stored.
    pub timestamp: Timestamp,
    /// Its subject.
    pub subject: &'a [u8],
    /// The whole header block, empty without headers.
    pub headers: &'a [u8],
    /// The body.
    pub payload: &'a [u8],
}

/// A stored message without its bytes: what a consumer needs to decide on its delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MessageMeta {
    /// Its sequence.
    pub seq: StreamSeq,
    /// When it was stored.
    pub timestamp: Timestamp,
    /// Bytes of the subject.
    pub subject_len: u32,
    /// Bytes of the header block, 0 without one.
    pub header_len: u32,
    /// Bytes of the body.
    pub payload_len: u32,
}

/// A message that left a stream other than by [`crate::Shard::release`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Removed {
    /// One message.
    Message {
        /// Its sequence.
        seq: StreamSeq,
        /// Its subject.
        subject: Box<[u8]>,
        /// What removed it.
        reason: RemoveReason,
    },
    /// Every message below this sequence: the stream's new first sequence after limits or a purge.
    Below(StreamSeq),
}

/// What removed a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RemoveReason {
    /// `max_msgs`, `max_bytes`, `max_age`, `max_msgs_per_subject`, TTL.
    Limits,
    /// A purge or a rollup.
    Purge,
    /// A message delete request.
    Delete,
}

/// A consumer as the log and the catalog know it after a start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecoveredConsumer {
    /// The stream that it belongs to.
    pub stream: StreamId,
    /// Its key.
    pub key: ConsumerKey,
    /// Its name.
    pub name: Box<str>,
    /// Its configuration, as given to [`crate::Shard::put_consumer`].
    pub config: Vec<u8>,
    /// Its state at the last checkpoint, if there was one.
    pub checkpoint: Option<Vec<u8>>,
    /// The progress logged since that checkpoint, in order.
    pub deltas: Vec<Vec<u8>>,
}

/// Too many subjects match.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("more than {limit} subjects match")]
pub struct TooManyResults {
    /// The limit that was exceeded.
    pub limit: usize,
}

/// How much of the state's deleted sequences to list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeletedDetails {
    /// Their number only.
    Count,
    /// Each of them (`deleted_details`).
    List,
}

/// Which messages [`Shard::num_pending`](crate::Shard::num_pending) counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PendingCount {
    /// Every match.
    All,
    /// The newest match of each subject.
    LastPerSubject,
}
