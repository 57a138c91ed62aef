//! What configurations mean here is what they mean on nats-server 2.15.1.
//!
//! `tests/src/observed` tells how; `cargo run -p jetsled-tests --bin observed` records and compares.
#![cfg(target_os = "linux")] // All of 127.0.0.0/8 is this machine.

use jetsled_testkit::program;
use jetsled_tests::observed::{configuration, corpus, differences, lines};

#[test]
fn configurations_have_the_verdict_and_the_effect_of_nats_server() {
    let parts = corpus::read().expect("the corpus is read");
    let allowed = differences::read("differences.txt").expect("the allowed differences are read");
    let cases: Vec<_> = parts.iter().flat_map(|part| &part.cases).collect();
    assert!(cases.len() >= 250, "only {} configurations", cases.len());
    let mut wrong = Vec::new();
    let found = configuration::observe_all(program(), &parts);
    for (case, found) in cases.iter().zip(found) {
        match found {
            Ok(found) => wrong.extend(
                lines::differences(&case.recorded, &found)
                    .into_iter()
                    .map(|difference| format!("{}: {difference}", case.title))
                    .filter(|difference| !allowed.allow(difference)),
            ),
            Err(error) => wrong.push(format!("{}: {error}", case.title)),
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(
        allowed.unused(),
        Vec::<String>::new(),
        "these differences are no more"
    );
}
