//! Erased messages: their bytes are in no file of the store, whatever happened to them before and whenever it stops.

use std::fs;
use std::path::Path;

use jetsled_jetstream_api::{StorageType, StreamConfig, StreamSeq};

use super::{Store, config};
use crate::log::SegmentNo;
use crate::{Erase, StreamId};

const SECRET: &str = "a secret that must not stay";

/// The files below the store's directory that hold the secret.
fn files_with_secret(store: &Store) -> Vec<String> {
    fn search(dir: &Path, found: &mut Vec<String>) {
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                search(&path, found);
            } else if memchr::memmem::find(&fs::read(&path).unwrap(), SECRET.as_bytes()).is_some() {
                found.push(path.display().to_string());
            }
        }
    }
    let mut found = Vec::new();
    search(&store.options.dir, &mut found);
    found
}

fn publish_secret(store: &mut Store, stream: StreamId) -> StreamSeq {
    let headers = [("Nats-Rollup", "sub"), ("Note", SECRET)];
    let body = format!("body: {SECRET}");
    store
        .publish(stream, "S.secret", &headers, body.as_bytes())
        .unwrap()
        .seq
}

fn segment_of(store: &mut Store, stream: StreamId, seq: StreamSeq) -> Option<SegmentNo> {
    let stream = store.shard().stream(stream).unwrap();
    stream.extents().segment_of(seq.get())
}

#[test]
fn nothing_of_an_erased_message_is_left_once_the_deletion_is_durable() {
    for checkpoint in [false, true] {
        let mut store = Store::new(1 << 20);
        let stream = store.create(config("S", StorageType::File));
        store
            .publish(stream, "S.secret", &[], b"rolled up")
            .unwrap();
        store.publish(stream, "S.other", &[], b"kept").unwrap();
        let seq = publish_secret(&mut store, stream);
        store.publish(stream, "S.other", &[], b"kept, too").unwrap();
        store.commit();
        if checkpoint {
            store.checkpoint();
        }
        assert!(!files_with_secret(&store).is_empty());
        store
            .shard()
            .delete_message(stream, seq, Erase::Yes)
            .unwrap();
        store.commit();
        assert_eq!(files_with_secret(&store), [""; 0]);
        let before = store.shard().stream(stream).unwrap().fingerprint();
        for keep_catalog in [true, false] {
            store.reopen(keep_catalog);
            let shard = store.shard();
            assert_eq!(shard.stream(stream).unwrap().fingerprint(), before);
            assert!(shard.load(stream, seq).unwrap().is_none());
            let kept = shard.load(stream, StreamSeq(4)).unwrap().unwrap();
            assert_eq!(kept.payload, b"kept, too");
        }
    }
}

#[test]
fn an_erasure_that_a_crash_forestalled_happens_at_the_next_start() {
    let mut store = Store::new(1 << 20);
    let stream = store.create(config("S", StorageType::File));
    let seq = publish_secret(&mut store, stream);
    store.commit();
    let segment = store.options.dir.join("shard-00/0000000001.seg");
    let before = fs::read(&segment).unwrap();
    store
        .shard()
        .delete_message(stream, seq, Erase::Yes)
        .unwrap();
    store.commit();
    store.shard = None;
    // As if the process had died between the commit and the overwriting: everything behind the message is there, and so is the message.
    let mut torn = fs::read(&segment).unwrap();
    let from = memchr::memmem::find(&before, b"S.secret").unwrap();
    let to = memchr::memmem::rfind(&before, SECRET.as_bytes()).unwrap() + SECRET.len();
    let frame = from - 46;
    torn[frame..to].copy_from_slice(&before[frame..to]);
    fs::write(&segment, torn).unwrap();
    assert!(!files_with_secret(&store).is_empty());
    store.open();
    assert_eq!(files_with_secret(&store), [""; 0]);
    assert!(store.shard().load(stream, seq).unwrap().is_none());
}

#[test]
fn copies_that_rewriting_has_made_go_as_well() {
    erase_what_was_copied(false);
}

#[test]
fn copies_that_rewriting_has_made_before_a_kill_go_as_well() {
    erase_what_was_copied(true);
}

/// `kill`: between the copying and the next checkpoint.
fn erase_what_was_copied(mut kill: bool) {
    let mut store = Store::new(64 << 10);
    let stream = store.create(config("S", StorageType::File));
    let filler = store.create(StreamConfig {
        max_msgs: 3,
        ..config("F", StorageType::File)
    });
    let fill = |store: &mut Store, n: u8| {
        store.publish(filler, "F.x", &[], &[n; 3000]).unwrap();
        store.commit();
        let now = store.now;
        store.shard().tick(now);
    };
    // Far back in its segment, so that a file that is used again keeps it for a while.
    (0..16).for_each(|n| fill(&mut store, n));
    let seq = publish_secret(&mut store, stream);
    let first_segment = store.options.dir.join("shard-00/0000000001.seg");
    // The message moves to another segment and the one that it leaves is given back.
    let original = segment_of(&mut store, stream, seq);
    store.checkpoint();
    for n in 0..200 {
        fill(&mut store, n);
        store.advance(3);
        if kill {
            if segment_of(&mut store, stream, seq) == original {
                continue;
            }
            store.reopen(true);
            kill = false;
        }
        store.checkpoint();
        if !first_segment.exists() {
            break;
        }
    }
    assert!(!first_segment.exists(), "the first segment is gone");
    let kept = store.shard().load(stream, seq).unwrap().unwrap();
    assert!(
        kept.payload.ends_with(SECRET.as_bytes()),
        "the message is not"
    );
    store
        .shard()
        .delete_message(stream, seq, Erase::Yes)
        .unwrap();
    store.commit();
    assert_eq!(files_with_secret(&store), [""; 0]);
}
