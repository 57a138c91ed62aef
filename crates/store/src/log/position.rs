//! Places in the log: segments, positions, and where a record lies.

use std::fmt;

/// The number of a segment: grows by one with each new segment of a shard and is never reused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SegmentNo(pub(crate) u32);

impl SegmentNo {
    /// The number itself.
    #[must_use]
    pub const fn get(self) -> u32 {
        self.0
    }

    pub(crate) const fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl fmt::Display for SegmentNo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:010}", self.0)
    }
}

/// A place in a shard's log: the segment in the upper 32 bits, the byte offset in it in the lower.
///
/// Positions grow over the shard's whole life and an announced one is never reused. They are not
/// dense: the difference of two positions is not a number of bytes (see
/// [`Log::appended_bytes`](crate::log::Log::appended_bytes)).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct LogPosition(u64);

impl LogPosition {
    /// Before everything.
    pub const ZERO: Self = Self(0);

    pub(crate) const fn new(segment: SegmentNo, offset: u32) -> Self {
        Self(((segment.0 as u64) << 32) | offset as u64)
    }

    /// From [`LogPosition::to_u64`].
    #[must_use]
    pub const fn from_u64(raw: u64) -> Self {
        Self(raw)
    }

    /// For keeping it in a catalog or a message; order is kept.
    #[must_use]
    pub const fn to_u64(self) -> u64 {
        self.0
    }

    /// The segment.
    #[must_use]
    pub const fn segment(self) -> SegmentNo {
        SegmentNo((self.0 >> 32) as u32)
    }

    /// The byte offset in the segment.
    #[must_use]
    pub const fn offset(self) -> u32 {
        self.0 as u32
    }
}

impl fmt::Display for LogPosition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.segment(), self.offset())
    }
}

/// Where a record lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RecordAt {
    /// The segment.
    pub segment: SegmentNo,
    /// Byte offset of the record in the segment; a multiple of 8.
    pub offset: u32,
    /// Bytes of the record, header and checksum included, padding to the next multiple of 8 not.
    pub len: u32,
}

impl RecordAt {
    /// Where the record begins. A record replays after a checkpoint `c` if `start() >= c.position`.
    #[must_use]
    pub const fn start(self) -> LogPosition {
        LogPosition::new(self.segment, self.offset)
    }

    /// The first position behind the record: the record is durable once [`Log::durable`] has reached
    /// it.
    ///
    /// [`Log::durable`]: crate::log::Log::durable
    #[must_use]
    pub const fn end(self) -> LogPosition {
        LogPosition::new(self.segment, self.offset + padded(self.len))
    }

    /// Bytes that the record takes in its segment.
    #[must_use]
    pub const fn footprint(self) -> u32 {
        padded(self.len)
    }
}

/// Records begin at multiples of 8.
pub(crate) const fn padded(len: u32) -> u32 {
    len.next_multiple_of(8)
}
