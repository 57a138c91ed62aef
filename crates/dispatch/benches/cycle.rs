//! What a message costs in the dispatcher: `cargo bench -p jetsled-dispatch`.
//!
//! `pull_and_ack`: pull requests of 500 messages, each message acked by itself, progress logged once a batch.
//! `push`: delivery without acks. The time printed is for 500 messages.

use std::sync::Arc;

use bytes::Bytes;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use jetsled_dispatch::{
    AckEvent, Command, Consumer, ConsumerIdentity, Context, Dispatched, Interest, MessageMeta,
    Outbox, PullEvent, StreamIdentity, StreamView,
};
use jetsled_jetstream_api::{
    AckKind, AckNumbers, AckPolicy, AckSubjectPrefix, ConsumerConfig, Nanos, RetentionPolicy,
    StreamSeq, Timestamp,
};
use jetsled_protocol::SubjectFilter;

const BATCH: u64 = 500;

/// A stream without end whose messages all match.
struct Endless;

impl StreamView for Endless {
    fn first_seq(&self) -> StreamSeq {
        StreamSeq(1)
    }

    fn last_seq(&self) -> StreamSeq {
        StreamSeq(u64::MAX / 2)
    }

    fn next_match(&mut self, from: StreamSeq, _filter: &SubjectFilter) -> Option<MessageMeta> {
        self.meta(from)
    }

    fn contains(&self, _seq: StreamSeq) -> bool {
        true
    }

    fn meta(&mut self, seq: StreamSeq) -> Option<MessageMeta> {
        let timestamp = Timestamp(1_700_000_000_000_000_000);
        Some(MessageMeta {
            seq,
            timestamp,
            subject_len: 10,
            header_len: 0,
            payload_len: 128,
        })
    }

    fn num_pending(&mut self, from: StreamSeq, _filter: &SubjectFilter) -> u64 {
        self.last_seq().get() - from.get() + 1
    }

    fn last_seqs_per_subject(&mut self, _filter: &SubjectFilter) -> Vec<StreamSeq> {
        Vec::new()
    }

    fn last_match(&mut self, _filter: &SubjectFilter) -> Option<StreamSeq> {
        Some(self.last_seq())
    }

    fn seq_for_time(&mut self, _time: Timestamp) -> StreamSeq {
        StreamSeq(1)
    }
}

struct Everybody;

impl Interest for Everybody {
    fn generation(&self) -> u64 {
        1
    }

    fn has_interest(&self, _subject: &[u8]) -> bool {
        true
    }

    fn has_subscriber(&self, _subject: &[u8], _queue: Option<&[u8]>) -> bool {
        true
    }
}

struct Bench {
    view: Endless,
    now: Timestamp,
    out: Outbox,
    consumer: Consumer,
    acks: Vec<AckNumbers>,
    logged: usize,
}

impl Bench {
    fn new(config: ConsumerConfig) -> Self {
        let identity = ConsumerIdentity {
            stream: Arc::new(StreamIdentity {
                name: "S".to_owned(),
                retention: RetentionPolicy::Limits,
                one_per_subject: false,
                max_message_bytes: 1_000_000,
            }),
            created: Timestamp::EPOCH,
            ack_prefix: AckSubjectPrefix::new("S", "C"),
        };
        let (mut view, now, mut out) = (Endless, Timestamp(1), Outbox::new());
        let mut ctx = Context {
            view: &mut view,
            interest: &Everybody,
            now,
            out: &mut out,
        };
        let consumer = Consumer::new(identity, 1, &config, &mut ctx);
        out.clear();
        Self {
            view,
            now,
            out,
            consumer,
            acks: Vec::new(),
            logged: 0,
        }
    }

    /// One turn of the runtime: acks of the last batch, a request for the next, dispatch, log, run.
    fn turn(&mut self, request: Option<&[u8]>) -> usize {
        self.now = self.now.saturating_add(Nanos(250_000));
        let (out, view, now) = (&mut self.out, &mut self.view, self.now);
        let mut ctx = Context {
            view,
            interest: &Everybody,
            now,
            out,
        };
        for numbers in self.acks.drain(..) {
            let ack = AckEvent {
                numbers,
                kind: AckKind::Ack,
                reply: None,
            };
            self.consumer.on_ack(&ack, &mut ctx);
        }
        if let Some(payload) = request {
            let reply = Bytes::from_static(b"_INBOX.abcdefghijklmnop.1");
            let pull = PullEvent {
                payload,
                reply,
                api_level_too_high: false,
                imported: false,
            };
            self.consumer.on_pull(pull, &mut ctx);
        }
        let dispatched = self.consumer.dispatch(&mut ctx);
        assert!(request.is_none() || dispatched == Dispatched::Idle);
        self.logged += self.out.progress().len();
        let commands = self.out.commands().len();
        let acks = self.consumer.ack_policy() != AckPolicy::None;
        self.acks.extend(
            self.out
                .commands()
                .iter()
                .filter_map(|command| match command {
                    Command::Deliver(delivery) if acks => Some(delivery.numbers),
                    _ => None,
                }),
        );
        self.out.clear();
        commands
    }
}

fn pull_and_ack(c: &mut Criterion) {
    let mut group = c.benchmark_group("500 messages");
    group.throughput(Throughput::Elements(BATCH));
    let explicit = ConsumerConfig {
        ack_policy: AckPolicy::Explicit,
        ack_wait: Nanos::from_secs(30),
        max_ack_pending: 1000,
        max_waiting: 512,
        max_deliver: -1,
        ..ConsumerConfig::default()
    };
    let mut bench = Bench::new(explicit.clone());
    group.bench_function("pull_and_ack", |b| {
        b.iter(|| {
            let commands = bench.turn(Some(br#"{"batch":500,"expires":30000000000}"#));
            assert_eq!(commands as u64, BATCH);
        });
    });
    let mut bench = Bench::new(explicit);
    group.bench_function("pull_and_ack_with_max_bytes", |b| {
        b.iter(|| {
            let request = br#"{"batch":500,"max_bytes":10000000,"expires":30000000000}"#;
            let commands = bench.turn(Some(request));
            assert_eq!(commands as u64, BATCH + 1);
        });
    });
    // The outbox is full at 1024 messages.
    group.throughput(Throughput::Elements(1024));
    let push = ConsumerConfig {
        deliver_subject: "d".to_owned(),
        max_deliver: -1,
        ..ConsumerConfig::default()
    };
    let mut bench = Bench::new(push);
    group.bench_function("push (1024)", |b| {
        b.iter(|| assert_eq!(bench.turn(None), 1024));
    });
    group.finish();
}

criterion_group!(benches, pull_and_ack);
criterion_main!(benches);
