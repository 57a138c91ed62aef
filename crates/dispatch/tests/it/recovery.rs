//! What a restart brings back.

use jetsled_dispatch::{Consumer, Context, RecoverError};
use proptest::prelude::*;

use crate::world::{SEED, World};

const EXPLICIT: &str =
    r#"{"durable_name":"C","ack_policy":"explicit","ack_wait":2000000000,"max_deliver":3}"#;

/// Restarts from the log alone, then from a checkpoint in the middle: both must give the same numbers.
fn check_restart(world: &mut World) {
    let before = world.numbers();
    world.restart();
    let after = world.numbers();
    let without_waiting = |numbers: &str| numbers.split(" waiting ").next().map(str::to_owned);
    assert_eq!(without_waiting(&before), without_waiting(&after));
}

#[test]
fn floors_pending_and_redeliveries_survive() {
    for with_checkpoint in [false, true] {
        let mut world = World::new(EXPLICIT, &["a"; 9]);
        world.pull("r", "6");
        world.ack(1, "", "");
        world.ack(4, "", "");
        world.ack(2, "-NAK", "");
        if with_checkpoint {
            world.take_checkpoint();
        }
        world.pull("r", "1");
        world.ack(3, "+TERM", "");
        check_restart(&mut world);
        assert_eq!(
            world.numbers(),
            "delivered 7/6 floor 1/1 unacked 3 redelivered 1 waiting 0 pending 3"
        );
        // The timers went on.
        world.pull("r", "10");
        let lines = world.advance(2000);
        assert_eq!(
            lines,
            [
                "r: 2 as 11, 0 left again (3)",
                "r: 5 as 12, 0 left again (2)",
                "r: 6 as 13, 0 left again (2)",
                "r: 7 as 14, 0 left again (2)",
                "r: 8 as 15, 0 left again (2)",
                "r: 9 as 16, 0 left again (2)"
            ]
        );
    }
}

#[test]
fn exhausted_messages_stay_exhausted() {
    let mut world = World::new(EXPLICIT, &["a"; 1]);
    world.pull("r", "9");
    world.advance(10_000);
    check_restart(&mut world);
    assert!(world.pull("r", "9").is_empty());
    world.take_checkpoint();
    check_restart(&mut world);
    assert!(world.consumer.needs(1.into(), b"a"));
    assert!(world.advance(10_000).is_empty());
}

#[test]
fn a_half_delivered_skip_list_goes_on() {
    let config = r#"{"durable_name":"C","deliver_policy":"last_per_subject"}"#;
    for with_checkpoint in [false, true] {
        let mut world = World::new(config, &["a", "b", "a", "c"]);
        world.pull("r", "1");
        if with_checkpoint {
            world.take_checkpoint();
        }
        world.restart();
        assert_eq!(
            world.pull("r", "9"),
            ["r: 3 as 2, 1 left", "r: 4 as 3, 0 left"]
        );
    }
}

#[test]
fn a_state_ahead_of_the_stream_is_clamped() {
    let mut world = World::new(EXPLICIT, &["a"; 5]);
    world.pull("r", "5");
    world.ack(1, "", "");
    world.stream.messages.split_off(&4);
    world.stream.last = 3;
    world.restart();
    assert_eq!(
        world.numbers(),
        "delivered 5/3 floor 1/1 unacked 2 redelivered 0 waiting 0 pending 0"
    );
    world.restart();
    world.store("b");
    assert_eq!(world.pull("r", "1"), ["r: 4 as 6, 0 left"]);
}

/// The stream loses its last message to damage, and gives its sequence out again.
fn lose_last(world: &mut World) -> Vec<String> {
    world.stream.messages.pop_last();
    world.stream.last -= 1;
    world.restart();
    world.store("a");
    world.pull("r", "9")
}

#[test]
fn a_consumer_that_has_only_passed_the_lost_end_gets_what_comes_there() {
    for policy in [
        r#""deliver_policy":"all","filter_subject":"a""#,
        r#""deliver_policy":"new","filter_subject":"a""#,
    ] {
        for with_checkpoint in [false, true] {
            let mut world = World::new(&format!(r#"{{"durable_name":"C",{policy}}}"#), &["b"; 4]);
            assert!(world.pull("r", r#"{"no_wait":true,"batch":1}"#).len() <= 1);
            if with_checkpoint {
                world.take_checkpoint();
            }
            assert_eq!(lose_last(&mut world), ["r: 4 as 1, 0 left"], "{policy}");
        }
    }
}

#[test]
fn a_start_beyond_the_end_that_was_asked_for_stays() {
    let config = r#"{"durable_name":"C","deliver_policy":"by_start_sequence","opt_start_seq":7}"#;
    for with_checkpoint in [false, true] {
        let mut world = World::new(config, &["a"; 4]);
        if with_checkpoint {
            world.take_checkpoint();
        }
        assert!(lose_last(&mut world).is_empty());
        for seq in [5, 6] {
            assert!(world.store("a").is_empty(), "{seq}");
        }
        assert_eq!(world.store("a"), ["r: 7 as 1, 0 left"]);
    }
}

#[test]
fn messages_that_left_meanwhile_are_not_pending() {
    let mut world = World::new(EXPLICIT, &["a"; 5]);
    world.pull("r", "5");
    world.stream.messages = world.stream.messages.split_off(&3);
    world.restart();
    assert_eq!(
        world.numbers(),
        "delivered 5/5 floor 2/2 unacked 3 redelivered 0 waiting 0 pending 0"
    );
}

#[test]
fn a_consumer_whose_start_was_not_logged_starts_anew() {
    let mut world = World::new(EXPLICIT, &["a"; 2]);
    world.log.clear();
    world.restart();
    assert_eq!(world.pull("r", "1"), ["r: 1 as 1, 1 left"]);
}

/// Recovers from any bytes: an error or a valid state, never a panic.
fn recover_from(checkpoint: Option<&[u8]>, progress: &[u8]) -> Result<(), RecoverError> {
    let mut world = World::new(EXPLICIT, &["a"; 5]);
    let mut ctx = Context {
        view: &mut world.stream,
        interest: &world.subscribers,
        now: world.now,
        out: &mut world.out,
    };
    let identity = world.consumer.identity().clone();
    let config = world.config.clone();
    let consumer = Consumer::recover(
        identity.clone(),
        SEED,
        &config,
        checkpoint,
        [progress],
        &mut ctx,
    )?;
    consumer.validate();
    // What was taken for good can be written and read again.
    let mut bytes = Vec::new();
    consumer.encode_checkpoint(&mut bytes);
    ctx.out.clear();
    Consumer::recover(identity, SEED, &config, Some(&bytes), [], &mut ctx)
        .map(|again| again.validate())
}

#[test]
fn damage_is_named() {
    let unknown = recover_from(Some(&[9]), &[]);
    assert!(matches!(
        unknown,
        Err(RecoverError::Version {
            found: 9,
            known: 1,
            ..
        })
    ));
    let short = recover_from(Some(&[1, 2]), &[]);
    assert!(
        matches!(short, Err(RecoverError::Checkpoint { at: 2, .. })),
        "{short:?}"
    );
    let progress = recover_from(None, &[1, 1, 200]);
    assert!(matches!(
        progress,
        Err(RecoverError::Progress {
            record: 0,
            at: 2,
            ..
        })
    ));
}

#[test]
fn a_skip_list_that_does_not_fit_loses_what_was_passed() {
    // Purged below 4, then a list of 1 and 14 from a damaged record.
    assert_eq!(recover_from(None, &[11, 8, 2, 8, 2, 1, 13]), Ok(()));
    assert_eq!(recover_from(None, &[11, 8, 2, 8, 1, 1]), Ok(()));
}

/// Bytes that often mean something.
fn byte() -> impl Strategy<Value = u8> {
    prop_oneof![8 => 0..14_u8, 1 => any::<u8>()]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn any_bytes_recover_or_are_refused(
        checkpoint in proptest::option::of(proptest::collection::vec(byte(), 0..40)),
        progress in proptest::collection::vec(byte(), 0..60),
    ) {
        let checkpoint = checkpoint.map(|mut bytes| { bytes.insert(0, 1); bytes });
        let _ = recover_from(checkpoint.as_deref(), &progress);
    }
}

/// Found by the property above.
#[test]
fn a_record_beyond_the_last_sequence_is_refused() {
    assert!(recover_from(None, &[9, 6, 5, 6, 13, 13]).is_err());
}

#[test]
fn a_consumer_that_rests_keeps_its_progress_in_one_piece() {
    let mut world = World::new(EXPLICIT, &["a"; 5]);
    world.pull("r", "3");
    world.take_checkpoint();
    world.ack(1, "", "");
    world.pull("r", "1");
    let merged = Consumer::merge_checkpoint(
        "C",
        world.config.ack_policy,
        world.checkpoint.as_deref(),
        world.log.iter().map(Vec::as_slice),
    );
    world.checkpoint = merged.expect("a state that can be read");
    world.log.clear();
    check_restart(&mut world);
    assert!(matches!(
        Consumer::merge_checkpoint("C", world.config.ack_policy, None, []),
        Ok(None)
    ));
}
