//! What the log can hold.

/// A stream's number in its shard; never reused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StreamId(pub u32);

/// A consumer's number in its shard; never reused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConsumerKey(pub u32);

/// One entry of the log. The byte strings of configurations, states and deltas are opaque here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Record<'a> {
    /// A stored message.
    Message(Message<'a>),
    /// One message was deleted.
    Delete(Delete),
    /// Messages were purged.
    Purge(Purge<'a>),
    /// A stream was created or its configuration changed, or the configuration was re-emitted.
    StreamConfig(StreamConfig<'a>),
    /// A snapshot of a stream's state, re-emitted so that older segments can be recycled.
    StreamState(StreamState<'a>),
    /// A stream was deleted with all that it held.
    StreamDeleted(StreamDeleted),
    /// A consumer was created or changed, or re-emitted.
    ConsumerConfig(ConsumerConfig<'a>),
    /// A snapshot of a consumer's state, re-emitted so that older progress can be recycled.
    ConsumerState(ConsumerState<'a>),
    /// A consumer was deleted.
    ConsumerDeleted(ConsumerDeleted),
    /// What happened on a consumer since its last record.
    ConsumerProgress(ConsumerProgress<'a>),
    /// The messages of an atomic batch now count.
    BatchCommit(BatchCommit),
}

/// A stored message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Message<'a> {
    /// Its stream.
    pub stream: StreamId,
    /// Its sequence in the stream.
    pub seq: u64,
    /// Nanoseconds since 1970 UTC.
    pub timestamp: i64,
    /// Whether it counts only once a [`BatchCommit`] that covers it has been read.
    pub in_batch: bool,
    /// The subject; at most 65,535 bytes.
    pub subject: &'a [u8],
    /// The header block as on the wire, `NATS/1.0\r\n` included; empty without headers.
    pub headers: &'a [u8],
    /// The payload.
    pub payload: &'a [u8],
}

/// One message was deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Delete {
    /// Its stream.
    pub stream: StreamId,
    /// Its sequence.
    pub seq: u64,
}

/// Messages were purged: those with a sequence of at most `through`, whose subject matches `filter`,
/// except the newest `keep` of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Purge<'a> {
    /// The stream.
    pub stream: StreamId,
    /// The highest sequence that may go; the stream's last one for a whole purge.
    pub through: u64,
    /// How many of the newest matching messages stay.
    pub keep: u64,
    /// The subject filter, empty for all; at most 65,535 bytes.
    pub filter: &'a [u8],
}

/// A stream's configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StreamConfig<'a> {
    /// The stream.
    pub stream: StreamId,
    /// Opaque: account, name, configuration, creation time.
    pub config: &'a [u8],
}

/// A stream's state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StreamState<'a> {
    /// The stream.
    pub stream: StreamId,
    /// Opaque: last sequence, deleted sequences and the like.
    pub state: &'a [u8],
}

/// A stream is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StreamDeleted {
    /// The stream.
    pub stream: StreamId,
}

/// A consumer's configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConsumerConfig<'a> {
    /// The consumer's stream.
    pub stream: StreamId,
    /// The consumer.
    pub consumer: ConsumerKey,
    /// Its name; at most 65,535 bytes.
    pub name: &'a [u8],
    /// Opaque.
    pub config: &'a [u8],
}

/// A consumer's state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConsumerState<'a> {
    /// The consumer's stream.
    pub stream: StreamId,
    /// The consumer.
    pub consumer: ConsumerKey,
    /// Opaque.
    pub state: &'a [u8],
}

/// A consumer is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConsumerDeleted {
    /// The consumer's stream.
    pub stream: StreamId,
    /// The consumer.
    pub consumer: ConsumerKey,
}

/// What happened on a consumer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConsumerProgress<'a> {
    /// The consumer's stream.
    pub stream: StreamId,
    /// The consumer.
    pub consumer: ConsumerKey,
    /// Opaque.
    pub delta: &'a [u8],
}

/// The messages of an atomic batch, `first` to `last` inclusive, count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BatchCommit {
    /// The stream.
    pub stream: StreamId,
    /// The batch's first sequence.
    pub first: u64,
    /// The batch's last sequence.
    pub last: u64,
}
