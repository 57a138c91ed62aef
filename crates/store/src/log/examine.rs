//! A look at everything that a segment and its index file hold, for [`crate::check`].

use std::io;
use std::path::Path;
use std::sync::Arc;

use super::guard::Guards;
use super::index::building::BuildingIndex;
use super::index::file::{self, IndexSeal};
use super::index::pages::{PageError, Pages};
use super::scan::{Found, Scan};
use super::segment::{HeaderCheck, SEGMENT_HEADER, SegmentHeader, index_path};
use super::{Damage, Log, ReadError, Record, SegmentNo};
use crate::log::disk::read_full;
use crate::storage::{OpenMode, Storage};

/// What a look at a segment has found.
#[derive(Debug, Default)]
pub(crate) struct Examined {
    /// Bytes that should be records and are not.
    pub(crate) damage: Vec<Damage>,
    /// Records in it.
    pub(crate) records: u64,
    /// Its index file; `None`: it needs none yet.
    pub(crate) index: Option<IndexFile>,
}

/// How the index file of a sealed segment was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum IndexFile {
    Good,
    /// A start makes it.
    Missing,
    /// Of a life of the segment that a power cut has taken back; a start makes it anew.
    Outdated,
    Damaged,
}

impl Log {
    /// Reads a whole segment, and its index file as it is on the `disk`: recovery may have made a better one in memory.
    ///
    /// # Errors
    /// When a file can not be read.
    pub(crate) fn examine(
        &mut self,
        segment: SegmentNo,
        disk: &dyn Storage,
    ) -> Result<Examined, ReadError> {
        let used = self.written_in(segment)?;
        let file = self.disk.file(segment)?;
        let io = |source| ReadError::Io { segment, source };
        let mut examined = Examined::default();
        let mut header = [0; SEGMENT_HEADER as usize];
        read_full(&*file, &mut header, 0).map_err(io)?;
        let header = SegmentHeader::check(&header, self.options.secret, segment);
        if !matches!(header, HeaderCheck::Valid(_)) {
            examined.damage.push(Damage {
                segment,
                from: 0,
                to: SEGMENT_HEADER,
            });
        }
        let guards = self.options.guards();
        let guard = guards.of(segment);
        let mut scan = Scan::new(&*file, segment, guard, (SEGMENT_HEADER, used), 0);
        let mut index = BuildingIndex::new(segment);
        let mut end = SEGMENT_HEADER;
        while let Found::Frame {
            at,
            frame,
            gap_from,
        } = scan.step().map_err(io)?
        {
            if gap_from < at.offset {
                examined.damage.push(Damage {
                    segment,
                    from: gap_from,
                    to: at.offset,
                });
            }
            examined.records += 1;
            end = at.end().offset();
            if let Some(Record::Message(message) | Record::ErasedMessage(message)) = frame.record()
            {
                let place = (at.offset, at.len);
                index.push_named(message.stream, message.seq, place, message.subject);
            }
        }
        if end < used {
            examined.damage.push(Damage {
                segment,
                from: end,
                to: used,
            });
        }
        let sealed = self.sealed.get(&segment);
        if let Some(sealed) = sealed.filter(|sealed| sealed.building.is_none()) {
            let made = |seal: Option<&IndexSeal>| {
                file::encode(&index, sealed.used, sealed.session, seal).0
            };
            let is_damaged = !examined.damage.is_empty();
            let place = (disk, &*self.dir);
            let state = index_on_disk(place, (segment, &guards), made, is_damaged);
            examined.index = Some(state.map_err(io)?);
        }
        Ok(examined)
    }
}

/// Compares a segment's index file with what the segment gives. In a damaged segment the index knows more than the segment: only its checksums are
/// looked at.
fn index_on_disk(
    (disk, dir): (&dyn Storage, &Path),
    (segment, guards): (SegmentNo, &Guards),
    made: impl FnOnce(Option<&IndexSeal>) -> Vec<u8>,
    segment_is_damaged: bool,
) -> io::Result<IndexFile> {
    let file = match disk.open(&index_path(dir, segment), OpenMode::Read) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(IndexFile::Missing),
        file => file?,
    };
    let Some(seal) = IndexSeal::of_file(&*file, guards, segment)? else {
        return Ok(IndexFile::Damaged);
    };
    // With the same salt the same content is sealed to the same bytes.
    let made = made(seal.as_ref());
    let mut found = vec![0; usize::try_from(file.len()?).unwrap_or(0)];
    let read = read_full(&*file, &mut found, 0)?;
    found.truncate(read);
    if found == made {
        return Ok(IndexFile::Good);
    }
    let Some(table) = file::decode_table(&found, segment) else {
        return Ok(IndexFile::Damaged);
    };
    if file::decode_table(&made, segment).is_none_or(|made| made.used != table.used) {
        return Ok(IndexFile::Outdated);
    }
    let memory = Arc::default();
    let is_whole = |section: &file::SectionRef| {
        let (offset, len) = (u64::from(section.offset), section.len as usize);
        let page_seal = seal.as_ref().map(|seal| seal.section(section.offset));
        match Pages::open(&file, offset, len, section.checksum, &memory, page_seal)
            .and_then(|pages| pages.load_all())
        {
            Ok(()) => Ok(true),
            Err(PageError::Damaged) => Ok(false),
            Err(PageError::Io(error)) => Err(error),
        }
    };
    for (_, section) in &table.streams {
        if !is_whole(section)? {
            return Ok(IndexFile::Damaged);
        }
    }
    Ok(if segment_is_damaged {
        IndexFile::Good
    } else {
        IndexFile::Damaged
    })
}
