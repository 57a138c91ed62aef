//! Consumers that nobody uses go away.

use crate::world::World;

const PULL: &str = r#"{"name":"C","ack_policy":"explicit","inactive_threshold":5000000000}"#;
const PUSH: &str = r#"{"name":"C","deliver_subject":"d","inactive_threshold":5000000000}"#;

#[test]
fn a_pull_consumer_goes_a_threshold_after_its_last_use() {
    let mut world = World::new(PULL, &[]);
    assert!(world.advance(4000).is_empty());
    world.pull("r", r#"{"no_wait":true}"#);
    assert!(world.advance(5000).is_empty());
    assert_eq!(world.advance(1100), ["delete"]);
}

#[test]
fn a_waiting_request_and_an_open_ack_keep_it() {
    let mut world = World::new(PULL, &[]);
    world.pull("r", "1");
    assert!(world.advance(60_000).is_empty());
    assert_eq!(world.store("a"), ["r: 1 as 1, 0 left"]);
    // The ack may come within 30 s, and then there are another 5 s and up to one.
    assert!(world.advance(35_000).is_empty());
    assert_eq!(world.advance(1100), ["delete"]);
}

#[test]
fn a_push_consumer_goes_a_threshold_after_its_last_subscriber() {
    let mut world = World::new(PUSH, &[]);
    assert!(world.advance(60_000).is_empty());
    world.subscribe("d", false);
    assert!(world.advance(4000).is_empty());
    world.subscribe("d", true);
    assert!(world.advance(60_000).is_empty());
    world.subscribe("d", false);
    assert!(world.advance(4999).is_empty());
    assert_eq!(world.advance(1), ["delete"]);
}

#[test]
fn any_ack_keeps_it() {
    let push = PUSH.replace("\"name\"", "\"ack_policy\":\"explicit\",\"name\"");
    let mut world = World::new(&push, &["a"]);
    world.subscribe("d", false);
    for _ in 0..3 {
        assert!(world.advance(4000).is_empty());
        world.ack(1, "+WPI", "");
    }
    assert!(world.advance(4999).is_empty());
    assert_eq!(world.advance(1), ["delete"]);
}

#[test]
fn a_durable_stays() {
    let mut world = World::new(r#"{"durable_name":"C","ack_policy":"explicit"}"#, &[]);
    assert!(world.advance(1_000_000_000).is_empty());
}
