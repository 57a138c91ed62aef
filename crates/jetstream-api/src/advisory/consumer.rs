use serde::Serialize;

use crate::advisory::{Action, AdvisoryBody, advisories};
use crate::{ConsumerSeq, Nanos, StreamSeq, Timestamp};

/// A consumer was created or deleted.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct ConsumerActionAdvisory<'a> {
    /// The stream.
    pub stream: &'a str,
    /// The consumer.
    pub consumer: &'a str,
    /// What happened.
    pub action: Action,
    /// The JetStream domain.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub domain: Option<&'a str>,
}

impl AdvisoryBody for ConsumerActionAdvisory<'_> {
    const TYPE: &'static str = "io.nats.jetstream.advisory.v1.consumer_action";

    fn subject(&self) -> String {
        let word = if self.action == Action::Delete {
            "DELETED"
        } else {
            "CREATED"
        };
        format!(
            "$JS.EVENT.ADVISORY.CONSUMER.{word}.{}.{}",
            self.stream, self.consumer
        )
    }
}

/// A consumer was paused or goes on.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct ConsumerPauseAdvisory<'a> {
    /// The stream.
    pub stream: &'a str,
    /// The consumer.
    pub consumer: &'a str,
    /// Whether it is paused now.
    pub paused: bool,
    /// Until when; unset if there is no such time.
    pub pause_until: Timestamp,
    /// The JetStream domain.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub domain: Option<&'a str>,
}

/// A message was delivered as often as allowed, and not acknowledged.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct MaxDeliver<'a> {
    /// The stream.
    pub stream: &'a str,
    /// The consumer.
    pub consumer: &'a str,
    /// The message.
    pub stream_seq: StreamSeq,
    /// How often it was delivered.
    pub deliveries: u64,
    /// The JetStream domain.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub domain: Option<&'a str>,
}

/// A client asked for redelivery.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct MsgNaked<'a> {
    /// The stream.
    pub stream: &'a str,
    /// The consumer.
    pub consumer: &'a str,
    /// The delivery.
    pub consumer_seq: ConsumerSeq,
    /// The message.
    pub stream_seq: StreamSeq,
    /// How often it was delivered.
    pub deliveries: u64,
    /// The JetStream domain.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub domain: Option<&'a str>,
}

/// A message will never be delivered again.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct MsgTerminated<'a> {
    /// The stream.
    pub stream: &'a str,
    /// The consumer.
    pub consumer: &'a str,
    /// The delivery.
    pub consumer_seq: ConsumerSeq,
    /// The message.
    pub stream_seq: StreamSeq,
    /// How often it was delivered.
    pub deliveries: u64,
    /// Why.
    #[serde(skip_serializing_if = "str::is_empty")]
    pub reason: &'a str,
    /// The JetStream domain.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub domain: Option<&'a str>,
}

/// A client was pinned to a priority group.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct GroupPinned<'a> {
    /// The account.
    #[serde(skip_serializing_if = "str::is_empty")]
    pub account: &'a str,
    /// The stream.
    pub stream: &'a str,
    /// The consumer.
    pub consumer: &'a str,
    /// The JetStream domain.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub domain: Option<&'a str>,
    /// The priority group.
    pub group: &'a str,
    /// The pin.
    pub pinned_id: &'a str,
}

/// A client is no longer pinned to a priority group.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct GroupUnpinned<'a> {
    /// The account.
    #[serde(skip_serializing_if = "str::is_empty")]
    pub account: &'a str,
    /// The stream.
    pub stream: &'a str,
    /// The consumer.
    pub consumer: &'a str,
    /// The JetStream domain.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub domain: Option<&'a str>,
    /// The priority group.
    pub group: &'a str,
    /// `admin` or `timeout`.
    pub reason: &'a str,
}

/// A sampled ack.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct ConsumerAck<'a> {
    /// The stream.
    pub stream: &'a str,
    /// The consumer.
    pub consumer: &'a str,
    /// The delivery.
    pub consumer_seq: ConsumerSeq,
    /// The message.
    pub stream_seq: StreamSeq,
    /// The time between delivery and ack.
    pub ack_time: Nanos,
    /// How often it was delivered.
    pub deliveries: u64,
    /// The JetStream domain.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub domain: Option<&'a str>,
}

advisories! {
    ConsumerPauseAdvisory = "advisory.v1.consumer_pause" at "ADVISORY.CONSUMER.PAUSE".stream.consumer;
    MaxDeliver = "advisory.v1.max_deliver" at "ADVISORY.CONSUMER.MAX_DELIVERIES".stream.consumer;
    MsgNaked = "advisory.v1.nak" at "ADVISORY.CONSUMER.MSG_NAKED".stream.consumer;
    MsgTerminated = "advisory.v1.terminated" at "ADVISORY.CONSUMER.MSG_TERMINATED".stream.consumer;
    GroupPinned = "advisory.v1.consumer_group_pinned" at "ADVISORY.CONSUMER.PINNED".stream.consumer;
    GroupUnpinned = "advisory.v1.consumer_group_unpinned" at "ADVISORY.CONSUMER.UNPINNED".stream.consumer;
    ConsumerAck = "metric.v1.consumer_ack" at "METRIC.CONSUMER.ACK".stream.consumer;
}
