//! Damage: a store is built from a seed and stopped, one of its files is damaged, and what a check and a start then say and serve is
//! held against what was stored and what was hit.
//!
//! The store runs in this process, the damage is done to real files. What a record is, and which records were hit, is read off the
//! files by a small decoder of its own ([`records`]), not by the store's.

mod build;
pub(crate) mod inflict;
mod judge;
pub mod records;

use std::io;
use std::path::Path;

pub use inflict::{Action, Kind};

/// What became of one damaged store.
#[derive(Debug, Default, Clone, Copy)]
pub struct Outcome {
    /// What was done; `None` if no file of the kind could be damaged.
    pub action: Option<Action>,
    /// Messages before.
    pub messages: u64,
    /// Messages whose record was hit.
    pub hit: u64,
    /// Messages that are gone.
    pub lost: u64,
    /// Of these, how many were told of by the place of the damage only: the last ones of their stream, behind the last checkpoint.
    pub told_by_place: u64,
    /// Messages that are kept and not served, since the configuration of their stream was hit; not counted with the others.
    pub orphaned: u64,
}

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

/// Builds, damages, checks, starts and compares. Where `action` would change no byte of any file of the kind (most indexes never change, so no
/// older one is another), another one is taken.
///
/// # Errors
///
/// What is not as it must be.
pub fn run(seed: u64, kind: Kind, action: Action, scratch: &Path) -> Result<Outcome, String> {
    let built = build::build(seed, &scratch.join("store"))?;
    let first = Action::ALL.iter().position(|one| *one == action);
    for action in Action::ALL.iter().cycle().skip(first.unwrap_or(0)).take(6) {
        if let Some(hits) = inflict::inflict(seed, kind, *action, &built)? {
            let outcome = judge::judge(&built, kind, &hits)?;
            return Ok(Outcome {
                action: Some(*action),
                ..outcome
            });
        }
    }
    Ok(Outcome::default())
}
