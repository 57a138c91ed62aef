//! Mirrors and sources: streams that follow others.
//!
//! What to ask an origin and what to make of its messages is decided by [`jetsled_dispatch::Follower`]. Here each follower gets
//! an inbox, which is a destination in its account's sublist like any other, and turns in which the worker of its stream's
//! shard feeds it what came and does what it wants. An origin of the same server is reached as any other: by requests to the API
//! and by deliveries of a push consumer.
//!
//! | Module | Concept |
//! |---|---|
//! | `inbox` | what came for a follower, in order of arrival |
//! | `queue` | whose turn it is, and when |
//! | `turn` | one turn |
//! | `copy` | a message of the origin as the stream stores it |
//! | `lifecycle` | the followers that a stream's configuration asks for |

mod copy;
mod inbox;
mod lifecycle;
mod queue;
mod turn;

use std::sync::{Arc, Weak};

use jetsled_dispatch::{FollowPlan, FollowStatus, Follower, FollowerCommand};
use jetsled_jetstream_api::{SourceInfo, StreamSeq, Timestamp};
use jetsled_store::StreamId;
use parking_lot::Mutex;

use super::shard::ShardHandle;
use crate::account::Account;
use crate::chance;
use crate::routing::RoutedMessage;
use copy::Copier;
use inbox::Inbox;
pub(super) use queue::{FollowerQueue, Leave};

/// A follower of one origin, owned by the shard of its stream.
///
/// Lock order: `task` comes before the shard's lock; `inbox` and `status` are leaf locks.
pub(crate) struct OriginFollower {
    /// Its number in its shard.
    id: u64,
    shard: Weak<ShardHandle>,
    stream: StreamId,
    /// Whose sublist holds this in turn.
    account: Weak<Account>,
    plan: FollowPlan,
    inbox: Mutex<Inbox>,
    status: Mutex<FollowStatus>,
    /// Held for a turn.
    task: Mutex<Task>,
}

/// What only a turn needs.
struct Task {
    machine: Follower,
    copier: Copier,
    /// The buffer that takes the inbox's place.
    inbox: Inbox,
    /// Deliveries of a consumer whose creation is not answered yet.
    early: Inbox,
    commands: Vec<FollowerCommand>,
    /// The deliver subject that it listens on.
    listens_on: Option<String>,
    /// The subject to which the last request is answered, and its number.
    answered_on: Option<(String, u64)>,
}

/// By which subject a message reached a follower.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Channel {
    /// The deliver subject of the origin's consumer.
    Delivery,
    /// The reply subject of the request with this number.
    Answer(u64),
}

impl OriginFollower {
    fn new(
        id: u64,
        shard: Weak<ShardHandle>,
        stream: StreamId,
        account: &Arc<Account>,
        plan: FollowPlan,
        (position, identity): (StreamSeq, &str),
        now: Timestamp,
    ) -> Self {
        let machine = Follower::new(plan.clone(), position, identity, now, chance::number());
        Self {
            id,
            shard,
            stream,
            account: Arc::downgrade(account),
            inbox: Mutex::default(),
            status: Mutex::new(machine.status()),
            task: Mutex::new(Task {
                copier: Copier::new(&plan),
                machine,
                inbox: Inbox::default(),
                early: Inbox::default(),
                commands: Vec::new(),
                listens_on: None,
                answered_on: None,
            }),
            plan,
        }
    }

    /// Takes a message. Answers whether it has to be [woken](OriginFollower::wake): it was not before.
    pub(crate) fn receive(&self, channel: Channel, message: &RoutedMessage<'_>) -> bool {
        self.inbox.lock().push(channel, message)
    }

    /// Gives it a turn soon. Must not be called with a shard's lock held.
    pub(crate) fn wake(&self) {
        if let Some(shard) = self.shard.upgrade() {
            shard.lock().following.make_ready(self.id);
        }
    }

    /// How it keeps up, as stream info shows it.
    pub(super) fn info(&self, now: Timestamp) -> SourceInfo {
        self.plan.info(&self.status.lock(), now)
    }
}

impl std::fmt::Debug for OriginFollower {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OriginFollower")
            .field("plan", &self.plan)
            .finish_non_exhaustive()
    }
}
