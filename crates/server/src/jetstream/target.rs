//! What JetStream listens on: its entries in an account's sublist.

use jetsled_store::{ConsumerKey, StreamId};

use super::transfer::TransferId;

/// A destination inside JetStream. Small and plain, so that a match result copies it without counting references.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    /// `$JS.API.>`: requests and their JSON replies.
    Api,
    /// A stream's subjects: messages to store.
    Stream(StreamTarget),
    /// `$JS.API.DIRECT.GET.<stream>` and everything below it.
    DirectGet(StreamTarget),
    /// `$JS.API.CONSUMER.MSG.NEXT.<stream>.<consumer>`: pull requests.
    Pull(ConsumerTarget),
    /// `$JS.ACK.<stream>.<consumer>.>`.
    Ack(ConsumerTarget),
    /// `$JS.ACK.<domain>.<account hash>.<stream>.<consumer>.>`.
    AckWithOrigin(ConsumerTarget),
    /// `$JS.FC.<stream>.<consumer>.*`: answers to flow control requests.
    FlowControl(ConsumerTarget),
    /// `$JS.SNAPSHOT.ACK.<stream>.<id>.>` and `$JS.SNAPSHOT.RESTORE.<stream>.<id>`.
    Transfer(TransferId),
}

impl Target {
    /// The stream, where messages are published to one.
    pub(crate) fn published_stream(self) -> Option<StreamTarget> {
        match self {
            Self::Stream(stream) => Some(stream),
            _ => None,
        }
    }

    /// The consumer, where acks of its deliveries go.
    pub(crate) fn acked_consumer(self) -> Option<ConsumerTarget> {
        match self {
            Self::Ack(consumer) | Self::AckWithOrigin(consumer) => Some(consumer),
            _ => None,
        }
    }
}

/// Where a stream lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct StreamTarget {
    /// Its shard's index.
    pub(crate) shard: u16,
    /// Its id there.
    pub(crate) stream: StreamId,
}

/// Where a consumer lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct ConsumerTarget {
    /// Its stream.
    pub(crate) stream: StreamTarget,
    /// Its key in the stream's shard.
    pub(crate) consumer: ConsumerKey,
}
