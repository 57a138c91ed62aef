use std::io;
use std::path::{Path, PathBuf};

/// Why a stream or a consumer can not be carried over.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// A file could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// nats-server passes it over as well.
    #[error("{0} is missing: nats-server would not load it either")]
    Missing(&'static str),
    /// nats-server passes it over as well.
    #[error("the checksum of meta.inf is wrong: nats-server would not load it either")]
    MetaChecksum,
    /// The configuration makes no sense.
    #[error("meta.inf makes no sense: {0}")]
    Meta(#[from] serde_json::Error),
    /// It is encrypted, and no key was given.
    #[error("it is encrypted: give the key with --key-env or --key-file")]
    NoKey,
    /// It is encrypted with another key.
    #[error("none of the keys given opens it")]
    WrongKey,
    /// A file that was sealed with its key does not open.
    #[error("{0} does not open with its key")]
    Sealed(&'static str),
    /// The directory is named after something else.
    #[error("its configuration names it {0:?}")]
    OtherName(String),
    /// A consumer's state makes no sense.
    #[error("o.dat makes no sense")]
    State,
}

/// A file or directory could not be read.
#[derive(Debug, thiserror::Error)]
#[error("can't read {path}: {source}")]
pub struct ReadError {
    /// Which.
    pub path: PathBuf,
    /// The operating system's reason.
    pub source: io::Error,
}

impl ReadError {
    pub(crate) fn at(path: &Path) -> impl FnOnce(io::Error) -> Self + '_ {
        |source| Self {
            path: path.to_owned(),
            source,
        }
    }
}
