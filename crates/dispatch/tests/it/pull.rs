//! Pull requests: serving, limits, statuses.

use crate::world::World;

const EXPLICIT: &str = r#"{"durable_name":"C","ack_policy":"explicit"}"#;

#[test]
fn requests_are_served_one_message_each_in_turn() {
    let mut world = World::new(EXPLICIT, &[]);
    assert!(world.pull("r1", r#"{"batch":2}"#).is_empty());
    assert!(world.pull("r2", "3").is_empty());
    assert!(world.pull("r3", "").is_empty());
    assert_eq!(world.store("a"), ["r1: 1 as 1, 0 left"]);
    assert_eq!(world.store("a"), ["r2: 2 as 2, 0 left"]);
    assert_eq!(world.store("a"), ["r3: 3 as 3, 0 left"]);
    assert_eq!(world.store("a"), ["r1: 4 as 4, 0 left"]);
    assert_eq!(world.store("a"), ["r2: 5 as 5, 0 left"]);
    assert_eq!(world.store("a"), ["r2: 6 as 6, 0 left"]);
    assert!(world.store("a").is_empty());
    assert_eq!(
        world.numbers(),
        "delivered 6/6 floor 0/0 unacked 6 redelivered 0 waiting 0 pending 1"
    );
}

#[test]
fn the_payload_says_how_many() {
    for (payload, want) in [
        ("", 1),
        ("3", 3),
        ("x", 1),
        (r#"{"batch":2}"#, 2),
        ("{}", 1),
        (" 2 ", 2),
    ] {
        let mut world = World::new(EXPLICIT, &["a"; 5]);
        assert_eq!(world.pull("r", payload).len(), want, "{payload:?}");
    }
}

/// The answer to one request of a consumer with three messages.
fn check(config: &str, payload: &str, want: &[&str]) {
    let config = format!(r#"{{"durable_name":"C","ack_policy":"explicit"{config}}}"#);
    let mut world = World::new(&config, &["a"; 3]);
    world.pull("old", "3");
    assert_eq!(world.pull("r", payload), want, "{config} {payload}");
}

#[test]
fn refusals_have_the_texts_of_nats_server() {
    check("", r#"{"no_wait":true}"#, &["r: 404 No Messages"]);
    check(
        r#","max_batch":5"#,
        "6",
        &["r: 409 Exceeded MaxRequestBatch of 5"],
    );
    check(r#","max_batch":5"#, "5", &[]);
    check(
        r#","max_expires":60000000000"#,
        r#"{"expires":60000000001}"#,
        &["r: 409 Exceeded MaxRequestExpires of 1m0s"],
    );
    check(
        r#","max_bytes":100"#,
        r#"{"max_bytes":101}"#,
        &["r: 409 Exceeded MaxRequestMaxBytes of 100"],
    );
    check(
        "",
        r#"{"expires":1000000000,"idle_heartbeat":500000001}"#,
        &["r: 400 Bad Request - heartbeat value too large"],
    );
    check(
        "",
        r#"{"min_pending":1}"#,
        &["r: 400 Bad Request - Not a Overflow Priority consumer"],
    );
    check(
        "",
        r#"{"id":"x"}"#,
        &["r: 400 Bad Request - Not a Pinned Client Priority consumer"],
    );
    check(
        "",
        r#"{"priority":10}"#,
        &["r: 400 Bad Request - Priority must be between 0 and 9"],
    );
    check("", r#"{"group":"whatever"}"#, &[]);
    check(
        r#","priority_policy":"overflow","priority_groups":["g"]"#,
        r#"{"batch":1}"#,
        &["r: 400 Bad Request - Priority Group missing"],
    );
    check(
        r#","priority_policy":"overflow","priority_groups":["g"]"#,
        r#"{"group":"h"}"#,
        &["r: 400 Bad Request - Invalid Priority Group"],
    );
}

#[test]
fn bad_json_is_told() {
    let mut world = World::new(EXPLICIT, &[]);
    let lines = world.pull("r", r#"{"batch":"x"}"#);
    assert_eq!(lines.len(), 1);
    assert!(lines[0].starts_with("r: 400 Bad Request - "), "{lines:?}");
    assert!(
        world
            .pull("r", "{")
            .first()
            .is_some_and(|line| line.starts_with("r: 400 Bad Request"))
    );
}

#[test]
fn a_full_queue_refuses_unless_the_client_has_heartbeats() {
    let mut world = World::new(
        r#"{"durable_name":"C","ack_policy":"explicit","max_waiting":2}"#,
        &[],
    );
    assert!(world.pull("r1", "").is_empty());
    assert!(
        world
            .pull("r2", r#"{"batch":1,"expires":1500000000}"#)
            .is_empty()
    );
    assert_eq!(world.pull("r3", ""), ["r3: 409 Exceeded MaxWaiting"]);
    assert!(
        world
            .pull(
                "r4",
                r#"{"expires":5000000000,"idle_heartbeat":1000000000}"#
            )
            .is_empty()
    );
    assert_eq!(
        world.advance(1500),
        ["r2: 408 Request Timeout | Messages: 1 | Bytes: 0"]
    );
    assert!(world.pull("r5", "").is_empty());
    assert_eq!(world.store("a"), ["r1: 1 as 1, 0 left"]);
}

#[test]
fn an_expired_request_is_told_what_it_missed() {
    let mut world = World::new(EXPLICIT, &["a"]);
    assert_eq!(
        world.pull("r", r#"{"batch":3,"expires":1000000000,"max_bytes":10000}"#),
        ["r: 1 as 1, 0 left"]
    );
    assert!(world.advance(999).is_empty());
    let lines = world.advance(1);
    assert_eq!(lines.len(), 1);
    assert!(
        lines[0].starts_with("r: 408 Request Timeout | Messages: 2 | Bytes: 99"),
        "{lines:?}"
    );
    assert!(world.store("a").is_empty());
}

#[test]
fn requests_that_do_not_wait() {
    let mut world = World::new(EXPLICIT, &["a", "a", "a"]);
    // What is there comes, and the end of the stream ends the rest.
    assert_eq!(
        world.pull("r1", r#"{"batch":2,"no_wait":true}"#),
        ["r1: 1 as 1, 2 left", "r1: 2 as 2, 1 left"]
    );
    assert_eq!(
        world.pull("r2", r#"{"batch":2,"no_wait":true}"#),
        ["r2: 3 as 3, 0 left", "r2: 404 No Messages"]
    );
    assert_eq!(
        world.pull("r3", r#"{"batch":2,"no_wait":true}"#),
        ["r3: 404 No Messages"]
    );
    // With a time to live it waits for the first message, and only for that.
    assert!(
        world
            .pull("r4", r#"{"batch":2,"no_wait":true,"expires":1000000000}"#)
            .is_empty()
    );
    assert_eq!(
        world.store("a"),
        ["r4: 4 as 4, 0 left", "r4: 404 No Messages"]
    );
    assert!(
        world
            .pull("r5", r#"{"batch":2,"no_wait":true,"expires":1000000000}"#)
            .is_empty()
    );
    assert_eq!(
        world.advance(1000),
        ["r5: 408 Request Timeout | Messages: 2 | Bytes: 0"]
    );
}

#[test]
fn a_served_one_shot_request_held_up_by_acks_ends_at_its_heartbeat() {
    let config = r#"{"durable_name":"C","ack_policy":"explicit","max_ack_pending":2}"#;
    let one_shot = r#"{"batch":5,"no_wait":true,"expires":1000000000,"idle_heartbeat":100000000}"#;
    let mut world = World::new(config, &["a", "a", "a"]);
    assert_eq!(
        world.pull("r1", one_shot),
        ["r1: 1 as 1, 2 left", "r1: 2 as 2, 1 left"]
    );
    assert_eq!(world.advance(100), ["r1: 404 No Messages"]);
    // One that has had none goes on waiting.
    assert!(world.pull("r2", one_shot).is_empty());
    let lines = world.advance(100);
    assert!(lines[0].starts_with("r2: 100 Idle Heartbeat"), "{lines:?}");
}

#[test]
fn a_request_that_does_not_wait_yields_to_those_that_do() {
    let config = r#"{"durable_name":"C","ack_policy":"explicit","max_ack_pending":1}"#;
    let mut world = World::new(config, &["a", "a", "a"]);
    assert_eq!(world.pull("r1", "4"), ["r1: 1 as 1, 2 left"]);
    assert_eq!(
        world.pull("r2", r#"{"no_wait":true}"#),
        ["r2: 408 Requests Pending"]
    );
}

#[test]
fn max_bytes_ends_a_request_before_or_after_a_message() {
    // 1 for the subject, 10 for the payload, 39 for the ack subject while its numbers have one digit.
    let size = 50;
    let mut world = World::new(EXPLICIT, &["a"; 6]);
    let request = |bytes: u64, batch: u64| format!(r#"{{"batch":{batch},"max_bytes":{bytes}}}"#);
    assert_eq!(
        world.pull("small", &request(size - 1, 1)),
        ["small: 409 Message Size Exceeds MaxBytes | Messages: 1 | Bytes: 49"]
    );
    assert_eq!(
        world.pull("exact", &request(size, 5)),
        ["exact: 1 as 1, 5 left"]
    );
    assert_eq!(
        world.pull("more", &request(size * 2 + 1, 5)),
        [
            "more: 2 as 2, 4 left",
            "more: 3 as 3, 3 left",
            "more: 409 Message Size Exceeds MaxBytes | Messages: 3 | Bytes: 1"
        ]
    );
    assert_eq!(
        world.pull("batch", &request(size + 7, 1)),
        [
            "batch: 4 as 4, 2 left",
            "batch: 409 Batch Completed | Messages: 0 | Bytes: 7"
        ]
    );
}

#[test]
fn waiting_requests_get_heartbeats_and_deliveries_put_them_off() {
    let mut world = World::new(EXPLICIT, &[]);
    let request = r#"{"batch":5,"expires":10000000000,"idle_heartbeat":1000000000}"#;
    assert!(world.pull("r", request).is_empty());
    let beat = "r: 100 Idle Heartbeat | Nats-Last-Consumer: 0 | Nats-Last-Stream: 0";
    assert_eq!(world.advance(2000), [beat, beat]);
    assert!(world.advance(500).is_empty());
    assert_eq!(world.store("a"), ["r: 1 as 1, 0 left"]);
    assert!(world.advance(900).is_empty());
    assert_eq!(
        world.advance(100),
        ["r: 100 Idle Heartbeat | Nats-Last-Consumer: 1 | Nats-Last-Stream: 1"]
    );
}

#[test]
fn requests_without_interest_vanish_silently() {
    let mut world = World::new(EXPLICIT, &[]);
    assert!(world.pull("r1", "").is_empty());
    assert!(world.pull("r2", "").is_empty());
    assert!(world.subscribe("r1", false).is_empty());
    assert_eq!(world.store("a"), ["r2: 1 as 1, 0 left"]);
    assert!(world.pull("r1", "").is_empty());
    assert_eq!(
        world.numbers(),
        "delivered 1/1 floor 0/0 unacked 1 redelivered 0 waiting 0 pending 0"
    );
}

#[test]
fn a_pause_holds_messages_back_and_its_end_lets_them_go() {
    let mut world = World::new(EXPLICIT, &["a"]);
    let until = world
        .now
        .saturating_add(jetsled_jetstream_api::Nanos::from_secs(5));
    let lines = world.pause(until);
    assert!(lines[0].starts_with("Paused"), "{lines:?}");
    assert!(world.pull("r", "1").is_empty());
    assert!(world.info().paused);
    let lines = world.advance(5000);
    assert!(lines[0].starts_with("Resumed"), "{lines:?}");
    assert_eq!(lines[1..], ["r: 1 as 1, 0 left"]);
    assert!(!world.info().paused);
}

#[test]
fn deletion_and_shutdown_are_told_to_all_who_wait() {
    let mut world = World::new(EXPLICIT, &[]);
    world.pull("r1", "2");
    world.pull("r2", "");
    assert_eq!(
        world.turn(|consumer, ctx| consumer.on_shutdown(ctx)),
        [
            "r1: 409 Server Shutdown | Messages: 2 | Bytes: 0",
            "r2: 409 Server Shutdown | Messages: 1 | Bytes: 0"
        ]
    );
    world.pull("r3", "");
    assert_eq!(
        world.turn(|consumer, ctx| consumer.on_delete(ctx)),
        ["r3: 409 Consumer Deleted"]
    );
}

#[test]
fn a_long_backlog_is_delivered_in_bounded_outboxes() {
    let config = r#"{"durable_name":"C","ack_policy":"none"}"#;
    let mut world = World::new(config, &["a"; 10_000]);
    assert_eq!(world.pull("r", "10000").len(), 10_000);
    assert!(world.log.len() >= 3, "it took {} outboxes", world.log.len());
    let bytes: usize = world.log.iter().map(Vec::len).sum();
    assert!(
        bytes < 200,
        "a run of messages takes a few bytes, not {bytes}"
    );
}

#[test]
fn a_batch_of_nothing_gets_one_message_and_is_told_as_it_was_asked() {
    for (batch, left) in [("0", 0), ("-3", -3)] {
        let request = format!(r#"{{"batch":{batch},"max_bytes":1000,"expires":1000000000}}"#);
        let mut world = World::new(EXPLICIT, &[]);
        world.pull("r", &request);
        assert_eq!(
            world.advance(1000),
            [format!(
                "r: 408 Request Timeout | Messages: {left} | Bytes: 1000"
            )]
        );
        let mut world = World::new(EXPLICIT, &["a", "a"]);
        let lines = world.pull("r", &request);
        assert_eq!(lines.len(), 2, "{lines:?}");
        assert_eq!(lines[0], "r: 1 as 1, 1 left");
        let told = format!("r: 409 Batch Completed | Messages: {} | Bytes: ", left - 1);
        assert!(lines[1].starts_with(&told), "{lines:?}");
    }
}

#[test]
fn a_request_that_does_not_wait_waits_for_acks_until_another_ends() {
    let config = r#"{"durable_name":"C","ack_policy":"explicit","max_ack_pending":1}"#;
    let mut world = World::new(config, &["a", "a"]);
    world.pull("r1", r#"{"batch":2,"expires":1000000000}"#);
    assert!(world.pull("r2", r#"{"batch":1,"no_wait":true}"#).is_empty());
    assert_eq!(
        world.advance(1000),
        [
            "r1: 408 Request Timeout | Messages: 1 | Bytes: 0",
            "r2: 404 No Messages"
        ]
    );
}

#[test]
fn a_delivery_that_reached_nobody_is_made_again_and_does_not_count() {
    let mut world = World::new(EXPLICIT, &["a"]);
    assert_eq!(world.pull("r", "2"), ["r: 1 as 1, 0 left"]);
    assert_eq!(world.lose(1), ["r: 1 as 2, 0 left"]);
    assert_eq!(
        world.numbers(),
        "delivered 2/1 floor 0/0 unacked 1 redelivered 0 waiting 0 pending 0"
    );
}

#[test]
fn what_cannot_be_read_now_is_delivered_when_it_can_be() {
    for start in ["", r#","deliver_policy":"last_per_subject""#] {
        let config = format!(r#"{{"durable_name":"C","ack_policy":"explicit"{start}}}"#);
        let mut world = World::new(&config, &["a", "b", "c"]);
        let sequences = |lines: &[String]| -> Vec<String> {
            let sequence = |line: &String| line.split(' ').nth(1).unwrap_or_default().to_owned();
            lines.iter().map(sequence).collect()
        };
        world.stream.unreadable = true;
        assert!(world.pull("r", r#"{"batch":2,"no_wait":true}"#).is_empty());
        assert!(world.advance(5000).is_empty());
        world.stream.unreadable = false;
        assert_eq!(sequences(&world.advance(1000)), ["1", "2"]);

        // What is to be delivered again is not given up either.
        world.stream.unreadable = true;
        assert!(world.pull("r", "3").is_empty());
        assert!(world.advance(40_000).is_empty());
        world.stream.unreadable = false;
        assert_eq!(sequences(&world.advance(1000)), ["1", "2", "3"]);
    }
}
