//! Streams: their configuration, its rules, and what is reported of them.

mod config;
mod info;
mod origin_rules;
mod source;
mod state;
mod subject_rules;
mod update;
mod validation;

pub use config::{
    Compression, ConsumerLimits, DiscardPolicy, PersistMode, Placement, RePublish, RetentionPolicy,
    StorageType, StreamConfig, SubjectTransform,
};
pub use info::{ClusterInfo, PeerInfo, SourceInfo, StreamAlternate, StreamInfo};
pub use source::{ExternalStream, StreamConsumerSource, StreamSource};
pub use state::{LostStreamData, StreamState};
