//! The server in one thread: its clients scripted, its clock, network and disk made up, everything from one seed.
//!
//! What runs is the server itself ([`jetsled_server::ServerByHand`]): sessions that parse the protocol's bytes, routing, the JetStream API, shards, group
//! commit, consumers. What is made up is what surrounds it, and that is as unkind as it may be: bytes arrive in pieces or never, the disk fails,
//! fills up and forgets what was not synced, the machine ends at any moment. Clients take what was not answered for unknown.
//!
//! | Module | Concept |
//! |---|---|
//! | `world` | a run, and what happens next |
//! | `plan` | a run's streams and consumers |
//! | `workload`, `consuming`, `answers` | what clients ask for, and make of the answers |
//! | `faults`, `disk_events`, `catalog`, `keys` | crashes, failures, damage, encryption |
//! | `interrupt` | a disk that lets others work while it syncs |
//! | `breakage` | rules broken on purpose, to see that it is noticed |
//! | `client` | a connection: bytes on their way |
//! | `model`, `checking`, `reads` | what clients may rely on, compared with the server at rest |
//! | `history` | what has happened: hashed, and the last of it in words |

mod answers;
mod breakage;
mod catalog;
mod checking;
mod client;
mod consuming;
mod disk_events;
mod faults;
mod figures;
mod history;
mod interrupt;
mod keys;
mod model;
mod payload;
mod plan;
mod reads;
mod workload;
mod world;

use std::path::Path;

pub use breakage::Rule;
pub use figures::Figures;
use world::World;

/// A run that kept all promises.
#[derive(Clone, Debug)]
pub struct Passed {
    /// What was done and answered, as one number: the same for the same seed.
    pub hash: u64,
    /// What it has done.
    pub figures: Figures,
    /// The last things that happened.
    pub history: Vec<String>,
}

/// A run that did not.
#[derive(Clone, Debug)]
pub struct Failed {
    /// Its seed.
    pub seed: u64,
    /// What was wrong.
    pub reason: String,
    /// The last things that happened.
    pub history: Vec<String>,
}

impl std::fmt::Display for Failed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for line in &self.history {
            writeln!(f, "  {line}")?;
        }
        write!(
            f,
            "seed {seed}: {}\nagain: cargo run --release -p jetsled-simulator --bin simulate -- --from {seed} --seeds 1",
            self.reason,
            seed = self.seed
        )
    }
}

/// Runs the history of a seed. `scratch` is a directory for the catalog, which the caller removes; the last `lines` of its
/// history are kept. With a `broken` rule it should fail.
///
/// # Errors
/// What was wrong, and what came before it.
pub fn run(
    seed: u64,
    scratch: &Path,
    lines: usize,
    broken: Option<Rule>,
) -> Result<Passed, Box<Failed>> {
    let mut world = World::new(seed, scratch, lines, broken);
    let ran = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| world.run()));
    interrupt::set_hook(None);
    let ran = ran.unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
        Err(format!("a panic: {}", text.unwrap_or("no reason given")))
    });
    let outcome = match ran {
        Ok(()) => Ok(Passed {
            hash: world.history.hash(),
            figures: Figures {
                events: world.history.events(),
                ..world.figures
            },
            history: world.history.tail(),
        }),
        Err(reason) => Err(Box::new(Failed {
            seed,
            reason,
            history: world.history.tail(),
        })),
    };
    if let Some(server) = world.close() {
        server.abandon();
    }
    outcome
}
