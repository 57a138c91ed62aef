//! Push consumers: interest, heartbeats, flow control, pace.

use jetsled_jetstream_api::{ConsumerSeq, StreamSeq};

use crate::world::World;

fn push(more: &str) -> String {
    format!(r#"{{"durable_name":"C","deliver_subject":"d","ack_policy":"none"{more}}}"#)
}

#[test]
fn messages_flow_while_somebody_listens() {
    let mut world = World::new(&push(""), &["a"; 2]);
    assert_eq!(
        world.turn(|_, _| {}),
        ["push: 1 as 1, 1 left", "push: 2 as 2, 0 left"]
    );
    assert!(world.info().push_bound);
    world.subscribe("d", false);
    assert!(!world.info().push_bound);
    assert!(world.store("a").is_empty());
    assert_eq!(world.subscribe("d", true), ["push: 3 as 3, 0 left"]);
    assert_eq!(
        world.numbers(),
        "delivered 3/3 floor 3/3 unacked 0 redelivered 0 waiting 0 pending 0"
    );
}

#[test]
fn an_update_of_the_group_stops_no_deliveries() {
    let durable = |subject: &str, group: &str| {
        format!(r#"{{"durable_name":"C","deliver_subject":"{subject}","deliver_group":"{group}"}}"#)
    };
    let mut world = World::new(&durable("d", "q"), &[]);
    world.subscribe("d queue q", true);
    for gone in ["d", "d queue r", "e queue q", "e queue r", "e queue s"] {
        world.subscribe(gone, false);
    }
    world.update(&durable("d", "r"));
    assert!(world.info().push_bound);
    assert_eq!(world.store("a"), ["push: 1 as 1, 0 left"]);
    world.subscribe("d queue r", true);
    world.subscribe("d queue q", false);
    assert!(world.info().push_bound);
    world.update(&durable("e", "s"));
    for (group, counts) in [("q", false), ("r", true), ("s", true)] {
        world.subscribe(&format!("e queue {group}"), true);
        assert_eq!(world.info().push_bound, counts, "{group}");
        world.subscribe(&format!("e queue {group}"), false);
    }
    world.restart();
    world.subscribe("e queue r", true);
    assert!(!world.info().push_bound);
    world.subscribe("e queue s", true);
    assert!(world.info().push_bound);
}

#[test]
fn a_pull_request_is_refused() {
    let mut world = World::new(&push(""), &[]);
    let refused = ["r: 409 Consumer is push based"];
    assert_eq!(world.pull("r", ""), refused);
    // Before anything else that is wrong with it (observed nats-server 2.15.1).
    assert_eq!(world.pull_above_api_level("r"), refused);
}

#[test]
fn heartbeats_come_only_when_idle_and_only_to_somebody() {
    let mut world = World::new(&push(r#","idle_heartbeat":1000000000"#), &[]);
    world.advance(900);
    assert_eq!(world.store("a"), ["push: 1 as 1, 0 left"]);
    assert!(world.advance(999).is_empty());
    let beat = "d: 100 Idle Heartbeat | Nats-Last-Consumer: 1 | Nats-Last-Stream: 1";
    assert_eq!(world.advance(1), [beat]);
    world.subscribe("d", false);
    assert!(world.advance(5000).is_empty());
    world.subscribe("d", true);
    let until = world
        .now
        .saturating_add(jetsled_jetstream_api::Nanos::from_secs(60));
    world.pause(until);
    assert_eq!(world.advance(1000), [beat], "while paused too");
}

#[test]
fn flow_control_stops_at_the_window_and_goes_on_with_the_answer() {
    let config = push(r#","flow_control":true,"idle_heartbeat":1000000000"#);
    let mut world = World::new(&config, &[]);
    for _ in 0..8 {
        world.stream.store("a", 512 * 1024, world.now);
    }
    let lines = world.turn(|_, _| {});
    // 2 MiB may be under way, more than half of it is asked about.
    assert_eq!(
        lines,
        [
            "push: 1 as 1, 7 left",
            "push: 2 as 2, 6 left",
            "d: 100 FlowControl Request",
            "push: 3 as 3, 5 left",
            "push: 4 as 4, 4 left"
        ]
    );
    let lines = world.advance(1000);
    assert_eq!(
        lines,
        [
            "d: 100 Idle Heartbeat | Nats-Last-Consumer: 4 | Nats-Last-Stream: 4 | \
          Nats-Consumer-Stalled: ..."
        ]
    );
    let answer = |world: &mut World, subject: &str| {
        world.turn(|consumer, ctx| {
            consumer.on_flow_control_reply(subject.as_bytes(), None, ctx);
        })
    };
    assert!(answer(&mut world, "$JS.FC.S.C.nope").is_empty());
    let asked = world.last_flow_control.clone().expect("a request");
    let lines = answer(&mut world, &asked);
    assert_eq!(
        lines.iter().filter(|line| line.starts_with("push")).count(),
        4,
        "{lines:?}"
    );
}

#[test]
fn acks_by_flow_control_cover_everything_that_was_processed() {
    let config = r#"{"durable_name":"C","deliver_subject":"d","ack_policy":"flow_control",
        "flow_control":true,"idle_heartbeat":1000000000,"max_ack_pending":2}"#;
    let mut world = World::new(config, &["a"; 3]);
    assert_eq!(
        world.turn(|_, _| {}),
        [
            "push: 1 as 1, 2 left",
            "push: 2 as 2, 1 left",
            "d: 100 FlowControl Request"
        ]
    );
    let asked = world.last_flow_control.clone().expect("a request");
    let lines = world.turn(|consumer, ctx| {
        let processed = Some((ConsumerSeq(2), StreamSeq(2)));
        consumer.on_flow_control_reply(asked.as_bytes(), processed, ctx);
    });
    assert_eq!(lines, ["push: 3 as 3, 0 left"]);
    assert_eq!(
        world.numbers(),
        "delivered 3/3 floor 2/2 unacked 1 redelivered 0 waiting 0 pending 0"
    );
    let lines = world.advance(1000);
    assert!(
        lines.contains(&"d: 100 FlowControl Request".to_owned()),
        "{lines:?}"
    );
}

#[test]
fn a_rate_limit_spreads_messages() {
    // One byte a millisecond, and a bucket of a million bytes.
    let mut world = World::new(&push(r#","rate_limit_bps":8000"#), &[]);
    for _ in 0..3 {
        world.stream.store("a", 999_000, world.now);
    }
    assert_eq!(world.turn(|_, _| {}), ["push: 1 as 1, 2 left"]);
    assert!(world.advance(990_000).is_empty());
    assert_eq!(world.advance(10_000), ["push: 2 as 2, 1 left"]);
}

#[test]
fn original_replay_keeps_the_gaps_of_what_was_stored() {
    let mut world = World::new(&push(r#","replay_policy":"original""#), &["a"; 3]);
    assert_eq!(world.turn(|_, _| {}), ["push: 1 as 1, 2 left"]);
    assert!(world.advance(999).is_empty());
    assert_eq!(world.advance(1), ["push: 2 as 2, 1 left"]);
    assert_eq!(world.advance(1000), ["push: 3 as 3, 0 left"]);
    world.advance(60_000);
    assert_eq!(world.store("a"), ["push: 4 as 4, 0 left"]);
    assert_eq!(
        world.store("a"),
        ["push: 5 as 5, 0 left"],
        "afterwards at once"
    );
}

#[test]
fn a_new_deliver_subject_gets_everything_unacked_again() {
    let config = r#"{"durable_name":"C","deliver_subject":"d","ack_policy":"explicit"}"#;
    let mut world = World::new(config, &["a"; 3]);
    world.turn(|_, _| {});
    world.ack(2, "", "");
    let config = config.replace(r#""d""#, r#""e""#);
    assert_eq!(
        world.update(&config),
        [
            "push: 1 as 4, 0 left again (2)",
            "push: 3 as 5, 0 left again (2)"
        ]
    );
}
