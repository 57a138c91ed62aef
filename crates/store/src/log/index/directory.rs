//! Which index sections each stream has, and the loaded ones.

use std::sync::Arc;

use hashbrown::HashMap;

use super::file::{IndexTable, SectionRef};
use super::section::Section;
use crate::log::{SegmentNo, StreamId};

/// Per stream its sections in index files, oldest segment first.
#[derive(Debug, Default)]
pub(crate) struct Directory {
    streams: HashMap<StreamId, Sections>,
}

#[derive(Debug, Default)]
struct Sections {
    sections: Vec<SectionRef>,
    /// Whether each section's sequences lie above its predecessor's; rewriting ends that.
    ascending: bool,
}

impl Directory {
    pub(crate) fn insert(&mut self, table: &IndexTable) {
        for (stream, section) in &table.streams {
            let sections = &mut self.streams.entry(*stream).or_default();
            let at = sections
                .sections
                .partition_point(|other| other.segment < section.segment);
            sections.sections.insert(at, *section);
            sections.check_order();
        }
    }

    pub(crate) fn remove(&mut self, segment: SegmentNo) {
        self.streams.retain(|_, sections| {
            let before = sections.sections.len();
            sections
                .sections
                .retain(|section| section.segment != segment);
            if sections.sections.len() < before {
                sections.check_order();
            }
            !sections.sections.is_empty()
        });
    }

    /// The sections of a stream that may hold the nearest sequence at or above `from`, in the order in which to try them.
    /// Once a sequence has been found, sections that begin above it need not be tried.
    pub(crate) fn from(&self, stream: StreamId, from: u64) -> (&[SectionRef], bool) {
        let Some(sections) = self.streams.get(&stream) else {
            return (&[], true);
        };
        let all = &sections.sections;
        if sections.ascending {
            (
                &all[all.partition_point(|section| section.last < from)..],
                true,
            )
        } else {
            (all, false)
        }
    }

    /// The same towards lower sequences: try them from the back.
    pub(crate) fn up_to(&self, stream: StreamId, to: u64) -> (&[SectionRef], bool) {
        let Some(sections) = self.streams.get(&stream) else {
            return (&[], true);
        };
        let all = &sections.sections;
        if sections.ascending {
            (
                &all[..all.partition_point(|section| section.first <= to)],
                true,
            )
        } else {
            (all, false)
        }
    }

    pub(crate) fn all(&self, stream: StreamId) -> &[SectionRef] {
        self.streams
            .get(&stream)
            .map_or(&[], |sections| &sections.sections)
    }

    pub(crate) fn get(&self, stream: StreamId, segment: SegmentNo) -> Option<SectionRef> {
        self.all(stream)
            .iter()
            .find(|section| section.segment == segment)
            .copied()
    }
}

impl Sections {
    fn check_order(&mut self) {
        self.ascending = self.sections.is_sorted_by(|a, b| a.last < b.first);
    }
}

/// Loaded sections, within a budget of bytes.
#[derive(Debug)]
pub(crate) struct SectionCache {
    loaded: HashMap<(SegmentNo, StreamId), (Arc<Section>, u64)>,
    bytes: usize,
    limit: usize,
    clock: u64,
}

impl SectionCache {
    pub(crate) fn new(limit: usize) -> Self {
        Self {
            loaded: HashMap::new(),
            bytes: 0,
            limit,
            clock: 0,
        }
    }

    pub(crate) fn get(&mut self, segment: SegmentNo, stream: StreamId) -> Option<Arc<Section>> {
        self.clock += 1;
        let (section, used_at) = self.loaded.get_mut(&(segment, stream))?;
        *used_at = self.clock;
        Some(Arc::clone(section))
    }

    pub(crate) fn insert(&mut self, segment: SegmentNo, stream: StreamId, section: Arc<Section>) {
        self.bytes += section.size();
        self.clock += 1;
        self.loaded.insert((segment, stream), (section, self.clock));
        if self.bytes > self.limit {
            self.evict();
        }
    }

    /// Drops the longest unused until a quarter of the budget is free, so that this is rare.
    fn evict(&mut self) {
        let mut by_use: Vec<_> = self
            .loaded
            .iter()
            .map(|(key, (_, used_at))| (*used_at, *key))
            .collect();
        by_use.sort_unstable();
        by_use.pop();
        for (_, key) in by_use {
            if self.bytes <= self.limit / 4 * 3 {
                break;
            }
            if let Some((section, _)) = self.loaded.remove(&key) {
                self.bytes -= section.size();
            }
        }
    }

    pub(crate) fn forget(&mut self, segment: SegmentNo) {
        self.loaded.retain(|(other, _), (section, _)| {
            let keep = *other != segment;
            if !keep {
                self.bytes -= section.size();
            }
            keep
        });
    }
}
