//! SIGKILL at random moments under load: nothing that was acknowledged may be missing after the restart.

use std::time::Duration;

use jetsled_testkit::Launch;
use jetsled_tests::crash::{Journal, Load, create_streams};
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};

const ROUNDS: u64 = 20;

#[test]
fn what_was_acknowledged_is_there_after_each_of_twenty_kills() {
    let seed: u64 = std::env::var("JETSLED_SEED").map_or_else(
        |_| rand::random(),
        |seed| seed.parse().expect("JETSLED_SEED is a number"),
    );
    println!("JETSLED_SEED={seed}");
    let mut random = SmallRng::seed_from_u64(seed);
    let store = tempfile::tempdir().expect("a temporary directory");
    let mut server = Launch::new()
        .jetstream(store.path())
        .start()
        .expect("the server starts");
    create_streams(server.address()).expect("streams");
    let mut journal = Journal::default();
    for round in 0..ROUNDS {
        let load = Load::start(server.address(), round).expect("publishers connect");
        std::thread::sleep(Duration::from_micros(random.random_range(20_000..400_000)));
        server.kill();
        let before = journal.len();
        journal
            .record(load.finish().expect("every publish is taken"))
            .expect("fresh sequences");
        server
            .start_again()
            .unwrap_or_else(|error| panic!("round {round}: {error}"));
        // The last round looks at what all rounds left.
        let since = if round == ROUNDS - 1 { 0 } else { round };
        let losses = journal
            .losses(server.address(), since..)
            .expect("the server answers");
        println!(
            "round {round}: {} acknowledged, {} in all, ready after {:?}",
            journal.len() - before,
            journal.len(),
            server.ready_after()
        );
        assert!(
            losses.is_empty(),
            "JETSLED_SEED={seed}, round {round}: {} of {} lost, such as {:?}",
            losses.len(),
            journal.len(),
            losses[0]
        );
    }
    assert!(
        journal.len() > 1000,
        "only {} messages were acknowledged",
        journal.len()
    );
}
