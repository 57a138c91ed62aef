//! What the log can hold: one file a kind, with its fields, its bytes and their property test.

mod batch_commit;
mod consumer_config;
mod consumer_deleted;
mod consumer_progress;
mod consumer_state;
mod delete;
mod erase;
mod fields;
mod message;
mod purge;
mod source_position;
mod stream_config;
mod stream_deleted;
mod stream_state;

pub use batch_commit::BatchCommit;
pub use consumer_config::ConsumerConfig;
pub use consumer_deleted::ConsumerDeleted;
pub use consumer_progress::ConsumerProgress;
pub use consumer_state::ConsumerState;
pub use delete::Delete;
pub use erase::Erase;
pub use message::Message;
pub use purge::Purge;
pub use source_position::SourcePosition;
pub use stream_config::StreamConfig;
pub use stream_deleted::StreamDeleted;
pub use stream_state::StreamState;

use super::AppendError;

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
    /// The records of an atomic batch count.
    BatchCommit(BatchCommit),
    /// A deleted message's bytes must go.
    Erase(Erase<'a>),
    /// A message of a source was dealt with and not stored.
    SourcePosition(SourcePosition<'a>),
    /// What an erasure has left of a message's record: the deletion is durable.
    ErasedMessage(Message<'a>),
    /// A checkpoint of everything before was begun. What the catalog has is the newest if there is none of these behind it.
    Checkpoint,
}

/// The kinds as they stand on the disk. Numbers are never given a second meaning.
pub(crate) mod kind {
    pub(crate) const MESSAGE: u8 = 1;
    pub(crate) const DELETE: u8 = 2;
    pub(crate) const PURGE: u8 = 3;
    pub(crate) const STREAM_CONFIG: u8 = 4;
    pub(crate) const STREAM_STATE: u8 = 5;
    pub(crate) const STREAM_DELETED: u8 = 6;
    pub(crate) const CONSUMER_CONFIG: u8 = 7;
    pub(crate) const CONSUMER_STATE: u8 = 8;
    pub(crate) const CONSUMER_DELETED: u8 = 9;
    pub(crate) const CONSUMER_PROGRESS: u8 = 10;
    pub(crate) const BATCH_COMMIT: u8 = 11;
    pub(crate) const ERASE: u8 = 12;
    pub(crate) const SOURCE_POSITION: u8 = 13;
    pub(crate) const ERASED_MESSAGE: u8 = 14;
    pub(crate) const CHECKPOINT: u8 = 15;
    /// The log's own: writing went on here after an opening or a failed write.
    pub(crate) const RESUME: u8 = 0xf0;
    /// The log's own: the segment ends here.
    pub(crate) const SEAL: u8 = 0xf1;
}

impl<'a> Record<'a> {
    /// The stream that it belongs to.
    #[must_use]
    pub const fn stream(&self) -> StreamId {
        match self {
            Self::Message(r) | Self::ErasedMessage(r) => r.stream,
            Self::Delete(r) => r.stream,
            Self::Purge(r) => r.stream,
            Self::StreamConfig(r) => r.stream,
            Self::StreamState(r) => r.stream,
            Self::StreamDeleted(r) => r.stream,
            Self::ConsumerConfig(r) => r.stream,
            Self::ConsumerState(r) => r.stream,
            Self::ConsumerDeleted(r) => r.stream,
            Self::ConsumerProgress(r) => r.stream,
            Self::BatchCommit(r) => r.stream,
            Self::Erase(r) => r.stream,
            Self::SourcePosition(r) => r.stream,
            Self::Checkpoint => StreamId(0),
        }
    }

    pub(crate) const fn kind(&self) -> u8 {
        match self {
            Self::Message(_) => kind::MESSAGE,
            Self::ErasedMessage(_) => kind::ERASED_MESSAGE,
            Self::Delete(_) => kind::DELETE,
            Self::Purge(_) => kind::PURGE,
            Self::StreamConfig(_) => kind::STREAM_CONFIG,
            Self::StreamState(_) => kind::STREAM_STATE,
            Self::StreamDeleted(_) => kind::STREAM_DELETED,
            Self::ConsumerConfig(_) => kind::CONSUMER_CONFIG,
            Self::ConsumerState(_) => kind::CONSUMER_STATE,
            Self::ConsumerDeleted(_) => kind::CONSUMER_DELETED,
            Self::ConsumerProgress(_) => kind::CONSUMER_PROGRESS,
            Self::BatchCommit(_) => kind::BATCH_COMMIT,
            Self::Erase(_) => kind::ERASE,
            Self::SourcePosition(_) => kind::SOURCE_POSITION,
            Self::Checkpoint => kind::CHECKPOINT,
        }
    }

    /// Whether an atomic batch ends with it.
    pub(crate) const fn ends_batch(&self) -> bool {
        matches!(self, Self::BatchCommit(_))
    }

    pub(crate) fn body_len(&self) -> u64 {
        match self {
            Self::Message(r) | Self::ErasedMessage(r) => r.body_len(),
            Self::Delete(_) => Delete::BODY_LEN,
            Self::Purge(r) => r.body_len(),
            Self::StreamConfig(r) => r.config.len() as u64,
            Self::StreamState(r) => r.state.len() as u64,
            Self::StreamDeleted(_) | Self::Checkpoint => 0,
            Self::ConsumerConfig(r) => r.body_len(),
            Self::ConsumerState(r) => ConsumerState::FIXED + r.state.len() as u64,
            Self::ConsumerDeleted(_) => ConsumerDeleted::BODY_LEN,
            Self::ConsumerProgress(r) => ConsumerProgress::FIXED + r.delta.len() as u64,
            Self::BatchCommit(_) => BatchCommit::BODY_LEN,
            Self::Erase(r) => Erase::FIXED + r.front.len() as u64,
            Self::SourcePosition(r) => r.source.len() as u64,
        }
    }

    /// Whether every field fits its length.
    pub(crate) fn check(&self) -> Result<(), AppendError> {
        let (field, len) = match self {
            Self::Message(r) | Self::ErasedMessage(r) => return r.check(),
            Self::Purge(r) => ("purge filter", r.filter.len()),
            Self::ConsumerConfig(r) => ("consumer name", r.name.len()),
            _ => return Ok(()),
        };
        let limit = usize::from(u16::MAX);
        if len > limit {
            Err(AppendError::FieldTooLong { field, len, limit })
        } else {
            Ok(())
        }
    }

    pub(crate) fn encode_body(&self, out: &mut Vec<u8>) {
        match self {
            Self::Message(r) | Self::ErasedMessage(r) => r.encode_body(out),
            Self::Delete(r) => r.encode_body(out),
            Self::Purge(r) => r.encode_body(out),
            Self::StreamConfig(r) => out.extend_from_slice(r.config),
            Self::StreamState(r) => out.extend_from_slice(r.state),
            Self::StreamDeleted(_) | Self::Checkpoint => {}
            Self::ConsumerConfig(r) => r.encode_body(out),
            Self::ConsumerState(r) => r.encode_body(out),
            Self::ConsumerDeleted(r) => r.encode_body(out),
            Self::ConsumerProgress(r) => r.encode_body(out),
            Self::BatchCommit(r) => r.encode_body(out),
            Self::Erase(r) => r.encode_body(out),
            Self::SourcePosition(r) => out.extend_from_slice(r.source),
        }
    }

    /// `None` for the log's own kinds, unknown ones, and bodies that do not fit their kind.
    pub(crate) fn decode(kind: u8, stream: StreamId, body: &'a [u8]) -> Option<Self> {
        Some(match kind {
            kind::MESSAGE => Self::Message(Message::decode(stream, body)?),
            kind::ERASED_MESSAGE => Self::ErasedMessage(Message::decode(stream, body)?),
            kind::DELETE => Self::Delete(Delete::decode(stream, body)?),
            kind::PURGE => Self::Purge(Purge::decode(stream, body)?),
            kind::STREAM_CONFIG => Self::StreamConfig(StreamConfig {
                stream,
                config: body,
            }),
            kind::STREAM_STATE => Self::StreamState(StreamState {
                stream,
                state: body,
            }),
            kind::STREAM_DELETED if body.is_empty() => {
                Self::StreamDeleted(StreamDeleted { stream })
            }
            kind::CONSUMER_CONFIG => Self::ConsumerConfig(ConsumerConfig::decode(stream, body)?),
            kind::CONSUMER_STATE => Self::ConsumerState(ConsumerState::decode(stream, body)?),
            kind::CONSUMER_DELETED => Self::ConsumerDeleted(ConsumerDeleted::decode(stream, body)?),
            kind::CONSUMER_PROGRESS => {
                Self::ConsumerProgress(ConsumerProgress::decode(stream, body)?)
            }
            kind::BATCH_COMMIT => Self::BatchCommit(BatchCommit::decode(stream, body)?),
            kind::ERASE => Self::Erase(Erase::decode(stream, body)?),
            kind::SOURCE_POSITION => Self::SourcePosition(SourcePosition {
                stream,
                source: body,
            }),
            kind::CHECKPOINT if body.is_empty() => Self::Checkpoint,
            _ => return None,
        })
    }
}

#[cfg(test)]
pub(crate) mod testing {
    use super::*;

    /// What every record must do: its body has the announced length, reads back as itself, and a body cut
    /// short never reads as a longer one nor panics.
    pub(crate) fn check(record: Record<'_>) {
        let mut body = Vec::new();
        record.encode_body(&mut body);
        assert_eq!(body.len() as u64, record.body_len());
        let decoded = Record::decode(record.kind(), record.stream(), &body);
        assert_eq!(decoded, Some(record));
        for cut in 0..body.len() {
            let short = Record::decode(record.kind(), record.stream(), &body[..cut]);
            assert_ne!(short, Some(record));
        }
    }
}
