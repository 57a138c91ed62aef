//! Two shards have a stream of one name: the newer one counts, and nothing happens to the older one.

#[expect(dead_code, reason = "other tests need more of it")]
mod support;

use jetsled_jetstream_api::{Nanos, StreamConfig, StreamSeq, Timestamp};
use jetsled_store::{Publish, Purge, Sender, Shard, StreamId};
use jetsled_testkit::{Call, Fault, FaultyStorage};
use support::{NOW, checkpoint, commit, config, open_shards};

/// A stream that was created so many seconds after [`NOW`], with a message that is due to expire.
fn stream(shard: &mut Shard, after: i64) -> StreamId {
    let config = StreamConfig {
        max_age: Nanos::from_secs(100),
        ..config("S")
    };
    let created = Timestamp(NOW.0 + after * 1_000_000_000);
    let stream = shard.create_stream("A", config, created);
    let stream = stream.expect("a stream");
    let message = Publish {
        subject: b"s.a",
        headers: b"",
        payload: b"kept",
        has_interest: true,
        sender: Sender::Client,
    };
    let published = shard.publish(stream, &message, Timestamp(NOW.0 - 99_000_000_000));
    published.expect("a publish");
    commit(shard);
    stream
}

#[test]
fn the_newest_stream_of_a_name_counts_and_the_others_are_kept() {
    for (first, second, older) in [(0, 1, 0), (1, 0, 1)] {
        let (disk, dir) = (
            FaultyStorage::new(),
            tempfile::tempdir().expect("a directory"),
        );
        let mut opened = open_shards(&disk, dir.path(), 3);
        assert_eq!(opened.report.set_aside_streams, []);
        let streams = [(0, first), (1, second)]
            .map(|(shard, after)| stream(&mut opened.shards[shard], after));
        let alone = opened.shards[2].create_stream("B", config("S"), NOW);
        alone.expect("a stream of another account");
        commit(&mut opened.shards[2]);
        drop(opened);

        let newer = 1 - older;
        let mut opened = open_shards(&disk, dir.path(), 3);
        let [aside] = &opened.report.set_aside_streams[..] else {
            panic!("{:?}", opened.report.set_aside_streams)
        };
        assert_eq!((aside.shard, aside.stream), (older, streams[older]));
        assert_eq!((&*aside.account, &*aside.name), ("A", "S"));
        assert_eq!((aside.created, aside.messages), (NOW, 1));
        for shard in &mut opened.shards {
            // Both messages are too old by now.
            shard.tick(Timestamp(NOW.0 + 1_000_000_000_000));
            commit(shard);
        }
        let messages = |shard: &Shard, id| shard.stream(id).expect("it is there").messages();
        assert_eq!(messages(&opened.shards[newer], streams[newer]), 0);
        assert_eq!(messages(&opened.shards[older], streams[older]), 1);
        for shard in &mut opened.shards {
            checkpoint(shard);
        }
        drop(opened);

        // Without the newer one it is the one that counts.
        let mut opened = open_shards(&disk, dir.path(), 3);
        assert_eq!(opened.report.set_aside_streams.len(), 1);
        let deleted = opened.shards[newer].delete_stream(streams[newer]);
        deleted.expect("deleted");
        commit(&mut opened.shards[newer]);
        drop(opened);
        let mut opened = open_shards(&disk, dir.path(), 3);
        assert_eq!(opened.report.set_aside_streams, []);
        let shard = &mut opened.shards[older];
        assert!(
            !shard
                .stream(streams[older])
                .expect("it is there")
                .is_set_aside()
        );
        let message = shard.load(streams[older], StreamSeq(1)).expect("read");
        assert_eq!(
            message.map(|message| message.payload.to_vec()),
            Some(b"kept".to_vec())
        );
        shard
            .purge(streams[older], &Purge::default())
            .expect("it can be changed again");
    }
}

#[test]
fn a_stream_stays_aside_when_a_commit_fails() {
    let (disk, dir) = (
        FaultyStorage::new(),
        tempfile::tempdir().expect("a directory"),
    );
    let mut opened = open_shards(&disk, dir.path(), 2);
    let older = stream(&mut opened.shards[0], 0);
    stream(&mut opened.shards[1], 1);
    drop(opened);
    let mut opened = open_shards(&disk, dir.path(), 2);
    let shard = &mut opened.shards[0];
    shard
        .create_stream("A", config("OTHER"), NOW)
        .expect("a stream");
    disk.fail(
        Call::Write,
        0,
        Fault::Error(std::io::ErrorKind::StorageFull),
    );
    let commit = shard.take_commit().expect("a commit");
    assert!(shard.finish_commit(commit.run()).is_err());
    assert!(shard.stream(older).expect("it is there").is_set_aside());
}
