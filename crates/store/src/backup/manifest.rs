use jetsled_jetstream_api::Timestamp;
use serde::{Deserialize, Serialize};

use crate::description::Description;

/// One backup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    pub(super) format: u32,
    /// Everything that was acknowledged before this moment is in it.
    pub began: Timestamp,
    /// Nothing that was written after this moment is in it.
    pub ended: Timestamp,
    pub(super) store: Description,
    /// What it is made of, by shard and number.
    pub segments: Vec<CopiedSegment>,
}

/// A segment of a backup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CopiedSegment {
    /// In which shard.
    pub shard: u8,
    /// Its number there.
    pub segment: u32,
    /// Bytes of its file in the store.
    pub len: u64,
    /// Bytes of them that are kept; nothing of use is behind these.
    pub stored: u64,
    /// Of what is kept, in hexadecimal.
    pub sha256: String,
    /// By which file it is known that the segment has not changed since; none if that can't be told.
    pub(super) unchanged: Option<FileMark>,
    /// Bytes among its records that are none: the store was damaged there when the backup was taken.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub damage: Vec<(u32, u32)>,
}

/// What of a file changes when it is written to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct FileMark {
    pub(super) inode: u64,
    /// Nanoseconds since 1970.
    pub(super) modified: i64,
}

impl Manifest {
    /// Bytes of all its segments.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.segments.iter().map(|segment| segment.stored).sum()
    }

    /// Its name: the moment of its end, in UTC.
    #[must_use]
    pub fn name(&self) -> String {
        let nanos = i128::from(self.ended.0);
        match jiff::Timestamp::from_nanosecond(nanos) {
            Ok(time) => time.strftime("%Y%m%dT%H%M%S.%3fZ").to_string(),
            Err(_) => nanos.to_string(),
        }
    }
}

impl CopiedSegment {
    pub(super) fn file_name(&self) -> String {
        let sum = self.sha256.get(..16).unwrap_or(&self.sha256);
        format!("{:010}-{sum}.seg", self.segment)
    }
}
