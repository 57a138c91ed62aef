//! A shard's worker thread: group commit, timers, and deliveries that take more than one turn.

use std::cmp::Reverse;
use std::sync::Arc;

use jetsled_dispatch::Consumer;
use jetsled_jetstream_api::{StreamSeq, Timestamp};
use jetsled_store::{CommitError, Stream, StreamId};
use parking_lot::MutexGuard;

use super::follower::OriginFollower;
use super::parked::{Parked, Then};
use super::shard::{ShardHandle, ShardState, lost_commit};
use super::target::ConsumerTarget;
use super::{AccountJetStream, clock};
use crate::routing::FlushSet;

/// Turns of consumers that have more to deliver, between two looks at the log.
const READY_TURNS: usize = 32;

/// Timers served between two looks at the log.
const TIMERS: usize = 1024;

/// Whether a commit ends with a sync of the disk whatever the policy.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Sync {
    ByPolicy,
    Always,
}

/// What the worker keeps between its rounds.
#[derive(Default)]
struct Worker {
    flush: FlushSet,
    parked: Parked,
    unseen: Vec<StreamId>,
    then: Vec<Then>,
    /// Whose turn it is.
    followers: Vec<Arc<OriginFollower>>,
}

/// Serves the shard until it is told to stop; then commits and writes a checkpoint.
pub(super) fn run(shard: &ShardHandle) {
    let mut worker = Worker::default();
    loop {
        let mut state = shard.lock_as_worker();
        let due = state.next_work();
        if due.is_none_or(|due| due > state.now) {
            if state.stopping {
                break;
            }
            sleep(shard, &mut state, due);
            continue;
        }
        if state.commit_by.is_some_and(|by| by <= state.now) {
            state = worker.commit(shard, state, Sync::ByPolicy);
        }
        state.timers(&mut worker.flush);
        state.ready_turns(&mut worker.flush);
        state.carry_out_releases(&mut worker.flush);
        worker.flush.enqueue();
        let now = state.now;
        state.following.take_due(now, &mut worker.followers);
        let stopping = state.stopping && state.commit_by.is_none() && state.ready.is_empty();
        drop(state);
        worker.flush.flush();
        worker.follow(shard);
        worker.housekeeping(shard);
        if stopping {
            break;
        }
    }
    worker.stop(shard);
}

fn sleep(shard: &ShardHandle, state: &mut MutexGuard<'_, ShardState>, due: Option<Timestamp>) {
    state.sleeping_until = Some(due.unwrap_or(Timestamp(i64::MAX)));
    match due {
        Some(due) => {
            let timeout = clock::until(due, state.now);
            shard.work.wait_for(state, timeout);
        }
        None => shard.work.wait(state),
    }
    state.sleeping_until = None;
}

impl Worker {
    /// Writes and syncs what is in the open buffer, answers those who waited, and shows consumers what is new.
    fn commit<'s>(
        &mut self,
        shard: &'s ShardHandle,
        mut state: MutexGuard<'s, ShardState>,
        sync: Sync,
    ) -> MutexGuard<'s, ShardState> {
        state.commit_by = None;
        let now = state.now;
        let commit = if sync == Sync::Always || state.store.sync_due(now) {
            state.store.take_sync(now)
        } else {
            state.store.take_commit()
        };
        std::mem::swap(&mut self.parked, &mut state.parked);
        std::mem::swap(&mut self.unseen, &mut state.unseen);
        if let Some(commit) = commit {
            drop(state);
            let committed = commit.run();
            state = shard.lock_as_worker();
            let finished = state.store.finish_commit(committed);
            shard.committed.notify_all();
            if let Err(error) = finished {
                state.failed_commits += 1;
                state.commit_failed(&error, &mut self.parked, &mut self.flush);
            }
        }
        if state.store.synced() < state.store.durable() {
            // Written under a sync interval: look again soon whether it has passed.
            state.commit_soon();
        }
        // Answers go first on each connection, but nothing leaves before consumers were shown what is new: a publisher that has
        // its ack could otherwise remove a message (roll-up, purge) before anybody has seen it.
        self.parked.release(&mut self.flush, &mut self.then);
        for then in self.then.drain(..) {
            state.carry_out(then, &mut self.flush);
        }
        for stream in self.unseen.drain(..) {
            state.show_new_messages(stream, &mut self.flush);
        }
        state
    }

    /// Gives followers of origins their turns. What they store is committed in the next round.
    fn follow(&mut self, shard: &ShardHandle) {
        for follower in self.followers.drain(..) {
            follower.turn(shard, &mut self.flush);
            self.flush.flush();
        }
    }

    /// Work that holds no lock while it runs: segment indexes, checkpoints.
    fn housekeeping(&mut self, shard: &ShardHandle) {
        let mut state = shard.lock_as_worker();
        if let Some(maintenance) = state.store.take_maintenance() {
            drop(state);
            let maintained = maintenance.run();
            state = shard.lock_as_worker();
            state.store.finish_maintenance(maintained);
        }
        if state.store.checkpoint_due() {
            self.checkpoint(shard, state);
        }
    }

    /// Writes a checkpoint of everything as it is now.
    fn checkpoint(&mut self, shard: &ShardHandle, mut state: MutexGuard<'_, ShardState>) {
        let ShardState {
            store,
            streams,
            resting,
            ..
        } = &mut *state;
        let running = streams
            .values()
            .flat_map(|stream| stream.consumers.values());
        let running = running.map(|consumer| {
            let mut bytes = Vec::new();
            consumer.state.encode_checkpoint(&mut bytes);
            (consumer.key(), bytes)
        });
        let checkpoint = store.take_checkpoint(running.chain(resting.iter().cloned()));
        drop(state);
        // The checkpoint must not be ahead of the log.
        let state = self.commit(shard, shard.lock_as_worker(), Sync::Always);
        self.flush.enqueue();
        let synced = state.store.synced();
        drop(state);
        self.flush.flush();
        let checkpointed = checkpoint.run(synced);
        let mut state = shard.lock_as_worker();
        if let Err(error) = state.store.finish_checkpoint(checkpointed) {
            tracing::warn!(
                "JetStream checkpoint of shard {} not written: {error}",
                state.index
            );
        }
    }

    /// The last commit and checkpoint.
    fn stop(&mut self, shard: &ShardHandle) {
        let state = self.commit(shard, shard.lock_as_worker(), Sync::Always);
        self.checkpoint(shard, state);
    }
}

impl ShardState {
    /// Does what is due by the clock.
    fn timers(&mut self, flush: &mut FlushSet) {
        for _ in 0..TIMERS {
            let Some(&Reverse((at, stream, consumer))) = self.wakes.peek() else {
                break;
            };
            if at > self.now {
                break;
            }
            self.wakes.pop();
            let target = ConsumerTarget {
                stream: self.stream_target(stream),
                consumer,
            };
            let Some(running) = self
                .streams
                .get_mut(&stream)
                .and_then(|s| s.consumers.get_mut(&consumer))
            else {
                continue;
            };
            if running.wake != Some(at) {
                continue;
            }
            running.wake = None;
            self.report_removed(stream, flush);
            self.with_consumer(target, Consumer::on_time);
            self.dispatch(target, flush);
        }
        if self.batch_wake.is_some_and(|at| at <= self.now) {
            self.expire_batches(flush);
        }
        if self.store_wake.is_some_and(|at| at <= self.now) {
            let before = self.store.position();
            let watched = self.ends_of_watched();
            self.store_wake = self.store.tick(self.now);
            self.store_scheduled(flush);
            if self.store.position() != before {
                self.commit_soon();
            }
            for (stream, last_before) in watched {
                self.report_removed(stream, flush);
                let last = self.store.stream(stream).map(Stream::last_seq);
                if last > last_before
                    && let Some(running) = self.streams.get_mut(&stream)
                {
                    running.note_stored(&mut self.unseen);
                }
            }
            self.show_memory_messages(flush);
        }
    }

    /// Streams with consumers, and their last sequences: delete markers are stored by the clock.
    fn ends_of_watched(&self) -> Vec<(StreamId, Option<StreamSeq>)> {
        self.streams
            .values()
            .filter(|stream| !stream.consumers.is_empty())
            .map(|stream| {
                (
                    stream.id,
                    self.store.stream(stream.id).map(Stream::last_seq),
                )
            })
            .collect()
    }

    /// Gives consumers that had more to deliver another turn each.
    fn ready_turns(&mut self, flush: &mut FlushSet) {
        for _ in 0..READY_TURNS.min(self.ready.len()) {
            let Some(target) = self.ready.pop_front() else {
                break;
            };
            if let Some(consumer) = self.consumer_mut(target) {
                consumer.queued = false;
                self.dispatch(target, flush);
            }
        }
    }

    /// What was to happen once a commit is durable.
    fn carry_out(&mut self, then: Then, flush: &mut FlushSet) {
        match then {
            Then::Start { stream, consumer } => {
                let target = ConsumerTarget {
                    stream: self.stream_target(stream),
                    consumer,
                };
                if let Some(running) = self.consumer_mut(target) {
                    running.started = true;
                    self.report_removed(stream, flush);
                    self.with_consumer(target, Consumer::on_interest_changed);
                    self.dispatch(target, flush);
                }
            }
        }
    }

    /// Tells those who wait that their change was not written.
    fn commit_failed(&mut self, error: &CommitError, parked: &mut Parked, flush: &mut FlushSet) {
        tracing::error!("JetStream shard {} could not write: {error}", self.index);
        let reason = error.to_string();
        // What was appended while the commit ran is void as well.
        for parked in [parked, &mut std::mem::take(&mut self.parked)] {
            parked.fail(flush, |stream, out| {
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
        AccountJetStream::take_out_lost(self, flush);
        self.following.tell_lost();
    }
}
