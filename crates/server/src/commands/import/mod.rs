//! `jetsled import`: brings the store of a nats-server over into one of ours, offline.
//!
//! | Module | Concept |
//! |---|---|
//! | `command` | the command line |
//! | `target` | the new store, on its way |
//! | `carry` | one stream from there to here |
//! | `consumers` | its consumers |
//! | `verify` | both read once more and compared |
//! | `report` | what is told of it |

mod carry;
mod command;
mod consumers;
mod report;
mod run;
mod target;
mod verify;

use std::ffi::OsString;
use std::io;
use std::process::ExitCode;

use crate::program::say;
use command::{Command, USAGE};

/// What was not carried over has its own exit code, so that scripts see it.
const INCOMPLETE: u8 = 2;

/// Runs the command.
pub(super) fn run(arguments: &[OsString]) -> ExitCode {
    let import = match Command::parse(arguments) {
        Ok(Command::Import(import)) => import,
        Ok(Command::Help) => {
            say(io::stdout(), USAGE);
            return ExitCode::SUCCESS;
        }
        Err(error) => {
            say(io::stderr(), &format!("jetsled import: {error}\n{USAGE}"));
            return ExitCode::FAILURE;
        }
    };
    match run::import(&import) {
        Ok(report) => {
            say(io::stdout(), &report.to_string());
            if report.is_complete() {
                ExitCode::SUCCESS
            } else {
                ExitCode::from(INCOMPLETE)
            }
        }
        Err(error) => {
            say(io::stderr(), &format!("jetsled import: {error}\n"));
            ExitCode::FAILURE
        }
    }
}
