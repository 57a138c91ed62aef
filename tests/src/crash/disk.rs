//! Where a store lies: a directory, or a file system of its own that the power can be taken from.

use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

const IMAGE_BYTES: u64 = 2 << 30;

/// A mounted image: an ext4 file system on a loop device.
#[derive(Debug)]
pub(super) struct Disk {
    image: PathBuf,
    mount: PathBuf,
}

impl Disk {
    /// An empty one; `name` is used for its files in `dir`.
    pub(super) fn format(dir: &Path, name: &str) -> io::Result<Self> {
        let image = dir.join(format!("{name}.img"));
        std::fs::File::create_new(&image)?.set_len(IMAGE_BYTES)?;
        command("mkfs.ext4", &["-q".as_ref(), "-F".as_ref(), &image])?;
        Self::mount(image, dir.join(name))
    }

    fn mount(image: PathBuf, mount: PathBuf) -> io::Result<Self> {
        std::fs::create_dir(&mount)?;
        command("mount", &["-o".as_ref(), "loop".as_ref(), &image, &mount])?;
        Ok(Self { image, mount })
    }

    pub(super) fn path(&self) -> &Path {
        &self.mount
    }

    /// Everything that was written until now is on the disk.
    pub(super) fn sync(&self) -> io::Result<()> {
        command("sync", &["-f".as_ref(), &self.mount])
    }

    /// The disk as it is without what only the kernel's memory holds. The old one is thrown away.
    pub(super) fn cut(self, dir: &Path, name: &str) -> io::Result<Self> {
        let image = dir.join(format!("{name}.img"));
        command("cp", &["--sparse=always".as_ref(), &self.image, &image])?;
        Self::mount(image, dir.join(name))
    }
}

impl Drop for Disk {
    #[expect(clippy::print_stderr, reason = "who runs it has to clean up")]
    fn drop(&mut self) {
        if let Err(error) = command("umount", &[&self.mount]) {
            eprintln!("{} stays mounted: {error}", self.mount.display());
        }
        if let Err(error) = std::fs::remove_file(&self.image) {
            eprintln!("{} stays: {error}", self.image.display());
        }
    }
}

fn command(program: &str, args: &[&Path]) -> io::Result<()> {
    let output = Command::new(program)
        .args(args)
        .stdin(Stdio::null())
        .output()?;
    if output.status.success() {
        return Ok(());
    }
    let stderr = String::from_utf8_lossy(&output.stderr);
    Err(io::Error::other(format!(
        "{program} {args:?}: {}",
        stderr.trim()
    )))
}
