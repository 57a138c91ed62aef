//! Damage to a record that says something of messages costs what that record said, and not the messages.

mod support;

use std::sync::Arc;

use jetsled_jetstream_api::{StreamConfig, StreamSeq};
use jetsled_store::log::{Delete, Log, LogOptions, Message, Record};
use jetsled_store::storage::Storage;
use jetsled_store::{DeletedDetails, Erase, LogPosition, Publish, Sender, Shard, StreamId};
use jetsled_testkit::FaultyStorage;
use support::{NOW, checkpoint, commit, config, open, open_shards};

/// Where in a record its length stands, and where its body begins.
const LEN: usize = 8;
const BODY: usize = 24;

struct Store {
    disk: FaultyStorage,
    dir: tempfile::TempDir,
    shard: Option<Shard>,
}

impl Store {
    fn new() -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let disk = FaultyStorage::new();
        let shard = Some(open(&disk, dir.path()));
        Self { disk, dir, shard }
    }

    fn shard(&mut self) -> &mut Shard {
        self.shard.as_mut().expect("an open shard")
    }

    fn create(&mut self, name: &str) -> StreamId {
        let config = config(name);
        let created = self.shard().create_stream("A", config, NOW);
        self.commit();
        created.expect("a stream")
    }

    fn publish(&mut self, stream: StreamId, payload: &[u8]) -> StreamSeq {
        let message = Publish {
            subject: b"s.a",
            headers: b"",
            payload,
            has_interest: true,
            sender: Sender::Client,
        };
        let published = self.shard().publish(stream, &message, NOW);
        self.commit();
        published.expect("a publish").seq
    }

    fn commit(&mut self) {
        commit(self.shard());
    }

    fn checkpoint(&mut self) {
        checkpoint(self.shard());
    }

    /// Opens the store again. Of the records at these places a bit is flipped before.
    fn reopen_damaged(&mut self, records: &[LogPosition]) {
        self.reopen_with(|bytes| {
            for at in records {
                bytes[at.offset() as usize + LEN] ^= 1;
            }
        });
    }

    /// Opens the store again, after this has been done to its first segment.
    fn reopen_with(&mut self, damage: impl FnOnce(&mut Vec<u8>)) {
        self.shard = None;
        let segment = self.dir.path().join("shard-00/0000000001.seg");
        self.disk.damage(&segment, damage);
        self.shard = Some(open(&self.disk, self.dir.path()));
    }

    fn fill_to_segment(&mut self, stream: StreamId, number: u32) {
        while self.shard().position().segment().get() != number {
            self.publish(stream, &[0; 20_000]);
        }
        while let Some(maintenance) = self.shard().take_maintenance() {
            self.shard().finish_maintenance(maintenance.run());
        }
    }

    fn lost(&mut self, stream: StreamId) -> Vec<(StreamSeq, StreamSeq)> {
        let stream = self.shard().stream(stream).expect("the stream");
        stream.lost().collect()
    }

    fn payload(&mut self, stream: StreamId, seq: u64) -> Option<Vec<u8>> {
        let loaded = self.shard().load(stream, StreamSeq(seq));
        let message = loaded.expect("a readable message")?;
        Some(message.payload.to_vec())
    }
}

#[test]
fn a_stream_whose_deletion_is_lost_does_not_stand_beside_the_newer_one_of_its_name() {
    for checkpoint in [false, true] {
        let mut store = Store::new();
        let older = store.create("S");
        store.publish(older, b"old");
        if checkpoint {
            store.checkpoint();
        }
        let deletion = store.shard().position();
        store.shard().delete_stream(older).expect("a deletion");
        store.commit();
        let newer = store.create("S");
        store.publish(newer, b"new");
        store.reopen_damaged(&[deletion]);
        let streams: Vec<_> = store.shard().streams().map(|stream| stream.id()).collect();
        assert_eq!(streams, [newer], "checkpoint: {checkpoint}");
        assert_eq!(store.payload(newer, 1), Some(b"new".to_vec()));
        // Nor does it come back when that one goes.
        store.shard().delete_stream(newer).expect("a deletion");
        store.commit();
        store.reopen_damaged(&[]);
        assert_eq!(store.shard().streams().count(), 0);
    }
}

#[test]
fn a_consumer_whose_deletion_is_lost_does_not_stand_beside_the_newer_one_of_its_name() {
    for checkpoint in [false, true] {
        let mut store = Store::new();
        let stream = store.create("S");
        let older = store.shard().put_consumer(stream, "C", b"old", b"");
        let older = older.expect("a consumer");
        store.commit();
        if checkpoint {
            store.checkpoint();
        }
        let deletion = store.shard().position();
        store.shard().delete_consumer(older).expect("a deletion");
        store.commit();
        let newer = store.shard().put_consumer(stream, "C", b"new", b"");
        let newer = newer.expect("a consumer");
        store.commit();
        store.reopen_damaged(&[deletion]);
        let found = store.shard().recovered_consumers();
        let found: Vec<_> = found.iter().map(|consumer| consumer.key).collect();
        assert_eq!(found, [newer], "checkpoint: {checkpoint}");
        store.shard().delete_consumer(newer).expect("a deletion");
        store.commit();
        store.reopen_damaged(&[]);
        assert!(store.shard().recovered_consumers().is_empty());
    }
}

#[test]
fn a_consumer_number_of_which_only_progress_is_left_is_not_given_again() {
    let mut store = Store::new();
    let stream = store.create("S");
    let creation = store.shard().position();
    let lost = store.shard().put_consumer(stream, "C", b"config", b"");
    let lost = lost.expect("a consumer");
    store.commit();
    let logged = store.shard().log_progress(lost, b"progress");
    logged.expect("a record");
    store.commit();
    store.reopen_damaged(&[creation]);
    assert!(store.shard().recovered_consumers().is_empty());
    let next = store.shard().put_consumer(stream, "C", b"config", b"");
    assert_ne!(next.expect("a consumer"), lost);
}

#[test]
fn messages_outlive_their_streams_first_configuration() {
    for checkpoint in [false, true] {
        let mut store = Store::new();
        if checkpoint {
            store.checkpoint();
        }
        let creation = store.shard().position();
        let stream = store.create("S");
        for n in 1..=5 {
            store.publish(stream, &[n]);
        }
        let config = StreamConfig {
            max_msgs: 4,
            ..config("S")
        };
        let updated = store.shard().update_stream(stream, config, NOW);
        updated.expect("an update");
        store.commit();
        store.reopen_damaged(&[creation]);
        let state = store.shard().state(stream, DeletedDetails::Count);
        let state = state.expect("the stream");
        assert_eq!((state.messages, state.last_seq), (4, StreamSeq(5)));
        assert_eq!(store.payload(stream, 2), Some(vec![2]));
    }
}

#[test]
fn an_erased_message_is_not_served_though_its_deletion_is_lost() {
    for checkpoint in [false, true] {
        let mut store = Store::new();
        let stream = store.create("S");
        store.publish(stream, b"a secret");
        store.publish(stream, b"kept");
        if checkpoint {
            store.checkpoint();
        }
        let deletion = store.shard().position();
        let deleted = store
            .shard()
            .delete_message(stream, StreamSeq(1), Erase::Yes);
        deleted.expect("a deletion");
        store.commit();
        store.publish(stream, b"behind it");
        // The deletion takes 32 bytes; what erases comes behind it.
        store.reopen_damaged(&[deletion]);
        assert!(
            !matches!(store.shard().load(stream, StreamSeq(1)), Ok(Some(_))),
            "checkpoint: {checkpoint}"
        );
        assert_eq!(store.payload(stream, 2), Some(b"kept".to_vec()));
        let state = store.shard().state(stream, DeletedDetails::List);
        let state = state.expect("the stream");
        if !checkpoint {
            assert_eq!((state.messages, state.first_seq), (2, StreamSeq(2)));
            assert_eq!(state.lost, None, "it is deleted");
        }
    }
}

#[test]
fn what_only_the_index_of_a_lost_segment_names_is_told_and_not_given_out_again() {
    for (cut, with_checkpoint) in [(false, false), (false, true), (true, false), (true, true)] {
        let mut store = Store::new();
        let stream = store.create("S");
        let filler = store.create("F");
        store.publish(stream, b"1");
        store.fill_to_segment(filler, 2);
        if with_checkpoint {
            store.checkpoint();
        }
        store.publish(stream, b"2");
        store.publish(stream, b"3");
        store.fill_to_segment(filler, 3);
        store.shard = None;
        let segment = store.dir.path().join("shard-00/0000000002.seg");
        if cut {
            store.disk.damage(&segment, |bytes| bytes.truncate(100));
        } else {
            Storage::remove(&store.disk, &segment).expect("it was there");
        }
        store.reopen_damaged(&[]);
        let lost = store.lost(stream);
        let context = format!("cut: {cut}, checkpoint: {with_checkpoint}");
        assert_eq!(lost, [(StreamSeq(2), StreamSeq(3))], "{context}");
        assert_eq!(store.publish(stream, b"4"), StreamSeq(4), "{context}");
        store.checkpoint();
        store.reopen_damaged(&[]);
        assert_eq!(store.lost(stream), lost, "{context}");
        assert_eq!(store.payload(stream, 1), Some(b"1".to_vec()), "{context}");
        assert_eq!(store.payload(stream, 4), Some(b"4".to_vec()), "{context}");
    }
}

#[test]
fn what_the_index_of_a_damaged_segment_names_is_told_though_its_record_and_all_later_ones_are_lost()
{
    let mut store = Store::new();
    let stream = store.create("S");
    let filler = store.create("F");
    store.publish(stream, b"1");
    let at = store.shard().position();
    store.publish(stream, b"2");
    store.fill_to_segment(filler, 2);
    store.reopen_damaged(&[at]);
    assert_eq!(store.lost(stream), [(StreamSeq(2), StreamSeq(2))]);
    assert_eq!(store.publish(stream, b"3"), StreamSeq(3));
}

/// No checkpoint, no index and no later message names a stream's last ones: what is left of their own records does.
#[test]
fn damaged_records_at_the_end_of_their_stream_are_told_by_what_they_claim_to_be() {
    let mut store = Store::new();
    let stream = store.create("S");
    let other = store.create("F");
    store.publish(stream, b"1");
    let second = store.shard().position().offset() as usize;
    store.publish(stream, b"the second");
    let third = store.shard().position().offset() as usize;
    store.publish(stream, b"the third");
    store.publish(other, b"vouches for them");
    store.reopen_with(|bytes| {
        bytes[second + BODY + 30] ^= 1;
        bytes[third + BODY + 30] ^= 1;
    });
    let lost = [(StreamSeq(2), StreamSeq(3))];
    assert_eq!(store.lost(stream), lost);
    assert_eq!(store.publish(stream, b"4"), StreamSeq(4));
    assert!(
        store.shard().checkpoint_due(),
        "only a checkpoint keeps that"
    );
    store.checkpoint();
    assert!(!store.shard().checkpoint_due());
    store.reopen_damaged(&[]);
    assert_eq!(store.lost(stream), lost);
}

#[test]
fn a_claim_that_does_not_go_on_where_its_stream_ends_is_not_believed() {
    let mut store = Store::new();
    let stream = store.create("S");
    let other = store.create("F");
    store.publish(stream, b"1");
    let second = store.shard().position().offset() as usize;
    store.publish(stream, b"2");
    store.publish(other, b"vouches for it");
    store.reopen_with(|bytes| bytes[second + BODY] ^= 0x40);
    assert_eq!(store.lost(stream), []);
    assert_eq!(store.publish(stream, b"2 once more"), StreamSeq(2));
}

/// Neither a power cut nor a kill shortens a file that has been synced at its full length.
#[test]
fn the_end_of_the_last_segment_is_missed_though_nothing_says_what_was_in_it() {
    let mut store = Store::new();
    let stream = store.create("S");
    store.publish(stream, b"1");
    let end = store.shard().position().offset();
    store.publish(stream, b"2");
    store.shard = None;
    let segment = store.dir.path().join("shard-00/0000000001.seg");
    let cut = |bytes: &mut Vec<u8>| bytes.truncate(end as usize + 4);
    store.disk.damage(&segment, cut);
    let opened = open_shards(&store.disk, store.dir.path(), 1);
    let damage = &opened.report.shards[0].log.damage;
    assert_eq!(damage.len(), 1);
    assert_eq!((damage[0].from, damage[0].to), (end, 64 << 10));
    drop(opened);
    let again = open_shards(&store.disk, store.dir.path(), 1);
    assert_eq!(again.report.shards[0].log.damage, []);
}

/// Until a segment is given back that was copied, both are there.
#[test]
fn a_copy_stands_in_for_an_original_that_is_lost_though_later_messages_come_before_it() {
    for deleted in [false, true] {
        let mut store = Store::new();
        let stream = store.create("S");
        let second = store.publish(stream, b"1").0 + 1;
        let at = store.shard().position();
        for payload in [&b"2"[..], b"3"] {
            store.publish(stream, payload);
        }
        store.shard = None;
        let (disk, dir) = (
            Arc::new(store.disk.clone()),
            store.dir.path().join("shard-00"),
        );
        let options = LogOptions {
            segment_bytes: 64 << 10,
            ..LogOptions::new(3)
        };
        let opened = Log::open(disk, &dir, options, None, &mut |_, _| ());
        let (mut log, _) = opened.expect("the log");
        let copy = Record::Message(Message {
            stream,
            seq: second,
            timestamp: NOW.0,
            subject: b"s.a",
            headers: b"",
            payload: b"2",
        });
        log.append(&copy).expect("a copy");
        if deleted {
            let delete = Delete {
                stream,
                seq: second,
            };
            log.append(&Record::Delete(delete)).expect("a deletion");
        }
        let commit = log.take_commit().expect("something to write");
        log.finish_commit(commit.run()).expect("it is written");
        drop(log);
        store.reopen_damaged(&[at]);
        assert_eq!(store.lost(stream), []);
        let expected = (!deleted).then(|| b"2".to_vec());
        assert_eq!(store.payload(stream, second), expected);
        assert_eq!(store.payload(stream, 3), Some(b"3".to_vec()));
        assert_eq!(store.publish(stream, b"4"), StreamSeq(4));
    }
}
