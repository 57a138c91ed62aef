//! Where things lie in a store directory.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::ReadError;

/// The store directory of a nats-server.
#[derive(Debug, Clone)]
pub struct SourceStore {
    dir: PathBuf,
    streams: Vec<StreamPlace>,
}

/// Where a stream lies.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct StreamPlace {
    /// Its account: the name of a directory.
    pub account: String,
    /// Its name: that of a directory.
    pub name: String,
    /// The directory.
    pub dir: PathBuf,
}

/// Where a consumer lies.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ConsumerPlace {
    /// Its name: that of a directory.
    pub name: String,
    /// The directory.
    pub dir: PathBuf,
}

/// The file of a message block.
#[derive(Debug, Clone)]
pub(crate) struct BlockFile {
    /// The number in its name.
    pub(crate) number: u64,
    pub(crate) path: PathBuf,
    /// Bytes.
    pub(crate) len: u64,
}

/// The name that nats-server adds to `store_dir`.
const JETSTREAM: &str = "jetstream";
/// What makes a directory a stream or a consumer.
const META: &str = "meta.inf";

impl SourceStore {
    /// Looks for a store in `dir`: a server's `store_dir`, or the directory `jetstream` in it. `None` if not one stream lies there.
    ///
    /// # Errors
    /// When a directory can not be read.
    pub fn find(dir: &Path) -> Result<Option<Self>, ReadError> {
        for dir in [dir.join(JETSTREAM), dir.to_owned()] {
            let streams = streams_in(&dir)?;
            if !streams.is_empty() {
                return Ok(Some(Self { dir, streams }));
            }
        }
        Ok(None)
    }

    /// The directory that holds the accounts.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// All streams, by account and name.
    #[must_use]
    pub fn streams(&self) -> &[StreamPlace] {
        &self.streams
    }

    /// How many accounts have streams.
    #[must_use]
    pub fn accounts(&self) -> usize {
        let mut accounts: Vec<&str> = self.streams.iter().map(|s| s.account.as_str()).collect();
        accounts.dedup();
        accounts.len()
    }

    /// Length and time of change of every file: what is different after reading tells that a server is still writing.
    ///
    /// # Errors
    /// When a directory can not be read.
    pub fn fingerprint(
        &self,
    ) -> Result<Vec<(PathBuf, u64, Option<std::time::SystemTime>)>, ReadError> {
        let mut files = Vec::new();
        for stream in &self.streams {
            collect(&stream.dir, &mut files)?;
        }
        Ok(files)
    }
}

impl StreamPlace {
    /// Its consumers, by name.
    ///
    /// # Errors
    /// When a directory can not be read.
    pub fn consumers(&self) -> Result<Vec<ConsumerPlace>, ReadError> {
        let mut consumers: Vec<_> = directories(&self.dir.join("obs"))?
            .into_iter()
            .filter(|(name, dir)| is_asset(name, dir))
            .map(|(name, dir)| ConsumerPlace { name, dir })
            .collect();
        consumers.sort();
        Ok(consumers)
    }

    /// Bytes of its message blocks' files.
    ///
    /// # Errors
    /// When the directory can not be read.
    pub fn block_bytes(&self) -> Result<u64, ReadError> {
        Ok(self.blocks()?.iter().map(|block| block.len).sum())
    }

    /// The files of its message blocks, in order.
    pub(crate) fn blocks(&self) -> Result<Vec<BlockFile>, ReadError> {
        let mut blocks = Vec::new();
        for (name, path) in files(&self.messages_dir()?)? {
            if let Some(number) = block_number(&name, ".blk") {
                let len = fs::metadata(&path).map_err(ReadError::at(&path))?.len();
                blocks.push(BlockFile { number, path, len });
            }
        }
        blocks.sort_by_key(|block| block.number);
        Ok(blocks)
    }

    /// The directory that holds the messages. A purge that was interrupted when its outcome was complete is taken as done, as nats-server
    /// does at its start.
    pub(crate) fn messages_dir(&self) -> Result<PathBuf, ReadError> {
        let purged = self.dir.join("__new_msgs__");
        let is_complete = files(&purged)?
            .iter()
            .any(|(name, _)| block_number(name, ".blk").is_some());
        Ok(if is_complete {
            purged
        } else {
            self.dir.join("msgs")
        })
    }
}

fn streams_in(dir: &Path) -> Result<Vec<StreamPlace>, ReadError> {
    let mut streams = Vec::new();
    for (account, dir) in directories(dir)? {
        for (name, dir) in directories(&dir.join("streams"))? {
            if is_asset(&name, &dir) {
                let account = account.clone();
                streams.push(StreamPlace { account, name, dir });
            }
        }
    }
    streams.sort();
    Ok(streams)
}

/// A name that begins with a dot is being deleted, or restored.
fn is_asset(name: &str, dir: &Path) -> bool {
    !name.starts_with('.') && dir.join(META).is_file()
}

/// The directories in a directory; none if it is not there.
fn directories(dir: &Path) -> Result<Vec<(String, PathBuf)>, ReadError> {
    entries(dir, |entry| Ok(entry.file_type()?.is_dir()))
}

/// The files in a directory; none if it is not there.
fn files(dir: &Path) -> Result<Vec<(String, PathBuf)>, ReadError> {
    entries(dir, |entry| Ok(entry.file_type()?.is_file()))
}

/// The number in a name like `12.blk`.
fn block_number(name: &str, suffix: &str) -> Option<u64> {
    name.strip_suffix(suffix)?.parse().ok()
}

fn entries(
    dir: &Path,
    wanted: impl Fn(&fs::DirEntry) -> io::Result<bool>,
) -> Result<Vec<(String, PathBuf)>, ReadError> {
    let listed = match fs::read_dir(dir) {
        Ok(listed) => listed,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) if error.kind() == io::ErrorKind::NotADirectory => return Ok(Vec::new()),
        Err(error) => return Err(ReadError::at(dir)(error)),
    };
    let mut found = Vec::new();
    for entry in listed {
        let entry = entry.map_err(ReadError::at(dir))?;
        // Names that are not UTF-8 are not nats-server's.
        if wanted(&entry).map_err(ReadError::at(dir))?
            && let Ok(name) = entry.file_name().into_string()
        {
            found.push((name, entry.path()));
        }
    }
    Ok(found)
}

fn collect(
    dir: &Path,
    into: &mut Vec<(PathBuf, u64, Option<std::time::SystemTime>)>,
) -> Result<(), ReadError> {
    let mut listed = files(dir)?;
    listed.sort();
    for (_, path) in listed {
        let metadata = fs::metadata(&path).map_err(ReadError::at(&path))?;
        into.push((path, metadata.len(), metadata.modified().ok()));
    }
    let mut listed = directories(dir)?;
    listed.sort();
    for (_, dir) in listed {
        collect(&dir, into)?;
    }
    Ok(())
}
