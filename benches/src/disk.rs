//! What the disk does with writes that are waited for: no server that waits for it can be faster.

use std::fmt;
use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::fs::{FallocateFlags, fallocate};
use serde::Serialize;

use crate::measure::percentile;

/// The bare disk, measured before the first case.
#[derive(Debug, Serialize)]
pub(crate) struct Disk {
    pub(crate) fdatasync_p50_micros: f64,
    pub(crate) fdatasync_p99_micros: f64,
    pub(crate) commits: Vec<Commits>,
}

/// Writes of one size, one behind the other, each with an fdatasync of its own: what a log does.
#[derive(Debug, Serialize)]
pub(crate) struct Commits {
    pub(crate) kib: usize,
    /// Into blocks that the file has, but that nobody has written yet. Those of a log that grows are.
    pub(crate) new_blocks_mb_per_second: f64,
    /// Into blocks that were written, and synced, before.
    pub(crate) written_blocks_mb_per_second: f64,
}

/// A few hundred messages of 128 B, and of 1 KiB.
const COMMITS_KIB: [usize; 2] = [96, 512];

impl Disk {
    /// `file_bytes`: how much is written for each figure of [`Commits`].
    pub(crate) fn measure(dir: &Path, file_bytes: u64) -> io::Result<Self> {
        let (p50, p99) = fdatasync(dir)?;
        let commits = COMMITS_KIB
            .iter()
            .map(|&kib| Commits::measure(dir, kib, file_bytes))
            .collect::<io::Result<_>>()?;
        Ok(Self {
            fdatasync_p50_micros: p50.as_secs_f64() * 1e6,
            fdatasync_p99_micros: p99.as_secs_f64() * 1e6,
            commits,
        })
    }
}

impl fmt::Display for Disk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "The disk's bare fdatasync: p50 {:.0} us, p99 {:.0} us.",
            self.fdatasync_p50_micros, self.fdatasync_p99_micros
        )?;
        for commits in &self.commits {
            write!(
                f,
                " Writes of {} KiB, each synced: {:.0} MB/s into new blocks, {:.0} MB/s into written ones.",
                commits.kib, commits.new_blocks_mb_per_second, commits.written_blocks_mb_per_second
            )?;
        }
        Ok(())
    }
}

impl Commits {
    fn measure(dir: &Path, kib: usize, file_bytes: u64) -> io::Result<Self> {
        let file = tempfile::tempfile_in(dir)?;
        fallocate(&file, FallocateFlags::empty(), 0, file_bytes)?;
        file.sync_all()?;
        // The second time its blocks are written ones.
        let first = write_through(&file, kib << 10, file_bytes)?;
        let second = write_through(&file, kib << 10, file_bytes)?;
        Ok(Self {
            kib,
            new_blocks_mb_per_second: first,
            written_blocks_mb_per_second: second,
        })
    }
}

/// Fills a file, in MB/s.
fn write_through(file: &File, write: usize, file_bytes: u64) -> io::Result<f64> {
    let bytes = vec![7; write];
    let started = Instant::now();
    let mut at = 0;
    while at + write as u64 <= file_bytes {
        file.write_all_at(&bytes, at)?;
        file.sync_data()?;
        at += write as u64;
    }
    Ok(at as f64 / 1e6 / started.elapsed().as_secs_f64())
}

/// Appends 512 bytes and calls fdatasync, 300 times: the price of one durable write. p50 and p99.
fn fdatasync(dir: &Path) -> io::Result<(Duration, Duration)> {
    let mut file = tempfile::tempfile_in(dir)?;
    file.set_len(1 << 20)?;
    let mut times = Vec::with_capacity(300);
    for _ in 0..300 {
        let start = Instant::now();
        file.write_all(&[7; 512])?;
        file.sync_data()?;
        times.push(start.elapsed());
    }
    Ok((percentile(&mut times, 50), percentile(&mut times, 99)))
}
