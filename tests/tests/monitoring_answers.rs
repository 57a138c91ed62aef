//! Monitoring, the services of the system account and its events show what nats-server 2.15.1 shows after the same histories.
//!
//! `tests/src/observed/monitoring` tells how; `cargo run -p jetsled-tests --bin observed` records and compares.

use jetsled_testkit::program;
use jetsled_tests::observed::{differences, monitoring};

#[test]
fn the_same_is_shown_after_the_same_history() {
    let allowed = differences::read("monitoring/differences").expect("the allowed differences");
    let scripts = monitoring::scripts().expect("histories");
    let mut questions = 0;
    let mut wrong = Vec::new();
    for script in scripts {
        questions += script.recorded().expect("a recording").len();
        let differences = script.compare(program()).expect("a history");
        wrong.extend(differences.into_iter().filter(|one| !allowed.allow(one)));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(questions >= 400, "only {questions} questions");
    assert_eq!(
        allowed.unused(),
        Vec::<String>::new(),
        "these differences are no more"
    );
}
