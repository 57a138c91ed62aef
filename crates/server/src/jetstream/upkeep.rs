//! Work on the log in no hurry, on a thread of its own: indexes of full segments, files for the next ones. No commit waits for it.

use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, Sender};

use jetsled_store::Maintenance;

use super::shard::{ShardHandle, ShardState};

/// A shard's way to the thread that does the work for all of them. It ends when all of these are gone.
#[derive(Clone)]
pub(super) struct Upkeep(Sender<Job>);

/// Of each shard there is one at most: see [`Shard::take_maintenance`](jetsled_store::Shard::take_maintenance).
pub(super) struct Job {
    shard: u16,
    work: Maintenance,
}

impl Upkeep {
    pub(super) fn new() -> (Self, Receiver<Job>) {
        let (sender, jobs) = mpsc::channel();
        (Self(sender), jobs)
    }

    /// Hands over what the shard's log has to be done, if anything.
    pub(super) fn begin(&self, state: &mut ShardState) {
        if let Some(work) = state.store.take_maintenance() {
            let shard = state.index;
            // The thread ends after all those that send.
            let _ = self.0.send(Job { shard, work });
        }
    }
}

/// Does what the shards hand over.
pub(super) fn run(shards: &[Arc<ShardHandle>], jobs: &Receiver<Job>) {
    while let Ok(Job { shard, work }) = jobs.recv() {
        let Some(shard) = shards.iter().find(|other| other.index == shard) else {
            continue;
        };
        let _fenced = shard.fence_on_panic();
        let mut next = Some(work);
        while let Some(work) = next {
            let done = work.run();
            let mut state = shard.lock_as_worker();
            state.store.finish_maintenance(done);
            next = state.store.take_maintenance();
        }
    }
}
