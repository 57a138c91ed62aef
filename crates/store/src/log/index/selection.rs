//! Which subjects of a segment a search wants, worked out once.

use hashbrown::HashMap;

use super::{SubjectMatcher, Subjects};
use crate::log::{SegmentNo, StreamId};

/// Which subjects are wanted, and what has been worked out about it: for each segment the set of
/// its subjects that match, so that the test runs once a subject and not once a message. Keep it
/// with whoever asks repeatedly (a consumer); forget it freely. Holds at most a few segments' sets.
#[derive(Debug, Default)]
pub struct Selection {
    everything: bool,
    segments: HashMap<ChoiceKey, Chosen>,
}

/// The wanted subjects of one segment.
#[derive(Debug, Default, Clone)]
pub(crate) struct Chosen {
    /// How many subjects have been tested.
    tested: u32,
    /// One bit a subject.
    bits: Vec<u64>,
    /// The first few of those that match.
    few: Vec<u32>,
    count: u32,
}

/// Segment, stream, and which of the indexes that the segment may have had: ordinals differ.
pub(crate) type ChoiceKey = (SegmentNo, StreamId, u32);

/// Sets kept at a time; a reader moves from one segment to the next.
const SETS: usize = 8;
/// Up to so many matching subjects posting lists beat a walk over the messages.
pub(crate) const FEW: usize = 8;

impl Selection {
    /// Nothing worked out yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Every subject matches: nothing is ever tested.
    #[must_use]
    pub fn everything() -> Self {
        Self {
            everything: true,
            ..Self::default()
        }
    }

    pub(crate) fn is_everything(&self) -> bool {
        self.everything
    }

    /// The set for one segment, with all its subjects tested. `None` means everything.
    pub(crate) fn choose(
        &mut self,
        key: ChoiceKey,
        subjects: &impl Subjects,
        matcher: SubjectMatcher<'_>,
    ) -> Option<&Chosen> {
        if self.everything {
            return None;
        }
        if self.segments.len() >= SETS && !self.segments.contains_key(&key) {
            self.segments.clear();
        }
        let chosen = self.segments.entry(key).or_default();
        chosen.extend(subjects, matcher);
        Some(chosen)
    }
}

impl Chosen {
    fn extend(&mut self, subjects: &impl Subjects, matcher: SubjectMatcher<'_>) {
        let count = subjects.count();
        self.bits.resize((count as usize).div_ceil(64), 0);
        for ordinal in self.tested..count {
            if matcher(subjects.subject(ordinal)) {
                self.bits[ordinal as usize / 64] |= 1 << (ordinal % 64);
                self.count += 1;
                if self.few.len() < FEW {
                    self.few.push(ordinal);
                }
            }
        }
        self.tested = self.tested.max(count);
    }

    pub(crate) fn wants(&self, ordinal: u32) -> bool {
        let word = self.bits.get(ordinal as usize / 64).copied().unwrap_or(0);
        word >> (ordinal % 64) & 1 == 1
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// All subjects that match, if they are few.
    pub(crate) fn few(&self) -> Option<&[u32]> {
        (self.count as usize <= FEW).then_some(&self.few)
    }
}
