//! JetStream's configurations, requests, replies, states and error table.
//!
//! What the store, the dispatcher and the server all name lives here. The crate keeps no state, reads no clock and does
//! no IO: it decodes requests as leniently or strictly as nats-server does, checks configurations, and writes replies
//! whose JSON has nats-server's members in nats-server's order.
//!
//! ```
//! use jetsled_jetstream_api::{ServerLimits, StreamConfig};
//!
//! let config = StreamConfig { name: "ORDERS".to_owned(), ..StreamConfig::default() };
//! let config = config.validated(&ServerLimits::default(), false)?;
//! assert_eq!(config.subjects, ["ORDERS"]);
//! assert_eq!(config.max_msgs, -1);
//! # Ok::<(), jetsled_jetstream_api::ApiError>(())
//! ```

mod ack;
pub mod advisory;
mod batch_flow;
mod consumer;
mod digits;
mod error;
pub mod fast_reply;
pub mod json;
mod limits;
pub mod metadata;
mod name;
mod omit;
mod pub_ack;
mod pull_request;
pub mod request;
pub mod response;
mod sequence;
mod stream;
mod time;
mod wire_enum;

pub use ack::{
    AckKind, AckNumbers, AckOrigin, AckSubject, AckSubjectPrefix, AckSubjectReader,
    AckSubjectWriter,
};
pub use batch_flow::BatchFlow;
pub use consumer::{
    AckPolicy, ConsumerConfig, ConsumerInfo, ConsumerRules, ConsumerState, DeliverPolicy,
    PendingAck, PriorityGroupState, PriorityPolicy, ReplayPolicy, SequenceInfo, SequencePair,
    check_group_name,
};
pub use error::{ApiError, ERROR_TABLE};
pub use limits::{AccountLimits, ServerLimits};
pub use name::{
    MAX_DESCRIPTION_LEN, MAX_METADATA_LEN, MAX_NAME_LEN, is_valid_name, short_hash, stream_identity,
};
pub use pub_ack::{PubAck, PubAckPrefix, PubAckRun};
pub use pull_request::{PullPriority, PullRequest};
pub use sequence::{ConsumerSeq, StreamSeq};
pub use stream::{
    ClusterInfo, Compression, ConsumerLimits, DiscardPolicy, ExternalStream, LostStreamData,
    PeerInfo, PersistMode, Placement, RePublish, RetentionPolicy, STREAM_SOURCE_HEADER,
    SourceHeader, SourceIndex, SourceInfo, StorageType, StreamAlternate, StreamConfig,
    StreamConsumerSource, StreamInfo, StreamLookup, StreamSource, StreamState, SubjectTransform,
};
pub use time::{Nanos, ParseNanosError, ParseTimestampError, Timestamp};
