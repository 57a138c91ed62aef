use crate::{ApiError, ConsumerConfig, ServerLimits, StreamConfig};

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
    #[expect(clippy::todo, reason = "the surface lands first")]
    pub fn validated(self, rules: &ConsumerRules<'_>) -> Result<ConsumerConfig, ApiError> {
        let _ = rules;
        todo!()
    }

    /// Checks a consumer of a work queue stream against the filters of the stream's other consumers.
    ///
    /// # Errors
    ///
    /// 10099 or 10100.
    #[expect(clippy::todo, reason = "the surface lands first")]
    pub fn check_work_queue<'a>(
        &self,
        others: impl IntoIterator<Item = &'a ConsumerConfig>,
    ) -> Result<(), ApiError> {
        let _ = others.into_iter().count();
        todo!()
    }
}
