//! Encrypted stores: what is on the disk tells nothing, and only the key opens it.

#![expect(clippy::unwrap_used, reason = "a test helper may")]

use std::num::NonZeroU8;
use std::path::Path;
use std::sync::Arc;

use jetsled_jetstream_api::{StreamConfig, StreamSeq, Timestamp};
use jetsled_store::{
    Cipher, Encryption, EncryptionState, Erase, OpenError, OpenReport, Publish, Sender, Shard,
    StoreOptions, StreamId,
};
use jetsled_testkit::{FaultyStorage, encryption};

/// Names and contents that must not be found; none is part of anything else that a store writes.
const SUBJECT: &str = "pelikan.rot";
const HEADER: &str = "Xylophon";
const PAYLOAD: &str = "zwieback mit honig";
const STREAM: &str = "DROMEDAR";
const CONSUMER: &str = "kaenguru";
const ACCOUNT: &str = "LEUCHTTURM";
const HIDDEN: [&str; 6] = [SUBJECT, HEADER, PAYLOAD, STREAM, CONSUMER, ACCOUNT];

const MESSAGES: u64 = 400;

struct Store {
    disk: FaultyStorage,
    dir: tempfile::TempDir,
    shard: Option<Shard>,
    report: Option<OpenReport>,
    now: Timestamp,
}

impl Store {
    fn new() -> Self {
        Self {
            disk: FaultyStorage::new(),
            dir: tempfile::tempdir().unwrap(),
            shard: None,
            report: None,
            now: Timestamp(1_700_000_000_000_000_000),
        }
    }

    fn options(&self, encryption: Option<Encryption>) -> StoreOptions {
        StoreOptions {
            shards: NonZeroU8::new(1),
            segment_bytes: 64 << 10,
            encryption,
            ..StoreOptions::new(self.dir.path(), 3)
        }
    }

    fn try_open(&mut self, encryption: Option<Encryption>) -> Result<EncryptionState, OpenError> {
        self.shard = None;
        let options = self.options(encryption);
        let mut opened = jetsled_store::open(&options, Arc::new(self.disk.clone()), self.now)?;
        assert_eq!(opened.report.shards[0].log.damage, []);
        self.shard = Some(opened.shards.remove(0));
        let state = opened.report.encryption;
        self.report = Some(opened.report);
        Ok(state)
    }

    fn open(&mut self, key: &str, cipher: Cipher) -> EncryptionState {
        self.try_open(Some(encryption(key, None, cipher))).unwrap()
    }

    fn shard(&mut self) -> &mut Shard {
        self.shard.as_mut().unwrap()
    }

    fn commit(&mut self) {
        while let Some(commit) = self.shard().take_commit() {
            let committed = commit.run();
            self.shard().finish_commit(committed).unwrap();
        }
        while let Some(job) = self.shard().take_maintenance() {
            let done = job.run();
            self.shard().finish_maintenance(done);
        }
    }

    fn checkpoint(&mut self) {
        let keys: Vec<_> = self.shard().consumer_keys().collect();
        let states = keys.into_iter().map(|key| (key, CONSUMER.into()));
        let checkpoint = self.shard().take_checkpoint(states);
        self.commit();
        let done = checkpoint.run(self.shard().synced());
        self.shard().finish_checkpoint(done).unwrap();
    }

    fn publish(&mut self, stream: StreamId, seq: u64) {
        let now = self.now;
        let headers = format!("NATS/1.0\r\n{HEADER}: {seq}\r\n\r\n");
        let message = Publish {
            subject: SUBJECT.as_bytes(),
            headers: headers.as_bytes(),
            payload: &payload(seq),
            has_interest: true,
            sender: Sender::Client,
        };
        let published = self.shard().publish(stream, &message, now).unwrap();
        assert_eq!(published.seq, StreamSeq(seq));
    }

    /// A stream over several segments, a consumer, deletions of both kinds, all states kept in catalog and log.
    fn fill(&mut self) -> StreamId {
        let now = self.now;
        let config = StreamConfig {
            name: STREAM.to_owned(),
            subjects: vec![SUBJECT.to_owned()],
            max_msgs: -1,
            max_bytes: -1,
            max_msgs_per_subject: -1,
            max_msg_size: -1,
            ..StreamConfig::default()
        };
        let stream = self.shard().create_stream(ACCOUNT, config, now).unwrap();
        let consumer = self
            .shard()
            .put_consumer(stream, CONSUMER, CONSUMER.as_bytes(), b"")
            .unwrap();
        for seq in 1..=MESSAGES {
            self.publish(stream, seq);
            if seq % 10 == 0 {
                self.shard()
                    .log_progress(consumer, CONSUMER.as_bytes())
                    .unwrap();
                self.commit();
            }
        }
        for (seq, erase) in [(3, Erase::Yes), (4, Erase::No), (MESSAGES, Erase::Yes)] {
            self.shard()
                .delete_message(stream, StreamSeq(seq), erase)
                .unwrap();
            self.commit();
        }
        self.checkpoint();
        stream
    }

    fn check(&mut self, stream: StreamId) {
        for seq in 1..MESSAGES {
            let message = self.shard().load(stream, StreamSeq(seq)).unwrap();
            if [3, 4].contains(&seq) {
                assert!(message.is_none());
                continue;
            }
            let message = message.unwrap();
            assert_eq!(message.subject, SUBJECT.as_bytes());
            assert_eq!(message.payload, payload(seq), "{seq}");
        }
        let config = self.shard().stream(stream).unwrap();
        assert_eq!(config.account(), ACCOUNT);
        assert_eq!(config.config().name, STREAM);
        assert_eq!(self.shard().consumer_keys().count(), 1);
    }

    /// What of [`HIDDEN`] stands in some file.
    fn found(&self) -> Vec<String> {
        let mut files: Vec<_> = self
            .disk
            .files()
            .into_iter()
            .map(|path| (path.clone(), self.disk.contents(&path).unwrap()))
            .collect();
        real_files(self.dir.path(), &mut files);
        let mut found = Vec::new();
        for (path, bytes) in files {
            for hidden in HIDDEN {
                let stands = memchr_find(&bytes, hidden.as_bytes())
                    || path.to_string_lossy().contains(hidden);
                if stands {
                    found.push(format!("{hidden} in {}", path.display()));
                }
            }
        }
        found
    }

    /// Lets rewriting come to its end.
    fn reclaim(&mut self) {
        for _ in 0..200 {
            self.now = Timestamp(self.now.0 + 3_000_000_000);
            let now = self.now;
            self.shard().tick(now);
            self.commit();
            if self.shard().checkpoint_due() {
                self.checkpoint();
            }
        }
    }
}

fn memchr_find(bytes: &[u8], needle: &[u8]) -> bool {
    bytes.windows(needle.len()).any(|window| window == needle)
}

fn real_files(dir: &Path, files: &mut Vec<(std::path::PathBuf, Vec<u8>)>) {
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            real_files(&path, files);
        } else {
            files.push((path.clone(), std::fs::read(&path).unwrap()));
        }
    }
}

fn payload(seq: u64) -> Vec<u8> {
    let mut payload = PAYLOAD.repeat(50).into_bytes();
    payload.extend_from_slice(&seq.to_le_bytes());
    payload
}

#[test]
fn no_name_and_no_content_is_found_on_the_disk() {
    for cipher in [Cipher::ChaCha, Cipher::Aes] {
        let mut store = Store::new();
        assert_eq!(store.open("a key", cipher), EncryptionState::Created);
        let stream = store.fill();
        assert_eq!(store.found(), [""; 0]);
        store.check(stream);
        assert_eq!(store.open("a key", cipher), EncryptionState::Opened);
        store.check(stream);
        // From the log alone.
        store.shard = None;
        std::fs::remove_dir_all(store.dir.path().join("catalog.sealed")).unwrap();
        store.open("a key", cipher);
        store.check(stream);
        store.checkpoint();
        assert_eq!(store.found(), [""; 0]);
    }
    // The scan would see it.
    let mut store = Store::new();
    store.try_open(None).unwrap();
    store.fill();
    for hidden in HIDDEN {
        assert!(store.found().iter().any(|found| found.starts_with(hidden)));
    }
}

#[test]
fn without_its_key_a_store_does_not_open() {
    let mut store = Store::new();
    store.open("a key", Cipher::ChaCha);
    let stream = store.fill();
    let files = store.disk.files();
    let missing = store.try_open(None).unwrap_err();
    assert!(matches!(missing, OpenError::KeyMissing(_)), "{missing}");
    let wrong = encryption("another", None, Cipher::ChaCha);
    let wrong = store.try_open(Some(wrong)).unwrap_err();
    assert!(matches!(wrong, OpenError::WrongKey(_)), "{wrong}");
    let wrong = encryption("another", Some("a third"), Cipher::ChaCha);
    let wrong = store.try_open(Some(wrong)).unwrap_err();
    assert!(matches!(wrong, OpenError::WrongKey(_)), "{wrong}");
    assert!(
        wrong
            .to_string()
            .contains(&*store.dir.path().to_string_lossy())
    );
    assert_eq!(store.disk.files(), files, "nothing was touched");
    store.open("a key", Cipher::ChaCha);
    store.check(stream);
}

#[test]
fn the_cipher_may_change() {
    let mut store = Store::new();
    store.open("a key", Cipher::ChaCha);
    let stream = store.fill();
    store.open("a key", Cipher::Aes);
    store.check(stream);
    for seq in MESSAGES + 1..MESSAGES + 100 {
        store.publish(stream, seq);
        store.commit();
    }
    store.open("a key", Cipher::ChaCha);
    store.check(stream);
    for seq in MESSAGES + 1..MESSAGES + 100 {
        let message = store.shard().load(stream, StreamSeq(seq)).unwrap();
        assert_eq!(message.unwrap().payload, payload(seq));
    }
    assert_eq!(store.found(), [""; 0]);
}

/// Whenever the power fails while the key changes, one of both keys opens the store, and the new one does together with the old.
#[test]
fn a_key_changes_in_one_step() {
    let mut steps = 0;
    for cut in 0.. {
        let mut store = Store::new();
        store.open("old", Cipher::ChaCha);
        let stream = store.fill();
        store.shard = None;
        store.disk = store.disk.after_kill();
        let both = || Some(encryption("new", Some("old"), Cipher::ChaCha));
        let before = store.disk.changes();
        store.disk.cut_power_at(before + cut);
        let changed = store.try_open(both());
        store.shard = None;
        store.disk = store.disk.after_power_cut(cut);
        let opened = store.try_open(both()).unwrap();
        match changed {
            // The number of steps is what an undisturbed change takes.
            Ok(state) => assert_eq!(state, EncryptionState::KeyChanged),
            Err(_) => steps += 1,
        }
        assert!(
            matches!(
                opened,
                EncryptionState::KeyChanged | EncryptionState::Opened
            ),
            "{opened:?}"
        );
        store.check(stream);
        assert_eq!(store.open("new", Cipher::ChaCha), EncryptionState::Opened);
        let old = store.try_open(Some(encryption("old", None, Cipher::ChaCha)));
        assert!(matches!(old, Err(OpenError::WrongKey(_))));
        if changed.is_ok() {
            break;
        }
    }
    assert!(steps >= 4, "{steps}");
}

/// A plain store that gets a key: all goes on, and in time nothing plain is left.
#[test]
fn a_plain_store_becomes_an_encrypted_one() {
    let mut steps = 0;
    for cut in 0.. {
        let mut store = Store::new();
        store.try_open(None).unwrap();
        let stream = store.fill();
        store.shard = None;
        store.disk = store.disk.after_kill();
        store.disk.cut_power_at(store.disk.changes() + cut);
        let begun = store.try_open(Some(encryption("a key", None, Cipher::ChaCha)));
        store.shard = None;
        store.disk = store.disk.after_power_cut(cut);
        let opened = store.open("a key", Cipher::ChaCha);
        assert!(
            matches!(opened, EncryptionState::Begun | EncryptionState::Opened),
            "{opened:?}"
        );
        store.check(stream);
        assert!(store.report.as_ref().unwrap().shards[0].plain_segments > 3);
        assert!(store.shard().plain_segments() > 3);
        assert!(!store.found().is_empty());
        if begun.is_err() {
            steps += 1;
            continue;
        }
        store.reclaim();
        assert_eq!(store.shard().plain_segments(), 0);
        assert_eq!(store.found(), [""; 0]);
        store.check(stream);
        store.open("a key", Cipher::ChaCha);
        store.check(stream);
        assert_eq!(store.report.as_ref().unwrap().shards[0].plain_segments, 0);
        break;
    }
    assert!(steps >= 4, "{steps}");
}

/// Even a store in which next to nothing is.
#[test]
fn a_small_plain_store_is_rewritten_as_well() {
    let mut store = Store::new();
    store.try_open(None).unwrap();
    let now = store.now;
    let config = StreamConfig {
        name: STREAM.to_owned(),
        ..StreamConfig::default()
    };
    let stream = store.shard().create_stream(ACCOUNT, config, now).unwrap();
    store.commit();
    store.open("a key", Cipher::Aes);
    assert_eq!(store.shard().plain_segments(), 1);
    store.reclaim();
    assert_eq!(store.shard().plain_segments(), 0);
    assert_eq!(store.found(), [""; 0]);
    assert!(store.shard().stream(stream).is_some());
    store.open("a key", Cipher::Aes);
    assert!(store.shard().stream(stream).is_some());
}
