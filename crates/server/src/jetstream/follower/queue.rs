//! The followers of a shard's streams: whose turn it is, and when.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::Arc;

use jetsled_jetstream_api::Timestamp;

use super::OriginFollower;
use crate::jetstream::id_map::IdMap;

/// Followers by number, with what they wait for.
#[derive(Default)]
pub(in crate::jetstream) struct FollowerQueue {
    seats: IdMap<u64, Seat>,
    ready: Vec<u64>,
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
    notice: Notice,
}

/// What a follower must hear before anything else.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Notice {
    /// A commit failed: what was copied of late is lost.
    pub(super) lost: bool,
    /// It is to follow no longer.
    pub(super) leave: Option<Leave>,
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
            notice: Notice::default(),
        };
        self.seats.insert(id, seat);
        self.make_ready(id);
    }

    pub(super) fn remove(&mut self, id: u64) {
        self.seats.remove(&id);
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

    /// Tells a follower that it is to leave.
    pub(super) fn dismiss(&mut self, id: u64, leave: Leave) {
        if let Some(seat) = self.seats.get_mut(&id) {
            seat.notice.leave = Some(leave);
        }
        self.make_ready(id);
    }

    /// Tells all followers that a commit failed.
    pub(in crate::jetstream) fn tell_lost(&mut self) {
        let ids: Vec<u64> = self.seats.keys().copied().collect();
        for id in ids {
            if let Some(seat) = self.seats.get_mut(&id) {
                seat.notice.lost = true;
            }
            self.make_ready(id);
        }
    }

    /// What a follower must hear; `None` if it has left.
    pub(super) fn take_notice(&mut self, id: u64) -> Option<Notice> {
        let seat = self.seats.get_mut(&id)?;
        Some(std::mem::take(&mut seat.notice))
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
