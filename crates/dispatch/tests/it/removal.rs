//! Messages that leave the stream, and resets.

use jetsled_dispatch::ResetError;
use jetsled_jetstream_api::RetentionPolicy;

use crate::world::World;

const EXPLICIT: &str = r#"{"durable_name":"C","ack_policy":"explicit"}"#;

#[test]
fn a_removed_message_is_no_longer_pending_in_either_sense() {
    let mut world = World::new(EXPLICIT, &["a"; 4]);
    world.pull("r", "2");
    assert!(world.remove(4).is_empty());
    assert_eq!(world.info().num_pending, 1);
    assert_eq!(
        world.remove(1),
        [
            r#"Terminated { consumer_seq: (1), stream_seq: (1), deliveries: 1, reason: "Unacknowledged message was deleted" }"#
        ]
    );
    assert_eq!(
        world.numbers(),
        "delivered 2/2 floor 1/1 unacked 1 redelivered 0 waiting 0 pending 1"
    );
    assert_eq!(world.pull("r", "5"), ["r: 3 as 3, 0 left"]);
}

#[test]
fn removals_that_do_not_match_change_nothing() {
    let config = r#"{"durable_name":"C","ack_policy":"explicit","filter_subject":"b"}"#;
    let mut world = World::new(config, &["a", "b", "a", "b"]);
    assert!(world.remove(1).is_empty());
    assert!(world.remove(3).is_empty());
    assert_eq!(world.info().num_pending, 2);
    assert!(world.remove(4).is_empty());
    assert_eq!(world.info().num_pending, 1);
}

#[test]
fn the_skip_list_loses_what_the_stream_loses() {
    let config = r#"{"durable_name":"C","deliver_policy":"last_per_subject"}"#;
    let mut world = World::new(config, &["a", "b", "a", "c"]);
    assert_eq!(world.info().num_pending, 3);
    world.remove(3);
    assert_eq!(world.info().num_pending, 2);
    world.store("a");
    assert_eq!(
        world.pull("r", "9"),
        [
            "r: 2 as 1, 2 left",
            "r: 4 as 2, 1 left",
            "r: 5 as 3, 0 left"
        ]
    );
}

#[test]
fn a_full_purge_leaves_nothing() {
    let mut world = World::new(EXPLICIT, &["a"; 4]);
    world.pull("r", "2");
    assert!(world.purge(5).is_empty());
    assert_eq!(
        world.numbers(),
        "delivered 2/4 floor 2/4 unacked 0 redelivered 0 waiting 0 pending 0"
    );
    world.store("a");
    assert_eq!(world.pull("r", "5"), ["r: 5 as 3, 0 left"]);
}

#[test]
fn a_partial_purge_keeps_what_is_still_there() {
    let mut world = World::new(EXPLICIT, &["a"; 6]);
    world.pull("r", "4");
    world.ack(3, "", "");
    world.purge(3);
    assert_eq!(
        world.numbers(),
        "delivered 4/4 floor 3/3 unacked 1 redelivered 0 waiting 0 pending 2"
    );
}

#[test]
fn a_purge_of_a_message_that_was_given_up_moves_the_floor_to_what_is_left() {
    let config = r#"{"durable_name":"C","ack_policy":"explicit","max_deliver":1}"#;
    let mut world = World::new(config, &["a"; 3]);
    world.pull("r", "3");
    world.ack(1, "-NAK", "");
    world.pull("r", "1");
    assert_eq!(
        world.numbers(),
        "delivered 3/3 floor 0/0 unacked 2 redelivered 0 waiting 1 pending 0"
    );
    world.purge(2);
    assert_eq!(
        world.numbers(),
        "delivered 3/3 floor 1/1 unacked 2 redelivered 0 waiting 1 pending 0"
    );
}

#[test]
fn an_ack_of_what_a_reset_left_behind_releases_it() {
    let mut world = World::with_retention(EXPLICIT, &["a"; 3], RetentionPolicy::WorkQueue);
    world.pull("r", "2");
    world.turn(|consumer, ctx| {
        let next = consumer.reset(3.into(), ctx);
        assert_eq!(next.map(|next| next.get()), Ok(3));
    });
    assert_eq!(world.ack(2, "", ""), ["release 2-2"]);
    assert!(
        world.ack(3, "", "").is_empty(),
        "it was not delivered since"
    );
}

#[test]
fn a_purge_of_its_subject_is_silent_and_moves_it_on() {
    let config = r#"{"durable_name":"C","ack_policy":"explicit","filter_subject":"a"}"#;
    let mut world = World::new(config, &["a", "b", "a", "a", "b"]);
    world.pull("r", "2");
    assert!(world.purge_subject("b").is_empty());
    assert_eq!(
        world.numbers(),
        "delivered 2/3 floor 0/0 unacked 2 redelivered 0 waiting 0 pending 1"
    );
    assert!(world.purge_subject("a").is_empty());
    assert_eq!(
        world.numbers(),
        "delivered 2/5 floor 2/5 unacked 0 redelivered 0 waiting 0 pending 0"
    );
    world.restart();
    world.store("a");
    assert_eq!(world.pull("r", "5"), ["r: 6 as 3, 0 left"]);
}

#[test]
fn a_purge_of_a_part_leaves_the_other() {
    let config = r#"{"durable_name":"C","ack_policy":"explicit","filter_subjects":["a","b"]}"#;
    let mut world = World::new(config, &["a", "b", "a", "b"]);
    world.pull("r", "2");
    world.purge_subject("a");
    assert_eq!(
        world.numbers(),
        "delivered 2/2 floor 1/1 unacked 1 redelivered 0 waiting 0 pending 1"
    );
    assert_eq!(world.pull("r", "5"), ["r: 4 as 3, 0 left"]);
}

#[test]
fn reset_goes_back_to_the_floor_or_to_a_sequence_that_the_policy_allows() {
    let reset = |world: &mut World, seq: u64| {
        let mut answer = None;
        world.turn(|consumer, ctx| answer = Some(consumer.reset(seq.into(), ctx)));
        answer.unwrap().map(|next| next.get())
    };
    let mut world = World::new(EXPLICIT, &["a"; 4]);
    world.pull("r", "3");
    world.ack(1, "", "");
    world.ack(2, "", "");
    assert_eq!(reset(&mut world, 0), Ok(3));
    assert_eq!(
        world.numbers(),
        "delivered 0/2 floor 0/2 unacked 0 redelivered 0 waiting 0 pending 2"
    );
    assert_eq!(reset(&mut world, 1), Ok(1));
    assert_eq!(
        world.pull("r", "2"),
        ["r: 1 as 1, 3 left", "r: 2 as 2, 2 left"]
    );

    let by_sequence =
        r#"{"durable_name":"C","deliver_policy":"by_start_sequence","opt_start_seq":3}"#;
    let mut world = World::new(by_sequence, &["a"; 4]);
    assert_eq!(reset(&mut world, 2), Err(ResetError::BelowStartSeq));
    assert_eq!(reset(&mut world, 4), Ok(4));
    let mut world = World::new(r#"{"durable_name":"C","deliver_policy":"new"}"#, &["a"; 4]);
    assert_eq!(reset(&mut world, 2), Err(ResetError::NotAllowed));
}

#[test]
fn a_purge_leaves_naked_messages_in_line() {
    let mut world = World::new(EXPLICIT, &["a", "a", "a"]);
    world.pull("r", "2");
    world.ack(2, "-NAK", "");
    world.purge(2);
    assert_eq!(
        world.pull("r", "2"),
        ["r: 2 as 3, 1 left again (2)", "r: 3 as 4, 0 left"]
    );
}
