//! Checkpoints: what the catalog keeps so that a start replays only the log's tail.

use crate::catalog::CatalogError;
use crate::log::LogPosition;

/// The state of a shard at one log position, on its way to the catalog.
#[derive(Debug)]
pub struct Checkpoint {}

impl Checkpoint {
    /// Run it once [`crate::Shard::synced`] has reached this.
    #[must_use]
    pub fn position(&self) -> LogPosition {
        todo!()
    }

    /// Writes the checkpoint. Blocks; holds no lock. `synced` is [`crate::Shard::synced`]: a checkpoint that is ahead of the log
    /// is not written, since a power cut would leave it describing records that never were.
    #[must_use = "give it to Shard::finish_checkpoint"]
    pub fn run(self, synced: LogPosition) -> Checkpointed {
        let _ = synced;
        todo!()
    }
}

/// What became of a [`Checkpoint`].
#[derive(Debug)]
pub struct Checkpointed {}

/// Why a checkpoint was not written. The one before it stays in force.
#[derive(Debug, thiserror::Error)]
pub enum CheckpointError {
    /// The log is not durable up to where the checkpoint describes it.
    #[error("checkpoint at {position} is ahead of the log, synced to {synced}")]
    AheadOfLog {
        /// What the checkpoint describes.
        position: LogPosition,
        /// How far the log is synced.
        synced: LogPosition,
    },
    /// The catalog's reason.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
}
