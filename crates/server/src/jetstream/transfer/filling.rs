//! A stream on its way from an archive into a shard.

use hashbrown::HashSet;
use jetsled_archive::{ArchivedConsumer, ArchivedMessage};
use jetsled_dispatch::Consumer;
use jetsled_jetstream_api::{ApiError, ConsumerRules, StreamSeq, Timestamp};
use jetsled_protocol::subject;
use jetsled_store::{ChangeError, RecoveredConsumer, StoredMessage, StreamId};

use super::restore::Restore;
use super::{STRETCH_BYTES, STRETCH_MESSAGES};
use crate::jetstream::account::{Reservation, RestoredStream};
use crate::jetstream::consumer_record::ConsumerRecord;
use crate::jetstream::shard::{ShardHandle, Wait};
use crate::routing::FlushSet;

/// Bytes that may wait for the disk.
const MAX_UNSYNCED: usize = 4 << 20;
/// Bytes that the states of a stream's consumers may take.
const MAX_CONSUMER_STATES: usize = 256 << 20;

/// An unfinished stream. Dropped before [`Filling::finish`] it leaves nothing.
pub(super) struct Filling<'a> {
    restore: &'a Restore,
    /// The stream's name, subjects and space, until it is there.
    reservation: Reservation,
    shard: &'a ShardHandle,
    stream: StreamId,
    created: Timestamp,
    /// The highest sequence used up so far.
    last: StreamSeq,
    /// What was written, as of the last stretch.
    wait: Wait,
    unsynced: usize,
    bytes: Vec<u8>,
    messages: Vec<(StreamSeq, Timestamp, [usize; 3])>,
    /// Messages to take back.
    gone: Vec<u64>,
    consumers: Vec<RecoveredConsumer>,
    consumer_names: HashSet<Box<str>>,
    consumer_bytes: usize,
    finished: bool,
}

impl<'a> Filling<'a> {
    /// Begins a stream of so many bytes, if the archive says how many.
    pub(super) fn begin(
        restore: &'a Restore,
        bytes: u64,
        created: Option<Timestamp>,
    ) -> Result<Self, ApiError> {
        let reservation = restore.jetstream.reserve(&restore.config, bytes)?;
        let runtime = restore.jetstream.runtime();
        let shard = runtime.emptiest_shard(restore.account.name(), &restore.config.name);
        let mut locked = shard.lock();
        let created = created.unwrap_or(locked.now);
        let stream = locked
            .store
            .begin_restore(restore.account.name(), restore.config.clone(), created)
            .map_err(failed)?;
        let meter = restore.jetstream.stream_meter(restore.config.storage);
        locked.store.set_account_meter(stream, meter);
        let wait = locked.wait(restore.config.storage);
        drop(locked);
        Ok(Self {
            restore,
            reservation,
            shard,
            stream,
            created,
            last: StreamSeq(0),
            wait,
            unsynced: 0,
            bytes: Vec::new(),
            messages: Vec::new(),
            gone: Vec::new(),
            consumers: Vec::new(),
            consumer_names: HashSet::new(),
            consumer_bytes: 0,
            finished: false,
        })
    }

    /// The highest sequence used up so far.
    pub(super) fn last(&self) -> StreamSeq {
        self.last
    }

    /// Uses up all sequences to `last`.
    pub(super) fn use_up_to(&mut self, last: StreamSeq) -> Result<(), ApiError> {
        self.store_stretch()?;
        self.last = self.last.max(last);
        let mut locked = self.shard.lock();
        let store = &mut locked.store;
        store.skip_to(self.stream, last).map(|_| ()).map_err(failed)
    }

    /// Takes back what is below `first`.
    pub(super) fn begin_at(&mut self, first: StreamSeq) -> Result<(), ApiError> {
        self.store_stretch()?;
        let mut locked = self.shard.lock();
        let store = &mut locked.store;
        store.restore_from(self.stream, first).map_err(failed)
    }

    /// Takes back a message.
    pub(super) fn take_back(&mut self, seq: StreamSeq) -> Result<(), ApiError> {
        self.gone.push(seq.get());
        if self.gone.len() < STRETCH_MESSAGES {
            return Ok(());
        }
        self.store_stretch()
    }

    /// Stores a message; sequences must rise.
    pub(super) fn message(&mut self, message: &ArchivedMessage<'_>) -> Result<(), ApiError> {
        let ArchivedMessage {
            seq,
            timestamp,
            subject,
            headers,
            payload,
        } = *message;
        if !subject::is_valid_literal(subject) {
            let reason = format_args!("failed to store message sequence {seq}: invalid subject");
            return Err(ApiError::stream_restore(reason));
        }
        let most = self.restore.config.max_msg_size;
        if usize::try_from(most).is_ok_and(|most| headers.len() + payload.len() > most) {
            let reason = format_args!("message sequence {seq} exceeds maximum message size");
            return Err(ApiError::stream_restore(reason));
        }
        let parts = [subject, headers, payload];
        for part in parts {
            self.bytes.extend_from_slice(part);
        }
        self.last = seq;
        self.messages.push((seq, timestamp, parts.map(<[u8]>::len)));
        if self.bytes.len() < STRETCH_BYTES && self.messages.len() < STRETCH_MESSAGES {
            return Ok(());
        }
        self.store_stretch()
    }

    /// Stores the messages gathered, and takes back what is gone; waits for the disk where much is on its way.
    fn store_stretch(&mut self) -> Result<(), ApiError> {
        let mut locked = self.shard.lock();
        let now = locked.now;
        let mut rest = self.bytes.as_slice();
        for (seq, timestamp, lens) in self.messages.drain(..) {
            let [subject, headers, payload] = lens.map(|len| {
                let (part, behind) = rest.split_at(len);
                rest = behind;
                part
            });
            let message = StoredMessage {
                seq,
                timestamp,
                subject,
                headers,
                payload,
            };
            let store = &mut locked.store;
            store
                .restore_message(self.stream, &message, now)
                .map_err(failed)?;
        }
        let store = &mut locked.store;
        store
            .restore_without(self.stream, &self.gone)
            .map_err(failed)?;
        self.gone.clear();
        locked.commit_now();
        self.wait.until_written(&locked);
        drop(locked);
        self.unsynced += self.bytes.len();
        self.bytes.clear();
        if self.unsynced > MAX_UNSYNCED {
            self.unsynced = 0;
            self.wait_durable()?;
        }
        Ok(())
    }

    fn wait_durable(&self) -> Result<(), ApiError> {
        self.shard
            .wait_durable(self.wait)
            .map_err(ApiError::stream_restore)
    }

    /// Stores a consumer with its state.
    pub(super) fn consumer(&mut self, archived: ArchivedConsumer) -> Result<(), ApiError> {
        let ArchivedConsumer {
            name,
            mut config,
            state,
        } = archived;
        let failed = |error: &dyn std::fmt::Display| {
            ApiError::stream_restore(format_args!("failed to add consumer {name:?}: {error}"))
        };
        config.name.clone_from(&name);
        let jetstream = &self.restore.jetstream;
        let rules = ConsumerRules {
            stream: &self.restore.config,
            server: jetstream.server_limits(),
            account_max_ack_pending: jetstream.account_limits().max_ack_pending,
            pedantic: false,
        };
        let mut config = config
            .validated(&rules)
            .map_err(|error| failed(&error.description))?;
        if !config.is_durable() {
            config.set_default_threshold();
        }
        jetstream
            .check_consumer_count(&self.restore.config, self.consumers.len())
            .map_err(|error| failed(&error.description))?;
        let checkpoint = Consumer::checkpoint_of(&state, config.ack_policy).map_err(|error| {
            ApiError::stream_restore(format_args!(
                "failed to set consumer {name:?} state: {error}"
            ))
        })?;
        self.consumer_bytes += checkpoint.len();
        if self.consumer_bytes > MAX_CONSUMER_STATES {
            return Err(failed(&"the states of the consumers are too large"));
        }
        if !self.consumer_names.insert(name.as_str().into()) {
            return Err(failed(&format_args!("consumer {name:?} is there twice")));
        }
        let record = ConsumerRecord::encode(self.created, &name, &config);
        let mut locked = self.shard.lock();
        let store = &mut locked.store;
        let key = store
            .put_consumer(self.stream, &name, &record, b"")
            .map_err(|error| failed(&error))?;
        store
            .restore_consumer_state(key, checkpoint.clone())
            .map_err(|error| failed(&error))?;
        locked.commit_soon();
        drop(locked);
        self.consumers.push(RecoveredConsumer {
            stream: self.stream,
            key,
            name: name.into(),
            config: record,
            checkpoint: Some(checkpoint),
            deltas: Vec::new(),
        });
        Ok(())
    }

    /// Puts the stream and its consumers into service.
    pub(super) fn finish(&mut self) -> Result<RestoredStream, ApiError> {
        self.store_stretch()?;
        // Consumers are measured against what is durable.
        self.wait_durable()?;
        let consumers = std::mem::take(&mut self.consumers);
        let mut flush = FlushSet::new();
        let restored = self.restore.jetstream.finish_restore(
            &self.reservation,
            self.shard,
            self.stream,
            &self.wait,
            &consumers,
            &mut flush,
        );
        flush.flush();
        self.finished = restored.is_ok();
        restored
    }
}

impl Drop for Filling<'_> {
    fn drop(&mut self) {
        if self.finished {
            return;
        }
        let mut locked = self.shard.lock();
        // A failed commit may have taken it already.
        if locked.store.stream(self.stream).is_none() {
            return;
        }
        if let Err(error) = locked.store.delete_stream(self.stream) {
            tracing::warn!("JetStream unfinished restore not deleted: {error}");
        }
        locked.commit_soon();
    }
}

fn failed(error: ChangeError) -> ApiError {
    match error {
        ChangeError::Rejected(error) => error,
        error => ApiError::stream_restore(error),
    }
}
