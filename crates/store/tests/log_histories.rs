//! Random histories of a log on a storage that loses its power at every possible moment.
//!
//! What must hold after each cut: every record announced as durable is replayed exactly, in order;
//! what follows is a prefix of what was appended; nothing comes back that was recycled or voided.

use std::path::Path;
use std::sync::Arc;

use jetsled_store::Cipher;
use jetsled_store::log::{
    BatchCommit, CommitError, Log, LogCheckpoint, LogOptions, LogPosition, Message, Record,
    RecordAt, SegmentNo, Selection, StreamId, SyncPolicy,
};
use jetsled_testkit::{Call, Fault, FaultyStorage, log_keys};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

const DIR: &str = "/store/log";

/// A record that was appended and may be expected.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Appended {
    id: u64,
    at: RecordAt,
    /// The first id of its batch.
    batch: Option<u64>,
}

impl Appended {
    fn alone(id: u64, at: RecordAt) -> Self {
        Self {
            id,
            at,
            batch: None,
        }
    }
}

/// A log and what it must hold.
struct Life {
    disk: FaultyStorage,
    log: Log,
    appended: Vec<Appended>,
    /// Everything up to here has been announced.
    announced: LogPosition,
    next_id: u64,
    checkpoint: Option<LogCheckpoint>,
    random: StdRng,
    policy: SyncPolicy,
    cipher: Option<Cipher>,
}

/// Two of three histories are of a sealed log.
fn cipher(seed: u64) -> Option<Cipher> {
    [None, Some(Cipher::ChaCha), Some(Cipher::Aes)][(seed % 3) as usize]
}

fn options(policy: SyncPolicy, cipher: Option<Cipher>) -> LogOptions {
    let mut options = LogOptions::new(0xFEED);
    options.segment_bytes = 64 << 10;
    options.sync = policy;
    options.tail_cache_bytes = 96 << 10;
    options.keys = cipher.map(log_keys);
    options
}

fn payload(id: u64) -> Vec<u8> {
    let mut random = StdRng::seed_from_u64(id);
    let len = match random.random_range(0..10) {
        0 => random.random_range(0..30_000),
        1..4 => random.random_range(0..3_000),
        _ => random.random_range(0..200),
    };
    (0..len).map(|_| random.random()).collect()
}

fn with_record<T>(id: u64, f: impl FnOnce(&Record<'_>) -> T) -> T {
    let subject = format!("orders.{}", id % 7);
    let payload = payload(id);
    f(&Record::Message(Message {
        stream: StreamId(1 + (id % 3) as u32),
        seq: id,
        timestamp: id as i64 * 1000,
        subject: subject.as_bytes(),
        headers: if id.is_multiple_of(4) {
            b"NATS/1.0\r\nA: b\r\n\r\n"
        } else {
            b""
        },
        payload: &payload,
    }))
}

impl Life {
    fn begin(disk: FaultyStorage, policy: SyncPolicy, seed: u64) -> Self {
        let cipher = cipher(seed);
        let (log, _) = open(&disk, (policy, cipher), None, &mut |_, _| ());
        let announced = log.durable();
        let (random, appended) = (StdRng::seed_from_u64(seed), Vec::new());
        Self {
            disk,
            log,
            appended,
            announced,
            next_id: 1,
            checkpoint: None,
            random,
            policy,
            cipher,
        }
    }

    /// Does something; `false` once the power is out.
    fn step(&mut self) -> bool {
        match self.random.random_range(0..20) {
            0 => self.append_batch(),
            1..12 => {
                let id = self.next_id;
                match with_record(id, |record| self.log.append(record)) {
                    Ok(at) => {
                        self.appended.push(Appended::alone(id, at));
                        self.next_id += 1;
                        true
                    }
                    Err(_) => false,
                }
            }
            12..17 => {
                let sync = matches!(self.policy, SyncPolicy::Interval(_))
                    && self.random.random_range(0..3) == 0;
                let commit = if sync {
                    self.log.take_sync(0)
                } else {
                    self.log.take_commit()
                };
                let Some(commit) = commit else { return true };
                // Appends go on while the commit is in flight.
                for _ in 0..self.random.random_range(0..3) {
                    let id = self.next_id;
                    if let Ok(at) = with_record(id, |record| self.log.append(record)) {
                        self.appended.push(Appended::alone(id, at));
                        self.next_id += 1;
                    }
                }
                let committed = commit.run();
                match self.log.finish_commit(committed) {
                    Ok(_) => {
                        self.announced = self.log.synced();
                        true
                    }
                    Err(_) => false,
                }
            }
            17 => {
                if self.log.position() == self.log.synced() {
                    self.checkpoint = Some(self.log.checkpoint());
                }
                true
            }
            18 => {
                if let Some(job) = self.log.take_maintenance() {
                    self.log.finish_maintenance(job.run());
                }
                true
            }
            _ => {
                self.recycle_oldest();
                true
            }
        }
    }

    /// Appends an atomic batch, or begins one and takes it back.
    fn append_batch(&mut self) -> bool {
        let first = self.next_id;
        let last = first + self.random.random_range(0..6);
        let bytes = (first..=last)
            .map(|id| with_record(id, Log::bytes_of))
            .sum::<u64>();
        let records = (last + 1 - first) as usize;
        if bytes + records as u64 * Log::SEAL_BYTES > self.log.batch_limit() {
            return true;
        }
        if self.log.begin_batch(records, bytes).is_err() {
            return false;
        }
        let mut batch = Vec::new();
        for id in first..=last {
            let at = with_record(id, |record| self.log.append(record)).expect("room was made");
            batch.push(Appended {
                id,
                at,
                batch: Some(first),
            });
        }
        if self.random.random_ratio(1, 4) {
            self.log.abandon_batch();
            return true;
        }
        let stream = StreamId(1);
        let commit = BatchCommit {
            stream,
            first,
            last,
        };
        self.log.commit_batch(commit).expect("room was made");
        self.appended.append(&mut batch);
        self.next_id = last + 1;
        true
    }

    fn recycle_oldest(&mut self) {
        let sealed: Vec<_> = self
            .log
            .segments()
            .filter(|usage| usage.sealed)
            .map(|usage| usage.segment)
            .collect();
        if sealed.len() > 2
            && let Some(oldest) = sealed.first()
        {
            self.log.recycle(*oldest);
        }
    }

    fn gone(&self, segment: SegmentNo) -> bool {
        self.log.is_recycled(segment)
    }

    fn readable(&mut self) {
        let live: Vec<_> = self.log.segments().map(|usage| usage.segment).collect();
        for Appended { id, at, .. } in self.appended.clone() {
            if live.contains(&at.segment) {
                let read = self.log.read(at).expect("an appended record reads back");
                with_record(id, |record| assert_eq!(read, *record));
                let found = self
                    .log
                    .locate(StreamId(1 + (id % 3) as u32), id)
                    .expect("an index reads");
                assert_eq!(found, Some(at));
            }
        }
    }

    /// Cuts the power, opens what is left, and checks it.
    fn cut(mut self, seed: u64) -> Self {
        let disk = self.disk.after_power_cut(seed);
        let usable: Vec<_> = self.log.segments().map(|usage| usage.segment).collect();
        for with_checkpoint in [true, false] {
            // On a copy, so that both are tried.
            let disk = disk.after_kill();
            let checkpoint = self.checkpoint.as_ref().filter(|_| with_checkpoint);
            let from = checkpoint.map_or(LogPosition::ZERO, |checkpoint| checkpoint.position);
            let mut replayed = Vec::new();
            let (log, report) = open(
                &disk,
                (self.policy, self.cipher),
                checkpoint,
                &mut |id, at| {
                    assert!(at.start() >= from);
                    let batch = self.appended.iter().find(|other| other.at == at);
                    replayed.push(Appended {
                        id,
                        at,
                        batch: batch.and_then(|other| other.batch),
                    });
                },
            );
            assert_eq!(report.damage, [], "a power cut damages nothing");
            assert!(
                log.durable() >= self.announced,
                "{} < {}",
                log.durable(),
                self.announced
            );
            let after = self
                .appended
                .iter()
                .filter(|appended| appended.at.start() >= from);
            let announced = after
                .clone()
                .filter(|appended| appended.at.end() <= self.announced);
            let must: Vec<_> = announced
                .filter(|appended| usable.contains(&appended.at.segment))
                .collect();
            let may: Vec<_> = after
                .filter(|appended| !self.gone(appended.at.segment))
                .collect();
            let mut rest = may.iter().copied();
            for found in &replayed {
                assert!(
                    rest.any(|other| other == found),
                    "{found:?} is invented or out of order"
                );
            }
            let mut rest = replayed.iter();
            for expected in &must {
                assert!(rest.any(|found| found == *expected), "{expected:?} is lost");
            }
            // Behind what was announced, a prefix.
            let unsure = |a: &&Appended| a.at.end() > self.announced;
            let found: Vec<_> = replayed.iter().filter(unsure).collect();
            let sent: Vec<_> = may.iter().copied().filter(unsure).collect();
            assert_eq!(found, sent[..found.len()], "not a prefix");
            if let (Some(last), Some(next)) = (found.last(), sent.get(found.len())) {
                assert!(
                    last.batch.is_none() || last.batch != next.batch,
                    "part of a batch"
                );
            }
            if !with_checkpoint {
                self.next_id += 1000;
                self.announced = log.durable();
                self.log = log;
                self.disk = disk;
                self.appended = replayed;
                self.checkpoint = None;
                self.readable();
                return self;
            }
        }
        unreachable!("the second round returns")
    }
}

fn open(
    disk: &FaultyStorage,
    (policy, cipher): (SyncPolicy, Option<Cipher>),
    checkpoint: Option<&LogCheckpoint>,
    visit: &mut dyn FnMut(u64, RecordAt),
) -> (Log, jetsled_store::log::LogReport) {
    Log::open(
        Arc::new(disk.clone()),
        Path::new(DIR),
        options(policy, cipher),
        checkpoint,
        &mut |replayed, _| {
            let message = match replayed.record {
                Record::Message(message) => message,
                Record::BatchCommit(_) => return,
                other => panic!("{other:?}"),
            };
            with_record(message.seq, |record| assert_eq!(replayed.record, *record));
            visit(message.seq, replayed.at);
        },
    )
    .expect("a log opens after a power cut")
}

const POLICIES: [SyncPolicy; 2] = [
    SyncPolicy::EveryCommit,
    SyncPolicy::Interval(std::time::Duration::from_secs(1)),
];

#[test]
fn nothing_announced_is_lost_whenever_the_power_fails() {
    for seed in 0..4u64 {
        for policy in POLICIES {
            // How many chances to fail does this history have?
            let mut life = Life::begin(FaultyStorage::new(), policy, seed);
            for _ in 0..200 {
                assert!(life.step());
            }
            life.readable();
            let changes = life.disk.changes();
            let every = if seed == 0 { 2 } else { 13 };
            for cut in (seed % 7..changes).step_by(every) {
                println!("seed {seed} {policy:?} cut at {cut} of {changes}");
                let disk = FaultyStorage::new();
                let mut life = Life::begin(disk, policy, seed);
                life.disk.cut_power_at(cut.max(life.disk.changes()));
                for _ in 0..200 {
                    if !life.step() {
                        break;
                    }
                }
                let mut life = life.cut(seed ^ cut);
                // And again, on what that left.
                let more = life.random.random_range(0..60);
                life.disk.cut_power_at(life.disk.changes() + more / 2);
                for _ in 0..more {
                    if !life.step() {
                        break;
                    }
                }
                let life = life.cut(seed ^ cut ^ 0x5EED);
                drop(life.cut(seed ^ cut ^ 0xBEEF));
            }
        }
    }
}

/// A write that fails for want of space, or any other reason, voids what it held and no more, and the log goes on.
#[test]
fn a_failed_write_voids_its_commit_and_nothing_else() {
    for seed in 0..20u64 {
        for kind in [std::io::ErrorKind::StorageFull, std::io::ErrorKind::Other] {
            println!("seed {seed} {kind:?}");
            let mut life = Life::begin(FaultyStorage::new(), SyncPolicy::EveryCommit, seed);
            for round in 0..4 {
                for _ in 0..life.random.random_range(1..40) {
                    assert!(life.step());
                }
                let fault = if round % 2 == 0 {
                    Fault::Short(kind)
                } else {
                    Fault::Error(kind)
                };
                for _ in 0..life.random.random_range(1..30) {
                    let id = life.next_id;
                    let at = with_record(id, |record| life.log.append(record)).unwrap();
                    life.appended.push(Appended::alone(id, at));
                    life.next_id += 1;
                }
                let Some(commit) = life.log.take_commit() else {
                    continue;
                };
                life.disk
                    .fail(Call::Write, life.random.random_range(0..2), fault);
                let id = life.next_id;
                let at = with_record(id, |record| life.log.append(record)).unwrap();
                life.appended.push(Appended::alone(id, at));
                life.next_id += 1;
                match life.log.finish_commit(commit.run()) {
                    Err(CommitError::Void { void_from, .. }) => {
                        assert_eq!(void_from, life.log.position());
                        for appended in &life.appended {
                            if appended.at.start() >= void_from {
                                assert!(life.log.read(appended.at).is_err());
                            }
                        }
                        life.appended
                            .retain(|appended| appended.at.start() < void_from);
                    }
                    Ok(durable) => life.announced = durable,
                    Err(error) => panic!("{error}"),
                }
                life.disk.fail(Call::Write, u64::MAX, fault);
                life.readable();
                // One that succeeds, so that the void records may not come back.
                loop {
                    let id = life.next_id;
                    life.next_id += 1;
                    let at = with_record(id, |record| life.log.append(record)).unwrap();
                    life.appended.push(Appended::alone(id, at));
                    let Some(commit) = life.log.take_commit() else {
                        continue;
                    };
                    match life.log.finish_commit(commit.run()) {
                        Ok(durable) => {
                            life.announced = durable;
                            break;
                        }
                        Err(CommitError::Void { void_from, .. }) => {
                            life.appended
                                .retain(|appended| appended.at.start() < void_from);
                        }
                        Err(error) => panic!("{error}"),
                    }
                }
                life.readable();
                life = life.cut(seed);
            }
        }
    }
}

#[test]
fn a_failed_sync_fences_for_good_and_reads_go_on() {
    for call in [Call::SyncData, Call::SyncDir] {
        let disk = FaultyStorage::new();
        let mut life = Life::begin(disk, SyncPolicy::EveryCommit, 1);
        let append = |life: &mut Life| with_record(1, |record| life.log.append(record));
        let at = append(&mut life).unwrap();
        life.appended.push(Appended::alone(1, at));
        life.disk
            .fail(call, 0, Fault::Error(std::io::ErrorKind::Other));
        let commit = life.log.take_commit().unwrap();
        let failed = life.log.finish_commit(commit.run());
        assert!(
            matches!(failed, Err(CommitError::Fenced { .. })),
            "{failed:?}"
        );
        assert!(life.log.is_fenced());
        assert!(append(&mut life).is_err());
        assert!(life.log.take_commit().is_none());
        assert!(life.log.read(at).is_ok());
        drop(life.cut(3));
    }
}

#[test]
fn a_full_disk_refuses_before_it_promises_and_recovers_when_space_returns() {
    let disk = FaultyStorage::new();
    let mut life = Life::begin(disk, SyncPolicy::EveryCommit, 1);
    life.disk.limit(Some(130 << 10));
    let mut id = 0;
    let error = loop {
        id += 1;
        match with_record(id, |record| life.log.append(record)) {
            Ok(at) => life.appended.push(Appended::alone(id, at)),
            Err(error) => break error,
        }
    };
    assert!(
        matches!(error, jetsled_store::log::AppendError::NoSpace(_)),
        "{error}"
    );
    let commit = life.log.take_commit().unwrap();
    life.announced = life.log.finish_commit(commit.run()).unwrap();
    life.readable();
    life.disk.limit(None);
    let at = with_record(id, |record| life.log.append(record)).unwrap();
    life.appended.push(Appended::alone(id, at));
    let commit = life.log.take_commit().unwrap();
    life.announced = life.log.finish_commit(commit.run()).unwrap();
    let mut life = life.cut(7);
    let count: u64 = (1..=3)
        .map(|stream| {
            let mut all = Selection::everything();
            life.log
                .count(StreamId(stream), 0..=u64::MAX, &mut all, &mut |_| true)
                .unwrap()
        })
        .sum();
    assert_eq!(count, life.appended.len() as u64);
}
