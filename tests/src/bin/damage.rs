//! Damages stores, many times: `damage [SEEDS] [FIRST] [KIND]`. One line a kind of file and of damage; failures with their seeds.
#![expect(clippy::print_stdout, reason = "a command-line program reports on it")]

use std::panic::catch_unwind;
use std::process::ExitCode;

use jetsled_tests::damage::store::{Kind, Outcome, run};
use jetsled_tests::damage::{Action, scratch};

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let seeds: u64 = arguments.next().and_then(|n| n.parse().ok()).unwrap_or(100);
    let first: u64 = arguments.next().and_then(|n| n.parse().ok()).unwrap_or(1);
    let wanted = arguments.next();
    let mut failures = 0;
    for kind in Kind::ALL {
        if wanted.as_ref().is_some_and(|w| *w != format!("{kind:?}")) {
            continue;
        }
        let mut sums = Action::ALL.map(|action| (action, Outcome::default()));
        let mut failed = Vec::new();
        for seed in first..first + seeds {
            let Ok(dir) = scratch() else {
                return ExitCode::FAILURE;
            };
            let outcome = catch_unwind(|| run(seed, kind, Action::of_seed(seed), dir.path()))
                .unwrap_or_else(|_| Err("panicked".to_owned()));
            match outcome {
                Ok(Some((done, outcome))) => {
                    let sum = sums.iter_mut().find(|(action, _)| *action == done);
                    if let Some((_, sum)) = sum {
                        *sum += outcome;
                    }
                }
                Ok(None) => {}
                Err(what) => failed.push((seed, what)),
            }
        }
        for (action, sum) in sums {
            let Outcome {
                stores,
                encrypted,
                messages,
                hit,
                lost,
                told_by_place,
                unvouched,
                orphaned,
            } = sum;
            println!(
                "{kind:?} {action:?}: {stores} damaged, {encrypted} of them encrypted, {messages} messages, {hit} hit, {lost} lost, {told_by_place} of them told by place only, {unvouched} unvouched, {orphaned} kept without their stream"
            );
        }
        println!("{kind:?}: {} failures", failed.len());
        for (seed, what) in &failed {
            println!("  seed {seed}: {}", what.get(..1500).unwrap_or(what));
        }
        failures += failed.len();
    }
    if failures == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
