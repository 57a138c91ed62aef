use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

use jetsled_jetstream_api::{StorageType, StreamSeq, Timestamp};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::{BackupError, Backups, Manifest};
use crate::storage::FsStorage;
use crate::tests::{Store, config};
use crate::{Cipher, Encryption, Erase, OpenError, Opened, StoreKey, StoreOptions, StreamId};

fn take(store: &Store, dir: &Path, at: i64) -> Manifest {
    let taken = Backups::take(&store.options.dir, dir, &|| Timestamp(at), &mut |_, _| {});
    taken.unwrap().manifest
}

/// A restored store, opened.
fn restored(dir: &Path, manifest: &Manifest, into: &Path) -> Opened {
    let backups = Backups::open(dir).unwrap();
    let damaged = backups.verify(manifest, &mut |_, _| {}).unwrap();
    assert!(damaged.is_empty(), "{damaged:?}");
    backups.restore(manifest, into, &mut |_, _| {}).unwrap();
    let options = StoreOptions {
        segment_bytes: 1 << 16,
        ..StoreOptions::new(into, 7)
    };
    let opened = crate::open(&options, Arc::new(FsStorage), Timestamp(1)).unwrap();
    for shard in &opened.report.shards {
        assert!(shard.log.damage.is_empty(), "{shard:?}");
    }
    opened
}

fn messages(opened: &mut Opened) -> Vec<(u64, Vec<u8>)> {
    let shard = &mut opened.shards[0];
    let mut found = Vec::new();
    let Some((id, last)) = shard.streams().map(|s| (s.id(), s.last_seq())).next() else {
        return found;
    };
    for seq in 1..=last.0 {
        if let Some(message) = shard.load(id, StreamSeq(seq)).unwrap() {
            found.push((seq, message.payload.to_vec()));
        }
    }
    found
}

/// What each message holds, and how long it is, follows from its sequence.
fn payload(seq: u64) -> Vec<u8> {
    let len = (seq * 7919 % 900) as usize;
    seq.to_le_bytes().repeat(len / 8 + 1)
}

#[test]
fn each_backup_is_a_moment_of_the_store() {
    let dir = tempfile::tempdir().unwrap();
    let backups = dir.path().join("backups");
    let mut store = Store::new(1 << 20);
    let stream = store.create(config("S", StorageType::File));
    let mut expected = Vec::new();
    let mut taken = Vec::new();
    for round in 1..=3 {
        for _ in 0..40 {
            let seq = expected.len() as u64 + 1;
            let body = payload(seq);
            store.publish(stream, "S.x", &[], &body).unwrap();
            expected.push((seq, body));
        }
        store.commit();
        taken.push((take(&store, &backups, round), expected.clone()));
    }
    for (index, (manifest, expected)) in taken.iter().enumerate() {
        let mut opened = restored(&backups, manifest, &dir.path().join(index.to_string()));
        assert_eq!(messages(&mut opened), *expected);
    }
    let backups = Backups::open(&backups).unwrap();
    let newest = |at| backups.newest(at).unwrap().map(|found| found.ended);
    assert_eq!(newest(None), Some(taken[2].0.ended));
    assert_eq!(newest(Some(taken[1].0.ended)), Some(taken[1].0.ended));
    assert_eq!(newest(Some(Timestamp(0))), None);
    assert_eq!(backups.keep_newest(1).unwrap().0, 2);
    assert_eq!(backups.list().unwrap(), [taken[2].0.clone()]);
    let mut opened = restored(&backups.dir, &taken[2].0, &dir.path().join("kept"));
    assert_eq!(messages(&mut opened), expected);
}

#[test]
fn what_is_no_backup_of_this_store_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    let store = Store::new(1 << 20);
    take(&store, &at("backups"), 1);
    let mut other = Store::new(1 << 20);
    other.shard = None;
    fs::remove_dir_all(&other.options.dir).unwrap();
    other.options.random = 8;
    crate::open(&other.options, Arc::new(FsStorage), Timestamp(1)).unwrap();
    let refused = |store: &Path, dir: &Path| match Backups::take(
        store,
        dir,
        &|| Timestamp(1),
        &mut |_, _| {},
    ) {
        Err(error) => error.to_string(),
        Ok(_) => "taken".to_owned(),
    };
    let backups = at("backups");
    assert_eq!(
        refused(&other.options.dir, &backups),
        format!("{} has backups of another store", backups.display())
    );
    assert_eq!(
        refused(&at("nothing"), &backups),
        format!(
            "there is no store of jetsled in {}",
            at("nothing").display()
        )
    );
    fs::create_dir(at("full")).unwrap();
    fs::write(at("full").join("file"), "mine").unwrap();
    assert_eq!(
        refused(&store.options.dir, &at("full")),
        format!("{} is not empty and has no backups", at("full").display())
    );
    assert!(matches!(
        Backups::open(&at("nothing")),
        Err(BackupError::NotABackup(_))
    ));
}

#[test]
fn damage_to_a_backup_is_found_and_not_restored() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = Store::new(1 << 20);
    let stream = store.create(config("S", StorageType::File));
    store.publish(stream, "S.x", &[], &payload(1)).unwrap();
    store.commit();
    let manifest = take(&store, &dir.path().join("backups"), 1);
    let backups = Backups::open(&dir.path().join("backups")).unwrap();
    let path = backups.segment_path(&manifest.segments[0]);
    let mut bytes = fs::read(&path).unwrap();
    bytes[100] ^= 1;
    fs::write(&path, bytes).unwrap();
    let damaged = backups.verify(&manifest, &mut |_, _| {}).unwrap();
    assert_eq!(damaged.as_slice(), std::slice::from_ref(&path));
    let into = dir.path().join("restored");
    let refused = backups.restore(&manifest, &into, &mut |_, _| {});
    assert!(matches!(refused, Err(BackupError::SegmentDamaged(found)) if found == path));
    assert!(!into.exists());
}

/// What a writer has done; a lock is held while it does something that can be seen.
#[derive(Debug, Clone, Default)]
struct Done {
    published: u64,
    acked: u64,
    /// Deletions asked for, and those of them that are acknowledged.
    deleting: BTreeSet<u64>,
    deleted: BTreeSet<u64>,
}

/// Publishes and deletes until told to stop; segments are given back all the time.
fn write(store: &mut Store, stream: StreamId, seed: u64, done: &Mutex<Done>, stop: &AtomicBool) {
    let mut random = StdRng::seed_from_u64(seed);
    while !stop.load(Ordering::Relaxed) {
        for _ in 0..random.random_range(1..60) {
            let seq = {
                let mut done = done.lock().unwrap();
                done.published += 1;
                done.published
            };
            store.publish(stream, "S.x", &[], &payload(seq)).unwrap();
        }
        let published = done.lock().unwrap().published;
        for _ in 0..random.random_range(0..80) {
            let seq = random.random_range(1..=published);
            // Some are kept, so that segments have to be rewritten.
            if seq % 16 == 0 || !done.lock().unwrap().deleting.insert(seq) {
                continue;
            }
            let erase = if random.random_ratio(1, 4) {
                Erase::Yes
            } else {
                Erase::No
            };
            let shard = store.shard();
            shard.delete_message(stream, StreamSeq(seq), erase).unwrap();
        }
        store.commit();
        {
            let mut done = done.lock().unwrap();
            done.acked = done.published;
            done.deleted = done.deleting.clone();
        }
        store.advance(1);
        store.tick();
        store.commit();
        if store.shard().checkpoint_due() || random.random_ratio(1, 20) {
            store.checkpoint();
        }
    }
}

#[test]
fn backups_taken_while_a_server_writes_have_all_that_was_acknowledged_and_nothing_that_was_deleted()
{
    let seed = rand::random();
    println!("seed {seed}");
    let dir = tempfile::tempdir().unwrap();
    let mut store = Store::new(1 << 16);
    let stream = store.create(config("S", StorageType::File));
    store.commit();
    let from = store.options.dir.clone();
    let (done, stop) = (Mutex::new(Done::default()), AtomicBool::new(false));
    let backups = dir.path().join("backups");
    let mut given_back = 0;
    thread::scope(|scope| {
        let writer = scope.spawn(|| write(&mut store, stream, seed, &done, &stop));
        let mut first = u32::MAX;
        for round in 0..6 {
            let before = loop {
                let now = done.lock().unwrap().clone();
                if now.acked >= (round + 1) * 200 || writer.is_finished() {
                    break now;
                }
                thread::yield_now();
            };
            let taken = Backups::take(&from, &backups, &|| Timestamp(1), &mut |_, _| {});
            let manifest = match taken {
                Err(BackupError::TooBusy(_)) => continue,
                taken => taken.unwrap().manifest,
            };
            let after = done.lock().unwrap().clone();
            let oldest = manifest.segments[0].segment;
            given_back += u32::from(oldest > first);
            first = oldest;
            let into = dir.path().join(format!("restored-{round}"));
            let found = messages(&mut restored(&backups, &manifest, &into));
            for (seq, body) in &found {
                assert_eq!(*body, payload(*seq), "message {seq}");
                assert!(*seq <= after.published);
                assert!(!before.deleted.contains(seq), "{seq} was deleted");
            }
            let found: BTreeSet<u64> = found.into_iter().map(|(seq, _)| seq).collect();
            for seq in 1..=before.acked {
                assert!(
                    found.contains(&seq) || after.deleting.contains(&seq),
                    "{seq} is missing"
                );
            }
        }
        stop.store(true, Ordering::Relaxed);
    });
    assert!(given_back > 2, "segments are given back meanwhile");
}

/// It is taken and restored without the key, and opens with it.
#[test]
fn the_backup_of_an_encrypted_store_is_encrypted() {
    let dir = tempfile::tempdir().unwrap();
    let backups = dir.path().join("backups");
    let mut store = Store::new(1 << 16);
    let encryption = Encryption {
        key: StoreKey::new("a key"),
        previous: None,
        cipher: Cipher::Aes,
        random: Arc::new(|| [7; 32]),
    };
    store.options.encryption = Some(encryption.clone());
    store.reopen(true);
    let stream = store.create(config("S", StorageType::File));
    for number in 0..400 {
        let body = format!("zwieback {number} ").repeat(20);
        store.publish(stream, "S.x", &[], body.as_bytes()).unwrap();
        store.commit();
    }
    let manifest = take(&store, &backups, 1);
    assert!(manifest.segments.len() > 1);
    assert!(manifest.segments.iter().all(|copy| copy.damage.is_empty()));
    let opened = Backups::open(&backups).unwrap();
    for copy in &manifest.segments {
        let bytes = fs::read(opened.segment_path(copy)).unwrap();
        assert!(copy.stored > 0 && bytes.len() as u64 == copy.stored);
        assert!(!bytes.windows(8).any(|part| part == b"zwieback"));
    }
    let into = dir.path().join("restored");
    opened.restore(&manifest, &into, &mut |_, _| {}).unwrap();
    let options = |encryption| StoreOptions {
        encryption,
        ..StoreOptions::new(&into, 7)
    };
    let open = |options: &StoreOptions| crate::open(options, Arc::new(FsStorage), Timestamp(1));
    assert!(matches!(
        open(&options(None)),
        Err(OpenError::KeyMissing(_))
    ));
    let mut opened = open(&options(Some(encryption))).unwrap();
    let found = messages(&mut opened);
    assert_eq!(found.len(), 400);
    assert!(found[399].1.starts_with(b"zwieback 399 "));
}
