//! Some damaged stores of each kind. `cargo run --release -p jetsled-tests --bin damage -- 1000` for many.

use jetsled_testkit::program;
use jetsled_tests::damage::programs::{self, Layout};
use jetsled_tests::damage::store::{Kind, run};
use jetsled_tests::damage::{Action, scratch};

const SEEDS: u64 = 6;

fn check(kind: Kind) {
    let mut failures = Vec::new();
    for seed in 1..=SEEDS {
        let action = Action::of_seed(seed);
        let dir = scratch().expect("a temporary directory");
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

/// As clients of the program see it. `cargo run -p jetsled-tests --bin damage-programs` does the same to nats-server beside it.
#[test]
fn clients_of_a_damaged_program_get_what_was_not_hit() {
    use programs::Kind;
    for (seed, kind) in [(1, Kind::Messages), (2, Kind::State)] {
        let dir = scratch().expect("a temporary directory");
        let outcome = programs::run(seed, program(), Layout::Jetsled, kind, dir.path());
        let (action, outcome) = outcome.expect("a store").expect("such files");
        let broken = outcome.not_started
            + outcome.altered
            + outcome.streams_gone
            + outcome.consumers_gone
            + outcome.lost_unhit
            + outcome.untold
            + outcome.given_again_knowingly;
        assert!(outcome.messages > 0, "{outcome:?}");
        assert_eq!(broken, 0, "{kind:?} {action:?} seed {seed}: {outcome:?}");
    }
}
