//! The rules that a consumer's configuration must keep, and the defaults of what it leaves open.
//!
//! The order of the checks is the one observed on nats-server 2.15.1, since a client sees the first failure only.

use jetsled_protocol::{SubjectFilter, subject};

use super::start_rules;
use crate::name::{MAX_DESCRIPTION_LEN, MAX_METADATA_LEN, MAX_NAME_LEN, is_valid_name};
use crate::{
    AckPolicy, ApiError, ConsumerConfig, DeliverPolicy, Nanos, PriorityPolicy, RetentionPolicy,
    ServerLimits, StreamConfig,
};

/// What a consumer's configuration is checked against.
#[derive(Clone, Copy, Debug)]
pub struct ConsumerRules<'a> {
    /// The stream's effective configuration.
    pub stream: &'a StreamConfig,
    /// The server's limits.
    pub server: &'a ServerLimits,
    /// The account's cap of `max_ack_pending`; zero and less is none.
    pub account_max_ack_pending: i64,
    /// Refuse (10157) what would otherwise be adjusted silently.
    pub pedantic: bool,
}

impl ConsumerConfig {
    /// The effective configuration: defaults filled in, rules checked in nats-server's order.
    ///
    /// What depends on other consumers (counts, work queue overlap) is not checked here.
    ///
    /// # Errors
    ///
    /// The first rule that the configuration breaks.
    pub fn validated(mut self, rules: &ConsumerRules<'_>) -> Result<ConsumerConfig, ApiError> {
        // nats-server derives the level from the configuration as given.
        self.set_stored_metadata();
        if self.num_replicas > 1 && !rules.server.clustered {
            return Err(ApiError::STREAM_REPLICAS_NOT_SUPPORTED);
        }
        self.drop_negatives(rules.pedantic)?;
        self.fill_defaults(rules)?;
        self.check_names()?;
        self.check_replicas(rules.stream)?;
        self.check_redelivery()?;
        self.check_flow_control_acks(rules.pedantic)?;
        if self.is_pull() {
            self.check_pull(rules)?;
        } else {
            self.check_push(rules.stream)?;
        }
        self.check_caps(rules)?;
        self.check_direct()?;
        self.check_filters()?;
        start_rules::check(&self)?;
        self.check_sampling()?;
        if self.flow_control && self.heartbeat.is_zero() {
            return Err(ApiError::CONSUMER_WITH_FLOW_CONTROL_NEEDS_HEARTBEATS);
        }
        if self.is_durable() && !self.name.is_empty() && self.name != self.durable {
            return Err(ApiError::CONSUMER_CREATE_DURABLE_AND_NAME_MISMATCH);
        }
        let metadata_len: usize = self
            .metadata
            .iter()
            .map(|(key, value)| key.len() + value.len())
            .sum();
        if metadata_len > MAX_METADATA_LEN {
            return Err(ApiError::consumer_metadata_length("128KB"));
        }
        self.check_priority()?;
        Ok(self)
    }

    /// Gives an ephemeral consumer the threshold of inactivity that it has without one of its own: when it is made, and
    /// when one that was made as ephemeral is updated (observed nats-server 2.15.1).
    pub fn set_default_threshold(&mut self) {
        if self.inactive_threshold.is_zero() {
            self.inactive_threshold = DEFAULT_INACTIVE_THRESHOLD;
        }
    }

    /// Checks a consumer of a work queue stream against the filters of the stream's other consumers, those for mirrors and sources
    /// left out.
    ///
    /// # Errors
    ///
    /// 10099 if both it and another one have no filter, 10100 if both could get the same message.
    pub fn check_work_queue<'a>(
        &self,
        others: impl IntoIterator<Item = &'a SubjectFilter>,
    ) -> Result<(), ApiError> {
        let mut any = false;
        for other in others {
            any = true;
            let collides = |own: &str| {
                let mut theirs = other.patterns().peekable();
                theirs.peek().is_none()
                    || theirs.any(|their| subject::collides(own.as_bytes(), their))
            };
            if self.filters().any(collides) {
                return Err(ApiError::CONSUMER_WORK_QUEUE_CONSUMER_NOT_UNIQUE);
            }
        }
        if any && self.filters().next().is_none() {
            return Err(ApiError::CONSUMER_WORK_QUEUE_MULTIPLE_UNFILTERED);
        }
        Ok(())
    }

    fn drop_negatives(&mut self, pedantic: bool) -> Result<(), ApiError> {
        at_least(
            &mut self.max_deliver,
            -1,
            "max_deliver must be set to -1",
            pedantic,
        )?;
        at_least(
            &mut self.max_waiting,
            0,
            "max_waiting must not be negative",
            pedantic,
        )?;
        at_least(
            &mut self.max_ack_pending,
            -1,
            "max_ack_pending must be set to -1",
            pedantic,
        )?;
        at_least(
            &mut self.max_request_batch,
            0,
            "max_batch must not be negative",
            pedantic,
        )?;
        at_least(
            &mut self.max_request_expires.0,
            0,
            "max_expires must not be negative",
            pedantic,
        )?;
        at_least(
            &mut self.max_request_max_bytes,
            0,
            "max_bytes must not be negative",
            pedantic,
        )?;
        at_least(
            &mut self.heartbeat.0,
            0,
            "idle_heartbeat must not be negative",
            pedantic,
        )?;
        at_least(
            &mut self.inactive_threshold.0,
            0,
            "inactive_threshold must not be negative",
            pedantic,
        )?;
        at_least(
            &mut self.pinned_ttl.0,
            0,
            "priority_timeout must not be negative",
            pedantic,
        )
    }

    fn fill_defaults(&mut self, rules: &ConsumerRules<'_>) -> Result<(), ApiError> {
        let refuse = |given: bool, text: &str| {
            if rules.pedantic && !given {
                Err(ApiError::pedantic(text))
            } else {
                Ok(())
            }
        };
        if self.is_pull() && self.max_waiting == 0 {
            self.max_waiting = DEFAULT_MAX_WAITING;
        }
        let acks = matches!(self.ack_policy, AckPolicy::Explicit | AckPolicy::All);
        if acks && self.ack_wait.is_zero() {
            self.ack_wait = DEFAULT_ACK_WAIT;
        }
        if self.max_deliver == 0 {
            self.max_deliver = -1;
        }
        if let Some(first) = self.backoff.first() {
            refuse(
                self.ack_wait == *first,
                "first backoff value has to equal batch AckWait",
            )?;
            self.ack_wait = *first;
        }
        let stream = rules.stream.consumer_limits;
        if self.max_ack_pending == 0 {
            let text = "max_ack_pending must be set if it's configured in stream limits";
            refuse(stream.max_ack_pending <= 0, text)?;
            self.max_ack_pending = stream.max_ack_pending;
        }
        if self.inactive_threshold.is_zero() {
            let text = "inactive_threshold must be set if it's configured in stream limits";
            refuse(stream.inactive_threshold <= Nanos::ZERO, text)?;
            self.inactive_threshold = stream.inactive_threshold;
        }
        if self.ack_policy != AckPolicy::None && self.max_ack_pending == 0 {
            let caps = [rules.server.max_ack_pending, rules.account_max_ack_pending];
            let cap = caps.into_iter().filter(|cap| *cap > 0).min();
            self.max_ack_pending = DEFAULT_MAX_ACK_PENDING.min(cap.unwrap_or(i64::MAX));
        }
        if self.is_pull() && self.max_request_batch == 0 && rules.server.max_request_batch > 0 {
            refuse(
                false,
                "max_request_batch must be set if it's JetStream limits are set",
            )?;
            self.max_request_batch = rules.server.max_request_batch;
        }
        if self.priority_policy == PriorityPolicy::PinnedClient && self.pinned_ttl.is_zero() {
            self.pinned_ttl = DEFAULT_PINNED_TTL;
        }
        Ok(())
    }

    fn check_names(&self) -> Result<(), ApiError> {
        for name in [&self.name, &self.durable] {
            if name.len() > MAX_NAME_LEN {
                return Err(ApiError::consumer_name_too_long(MAX_NAME_LEN));
            }
            if !name.is_empty() && !is_valid_name(name) {
                let text = r"consumer name can not contain '.', '*', '>', '\', '/'";
                return Err(ApiError::stream_invalid_config(text));
            }
        }
        Ok(())
    }

    fn check_replicas(&self, stream: &StreamConfig) -> Result<(), ApiError> {
        if self.num_replicas > stream.num_replicas {
            return Err(ApiError::CONSUMER_REPLICAS_EXCEEDS_STREAM);
        }
        if self.num_replicas < 0 {
            return Err(ApiError::REPLICAS_COUNT_CANNOT_BE_NEGATIVE);
        }
        let own_count = self.num_replicas != 0 && self.num_replicas != stream.num_replicas;
        if stream.retention != RetentionPolicy::Limits && own_count {
            return Err(ApiError::CONSUMER_REPLICAS_SHOULD_MATCH_STREAM);
        }
        Ok(())
    }

    fn check_redelivery(&self) -> Result<(), ApiError> {
        if self.backoff.iter().any(|wait| *wait < Nanos::ZERO) {
            return Err(ApiError::CONSUMER_BACK_OFF_NEGATIVE);
        }
        if self.ack_wait < Nanos::ZERO {
            return Err(ApiError::CONSUMER_ACK_WAIT_NEGATIVE);
        }
        if self.max_deliver > 0 && self.backoff.len() as u64 > self.max_deliver.unsigned_abs() {
            return Err(ApiError::CONSUMER_MAX_DELIVER_BACKOFF);
        }
        if self.description.len() > MAX_DESCRIPTION_LEN {
            return Err(ApiError::consumer_description_too_long(MAX_DESCRIPTION_LEN));
        }
        Ok(())
    }

    fn check_push(&self, stream: &StreamConfig) -> Result<(), ApiError> {
        let deliver = self.deliver_subject.as_bytes();
        if subject::has_wildcard(deliver) {
            return Err(ApiError::CONSUMER_DELIVER_TO_WILDCARDS);
        }
        if !subject::is_valid(deliver) {
            return Err(ApiError::CONSUMER_INVALID_DELIVER_SUBJECT);
        }
        if stream
            .subjects
            .iter()
            .any(|captured| subject::is_subset(deliver, captured.as_bytes()))
        {
            return Err(ApiError::CONSUMER_DELIVER_CYCLE);
        }
        if self.max_waiting != 0 {
            return Err(ApiError::CONSUMER_PUSH_MAX_WAITING);
        }
        if self.max_ack_pending > 0 && self.ack_policy == AckPolicy::None {
            return Err(ApiError::CONSUMER_MAX_PENDING_ACK_POLICY_REQUIRED);
        }
        if !self.heartbeat.is_zero() && self.heartbeat < MIN_HEARTBEAT {
            return Err(ApiError::CONSUMER_SMALL_HEARTBEAT);
        }
        Ok(())
    }

    fn check_pull(&self, rules: &ConsumerRules<'_>) -> Result<(), ApiError> {
        let work_queue = rules.stream.retention == RetentionPolicy::WorkQueue;
        if work_queue && self.ack_policy == AckPolicy::None {
            return Err(ApiError::CONSUMER_PULL_REQUIRES_ACK);
        }
        if self.rate_limit > 0 {
            return Err(ApiError::CONSUMER_PULL_WITH_RATE_LIMIT);
        }
        if !self.heartbeat.is_zero() {
            return Err(ApiError::CONSUMER_HB_REQUIRES_PUSH);
        }
        if self.flow_control {
            return Err(ApiError::CONSUMER_FC_REQUIRES_PUSH);
        }
        if !self.max_request_expires.is_zero() && self.max_request_expires < MIN_REQUEST_EXPIRES {
            return Err(ApiError::CONSUMER_MAX_REQUEST_EXPIRES_TOO_SMALL);
        }
        let cap = rules.server.max_request_batch;
        if cap > 0 && self.max_request_batch > cap {
            return Err(ApiError::consumer_max_request_batch_exceeded(cap));
        }
        Ok(())
    }

    fn check_caps(&self, rules: &ConsumerRules<'_>) -> Result<(), ApiError> {
        let stream = rules.stream.consumer_limits;
        let caps = [
            rules.server.max_ack_pending,
            rules.account_max_ack_pending,
            stream.max_ack_pending,
        ];
        for cap in caps.into_iter().filter(|cap| *cap > 0) {
            if self.max_ack_pending > cap {
                return Err(ApiError::consumer_max_pending_ack_excess(cap));
            }
        }
        let cap = stream.inactive_threshold;
        if cap > Nanos::ZERO && self.inactive_threshold > cap {
            return Err(ApiError::consumer_inactive_threshold_excess(cap));
        }
        Ok(())
    }

    fn check_direct(&self) -> Result<(), ApiError> {
        if !self.direct {
            Ok(())
        } else if self.is_pull() {
            Err(ApiError::CONSUMER_DIRECT_REQUIRES_PUSH)
        } else if self.is_durable() {
            Err(ApiError::CONSUMER_DIRECT_REQUIRES_EPHEMERAL)
        } else {
            Ok(())
        }
    }

    fn check_filters(&self) -> Result<(), ApiError> {
        if !self.filter_subject.is_empty() && !self.filter_subjects.is_empty() {
            return Err(ApiError::CONSUMER_DUPLICATE_FILTER_SUBJECTS);
        }
        if self.filter_subjects.iter().any(String::is_empty) {
            return Err(ApiError::CONSUMER_EMPTY_FILTER);
        }
        for (index, filter) in self.filters().enumerate() {
            if !subject::is_valid_strict(filter.as_bytes()) {
                return Err(ApiError::stream_invalid_config("invalid subject"));
            }
            for (other_index, other) in self.filters().enumerate() {
                if index != other_index && subject::collides(filter.as_bytes(), other.as_bytes()) {
                    return Err(ApiError::CONSUMER_OVERLAPPING_SUBJECT_FILTERS);
                }
            }
        }
        Ok(())
    }

    fn check_sampling(&self) -> Result<(), ApiError> {
        if self.sample_frequency.is_empty() {
            return Ok(());
        }
        let text = self
            .sample_frequency
            .strip_suffix('%')
            .unwrap_or(&self.sample_frequency);
        match text.parse::<i64>() {
            Ok(0..) => Ok(()),
            // nats-server formats the error of a conversion that did not fail.
            Ok(_) => Err(ApiError::consumer_invalid_sampling("<nil>")),
            Err(_) => {
                let text = format!("strconv.Atoi: parsing {text:?}: invalid syntax");
                Err(ApiError::consumer_invalid_sampling(text))
            }
        }
    }

    /// Acks by flow control need what drives it, so they turn it on.
    fn check_flow_control_acks(&mut self, pedantic: bool) -> Result<(), ApiError> {
        if self.ack_policy != AckPolicy::FlowControl {
            return Ok(());
        }
        if self.is_pull() {
            return Err(ApiError::CONSUMER_ACK_FC_REQUIRES_PUSH);
        }
        if pedantic && !self.flow_control {
            return Err(ApiError::CONSUMER_ACK_FC_REQUIRES_FC);
        }
        if pedantic && self.heartbeat != FLOW_CONTROL_HEARTBEAT {
            let text = "flow control ack policy heartbeat needs to be 1s";
            return Err(ApiError::consumer_create(text));
        }
        self.flow_control = true;
        self.heartbeat = FLOW_CONTROL_HEARTBEAT;
        if self.max_ack_pending <= 0 {
            return Err(ApiError::CONSUMER_ACK_FC_REQUIRES_MAX_ACK_PENDING);
        }
        if !self.ack_wait.is_zero() || !self.backoff.is_empty() {
            return Err(ApiError::CONSUMER_ACK_FC_REQUIRES_NO_ACK_WAIT);
        }
        if self.max_deliver > 0 {
            return Err(ApiError::CONSUMER_ACK_FC_REQUIRES_NO_MAX_DELIVER);
        }
        Ok(())
    }

    fn check_priority(&self) -> Result<(), ApiError> {
        if self.priority_policy == PriorityPolicy::None {
            if !self.priority_groups.is_empty() {
                return Err(ApiError::CONSUMER_PRIORITY_GROUP_WITH_POLICY_NONE);
            }
            if !self.pinned_ttl.is_zero() {
                return Err(ApiError::CONSUMER_PINNED_TTL_WITHOUT_PRIORITY_POLICY_NONE);
            }
            return Ok(());
        }
        if !self.is_pull() {
            return Err(ApiError::CONSUMER_PUSH_WITH_PRIORITY_GROUP);
        }
        if self.priority_groups.is_empty() {
            return Err(ApiError::CONSUMER_PRIORITY_POLICY_WITHOUT_GROUP);
        }
        self.priority_groups
            .iter()
            .try_for_each(|group| check_group_name(group))
    }

    /// Checks what only a new consumer of a work queue stream must keep; its update is held to what may change.
    ///
    /// # Errors
    ///
    /// 10098 for acks that are not explicit, 10101 for a start other than the first message.
    pub fn check_work_queue_stream(&self, stream: &StreamConfig) -> Result<(), ApiError> {
        if stream.retention != RetentionPolicy::WorkQueue || self.direct || self.sourcing {
            return Ok(());
        }
        if !matches!(
            self.ack_policy,
            AckPolicy::Explicit | AckPolicy::FlowControl
        ) {
            return Err(ApiError::CONSUMER_WORK_QUEUE_REQUIRES_EXPLICIT_ACK);
        }
        if self.deliver_policy != DeliverPolicy::All {
            return Err(ApiError::CONSUMER_WORK_QUEUE_CONSUMER_NOT_DELIVER_ALL);
        }
        Ok(())
    }
}

/// Checks the name of a priority group.
///
/// # Errors
///
/// 10161 if it is empty, 10162 if it is too long or has other characters than letters, digits and `-_/=`.
pub fn check_group_name(group: &str) -> Result<(), ApiError> {
    if group.is_empty() {
        return Err(ApiError::CONSUMER_EMPTY_GROUP_NAME);
    }
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_/=".contains(&byte);
    if group.len() > MAX_GROUP_NAME_LEN || !group.bytes().all(allowed) {
        return Err(ApiError::CONSUMER_INVALID_GROUP_NAME);
    }
    Ok(())
}

fn at_least(value: &mut i64, least: i64, text: &str, pedantic: bool) -> Result<(), ApiError> {
    if *value < least {
        if pedantic {
            return Err(ApiError::pedantic(text));
        }
        *value = least;
    }
    Ok(())
}

const DEFAULT_MAX_WAITING: i64 = 512;
const DEFAULT_MAX_ACK_PENDING: i64 = 1000;
const DEFAULT_ACK_WAIT: Nanos = Nanos::from_secs(30);
const DEFAULT_PINNED_TTL: Nanos = Nanos::from_secs(120);
const DEFAULT_INACTIVE_THRESHOLD: Nanos = Nanos::from_secs(5);
const FLOW_CONTROL_HEARTBEAT: Nanos = Nanos::from_secs(1);
const MIN_HEARTBEAT: Nanos = Nanos::from_millis(100);
const MIN_REQUEST_EXPIRES: Nanos = Nanos::from_millis(1);
const MAX_GROUP_NAME_LEN: usize = 16;
