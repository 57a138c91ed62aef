//! Atomic and fast-ingest batches: rules one by one. Whole histories are in `properties`.

use jetsled_jetstream_api::{
    DiscardPolicy, Nanos, RetentionPolicy, StorageType, StreamConfig, StreamSeq,
};

use super::{Store, config, header_block};
use crate::{DeletedDetails, Publish, PublishError, Published, Sender, StreamId};

/// A message: subject, headers, payload.
type Plain<'a> = (&'a str, &'a [(&'a str, &'a str)], &'a str);

fn publish(
    store: &mut Store,
    stream: StreamId,
    messages: &[Plain<'_>],
) -> Result<Vec<Published>, PublishError> {
    publish_wanted(store, stream, messages, |_| true)
}

fn publish_wanted(
    store: &mut Store,
    stream: StreamId,
    messages: &[Plain<'_>],
    wanted: impl Fn(&str) -> bool,
) -> Result<Vec<Published>, PublishError> {
    let blocks: Vec<_> = messages
        .iter()
        .map(|(_, headers, _)| header_block(headers))
        .collect();
    let messages: Vec<_> = messages
        .iter()
        .zip(&blocks)
        .map(|((subject, _, payload), headers)| Publish {
            subject: subject.as_bytes(),
            headers,
            payload: payload.as_bytes(),
            has_interest: wanted(subject),
            sender: Sender::Client,
        })
        .collect();
    let now = store.now;
    let mut all = Vec::new();
    let mut note = |_: &Publish<'_>, published: &Published| all.push(*published);
    let last = store
        .shard()
        .publish_batch(stream, &messages, now, &mut note)?;
    assert_eq!(all.last().map(|published| published.seq), Some(last));
    Ok(all)
}

fn ready(change: impl FnOnce(&mut StreamConfig)) -> (Store, StreamId) {
    let mut store = Store::new(1 << 20);
    let mut config = config("S", StorageType::File);
    config.duplicate_window = Nanos::from_secs(120);
    change(&mut config);
    let stream = store.create(config);
    (store, stream)
}

/// Publishes a batch into a stream of one message on `S.a` and says how it was refused; nothing may have changed then.
fn check(change: impl FnOnce(&mut StreamConfig), messages: &[Plain<'_>], want: &str) {
    let (mut store, stream) = ready(change);
    store
        .publish(stream, "S.a", &[("Nats-Msg-Id", "seen")], b"1")
        .unwrap();
    let before = store.shard().stream(stream).unwrap().fingerprint();
    let outcome = publish(&mut store, stream, messages);
    let got = match outcome {
        Ok(published) => published
            .iter()
            .map(|one| one.seq.0.to_string())
            .collect::<Vec<_>>()
            .join(" "),
        Err(PublishError::Rejected(error)) => {
            assert_eq!(store.shard().stream(stream).unwrap().fingerprint(), before);
            format!("{} {}", error.err_code, error.description)
        }
        Err(error) => panic!("{error}"),
    };
    assert_eq!(got, want, "{messages:?}");
}

#[test]
fn a_batch_is_checked_against_what_its_first_messages_will_have_done() {
    let plain = |_: &mut StreamConfig| {};
    check(plain, &[("S.a", &[], "2"), ("S.b", &[], "3")], "2 3");
    let id: &[_] = &[("Nats-Msg-Id", "x")];
    let duplicate = "10201 atomic publish batch contains duplicate message id";
    check(plain, &[("S.a", id, ""), ("S.b", id, "")], duplicate);
    check(
        plain,
        &[("S.b", &[], ""), ("S.b", &[("Nats-Msg-Id", "seen")], "")],
        duplicate,
    );
    let last = |seq| [("Nats-Expected-Last-Sequence", seq)];
    check(plain, &[("S.a", &last("1"), ""), ("S.b", &[], "")], "2 3");
    check(
        plain,
        &[("S.a", &last("4"), "")],
        "10071 wrong last sequence: 1",
    );
    check(
        plain,
        &[("S.a", &[], ""), ("S.b", &last("2"), "")],
        "10164 wrong last sequence",
    );
    check(
        plain,
        &[("S.a", &[], ""), ("S.b", &last("1"), "")],
        "10071 wrong last sequence: 2",
    );
    let on_subject = |seq| [("Nats-Expected-Last-Subject-Sequence", seq)];
    check(
        plain,
        &[("S.b", &[], ""), ("S.a", &on_subject("1"), "")],
        "2 3",
    );
    check(
        plain,
        &[("S.a", &[], ""), ("S.a", &on_subject("2"), "")],
        "10164 wrong last sequence",
    );
    check(
        plain,
        &[("S.b", &on_subject("1"), "")],
        "10071 wrong last sequence: 0",
    );
    let of_other = [
        ("Nats-Expected-Last-Subject-Sequence", "1"),
        ("Nats-Expected-Last-Subject-Sequence-Subject", "S.a"),
    ];
    check(plain, &[("S.b", &of_other, "")], "2");
    check(
        plain,
        &[("S.a", &[], ""), ("S.b", &of_other, "")],
        "10164 wrong last sequence",
    );
    let rollup = |what| [("Nats-Rollup", what)];
    check(
        plain,
        &[("S.a", &rollup("sub"), ""), ("S.a", &[], "")],
        "2 3",
    );
    check(
        plain,
        &[("S.a", &[], ""), ("S.a", &rollup("sub"), "")],
        "10111 batch rollup sub invalid",
    );
    check(plain, &[("S.a", &rollup("all"), "")], "2");
    check(
        plain,
        &[("S.b", &[], ""), ("S.a", &rollup("all"), "")],
        "10111 batch rollup all invalid",
    );
    check(
        plain,
        &[("S.b", &[("Nats-Expected-Last-Msg-Id", "seen")], "")],
        "10177 atomic publish unsupported header used: Nats-Expected-Last-Msg-Id",
    );
    check(
        plain,
        &[("S.b", &[("Nats-TTL", "x")], "")],
        "10166 per-message TTL is disabled",
    );
    check(
        |config| config.allow_msg_ttl = true,
        &[("S.b", &[], ""), ("S.b", &[("Nats-TTL", "x")], "")],
        "10165 invalid per-message TTL",
    );
}

#[test]
fn discard_new_counts_the_batch_in() {
    let three = |config: &mut StreamConfig| {
        config.discard = DiscardPolicy::New;
        config.max_msgs = 3;
    };
    check(three, &[("S.a", &[], ""), ("S.b", &[], "")], "2 3");
    let full = "10077 maximum messages exceeded";
    check(
        three,
        &[("S.a", &[], ""), ("S.b", &[], ""), ("S.c", &[], "")],
        full,
    );
    let bytes = |config: &mut StreamConfig| {
        config.discard = DiscardPolicy::New;
        config.max_bytes = 180;
    };
    check(bytes, &[("S.a", &[], ""), ("S.b", &[], "")], "2 3");
    let payload = "x".repeat(60);
    check(
        bytes,
        &[("S.a", &[], ""), ("S.b", &[], &payload)],
        "10077 maximum bytes exceeded",
    );
    let per_subject = |config: &mut StreamConfig| {
        config.discard = DiscardPolicy::New;
        config.discard_new_per_subject = true;
        config.max_msgs_per_subject = 2;
    };
    check(per_subject, &[("S.a", &[], ""), ("S.b", &[], "")], "2 3");
    let full = "10077 maximum messages per subject exceeded";
    check(per_subject, &[("S.a", &[], ""), ("S.a", &[], "")], full);
    check(
        per_subject,
        &[
            ("S.a", &[], ""),
            ("S.b", &[], ""),
            ("S.a", &[("Nats-Rollup", "x")], ""),
        ],
        "10111 rollup value invalid: \"x\"",
    );
}

#[test]
fn messages_without_interest_use_up_their_sequences_together_with_the_rest() {
    let (mut store, stream) = ready(|config| config.retention = RetentionPolicy::Interest);
    let batch: &[Plain<'_>] = &[
        ("S.no", &[("Nats-Rollup", "sub")], "1"),
        ("S.yes", &[], "2"),
        ("S.no.more", &[], "3"),
    ];
    let published =
        publish_wanted(&mut store, stream, batch, |subject| subject == "S.yes").unwrap();
    assert!(published.iter().map(|one| (one.seq.0, one.stored)).eq([
        (1, false),
        (2, true),
        (3, false)
    ]));
    for keep_catalog in [true, false] {
        store.reopen(keep_catalog);
        let state = store.shard().state(stream, DeletedDetails::List).unwrap();
        assert_eq!(
            (state.messages, state.first_seq.0, state.last_seq.0),
            (1, 2, 3)
        );
    }
    let only_skipped: &[Plain<'_>] = &[("S.no", &[], "4"), ("S.no", &[], "5")];
    publish_wanted(&mut store, stream, only_skipped, |_| false).unwrap();
    store.reopen(false);
    assert_eq!(store.shard().stream(stream).unwrap().last_seq().0, 5);
}

#[test]
fn a_batch_becomes_visible_whole_and_is_found_after_a_restart() {
    let (mut store, stream) = ready(|_| {});
    let published = publish(&mut store, stream, &[("S.a", &[], "1"), ("S.b", &[], "2")]).unwrap();
    assert_eq!(
        store.shard().stream(stream).unwrap().visible_last_seq().0,
        0
    );
    assert!(
        published
            .iter()
            .all(|one| one.position.unwrap() > store.shard().durable())
    );
    store.commit();
    assert_eq!(
        store.shard().stream(stream).unwrap().visible_last_seq().0,
        2
    );
    let again = publish(&mut store, stream, &[("S.a", &[("Nats-Msg-Id", "n")], "3")]).unwrap();
    assert_eq!(
        (again[0].seq, again[0].previous_on_subject),
        (StreamSeq(3), StreamSeq(1))
    );
    let before = store.shard().stream(stream).unwrap().fingerprint();
    store.reopen(false);
    assert_eq!(store.shard().stream(stream).unwrap().fingerprint(), before);
}

#[test]
fn a_batch_that_does_not_fit_a_segment_is_refused_whole() {
    let mut store = Store::new(64 << 10);
    let stream = store.create(config("S", StorageType::File));
    let payload = "x".repeat(9000);
    let batch: Vec<Plain<'_>> = vec![("S.a", &[], &payload); 8];
    let refused = publish(&mut store, stream, &batch);
    assert!(matches!(refused, Err(PublishError::Log(_))), "{refused:?}");
    assert_eq!(store.shard().stream(stream).unwrap().messages(), 0);
    // Each fits, and takes the next segment where the last one has too little room.
    for _ in 0..5 {
        publish(&mut store, stream, &batch[..5]).unwrap();
    }
    store.reopen(false);
    assert_eq!(store.shard().stream(stream).unwrap().messages(), 25);
}

#[test]
fn a_fast_message_is_checked_as_in_a_batch_and_stored_alone() {
    let (mut store, stream) = ready(|config| config.discard = DiscardPolicy::New);
    let mut fast = |headers: &[(&str, &str)]| {
        let headers = header_block(headers);
        let message = Publish {
            subject: b"S.a",
            headers: &headers,
            payload: b"x",
            has_interest: true,
            sender: Sender::Client,
        };
        let now = store.now;
        match store.shard().publish_fast(stream, &message, now) {
            Ok(published) => format!("{} {}", published.seq.0, published.duplicate),
            Err(PublishError::Rejected(error)) => error.description.into_owned(),
            Err(error) => panic!("{error}"),
        }
    };
    assert_eq!(fast(&[("Nats-Msg-Id", "a")]), "1 false");
    assert_eq!(fast(&[("Nats-Msg-Id", "a")]), "1 true");
    assert_eq!(
        fast(&[("Nats-Expected-Last-Sequence", "7")]),
        "wrong last sequence: 1"
    );
    assert_eq!(fast(&[("Nats-Rollup", "all")]), "2 false");
    // The id comes first here, unlike for a single message.
    assert_eq!(
        fast(&[("Nats-Msg-Id", "a"), ("Nats-Expected-Last-Sequence", "7")]),
        "1 true"
    );
    assert_eq!(
        fast(&[("Nats-Expected-Last-Msg-Id", "b")]),
        "wrong last msg ID: "
    );
}

#[test]
fn counters_and_schedules_of_a_batch_build_on_its_first_messages() {
    let (mut store, stream) = ready(|config| config.allow_msg_counter = true);
    let one: &[_] = &[("Nats-Incr", "1")];
    store
        .publish(stream, "S.a", &[("Nats-Incr", "40")], b"")
        .unwrap();
    let batch: &[Plain<'_>] = &[("S.a", one, ""), ("S.b", one, ""), ("S.a", one, "")];
    let published = publish(&mut store, stream, batch).unwrap();
    assert!(published.iter().all(|one| one.edited));
    for (seq, value) in [(2, "41"), (3, "1"), (4, "42")] {
        let message = store.shard().load(stream, StreamSeq(seq)).unwrap().unwrap();
        assert_eq!(
            message.payload,
            format!("{{\"val\":\"{value}\"}}").as_bytes()
        );
    }
    let missing: &[Plain<'_>] = &[("S.a", one, ""), ("S.b", &[], "")];
    let refused = publish(&mut store, stream, missing);
    assert!(
        matches!(&refused, Err(PublishError::Rejected(error)) if error.err_code == 10169),
        "{refused:?}"
    );

    let schedules = |config: &mut StreamConfig| config.allow_msg_schedules = true;
    let schedule: &[_] = &[
        ("Nats-Schedule", "@every 1h"),
        ("Nats-Schedule-Target", "S.t"),
    ];
    let end: &[_] = &[("Nats-Schedule-Next", "purge"), ("Nats-Scheduler", "S.s")];
    check(schedules, &[("S.s", schedule, ""), ("S.x", end, "")], "2 3");
    let invalid = "10212 message schedules invalid scheduler";
    check(schedules, &[("S.s", &[], ""), ("S.x", end, "")], invalid);
    check(
        schedules,
        &[("S.s", &[], ""), ("S.s", schedule, "")],
        "10111 batch rollup sub invalid",
    );
}
