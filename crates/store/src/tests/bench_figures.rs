//! Figures of the hot paths; run with `--release -- --ignored --nocapture bench`.

use std::time::Instant;

use jetsled_jetstream_api::{Nanos, StorageType, StreamSeq};
use jetsled_protocol::SubjectFilter;

use super::{Store, config, header_block};
use crate::{Publish, Selection, Sender};

/// Publishes `count` messages of 128 B and reads them in order; prints nanoseconds each.
fn figures(what: &str, subjects: usize, ids: bool, per_subject: i64, count: usize) {
    let mut store = Store::new(64 << 20);
    let mut config = config("S", StorageType::File);
    config.duplicate_window = Nanos::from_secs(120);
    config.max_msgs_per_subject = per_subject;
    let stream = store.create(config);
    let names: Vec<String> = (0..subjects).map(|n| format!("S.subject.{n}")).collect();
    let payload = [7; 128];
    let now = store.now;
    let mut publishing = std::time::Duration::ZERO;
    let mut at = 0;
    while at < count {
        let blocks: Vec<Vec<u8>> = (at..at + 1000)
            .map(|n| {
                if ids {
                    header_block(&[("Nats-Msg-Id", &format!("message-{n}"))])
                } else {
                    Vec::new()
                }
            })
            .collect();
        let started = Instant::now();
        for (n, headers) in blocks.iter().enumerate() {
            let subject = names[(at + n) * 7919 % subjects].as_bytes();
            let message = Publish {
                subject,
                headers,
                payload: &payload,
                has_interest: true,
                sender: Sender::Client,
            };
            store.shard().publish(stream, &message, now).unwrap();
        }
        publishing += started.elapsed();
        store.commit();
        at += 1000;
    }
    let filter = SubjectFilter::default();
    let mut selection = Selection::new();
    let started = Instant::now();
    let mut from = StreamSeq(0);
    let mut read = 0;
    while let Some(meta) = store
        .shard()
        .next_match(stream, from, &filter, &mut selection)
        .unwrap()
    {
        from = meta.seq.next();
        read += 1;
    }
    let reading = started.elapsed();
    println!(
        "{what}: publish {} ns, next_match {} ns, {read} read",
        publishing.as_nanos() / count as u128,
        reading.as_nanos() / read.max(1),
    );
}

#[test]
#[ignore = "a measurement"]
fn bench_publish() {
    figures("1 subject", 1, false, -1, 1_000_000);
    figures("100 k subjects", 100_000, false, -1, 1_000_000);
    figures(
        "100 k subjects, one message each kept",
        100_000,
        false,
        1,
        1_000_000,
    );
    figures("100 k subjects, five kept", 100_000, false, 5, 1_000_000);
    figures("message ids", 1, true, -1, 1_000_000);
}
