//! `jetsled explain [FLAGS]`: what a server with these flags would start from, and why.

use std::ffi::OsString;
use std::fmt::Write;
use std::io;
use std::process::ExitCode;

use jetsled_config::{Environment, Explained, explain};

use crate::program::say;

/// Prints a line a setting: its name, its value, who said so.
pub(super) fn run(arguments: &[OsString]) -> ExitCode {
    let mut all = vec![OsString::from("jetsled")];
    all.extend_from_slice(arguments);
    match explain(&all, &Environment::PROCESS) {
        Ok(lines) => {
            say(io::stdout(), &table(&lines));
            ExitCode::SUCCESS
        }
        Err(error) => {
            say(io::stderr(), &format!("{error}\n"));
            ExitCode::FAILURE
        }
    }
}

fn table(lines: &[Explained]) -> String {
    let width = |of: fn(&Explained) -> &str| {
        let longest = lines.iter().map(|line| of(line).chars().count()).max();
        longest.unwrap_or_default().min(60)
    };
    let (names, values) = (width(|line| &line.name), width(|line| &line.value));
    let mut table = String::new();
    for Explained {
        name,
        value,
        source,
    } in lines
    {
        // Writing to a String can't fail.
        writeln!(table, "{name:<names$}  {value:<values$}  {source}").ok();
    }
    table
}
