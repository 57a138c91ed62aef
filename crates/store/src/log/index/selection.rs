//! Which subjects of a segment a search wants, worked out once.

use hashbrown::HashMap;
use hashbrown::hash_map::Entry;
use jetsled_protocol::{SubjectFilter, subject};

use super::pages::PageError;
use super::section::Section;
use super::{SubjectMatcher, Subjects};
use crate::log::{SegmentNo, StreamId};

/// Which subjects are wanted, and what has been worked out about it: for each segment the set of
/// its subjects that match, so that the test runs once a subject and not once a message. Keep it
/// with whoever asks repeatedly (a consumer); forget it freely. Holds at most a few segments' sets.
#[derive(Debug, Default)]
pub struct Selection {
    everything: bool,
    /// The only subjects that match, if they are known by name.
    literals: Vec<Box<[u8]>>,
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
    /// The numbers of all messages that match, if they are not many; of sealed segments only.
    listed: Option<Vec<u32>>,
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

    /// Nothing worked out yet about what matches `filter`. Subjects that it names are looked up instead of tested.
    #[must_use]
    pub fn of(filter: &SubjectFilter) -> Self {
        let mut selection = Self::default();
        if !filter.patterns().any(subject::has_wildcard) {
            selection.literals = filter.patterns().map(Box::from).collect();
        }
        selection
    }

    /// Nothing worked out yet about one subject.
    #[must_use]
    pub fn literal(subject: &[u8]) -> Self {
        Self {
            literals: vec![subject.into()],
            ..Self::default()
        }
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
        self.make_room(&key);
        let chosen = self.segments.entry(key).or_default();
        chosen.extend(subjects, matcher);
        Some(chosen)
    }

    /// The set for one sealed segment: what [`choose`](Self::choose) says, and the messages that match if they are not many.
    pub(crate) fn choose_listed(
        &mut self,
        key: ChoiceKey,
        section: &Section,
        matcher: SubjectMatcher<'_>,
    ) -> Result<Option<&Chosen>, PageError> {
        if self.everything {
            return Ok(None);
        }
        self.make_room(&key);
        let chosen = match self.segments.entry(key) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(vacant) => {
                let mut chosen = Chosen::default();
                if self.literals.is_empty() {
                    chosen.extend(section.names()?, matcher);
                }
                for literal in &self.literals {
                    if let Some(ordinal) = section.find(literal)? {
                        chosen.want(ordinal);
                    }
                }
                chosen.listed = section.list(chosen.wanted())?;
                if chosen.listed.is_some() {
                    chosen.bits = Vec::new();
                }
                vacant.insert(chosen)
            }
        };
        Ok(Some(chosen))
    }

    fn make_room(&mut self, key: &ChoiceKey) {
        if self.segments.len() >= SETS && !self.segments.contains_key(key) {
            self.segments.clear();
        }
    }
}

impl Chosen {
    fn extend(&mut self, subjects: &impl Subjects, matcher: SubjectMatcher<'_>) {
        let count = subjects.count();
        self.bits.resize((count as usize).div_ceil(64), 0);
        for ordinal in self.tested..count {
            if matcher(subjects.subject(ordinal)) {
                self.want(ordinal);
            }
        }
        self.tested = self.tested.max(count);
    }

    fn want(&mut self, ordinal: u32) {
        if self.wants(ordinal) {
            return;
        }
        let word = ordinal as usize / 64;
        if self.bits.len() <= word {
            self.bits.resize(word + 1, 0);
        }
        self.bits[word] |= 1 << (ordinal % 64);
        self.count += 1;
        if self.few.len() < FEW {
            self.few.push(ordinal);
        }
    }

    /// The ordinals of the subjects that match.
    fn wanted(&self) -> impl Iterator<Item = u32> {
        let words = (0..).zip(&self.bits);
        words.flat_map(|(at, word)| {
            (0..64)
                .filter(move |bit| word >> bit & 1 == 1)
                .map(move |bit| at * 64 + bit)
        })
    }

    /// The numbers of the messages that match, ascending, if they are listed.
    pub(crate) fn listed(&self) -> Option<&[u32]> {
        self.listed.as_deref()
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
