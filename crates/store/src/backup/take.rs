//! The set of segments that makes a backup.
//!
//! A segment may be given back once what it holds is of no use, or has been written again to a newer one; what superseded its records (deletes, purges)
//! is given back only after it. So a set of segments is a state of the store if all of them were there at one moment, and
//! the newest was copied after that moment. A pass lists the segments, copies them from the oldest to the newest, and lists them again: if none of
//! the first list is gone, the beginning of the pass was such a moment. Otherwise the next pass begins with what is there now.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use jetsled_jetstream_api::Timestamp;

use super::manifest::{CopiedSegment, Manifest};
use super::segment::{Outcome, copy, mark};
use super::{
    BackupError, Backups, FORMAT, Progress, failed, make_dir, shard_name, sync_dir, write_json,
};
use crate::description::Description;
use crate::log::{LogFile, SegmentNo};
use crate::storage::FsStorage;

/// What taking a backup came to.
#[derive(Debug)]
pub struct Taken {
    /// The backup.
    pub manifest: Manifest,
    /// Bytes that had to be copied for it; earlier backups had the rest.
    pub copied: u64,
}

/// How often everything is looked at again because segments were given back.
const PASSES: u32 = 50;

/// A segment in the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Place {
    shard: u8,
    segment: u32,
}

impl Backups {
    /// Takes a backup of the store in `store` (the directory with `store.json`) to `dir`, which is made if it is missing. A server may be using the store.
    /// `now` gives the time.
    ///
    /// # Errors
    /// [`BackupError`].
    pub fn take(
        store: &Path,
        dir: &Path,
        now: &dyn Fn() -> Timestamp,
        progress: Progress<'_>,
    ) -> Result<Taken, BackupError> {
        let description = Description::find(store, &FsStorage)?
            .ok_or_else(|| BackupError::NoStore(store.to_owned()))?
            .description;
        let backups = Self::open_for(dir, &description)?;
        let _lock = backups.lock()?;
        let mut taking = Taking::new(&backups, store, &description)?;
        let began = now();
        let mut pass = 1;
        let segments = loop {
            if let Some(segments) = taking.pass(progress)? {
                break segments;
            }
            if pass == PASSES {
                return Err(BackupError::TooBusy(PASSES));
            }
            pass += 1;
        };
        for shard in 0..description.shards.get() {
            sync_dir(&backups.shard_dir(shard))?;
        }
        let mut manifest = Manifest {
            format: FORMAT,
            began,
            ended: now(),
            store: description.clone(),
            segments,
        };
        // Two within a millisecond would have the same name.
        while backups.manifest_path(&manifest).exists() {
            manifest.ended = Timestamp(manifest.ended.0 + 1_000_000);
        }
        write_json(&backups.manifest_path(&manifest), &manifest)?;
        Ok(Taken {
            manifest,
            copied: taking.copied,
        })
    }
}

struct Taking<'b> {
    backups: &'b Backups,
    store: PathBuf,
    description: &'b Description,
    /// What there is a copy of.
    known: HashMap<Place, CopiedSegment>,
    copied: u64,
}

impl<'b> Taking<'b> {
    fn new(
        backups: &'b Backups,
        store: &Path,
        description: &'b Description,
    ) -> Result<Self, BackupError> {
        for shard in 0..description.shards.get() {
            make_dir(&backups.shard_dir(shard))?;
        }
        let last = backups.newest(None)?;
        let known = last.into_iter().flat_map(|last| last.segments);
        let known = known.map(|copy| {
            let (shard, segment) = (copy.shard, copy.segment);
            (Place { shard, segment }, copy)
        });
        Ok(Self {
            backups,
            store: store.to_owned(),
            description,
            known: known.collect(),
            copied: 0,
        })
    }

    /// `None` if segments went meanwhile.
    fn pass(&mut self, progress: Progress<'_>) -> Result<Option<Vec<CopiedSegment>>, BackupError> {
        let listed = self.list()?;
        let mut missing = Vec::new();
        let mut total = 0;
        for (index, (place, len)) in listed.iter().enumerate() {
            let next = listed.get(index + 1);
            let newest = next.is_none_or(|(next, _)| next.shard != place.shard);
            if !self.has(*place)? {
                total += len;
                missing.push((*place, *len, newest));
            }
        }
        let mut done = 0;
        let mut empty = Vec::new();
        for (place, len, newest) in missing {
            match self.copy(place, newest)? {
                Outcome::Copied(_) => {}
                Outcome::Empty => empty.push(place),
                Outcome::GivenBack => return Ok(None),
            }
            done += len;
            progress(done, total);
        }
        let still_there = self.list()?;
        let is_there = |place: &Place| still_there.binary_search_by_key(place, |(p, _)| *p).is_ok();
        if !listed.iter().all(|(place, _)| is_there(place)) {
            return Ok(None);
        }
        let taken = listed.iter().map(|(place, _)| place);
        let taken = taken.filter(|place| !empty.contains(place));
        Ok(taken.map(|place| self.known.get(place).cloned()).collect())
    }

    /// Whether the copy that there is still is what the store has.
    fn has(&self, place: Place) -> Result<bool, BackupError> {
        let Some(copy) = self.known.get(&place) else {
            return Ok(false);
        };
        let Some(unchanged) = copy.unchanged else {
            return Ok(false);
        };
        let path = self.path(place);
        match mark(&path) {
            Ok(mark) => Ok(mark == unchanged && self.backups.segment_path(copy).exists()),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(failed("can't read", &path)(error)),
        }
    }

    fn copy(&mut self, place: Place, newest: bool) -> Result<Outcome, BackupError> {
        let Place { shard, segment } = place;
        let temporary = self.backups.shard_dir(shard).join("copying");
        let secret = self.description.secret;
        let outcome = copy(
            &self.path(place),
            SegmentNo(segment),
            secret,
            &temporary,
            newest,
        )?;
        if let Outcome::Copied(copy) = &outcome {
            self.copied += copy.stored;
            let copy = CopiedSegment {
                shard,
                segment,
                len: copy.len,
                stored: copy.stored,
                sha256: copy.sha256.clone(),
                unchanged: copy.unchanged,
                damage: copy.damage.clone(),
            };
            let kept = self.backups.segment_path(&copy);
            fs::rename(&temporary, &kept).map_err(failed("can't rename to", &kept))?;
            self.known.insert(place, copy);
        } else if temporary.exists() {
            super::remove(&temporary)?;
        }
        Ok(outcome)
    }

    /// All segments of the store and the bytes of their files, in order.
    fn list(&self) -> Result<Vec<(Place, u64)>, BackupError> {
        let mut found = Vec::new();
        for shard in 0..self.description.shards.get() {
            let dir = self.store.join(shard_name(shard));
            let entries = match fs::read_dir(&dir) {
                Ok(entries) => entries,
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
                Err(source) => return Err(failed("can't list", &dir)(source)),
            };
            for entry in entries {
                let entry = entry.map_err(failed("can't list", &dir))?;
                let name = entry.file_name();
                let Some(LogFile::Segment(segment)) = name.to_str().and_then(LogFile::parse) else {
                    continue;
                };
                // Given back between the two: it is missing in the next list.
                if let Ok(file) = entry.metadata() {
                    let place = Place {
                        shard,
                        segment: segment.get(),
                    };
                    found.push((place, file.len()));
                }
            }
        }
        found.sort_unstable();
        Ok(found)
    }

    fn path(&self, place: Place) -> PathBuf {
        let dir = self.store.join(shard_name(place.shard));
        crate::log::segment_path(&dir, SegmentNo(place.segment))
    }
}
