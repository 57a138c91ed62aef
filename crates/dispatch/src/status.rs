//! The status messages that consumers send, with their exact texts (nats-server 2.15.1).

use std::borrow::Cow;

use bytes::Bytes;
use jetsled_jetstream_api::{ConsumerSeq, StreamSeq};

/// What a request still wanted when it ended: `Nats-Pending-Messages` and `Nats-Pending-Bytes`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unserved {
    /// Messages still wanted.
    pub messages: u64,
    /// Bytes still allowed; 0 when the request had no `max_bytes`.
    pub bytes: u64,
}

/// A message without a body whose header block starts with `NATS/1.0 <code> <text>`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Status {
    /// 100 Idle Heartbeat.
    IdleHeartbeat {
        /// `Nats-Last-Consumer`.
        last_consumer: ConsumerSeq,
        /// `Nats-Last-Stream`.
        last_stream: StreamSeq,
        /// `Nats-Consumer-Stalled`: the flow control subject that waits for an answer.
        stalled: Option<Bytes>,
    },
    /// 100 FlowControl Request; the message carries `reply`.
    FlowControlRequest {
        /// The subject on which the client answers.
        reply: Bytes,
    },
    /// 400 Bad Request with a reason.
    BadRequest(Cow<'static, str>),
    /// 404 No Messages.
    NoMessages,
    /// 408 Requests Pending.
    RequestsPending,
    /// 408 Request Timeout.
    RequestTimeout(Unserved),
    /// 408 Interest Expired.
    InterestExpired,
    /// 409 Consumer is push based.
    PushBased,
    /// 409 Exceeded MaxRequestBatch of n.
    ExceededMaxRequestBatch(u64),
    /// 409 Exceeded MaxRequestExpires of d, in nanoseconds.
    ExceededMaxRequestExpires(u64),
    /// 409 Exceeded MaxRequestMaxBytes of n.
    ExceededMaxRequestMaxBytes(u64),
    /// 409 Exceeded MaxWaiting.
    ExceededMaxWaiting,
    /// 409 Message Size Exceeds MaxBytes.
    MessageSizeExceedsMaxBytes(Unserved),
    /// 409 Batch Completed.
    BatchCompleted(Unserved),
    /// 409 Consumer Deleted.
    ConsumerDeleted,
    /// 409 Server Shutdown.
    ServerShutdown(Unserved),
    /// 412 Required Api Level.
    RequiredApiLevel,
    /// 423 Nats-Pin-Id mismatch.
    PinIdMismatch,
    /// 423 Nats-Wrong-Pin-Id.
    WrongPinId(Unserved),
}

impl Status {
    /// The whole header block, from `NATS/1.0` to the empty line.
    pub fn header_block(&self) -> Vec<u8> {
        todo!()
    }

    /// The reply subject that the message carries.
    pub fn reply(&self) -> Option<&Bytes> {
        match self {
            Self::FlowControlRequest { reply } => Some(reply),
            _ => None,
        }
    }
}
