//! Backups of a store, taken from its files while a server writes to them, and without its help.
//!
//! A log makes that possible: what it says at any moment is what a start would read from its segments if the power failed in that
//! moment. Taking a backup is to find one set of segments that were all there at the same time, the newest of them cut at
//! the end of its records; `take` says how. Sealed segments do not change (but for erasures, which the time of a
//! change shows), so the next backup has only to copy what came after the last one.
//!
//! ```text
//! BACKUP_DIR/
//!   jetsled-backup.json                   which store this is of
//!   lock                                  held with flock(2) while a backup is taken or removed
//!   backups/20261126T115959.123Z.json     one backup: the segments that it is made of, with their SHA-256
//!   segments/shard-00/0000000001-8f3a….seg   a segment under its number and the beginning of its SHA-256; shared by backups
//! ```
//!
//! A backup's file is written last, under its final name only when all that it names is durable. The catalog and the indexes are not
//! copied: a start makes them anew from the log.
//!
//! | Module | Concept |
//! |---|---|
//! | `manifest` | one backup's file |
//! | `segment` | the copy of one segment that a server may be writing to |
//! | `take` | the set of segments that makes a backup |
//! | `restore` | a new store of a backup |

mod manifest;
mod restore;
mod segment;
mod take;
#[cfg(test)]
mod tests;

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use jetsled_jetstream_api::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

pub use manifest::{CopiedSegment, Manifest};
pub use take::Taken;

use crate::OpenError;
use crate::description::{Description, shard_name};
use crate::storage::{FsStorage, Storage, StorageLock};

/// A directory of backups of one store.
#[derive(Debug)]
pub struct Backups {
    dir: PathBuf,
}

/// Why a backup was not taken, read or restored.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// A file operation failed.
    #[error("{doing} {path}: {source}")]
    Io {
        /// What was done.
        doing: &'static str,
        /// To which file or directory.
        path: PathBuf,
        /// The operating system's reason.
        source: io::Error,
    },
    /// The store's description can't be read.
    #[error(transparent)]
    Store(#[from] OpenError),
    /// There is no store in the directory.
    #[error("there is no store of jetsled in {0}")]
    NoStore(PathBuf),
    /// The directory has something in it, but no backups.
    #[error("{0} is not empty and has no backups")]
    NotABackup(PathBuf),
    /// A file of the backup makes no sense.
    #[error("{0} is damaged")]
    Damaged(PathBuf),
    /// A newer version of the program wrote it.
    #[error("{path} has format version {found}, newest known is {known}")]
    NewerFormat {
        /// Which file.
        path: PathBuf,
        /// Its version.
        found: u32,
        /// Ours.
        known: u32,
    },
    /// The directory has the backups of another store.
    #[error("{0} has backups of another store")]
    OtherStore(PathBuf),
    /// Another process takes or removes backups there.
    #[error("{0} is in use by another process")]
    InUse(PathBuf),
    /// Segments were given back faster than they could be copied.
    #[error(
        "the store gave segments back while they were copied, {0} times in a row: try again when it has less to do"
    )]
    TooBusy(u32),
    /// The new store's directory exists.
    #[error("{0} exists: a backup is only restored to where nothing is")]
    Exists(PathBuf),
    /// What the backup names is not what was copied then.
    #[error("{0} is missing or not what was copied")]
    SegmentDamaged(PathBuf),
}

/// How far a long operation is: bytes done, bytes in all. Called about once a MiB.
pub type Progress<'p> = &'p mut dyn FnMut(u64, u64);

/// What `jetsled-backup.json` holds.
#[derive(Debug, Serialize, Deserialize)]
struct Marker {
    format: u32,
    /// The first 8 bytes of the SHA-256 of the store's secret, in hexadecimal.
    store: String,
}

/// The format version that this program writes.
const FORMAT: u32 = 1;
const MARKER: &str = "jetsled-backup.json";
const MANIFESTS: &str = "backups";
const SEGMENTS: &str = "segments";

impl Backups {
    /// The backups in a directory.
    ///
    /// # Errors
    /// [`BackupError::NotABackup`] if there are none, a newer or damaged description.
    pub fn open(dir: &Path) -> Result<Self, BackupError> {
        Self::marker(dir)?.ok_or_else(|| BackupError::NotABackup(dir.to_owned()))?;
        Ok(Self {
            dir: dir.to_owned(),
        })
    }

    /// The same, for the backups of this store; an empty or missing directory becomes one.
    fn open_for(dir: &Path, description: &Description) -> Result<Self, BackupError> {
        let store = mark_of(description);
        match Self::marker(dir)? {
            Some(marker) if marker.store != store => {
                return Err(BackupError::OtherStore(dir.to_owned()));
            }
            Some(_) => {}
            None => {
                make_dir(dir)?;
                let mut entries = fs::read_dir(dir).map_err(failed("can't list", dir))?;
                if entries.next().is_some() {
                    return Err(BackupError::NotABackup(dir.to_owned()));
                }
                for name in [MANIFESTS, SEGMENTS] {
                    make_dir(&dir.join(name))?;
                }
                let marker = Marker {
                    format: FORMAT,
                    store,
                };
                write_json(&dir.join(MARKER), &marker)?;
            }
        }
        Ok(Self {
            dir: dir.to_owned(),
        })
    }

    fn marker(dir: &Path) -> Result<Option<Marker>, BackupError> {
        read_json(&dir.join(MARKER))
    }

    fn lock(&self) -> Result<Box<dyn StorageLock>, BackupError> {
        let path = self.dir.join("lock");
        FsStorage.lock(&path).map_err(|source| match source.kind() {
            io::ErrorKind::WouldBlock => BackupError::InUse(self.dir.clone()),
            _ => failed("can't lock", &path)(source),
        })
    }

    /// All backups, oldest first.
    ///
    /// # Errors
    /// A directory that can't be listed, a file that can't be read or makes no sense.
    pub fn list(&self) -> Result<Vec<Manifest>, BackupError> {
        let dir = self.dir.join(MANIFESTS);
        let mut found = Vec::new();
        for entry in fs::read_dir(&dir).map_err(failed("can't list", &dir))? {
            let path = entry.map_err(failed("can't list", &dir))?.path();
            if path
                .extension()
                .is_some_and(|extension| extension == "json")
            {
                let manifest: Option<Manifest> = read_json(&path)?;
                found.extend(manifest);
            }
        }
        found.sort_by_key(|manifest| manifest.ended);
        Ok(found)
    }

    /// The newest backup that had ended at a time, or at all.
    ///
    /// # Errors
    /// As [`Self::list`].
    pub fn newest(&self, at: Option<Timestamp>) -> Result<Option<Manifest>, BackupError> {
        let mut all = self.list()?;
        all.retain(|manifest| at.is_none_or(|at| manifest.ended <= at));
        Ok(all.pop())
    }

    /// Reads everything that a backup is made of; the files that are missing or not what was copied.
    ///
    /// # Errors
    /// A file that is there and can't be read.
    pub fn verify(
        &self,
        manifest: &Manifest,
        progress: Progress<'_>,
    ) -> Result<Vec<PathBuf>, BackupError> {
        let total = manifest.bytes();
        let mut done = 0;
        let mut damaged = Vec::new();
        for segment in &manifest.segments {
            let path = self.segment_path(segment);
            let before = done;
            let sum = match File::open(&path) {
                Ok(file) => {
                    let sum = sha256(file, |read| {
                        done += read;
                        progress(done.min(total), total);
                    });
                    Some(sum.map_err(failed("can't read", &path))?)
                }
                Err(error) if error.kind() == io::ErrorKind::NotFound => None,
                Err(source) => return Err(failed("can't open", &path)(source)),
            };
            if sum.as_ref() != Some(&segment.sha256) {
                damaged.push(path);
            }
            done = before + segment.stored;
        }
        Ok(damaged)
    }

    /// Removes all but the newest backups, and the segments that no backup needs any more.
    /// Answers how many backups and bytes went.
    ///
    /// # Errors
    /// [`BackupError::InUse`], files that can't be read or removed.
    pub fn keep_newest(&self, keep: usize) -> Result<(usize, u64), BackupError> {
        let _lock = self.lock()?;
        let mut all = self.list()?;
        let kept = all.split_off(all.len().saturating_sub(keep));
        for manifest in &all {
            remove(&self.manifest_path(manifest))?;
        }
        sync_dir(&self.dir.join(MANIFESTS))?;
        let needed: HashSet<PathBuf> = kept
            .iter()
            .flat_map(|manifest| &manifest.segments)
            .map(|segment| self.segment_path(segment))
            .collect();
        let mut freed = 0;
        for path in self.segment_files()? {
            if !needed.contains(&path) {
                freed += fs::metadata(&path).map_or(0, |file| file.len());
                remove(&path)?;
            }
        }
        Ok((all.len(), freed))
    }

    /// All files among the segments, half written ones too.
    fn segment_files(&self) -> Result<Vec<PathBuf>, BackupError> {
        let mut found = Vec::new();
        let mut dirs = vec![self.dir.join(SEGMENTS)];
        while let Some(dir) = dirs.pop() {
            for entry in fs::read_dir(&dir).map_err(failed("can't list", &dir))? {
                let path = entry.map_err(failed("can't list", &dir))?.path();
                if path.is_dir() {
                    dirs.push(path);
                } else {
                    found.push(path);
                }
            }
        }
        Ok(found)
    }

    fn manifest_path(&self, manifest: &Manifest) -> PathBuf {
        let name = format!("{}.json", manifest.name());
        self.dir.join(MANIFESTS).join(name)
    }

    fn segment_path(&self, segment: &CopiedSegment) -> PathBuf {
        self.shard_dir(segment.shard).join(segment.file_name())
    }

    fn shard_dir(&self, shard: u8) -> PathBuf {
        self.dir.join(SEGMENTS).join(shard_name(shard))
    }
}

fn mark_of(description: &Description) -> String {
    hex(&Sha256::digest(description.secret.to_le_bytes())[..8])
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").ok();
        text
    })
}

/// The SHA-256 of what is left of a reader, in hexadecimal; `read` is told of each piece's length.
fn sha256(mut from: impl Read, mut read: impl FnMut(u64)) -> io::Result<String> {
    let mut hash = Sha256::new();
    let mut piece = vec![0; PIECE];
    loop {
        match from.read(&mut piece)? {
            0 => return Ok(hex(&hash.finalize())),
            len => {
                hash.update(&piece[..len]);
                read(len as u64);
            }
        }
    }
}

/// Bytes that are read at a time.
const PIECE: usize = 1 << 20;

/// `None` if there is no such file.
fn read_json<T: for<'de> Deserialize<'de>>(path: &Path) -> Result<Option<T>, BackupError> {
    let bytes = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(failed("can't read", path)(source)),
    };
    // A newer version may have other members, so its number is looked at first.
    #[derive(Deserialize)]
    struct Versioned {
        format: u32,
    }
    let damaged = |_| BackupError::Damaged(path.to_owned());
    let Versioned { format } = serde_json::from_slice(&bytes).map_err(damaged)?;
    if format > FORMAT {
        return Err(BackupError::NewerFormat {
            path: path.to_owned(),
            found: format,
            known: FORMAT,
        });
    }
    serde_json::from_slice(&bytes).map(Some).map_err(damaged)
}

/// Durable, or not there at all.
fn write_json(path: &Path, value: &impl Serialize) -> Result<(), BackupError> {
    let fresh = path.with_extension("new");
    let bytes = serde_json::to_vec_pretty(value)
        .map_err(|error| failed("can't write", path)(io::Error::other(error)))?;
    File::create(&fresh)
        .and_then(|mut file| {
            file.write_all(&bytes)?;
            file.sync_all()
        })
        .and_then(|()| fs::rename(&fresh, path))
        .map_err(failed("can't write", path))?;
    path.parent().map_or(Ok(()), sync_dir)
}

fn make_dir(dir: &Path) -> Result<(), BackupError> {
    FsStorage
        .create_dir_all(dir)
        .map_err(failed("can't make", dir))
}

fn sync_dir(dir: &Path) -> Result<(), BackupError> {
    FsStorage.sync_dir(dir).map_err(failed("can't sync", dir))
}

fn remove(path: &Path) -> Result<(), BackupError> {
    fs::remove_file(path).map_err(failed("can't remove", path))
}

fn failed<'p>(doing: &'static str, path: &'p Path) -> impl FnOnce(io::Error) -> BackupError + 'p {
    move |source| BackupError::Io {
        doing,
        path: path.to_owned(),
        source,
    }
}
