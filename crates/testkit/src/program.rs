//! The program under test: found or built once, started on a free port, watched until it is ready, ended with its owner.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

mod build;
mod launch;
mod log;
mod process;

pub use launch::{Launch, StartError};
pub use process::Server;

/// Set to the path of another server (`nats-server`, an installed `jetsled`) to run the tests against that.
pub const PROGRAM_VARIABLE: &str = "JETSLED_BIN";

/// The path of the program under test.
///
/// [`PROGRAM_VARIABLE`] if it is set, else the workspace's own `jetsled` in the profile that the test runs in, built if it is not there or
/// older than its sources.
///
/// # Panics
///
/// If the build fails: no test can go on without the program.
pub fn program() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| match std::env::var_os(PROGRAM_VARIABLE) {
        Some(path) => path.into(),
        None => build::build(),
    })
}
