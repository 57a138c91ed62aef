//! Why a catalog operation failed.

use std::io;
use std::path::PathBuf;

use super::Section;

/// Why a catalog operation failed.
#[derive(Debug, thiserror::Error)]
pub enum CatalogError {
    /// sled's reason.
    #[error("catalog {doing} failed: {source}")]
    Sled {
        /// What was done.
        doing: &'static str,
        /// Why it failed.
        source: sled::Error,
    },
    /// A file operation failed.
    #[error("catalog {path}: {doing} failed: {source}")]
    Io {
        /// What was done.
        doing: &'static str,
        /// To which file.
        path: PathBuf,
        /// The operating system's reason.
        source: io::Error,
    },
    /// sled panicked while opening, even on an empty directory.
    #[error("catalog {path}: opening panicked: {reason}")]
    Panicked {
        /// The catalog's directory.
        path: PathBuf,
        /// What the panic said.
        reason: String,
    },
    /// A value's checksum or chunks are wrong. Rebuild from the log.
    #[error("catalog entry {section:?} of shard {shard} is damaged")]
    Damaged {
        /// The shard.
        shard: u8,
        /// The section; `None` if it is not even known which.
        section: Option<Section>,
    },
    /// A key or value is too long.
    #[error("catalog {field} of {len} bytes exceeds {limit}")]
    TooLong {
        /// Key or value.
        field: &'static str,
        /// Its bytes.
        len: usize,
        /// The most there can be.
        limit: usize,
    },
}

impl CatalogError {
    /// Whether the catalog's own bytes are at fault, not the circumstances.
    pub(crate) fn is_damage(&self) -> bool {
        match self {
            Self::Panicked { .. } | Self::Damaged { .. } => true,
            Self::Sled {
                source: sled::Error::Io(error),
                ..
            } => match error.kind() {
                io::ErrorKind::PermissionDenied
                | io::ErrorKind::StorageFull
                | io::ErrorKind::ReadOnlyFilesystem
                | io::ErrorKind::WouldBlock => false,
                _ => !is_lock(error),
            },
            Self::Sled { .. } => true,
            _ => false,
        }
    }
}

/// What sled refused while `doing` something.
pub(super) fn sled_error(doing: &'static str) -> impl Fn(sled::Error) -> CatalogError {
    move |source| CatalogError::Sled { doing, source }
}

/// Whether a database is open elsewhere: sled has no better way to say so.
pub(super) fn is_lock(error: &io::Error) -> bool {
    error.to_string().contains("acquire lock")
}
