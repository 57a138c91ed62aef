//! Streams of which damage has taken messages go on counting right.

mod support;

use std::ops::ControlFlow;
use std::path::Path;

use jetsled_jetstream_api::{StreamConfig, StreamSeq};
use jetsled_store::{DeletedDetails, Publish, Sender, Shard, StreamId};
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

#[test]
fn a_message_that_is_asked_for_and_found_to_be_damaged_is_told_as_lost() {
    let dir = tempfile::tempdir().expect("a directory");
    let disk = FaultyStorage::new();
    let mut shard = open(&disk, dir.path());
    let stream = shard.create_stream("A", config("S"), NOW);
    let stream = stream.expect("a stream");
    publish(&mut shard, stream, "s.a", TO_BE_DAMAGED);
    publish(&mut shard, stream, "s.a", b"kept");
    checkpoint(&mut shard);
    drop(shard);
    assert_eq!(damage(&disk, dir.path()), 1);
    let mut shard = open(&disk, dir.path());
    assert_eq!(shard.stream(stream).expect("it").lost_messages(), 0);
    let loaded = shard.load(stream, StreamSeq(1)).expect("no error");
    assert!(loaded.is_none(), "an altered message is not served");
    let damaged = shard.stream(stream).expect("it");
    assert_eq!((damaged.lost_messages(), damaged.messages()), (1, 1));
    let lost: Vec<_> = damaged.lost().collect();
    assert_eq!(lost, [(StreamSeq(1), StreamSeq(1))]);
    // A purge that covers it ends the report.
    shard
        .purge(stream, &jetsled_store::Purge::default())
        .expect("a purge");
    assert_eq!(shard.stream(stream).expect("it").lost_messages(), 0);
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
