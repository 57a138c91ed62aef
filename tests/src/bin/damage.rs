//! Damages stores, many times: `damage [SEEDS] [FIRST] [KIND]`. One line a kind of file and of damage; failures with their seeds.
#![expect(clippy::print_stdout, reason = "a command-line program reports on it")]

use std::panic::catch_unwind;
use std::process::ExitCode;

use jetsled_tests::damage::{Action, Kind, Outcome, run, scratch};

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
        let mut sums = Action::ALL.map(|action| (action, 0, Outcome::default()));
        let mut failed = Vec::new();
        for seed in first..first + seeds {
            let Ok(dir) = scratch() else {
                return ExitCode::FAILURE;
            };
            let action = Action::of_seed(seed);
            let outcome = catch_unwind(|| run(seed, kind, action, dir.path()))
                .unwrap_or_else(|_| Err("panicked".to_owned()));
            match outcome {
                Ok(outcome) => {
                    let done = |(action, ..): &&mut (Action, _, _)| Some(*action) == outcome.action;
                    if let Some((_, count, sum)) = sums.iter_mut().find(done) {
                        *count += 1;
                        sum.messages += outcome.messages;
                        sum.hit += outcome.hit;
                        sum.lost += outcome.lost;
                        sum.told_by_place += outcome.told_by_place;
                        sum.orphaned += outcome.orphaned;
                    }
                }
                Err(what) => failed.push((seed, what)),
            }
        }
        for (action, count, sum) in sums {
            println!(
                "{kind:?} {action:?}: {count} damaged, {} messages, {} hit, {} lost, {} told by place only, {} kept without their stream",
                sum.messages, sum.hit, sum.lost, sum.told_by_place, sum.orphaned
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
