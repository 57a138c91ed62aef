//! What a damaged disk costs: the records that were hit, nothing else, and never in silence.

#![expect(clippy::unwrap_used, reason = "a test helper may")]

use std::path::{Path, PathBuf};
use std::sync::Arc;

use jetsled_store::log::{
    Log, LogOptions, LogReport, Message, OpenError, Record, RecordAt, StreamId,
};
use jetsled_testkit::FaultyStorage;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

const DIR: &str = "/log";
const STREAM: StreamId = StreamId(1);

fn options(secret: u32) -> LogOptions {
    let mut options = LogOptions::new(secret);
    options.segment_bytes = 64 << 10;
    options
}

fn payload(seq: u64) -> Vec<u8> {
    let mut random = StdRng::seed_from_u64(seq);
    let len = random.random_range(0..800);
    (0..len).map(|_| random.random()).collect()
}

fn open(disk: &FaultyStorage) -> (Log, LogReport, Vec<(u64, RecordAt)>) {
    let mut found = Vec::new();
    let opened = Log::open(
        Arc::new(disk.clone()),
        Path::new(DIR),
        options(1),
        None,
        &mut |replayed, _| {
            let Record::Message(message) = replayed.record else {
                panic!("only messages")
            };
            assert_eq!(
                message.payload,
                payload(message.seq),
                "never served damaged"
            );
            found.push((message.seq, replayed.at));
        },
    );
    let (log, report) = opened.expect("damage is not an error");
    assert!(found.is_sorted(), "in order");
    (log, report, found)
}

/// Three segments and a bit, one commit every few records, cleanly at rest. What was written and where.
fn written() -> (FaultyStorage, Vec<(u64, RecordAt)>) {
    let disk = FaultyStorage::new();
    let (mut log, ..) = open(&disk);
    let mut all = Vec::new();
    for seq in 1..=600 {
        let payload = payload(seq);
        let (subject, headers) = (&b"s"[..], &b""[..]);
        let (timestamp, stream) = (0, STREAM);
        let record = Record::Message(Message {
            stream,
            seq,
            timestamp,
            subject,
            headers,
            payload: &payload,
        });
        all.push((seq, log.append(&record).unwrap()));
        if seq % 5 == 0 {
            let commit = log.take_commit().unwrap();
            log.finish_commit(commit.run()).unwrap();
        }
    }
    while let Some(job) = log.take_maintenance() {
        log.finish_maintenance(job.run());
    }
    assert!(log.segments().count() >= 4);
    (disk, all)
}

fn segment(number: u32) -> PathBuf {
    Path::new(DIR).join(format!("{number:010}.seg"))
}

/// Damages `bytes` of a segment, and says what of it must be lost: the records that were hit.
fn check(name: &str, number: u32, hit: std::ops::Range<u32>, change: impl FnOnce(&mut Vec<u8>)) {
    let (disk, all) = written();
    disk.damage(&segment(number), change);
    let (mut log, report, found) = open(&disk);
    let is_hit = |at: &RecordAt| {
        at.segment.get() == number && at.offset < hit.end && at.offset + at.len > hit.start
    };
    let kept: Vec<_> = all.iter().filter(|(_, at)| !is_hit(at)).copied().collect();
    assert_eq!(found, kept, "{name}");
    if kept.len() < all.len() {
        assert!(
            report
                .damage
                .iter()
                .any(|damage| damage.segment.get() == number
                    && damage.from < hit.end
                    && damage.to > hit.start),
            "{name}: not reported: {report:?}"
        );
    }
    for (seq, at) in all {
        assert_eq!(log.read(at).is_ok(), !is_hit(&at), "{name}: {seq}");
    }
}

#[test]
fn a_flipped_bit_costs_its_record() {
    let (_, all) = written();
    let mut random = StdRng::seed_from_u64(5);
    for _ in 0..60 {
        let (_, at) = all[random.random_range(0..400)];
        let byte = at.offset + random.random_range(0..at.len);
        let bit = random.random_range(0..8);
        let flip = |bytes: &mut Vec<u8>| bytes[byte as usize] ^= 1 << bit;
        check("bit flip", at.segment.get(), byte..byte + 1, flip);
    }
}

#[test]
fn a_zeroed_page_costs_what_lay_in_it() {
    for number in 1..=3 {
        for page in [0, 1, 7] {
            let hit = page * 4096..(page + 1) * 4096;
            let range = hit.start as usize..hit.end as usize;
            check("zeroed page", number, hit, |bytes| bytes[range].fill(0));
        }
    }
}

#[test]
fn chunks_in_the_wrong_place_are_not_believed() {
    for number in 1..=3 {
        check("swapped pages", number, 8192..16384, |bytes| {
            let (left, right) = bytes.split_at_mut(12288);
            left[8192..].swap_with_slice(&mut right[..4096]);
        });
    }
}

#[test]
fn a_truncated_segment_keeps_its_front() {
    for number in 1..=3 {
        check("truncated", number, 20_000..65_536, |bytes| {
            bytes.truncate(20_000)
        });
    }
}

#[test]
fn a_stale_copy_of_another_segment_is_not_believed() {
    let (disk, all) = written();
    let other = disk.contents(&segment(1)).unwrap();
    disk.damage(&segment(2), |bytes| *bytes = other);
    let (_, report, found) = open(&disk);
    let kept: Vec<_> = all
        .iter()
        .filter(|(_, at)| at.segment.get() != 2)
        .copied()
        .collect();
    assert_eq!(found, kept);
    assert_eq!(report.set_aside, [Path::new(DIR).join("0000000002.aside")]);
    assert!(report.damage.iter().any(|damage| damage.segment.get() == 2));
}

#[test]
fn a_missing_segment_costs_its_records() {
    let (disk, all) = written();
    use jetsled_store::storage::Storage as _;
    disk.remove(&segment(2)).unwrap();
    let (_, _, found) = open(&disk);
    let kept: Vec<_> = all
        .iter()
        .filter(|(_, at)| at.segment.get() != 2)
        .copied()
        .collect();
    assert_eq!(found, kept);
}

#[test]
fn another_stores_segment_is_refused() {
    let (disk, _) = written();
    let opened = Log::open(
        Arc::new(disk),
        Path::new(DIR),
        options(2),
        None,
        &mut |_, _| panic!("replayed"),
    );
    assert!(matches!(opened, Err(OpenError::ForeignSegment { .. })));
}

#[test]
fn a_newer_format_is_refused() {
    let (disk, _) = written();
    disk.damage(&segment(1), |bytes| {
        bytes[8..10].copy_from_slice(&9u16.to_le_bytes());
        let sum = crc32c::crc32c_append(crc32c::crc32c(&bytes[8..12]), &bytes[16..64]);
        bytes[12..16].copy_from_slice(&sum.to_le_bytes());
    });
    let opened = Log::open(
        Arc::new(disk),
        Path::new(DIR),
        options(1),
        None,
        &mut |_, _| panic!("replayed"),
    );
    assert!(matches!(
        opened,
        Err(OpenError::NewerFormat {
            found: 9,
            known: 1,
            ..
        })
    ));
}

/// An index that is missing or damaged is made again, at opening or when it is first needed.
#[test]
fn a_damaged_index_is_rebuilt() {
    let index = |number: u32| Path::new(DIR).join(format!("{number:010}.idx"));
    let (disk, all) = written();
    let checkpoint = open(&disk).0.checkpoint();
    disk.damage(&index(1), |bytes| bytes[20] ^= 1);
    let in_content = |bytes: &mut Vec<u8>| {
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
    };
    let in_checksums = |bytes: &mut Vec<u8>| *bytes.last_mut().unwrap() ^= 1;
    disk.damage(&index(2), in_content);
    disk.damage(&index(3), in_checksums);
    for checkpoint in [None, Some(&checkpoint)] {
        let disk = disk.after_kill();
        let (storage, dir) = (Arc::new(disk), Path::new(DIR));
        let (mut log, report) =
            Log::open(storage, dir, options(1), checkpoint, &mut |_, _| ()).unwrap();
        assert_eq!(report.damage, []);
        assert_eq!(
            report.rebuilt_indexes, 1,
            "the damaged table; the section when it is needed"
        );
        for (seq, at) in &all {
            assert_eq!(log.locate(STREAM, *seq).unwrap(), Some(*at));
        }
    }
}
