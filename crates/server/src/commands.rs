//! What the program does besides serving: `jetsled COMMAND`. Under the name `nats-server` there are none of these.

mod backup;
mod check;
mod completions;
mod doctor;
mod explain;
mod health;
mod import;
mod progress;
mod restore;

use std::ffi::OsString;
use std::fmt::{Display, Write};
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use crate::program::say;

/// One command.
pub(crate) struct Command {
    name: &'static str,
    /// What follows its name in the usage.
    arguments: &'static str,
    about: &'static str,
    /// Gets the arguments behind the command's name.
    pub(crate) run: fn(&[OsString]) -> ExitCode,
}

/// The directory of a store in a store directory.
const STORE: &str = "jetstream";

/// In the order of the usage.
const COMMANDS: &[Command] = &[
    Command {
        name: "backup",
        arguments: "STORE_DIR --to BACKUP_DIR",
        about: "copy the store of a server, running or not",
        run: backup::run,
    },
    Command {
        name: "check",
        arguments: "[FLAGS] STORE_DIR",
        about: "look for damage in the store of a server that does not run",
        run: check::run,
    },
    Command {
        name: "completions",
        arguments: "bash|zsh|fish",
        about: "print what this shell needs to complete flags and commands",
        run: completions::run,
    },
    Command {
        name: "doctor",
        arguments: "[URL] [STREAM [CONSUMER]]",
        about: "look for risky settings and for why a consumer does not advance",
        run: doctor::run,
    },
    Command {
        name: "explain",
        arguments: "[FLAGS]",
        about: "show each setting that these flags and their file give, and who said so",
        run: explain::run,
    },
    Command {
        name: "health",
        arguments: "[URL]",
        about: "ask a running server's monitoring port whether it is well",
        run: health::run,
    },
    Command {
        name: "import",
        arguments: "DIR --store NEW_DIR",
        about: "make a new store of that of a nats-server",
        run: import::run,
    },
    Command {
        name: "restore",
        arguments: "BACKUP_DIR --store NEW_DIR",
        about: "make a store of a backup",
        run: restore::run,
    },
];

/// What a command's arguments ask for (`None`: its usage). If that is nothing to do, its usage or the error has been said, and this is
/// the exit code.
fn asked<T>(
    name: &str,
    usage: &str,
    parsed: Result<Option<T>, impl Display>,
) -> Result<T, ExitCode> {
    match parsed {
        Ok(Some(asked)) => Ok(asked),
        Ok(None) => {
            say(io::stdout(), usage);
            Err(ExitCode::SUCCESS)
        }
        Err(error) => {
            say(io::stderr(), &format!("jetsled {name}: {error}\n{usage}"));
            Err(ExitCode::FAILURE)
        }
    }
}

/// The store itself, or what a server makes in its `store_dir`.
fn store_in(dir: &Path) -> PathBuf {
    let below = dir.join(STORE);
    if !dir.join("store.json").exists() && below.is_dir() {
        below
    } else {
        dir.to_owned()
    }
}

/// The command that the arguments (the first is the program's own name) ask for, and what is behind its name.
pub(crate) fn find(arguments: &[OsString]) -> Option<(&'static Command, &[OsString])> {
    let [program, name, rest @ ..] = arguments else {
        return None;
    };
    if !offered_by(program) {
        return None;
    }
    let command = COMMANDS.iter().find(|command| *name == *command.name)?;
    Some((command, rest))
}

/// Whether the program of this name has commands.
fn offered_by(program: &OsString) -> bool {
    let program = program.to_string_lossy();
    let base = program.rsplit('/').next().unwrap_or_default();
    !base.starts_with("nats-server")
}

/// Their part of the usage; nothing for a program without them.
pub(crate) fn usage(program: Option<&OsString>) -> String {
    let mut text = String::new();
    if program.is_none_or(|program| !offered_by(program)) {
        return text;
    }
    text.push_str("\nCommands:\n");
    for command in COMMANDS {
        let call = format!("{} {}", command.name, command.arguments);
        writeln!(text, "  {call:<34}{}", command.about).ok();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(arguments: &[&str], expected: Option<(&str, usize)>) {
        let arguments: Vec<_> = arguments.iter().map(OsString::from).collect();
        let found = find(&arguments).map(|(command, rest)| (command.name, rest.len()));
        assert_eq!(found, expected, "{arguments:?}");
    }

    #[test]
    fn commands_are_found_by_the_first_argument() {
        check(&["jetsled", "health"], Some(("health", 0)));
        check(
            &["/usr/bin/jetsled", "health", "a", "b"],
            Some(("health", 2)),
        );
        check(&["jetsled"], None);
        check(&["jetsled", "-js", "health"], None);
        check(&["jetsled", "Health"], None);
    }

    #[test]
    fn in_the_place_of_nats_server_there_are_none() {
        check(&["/usr/bin/nats-server", "health"], None);
        assert_eq!(usage(Some(&"nats-server".into())), "");
        assert!(usage(Some(&"jetsled".into())).contains("\n  health [URL]  "));
    }
}
