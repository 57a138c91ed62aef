//! Finding messages by sequence.

use std::ops::RangeInclusive;
use std::sync::Arc;

use super::index::file::SectionRef;
use super::index::section::Section;
use super::{Log, ReadError, RecordAt, SegmentNo, StreamId};

/// The section in which the last message was found: who reads in order finds the next one there as well.
#[derive(Debug)]
pub(super) struct LastSection {
    stream: StreamId,
    segment: SegmentNo,
    covers: RangeInclusive<u64>,
    section: Arc<Section>,
}

/// Places remembered at a time.
const LOCATED: usize = 2048;

impl Log {
    /// The newest record of a message, wherever it lies; dead ones are found as well until their
    /// segment is recycled.
    ///
    /// # Errors
    /// [`ReadError`] when an index could be neither loaded nor rebuilt.
    pub fn locate(&mut self, stream: StreamId, seq: u64) -> Result<Option<RecordAt>, ReadError> {
        let in_memory = self.building().rev().find_map(|(segment, index)| {
            index
                .stream(stream)
                .and_then(|stream| stream.locate(segment, seq))
        });
        if in_memory.is_some() {
            return Ok(in_memory);
        }
        if let Some(last) = &self.last_section
            && last.stream == stream
            && last.covers.contains(&seq)
            && let Ok(found) = last.section.locate(last.segment, seq)
        {
            return Ok(found);
        }
        let (candidates, ascending) = self.directory.from(stream, seq);
        let covers = |section: &&SectionRef| section.first <= seq && seq <= section.last;
        if ascending {
            let Some(section) = candidates.first().filter(covers).copied() else {
                return Ok(None);
            };
            let found = self.ask(stream, section, |asked, _| {
                asked.locate(section.segment, seq)
            })?;
            self.last_section =
                self.sections
                    .get(section.segment, stream)
                    .map(|loaded| LastSection {
                        stream,
                        segment: section.segment,
                        covers: section.first..=section.last,
                        section: loaded,
                    });
            return Ok(found);
        }
        let candidates: Vec<_> = candidates.iter().rev().filter(covers).copied().collect();
        for section in candidates {
            let found = self.ask(stream, section, |asked, _| {
                asked.locate(section.segment, seq)
            })?;
            if found.is_some() {
                return Ok(found);
            }
        }
        Ok(None)
    }

    /// As [`Log::locate`], and remembers the place for [`Log::locate_again`].
    ///
    /// # Errors
    /// As [`Log::locate`].
    pub(crate) fn locate_first(
        &mut self,
        stream: StreamId,
        seq: u64,
    ) -> Result<Option<RecordAt>, ReadError> {
        let found = self.locate(stream, seq)?;
        if let Some(at) = found {
            if self.located.len() >= LOCATED {
                self.located.pop_front();
            }
            self.located.push_back((stream, seq, at));
        }
        Ok(found)
    }

    /// As [`Log::locate`], for a message that was located before, in the same order: the consumer's decision comes first, the
    /// delivery follows.
    ///
    /// # Errors
    /// As [`Log::locate`].
    pub(crate) fn locate_again(
        &mut self,
        stream: StreamId,
        seq: u64,
    ) -> Result<Option<RecordAt>, ReadError> {
        while let Some((located_in, located, at)) = self.located.pop_front() {
            if located_in == stream && located == seq {
                return Ok(Some(at));
            }
        }
        self.locate(stream, seq)
    }

    /// Every record of a message that has not been given back: rewriting leaves older ones until their segments go.
    ///
    /// # Errors
    /// As [`Log::locate`].
    pub(super) fn copies(
        &mut self,
        stream: StreamId,
        seq: u64,
    ) -> Result<Vec<RecordAt>, ReadError> {
        let mut copies: Vec<RecordAt> = self
            .building()
            .filter_map(|(segment, index)| index.stream(stream)?.locate(segment, seq))
            .collect();
        let all = self.directory.all(stream).iter();
        let sections: Vec<SectionRef> = all
            .filter(|section| section.first <= seq && seq <= section.last)
            .copied()
            .collect();
        for section in sections {
            copies.extend(self.ask(stream, section, |asked, _| {
                asked.locate(section.segment, seq)
            })?);
        }
        copies.sort_unstable_by_key(|at| at.start());
        copies.dedup();
        Ok(copies)
    }
}
