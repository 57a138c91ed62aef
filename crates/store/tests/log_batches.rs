//! Atomic batches in the log: whole, or not there.

#![expect(clippy::unwrap_used, reason = "a test helper may")]

use std::path::{Path, PathBuf};
use std::sync::Arc;

use jetsled_store::log::{
    AppendError, BatchCommit, Log, LogOptions, LogReport, Message, Record, RecordAt, StreamId,
};
use jetsled_testkit::FaultyStorage;

const DIR: &str = "/log";
const STREAM: StreamId = StreamId(1);

fn with_record<T>(seq: u64, f: impl FnOnce(&Record<'_>) -> T) -> T {
    f(&Record::Message(Message {
        stream: STREAM,
        seq,
        timestamp: 0,
        subject: b"s",
        headers: b"",
        payload: &vec![seq as u8; (seq as usize * 37) % 300],
    }))
}

fn open(disk: &FaultyStorage) -> (Log, LogReport, Vec<u64>) {
    let mut found = Vec::new();
    let mut options = LogOptions::new(1);
    options.segment_bytes = 64 << 10;
    let disk = Arc::new(disk.clone());
    let (log, report) = Log::open(disk, Path::new(DIR), options, None, &mut |replayed, _| {
        if let Record::Message(message) = replayed.record {
            found.push(message.seq);
        }
    })
    .unwrap();
    (log, report, found)
}

fn commit(log: &mut Log) {
    let commit = log.take_commit().unwrap();
    log.finish_commit(commit.run()).unwrap();
}

fn append(log: &mut Log, seq: u64) -> RecordAt {
    with_record(seq, |record| log.append(record)).unwrap()
}

/// Appends a batch; answers where its messages and its commit lie.
fn append_batch(log: &mut Log, seqs: std::ops::RangeInclusive<u64>) -> Vec<RecordAt> {
    let bytes = seqs
        .clone()
        .map(|seq| with_record(seq, Log::bytes_of))
        .sum();
    log.begin_batch(1, bytes).unwrap();
    let mut places: Vec<_> = seqs.clone().map(|seq| append(log, seq)).collect();
    let (first, last) = (*seqs.start(), *seqs.end());
    let stream = STREAM;
    places.push(
        log.commit_batch(BatchCommit {
            stream,
            first,
            last,
        })
        .unwrap(),
    );
    places
}

fn segment(number: u32) -> PathBuf {
    Path::new(DIR).join(format!("{number:010}.seg"))
}

/// A log of `before` single messages and a batch of five, and where the batch lies.
fn written(before: u64) -> (FaultyStorage, Vec<RecordAt>) {
    let disk = FaultyStorage::new();
    let (mut log, ..) = open(&disk);
    for seq in 1..=before {
        append(&mut log, seq);
        commit(&mut log);
    }
    let batch = append_batch(&mut log, before + 1..=before + 5);
    commit(&mut log);
    (disk, batch)
}

#[test]
fn a_batch_that_a_cut_interrupts_anywhere_is_not_there() {
    // With 0 it is the first of its segment, with 417 it had to begin a new one.
    for before in [0, 3, 417] {
        let (disk, batch) = written(before);
        let (first, last) = (batch[0], batch[5]);
        assert_eq!(first.segment, last.segment);
        assert_eq!(before == 417, first.segment.get() > 1);
        for cut in (first.offset..last.offset + last.len).step_by(8) {
            let disk = disk.after_kill();
            let path = segment(first.segment.get());
            disk.damage(&path, |bytes| bytes[cut as usize..].fill(0));
            let (mut log, report, found) = open(&disk);
            assert!(
                found.iter().copied().eq(1..=before),
                "cut at {cut}: {found:?}"
            );
            assert_eq!(report.damage, []);
            // What is written next takes its place for good.
            append(&mut log, before + 1);
            commit(&mut log);
            drop(log);
            for _ in 0..2 {
                let (_, report, found) = open(&disk);
                assert!(
                    found.iter().copied().eq(1..=before + 1),
                    "cut at {cut}: {found:?}"
                );
                assert_eq!(report.damage, []);
            }
        }
        let (.., found) = open(&disk);
        assert!(found.iter().copied().eq(1..=before + 5), "whole: {found:?}");
    }
}

#[test]
fn a_batch_of_which_any_record_is_missing_behind_a_cut_is_not_there() {
    let (disk, batch) = written(3);
    for missing in &batch {
        let disk = disk.after_kill();
        disk.damage(&segment(1), |bytes| bytes[missing.offset as usize + 8] ^= 1);
        let (_, report, found) = open(&disk);
        assert_eq!(found, [1, 2, 3]);
        assert_eq!(report.damage, []);
        let (.., found) = open(&disk);
        assert_eq!(found, [1, 2, 3]);
    }
}

#[test]
fn damage_to_a_batch_that_was_durable_costs_the_record_that_it_hit() {
    for reopened in [false, true] {
        let (disk, batch) = written(3);
        let (mut log, ..) = open(&disk);
        if !reopened {
            append(&mut log, 9);
            commit(&mut log);
        }
        drop(log);
        for (at, hit) in batch.iter().enumerate() {
            let disk = disk.after_kill();
            disk.damage(&segment(1), |bytes| bytes[hit.offset as usize + 8] ^= 1);
            let (_, report, found) = open(&disk);
            let mut want: Vec<u64> = (1..=8).filter(|seq| *seq != at as u64 + 4).collect();
            if !reopened {
                want.push(9);
            }
            assert_eq!(found, want, "record {at} of the batch is hit");
            assert_eq!(report.damage.len(), 1);
        }
    }
}

#[test]
fn an_abandoned_batch_leaves_nothing_behind() {
    let disk = FaultyStorage::new();
    let (mut log, ..) = open(&disk);
    append(&mut log, 1);
    let before = log.position();
    log.begin_batch(1, 1000).unwrap();
    let taken_back = append(&mut log, 2);
    append(&mut log, 3);
    log.abandon_batch();
    assert_eq!(log.position(), before);
    assert!(log.read(taken_back).is_err());
    assert_eq!(log.locate(STREAM, 3).unwrap(), None);
    let at = append(&mut log, 2);
    assert_eq!(at, taken_back);
    commit(&mut log);
    with_record(2, |record| assert_eq!(log.read(at).unwrap(), *record));
    drop(log);
    let (.., found) = open(&disk);
    assert_eq!(found, [1, 2]);
}

#[test]
fn a_batch_is_bounded_by_its_segment_and_by_what_was_announced() {
    let disk = FaultyStorage::new();
    let (mut log, ..) = open(&disk);
    let limit = log.batch_limit();
    let refused = log.begin_batch(1, limit + 8);
    assert!(
        matches!(refused, Err(AppendError::TooLarge { .. })),
        "{refused:?}"
    );
    log.begin_batch(1, limit).unwrap();
    let mut seq = 1;
    let refused = loop {
        match with_record(seq, |record| log.append(record)) {
            Ok(_) => seq += 1,
            Err(error) => break error,
        }
    };
    assert!(matches!(refused, AppendError::TooLarge { .. }), "{refused}");
    log.abandon_batch();
    append(&mut log, 1);
    commit(&mut log);
}
