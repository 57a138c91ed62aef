//! The status messages that consumers send, with their exact texts (nats-server 2.15.1).

use std::borrow::Cow;
use std::fmt;

use bytes::Bytes;
use jetsled_jetstream_api::{ConsumerSeq, Nanos, StreamSeq};

/// What a request still wanted when it ended: `Nats-Pending-Messages` and `Nats-Pending-Bytes`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unserved {
    /// Messages still wanted; as low as the request itself said.
    pub messages: i64,
    /// Bytes still allowed; 0 when the request had no `max_bytes`.
    pub bytes: i64,
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
    InterestExpired(Unserved),
    /// 409 Consumer is push based.
    PushBased,
    /// 409 Exceeded MaxRequestBatch of n.
    ExceededMaxRequestBatch(i64),
    /// 409 Exceeded MaxRequestExpires of d.
    ExceededMaxRequestExpires(Nanos),
    /// 409 Exceeded MaxRequestMaxBytes of n.
    ExceededMaxRequestMaxBytes(i64),
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
        let mut block = format!("NATS/1.0 {self}\r\n").into_bytes();
        let mut header = |name: &str, value: &[u8]| {
            block.extend_from_slice(name.as_bytes());
            block.extend_from_slice(b": ");
            block.extend_from_slice(value);
            block.extend_from_slice(b"\r\n");
        };
        match self {
            Self::IdleHeartbeat {
                last_consumer,
                last_stream,
                stalled,
            } => {
                header("Nats-Last-Consumer", last_consumer.to_string().as_bytes());
                header("Nats-Last-Stream", last_stream.to_string().as_bytes());
                if let Some(subject) = stalled {
                    header("Nats-Consumer-Stalled", subject);
                }
            }
            Self::RequestTimeout(unserved)
            | Self::InterestExpired(unserved)
            | Self::MessageSizeExceedsMaxBytes(unserved)
            | Self::BatchCompleted(unserved)
            | Self::ServerShutdown(unserved)
            | Self::WrongPinId(unserved) => {
                header(
                    "Nats-Pending-Messages",
                    unserved.messages.to_string().as_bytes(),
                );
                header("Nats-Pending-Bytes", unserved.bytes.to_string().as_bytes());
            }
            _ => {}
        }
        block.extend_from_slice(b"\r\n");
        block
    }

    /// The reply subject that the message carries.
    pub fn reply(&self) -> Option<&Bytes> {
        match self {
            Self::FlowControlRequest { reply } => Some(reply),
            _ => None,
        }
    }
}

/// Code and text.
impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::IdleHeartbeat { .. } => f.write_str("100 Idle Heartbeat"),
            Self::FlowControlRequest { .. } => f.write_str("100 FlowControl Request"),
            Self::BadRequest(reason) => write!(f, "400 Bad Request - {reason}"),
            Self::NoMessages => f.write_str("404 No Messages"),
            Self::RequestsPending => f.write_str("408 Requests Pending"),
            Self::RequestTimeout(_) => f.write_str("408 Request Timeout"),
            Self::InterestExpired(_) => f.write_str("408 Interest Expired"),
            Self::PushBased => f.write_str("409 Consumer is push based"),
            Self::ExceededMaxRequestBatch(limit) => {
                write!(f, "409 Exceeded MaxRequestBatch of {limit}")
            }
            Self::ExceededMaxRequestExpires(limit) => {
                write!(f, "409 Exceeded MaxRequestExpires of {limit}")
            }
            Self::ExceededMaxRequestMaxBytes(limit) => {
                write!(f, "409 Exceeded MaxRequestMaxBytes of {limit}")
            }
            Self::ExceededMaxWaiting => f.write_str("409 Exceeded MaxWaiting"),
            Self::MessageSizeExceedsMaxBytes(_) => f.write_str("409 Message Size Exceeds MaxBytes"),
            Self::BatchCompleted(_) => f.write_str("409 Batch Completed"),
            Self::ConsumerDeleted => f.write_str("409 Consumer Deleted"),
            Self::ServerShutdown(_) => f.write_str("409 Server Shutdown"),
            Self::RequiredApiLevel => f.write_str("412 Required Api Level"),
            Self::PinIdMismatch => f.write_str("423 Nats-Pin-Id mismatch"),
            Self::WrongPinId(_) => f.write_str("423 Nats-Wrong-Pin-Id"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(status: Status, want: &str) {
        let block = String::from_utf8(status.header_block()).expect("text");
        assert_eq!(block, format!("NATS/1.0 {want}\r\n\r\n"));
    }

    #[test]
    fn header_blocks_are_those_of_nats_server() {
        let unserved = Unserved {
            messages: 3,
            bytes: 0,
        };
        let pending = "\r\nNats-Pending-Messages: 3\r\nNats-Pending-Bytes: 0";
        check(Status::NoMessages, "404 No Messages");
        check(
            Status::RequestTimeout(unserved),
            &format!("408 Request Timeout{pending}"),
        );
        check(
            Status::MessageSizeExceedsMaxBytes(unserved),
            &format!("409 Message Size Exceeds MaxBytes{pending}"),
        );
        check(
            Status::ExceededMaxRequestExpires(Nanos::from_secs(60)),
            "409 Exceeded MaxRequestExpires of 1m0s",
        );
        check(
            Status::IdleHeartbeat {
                last_consumer: ConsumerSeq(4),
                last_stream: StreamSeq(7),
                stalled: Some(Bytes::from_static(b"$JS.FC.S.C.abcd")),
            },
            "100 Idle Heartbeat\r\nNats-Last-Consumer: 4\r\nNats-Last-Stream: 7\r\n\
             Nats-Consumer-Stalled: $JS.FC.S.C.abcd",
        );
        check(
            Status::BadRequest("Priority Group missing".into()),
            "400 Bad Request - Priority Group missing",
        );
    }
}
