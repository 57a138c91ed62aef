//! Streams of which damage has taken messages go on counting right.

mod support;

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::Path;

use jetsled_jetstream_api::{Nanos, StreamConfig, StreamSeq, Timestamp};
use jetsled_protocol::SubjectFilter;
use jetsled_store::{DeletedDetails, Publish, Purge, Sender, Shard, StreamId};
use jetsled_testkit::FaultyStorage;
use support::{NOW, checkpoint, commit, config, open};

fn publish(shard: &mut Shard, stream: StreamId, subject: &str, payload: &[u8]) {
    publish_with(shard, stream, subject, b"", payload);
}

fn publish_with(
    shard: &mut Shard,
    stream: StreamId,
    subject: &str,
    headers: &[u8],
    payload: &[u8],
) -> StreamSeq {
    let message = Publish {
        subject: subject.as_bytes(),
        headers,
        payload,
        has_interest: true,
        sender: Sender::Client,
    };
    let published = shard.publish(stream, &message, NOW).expect("a publish");
    commit(shard);
    published.seq
}

const TO_BE_DAMAGED: &[u8] = b"to be damaged";

/// Flips a bit of each message that is to be damaged; answers how many there were.
fn damage(disk: &FaultyStorage, dir: &Path) -> usize {
    let mut damaged = 0;
    disk.damage(&dir.join("shard-00/0000000001.seg"), |bytes| {
        for at in 0..bytes.len() {
            if bytes[at..].starts_with(TO_BE_DAMAGED) {
                bytes[at] ^= 1;
                damaged += 1;
            }
        }
    });
    damaged
}

#[test]
fn a_lost_message_is_replaced_on_its_subject_without_being_counted_twice() {
    let dir = tempfile::tempdir().expect("a directory");
    let disk = FaultyStorage::new();
    let mut shard = open(&disk, dir.path());
    let config = StreamConfig {
        max_msgs_per_subject: 1,
        ..config("S")
    };
    let stream = shard.create_stream("A", config, NOW).expect("a stream");
    publish(&mut shard, stream, "s.lost", TO_BE_DAMAGED);
    publish(&mut shard, stream, "s.kept", b"kept");
    checkpoint(&mut shard);
    drop(shard);

    assert_eq!(damage(&disk, dir.path()), 1);
    let mut shard = open(&disk, dir.path());
    let mut read = Vec::new();
    let next = shard.read_run(stream, StreamSeq(1), StreamSeq(2), &mut |message| {
        read.push(message.seq);
        ControlFlow::Continue(())
    });
    assert_eq!(next.expect("a read"), StreamSeq(3));
    assert_eq!(read, [StreamSeq(2)], "an altered message is not served");
    publish(&mut shard, stream, "s.lost", b"anew");

    let state = shard.state(stream, DeletedDetails::List).expect("a state");
    assert_eq!(state.messages, 2);
    assert_eq!(state.num_subjects, 2);
    assert_eq!(state.bytes, 2 * (22 + 6 + 4 + 8), "of both that are there");
    assert_eq!(
        (state.first_seq, state.last_seq),
        (StreamSeq(2), StreamSeq(3))
    );
    assert_eq!(state.lost.expect("it is told").messages, [StreamSeq(1)]);
}

/// A stream in which a message on each subject of `lost` was damaged, unknown to it so far, and one on each of `kept` behind them was not.
fn damaged(disk: &FaultyStorage, dir: &Path, lost: &[&str], kept: &[&str]) -> (Shard, StreamId) {
    let mut shard = open(disk, dir);
    let stream = shard.create_stream("A", config("S"), NOW);
    let stream = stream.expect("a stream");
    for subject in lost {
        publish(&mut shard, stream, subject, TO_BE_DAMAGED);
    }
    for subject in kept {
        publish(&mut shard, stream, subject, b"kept");
    }
    checkpoint(&mut shard);
    drop(shard);
    assert_eq!(damage(disk, dir), lost.len());
    (open(disk, dir), stream)
}

#[test]
fn a_message_that_is_asked_for_and_found_to_be_damaged_is_told_as_lost() {
    let dir = tempfile::tempdir().expect("a directory");
    let disk = FaultyStorage::new();
    let (mut shard, stream) = damaged(&disk, dir.path(), &["s.a"], &["s.a"]);
    assert_eq!(shard.stream(stream).expect("it").lost_messages(), 0);
    checkpoint(&mut shard);
    assert!(!shard.checkpoint_due());
    let loaded = shard.load(stream, StreamSeq(1)).expect("no error");
    assert!(loaded.is_none(), "an altered message is not served");
    let damaged = shard.stream(stream).expect("it");
    assert_eq!((damaged.lost_messages(), damaged.messages()), (1, 1));
    let lost: Vec<_> = damaged.lost().collect();
    assert_eq!(lost, [(StreamSeq(1), StreamSeq(1))]);
    // Without a checkpoint a start would count it until it is read again, and a limit would take another one for it.
    shard.tick(NOW);
    assert!(shard.checkpoint_due());
    checkpoint(&mut shard);
    drop(shard);
    let mut shard = open(&disk, dir.path());
    assert_eq!(shard.stream(stream).expect("it").lost_messages(), 1);
    // A purge that covers it ends the report.
    shard.purge(stream, &Purge::default()).expect("a purge");
    assert_eq!(shard.stream(stream).expect("it").lost_messages(), 0);
}

#[test]
fn what_was_lost_and_then_purged_is_counted_no_more() {
    let dir = tempfile::tempdir().expect("a directory");
    let disk = FaultyStorage::new();
    let kept = ["s.a", "s.b", "s.b", "s.c"];
    let (mut shard, stream) = damaged(&disk, dir.path(), &["s.a", "s.b"], &kept);
    for lost in 1..=2 {
        let loaded = shard.load(stream, StreamSeq(lost)).expect("no error");
        assert!(loaded.is_none(), "an altered message is not served");
    }
    let purge = Purge {
        below: StreamSeq(5),
        ..Purge::default()
    };
    shard.purge(stream, &purge).expect("a purge");
    let any = SubjectFilter::default();
    let mut counts = BTreeMap::new();
    shard.subjects(stream, &any, &mut |subject, count| {
        counts.insert(String::from_utf8_lossy(subject).into_owned(), count);
    });
    assert_eq!(counts, [("s.b".into(), 1), ("s.c".into(), 1)].into());
    let last = shard.last_per_subject(stream, StreamSeq(6), &any, 9);
    let last = last.expect("no error").expect("few");
    assert_eq!(last, [StreamSeq(5), StreamSeq(6)]);
}

#[test]
fn a_message_takes_the_place_of_those_before_it_and_not_its_own_when_some_were_lost() {
    for (max_msgs_per_subject, headers) in [
        (-1, &b"NATS/1.0\r\nNats-Rollup: sub\r\n\r\n"[..]),
        (2, b""),
        (100, b""),
    ] {
        let dir = tempfile::tempdir().expect("a directory");
        let disk = FaultyStorage::new();
        let mut shard = open(&disk, dir.path());
        let config = StreamConfig {
            max_msgs_per_subject,
            allow_rollup_hdrs: true,
            ..config("S")
        };
        let stream = shard.create_stream("A", config, NOW).expect("a stream");
        let lost = usize::try_from(max_msgs_per_subject).unwrap_or(2);
        for _ in 0..lost {
            publish(&mut shard, stream, "s.a", TO_BE_DAMAGED);
        }
        publish(&mut shard, stream, "s.other", b"kept");
        checkpoint(&mut shard);
        drop(shard);
        assert_eq!(damage(&disk, dir.path()), lost);
        let mut shard = open(&disk, dir.path());
        let all = StreamSeq(1)..=StreamSeq(lost as u64);
        let read = shard.read_run(stream, *all.start(), *all.end(), &mut |_| {
            ControlFlow::Continue(())
        });
        read.expect("a read");
        for kept in 0..2 {
            let seq = publish_with(&mut shard, stream, "s.a", headers, b"kept");
            let state = shard.state(stream, DeletedDetails::List).expect("a state");
            let messages = if headers.is_empty() { kept + 2 } else { 2 };
            let context = format!("of {max_msgs_per_subject} a subject, {state:?}");
            assert_eq!(state.messages, messages, "{context}");
            assert_eq!(state.last_seq, seq, "{context}");
            assert_eq!(state.num_subjects, 2, "{context}");
            let stored = shard.load(stream, seq).expect("a read");
            assert_eq!(stored.expect("it is there").payload, b"kept", "{context}");
        }
    }
}

#[test]
fn a_schedule_that_is_back_since_the_one_behind_it_is_lost_does_not_take_its_time() {
    let after = |seconds: i64| Timestamp(NOW.0 + seconds * 1_000_000_000);
    let sends = |shard: &mut Shard, now: Timestamp| {
        let mut sent = Vec::new();
        shard.tick(now);
        shard.take_scheduled(&mut sent);
        sent
    };
    let dir = tempfile::tempdir().expect("a directory");
    let disk = FaultyStorage::new();
    let mut shard = open(&disk, dir.path());
    let config = StreamConfig {
        subjects: vec!["s.>".to_owned()],
        allow_msg_schedules: true,
        ..config("S")
    };
    let stream = shard.create_stream("A", config, NOW).expect("a stream");
    let schedule = |shard: &mut Shard, pattern: &str, note: &[u8]| {
        let mut headers = format!(
            "NATS/1.0\r\nNats-Schedule: {pattern}\r\nNats-Schedule-Target: s.t\r\nNats-Schedule-Note: "
        )
        .into_bytes();
        headers.extend_from_slice(note);
        headers.extend_from_slice(b"\r\n\r\n");
        publish_with(shard, stream, "s.a", &headers, b"")
    };
    let first = schedule(&mut shard, &format!("@at {}", after(100)), b"");
    checkpoint(&mut shard);
    schedule(&mut shard, "@every 5s", TO_BE_DAMAGED);
    let sent = sends(&mut shard, after(5)).remove(0);
    let message = Publish {
        subject: &sent.subject,
        headers: &sent.headers,
        payload: &sent.payload,
        has_interest: true,
        sender: Sender::Server,
    };
    let published = shard.publish(stream, &message, after(5));
    assert!(published.expect("a publish").stored);
    commit(&mut shard);
    drop(shard);

    assert_eq!(damage(&disk, dir.path()), 1);
    let mut shard = open(&disk, dir.path());
    assert!(sends(&mut shard, after(99)).is_empty());
    let sent = sends(&mut shard, after(100));
    let by: Vec<_> = sent.iter().map(|sent| sent.schedule).collect();
    assert_eq!(by, [first]);
}

/// A stream of which the first and the last message of `s.a` were lost, unknown to it so far: 1 and 3 of 4.
fn without_ends(dir: &Path, config: StreamConfig, header: &[u8]) -> (Shard, StreamId) {
    let disk = FaultyStorage::new();
    let mut shard = open(&disk, dir);
    let stream = shard.create_stream("A", config, NOW).expect("a stream");
    publish_with(&mut shard, stream, "s.a", header, TO_BE_DAMAGED);
    publish_with(&mut shard, stream, "s.a", header, b"kept");
    publish_with(&mut shard, stream, "s.a", header, TO_BE_DAMAGED);
    publish_with(&mut shard, stream, "s.b", b"", b"kept");
    checkpoint(&mut shard);
    drop(shard);
    assert_eq!(damage(&disk, dir), 2);
    (open(&disk, dir), stream)
}

#[test]
fn the_last_of_a_subject_is_the_one_before_what_was_lost() {
    let dir = tempfile::tempdir().expect("a directory");
    let (mut shard, stream) = without_ends(dir.path(), config("S"), b"");
    let last = |shard: &mut Shard| {
        let last = shard.last_match(stream, &SubjectFilter::new(["s.a"]));
        last.expect("a read").map(|seq| seq.0)
    };
    assert_eq!(last(&mut shard), Some(3), "nobody knows yet");
    assert!(shard.load(stream, StreamSeq(3)).expect("a read").is_none());
    assert_eq!(last(&mut shard), Some(2));
    let expecting = |last: u64| {
        format!("NATS/1.0\r\nNats-Expected-Last-Subject-Sequence: {last}\r\n\r\n").into_bytes()
    };
    let headers = expecting(2);
    let seq = publish_with(&mut shard, stream, "s.a", &headers, b"new");
    assert_eq!(last(&mut shard), Some(seq.0));
}

#[test]
fn what_expires_goes_although_damage_took_it() {
    let dir = tempfile::tempdir().expect("a directory");
    let config = StreamConfig {
        allow_msg_ttl: true,
        allow_rollup_hdrs: true,
        subject_delete_marker_ttl: Nanos::from_secs(10),
        ..config("S")
    };
    let ttl = b"NATS/1.0\r\nNats-TTL: 10s\r\n\r\n";
    let (mut shard, stream) = without_ends(dir.path(), config, ttl);
    shard.tick(NOW.saturating_add(Nanos::from_secs(11)));
    commit(&mut shard);
    let state = shard.state(stream, DeletedDetails::Count).expect("a state");
    // The marker of `s.a` stands behind what the other subject has.
    assert_eq!((state.first_seq.0, state.messages), (4, 2), "{state:?}");
}

#[test]
fn a_counter_goes_on_from_the_message_before_what_was_lost() {
    let dir = tempfile::tempdir().expect("a directory");
    let disk = FaultyStorage::new();
    let mut shard = open(&disk, dir.path());
    let config = StreamConfig {
        allow_msg_counter: true,
        ..config("S")
    };
    let stream = shard.create_stream("A", config, NOW).expect("a stream");
    let add = |shard: &mut Shard, note: &[u8]| {
        let mut headers = b"NATS/1.0\r\nNats-Incr: 7\r\nNote: ".to_vec();
        headers.extend_from_slice(note);
        headers.extend_from_slice(b"\r\n\r\n");
        publish_with(shard, stream, "s.a", &headers, b"")
    };
    for note in [&b"kept"[..], TO_BE_DAMAGED] {
        add(&mut shard, note);
    }
    checkpoint(&mut shard);
    drop(shard);
    assert_eq!(damage(&disk, dir.path()), 1);
    let mut shard = open(&disk, dir.path());
    let seq = add(&mut shard, b"kept");
    let counted = shard.load(stream, seq).expect("a read").expect("it");
    assert_eq!(counted.payload, br#"{"val":"14"}"#);
}
