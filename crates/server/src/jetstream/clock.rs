//! The wall clock, read once a batch. A thread that drives a server step by step gives the time itself.

use std::cell::Cell;
use std::sync::atomic::AtomicI64;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use jetsled_jetstream_api::{Nanos, Timestamp};
use parking_lot::Mutex;

thread_local! {
    /// What this thread takes for the present time, in place of the machine's.
    static GIVEN: Cell<Option<Timestamp>> = const { Cell::new(None) };
}

/// The present time. Never earlier than it was, whatever is done to the machine's clock: see [`Steady`].
pub(super) fn now() -> Timestamp {
    GIVEN
        .get()
        .unwrap_or_else(|| Timestamp(STEADY.read(wall(), Instant::now)))
}

/// What the machine's clock says, in nanoseconds since 1970.
fn wall() -> i64 {
    match SystemTime::now().duration_since(UNIX_EPOCH) {
        Ok(since) => i64::try_from(since.as_nanos()).unwrap_or(i64::MAX),
        Err(before) => i64::try_from(before.duration().as_nanos()).map_or(i64::MIN + 1, |n| -n),
    }
}

static STEADY: Steady = Steady {
    latest: AtomicI64::new(i64::MIN),
    behind: Mutex::new(None),
};

/// The wall clock without its steps back, which would hold up every timer and commit for as long as they are. It follows a step forward at once. While
/// it is ahead of the machine's clock it runs a tenth slower, until they agree.
struct Steady {
    /// The latest time that was read, in nanoseconds since 1970.
    latest: AtomicI64,
    /// The last reading while the machine's clock was behind: what it gave, and when that was.
    behind: Mutex<Option<(i64, Instant)>>,
}

impl Steady {
    fn read(&self, wall: i64, monotonic: impl FnOnce() -> Instant) -> i64 {
        // One atomic operation and no second clock, but for when the machine's is behind.
        if self.latest.fetch_max(wall, Relaxed) <= wall {
            return wall;
        }
        let mut behind = self.behind.lock();
        let latest = self.latest.load(Relaxed);
        let present = monotonic();
        let passed = match *behind {
            // Nobody has read a later time since: it is known how old this one is.
            Some((time, at)) if time == latest => {
                let passed = present.saturating_duration_since(at).as_nanos();
                i64::try_from(passed).unwrap_or(i64::MAX)
            }
            _ => 0,
        };
        let time = latest.saturating_add(passed - passed / 10).max(wall);
        *behind = Some((time, present));
        self.latest.fetch_max(time, Relaxed).max(time)
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: i64 = 1_000_000_000;
    const START: i64 = 1_700_000_000 * SECOND;

    /// A steady clock, and the two of the machine.
    struct Clocks {
        steady: Steady,
        began: Instant,
        monotonic: Duration,
        wall: i64,
    }

    impl Clocks {
        fn new() -> Self {
            Self {
                steady: Steady {
                    latest: AtomicI64::new(i64::MIN),
                    behind: Mutex::new(None),
                },
                began: Instant::now(),
                monotonic: Duration::ZERO,
                wall: START,
            }
        }

        fn pass(&mut self, nanos: i64) {
            self.monotonic += Duration::from_nanos(nanos.unsigned_abs());
            self.wall += nanos;
        }

        fn read(&self) -> i64 {
            let present = self.began + self.monotonic;
            self.steady.read(self.wall, || present)
        }
    }

    #[test]
    fn a_step_forward_is_followed_at_once() {
        let mut clocks = Clocks::new();
        assert_eq!(clocks.read(), START);
        clocks.pass(SECOND);
        clocks.wall += 3600 * SECOND;
        assert_eq!(clocks.read(), START + 3601 * SECOND);
        clocks.pass(1);
        assert_eq!(clocks.read(), START + 3601 * SECOND + 1);
    }

    /// However often it is read.
    #[test]
    fn after_a_step_back_time_goes_on_more_slowly_until_the_clocks_agree() {
        for often in [SECOND / 1000 - 1, SECOND / 10, SECOND] {
            let mut clocks = Clocks::new();
            clocks.read();
            clocks.wall -= 60 * SECOND;
            let mut before = clocks.read();
            let mut agreed = None;
            let mut passed = 0;
            while passed < 700 * SECOND {
                clocks.pass(often);
                passed += often;
                let now = clocks.read();
                let step = now - before;
                let agrees = now == clocks.wall;
                assert!(
                    (agrees || step >= often * 9 / 10) && (0..=often).contains(&step),
                    "{step} of {often} after {passed}"
                );
                assert!(now >= clocks.wall);
                if agrees && agreed.is_none() {
                    agreed = Some((passed + SECOND / 2) / SECOND);
                }
                before = now;
            }
            let agreed = agreed.expect("in the end they agree");
            assert!((590..=600).contains(&agreed), "a minute in {agreed} s");
        }
    }

    #[test]
    fn threads_see_no_time_before_one_that_another_has_seen() {
        let steady = Steady {
            latest: AtomicI64::new(i64::MIN),
            behind: Mutex::new(None),
        };
        let seen = Mutex::new(i64::MIN);
        std::thread::scope(|scope| {
            for thread in 0..4 {
                let (steady, seen) = (&steady, &seen);
                scope.spawn(move || {
                    for round in 0..20_000 {
                        // Each thread's machine clock is another one, and steps.
                        let step = if round % 1000 < 500 { 0 } else { SECOND / 50 };
                        let wall = wall() - step - thread * 1000;
                        let mut seen = seen.lock();
                        let now = steady.read(wall, Instant::now);
                        assert!(now >= *seen);
                        *seen = now;
                    }
                });
            }
        });
    }
}
