//! The same damage to the stores of two programs, jetsled and nats-server: each is given the same history by its clients, stopped or killed, one of its
//! files is damaged, and what clients then get is held against what was stored and what was hit.

mod history;
mod judge;
mod layout;

use std::path::Path;

use rand::SeedableRng;
use rand::rngs::SmallRng;
use rand::seq::SliceRandom;

pub use judge::Outcome;
pub use layout::{Kind, Layout};

use super::Action;
use super::inflict::{inflict_on_any, walk};

/// Builds a store with the program, damages a file of the kind, starts the program once more. Where `action` would change no byte another one is
/// taken; `None` if none does.
///
/// # Errors
///
/// When the store can not be built. What the damaged store does is no error.
pub fn run(
    seed: u64,
    program: &Path,
    layout: Layout,
    kind: Kind,
    scratch: &Path,
) -> Result<Option<(Action, Outcome)>, String> {
    let dir = scratch.join("store");
    let mut built = history::build(seed, program, &dir)?;
    let stored = layout.read(&dir.join("jetstream"))?;
    let mut files = Vec::new();
    walk(&dir, &mut files).map_err(|error| error.to_string())?;
    files.retain(|file| layout.kind(file) == Some(kind));
    files.sort();
    let mut random = SmallRng::seed_from_u64(seed ^ 0x5eed);
    files.shuffle(&mut random);
    for action in Action::of_seed(seed).and_others() {
        let dirs = (&*dir, &*built.older);
        let hits = inflict_on_any(files.clone(), action, dirs, &mut random)?;
        if let Some(hits) = hits {
            let outcome = judge::judge(&mut built, &stored.fates(&hits))?;
            return Ok(Some((action, outcome)));
        }
    }
    Ok(None)
}
