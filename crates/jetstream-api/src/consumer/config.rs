use serde::{Deserialize, Serialize};

use crate::metadata::Metadata;
use crate::omit::{is_false, is_zero_i64, is_zero_u64};
use crate::wire_enum::wire_enum;
use crate::{Nanos, StreamSeq, Timestamp};

/// How a consumer behaves. JSON has nats-server's order and omissions.
///
/// The default is what an empty request decodes to; [`ConsumerConfig::validated`] makes it an effective configuration.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ConsumerConfig {
    /// The name of a durable consumer; empty for an ephemeral one.
    #[serde(rename = "durable_name", skip_serializing_if = "String::is_empty")]
    pub durable: String,
    /// The name; empty if the server made one up.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// At most 4096 bytes.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// Where delivery starts.
    pub deliver_policy: DeliverPolicy,
    /// The start of [`DeliverPolicy::ByStartSequence`].
    #[serde(skip_serializing_if = "StreamSeq::is_zero")]
    pub opt_start_seq: StreamSeq,
    /// The start of [`DeliverPolicy::ByStartTime`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub opt_start_time: Option<Timestamp>,
    /// What an ack means.
    pub ack_policy: AckPolicy,
    /// How long a delivered message waits for its ack.
    #[serde(skip_serializing_if = "Nanos::is_zero")]
    pub ack_wait: Nanos,
    /// How often a message is delivered; -1 is unlimited.
    #[serde(skip_serializing_if = "is_zero_i64")]
    pub max_deliver: i64,
    /// How long the n-th delivery waits for its ack; the last entry repeats.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub backoff: Vec<Nanos>,
    /// The subjects to deliver; empty is all.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub filter_subject: String,
    /// The subjects to deliver, if there is more than one filter.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub filter_subjects: Vec<String>,
    /// How fast stored messages are delivered.
    pub replay_policy: ReplayPolicy,
    /// Bits a second that a push consumer delivers at most; zero is unlimited.
    #[serde(rename = "rate_limit_bps", skip_serializing_if = "is_zero_u64")]
    pub rate_limit: u64,
    /// The share of acks that publish a metric, as in `30%`; empty is none.
    #[serde(rename = "sample_freq", skip_serializing_if = "String::is_empty")]
    pub sample_frequency: String,
    /// How many pull requests may wait.
    #[serde(skip_serializing_if = "is_zero_i64")]
    pub max_waiting: i64,
    /// How many delivered messages may wait for their ack; -1 is unlimited.
    #[serde(skip_serializing_if = "is_zero_i64")]
    pub max_ack_pending: i64,
    /// Whether a push consumer asks its subscriber to confirm progress.
    #[serde(skip_serializing_if = "is_false")]
    pub flow_control: bool,
    /// Whether payloads are left out.
    #[serde(skip_serializing_if = "is_false")]
    pub headers_only: bool,
    /// The largest `batch` of a pull request; zero is unlimited.
    #[serde(rename = "max_batch", skip_serializing_if = "is_zero_i64")]
    pub max_request_batch: i64,
    /// The longest `expires` of a pull request; zero is unlimited.
    #[serde(rename = "max_expires", skip_serializing_if = "Nanos::is_zero")]
    pub max_request_expires: Nanos,
    /// The largest `max_bytes` of a pull request; zero is unlimited.
    #[serde(rename = "max_bytes", skip_serializing_if = "is_zero_i64")]
    pub max_request_max_bytes: i64,
    /// Where a push consumer delivers; empty for a pull consumer.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub deliver_subject: String,
    /// The queue group of a push consumer's subscribers.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub deliver_group: String,
    /// How often an idle push consumer says that it is there; zero is never.
    #[serde(rename = "idle_heartbeat", skip_serializing_if = "Nanos::is_zero")]
    pub heartbeat: Nanos,
    /// How long a consumer without interest lives; zero is for ever.
    #[serde(skip_serializing_if = "Nanos::is_zero")]
    pub inactive_threshold: Nanos,
    /// How many servers keep its state; zero is as many as keep the stream.
    pub num_replicas: i64,
    /// Whether its state is kept in memory only.
    #[serde(rename = "mem_storage", skip_serializing_if = "is_false")]
    pub memory_storage: bool,
    /// Whether it serves a mirror or source of this server.
    #[serde(skip_serializing_if = "is_false")]
    pub direct: bool,
    /// Whether it serves a mirror or source durably (2.14).
    #[serde(skip_serializing_if = "is_false")]
    pub sourcing: bool,
    /// The user's labels and, below `_nats.`, the server's.
    #[serde(skip_serializing_if = "Metadata::is_empty")]
    pub metadata: Metadata,
    /// Until when nothing is delivered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pause_until: Option<Timestamp>,
    /// The groups that pull requests name; only the first counts.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub priority_groups: Vec<String>,
    /// Which of a group's requests are served.
    #[serde(skip_serializing_if = "PriorityPolicy::is_default")]
    pub priority_policy: PriorityPolicy,
    /// How long a pinned client stays pinned without a request.
    #[serde(rename = "priority_timeout", skip_serializing_if = "Nanos::is_zero")]
    pub pinned_ttl: Nanos,
}

impl ConsumerConfig {
    /// Whether clients ask for messages, in contrast to a push consumer.
    #[must_use]
    pub fn is_pull(&self) -> bool {
        self.deliver_subject.is_empty()
    }

    /// Whether it serves a mirror or source. Such consumers count for no limit.
    #[must_use]
    pub fn is_internal(&self) -> bool {
        self.direct || self.sourcing
    }

    /// Whether the consumer has a durable name.
    #[must_use]
    pub fn is_durable(&self) -> bool {
        !self.durable.is_empty()
    }

    /// The subjects to deliver, whichever member they are in; none is all.
    pub fn filters(&self) -> impl Iterator<Item = &str> {
        let single = Some(self.filter_subject.as_str()).filter(|filter| !filter.is_empty());
        single
            .into_iter()
            .chain(self.filter_subjects.iter().map(String::as_str))
    }
}

wire_enum! {
    /// Where a consumer starts.
    DeliverPolicy {
        /// At the first message.
        #[default]
        All = "all" | "undefined",
        /// At the last message.
        Last = "last",
        /// After the last message.
        New = "new",
        /// At a sequence.
        ByStartSequence = "by_start_sequence",
        /// At a time.
        ByStartTime = "by_start_time",
        /// With the last message of each subject.
        LastPerSubject = "last_per_subject",
    }
}

wire_enum! {
    /// What an ack of a consumer means.
    AckPolicy {
        /// There are none: a message is done when delivered.
        #[default]
        None = "none",
        /// That message and all before it.
        All = "all",
        /// That message.
        Explicit = "explicit",
        /// All up to what a flow-control answer says (2.14).
        FlowControl = "flow_control",
    }
}

wire_enum! {
    /// How fast stored messages are delivered.
    ReplayPolicy {
        /// As fast as possible.
        #[default]
        Instant = "instant",
        /// With the gaps at which they were stored.
        Original = "original",
    }
}

wire_enum! {
    /// Which pull requests of a priority group are served.
    PriorityPolicy else "unknown priority policy: " {
        /// There are no groups.
        #[default]
        None = "none",
        /// Those whose thresholds are passed.
        Overflow = "overflow",
        /// Those of one client.
        PinnedClient = "pinned_client",
        /// Those with the smallest priority (2.12).
        Prioritized = "prioritized",
    }
}
