//! A shard's worker without its thread.

use std::sync::Arc;

use jetsled_jetstream_api::Timestamp;

use super::shard::ShardHandle;
use super::worker::Worker;

/// A worker that is called.
pub(crate) struct ByHand {
    shard: Arc<ShardHandle>,
    worker: Worker,
}

impl ByHand {
    pub(super) fn new(shard: &Arc<ShardHandle>) -> Self {
        Self {
            shard: Arc::clone(shard),
            worker: Worker::default(),
        }
    }

    /// Does one round of what is due, or goes to sleep. Answers when the next one is due; a past time means now.
    pub(crate) fn step(&mut self) -> Option<Timestamp> {
        self.worker.step(&self.shard)
    }

    /// The end of an orderly stop, once the shard was told of it: finishes what is under way, makes it durable.
    pub(crate) fn stop(mut self) {
        // Stopping is work that is due until it is done.
        while self.step().is_some() {}
        self.worker.stop(&self.shard);
    }
}
