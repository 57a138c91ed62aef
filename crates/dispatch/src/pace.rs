//! When a message that could be delivered still has to wait: rate limit and original replay.

use jetsled_jetstream_api::{Nanos, StreamSeq, Timestamp};

/// A token bucket, kept as the time at which it will be full again.
#[derive(Debug)]
pub(crate) struct RateLimit {
    bits_per_second: u64,
    /// How long an empty bucket takes to fill.
    fill: Nanos,
    full_at: Timestamp,
}

impl RateLimit {
    /// `burst` in bytes. `None` when there is no limit.
    pub(crate) fn new(bits_per_second: u64, burst: u64, now: Timestamp) -> Option<Self> {
        (bits_per_second > 0).then(|| Self {
            bits_per_second,
            fill: cost(bits_per_second, burst.max(1)),
            full_at: now,
        })
    }

    /// When a message of `size` bytes may go.
    pub(crate) fn ready_at(&self, size: u64) -> Timestamp {
        let missing = Nanos(self.cost(size).get() - self.fill.get());
        self.full_at.saturating_add(missing)
    }

    pub(crate) fn take(&mut self, size: u64, now: Timestamp) {
        self.full_at = self.full_at.max(now).saturating_add(self.cost(size));
    }

    /// A message larger than the bucket takes all of it.
    fn cost(&self, size: u64) -> Nanos {
        cost(self.bits_per_second, size).min(self.fill)
    }
}

/// How long `bytes` take.
fn cost(bits_per_second: u64, bytes: u64) -> Nanos {
    let nanos = u128::from(bytes) * 8 * 1_000_000_000 / u128::from(bits_per_second);
    Nanos(
        i64::try_from(nanos)
            .unwrap_or(i64::MAX / 4)
            .min(i64::MAX / 4),
    )
}

/// Replay with the gaps at which the messages were stored, until what was stored at the start is through.
#[derive(Debug)]
pub(crate) struct Replay {
    until: StreamSeq,
    /// When the previous message was stored, and when delivered.
    previous: Option<(Timestamp, Timestamp)>,
}

impl Replay {
    pub(crate) fn new(until: StreamSeq) -> Self {
        Self {
            until,
            previous: None,
        }
    }

    pub(crate) fn is_over(&self, next: StreamSeq) -> bool {
        next > self.until
    }

    /// When a message stored at `stored` may go, if it has to wait at all; gaps up to a millisecond are skipped.
    pub(crate) fn ready_at(&self, stored: Timestamp) -> Option<Timestamp> {
        let (previous, delivered) = self.previous?;
        let gap = stored.since(previous);
        (gap > Nanos::from_millis(1)).then(|| delivered.saturating_add(gap))
    }

    pub(crate) fn delivered(&mut self, stored: Timestamp, now: Timestamp) {
        self.previous = Some((stored, now));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_lets_its_burst_through_and_then_its_rate() {
        let start = Timestamp(1_000);
        // 8000 bits a second are a byte a millisecond.
        let mut limit = RateLimit::new(8_000, 100, start).expect("a limit");
        for (size, want_wait_millis) in [(100, 0), (10, 10), (10, 20), (500, 120), (1, 121)] {
            let wait = Nanos::from_millis(want_wait_millis);
            assert_eq!(
                limit.ready_at(size).max(start),
                start.saturating_add(wait),
                "{size} bytes"
            );
            limit.take(size, start);
        }
        assert!(RateLimit::new(0, 100, start).is_none());
    }
}
