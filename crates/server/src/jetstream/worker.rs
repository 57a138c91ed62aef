//! A shard's worker thread: it commits for everybody, serves timers, and makes deliveries that take more than one turn.

use std::cmp::Reverse;
use std::ops::ControlFlow;
use std::sync::Arc;

use jetsled_dispatch::Consumer;
use jetsled_jetstream_api::{StreamSeq, Timestamp};
use jetsled_store::{Stream, StreamId};
use parking_lot::MutexGuard;

use super::checkpoints::{Checkpoints, Writing};
use super::clock;
use super::commit::{Committer, Sync};
use super::follower::OriginFollower;
use super::parked::Then;
use super::shard::{ShardHandle, ShardState};
use super::target::ConsumerTarget;
use super::upkeep::Upkeep;
use crate::routing::FlushSet;

/// Turns of consumers that have more to deliver, between two looks at the log.
const READY_TURNS: usize = 32;

/// Timers served between two looks at the log.
const TIMERS: usize = 1024;

/// What the worker keeps between its rounds.
#[derive(Default)]
pub(super) struct Worker {
    committer: Committer,
    /// Whose turn it is.
    followers: Vec<Arc<OriginFollower>>,
    /// Without them the log's upkeep is done between two rounds, and a checkpoint is written when there is nothing else to do.
    helpers: Option<Helpers>,
    unwritten: Option<Writing>,
}

/// Threads that do for all workers what no commit should wait for.
#[derive(Clone)]
pub(super) struct Helpers {
    pub(super) upkeep: Upkeep,
    pub(super) checkpoints: Checkpoints,
}

/// Serves the shard until it is told to stop; then commits and writes a checkpoint.
pub(super) fn run(shard: &Arc<ShardHandle>, helpers: Helpers) {
    let _fenced = shard.fence_on_panic();
    let mut worker = Worker {
        helpers: Some(helpers),
        ..Worker::default()
    };
    loop {
        let mut state = shard.lock_to_commit();
        let due = state.next_work();
        if !state.is_due(due) {
            sleep(shard, &mut state, due);
        } else if worker.round(shard, state).is_break() {
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
    /// What [`run`] does between two looks at the clock, for who has no thread for the worker: a round, or going to sleep. Answers when the next
    /// one is due; a past time means now.
    pub(super) fn step(&mut self, shard: &Arc<ShardHandle>) -> Option<Timestamp> {
        let mut state = shard.lock_as_worker();
        let due = state.next_work();
        if state.is_due(due) {
            state.sleeping_until = None;
            let goes_on = self.round(shard, state).is_continue();
            goes_on.then_some(Timestamp::EPOCH)
        } else if let Some(checkpoint) = self.unwritten.take() {
            drop(state);
            checkpoint.run();
            Some(Timestamp::EPOCH)
        } else {
            state.sleeping_until = Some(due.unwrap_or(Timestamp(i64::MAX)));
            due
        }
    }

    /// Does what is due, one part after the other.
    fn round<'s>(
        &mut self,
        shard: &'s Arc<ShardHandle>,
        mut state: MutexGuard<'s, ShardState>,
    ) -> ControlFlow<()> {
        if state.commit_by.is_some_and(|by| by <= state.now) {
            state = self.committer.commit(shard, state, Sync::ByPolicy);
        }
        state.timers(&mut self.committer.flush);
        state.ready_turns(&mut self.committer.flush);
        state.carry_out_releases(&mut self.committer.flush);
        state.store.tell_server_meters();
        self.committer.flush.enqueue();
        let now = state.now;
        state.following.take_due(now, &mut self.followers);
        // A commit that nobody waits for is part of the last one.
        let commits_at_once = state.commit_by.is_some_and(|by| by <= state.now);
        let stopping = state.stopping && !commits_at_once && state.ready.is_empty();
        if let Some(helpers) = &self.helpers {
            helpers.upkeep.begin(&mut state);
        }
        let is_checkpoint_due = state.store.checkpoint_due();
        drop(state);
        self.committer.flush.flush();
        self.follow(shard);
        if self.helpers.is_none() {
            maintain(shard);
        }
        if is_checkpoint_due {
            let checkpoint = self.checkpoint(shard, shard.lock_as_worker());
            match &self.helpers {
                Some(helpers) => helpers.checkpoints.begin(checkpoint),
                None => self.unwritten = Some(checkpoint),
            }
        }
        if stopping {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    }

    /// Gives followers of origins their turns. What they store is committed in the next round.
    fn follow(&mut self, shard: &ShardHandle) {
        for follower in self.followers.drain(..) {
            follower.turn(shard, &mut self.committer.flush);
            self.committer.flush.flush();
        }
    }

    /// A checkpoint of everything as it is now, which is durable then: a checkpoint must not be ahead of the log.
    fn checkpoint(
        &mut self,
        shard: &Arc<ShardHandle>,
        mut state: MutexGuard<'_, ShardState>,
    ) -> Writing {
        let ShardState {
            store,
            streams,
            resting,
            ..
        } = &mut *state;
        let running = streams.values().flat_map(|stream| stream.consumers.iter());
        let running = running.map(|consumer| {
            let mut bytes = Vec::new();
            consumer.state.encode_checkpoint(&mut bytes);
            (consumer.key(), bytes)
        });
        let checkpoint = store.take_checkpoint(running.chain(resting.states()));
        drop(state);
        let state = self
            .committer
            .commit(shard, shard.lock_as_worker(), Sync::Always);
        self.committer.flush.enqueue();
        let synced = state.store.synced();
        drop(state);
        self.committer.flush.flush();
        Writing::new(shard, checkpoint, synced)
    }

    /// The last commit and checkpoint.
    pub(super) fn stop(&mut self, shard: &Arc<ShardHandle>) {
        if let Some(checkpoint) = self.unwritten.take() {
            checkpoint.run();
        }
        let mut state = self
            .committer
            .commit(shard, shard.lock_as_worker(), Sync::Always);
        while state.store.is_checkpoint_under_way() {
            shard.checkpointed.wait(&mut state);
        }
        self.checkpoint(shard, state).run();
    }
}

/// Does one piece of the log's upkeep at once.
fn maintain(shard: &ShardHandle) {
    let maintenance = shard.lock_as_worker().store.take_maintenance();
    if let Some(maintenance) = maintenance {
        let maintained = maintenance.run();
        let mut state = shard.lock_as_worker();
        state.store.finish_maintenance(maintained);
    }
}

impl ShardState {
    fn is_due(&self, work: Option<Timestamp>) -> bool {
        self.stopping || work.is_some_and(|due| due <= self.now)
    }

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
                .and_then(|s| s.consumers.get_mut(consumer))
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
            if self.store.position() != before || self.store.is_giving_back() {
                self.commit_soon();
            }
            for (stream, last_before) in watched {
                self.report_removed(stream, flush);
                let last = self.store.stream(stream).map(Stream::last_seq);
                if last > last_before
                    && let Some(running) = self.streams.get_mut(&stream)
                {
                    running.note_stored(None, &mut self.unseen);
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
    pub(super) fn carry_out(&mut self, then: Then, flush: &mut FlushSet) {
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
}
