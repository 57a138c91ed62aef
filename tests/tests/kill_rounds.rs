//! SIGKILL at random moments while everything goes on at once: what was answered holds after each restart.

use std::time::Duration;

use jetsled_testkit::Launch;
use jetsled_tests::crash::{End, Trial, Violation};

const ROUNDS: u64 = 20;
const LONGEST: Duration = Duration::from_millis(300);

#[test]
fn what_was_answered_holds_after_each_of_twenty_kills() {
    let seed: u64 = std::env::var("JETSLED_SEED").map_or_else(
        |_| rand::random(),
        |seed| seed.parse().expect("JETSLED_SEED is a number"),
    );
    println!("JETSLED_SEED={seed}");
    let mut trial = Trial::new(Launch::new(), End::Kill, LONGEST, seed).expect("a directory");
    for round in 0..ROUNDS {
        let violations = if round % 10 == 9 {
            trial.drain()
        } else {
            trial.round()
        };
        let violations = violations.unwrap_or_else(|error| panic!("JETSLED_SEED={seed}: {error}"));
        let told: Vec<_> = violations
            .iter()
            .take(5)
            .map(Violation::to_string)
            .collect();
        assert!(
            violations.is_empty(),
            "JETSLED_SEED={seed}, round {round}: {} such as\n{}",
            violations.len(),
            told.join("\n")
        );
    }
    let tally = trial.tally();
    println!("{tally:?}");
    assert!(
        tally.messages > 1000 && tally.acks > 200 && tally.changes > 10,
        "the load is too small: {tally:?}"
    );
}
