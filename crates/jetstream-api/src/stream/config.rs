use serde::{Deserialize, Serialize};

use crate::metadata::Metadata;
use crate::omit::{is_false, is_zero_i32, is_zero_i64};
use crate::stream::StreamSource;
use crate::wire_enum::wire_enum;
use crate::{Nanos, StreamSeq};

/// A source that is `null` passes as one without a name, which is refused for that (observed nats-server 2.15.1).
fn null_is_a_nameless_source<'de, D: serde::Deserializer<'de>>(
    deserializer: D,
) -> Result<Vec<StreamSource>, D::Error> {
    let sources = Vec::<Option<StreamSource>>::deserialize(deserializer)?;
    Ok(sources.into_iter().map(Option::unwrap_or_default).collect())
}

/// How a stream behaves. JSON has nats-server's order and omissions.
///
/// The default is what an empty request decodes to; [`StreamConfig::validated`] makes it an effective configuration,
/// in which limits that are not set are -1.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct StreamConfig {
    /// 1 to 255 bytes without white space, `.`, `*`, `>`, `\` and `/`.
    pub name: String,
    /// At most 4096 bytes.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// The subjects that the stream captures; its name if neither these nor a mirror nor sources are given.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub subjects: Vec<String>,
    /// What removes messages.
    pub retention: RetentionPolicy,
    /// How many consumers the stream may have; -1 is the server's default.
    pub max_consumers: i64,
    /// How many messages the stream keeps; -1 is unlimited.
    pub max_msgs: i64,
    /// How many bytes the stream keeps, counted as [`StreamState::bytes`](crate::StreamState::bytes); -1 is unlimited.
    pub max_bytes: i64,
    /// How long a message is kept; zero is for ever.
    pub max_age: Nanos,
    /// How many messages of each subject are kept; -1 is unlimited.
    pub max_msgs_per_subject: i64,
    /// The largest message, headers and payload, in bytes; -1 is unlimited.
    #[serde(skip_serializing_if = "is_zero_i32")]
    pub max_msg_size: i32,
    /// What happens to a message that does not fit.
    pub discard: DiscardPolicy,
    /// Where messages are kept.
    pub storage: StorageType,
    /// How many servers keep a copy.
    pub num_replicas: i64,
    /// Whether publishes get no ack.
    #[serde(skip_serializing_if = "is_false")]
    pub no_ack: bool,
    /// How long `Nats-Msg-Id` is remembered; zero is not at all.
    #[serde(skip_serializing_if = "Nanos::is_zero")]
    pub duplicate_window: Nanos,
    /// Where replicas should live.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub placement: Option<Placement>,
    /// The stream that this one copies.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mirror: Option<StreamSource>,
    /// The streams that this one gathers.
    #[serde(
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "null_is_a_nameless_source"
    )]
    pub sources: Vec<StreamSource>,
    /// Whether stored data is compressed.
    pub compression: Compression,
    /// The first sequence of a new stream; zero is 1.
    #[serde(skip_serializing_if = "StreamSeq::is_zero")]
    pub first_seq: StreamSeq,
    /// Renames subjects before messages are stored.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subject_transform: Option<SubjectTransform>,
    /// Publishes stored messages again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub republish: Option<RePublish>,
    /// Whether direct get is answered.
    pub allow_direct: bool,
    /// Whether a mirror answers direct get for its origin.
    pub mirror_direct: bool,
    /// Whether [`DiscardPolicy::New`] holds for `max_msgs_per_subject` too.
    #[serde(skip_serializing_if = "is_false")]
    pub discard_new_per_subject: bool,
    /// Whether the stream is closed for good: nothing in, nothing out.
    pub sealed: bool,
    /// Whether single messages may not be deleted.
    pub deny_delete: bool,
    /// Whether the stream may not be purged.
    pub deny_purge: bool,
    /// Whether `Nats-Rollup` is allowed.
    pub allow_rollup_hdrs: bool,
    /// Defaults and caps for the stream's consumers.
    pub consumer_limits: ConsumerLimits,
    /// Whether `Nats-TTL` is allowed.
    pub allow_msg_ttl: bool,
    /// How long a delete marker lives; zero is no markers.
    #[serde(skip_serializing_if = "Nanos::is_zero")]
    pub subject_delete_marker_ttl: Nanos,
    /// Whether messages are counter increments.
    #[serde(skip_serializing_if = "is_false")]
    pub allow_msg_counter: bool,
    /// Whether atomic batch publishing is allowed.
    #[serde(skip_serializing_if = "is_false")]
    pub allow_atomic: bool,
    /// Whether message schedules are allowed.
    #[serde(skip_serializing_if = "is_false")]
    pub allow_msg_schedules: bool,
    /// When stored messages are acknowledged.
    #[serde(skip_serializing_if = "PersistMode::is_default")]
    pub persist_mode: PersistMode,
    /// Whether fast batch publishing is allowed.
    #[serde(skip_serializing_if = "is_false")]
    pub allow_batched: bool,
    /// The user's labels and, below `_nats.`, the server's.
    #[serde(skip_serializing_if = "Metadata::is_empty")]
    pub metadata: Metadata,
}

wire_enum! {
    /// What removes messages from a stream.
    RetentionPolicy {
        /// Only the stream's limits.
        #[default]
        Limits = "limits",
        /// The last consumer that needed the message.
        Interest = "interest",
        /// The consumer that acknowledges it.
        WorkQueue = "workqueue",
    }
}

wire_enum! {
    /// What happens to a message that does not fit a stream's limits.
    DiscardPolicy ignoring case {
        /// The oldest messages make room.
        #[default]
        Old = "old",
        /// It is refused.
        New = "new",
    }
}

wire_enum! {
    /// Where a stream's messages are kept.
    StorageType {
        /// On disk.
        #[default]
        File = "file",
        /// In memory.
        Memory = "memory",
    }
}

wire_enum! {
    /// How stored data is compressed.
    Compression else "unknown compression algorithm" for strings {
        /// Not at all.
        #[default]
        None = "none",
        /// S2.
        S2 = "s2",
    }
}

wire_enum! {
    /// When a stored message is acknowledged.
    PersistMode {
        /// When it is as safe as the server's sync policy makes it.
        #[default]
        Default = "default" | "",
        /// Before that.
        Async = "async",
    }
}

/// Where a stream's replicas should live.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Placement {
    /// The cluster's name.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub cluster: String,
    /// Tags that the servers must have. An empty list is not none: with it nothing else is needed for a placement.
    #[serde(skip_serializing_if = "no_tags")]
    pub tags: Option<Vec<String>>,
    /// The server that should lead; only leader step-down requests may name one.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub preferred: String,
}

#[expect(clippy::ref_option, reason = "serde calls it so")]
fn no_tags(tags: &Option<Vec<String>>) -> bool {
    tags.as_ref().is_none_or(Vec::is_empty)
}

/// A renaming of subjects.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct SubjectTransform {
    /// The subjects that are renamed; empty is all.
    pub src: String,
    /// The new subject.
    pub dest: String,
}

/// Where stored messages are published again.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct RePublish {
    /// The stored subjects that are published; empty is all.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub src: String,
    /// The subject to publish to.
    pub dest: String,
    /// Whether the payload is left out.
    #[serde(skip_serializing_if = "is_false")]
    pub headers_only: bool,
}

/// A stream's defaults and caps for its consumers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ConsumerLimits {
    /// The longest and the default `inactive_threshold`; zero is none.
    #[serde(skip_serializing_if = "Nanos::is_zero")]
    pub inactive_threshold: Nanos,
    /// The largest and the default `max_ack_pending`; zero is none.
    #[serde(skip_serializing_if = "is_zero_i64")]
    pub max_ack_pending: i64,
}
