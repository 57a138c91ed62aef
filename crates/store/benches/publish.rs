//! A publish in the store: rules, indexes, the record in the log's buffer. `cargo bench -p jetsled-store --bench publish`.
//!
//! Stores lie in temporary directories of up to some hundred megabytes; set `TMPDIR` where that is too much for memory.

mod support;

use std::num::NonZeroU8;
use std::sync::Arc;
use std::time::Duration;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use jetsled_jetstream_api::{Nanos, StorageType, StreamConfig, Timestamp};
use jetsled_store::log::SyncPolicy;
use jetsled_store::storage::FsStorage;
use jetsled_store::{Publish, Sender, Shard, StoreOptions, StreamId};

use support::cpu_time;

const NOW: Timestamp = Timestamp(1_700_000_000_000_000_000);
/// Messages between two commits, which are not timed.
const BATCH: usize = 1000;
/// Subjects are visited in steps of this prime, so that no two that follow each other lie side by side.
const STEP: usize = 7919;

/// What is published to a stream.
#[derive(Clone, Copy)]
struct Case {
    subjects: usize,
    message_ids: bool,
    max_msgs_per_subject: i64,
}

impl Case {
    /// The processor time of so many batches to a new stream.
    fn publish(self, batches: u64) -> Duration {
        let dir = tempfile::tempdir().expect("a directory");
        let (mut shard, stream) = self.store(dir.path());
        let names: Vec<_> = (0..self.subjects)
            .map(|n| format!("orders.{n}").into_bytes())
            .collect();
        let mut spent = Duration::ZERO;
        let mut published = 0;
        for _ in 0..batches {
            let headers: Vec<_> = (published..published + BATCH)
                .map(|n| self.headers(n))
                .collect();
            let start = cpu_time();
            for headers in &headers {
                let message = Publish {
                    subject: &names[published * STEP % names.len()],
                    headers,
                    payload: &[7; 128],
                    has_interest: true,
                    sender: Sender::Client,
                };
                let stored = shard.publish(stream, &message, NOW);
                stored.expect("the stream takes everything");
                published += 1;
            }
            spent += cpu_time() - start;
            commit(&mut shard);
        }
        spent
    }

    fn store(self, dir: &std::path::Path) -> (Shard, StreamId) {
        let options = StoreOptions {
            shards: NonZeroU8::new(1),
            sync: SyncPolicy::Interval(Duration::from_secs(3600)),
            ..StoreOptions::new(dir, 1)
        };
        let opened = jetsled_store::open(&options, Arc::new(FsStorage), NOW).expect("a store");
        let mut shard = opened.shards.into_iter().next().expect("its only shard");
        let config = StreamConfig {
            name: "ORDERS".to_owned(),
            subjects: vec!["orders.*".to_owned()],
            storage: StorageType::File,
            max_msgs: -1,
            max_bytes: -1,
            max_msg_size: -1,
            max_msgs_per_subject: self.max_msgs_per_subject,
            duplicate_window: Nanos::from_secs(120),
            ..StreamConfig::default()
        };
        let stream = shard.create_stream("A", config, NOW).expect("a stream");
        commit(&mut shard);
        (shard, stream)
    }

    fn headers(self, number: usize) -> Vec<u8> {
        if self.message_ids {
            format!("NATS/1.0\r\nNats-Msg-Id: message-{number}\r\n\r\n").into_bytes()
        } else {
            Vec::new()
        }
    }
}

fn commit(shard: &mut Shard) {
    while let Some(commit) = shard.take_commit() {
        shard.finish_commit(commit.run()).expect("a commit");
    }
    while let Some(maintenance) = shard.take_maintenance() {
        shard.finish_maintenance(maintenance.run());
    }
}

fn publish(c: &mut Criterion) {
    let one = Case {
        subjects: 1,
        message_ids: false,
        max_msgs_per_subject: -1,
    };
    let many = Case {
        subjects: 100_000,
        ..one
    };
    let cases = [
        ("1 subject", one),
        ("100 k subjects", many),
        (
            "100 k subjects, the last one kept",
            Case {
                max_msgs_per_subject: 1,
                ..many
            },
        ),
        (
            "100 k subjects, five kept",
            Case {
                max_msgs_per_subject: 5,
                ..many
            },
        ),
        (
            "message ids",
            Case {
                message_ids: true,
                ..one
            },
        ),
    ];
    let mut group = c.benchmark_group("publish 1000 x 128 B");
    group
        .sample_size(10)
        .throughput(Throughput::Elements(BATCH as u64));
    for (name, case) in cases {
        group.bench_function(name, |b| b.iter_custom(|batches| case.publish(batches)));
    }
    group.finish();
}

criterion_group!(benches, publish);
criterion_main!(benches);
