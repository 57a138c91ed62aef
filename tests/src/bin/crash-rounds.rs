//! Kills, power cuts and orderly stops under load: `crash-rounds kill|power|stop [ROUNDS [SERVER]...]`, where a
//! server is `NAME=PROGRAM[+SYNC_INTERVAL][@ROUNDS]`.
//!
//! Without servers, the program under test. Several take turns; `@ROUNDS` lets one have fewer, `+always` or `+2m` is the `sync_interval` in its
//! configuration. The end is a Markdown table; the exit code is that of the first server.
//! `tests/power-cut.sh` and `tests/kill-rounds.sh` run this.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command-line program reports on them"
)]

use std::io;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use jetsled_testkit::Launch;
use jetsled_tests::crash::{End, Tally, Trial};

const LONGEST: Duration = Duration::from_millis(1500);
/// After so many rounds consumers come to their end, and the table so far is printed.
const DRAIN_AFTER: u64 = 20;

struct Subject {
    name: String,
    rounds: u64,
    trial: Trial,
}

fn main() -> ExitCode {
    let seed =
        std::env::var("JETSLED_SEED").map_or_else(|_| Ok(rand::random()), |seed| seed.parse());
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let end = match arguments.first().map(String::as_str) {
        Some("kill") => Some(End::Kill),
        Some("power") => Some(End::PowerCut),
        Some("stop") => Some(End::Stop),
        _ => None,
    };
    let rounds = arguments.get(1).map_or(Ok(5), |rounds| rounds.parse());
    let (Some(end), Ok(rounds), Ok(seed)) = (end, rounds, seed) else {
        eprintln!(
            "usage: [JETSLED_SEED=NUMBER] crash-rounds kill|power|stop [ROUNDS [NAME=PROGRAM[+SYNC_INTERVAL][@ROUNDS]]...]"
        );
        return ExitCode::from(2);
    };
    println!("JETSLED_SEED={seed}, {rounds} rounds");
    match run(end, rounds, seed, arguments.get(2..).unwrap_or_default()) {
        // Others are there for comparison.
        Ok(0) => ExitCode::SUCCESS,
        Ok(broken) => {
            eprintln!("JETSLED_SEED={seed}: {broken} broken promises of the first server");
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("JETSLED_SEED={seed}: {error}");
            ExitCode::FAILURE
        }
    }
}

/// How many promises the first server has broken.
fn run(end: End, rounds: u64, seed: u64, servers: &[String]) -> io::Result<u64> {
    let mut subjects = Vec::new();
    for server in servers {
        subjects.push(Subject::parse(server, end, rounds, seed)?);
    }
    if subjects.is_empty() {
        let program = jetsled_testkit::program().display();
        subjects.push(Subject::parse(
            &format!("jetsled={program}"),
            end,
            rounds,
            seed,
        )?);
    }
    for round in 1..=rounds {
        for subject in subjects
            .iter_mut()
            .filter(|subject| round <= subject.rounds)
        {
            subject.round(round)?;
        }
        if round.is_multiple_of(DRAIN_AFTER) || round == rounds {
            println!("{}", table(&subjects));
        }
    }
    Ok(subjects
        .first()
        .map_or(0, |first| first.trial.tally().broken()))
}

fn table(subjects: &[Subject]) -> String {
    let rows = subjects
        .iter()
        .map(|subject| (subject.name.as_str(), subject.trial.tally()));
    Tally::table(rows)
}

impl Subject {
    fn parse(text: &str, end: End, rounds: u64, seed: u64) -> io::Result<Self> {
        let wrong =
            || io::Error::other(format!("{text}: not NAME=PROGRAM[+SYNC_INTERVAL][@ROUNDS]"));
        let (name, program) = text.split_once('=').ok_or_else(wrong)?;
        let (program, rounds) = match program.rsplit_once('@') {
            None => (program, rounds),
            Some((program, rounds)) => (program, rounds.parse().map_err(|_| wrong())?),
        };
        let (program, interval) = match program.rsplit_once('+') {
            None => (program, None),
            Some((program, interval)) => (program, Some(interval)),
        };
        let program: PathBuf = std::path::absolute(program)?;
        let mut launch = Launch::of(program);
        if let Some(interval) = interval {
            launch = launch.config(format!("jetstream {{ sync_interval: {interval} }}\n"));
        }
        Ok(Self {
            name: name.to_owned(),
            rounds,
            trial: Trial::new(launch, end, LONGEST, seed)?,
        })
    }

    fn round(&mut self, round: u64) -> io::Result<()> {
        let before = self.trial.tally().clone();
        let violations = if round.is_multiple_of(DRAIN_AFTER) {
            self.trial.drain()
        } else {
            self.trial.round()
        };
        let violations =
            violations.map_err(|error| io::Error::other(format!("{}: {error}", self.name)))?;
        let now = self.trial.tally();
        println!(
            "{} {round}: {} messages, {} acks, {} changes answered; {} broken promises",
            self.name,
            now.messages - before.messages,
            now.acks - before.acks,
            now.changes - before.changes,
            violations.len()
        );
        for violation in violations.iter().take(5) {
            println!("  {violation}");
        }
        Ok(())
    }
}
