//! Where delivery starts, and which messages match.

use crate::world::{START, World};

const SUBJECTS: [&str; 6] = ["a.1", "b.1", "a.2", "a.1", "b.2", "c"];

/// The sequences that a new consumer delivers of a stream with six messages, and after them of a seventh to `a.1`.
fn check(config: &str, pending: u64, want: &[u64]) {
    let config = format!(r#"{{"durable_name":"C","ack_policy":"none"{config}}}"#);
    let mut world = World::new(&config, &SUBJECTS);
    assert_eq!(world.info().num_pending, pending, "{config}");
    let mut lines = world.pull("r", "100");
    lines.extend(world.store("a.1"));
    let got: Vec<u64> = lines
        .iter()
        .map(|line| {
            line["r: ".len()..]
                .split(' ')
                .next()
                .unwrap()
                .parse()
                .unwrap()
        })
        .collect();
    assert_eq!(got, want, "{config}");
    assert_eq!(world.info().num_pending, 0, "{config}");
}

#[test]
fn every_policy_starts_where_it_should() {
    check("", 6, &[1, 2, 3, 4, 5, 6, 7]);
    check(r#","deliver_policy":"last""#, 1, &[6, 7]);
    check(
        r#","deliver_policy":"last","filter_subject":"a.*""#,
        1,
        &[4, 7],
    );
    check(
        r#","deliver_policy":"last","filter_subject":"nothing""#,
        0,
        &[],
    );
    check(
        r#","deliver_policy":"by_start_time","opt_start_time":"2020-01-01T00:00:00Z","filter_subject":"b.2""#,
        1,
        &[5],
    );
    check(r#","deliver_policy":"new""#, 0, &[7]);
    check(
        r#","deliver_policy":"by_start_sequence","opt_start_seq":5"#,
        2,
        &[5, 6, 7],
    );
    check(
        r#","deliver_policy":"by_start_sequence","opt_start_seq":8"#,
        0,
        &[],
    );
    check(
        r#","deliver_policy":"last_per_subject""#,
        5,
        &[2, 3, 4, 5, 6, 7],
    );
    check(
        r#","deliver_policy":"last_per_subject","filter_subject":"a.>""#,
        2,
        &[3, 4, 7],
    );
    check(r#","filter_subject":"a.1""#, 2, &[1, 4, 7]);
    check(r#","filter_subjects":["a.2","b.*"]"#, 3, &[2, 3, 5]);
    let third = START.saturating_add(jetsled_jetstream_api::Nanos::from_secs(2));
    check(
        &format!(r#","deliver_policy":"by_start_time","opt_start_time":"{third}""#),
        4,
        &[3, 4, 5, 6, 7],
    );
}

#[test]
fn an_empty_stream_starts_at_one() {
    for policy in ["all", "last", "new", "last_per_subject"] {
        let config = format!(r#"{{"durable_name":"C","deliver_policy":"{policy}"}}"#);
        let mut world = World::new(&config, &[]);
        assert_eq!(
            world.numbers(),
            "delivered 0/0 floor 0/0 unacked 0 redelivered 0 waiting 0 pending 0",
            "{policy}"
        );
        world.store("a");
        assert_eq!(world.pull("r", "1"), ["r: 1 as 1, 0 left"], "{policy}");
    }
}

#[test]
fn a_fresh_consumer_stands_just_before_its_start() {
    let config = r#"{"durable_name":"C","deliver_policy":"by_start_sequence","opt_start_seq":4}"#;
    let mut world = World::new(config, &SUBJECTS);
    assert_eq!(
        world.numbers(),
        "delivered 0/3 floor 0/3 unacked 0 redelivered 0 waiting 0 pending 3"
    );
}

/// `delivered` and `num_pending` of a new consumer whose stream lost its last message.
fn check_stand(config: &str, want: (u64, u64)) {
    let config = format!(r#"{{"durable_name":"C"{config}}}"#);
    let mut world = World::new(r#"{"durable_name":"C"}"#, &SUBJECTS);
    world.remove(6);
    world.recreate(&config);
    let info = world.info();
    let stand = (info.delivered.stream_seq.get(), info.num_pending);
    assert_eq!(stand, want, "{config}");
}

#[test]
fn a_start_that_finds_nothing_stands_where_nats_server_puts_it() {
    check_stand(r#","deliver_policy":"last""#, (5, 0));
    check_stand(
        r#","deliver_policy":"last","filter_subject":"nothing""#,
        (0, 0),
    );
    check_stand(
        r#","deliver_policy":"last_per_subject","filter_subject":"nothing""#,
        (5, 0),
    );
    let by_time = r#","deliver_policy":"by_start_time","opt_start_time":"2020-01-01T00:00:00Z""#;
    check_stand(by_time, (0, 5));
    check_stand(&format!(r#"{by_time},"filter_subject":"b.2""#), (4, 1));
    check_stand(&format!(r#"{by_time},"filter_subject":"nothing""#), (0, 0));
}

#[test]
fn new_filters_count_anew() {
    let config = |filter| format!(r#"{{"durable_name":"C","filter_subject":"{filter}"}}"#);
    let mut world = World::new(&config("a.*"), &SUBJECTS);
    world.pull("r", "1");
    assert_eq!(world.info().num_pending, 2);
    world.update(&config("b.*"));
    assert_eq!(world.info().num_pending, 2);
    assert_eq!(
        world.pull("r", "5"),
        ["r: 2 as 2, 1 left", "r: 5 as 3, 0 left"]
    );
}
