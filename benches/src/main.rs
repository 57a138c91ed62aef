//! The benchmark harness: any servers that speak NATS, side by side in one run.
//!
//! Plain sockets and threads, buffers that are built before the clock starts, and subscribers that count bytes: the
//! servers do the work that is measured, not the client. `--help` lists the options.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command-line program reports on them"
)]

mod cases;
mod chart;
mod client;
mod disk;
mod measure;
mod options;
mod report;
mod run;

use std::process::ExitCode;

use options::Options;

/// Why a benchmark could not be run.
#[derive(Debug, thiserror::Error)]
enum Error {
    #[error("{0}")]
    Start(#[from] jetsled_testkit::StartError),
    #[error("{0}")]
    Io(#[from] std::io::Error),
    #[error("a JSON text that makes no sense: {0}")]
    Json(#[from] serde_json::Error),
    #[error("the server answered {subject} with an error: {answer}")]
    Refused { subject: String, answer: String },
    #[error("the server sent {0:?}")]
    Protocol(String),
    #[error("after {seconds} s only {got} of {wanted} had arrived")]
    Missing { got: u64, wanted: u64, seconds: u64 },
}

fn main() -> ExitCode {
    let options = match Options::parse() {
        Ok(options) => options,
        Err(error) => {
            eprintln!("{error}\n\n{}", options::USAGE);
            return ExitCode::from(2);
        }
    };
    if options.help {
        println!("{}", options::USAGE);
        return ExitCode::SUCCESS;
    }
    if options.list {
        for case in cases::all() {
            println!("{}", case.name);
        }
        return ExitCode::SUCCESS;
    }
    match run::run(&options) {
        Ok(0) => ExitCode::SUCCESS,
        Ok(failed) => {
            eprintln!("{failed} measurements failed");
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}
