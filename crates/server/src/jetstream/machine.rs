//! What the machine has, for limits that are not configured.

use std::path::Path;

/// 75 % of the machine's memory (observed nats-server 2.15.1), in bytes.
pub(super) fn memory_for_streams() -> u64 {
    let info = rustix::system::sysinfo();
    let total = u64::from(info.mem_unit) * info.totalram as u64;
    total / 4 * 3
}

/// 75 % of the free space of the file system that `dir` is or will be on (observed nats-server 2.15.1), in bytes.
pub(super) fn disk_for_streams(dir: &Path) -> u64 {
    let existing = dir
        .ancestors()
        .find(|ancestor| ancestor.exists())
        .unwrap_or(Path::new("/"));
    match rustix::fs::statvfs(existing) {
        Ok(stat) => stat.f_bavail.saturating_mul(stat.f_frsize) / 4 * 3,
        Err(_) => 1 << 40,
    }
}
