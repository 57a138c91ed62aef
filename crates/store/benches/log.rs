//! The log: appending, committing, opening. `cargo bench -p jetsled-store --bench log`.
//!
//! Commits and openings use a temporary directory; set `TMPDIR` to one on the disk to be measured.

mod support;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use jetsled_store::log::{
    Log, LogCheckpoint, LogOptions, Message, Record, Selection, StreamId, SyncPolicy,
};
use jetsled_store::storage::FsStorage;

use support::cpu_time;

const PAYLOAD: [u8; 128] = [7; 128];

fn open(dir: &Path, sync: SyncPolicy, checkpoint: Option<&LogCheckpoint>) -> (Log, u64) {
    let mut options = LogOptions::new(1);
    options.sync = sync;
    let mut replayed = 0;
    let opened = Log::open(
        Arc::new(FsStorage),
        dir,
        options,
        checkpoint,
        &mut |_, _| replayed += 1,
    );
    (opened.expect("a log in a new directory").0, replayed)
}

fn message(seq: u64, subject: &[u8]) -> Record<'_> {
    let (stream, timestamp, headers) = (StreamId(1), seq as i64, &b""[..]);
    Record::Message(Message {
        stream,
        seq,
        timestamp,
        subject,
        headers,
        payload: &PAYLOAD,
    })
}

fn commit(log: &mut Log) {
    if let Some(commit) = log.take_commit() {
        log.finish_commit(commit.run()).expect("a commit");
    }
}

/// Gives back all sealed segments, so that the disk does not fill up.
fn recycle(log: &mut Log) {
    let sealed: Vec<_> = log.segments().filter(|usage| usage.sealed).collect();
    sealed.iter().for_each(|usage| log.recycle(usage.segment));
}

/// The append alone: 1,000 at a time are timed, the commit between them is not.
fn append(c: &mut Criterion) {
    const BATCH: u64 = 1000;
    let dir = tempfile::tempdir().expect("a directory");
    let (mut log, _) = open(
        dir.path(),
        SyncPolicy::Interval(Duration::from_secs(3600)),
        None,
    );
    let mut seq = 0;
    let mut group = c.benchmark_group("log");
    group.throughput(Throughput::Elements(BATCH));
    group.bench_function("append 1000 x 128 B", |b| {
        b.iter_custom(|rounds| {
            let mut spent = Duration::ZERO;
            for round in 0..rounds {
                let start = cpu_time();
                for _ in 0..BATCH {
                    seq += 1;
                    log.append(&message(seq, b"orders.eu.1234"))
                        .expect("an append");
                }
                spent += cpu_time() - start;
                if round % 64 == 0 {
                    if let Some(commit) = log.take_sync(0) {
                        log.finish_commit(commit.run()).expect("a commit");
                    }
                    recycle(&mut log);
                } else {
                    commit(&mut log);
                }
            }
            spent
        });
    });
    group.finish();
}

/// What publishers wait for: one record alone, and a thousand together.
fn durable(c: &mut Criterion) {
    for (name, batch) in [("durable commit of 1", 1), ("durable commit of 1000", 1000)] {
        let dir = tempfile::tempdir().expect("a directory");
        let (mut log, _) = open(dir.path(), SyncPolicy::EveryCommit, None);
        let mut seq = 0;
        let mut group = c.benchmark_group("log");
        group
            .sample_size(20)
            .throughput(Throughput::Elements(batch));
        group.bench_function(name, |b| {
            b.iter(|| {
                for _ in 0..batch {
                    seq += 1;
                    log.append(&message(seq, b"orders.eu.1234"))
                        .expect("an append");
                }
                commit(&mut log);
                recycle(&mut log);
            });
        });
        group.finish();
    }
}

/// A million records: all replayed, none replayed, and searched.
fn recovery(c: &mut Criterion) {
    const RECORDS: u64 = 1_000_000;
    let dir = tempfile::tempdir().expect("a directory");
    let checkpoint = {
        let (mut log, _) = open(dir.path(), SyncPolicy::EveryCommit, None);
        for seq in 1..=RECORDS {
            let subject = format!("orders.eu.{}", seq % 10_000);
            log.append(&message(seq, subject.as_bytes()))
                .expect("an append");
            if seq % 5000 == 0 {
                commit(&mut log);
            }
        }
        while let Some(job) = log.take_maintenance() {
            log.finish_maintenance(job.run());
        }
        log.checkpoint()
    };
    let mut group = c.benchmark_group("log");
    group
        .sample_size(10)
        .throughput(Throughput::Elements(RECORDS));
    group.bench_function("open, 1 M records replayed", |b| {
        b.iter(|| assert_eq!(open(dir.path(), SyncPolicy::EveryCommit, None).1, RECORDS));
    });
    group.bench_function("open, 1 M records before the checkpoint", |b| {
        b.iter(|| {
            assert_eq!(
                open(dir.path(), SyncPolicy::EveryCommit, Some(&checkpoint)).1,
                0
            )
        });
    });
    let (mut log, _) = open(dir.path(), SyncPolicy::EveryCommit, Some(&checkpoint));
    group.bench_function("read 1 M in order", |b| {
        b.iter(|| {
            let mut all = Selection::everything();
            let mut from = 1;
            while let Some(found) = log
                .next_match(StreamId(1), from, &mut all, &mut |_| true)
                .expect("a search")
            {
                log.read(found.at).expect("a record");
                from = found.seq + 1;
            }
            assert_eq!(from, RECORDS + 1);
        });
    });
    group.bench_function("find the 100 of one subject among 1 M", |b| {
        b.iter(|| {
            let mut one = Selection::new();
            let mut is_wanted = |subject: &[u8]| subject == b"orders.eu.1234";
            let (mut from, mut count) = (1, 0);
            while let Some(found) = log
                .next_match(StreamId(1), from, &mut one, &mut is_wanted)
                .expect("a search")
            {
                from = found.seq + 1;
                count += 1;
            }
            assert_eq!(count, 100);
        });
    });
    group.finish();
}

criterion_group!(benches, append, durable, recovery);
criterion_main!(benches);
