//! The wall clock, read once a batch. A thread that drives a server step by step gives the time itself.

use std::cell::Cell;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use jetsled_jetstream_api::{Nanos, Timestamp};

thread_local! {
    /// What this thread takes for the present time, in place of the machine's.
    static GIVEN: Cell<Option<Timestamp>> = const { Cell::new(None) };
}

/// The present time.
pub(super) fn now() -> Timestamp {
    if let Some(given) = GIVEN.get() {
        return given;
    }
    let nanos = match SystemTime::now().duration_since(UNIX_EPOCH) {
        Ok(since) => i64::try_from(since.as_nanos()).unwrap_or(i64::MAX),
        Err(before) => i64::try_from(before.duration().as_nanos()).map_or(i64::MIN + 1, |n| -n),
    };
    Timestamp(nanos)
}

/// Sets the present time for this thread, until it is set anew; `None` gives it the machine's clock back.
pub(crate) fn give(now: Option<Timestamp>) {
    GIVEN.set(now);
}

/// How long from `now` until `deadline`; zero when it has passed.
pub(super) fn until(deadline: Timestamp, now: Timestamp) -> Duration {
    let Nanos(nanos) = deadline.since(now);
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(0))
}

/// Measures a time, whatever is done to the wall clock meanwhile.
pub(super) enum Stopwatch {
    Machine(Instant),
    Given(Timestamp),
}

impl Stopwatch {
    pub(super) fn start() -> Self {
        GIVEN
            .get()
            .map_or_else(|| Self::Machine(Instant::now()), Self::Given)
    }

    pub(super) fn elapsed(&self) -> Duration {
        match *self {
            Self::Machine(began) => began.elapsed(),
            Self::Given(began) => until(now(), began),
        }
    }
}
