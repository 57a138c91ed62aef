//! Log lines that may be due very often.

use std::sync::atomic::{AtomicI64, Ordering::Relaxed};

use jetsled_jetstream_api::{Nanos, Timestamp};

/// When something was last said.
#[derive(Debug)]
pub(super) struct Throttle(AtomicI64);

impl Default for Throttle {
    fn default() -> Self {
        Self(AtomicI64::new(i64::MIN))
    }
}

impl Throttle {
    /// Whether it is to be said now: it was not, for as long as `pause`.
    pub(super) fn passes(&self, now: Timestamp, pause: Nanos) -> bool {
        let last = Timestamp(self.0.load(Relaxed));
        let due = last == Timestamp(i64::MIN) || last.saturating_add(pause) <= now;
        if due {
            self.0.store(now.0, Relaxed);
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn something_is_said_once_a_pause() {
        let throttle = Throttle::default();
        let pause = Nanos(10);
        let said: Vec<i64> = (-5..30)
            .filter(|now| throttle.passes(Timestamp(*now), pause))
            .collect();
        assert_eq!(said, [-5, 5, 15, 25]);
    }
}
