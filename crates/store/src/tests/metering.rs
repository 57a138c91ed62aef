//! Random histories on several streams: what the account is said to use is always the sum over its streams.

use std::sync::Arc;

use jetsled_jetstream_api::{ApiError, Nanos, StorageType, StreamSeq};
use proptest::prelude::*;

use super::{Store, config};
use crate::{
    Erase, Publish, PublishError, Published, Purge, Sender, Shard, StorageMeter, StorageMeters,
    StoredMessage, StreamId,
};

#[derive(Debug, Clone)]
enum Step {
    Publish(u8, u8, usize),
    Batch(u8, Vec<usize>),
    Mirrored(u8, usize),
    Purge(u8, u8),
    Delete(u8, u64),
    Update(u8, i64, i64),
    DeleteStream(u8),
    Restore(u8, Vec<usize>),
    Advance(i64),
    Limit(Option<u64>),
    Checkpoint,
    Reopen(bool),
}

/// Some are in memory.
const STREAMS: u8 = 4;

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let stream = 0..STREAMS;
    let step = prop_oneof![
        20 => (stream.clone(), 0_u8..3, 0_usize..400).prop_map(|(s, subject, len)| Step::Publish(s, subject, len)),
        3 => (stream.clone(), prop::collection::vec(0_usize..200, 1..5)).prop_map(|(s, lens)| Step::Batch(s, lens)),
        3 => (stream.clone(), 0_usize..400).prop_map(|(s, len)| Step::Mirrored(s, len)),
        2 => (stream.clone(), 0_u8..5).prop_map(|(s, subject)| Step::Purge(s, subject)),
        4 => (stream.clone(), 0_u64..12).prop_map(|(s, offset)| Step::Delete(s, offset)),
        2 => (stream.clone(), -1_i64..6, -1_i64..4).prop_map(|(s, msgs, age)| Step::Update(s, msgs, age)),
        1 => stream.clone().prop_map(Step::DeleteStream),
        1 => (stream, prop::collection::vec(0_usize..200, 1..5)).prop_map(|(s, lens)| Step::Restore(s, lens)),
        3 => (1_i64..4).prop_map(Step::Advance),
        1 => prop::option::of(0_u64..6000).prop_map(Step::Limit),
        1 => Just(Step::Checkpoint),
        1 => any::<bool>().prop_map(Step::Reopen),
    ];
    prop::collection::vec(step, 1..80)
}

struct World {
    store: Store,
    ids: [StreamId; STREAMS as usize],
    server: StorageMeters,
    account: StorageMeters,
}

fn storage(stream: u8) -> StorageType {
    if stream == 0 {
        StorageType::Memory
    } else {
        StorageType::File
    }
}

fn subject(stream: u8, subject: u8) -> String {
    format!("S{stream}.{subject}")
}

impl World {
    fn new() -> Self {
        let mut world = Self {
            store: Store::new(64 << 10),
            ids: [StreamId(0); STREAMS as usize],
            server: StorageMeters::default(),
            account: StorageMeters::default(),
        };
        let server = world.server.clone();
        world.shard().join_server_meters(server);
        for stream in 0..STREAMS {
            world.create(stream);
        }
        world
    }

    fn shard(&mut self) -> &mut Shard {
        self.store.shard()
    }

    fn id(&self, stream: u8) -> StreamId {
        self.ids[usize::from(stream)]
    }

    fn meter(&self, stream: u8) -> &Arc<StorageMeter> {
        self.account.of(storage(stream))
    }

    fn create(&mut self, stream: u8) {
        let mut config = config(&format!("S{stream}"), storage(stream));
        config.duplicate_window = Nanos::from_secs(2);
        let id = self.store.create(config);
        self.enter(stream, id);
    }

    fn enter(&mut self, stream: u8, id: StreamId) {
        self.ids[usize::from(stream)] = id;
        let meter = Some(Arc::clone(self.meter(stream)));
        self.shard().set_account_meter(id, meter);
    }

    /// A publish is refused if, and only if, there is no room for it.
    fn check_outcome(&self, stream: u8, used: u64, bytes: u64, outcome: &Result<(), PublishError>) {
        let limit = self.meter(stream).limit().unwrap_or(u64::MAX);
        match outcome {
            Ok(()) => assert!(used + bytes <= limit, "{used} + {bytes} within {limit}"),
            Err(PublishError::Rejected(error)) => {
                assert_eq!(*error, ApiError::ACCOUNT_RESOURCES_EXCEEDED);
                assert!(used + bytes > limit, "{used} + {bytes} beyond {limit}");
            }
            Err(error) => panic!("{error}"),
        }
    }

    fn store(
        &mut self,
        stream: u8,
        names: &[(String, usize)],
        store: impl FnOnce(&mut Shard, &[Publish<'_>]) -> Result<(), PublishError>,
    ) {
        let payload = [7; 400];
        let messages: Vec<Publish<'_>> = names
            .iter()
            .map(|(subject, len)| Publish {
                subject: subject.as_bytes(),
                headers: b"",
                payload: &payload[..*len],
                has_interest: true,
                sender: Sender::Client,
            })
            .collect();
        let overhead = if stream == 0 { 16 } else { 30 };
        let bytes = names
            .iter()
            .map(|(name, len)| (name.len() + len + overhead) as u64);
        let bytes = bytes.sum();
        let used = self.meter(stream).used();
        let outcome = store(self.store.shard(), &messages);
        self.check_outcome(stream, used, bytes, &outcome);
    }

    fn apply(&mut self, step: Step) {
        let now = self.store.now;
        match step {
            Step::Publish(stream, name, len) => {
                let id = self.id(stream);
                self.store(
                    stream,
                    &[(subject(stream, name), len)],
                    |shard, messages| shard.publish(id, &messages[0], now).map(drop),
                );
            }
            Step::Batch(stream, lens) => {
                let id = self.id(stream);
                let names: Vec<_> = lens.iter().map(|len| (subject(stream, 0), *len)).collect();
                self.store(stream, &names, |shard, messages| {
                    let mut note = |_: &Publish<'_>, _: &Published| {};
                    shard.publish_batch(id, messages, now, &mut note).map(drop)
                });
            }
            Step::Mirrored(stream, len) => {
                let id = self.id(stream);
                let seq = self.shard().stream(id).unwrap().last_seq().get() + 3;
                self.store(stream, &[(subject(stream, 1), len)], |shard, messages| {
                    shard
                        .publish_mirrored(id, &messages[0], StreamSeq(seq), now)
                        .map(drop)
                });
            }
            Step::Purge(stream, name) => {
                let (id, name) = (self.id(stream), subject(stream, name));
                let purge = Purge {
                    filter: (!name.ends_with('4')).then_some(name.as_bytes()),
                    ..Purge::default()
                };
                self.shard().purge(id, &purge).unwrap();
            }
            Step::Delete(stream, offset) => {
                let id = self.id(stream);
                let first = self.shard().stream(id).unwrap().first_seq().get();
                let seq = StreamSeq(first + offset);
                // Nothing may be there.
                let _ = self.shard().delete_message(id, seq, Erase::No);
            }
            Step::Update(stream, msgs, age) => {
                let id = self.id(stream);
                let mut config = self.shard().stream(id).unwrap().config().clone();
                config.max_msgs = if msgs == 0 { -1 } else { msgs };
                config.max_age = Nanos::from_secs(age.max(0));
                self.shard().update_stream(id, config, now).unwrap();
            }
            Step::DeleteStream(stream) => {
                let id = self.id(stream);
                self.shard().delete_stream(id).unwrap();
                self.check_sums();
                self.create(stream);
            }
            Step::Restore(stream, lens) => self.restore(stream, &lens),
            Step::Advance(seconds) => {
                self.store.advance(seconds);
                self.store.tick();
            }
            Step::Limit(limit) => {
                self.account.memory.set_limit(limit);
                self.account.file.set_limit(limit);
            }
            Step::Checkpoint => self.store.checkpoint(),
            Step::Reopen(keep_catalog) => self.reopen(keep_catalog),
        }
    }

    fn restore(&mut self, stream: u8, lens: &[usize]) {
        let now = self.store.now;
        let id = self.id(stream);
        self.shard().delete_stream(id).unwrap();
        let config = config(&format!("S{stream}"), storage(stream));
        let id = self.shard().begin_restore("ACC", config, now).unwrap();
        self.enter(stream, id);
        let name = subject(stream, 2);
        for (seq, len) in (5..).zip(lens) {
            let message = StoredMessage {
                seq: StreamSeq(seq),
                timestamp: now,
                subject: name.as_bytes(),
                headers: b"",
                payload: &vec![9; *len],
            };
            self.shard().restore_message(id, &message, now).unwrap();
        }
        self.shard().restore_without(id, &[6]).unwrap();
        self.shard().finish_restore(id).unwrap();
    }

    /// As the server does at a start.
    fn reopen(&mut self, keep_catalog: bool) {
        self.store.reopen(keep_catalog);
        let left: Vec<u64> = [&self.account.memory, &self.account.file]
            .map(|m| m.used())
            .into();
        assert_eq!(left, [0, 0], "a closed store takes nothing of its account");
        self.server = StorageMeters::default();
        let server = self.server.clone();
        self.shard().join_server_meters(server);
        for stream in 0..STREAMS {
            if storage(stream) == StorageType::Memory {
                self.create(stream);
            } else {
                self.enter(stream, self.id(stream));
            }
        }
    }

    fn check_sums(&mut self) {
        self.shard().tell_server_meters();
        let (mut memory, mut file) = (0, 0);
        for stream in self.store.shard().streams() {
            if stream.is_memory() {
                memory += stream.bytes();
            } else {
                file += stream.bytes();
            }
        }
        for meters in [&self.account, &self.server] {
            assert_eq!((meters.memory.used(), meters.file.used()), (memory, file));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn an_account_uses_what_its_streams_have(steps in steps()) {
        let mut world = World::new();
        for step in steps {
            world.apply(step);
            world.check_sums();
        }
        world.account.file.set_limit(None);
        let id = world.id(1);
        world.shard().set_account_meter(id, None);
        let without = world.shard().stream(id).unwrap().bytes();
        let all: u64 = world.shard().streams().filter(|s| !s.is_memory()).map(crate::Stream::bytes).sum();
        prop_assert_eq!(world.account.file.used(), all - without);
    }
}
