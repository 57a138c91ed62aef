//! What may change in a stream's configuration.

use super::validation::invalid;
use crate::stream::{DiscardPolicy, RetentionPolicy, StreamConfig, StreamLookup};
use crate::{ApiError, Nanos, ServerLimits};

impl StreamConfig {
    /// The configuration that `self` becomes by an update to `new`, which need not be validated yet.
    ///
    /// # Errors
    ///
    /// The first rule of [`StreamConfig::validated`] or for updates that `new` breaks.
    pub fn updated(
        &self,
        new: StreamConfig,
        limits: &ServerLimits,
        pedantic: bool,
    ) -> Result<StreamConfig, ApiError> {
        self.updated_among(new, limits, pedantic, &|_| None)
    }

    /// As [`StreamConfig::updated`], with a look at the origins among the account's streams.
    ///
    /// # Errors
    ///
    /// The first rule of [`StreamConfig::validated_among`] or for updates that `new` breaks.
    pub fn updated_among(
        &self,
        new: StreamConfig,
        limits: &ServerLimits,
        pedantic: bool,
        streams: StreamLookup<'_>,
    ) -> Result<StreamConfig, ApiError> {
        let mut new = new.validated_among(limits, pedantic, streams)?;
        new.check_replicas(limits)?;
        // nats-server validates an update twice, so here a counter meets the TTLs that delete markers turned on.
        new.check_counter()?;
        self.check_update(&new)?;
        if new.sealed {
            new.max_age = Nanos::ZERO;
            new.discard = DiscardPolicy::New;
            new.deny_delete = true;
            new.deny_purge = true;
            new.allow_rollup_hdrs = false;
        }
        Ok(new)
    }

    /// Whether two effective configurations are the same but for the metadata that the server keeps: creating a stream
    /// that exists succeeds if they are.
    #[must_use]
    pub fn is_same(&self, other: &StreamConfig) -> bool {
        let without_metadata = |config: &StreamConfig| StreamConfig {
            metadata: crate::metadata::Metadata::default(),
            ..config.clone()
        };
        crate::metadata::equal_but_for_versions(&self.metadata, &other.metadata)
            && without_metadata(self) == without_metadata(other)
    }

    fn check_update(&self, new: &StreamConfig) -> Result<(), ApiError> {
        let refuse = |what: &str| Err(invalid(format_args!("stream configuration {what}")));
        if new.name != self.name {
            return refuse("name must match original");
        }
        if new.storage != self.storage {
            return refuse("update can not change storage type");
        }
        let work_queue = RetentionPolicy::WorkQueue;
        if new.retention != self.retention
            && (new.retention == work_queue || self.retention == work_queue)
        {
            return refuse("update can not change retention policy to/from workqueue");
        }
        if self.sealed && !new.sealed {
            return refuse("update can not unseal a sealed stream");
        }
        if self.deny_delete && !new.deny_delete {
            return refuse("update can not cancel deny message deletes");
        }
        if self.deny_purge && !new.deny_purge {
            return refuse("update can not cancel deny purge");
        }
        if new.mirror.is_some() && new.mirror != self.mirror {
            return Err(ApiError::STREAM_MIRROR_NOT_UPDATABLE);
        }
        if self.allow_msg_ttl && !new.allow_msg_ttl {
            return Err(invalid("message TTL status can not be disabled"));
        }
        if new.allow_msg_counter != self.allow_msg_counter {
            return refuse("update can not change message counter setting");
        }
        if self.allow_msg_schedules && !new.allow_msg_schedules {
            return Err(invalid("message schedules can not be disabled"));
        }
        if new.persist_mode != self.persist_mode {
            return refuse("update can not change persist mode");
        }
        Ok(())
    }
}
