//! What an interrupted or failed commit left on the disk never comes back, not even when new records end
//! exactly where an old one begins.

#![expect(clippy::unwrap_used, reason = "a test helper may")]

use std::io::ErrorKind;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use jetsled_store::log::{
    CommitError, Log, LogOptions, Message, OpenError, Record, RecordAt, StreamId, SyncPolicy,
};
use jetsled_testkit::{Call, Fault, FaultyStorage};

const SEGMENT: &str = "/log/0000000001.seg";
/// Bytes of a Resume mark, which goes before the first record of a new session.
const MARK: u32 = 24;
const INTERVAL: SyncPolicy = SyncPolicy::Interval(Duration::from_secs(120));

fn open(disk: &FaultyStorage) -> (Log, Vec<u64>) {
    open_with(disk, SyncPolicy::EveryCommit)
}

fn open_with(disk: &FaultyStorage, sync: SyncPolicy) -> (Log, Vec<u64>) {
    try_open(disk, sync).unwrap()
}

fn try_open(disk: &FaultyStorage, sync: SyncPolicy) -> Result<(Log, Vec<u64>), OpenError> {
    let mut seqs = Vec::new();
    let (storage, dir) = (Arc::new(disk.clone()), Path::new("/log"));
    let options = LogOptions {
        segment_bytes: 64 << 10,
        sync,
        ..LogOptions::new(1)
    };
    let (log, report) = Log::open(storage, dir, options, None, &mut |replayed, _| {
        if let Record::Message(message) = replayed.record {
            seqs.push(message.seq);
        }
    })?;
    assert_eq!(report.damage, []);
    Ok((log, seqs))
}

/// A record of exactly `footprint` bytes.
fn append(log: &mut Log, seq: u64, footprint: u32) -> RecordAt {
    let at = log
        .append(&Record::Message(Message {
            stream: StreamId(1),
            seq,
            timestamp: 0,
            subject: b"s",
            headers: b"",
            payload: &vec![7; footprint as usize - 47],
        }))
        .unwrap();
    assert_eq!(at.footprint(), footprint);
    at
}

fn commit(log: &mut Log) -> Result<(), CommitError> {
    let commit = log.take_commit().unwrap();
    log.finish_commit(commit.run()).map(|_| ())
}

#[test]
fn of_a_commit_that_a_cut_has_torn() {
    let disk = FaultyStorage::new();
    let (mut log, _) = open(&disk);
    append(&mut log, 1, 200);
    commit(&mut log).unwrap();
    let torn = append(&mut log, 2, 200);
    append(&mut log, 3, 200);
    append(&mut log, 4, 200);
    commit(&mut log).unwrap();
    // The cut took the first record of the last commit and left the others.
    let range = torn.offset as usize..(torn.offset + torn.len) as usize;
    disk.damage(Path::new(SEGMENT), |bytes| bytes[range].fill(0));
    let (mut log, seqs) = open(&disk);
    assert_eq!(seqs, [1]);
    let at = append(&mut log, 12, 200 - MARK);
    assert_eq!(at.end(), torn.end(), "right before the leftover");
    commit(&mut log).unwrap();
    assert_eq!(open(&disk).1, [1, 12]);
}

#[test]
fn of_a_commit_that_has_failed() {
    let disk = FaultyStorage::new();
    let (mut log, _) = open(&disk);
    append(&mut log, 1, 200);
    commit(&mut log).unwrap();
    let void = append(&mut log, 2, 200);
    append(&mut log, 3, 200);
    append(&mut log, 4, 200);
    append(&mut log, 5, 200);
    disk.fail(Call::Write, 0, Fault::Short(ErrorKind::StorageFull));
    assert!(matches!(commit(&mut log), Err(CommitError::Void { .. })));
    // Records 2 and 3 have reached the disk.
    let at = append(&mut log, 12, 200 - MARK);
    assert_eq!(at.end(), void.end(), "right before the leftover");
    commit(&mut log).unwrap();
    let (mut log, seqs) = open(&disk);
    assert_eq!(seqs, [1, 12]);
    append(&mut log, 13, 200);
    commit(&mut log).unwrap();
    assert_eq!(open(&disk).1, [1, 12, 13]);
}

/// There is no segment to go on in, so no mark: the first segment of a log, and the first one behind a full one that a start has found.
#[test]
fn of_a_failed_commit_that_began_a_segment() {
    let of_new_log = || (FaultyStorage::new(), vec![]);
    let behind_full_segment = || {
        let disk = FaultyStorage::new();
        let (mut log, _) = open(&disk);
        (1..=7).for_each(|seq| _ = append(&mut log, seq, 8 << 10));
        commit(&mut log).unwrap();
        append(&mut log, 8, 200);
        append(&mut log, 9, 8 << 10);
        disk.fail(Call::Write, 1, Fault::Error(ErrorKind::Other));
        commit(&mut log).unwrap_err();
        (disk.after_kill(), (1..=8).collect())
    };
    let before: [&dyn Fn() -> (FaultyStorage, Vec<u64>); 2] = [&of_new_log, &behind_full_segment];
    for before in before {
        for sync in [SyncPolicy::EveryCommit, INTERVAL] {
            let (disk, mut expected) = before();
            let (mut log, found) = open_with(&disk, sync);
            assert_eq!(found, expected);
            (20..24).for_each(|seq| _ = append(&mut log, seq, 200));
            disk.fail(Call::Write, 0, Fault::Short(ErrorKind::StorageFull));
            assert!(matches!(commit(&mut log), Err(CommitError::Void { .. })));
            assert!(log.is_unsettled());
            append(&mut log, 12, 200);
            commit(&mut log).unwrap();
            expected.push(12);
            assert_eq!(open_with(&disk.after_kill(), sync).1, expected);
            // What has to go does not, once, after the next segment has been made.
            append(&mut log, 13, 200);
            (0..8).for_each(|seq| _ = append(&mut log, 30 + seq, 8 << 10));
            disk.fail(Call::Write, 1, Fault::Error(ErrorKind::StorageFull));
            commit(&mut log).unwrap_err();
            disk.fail(Call::Name, 0, Fault::Error(ErrorKind::Other));
            append(&mut log, 14, 200);
            assert!(matches!(commit(&mut log), Err(CommitError::Void { .. })));
            append(&mut log, 15, 200);
            commit(&mut log).unwrap();
            expected.push(15);
            assert_eq!(open_with(&disk.after_kill(), sync).1, expected);
            for seed in 0..10 {
                let (_, found) = open_with(&disk.after_power_cut(seed), SyncPolicy::EveryCommit);
                if sync == SyncPolicy::EveryCommit {
                    assert_eq!(found, expected, "seed {seed}");
                }
            }
        }
    }
}

/// Of the segment that the failed commit began, not even the header was written, and the next one has records.
#[test]
fn a_segment_that_a_failed_commit_has_only_named_is_no_damage() {
    let disk = FaultyStorage::new();
    let (mut log, _) = open_with(&disk, INTERVAL);
    append(&mut log, 1, 200);
    commit(&mut log).unwrap();
    (0..8).for_each(|seq| _ = append(&mut log, 30 + seq, 8 << 10));
    disk.fail(Call::Write, 1, Fault::Error(ErrorKind::StorageFull));
    commit(&mut log).unwrap_err();
    for seq in 2..=10 {
        append(&mut log, seq, 8 << 10);
        commit(&mut log).unwrap();
    }
    let segments: Vec<u32> = log.segments().map(|usage| usage.segment.get()).collect();
    assert_eq!(segments, [1, 3]);
    let (_, found) = open_with(&disk.after_kill(), INTERVAL);
    assert!(found.into_iter().eq(1..=10));
}

#[test]
fn of_a_recycled_segments_former_life() {
    let disk = FaultyStorage::new();
    let (storage, dir) = (Arc::new(disk.clone()), Path::new("/log"));
    let mut options = LogOptions::new(1);
    options.segment_bytes = 64 << 10;
    let (mut log, _) = Log::open(storage, dir, options, None, &mut |_, _| ()).unwrap();
    let mut seq = 0;
    while log.segments().count() < 3 {
        seq += 1;
        append(&mut log, seq, 200);
    }
    commit(&mut log).unwrap();
    let first = log.segments().next().unwrap().segment;
    log.recycle(first);
    commit(&mut log).unwrap();
    assert!(log.is_recycled(first));
    let spare = Path::new("/log/0000000001.spare").to_owned();
    assert!(disk.files().contains(&spare), "kept for reuse");
    while log.segments().count() < 3 {
        seq += 1;
        append(&mut log, seq, 200);
    }
    let newest = append(&mut log, seq + 1, 200);
    commit(&mut log).unwrap();
    assert!(!disk.files().contains(&spare), "reused");
    let (_, seqs) = open(&disk);
    assert_eq!(seqs.last(), Some(&(seq + 1)));
    assert!(
        seqs.is_sorted_by(|a, b| a + 1 == *b),
        "the old records are under the new ones"
    );
    assert!(newest.offset < 1000, "and most of them still there");
}

/// A start that finds a full segment makes sure of it: a kill may have come before its sync.
#[test]
fn what_a_kill_has_left_of_a_full_segment_outlives_the_next_power_cut() {
    let disk = FaultyStorage::new();
    let open = |disk: &FaultyStorage| {
        let mut seqs = Vec::new();
        let options = LogOptions {
            segment_bytes: 64 << 10,
            ..LogOptions::new(1)
        };
        let storage = Arc::new(disk.clone());
        let opened = Log::open(
            storage,
            Path::new("/log"),
            options,
            None,
            &mut |replayed, _| {
                if let Record::Message(message) = replayed.record {
                    seqs.push(message.seq);
                }
            },
        );
        (opened.unwrap().0, seqs)
    };
    let (mut log, _) = open(&disk);
    for seq in 1..=7 {
        append(&mut log, seq, 8 << 10);
    }
    commit(&mut log).unwrap();
    // The first one is in the segment still, the second one is behind its end.
    append(&mut log, 8, 4 << 10);
    append(&mut log, 9, 8 << 10);
    disk.fail(Call::SyncData, 0, Fault::Error(ErrorKind::Other));
    assert!(commit(&mut log).is_err());
    drop(log);
    let disk = disk.after_kill();
    let (log, found) = open(&disk);
    assert_eq!(found, [1, 2, 3, 4, 5, 6, 7, 8]);
    drop(log);
    for seed in 0..30 {
        let (_, again) = open(&disk.after_power_cut(seed));
        assert_eq!(again, found, "seed {seed}");
    }
}

/// After a sync that failed, the operating system takes what it was to write for written. A start that counts such records writes them once more.
#[test]
fn what_a_start_counts_of_a_commit_that_was_not_synced_outlives_the_next_power_cut() {
    for sync in [SyncPolicy::EveryCommit, INTERVAL] {
        let disk = FaultyStorage::new();
        let (mut log, _) = open_with(&disk, sync);
        append(&mut log, 1, 9_000);
        commit(&mut log).unwrap();
        append(&mut log, 2, 9_000);
        append(&mut log, 3, 9_000);
        disk.fail(Call::SyncData, 0, Fault::Error(ErrorKind::Other));
        let commit = log.take_sync(0).unwrap();
        let failed = log.finish_commit(commit.run());
        assert!(matches!(failed, Err(CommitError::Fenced { .. })));
        drop(log);
        let disk = disk.after_kill();
        // Starts that try may fail as well: with what they found, with their mark.
        for skip in 0..2 {
            disk.fail(Call::SyncData, skip, Fault::Error(ErrorKind::Other));
            assert!(try_open(&disk, sync).is_err());
        }
        let disk = disk.after_kill();
        let (log, found) = open_with(&disk, sync);
        assert_eq!(found, [1, 2, 3]);
        drop(log);
        for seed in 0..30 {
            let (_, again) = open_with(&disk.after_power_cut(seed), sync);
            assert_eq!(again, found, "{sync:?}, seed {seed}");
        }
    }
}

#[test]
fn the_index_of_a_segment_has_no_subject_of_a_commit_that_has_failed() {
    let disk = FaultyStorage::new();
    let options = LogOptions {
        segment_bytes: 64 << 10,
        ..LogOptions::new(1)
    };
    let storage = Arc::new(disk.clone());
    let opened = Log::open(storage, Path::new("/log"), options, None, &mut |_, _| ());
    let (mut log, _) = opened.unwrap();
    let add = |log: &mut Log, subject: &[u8]| {
        let message = Message {
            stream: StreamId(2),
            seq: 1,
            timestamp: 0,
            subject,
            headers: b"",
            payload: b"",
        };
        log.append(&Record::Message(message)).unwrap();
    };
    append(&mut log, 1, 1 << 10);
    commit(&mut log).unwrap();
    add(&mut log, b"was.void");
    disk.fail(Call::Write, 0, Fault::Error(ErrorKind::Other));
    assert!(commit(&mut log).is_err());
    add(&mut log, b"was.kept");
    for seq in 2..=10 {
        append(&mut log, seq, 8 << 10);
    }
    commit(&mut log).unwrap();
    let index = || disk.contents(Path::new("/log/0000000001.idx"));
    while index().is_none() {
        let job = log.take_maintenance().unwrap();
        log.finish_maintenance(job.run());
    }
    let index = index().unwrap();
    let has = |subject: &[u8]| index.windows(8).any(|window| window == subject);
    assert!(has(b"was.kept") && !has(b"was.void"));
}
