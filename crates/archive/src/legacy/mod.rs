//! Archives from before nats-server 2.15: a tar of a file stream's directory.
//!
//! `meta.inf` (the configuration) comes first, then the message blocks, then `msgs/index.db`, then the consumers. Messages that later files say
//! are gone have been handed out by then, so the reader says which to take back.

mod block;

use std::io::{self, BufRead, BufReader, Read};

use jetsled_jetstream_api::{ConsumerConfig, ConsumerState, StreamConfig, StreamSeq, Timestamp};
use tar::EntryType;

use crate::entry::take;
use crate::filestore::{ConsumerMeta, IndexEntry, StreamMeta, decode_consumer_state, read_index};
use crate::{ArchiveError, ArchivedConsumer, ArchivedMessage, Limits, S2Reader};

/// What a legacy archive holds.
#[derive(Debug)]
pub enum LegacyEntry<'a> {
    /// The stream's configuration, not validated, and when it was created; comes first.
    Config(Box<StreamConfig>, Timestamp),
    /// A message. One whose sequence does not rise is to be passed over.
    Message(ArchivedMessage<'a>),
    /// The stream has come to this sequence, and has no message there.
    Gone(StreamSeq),
    /// There is no message at this sequence, if the stream has come to it.
    Deleted(StreamSeq),
    /// There is nothing before this sequence, unless the stream has not come to it.
    First(StreamSeq),
    /// A consumer.
    Consumer(Box<ArchivedConsumer>),
}

/// The longest name of a file that is read, in bytes.
const MAX_PAX: u64 = 64 << 10;

/// A legacy archive that was not read yet.
#[derive(Debug)]
pub struct LegacyArchive<R: Read> {
    from: S2Reader<R>,
    limits: Limits,
}

impl<R: Read> LegacyArchive<R> {
    pub(crate) fn new(from: S2Reader<R>, limits: Limits) -> Self {
        Self { from, limits }
    }

    /// Hands everything to `visit`, in the order of the archive, and gives back what it was read from.
    ///
    /// # Errors
    /// Those of `visit`; when the archive is damaged or beyond the limits, or reading fails. A damaged block ends early and is no
    /// error: what follows in it was lost before the archive was made.
    pub fn read<E: From<ArchiveError>>(
        self,
        visit: &mut dyn FnMut(LegacyEntry<'_>) -> Result<(), E>,
    ) -> Result<S2Reader<R>, E> {
        let limits = self.limits;
        let mut archive = tar::Archive::new(self.from);
        let mut stream = None;
        let mut consumer = None;
        let mut long_name = None;
        // Raw, since extended headers would be read whole, whatever their size.
        for file in archive.entries().map_err(ArchiveError::Io)?.raw(true) {
            let mut file = file.map_err(ArchiveError::Io)?;
            match file.header().entry_type() {
                EntryType::Regular | EntryType::Continuous => {}
                EntryType::XHeader => {
                    long_name = pax_path(&mut file)?;
                    continue;
                }
                EntryType::XGlobalHeader => continue,
                _ => return Err(ArchiveError::NotRegular.into()),
            }
            let name = long_name
                .take()
                .unwrap_or_else(|| file.path_bytes().into_owned());
            let name = String::from_utf8_lossy(&name).into_owned();
            let mut parts = name.split('/');
            match (parts.next(), parts.next(), parts.next()) {
                (Some("meta.inf"), None, _) => {
                    let meta: StreamMeta = json(&mut file, limits, &name)?;
                    stream = Some(meta.config.name.clone());
                    visit(LegacyEntry::Config(Box::new(meta.config), meta.created))?;
                }
                (Some("msgs"), Some("index.db"), None) => {
                    index(&mut BufReader::new(file), visit)?;
                }
                (Some("msgs"), Some(block), None) => {
                    let number = block
                        .strip_suffix(".blk")
                        .and_then(|number| number.parse::<u64>().ok());
                    if let (Some(number), Some(stream)) = (number, &stream) {
                        let key = format!("{stream}-{number}");
                        block::read(&mut BufReader::new(file), &key, limits, visit)?;
                    }
                }
                (Some("obs"), Some(_), Some("meta.inf")) => {
                    let meta: ConsumerMeta = json(&mut file, limits, &name)?;
                    consumer = Some(meta.config);
                }
                (Some("obs"), Some(name), Some("o.dat")) => {
                    if let Some(config) = consumer.take() {
                        let mut bytes = Vec::new();
                        bounded(&mut file, limits.json, &mut bytes, "a consumer")?;
                        let state = decode_consumer_state(&bytes).ok_or(ArchiveError::Invalid)?;
                        visit(consumer_entry(name, config, state))?;
                    }
                }
                _ => {}
            }
        }
        Ok(archive.into_inner())
    }
}

/// Reads the index; one that makes no sense is left alone from there on, since it only shortens what the blocks tell.
fn index<E: From<ArchiveError>>(
    file: &mut impl BufRead,
    visit: &mut dyn FnMut(LegacyEntry<'_>) -> Result<(), E>,
) -> Result<(), E> {
    let mut outcome = Ok(());
    let read = read_index(file, &mut |entry| {
        outcome = match entry {
            IndexEntry::State(state) => visit(LegacyEntry::First(state.first_seq)),
            IndexEntry::Deleted(seq) => visit(LegacyEntry::Deleted(seq)),
            IndexEntry::Block(_) | IndexEntry::End(..) => Ok(()),
        };
        outcome.is_ok()
    });
    outcome?;
    match read {
        Err(ArchiveError::Io(error)) if !is_end(&error) => Err(ArchiveError::Io(error).into()),
        _ => Ok(()),
    }
}

fn consumer_entry(
    name: &str,
    config: ConsumerConfig,
    state: ConsumerState,
) -> LegacyEntry<'static> {
    LegacyEntry::Consumer(Box::new(ArchivedConsumer {
        name: name.to_owned(),
        config,
        state,
    }))
}

/// The name that an extended header gives the next file.
fn pax_path(file: &mut (impl Read + Sized)) -> Result<Option<Vec<u8>>, ArchiveError> {
    let mut bytes = Vec::new();
    bounded(file, MAX_PAX, &mut bytes, "a file's extended header")?;
    for extension in tar::PaxExtensions::new(&bytes) {
        let extension = extension.map_err(ArchiveError::Io)?;
        if extension.key_bytes() == b"path" {
            return Ok(Some(extension.value_bytes().to_vec()));
        }
    }
    Ok(None)
}

fn json<T: serde::de::DeserializeOwned>(
    file: &mut impl Read,
    limits: Limits,
    name: &str,
) -> Result<T, ArchiveError> {
    let mut bytes = Vec::new();
    bounded(file, limits.json, &mut bytes, "a configuration")?;
    serde_json::from_slice(&bytes).map_err(|error| ArchiveError::File {
        name: name.to_owned(),
        error,
    })
}

/// Reads to the end, which must come within `most` bytes.
fn bounded(
    file: &mut impl Read,
    most: u64,
    into: &mut Vec<u8>,
    what: &'static str,
) -> Result<(), ArchiveError> {
    let read = file.take(most + 1).read_to_end(into)?;
    if read as u64 > most {
        return Err(ArchiveError::EntryTooLarge(what));
    }
    Ok(())
}

/// Appends exactly `len` bytes; false if the file ends before.
fn exactly(file: &mut impl Read, len: u64, into: &mut Vec<u8>) -> Result<bool, ArchiveError> {
    match take(file, len, into) {
        Ok(()) => Ok(true),
        Err(ArchiveError::Invalid) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Where a file ends early there is nothing more to read.
fn is_end(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::UnexpectedEof
}
