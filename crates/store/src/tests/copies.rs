//! Mirrors and sources: what was copied stays, and so does how far.

use jetsled_jetstream_api::{
    DiscardPolicy, Nanos, RetentionPolicy, StorageType, StreamConfig, StreamSeq, StreamSource,
    Timestamp,
};
use jetsled_protocol::headers;

use super::{Store, code, config};
use crate::{DeletedDetails, Publish, PublishError, Published, Purge, Sender, StreamId};

const STORAGES: [StorageType; 2] = [StorageType::File, StorageType::Memory];

fn sourcing(storage: StorageType) -> StreamConfig {
    StreamConfig {
        subjects: Vec::new(),
        sources: vec![StreamSource {
            name: "O".to_owned(),
            ..StreamSource::default()
        }],
        allow_rollup_hdrs: false,
        ..config("S", storage)
    }
}

impl Store {
    fn sourced(
        &mut self,
        stream: StreamId,
        origin_seq: u64,
        more: &[(&str, &str)],
        has_interest: bool,
    ) -> Result<Published, PublishError> {
        let mut block = Vec::new();
        for (key, value) in more {
            headers::append(&mut block, key.as_bytes(), value.as_bytes());
        }
        let source = format!("O {origin_seq} > > o.x id");
        headers::append(&mut block, b"Nats-Stream-Source", source.as_bytes());
        let message = Publish {
            subject: b"o.x",
            headers: &block,
            payload: b"payload",
            has_interest,
            sender: Sender::Client,
        };
        let now = self.now;
        self.shard().publish_sourced(stream, &message, now)
    }

    fn mirrored(&mut self, stream: StreamId, seq: u64) -> Result<Published, PublishError> {
        let message = Publish {
            subject: b"o.x",
            headers: b"",
            payload: b"payload",
            has_interest: true,
            sender: Sender::Client,
        };
        let time = Timestamp(i64::try_from(seq).unwrap());
        self.shard()
            .publish_mirrored(stream, &message, StreamSeq(seq), time)
    }

    fn position(&mut self, stream: StreamId) -> Option<(u64, String)> {
        let stream = self.shard().stream(stream).unwrap();
        let (seq, identity) = stream.source_position("O > >")?;
        Some((seq.get(), identity.to_owned()))
    }
}

#[test]
fn a_sources_position_survives_every_way_to_start() {
    let mut store = Store::new(64 << 10);
    let stream = store.create(sourcing(StorageType::File));
    assert_eq!(store.position(stream), None);
    store.sourced(stream, 3, &[], true).unwrap();
    store.sourced(stream, 8, &[], true).unwrap();
    let at = |seq| Some((seq, "id".to_owned()));
    for keep_catalog in [true, false] {
        store.reopen(keep_catalog);
        assert_eq!(store.position(stream), at(8));
    }
    store.shard().purge(stream, &Purge::default()).unwrap();
    store.checkpoint();
    for keep_catalog in [true, false] {
        store.reopen(keep_catalog);
        assert_eq!(store.position(stream), at(8), "a purge does not forget");
    }
    // Made anew, the origin counts from one.
    store.sourced(stream, 1, &[], true).unwrap();
    store.reopen(false);
    assert_eq!(store.position(stream), at(1));
}

#[test]
fn what_is_not_stored_is_passed_for_good() {
    for storage in STORAGES {
        let mut store = Store::new(64 << 10);
        let deduplicating = StreamConfig {
            duplicate_window: Nanos::from_secs(10),
            ..sourcing(storage)
        };
        let stream = store.create(deduplicating);
        store
            .sourced(stream, 1, &[("Nats-Msg-Id", "a")], true)
            .unwrap();
        let again = store
            .sourced(stream, 2, &[("Nats-Msg-Id", "a")], true)
            .unwrap();
        assert!(again.duplicate && !again.stored);
        let interest = StreamConfig {
            retention: RetentionPolicy::Interest,
            name: "I".to_owned(),
            ..sourcing(storage)
        };
        let unwanted = store.create(interest);
        assert!(!store.sourced(unwanted, 5, &[], false).unwrap().stored);
        for _ in 0..2 {
            assert_eq!(store.position(stream).unwrap().0, 2);
            assert_eq!(store.position(unwanted).unwrap().0, 5);
            if storage == StorageType::Memory {
                break;
            }
            store.reopen(false);
        }
    }
}

#[test]
fn an_origins_rules_are_not_asked_again() {
    let mut store = Store::new(64 << 10);
    let stream = store.create(sourcing(StorageType::File));
    let headers = [
        ("Nats-TTL", "1"),
        ("Nats-Rollup", "all"),
        ("Nats-Incr", "5"),
        ("Nats-Schedule", "@at 2030-01-01T00:00:00Z"),
    ];
    store.sourced(stream, 1, &[], true).unwrap();
    store.sourced(stream, 2, &headers, true).unwrap();
    let state = store.shard().state(stream, DeletedDetails::Count).unwrap();
    assert_eq!(state.messages, 2, "nothing is rolled up here");
    store.advance(5);
    store.tick();
    let state = store.shard().state(stream, DeletedDetails::Count).unwrap();
    assert_eq!(state.messages, 2, "nothing expires here");

    let mut rolling = StreamConfig {
        name: "R".to_owned(),
        allow_rollup_hdrs: true,
        ..sourcing(StorageType::File)
    };
    let rolled = store.create(rolling.clone());
    store.sourced(rolled, 1, &[], true).unwrap();
    store.sourced(rolled, 2, &headers, true).unwrap();
    let state = store.shard().state(rolled, DeletedDetails::Count).unwrap();
    assert_eq!(state.messages, 1);

    rolling.name = "N".to_owned();
    rolling.discard = DiscardPolicy::New;
    rolling.max_msgs = 1;
    let full = store.create(rolling);
    store.sourced(full, 1, &[], true).unwrap();
    assert_eq!(code(&store.sourced(full, 2, &[], true)).0, 10077);
    assert_eq!(store.position(full).unwrap().0, 1, "it is asked for again");
}

#[test]
fn a_mirror_has_its_origins_sequences_times_and_gaps() {
    for storage in STORAGES {
        let mut store = Store::new(64 << 10);
        let stream = store.create(config("M", storage));
        store.shard().skip_to(stream, StreamSeq(41)).unwrap();
        let state = store.shard().state(stream, DeletedDetails::List).unwrap();
        assert_eq!((state.first_seq.get(), state.last_seq.get()), (42, 41));
        for seq in [42, 43, 50, 10_000_000_000] {
            store.mirrored(stream, seq).unwrap();
        }
        assert_eq!(code(&store.mirrored(stream, 43)).0, 10063);
        store
            .shard()
            .skip_to(stream, StreamSeq(10_000_000_009))
            .unwrap();
        for _ in 0..2 {
            let state = store.shard().state(stream, DeletedDetails::Count).unwrap();
            assert_eq!(
                (state.first_seq.get(), state.last_seq.get(), state.messages),
                (42, 10_000_000_009, 4)
            );
            for seq in [42, 43, 50, 10_000_000_000] {
                let message = store.shard().load(stream, StreamSeq(seq)).unwrap().unwrap();
                assert_eq!(message.timestamp.0, i64::try_from(seq).unwrap());
            }
            assert_eq!(store.shard().load(stream, StreamSeq(44)).unwrap(), None);
            if storage == StorageType::Memory {
                break;
            }
            store.reopen(false);
        }
    }
}

#[test]
fn an_origin_may_leave_out_any_number_of_sequences() {
    let beyond = 1 << 60;
    for storage in STORAGES {
        let mut store = Store::new(64 << 10);
        let stream = store.create(config("M", storage));
        for seq in [1, beyond, beyond + 2] {
            store.mirrored(stream, seq).unwrap();
        }
        store
            .shard()
            .skip_to(stream, StreamSeq(beyond * 2))
            .unwrap();
        for keep_catalog in [true, false] {
            let state = store.shard().state(stream, DeletedDetails::List).unwrap();
            assert_eq!((state.messages, state.last_seq.get()), (3, beyond * 2));
            assert_eq!(state.num_deleted, beyond * 2 - 3);
            assert_eq!(state.deleted.first(), Some(&StreamSeq(2)));
            assert!(store.shard().load(stream, StreamSeq(2)).unwrap().is_none());
            for seq in [1, beyond, beyond + 2] {
                assert!(
                    store
                        .shard()
                        .load(stream, StreamSeq(seq))
                        .unwrap()
                        .is_some()
                );
            }
            store.shard().stream(stream).unwrap().validate();
            if storage == StorageType::Memory {
                break;
            }
            store.checkpoint();
            store.reopen(keep_catalog);
        }
    }
}
