//! `jetsled restore`: makes a new store of a backup.

use std::ffi::OsString;
use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

use jetsled_jetstream_api::Timestamp;
use jetsled_store::backup::{BackupError, Backups};

use super::progress::progress;
use crate::program::say;

const USAGE: &str = "
Usage: jetsled restore BACKUP_DIR --store NEW_STORE_DIR [--at TIME]

Makes a store of the newest backup in BACKUP_DIR, or of the newest one that had ended at TIME: a backup's name as `jetsled backup --list` shows it,
or a time as in 2026-11-26T12:00:00Z. Everything is compared with what was copied then. NEW_STORE_DIR is what -sd, or store_dir, will name.
";

/// What is to be done.
#[derive(Debug)]
struct Command {
    from: PathBuf,
    store: PathBuf,
    at: Option<Timestamp>,
}

/// Arguments that are no restore.
#[derive(Debug, thiserror::Error)]
enum CommandError {
    #[error(transparent)]
    Arguments(#[from] lexopt::Error),
    #[error("the directory of the backups is missing")]
    NoSource,
    #[error("--store is missing: where the new store is to be made")]
    NoTarget,
    #[error("--at {0:?} is no time: {1}")]
    Time(String, jiff::Error),
    #[error("--at {0:?} is out of range")]
    TimeRange(String),
}

/// Nothing was restored.
#[derive(Debug, thiserror::Error)]
enum RestoreError {
    #[error(transparent)]
    Backup(#[from] BackupError),
    #[error("{0} has no backup that had ended by then")]
    NoBackup(PathBuf),
}

/// Runs the command.
pub(super) fn run(arguments: &[OsString]) -> ExitCode {
    let command = match super::asked("restore", USAGE, Command::parse(arguments)) {
        Ok(command) => command,
        Err(code) => return code,
    };
    match command.carry_out() {
        Ok(text) => {
            say(io::stdout(), &text);
            ExitCode::SUCCESS
        }
        Err(error) => {
            say(io::stderr(), &format!("jetsled restore: {error}\n"));
            ExitCode::FAILURE
        }
    }
}

impl Command {
    /// `None`: help is asked for.
    fn parse(arguments: &[OsString]) -> Result<Option<Self>, CommandError> {
        use lexopt::prelude::*;
        let (mut from, mut store, mut at) = (None, None, None);
        let mut parser = lexopt::Parser::from_args(arguments);
        while let Some(argument) = parser.next()? {
            match argument {
                Value(dir) if from.is_none() => from = Some(PathBuf::from(dir)),
                Long("store") => store = Some(PathBuf::from(parser.value()?)),
                Long("at") => at = Some(time(parser.value()?.string()?)?),
                Long("help") | Short('h') => return Ok(None),
                other => return Err(other.unexpected().into()),
            }
        }
        Ok(Some(Self {
            from: from.ok_or(CommandError::NoSource)?,
            store: store.ok_or(CommandError::NoTarget)?,
            at,
        }))
    }

    fn carry_out(&self) -> Result<String, RestoreError> {
        let backups = Backups::open(&self.from)?;
        let manifest = backups
            .newest(self.at)?
            .ok_or_else(|| RestoreError::NoBackup(self.from.clone()))?;
        let bar = progress("restoring", manifest.bytes());
        let into = self.store.join(super::STORE);
        let restored = backups.restore(&manifest, &into, &mut |done, _| bar.set_position(done));
        bar.finish_and_clear();
        restored?;
        Ok(format!(
            "{}: {} segments, {} bytes restored to {}\nstart it with: jetsled -js -sd {}\n",
            manifest.name(),
            manifest.segments.len(),
            manifest.bytes(),
            into.display(),
            self.store.display()
        ))
    }
}

/// Names of backups have no more digits than milliseconds, their times have.
fn time(text: String) -> Result<Timestamp, CommandError> {
    let time: jiff::Timestamp = match text.parse() {
        Ok(time) => time,
        Err(error) => return Err(CommandError::Time(text, error)),
    };
    let nanos = time.as_nanosecond() + 999_999;
    match i64::try_from(nanos) {
        Ok(nanos) => Ok(Timestamp(nanos)),
        Err(_) => Err(CommandError::TimeRange(text)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(line: &str, expected: &str) {
        let words: Vec<OsString> = line.split_whitespace().map(OsString::from).collect();
        let found = match Command::parse(&words) {
            Ok(None) => "help".to_owned(),
            Ok(Some(Command { from, store, at })) => {
                format!(
                    "{} to {} {:?}",
                    from.display(),
                    store.display(),
                    at.map(|at| at.0)
                )
            }
            Err(error) => error.to_string(),
        };
        assert_eq!(found, expected, "{line}");
    }

    #[test]
    fn a_time_is_a_backups_name_or_any_other() {
        check("/b --store /s", "/b to /s None");
        let at = "/b to /s Some(1795694399123999999)";
        check("/b --store /s --at 20261126T115959.123Z", at);
        check("--at=2026-11-26T12:59:59.123+01:00 --store /s /b", at);
        check("--help", "help");
        check("--store /s", "the directory of the backups is missing");
        check(
            "/b",
            "--store is missing: where the new store is to be made",
        );
        let words = ["/b", "--store", "/s", "--at", "noon"].map(OsString::from);
        let error = Command::parse(&words).unwrap_err().to_string();
        assert!(error.starts_with("--at \"noon\" is no time: "), "{error}");
    }
}
