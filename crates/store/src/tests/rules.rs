//! The publish rules that the model does not know, each by its error code.

use jetsled_jetstream_api::{
    DiscardPolicy, Nanos, RetentionPolicy, StorageType, StreamConfig, StreamSeq,
};

use jetsled_protocol::SubjectFilter;

use super::{Store, code, config, header_block};
use crate::{DeletedDetails, Erase, Publish, Purge, Sender};

/// Subject, headers, payload.
type Sent<'a> = (&'a str, &'a [(&'a str, &'a str)], &'a str);

/// Publishes the last of `messages` after the others into a stream so configured; what the last one is told.
fn check(configure: impl Fn(&mut StreamConfig), messages: &[Sent<'_>], expected: (u16, &str)) {
    for storage in [StorageType::File, StorageType::Memory] {
        let mut store = Store::new(1 << 20);
        let mut config = config("S", storage);
        configure(&mut config);
        let stream = store.create(config);
        let mut outcome = None;
        for (subject, headers, payload) in messages {
            outcome = Some(store.publish(stream, subject, headers, payload.as_bytes()));
        }
        let (found, text) = code(&outcome.unwrap());
        assert_eq!((found, &*text), expected, "{messages:?}");
    }
}

#[test]
fn refusals_have_the_codes_and_texts_of_the_table() {
    let plain = |_: &mut StreamConfig| {};
    let one = |headers: &'static [(&'static str, &'static str)]| [("S.a", headers, "x")];
    check(
        plain,
        &one(&[("Nats-Expected-Stream", "T")]),
        (10060, "expected stream does not match"),
    );
    check(plain, &one(&[("Nats-Expected-Stream", "S")]), (0, ""));
    check(
        plain,
        &one(&[("Nats-Expected-Last-Sequence", "4")]),
        (10071, "wrong last sequence: 0"),
    );
    check(
        plain,
        &one(&[("Nats-Expected-Last-Msg-Id", "m")]),
        (10070, "wrong last msg ID: "),
    );
    check(
        plain,
        &one(&[("Nats-TTL", "5")]),
        (10166, "per-message TTL is disabled"),
    );
    check(
        plain,
        &one(&[("Nats-Incr", "1")]),
        (10168, "message counters is disabled"),
    );
    check(
        plain,
        &one(&[("Nats-Incr", "x")]),
        (10171, "message counter increment is invalid"),
    );
    check(
        plain,
        &one(&[("Nats-Rollup", "Some")]),
        (10111, "rollup value invalid: \"some\""),
    );
    check(
        plain,
        &one(&[("Nats-Expected-Last-Subject-Sequence-Subject", "S.b")]),
        (
            10193,
            "missing sequence for expected last sequence per subject",
        ),
    );
    check(
        plain,
        &one(&[("Nats-Stream-Source", "x")]),
        (10227, "message stream source header is not allowed"),
    );
    check(
        plain,
        &[
            ("S.a.x", &[], "1"),
            ("S.b", &[], "2"),
            (
                "S.c",
                &[
                    ("Nats-Expected-Last-Subject-Sequence", "2"),
                    ("Nats-Expected-Last-Subject-Sequence-Subject", "S.a.*"),
                ],
                "3",
            ),
        ],
        (10071, "wrong last sequence: 1"),
    );
    check(
        |config| config.max_msg_size = 3,
        &[("S.a", &[], "1234")],
        (10054, "message size exceeds maximum allowed"),
    );
    check(
        |config| config.sealed = true,
        &one(&[]),
        (10109, "invalid operation on sealed stream"),
    );
    check(
        |config| config.allow_rollup_hdrs = false,
        &one(&[("Nats-Rollup", "sub")]),
        (10111, "rollup not permitted"),
    );
    check(
        |config| config.allow_msg_ttl = true,
        &one(&[("Nats-TTL", "10ms")]),
        (10165, "invalid per-message TTL"),
    );
    let full = |config: &mut StreamConfig| {
        config.discard = DiscardPolicy::New;
        config.max_msgs = 1;
    };
    check(
        full,
        &[("S.a", &[], "1"), ("S.b", &[], "2")],
        (10077, "maximum messages exceeded"),
    );
    let full = |config: &mut StreamConfig| {
        config.discard = DiscardPolicy::New;
        config.max_bytes = 60;
    };
    check(
        full,
        &[
            ("S.a", &[], "1"),
            ("S.b", &[], "22222222222222222222222222222222222"),
        ],
        (10077, "maximum bytes exceeded"),
    );
}

#[test]
fn an_expired_last_message_of_a_subject_leaves_a_marker_that_expires_too() {
    for storage in [StorageType::File, StorageType::Memory] {
        let mut store = Store::new(1 << 20);
        let mut config = config("S", storage);
        config.allow_msg_ttl = true;
        config.subject_delete_marker_ttl = Nanos::from_secs(2);
        config.max_age = Nanos::from_secs(60);
        let stream = store.create(config);
        store
            .publish(stream, "S.a", &[("Nats-TTL", "1")], b"x")
            .unwrap();
        let message = store.shard().load(stream, StreamSeq(1)).unwrap().unwrap();
        assert_eq!(
            message.headers,
            header_block(&[("Nats-TTL", "2")]),
            "raised to the marker's"
        );
        store.advance(3);
        store.tick();
        let marker = store.shard().load(stream, StreamSeq(2)).unwrap().unwrap();
        let expected = header_block(&[
            ("Nats-Marker-Reason", "MaxAge"),
            ("Nats-TTL", "2s"),
            ("Nats-Rollup", "sub"),
        ]);
        assert_eq!(
            (marker.subject, marker.headers),
            (&b"S.a"[..], &expected[..])
        );
        assert_eq!(store.shard().stream(stream).unwrap().messages(), 1);
        store.advance(3);
        store.tick();
        let state = store.shard().stream(stream).unwrap();
        assert_eq!(
            (state.messages(), state.last_seq().0),
            (0, 2),
            "no marker for a marker"
        );
    }
}

#[test]
fn without_interest_the_sequence_is_used_and_nothing_stored_even_after_a_restart() {
    let mut store = Store::new(1 << 20);
    let mut config = config("S", StorageType::File);
    config.retention = RetentionPolicy::Interest;
    let stream = store.create(config);
    store.publish(stream, "S.a", &[], b"1").unwrap();
    let now = store.now;
    let message = Publish {
        subject: b"S.a",
        headers: b"",
        payload: b"2",
        has_interest: false,
        sender: Sender::Client,
    };
    let published = store.shard().publish(stream, &message, now).unwrap();
    assert_eq!((published.seq.0, published.stored), (2, false));
    store.publish(stream, "S.a", &[], b"3").unwrap();
    store.shard().release(stream, StreamSeq(1)).unwrap();
    for keep_catalog in [true, false] {
        store.reopen(keep_catalog);
        let state = store.shard().stream(stream).unwrap();
        assert_eq!(
            (state.first_seq().0, state.last_seq().0, state.messages()),
            (3, 3, 1)
        );
    }
}

#[test]
fn request_info_and_status_are_not_stored() {
    let mut store = Store::new(1 << 20);
    let stream = store.create(config("S", StorageType::File));
    let now = store.now;
    let headers = b"NATS/1.0 503\r\nNats-Request-Info: {}\r\nA: b\r\n\r\n";
    let message = Publish {
        subject: b"S.a",
        headers,
        payload: b"x",
        has_interest: true,
        sender: Sender::Client,
    };
    store.shard().publish(stream, &message, now).unwrap();
    let stored = store.shard().load(stream, StreamSeq(1)).unwrap().unwrap();
    assert_eq!(stored.headers, header_block(&[("A", "b")]));
}

#[test]
fn a_purge_beyond_the_end_moves_it() {
    let mut store = Store::new(1 << 20);
    let stream = store.create(config("S", StorageType::File));
    store.publish(stream, "S.a", &[], b"1").unwrap();
    let purge = Purge {
        below: StreamSeq(100),
        ..Purge::default()
    };
    assert_eq!(store.shard().purge(stream, &purge).unwrap().messages, 1);
    store.reopen(true);
    let state = store.shard().stream(stream).unwrap();
    assert_eq!((state.first_seq().0, state.last_seq().0), (100, 99));
}

#[test]
fn a_counter_adds_up_over_restarts() {
    for storage in [StorageType::File, StorageType::Memory] {
        let mut store = Store::new(1 << 20);
        let mut config = config("S", storage);
        config.allow_msg_counter = true;
        config.allow_rollup_hdrs = false;
        let stream = store.create(config);
        let add = |store: &mut Store, increment: &str, total: &str| {
            let published = store
                .publish(stream, "S.a", &[("Nats-Incr", increment)], b"")
                .unwrap();
            assert!(published.edited);
            let shard = store.shard();
            assert_eq!(shard.stream(stream).unwrap().counter_value(), total);
            let stored = shard.load(stream, published.seq).unwrap().unwrap();
            assert_eq!(stored.headers, header_block(&[("Nats-Incr", increment)]));
            assert_eq!(
                stored.payload,
                format!("{{\"val\":\"{total}\"}}").as_bytes()
            );
        };
        add(&mut store, "+7", "7");
        add(&mut store, "-10", "-3");
        if storage == StorageType::File {
            store.reopen(true);
        }
        add(
            &mut store,
            "100000000000000000000000000000",
            "99999999999999999999999999997",
        );
        if storage == StorageType::File {
            store.reopen(false);
        }
        add(&mut store, "0", "99999999999999999999999999997");
    }
}

#[test]
fn counters_refuse_what_they_can_not_count() {
    let counter = |config: &mut StreamConfig| config.allow_msg_counter = true;
    let one = |headers: &'static [(&'static str, &'static str)]| [("S.a", headers, "")];
    let invalid = (10171, "message counter increment is invalid");
    check(counter, &one(&[("Nats-Incr", "1.5")]), invalid);
    check(
        counter,
        &one(&[("Nats-Incr", "1"), ("Nats-Rollup", "sub")]),
        invalid,
    );
    check(
        counter,
        &one(&[("Nats-Incr", "1"), ("Nats-Expected-Last-Sequence", "0")]),
        invalid,
    );
    check(
        counter,
        &one(&[]),
        (10169, "message counter increment is missing"),
    );
    check(
        counter,
        &one(&[("Nats-Incr", "")]),
        (10169, "message counter increment is missing"),
    );
    check(
        counter,
        &[("S.a", &[("Nats-Incr", "1")], "x")],
        (10170, "message counter has payload"),
    );
    check(
        |_| {},
        &one(&[("Nats-Incr", "1")]),
        (10168, "message counters is disabled"),
    );
    let broken = [
        (
            "S.a",
            &[("Nats-Incr", "1"), ("Nats-Counter-Sources", "x")][..],
            "",
        ),
        ("S.a", &[("Nats-Incr", "1")], ""),
    ];
    check(counter, &broken, (10172, "message counter is broken"));
}

#[test]
fn a_message_that_is_too_large_is_told_so_first() {
    let small = |config: &mut StreamConfig| config.max_msg_size = 10;
    for header in [
        ("Nats-Expected-Stream", "T"),
        ("Nats-Expected-Last-Sequence", "9"),
        ("Nats-Rollup", "other"),
        ("Nats-TTL", "1h"),
    ] {
        let want = (10054, "message size exceeds maximum allowed");
        check(small, &[("S.a", &[header], "longer than that")], want);
    }
}

#[test]
fn only_discard_old_makes_room_for_a_lowered_limit() {
    for (discard, want) in [(DiscardPolicy::Old, 1), (DiscardPolicy::New, 3)] {
        let mut store = Store::new(1 << 20);
        let mut config = config("S", StorageType::File);
        config.discard = discard;
        let stream = store.create(config.clone());
        for subject in ["S.a", "S.b", "S.c"] {
            store.publish(stream, subject, &[], b"x").unwrap();
        }
        config.max_msgs = 1;
        let now = store.now;
        store.shard().update_stream(stream, config, now).unwrap();
        let messages = store.shard().stream(stream).unwrap().messages();
        assert_eq!(messages, want, "{discard}");
    }
}

#[test]
fn an_unused_stream_begins_at_0_until_something_says_where() {
    let mut store = Store::new(1 << 20);
    let first_of = |store: &mut Store, stream| {
        let state = store.shard().state(stream, DeletedDetails::Count).unwrap();
        state.first_seq
    };
    let mut config = config("S", StorageType::File);
    let stream = store.create(config.clone());
    assert_eq!(first_of(&mut store, stream), StreamSeq(0));
    config.first_seq = StreamSeq(1);
    let now = store.now;
    store.shard().update_stream(stream, config, now).unwrap();
    assert_eq!(first_of(&mut store, stream), StreamSeq(0));
    store.shard().purge(stream, &Purge::default()).unwrap();
    assert_eq!(first_of(&mut store, stream), StreamSeq(1));
    store.commit();
    store.reopen(true);
    assert_eq!(first_of(&mut store, stream), StreamSeq(1));
    store.reopen(false);
    assert_eq!(first_of(&mut store, stream), StreamSeq(1));
}

#[test]
fn the_last_of_all_messages_is_that_of_the_last_sequence() {
    let mut store = Store::new(1 << 20);
    let stream = store.create(config("S", StorageType::File));
    for subject in ["S.a", "S.b"] {
        store.publish(stream, subject, &[], b"x").unwrap();
    }
    let last = |store: &mut Store, pattern: &str| {
        let filter = SubjectFilter::new([pattern]);
        let message = store.shard().load_last(stream, &filter).unwrap();
        message.map(|message| message.seq.0)
    };
    assert_eq!(last(&mut store, ">"), Some(2));
    assert_eq!(last(&mut store, "S.*"), Some(2));
    store
        .shard()
        .delete_message(stream, StreamSeq(2), Erase::No)
        .unwrap();
    assert_eq!(last(&mut store, ">"), None);
    assert_eq!(last(&mut store, "S.*"), Some(1));
}
