//! Power cuts and failing writes: what was durable stays, what comes back is a state that once was.

use std::io::ErrorKind;
use std::num::NonZeroU8;
use std::sync::Arc;
use std::time::Duration;

use jetsled_jetstream_api::{Nanos, StreamConfig, StreamSeq, Timestamp};
use jetsled_store::storage::{OpenMode, Storage};
use jetsled_store::{
    CheckpointError, Cipher, CommitError, DeletedDetails, Erase, Publish, PublishError, Published,
    Purge, Sender, Shard, StorageMeter, StoreOptions, StreamId, SyncPolicy,
};
use jetsled_testkit::{Call, Fault, FaultyStorage, encryption};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

/// A store on a faulty disk, and every state that its stream has been in.
struct Run {
    disk: FaultyStorage,
    options: StoreOptions,
    shard: Option<Shard>,
    stream: StreamId,
    /// What its account uses: the stream's bytes at any time.
    account: Arc<StorageMeter>,
    random: StdRng,
    now: Timestamp,
    /// The stream after each change.
    states: Vec<String>,
    /// The state that the last commit made durable.
    durable: usize,
    _dir: tempfile::TempDir,
}

impl Run {
    fn new(seed: u64) -> Self {
        let mut random = StdRng::seed_from_u64(seed);
        let dir = tempfile::tempdir().expect("a directory");
        // Two of three are encrypted.
        let ciphers = [None, Some(Cipher::ChaCha), Some(Cipher::Aes)];
        let cipher = ciphers[(seed % 3) as usize];
        let options = StoreOptions {
            shards: NonZeroU8::new(1),
            segment_bytes: 64 << 10,
            encryption: cipher.map(|cipher| encryption("a key", None, cipher)),
            ..StoreOptions::new(dir.path(), 3)
        };
        let disk = FaultyStorage::new();
        let now = Timestamp(1_700_000_000_000_000_000);
        let mut shard = open(&disk, &options, now);
        let limit = |random: &mut StdRng, to| {
            if random.random() {
                random.random_range(1..to)
            } else {
                -1
            }
        };
        let config = StreamConfig {
            name: "S".to_owned(),
            max_msgs: limit(&mut random, 60),
            max_msgs_per_subject: limit(&mut random, 8),
            max_bytes: -1,
            max_msg_size: -1,
            allow_rollup_hdrs: true,
            ..StreamConfig::default()
        };
        let stream = shard.create_stream("A", config, now).expect("a stream");
        let mut run = Self {
            disk,
            options,
            shard: Some(shard),
            stream,
            account: Arc::default(),
            random,
            now,
            states: Vec::new(),
            durable: 0,
            _dir: dir,
        };
        run.join_account();
        run.note();
        run.commit().expect("a commit");
        run
    }

    fn join_account(&mut self) {
        let (stream, account) = (self.stream, Arc::clone(&self.account));
        self.shard().set_account_meter(stream, Some(account));
    }

    fn shard(&mut self) -> &mut Shard {
        self.shard.as_mut().expect("an open shard")
    }

    fn state(&mut self) -> String {
        let stream = self.stream;
        let shard = self.shard();
        let state = shard.state(stream, DeletedDetails::List).expect("a state");
        assert_eq!(self.account.used(), state.bytes);
        let shard = self.shard();
        let mut text = format!(
            "{} {} {} {:?}",
            state.first_seq, state.last_seq, state.bytes, state.deleted
        );
        for seq in state.first_seq.0..=state.last_seq.0 {
            if let Some(message) = shard
                .load(stream, StreamSeq(seq))
                .expect("a readable message")
            {
                text.push_str(&format!(
                    "\n{seq} {:?} {}",
                    message.subject,
                    message.payload.len()
                ));
                assert!(
                    message
                        .payload
                        .iter()
                        .all(|byte| u64::from(*byte) == seq % 256)
                );
            }
        }
        text
    }

    fn note(&mut self) {
        let state = self.state();
        self.states.push(state);
    }

    /// One change of the stream, by chance.
    fn change(&mut self) {
        let (stream, now) = (self.stream, self.now);
        let last = self
            .shard()
            .stream(stream)
            .expect("the stream")
            .last_seq()
            .0;
        match self.random.random_range(0..24) {
            20.. => self.batch(),
            0 => {
                let seq = self.random.random_range(1..last + 3);
                let erase = if seq.is_multiple_of(2) {
                    Erase::Yes
                } else {
                    Erase::No
                };
                let _ = self.shard().delete_message(stream, StreamSeq(seq), erase);
            }
            1 => {
                let below = StreamSeq(self.random.random_range(2..last + 3));
                let purge = Purge {
                    filter: Some(b"s.1"),
                    below,
                    keep: 0,
                };
                self.shard().purge(stream, &purge).expect("a purge");
            }
            kind => {
                let subject = format!("s.{}", self.random.random_range(0..9));
                let payload = vec![(last + 1) as u8; self.random.random_range(0..2500)];
                let headers: &[u8] = if kind == 2 {
                    b"NATS/1.0\r\nNats-Rollup: sub\r\n\r\n"
                } else {
                    b""
                };
                let message = Publish {
                    subject: subject.as_bytes(),
                    headers,
                    payload: &payload,
                    has_interest: true,
                    sender: Sender::Client,
                };
                self.shard()
                    .publish(stream, &message, now)
                    .expect("a publish");
            }
        }
        self.note();
    }

    /// Publishes an atomic batch: one change, however many messages.
    fn batch(&mut self) {
        let (stream, now) = (self.stream, self.now);
        let first = self
            .shard()
            .stream(stream)
            .expect("the stream")
            .last_seq()
            .0
            + 1;
        let count = self.random.random_range(1..9);
        let parts: Vec<_> = (first..first + count)
            .map(|seq| {
                let subject = format!("s.{}", self.random.random_range(0..9));
                (subject, vec![seq as u8; self.random.random_range(0..2500)])
            })
            .collect();
        let messages: Vec<_> = parts
            .iter()
            .map(|(subject, payload)| Publish {
                subject: subject.as_bytes(),
                headers: b"NATS/1.0\r\nNats-Batch-Id: b\r\n\r\n",
                payload,
                has_interest: true,
                sender: Sender::Client,
            })
            .collect();
        let mut seqs = Vec::new();
        let mut note = |_: &Publish<'_>, published: &Published| seqs.push(published.seq.0);
        self.shard()
            .publish_batch(stream, &messages, now, &mut note)
            .expect("a batch");
        assert!(seqs.into_iter().eq(first..first + count));
    }

    fn commit(&mut self) -> Result<(), CommitError> {
        let covered = self.states.len() - 1;
        while let Some(commit) = self.shard().take_commit() {
            let committed = commit.run();
            self.shard().finish_commit(committed)?;
        }
        self.durable = covered;
        while let Some(maintenance) = self.shard().take_maintenance() {
            let maintained = maintenance.run();
            self.shard().finish_maintenance(maintained);
        }
        Ok(())
    }

    fn checkpoint_and_reclaim(&mut self) {
        let checkpoint = self.shard().take_checkpoint(std::iter::empty());
        self.commit().expect("a commit");
        let synced = self.shard().synced();
        self.shard()
            .finish_checkpoint(checkpoint.run(synced))
            .expect("a checkpoint");
        for _ in 0..self.random.random_range(0..6) {
            self.now = Timestamp(self.now.0 + 3_000_000_000);
            let now = self.now;
            self.shard().tick(now);
            if self.random.random() {
                self.commit().expect("a commit");
            }
        }
    }

    /// The disk as a power cut leaves it; sometimes the catalog is gone as well.
    fn cut_power(&mut self) {
        let cut = self.disk.after_power_cut(self.random.random());
        self.shard = None;
        self.disk = cut;
        if self.random.random_ratio(1, 3) {
            let name = match self.options.encryption {
                Some(_) => "catalog.sealed",
                None => "catalog",
            };
            std::fs::remove_dir_all(self.options.dir.join(name)).expect("a catalog");
        }
        self.shard = Some(open(&self.disk, &self.options, self.now));
        self.join_account();
        let found = self.state();
        let may_be = &self.states[self.durable..];
        let at = may_be.iter().rposition(|state| *state == found);
        let at = at.unwrap_or_else(|| {
            panic!("no state since the durable one\n{}\nis\n{found}", may_be[0])
        });
        self.states.truncate(self.durable + at + 1);
        self.durable += at;
    }
}

fn open(disk: &FaultyStorage, options: &StoreOptions, now: Timestamp) -> Shard {
    let opened = jetsled_store::open(options, Arc::new(disk.clone()), now);
    opened.expect("a store").shards.remove(0)
}

#[test]
fn a_power_cut_takes_nothing_that_was_durable() {
    for seed in 0..20 {
        println!("seed {seed}");
        let mut run = Run::new(seed);
        for _ in 0..4 {
            for _ in 0..run.random.random_range(1..60) {
                run.change();
                match run.random.random_range(0..12) {
                    0..3 => run.commit().expect("a commit"),
                    3 => run.checkpoint_and_reclaim(),
                    _ => {}
                }
            }
            run.cut_power();
        }
    }
}

/// Whether or not the deletion counts, what the message had removed stays removed, and it is whole or gone.
#[test]
fn a_power_cut_amid_an_erasure_neither_loses_nor_brings_back_anything() {
    for seed in 0..20 {
        println!("seed {seed}");
        let mut run = Run::new(seed);
        for _ in 0..3 {
            for _ in 0..run.random.random_range(5..40) {
                run.change();
            }
            run.commit().expect("a commit");
            let stream = run.stream;
            let Some(state) = run
                .shard()
                .stream(stream)
                .filter(|state| state.messages() > 0)
            else {
                continue;
            };
            let last = state.last_seq();
            if run
                .shard()
                .delete_message(stream, last, Erase::Yes)
                .is_err()
            {
                continue;
            }
            run.note();
            // As a rule the first sync is the commit's, the second that of the overwritten file.
            let fault = Fault::Error(ErrorKind::Other);
            run.disk.fail(Call::SyncData, 1, fault);
            let failed = run.commit().expect_err("a failed commit");
            assert!(matches!(failed, CommitError::Fenced { .. }), "{failed}");
            run.cut_power();
        }
    }
}

#[test]
fn a_failed_write_voids_what_was_not_durable_and_the_stream_goes_on() {
    for seed in 0..12 {
        println!("seed {seed}");
        let mut run = Run::new(seed);
        for _ in 0..3 {
            for _ in 0..run.random.random_range(1..30) {
                run.change();
                if run.random.random_ratio(1, 4) {
                    run.commit().expect("a commit");
                }
            }
            run.change();
            let fault = Fault::Short(ErrorKind::StorageFull);
            run.disk.fail(Call::Write, 0, fault);
            let failed = run.commit().expect_err("a failed commit");
            assert!(matches!(failed, CommitError::Void { .. }), "{failed}");
            let found = run.state();
            assert_eq!(found, run.states[run.durable], "back at the durable state");
            run.states.truncate(run.durable + 1);
            run.change();
            run.commit().expect("a commit after the space is back");
            run.cut_power();
        }
    }
}

#[test]
fn a_failed_sync_fences_writes_and_leaves_reads() {
    let mut run = Run::new(1);
    run.change();
    run.disk
        .fail(Call::SyncData, 0, Fault::Error(ErrorKind::Other));
    let failed = run.commit().expect_err("a failed commit");
    assert!(matches!(failed, CommitError::Fenced { .. }), "{failed}");
    assert!(run.shard().is_fenced());
    run.state();
    let message = Publish {
        subject: b"s.1",
        headers: b"",
        payload: b"x",
        has_interest: true,
        sender: Sender::Client,
    };
    let (stream, now) = (run.stream, run.now);
    run.shard()
        .publish(stream, &message, now)
        .expect_err("a fenced shard");
}

/// The stream's configuration lies in a segment in which nothing lives. What was to replace it is not written.
/// A run under a sync interval, after a commit that an early sync is due for.
fn much_unsynced(seed: u64) -> Run {
    let mut run = Run::new(seed);
    run.shard = None;
    run.options.sync = SyncPolicy::Interval(Duration::from_secs(120));
    run.shard = Some(open(&run.disk, &run.options, run.now));
    let (stream, now) = (run.stream, run.now);
    let message = Publish {
        subject: b"s.1",
        headers: b"",
        payload: &[1; 9000],
        has_interest: true,
        sender: Sender::Client,
    };
    let shard = run.shard();
    assert!(!shard.wants_maintenance());
    shard.publish(stream, &message, now).expect("room");
    let commit = shard.take_commit().expect("a commit");
    shard.finish_commit(commit.run()).expect("a write");
    assert!(shard.synced() < shard.durable());
    assert!(shard.wants_maintenance());
    run
}

#[test]
fn under_an_interval_much_is_synced_before_the_segment_ends() {
    let mut run = much_unsynced(3);
    let shard = run.shard();
    let work = shard.take_maintenance().expect("a sync");
    assert!(!shard.wants_maintenance(), "one at a time");
    shard.finish_maintenance(work.run());
    assert_eq!(shard.synced(), shard.durable());
    assert!(!shard.wants_maintenance());
}

#[test]
fn an_early_sync_that_fails_fences_writes() {
    let mut run = much_unsynced(3);
    let shard = run.shard();
    let work = shard.take_maintenance().expect("a sync");
    let synced = shard.synced();
    run.disk
        .fail(Call::SyncData, 0, Fault::Error(ErrorKind::Other));
    let done = work.run();
    let shard = run.shard();
    shard.finish_maintenance(done);
    assert!(shard.is_fenced());
    assert_eq!(shard.synced(), synced);
}

/// An error of the disk is reported once: here to the early sync, and the commit that waits for the same file hears nothing of it.
#[test]
fn a_commit_beside_an_early_sync_that_fails_is_not_confirmed() {
    for commit_ends_first in [true, false] {
        let mut run = much_unsynced(3);
        let early = run.shard().take_maintenance().expect("a sync");
        let checkpoint = run.shard().take_checkpoint(std::iter::empty());
        let (stream, now) = (run.stream, run.now);
        let synced = run.shard().synced();
        let commit = run.shard().take_sync(now).expect("a commit");
        let end = commit.end();
        let fault = Fault::Error(ErrorKind::Other);
        run.disk.fail(Call::SyncData, 0, fault);
        let early = early.run();
        let committed = commit.run();
        assert!(!committed.succeeded());
        let finished = if commit_ends_first {
            let finished = run.shard().finish_commit(committed);
            run.shard().finish_maintenance(early);
            finished
        } else {
            run.shard().finish_maintenance(early);
            run.shard().finish_commit(committed)
        };
        assert!(matches!(finished, Err(CommitError::Fenced { .. })));
        let shard = run.shard();
        assert!(shard.is_fenced());
        assert_eq!(shard.synced(), synced);
        let visible = shard.stream(stream).expect("the stream").visible_last_seq();
        assert_eq!(visible, StreamSeq(1), "what was written before is");
        // Whatever it is told: its commit has failed.
        let checkpoint = checkpoint.run(end);
        let refused = run.shard().finish_checkpoint(checkpoint);
        refused.expect_err("a checkpoint ahead of the disk");
    }
}

/// A commit has ended well when an early sync fails, and its end comes to be known only behind that.
#[test]
fn a_commit_that_ends_on_a_fenced_log_is_not_confirmed() {
    let mut run = much_unsynced(3);
    let early = run.shard().take_maintenance().expect("a sync");
    let message = Publish {
        subject: b"s.1",
        headers: b"",
        payload: b"x",
        has_interest: true,
        sender: Sender::Client,
    };
    let (stream, now) = (run.stream, run.now);
    let shard = run.shard();
    shard.publish(stream, &message, now).expect("room");
    let (synced, durable) = (shard.synced(), shard.durable());
    let commit = shard.take_sync(now).expect("a commit");
    let committed = commit.run();
    let fault = Fault::Error(ErrorKind::Other);
    run.disk.fail(Call::SyncData, 0, fault);
    let early = early.run();
    let shard = run.shard();
    shard.finish_maintenance(early);
    let finished = shard.finish_commit(committed);
    assert!(matches!(finished, Err(CommitError::Fenced { .. })));
    assert_eq!((shard.synced(), shard.durable()), (synced, durable));
}

#[test]
fn a_segment_stays_when_what_replaces_it_is_void() {
    let mut run = Run::new(0);
    let stream = run.stream;
    let publish = |run: &mut Run, seq: u8| {
        let message = Publish {
            subject: b"s.1",
            headers: b"",
            payload: &[seq; 3000],
            has_interest: true,
            sender: Sender::Client,
        };
        let now = run.now;
        run.shard().publish(stream, &message, now).expect("room");
        run.commit().expect("a commit");
    };
    (1..=30).for_each(|seq| publish(&mut run, seq));
    run.shard()
        .purge(stream, &Purge::default())
        .expect("a purge");
    let checkpoint = run.shard().take_checkpoint(std::iter::empty());
    run.commit().expect("a commit");
    let synced = run.shard().synced();
    run.shard()
        .finish_checkpoint(checkpoint.run(synced))
        .expect("a checkpoint");
    let now = run.now;
    run.shard().tick(now);
    let fault = Fault::Error(ErrorKind::Other);
    run.disk.fail(Call::Write, 0, fault);
    let failed = run.commit().expect_err("a failed commit");
    assert!(matches!(failed, CommitError::Void { .. }), "{failed}");

    publish(&mut run, 31);
    let before = run.state();
    run.shard = None;
    std::fs::remove_dir_all(run.options.dir.join("catalog")).expect("a catalog");
    run.shard = Some(open(&run.disk, &run.options, run.now));
    run.join_account();
    assert_eq!(run.state(), before);
}

/// A commit is under way when a checkpoint is taken, and fails. The log is written on beyond where the checkpoint stands.
#[test]
fn a_checkpoint_of_what_is_void_is_not_written() {
    let mut run = Run::new(0);
    let stream = run.stream;
    let publish = |run: &mut Run, payload: &[u8]| {
        let message = Publish {
            subject: b"s.1",
            headers: b"",
            payload,
            has_interest: true,
            sender: Sender::Client,
        };
        let now = run.now;
        run.shard().publish(stream, &message, now).expect("room");
    };
    run.commit().expect("a commit");
    publish(&mut run, b"void");
    let commit = run.shard().take_commit().expect("a commit");
    let checkpoint = run.shard().take_checkpoint(std::iter::empty());
    let fault = Fault::Error(ErrorKind::Other);
    run.disk.fail(Call::Write, 0, fault);
    let failed = run.shard().finish_commit(commit.run());
    assert!(matches!(failed, Err(CommitError::Void { .. })));
    publish(&mut run, &[1; 3000]);
    run.commit().expect("a commit");

    let synced = run.shard().synced();
    assert!(synced > checkpoint.position());
    let refused = run.shard().finish_checkpoint(checkpoint.run(synced));
    let refused = refused.expect_err("a checkpoint of what never was");
    assert!(matches!(refused, CheckpointError::Void { .. }), "{refused}");
    let before = run.state();
    run.shard = None;
    run.shard = Some(open(&run.disk, &run.options, run.now));
    run.join_account();
    assert_eq!(run.state(), before);
}

/// A checkpoint is taken when the disk gives no room for a log, and the number of the first segment is used up when it does.
#[test]
fn a_checkpoint_of_an_empty_log_is_believed() {
    let dir = tempfile::tempdir().expect("a directory");
    let disk = FaultyStorage::new();
    let options = StoreOptions {
        shards: NonZeroU8::new(1),
        segment_bytes: 64 << 10,
        ..StoreOptions::new(dir.path(), 3)
    };
    let now = Timestamp(1_700_000_000_000_000_000);
    let open = || jetsled_store::open(&options, Arc::new(disk.clone()), now).expect("a store");
    let mut shard = open().shards.remove(0);
    let full = Fault::Error(ErrorKind::StorageFull);
    disk.fail(Call::Allocate, 0, full);
    let checkpoint = shard.take_checkpoint(std::iter::empty());
    assert_eq!(checkpoint.position().offset(), 0);
    let checkpoint = checkpoint.run(shard.synced());
    shard.finish_checkpoint(checkpoint).expect("a checkpoint");
    drop(shard);
    let used = dir.path().join("shard-00/0000000001.aside");
    disk.open(&used, OpenMode::Create).expect("a file");

    let mut shard = open().shards.remove(0);
    let stream = StreamConfig {
        name: "S".to_owned(),
        ..StreamConfig::default()
    };
    shard.create_stream("A", stream, now).expect("a stream");
    // The next one is begun, and never written.
    drop(shard.take_checkpoint(std::iter::empty()));
    let commit = shard.take_commit().expect("a commit");
    shard.finish_commit(commit.run()).expect("it is written");
    drop(shard);
    let opened = open();
    assert!(!opened.report.shards[0].rebuilt);
    assert_eq!(opened.shards[0].streams().count(), 1);
}

fn unlimited() -> StreamConfig {
    StreamConfig {
        name: "S".to_owned(),
        max_msgs: -1,
        max_bytes: -1,
        max_msg_size: -1,
        max_msgs_per_subject: -1,
        ..StreamConfig::default()
    }
}

fn small_segments(dir: &tempfile::TempDir) -> StoreOptions {
    StoreOptions {
        shards: NonZeroU8::new(1),
        segment_bytes: 64 << 10,
        ..StoreOptions::new(dir.path(), 3)
    }
}

#[test]
fn a_refused_consumer_is_not_there_without_what_it_begins_with() {
    let dir = tempfile::tempdir().expect("a directory");
    let (disk, options) = (FaultyStorage::new(), small_segments(&dir));
    let now = Timestamp(1_700_000_000_000_000_000);
    let mut shard = open(&disk, &options, now);
    let stream = shard.create_stream("A", unlimited(), now);
    let stream = stream.expect("a stream");
    // No further segment.
    disk.limit(Some(0));
    let progress = [1; 10_000];
    let mut made = 0;
    while let Ok(_key) = shard.put_consumer(stream, &format!("C{made}"), b"config", &progress) {
        made += 1;
    }
    assert_eq!(shard.consumer_keys().count(), made);
    shard
        .put_consumer(stream, "small", b"config", b"")
        .expect("room for a configuration");
    let commit = shard.take_commit().expect("a commit");
    shard.finish_commit(commit.run()).expect("it is written");
    drop(shard);
    disk.heal();
    let found = open(&disk, &options, now).recovered_consumers();
    assert_eq!(found.len(), made + 1);
    for consumer in found {
        let begins = usize::from(&*consumer.name != "small");
        assert_eq!(consumer.deltas.len(), begins, "{}", consumer.name);
    }
}

#[test]
fn an_update_in_force_is_no_error_when_the_log_refuses_what_expires() {
    let dir = tempfile::tempdir().expect("a directory");
    let (disk, options) = (FaultyStorage::new(), small_segments(&dir));
    let mut now = Timestamp(1_700_000_000_000_000_000);
    let mut shard = open(&disk, &options, now);
    let stream = shard.create_stream("A", unlimited(), now);
    let stream = stream.expect("a stream");
    let message = Publish {
        subject: b"s",
        headers: b"",
        payload: b"",
        has_interest: true,
        sender: Sender::Client,
    };
    // Nearly all of a segment is left, which is too little for the end of each message.
    let mut before = shard.position().segment();
    for number in 1.. {
        shard.publish(stream, &message, now).expect("room");
        let segment = std::mem::replace(&mut before, shard.position().segment());
        if number > 3000 && segment != before {
            break;
        }
    }
    disk.limit(Some(0));
    now = now.saturating_add(Nanos::from_secs(2));
    let shorter = StreamConfig {
        max_age: Nanos::from_secs(1),
        ..unlimited()
    };
    let updated = shard.update_stream(stream, shorter.clone(), now);
    updated.expect("an update");
    let state = shard.stream(stream).expect("a stream");
    assert_eq!(state.config(), &shorter);
    assert_ne!(
        state.messages(),
        0,
        "the log must have refused to expire some"
    );
    disk.heal();
    shard.tick(now);
    assert_eq!(shard.stream(stream).expect("a stream").messages(), 0);
}

/// Half of a commit is in the file when its write fails. It is read as void, so a start must not find it.
#[test]
fn what_was_void_does_not_come_back_with_a_start() {
    let mut run = Run::new(0);
    let before = run.state();
    let stream = run.stream;
    for _ in 0..2 {
        let message = Publish {
            subject: b"s.1",
            headers: b"",
            payload: &[1; 300],
            has_interest: true,
            sender: Sender::Client,
        };
        let now = run.now;
        run.shard().publish(stream, &message, now).expect("room");
    }
    let fault = Fault::Short(ErrorKind::StorageFull);
    run.disk.fail(Call::Write, 0, fault);
    run.commit().expect_err("a failed commit");
    assert_eq!(run.state(), before);
    assert!(run.shard().is_unsettled());
    run.commit().expect("a commit");
    assert!(!run.shard().is_unsettled());
    run.shard = None;
    run.disk = run.disk.after_kill();
    run.shard = Some(open(&run.disk, &run.options, run.now));
    run.join_account();
    assert_eq!(run.state(), before);
}

/// A power cut tears the overwriting of a deleted message in a full segment that has no index yet: the start makes one before it repairs the
/// record.
#[test]
fn a_message_whose_erasure_was_torn_is_deleted_and_not_lost() {
    let mut run = Run::new(0);
    let stream = run.stream;
    let commit_without_upkeep = |run: &mut Run| {
        let commit = run.shard().take_commit().expect("something to write");
        let committed = commit.run();
        run.shard().finish_commit(committed).expect("a commit");
    };
    let (unlimited, now) = (
        StreamConfig {
            name: "S".to_owned(),
            max_msgs: -1,
            max_msgs_per_subject: -1,
            max_bytes: -1,
            max_msg_size: -1,
            ..StreamConfig::default()
        },
        run.now,
    );
    run.shard()
        .update_stream(stream, unlimited, now)
        .expect("an update");
    for seq in 1..=30 {
        let message = Publish {
            subject: b"s.1",
            headers: b"",
            payload: &[seq; 3000],
            has_interest: true,
            sender: Sender::Client,
        };
        let now = run.now;
        run.shard().publish(stream, &message, now).expect("room");
        commit_without_upkeep(&mut run);
    }
    run.shard()
        .delete_message(stream, StreamSeq(1), Erase::Yes)
        .expect("a deletion");
    commit_without_upkeep(&mut run);
    let expected = run.state();
    run.shard = None;
    let segment = run.options.dir.join("shard-00/0000000001.seg");
    run.disk.damage(&segment, |bytes| {
        // Part of what was there before is there again.
        let payload = bytes.windows(3000).position(|at| at == [0; 3000]);
        let erased = payload.expect("an erased message");
        bytes[erased..erased + 100].fill(1);
    });
    let opened = jetsled_store::open(&run.options, Arc::new(run.disk.clone()), run.now);
    let mut opened = opened.expect("a store");
    let log = &opened.report.shards[0].log;
    assert_eq!((&log.damage, &log.claimed), (&vec![], &vec![]));
    run.shard = Some(opened.shards.remove(0));
    run.join_account();
    assert_eq!(run.state(), expected);
    let state = run.shard().state(stream, DeletedDetails::List);
    assert_eq!(state.expect("a state").lost, None);
}

/// A stream whose messages are not in memory, on a disk that can be made to fail. The faults of reads are told one by one.
struct Unread {
    disk: FaultyStorage,
    options: StoreOptions,
    shard: Option<Shard>,
    stream: StreamId,
    _dir: tempfile::TempDir,
}

const NOW: Timestamp = Timestamp(1_700_000_000_000_000_000);

fn after(seconds: i64) -> Timestamp {
    Timestamp(NOW.0 + seconds * 1_000_000_000)
}

impl Unread {
    fn new(config: StreamConfig, messages: &[(&[u8], &[u8])]) -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let options = StoreOptions {
            shards: NonZeroU8::new(1),
            segment_bytes: 64 << 10,
            ..StoreOptions::new(dir.path(), 3)
        };
        let disk = FaultyStorage::new();
        let mut shard = open(&disk, &options, NOW);
        let config = StreamConfig {
            name: "S".to_owned(),
            subjects: vec!["s.>".to_owned()],
            max_bytes: -1,
            max_msg_size: -1,
            allow_rollup_hdrs: true,
            duplicate_window: Nanos::from_secs(120),
            ..config
        };
        let stream = shard.create_stream("A", config, NOW).expect("a stream");
        let mut unread = Self {
            disk,
            options,
            shard: Some(shard),
            stream,
            _dir: dir,
        };
        for (subject, headers) in messages {
            unread.publish(subject, headers).expect("room");
        }
        unread.commit();
        unread.reopen();
        unread
    }

    fn publish(&mut self, subject: &[u8], headers: &[u8]) -> Result<Published, PublishError> {
        let message = Publish {
            subject,
            headers,
            payload: &[1; 3000],
            has_interest: true,
            sender: Sender::Client,
        };
        let stream = self.stream;
        self.shard().publish(stream, &message, NOW)
    }

    fn shard(&mut self) -> &mut Shard {
        self.shard.as_mut().expect("an open shard")
    }

    fn commit(&mut self) {
        if let Some(commit) = self.shard().take_commit() {
            self.shard().finish_commit(commit.run()).expect("a commit");
        }
    }

    fn reopen(&mut self) {
        self.disk = self.disk.after_kill();
        self.shard = None;
        self.shard = Some(open(&self.disk, &self.options, NOW));
    }

    /// So many reads fail from now on.
    fn fail_reads(&self, count: usize) {
        let fault = Fault::Error(ErrorKind::Other);
        (0..count).for_each(|_| self.disk.fail(Call::Read, 0, fault));
    }

    /// First and last sequence, number of messages, lost ones.
    fn state(&mut self) -> [u64; 4] {
        let id = self.stream;
        let stream = self.shard().stream(id).expect("the stream");
        let (first, last) = (stream.first_seq().0, stream.last_seq().0);
        [first, last, stream.messages(), stream.lost_messages()]
    }

    fn checkpoint(&mut self) -> Result<(), CheckpointError> {
        let checkpoint = self.shard().take_checkpoint(std::iter::empty());
        self.commit();
        let synced = self.shard().synced();
        let checkpoint = checkpoint.run(synced);
        self.shard().finish_checkpoint(checkpoint)
    }

    /// A start makes the same of the log, and of what is in the catalog.
    fn starts_again_as(&mut self, expected: [u64; 4]) {
        assert_eq!(self.state(), expected);
        self.commit();
        self.reopen();
        assert_eq!(self.state(), expected);
        self.checkpoint().expect("a checkpoint");
        self.reopen();
        assert_eq!(self.state(), expected);
    }
}

fn limits(max_msgs: i64, max_msgs_per_subject: i64) -> StreamConfig {
    StreamConfig {
        max_msgs,
        max_msgs_per_subject,
        ..StreamConfig::default()
    }
}

const PLAIN: &[(&[u8], &[u8])] = &[(b"s.1", b""), (b"s.2", b""), (b"s.1", b"")];
const WITH_ID: &[u8] = b"NATS/1.0\r\nNats-Msg-Id: x\r\n\r\n";

#[test]
fn a_publish_is_stored_once_when_what_it_removes_can_not_be_read() {
    for config in [limits(3, -1), limits(-1, 2)] {
        let mut unread = Unread::new(config, PLAIN);
        unread.fail_reads(1);
        let published = unread.publish(b"s.1", WITH_ID).expect("it is stored");
        assert_eq!((published.seq.0, published.duplicate), (4, false));
        assert!(
            unread
                .publish(b"s.1", WITH_ID)
                .expect("it is known")
                .duplicate
        );
        unread.commit();
        let id = unread.stream;
        let stream = unread.shard().stream(id).expect("the stream");
        assert_eq!(stream.visible_last_seq().0, 4);
        assert_eq!(unread.state(), [1, 4, 4, 0]);
        let refused = unread.checkpoint().expect_err("behind the log");
        assert!(matches!(refused, CheckpointError::BehindLog { .. }));
        // A later one does not wait for the disk.
        unread.fail_reads(1);
        unread.publish(b"s.1", b"").expect("it is stored");
        // The clock's first try fails as well.
        let next = unread.shard().tick(NOW);
        assert_eq!(next, Some(after(1)));
        assert_eq!(unread.state(), [1, 5, 5, 0]);
        unread.shard().tick(after(1));
        // Of subject s.1 the last two, and s.2.
        let first = if unread.state()[0] == 3 { 3 } else { 2 };
        unread.starts_again_as([first, 5, 3, 0]);
    }
}

#[test]
fn a_limit_holds_on_a_disk_that_does_not_read_any_more() {
    let mut unread = Unread::new(limits(3, -1), PLAIN);
    unread.fail_reads(1000);
    for seq in 4..10 {
        let published = unread.publish(b"s.1", b"").expect("it is stored");
        assert_eq!(published.seq.0, seq);
    }
    unread.commit();
    unread.shard().tick(NOW);
    unread.shard().tick(after(59));
    assert_eq!(unread.state(), [1, 9, 9, 0]);
    unread.shard().tick(after(60));
    let [first, last, messages, lost] = unread.state();
    // Those published since are in memory.
    assert_eq!([first, last, messages, lost], [7, 9, 3, 3]);
    unread.disk.heal();
    unread.checkpoint().expect("a checkpoint");
    unread.reopen();
    assert_eq!(unread.state(), [7, 9, 3, 3]);
}

#[test]
fn a_roll_up_a_purge_and_a_deletion_are_done_when_the_disk_reads_again() {
    type Change = fn(&mut Unread);
    let changes: [(Change, [u64; 4]); 4] = [
        (
            |unread| {
                let sub = b"NATS/1.0\r\nNats-Rollup: sub\r\n\r\n";
                unread.publish(b"s.1", sub).expect("it is stored");
            },
            [2, 4, 2, 0],
        ),
        (
            |unread| {
                let all = b"NATS/1.0\r\nNats-Rollup: all\r\n\r\n";
                unread.publish(b"s.9", all).expect("it is stored");
            },
            [4, 4, 1, 0],
        ),
        (
            |unread| {
                let purge = Purge {
                    filter: Some(b"s.1"),
                    ..Purge::default()
                };
                let stream = unread.stream;
                let purged = unread.shard().purge(stream, &purge);
                purged.expect_err("it is not known how many went");
            },
            [2, 3, 1, 0],
        ),
        (
            |unread| {
                let stream = unread.stream;
                let deleted = unread
                    .shard()
                    .delete_message(stream, StreamSeq(2), Erase::No);
                deleted.expect("it is in the log");
            },
            [1, 3, 2, 0],
        ),
    ];
    for (change, expected) in changes {
        let mut unread = Unread::new(limits(-1, -1), PLAIN);
        unread.fail_reads(1);
        change(&mut unread);
        assert_ne!(unread.state(), expected);
        unread.commit();
        let next = unread.shard().tick(NOW);
        assert!(next.is_none_or(|next| next >= after(1)), "nothing is left");
        unread.starts_again_as(expected);
    }
}

#[test]
fn schedules_that_can_not_be_read_stay_due() {
    let schedule = b"NATS/1.0\r\nNats-Schedule: @at 2023-11-14T22:13:30Z\r\nNats-Schedule-Target: s.out\r\n\r\n";
    let config = StreamConfig {
        allow_msg_schedules: true,
        ..limits(-1, -1)
    };
    let mut unread = Unread::new(config, &[(b"s.1", schedule), (b"s.2", schedule)]);
    unread.fail_reads(1);
    let sent = |unread: &mut Unread, now| {
        let mut sent = Vec::new();
        let next = unread.shard().tick(now);
        unread.shard().take_scheduled(&mut sent);
        let sent: Vec<u64> = sent.iter().map(|sent| sent.schedule.0).collect();
        (sent, next)
    };
    assert_eq!(sent(&mut unread, after(11)), (vec![2], Some(after(12))));
    assert_eq!(sent(&mut unread, after(12)).0, [1]);
    assert!(sent(&mut unread, after(20)).0.is_empty());
}
