//! How the store's description keeps its key, and what opening does about it.

use std::io;

use serde::{Deserialize, Serialize};

use crate::StoreOptions;
use crate::crypt::{DataKey, KeyFile, LogKeys, Unsealed};
use crate::description::{Description, shard_dir};
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
}

impl Described {
    /// Reads the description, or makes one. Whatever changes in it is durable on return.
    pub(crate) fn load_or_create(
        options: &StoreOptions,
        storage: &dyn Storage,
    ) -> Result<Self, OpenError> {
        let dir = &options.dir;
        let is_new = Description::find(dir, storage)?.is_none();
        let mut description = Description::load_or_create(options, storage)?;
        let Some(wanted) = &options.encryption else {
            if description.encryption.is_some() {
                return Err(OpenError::KeyMissing(dir.clone()));
            }
            return Ok(Self {
                description,
                data_key: None,
                encryption: EncryptionState::Plain,
            });
        };
        let random = (wanted.random)();
        let (key, encryption) = match &description.encryption {
            Some(Sealed {
                key: file,
                plain_below,
            }) => {
                let context = description.context(plain_below);
                let unsealed = file.open(wanted, &context, &random);
                let Some(Unsealed { key, resealed }) = unsealed else {
                    return Err(OpenError::WrongKey(dir.clone()));
                };
                let plain_below = plain_below.clone();
                match resealed {
                    None => (key, EncryptionState::Opened),
                    Some(file) => {
                        description.encrypt(Sealed {
                            key: file,
                            plain_below,
                        });
                        (key, EncryptionState::KeyChanged)
                    }
                }
            }
            None => {
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
    use std::sync::Arc;

    use super::*;
    use crate::storage::FsStorage;
    use crate::{Cipher, Encryption, StoreKey};

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
