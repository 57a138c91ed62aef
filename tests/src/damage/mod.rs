//! Damage: a store with a past is stopped or killed, one of its files is damaged, and what is then told, served and lost is held against what was
//! stored and what was hit.
//!
//! [`store`] does that to the store's own interface, in this process, with all kinds of files and damage; [`programs`] to jetsled and nats-server, as their
//! clients see it. What a record is, which records were hit, and whether anything that is left still vouches for them, is read off the files by a
//! decoder of its own ([`records`]), not by the store's.

pub(crate) mod inflict;
pub mod programs;
pub mod records;
pub mod store;
mod unseal;
pub(crate) mod vouch;

use std::io;
use std::path::Path;

pub use inflict::Action;

/// A directory for a store, in memory where the system has such a place: nothing here is about what a disk has synced.
///
/// # Errors
///
/// When it can not be made.
pub fn scratch() -> io::Result<tempfile::TempDir> {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() {
        tempfile::tempdir_in(memory)
    } else {
        tempfile::tempdir()
    }
}
