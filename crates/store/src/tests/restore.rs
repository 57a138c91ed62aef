//! Streams filled from an archive.

use jetsled_jetstream_api::{StorageType, StreamConfig, StreamSeq, Timestamp};

use super::{SECOND, Store, config, header_block};
use crate::{ChangeError, DeletedDetails, StoredMessage, StreamId};

fn restore(store: &mut Store, stream: StreamId, seq: u64, ttl: &str) -> Result<(), ChangeError> {
    let headers = match ttl {
        "" => Vec::new(),
        ttl => header_block(&[("Nats-TTL", ttl)]),
    };
    let now = store.now;
    let subject = format!("S.{seq}");
    let message = StoredMessage {
        seq: StreamSeq(seq),
        timestamp: Timestamp(now.0 - 100 * SECOND + seq as i64),
        subject: subject.as_bytes(),
        headers: &headers,
        payload: &[seq as u8; 10],
    };
    store.shard().restore_message(stream, &message, now)
}

fn begin(store: &mut Store) -> StreamId {
    let config = StreamConfig {
        allow_msg_ttl: true,
        ..config("S", StorageType::File)
    };
    let now = store.now;
    let stream = store.shard().begin_restore("ACC", config, now).unwrap();
    store.shard().skip_to(stream, StreamSeq(4)).unwrap();
    for (seq, ttl) in [(5, ""), (6, "50"), (8, "200"), (9, "never")] {
        restore(store, stream, seq, ttl).unwrap();
    }
    stream
}

#[test]
fn sequences_times_and_gaps_are_kept_and_what_has_expired_is_gone() {
    for keep_catalog in [true, false] {
        let mut store = Store::new(64 << 10);
        let stream = begin(&mut store);
        assert!(matches!(
            restore(&mut store, stream, 9, ""),
            Err(ChangeError::Rejected(error)) if error.err_code == 10062
        ));
        let key = store
            .shard()
            .put_consumer(stream, "C", b"config", b"")
            .unwrap();
        store
            .shard()
            .restore_consumer_state(key, b"state".to_vec())
            .unwrap();
        store.shard().skip_to(stream, StreamSeq(11)).unwrap();
        store.commit();
        store.checkpoint();
        store.shard().finish_restore(stream).unwrap();
        store.reopen(keep_catalog);
        let state = store.shard().state(stream, DeletedDetails::List).unwrap();
        assert_eq!(
            (state.first_seq.0, state.last_seq.0, state.messages),
            (5, 11, 3)
        );
        let deleted: Vec<_> = state.deleted.iter().map(|seq| seq.0).collect();
        assert_eq!(deleted, [6, 7, 10, 11], "catalog kept: {keep_catalog}");
        let now = store.now;
        let message = store.shard().load(stream, StreamSeq(8)).unwrap().unwrap();
        assert_eq!(message.timestamp.0, now.0 - 100 * SECOND + 8);
        let consumers = store.shard().recovered_consumers();
        assert_eq!(consumers.len(), 1);
        assert_eq!(consumers[0].checkpoint.as_deref(), Some(&b"state"[..]));
        // The TTL counts from the original time.
        store.advance(101);
        store.tick();
        assert!(store.shard().load(stream, StreamSeq(8)).unwrap().is_none());
        let published = store.publish(stream, "S.new", &[], b"").unwrap();
        assert_eq!(published.seq, StreamSeq(12));
    }
}

#[test]
fn a_start_drops_what_was_not_finished() {
    for (checkpoint, keep_catalog) in [(false, true), (true, true), (true, false)] {
        let mut store = Store::new(64 << 10);
        let stream = begin(&mut store);
        store
            .shard()
            .put_consumer(stream, "C", b"config", b"")
            .unwrap();
        store.advance(1000);
        store.tick();
        assert!(store.shard().load(stream, StreamSeq(8)).unwrap().is_some());
        store.commit();
        if checkpoint {
            store.checkpoint();
        }
        // Once more: the first start's record of the end is itself replayed.
        for _ in 0..2 {
            store.reopen(keep_catalog);
            assert_eq!(store.shard().streams().count(), 0);
            assert!(store.shard().recovered_consumers().is_empty());
        }
        let other = store.create(config("S", StorageType::File));
        assert_ne!(other, stream, "a stream's number is never used again");
    }
}

#[test]
fn what_turns_out_to_be_gone_is_taken_back() {
    let mut store = Store::new(64 << 10);
    let now = store.now;
    let stream = store
        .shard()
        .begin_restore("ACC", config("S", StorageType::File), now)
        .unwrap();
    for seq in 1..=9 {
        restore(&mut store, stream, seq, "").unwrap();
    }
    let shard = store.shard();
    shard.restore_without(stream, &[5, 5, 9, 12]).unwrap();
    shard.restore_from(stream, StreamSeq(11)).unwrap();
    shard.restore_from(stream, StreamSeq(3)).unwrap();
    shard.finish_restore(stream).unwrap();
    for keep_catalog in [true, false] {
        store.reopen(keep_catalog);
        let state = store.shard().state(stream, DeletedDetails::List).unwrap();
        let deleted: Vec<_> = state.deleted.iter().map(|seq| seq.0).collect();
        assert_eq!(
            (state.first_seq.0, state.last_seq.0, deleted),
            (3, 9, vec![5, 9])
        );
    }
}
