//! `jetsled backup`: takes, lists, verifies and removes backups of a store, while a server uses it or not.

use std::ffi::OsString;
use std::fmt::Write;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use jetsled_jetstream_api::Timestamp;
use jetsled_store::backup::{BackupError, Backups, Manifest};

use super::progress::progress;
use crate::program::say;

const USAGE: &str = "
Usage: jetsled backup STORE_DIR --to BACKUP_DIR [options]
       jetsled backup --to BACKUP_DIR --list | --verify | --keep N

Copies the store of a jetsled, running or not, to BACKUP_DIR: everything that was acknowledged before the command began. What earlier
backups there have already is not copied again. STORE_DIR is what -sd, or store_dir, names, and is only read.

  --to DIR    where the backups of this store are; made by the first one
  --verify    read the newest backup at the end and compare it with what was copied
  --keep N    remove all backups but the newest N at the end
  --list      tell which backups there are

Exit code 0: done, and nothing is damaged; 2: the store or the backup is damaged, as is said; 1: nothing was done.
";

/// Damage has its own exit code, so that scripts see it.
const DAMAGED: u8 = 2;

/// What is to be done.
#[derive(Debug, Default)]
struct Command {
    store: Option<PathBuf>,
    to: PathBuf,
    verify: bool,
    keep: Option<usize>,
    list: bool,
}

/// Arguments that are no backup.
#[derive(Debug, thiserror::Error)]
enum CommandError {
    #[error(transparent)]
    Arguments(#[from] lexopt::Error),
    #[error("--to is missing: where the backups are")]
    NoTarget,
    #[error("the store directory is missing, or one of --list, --verify and --keep")]
    Nothing,
    #[error("--keep 0 would leave no backup")]
    KeepNone,
}

/// Runs the command.
pub(super) fn run(arguments: &[OsString]) -> ExitCode {
    let command = match super::asked("backup", USAGE, Command::parse(arguments)) {
        Ok(command) => command,
        Err(code) => return code,
    };
    match command.carry_out() {
        Ok((text, is_damaged)) => {
            say(io::stdout(), &text);
            if is_damaged {
                ExitCode::from(DAMAGED)
            } else {
                ExitCode::SUCCESS
            }
        }
        Err(error) => {
            say(io::stderr(), &format!("jetsled backup: {error}\n"));
            ExitCode::FAILURE
        }
    }
}

impl Command {
    /// `None`: help is asked for.
    fn parse(arguments: &[OsString]) -> Result<Option<Self>, CommandError> {
        use lexopt::prelude::*;
        let mut command = Self::default();
        let mut to = None;
        let mut parser = lexopt::Parser::from_args(arguments);
        while let Some(argument) = parser.next()? {
            match argument {
                Value(dir) if command.store.is_none() => command.store = Some(dir.into()),
                Long("to") => to = Some(PathBuf::from(parser.value()?)),
                Long("verify") => command.verify = true,
                Long("list") => command.list = true,
                Long("keep") => match parser.value()?.parse()? {
                    0 => return Err(CommandError::KeepNone),
                    keep => command.keep = Some(keep),
                },
                Long("help") | Short('h') => return Ok(None),
                other => return Err(other.unexpected().into()),
            }
        }
        command.to = to.ok_or(CommandError::NoTarget)?;
        if command.store.is_none() && !command.verify && !command.list && command.keep.is_none() {
            return Err(CommandError::Nothing);
        }
        Ok(Some(command))
    }

    /// What is told of it, and whether anything is damaged.
    fn carry_out(&self) -> Result<(String, bool), BackupError> {
        let mut text = String::new();
        let mut is_damaged = false;
        if let Some(store) = &self.store {
            let manifest = self.take(&super::store_in(store), &mut text)?;
            is_damaged |= tell_damage(&manifest, &mut text);
        }
        let backups = Backups::open(&self.to)?;
        if self.verify {
            match backups.newest(None)? {
                Some(manifest) => is_damaged |= verify(&backups, &manifest, &mut text)?,
                None => text.push_str("there is no backup yet\n"),
            }
        }
        if let Some(keep) = self.keep {
            let (removed, freed) = backups.keep_newest(keep)?;
            writeln!(text, "removed {removed} backups and {freed} bytes").ok();
        }
        if self.list {
            for manifest in backups.list()? {
                let damaged = manifest.segments.iter().filter(|s| !s.damage.is_empty());
                writeln!(
                    text,
                    "{}  {} segments, {} bytes{}",
                    manifest.name(),
                    manifest.segments.len(),
                    manifest.bytes(),
                    match damaged.count() {
                        0 => String::new(),
                        damaged => format!(", {damaged} OF A DAMAGED STORE"),
                    }
                )
                .ok();
            }
        }
        Ok((text, is_damaged))
    }

    fn take(&self, store: &Path, text: &mut String) -> Result<Manifest, BackupError> {
        let began = Instant::now();
        let bar = progress("copying", 0);
        let taken = Backups::take(store, &self.to, &now, &mut |done, total| {
            bar.set_length(total);
            bar.set_position(done);
        });
        bar.finish_and_clear();
        let taken = taken?;
        writeln!(
            text,
            "{}: {} segments, {} bytes, {} of them copied now, in {:.1?}",
            taken.manifest.name(),
            taken.manifest.segments.len(),
            taken.manifest.bytes(),
            taken.copied,
            began.elapsed()
        )
        .ok();
        Ok(taken.manifest)
    }
}

fn now() -> Timestamp {
    let nanos = jiff::Timestamp::now().as_nanosecond();
    Timestamp(i64::try_from(nanos).unwrap_or(i64::MAX))
}

fn tell_damage(manifest: &Manifest, text: &mut String) -> bool {
    let mut is_damaged = false;
    for segment in &manifest.segments {
        for (from, to) in &segment.damage {
            is_damaged = true;
            writeln!(
                text,
                "THE STORE IS DAMAGED: bytes {from} to {to} of segment {} of shard {} are no records; copied as they are",
                segment.segment, segment.shard
            )
            .ok();
        }
    }
    is_damaged
}

fn verify(backups: &Backups, manifest: &Manifest, text: &mut String) -> Result<bool, BackupError> {
    let bar = progress("verifying", manifest.bytes());
    let damaged = backups.verify(manifest, &mut |done, _| bar.set_position(done));
    bar.finish_and_clear();
    let damaged = damaged?;
    for path in &damaged {
        writeln!(
            text,
            "DAMAGED: {} is missing or not what was copied",
            path.display()
        )
        .ok();
    }
    if damaged.is_empty() {
        writeln!(text, "{}: verified", manifest.name()).ok();
    }
    Ok(!damaged.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(line: &str, expected: &str) {
        let words: Vec<OsString> = line.split_whitespace().map(OsString::from).collect();
        let found = match Command::parse(&words) {
            Ok(None) => "help".to_owned(),
            Ok(Some(command)) => format!(
                "{} to {}{}{} {:?}",
                command.store.unwrap_or_default().display(),
                command.to.display(),
                if command.verify { " verify" } else { "" },
                if command.list { " list" } else { "" },
                command.keep
            ),
            Err(error) => error.to_string(),
        };
        assert_eq!(found, expected, "{line}");
    }

    #[test]
    fn arguments_are_read_in_any_order() {
        check("/store --to /b", "/store to /b None");
        check(
            "--keep 3 --to=/b /store --verify",
            "/store to /b verify Some(3)",
        );
        check("--to /b --list", " to /b list None");
        check("-h", "help");
        check("/store", "--to is missing: where the backups are");
        check(
            "--to /b",
            "the store directory is missing, or one of --list, --verify and --keep",
        );
        check("--to /b --keep 0", "--keep 0 would leave no backup");
        check("/store --to /b /other", "unexpected argument \"/other\"");
    }
}
