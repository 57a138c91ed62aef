//! A file system of a fixed size, in memory. Needs root.

use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A mounted file system; it is gone, with all that it holds, when this is dropped.
#[derive(Debug)]
pub struct SmallDisk(PathBuf);

impl SmallDisk {
    /// Mounts an empty file system of so many bytes.
    ///
    /// # Errors
    ///
    /// When this machine does not let us: without root, and in most containers. Tests then say that they are skipped.
    pub fn mount(path: &Path, bytes: usize) -> io::Result<Self> {
        mount(&format!("size={bytes}"), path)?;
        Ok(Self(path.to_owned()))
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Whether anything can be written there from now on. Nothing may be open for writing when it is taken away.
    ///
    /// # Errors
    ///
    /// When the system refuses it.
    pub fn set_writable(&self, writable: bool) -> io::Result<()> {
        mount(if writable { "remount,rw" } else { "remount,ro" }, &self.0)
    }
}

fn mount(options: &str, path: &Path) -> io::Result<()> {
    let output = Command::new("mount")
        .args(["-t", "tmpfs", "-o", options, "tmpfs"])
        .arg(path)
        .output()?;
    if output.status.success() {
        Ok(())
    } else {
        Err(io::Error::other(
            String::from_utf8_lossy(&output.stderr).into_owned(),
        ))
    }
}

impl Drop for SmallDisk {
    #[expect(clippy::print_stderr, reason = "who runs the test has to clean up")]
    fn drop(&mut self) {
        let unmounted = Command::new("umount").arg(&self.0).status();
        if !unmounted
            .as_ref()
            .is_ok_and(std::process::ExitStatus::success)
        {
            eprintln!("{} stays mounted: {unmounted:?}", self.0.display());
        }
    }
}
