//! The rules that a stream's configuration must keep, and the defaults of what it leaves open.
//!
//! The order of the checks is the one observed on nats-server 2.15.1, since a client sees the first failure only.

use std::fmt;

use crate::name::{MAX_DESCRIPTION_LEN, MAX_METADATA_LEN, MAX_NAME_LEN, is_valid_name};
use crate::stream::{
    DiscardPolicy, PersistMode, RetentionPolicy, StorageType, StreamConfig, StreamLookup,
    origin_rules, subject_rules,
};
use crate::{ApiError, Nanos, ServerLimits};

impl StreamConfig {
    /// The effective configuration: defaults filled in, rules checked in nats-server's order.
    ///
    /// `pedantic` refuses (10157) what would otherwise be adjusted silently. What depends on other streams or on the
    /// account (overlap, counts, reservations, an origin's settings) is not checked here.
    ///
    /// # Errors
    ///
    /// The first rule that the configuration breaks.
    pub fn validated(
        self,
        limits: &ServerLimits,
        pedantic: bool,
    ) -> Result<StreamConfig, ApiError> {
        let config = self.validated_among(limits, pedantic, &|_| None)?;
        config.check_replicas(limits)?;
        Ok(config)
    }

    /// As [`StreamConfig::validated`], with a look at the origins among the account's streams: their settings, and whether streams
    /// copy each other in a circle. [`StreamConfig::check_replicas`] is left to the caller.
    ///
    /// # Errors
    ///
    /// The first rule that the configuration breaks.
    pub fn validated_among(
        mut self,
        limits: &ServerLimits,
        pedantic: bool,
        streams: StreamLookup<'_>,
    ) -> Result<StreamConfig, ApiError> {
        self.check_texts()?;
        self.default_limits(pedantic)?;
        self.check_ages(limits, pedantic)?;
        self.check_feature_combinations(pedantic)?;
        origin_rules::check(&mut self, pedantic, streams)?;
        subject_rules::check(&mut self, pedantic)?;
        if let Some(placement) = &self.placement {
            if !placement.preferred.is_empty() {
                return Err(invalid("preferred server not permitted in placement"));
            }
            if placement.cluster.is_empty() && placement.tags.is_none() {
                self.placement = None;
            }
        }
        self.set_stored_metadata();
        Ok(self)
    }

    /// Checks that a single server is not asked for replicas; after what the account says of one stream.
    ///
    /// # Errors
    ///
    /// 10074.
    pub fn check_replicas(&self, limits: &ServerLimits) -> Result<(), ApiError> {
        if self.num_replicas > 1 && !limits.clustered {
            return Err(ApiError::STREAM_REPLICAS_NOT_SUPPORTED);
        }
        Ok(())
    }

    /// Checks what may not be set when a stream is created; before everything else.
    ///
    /// # Errors
    ///
    /// 10052.
    pub fn check_create(&self) -> Result<(), ApiError> {
        if self.sealed {
            return Err(invalid("stream configuration for create can not be sealed"));
        }
        if self.mirror_direct && self.mirror.is_none() {
            return Err(invalid("stream has no mirror but does have mirror direct"));
        }
        Ok(())
    }

    fn check_texts(&self) -> Result<(), ApiError> {
        if !is_valid_name(&self.name) {
            return Err(invalid(
                r"stream name is required and can not contain '.', '*', '>', '\', '/'",
            ));
        }
        if self.name.len() > MAX_NAME_LEN {
            let text = format!("stream name is too long, maximum allowed is {MAX_NAME_LEN}");
            return Err(invalid(text));
        }
        if self.description.len() > MAX_DESCRIPTION_LEN {
            let text =
                format!("stream description is too long, maximum allowed is {MAX_DESCRIPTION_LEN}");
            return Err(invalid(text));
        }
        // The entry that the server adds counts.
        let mut stored = self.clone();
        stored.set_stored_metadata();
        let metadata_len: usize = stored
            .metadata
            .iter()
            .map(|(key, value)| key.len() + value.len())
            .sum();
        if metadata_len > MAX_METADATA_LEN {
            let text = format!("stream metadata exceeds maximum size of {MAX_METADATA_LEN} bytes");
            return Err(invalid(text));
        }
        Ok(())
    }

    fn default_limits(&mut self, pedantic: bool) -> Result<(), ApiError> {
        match self.num_replicas {
            0 => self.num_replicas = 1,
            n if n > MAX_REPLICAS => {
                return Err(invalid(format_args!("maximum replicas is {MAX_REPLICAS}")));
            }
            n if n < 0 => return Err(ApiError::REPLICAS_COUNT_CANNOT_BE_NEGATIVE),
            _ => {}
        }
        unlimited(&mut self.max_msgs, "max_msgs", pedantic)?;
        unlimited(
            &mut self.max_msgs_per_subject,
            "max_msgs_per_subject",
            pedantic,
        )?;
        unlimited(&mut self.max_bytes, "max_bytes", pedantic)?;
        let mut max_msg_size = i64::from(self.max_msg_size);
        unlimited(&mut max_msg_size, "max_msg_size", pedantic)?;
        if max_msg_size == UNLIMITED {
            self.max_msg_size = -1;
        }
        unlimited(&mut self.max_consumers, "max_consumers", pedantic)
    }

    fn check_ages(&mut self, limits: &ServerLimits, pedantic: bool) -> Result<(), ApiError> {
        let max_age = self.max_age;
        if max_age < Nanos::ZERO {
            return Err(invalid("max age can not be negative"));
        }
        if !max_age.is_zero() && max_age < MIN_SPAN {
            return Err(invalid("max age needs to be >= 100ms"));
        }
        let server_window = limits.duplicate_window;
        if self.duplicate_window.is_zero() && self.mirror.is_none() && self.sources.is_empty() {
            let mut window = DEFAULT_DUPLICATE_WINDOW;
            if server_window > Nanos::ZERO && window > server_window {
                if pedantic {
                    return Err(ApiError::pedantic(
                        "duplicate window limits are higher than current limits",
                    ));
                }
                window = server_window;
            }
            if !max_age.is_zero() && max_age < window {
                if pedantic {
                    return Err(ApiError::pedantic(
                        "duplicate window cannot be bigger than max age",
                    ));
                }
                window = max_age;
            }
            self.duplicate_window = window;
        }
        let window = self.duplicate_window;
        if window < Nanos::ZERO {
            return Err(invalid("duplicates window can not be negative"));
        }
        if !max_age.is_zero() && window > max_age {
            return Err(invalid("duplicates window can not be larger then max age"));
        }
        if server_window > Nanos::ZERO && window > server_window {
            let text =
                format!("duplicates window can not be larger then server limit of {server_window}");
            return Err(invalid(text));
        }
        if !window.is_zero() && window < MIN_SPAN {
            return Err(invalid("duplicates window needs to be >= 100ms"));
        }
        Ok(())
    }

    fn check_feature_combinations(&mut self, pedantic: bool) -> Result<(), ApiError> {
        if self.deny_purge && self.allow_rollup_hdrs {
            return Err(invalid("roll-ups require the purge permission"));
        }
        self.check_counter()?;
        if self.discard_new_per_subject {
            if self.discard != DiscardPolicy::New {
                return Err(invalid(
                    "discard new per subject requires discard new policy to be set",
                ));
            }
            if self.max_msgs_per_subject <= 0 {
                return Err(invalid(
                    "discard new per subject requires max msgs per subject > 0",
                ));
            }
        }
        self.check_delete_markers(pedantic)?;
        self.check_schedules(pedantic)?;
        self.check_persist_mode()
    }

    /// Delete markers need TTLs and roll-ups, so they turn them on.
    fn check_delete_markers(&mut self, pedantic: bool) -> Result<(), ApiError> {
        let ttl = self.subject_delete_marker_ttl;
        if ttl < Nanos::ZERO {
            return Err(invalid("subject delete marker TTL must not be negative"));
        }
        if ttl.is_zero() {
            return Ok(());
        }
        if ttl < Nanos::from_secs(1) {
            return Err(invalid(
                "subject delete marker TTL must be at least 1 second",
            ));
        }
        if pedantic {
            if !self.allow_msg_ttl {
                return Err(invalid(
                    "subject delete marker cannot be set if message TTLs are disabled",
                ));
            }
            if !self.allow_rollup_hdrs {
                return Err(invalid(
                    "subject delete marker cannot be set if roll-ups are disabled",
                ));
            }
        }
        self.allow_msg_ttl = true;
        self.allow_rollup_hdrs = true;
        self.deny_purge = false;
        Ok(())
    }

    /// Schedules need roll-ups, so they turn them on.
    fn check_schedules(&mut self, pedantic: bool) -> Result<(), ApiError> {
        if !self.allow_msg_schedules {
            return Ok(());
        }
        if self.discard == DiscardPolicy::New {
            return Err(invalid("message scheduling cannot use discard new"));
        }
        if pedantic && !self.allow_rollup_hdrs {
            return Err(invalid(
                "message scheduling cannot be set if roll-ups are disabled",
            ));
        }
        self.allow_rollup_hdrs = true;
        self.deny_purge = false;
        Ok(())
    }

    pub(super) fn check_counter(&self) -> Result<(), ApiError> {
        if !self.allow_msg_counter || self.mirror.is_some() {
            return Ok(());
        }
        if self.discard == DiscardPolicy::New {
            return Err(invalid("counter stream cannot use discard new"));
        }
        if self.allow_msg_ttl {
            return Err(invalid("counter stream cannot use message TTLs"));
        }
        if self.allow_msg_schedules {
            return Err(invalid("counter stream cannot use message schedules"));
        }
        if self.retention != RetentionPolicy::Limits {
            return Err(invalid("counter stream can only use limits retention"));
        }
        Ok(())
    }

    fn check_persist_mode(&self) -> Result<(), ApiError> {
        if self.persist_mode != PersistMode::Async {
            return Ok(());
        }
        if self.storage != StorageType::File {
            return Err(invalid(
                "async persist mode is only supported on file storage",
            ));
        }
        if self.num_replicas > 1 {
            return Err(invalid(
                "async persist mode is not supported on replicated streams",
            ));
        }
        if self.allow_atomic {
            return Err(invalid(
                "async persist mode is not supported with atomic batch publish",
            ));
        }
        Ok(())
    }
}

/// 10052 with its text.
pub(super) fn invalid(text: impl fmt::Display) -> ApiError {
    ApiError::stream_invalid_config(text)
}

/// Makes a limit that is not set, or set to nonsense, unlimited.
fn unlimited(limit: &mut i64, name: &str, pedantic: bool) -> Result<(), ApiError> {
    if *limit < UNLIMITED && pedantic {
        return Err(ApiError::pedantic(format_args!("{name} must be set to -1")));
    }
    if *limit <= 0 {
        *limit = UNLIMITED;
    }
    Ok(())
}

const UNLIMITED: i64 = -1;
const MAX_REPLICAS: i64 = 5;
const MIN_SPAN: Nanos = Nanos::from_millis(100);
const DEFAULT_DUPLICATE_WINDOW: Nanos = Nanos::from_secs(120);
