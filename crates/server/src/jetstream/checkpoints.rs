//! Writing checkpoints, on a thread of its own: a large one takes seconds, and commits go on meanwhile.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, Sender};

use jetsled_store::{Checkpoint, LogPosition};

use super::shard::ShardHandle;

/// A shard's way to the thread that writes the checkpoints of all of them, one after the other. It ends when all of these are gone.
#[derive(Clone)]
pub(super) struct Checkpoints(Sender<Writing>);

impl Checkpoints {
    pub(super) fn new() -> (Self, Receiver<Writing>) {
        let (sender, checkpoints) = mpsc::channel();
        (Self(sender), checkpoints)
    }

    pub(super) fn begin(&self, checkpoint: Writing) {
        // The thread ends after all those that send.
        let _ = self.0.send(checkpoint);
    }
}

/// Writes what the shards hand over.
pub(super) fn run(checkpoints: &Receiver<Writing>) {
    while let Ok(checkpoint) = checkpoints.recv() {
        // A panic is logged, and has fenced its shard; the others go on.
        let _ = catch_unwind(AssertUnwindSafe(|| checkpoint.run()));
    }
}

/// A checkpoint on its way to the catalog; of each shard one at most. The next one may be taken once this is gone, whatever becomes of it.
pub(super) struct Writing {
    shard: Arc<ShardHandle>,
    work: Option<(Checkpoint, LogPosition)>,
}

impl Writing {
    /// `synced`: how far the shard's log was, when the checkpoint had been taken.
    pub(super) fn new(
        shard: &Arc<ShardHandle>,
        checkpoint: Checkpoint,
        synced: LogPosition,
    ) -> Self {
        Self {
            shard: Arc::clone(shard),
            work: Some((checkpoint, synced)),
        }
    }

    pub(super) fn run(mut self) {
        let _fenced = self.shard.fence_on_panic();
        let Some((checkpoint, synced)) = self.work.take() else {
            return;
        };
        let checkpointed = checkpoint.run(synced);
        let finished = self
            .shard
            .lock_as_worker()
            .store
            .finish_checkpoint(checkpointed);
        if let Err(error) = finished {
            let shard = self.shard.index;
            tracing::warn!("JetStream checkpoint of shard {shard} not written: {error}");
        }
    }
}

impl Drop for Writing {
    fn drop(&mut self) {
        self.work = None;
        // Who has looked has begun to wait by then.
        drop(self.shard.lock_as_worker());
        self.shard.checkpointed.notify_all();
    }
}
