//! Priority groups.

use crate::world::World;

fn grouped(policy: &str) -> World {
    let config = format!(
        r#"{{"durable_name":"C","ack_policy":"explicit","priority_groups":["g"],
            "priority_policy":"{policy}","priority_timeout":10000000000}}"#
    );
    World::new(&config, &[])
}

#[test]
fn the_best_priority_is_served_first_and_equals_take_turns() {
    let mut world = grouped("prioritized");
    for (reply, priority) in [("low", 5), ("a", 1), ("b", 1)] {
        let request = format!(r#"{{"group":"g","batch":2,"priority":{priority}}}"#);
        assert!(world.pull(reply, &request).is_empty());
    }
    world.pull("plain", "1");
    for (seq, want) in ["a", "b", "a", "b", "low", "low", "plain"]
        .iter()
        .enumerate()
    {
        let seq = seq + 1;
        assert_eq!(
            world.store("x"),
            [format!("{want}: {seq} as {seq}, 0 left")]
        );
    }
}

#[test]
fn overflow_serves_once_a_threshold_is_reached() {
    let mut world = grouped("overflow");
    assert!(
        world
            .pull("o", r#"{"group":"g","batch":5,"min_pending":3}"#)
            .is_empty()
    );
    assert!(world.store("x").is_empty());
    assert!(world.store("x").is_empty());
    assert_eq!(
        world.store("x"),
        ["o: 1 as 1, 2 left"],
        "three were pending"
    );
    assert!(
        world
            .pull("p", r#"{"group":"g","batch":5,"min_ack_pending":2}"#)
            .is_empty()
    );
    assert_eq!(
        world.pull("always", r#"{"group":"g","batch":1}"#),
        ["always: 2 as 2, 1 left", "p: 3 as 3, 0 left"],
        "which made two unacked"
    );
}

#[test]
fn a_pinned_client_gets_everything_until_it_stays_away() {
    let mut world = grouped("pinned_client");
    world.pull("one", r#"{"group":"g","batch":1}"#);
    world.pull("two", r#"{"group":"g","batch":9}"#);
    let lines = world.store("x");
    assert!(lines[0].starts_with(r#"Pinned { group: "g""#), "{lines:?}");
    assert_eq!(lines[1..], ["one: 1 as 1, 0 left pinned"]);
    let pin = world.info().priority_groups[0].pinned_client_id.clone();
    assert_eq!(pin.len(), 22);
    assert!(world.store("x").is_empty(), "two is not pinned");
    assert_eq!(
        world.pull("bad", r#"{"group":"g","id":"nope"}"#),
        ["bad: 423 Nats-Pin-Id mismatch"]
    );
    let request = format!(r#"{{"group":"g","batch":2,"id":"{pin}"}}"#);
    assert_eq!(world.pull("one", &request), ["one: 2 as 2, 0 left pinned"]);
    world.store("x");
    world.store("x");
    let lines = world.advance(10_000);
    assert_eq!(lines[0], r#"Unpinned { group: "g", reason: Timeout }"#);
    assert!(lines[1].starts_with("Pinned"), "{lines:?}");
    assert_eq!(lines[2..], ["two: 4 as 4, 0 left pinned"]);
}

#[test]
fn unpin_lets_another_client_in_and_tells_the_old_one() {
    let mut world = grouped("pinned_client");
    world.pull("one", r#"{"group":"g","batch":5}"#);
    world.pull("two", r#"{"group":"g","batch":5}"#);
    world.store("x");
    let lines = world.turn(|consumer, ctx| consumer.unpin("g", ctx));
    assert_eq!(lines, [r#"Unpinned { group: "g", reason: Admin }"#]);
    let lines = world.store("x");
    assert!(lines[0].starts_with("Pinned"), "{lines:?}");
    assert_eq!(lines[1..], ["two: 2 as 2, 0 left pinned"]);
    let lines = world.store("x");
    assert_eq!(
        lines,
        [
            "one: 423 Nats-Wrong-Pin-Id | Messages: 4 | Bytes: 0",
            "two: 3 as 3, 0 left pinned"
        ]
    );
}
