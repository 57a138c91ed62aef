//! When messages with a TTL of their own are due.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// Deadlines in order. A message that goes earlier leaves its deadline behind; it is dropped when it comes up, since sequences are never
/// used again.
#[derive(Debug, Default)]
pub(crate) struct TtlQueue {
    heap: BinaryHeap<Reverse<(i64, u64)>>,
}

impl TtlQueue {
    /// `deadline`: nanoseconds since 1970.
    pub(crate) fn push(&mut self, deadline: i64, seq: u64) {
        self.heap.push(Reverse((deadline, seq)));
    }

    /// The earliest deadline and its message.
    pub(crate) fn peek(&self) -> Option<(i64, u64)> {
        self.heap.peek().map(|Reverse(due)| *due)
    }

    pub(crate) fn pop(&mut self) -> Option<(i64, u64)> {
        self.heap.pop().map(|Reverse(due)| due)
    }

    pub(crate) fn clear(&mut self) {
        self.heap.clear();
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (i64, u64)> {
        self.heap.iter().map(|Reverse(due)| *due)
    }

    /// Drops deadlines whose message is gone, when there are many.
    pub(crate) fn shrink(&mut self, live_messages: u64, mut is_live: impl FnMut(u64) -> bool) {
        if self.heap.len() as u64 > live_messages.saturating_mul(2).saturating_add(4096) {
            self.heap.retain(|Reverse((_, seq))| is_live(*seq));
        }
    }
}
