//! The followers of a shard's streams: whose turn it is, and when.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::Arc;

use jetsled_dispatch::FollowPlan;
use jetsled_jetstream_api::Timestamp;
use jetsled_store::{LogPosition, StreamId};

use super::OriginFollower;
use crate::jetstream::id_map::IdMap;

/// Followers by number, with what they wait for.
#[derive(Default)]
pub(in crate::jetstream) struct FollowerQueue {
    seats: IdMap<u64, Seat>,
    ready: Vec<u64>,
    /// Those that are to follow no longer.
    leaving: Vec<u64>,
    /// Entries that are no longer their follower's earliest are stale.
    wakes: BinaryHeap<Reverse<(Timestamp, u64)>>,
    next_id: u64,
    /// Turns are taken once all streams of the server are there to be followed.
    is_open: bool,
}

struct Seat {
    follower: Arc<OriginFollower>,
    wake: Option<Timestamp>,
    is_ready: bool,
    /// A commit failed.
    lost: bool,
    /// It is to follow no longer, once the log is durable up to here.
    leaving: Option<(Leave, LogPosition)>,
}

/// What a follower must hear before anything else.
#[derive(Clone, Copy, Debug)]
pub(super) enum Notice {
    GoOn {
        /// A commit failed: what was copied of late is lost.
        lost: bool,
    },
    /// It is to follow no longer, but what says so may come to nothing.
    Wait,
    /// It is to follow no longer.
    Leave(Leave),
}

/// What becomes of the origin's consumer when its follower leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::jetstream) enum Leave {
    /// It is deleted.
    Delete,
    /// It stays: another follower of the stream uses its name, or this one's successor will.
    Keep,
}

impl FollowerQueue {
    /// A number for a new follower.
    pub(super) fn next_id(&mut self) -> u64 {
        self.next_id += 1;
        self.next_id
    }

    /// Takes in a follower, which gets its first turn at once.
    pub(super) fn add(&mut self, follower: Arc<OriginFollower>) {
        let id = follower.id;
        let seat = Seat {
            follower,
            wake: None,
            is_ready: false,
            lost: false,
            leaving: None,
        };
        self.seats.insert(id, seat);
        self.make_ready(id);
    }

    pub(super) fn remove(&mut self, id: u64) {
        self.seats.remove(&id);
        self.leaving.retain(|leaving| *leaving != id);
    }

    /// Lets followers take their turns.
    pub(in crate::jetstream) fn open(&mut self) {
        self.is_open = true;
    }

    pub(super) fn make_ready(&mut self, id: u64) {
        if let Some(seat) = self.seats.get_mut(&id)
            && !std::mem::replace(&mut seat.is_ready, true)
        {
            self.ready.push(id);
        }
    }

    /// Tells a follower that it is to leave once the log is durable up to `after`, and to wait until then.
    pub(super) fn dismiss(&mut self, id: u64, leave: Leave, after: LogPosition) {
        if let Some(seat) = self.seats.get_mut(&id) {
            seat.leaving = Some((leave, after));
            self.leaving.push(id);
        }
        self.make_ready(id);
    }

    /// The log is durable up to here: lets those leave that waited for it.
    pub(in crate::jetstream) fn let_leave(&mut self, durable: LogPosition) {
        for at in 0..self.leaving.len() {
            let id = self.leaving[at];
            let leaving = self.seats.get(&id).and_then(|seat| seat.leaving);
            if leaving.is_some_and(|(_, after)| after <= durable) {
                self.make_ready(id);
            }
        }
    }

    /// Keeps a follower that was dismissed and has not left.
    pub(super) fn recall(
        &mut self,
        stream: StreamId,
        plan: &FollowPlan,
    ) -> Option<Arc<OriginFollower>> {
        let id = self.leaving.iter().copied().find(|id| {
            let follower = self.seats.get(id).map(|seat| &seat.follower);
            follower.is_some_and(|follower| follower.stream == stream && follower.plan == *plan)
        })?;
        self.leaving.retain(|leaving| *leaving != id);
        let seat = self.seats.get_mut(&id)?;
        seat.leaving = None;
        let follower = Arc::clone(&seat.follower);
        self.make_ready(id);
        Some(follower)
    }

    /// Tells all followers that a commit failed.
    pub(in crate::jetstream) fn tell_lost(&mut self) {
        let ids: Vec<u64> = self.seats.keys().copied().collect();
        for id in ids {
            if let Some(seat) = self.seats.get_mut(&id) {
                seat.lost = true;
            }
            self.make_ready(id);
        }
    }

    /// What a follower must hear; `None` if it has left.
    pub(super) fn take_notice(&mut self, id: u64, durable: LogPosition) -> Option<Notice> {
        let seat = self.seats.get_mut(&id)?;
        Some(match seat.leaving {
            None => Notice::GoOn {
                lost: std::mem::take(&mut seat.lost),
            },
            Some((leave, after)) if after <= durable => Notice::Leave(leave),
            Some(_) => Notice::Wait,
        })
    }

    /// Gives a follower a turn at this time at the latest.
    pub(super) fn schedule(&mut self, id: u64, at: Timestamp) {
        if let Some(seat) = self.seats.get_mut(&id)
            && seat.wake.is_none_or(|queued| at < queued)
        {
            seat.wake = Some(at);
            self.wakes.push(Reverse((at, id)));
        }
    }

    /// When the next turn is; a past time means now.
    pub(in crate::jetstream) fn next_turn(&self) -> Option<Timestamp> {
        if !self.is_open {
            None
        } else if self.ready.is_empty() {
            self.wakes.peek().map(|Reverse((at, _))| *at)
        } else {
            Some(Timestamp::EPOCH)
        }
    }

    /// Moves the followers whose turn it is to `due`.
    pub(in crate::jetstream) fn take_due(
        &mut self,
        now: Timestamp,
        due: &mut Vec<Arc<OriginFollower>>,
    ) {
        if !self.is_open {
            return;
        }
        while let Some(&Reverse((at, id))) = self.wakes.peek()
            && at <= now
        {
            self.wakes.pop();
            if let Some(seat) = self.seats.get_mut(&id)
                && seat.wake == Some(at)
            {
                seat.wake = None;
                self.make_ready(id);
            }
        }
        for id in self.ready.drain(..) {
            if let Some(seat) = self.seats.get_mut(&id) {
                seat.is_ready = false;
                due.push(Arc::clone(&seat.follower));
            }
        }
    }
}
