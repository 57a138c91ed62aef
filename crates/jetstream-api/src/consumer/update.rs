use crate::{ApiError, ConsumerConfig};

impl ConsumerConfig {
    /// Checks whether `self` may become `new` by an update; both are effective configurations.
    ///
    /// # Errors
    ///
    /// The first member that may not change.
    #[expect(clippy::todo, reason = "the surface lands first")]
    pub fn check_update(&self, new: &ConsumerConfig) -> Result<(), ApiError> {
        let _ = new;
        todo!()
    }
}
