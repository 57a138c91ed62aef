//! How long things take: histograms that cost a few instructions an observation and no clock read of their own.

use std::time::Duration;

use jetsled_jetstream_api::{Nanos, Timestamp};

/// Latencies of a shard, kept under its lock. They start anew with the server.
#[derive(Clone, Debug, Default)]
pub(crate) struct Latencies {
    /// Writing and syncing one group of records.
    pub(crate) commit: Histogram,
    /// From a message's arrival at its shard to the release of its ack, which its commit let go. Memory streams answer at once and are not counted.
    pub(crate) ack: Histogram,
    /// From a message's storing to its first delivery to a consumer's client.
    pub(crate) delivery: Histogram,
}

impl Latencies {
    /// Counts in what another shard has seen.
    pub(crate) fn add(&mut self, other: &Self) {
        self.commit.add(&other.commit);
        self.ack.add(&other.ack);
        self.delivery.add(&other.delivery);
    }
}

/// Bucket `n` holds what is below 2^(`SMALLEST` + n) ns and not in an earlier one.
const SMALLEST: u32 = 14;

/// Buckets with a limit, 16 us to 69 s; what took longer is in one more.
const BUCKETS: usize = 23;

/// Counts of observations by their size, each bucket twice as large as the one before.
#[derive(Clone, Debug, Default)]
pub(crate) struct Histogram {
    counts: [u64; BUCKETS + 1],
    sum_nanos: u64,
}

impl Histogram {
    /// Counts one observation.
    pub(super) fn observe(&mut self, took: Duration) {
        self.count(u64::try_from(took.as_nanos()).unwrap_or(u64::MAX), 1);
    }

    /// Counts what happened between two looks at the clock, `times` over. Nothing is below zero, whatever was done to the clock.
    pub(super) fn observe_between(&mut self, from: Timestamp, to: Timestamp, times: u64) {
        let Nanos(nanos) = to.since(from);
        self.count(u64::try_from(nanos).unwrap_or(0), times);
    }

    fn count(&mut self, nanos: u64, times: u64) {
        let bits = u64::BITS - nanos.leading_zeros();
        let bucket = (bits.saturating_sub(SMALLEST) as usize).min(BUCKETS);
        self.counts[bucket] += times;
        self.sum_nanos = self.sum_nanos.saturating_add(nanos.saturating_mul(times));
    }

    /// The limits of the buckets, in seconds, each with the number of observations below it.
    pub(crate) fn cumulative(&self) -> impl Iterator<Item = (f64, u64)> {
        let limits = (SMALLEST..).map(|bits| (1_u64 << bits) as f64 / 1e9);
        let mut below = 0;
        limits
            .zip(&self.counts[..BUCKETS])
            .map(move |(limit, count)| {
                below += count;
                (limit, below)
            })
    }

    /// How many observations there were.
    pub(crate) fn total(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// Their sum, in seconds.
    pub(crate) fn sum_seconds(&self) -> f64 {
        self.sum_nanos as f64 / 1e9
    }

    fn add(&mut self, other: &Self) {
        for (count, more) in self.counts.iter_mut().zip(other.counts) {
            *count += more;
        }
        self.sum_nanos = self.sum_nanos.saturating_add(other.sum_nanos);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn observations_are_in_the_first_bucket_that_holds_them() {
        for (nanos, bucket) in [
            (0, 0),
            (1, 0),
            ((1 << 14) - 1, 0),
            (1 << 14, 1),
            ((1 << 15) - 1, 1),
            (1 << 15, 2),
            ((1 << 36) - 1, 22),
            (1 << 36, 23),
            (u64::MAX, 23),
        ] {
            let mut histogram = Histogram::default();
            histogram.count(nanos, 1);
            assert_eq!(
                histogram.counts.iter().position(|n| *n == 1),
                Some(bucket),
                "{nanos}"
            );
        }
    }

    #[test]
    fn buckets_add_up() {
        let mut histogram = Histogram::default();
        histogram.observe(Duration::from_micros(20));
        histogram.observe_between(Timestamp(1_000), Timestamp(0), 3);
        histogram.observe(Duration::from_secs(100));
        let mut both = histogram.clone();
        both.add(&histogram);
        let below: Vec<_> = both.cumulative().map(|(_, below)| below).collect();
        assert_eq!((below[0], below[1], below[22], both.total()), (6, 8, 8, 10));
        assert_eq!(both.sum_seconds(), 200.00004);
        let limits: Vec<_> = both.cumulative().map(|(limit, _)| limit).collect();
        assert_eq!((limits[0], limits[22]), (0.000016384, 68.719476736));
    }
}
