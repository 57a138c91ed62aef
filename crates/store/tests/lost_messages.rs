//! Streams of which damage has taken messages go on counting right.

use std::num::NonZeroU8;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;

use jetsled_jetstream_api::{StreamConfig, StreamSeq, Timestamp};
use jetsled_store::{DeletedDetails, OpenError, Publish, Sender, Shard, StoreOptions, StreamId};
use jetsled_testkit::FaultyStorage;

const NOW: Timestamp = Timestamp(1_700_000_000_000_000_000);

/// sled gives its lock back some time after its last handle has dropped.
fn open(disk: &FaultyStorage, dir: &Path) -> Shard {
    let options = StoreOptions {
        shards: NonZeroU8::new(1),
        segment_bytes: 64 << 10,
        ..StoreOptions::new(dir, 3)
    };
    loop {
        match jetsled_store::open(&options, Arc::new(disk.clone()), NOW) {
            Err(OpenError::Catalog(error)) if error.to_string().contains("lock") => {
                std::thread::yield_now();
            }
            opened => return opened.expect("a store").shards.remove(0),
        }
    }
}

fn publish(shard: &mut Shard, stream: StreamId, subject: &str, payload: &[u8]) {
    let message = Publish {
        subject: subject.as_bytes(),
        headers: b"",
        payload,
        has_interest: true,
        sender: Sender::Client,
    };
    shard.publish(stream, &message, NOW).expect("a publish");
    let commit = shard.take_commit().expect("a commit");
    shard.finish_commit(commit.run()).expect("it is written");
}

#[test]
fn a_lost_message_is_replaced_on_its_subject_without_being_counted_twice() {
    let dir = tempfile::tempdir().expect("a directory");
    let disk = FaultyStorage::new();
    let mut shard = open(&disk, dir.path());
    let config = StreamConfig {
        name: "S".to_owned(),
        max_msgs: -1,
        max_msgs_per_subject: 1,
        max_bytes: -1,
        max_msg_size: -1,
        ..StreamConfig::default()
    };
    let stream = shard.create_stream("A", config, NOW).expect("a stream");
    publish(&mut shard, stream, "s.lost", b"to be damaged");
    publish(&mut shard, stream, "s.kept", b"kept");
    let checkpoint = shard.take_checkpoint(std::iter::empty());
    let done = checkpoint.run(shard.synced());
    shard.finish_checkpoint(done).expect("a checkpoint");
    drop(shard);

    let segment = dir.path().join("shard-00/0000000001.seg");
    disk.damage(&segment, |bytes| {
        let payload = bytes.windows(13).position(|at| at == b"to be damaged");
        bytes[payload.expect("the message")] ^= 1;
    });
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
