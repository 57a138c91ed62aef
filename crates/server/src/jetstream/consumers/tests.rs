//! A message reaches every consumer that waits for it, whatever happened before.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use jetsled_dispatch::{
    Consumer, ConsumerIdentity, Context, Interest, MessageMeta, Outbox, PullEvent, StreamIdentity,
    StreamView,
};
use jetsled_jetstream_api::{
    AckSubjectPrefix, ConsumerConfig, RetentionPolicy, StreamSeq, Timestamp,
};
use jetsled_protocol::SubjectFilter;
use jetsled_store::StreamId;
use proptest::prelude::*;

use super::*;
use crate::jetstream::target::{ConsumerTarget, StreamTarget};

/// A stream without messages, and subscribers for everything.
struct Nothing;

impl StreamView for Nothing {
    fn first_seq(&self) -> StreamSeq {
        StreamSeq(1)
    }

    fn last_seq(&self) -> StreamSeq {
        StreamSeq(0)
    }

    fn next_match(&mut self, _: StreamSeq, _: &SubjectFilter) -> Option<MessageMeta> {
        None
    }

    fn meta(&mut self, _: StreamSeq) -> Option<MessageMeta> {
        None
    }

    fn contains(&self, _: StreamSeq) -> bool {
        false
    }

    fn num_pending(&mut self, _: StreamSeq, _: &SubjectFilter) -> u64 {
        0
    }

    fn last_seqs_per_subject(&mut self, _: &SubjectFilter) -> Vec<StreamSeq> {
        Vec::new()
    }

    fn last_match(&mut self, _: &SubjectFilter) -> Option<StreamSeq> {
        None
    }

    fn seq_for_time(&mut self, _: Timestamp) -> StreamSeq {
        StreamSeq(1)
    }
}

impl Interest for Nothing {
    fn generation(&self) -> u64 {
        0
    }

    fn has_interest(&self, _: &[u8]) -> bool {
        true
    }

    fn has_subscriber(&self, _: &[u8], _: Option<&[u8]>) -> bool {
        true
    }
}

fn with_context<R>(f: impl FnOnce(&mut Context<'_>) -> R) -> R {
    f(&mut Context {
        view: &mut Nothing,
        interest: &Nothing,
        now: Timestamp(1),
        out: &mut Outbox::new(),
    })
}

fn config(filter: &str) -> ConsumerConfig {
    ConsumerConfig {
        filter_subject: filter.to_owned(),
        max_waiting: 9,
        ..ConsumerConfig::default()
    }
}

fn consumer(key: u32, filter: &str) -> RunningConsumer {
    let identity = ConsumerIdentity {
        stream: Arc::new(StreamIdentity {
            name: "S".to_owned(),
            retention: RetentionPolicy::Limits,
            one_per_subject: false,
            max_message_bytes: 1,
        }),
        created: Timestamp(0),
        ack_prefix: AckSubjectPrefix::new("S", &format!("c{key}")),
    };
    let config = config(filter);
    let target = ConsumerTarget {
        stream: StreamTarget {
            shard: 0,
            stream: StreamId(1),
        },
        consumer: ConsumerKey(key),
    };
    let state = with_context(|ctx| Consumer::new(identity, 1, &config, ctx));
    let mut running = RunningConsumer::new(target, state, &config);
    running.started = true;
    running
}

#[derive(Debug, Clone)]
enum Step {
    Create(u32, &'static str),
    Delete(u32),
    Update(u32, &'static str),
    Pull(u32),
    EndRequests(u32),
    Store(&'static str),
    StoreSomething,
    /// A commit begins, or ends.
    Take,
    Show,
}

const FILTERS: [&str; 6] = ["", ">", "a.*", "a.1", "b.>", "*.1"];
const SUBJECTS: [&str; 4] = ["a.1", "a.2", "b.1", "c"];

fn step() -> impl Strategy<Value = Step> {
    let key = || 0..40_u32;
    let filter = || proptest::sample::select(&FILTERS[..]);
    let subject = proptest::sample::select(&SUBJECTS[..]);
    prop_oneof![
        12 => (key(), filter()).prop_map(|(key, filter)| Step::Create(key, filter)),
        1 => key().prop_map(Step::Delete),
        2 => (key(), filter()).prop_map(|(key, filter)| Step::Update(key, filter)),
        9 => key().prop_map(Step::Pull),
        2 => key().prop_map(Step::EndRequests),
        5 => subject.prop_map(Step::Store),
        1 => Just(Step::StoreSomething),
        3 => Just(Step::Take),
        4 => Just(Step::Show),
    ]
}

/// What the consumers are, in the plainest way.
#[derive(Default)]
struct Model {
    /// Filter, and whether it waits.
    consumers: BTreeMap<u32, (SubjectFilter, bool)>,
    stored: Stored,
    due: Stored,
}

#[derive(Default)]
struct Stored {
    subjects: Vec<&'static str>,
    something: bool,
}

proptest! {
    #[test]
    fn whoever_waits_for_a_message_is_told_of_it(
        steps in proptest::collection::vec(step(), 1..160),
    ) {
        let mut consumers = Consumers::default();
        let mut model = Model::default();
        for step in steps {
            match step {
                Step::Create(key, filter) if !model.consumers.contains_key(&key) => {
                    consumers.insert(consumer(key, filter));
                    let filter = SubjectFilter::new(config(filter).filters());
                    model.consumers.insert(key, (filter, false));
                }
                Step::Create(..) => {}
                Step::Delete(key) => {
                    let removed = consumers.remove(ConsumerKey(key)).is_some();
                    prop_assert_eq!(removed, model.consumers.remove(&key).is_some());
                }
                Step::Update(key, filter) => {
                    if let Some((known, _)) = model.consumers.get_mut(&key) {
                        *known = SubjectFilter::new(config(filter).filters());
                        let key = ConsumerKey(key);
                        consumers.remove_filter(key);
                        let running = consumers.get_mut(key).unwrap();
                        with_context(|ctx| running.state.update(&config(filter), ctx));
                        consumers.add_filter(key);
                        consumers.note_waiting(key);
                    }
                }
                Step::Pull(key) => {
                    if let Some((_, waits)) = model.consumers.get_mut(&key) {
                        *waits = true;
                        ask(&mut consumers, key);
                    }
                }
                Step::EndRequests(key) => {
                    if let Some((_, waits)) = model.consumers.get_mut(&key) {
                        *waits = false;
                        let running = consumers.get_mut(ConsumerKey(key)).unwrap();
                        with_context(|ctx| running.state.on_shutdown(ctx));
                        consumers.note_waiting(ConsumerKey(key));
                    }
                }
                Step::Store(subject) => {
                    consumers.note_stored(Some(subject.as_bytes()));
                    model.stored.subjects.push(subject);
                }
                Step::StoreSomething => {
                    consumers.note_stored(None);
                    model.stored.something = true;
                }
                Step::Take => {
                    consumers.take_stored();
                    let taken = std::mem::take(&mut model.stored);
                    model.due.subjects.extend(taken.subjects);
                    model.due.something |= taken.something;
                }
                Step::Show => {
                    let told: BTreeSet<u32> =
                        consumers.take_concerned().map(|told| told.key().0).collect();
                    for (key, (filter, waits)) in &model.consumers {
                        let concerns = |subject: &&str| filter.matches(subject.as_bytes());
                        let concerned = model.due.something || model.due.subjects.iter().any(concerns);
                        prop_assert!(!waits || !concerned || told.contains(key), "{key} is told");
                        prop_assert!(*waits || !told.contains(key), "{key} does not wait");
                    }
                    model.due = Stored::default();
                }
            }
            consumers.validate_waiting(None);
            for subject in SUBJECTS {
                let wanted = |(filter, _): &(SubjectFilter, bool)| filter.matches(subject.as_bytes());
                let wanted = model.consumers.values().any(wanted);
                prop_assert_eq!(consumers.want(subject.as_bytes()), wanted);
            }
        }
    }
}

/// A client asks the consumer for a message.
fn ask(consumers: &mut Consumers, key: u32) {
    let running = consumers.get_mut(ConsumerKey(key)).unwrap();
    let pull = PullEvent {
        payload: b"",
        reply: Bytes::from_static(b"r"),
        api_level_too_high: false,
        imported: false,
    };
    with_context(|ctx| running.state.on_pull(pull, ctx));
    consumers.note_waiting(ConsumerKey(key));
}

#[test]
fn a_message_of_many_filters_concerns_those_that_match() {
    let mut consumers = Consumers::default();
    let filters: Vec<String> = (0..1000).map(|key| format!("kv.{key}")).collect();
    for (key, filter) in (0..).zip(&filters) {
        consumers.insert(consumer(key, filter));
        ask(&mut consumers, key);
    }
    consumers.take_stored();
    assert_eq!(consumers.take_concerned().count(), 1000, "all are new");
    consumers.note_stored(Some(b"kv.7"));
    consumers.note_stored(Some(b"other"));
    consumers.take_stored();
    // In the next commit.
    consumers.note_stored(Some(b"kv.9"));
    let told: Vec<u32> = consumers
        .take_concerned()
        .map(|told| told.key().0)
        .collect();
    assert_eq!(told, [7]);
    assert_eq!(consumers.take_concerned().count(), 0);
    consumers.take_stored();
    let told: Vec<u32> = consumers
        .take_concerned()
        .map(|told| told.key().0)
        .collect();
    assert_eq!(told, [9]);
}
