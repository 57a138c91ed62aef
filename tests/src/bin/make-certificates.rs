//! Writes a test authority and a server certificate for 127.0.0.1 into a directory, for the clients in other languages.
#![expect(clippy::print_stderr, reason = "a command-line program reports on it")]

use std::path::Path;
use std::process::ExitCode;

use jetsled_tests::certificates::Certificates;

fn main() -> ExitCode {
    let Some(dir) = std::env::args_os().nth(1) else {
        eprintln!("usage: make-certificates DIRECTORY");
        return ExitCode::from(2);
    };
    match Certificates::create(Path::new(&dir)) {
        Ok(_paths) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{}: {error}", Path::new(&dir).display());
            ExitCode::FAILURE
        }
    }
}
