//! Group commit: by the shard's worker as a rule, by the connection itself when it is alone on a quick disk.

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use jetsled_jetstream_api::Nanos;
use jetsled_store::{Commit, CommitError, StreamId};
use parking_lot::MutexGuard;

use super::AccountJetStream;
use super::clock::Stopwatch;
use super::parked::{Parked, Then};
use super::publish::lost_commit;
use super::shard::{ShardHandle, ShardState};
use crate::routing::FlushSet;

/// A connection waits for the disk itself as long as commits take less than this: the worker's wake-up and its answer's cost about
/// as much, while a task that blocks for longer would hold up others.
const QUICK: Duration = Duration::from_millis(1);

/// How long after a failed commit the clock's work is done again.
const EXPIRE_AGAIN: Nanos = Nanos::from_millis(100);

/// Why nothing is written any more.
const FENCED: &str = "log is fenced until the next start";

/// Whether a commit ends with a sync of the disk whatever the policy.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Sync {
    ByPolicy,
    Always,
}

/// What one who commits keeps between commits.
#[derive(Default)]
pub(super) struct Committer {
    pub(super) flush: FlushSet,
    parked: Parked,
    unseen: Vec<StreamId>,
    then: Vec<Then>,
}

impl Committer {
    /// Writes and syncs what is in the open buffer, answers those who waited, and shows consumers what is new. Waits for a commit that
    /// is under way.
    ///
    /// What it has to say is staged in `flush`, in its place in the connections' queues only after [`FlushSet::enqueue`].
    pub(super) fn commit<'s>(
        &mut self,
        shard: &'s ShardHandle,
        mut state: MutexGuard<'s, ShardState>,
        sync: Sync,
    ) -> MutexGuard<'s, ShardState> {
        while state.commits.under_way {
            shard.committed.wait(&mut state);
        }
        let commit = take(&mut state, sync);
        self.adopt(&mut state);
        if let Some(commit) = commit {
            drop(state);
            state = self.write(shard, commit);
        } else if state.store.is_fenced() && state.store.durable() < state.store.position() {
            // What they wait for never becomes durable.
            self.parked.withdraw(|stream, out| {
                if let Some(stream) = state.streams.get(&stream) {
                    lost_commit(&stream.pub_ack, FENCED, out);
                }
            });
        }
        self.settle(&mut state);
        state
    }

    /// Takes over those who wait for the next commit.
    fn adopt(&mut self, state: &mut ShardState) {
        state.commit_by = None;
        std::mem::swap(&mut self.parked, &mut state.parked);
        std::mem::swap(&mut self.unseen, &mut state.unseen);
        for stream in &self.unseen {
            // What is stored from now on is in another commit, and is to be shown after that.
            if let Some(running) = state.streams.get_mut(stream) {
                running.take_unseen();
            }
        }
    }

    /// Runs a commit, without the lock.
    fn write<'s>(&mut self, shard: &'s ShardHandle, commit: Commit) -> MutexGuard<'s, ShardState> {
        let began = Stopwatch::start();
        let only_settles = commit.only_settles();
        let committed = commit.run();
        let took = began.elapsed();
        if committed.succeeded() {
            // Without the lock, since there are many. They are only staged: nothing leaves before consumers were shown what is new.
            self.parked.release(&mut self.flush, &mut self.then);
        }
        let mut state = shard.lock_to_commit();
        state.commits.ended(took);
        state.latencies.commit.observe(took);
        let finished = state.store.finish_commit(committed);
        shard.committed.notify_all();
        if let Err(error) = finished {
            state.failed_commits += 1;
            state.commit_failed(&error, &mut self.parked, &mut self.then, &mut self.flush);
            if !only_settles && state.store.is_unsettled() {
                // Nobody is to see now what a start would contradict. If that fails, too, the next commit or the orderly stop does it.
                state.commit_now();
            }
        } else {
            state.forget_taken_out();
            let durable = state.store.durable();
            state.following.let_leave(durable);
        }
        state
    }

    /// Does what waited for the commit.
    fn settle(&mut self, state: &mut ShardState) {
        if state.store.synced() < state.store.durable() {
            // Written under a sync interval: look again soon whether it has passed.
            state.commit_soon();
        }
        // Answers go first on each connection, but nothing leaves before consumers were shown what is new: a publisher that has
        // its ack could otherwise remove a message (roll-up, purge) before anybody has seen it.
        self.parked
            .observe_acks(state.now, &mut state.latencies.ack);
        self.parked.release(&mut self.flush, &mut self.then);
        for then in self.then.drain(..) {
            state.carry_out(then, &mut self.flush);
        }
        for stream in self.unseen.drain(..) {
            state.show_new_messages(stream, &mut self.flush);
        }
    }
}

/// What is to be written now, if anything. Commits of one shard never overlap.
fn take(state: &mut ShardState, sync: Sync) -> Option<Commit> {
    let now = state.now;
    let commit = if sync == Sync::Always || state.store.sync_due(now) {
        state.store.take_sync(now)
    } else {
        state.store.take_commit()
    };
    state.commits.under_way = commit.is_some();
    commit
}

/// A commit that a connection has taken upon itself. Dropping it runs it, too: after a panic on the way the shard would be without commits.
#[must_use = "run it"]
pub(crate) struct InlineCommit {
    /// Until it is run.
    work: Option<(Box<Committer>, Commit)>,
    shard: Arc<ShardHandle>,
}

impl std::fmt::Debug for InlineCommit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("InlineCommit")
            .field("work", &self.work.as_ref().map(|(_, commit)| commit))
            .finish_non_exhaustive()
    }
}

impl InlineCommit {
    /// Takes the commit that the worker would be woken for, if it may well be done here: the worker sleeps, so nobody else is about
    /// to commit, and the disk is quick. What is more than one message is left to the worker if the disk has to be waited for: more comes in
    /// meanwhile.
    pub(super) fn take(
        shard: &Arc<ShardHandle>,
        state: &mut ShardState,
        is_one: bool,
    ) -> Option<Self> {
        if !state.commits.may_run_inline() || !state.wants_commit_now() || !state.worker_sleeps() {
            return None;
        }
        if !is_one && state.store.next_commit_syncs(state.now) {
            return None;
        }
        let commit = take(state, Sync::ByPolicy)?;
        let mut committer = shard.spare_committer.lock().take().unwrap_or_default();
        committer.adopt(state);
        Some(Self {
            work: Some((committer, commit)),
            shard: Arc::clone(shard),
        })
    }

    /// Writes, syncs, answers. Blocks for one fdatasync at most.
    pub(crate) fn run(mut self) {
        self.run_once();
    }

    fn run_once(&mut self) {
        let Some((mut committer, commit)) = self.work.take() else {
            return;
        };
        let shard = &self.shard;
        let _fenced = shard.fence_on_panic();
        let mut state = committer.write(shard, commit);
        committer.settle(&mut state);
        state.end_of_batch(&mut committer.flush);
        drop(shard.watch(state));
        committer.flush.flush();
        *shard.spare_committer.lock() = Some(committer);
    }
}

impl Drop for InlineCommit {
    fn drop(&mut self) {
        self.run_once();
    }
}

/// The shard's commits as a whole.
#[derive(Default)]
pub(super) struct Commits {
    /// Somebody writes; the next one waits for [`ShardHandle::committed`].
    under_way: bool,
    /// How long commits take, smoothed; one that takes much longer than usual hardly counts.
    usual: Duration,
}

impl Commits {
    fn ended(&mut self, took: Duration) {
        self.under_way = false;
        let took = took.min(self.usual * 2 + QUICK / 4);
        self.usual = (self.usual * 7 + took) / 8;
    }

    /// Whoever writes has panicked. Nothing is written any more.
    pub(super) fn abandon(&mut self) {
        self.under_way = false;
    }

    pub(super) fn is_under_way(&self) -> bool {
        self.under_way
    }

    fn may_run_inline(&self) -> bool {
        !self.under_way && self.usual < QUICK
    }
}

impl ShardState {
    /// Tells those who wait that their change was not written. In `then` is what was to be done, for what is there still: memory
    /// streams keep their consumers.
    fn commit_failed(
        &mut self,
        error: &CommitError,
        parked: &mut Parked,
        then: &mut Vec<Then>,
        flush: &mut FlushSet,
    ) {
        tracing::error!("JetStream shard {} could not write: {error}", self.index);
        let reason = error.to_string();
        // What was appended while the commit ran is void as well.
        for parked in [parked, &mut std::mem::take(&mut self.parked)] {
            parked.fail(flush, then, |stream, out| {
                if let Some(stream) = self.streams.get(&stream) {
                    lost_commit(&stream.pub_ack, &reason, out);
                }
            });
        }
        for running in self.streams.values_mut() {
            if !running.in_memory() {
                running.batches.commit_failed();
            }
        }
        AccountJetStream::return_to_log(self, flush);
        // What had expired is there again.
        let again = self.now.saturating_add(EXPIRE_AGAIN);
        self.store_wake = Some(self.store_wake.map_or(again, |wake| wake.min(again)));
        self.following.tell_lost();
    }
}
