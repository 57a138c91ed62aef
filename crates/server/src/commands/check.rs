//! `jetsled check`: reads a whole store while no server uses it, and says what of it is damaged, missing or left over.

mod arguments;
mod show;

use std::ffi::OsString;
use std::io::{self, IsTerminal};
use std::process::ExitCode;

use indicatif::{ProgressBar, ProgressStyle};
use jetsled_config::{Command, Environment, parse_command_line};
use jetsled_store::Encryption;
use jetsled_store::check::{CheckOptions, Progress, Step, check};

use crate::jetstream::encryption;
use crate::program::say;
use arguments::{Arguments, Asked, USAGE};

/// Something is damaged or missing.
const DAMAGED: u8 = 1;
/// There was nothing to look at, or it could not be looked at.
const COULD_NOT_RUN: u8 = 2;

/// Checks what the arguments name; returns the program's exit code: 0 clean, 1 damaged, 2 not looked at.
pub(super) fn run(arguments: &[OsString]) -> ExitCode {
    let Arguments {
        store_dir,
        config,
        json,
        quiet,
    } = match Arguments::parse(arguments) {
        Ok(Asked::Check(arguments)) => arguments,
        Ok(Asked::Help) => {
            say(io::stdout(), USAGE);
            return ExitCode::SUCCESS;
        }
        Err(reason) => {
            say(io::stderr(), &format!("jetsled check: {reason}\n{USAGE}"));
            return ExitCode::from(COULD_NOT_RUN);
        }
    };
    let dir = super::store_in(&store_dir);
    let encryption = match config.map(configured_encryption).transpose() {
        Ok(encryption) => encryption.flatten(),
        Err(error) => {
            say(io::stderr(), &format!("jetsled check: {error}\n"));
            return ExitCode::from(COULD_NOT_RUN);
        }
    };
    let checked = CheckOptions {
        encryption,
        ..CheckOptions::new(&*dir)
    };
    let mut bar = (!quiet && io::stderr().is_terminal()).then(Bar::new);
    let checked = check(&checked, &mut |progress| {
        if let Some(bar) = &mut bar {
            bar.show(progress);
        }
    });
    if let Some(bar) = bar {
        bar.clear();
    }
    let report = match checked {
        Ok(report) => report,
        Err(error) => {
            say(io::stderr(), &format!("jetsled check: {error}\n"));
            return ExitCode::from(COULD_NOT_RUN);
        }
    };
    let text = if json {
        show::json(&report)
    } else {
        show::text(&dir, &report)
    };
    say(io::stdout(), &text);
    if report.is_clean() {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(DAMAGED)
    }
}

/// How a server with this configuration would encrypt its store.
fn configured_encryption(file: OsString) -> Result<Option<Encryption>, String> {
    let arguments = ["jetsled".into(), "-c".into(), file];
    match parse_command_line(arguments, &Environment::PROCESS) {
        Ok(Command::Run { options, .. }) => Ok(encryption(&options.jetstream)),
        Ok(_) => Ok(None),
        Err(error) => Err(error.to_string()),
    }
}

/// Tells a terminal how far the check has come.
struct Bar {
    bar: ProgressBar,
    step: Option<Step>,
}

impl Bar {
    fn new() -> Self {
        let bar = ProgressBar::no_length();
        if let Ok(style) =
            ProgressStyle::with_template("{msg} {wide_bar} {human_pos}/{human_len} {eta}")
        {
            bar.set_style(style);
        }
        Self { bar, step: None }
    }

    fn show(&mut self, progress: Progress) {
        if self.step.replace(progress.step) != Some(progress.step) {
            self.bar.reset();
            self.bar.set_message(match progress.step {
                Step::Recover => "opening shards",
                Step::Segments => "reading segments",
                Step::Messages => "reading messages",
            });
        }
        self.bar.set_length(progress.of);
        self.bar.set_position(progress.done);
    }

    fn clear(self) {
        self.bar.finish_and_clear();
    }
}
