//! Power cuts: what was acknowledged must be on the disk, not only in the page cache.
//!
//! The server's store lies on an ext4 file system in an image on a loop device. Under load the server is killed and the
//! image is copied at once: the copy has what the disk had, without the pages that only the kernel's memory held. The
//! server is then started on the copy, and the next round goes on there. `power-cut.sh` runs this; see there.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command-line program reports on them"
)]

use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::Duration;

use jetsled_testkit::{Launch, Server};
use jetsled_tests::crash::{Journal, Load, create_streams};
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};

const IMAGE_BYTES: u64 = 1 << 30;

fn main() -> ExitCode {
    let rounds = std::env::args()
        .nth(1)
        .map_or(Ok(5), |rounds| rounds.parse());
    let seed =
        std::env::var("JETSLED_SEED").map_or_else(|_| Ok(rand::random()), |seed| seed.parse());
    let (Ok(rounds), Ok(seed)) = (rounds, seed) else {
        eprintln!("usage: [JETSLED_SEED=NUMBER] power-cut [ROUNDS]");
        return ExitCode::from(2);
    };
    println!(
        "JETSLED_SEED={seed}, {rounds} rounds, server {}",
        jetsled_testkit::program().display()
    );
    match run(rounds, seed) {
        Ok(0) => ExitCode::SUCCESS,
        Ok(lost) => {
            eprintln!("JETSLED_SEED={seed}: {lost} acknowledged messages lost");
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("JETSLED_SEED={seed}: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Returns how many acknowledged messages were lost over all rounds.
fn run(rounds: u64, seed: u64) -> io::Result<usize> {
    let mut random = SmallRng::seed_from_u64(seed);
    let scratch = tempfile::Builder::new()
        .prefix("jetsled-power-cut-")
        .tempdir()?;
    let mut disk = Disk::format(scratch.path())?;
    let mut server = disk.start_server()?;
    let mut journal = Journal::default();
    let (mut acknowledged, mut lost) = (0, 0);
    create_streams(server.address())?;
    for round in 0..rounds {
        let load = Load::start(server.address(), round)?;
        std::thread::sleep(Duration::from_millis(random.random_range(200..1500)));
        server.kill();
        disk = disk.cut(scratch.path(), round)?;
        let new = load
            .finish()
            .map_err(|error| io::Error::other(format!("round {round}, publishing: {error}")))?;
        let count = new.len();
        acknowledged += count;
        let reused = journal.record(new).err();
        server = disk.start_server()?;
        let losses = journal
            .losses(server.address(), ..)
            .map_err(|error| at(round, "asking for the messages", error, &server))?;
        println!(
            "round {round}: {count} acknowledged, {} lost in all",
            losses.len()
        );
        for loss in losses.iter().take(3) {
            println!(
                "  sequence {}: {:?}: {}",
                loss.seq, loss.message, loss.found
            );
        }
        if let Some(reused) = reused {
            println!("  {reused}");
        }
        // A server that has lost messages gives their sequences again; each round counts for itself then.
        if !losses.is_empty() {
            lost += losses.len();
            journal = Journal::default();
            create_streams(server.address())?;
        }
    }
    println!("{acknowledged} acknowledged, {lost} lost");
    drop(server);
    drop(disk);
    Ok(lost)
}

fn at(round: u64, doing: &str, error: io::Error, server: &Server) -> io::Error {
    io::Error::other(format!(
        "round {round}, {doing}: {error}; the server's log:\n{}",
        server.log()
    ))
}

/// A mounted image.
struct Disk {
    image: PathBuf,
    mount: PathBuf,
}

impl Disk {
    fn format(dir: &Path) -> io::Result<Self> {
        let image = dir.join("disk.img");
        std::fs::File::create_new(&image)?.set_len(IMAGE_BYTES)?;
        command("mkfs.ext4", &["-q".as_ref(), "-F".as_ref(), &image])?;
        Self::mount(image, dir.join("disk"))
    }

    fn mount(image: PathBuf, mount: PathBuf) -> io::Result<Self> {
        std::fs::create_dir(&mount)?;
        command("mount", &["-o".as_ref(), "loop".as_ref(), &image, &mount])?;
        Ok(Self { image, mount })
    }

    /// The disk as it is without what only memory holds. The old one is thrown away.
    fn cut(self, dir: &Path, round: u64) -> io::Result<Self> {
        let image = dir.join(format!("disk-{round}.img"));
        command("cp", &["--sparse=always".as_ref(), &self.image, &image])?;
        Self::mount(image, dir.join(format!("disk-{round}")))
    }

    fn start_server(&self) -> io::Result<Server> {
        Launch::new()
            .jetstream(self.mount.join("store"))
            .start()
            .map_err(io::Error::other)
    }
}

impl Drop for Disk {
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
