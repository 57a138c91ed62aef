//! Consumers: their configuration, its rules, and what is reported of them.

mod config;
mod info;
mod start_rules;
mod state;
mod update;
mod validation;

pub use config::{AckPolicy, ConsumerConfig, DeliverPolicy, PriorityPolicy, ReplayPolicy};
pub use info::{ConsumerInfo, PriorityGroupState, SequenceInfo};
pub use state::{ConsumerState, PendingAck, SequencePair};
pub use validation::{ConsumerRules, check_group_name};
