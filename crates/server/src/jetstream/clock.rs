//! The wall clock, read once a batch.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use jetsled_jetstream_api::{Nanos, Timestamp};

/// The present time.
pub(super) fn now() -> Timestamp {
    let nanos = match SystemTime::now().duration_since(UNIX_EPOCH) {
        Ok(since) => i64::try_from(since.as_nanos()).unwrap_or(i64::MAX),
        Err(before) => i64::try_from(before.duration().as_nanos()).map_or(i64::MIN + 1, |n| -n),
    };
    Timestamp(nanos)
}

/// How long from `now` until `deadline`; zero when it has passed.
pub(super) fn until(deadline: Timestamp, now: Timestamp) -> Duration {
    let Nanos(nanos) = deadline.since(now);
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(0))
}
