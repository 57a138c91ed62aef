//! Which messages of which stream and subject lie where: one index a segment.
//!
//! The segment being filled is indexed in memory ([`building`]); a sealed one has an index file
//! ([`file`]) with a section a stream ([`section`]), whose [`pages`] are read when they are needed and kept within a budget
//! ([`directory`]). Indexes never forget: dead records stay in them until the segment goes.

pub(crate) mod building;
pub(crate) mod directory;
pub(crate) mod file;
pub(crate) mod pages;
pub(crate) mod rebuild;
pub(crate) mod section;
mod selection;

pub(crate) use selection::Chosen;
pub use selection::Selection;

use super::RecordAt;

/// A message found by an index.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Located {
    /// Its sequence.
    pub seq: u64,
    /// Its record.
    pub at: RecordAt,
}

impl Located {
    /// The nearer to the start of the search; of two copies the newer one.
    pub(crate) fn nearer(self, other: Option<Self>, towards: Towards) -> Self {
        let Some(other) = other else { return self };
        let order = match towards {
            Towards::Higher => other.seq.cmp(&self.seq),
            Towards::Lower => self.seq.cmp(&other.seq),
        };
        match order.then(self.at.start().cmp(&other.at.start())) {
            std::cmp::Ordering::Less => other,
            _ => self,
        }
    }
}

/// Which way a search goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Towards {
    Higher,
    Lower,
}

/// What a walk over one stream's subjects in one segment says of a subject.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SubjectInSegment<'a> {
    /// The subject.
    pub subject: &'a [u8],
    /// How many message records it has there, dead ones included.
    pub records: u32,
    /// The lowest sequence.
    pub first: u64,
    /// The highest sequence.
    pub last: u64,
}

/// A test of subjects.
pub type SubjectMatcher<'a> = &'a mut dyn FnMut(&[u8]) -> bool;

/// The subjects of one stream in one segment, numbered: in the order of their bytes in an index file, of their
/// first message before that.
pub(crate) trait Subjects {
    fn count(&self) -> u32;
    fn subject(&self, ordinal: u32) -> &[u8];
}
