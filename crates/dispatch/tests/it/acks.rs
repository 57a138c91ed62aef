//! Acks, naks, timers, floors, limits of deliveries.

use jetsled_dispatch::AckEvent;
use jetsled_jetstream_api::{AckKind, AckNumbers, RetentionPolicy};

use crate::world::World;

const EXPLICIT: &str = r#"{"durable_name":"C","ack_policy":"explicit"}"#;

/// A consumer of `count` messages that were all delivered.
fn delivered(config: &str, count: usize) -> World {
    let mut world = World::new(config, &vec!["a"; count]);
    assert_eq!(world.pull("r", &count.to_string()).len(), count);
    world
}

fn floor(world: &mut World) -> (u64, u64) {
    let floor = world.info().ack_floor;
    (floor.consumer_seq.get(), floor.stream_seq.get())
}

#[test]
fn explicit_acks_move_the_floor_to_just_before_the_first_pending_message() {
    let mut world = delivered(EXPLICIT, 5);
    for (seq, want) in [(2, 0), (4, 0), (1, 2), (3, 4), (5, 5)] {
        assert!(world.ack(seq, "", "").is_empty());
        assert_eq!(floor(&mut world), (want, want), "after the ack of {seq}");
    }
    assert_eq!(
        world.numbers(),
        "delivered 5/5 floor 5/5 unacked 0 redelivered 0 waiting 0 pending 0"
    );
}

#[test]
fn an_ack_of_all_covers_everything_before() {
    let mut world = delivered(r#"{"durable_name":"C","ack_policy":"all"}"#, 5);
    world.ack(3, "", "");
    assert_eq!(floor(&mut world), (3, 3));
    assert!(
        world.ack(0, "", "i").is_empty(),
        "no message has this number"
    );
    assert_eq!(world.ack(2, "", "i"), ["i: confirmed"]);
    assert_eq!(
        world.numbers(),
        "delivered 5/5 floor 3/3 unacked 2 redelivered 0 waiting 0 pending 0"
    );
    world.ack(5, "+OK", "");
    assert_eq!(floor(&mut world), (5, 5));
}

#[test]
fn acks_are_confirmed_unless_there_was_no_such_delivery() {
    for (seq, payload, want) in [
        (1, "", true),
        (1, "+ACK", true),
        (1, "-NAK", true),
        (1, "+WPI", true),
        (1, "+TERM", true),
        (1, "gibberish", true),
        // A subject without a sequence names no message, and is an ack all the same (observed nats-server 2.15.1).
        (0, "", true),
        (0, "-NAK", false),
        (9, "", false),
        (1, "+NXT", false),
    ] {
        let mut world = delivered(EXPLICIT, 2);
        let lines = world.ack(seq, payload, "i");
        let confirmed = lines.iter().any(|line| line == "i: confirmed");
        assert_eq!(confirmed, want, "{payload:?} of {seq}: {lines:?}");
    }
    let mut world = delivered(EXPLICIT, 1);
    world.ack(1, "", "");
    assert_eq!(world.ack(1, "", "i"), ["i: confirmed"], "a repeated ack");
}

#[test]
fn unacked_messages_come_again_after_the_ack_wait_in_stream_order_and_first() {
    let config = r#"{"durable_name":"C","ack_policy":"explicit","ack_wait":1000000000}"#;
    let mut world = delivered(config, 3);
    world.ack(2, "", "");
    assert!(world.advance(999).is_empty());
    assert!(world.advance(1).is_empty());
    world.store("a");
    assert_eq!(
        world.pull("q", "5"),
        [
            "q: 1 as 4, 1 left again (2)",
            "q: 3 as 5, 1 left again (2)",
            "q: 4 as 6, 0 left"
        ]
    );
    assert_eq!(
        world.numbers(),
        "delivered 6/4 floor 0/0 unacked 3 redelivered 2 waiting 1 pending 0"
    );
    world.ack(1, "", "");
    // The floor counts first deliveries.
    assert_eq!(floor(&mut world), (2, 2));
}

#[test]
fn backoff_stretches_the_wait_and_its_last_entry_repeats() {
    let config =
        r#"{"durable_name":"C","ack_policy":"explicit","backoff":[1000000000,3000000000]}"#;
    let mut world = delivered(config, 1);
    world.pull("q", "10");
    for (wait, count) in [(1000, 2), (3000, 3), (3000, 4)] {
        assert!(
            world.advance(wait - 1).is_empty(),
            "before delivery {count}"
        );
        let want = format!("q: 1 as {count}, 0 left again ({count})");
        assert_eq!(world.advance(1), [want]);
    }
}

#[test]
fn naks_deliver_again_at_once_or_after_their_delay() {
    let mut world = delivered(EXPLICIT, 2);
    world.pull("q", "10");
    let nak = "Nak { consumer_seq: (2), stream_seq: (2), deliveries: 1 }";
    assert_eq!(
        world.ack(2, "-NAK", ""),
        [nak, "q: 2 as 3, 0 left again (2)"]
    );
    assert_eq!(world.ack(1, r#"-NAK {"delay":2000000000}"#, "").len(), 1);
    assert!(world.advance(1999).is_empty());
    assert_eq!(world.advance(1), ["q: 1 as 4, 0 left again (2)"]);
    world.ack(2, "", "");
    assert_eq!(world.ack(1, "-NAK 60s", "").len(), 1);
    assert!(
        world.advance(59_999).is_empty(),
        "the delay may be longer than the ack wait"
    );
    assert_eq!(world.advance(1), ["q: 1 as 5, 0 left again (3)"]);
    assert!(
        world.ack(2, "-NAK", "").is_empty(),
        "nothing to nak any more"
    );
}

#[test]
fn a_nak_with_the_number_of_an_earlier_delivery_counts_up_to_the_next_one() {
    for (number, naked) in [(1, true), (2, true), (3, false)] {
        let mut world = delivered(EXPLICIT, 1);
        let lines = world.turn(|consumer, ctx| {
            let numbers = AckNumbers {
                delivered: 1,
                stream_seq: 1.into(),
                consumer_seq: number.into(),
                timestamp: ctx.now,
                pending: 0,
            };
            let ack = AckEvent {
                numbers,
                kind: AckKind::parse(b"-NAK"),
                reply: None,
            };
            consumer.on_ack(&ack, ctx);
        });
        assert_eq!(!lines.is_empty(), naked, "{number}: {lines:?}");
    }
}

#[test]
fn progress_restarts_the_ack_timer() {
    let mut world = delivered(EXPLICIT, 1);
    world.pull("q", "10");
    world.advance(29_999);
    world.ack(1, "+WPI", "");
    assert!(world.advance(29_999).is_empty());
    assert_eq!(world.advance(1), ["q: 1 as 2, 0 left again (2)"]);
}

#[test]
fn a_terminated_message_never_comes_again() {
    let mut world = delivered(EXPLICIT, 1);
    world.pull("q", "10");
    let advisory =
        r#"Terminated { consumer_seq: (1), stream_seq: (1), deliveries: 1, reason: "no use" }"#;
    assert_eq!(world.ack(1, "+TERM no use", ""), [advisory]);
    assert!(world.advance(60_000).is_empty());
    assert_eq!(floor(&mut world), (1, 1));
}

#[test]
fn an_ack_may_ask_for_the_next_messages() {
    let mut world = World::new(EXPLICIT, &["a"; 4]);
    world.pull("r", "");
    assert_eq!(world.ack(1, "+NXT", "n"), ["n: 2 as 2, 2 left"]);
    assert_eq!(
        world.ack(2, r#"+NXT {"batch":2}"#, "n"),
        ["n: 3 as 3, 1 left", "n: 4 as 4, 0 left"]
    );
}

#[test]
fn max_deliver_gives_up_with_one_advisory_and_keeps_a_record() {
    let config =
        r#"{"durable_name":"C","ack_policy":"explicit","ack_wait":1000000000,"max_deliver":2}"#;
    let mut world = delivered(config, 2);
    world.pull("q", "10");
    world.ack(2, "", "");
    assert_eq!(world.advance(1000), ["q: 1 as 3, 0 left again (2)"]);
    assert_eq!(
        world.advance(1000),
        ["MaxDeliveries { stream_seq: (1), deliveries: 2 }"]
    );
    assert!(world.advance(10_000).is_empty());
    assert_eq!(
        world.numbers(),
        "delivered 3/2 floor 0/0 unacked 0 redelivered 1 waiting 1 pending 0"
    );
    assert!(world.consumer.needs(1.into(), b"a"), "interest keeps it");
    assert_eq!(world.ack(1, "", "i"), ["i: confirmed"]);
    assert!(
        !world.consumer.needs(1.into(), b"a"),
        "a late ack lets it go"
    );
}

#[test]
fn a_nak_of_the_last_delivery_gives_up_too() {
    let config = r#"{"durable_name":"C","ack_policy":"explicit","max_deliver":1}"#;
    let mut world = delivered(config, 1);
    assert_eq!(world.ack(1, "-NAK", "").len(), 1);
    assert_eq!(
        world.info().num_ack_pending,
        1,
        "until somebody asks for messages"
    );
    assert_eq!(
        world.pull("r", r#"{"no_wait":true}"#),
        [
            "MaxDeliveries { stream_seq: (1), deliveries: 1 }",
            "r: 404 No Messages"
        ]
    );
    assert_eq!(
        world.numbers(),
        "delivered 1/1 floor 0/0 unacked 0 redelivered 0 waiting 0 pending 0"
    );
}

#[test]
fn max_ack_pending_stops_new_messages_but_not_redeliveries() {
    let config = r#"{"durable_name":"C","ack_policy":"explicit","max_ack_pending":2}"#;
    let mut world = World::new(config, &["a"; 4]);
    assert_eq!(
        world.pull("r", "10"),
        ["r: 1 as 1, 3 left", "r: 2 as 2, 2 left"]
    );
    assert_eq!(
        world.ack(2, "-NAK", "")[1..],
        ["r: 2 as 3, 2 left again (2)"]
    );
    assert_eq!(world.ack(1, "", ""), ["r: 3 as 4, 1 left"]);
    assert!(
        world
            .update(r#"{"durable_name":"C","ack_policy":"explicit","max_ack_pending":3}"#)
            .first()
            .is_some_and(|line| line == "r: 4 as 5, 0 left")
    );
}

#[test]
fn interest_and_work_queue_streams_hear_of_what_is_done() {
    let policy = |ack| format!(r#"{{"durable_name":"C","ack_policy":"{ack}"}}"#);
    for (ack, acked, want) in [
        ("explicit", vec![1], vec!["release 1-1"]),
        ("explicit", vec![2], vec!["release 2-2"]),
        ("all", vec![3], vec!["release 1-3"]),
    ] {
        let mut world = World::with_retention(&policy(ack), &["a"; 4], RetentionPolicy::WorkQueue);
        world.pull("r", "4");
        for seq in acked {
            assert_eq!(world.ack(seq, "", ""), want, "{ack} {seq}");
            assert!(!world.consumer.needs(seq.into(), b"a"));
        }
        assert!(world.consumer.needs(4.into(), b"a"));
    }
    let mut world = World::with_retention(&policy("none"), &["a"; 3], RetentionPolicy::Interest);
    let lines = world.pull("r", "3");
    let releases: Vec<_> = lines
        .iter()
        .filter(|line| line.starts_with("release"))
        .collect();
    assert_eq!(releases, ["release 1-3"], "delivery is enough without acks");
}

#[test]
fn a_delivery_that_reached_nobody_does_not_count() {
    let mut world = World::new(EXPLICIT, &["a"]);
    assert_eq!(world.pull("r", "2"), ["r: 1 as 1, 0 left"]);
    let reply = bytes::Bytes::from_static(b"r");
    let lines = world.turn(|consumer, ctx| {
        consumer.on_not_delivered(1.into(), Some(&reply), ctx);
    });
    assert_eq!(lines, ["r: 1 as 2, 0 left"]);
    assert_eq!(
        world.numbers(),
        "delivered 2/1 floor 0/0 unacked 1 redelivered 0 waiting 1 pending 0"
    );
}

#[test]
fn sampling_publishes_acks() {
    let config = r#"{"durable_name":"C","ack_policy":"explicit","sample_freq":"100%"}"#;
    let mut world = delivered(config, 1);
    world.advance(5);
    let want = "Acked { consumer_seq: (1), stream_seq: (1), deliveries: 1, delay_nanos: 5000000 }";
    assert_eq!(world.ack(1, "", ""), [want]);
}

#[test]
fn the_floor_stays_below_what_was_given_up_until_nothing_is_pending() {
    let config =
        r#"{"durable_name":"C","ack_policy":"explicit","ack_wait":1000000000,"max_deliver":1}"#;
    let mut world = delivered(config, 2);
    world.advance(1000);
    world.store("a");
    world.store("a");
    world.pull("q", "2");
    world.ack(3, "", "");
    assert_eq!(floor(&mut world), (0, 0));
    world.ack(4, "", "");
    assert_eq!(floor(&mut world), (4, 4));
}

#[test]
fn work_in_progress_and_late_acks_are_activity() {
    let mut world = delivered(EXPLICIT, 1);
    let active = |world: &mut World| {
        let info = world.info();
        (info.delivered.last_active, info.ack_floor.last_active)
    };
    let (delivered, acked) = active(&mut world);
    world.advance(10);
    world.ack(1, "+WPI", "");
    let (in_progress, _) = active(&mut world);
    assert!(in_progress > delivered, "{in_progress:?}");
    world.ack(1, "", "");
    let (_, first) = active(&mut world);
    assert!(first > acked, "{first:?}");
    world.advance(10);
    world.ack(1, "", "");
    let (_, again) = active(&mut world);
    assert!(again > first, "{again:?}");
}
