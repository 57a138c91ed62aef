//! A store with a past.

use std::collections::BTreeMap;
use std::num::NonZeroU8;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use jetsled_jetstream_api::{
    DiscardPolicy, Nanos, RetentionPolicy, StorageType, StreamConfig, StreamSeq, Timestamp,
};
use jetsled_store::storage::FsStorage;
use jetsled_store::{
    Cipher, ConsumerKey, Encryption, Erase, Opened, Publish, Purge, Sender, Shard, StoreKey,
    StoreOptions, Stream, StreamId,
};
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};

use crate::damage::inflict::copy_tree;
use crate::damage::records::{Found, Records};
use crate::damage::vouch::Place;

const SECRET: u32 = 77;
const STEPS: usize = 260;
pub(super) const SHARDS: u8 = 2;

/// Subject, headers and payload.
pub(super) type Content = (Vec<u8>, Vec<u8>, Vec<u8>);

/// A stream as it was when the store stopped.
#[derive(Debug, Clone, Default)]
pub(super) struct Kept {
    pub(super) name: String,
    pub(super) id: u32,
    pub(super) last: u64,
    pub(super) live: BTreeMap<u64, Content>,
    /// Whatever it ever held.
    pub(super) ever: BTreeMap<u64, Content>,
    /// Whether limits remove what comes before: losing a message changes what they reach.
    pub(super) limited: bool,
    /// How many pieces of progress its consumer has told.
    pub(super) progress: u64,
}

/// A store that has stopped.
#[derive(Debug)]
pub(super) struct Built {
    pub(super) options: StoreOptions,
    pub(super) now: Timestamp,
    /// By shard.
    pub(super) streams: Vec<Vec<Kept>>,
    pub(super) records: Vec<Vec<Found>>,
    /// By shard: the position of the last checkpoint.
    pub(super) checkpoints: Vec<Place>,
    /// Whether it ended as an orderly stop does, with a checkpoint.
    pub(super) orderly: bool,
    /// The operator's key, if the store is encrypted.
    pub(super) key: Option<&'static str>,
    /// Copies of all its files at an earlier time.
    pub(super) older: PathBuf,
}

pub(super) fn open(options: &StoreOptions, now: Timestamp) -> Result<Opened, String> {
    jetsled_store::open(options, Arc::new(FsStorage), now)
        .map_err(|error| format!("does not start: {error}"))
}

struct Building {
    shards: Vec<Shard>,
    now: Timestamp,
    random: SmallRng,
    kept: Vec<BTreeMap<StreamId, Kept>>,
    consumers: Vec<BTreeMap<ConsumerKey, StreamId>>,
    checkpoints: Vec<Place>,
    number: u64,
}

/// The operator's key and the cipher from the first opening on, and from the second.
type Keys = [Option<(&'static str, Cipher)>; 2];

/// A third of all stores are encrypted: from the beginning, with the same or another key and cipher after the second opening, or from that on.
fn keys(random: &mut SmallRng) -> Keys {
    const KEYS: [&str; 2] = ["a key of a store", "the one that came after it"];
    const CIPHERS: [Cipher; 2] = [Cipher::ChaCha, Cipher::Aes];
    let mut any = || {
        (
            KEYS[random.random_range(0..2)],
            CIPHERS[random.random_range(0..2)],
        )
    };
    let (first, second) = (any(), any());
    match random.random_range(0..12) {
        0..8 => [None, None],
        8..10 => [Some(first), Some(second)],
        _ => [None, Some(second)],
    }
}

/// `random`: a number that no other has.
fn encryption(
    key: &str,
    previous: Option<&str>,
    cipher: Cipher,
    random: &Arc<AtomicU64>,
) -> Encryption {
    let random = Arc::clone(random);
    Encryption {
        key: StoreKey::new(key),
        previous: previous.map(StoreKey::new),
        cipher,
        random: Arc::new(move || {
            let mut bytes = [0; 32];
            bytes[..8].copy_from_slice(&random.fetch_add(1, Relaxed).to_le_bytes());
            bytes
        }),
    }
}

pub(super) fn build(seed: u64, dir: &Path) -> Result<Built, String> {
    let mut random = SmallRng::seed_from_u64(seed);
    let keys = keys(&mut random);
    let numbers = Arc::new(AtomicU64::new(0));
    let mut options = StoreOptions::new(dir, u64::from(SECRET));
    options.shards = NonZeroU8::new(SHARDS);
    options.segment_bytes = 64 << 10;
    options.parallel = false;
    options.encryption = keys[0].map(|(key, cipher)| encryption(key, None, cipher, &numbers));
    let now = Timestamp(1_700_000_000_000_000_000);
    let none = || (0..SHARDS).map(|_| BTreeMap::new()).collect();
    let mut building = Building {
        shards: open(&options, now)?.shards,
        now,
        random,
        kept: none(),
        consumers: (0..SHARDS).map(|_| BTreeMap::new()).collect(),
        checkpoints: vec![(0, 0); usize::from(SHARDS)],
        number: 0,
    };
    let failed = |error: String| format!("building: {error}");
    building.create_streams().map_err(failed)?;
    let older = dir.with_extension("older");
    let copy_at = building.random.random_range(STEPS / 4..STEPS);
    let reopen_at = building.random.random_range(STEPS / 4..STEPS);
    for step in 0..STEPS {
        building.step().map_err(failed)?;
        if step == copy_at {
            building.commit();
            copy_tree(dir, &older).map_err(|error| error.to_string())?;
        }
        if step == reopen_at {
            let previous = keys[0].map(|(key, _)| key);
            options.encryption =
                keys[1].map(|(key, cipher)| encryption(key, previous, cipher, &numbers));
            building.reopen(&options).map_err(failed)?;
            if keys[0].is_none() && keys[1].is_some() {
                // Its catalog is made anew.
                building.checkpoints.fill((0, 0));
            }
        }
    }
    building.commit();
    let orderly = building.random.random_bool(0.6);
    if orderly {
        building.checkpoint();
    }
    // It is sealed with the new key by now.
    if let Some(encryption) = &mut options.encryption
        && building.random.random_bool(0.5)
    {
        encryption.previous = None;
    }
    let streams = building.finish()?;
    let checkpoints = building.checkpoints;
    let key = keys[1].map(|(key, _)| key);
    Ok(Built {
        now: building.now,
        streams,
        records: Records::of_store(dir, key)?.by_shard()?,
        checkpoints,
        options,
        orderly,
        key,
        older,
    })
}

fn config(name: &str) -> StreamConfig {
    StreamConfig {
        name: name.to_owned(),
        subjects: vec![format!("{name}.>")],
        storage: StorageType::File,
        max_msgs: -1,
        max_bytes: -1,
        max_msgs_per_subject: -1,
        max_msg_size: -1,
        max_consumers: -1,
        num_replicas: 1,
        allow_rollup_hdrs: true,
        discard: DiscardPolicy::Old,
        ..StreamConfig::default()
    }
}

impl Building {
    fn create_streams(&mut self) -> Result<(), String> {
        for shard in 0..self.shards.len() {
            for name in ["EVENTS", "KV", "WORK", "INTEREST", "CAPPED"] {
                let mut config = config(name);
                match name {
                    "KV" => config.max_msgs_per_subject = self.random.random_range(1..4),
                    "WORK" => config.retention = RetentionPolicy::WorkQueue,
                    "INTEREST" => config.retention = RetentionPolicy::Interest,
                    "CAPPED" => config.max_msgs = self.random.random_range(10..60),
                    _ => {}
                }
                self.create(shard, config)?;
            }
        }
        Ok(())
    }

    fn create(&mut self, shard: usize, config: StreamConfig) -> Result<(), String> {
        let kept = Kept {
            name: config.name.clone(),
            limited: config.max_msgs > 0 || config.max_msgs_per_subject > 0,
            ..Kept::default()
        };
        let store = &mut self.shards[shard];
        let id = store
            .create_stream(&format!("ACCOUNT-{shard}"), config, self.now)
            .map_err(|error| error.to_string())?;
        let key = store
            .put_consumer(id, "worker", b"its configuration", b"")
            .map_err(|error| error.to_string())?;
        self.kept[shard].insert(id, Kept { id: id.0, ..kept });
        self.consumers[shard].insert(key, id);
        Ok(())
    }

    fn step(&mut self) -> Result<(), String> {
        let shard = self.random.random_range(0..self.shards.len());
        let streams: Vec<StreamId> = self.kept[shard].keys().copied().collect();
        let id = streams[self.random.random_range(0..streams.len())];
        let (first, last) = {
            let stream = self.shards[shard].stream(id).ok_or("a stream is gone")?;
            (stream.first_seq().0, stream.last_seq().0)
        };
        let any = StreamSeq(self.random.random_range(first..=last.max(first)));
        match self.random.random_range(0..100) {
            0..58 => {
                for _ in 0..self.random.random_range(1..8) {
                    self.publish(shard, id)?;
                }
            }
            58..66 => {
                // One that is not there is refused.
                let erase = if self.random.random_bool(0.5) {
                    Erase::Yes
                } else {
                    Erase::No
                };
                self.shards[shard].delete_message(id, any, erase).ok();
            }
            66..69 => {
                let purge = Purge {
                    below: any,
                    ..Purge::default()
                };
                self.shards[shard].purge(id, &purge).ok();
            }
            69..71 => {
                let filter = format!(
                    "{}.{}",
                    self.kept[shard][&id].name,
                    self.random.random_range(0..9)
                );
                let purge = Purge {
                    filter: Some(filter.as_bytes()),
                    ..Purge::default()
                };
                self.shards[shard].purge(id, &purge).ok();
            }
            71..77 => {
                self.shards[shard].release(id, any).ok();
            }
            77..83 => self.progress(shard, id)?,
            83..92 => self.commit(),
            92..94 => self.checkpoint(),
            _ => {
                self.now = Timestamp(self.now.0 + 3_000_000_000);
                for shard in &mut self.shards {
                    shard.tick(self.now);
                }
                if self.shards.iter().any(Shard::checkpoint_due) {
                    self.checkpoint();
                }
                self.commit();
            }
        }
        Ok(())
    }

    fn publish(&mut self, shard: usize, id: StreamId) -> Result<(), String> {
        self.number += 1;
        let name = &self.kept[shard][&id].name;
        let subject = format!("{name}.{}", self.random.random_range(0..9)).into_bytes();
        let mut payload = format!("{} in {name}", self.number).into_bytes();
        let len = match self.random.random_range(0..10) {
            0..6 => self.random.random_range(0..200),
            6..9 => self.random.random_range(200..4000),
            _ => self.random.random_range(4000..20_000),
        };
        payload.extend((0..len).map(|_| self.random.random::<u8>()));
        let headers = if self.random.random_bool(0.2) {
            format!("NATS/1.0\r\nNats-Msg-Id: {}\r\n\r\n", self.number).into_bytes()
        } else {
            Vec::new()
        };
        let message = Publish {
            subject: &subject,
            headers: &headers,
            payload: &payload,
            has_interest: true,
            sender: Sender::Client,
        };
        let published = self.shards[shard]
            .publish(id, &message, self.now)
            .map_err(|error| error.to_string())?;
        if let Some(kept) = self.kept[shard].get_mut(&id) {
            kept.ever
                .insert(published.seq.0, (subject, headers, payload));
        }
        Ok(())
    }

    fn progress(&mut self, shard: usize, id: StreamId) -> Result<(), String> {
        let key = self.consumers[shard]
            .iter()
            .find_map(|(key, of)| (*of == id).then_some(*key));
        if let (Some(key), Some(kept)) = (key, self.kept[shard].get_mut(&id)) {
            kept.progress += 1;
            self.shards[shard]
                .log_progress(key, &kept.progress.to_le_bytes())
                .map_err(|error| error.to_string())?;
        }
        Ok(())
    }

    fn commit(&mut self) {
        for shard in &mut self.shards {
            while let Some(commit) = shard.take_commit() {
                shard.finish_commit(commit.run()).ok();
            }
            while let Some(maintenance) = shard.take_maintenance() {
                shard.finish_maintenance(maintenance.run());
            }
        }
    }

    fn checkpoint(&mut self) {
        for number in 0..self.shards.len() {
            let states: Vec<(ConsumerKey, Vec<u8>)> = self.consumers[number]
                .iter()
                .map(|(key, id)| {
                    let told = self.kept[number][id].progress;
                    (*key, told.to_le_bytes().to_vec())
                })
                .collect();
            let checkpoint = self.shards[number].take_checkpoint(states.into_iter());
            self.commit();
            let shard = &mut self.shards[number];
            let position = checkpoint.position();
            let done = checkpoint.run(shard.synced());
            if shard.finish_checkpoint(done).is_ok() {
                self.checkpoints[number] = (position.segment().get(), position.offset() as usize);
            }
        }
    }

    /// Ends, in order or not, and starts again.
    fn reopen(&mut self, options: &StoreOptions) -> Result<(), String> {
        self.commit();
        if self.random.random_bool(0.5) {
            self.checkpoint();
        }
        self.shards.clear();
        self.shards = open(options, self.now)?.shards;
        for shard in &mut self.shards {
            shard.recovered_consumers();
        }
        Ok(())
    }

    /// Closes the store; answers what it held.
    fn finish(&mut self) -> Result<Vec<Vec<Kept>>, String> {
        let mut all = Vec::new();
        for (mut shard, kept) in self.shards.drain(..).zip(std::mem::take(&mut self.kept)) {
            let mut streams = Vec::new();
            for (id, mut kept) in kept {
                kept.last = shard.stream(id).map_or(0, |stream| stream.last_seq().0);
                kept.live = read_all(&mut shard, id)?;
                streams.push(kept);
            }
            all.push(streams);
        }
        Ok(all)
    }
}

/// Every message of a stream.
pub(super) fn read_all(shard: &mut Shard, id: StreamId) -> Result<BTreeMap<u64, Content>, String> {
    let mut found = BTreeMap::new();
    let last = shard.stream(id).map_or(StreamSeq(0), Stream::last_seq);
    shard
        .read_run(id, StreamSeq(1), last, &mut |message| {
            let parts = [message.subject, message.headers, message.payload];
            let [subject, headers, payload] = parts.map(<[u8]>::to_vec);
            found.insert(message.seq.0, (subject, headers, payload));
            ControlFlow::Continue(())
        })
        .map_err(|error| format!("can not be read: {error}"))?;
    Ok(found)
}

/// Enough time for what the clock does.
pub(super) const LATER: Nanos = Nanos::from_secs(3);
