//! Advisories and metrics: what JetStream tells whoever listens below `$JS.EVENT.`.

mod consumer;
mod stream;
mod transfer;

use serde::Serialize;

use crate::{Timestamp, json};

pub use consumer::{
    ConsumerAck, ConsumerActionAdvisory, ConsumerPauseAdvisory, GroupPinned, GroupUnpinned,
    MaxDeliver, MsgNaked, MsgTerminated,
};
pub use stream::{
    ApiAudit, ApiLimitReached, BatchAbandonReason, StreamActionAdvisory, StreamBatchAbandoned,
};
pub use transfer::{RestoreComplete, RestoreCreate, SnapshotComplete, SnapshotCreate};

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// A stream or consumer was made.
    Create,
    /// A stream was updated.
    Modify,
    /// A stream or consumer was deleted.
    Delete,
}

/// The body of an advisory or metric.
pub trait AdvisoryBody: Serialize {
    /// Its `type`.
    const TYPE: &'static str;

    /// The subject on which it is published.
    fn subject(&self) -> String;
}

/// An advisory as JSON. `id` is a fresh NUID.
#[must_use]
pub fn to_json<T: AdvisoryBody>(id: &str, timestamp: Timestamp, body: &T) -> Vec<u8> {
    json::to_vec(&Advisory {
        kind: T::TYPE,
        id,
        timestamp,
        body,
    })
}

#[derive(Serialize)]
struct Advisory<'a, T> {
    #[serde(rename = "type")]
    kind: &'static str,
    id: &'a str,
    timestamp: Timestamp,
    #[serde(flatten)]
    body: &'a T,
}

/// Names the `type` and the subject of advisory bodies.
macro_rules! advisories {
    ($($body:ident = $kind:literal at $prefix:literal $(. $field:ident)*;)+) => {
        $(impl $crate::advisory::AdvisoryBody for $body<'_> {
            const TYPE: &'static str = concat!("io.nats.jetstream.", $kind);

            fn subject(&self) -> String {
                String::from(concat!("$JS.EVENT.", $prefix)) $(+ "." + self.$field)*
            }
        })+
    };
}
pub(crate) use advisories;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ConsumerSeq, Nanos, StreamSeq};

    fn check<T: AdvisoryBody>(body: &T, subject: &str, want: &str) {
        assert_eq!(body.subject(), subject);
        let json = String::from_utf8(to_json("ID", Timestamp::EPOCH, body)).unwrap();
        let (kind, rest) = want.split_once(' ').unwrap();
        let want = format!(
            r#"{{"type":"io.nats.jetstream.{kind}","id":"ID","timestamp":"1970-01-01T00:00:00Z",{rest}}}"#
        );
        assert_eq!(json, want);
    }

    #[test]
    fn advisories_have_the_order_of_nats_server() {
        let (stream, consumer, domain) = ("A", "c1", None);
        let (consumer_seq, stream_seq, deliveries) = (ConsumerSeq(3), StreamSeq(4), 2);
        check(
            &ConsumerAck {
                stream,
                consumer,
                consumer_seq,
                stream_seq,
                ack_time: Nanos(9),
                deliveries,
                domain,
            },
            "$JS.EVENT.METRIC.CONSUMER.ACK.A.c1",
            r#"metric.v1.consumer_ack "stream":"A","consumer":"c1","consumer_seq":3,"stream_seq":4,"ack_time":9,"deliveries":2"#,
        );
        check(
            &MsgTerminated {
                stream,
                consumer,
                consumer_seq,
                stream_seq,
                deliveries,
                reason: "r",
                domain,
            },
            "$JS.EVENT.ADVISORY.CONSUMER.MSG_TERMINATED.A.c1",
            r#"advisory.v1.terminated "stream":"A","consumer":"c1","consumer_seq":3,"stream_seq":4,"deliveries":2,"reason":"r""#,
        );
        check(
            &StreamActionAdvisory {
                stream,
                action: Action::Modify,
                domain: Some("D"),
            },
            "$JS.EVENT.ADVISORY.STREAM.UPDATED.A",
            r#"advisory.v1.stream_action "stream":"A","action":"modify","domain":"D""#,
        );
        check(
            &StreamBatchAbandoned {
                account: Some("ACC"),
                stream,
                domain,
                batch: "b",
                reason: BatchAbandonReason::Timeout,
            },
            "$JS.EVENT.ADVISORY.STREAM.BATCH_ABANDONED.A",
            r#"advisory.v1.stream_batch_abandoned "account":"ACC","stream":"A","batch":"b","reason":"timeout""#,
        );
        check(
            &GroupPinned {
                account: "$G",
                stream,
                consumer,
                domain,
                group: "g",
                pinned_id: "p",
            },
            "$JS.EVENT.ADVISORY.CONSUMER.PINNED.A.c1",
            r#"advisory.v1.consumer_group_pinned "account":"$G","stream":"A","consumer":"c1","group":"g","pinned_id":"p""#,
        );
    }
}
