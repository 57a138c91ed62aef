//! What the process takes from the machine; Linux tells, elsewhere it is unknown.

use std::time::{Duration, Instant};

/// Bytes of memory that are resident.
pub(crate) fn resident_bytes() -> u64 {
    statm(1)
}

/// Bytes of address space.
pub(crate) fn virtual_bytes() -> u64 {
    statm(0)
}

/// Open file descriptors.
pub(crate) fn open_files() -> u64 {
    std::fs::read_dir("/proc/self/fd").map_or(0, |files| files.count() as u64)
}

/// How many file descriptors may be open; `None` is no limit.
pub(crate) fn max_files() -> Option<u64> {
    rustix::process::getrlimit(rustix::process::Resource::Nofile).current
}

/// A field of `/proc/self/statm`, in bytes.
fn statm(field: usize) -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages: u64 = statm
        .split(' ')
        .nth(field)
        .and_then(|pages| pages.parse().ok())
        .unwrap_or(0);
    pages * rustix::param::page_size() as u64
}

/// Processor time used so far.
pub(crate) fn cpu_time() -> Duration {
    clock_ticks(stat().iter().skip(11).take(2).sum())
}

/// When the process was started, since 1970.
pub(crate) fn start_time() -> Duration {
    let since_boot = clock_ticks(stat().get(19).copied().unwrap_or(0));
    let stat = std::fs::read_to_string("/proc/stat").unwrap_or_default();
    let booted = stat.lines().find_map(|line| line.strip_prefix("btime "));
    Duration::from_secs(
        booted
            .and_then(|time| time.trim().parse().ok())
            .unwrap_or(0),
    ) + since_boot
}

/// The fields of `/proc/self/stat` behind the name; 0 where one is no count.
fn stat() -> Vec<u64> {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // The name, the second field, may hold anything but ends with the last parenthesis.
    let after_name = stat.rsplit(')').next().unwrap_or_default();
    let fields = after_name.split_ascii_whitespace();
    fields.map(|field| field.parse().unwrap_or(0)).collect()
}

fn clock_ticks(ticks: u64) -> Duration {
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
