//! Messages that come in batches (ADR-50): atomic ones, which wait in memory for their commit, and fast-ingest ones, which are
//! stored as they come and acknowledged now and then.
//!
//! `atomic` and `fast` decide, without clock or connection; `publish` joins them with the shard.

mod atomic;
mod fast;
mod limits;
mod publish;

use jetsled_jetstream_api::{StreamConfig, Timestamp};
use jetsled_protocol::headers;

use atomic::AtomicBatches;
use fast::FastBatches;
pub(super) use limits::BatchLimits;

/// The batches of a stream that are in flight.
#[derive(Debug, Default)]
pub(super) struct Batches {
    atomic: AtomicBatches,
    fast: FastBatches,
}

impl Batches {
    /// Drops what a changed configuration does not allow any more.
    pub(super) fn reconfigure(&mut self, config: &StreamConfig) {
        if !config.allow_atomic {
            self.atomic = AtomicBatches::default();
        }
        if !config.allow_batched {
            self.fast = FastBatches::default();
        }
    }

    /// Drops the batches of which messages may have been lost with a failed commit. Atomic ones have none in the log yet.
    pub(super) fn commit_failed(&mut self) {
        self.fast = FastBatches::default();
    }

    fn is_empty(&self) -> bool {
        self.atomic.is_empty() && self.fast.is_empty()
    }

    /// When the first of them times out.
    fn next_deadline(&self) -> Option<Timestamp> {
        let deadlines = [self.atomic.next_deadline(), self.fast.next_deadline()];
        deadlines.into_iter().flatten().min()
    }
}

pub(super) fn batch_id(block: &[u8]) -> Option<&[u8]> {
    headers::get(block, b"Nats-Batch-Id").filter(|id| !id.is_empty())
}
