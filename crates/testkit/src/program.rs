//! The program under test: found or built once, started on a free port, watched until it is ready, ended with its owner.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

mod launch;
mod log;
mod process;

pub use launch::{Launch, StartError};
pub use process::Server;

/// Set to the path of another server (`nats-server`, an installed `jetsled`) to run the tests against that.
pub const PROGRAM_VARIABLE: &str = "JETSLED_BIN";

/// The path of the program under test.
///
/// [`PROGRAM_VARIABLE`] if it is set, else the workspace's own `jetsled`, built once in the profile that the test runs in.
///
/// # Panics
///
/// If the build fails: no test can go on without the program.
pub fn program() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| match std::env::var_os(PROGRAM_VARIABLE) {
        Some(path) => path.into(),
        None => build(),
    })
}

fn build() -> PathBuf {
    let test = std::env::current_exe().expect("a test knows its own executable");
    // target/debug/deps/test-hash, target/debug/harness
    let profile_dir = test
        .ancestors()
        .skip(1)
        .find(|dir| !dir.ends_with("deps"))
        .expect("an executable has a folder");
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.args([
        "build",
        "--quiet",
        "--package",
        "jetsled-server",
        "--bin",
        "jetsled",
    ]);
    if profile_dir.ends_with("release") {
        cargo.arg("--release");
    }
    if let Some(target_dir) = profile_dir.parent() {
        cargo.arg("--target-dir").arg(target_dir);
    }
    cargo.current_dir(env!("CARGO_MANIFEST_DIR"));
    // What cargo tells a test of its package makes build scripts that look at it (ring's) run again, and all that depends on them be built anew.
    for (name, _) in std::env::vars_os() {
        let name_text = name.to_string_lossy();
        if name_text.starts_with("CARGO_PKG_") || name_text.starts_with("CARGO_MANIFEST_") {
            cargo.env_remove(&name);
        }
    }
    let status = cargo.stdin(Stdio::null()).status().expect("cargo starts");
    assert!(
        status.success(),
        "building the program under test failed: {status}"
    );
    profile_dir.join("jetsled")
}
