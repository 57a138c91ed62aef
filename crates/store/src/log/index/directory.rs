//! Which index sections each stream has, and the loaded ones.

use std::io;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;

use hashbrown::HashMap;

use super::file::{IndexSeal, IndexTable, SectionRef};
use super::pages::{PageError, Pages};
use super::section::Section;
use crate::log::guard::Guards;
use crate::log::{SegmentNo, StreamId};
use crate::storage::StorageFile;

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

#[derive(Debug)]
struct OpenFile {
    segment: SegmentNo,
    file: Arc<dyn StorageFile>,
    seal: Option<IndexSeal>,
}

/// Sections that have been asked for, within a budget of bytes and of open files.
#[derive(Debug)]
pub(crate) struct SectionCache {
    sections: HashMap<(SegmentNo, StreamId), (Arc<Section>, u64)>,
    /// Open index files, the most recently used last.
    files: Vec<OpenFile>,
    guards: Guards,
    /// Memory of all sections, also of those that are no longer here but in use.
    bytes: Arc<AtomicUsize>,
    limit: usize,
    clock: u64,
}

const FILES: usize = 64;

impl SectionCache {
    pub(crate) fn new(limit: usize, guards: Guards) -> Self {
        Self {
            sections: HashMap::new(),
            files: Vec::new(),
            guards,
            bytes: Arc::default(),
            limit,
            clock: 0,
        }
    }

    pub(crate) fn get(&mut self, segment: SegmentNo, stream: StreamId) -> Option<Arc<Section>> {
        self.clock += 1;
        let (section, used_at) = self.sections.get_mut(&(segment, stream))?;
        *used_at = self.clock;
        let section = Arc::clone(section);
        // Sections grow by the pages that are asked for.
        self.keep_within_limit();
        Some(section)
    }

    pub(crate) fn insert(&mut self, segment: SegmentNo, stream: StreamId, section: Arc<Section>) {
        self.clock += 1;
        self.sections
            .insert((segment, stream), (section, self.clock));
        self.keep_within_limit();
    }

    /// Opens a section of an index file; it is not kept yet.
    pub(crate) fn open(
        &mut self,
        section: &SectionRef,
        open_file: impl FnOnce() -> io::Result<Arc<dyn StorageFile>>,
    ) -> Result<Section, PageError> {
        self.open_file(section.segment, open_file)?;
        let OpenFile { file, seal, .. } = self.files.last().ok_or(PageError::Damaged)?;
        let seal = seal.as_ref().map(|seal| seal.section(section.offset));
        let (offset, len) = (u64::from(section.offset), section.len as usize);
        Section::new(Pages::open(
            file,
            offset,
            len,
            section.checksum,
            &self.bytes,
            seal,
        )?)
    }

    /// Makes sure that a segment's index file is the last of the open ones.
    fn open_file(
        &mut self,
        segment: SegmentNo,
        open_file: impl FnOnce() -> io::Result<Arc<dyn StorageFile>>,
    ) -> Result<(), PageError> {
        if let Some(at) = self.files.iter().position(|open| open.segment == segment) {
            let entry = self.files.remove(at);
            self.files.push(entry);
            return Ok(());
        }
        let file = open_file()?;
        let seal = IndexSeal::of_file(&*file, &self.guards, segment)?;
        let seal = seal.ok_or(PageError::Damaged)?;
        if self.files.len() >= FILES
            && let Some(oldest) = self.files.first()
        {
            // Its sections hold it open.
            self.forget(oldest.segment);
        }
        self.files.push(OpenFile {
            segment,
            file,
            seal,
        });
        Ok(())
    }

    /// Drops the longest unused until a quarter of the budget is free, so that this is rare.
    fn keep_within_limit(&mut self) {
        if self.bytes.load(Relaxed) <= self.limit {
            return;
        }
        let mut by_use: Vec<_> = self
            .sections
            .iter()
            .map(|(key, (_, used_at))| (*used_at, *key))
            .collect();
        by_use.sort_unstable();
        by_use.pop();
        for (_, key) in by_use {
            if self.bytes.load(Relaxed) <= self.limit / 4 * 3 {
                break;
            }
            self.sections.remove(&key);
        }
    }

    pub(crate) fn forget(&mut self, segment: SegmentNo) {
        self.files.retain(|open| open.segment != segment);
        self.sections.retain(|(other, _), _| *other != segment);
    }
}
