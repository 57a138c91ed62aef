//! Tests of the whole store on a real directory, against plain models.

mod batches;
mod copies;
mod erase;
mod metering;
mod model;
mod properties;
mod reclaim;
mod recovery;
mod restore;
mod rules;
mod schedules;
mod sequences;

use std::num::NonZeroU8;
use std::sync::Arc;

use jetsled_jetstream_api::{DiscardPolicy, StorageType, StreamConfig, Timestamp};

use crate::storage::FsStorage;
use crate::{Publish, PublishError, Published, Sender, Shard, StoreOptions, StreamId};

pub(super) const SECOND: i64 = 1_000_000_000;

/// A store with one shard in a directory of its own.
pub(super) struct Store {
    pub(super) shard: Option<Shard>,
    pub(super) options: StoreOptions,
    pub(super) now: Timestamp,
    /// Whether it was last opened without a checkpoint.
    pub(super) rebuilt: bool,
    _dir: tempfile::TempDir,
}

impl Store {
    pub(super) fn new(segment_bytes: u32) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let options = StoreOptions {
            shards: NonZeroU8::new(1),
            segment_bytes,
            ..StoreOptions::new(dir.path().join("store"), 7)
        };
        let mut store = Self {
            shard: None,
            options,
            now: Timestamp(1_700_000_000 * SECOND),
            rebuilt: false,
            _dir: dir,
        };
        store.open();
        store
    }

    pub(super) fn shard(&mut self) -> &mut Shard {
        self.shard.as_mut().unwrap()
    }

    fn open(&mut self) {
        let opened = crate::open(&self.options, Arc::new(FsStorage), self.now).unwrap();
        assert!(
            opened.report.shards[0].log.damage.is_empty(),
            "{:?}",
            opened.report
        );
        self.rebuilt = opened.report.shards[0].rebuilt;
        self.shard = opened.shards.into_iter().next();
    }

    /// Closes and opens; without the catalog if asked.
    pub(super) fn reopen(&mut self, keep_catalog: bool) {
        self.commit();
        self.shard = None;
        if !keep_catalog {
            std::fs::remove_dir_all(self.options.dir.join("catalog")).unwrap();
        }
        self.open();
    }

    pub(super) fn commit(&mut self) {
        let shard = self.shard();
        while let Some(commit) = shard.take_commit() {
            shard.finish_commit(commit.run()).unwrap();
        }
        while let Some(maintenance) = shard.take_maintenance() {
            shard.finish_maintenance(maintenance.run());
        }
    }

    pub(super) fn checkpoint(&mut self) {
        let consumers: Vec<_> = self
            .shard()
            .consumer_keys()
            .map(|key| (key, state_of(key.0)))
            .collect();
        let checkpoint = self.shard().take_checkpoint(consumers.into_iter());
        self.commit();
        let done = checkpoint.run(self.shard().synced());
        self.shard().finish_checkpoint(done).unwrap();
    }

    pub(super) fn tick(&mut self) {
        let now = self.now;
        self.shard().tick(now);
    }

    pub(super) fn advance(&mut self, seconds: i64) {
        self.now = Timestamp(self.now.0 + seconds * SECOND);
    }

    pub(super) fn create(&mut self, config: StreamConfig) -> StreamId {
        let now = self.now;
        self.shard().create_stream("ACC", config, now).unwrap()
    }

    pub(super) fn publish(
        &mut self,
        stream: StreamId,
        subject: &str,
        headers: &[(&str, &str)],
        payload: &[u8],
    ) -> Result<Published, PublishError> {
        let now = self.now;
        let headers = header_block(headers);
        let message = Publish {
            subject: subject.as_bytes(),
            headers: &headers,
            payload,
            has_interest: true,
            sender: Sender::Client,
        };
        self.shard().publish(stream, &message, now)
    }
}

/// A consumer's state for tests.
pub(super) fn state_of(consumer: u32) -> Vec<u8> {
    format!("state of {consumer}").into_bytes()
}

pub(super) fn header_block(headers: &[(&str, &str)]) -> Vec<u8> {
    if headers.is_empty() {
        return Vec::new();
    }
    let mut block = b"NATS/1.0\r\n".to_vec();
    for (name, value) in headers {
        block.extend_from_slice(format!("{name}: {value}\r\n").as_bytes());
    }
    block.extend_from_slice(b"\r\n");
    block
}

/// An effective configuration without limits.
pub(super) fn config(name: &str, storage: StorageType) -> StreamConfig {
    StreamConfig {
        name: name.to_owned(),
        subjects: vec![format!("{name}.>")],
        storage,
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

/// The error code of a refused publish; 0 if it was stored.
pub(super) fn code(outcome: &Result<Published, PublishError>) -> (u16, String) {
    match outcome {
        Ok(_) => (0, String::new()),
        Err(PublishError::Rejected(error)) => (error.err_code, error.description.to_string()),
        Err(error) => panic!("{error}"),
    }
}
