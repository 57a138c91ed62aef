//! What may change in a consumer's configuration.

use crate::{ApiError, ConsumerConfig};

impl ConsumerConfig {
    /// Checks whether `self` may become `new` by an update; both are effective configurations.
    ///
    /// # Errors
    ///
    /// 10012 for the first member that may not change, 10116 if the backoff list became too long.
    pub fn check_update(&self, new: &ConsumerConfig) -> Result<(), ApiError> {
        if self.is_same(new) {
            return Ok(());
        }
        let fixed = [
            (self.deliver_policy == new.deliver_policy, "deliver policy"),
            (self.memory_storage == new.memory_storage, "storage type"),
            (self.direct == new.direct, "direct"),
            (self.sourcing == new.sourcing, "sourcing"),
            (self.opt_start_seq == new.opt_start_seq, "start sequence"),
            (self.opt_start_time == new.opt_start_time, "start time"),
            (self.ack_policy == new.ack_policy, "ack policy"),
            (self.replay_policy == new.replay_policy, "replay policy"),
            (self.heartbeat == new.heartbeat, "heart beats"),
            (self.flow_control == new.flow_control, "flow control"),
        ];
        if let Some((_, member)) = fixed.iter().find(|(same, _)| !same) {
            return Err(ApiError::consumer_create(format_args!(
                "{member} can not be updated"
            )));
        }
        match (self.is_pull(), new.is_pull()) {
            (true, false) => {
                return Err(ApiError::consumer_create(
                    "can not update pull consumer to push based",
                ));
            }
            (false, true) => {
                return Err(ApiError::consumer_create(
                    "can not update push consumer to pull based",
                ));
            }
            _ => {}
        }
        if self.max_waiting != new.max_waiting {
            return Err(ApiError::consumer_create("max waiting can not be updated"));
        }
        Ok(())
    }

    /// Whether two effective configurations are the same but for the metadata that the server keeps: creating a consumer
    /// that exists succeeds if they are.
    #[must_use]
    pub fn is_same(&self, other: &ConsumerConfig) -> bool {
        let without_metadata = |config: &ConsumerConfig| ConsumerConfig {
            metadata: crate::metadata::Metadata::default(),
            ..config.clone()
        };
        crate::metadata::equal_but_for_versions(&self.metadata, &other.metadata)
            && without_metadata(self) == without_metadata(other)
    }
}
