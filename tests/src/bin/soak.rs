//! A mixed load for minutes or hours, with restarts: `soak [MINUTES [FILE]]`, by default 30 minutes and no file. Says how memory, open
//! files, threads, disk use and latencies develop, as Markdown, into the file too; exit code 1 if something grows beyond its bound.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command-line program reports on them"
)]

use std::io;
use std::process::ExitCode;
use std::time::Duration;

use jetsled_testkit::Launch;
use jetsled_tests::soak::{Bounds, Plan, run};

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let minutes = arguments
        .next()
        .map_or(Ok(30.0), |text| text.parse::<f64>());
    let Some(minutes) = minutes.ok().filter(|minutes| (0.1..1e5).contains(minutes)) else {
        eprintln!("usage: soak [MINUTES [FILE]]");
        return ExitCode::from(2);
    };
    match soak(minutes, arguments.next()) {
        Ok(findings) if findings.is_empty() => ExitCode::SUCCESS,
        Ok(findings) => {
            for finding in findings {
                eprintln!("{finding}");
            }
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn soak(minutes: f64, file: Option<String>) -> io::Result<Vec<String>> {
    let plan = Plan::lasting(Duration::from_secs_f64(minutes * 60.0));
    let scratch = tempfile::Builder::new().prefix("jetsled-soak-").tempdir()?;
    let report = run(plan, &Launch::new(), scratch.path(), rand::random())?;
    let text = report.markdown();
    println!("{text}");
    if let Some(file) = file {
        std::fs::write(file, text)?;
    }
    Ok(report.findings(&Bounds::default()))
}
