//! Consumers: their configuration, its rules, and what is reported of them.

mod config;
mod info;
mod start_rules;
mod update;
mod validation;

pub use config::{AckPolicy, ConsumerConfig, DeliverPolicy, PriorityPolicy, ReplayPolicy};
pub use info::{ConsumerInfo, PriorityGroupState, SequenceInfo};
pub use validation::{ConsumerRules, check_group_name};
