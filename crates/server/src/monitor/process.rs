//! What the process takes from the machine; Linux tells, elsewhere it is unknown.

use std::time::{Duration, Instant};

/// Bytes of memory that are resident.
pub(super) fn resident_bytes() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages: u64 = statm
        .split(' ')
        .nth(1)
        .and_then(|pages| pages.parse().ok())
        .unwrap_or(0);
    pages * rustix::param::page_size() as u64
}

/// Processor time used so far.
fn cpu_time() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // The name, the second field, may hold anything but ends with the last parenthesis.
    let after_name = stat.rsplit(')').next().unwrap_or_default();
    let ticks: u64 = after_name
        .split_ascii_whitespace()
        .skip(11)
        .take(2)
        .filter_map(|field| field.parse::<u64>().ok())
        .sum();
    Duration::from_secs_f64(ticks as f64 / rustix::param::clock_ticks_per_second() as f64)
}

/// Measures how busy the process is between two looks.
#[derive(Debug)]
pub(super) struct CpuMeter {
    since: Instant,
    used: Duration,
    percent: f64,
}

impl CpuMeter {
    /// Looks closer together than this tell nothing new.
    const SHORTEST: Duration = Duration::from_millis(500);

    pub(super) fn new() -> Self {
        Self {
            since: Instant::now(),
            used: cpu_time(),
            percent: 0.0,
        }
    }

    /// Percent of one processor since the look before.
    pub(super) fn percent(&mut self) -> f64 {
        let elapsed = self.since.elapsed();
        if elapsed >= Self::SHORTEST {
            let used = cpu_time();
            let busy = used.saturating_sub(self.used).as_secs_f64() / elapsed.as_secs_f64();
            self.percent = (busy * 1000.0).round() / 10.0;
            (self.since, self.used) = (Instant::now(), used);
        }
        self.percent
    }
}
