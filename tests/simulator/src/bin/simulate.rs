//! Runs many seeds: `simulate [--seeds N] [--from S] [--threads N] [--lines N] [--show 1] [--break N]`.
//!
//! `--show 1` prints the histories of seeds that pass as well, to compare two runs for instance.
//! `--break N` breaks the N-th of the rules of [`Rule`] on purpose: seeds should fail then.

use std::io::Write;
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use jetsled_simulator::{Figures, Rule, run};

/// How many rules can be broken.
const RULES: u64 = Rule::ALL.len() as u64;

/// Failures that are shown whole.
const SHOWN: usize = 3;

fn main() -> ExitCode {
    let (mut seeds, mut from, mut threads, mut lines) = (1000, 0, None, 100);
    let (mut shows, mut broken) = (false, None);
    let mut arguments = std::env::args().skip(1);
    while let Some(name) = arguments.next() {
        let value = arguments.next().and_then(|value| value.parse::<u64>().ok());
        match (&*name, value) {
            ("--seeds", Some(value)) => seeds = value,
            ("--from", Some(value)) => from = value,
            ("--threads", Some(value)) => threads = Some(value as usize),
            ("--show", Some(value)) => shows = value > 0,
            ("--break", Some(1..=RULES)) => {
                broken = value.and_then(|value| Rule::ALL.get(value as usize - 1).copied());
            }
            ("--lines", Some(value)) => lines = value as usize,
            _ => {
                return say(
                    "usage: simulate [--seeds N] [--from S] [--threads N] [--lines N] [--show 1] [--break N]\n",
                    ExitCode::FAILURE,
                );
            }
        }
    }
    let threads = threads
        .or_else(|| std::thread::available_parallelism().ok().map(usize::from))
        .unwrap_or(1);
    // The catalog's directories; a file system in memory spares thousands of real syncs.
    let base = std::path::Path::new("/dev/shm");
    let scratch = if base.is_dir() {
        tempfile::tempdir_in(base)
    } else {
        tempfile::tempdir()
    };
    let Ok(scratch) = scratch else {
        return say("no directory for the runs\n", ExitCode::FAILURE);
    };
    let (next, done) = (AtomicU64::new(from), AtomicU64::new(0));
    let outcome = Mutex::new((Figures::default(), Vec::new()));
    let began = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Relaxed);
                    if seed >= from.saturating_add(seeds) {
                        return;
                    }
                    let dir = scratch.path().join(seed.to_string());
                    let made = std::fs::create_dir_all(&dir);
                    let ran = run(seed, &dir, lines, broken);
                    // Left behind it would only take memory until the end.
                    std::fs::remove_dir_all(&dir).or(made).ok();
                    let mut outcome = outcome.lock().unwrap_or_else(PoisonError::into_inner);
                    match ran {
                        Ok(passed) => {
                            if shows {
                                let history = passed.history.join("\n");
                                say(&format!("seed {seed}: {:x}\n{history}\n", passed.hash), ());
                            }
                            outcome.0 = outcome.0 + passed.figures;
                        }
                        Err(failed) => {
                            if outcome.1.len() < SHOWN {
                                say(&format!("\n{failed}\n"), ());
                            }
                            outcome.1.push((seed, failed.reason));
                        }
                    }
                    done.fetch_add(1, Relaxed);
                }
            });
        }
        let mut told = Instant::now();
        while done.load(Relaxed) < seeds {
            std::thread::sleep(Duration::from_millis(50));
            if told.elapsed() > Duration::from_secs(5) {
                told = Instant::now();
                let failed = outcome
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .1
                    .len();
                let done = done.load(Relaxed);
                say(&format!("{done} of {seeds} seeds, {failed} failed\n"), ());
            }
        }
    });
    let (figures, mut failures) = outcome.into_inner().unwrap_or_else(PoisonError::into_inner);
    let took = began.elapsed();
    say(
        &format!("{seeds} seeds from {from} in {took:.1?}\n{figures:#?}\n"),
        (),
    );
    failures.sort();
    for (seed, reason) in &failures {
        say(&format!("seed {seed}: {reason}\n"), ());
    }
    say(
        &format!("{} of {seeds} seeds failed\n", failures.len()),
        if failures.is_empty() {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        },
    )
}

fn say<T>(text: &str, then: T) -> T {
    let mut out = std::io::stdout().lock();
    // Nobody listens any more; the exit code tells all the same.
    out.write_all(text.as_bytes())
        .and_then(|()| out.flush())
        .ok();
    then
}
