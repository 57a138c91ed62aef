//! Records on their way from the log to the shard.

use crate::log::{ConsumerKey, Record, ReplayedRecord, StreamId};
use crate::stream::ReplayedMessage;

/// A record that a replay holds on to while it applies it.
#[derive(Debug)]
pub(super) enum Entry {
    Message(StreamId, ReplayedMessage),
    Delete(StreamId, u64),
    Purge(StreamId, u64, u64, Vec<u8>),
    StreamConfig(StreamId, Vec<u8>),
    StreamHead(StreamId, Vec<u8>),
    StreamDeleted(StreamId),
    ConsumerConfig(StreamId, ConsumerKey, Vec<u8>, Vec<u8>),
    ConsumerState(ConsumerKey, Vec<u8>),
    ConsumerDeleted(StreamId, ConsumerKey),
    ConsumerProgress(ConsumerKey, Vec<u8>),
    SourcePosition(StreamId, Vec<u8>),
}

impl Entry {
    pub(super) fn of(replayed: ReplayedRecord<'_>) -> Option<Self> {
        Some(match replayed.record {
            Record::Message(message) | Record::ErasedMessage(message) => Self::Message(
                message.stream,
                ReplayedMessage {
                    erased: matches!(replayed.record, Record::ErasedMessage(_)),
                    seq: message.seq,
                    time: message.timestamp,
                    subject: message.subject.to_vec(),
                    headers: message.headers.to_vec(),
                    payload_len: message.payload.len(),
                    segment: replayed.at.segment,
                    offset: replayed.at.offset,
                },
            ),
            Record::Delete(delete) => Self::Delete(delete.stream, delete.seq),
            Record::Purge(purge) => Self::Purge(
                purge.stream,
                purge.through,
                purge.keep,
                purge.filter.to_vec(),
            ),
            Record::StreamConfig(config) => {
                Self::StreamConfig(config.stream, config.config.to_vec())
            }
            Record::StreamState(state) => Self::StreamHead(state.stream, state.state.to_vec()),
            Record::StreamDeleted(deleted) => Self::StreamDeleted(deleted.stream),
            Record::ConsumerConfig(config) => Self::ConsumerConfig(
                config.stream,
                config.consumer,
                config.name.to_vec(),
                config.config.to_vec(),
            ),
            Record::ConsumerState(state) => {
                Self::ConsumerState(state.consumer, state.state.to_vec())
            }
            Record::ConsumerDeleted(deleted) => {
                Self::ConsumerDeleted(deleted.stream, deleted.consumer)
            }
            Record::ConsumerProgress(progress) => {
                Self::ConsumerProgress(progress.consumer, progress.delta.to_vec())
            }
            Record::SourcePosition(position) => {
                Self::SourcePosition(position.stream, position.source.to_vec())
            }
            Record::BatchCommit(_) | Record::Erase(_) | Record::Checkpoint => return None,
        })
    }

    pub(super) fn stream(&self) -> Option<StreamId> {
        match self {
            Self::Message(stream, _)
            | Self::Delete(stream, _)
            | Self::Purge(stream, ..)
            | Self::StreamConfig(stream, _)
            | Self::StreamHead(stream, _)
            | Self::StreamDeleted(stream)
            | Self::ConsumerConfig(stream, ..)
            | Self::ConsumerDeleted(stream, _)
            | Self::SourcePosition(stream, _) => Some(*stream),
            Self::ConsumerState(..) | Self::ConsumerProgress(..) => None,
        }
    }
}
