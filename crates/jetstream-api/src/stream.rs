//! Streams: their configuration, its rules, and what is reported of them.

mod config;
mod info;
mod origin_rules;
mod source;
mod source_header;
mod state;
mod subject_rules;
mod update;
mod validation;

pub use config::{
    Compression, ConsumerLimits, DiscardPolicy, PersistMode, Placement, RePublish, RetentionPolicy,
    StorageType, StreamConfig, SubjectTransform,
};
pub use info::{ClusterInfo, PeerInfo, SourceInfo, StreamAlternate, StreamInfo};
pub use origin_rules::StreamLookup;
pub use source::{ExternalStream, StreamConsumerSource, StreamSource};
pub use source_header::{STREAM_SOURCE_HEADER, SourceHeader, SourceIndex};
pub use state::{LostStreamData, StreamState};
