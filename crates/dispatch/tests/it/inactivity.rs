//! Consumers that nobody uses go away.

use jetsled_jetstream_api::Nanos;

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
    // The ack may come within 30 s; the timer then starts once more, for whoever asks next (observed nats-server 2.15.1). And then
    // there are another 5 s and up to one.
    assert!(world.advance(65_000).is_empty());
    assert_eq!(world.advance(1100), ["delete"]);
}

#[test]
fn a_message_that_was_handed_back_keeps_it_for_one_ack_wait() {
    let mut world = World::new(PULL, &["a"]);
    world.pull("r", r#"{"no_wait":true}"#);
    assert!(world.advance(1000).is_empty());
    world.ack(1, "-NAK", "");
    assert!(world.advance(34_000).is_empty());
    assert_eq!(world.advance(1100), ["delete"]);
}

#[test]
fn a_request_keeps_it_until_a_threshold_after_its_expiry() {
    let mut world = World::new(PULL, &[]);
    for expires in [8_000, 13_000, 21_000] {
        world.pull("r", &format!(r#"{{"expires":{expires}000000}}"#));
        let lines = world.advance(expires);
        assert!(lines[0].starts_with("r: 408"), "{lines:?}");
        assert!(world.advance(4900).is_empty());
    }
    assert_eq!(world.advance(1200), ["delete"]);
}

#[test]
fn a_request_that_a_message_finds_expired_keeps_it_too() {
    let mut world = World::new(PULL, &[]);
    world.pull("r", r#"{"expires":8000000000}"#);
    world.now = world.now.saturating_add(Nanos::from_secs(8));
    assert!(world.store("a")[0].starts_with("r: 408"));
    assert!(world.advance(5000).is_empty());
    assert_eq!(world.advance(1100), ["delete"]);
}

#[test]
fn an_ack_ends_the_wait_for_what_was_unacked() {
    let mut world = World::new(PULL, &["a"]);
    world.pull("r", r#"{"no_wait":true}"#);
    // It is looked at meanwhile, and to be looked at again when the ack is late.
    assert!(world.advance(10_000).is_empty());
    world.ack(1, "", "");
    assert!(world.advance(5000).is_empty());
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
