//! The same requests, publishes and deliveries as on nats-server 2.15.1 have the same answers here.
//!
//! `tests/src/histories` tells how; `cargo run -p jetsled-tests --bin histories` records, compares and shows.

use jetsled_testkit::program;
use jetsled_tests::histories::allowed;
use jetsled_tests::histories::catalog::PARTS;
use jetsled_tests::histories::compare::{self, Patience};

/// Plays a part that has at least so many histories and steps.
fn check(name: &str, histories: usize, steps: usize) {
    let part = PARTS
        .iter()
        .find(|part| part.name == name)
        .expect("a part of the catalog");
    let open = allowed::open(name);
    let report = compare::part(program(), part, Patience::AsRecorded, |name| {
        !open.iter().any(|open| open == name)
    })
    .expect("a recording and a server");
    assert!(
        report.outdated.is_empty(),
        "changed since they were recorded (docs: CONTRIBUTING.md, differential test): {:?}",
        report.outdated
    );
    assert!(
        report.played >= histories && report.steps >= steps,
        "{name} has only {} histories with {} steps",
        report.played,
        report.steps
    );
    let differences: Vec<String> = report
        .differences
        .iter()
        .take(10)
        .map(ToString::to_string)
        .collect();
    assert!(
        report.differing().is_empty(),
        "{} of {} histories differ: {:?}; failed: {:?}; the first differences:\n{}",
        report.differing().len(),
        report.played,
        report.differing(),
        report.failed,
        differences.join("\n")
    );
}

#[test]
fn requests_on_streams_are_answered_as_nats_server_does() {
    check("stream-api", 90, 5000);
}

#[test]
fn random_histories_on_streams_are_answered_as_nats_server_does() {
    check("stream-random", 180, 90_000);
}

#[test]
fn requests_on_consumers_are_answered_as_nats_server_does() {
    check("consumer-api", 50, 4500);
}

#[test]
fn random_deliveries_are_those_of_nats_server() {
    check("consumer-random", 390, 28_000);
}
