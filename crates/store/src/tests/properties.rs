//! Random histories: the store against the model after every step, through reopenings of both kinds.

use jetsled_jetstream_api::{DiscardPolicy, Nanos, StorageType, StreamSeq};
use jetsled_protocol::SubjectFilter;
use proptest::prelude::*;

use super::model::{Model, Outcome, Steering};
use super::{Store, code, config};
use crate::{
    ChangeError, DeletedDetails, Erase, PendingCount, Publish, PublishError, Published, Purge,
    Selection, Sender, StreamId,
};

#[derive(Debug, Clone)]
enum Step {
    Publish(Message),
    Batch(Vec<Message>),
    Purge { filter: u8, below: u64, keep: u64 },
    Delete(u64),
    Advance(i64),
    Update { msgs: i64, per_subject: i64 },
    Commit,
    Checkpoint,
    Reopen { keep_catalog: bool },
}

#[derive(Debug, Clone)]
struct Message {
    subject: u8,
    len: usize,
    id: Option<u8>,
    rollup: u8,
    ttl: u8,
    expect: u8,
}

const SUBJECTS: [&str; 5] = ["S.a", "S.b", "S.c.x", "S.c.y", "S.d"];
const FILTERS: [&str; 5] = ["S.a", "S.c.*", "S.>", "S.d", "S.*"];

fn steps(ids: bool) -> impl Strategy<Value = Vec<Step>> {
    let id = if ids {
        prop::option::of(0_u8..6).boxed()
    } else {
        Just(None).boxed()
    };
    let message = (0_u8..5, 0_usize..600, id, 0_u8..24, 0_u8..12, 0_u8..12).prop_map(
        |(subject, len, id, rollup, ttl, expect)| Message {
            subject,
            len,
            id,
            rollup,
            ttl,
            expect,
        },
    );
    let step = prop_oneof![
        24 => message.clone().prop_map(Step::Publish),
        4 => prop::collection::vec(message, 1..6).prop_map(Step::Batch),
        1 => (0_u8..7, 0_u64..40, 0_u64..4).prop_map(|(filter, below, keep)| Step::Purge { filter, below, keep }),
        3 => (0_u64..40).prop_map(Step::Delete),
        2 => (1_i64..20).prop_map(Step::Advance),
        1 => (-1_i64..12, -1_i64..4).prop_map(|(msgs, per_subject)| Step::Update { msgs, per_subject }),
        2 => Just(Step::Commit),
        1 => Just(Step::Checkpoint),
        1 => any::<bool>().prop_map(|keep_catalog| Step::Reopen { keep_catalog }),
    ];
    prop::collection::vec(step, 1..120)
}

#[derive(Debug, Clone)]
struct Limits {
    msgs: i64,
    bytes: i64,
    per_subject: i64,
    age: i64,
    discard_new: bool,
    new_per_subject: bool,
    ttl: bool,
    first_seq: u64,
}

fn limits() -> impl Strategy<Value = Limits> {
    (
        prop_oneof![Just(-1), 1_i64..30],
        prop_oneof![Just(-1), 500_i64..6000],
        prop_oneof![Just(-1), 1_i64..5, Just(100)],
        prop_oneof![Just(0), 5_i64..60],
        (any::<bool>(), any::<bool>(), any::<bool>()),
        prop_oneof![4 => Just(0), 1 => 2_u64..1000],
    )
        .prop_map(
            |(msgs, bytes, per_subject, age, (discard_new, new_per_subject, ttl), first_seq)| {
                Limits {
                    msgs,
                    bytes,
                    per_subject,
                    age,
                    discard_new,
                    new_per_subject,
                    ttl,
                    first_seq,
                }
            },
        )
}

/// `scale` makes payloads larger, so that a short history fills several segments.
fn run(storage: StorageType, segment_bytes: u32, scale: usize, limits: &Limits, steps: Vec<Step>) {
    let mut store = Store::new(segment_bytes);
    let mut config = config("S", storage);
    config.max_msgs = limits.msgs;
    config.max_bytes = if limits.bytes > 0 {
        limits.bytes * scale as i64
    } else {
        -1
    };
    config.max_msgs_per_subject = limits.per_subject;
    config.max_age = Nanos::from_secs(limits.age);
    config.duplicate_window = Nanos::from_secs(30);
    config.allow_msg_ttl = limits.ttl;
    config.first_seq = StreamSeq(limits.first_seq);
    if limits.discard_new {
        config.discard = DiscardPolicy::New;
        config.discard_new_per_subject = limits.new_per_subject && limits.per_subject > 0;
    }
    let mut model = Model::new(config.clone());
    let stream = store.create(config);
    for mut step in steps {
        match &mut step {
            Step::Publish(message) => message.len *= scale,
            Step::Batch(messages) => messages.iter_mut().for_each(|m| m.len *= scale),
            _ => {}
        }
        apply(&mut store, &mut model, stream, step, storage);
        compare(&mut store, &model, stream);
    }
}

impl Message {
    fn steering(&self, model: &Model) -> (&'static str, Steering) {
        let name = SUBJECTS[usize::from(self.subject)];
        let steering = Steering {
            msg_id: self.id.map(|id| format!("id-{id}")),
            rollup: match self.rollup {
                0 => Some("sub"),
                1 => Some("all"),
                _ => None,
            },
            ttl: match self.ttl {
                0 if model.config.allow_msg_ttl => Some("7"),
                1 if model.config.allow_msg_ttl => Some("never"),
                _ => None,
            },
            expected_last: match self.expect {
                0 => Some(model.last),
                1 => Some(model.last + 1),
                _ => None,
            },
            expected_last_subject: match self.expect {
                2 => Some(model.last_of(name).unwrap_or(0)),
                3 => Some(model.first),
                _ => None,
            },
        };
        (name, steering)
    }
}

fn apply(store: &mut Store, model: &mut Model, stream: StreamId, step: Step, storage: StorageType) {
    let now = store.now;
    match step {
        Step::Batch(messages) => {
            let messages: Vec<_> = messages
                .iter()
                .map(|message| {
                    let (name, steering) = message.steering(model);
                    let headers = steering.headers();
                    let headers: Vec<_> = headers.iter().map(|(k, v)| (*k, &**v)).collect();
                    let block = super::header_block(&headers);
                    (name, block, vec![message.len as u8; message.len], steering)
                })
                .collect();
            let expected = model.publish_batch(&messages, now.0);
            let publishes: Vec<_> = messages
                .iter()
                .map(|(name, headers, payload, _)| Publish {
                    subject: name.as_bytes(),
                    headers,
                    payload,
                    has_interest: true,
                    sender: Sender::Client,
                })
                .collect();
            let mut stored = 0;
            let mut note = |_: &Publish<'_>, _: &Published| stored += 1;
            let shard = store.shard();
            let found = match shard.publish_batch(stream, &publishes, now, &mut note) {
                Ok(last) => {
                    assert_eq!(stored, publishes.len());
                    Ok(last.0)
                }
                Err(PublishError::Rejected(error)) => Err(error.err_code),
                Err(error) => panic!("{error}"),
            };
            assert_eq!(found, expected);
        }
        Step::Publish(message) => {
            let (name, steering) = message.steering(model);
            let len = message.len;
            let headers = steering.headers();
            let headers: Vec<_> = headers
                .iter()
                .map(|(name, value)| (*name, &**value))
                .collect();
            let payload = vec![len as u8; len];
            let block = super::header_block(&headers);
            let expected = model.publish(name, &block, &payload, &steering, now.0);
            let outcome = store.publish(stream, name, &headers, &payload);
            let found = match &outcome {
                Ok(published) if published.duplicate => Outcome::Duplicate(published.seq.0),
                Ok(published) => Outcome::Stored(published.seq.0),
                Err(_) => Outcome::Refused(code(&outcome).0),
            };
            assert_eq!(found, expected);
        }
        Step::Purge {
            filter,
            below,
            keep,
        } => {
            let filter = FILTERS.get(usize::from(filter)).copied();
            let below = if below == 0 {
                0
            } else {
                model.first.saturating_add(below).saturating_sub(3)
            };
            let keep = if below == 0 { keep } else { 0 };
            let expected = model.purge(filter, below, keep as usize);
            let purge = Purge {
                filter: filter.map(str::as_bytes),
                below: StreamSeq(below),
                keep,
            };
            let purged = store.shard().purge(stream, &purge).unwrap();
            assert_eq!(purged.messages, expected);
        }
        Step::Delete(offset) => {
            let seq = model.first + offset;
            let erase = if seq.is_multiple_of(2) {
                Erase::Yes
            } else {
                Erase::No
            };
            let outcome = store.shard().delete_message(stream, StreamSeq(seq), erase);
            match outcome {
                Ok(()) => assert!(model.delete(seq)),
                Err(ChangeError::Rejected(error)) => {
                    let inside = (model.first..=model.last).contains(&seq);
                    let file = storage == StorageType::File;
                    let code = if file && !inside { 10057 } else { 10043 };
                    assert_eq!(error.err_code, code);
                    assert!(!model.delete(seq));
                }
                Err(error) => panic!("{error}"),
            }
        }
        Step::Advance(seconds) => {
            store.advance(seconds);
            store.tick();
            model.expire(store.now.0);
        }
        Step::Update { msgs, per_subject } => {
            let msgs = if msgs == 0 { -1 } else { msgs };
            let per_subject = if per_subject == 0 || model.config.discard_new_per_subject {
                model.config.max_msgs_per_subject
            } else {
                per_subject
            };
            model.config.max_msgs = msgs;
            model.config.max_msgs_per_subject = per_subject;
            store
                .shard()
                .update_stream(stream, model.config.clone(), now)
                .unwrap();
            model.enforce();
            model.expire(now.0);
        }
        Step::Commit => store.commit(),
        Step::Checkpoint => {
            store.checkpoint();
            for _ in 0..4 {
                store.advance(3);
                store.tick();
                store.commit();
            }
            model.expire(store.now.0);
        }
        Step::Reopen { keep_catalog } if storage == StorageType::File => {
            store.tick();
            model.expire(store.now.0);
            let before = store.shard().stream(stream).unwrap().fingerprint();
            store.reopen(keep_catalog);
            let after = store.shard().stream(stream).unwrap().fingerprint();
            assert_eq!(after, before, "catalog kept: {keep_catalog}");
        }
        Step::Reopen { .. } => {}
    }
}

/// Everything that can be read says the same as the model.
fn compare(store: &mut Store, model: &Model, id: StreamId) {
    let shard = store.shard();
    let stream = shard.stream(id).unwrap();
    stream.validate();
    let state = shard.state(id, DeletedDetails::List).unwrap();
    assert_eq!(state.messages, model.messages.len() as u64);
    assert_eq!(state.bytes, model.bytes());
    assert_eq!(state.last_seq.0, model.last);
    if model.last > 0 {
        assert_eq!(state.first_seq.0, model.first);
    }
    let live: Vec<u64> = model.messages.iter().map(|message| message.seq).collect();
    let gaps: Vec<StreamSeq> = (model.first..=model.last)
        .filter(|seq| !live.contains(seq))
        .map(StreamSeq)
        .collect();
    assert_eq!(state.deleted, gaps);
    for expected in &model.messages {
        let found = shard.load(id, StreamSeq(expected.seq)).unwrap().unwrap();
        assert_eq!(found.subject, expected.subject.as_bytes());
        assert_eq!(found.headers, expected.headers);
        assert_eq!(found.payload, expected.payload);
        assert_eq!(found.timestamp.0, expected.time);
    }
    for pattern in FILTERS {
        let filter = SubjectFilter::new([pattern]);
        let matching: Vec<u64> = model
            .messages
            .iter()
            .filter(|message| filter.matches(message.subject.as_bytes()))
            .map(|message| message.seq)
            .collect();
        let mut selection = Selection::new();
        let mut found = Vec::new();
        let mut from = StreamSeq(0);
        while let Some(meta) = shard.next_match(id, from, &filter, &mut selection).unwrap() {
            found.push(meta.seq.0);
            from = meta.seq.next();
        }
        assert_eq!(found, matching, "{pattern}");
        let last = shard.last_match(id, &filter).unwrap();
        assert_eq!(last.map(|seq| seq.0), matching.last().copied(), "{pattern}");
        for from in [0, model.first + 2, model.first + 9, model.last] {
            let mut count = |count| {
                shard
                    .num_pending(
                        id,
                        StreamSeq(from),
                        StreamSeq(model.last),
                        &filter,
                        &mut selection,
                        count,
                    )
                    .unwrap()
            };
            let expected = matching.iter().filter(|seq| **seq >= from).count() as u64;
            assert_eq!(count(PendingCount::All), expected, "{pattern} from {from}");
            let newest = SUBJECTS
                .iter()
                .filter(|name| filter.matches(name.as_bytes()))
                .filter_map(|name| model.last_of(name))
                .filter(|seq| *seq >= from)
                .count() as u64;
            assert_eq!(
                count(PendingCount::LastPerSubject),
                newest,
                "{pattern} from {from}"
            );
        }
    }
    if let Some(message) = model.messages.get(model.messages.len() / 2) {
        let first = model
            .messages
            .iter()
            .find(|other| other.time >= message.time)
            .unwrap();
        let time = jetsled_jetstream_api::Timestamp(message.time);
        assert_eq!(shard.seq_for_time(id, time).unwrap().0, first.seq);
    }
}

/// Few, for each sync costs; `PROPTEST_CASES` does not reach them, so raise it here to look deeper.
const CASES: u32 = 24;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(CASES))]

    #[test]
    fn a_memory_stream_does_what_the_model_does(limits in limits(), steps in steps(true)) {
        run(StorageType::Memory, 1 << 20, 1, &limits, steps);
    }

    #[test]
    fn a_file_stream_does_what_the_model_does_through_restarts(limits in limits(), steps in steps(true)) {
        run(StorageType::File, 8 << 20, 1, &limits, steps);
    }

    /// Without message ids: a rebuild can not know those of messages whose segment was given back.
    #[test]
    fn a_file_stream_survives_reclaimed_segments(limits in limits(), steps in steps(false)) {
        run(StorageType::File, 64 << 10, 24, &limits, steps);
    }
}
