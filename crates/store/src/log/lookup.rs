//! Finding messages by subject, over all segments.

use std::ops::RangeInclusive;
use std::sync::Arc;

use super::disk::Disk;
use super::frame;
use super::index::building::{BuildingIndex, BuildingStream};
use super::index::file::{self, IndexSeal, SectionRef};
use super::index::pages::{PageError, Pages};
use super::index::rebuild::rebuild;
use super::index::section::Section;
use super::index::{Located, Selection, SubjectInSegment, SubjectMatcher, Towards};
use super::memory::Memory;
use super::segment::index_path;
use super::{Log, ReadError, Record, RecordAt, SegmentNo, StreamId};
use crate::storage::OpenMode;

impl Log {
    /// The message of the lowest sequence of at least `from` whose subject matches; dead ones are
    /// found as well. `matcher` must answer the same for the same subject as long as `selection`
    /// is kept.
    ///
    /// # Errors
    /// As [`Log::locate`].
    pub fn next_match(
        &mut self,
        stream: StreamId,
        from: u64,
        selection: &mut Selection,
        matcher: SubjectMatcher<'_>,
    ) -> Result<Option<Located>, ReadError> {
        self.search(stream, from, (selection, matcher), Towards::Higher)
    }

    /// The mirror image of [`Log::next_match`]: the highest sequence of at most `from`.
    ///
    /// # Errors
    /// As [`Log::locate`].
    pub fn previous_match(
        &mut self,
        stream: StreamId,
        from: u64,
        selection: &mut Selection,
        matcher: SubjectMatcher<'_>,
    ) -> Result<Option<Located>, ReadError> {
        self.search(stream, from, (selection, matcher), Towards::Lower)
    }

    /// How many messages in the range match, dead ones included, each sequence once.
    ///
    /// # Errors
    /// As [`Log::locate`].
    pub fn count(
        &mut self,
        stream: StreamId,
        range: RangeInclusive<u64>,
        selection: &mut Selection,
        matcher: SubjectMatcher<'_>,
    ) -> Result<u64, ReadError> {
        let (first, last) = (*range.start(), *range.end());
        if first > last {
            return Ok(0);
        }
        if !self.is_in_order(stream) {
            return self.count_one_by_one(stream, range, selection, matcher);
        }
        let (sections, _) = self.directory.from(stream, first);
        let sections: Vec<_> = sections
            .iter()
            .take_while(|section| section.first <= last)
            .copied()
            .collect();
        let mut count = 0;
        for section in sections {
            if first <= section.first && section.last <= last && selection.is_everything() {
                count += u64::from(section.messages);
                continue;
            }
            count += self.ask(stream, section, |asked, checksum| {
                let key = (section.segment, stream, checksum);
                let chosen = selection.choose_listed(key, asked, matcher)?;
                asked.count(first, last, chosen)
            })?;
        }
        if !selection.is_everything() {
            self.name(stream)?;
        }
        for (segment, index) in self.building() {
            if let Some(found) = index.stream(stream) {
                let chosen = selection.choose((segment, stream, 0), &found.subjects, matcher);
                count += found.count(first, last, chosen);
            }
        }
        Ok(count)
    }

    /// Walks the subjects of a stream, segment by segment, oldest first; a subject comes once for
    /// each segment that has it.
    ///
    /// # Errors
    /// As [`Log::locate`].
    pub fn subjects(
        &mut self,
        stream: StreamId,
        visit: &mut dyn FnMut(SubjectInSegment<'_>),
    ) -> Result<(), ReadError> {
        for section in self.directory.all(stream).to_vec() {
            // Whole before the first is shown, since nothing can be shown twice.
            self.ask(stream, section, |asked, _| asked.load_all())?;
            self.ask(stream, section, |asked, _| asked.walk_subjects(visit))?;
        }
        self.name(stream)?;
        for (_, index) in self.building() {
            if let Some(found) = index.stream(stream) {
                found.walk_subjects(visit);
            }
        }
        Ok(())
    }

    fn search(
        &mut self,
        stream: StreamId,
        from: u64,
        (selection, matcher): (&mut Selection, SubjectMatcher<'_>),
        towards: Towards,
    ) -> Result<Option<Located>, ReadError> {
        let mut best = self.search_sections(stream, from, (selection, matcher), towards)?;
        let beyond = |range: Option<(u64, u64)>, best: Option<Located>| match (range, towards) {
            (None, _) => true,
            (Some((first, last)), Towards::Higher) => {
                last < from || best.is_some_and(|best| best.seq < first)
            }
            (Some((first, last)), Towards::Lower) => {
                first > from || best.is_some_and(|best| best.seq > last)
            }
        };
        let concerned = self
            .building()
            .any(|(_, index)| !beyond(index.stream(stream).and_then(BuildingStream::range), best));
        if !concerned {
            return Ok(best);
        }
        if !selection.is_everything() {
            self.name(stream)?;
        }
        for (segment, index) in self.building() {
            let Some(found) = index.stream(stream) else {
                continue;
            };
            if !beyond(found.range(), best) {
                let chosen = selection.choose((segment, stream, 0), &found.subjects, matcher);
                if let Some(found) = found.search(segment, from, chosen, towards) {
                    best = Some(found.nearer(best, towards));
                }
            }
        }
        Ok(best)
    }

    fn search_sections(
        &mut self,
        stream: StreamId,
        from: u64,
        (selection, matcher): (&mut Selection, SubjectMatcher<'_>),
        towards: Towards,
    ) -> Result<Option<Located>, ReadError> {
        let mut best: Option<Located> = None;
        let mut tried = 0;
        loop {
            // Looked up again each time: loading a section may rebuild and so replace it.
            let (sections, ascending) = match towards {
                Towards::Higher => self.directory.from(stream, from),
                Towards::Lower => self.directory.up_to(stream, from),
            };
            let next = match towards {
                Towards::Higher => sections.get(tried),
                Towards::Lower => sections.iter().rev().nth(tried),
            };
            let Some(section) = next.copied() else {
                return Ok(best);
            };
            tried += 1;
            let useless = match towards {
                Towards::Higher => {
                    section.last < from || best.is_some_and(|best| best.seq < section.first)
                }
                Towards::Lower => {
                    section.first > from || best.is_some_and(|best| best.seq > section.last)
                }
            };
            if useless {
                if ascending {
                    return Ok(best);
                }
                continue;
            }
            let found = self.ask(stream, section, |asked, checksum| {
                let key = (section.segment, stream, checksum);
                let chosen = selection.choose_listed(key, asked, matcher)?;
                asked.search(section.segment, from, chosen, towards)
            })?;
            if let Some(found) = found {
                best = Some(found.nearer(best, towards));
            } else if self.directory.get(stream, section.segment).is_none() {
                // The next one has taken its place.
                tried -= 1;
            }
        }
    }

    fn count_one_by_one(
        &mut self,
        stream: StreamId,
        range: RangeInclusive<u64>,
        selection: &mut Selection,
        matcher: SubjectMatcher<'_>,
    ) -> Result<u64, ReadError> {
        let mut count = 0;
        let mut from = *range.start();
        while let Some(found) = self.next_match(stream, from, selection, matcher)?
            && found.seq <= *range.end()
        {
            count += 1;
            match found.seq.checked_add(1) {
                Some(next) => from = next,
                None => break,
            }
        }
        Ok(count)
    }

    /// Whether the stream's segments hold ascending ranges of sequences, as they do unless some are being
    /// rewritten.
    fn is_in_order(&self, stream: StreamId) -> bool {
        let mut end = None;
        let on_disk = self
            .directory
            .all(stream)
            .iter()
            .map(|section| (section.first, section.last));
        let mut mixed = false;
        let building = self.building().filter_map(|(_, index)| {
            let found = index.stream(stream)?;
            mixed |= found.is_mixed();
            found.range()
        });
        let in_order = on_disk.chain(building).all(|(first, last)| {
            let follows = end.is_none_or(|end| end < first);
            end = Some(last);
            follows
        });
        in_order && !mixed
    }

    /// The indexes without a file, oldest first.
    pub(super) fn building(&self) -> impl DoubleEndedIterator<Item = (SegmentNo, &BuildingIndex)> {
        // Nearly always there is none.
        let unindexed = (self.unindexed_from < self.next_segment)
            .then(|| self.sealed.range(self.unindexed_from..));
        let sealed = unindexed.into_iter().flatten();
        let sealed = sealed.filter_map(|(segment, sealed)| {
            sealed
                .building
                .as_ref()
                .map(|building| (*segment, &*building.index))
        });
        sealed.chain(
            self.active
                .iter()
                .map(|active| (active.segment, &active.index)),
        )
    }

    /// Reads the subjects of the stream's messages that have not been asked for yet.
    fn name(&mut self, stream: StreamId) -> Result<(), ReadError> {
        let written = self.written;
        let Self {
            sealed,
            active,
            memory,
            disk,
            ..
        } = self;
        for (segment, sealed) in sealed.iter_mut() {
            let Some(building) = &mut sealed.building else {
                continue;
            };
            if building
                .index
                .stream(stream)
                .is_some_and(|found| found.is_nameless())
                && let Some(found) = Arc::make_mut(&mut building.index).stream_mut(stream)
            {
                let own = written.segment() == *segment;
                let written = if own { written.offset() } else { sealed.used };
                name_all(found, *segment, memory, disk, written)?;
            }
        }
        if let Some(active) = active
            && let Some(found) = active.index.stream_mut(stream)
        {
            let own = written.segment() == active.segment;
            let written = if own { written.offset() } else { 0 };
            name_all(found, active.segment, memory, disk, written)?;
        }
        Ok(())
    }

    /// Asks a section of an index file, and tells the question the section's checksum. One that turns out to be damaged is rebuilt
    /// and asked again; if damage has taken all records of the stream in its segment, the directory has no such section any more, and the answer is
    /// the one for nothing.
    pub(super) fn ask<T: Default>(
        &mut self,
        stream: StreamId,
        section: SectionRef,
        mut question: impl FnMut(&Section, u32) -> Result<T, PageError>,
    ) -> Result<T, ReadError> {
        let segment = section.segment;
        let asked = match self.section(stream, &section) {
            Ok(loaded) => question(&loaded, section.checksum),
            Err(error) => Err(error),
        };
        let io = |source| ReadError::Io { segment, source };
        match asked {
            Ok(answer) => return Ok(answer),
            Err(PageError::Io(source)) => return Err(io(source)),
            Err(PageError::Damaged) => {}
        }
        let Some((rebuilt, checksum)) = self.rebuild_section(stream, segment)? else {
            return Ok(T::default());
        };
        let answer = question(&rebuilt, checksum);
        self.sections.insert(segment, stream, rebuilt);
        answer.map_err(|error| match error {
            PageError::Io(source) => io(source),
            PageError::Damaged => ReadError::NoSegment(segment),
        })
    }

    fn section(
        &mut self,
        stream: StreamId,
        section: &SectionRef,
    ) -> Result<Arc<Section>, PageError> {
        let segment = section.segment;
        if let Some(loaded) = self.sections.get(segment, stream) {
            return Ok(loaded);
        }
        let open = || {
            let path = index_path(&self.dir, segment);
            self.storage.open(&path, OpenMode::Read)
        };
        let loaded = match self.sections.open(section, open) {
            Ok(loaded) => Arc::new(loaded),
            Err(PageError::Io(error)) if error.kind() == std::io::ErrorKind::NotFound => {
                return Err(PageError::Damaged);
            }
            Err(error) => return Err(error),
        };
        self.sections.insert(segment, stream, Arc::clone(&loaded));
        Ok(loaded)
    }

    /// `None`: the segment has nothing of the stream.
    fn rebuild_section(
        &mut self,
        stream: StreamId,
        segment: SegmentNo,
    ) -> Result<Option<(Arc<Section>, u32)>, ReadError> {
        let io = |source| ReadError::Io { segment, source };
        let sealed = self
            .sealed
            .get(&segment)
            .ok_or(ReadError::NoSegment(segment))?;
        let (used, session) = (sealed.used, sealed.session);
        let file = self.disk.file(segment)?;
        let guards = self.options.guards();
        let index = rebuild(&*file, segment, guards.of(segment), used).map_err(io)?;
        let seal = IndexSeal::new(&guards, segment);
        let (bytes, table) = file::encode(&index, used, session, seal.as_ref());
        tracing::warn!(%segment, "log index was damaged and has been rebuilt");
        if let Err(error) = file::write(&*self.storage, &self.dir, segment, &bytes) {
            tracing::warn!(%segment, %error, "rebuilt log index could not be written");
        }
        self.directory.remove(segment);
        self.sections.forget(segment);
        self.last_section = None;
        self.directory.insert(&table);
        let Some(section) = self.directory.get(stream, segment) else {
            return Ok(None);
        };
        let load = || {
            let from = section.offset as usize;
            let sealed = bytes.get(from..from + section.len as usize)?;
            let page_seal = seal.as_ref().map(|seal| seal.section(section.offset));
            let section_in_memory = Section::new(Pages::whole(sealed, page_seal)?).ok()?;
            Some((Arc::new(section_in_memory), section.checksum))
        };
        load().map(Some).ok_or(ReadError::NoSegment(segment))
    }
}

/// Reads and notes the subjects of all messages of a stream that have none yet.
fn name_all(
    found: &mut BuildingStream,
    segment: SegmentNo,
    memory: &Memory,
    disk: &mut Disk,
    written: u32,
) -> Result<(), ReadError> {
    let nameless: Vec<_> = found.nameless().collect();
    for record in nameless {
        let subject = subject_of(record.at(segment), memory, disk, written)?;
        found.name(record.lane, subject);
    }
    Ok(())
}

/// The same for all streams of a segment at once, in the order in which their messages lie there: with a pass over the segment a stream, its
/// bytes would be read as many times as it has streams.
pub(super) fn name_every_stream(
    index: &mut BuildingIndex,
    disk: &mut Disk,
    written: u32,
) -> Result<(), ReadError> {
    let segment = index.segment();
    let mut streams: Vec<_> = index.streams_mut().collect();
    let mut nameless = Vec::new();
    for (number, stream) in (0_u32..).zip(&streams) {
        nameless.extend(stream.nameless().map(|record| (number, record)));
    }
    nameless.sort_unstable_by_key(|(_, record)| record.offset);
    let nothing = Memory::new(0);
    for (stream, record) in nameless {
        let subject = subject_of(record.at(segment), &nothing, disk, written)?;
        if let Some(stream) = streams.get_mut(stream as usize) {
            stream.name(record.lane, subject);
        }
    }
    Ok(())
}

/// A message's subject; nothing for one that is lost: it matches nothing then, and is reported when it is read.
fn subject_of<'a>(
    at: RecordAt,
    memory: &'a Memory,
    disk: &'a mut Disk,
    written: u32,
) -> Result<&'a [u8], ReadError> {
    let frame = match memory.get(at) {
        Some(bytes) => frame::decode_trusted(bytes),
        None => match disk.read(at, written) {
            Ok(frame) => Some(frame),
            Err(ReadError::Damaged(_)) => None,
            Err(error) => return Err(error),
        },
    };
    Ok(match frame.and_then(|frame| frame.record()) {
        Some(Record::Message(message) | Record::ErasedMessage(message)) => message.subject,
        _ => b"",
    })
}
