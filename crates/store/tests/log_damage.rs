//! What a damaged disk costs: the records that were hit, nothing else, and never in silence.

#![expect(clippy::unwrap_used, reason = "a test helper may")]

use std::path::{Path, PathBuf};
use std::sync::Arc;

use jetsled_store::Cipher;
use jetsled_store::log::{
    Log, LogKeys, LogOptions, LogReport, Message, OpenError, Record, RecordAt, StreamId,
};
use jetsled_testkit::{Call, Fault, FaultyStorage, log_keys};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

const DIR: &str = "/log";
const STREAM: StreamId = StreamId(1);

/// Plain, or sealed with one of the ciphers.
const KINDS: [Option<Cipher>; 3] = [None, Some(Cipher::ChaCha), Some(Cipher::Aes)];

fn options(secret: u32, cipher: Option<Cipher>) -> LogOptions {
    let mut options = LogOptions::new(secret);
    options.segment_bytes = 64 << 10;
    options.keys = cipher.map(log_keys);
    options
}

fn payload(seq: u64) -> Vec<u8> {
    let mut random = StdRng::seed_from_u64(seq);
    let len = random.random_range(0..800);
    (0..len).map(|_| random.random()).collect()
}

fn open(disk: &FaultyStorage, cipher: Option<Cipher>) -> (Log, LogReport, Vec<(u64, RecordAt)>) {
    let mut found = Vec::new();
    let opened = Log::open(
        Arc::new(disk.clone()),
        Path::new(DIR),
        options(1, cipher),
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
fn written(cipher: Option<Cipher>) -> (FaultyStorage, Vec<(u64, RecordAt)>) {
    let disk = FaultyStorage::new();
    let (mut log, ..) = open(&disk, cipher);
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
fn check(name: &str, number: u32, hit: std::ops::Range<u32>, change: impl Fn(&mut Vec<u8>)) {
    for cipher in KINDS {
        check_kind(name, number, hit.clone(), &change, cipher);
    }
}

fn check_kind(
    name: &str,
    number: u32,
    hit: std::ops::Range<u32>,
    change: impl FnOnce(&mut Vec<u8>),
    cipher: Option<Cipher>,
) {
    let (disk, all) = written(cipher);
    disk.damage(&segment(number), change);
    let (mut log, report, found) = open(&disk, cipher);
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
    for cipher in KINDS {
        let (_, all) = written(cipher);
        let mut random = StdRng::seed_from_u64(5);
        for _ in 0..30 {
            let (_, at) = all[random.random_range(0..400)];
            let byte = at.offset + random.random_range(0..at.len);
            let bit = random.random_range(0..8);
            let flip = |bytes: &mut Vec<u8>| bytes[byte as usize] ^= 1 << bit;
            check_kind("bit flip", at.segment.get(), byte..byte + 1, flip, cipher);
        }
    }
}

#[test]
fn a_zeroed_page_costs_what_lay_in_it() {
    for number in 1..=3 {
        for page in [0, 1, 7] {
            let hit = page * 4096..(page + 1) * 4096;
            let range = hit.start as usize..hit.end as usize;
            check("zeroed page", number, hit, |bytes| {
                bytes[range.clone()].fill(0)
            });
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
    let (disk, all) = written(None);
    let other = disk.contents(&segment(1)).unwrap();
    disk.damage(&segment(2), |bytes| *bytes = other);
    let (_, report, found) = open(&disk, None);
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
    let (disk, all) = written(None);
    use jetsled_store::storage::Storage as _;
    disk.remove(&segment(2)).unwrap();
    let (_, _, found) = open(&disk, None);
    let kept: Vec<_> = all
        .iter()
        .filter(|(_, at)| at.segment.get() != 2)
        .copied()
        .collect();
    assert_eq!(found, kept);
}

#[test]
fn another_stores_segment_is_refused() {
    let (disk, _) = written(None);
    let opened = Log::open(
        Arc::new(disk),
        Path::new(DIR),
        options(2, None),
        None,
        &mut |_, _| panic!("replayed"),
    );
    assert!(matches!(opened, Err(OpenError::ForeignSegment { .. })));
}

#[test]
fn a_newer_format_is_refused() {
    let (disk, _) = written(None);
    disk.damage(&segment(1), |bytes| {
        bytes[8..10].copy_from_slice(&9u16.to_le_bytes());
        let sum = crc32c::crc32c_append(crc32c::crc32c(&bytes[8..12]), &bytes[16..64]);
        bytes[12..16].copy_from_slice(&sum.to_le_bytes());
    });
    let opened = Log::open(
        Arc::new(disk),
        Path::new(DIR),
        options(1, None),
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
    KINDS.into_iter().for_each(damaged_index);
}

fn index(number: u32) -> PathBuf {
    Path::new(DIR).join(format!("{number:010}.idx"))
}

fn damaged_index(cipher: Option<Cipher>) {
    let (disk, all) = written(cipher);
    let checkpoint = open(&disk, cipher).0.checkpoint();
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
            Log::open(storage, dir, options(1, cipher), checkpoint, &mut |_, _| ()).unwrap();
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

/// Nothing is left of what the index was of: that is no reason not to look elsewhere.
#[test]
fn a_damaged_index_of_records_that_are_gone_has_nothing() {
    for cipher in KINDS {
        let (disk, all) = written(cipher);
        let checkpoint = open(&disk, cipher).0.checkpoint();
        let first = all[0].1;
        disk.damage(&segment(1), |bytes| bytes[first.offset as usize..].fill(0));
        disk.damage(&index(1), |bytes| {
            let middle = bytes.len() / 2;
            bytes[middle] ^= 1;
        });
        let (storage, dir) = (Arc::new(disk), Path::new(DIR));
        let options = options(1, cipher);
        let (mut log, _) =
            Log::open(storage, dir, options, Some(&checkpoint), &mut |_, _| ()).unwrap();
        for (seq, at) in &all {
            let expected = (at.segment != first.segment).then_some(*at);
            assert_eq!(log.locate(STREAM, *seq).unwrap(), expected, "{seq}");
        }
    }
}

/// Who changes sealed bytes can make the checksum anew, and gains nothing by it.
#[test]
fn a_sealed_record_that_was_changed_with_its_checksum_is_damage() {
    for cipher in [Cipher::ChaCha, Cipher::Aes] {
        let (_, all) = written(Some(cipher));
        let mut random = StdRng::seed_from_u64(6);
        for _ in 0..20 {
            let (_, at) = all[random.random_range(0..400)];
            let byte = random.random_range(12..at.len) as usize;
            let forge = |bytes: &mut Vec<u8>| {
                let from = at.offset as usize;
                let record = &mut bytes[from..from + at.len as usize];
                record[byte] ^= 1;
                let seed = at.segment.get().wrapping_mul(0x9E37_79B1) ^ 1 ^ at.offset;
                let sum = crc32c::crc32c_append(seed, &record[4..]);
                record[..4].copy_from_slice(&sum.to_le_bytes());
            };
            let hit = at.offset..at.offset + at.len;
            check_kind("forged", at.segment.get(), hit, forge, Some(cipher));
        }
    }
}

/// Two copies of one log that go on from the same place never seal with the same nonce, nor does who writes a place again after a failure.
#[test]
fn a_place_that_is_written_again_has_another_salt() {
    let cipher = Some(Cipher::ChaCha);
    let append = |disk: &FaultyStorage, fails: bool| {
        let (mut log, ..) = open(disk, cipher);
        let mut salts = Vec::new();
        let rounds = if fails { 2 } else { 1 };
        for round in 0..rounds {
            let payload = payload(1000);
            let record = Record::Message(Message {
                stream: STREAM,
                seq: 1000,
                timestamp: 0,
                subject: b"s",
                headers: b"",
                payload: &payload,
            });
            let at = log.append(&record).unwrap();
            let commit = log.take_commit().unwrap();
            if fails && round == 0 {
                disk.fail(Call::Write, 0, Fault::Short(std::io::ErrorKind::Other));
                log.finish_commit(commit.run()).unwrap_err();
                continue;
            }
            log.finish_commit(commit.run()).unwrap();
            let bytes = disk.contents(&segment(at.segment.get())).unwrap();
            let end = (at.offset + at.len) as usize;
            salts.push(bytes[end - 8..end].to_vec());
        }
        salts
    };
    let (disk, _) = written(cipher);
    let mut all: Vec<_> = [false, false, true, true]
        .into_iter()
        .flat_map(|fails| append(&disk.after_kill(), fails))
        .collect();
    let count = all.len();
    all.sort();
    all.dedup();
    assert_eq!(all.len(), count);
}

/// A log that is sealed does not open without its key, nor with another.
#[test]
fn a_sealed_log_needs_its_key() {
    let (disk, _) = written(Some(Cipher::ChaCha));
    let open = |options| {
        Log::open(
            Arc::new(disk.after_kill()),
            Path::new(DIR),
            options,
            None,
            &mut |_, _| panic!("replayed"),
        )
    };
    assert!(matches!(
        open(options(1, None)),
        Err(OpenError::Sealed { .. })
    ));
    let mut other = options(1, None);
    let keys = LogKeys::new(&[1; 32], 0, Cipher::ChaCha, &[0; 32], 0);
    other.keys = Some(Arc::new(keys));
    assert!(matches!(open(other), Err(OpenError::ForeignSegment { .. })));
}
