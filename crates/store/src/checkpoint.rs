//! Checkpoints: what the catalog keeps so that a start replays only the log's tail.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering::Acquire};
use std::sync::{Arc, Weak};

use crate::catalog::{Catalog, CatalogError, Section};
use crate::log::{ConsumerKey, LogPosition, SegmentNo};

/// The state of a shard at one log position, on its way to the catalog.
#[derive(Debug)]
pub struct Checkpoint {
    pub(crate) shard: u8,
    pub(crate) catalog: Catalog,
    pub(crate) position: LogPosition,
    /// The shard's failed commits and syncs: now, and when it was taken.
    pub(crate) failed_commits: (Arc<AtomicU64>, u64),
    /// Whether its streams were behind the log: something had to leave them that could not be read.
    pub(crate) is_behind: bool,
    /// Bytes appended to the log when it was taken.
    pub(crate) appended: u64,
    /// Segments in which nothing lived.
    pub(crate) dead: BTreeSet<SegmentNo>,
    pub(crate) entries: Vec<(Section, Vec<u8>, Vec<u8>)>,
    /// The consumers' states, which go back to the shard.
    pub(crate) consumers: Vec<(ConsumerKey, Vec<u8>)>,
    pub(crate) under_way: UnderWay,
}

/// Lives as long as a checkpoint that was taken and is neither finished nor given up.
#[derive(Debug)]
pub(crate) struct UnderWay {
    _alive: Arc<()>,
}

impl UnderWay {
    pub(crate) fn begin(latest: &mut Weak<()>) -> Self {
        let alive = Arc::new(());
        *latest = Arc::downgrade(&alive);
        Self { _alive: alive }
    }
}

impl Checkpoint {
    /// Run it once [`crate::Shard::synced`] has reached this.
    #[must_use]
    pub fn position(&self) -> LogPosition {
        self.position
    }

    /// Writes the checkpoint. Blocks, for a large one for seconds; holds no lock, and commits may go on. `synced` is [`crate::Shard::synced`]:
    /// a checkpoint that is ahead of the log is not written, since a power cut would leave it describing records that never were; nor is one
    /// that a commit has failed since, for what it describes may be void.
    #[must_use = "give it to Shard::finish_checkpoint"]
    pub fn run(self, synced: LogPosition) -> Checkpointed {
        let (failed, before) = &self.failed_commits;
        let outcome = if failed.load(Acquire) != *before {
            Err(CheckpointError::Void {
                position: self.position,
            })
        } else if self.is_behind {
            Err(CheckpointError::BehindLog {
                position: self.position,
            })
        } else if synced < self.position {
            Err(CheckpointError::AheadOfLog {
                position: self.position,
                synced,
            })
        } else {
            self.write().map_err(CheckpointError::from)
        };
        Checkpointed {
            bytes: self.bytes(),
            under_way: self.under_way,
            position: self.position,
            appended: self.appended,
            dead: self.dead,
            consumers: self.consumers,
            outcome,
        }
    }

    /// Its size.
    fn bytes(&self) -> u64 {
        let values = self.entries.iter().map(|(.., value)| value);
        let states = self.consumers.iter().map(|(_, state)| state);
        values.chain(states).map(|value| value.len() as u64).sum()
    }

    fn write(&self) -> Result<(), CatalogError> {
        let mut writer = self.catalog.begin(self.shard)?;
        for (section, key, value) in &self.entries {
            writer.put(*section, key, value)?;
        }
        for (consumer, state) in &self.consumers {
            writer.put(Section::ConsumerState, &consumer.0.to_be_bytes(), state)?;
        }
        writer.finish()
    }
}

/// What became of a [`Checkpoint`].
#[derive(Debug)]
pub struct Checkpointed {
    pub(crate) under_way: UnderWay,
    pub(crate) position: LogPosition,
    pub(crate) appended: u64,
    pub(crate) bytes: u64,
    pub(crate) dead: BTreeSet<SegmentNo>,
    pub(crate) consumers: Vec<(ConsumerKey, Vec<u8>)>,
    pub(crate) outcome: Result<(), CheckpointError>,
}

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
    /// A commit or a sync has failed since it was taken.
    #[error("checkpoint at {position} is of what a failed commit or sync may have made void")]
    Void {
        /// What the checkpoint describes.
        position: LogPosition,
    },
    /// Messages could not be read that had to go.
    #[error("checkpoint at {position} has messages that have to go and could not be read")]
    BehindLog {
        /// What the checkpoint describes.
        position: LogPosition,
    },
    /// The catalog's reason.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
}

/// Key of the log's own checkpoint in [`Section::Log`].
pub(crate) const LOG_KEY: &[u8] = b"log";
/// Key of the shard's counters and graves in [`Section::Log`].
pub(crate) const SHARD_KEY: &[u8] = b"shard";
