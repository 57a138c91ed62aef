//! A store that runs in this process. A third of them are encrypted.

mod build;
mod files;
mod judge;

use std::path::Path;

pub use files::Kind;

use super::Action;

/// What became of one damaged store, or of many.
#[derive(Debug, Default, Clone, Copy)]
pub struct Outcome {
    /// Stores.
    pub stores: u64,
    /// Of these, how many were encrypted.
    pub encrypted: u64,
    /// Messages before.
    pub messages: u64,
    /// Messages whose record was hit.
    pub hit: u64,
    /// Messages that are gone.
    pub lost: u64,
    /// Of these, how many were told of by the place of the damage only: the last ones of their stream, behind the last checkpoint.
    pub told_by_place: u64,
    /// Of those that are gone, how many nobody tells of, since nothing that is left says that they were there: the end of a killed store's log.
    pub unvouched: u64,
    /// Messages that are kept and not served, since the configuration of their stream was hit; not counted with the others.
    pub orphaned: u64,
}

impl std::ops::AddAssign for Outcome {
    fn add_assign(&mut self, other: Self) {
        self.stores += other.stores;
        self.encrypted += other.encrypted;
        self.messages += other.messages;
        self.hit += other.hit;
        self.lost += other.lost;
        self.told_by_place += other.told_by_place;
        self.unvouched += other.unvouched;
        self.orphaned += other.orphaned;
    }
}

/// Builds, damages, checks, starts and compares. Where `action` would change no byte of any file of the kind (most indexes never change, so no
/// older one is another), another one is taken; `None` if none does.
///
/// # Errors
///
/// What is not as it must be.
pub fn run(
    seed: u64,
    kind: Kind,
    action: Action,
    scratch: &Path,
) -> Result<Option<(Action, Outcome)>, String> {
    let built = build::build(seed, &scratch.join("store"))?;
    for action in action.and_others() {
        if let Some(hits) = files::inflict(seed, kind, action, &built)? {
            let outcome = judge::judge(&built, kind, &hits)?;
            return Ok(Some((action, outcome)));
        }
    }
    Ok(None)
}
