use crate::stream::StreamConfig;
use crate::{ApiError, ServerLimits};

impl StreamConfig {
    /// The effective configuration: defaults filled in, rules checked in nats-server's order.
    ///
    /// `pedantic` refuses (10157) what would otherwise be adjusted silently. What depends on other streams or on the
    /// account (overlap, counts, reservations) is not checked here.
    ///
    /// # Errors
    ///
    /// The first rule that the configuration breaks.
    #[expect(clippy::todo, reason = "the surface lands first")]
    pub fn validated(
        self,
        limits: &ServerLimits,
        pedantic: bool,
    ) -> Result<StreamConfig, ApiError> {
        let _ = (limits, pedantic);
        todo!()
    }
}
