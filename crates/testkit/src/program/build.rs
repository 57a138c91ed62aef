//! The workspace's own `jetsled`, for tests of other packages.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::SystemTime;

/// The path of `jetsled` in the profile that this test runs in, built anew if its sources have changed since.
///
/// `cargo test --workspace` has built it, with what features all packages together ask of their dependencies. A build of it alone
/// asks for fewer, and so would build most dependencies once more.
///
/// # Panics
///
/// If the build fails: no test can go on without the program.
pub(super) fn build() -> PathBuf {
    let test = std::env::current_exe().expect("a test knows its own executable");
    // target/debug/deps/test-hash, target/debug/harness
    let profile_dir = test
        .ancestors()
        .skip(1)
        .find(|dir| !dir.ends_with("deps"))
        .expect("an executable has a folder");
    let program = profile_dir.join("jetsled");
    if !is_current(&program).unwrap_or(false) {
        run_cargo(profile_dir);
    }
    program
}

/// Whether nothing that the program is made of is newer.
fn is_current(program: &Path) -> io::Result<bool> {
    let testkit = Path::new(env!("CARGO_MANIFEST_DIR"));
    Ok(modified(program)? > newest_source(testkit)?)
}

/// When the workspace's packages were last changed, this one apart, which is no part of the program.
fn newest_source(testkit: &Path) -> io::Result<SystemTime> {
    let crates = testkit.parent().ok_or(io::ErrorKind::NotFound)?;
    let workspace = crates.parent().ok_or(io::ErrorKind::NotFound)?;
    let mut newest = modified(&workspace.join("Cargo.toml"))?;
    newest = newest.max(modified(&workspace.join("Cargo.lock"))?);
    for entry in fs::read_dir(crates)? {
        let package = entry?.path();
        if package != testkit {
            newest = newest.max(modified(&package.join("Cargo.toml"))?);
            newest = newest.max(newest_below(&package.join("src"))?);
        }
    }
    Ok(newest)
}

fn newest_below(dir: &Path) -> io::Result<SystemTime> {
    // Not the folder's own time: editors make files that come and go.
    let mut newest = SystemTime::UNIX_EPOCH;
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        newest = newest.max(if entry.file_type()?.is_dir() {
            newest_below(&entry.path())?
        } else {
            modified(&entry.path())?
        });
    }
    Ok(newest)
}

fn modified(path: &Path) -> io::Result<SystemTime> {
    fs::metadata(path)?.modified()
}

fn run_cargo(profile_dir: &Path) {
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
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// Else a test would be of yesterday's program.
    #[test]
    fn each_change_of_a_source_counts() {
        let dir = tempfile::tempdir().unwrap();
        let file = |path: &str| {
            let path = dir.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, "").unwrap();
            path
        };
        let sources = [
            "Cargo.toml",
            "Cargo.lock",
            "crates/store/Cargo.toml",
            "crates/store/src/lib.rs",
            "crates/store/src/log/mod.rs",
        ]
        .map(file);
        file("crates/testkit/src/lib.rs");
        let testkit = dir.path().join("crates/testkit");
        let mut time = SystemTime::now() + Duration::from_secs(60);
        for source in sources {
            assert!(newest_source(&testkit).unwrap() < time);
            fs::File::open(&source).unwrap().set_modified(time).unwrap();
            assert_eq!(newest_source(&testkit).unwrap(), time, "{source:?}");
            time += Duration::from_secs(60);
        }
    }
}
