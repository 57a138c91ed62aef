//! What giving space back comes to: of each segment nothing is left in the end, and nothing that lives is lost with it.

use std::path::PathBuf;
use std::sync::Arc;

use jetsled_jetstream_api::{StorageType, StreamConfig, StreamSeq};

use super::{Store, config};
use crate::log::SegmentNo;
use crate::storage::FsStorage;
use crate::{Erase, StreamId};

/// A stream that keeps nothing, to fill segments with.
fn filler(store: &mut Store) -> StreamId {
    store.create(StreamConfig {
        max_msgs: 1,
        ..config("F", StorageType::File)
    })
}

fn active(store: &mut Store) -> SegmentNo {
    store.shard().segments().last().unwrap()
}

/// Publishes to the filler, or another stream, until another segment is begun.
fn fill_segment(store: &mut Store, filler: StreamId) {
    let full = active(store);
    let name = store.shard().stream(filler).unwrap().config().name.clone();
    while active(store) == full {
        store
            .publish(filler, &format!("{name}.x"), &[], &[0; 3000])
            .unwrap();
        store.commit();
    }
}

/// Lets the clock go on, with the checkpoints that are asked for, until the segments stay as they are.
fn settle(store: &mut Store) {
    for _ in 0..20 {
        store.advance(3);
        store.tick();
        store.commit();
        if store.shard().checkpoint_due() {
            store.checkpoint();
        }
    }
}

fn file_of(store: &Store, segment: SegmentNo) -> PathBuf {
    let name = format!("shard-00/{:010}.seg", segment.get());
    store.options.dir.join(name)
}

#[test]
fn a_segment_whose_messages_died_as_their_streams_newest_is_given_back() {
    let mut store = Store::new(64 << 10);
    let filler = filler(&mut store);
    let stream = store.create(config("S", StorageType::File));
    store.publish(stream, "S.a", &[], b"stays").unwrap();
    fill_segment(&mut store, filler);
    let segment = active(&mut store);
    let newest = store.publish(stream, "S.a", &[], b"goes").unwrap().seq;
    store
        .shard()
        .delete_message(stream, newest, Erase::No)
        .unwrap();
    fill_segment(&mut store, filler);
    store.publish(stream, "S.a", &[], b"comes later").unwrap();
    fill_segment(&mut store, filler);
    settle(&mut store);
    assert!(!file_of(&store, segment).exists());
    assert!(!store.shard().checkpoint_due(), "nothing is left to do");
    store.shard().stream(stream).unwrap().validate();
    assert_eq!(store.shard().stream(stream).unwrap().messages(), 2);
}

/// Seed 901749: the record of the former one's deletion had been written anew behind the newer one's configuration, and its own first configuration
/// was gone.
#[test]
fn a_deleted_stream_takes_no_name_from_a_newer_one() {
    let mut store = Store::new(64 << 10);
    let filler = filler(&mut store);
    let keeper = store.create(config("K", StorageType::File));
    let former = store.create(config("S", StorageType::File));
    let first = active(&mut store);
    fill_segment(&mut store, filler);
    store.publish(former, "S.a", &[], b"goes").unwrap();
    fill_segment(&mut store, keeper);
    settle(&mut store);
    assert!(!file_of(&store, first).exists());
    fill_segment(&mut store, keeper);
    let deletion = active(&mut store);
    store.shard().delete_stream(former).unwrap();
    let newer = store.create(config("S", StorageType::File));
    fill_segment(&mut store, filler);
    settle(&mut store);
    assert!(!file_of(&store, deletion).exists());
    store.reopen(false);
    assert!(store.shard().stream(newer).is_some());
    assert!(store.shard().stream(former).is_none());
}

/// Else it would have what the older one knows and, behind the newer one, nothing of what came in between: acks were forgotten.
#[test]
fn a_state_that_an_older_checkpoint_has_written_anew_is_not_believed() {
    let mut store = Store::new(64 << 10);
    let filler = filler(&mut store);
    let stream = store.create(config("S", StorageType::File));
    let first = active(&mut store);
    let consumer = store.shard().put_consumer(stream, "C", b"{}", b"").unwrap();
    fill_segment(&mut store, filler);
    store.checkpoint();
    store.shard().log_progress(consumer, b"an ack").unwrap();
    let state = (consumer, b"with the ack".to_vec());
    let checkpoint = store.shard().take_checkpoint([state].into_iter());
    for _ in 0..5 {
        store.advance(3);
        store.tick();
        store.commit();
    }
    assert!(file_of(&store, first).exists(), "nothing goes meanwhile");
    // It is in the catalog, and the shard does not know.
    drop(checkpoint.run(store.shard().synced()));
    for _ in 0..5 {
        store.advance(3);
        store.tick();
        store.commit();
    }
    assert!(!file_of(&store, first).exists(), "the former one let it go");
    store.reopen(true);
    assert!(!store.rebuilt);
    let recovered = store.shard().recovered_consumers();
    assert_eq!(
        recovered[0].checkpoint.as_deref(),
        Some(&b"with the ack"[..])
    );
    assert!(recovered[0].deltas.is_empty());
}

/// Ten messages, so that their segment is sealed and mostly dead.
fn ten_among_dead(store: &mut Store, filler: StreamId) -> (StreamId, SegmentNo) {
    let stream = store.create(config("S", StorageType::File));
    let segment = active(store);
    for n in 1..=10 {
        let payload = format!("message {n:02}");
        store
            .publish(stream, "S.a", &[], payload.as_bytes())
            .unwrap();
    }
    fill_segment(store, filler);
    (stream, segment)
}

/// A server that was killed every few seconds did nothing else than begin to rewrite its first segment, until the disk was full of dead ones.
#[test]
fn dead_segments_are_given_back_before_others_are_rewritten() {
    let mut store = Store::new(64 << 10);
    let filler = filler(&mut store);
    let (stream, sparse) = ten_among_dead(&mut store, filler);
    let dead = active(&mut store);
    fill_segment(&mut store, filler);
    fill_segment(&mut store, filler);
    let lies_in = |store: &mut Store| {
        let shard = store.shard();
        let stream = shard.stream(stream).unwrap();
        stream.extents().segment_of(10)
    };
    for _ in 0..3 {
        store.advance(3);
        store.tick();
        store.commit();
    }
    assert!(store.shard().checkpoint_due());
    assert_eq!(lies_in(&mut store), Some(sparse));
    store.checkpoint();
    store.tick();
    store.commit();
    assert_eq!(lies_in(&mut store), Some(sparse));
    settle(&mut store);
    assert!(!file_of(&store, dead).exists());
    assert!(!file_of(&store, sparse).exists());
    assert_eq!(payload(&mut store, stream, 10).unwrap(), b"message 10");
}

/// Flips a bit of the third one's record in this segment.
fn damage_third(store: &Store, segment: SegmentNo) {
    let file = file_of(store, segment);
    let mut bytes = std::fs::read(&file).unwrap();
    let third = memchr::memmem::find(&bytes, b"message 03").unwrap();
    bytes[third] ^= 1;
    std::fs::write(&file, bytes).unwrap();
}

/// Deletes all but the third and the tenth.
fn delete_others(store: &mut Store, stream: StreamId) {
    for seq in (1..10).filter(|seq| *seq != 3).map(StreamSeq) {
        store
            .shard()
            .delete_message(stream, seq, Erase::No)
            .unwrap();
    }
}

fn payload(store: &mut Store, stream: StreamId, seq: u64) -> Option<Vec<u8>> {
    let message = store.shard().load(stream, StreamSeq(seq)).unwrap();
    message.map(|message| message.payload.to_vec())
}

#[test]
fn a_damaged_record_in_a_segment_that_is_rewritten_takes_no_other_message_with_it() {
    let mut store = Store::new(64 << 10);
    let filler = filler(&mut store);
    let (stream, segment) = ten_among_dead(&mut store, filler);
    fill_segment(&mut store, filler);
    damage_third(&store, segment);

    settle(&mut store);
    assert!(!file_of(&store, segment).exists());
    assert!(!store.shard().checkpoint_due(), "nothing is left to do");
    let lost: Vec<_> = store.shard().stream(stream).unwrap().lost().collect();
    assert_eq!(lost, [(StreamSeq(3), StreamSeq(3))]);
    delete_others(&mut store, stream);
    fill_segment(&mut store, filler);
    settle(&mut store);
    for keep_catalog in [true, false] {
        let kept = payload(&mut store, stream, 10);
        assert_eq!(kept.as_deref(), Some(&b"message 10"[..]));
        store.reopen(keep_catalog);
    }
}

#[test]
fn a_message_whose_copy_is_damaged_counts_where_its_original_is() {
    let mut store = Store::new(64 << 10);
    let filler = filler(&mut store);
    let (stream, original) = ten_among_dead(&mut store, filler);
    store.checkpoint();
    let segment_of = |store: &mut Store, seq| {
        let stream = store.shard().stream(stream).unwrap();
        stream.extents().segment_of(seq).unwrap()
    };
    while segment_of(&mut store, 10) == original {
        store.advance(3);
        store.tick();
        store.commit();
    }
    let copies = segment_of(&mut store, 3);
    // Shows that the copies were durable.
    store.publish(filler, "F.x", &[], b"").unwrap();
    store.commit();
    store.shard = None;
    damage_third(&store, copies);
    let opened = crate::open(&store.options, Arc::new(FsStorage), store.now).unwrap();
    store.shard = opened.shards.into_iter().next();
    let segments = [3, 4].map(|seq| segment_of(&mut store, seq));
    assert_eq!(segments, [original, copies]);
    store.shard().stream(stream).unwrap().validate();

    delete_others(&mut store, stream);
    fill_segment(&mut store, filler);
    settle(&mut store);
    assert!(!file_of(&store, original).exists());
    for (seq, kept) in [(3, "message 03"), (10, "message 10")] {
        let found = payload(&mut store, stream, seq);
        assert_eq!(found.as_deref(), Some(kept.as_bytes()));
    }
}
