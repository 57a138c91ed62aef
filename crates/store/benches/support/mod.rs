//! What the benches share.

use std::time::Duration;

/// What this thread has had of a CPU: a busy machine does not disturb it as it does a wall clock.
pub(crate) fn cpu_time() -> Duration {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(now.tv_sec as u64, now.tv_nsec as u32)
}
