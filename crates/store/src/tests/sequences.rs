//! Where a stream's sequences end.

use jetsled_jetstream_api::{ApiError, StorageType, StreamConfig, StreamSeq, Timestamp};

use super::{Store, config};
use crate::{ChangeError, Publish, PublishError, Purge, Sender, StoredMessage, StreamId};

const END: u64 = u64::MAX - 1;

fn message() -> Publish<'static> {
    Publish {
        subject: b"s.x",
        headers: b"",
        payload: b"payload",
        has_interest: true,
        sender: Sender::Client,
    }
}

fn ending(store: &mut Store, storage: StorageType) -> StreamId {
    store.create(StreamConfig {
        first_seq: StreamSeq(END),
        allow_atomic: true,
        allow_batched: true,
        ..config("S", storage)
    })
}

#[test]
fn nothing_is_stored_behind_the_last_sequence() {
    for storage in [StorageType::File, StorageType::Memory] {
        let mut store = Store::new(64 << 10);
        let stream = ending(&mut store, storage);
        let now = store.now;
        let pair = [message(), message()];
        let both = store
            .shard()
            .publish_batch(stream, &pair, now, &mut |_, _| ());
        let full = ApiError::stream_store_failed("maximum sequence reached");
        assert!(matches!(both, Err(PublishError::Rejected(error)) if error == full));
        let last = store.shard().publish(stream, &message(), now).unwrap();
        assert_eq!(last.seq, StreamSeq(END));
        let mirrored = StreamSeq(u64::MAX);
        let refused = [
            store.shard().publish(stream, &message(), now),
            store.shard().publish_fast(stream, &message(), now),
            store
                .shard()
                .publish_mirrored(stream, &message(), mirrored, Timestamp(9)),
        ];
        for refused in refused {
            assert!(matches!(refused, Err(PublishError::Rejected(error)) if error == full));
        }
        let skipped = store.shard().skip_to(stream, StreamSeq(u64::MAX));
        assert!(matches!(skipped, Err(ChangeError::Rejected(error)) if error == full));
        let restored = StoredMessage {
            seq: StreamSeq(u64::MAX),
            timestamp: now,
            subject: b"s.x",
            headers: b"",
            payload: b"",
        };
        let restored = store.shard().restore_message(stream, &restored, now);
        assert!(matches!(restored, Err(ChangeError::Rejected(error)) if error == full));
    }
}

#[test]
fn a_full_stream_can_be_purged_and_reopened() {
    let mut store = Store::new(64 << 10);
    let stream = ending(&mut store, StorageType::File);
    let now = store.now;
    store.shard().publish(stream, &message(), now).unwrap();
    for below in [u64::MAX, 0] {
        let purge = Purge {
            below: StreamSeq(below),
            ..Purge::default()
        };
        store.shard().purge(stream, &purge).unwrap();
        for keep_catalog in [true, false] {
            store.reopen(keep_catalog);
            let target = store.shard().stream(stream).unwrap();
            assert_eq!(target.first_seq(), StreamSeq(u64::MAX));
            assert_eq!(target.last_seq(), StreamSeq(END));
        }
    }
}
