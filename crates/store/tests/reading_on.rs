//! Readers in order, as consumers are: each decides on a run of messages and then reads it, whatever lies between the records.

#![expect(clippy::unwrap_used, reason = "a test helper may")]

use std::collections::BTreeMap;
use std::num::NonZeroU8;
use std::sync::Arc;

use jetsled_jetstream_api::{StreamConfig, StreamSeq, Timestamp};
use jetsled_protocol::SubjectFilter;
use jetsled_store::{Erase, Publish, Selection, Sender, Shard, StoreOptions, StreamId};
use jetsled_testkit::FaultyStorage;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

const NOW: Timestamp = Timestamp(1_700_000_000_000_000_000);

/// The messages of each stream.
type Model = [BTreeMap<u64, Vec<u8>>; 2];

fn publish(shard: &mut Shard, stream: StreamId, payload: &[u8]) -> u64 {
    let message = Publish {
        subject: b"s",
        headers: b"",
        payload,
        has_interest: true,
        sender: Sender::Client,
    };
    shard.publish(stream, &message, NOW).unwrap().seq.0
}

fn commit(shard: &mut Shard) {
    while let Some(commit) = shard.take_commit() {
        shard.finish_commit(commit.run()).unwrap();
    }
}

#[test]
fn what_is_decided_is_what_is_read() {
    for seed in 0..20 {
        println!("seed {seed}");
        run(seed);
    }
}

fn run(seed: u64) {
    let mut random = StdRng::seed_from_u64(seed);
    let dir = tempfile::tempdir().unwrap();
    let options = StoreOptions {
        shards: NonZeroU8::new(1),
        segment_bytes: 64 << 10,
        // Next to nothing is served from memory.
        cache_bytes: 24 << 10,
        ..StoreOptions::new(dir.path(), 3)
    };
    let disk = FaultyStorage::new();
    let mut opened = jetsled_store::open(&options, Arc::new(disk), NOW).unwrap();
    let mut shard = opened.shards.remove(0);
    let streams = ["A", "B"].map(|name| {
        let config = StreamConfig {
            name: name.to_owned(),
            max_msgs: -1,
            max_msgs_per_subject: -1,
            max_bytes: -1,
            max_msg_size: -1,
            ..StreamConfig::default()
        };
        shard.create_stream("account", config, NOW).unwrap()
    });
    let mut model = Model::default();
    for _ in 0..30 {
        let stream = random.random_range(0..2);
        for _ in 0..random.random_range(1..120) {
            let payload = vec![random.random(); random.random_range(0..300)];
            let seq = publish(&mut shard, streams[stream], &payload);
            model[stream].insert(seq, payload);
        }
        commit(&mut shard);
        if random.random::<bool>() {
            let seqs: Vec<u64> = model[stream].keys().copied().collect();
            let seq = seqs[random.random_range(0..seqs.len())];
            let erase = if random.random() {
                Erase::Yes
            } else {
                Erase::No
            };
            shard
                .delete_message(streams[stream], StreamSeq(seq), erase)
                .unwrap();
            model[stream].remove(&seq);
            commit(&mut shard);
        }
        if random.random_range(0..3) == 0
            && let Some(work) = shard.take_maintenance()
        {
            shard.finish_maintenance(work.run());
        }
    }
    read_in_turn(&mut shard, streams, &model, &mut random);
}

/// Two readers take turns.
fn read_in_turn(shard: &mut Shard, streams: [StreamId; 2], model: &Model, random: &mut StdRng) {
    let all = SubjectFilter::new([b">"]);
    let mut selections = [Selection::of(&all), Selection::of(&all)];
    let mut next = [StreamSeq(1); 2];
    let mut read = Model::default();
    let mut ended = [false; 2];
    while ended != [true; 2] {
        let reader = random.random_range(0..2);
        let mut decided = Vec::new();
        for _ in 0..random.random_range(1..40) {
            let selection = &mut selections[reader];
            let found = shard.next_match(streams[reader], next[reader], &all, selection);
            let Some(meta) = found.unwrap() else {
                ended[reader] = true;
                break;
            };
            next[reader] = meta.seq.next();
            decided.push(meta);
        }
        for meta in decided {
            let message = shard.load(streams[reader], meta.seq).unwrap().unwrap();
            assert_eq!(message.seq, meta.seq);
            assert_eq!(message.payload.len(), meta.payload_len as usize);
            read[reader].insert(message.seq.0, message.payload.to_vec());
        }
    }
    assert_eq!(&read, model);
}
