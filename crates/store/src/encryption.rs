//! How the store's description keeps its key, and what opening does about it.

use std::io;

use serde::{Deserialize, Serialize};

use crate::StoreOptions;
use crate::crypt::{DataKey, KeyFile, LogKeys, Unsealed};
use crate::description::{Description, Found, shard_dir};
use crate::log::highest_segment;
use crate::open::{OpenError, io_error};
use crate::storage::Storage;

/// How a store is encrypted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Sealed {
    #[serde(flatten)]
    key: KeyFile,
    /// Of each shard, the first segment that can hold no plain records: older ones are from before the store was encrypted.
    plain_below: Vec<u32>,
}

/// What opening a store did about its encryption.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EncryptionState {
    /// It is not encrypted.
    Plain,
    /// It was made encrypted just now.
    Created,
    /// It opened with its key.
    Opened,
    /// It opened with the previous key; now it opens with the present one.
    KeyChanged,
    /// It was plain. What is written from now on is sealed.
    Begun,
}

/// A description that was read or made, and the data key.
#[derive(Debug)]
pub(crate) struct Described {
    pub(crate) description: Description,
    pub(crate) data_key: Option<DataKey>,
    pub(crate) encryption: EncryptionState,
    /// The name of the file of it that was missing, damaged, or behind the other.
    pub(crate) mended: Option<&'static str>,
}

impl Described {
    /// Reads the description, or makes one. Whatever changes in it is durable on return.
    pub(crate) fn load_or_create(
        options: &StoreOptions,
        storage: &dyn Storage,
    ) -> Result<Self, OpenError> {
        let dir = &options.dir;
        let found = Description::find(dir, storage)?;
        let is_new = found.is_none();
        let random = options.encryption.as_ref().map(|wanted| (wanted.random)());
        let random = random.unwrap_or_default();
        let unseal =
            |description: &Description| match (&options.encryption, &description.encryption) {
                (Some(wanted), Some(Sealed { key, plain_below })) => {
                    key.open(wanted, &description.context(plain_below), &random)
                }
                _ => None,
            };
        let found = found.map(|found| found.choose(|description| unseal(description).is_some()));
        let mended = found.as_ref().and_then(|found| found.damaged);
        // Nothing is written over before the key has opened it.
        if let Some(Found { description, .. }) = &found
            && description.encryption.is_some()
        {
            if options.encryption.is_none() {
                return Err(OpenError::KeyMissing(dir.clone()));
            }
            if unseal(description).is_none() {
                return Err(OpenError::WrongKey(dir.clone()));
            }
        }
        let mut description = match found {
            Some(found) => found.mend(dir, storage)?,
            None => Description::create(options, storage)?,
        };
        let Some(wanted) = &options.encryption else {
            return Ok(Self {
                description,
                data_key: None,
                encryption: EncryptionState::Plain,
                mended,
            });
        };
        let (key, encryption) = match (unseal(&description), &description.encryption) {
            (
                Some(Unsealed {
                    key,
                    resealed: None,
                }),
                _,
            ) => (key, EncryptionState::Opened),
            (
                Some(Unsealed {
                    key,
                    resealed: Some(file),
                }),
                Some(Sealed { plain_below, .. }),
            ) => {
                let plain_below = plain_below.clone();
                description.encrypt(Sealed {
                    key: file,
                    plain_below,
                });
                (key, EncryptionState::KeyChanged)
            }
            _ => {
                let plain_below = next_segments(&description, options, storage)?;
                let context = description.context(&plain_below);
                let (file, key) = KeyFile::create(&wanted.key, &context, &random);
                description.encrypt(Sealed {
                    key: file,
                    plain_below,
                });
                let state = if is_new {
                    EncryptionState::Created
                } else {
                    EncryptionState::Begun
                };
                (key, state)
            }
        };
        if encryption != EncryptionState::Opened {
            description.write_both(dir, storage)?;
        }
        Ok(Self {
            data_key: Some(DataKey::new(&key, wanted.cipher, &random)),
            description,
            encryption,
            mended,
        })
    }

    /// What the log of a shard is sealed with.
    pub(crate) fn log_keys(&self, shard: u8) -> Option<LogKeys> {
        let data = self.data_key.clone()?;
        let sealed = self.description.encryption.as_ref()?;
        let plain_below = sealed.plain_below.get(usize::from(shard));
        Some(LogKeys::of(data, shard, plain_below.copied().unwrap_or(0)))
    }
}

impl Description {
    /// What the data key is bound to: all else that an encrypted store's description says.
    fn context(&self, plain_below: &[u32]) -> Vec<u8> {
        let mut out = self.plain_fields();
        for number in plain_below {
            out.extend_from_slice(&number.to_le_bytes());
        }
        out
    }
}

/// The segment with which each shard's log would go on.
fn next_segments(
    description: &Description,
    options: &StoreOptions,
    storage: &dyn Storage,
) -> Result<Vec<u32>, OpenError> {
    (0..description.shards.get())
        .map(|number| {
            let dir = shard_dir(&options.dir, number);
            match highest_segment(storage, &dir) {
                Ok(highest) => Ok(highest.map_or(0, |highest| highest.saturating_add(1))),
                Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(0),
                Err(source) => Err(io_error("listing", &dir, source)),
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::Arc;

    use super::*;
    use crate::description::DESCRIPTION;
    use crate::storage::FsStorage;
    use crate::{Cipher, Encryption, StoreKey};

    /// With an older file believed instead of its copy a new data key would be made, or none would open the store.
    #[test]
    fn an_older_description_does_not_take_the_place_of_its_copy() {
        let options = |dir: &Path, keys: &[&str]| StoreOptions {
            encryption: keys.first().map(|key| Encryption {
                key: StoreKey::new(*key),
                previous: keys.get(1).map(|key| StoreKey::new(*key)),
                cipher: Cipher::Aes,
                random: Arc::new(|| [7; 32]),
            }),
            ..StoreOptions::new(dir, 3)
        };
        let check = |first: &[&str], second: &[&str], then: &[&str]| {
            let dir = tempfile::tempdir().unwrap();
            let open = |keys| {
                let opened = Described::load_or_create(&options(dir.path(), keys), &FsStorage);
                opened.map(|described| (described.description, described.mended))
            };
            open(first).unwrap();
            let file = dir.path().join(DESCRIPTION);
            let older = std::fs::read(&file).unwrap();
            let (newer, _) = open(second).unwrap();
            std::fs::write(&file, older).unwrap();
            assert!(open(&[]).is_err(), "and nothing is written over");
            assert!(open(&["another"]).is_err(), "and nothing is written over");
            let (found, mended) = open(then).unwrap();
            assert_eq!((found, mended), (newer, Some(DESCRIPTION)));
            assert_eq!(open(then).unwrap().1, None);
        };
        check(&[], &["new"], &["new"]);
        check(&["old"], &["new", "old"], &["new"]);
    }

    /// Nobody makes plain records count by raising the number below which they do.
    #[test]
    fn the_key_is_bound_to_what_else_the_description_says() {
        let dir = tempfile::tempdir().unwrap();
        let options = StoreOptions {
            encryption: Some(Encryption {
                key: StoreKey::new("a key"),
                previous: None,
                cipher: Cipher::Aes,
                random: Arc::new(|| [7; 32]),
            }),
            ..StoreOptions::new(dir.path(), 3)
        };
        let open = || Described::load_or_create(&options, &FsStorage);
        assert_eq!(open().unwrap().encryption, EncryptionState::Created);
        let mut described = open().unwrap();
        assert_eq!(described.encryption, EncryptionState::Opened);
        let mut sealed = described.description.encryption.clone().unwrap();
        sealed.plain_below[0] += 1;
        described.description.encrypt(sealed);
        described
            .description
            .write_both(dir.path(), &FsStorage)
            .unwrap();
        assert!(matches!(open(), Err(OpenError::WrongKey(_))));
    }
}
