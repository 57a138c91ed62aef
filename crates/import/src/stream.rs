//! A stream: its configuration, and what there is to read of its messages.

use std::fs;
use std::path::Path;

use jetsled_archive::filestore::{ChecksumKey, StreamMeta};
use jetsled_jetstream_api::{StreamConfig, Timestamp};

use crate::block::records;
use crate::crypt::ObjectKey;
use crate::directory::BlockFile;
use crate::index::Index;
use crate::live::{End, Live, Scanned};
use crate::reader::{Blocks, Covered};
use crate::{ReadError, SourceConsumer, SourceError, StoreKeys, StreamPlace};

/// A consumer's name, and the consumer if it can be read.
pub type NamedConsumer = (String, Result<SourceConsumer, SourceError>);

/// A stream whose configuration was read.
pub struct SourceStream {
    place: StreamPlace,
    config: StreamConfig,
    created: Timestamp,
    key: Option<ObjectKey>,
    keys: StoreKeys,
    pub(crate) files: Vec<BlockFile>,
    pub(crate) live: Live,
    index_state: IndexUse,
}

impl std::fmt::Debug for SourceStream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SourceStream")
            .field("place", &self.place)
            .finish_non_exhaustive()
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum IndexUse {
    Used,
    Outdated,
    Damaged,
    Absent,
}

impl SourceStream {
    pub(crate) fn open(place: &StreamPlace, keys: &StoreKeys) -> Result<Self, SourceError> {
        let checksum = ChecksumKey::of(&place.name);
        let (bytes, key) = read_meta(&place.dir, &checksum, &place.account, &place.name, keys)?;
        let StreamMeta { created, config } = serde_json::from_slice(&bytes)?;
        if config.name != place.name {
            return Err(SourceError::OtherName(config.name));
        }
        let mut stream = Self {
            place: place.clone(),
            config,
            created,
            key,
            keys: keys.clone(),
            files: place.blocks()?,
            live: Live::Scanned(Scanned::default()),
            index_state: IndexUse::Absent,
        };
        stream.find_live(&place.messages_dir()?.join("index.db"))?;
        Ok(stream)
    }

    /// Its account's name.
    #[must_use]
    pub fn account(&self) -> &str {
        &self.place.account
    }

    /// Its configuration, not validated.
    #[must_use]
    pub fn config(&self) -> &StreamConfig {
        &self.config
    }

    /// When it was created; unset if it was made by an old server.
    #[must_use]
    pub fn created(&self) -> Timestamp {
        self.created
    }

    /// Where it ends.
    #[must_use]
    pub fn end(&self) -> End {
        self.live.end()
    }

    /// Why the index was of no use, if there was one. Messages that limits had removed may be there again, until limits are applied.
    #[must_use]
    pub fn index_problem(&self) -> Option<&'static str> {
        match self.index_state {
            IndexUse::Used | IndexUse::Absent => None,
            IndexUse::Outdated => Some(
                "index.db is older than the blocks (the server was not stopped cleanly): read from the blocks",
            ),
            IndexUse::Damaged => Some("index.db is damaged: read from the blocks"),
        }
    }

    /// Reads its messages.
    #[must_use]
    pub fn blocks(&self) -> Blocks<'_> {
        Blocks::new(self)
    }

    /// Reads its consumers; those that can not be read with the reason.
    ///
    /// # Errors
    /// When their directory can not be read.
    pub fn consumers(&self) -> Result<Vec<NamedConsumer>, ReadError> {
        let places = self.place.consumers()?;
        let read = places.into_iter().map(|place| {
            let consumer = SourceConsumer::open(&self.place, &place, &self.keys);
            (place.name, consumer)
        });
        Ok(read.collect())
    }

    fn find_live(&mut self, index: &Path) -> Result<(), ReadError> {
        let bytes = optional(index)?;
        let decoded = bytes
            .as_deref()
            .and_then(|bytes| Index::decode(bytes, &self.place.name, self.key.as_ref()));
        self.index_state = match (&bytes, &decoded) {
            (None, _) => IndexUse::Absent,
            (_, None) => IndexUse::Damaged,
            (_, Some(index)) if self.matches(index)? => IndexUse::Used,
            _ => IndexUse::Outdated,
        };
        match (self.index_state, decoded) {
            (IndexUse::Used, Some(index)) => self.live = Live::Indexed(index),
            (_, outdated) => {
                let mut scanned = self.scan()?;
                if let Some(Index { state, .. }) = outdated {
                    scanned.note_end(End {
                        last_seq: state.last_seq,
                        last_time: state.last_time,
                    });
                }
                self.live = Live::Scanned(scanned);
            }
        }
        Ok(())
    }

    /// Whether nothing was written after the index.
    fn matches(&self, index: &Index) -> Result<bool, ReadError> {
        let Some(last) = self.files.last() else {
            // Every block is lost: the index still tells which messages those were.
            return Ok(true);
        };
        if last.number > index.last_block {
            return Ok(false);
        }
        if last.number < index.last_block {
            return Ok(true);
        }
        let bytes = self.uncovered(last)?;
        let ends_with = match bytes {
            Covered::Open(bytes) => bytes.last_chunk::<8>().copied().unwrap_or_default(),
            Covered::Lost(_) => return Ok(true),
        };
        Ok(ends_with == index.last_checksum)
    }

    fn scan(&self) -> Result<Scanned, ReadError> {
        let mut scanned = Scanned::default();
        for file in &self.files {
            let (bytes, _) = self.load(file)?;
            let key = self.block_key(file.number);
            records(&bytes, &key, &mut |told| scanned.note(file.number, &told));
        }
        Ok(scanned)
    }

    /// The key of a block's checksums.
    pub(crate) fn block_key(&self, number: u64) -> ChecksumKey {
        ChecksumKey::of(&format!("{}-{number}", self.place.name))
    }

    /// The own key of an encrypted block; `Err` if it has one that does not open.
    pub(crate) fn block_cipher(&self, file: &BlockFile) -> Result<Option<ObjectKey>, SourceError> {
        let context = format!("{}:{}", self.place.name, file.number);
        let path = file.path.with_extension("key");
        match object_key(&path, &self.place.account, &context, &self.keys)? {
            None if self.key.is_some() => Err(SourceError::Missing("the block's key file")),
            found => Ok(found),
        }
    }
}

impl StreamPlace {
    /// Reads the stream's configuration and finds out which messages are there. Where the index is of no use this reads all blocks.
    ///
    /// # Errors
    /// [`SourceError`].
    pub fn open(&self, keys: &StoreKeys) -> Result<SourceStream, SourceError> {
        SourceStream::open(self, keys)
    }
}

/// `meta.inf` of a stream or consumer, opened, and the key that opened it.
pub(crate) fn read_meta(
    dir: &Path,
    checksum: &ChecksumKey,
    account: &str,
    context: &str,
    keys: &StoreKeys,
) -> Result<(Vec<u8>, Option<ObjectKey>), SourceError> {
    let bytes = optional(&dir.join("meta.inf"))?.ok_or(SourceError::Missing("meta.inf"))?;
    let sum = optional(&dir.join("meta.sum"))?.ok_or(SourceError::Missing("meta.sum"))?;
    if hex(&checksum.checksum(&[&bytes])).as_bytes() != sum.trim_ascii() {
        return Err(SourceError::MetaChecksum);
    }
    match object_key(&dir.join("meta.key"), account, context, keys)? {
        Some(key) => {
            let opened = key.open(&bytes).ok_or(SourceError::Sealed("meta.inf"))?;
            Ok((opened, Some(key)))
        }
        None => Ok((bytes, None)),
    }
}

/// The key in a key file; `None` if there is no such file: then nothing is encrypted.
fn object_key(
    path: &Path,
    account: &str,
    context: &str,
    keys: &StoreKeys,
) -> Result<Option<ObjectKey>, SourceError> {
    let Some(bytes) = optional(path)? else {
        return Ok(None);
    };
    if keys.is_empty() {
        return Err(SourceError::NoKey);
    }
    match keys.open(account, context, &bytes) {
        Some(key) => Ok(Some(key)),
        None => Err(SourceError::WrongKey),
    }
}

/// A file's bytes; `None` if it is not there.
pub(crate) fn optional(path: &Path) -> Result<Option<Vec<u8>>, ReadError> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(ReadError::at(path)(error)),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
