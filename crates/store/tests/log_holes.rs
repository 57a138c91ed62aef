//! A start leaves holes in a segment's file out, and nothing else: what lies behind one is found, on a real file system.

#![expect(clippy::unwrap_used, reason = "a test helper may")]

use std::fs::OpenOptions;
use std::path::Path;
use std::sync::Arc;

use jetsled_store::log::{Log, LogOptions, LogReport, Message, Record, StreamId};
use jetsled_store::storage::{FsStorage, OpenMode, Storage};
use rustix::fs::{FallocateFlags, fallocate};

const SEGMENT: u32 = 1 << 20;

fn open(dir: &Path) -> (Log, LogReport, Vec<u64>) {
    let mut options = LogOptions::new(1);
    options.segment_bytes = SEGMENT;
    let mut found = Vec::new();
    let visit = &mut |replayed: jetsled_store::log::ReplayedRecord<'_>, _: &mut _| {
        let Record::Message(message) = replayed.record else {
            panic!("only messages")
        };
        assert_eq!(
            message.payload,
            payload(message.seq),
            "never served damaged"
        );
        found.push(message.seq);
    };
    let (log, report) = Log::open(Arc::new(FsStorage), dir, options, None, visit).unwrap();
    (log, report, found)
}

/// Some have long runs of zeros, which a file system may turn into holes of their own.
fn payload(seq: u64) -> Vec<u8> {
    match seq % 7 {
        0 => vec![0; 20_000],
        _ => vec![seq as u8; 300],
    }
}

fn write(dir: &Path, messages: u64) {
    let (mut log, ..) = open(dir);
    for seq in 1..=messages {
        log.append(&Record::Message(Message {
            stream: StreamId(1),
            seq,
            timestamp: 0,
            subject: b"s",
            headers: b"",
            payload: &payload(seq),
        }))
        .unwrap();
        let commit = log.take_commit().unwrap();
        log.finish_commit(commit.run()).unwrap();
    }
}

#[test]
fn records_behind_a_hole_are_found_and_the_hole_is_damage() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), 80);
    let (log, report, found) = open(dir.path());
    assert_eq!(found, (1..=80).collect::<Vec<_>>());
    assert!(report.damage.is_empty(), "{report:?}");
    drop(log);
    let file = OpenOptions::new()
        .write(true)
        .open(dir.path().join("0000000001.seg"))
        .unwrap();
    let punch = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
    if fallocate(&file, punch, 64 << 10, 32 << 10).is_err() {
        println!("no holes on this file system");
        return;
    }
    let (_, report, found) = open(dir.path());
    assert_eq!(report.damage.len(), 1, "{report:?}");
    let damage = report.damage[0];
    assert!(
        damage.from < 96 << 10 && damage.to >= 96 << 10,
        "{damage:?}"
    );
    assert_eq!((found[0], found.last()), (1, Some(&80)));
    assert!(found.len() < 80 && found.len() > 40, "{found:?}");
}

#[test]
fn nothing_is_left_out_that_was_written() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("file");
    let file = FsStorage.open(&path, OpenMode::Create).unwrap();
    file.preallocate(1 << 20).unwrap();
    file.write_all_at(b"x", 300_000).unwrap();
    file.write_all_at(b"y", (1 << 20) - 1).unwrap();
    let mut seen = Vec::new();
    let mut from = 0;
    while let Some(data) = file.data_from(from).unwrap() {
        assert!(data.start >= from && data.end > data.start, "{data:?}");
        for at in [300_000, (1 << 20) - 1] {
            if data.contains(&at) {
                seen.push(at);
            }
        }
        from = data.end;
        if from >= 1 << 20 {
            break;
        }
    }
    assert_eq!(seen, [300_000, (1 << 20) - 1]);
}
