//! The copy of one segment that a server may be writing to, or giving back, at the same time.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::fs::{Advice, fadvise};

use super::manifest::FileMark;
use super::{BackupError, PIECE, failed, sha256};
use crate::log::{Extent, SEGMENT_HEADER, SegmentNo, extent};
use crate::storage::{FsStorage, OpenMode, Storage};

/// A copy of a segment.
#[derive(Debug)]
pub(super) struct Copy {
    /// Bytes of the segment's file.
    pub(super) len: u64,
    /// Bytes of the copy.
    pub(super) stored: u64,
    pub(super) sha256: String,
    pub(super) unchanged: Option<FileMark>,
    pub(super) damage: Vec<(u32, u32)>,
}

/// What came of copying a segment.
#[derive(Debug)]
pub(super) enum Outcome {
    Copied(Copy),
    /// Its file is gone, or another.
    GivenBack,
    /// Nothing has been written to it yet.
    Empty,
}

/// A file that was written to this short a time ago may be written to in the same tick of the file system's clock again.
const SETTLED: Duration = Duration::from_secs(2);
/// How often a segment that looks damaged is read again, in case it was only being written to.
const ATTEMPTS: u32 = 5;
const PAUSE: Duration = Duration::from_millis(20);
/// The kernel copies a page in one go.
const PAGE: u64 = 4096;

/// Tells a file in the state that it is in.
pub(super) fn mark(path: &Path) -> io::Result<FileMark> {
    Ok(mark_of(&fs::metadata(path)?))
}

fn mark_of(file: &fs::Metadata) -> FileMark {
    FileMark {
        inode: file.ino(),
        modified: file.mtime() * 1_000_000_000 + file.mtime_nsec(),
    }
}

/// Copies a segment's file to `to`, as far as it has records.
pub(super) fn copy(
    from: &Path,
    segment: SegmentNo,
    secret: u32,
    to: &Path,
    newest: bool,
) -> Result<Outcome, BackupError> {
    for attempt in 1.. {
        let Some(before) = copy_file(from, to)? else {
            return Ok(Outcome::GivenBack);
        };
        let opened = FsStorage.open(to, OpenMode::Read);
        let found = opened.and_then(|file| extent(&*file, segment, secret));
        let found = found.map_err(failed("can't read", to))?;
        if found.is_none() && newest {
            return Ok(Outcome::Empty);
        }
        let looks_whole = |found: &Extent| found.holes.is_empty() && (found.sealed || newest);
        if found.as_ref().is_some_and(looks_whole) || is_settled(&before) || attempt == ATTEMPTS {
            // Without its header nothing tells how far it went: all of it is kept.
            let extent = found.unwrap_or_else(|| Extent {
                end: u32::try_from(before.len()).unwrap_or(u32::MAX),
                sealed: false,
                holes: vec![(0, SEGMENT_HEADER)],
            });
            return finish(to, &before, extent).map(Outcome::Copied);
        }
        thread::sleep(PAUSE);
    }
    Ok(Outcome::GivenBack)
}

/// What the file was right before it was copied; `None` if it is gone or was given back.
fn copy_file(from: &Path, to: &Path) -> Result<Option<fs::Metadata>, BackupError> {
    let source = match File::open(from) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        source => source.map_err(failed("can't open", from))?,
    };
    let before = source.metadata().map_err(failed("can't read", from))?;
    let target = File::create(to).map_err(failed("can't make", to))?;
    copy_backwards(&source, &target, before.len()).map_err(failed("can't copy", from))?;
    // A segment's file gets its next name before its next content.
    match mark(from) {
        Ok(after) if after.inode == before.ino() => Ok(Some(before)),
        Ok(_) => Ok(None),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(failed("can't read", from)(error)),
    }
}

/// Cuts the copy at the end of its records and makes it durable.
fn finish(to: &Path, before: &fs::Metadata, extent: Extent) -> Result<Copy, BackupError> {
    let stored = u64::from(extent.end).min(before.len());
    let cut = |file: &File| file.set_len(stored).and_then(|()| file.sync_all());
    let file = File::options().read(true).write(true).open(to);
    let file = file.and_then(|file| cut(&file).map(|()| file));
    let file = file.map_err(failed("can't write", to))?;
    let sha256 = sha256(file, |_| {}).map_err(failed("can't read", to))?;
    Ok(Copy {
        len: before.len(),
        stored,
        sha256,
        unchanged: is_settled(before).then(|| mark_of(before)),
        damage: extent.holes,
    })
}

/// Copies page by page from the end to the beginning. What is found at one place was so read before what is found at a lower one, and since
/// records are written in their order, none can be found without all those before it.
fn copy_backwards(from: &File, to: &File, len: u64) -> io::Result<()> {
    // Reading ahead does not go backwards.
    fadvise(from, 0, None, Advice::WillNeed).ok();
    to.set_len(len)?;
    let mut piece = vec![0; PIECE];
    let mut end = len;
    while end > 0 {
        let start = (end - 1) / PIECE as u64 * PIECE as u64;
        let piece = &mut piece[..(end - start) as usize];
        let mut page_end = end;
        while page_end > start {
            let page = (page_end - 1) / PAGE * PAGE;
            let within = (page - start) as usize..(page_end - start) as usize;
            from.read_exact_at(&mut piece[within], page)?;
            page_end = page;
        }
        if piece.iter().any(|byte| *byte != 0) {
            to.write_all_at(piece, start)?;
        }
        end = start;
    }
    Ok(())
}

fn is_settled(file: &fs::Metadata) -> bool {
    let modified = UNIX_EPOCH + Duration::new(file.mtime().max(0) as u64, file.mtime_nsec() as u32);
    SystemTime::now()
        .duration_since(modified)
        .is_ok_and(|age| age > SETTLED)
}
