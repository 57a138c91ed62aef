//! The followers that a stream's configuration asks for.

use std::sync::Arc;

use jetsled_dispatch::{FollowKind, FollowPlan};
use jetsled_jetstream_api::{StreamConfig, StreamSeq};
use jetsled_store::{LogPosition, Shard, StreamId};

use super::OriginFollower;
use super::queue::Leave;
use crate::jetstream::shard::{ShardHandle, ShardState};
use crate::jetstream::stream::RunningStream;

impl ShardState {
    /// Makes a stream's followers what its configuration asks for: those that are the same go on.
    pub(in crate::jetstream) fn set_followers(
        &mut self,
        stream_id: StreamId,
        shard: &Arc<ShardHandle>,
    ) {
        let now = self.now;
        let Some(running) = self.streams.get_mut(&stream_id) else {
            return;
        };
        let plans = plans(running);
        if plans.is_empty() && running.followers.is_empty() {
            return;
        }
        let mut before = std::mem::take(&mut running.followers);
        for plan in &plans {
            if let Some(at) = before.iter().position(|follower| follower.plan == *plan) {
                running.followers.push(before.swap_remove(at));
                continue;
            }
            // Void is what dismissed it, or its stream is changed back.
            if let Some(follower) = self.following.recall(stream_id, plan) {
                running.followers.push(follower);
                continue;
            }
            let stream = self.store.stream(stream_id);
            let known = stream.and_then(|stream| stream.source_position(plan.index.as_str()));
            let follower = Arc::new(OriginFollower::new(
                self.following.next_id(),
                Arc::downgrade(shard),
                stream_id,
                &running.account,
                plan.clone(),
                known.unwrap_or((StreamSeq(0), "")),
                now,
            ));
            running.followers.push(Arc::clone(&follower));
            self.following.add(follower);
        }
        let after = last_word(running, &self.store);
        for follower in before {
            let consumer =
                |plan: &FollowPlan| (plan.source.qualified_name(), plan.consumer.clone());
            let is_used = plans
                .iter()
                .any(|plan| consumer(plan) == consumer(&follower.plan));
            let leave = if is_used { Leave::Keep } else { Leave::Delete };
            self.following.dismiss(follower.id, leave, after);
        }
    }

    /// The stream goes, for good or to come back: its followers leave.
    pub(in crate::jetstream) fn dismiss_followers(&mut self, stream: StreamId, leave: Leave) {
        let Some(running) = self.streams.get_mut(&stream) else {
            return;
        };
        let after = last_word(running, &self.store);
        for follower in running.followers.drain(..) {
            self.following.dismiss(follower.id, leave, after);
        }
    }

    /// A mirror that is close to its origin answers direct gets for it, if it is configured to.
    pub(super) fn join_direct(&mut self, stream: StreamId) {
        let target = self.stream_target(stream);
        if let Some(running) = self.streams.get_mut(&stream) {
            running.join_direct(target);
        }
    }
}

/// The end of what must be durable before a change of what the stream follows holds.
fn last_word(running: &RunningStream, store: &Shard) -> LogPosition {
    if running.in_memory() {
        LogPosition::ZERO
    } else {
        store.position()
    }
}

fn plans(running: &RunningStream) -> Vec<FollowPlan> {
    let StreamConfig {
        name,
        mirror,
        sources,
        ..
    } = &*running.config;
    let (account, domain) = (running.account.name(), running.domain.as_deref());
    let mirrored = mirror
        .iter()
        .map(|origin| FollowPlan::new(FollowKind::Mirror, origin, &[], name, account, domain));
    let sourced = sources
        .iter()
        .map(|origin| FollowPlan::new(FollowKind::Source, origin, sources, name, account, domain));
    mirrored.chain(sourced).collect()
}
