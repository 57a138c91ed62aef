//! Looking at a store without changing it: what is damaged, what is missing, what is left over.
//!
//! [`check`] runs the recovery of a start over an overlay of its files in memory, so that it finds what a start would find, and then reads
//! everything that a start leaves for later: every segment, every index, every message.

mod files;
mod overlay;

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jetsled_jetstream_api::StreamSeq;
use serde::Serialize;

use crate::description::Description;
use crate::duplicates::{SetAside, set_older_aside};
use crate::encryption::Described;
use crate::log::{Damage, IndexFile, SegmentNo};
use crate::open::OpenError;
use crate::options::StoreOptions;
use crate::shard::{Loaded, Seat, recover};
use crate::storage::{FsStorage, Storage};
use crate::{Encryption, Shard, Stream};
use files::{CatalogCopy, StoreLock};
use overlay::Overlay;

/// Which store to check, and how.
#[derive(Debug, Clone)]
pub struct CheckOptions {
    /// The store.
    pub dir: PathBuf,
    /// The key of an encrypted store, and the one before if a server has not started with it yet. A plain store needs none.
    pub encryption: Option<Encryption>,
    /// Where its files but the catalog are.
    pub storage: Arc<dyn Storage>,
    /// A directory for a copy of the catalog.
    pub scratch: PathBuf,
}

impl CheckOptions {
    /// A plain store.
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Self {
            dir: dir.into(),
            encryption: None,
            storage: Arc::new(FsStorage),
            scratch: std::env::temp_dir(),
        }
    }
}

/// What a store was found to be.
#[derive(Debug, Default, Serialize)]
pub struct Report {
    /// Streams that keep their messages in files, by account and name.
    pub streams: Vec<StreamReport>,
    /// Damaged bytes and files. What of them matters is what the streams miss.
    pub damage: Vec<DamagedFile>,
    /// Messages of streams whose configuration is lost: they are kept, and not served.
    pub orphaned_messages: u64,
    /// Streams that stand behind a newer one of their name: they are kept, and not served.
    pub set_aside_streams: Vec<SetAside>,
    /// Bytes behind the logs' ends that an interrupted, never acknowledged write left; no damage.
    pub unfinished_bytes: u64,
    /// Files that the next start makes: indexes that were not written before the stop.
    pub to_be_made: Vec<PathBuf>,
    /// Files that nothing needs: left over, set aside, or not ours.
    pub superfluous: Vec<PathBuf>,
    /// Segments, and records in them.
    pub segments: u64,
    /// Records in the segments, live or dead.
    pub records: u64,
}

/// A stream.
#[derive(Debug, Serialize)]
pub struct StreamReport {
    /// The account that owns it.
    pub account: String,
    /// Its name.
    pub name: String,
    /// Messages that are there, each read and found unaltered.
    pub messages: u64,
    /// The lowest sequence stored; one past the last when empty.
    pub first_seq: StreamSeq,
    /// The highest sequence given.
    pub last_seq: StreamSeq,
    /// How many messages damage took, found now or by a server before.
    pub lost_messages: u64,
    /// Their sequences, as runs of first and last.
    pub lost: Vec<(StreamSeq, StreamSeq)>,
}

/// Something of a file that is not what was written.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct DamagedFile {
    /// The file, or directory.
    pub path: PathBuf,
    /// What is wrong with it.
    pub what: String,
}

impl Report {
    /// Whether nothing is damaged and nothing is missing.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        let whole = |stream: &StreamReport| stream.lost_messages == 0;
        self.damage.is_empty()
            && self.orphaned_messages == 0
            && self.set_aside_streams.is_empty()
            && self.streams.iter().all(whole)
    }
}

/// How far a check has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// What is being done.
    pub step: Step,
    /// How much of it is done.
    pub done: u64,
    /// Out of this.
    pub of: u64,
}

/// A part of a check.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Shards are recovered as by a start.
    Recover,
    /// Segments and indexes are read; counted in segments.
    Segments,
    /// Messages are read; counted in messages.
    Messages,
}

/// Messages that are read between two reports of progress.
const RUN: u64 = 4096;

/// Reads everything in a store and changes nothing there. While it runs no server can open the store. The catalog is copied, since sled
/// writes to what it opens.
///
/// # Errors
/// [`OpenError::KeyMissing`] and [`OpenError::WrongKey`] for an encrypted store; [`OpenError::InUse`] when a server has the store; [`OpenError`] when
/// it can not be read at all. Damage is no error.
pub fn check(
    checked: &CheckOptions,
    progress: &mut dyn FnMut(Progress),
) -> Result<Report, OpenError> {
    let dir = &*checked.dir;
    let lock = StoreLock::take(dir)?;
    let storage: Arc<dyn Storage> = Arc::new(Overlay::over(Arc::clone(&checked.storage)));
    let mut report = Report::default();
    let found = Description::find(dir, &*storage)?;
    let found = found.ok_or_else(|| OpenError::NotAStore(dir.to_owned()))?;
    // The key that a plain store is to get is not its key yet.
    let is_encrypted = found.description.encryption.is_some();
    let options = StoreOptions {
        encryption: checked.encryption.clone().filter(|_| is_encrypted),
        ..StoreOptions::new(dir, 0)
    };
    let described = Described::load_or_create(&options, &*storage)?;
    if let Some(name) = described.mended {
        report.damage.push(DamagedFile {
            path: dir.join(name),
            what: "is missing, damaged or out of date; a start makes it anew from its copy"
                .to_owned(),
        });
    }
    let description = &described.description;
    let catalog = CatalogCopy::open(dir, described.data_key.clone(), &checked.scratch)?;
    if let Some(what) = &catalog.damage {
        report.damage.push(DamagedFile {
            path: catalog.original.clone(),
            what: what.clone(),
        });
    }
    let count = u64::from(description.shards.get());
    let mut shards = Vec::new();
    let mut places = Vec::new();
    for number in 0..description.shards.get() {
        progress(Progress {
            step: Step::Recover,
            done: u64::from(number),
            of: count,
        });
        let mut seat = Seat::new(
            number,
            &options,
            description.secret,
            Arc::clone(&storage),
            catalog.catalog.clone(),
            Arc::clone(&lock),
        );
        seat.log_options.keys = described.log_keys(number).map(Arc::new);
        let shard_dir = seat.dir.clone();
        let loaded = Loaded::of_shard(&catalog.catalog, number);
        let (shard, found) = recover(seat, loaded)?;
        report.orphaned_messages += found.orphaned_messages;
        report.unfinished_bytes += found.log.torn_bytes;
        let names = &found.log.set_aside;
        let moved = names.iter().map(|path| DamagedFile {
            path: path.with_extension("seg"),
            what: "nothing in it can be read; a start sets it aside".to_owned(),
        });
        report.damage.extend(moved);
        if let Some(reason) = found.checkpoint_unusable {
            report.damage.push(DamagedFile {
                path: catalog.original.clone(),
                what: format!("checkpoint of shard {number}: {reason}"),
            });
        }
        shards.push(shard);
        places.push((shard_dir, found.log.damage));
    }
    report.set_aside_streams = set_older_aside(&mut shards);
    let segments = |shard: &Shard| shard.segments().count() as u64;
    let of = shards.iter().map(segments).sum();
    for (shard, (shard_dir, damage)) in shards.iter_mut().zip(places) {
        let place = (&*shard_dir, &*checked.storage);
        examine_segments(shard, place, damage, &mut report, of, progress)?;
    }
    let messages = |shard: &Shard| -> u64 { shard.streams().map(Stream::messages).sum() };
    let mut reading = Progress {
        step: Step::Messages,
        done: 0,
        of: shards.iter().map(messages).sum(),
    };
    for shard in &mut shards {
        read_messages(shard, &mut report, &mut reading, progress)?;
    }
    report
        .streams
        .sort_by(|a, b| (&a.account, &a.name).cmp(&(&b.account, &b.name)));
    let shards = description.shards.get();
    report.superfluous = files::superfluous(&*checked.storage, dir, shards)?;
    report.damage.sort();
    report.damage.dedup();
    Ok(report)
}

/// Reads all segments and indexes of a shard, in its directory on the disk. `found`: damage that its recovery met.
fn examine_segments(
    shard: &mut Shard,
    (dir, disk): (&Path, &dyn Storage),
    found: Vec<Damage>,
    report: &mut Report,
    of: u64,
    progress: &mut dyn FnMut(Progress),
) -> Result<(), OpenError> {
    let mut damage = found;
    let segments: Vec<SegmentNo> = shard.segments().collect();
    for segment in segments {
        progress(Progress {
            step: Step::Segments,
            done: report.segments,
            of,
        });
        let examined = shard.examine(segment, disk)?;
        report.segments += 1;
        report.records += examined.records;
        damage.extend(examined.damage);
        let index = dir.join(format!("{segment}.idx"));
        match examined.index {
            Some(IndexFile::Damaged) => report.damage.push(DamagedFile {
                path: index,
                what: "is not what its segment gives; a start makes it anew".to_owned(),
            }),
            Some(IndexFile::Missing | IndexFile::Outdated) => report.to_be_made.push(index),
            Some(IndexFile::Good) | None => {}
        }
    }
    damage.sort_unstable_by_key(|damage| (damage.segment, damage.from, damage.to));
    let mut merged: Vec<Damage> = Vec::new();
    for next in damage {
        match merged.last_mut() {
            Some(last) if last.segment == next.segment && next.from <= last.to => {
                last.to = last.to.max(next.to);
            }
            _ => merged.push(next),
        }
    }
    report
        .damage
        .extend(merged.into_iter().map(|damage| DamagedFile {
            path: dir.join(format!("{}.seg", damage.segment)),
            what: format!("bytes {} to {} are no records", damage.from, damage.to),
        }));
    Ok(())
}

/// Reads every message of a shard.
fn read_messages(
    shard: &mut Shard,
    report: &mut Report,
    reading: &mut Progress,
    progress: &mut dyn FnMut(Progress),
) -> Result<(), OpenError> {
    let ids: Vec<_> = shard.streams().map(Stream::id).collect();
    for id in ids {
        let Some(last) = shard.stream(id).map(Stream::last_seq) else {
            continue;
        };
        let mut from = StreamSeq(1);
        while from <= last {
            progress(*reading);
            let mut left = RUN;
            from = shard.read_run(id, from, last, &mut |_| {
                reading.done += 1;
                left -= 1;
                if left == 0 {
                    ControlFlow::Break(())
                } else {
                    ControlFlow::Continue(())
                }
            })?;
        }
        let Some(stream) = shard.stream(id) else {
            continue;
        };
        report.streams.push(StreamReport {
            account: stream.account().to_owned(),
            name: stream.config().name.clone(),
            messages: stream.messages(),
            first_seq: stream.first_seq(),
            last_seq: stream.last_seq(),
            lost_messages: stream.lost_messages(),
            lost: stream.lost().collect(),
        });
    }
    progress(*reading);
    Ok(())
}
