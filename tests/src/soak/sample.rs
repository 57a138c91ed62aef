//! A look at a running server.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::Duration;

/// What is timed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Timed {
    /// A publish to a stream until its acknowledgement.
    Publish,
    /// A request until its answer.
    Request,
    /// Reading a key.
    Get,
}

impl Timed {
    pub(super) const ALL: [Self; 3] = [Self::Publish, Self::Request, Self::Get];
}

/// What is seen at one time. Everything is a number, so that all of it can be told in one way.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Sample {
    /// Since the start.
    pub(super) seconds: f64,
    pub(super) values: [f64; Measure::ALL.len()],
}

/// A thing that is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Measure {
    MemoryMib,
    Descriptors,
    Threads,
    DiskMib,
    PublishP50,
    PublishP99,
    RequestP50,
    RequestP99,
    GetP50,
    GetP99,
}

impl Measure {
    pub(super) const ALL: [Self; 10] = [
        Self::MemoryMib,
        Self::Descriptors,
        Self::Threads,
        Self::DiskMib,
        Self::PublishP50,
        Self::PublishP99,
        Self::RequestP50,
        Self::RequestP99,
        Self::GetP50,
        Self::GetP99,
    ];

    pub(super) fn title(self) -> &'static str {
        match self {
            Self::MemoryMib => "memory, MiB",
            Self::Descriptors => "open files",
            Self::Threads => "threads",
            Self::DiskMib => "disk, MiB",
            Self::PublishP50 => "publish p50, us",
            Self::PublishP99 => "publish p99, us",
            Self::RequestP50 => "request p50, us",
            Self::RequestP99 => "request p99, us",
            Self::GetP50 => "KV get p50, us",
            Self::GetP99 => "KV get p99, us",
        }
    }
}

impl Sample {
    /// Looks at process and store. `latencies`: what took how long since the last sample, in microseconds.
    pub(super) fn take(
        pid: u32,
        store: &Path,
        since: Duration,
        mut latencies: [Vec<u32>; Timed::ALL.len()],
    ) -> io::Result<Self> {
        let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
        let field = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            let number = line.and_then(|line| line.split_ascii_whitespace().next());
            number.and_then(|number| number.parse::<f64>().ok())
        };
        let missing = || io::Error::other(format!("/proc/{pid}/status: {status}"));
        let memory = field("VmRSS:").ok_or_else(missing)? / 1024.0;
        let threads = field("Threads:").ok_or_else(missing)?;
        let descriptors = fs::read_dir(format!("/proc/{pid}/fd"))?.count() as f64;
        let disk = disk_bytes(store)? as f64 / (1024.0 * 1024.0);
        let mut values = vec![memory, descriptors, threads, disk];
        for times in &mut latencies {
            times.sort_unstable();
            let at = |percent: usize| {
                let time = times.get(times.len() * percent / 100);
                time.map_or(f64::NAN, |time| f64::from(*time))
            };
            values.extend([at(50), at(99)]);
        }
        let mut sample = Self {
            seconds: since.as_secs_f64(),
            ..Self::default()
        };
        for (into, value) in sample.values.iter_mut().zip(values) {
            *into = value;
        }
        Ok(sample)
    }
}

/// What the files below a directory take on the disk. Files may go while it looks.
fn disk_bytes(dir: &Path) -> io::Result<u64> {
    let mut bytes = 0;
    let entries = match fs::read_dir(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
        entries => entries?,
    };
    for entry in entries {
        let entry = entry?;
        match entry.metadata() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            metadata => {
                let metadata = metadata?;
                bytes += if metadata.is_dir() {
                    disk_bytes(&entry.path())?
                } else {
                    metadata.blocks() * 512
                };
            }
        }
    }
    Ok(bytes)
}
