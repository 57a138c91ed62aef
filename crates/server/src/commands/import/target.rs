//! The new store, on its way: one shard, filled by one thread while another one writes what it was filled with before.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::Duration;

use jetsled_jetstream_api::{StreamConfig, StreamSeq, Timestamp};
use jetsled_store::{
    ChangeError, CheckpointError, Commit, CommitError, Committed, ConsumerKey, Shard,
    StoredMessage, StreamId, SyncPolicy,
};

/// Bytes that are gathered for one write.
const BATCH: usize = 4 << 20;
/// What is written needs no sync before the end: a store that is not finished is not used.
pub(super) const SYNC: SyncPolicy = SyncPolicy::Interval(Duration::from_secs(1 << 30));
/// No message and no TTL is older than this: nothing expires while it is carried over, but at the first start.
pub(super) const BEFORE_ALL: Timestamp = Timestamp(0);

/// A shard that is being filled.
pub(super) struct Target<'s> {
    shard: &'s mut Shard,
    writer: Writer,
    /// Bytes appended since the last commit.
    open: usize,
    /// The consumers of its streams with their states.
    consumers: Vec<(ConsumerKey, Vec<u8>)>,
}

/// The new store does not take what it is given.
#[derive(Debug, thiserror::Error)]
pub(super) enum TargetError {
    #[error("the new store can't be written: {0}")]
    Change(#[from] ChangeError),
    #[error("the new store can't be written: {0}")]
    Commit(#[from] CommitError),
    #[error("the new store can't be written: {0}")]
    Checkpoint(#[from] CheckpointError),
}

impl<'s> Target<'s> {
    pub(super) fn new(shard: &'s mut Shard) -> Self {
        Self {
            shard,
            writer: Writer::start(),
            open: 0,
            consumers: Vec::new(),
        }
    }

    pub(super) fn shard(&self) -> &Shard {
        self.shard
    }

    pub(super) fn begin(
        &mut self,
        account: &str,
        config: StreamConfig,
        created: Timestamp,
    ) -> Result<StreamId, TargetError> {
        Ok(self.shard.begin_restore(account, config, created)?)
    }

    /// Stores a message; answers why it was not, if the reason is its own.
    pub(super) fn message(
        &mut self,
        stream: StreamId,
        message: &StoredMessage<'_>,
    ) -> Result<Option<String>, TargetError> {
        match self.shard.restore_message(stream, message, BEFORE_ALL) {
            Ok(()) => {}
            Err(ChangeError::Rejected(error)) => return Ok(Some(error.description.into())),
            Err(error) => return Err(error.into()),
        }
        self.open += message.subject.len() + message.headers.len() + message.payload.len() + 64;
        if self.open >= BATCH {
            self.commit()?;
        }
        Ok(None)
    }

    /// Gives a stream its end, and puts it into service.
    pub(super) fn finish(
        &mut self,
        stream: StreamId,
        last_seq: StreamSeq,
        last_time: Timestamp,
    ) -> Result<(), TargetError> {
        self.shard.restore_end(stream, last_seq, last_time)?;
        self.shard.finish_restore(stream)?;
        self.commit()
    }

    pub(super) fn consumer(
        &mut self,
        stream: StreamId,
        name: &str,
        record: &[u8],
        state: Vec<u8>,
    ) -> Result<(), TargetError> {
        let key = self.shard.put_consumer(stream, name, record, b"")?;
        self.shard.restore_consumer_state(key, state.clone())?;
        self.consumers.push((key, state));
        Ok(())
    }

    /// Makes everything durable, and a checkpoint of it.
    pub(super) fn end(mut self) -> Result<(), TargetError> {
        let consumers = std::mem::take(&mut self.consumers);
        let checkpoint = self.shard.take_checkpoint(consumers.into_iter());
        self.finish_commit()?;
        while let Some(commit) = self.shard.take_sync(BEFORE_ALL) {
            self.shard.finish_commit(commit.run())?;
        }
        self.maintain();
        let checkpointed = checkpoint.run(self.shard.synced());
        self.shard.finish_checkpoint(checkpointed)?;
        Ok(())
    }

    fn commit(&mut self) -> Result<(), TargetError> {
        self.open = 0;
        self.finish_commit()?;
        if let Some(commit) = self.shard.take_commit() {
            self.writer.write(commit);
        }
        self.maintain();
        Ok(())
    }

    /// Waits for the last commit.
    fn finish_commit(&mut self) -> Result<(), TargetError> {
        if let Some(committed) = self.writer.written() {
            self.shard.finish_commit(committed)?;
        }
        Ok(())
    }

    /// Indexes of full segments go to the disk as they come, and not stay in memory.
    fn maintain(&mut self) {
        while let Some(maintenance) = self.shard.take_maintenance() {
            self.shard.finish_maintenance(maintenance.run());
        }
    }
}

/// A thread that writes one commit at a time.
struct Writer {
    commits: Sender<Commit>,
    written: Receiver<Committed>,
    in_flight: bool,
}

impl Writer {
    /// It ends when this is dropped.
    fn start() -> Self {
        let (commits, taken) = channel::<Commit>();
        let (done, written) = channel();
        thread::spawn(move || {
            taken
                .into_iter()
                .try_for_each(|commit| done.send(commit.run()))
        });
        Self {
            commits,
            written,
            in_flight: false,
        }
    }

    fn write(&mut self, commit: Commit) {
        self.in_flight = self.commits.send(commit).is_ok();
    }

    fn written(&mut self) -> Option<Committed> {
        if !std::mem::take(&mut self.in_flight) {
            return None;
        }
        self.written.recv().ok()
    }
}
