//! What a restart brings back beside the streams' messages, and what reclaiming leaves.

use jetsled_jetstream_api::{Nanos, StorageType, StreamConfig, StreamSeq};

use super::{Store, config, state_of};
use crate::{ConsumerKey, Erase, Purge, RecoveredConsumer, StreamId};

/// Fills and empties a stream until segments have come and gone; answers how many are left.
fn churn(store: &mut Store, stream: StreamId, rounds: usize) -> usize {
    for _ in 0..rounds {
        for n in 0..40 {
            store
                .publish(stream, &format!("S.{}", n % 7), &[], &[n; 3000])
                .unwrap();
        }
        store.commit();
        store.checkpoint();
        for _ in 0..12 {
            store.advance(3);
            store.tick();
            store.commit();
        }
    }
    store.shard().segment_count()
}

fn copy_dir(from: &std::path::Path, to: &std::path::Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        if entry.file_type().unwrap().is_dir() {
            copy_dir(&entry.path(), &to.join(entry.file_name()));
        } else {
            std::fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
        }
    }
}

#[test]
fn an_older_catalog_is_not_believed_once_its_segments_are_gone() {
    let mut store = Store::new(64 << 10);
    let mut limited = config("S", StorageType::File);
    limited.max_msgs = 20;
    let stream = store.create(limited);
    churn(&mut store, stream, 3);
    store.shard = None;
    let catalog = store.options.dir.join("catalog");
    let older = store.options.dir.join("older");
    copy_dir(&catalog, &older);
    store.open();
    churn(&mut store, stream, 6);
    let before = store.shard().stream(stream).unwrap().fingerprint();
    store.shard = None;
    std::fs::remove_dir_all(&catalog).unwrap();
    copy_dir(&older, &catalog);
    store.open();
    assert!(store.rebuilt);
    let after = store.shard().stream(stream).unwrap().fingerprint();
    // The ids of messages that are no more went with their segments.
    assert_eq!(
        after.split("\ndedup").next(),
        before.split("\ndedup").next()
    );
}

/// A start passes over the number of a segment that a torn commit had begun.
#[test]
fn a_checkpoint_is_believed_where_the_log_has_never_used_a_number() {
    let mut store = Store::new(64 << 10);
    let stream = store.create(config("S", StorageType::File));
    store.checkpoint();
    store.shard = None;
    let unused = store.options.dir.join("shard-00/0000000002.aside");
    std::fs::write(unused, b"").unwrap();
    store.open();
    for n in 0..40 {
        store.publish(stream, "S.a", &[], &[n; 3000]).unwrap();
    }
    let segments: Vec<u32> = store.shard().segments().map(|no| no.get()).collect();
    assert_eq!(segments, [1, 3]);
    // The next one is begun, and never written: the first one is not known to be the newest.
    drop(store.shard().take_checkpoint(std::iter::empty()));
    store.commit();
    store.reopen(true);
    assert!(!store.rebuilt);
    assert_eq!(store.shard().stream(stream).unwrap().messages(), 40);
}

#[test]
fn segments_are_given_back_and_both_ways_to_start_agree() {
    let mut store = Store::new(64 << 10);
    let mut limited = config("S", StorageType::File);
    limited.max_msgs = 20;
    let quiet = store.create(config("Q", StorageType::File));
    let gone = store.create(config("G", StorageType::File));
    let stream = store.create(limited);
    store
        .publish(quiet, "Q.kept", &[("Nats-Msg-Id", "one")], b"kept")
        .unwrap();
    store.publish(quiet, "Q.dropped", &[], b"dropped").unwrap();
    store
        .shard()
        .delete_message(quiet, StreamSeq(2), Erase::No)
        .unwrap();
    store.publish(gone, "G.x", &[], b"gone").unwrap();
    store.shard().delete_stream(gone).unwrap();
    let key = store
        .shard()
        .put_consumer(stream, "worker", b"first", b"")
        .unwrap();
    store.shard().update_consumer(key, b"config").unwrap();
    let dropped = store
        .shard()
        .put_consumer(stream, "dropped", b"config", b"")
        .unwrap();
    store
        .shard()
        .log_progress(key, b"before the checkpoint")
        .unwrap();
    store.shard().delete_consumer(dropped).unwrap();
    let segments = churn(&mut store, stream, 20);
    assert!(segments < 8, "{segments} segments for 60 KB that live");
    store.shard().log_progress(key, b"after").unwrap();
    let before = [quiet, stream].map(|id| store.shard().stream(id).unwrap().fingerprint());
    for keep_catalog in [true, false] {
        store.reopen(keep_catalog);
        let shard = store.shard();
        assert!(shard.stream(gone).is_none());
        let after = [quiet, stream].map(|id| shard.stream(id).unwrap().fingerprint());
        if keep_catalog {
            assert_eq!(after, before);
        } else {
            // The ids of messages that are no more went with their segments.
            for (after, before) in after.iter().zip(&before) {
                assert_eq!(
                    after.split("\ndedup").next(),
                    before.split("\ndedup").next()
                );
            }
        }
        let kept = shard.load(quiet, StreamSeq(1)).unwrap().unwrap();
        assert_eq!(kept.payload, b"kept");
        assert_eq!(
            shard.recovered_consumers(),
            [RecoveredConsumer {
                stream,
                key,
                name: "worker".into(),
                config: b"config".to_vec(),
                checkpoint: Some(state_of(key.0)),
                deltas: vec![b"after".to_vec()],
            }],
            "catalog kept: {keep_catalog}"
        );
        assert!(shard.recovered_consumers().is_empty());
    }
}

/// A consumer that begins with this progress, in a segment in which a checkpoint sees nothing live, with others behind it.
fn among_dead(store: &mut Store, progress: &[u8]) -> (StreamId, ConsumerKey) {
    let mut limited = config("S", StorageType::File);
    limited.max_msgs = 20;
    let stream = store.create(limited);
    let key = store
        .shard()
        .put_consumer(stream, "worker", b"config", progress)
        .unwrap();
    for _ in 0..2 {
        for n in 0..40 {
            store.publish(stream, "S.a", &[], &[n; 3000]).unwrap();
        }
        store.commit();
    }
    store.checkpoint();
    (stream, key)
}

/// A consumer's configuration and state may be written anew behind progress that the state does not know, and the segment with the
/// first configuration given back.
#[test]
fn progress_ahead_of_a_rewritten_configuration_is_kept() {
    let mut store = Store::new(64 << 10);
    let (stream, key) = among_dead(&mut store, b"");
    let full = store.shard().segment_count();
    store.shard().log_progress(key, b"between").unwrap();
    for _ in 0..12 {
        store.advance(3);
        store.tick();
        store.commit();
    }
    assert!(store.shard().segment_count() < full);
    store.shard().log_progress(key, b"behind").unwrap();
    for keep_catalog in [true, false] {
        store.reopen(keep_catalog);
        // The checkpoint is good although a segment has gone since in which it saw nothing live.
        assert_eq!(store.rebuilt, !keep_catalog);
        assert_eq!(
            store.shard().recovered_consumers(),
            [RecoveredConsumer {
                stream,
                key,
                name: "worker".into(),
                config: b"config".to_vec(),
                checkpoint: Some(state_of(key.0)),
                deltas: vec![b"between".to_vec(), b"behind".to_vec()],
            }],
            "catalog kept: {keep_catalog}"
        );
    }
}

/// Progress was refused, and the whole state is logged in its place: no older state written anew comes before it.
#[test]
fn a_whole_state_takes_the_place_of_the_progress_before_it() {
    let mut store = Store::new(64 << 10);
    let (_, key) = among_dead(&mut store, b"start");
    let full = store.shard().segment_count();
    store.shard().log_progress(key, b"before").unwrap();
    let logged = store.shard().log_consumer_state(key, b"whole").unwrap();
    assert_eq!(logged, Some(store.shard().position()));
    for _ in 0..12 {
        store.advance(3);
        store.tick();
        store.commit();
    }
    assert!(store.shard().segment_count() < full);
    store.shard().log_progress(key, b"behind").unwrap();
    for keep_catalog in [true, false] {
        store.reopen(keep_catalog);
        let consumers = store.shard().recovered_consumers();
        let [worker] = consumers.as_slice() else {
            panic!("{consumers:?}");
        };
        assert_eq!(worker.checkpoint.as_deref(), Some(&b"whole"[..]));
        assert_eq!(worker.deltas, [b"behind".to_vec()]);
    }
}

#[test]
fn an_acknowledged_sequence_is_visible_only_once_durable() {
    let mut store = Store::new(1 << 20);
    let window = Nanos::from_secs(120);
    let stream = store.create(StreamConfig {
        duplicate_window: window,
        ..config("S", StorageType::File)
    });
    store.commit();
    let published = store
        .publish(stream, "S.a", &[("Nats-Msg-Id", "x")], b"1")
        .unwrap();
    assert_eq!(
        store.shard().stream(stream).unwrap().visible_last_seq().0,
        0
    );
    assert!(store.shard().durable() < published.position.unwrap());
    let again = store
        .publish(stream, "S.a", &[("Nats-Msg-Id", "x")], b"1")
        .unwrap();
    assert!(again.duplicate && again.position >= published.position);
    store.commit();
    assert_eq!(
        store.shard().stream(stream).unwrap().visible_last_seq().0,
        1
    );
    assert!(store.shard().durable() >= published.position.unwrap());
    let again = store
        .publish(stream, "S.a", &[("Nats-Msg-Id", "x")], b"1")
        .unwrap();
    assert_eq!((again.duplicate, again.position), (true, None));
}

#[test]
fn space_is_given_back_although_nothing_more_is_written() {
    let mut store = Store::new(64 << 10);
    let stream = store.create(config("S", StorageType::File));
    for _ in 0..300 {
        store.publish(stream, "S.a", &[], &[0; 1000]).unwrap();
    }
    store.commit();
    store.shard().purge(stream, &Purge::default()).unwrap();
    store.commit();
    assert!(store.shard().segment_count() > 3);
    let mut commits = 0;
    for _ in 0..20 {
        store.advance(3);
        store.tick();
        if store.shard().checkpoint_due() {
            store.checkpoint();
        }
        let shard = store.shard();
        if shard.is_giving_back() || shard.durable() < shard.position() {
            store.commit();
            commits += 1;
            assert!(!store.shard().is_giving_back());
        }
    }
    assert!(commits > 0);
    assert!(store.shard().segment_count() < 3);
}

#[test]
fn the_larger_the_last_checkpoint_the_more_is_written_before_the_next_one() {
    let mut store = Store::new(1 << 20);
    store.options.checkpoint_log_bytes = 10_000;
    store.reopen(true);
    let stream = store.create(StreamConfig {
        duplicate_window: Nanos::from_secs(120),
        ..config("S", StorageType::File)
    });
    for id in 0..1000 {
        let headers = [(
            "Nats-Msg-Id",
            &*format!("an id of a hundred bytes {id:075}"),
        )];
        store.publish(stream, "S.a", &headers, b"").unwrap();
    }
    assert!(store.shard().checkpoint_due());
    store.checkpoint();
    // The ids are in it.
    for _ in 0..3 {
        for _ in 0..100 {
            store.publish(stream, "S.a", &[], &[0; 1000]).unwrap();
        }
        assert!(!store.shard().checkpoint_due());
    }
    for _ in 0..300 {
        store.publish(stream, "S.a", &[], &[0; 1000]).unwrap();
    }
    assert!(store.shard().checkpoint_due());
}
