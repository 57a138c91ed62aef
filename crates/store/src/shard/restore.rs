//! Streams that are filled from an archive.
//!
//! Such a stream is in the log from the beginning, marked as unfinished, and nobody is shown it. A start drops the unfinished ones, so
//! that a crash leaves either all of it or nothing.

use jetsled_jetstream_api::{StreamConfig, StreamSeq, Timestamp};

use super::{Shard, StoredConfig};
use crate::log::{self, ConsumerKey, Record, StreamId};
use crate::{ChangeError, StoredMessage, Stream};

impl Shard {
    /// Creates a stream to be filled by [`Shard::restore_message`]. `config` must be validated. Nothing in it expires before
    /// [`Shard::finish_restore`]; limits hold as for published messages. To give up, delete it.
    ///
    /// # Errors
    /// When the log takes no records.
    pub fn begin_restore(
        &mut self,
        account: &str,
        config: StreamConfig,
        created: Timestamp,
    ) -> Result<StreamId, ChangeError> {
        let id = StreamId(self.next_stream);
        let mut stream = Stream::new(id, account, config, created);
        stream.set_restoring(true);
        self.add_stream(stream)
    }

    /// Stores a message with the sequence and the time that it had; sequences must rise, those passed over are gone. One whose TTL
    /// has passed only uses up its sequence.
    ///
    /// # Errors
    /// [`ChangeError::Rejected`] for sequences that do not rise and for messages too large for any stream.
    pub fn restore_message(
        &mut self,
        stream: StreamId,
        message: &StoredMessage<'_>,
        now: Timestamp,
    ) -> Result<(), ChangeError> {
        self.change(stream, |target, log| target.restore(log, message, now))
            .map(|_| ())
    }

    /// Takes back messages that turned out to be gone; sequences without one are fine.
    ///
    /// # Errors
    /// When the stream is unknown or the log takes no records.
    pub fn restore_without(&mut self, stream: StreamId, seqs: &[u64]) -> Result<(), ChangeError> {
        self.change(stream, |target, log| target.restore_without(log, seqs))
            .map(|_| ())
    }

    /// Takes back everything below `first`; nothing if that is beyond one past the last sequence.
    ///
    /// # Errors
    /// When the stream is unknown or the log takes no records.
    pub fn restore_from(&mut self, stream: StreamId, first: StreamSeq) -> Result<(), ChangeError> {
        self.change(stream, |target, log| target.restore_from(log, first.get()))
            .map(|_| ())
    }

    /// Gives a consumer the state that it begins with.
    ///
    /// # Errors
    /// When it is unknown or the log takes no records.
    pub fn restore_consumer_state(
        &mut self,
        consumer: ConsumerKey,
        state: Vec<u8>,
    ) -> Result<(), ChangeError> {
        self.check_broken()?;
        let Some(entry) = self.consumers.get_mut(&consumer) else {
            return Err(ChangeError::UnknownConsumer(consumer));
        };
        if !entry.in_memory {
            let reflects = self.log.position();
            let mut bytes = reflects.to_u64().to_le_bytes().to_vec();
            bytes.extend_from_slice(&state);
            self.log.append(&Record::ConsumerState(log::ConsumerState {
                stream: entry.stream,
                consumer,
                state: &bytes,
            }))?;
            entry.emitted_state = reflects;
        }
        entry.checkpoint = Some(state.into());
        Ok(())
    }

    /// Tells where a filled stream ends: sequences to `last` are used up, and the last message was stored at `last_time`, whether or not it is
    /// there.
    ///
    /// # Errors
    /// When the stream is unknown, has no such sequence, or the log takes no records.
    pub fn restore_end(
        &mut self,
        stream: StreamId,
        last: StreamSeq,
        last_time: Timestamp,
    ) -> Result<(), ChangeError> {
        self.change(stream, |target, log| {
            target.skip_to(log, last.get())?;
            if target.last_seq() == last && target.last_time() != last_time {
                target.set_last_time(last_time);
                // No message tells of that time.
                if !target.is_memory() {
                    Self::emit_stream(log, target)?;
                }
            }
            Ok(())
        })
        .map(|_| ())
    }

    /// Makes a filled stream one like others. The change is durable at [`Shard::position`] as of the return.
    ///
    /// # Errors
    /// When the stream is unknown or the log takes no records; it stays unfinished then.
    pub fn finish_restore(&mut self, stream: StreamId) -> Result<(), ChangeError> {
        self.check_broken()?;
        let Some(target) = self.streams.get_mut(&stream) else {
            return Err(ChangeError::UnknownStream(stream));
        };
        target.set_restoring(false);
        if !target.is_memory() {
            let config = StoredConfig::encode(target);
            let record = Record::StreamConfig(log::StreamConfig {
                stream,
                config: &config,
            });
            if let Err(error) = self.log.append(&record) {
                target.set_restoring(true);
                return Err(error.into());
            }
        }
        Ok(())
    }

    /// What consumers of unfinished streams begin with, for a checkpoint: nobody runs them yet.
    pub(super) fn restoring_consumers(&self) -> impl Iterator<Item = (ConsumerKey, Vec<u8>)> {
        let unfinished = |id: &StreamId| self.streams.get(id).is_some_and(Stream::is_restoring);
        self.consumers
            .iter()
            .filter(move |(_, entry)| !entry.in_memory && unfinished(&entry.stream))
            .filter_map(|(key, entry)| Some((*key, entry.checkpoint.as_deref()?.to_vec())))
    }

    /// After a start, or a commit that failed, nobody is left to finish them.
    pub(super) fn drop_unfinished_restores(&mut self) {
        let unfinished: Vec<StreamId> = self
            .streams
            .values()
            .filter(|stream| stream.is_restoring())
            .map(Stream::id)
            .collect();
        for stream in unfinished {
            if self.delete_stream(stream).is_err() {
                // The log takes nothing more: it is dropped again at the next start.
                if let Some(mut gone) = self.streams.remove(&stream) {
                    self.metering.forget(&mut gone);
                }
                self.consumers.retain(|_, entry| entry.stream != stream);
            }
        }
    }
}
