//! Some histories with crashes and failures, and that a seed tells all of its history.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use jetsled_simulator::{Figures, Passed, Rule, run};

/// How many histories; the program `simulate` runs as many as one likes.
const SEEDS: u64 = 32;

fn history(seed: u64) -> Passed {
    let scratch = tempfile::tempdir().expect("a directory");
    run(seed, scratch.path(), 100, None).unwrap_or_else(|failed| panic!("{failed}"))
}

#[test]
fn promises_are_kept_whatever_happens() {
    let next = AtomicU64::new(0);
    let figures = Mutex::new(Figures::default());
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while let seed = next.fetch_add(1, Relaxed)
                    && seed < SEEDS
                {
                    let passed = history(seed);
                    let mut figures = figures.lock().expect("no panic");
                    *figures = *figures + passed.figures;
                }
            });
        }
    });
    let figures = figures.into_inner().expect("no panic");
    assert!(figures.acknowledged > SEEDS * 20, "{figures:?}");
    assert!(figures.power_cuts + figures.kills > SEEDS, "{figures:?}");
    assert!(figures.flips > 0 && figures.full > 0, "{figures:?}");
    assert!(figures.key_changes > 0, "{figures:?}");
}

#[test]
fn the_same_seed_is_the_same_history() {
    for seed in [3, 1_000_003] {
        assert_eq!(history(seed).hash, history(seed).hash, "seed {seed}");
    }
}

#[test]
fn a_rule_that_is_broken_on_purpose_is_noticed() {
    for rule in Rule::ALL {
        let noticed = (0..40).find_map(|seed| {
            let scratch = tempfile::tempdir().expect("a directory");
            let failed = run(seed, scratch.path(), 0, Some(rule)).err()?;
            Some((seed, failed.reason))
        });
        println!("{rule:?}: {noticed:?}");
        assert!(noticed.is_some(), "{rule:?}");
    }
}
