//! What is broken in a store.

use std::fmt;
use std::ops::RangeInclusive;

/// A damaged place in a stream's messages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Damage {
    /// The number of the block.
    pub block: u64,
    /// What is wrong with it.
    pub cause: DamageCause,
    /// Sequences whose messages are lost, if there were any. Exact if the stream's index is of use.
    pub lost: Vec<RangeInclusive<u64>>,
    /// Messages behind the last one of the stream may be lost: nothing tells how many there were.
    pub open_ended: bool,
}

/// What is wrong with a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DamageCause {
    /// Its file is not there, although the index knows it.
    Missing,
    /// The file can not be read.
    Unreadable,
    /// The file with its key is missing, or does not open.
    Key,
    /// What was compressed can not be decompressed from some place on.
    Compression,
    /// The checksum of a record is wrong.
    Checksum,
    /// A record ends, or makes no sense, before the end of the file.
    Truncated,
    /// The index knows messages that are not there.
    Incomplete,
}

impl fmt::Display for DamageCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Missing => "the file is missing",
            Self::Unreadable => "the file can not be read",
            Self::Key => "its key file is missing or does not open",
            Self::Compression => "it does not decompress",
            Self::Checksum => "the checksum of a record is wrong",
            Self::Truncated => "it ends in the middle of a record, or in one that makes no sense",
            Self::Incomplete => "messages that the index knows are not in it",
        })
    }
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "block {}: {}", self.block, self.cause)?;
        if self.lost.is_empty() && !self.open_ended {
            return write!(f, "; no message is lost");
        }
        let mut before = "; lost sequences: ";
        for range in &self.lost {
            let (first, last) = (range.start(), range.end());
            if first == last {
                write!(f, "{before}{first}")?;
            } else {
                write!(f, "{before}{first}-{last}")?;
            }
            before = ", ";
        }
        if self.open_ended {
            write!(f, "{before}what followed at the end of the stream")?;
        }
        Ok(())
    }
}
