//! Some damaged stores of each kind. `cargo run --release -p jetsled-tests --bin damage -- 1000` for many.

use jetsled_tests::damage::{Action, Kind, run};

const SEEDS: u64 = 6;

fn check(kind: Kind) {
    let mut failures = Vec::new();
    for seed in 1..=SEEDS {
        let action = Action::of_seed(seed);
        let dir = tempfile::tempdir().expect("a temporary directory");
        if let Err(what) = run(seed, kind, action, dir.path()) {
            failures.push(format!("{kind:?} {action:?} seed {seed}: {what}"));
        }
    }
    assert!(failures.is_empty(), "{failures:#?}");
}

#[test]
fn a_damaged_segment_costs_the_records_that_were_hit() {
    check(Kind::Segment);
}

#[test]
fn a_damaged_index_costs_nothing() {
    check(Kind::Index);
}

#[test]
fn a_damaged_catalog_costs_nothing() {
    check(Kind::Catalog);
}

#[test]
fn a_damaged_description_costs_nothing() {
    check(Kind::Description);
}

#[test]
fn other_files_can_be_lost() {
    check(Kind::Other);
}
