//! Rest for the connection of a publisher whom nobody hears.
//!
//! Its thread is done with a read much sooner than the peer with the next write, goes to sleep, and is woken up by that write: each time
//! at the peer's cost, a fifth of all its time in a virtual machine. Since nobody waits for what has come, the thread rests
//! for a moment in which nothing wakes it, and then finds more.
//!
//! What that costs has bounds:
//! - Something else that the peer sends may have to wait for the end of the rest.
//! - Only after reads of [`MUCH`] bytes and more that produced nothing for anybody, and while no other connection does anything: one that begins to may have to wait for the end of it, too.
//! - One thread for every two processors may rest so, on a single one none.

use std::thread;
use std::time::Duration;

use super::attentive::{self, Place};

/// Bytes of payload since the last wait from which on a rest is worth it.
const MUCH: u64 = 16 * 1024;

/// Linux lets a thread sleep for some 50 us longer, so that this is about 70 us.
const REST: Duration = Duration::from_micros(20);

/// What a connection has acted on since it waited last.
#[derive(Debug, Default)]
pub(super) struct Unheard {
    bytes: u64,
    reads: u64,
    /// Somebody got something.
    heard: bool,
    /// [`attentive::acts`] when it waited last.
    acts: u64,
}

impl Unheard {
    /// A read with publishes of `bytes` of payload was acted on. `heard`: it has produced something for somebody.
    pub(super) fn read(&mut self, bytes: u64, heard: bool) {
        self.bytes += bytes;
        self.reads += 1;
        self.heard |= heard;
    }

    /// Rests if it is worth it. To be called by the connection's task whenever it is about to wait.
    pub(super) fn rest(&mut self) {
        if self.is_due(attentive::acts())
            && let Some(_place) = Place::take()
        {
            thread::sleep(REST);
        }
    }

    /// Whether to rest now, that [`attentive::acts`] is `acts`; begins anew.
    fn is_due(&mut self, acts: u64) -> bool {
        let before = std::mem::replace(
            self,
            Self {
                acts,
                ..Self::default()
            },
        );
        let is_alone = acts.wrapping_sub(before.acts) == before.reads;
        before.bytes >= MUCH && !before.heard && is_alone
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether it rests after these reads, if `others` were acted on meanwhile.
    fn rests(reads: &[(u64, bool)], others: u64) -> bool {
        let mut unheard = Unheard::default();
        assert!(!unheard.is_due(7), "nothing was read");
        for &(bytes, heard) in reads {
            unheard.read(bytes, heard);
        }
        let acts = 7 + reads.len() as u64 + others;
        let is_due = unheard.is_due(acts);
        assert!(!unheard.is_due(acts), "once");
        is_due
    }

    #[test]
    fn much_that_nobody_gets_while_nobody_else_does_anything_is_followed_by_a_rest() {
        assert!(rests(&[(MUCH, false)], 0));
        assert!(rests(&[(MUCH - 1, false), (1, false)], 0));
        assert!(!rests(&[(MUCH - 1, false)], 0), "little");
        assert!(!rests(&[(1, true), (MUCH, false)], 0), "somebody got some");
        assert!(!rests(&[(MUCH, false), (1, true)], 0), "somebody got some");
        assert!(!rests(&[(MUCH, false)], 1), "another is active");
    }
}
