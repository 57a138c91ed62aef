//! The file that says what a store is, and its copy.

use std::io;
use std::num::{NonZero, NonZeroU8};
use std::path::{Path, PathBuf};
use std::thread;

use serde::{Deserialize, Serialize};

use crate::encryption::Sealed;
use crate::open::{OpenError, directory_error, io_error};
use crate::storage::{OpenMode, Storage};
use crate::{MAX_SHARDS, StoreOptions};

/// What the store is. Nothing can be read without it, so there are two files of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Description {
    format: u32,
    pub(crate) shards: NonZeroU8,
    /// Mixed into every checksum of the logs.
    pub(crate) secret: u32,
    /// Of a store that is encrypted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) encryption: Option<Sealed>,
    /// crc32c of the first three, little-endian in this order, and of the JSON of `encryption` if there is any.
    check: u32,
}

/// The format version that this program writes.
const FORMAT: u32 = 1;
/// Name of the [`Description`] file.
pub(crate) const DESCRIPTION: &str = "store.json";
/// Name of its copy.
pub(crate) const DESCRIPTION_COPY: &str = "store.copy.json";
/// More than any description has.
const MAX_DESCRIPTION: u64 = 64 << 10;

/// What a store's description files say.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) description: Description,
    /// The name of the one that is missing, damaged, or behind the other.
    pub(crate) damaged: Option<&'static str>,
    /// What the copy says, if both are good, are encrypted, and differ.
    other: Option<Description>,
}

impl Found {
    /// Of two that differ the one that the operator's key opens. The first file is replaced before its copy, so that it is the newer one, unless an
    /// older one was put in its place.
    pub(crate) fn choose(mut self, opens: impl Fn(&Description) -> bool) -> Self {
        if let Some(other) = self.other.take()
            && !opens(&self.description)
            && opens(&other)
        {
            self.description = other;
            self.damaged = Some(DESCRIPTION);
        }
        self
    }

    /// Makes both files what one of them says.
    pub(crate) fn mend(self, dir: &Path, storage: &dyn Storage) -> Result<Description, OpenError> {
        if let Some(name) = self.damaged {
            let path = dir.join(name);
            tracing::warn!(
                "{} is missing, damaged or out of date, making it anew",
                path.display()
            );
            self.description.write(dir, name, storage)?;
        }
        Ok(self.description)
    }
}

/// One of the two files.
#[derive(Debug, PartialEq, Eq)]
enum OneFile {
    Good(Description),
    Missing,
    Damaged,
    /// It says that it has this format, which is not known yet.
    Newer(u32),
}

impl Description {
    fn new(shards: NonZeroU8, secret: u32) -> Self {
        let mut description = Self {
            format: FORMAT,
            shards,
            secret,
            encryption: None,
            check: 0,
        };
        description.check = description.checksum();
        description
    }

    /// The fields that every store has.
    pub(crate) fn plain_fields(&self) -> Vec<u8> {
        let mut bytes = self.format.to_le_bytes().to_vec();
        bytes.push(self.shards.get());
        bytes.extend_from_slice(&self.secret.to_le_bytes());
        bytes
    }

    fn checksum(&self) -> u32 {
        let mut bytes = self.plain_fields();
        if let Some(sealed) = &self.encryption {
            bytes.extend(serde_json::to_vec(sealed).expect("texts and numbers are always JSON"));
        }
        crc32c::crc32c(&bytes)
    }

    /// The store is encrypted so from now on.
    pub(crate) fn encrypt(&mut self, sealed: Sealed) {
        self.encryption = Some(sealed);
        self.check = self.checksum();
    }

    /// What is there; `None` if there is nothing of a store.
    pub(crate) fn find(dir: &Path, storage: &dyn Storage) -> Result<Option<Found>, OpenError> {
        let main = Self::read(dir, DESCRIPTION, storage)?;
        let copy = Self::read(dir, DESCRIPTION_COPY, storage)?;
        let mut other = None;
        let (description, damaged) = match (main, copy) {
            (OneFile::Good(main), OneFile::Good(copy)) if main == copy => (main, None),
            // Of a store that is encrypted since: without the key nothing is left of it.
            (OneFile::Good(main), OneFile::Good(copy))
                if main.encryption.is_none() && copy.encryption.is_some() =>
            {
                (copy, Some(DESCRIPTION))
            }
            (OneFile::Good(main), copy) => {
                if let OneFile::Good(copy) = copy
                    && copy.encryption.is_some()
                {
                    other = Some(copy);
                }
                (main, Some(DESCRIPTION_COPY))
            }
            (_, OneFile::Good(copy)) => (copy, Some(DESCRIPTION)),
            (OneFile::Missing, OneFile::Missing) if !has_shards(dir, storage)? => return Ok(None),
            // A version that changes the format removes the copy before anything else.
            (OneFile::Newer(found), _) | (_, OneFile::Newer(found)) => {
                return Err(OpenError::NewerFormat {
                    path: dir.to_owned(),
                    found,
                    known: FORMAT,
                });
            }
            _ => return Err(OpenError::DescriptionDamaged(dir.join(DESCRIPTION))),
        };
        Ok(Some(Found {
            description,
            damaged,
            other,
        }))
    }

    fn read(dir: &Path, name: &str, storage: &dyn Storage) -> Result<OneFile, OpenError> {
        let path = dir.join(name);
        let failed = |source| io_error("reading the description", &path, source);
        let file = match storage.open(&path, OpenMode::Read) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(OneFile::Missing),
            file => file.map_err(failed)?,
        };
        let len = file.len().map_err(failed)?;
        let mut bytes = vec![0; usize::try_from(len.min(MAX_DESCRIPTION)).unwrap_or(0)];
        let mut filled = 0;
        while filled < bytes.len() {
            match file.read_at(&mut bytes[filled..], filled as u64) {
                Ok(0) => break,
                Ok(read) => filled += read,
                Err(source) => return Err(failed(source)),
            }
        }
        bytes.truncate(filled);
        // A newer version may have other members, so its number is looked at first.
        #[derive(Deserialize)]
        struct Versioned {
            format: u32,
        }
        if let Ok(Versioned { format }) = serde_json::from_slice(&bytes)
            && format > FORMAT
        {
            return Ok(OneFile::Newer(format));
        }
        Ok(match serde_json::from_slice::<Self>(&bytes) {
            Ok(found) if found.check == found.checksum() => OneFile::Good(found),
            _ => OneFile::Damaged,
        })
    }

    /// Makes a directory a store.
    pub(crate) fn create(options: &StoreOptions, storage: &dyn Storage) -> Result<Self, OpenError> {
        let cores = thread::available_parallelism().map_or(1, NonZero::get);
        let shards = options
            .shards
            .or_else(|| NonZeroU8::new(u8::try_from(cores / 2).unwrap_or(MAX_SHARDS)))
            .unwrap_or(NonZeroU8::MIN)
            .min(NonZeroU8::new(MAX_SHARDS).unwrap_or(NonZeroU8::MIN));
        let secret = (options.random ^ options.random >> 32) as u32;
        let description = Self::new(shards, secret);
        // Which of them a power cut leaves does not matter yet.
        description.put(&options.dir, DESCRIPTION, storage)?;
        description.put(&options.dir, DESCRIPTION_COPY, storage)?;
        sync(&options.dir, storage)?;
        Ok(description)
    }

    /// Writes both files, one after the other.
    pub(crate) fn write_both(&self, dir: &Path, storage: &dyn Storage) -> Result<(), OpenError> {
        self.write(dir, DESCRIPTION, storage)?;
        self.write(dir, DESCRIPTION_COPY, storage)
    }

    fn write(&self, dir: &Path, name: &str, storage: &dyn Storage) -> Result<(), OpenError> {
        self.put(dir, name, storage)?;
        sync(dir, storage)
    }

    /// Writes a file; its name is durable once the directory is [synced](sync).
    fn put(&self, dir: &Path, name: &str, storage: &dyn Storage) -> Result<(), OpenError> {
        let (path, fresh) = (dir.join(name), dir.join("store.json.new"));
        let bytes = serde_json::to_vec(self).expect("texts and numbers are always JSON");
        let file = storage
            .open(&fresh, OpenMode::Create)
            .map_err(|source| directory_error(dir, source))?;
        file.write_all_at(&bytes, 0)
            .and_then(|()| file.sync_data())
            .and_then(|()| storage.rename(&fresh, &path))
            .map_err(|source| io_error("writing the description", &path, source))
    }
}

fn sync(dir: &Path, storage: &dyn Storage) -> Result<(), OpenError> {
    storage
        .sync_dir(dir)
        .map_err(|source| io_error("syncing the directory", dir, source))
}

/// Where the log of a shard lies.
pub(crate) fn shard_dir(store: &Path, number: u8) -> PathBuf {
    store.join(shard_name(number))
}

/// The name of a shard's directory.
pub(crate) fn shard_name(number: u8) -> String {
    format!("shard-{number:02}")
}

/// Whether there are logs, which another secret would not open.
fn has_shards(dir: &Path, storage: &dyn Storage) -> Result<bool, OpenError> {
    let entries = match storage.list(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        listed => listed.map_err(|source| io_error("listing", dir, source))?,
    };
    Ok(entries
        .iter()
        .any(|entry| entry.is_dir && entry.name.starts_with("shard-")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::FsStorage;

    fn check(damage: impl Fn(&Path)) -> Result<Description, OpenError> {
        let dir = tempfile::tempdir().unwrap();
        let options = StoreOptions {
            shards: NonZeroU8::new(3),
            ..StoreOptions::new(dir.path(), 0x1234)
        };
        let made = Description::create(&options, &FsStorage).unwrap();
        std::fs::create_dir(dir.path().join("shard-00")).unwrap();
        damage(dir.path());
        let found = Description::find(dir.path(), &FsStorage)?.unwrap();
        let found = found.mend(dir.path(), &FsStorage)?;
        assert_eq!(found, made);
        for name in [DESCRIPTION, DESCRIPTION_COPY] {
            let mended = Description::read(dir.path(), name, &FsStorage).unwrap();
            assert_eq!(mended, OneFile::Good(made.clone()), "{name} is there again");
        }
        Ok(found)
    }

    #[test]
    fn either_file_is_made_anew_from_the_other() {
        for name in [DESCRIPTION, DESCRIPTION_COPY] {
            check(|dir| std::fs::remove_file(dir.join(name)).unwrap()).unwrap();
            check(|dir| std::fs::write(dir.join(name), b"").unwrap()).unwrap();
            for bit in 0..8 * 40 {
                check(|dir| {
                    let path = dir.join(name);
                    let mut bytes = std::fs::read(&path).unwrap();
                    bytes[bit / 8] ^= 1 << (bit % 8);
                    std::fs::write(path, bytes).unwrap();
                })
                .unwrap();
            }
        }
    }

    #[test]
    fn a_newer_format_is_refused_unless_the_other_file_knows_better() {
        let newer = |dir: &Path, name: &str| {
            let path = dir.join(name);
            let text = std::fs::read_to_string(&path).unwrap();
            std::fs::write(path, text.replace("\"format\":1", "\"format\":31")).unwrap();
        };
        check(|dir| newer(dir, DESCRIPTION)).unwrap();
        let refused = |damage: &dyn Fn(&Path)| {
            let refused = check(damage);
            assert!(
                matches!(refused, Err(OpenError::NewerFormat { found: 31, .. })),
                "{refused:?}"
            );
        };
        refused(&|dir| {
            newer(dir, DESCRIPTION);
            newer(dir, DESCRIPTION_COPY);
        });
        refused(&|dir| {
            newer(dir, DESCRIPTION);
            std::fs::remove_file(dir.join(DESCRIPTION_COPY)).unwrap();
        });
    }

    #[test]
    fn logs_without_any_description_are_refused() {
        let damaged = check(|dir| {
            std::fs::remove_file(dir.join(DESCRIPTION)).unwrap();
            std::fs::remove_file(dir.join(DESCRIPTION_COPY)).unwrap();
        });
        assert!(matches!(damaged, Err(OpenError::DescriptionDamaged(_))));
    }
}
