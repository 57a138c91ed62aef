//! The indexes against a plain map: whatever was published, rewritten, indexed or reopened, a search finds
//! what the map has.

#![expect(clippy::unwrap_used, reason = "a test helper may")]

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use jetsled_store::Cipher;
use jetsled_store::log::{
    Log, LogOptions, Message, Record, RecordAt, SegmentNo, Selection, StreamId, SubjectInSegment,
};
use jetsled_testkit::{FaultyStorage, log_keys};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

type Model = BTreeMap<(u32, u64), (RecordAt, String)>;

fn open(disk: &FaultyStorage, cipher: Option<Cipher>) -> Log {
    open_with(disk, 64 << 10, cipher)
}

fn open_with(disk: &FaultyStorage, segment_bytes: u32, cipher: Option<Cipher>) -> Log {
    let mut options = LogOptions::new(1);
    options.segment_bytes = segment_bytes;
    options.index_cache_bytes = 8 << 10;
    options.tail_cache_bytes = 80 << 10;
    options.keys = cipher.map(log_keys);
    Log::open(
        Arc::new(disk.clone()),
        Path::new("/log"),
        options,
        None,
        &mut |_, _| (),
    )
    .unwrap()
    .0
}

fn append(log: &mut Log, stream: u32, seq: u64, subject: &str) -> RecordAt {
    log.append(&Record::Message(Message {
        stream: StreamId(stream),
        seq,
        timestamp: 0,
        subject: subject.as_bytes(),
        headers: b"",
        payload: &[7; 90],
    }))
    .unwrap()
}

fn commit(log: &mut Log) {
    if let Some(commit) = log.take_commit() {
        log.finish_commit(commit.run()).unwrap();
    }
}

fn check(log: &mut Log, model: &Model, random: &mut StdRng) {
    let filters: [fn(&str) -> bool; 5] = [
        |_| true,
        |subject| subject == "a.3",
        |subject| subject.starts_with("a."),
        |subject| subject.ends_with('1'),
        |_| false,
    ];
    for stream in 1..=3 {
        let of_stream = model.range((stream, 0)..=(stream, u64::MAX));
        let messages: Vec<_> = of_stream
            .map(|((_, seq), (at, s))| (*seq, *at, s))
            .collect();
        let last = messages.last().map_or(5, |(seq, ..)| *seq);
        for (number, filter) in filters.into_iter().enumerate() {
            let mut selection = match number {
                1 if random.random() => Selection::literal(b"a.3"),
                _ => Selection::new(),
            };
            let mut matcher = |subject: &[u8]| filter(std::str::from_utf8(subject).unwrap());
            for _ in 0..12 {
                let from = random.random_range(0..last + 3);
                let to = random.random_range(from..last + 6);
                let wanted = || messages.iter().filter(|(_, _, subject)| filter(subject));
                let found = log
                    .next_match(StreamId(stream), from, &mut selection, &mut matcher)
                    .unwrap();
                let expected = wanted().find(|(seq, ..)| *seq >= from);
                assert_eq!(
                    found.map(|f| (f.seq, f.at)),
                    expected.map(|(seq, at, _)| (*seq, *at))
                );
                let found = log
                    .previous_match(StreamId(stream), from, &mut selection, &mut matcher)
                    .unwrap();
                let expected = wanted().rfind(|(seq, ..)| *seq <= from);
                assert_eq!(
                    found.map(|f| (f.seq, f.at)),
                    expected.map(|(seq, at, _)| (*seq, *at))
                );
                let found = log
                    .count(StreamId(stream), from..=to, &mut selection, &mut matcher)
                    .unwrap();
                let expected = wanted()
                    .filter(|(seq, ..)| (from..=to).contains(seq))
                    .count();
                assert_eq!(found, expected as u64);
                let found = log.locate(StreamId(stream), from).unwrap();
                assert_eq!(found, model.get(&(stream, from)).map(|(at, _)| *at));
            }
        }
        let mut found = BTreeMap::new();
        let mut visit = |subject: SubjectInSegment<'_>| {
            let name = String::from_utf8(subject.subject.to_vec()).unwrap();
            let (first, last) = found.entry(name).or_insert((u64::MAX, 0));
            *first = subject.first.min(*first);
            *last = subject.last.max(*last);
            assert!(subject.records > 0);
        };
        log.subjects(StreamId(stream), &mut visit).unwrap();
        let mut expected = BTreeMap::new();
        for (seq, _, subject) in messages {
            let (first, last) = expected.entry(subject.clone()).or_insert((u64::MAX, 0));
            *first = seq.min(*first);
            *last = seq.max(*last);
        }
        assert_eq!(found, expected);
    }
}

#[test]
fn a_search_finds_what_a_plain_map_has() {
    for seed in 0..3u64 {
        println!("seed {seed}");
        let cipher = [None, Some(Cipher::ChaCha), Some(Cipher::Aes)][seed as usize];
        let mut random = StdRng::seed_from_u64(seed);
        let disk = FaultyStorage::new();
        let mut log = open(&disk, cipher);
        let mut model = Model::new();
        let mut next = [1, 1u64 << 40, 7];
        for _ in 0..50 {
            let stream = random.random_range(0..3usize);
            // Runs, and gaps in one of the streams.
            for _ in 0..random.random_range(0..60) {
                let seq = next[stream];
                next[stream] += if stream == 1 {
                    random.random_range(1..4)
                } else {
                    1
                };
                let kind = ["a", "b"][random.random_range(0..2)];
                let subject = format!("{kind}.{}", random.random_range(0..13));
                let at = append(&mut log, stream as u32 + 1, seq, &subject);
                model.insert((stream as u32 + 1, seq), (at, subject));
            }
            match random.random_range(0..8) {
                0..4 => commit(&mut log),
                4 => {
                    if let Some(job) = log.take_maintenance() {
                        // A search in between must not mind, nor must commits and segments that are given back.
                        check(&mut log, &model, &mut random);
                        let busy = random.random::<bool>();
                        let given_back = busy.then(|| rewrite_oldest(&mut log, &mut model));
                        log.finish_maintenance(job.run());
                        let seq = next[0];
                        next[0] += 1;
                        let at = append(&mut log, 1, seq, "a.3");
                        model.insert((1, seq), (at, "a.3".to_owned()));
                        commit(&mut log);
                        if let Some(segment) = given_back.flatten() {
                            assert!(log.is_recycled(segment), "it was only put off");
                        }
                    }
                }
                5 => {
                    commit(&mut log);
                    log = open(&disk, cipher);
                }
                6 => rewrite_one(&mut log, &mut model),
                _ => {}
            }
            check(&mut log, &model, &mut random);
        }
    }
}

#[test]
fn an_index_is_made_in_one_pass_over_its_segment_however_many_streams_it_has() {
    let segment = 4 << 20;
    let disk = FaultyStorage::new();
    let mut log = open_with(&disk, segment, None);
    let mut seq = 0;
    let job = loop {
        seq += 1;
        for stream in 1..=20 {
            append(&mut log, stream, seq, "a.3");
        }
        commit(&mut log);
        if log.segments().any(|usage| usage.sealed) {
            break log.take_maintenance().unwrap();
        }
    };
    let before = disk.reads();
    let made = job.run();
    let reads = disk.reads() - before;
    // In pieces of 256 KiB.
    assert!(reads < 2 * u64::from(segment >> 18), "{reads} reads");
    log.finish_maintenance(made);
    for stream in 1..=20 {
        let mut selection = Selection::literal(b"a.3");
        let mut matcher = |subject: &[u8]| subject == b"a.3";
        let found = log.next_match(StreamId(stream), 2, &mut selection, &mut matcher);
        assert_eq!(found.unwrap().map(|found| found.seq), Some(2));
    }
}

/// Rewrites some sealed segment, as compaction does, and gives it back.
fn rewrite_one(log: &mut Log, model: &mut Model) {
    if let Some(segment) = rewrite_oldest(log, model) {
        assert!(log.is_recycled(segment));
    }
}

/// The same, but its file may be put off while its index is being written.
fn rewrite_oldest(log: &mut Log, model: &mut Model) -> Option<SegmentNo> {
    commit(log);
    let segment = log
        .segments()
        .find(|usage| usage.sealed)
        .map(|usage| usage.segment)?;
    let mut messages = Vec::new();
    let mut from = 0;
    while let Some(next) = log
        .scan(segment, from, 5000, &mut |replayed| {
            if let Record::Message(message) = replayed.record {
                let subject = String::from_utf8(message.subject.to_vec()).unwrap();
                messages.push((message.stream.0, message.seq, subject, replayed.at));
            }
        })
        .unwrap()
    {
        from = next;
    }
    for (stream, seq, subject, at) in messages {
        if model
            .get(&(stream, seq))
            .is_some_and(|(live, _)| *live == at)
        {
            log.release(at);
            let at = append(log, stream, seq, &subject);
            model.insert((stream, seq), (at, subject));
        }
    }
    let live = log
        .segments()
        .find(|usage| usage.segment == segment)
        .map(|usage| usage.live);
    assert_eq!(live, Some(0));
    log.recycle(segment);
    assert!(!log.is_recycled(segment));
    commit(log);
    Some(segment)
}
