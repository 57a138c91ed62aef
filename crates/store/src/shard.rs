//! A shard: some streams, their consumers' bytes, and one log with one group commit.

use jetsled_jetstream_api::{StreamConfig, StreamSeq, StreamState, Timestamp};
use jetsled_protocol::SubjectFilter;

use crate::log::{
    Commit, CommitError, Committed, ConsumerKey, LogPosition, Maintained, Maintenance, ReadError,
    Selection, StreamId,
};
use crate::{
    ChangeError, Checkpoint, CheckpointError, Checkpointed, DeletedDetails, Erase, MessageMeta,
    PendingCount, Publish, PublishError, Published, Purge, Purged, RecoveredConsumer, Removed,
    StoredMessage, Stream, TooManyResults,
};

/// One shard of the store. A plain value: the server gives it one owner at a time.
///
/// Changes are applied to memory and to the open commit at once; they survive once [`Shard::durable`] has reached
/// the position that they answered with. Memory streams go through the same calls and answer without a position.
#[derive(Debug)]
pub struct Shard {}

impl Shard {
    // --- streams

    /// Creates a stream. `config` must be validated. The change is durable at [`Shard::position`] as of the return.
    ///
    /// # Errors
    /// When the log takes no records.
    pub fn create_stream(
        &mut self,
        account: &str,
        config: StreamConfig,
        created: Timestamp,
        now: Timestamp,
    ) -> Result<StreamId, ChangeError> {
        let _ = (account, config, created, now);
        todo!()
    }

    /// Replaces a stream's configuration, validated as an update of the present one, and enforces lowered limits at once.
    ///
    /// # Errors
    /// When the stream is unknown or the log takes no records.
    pub fn update_stream(
        &mut self,
        stream: StreamId,
        config: StreamConfig,
        now: Timestamp,
    ) -> Result<(), ChangeError> {
        let _ = (stream, config, now);
        todo!()
    }

    /// Deletes a stream with its messages and consumers.
    ///
    /// # Errors
    /// When the stream is unknown or the log takes no records.
    pub fn delete_stream(&mut self, stream: StreamId) -> Result<(), ChangeError> {
        let _ = stream;
        todo!()
    }

    /// A stream's identity, configuration and counters.
    #[must_use]
    pub fn stream(&self, stream: StreamId) -> Option<&Stream> {
        let _ = stream;
        todo!()
    }

    /// All streams, by id.
    pub fn streams(&self) -> impl Iterator<Item = &Stream> {
        std::iter::empty()
    }

    // --- writes

    /// Applies the stream's rules to a message and stores it if they allow: everything of the publish flow after the
    /// input transform, in nats-server's order of checks. Status line and `Nats-Request-Info` are dropped.
    ///
    /// # Errors
    /// [`PublishError::Rejected`] has what the publisher is told.
    pub fn publish(
        &mut self,
        stream: StreamId,
        message: &Publish<'_>,
        now: Timestamp,
    ) -> Result<Published, PublishError> {
        let _ = (stream, message, now);
        todo!()
    }

    /// Purges messages.
    ///
    /// # Errors
    /// [`ChangeError::Rejected`] for `deny_purge` and sealed streams.
    pub fn purge(
        &mut self,
        stream: StreamId,
        purge: &Purge<'_>,
        now: Timestamp,
    ) -> Result<Purged, ChangeError> {
        let _ = (stream, purge, now);
        todo!()
    }

    /// Deletes one message. The change is durable at [`Shard::position`] as of the return.
    ///
    /// # Errors
    /// [`ChangeError::Rejected`] for `deny_delete`, sealed streams, and sequences without a message.
    pub fn delete_message(
        &mut self,
        stream: StreamId,
        seq: StreamSeq,
        erase: Erase,
    ) -> Result<(), ChangeError> {
        let _ = (stream, seq, erase);
        todo!()
    }

    /// Removes a message that no consumer needs any more (interest and workqueue retention). A message that is gone already is fine.
    ///
    /// # Errors
    /// When the stream is unknown or the log takes no records.
    pub fn release(&mut self, stream: StreamId, seq: StreamSeq) -> Result<(), ChangeError> {
        let _ = (stream, seq);
        todo!()
    }

    /// Starts or stops the recording of removed messages for [`Shard::take_removed`]. Streams with consumers are watched.
    pub fn watch_removed(&mut self, stream: StreamId, watched: bool) {
        let _ = (stream, watched);
        todo!()
    }

    /// Moves what limits, purges, deletes and rollups have removed since the last call to the end of `out`.
    pub fn take_removed(&mut self, stream: StreamId, out: &mut Vec<Removed>) {
        let _ = (stream, out);
        todo!()
    }

    // --- reads: all of them see what was published, durable or not, unless they say otherwise

    /// The message at `seq`.
    ///
    /// # Errors
    /// When the record can not be read.
    pub fn load(
        &mut self,
        stream: StreamId,
        seq: StreamSeq,
    ) -> Result<Option<StoredMessage<'_>>, ReadError> {
        let _ = (stream, seq);
        todo!()
    }

    /// The newest message that matches.
    ///
    /// # Errors
    /// When a record can not be read.
    pub fn load_last(
        &mut self,
        stream: StreamId,
        filter: &SubjectFilter,
    ) -> Result<Option<StoredMessage<'_>>, ReadError> {
        let _ = (stream, filter);
        todo!()
    }

    /// The first message at or above `from` that matches.
    ///
    /// # Errors
    /// When a record can not be read.
    pub fn load_next(
        &mut self,
        stream: StreamId,
        from: StreamSeq,
        filter: &SubjectFilter,
    ) -> Result<Option<StoredMessage<'_>>, ReadError> {
        let _ = (stream, from, filter);
        todo!()
    }

    /// The sequence of the first message at or above `from` that matches, with what a consumer must know of it. Cheap in rising order.
    /// Not bounded by [`Stream::visible_last_seq`]: the caller compares. `selection` belongs to this stream and filter; keep it with the consumer.
    ///
    /// # Errors
    /// When a record can not be read.
    pub fn next_match(
        &mut self,
        stream: StreamId,
        from: StreamSeq,
        filter: &SubjectFilter,
        selection: &mut Selection,
    ) -> Result<Option<MessageMeta>, ReadError> {
        let _ = (stream, from, filter, selection);
        todo!()
    }

    /// What a consumer must know of the message at `seq`.
    ///
    /// # Errors
    /// When the record can not be read.
    pub fn meta(
        &mut self,
        stream: StreamId,
        seq: StreamSeq,
    ) -> Result<Option<MessageMeta>, ReadError> {
        let _ = (stream, seq);
        todo!()
    }

    /// The newest sequence that matches.
    ///
    /// # Errors
    /// When a record can not be read.
    pub fn last_match(
        &mut self,
        stream: StreamId,
        filter: &SubjectFilter,
    ) -> Result<Option<StreamSeq>, ReadError> {
        let _ = (stream, filter);
        todo!()
    }

    /// The first sequence stored at or after `time`; one past the last when there is none.
    ///
    /// # Errors
    /// When a record can not be read.
    pub fn seq_for_time(
        &mut self,
        stream: StreamId,
        time: Timestamp,
    ) -> Result<StreamSeq, ReadError> {
        let _ = (stream, time);
        todo!()
    }

    /// How many messages from `from` up to `up_to`, both included, match.
    ///
    /// # Errors
    /// When a record can not be read.
    pub fn num_pending(
        &mut self,
        stream: StreamId,
        from: StreamSeq,
        up_to: StreamSeq,
        filter: &SubjectFilter,
        selection: &mut Selection,
        count: PendingCount,
    ) -> Result<u64, ReadError> {
        let _ = (stream, from, up_to, filter, selection, count);
        todo!()
    }

    /// The sequences of the newest message, at or below `up_to`, of each matching subject, ascending.
    ///
    /// # Errors
    /// The outer error when a record can not be read, the inner one when more than `limit` subjects match.
    pub fn last_per_subject(
        &mut self,
        stream: StreamId,
        up_to: StreamSeq,
        filter: &SubjectFilter,
        limit: usize,
    ) -> Result<Result<Vec<StreamSeq>, TooManyResults>, ReadError> {
        let _ = (stream, up_to, filter, limit);
        todo!()
    }

    /// The stream's state as clients see it; `consumer_count` and `subjects` are left empty.
    ///
    /// # Errors
    /// When the first message's record can not be read.
    pub fn state(
        &mut self,
        stream: StreamId,
        deleted: DeletedDetails,
    ) -> Result<StreamState, ReadError> {
        let _ = (stream, deleted);
        todo!()
    }

    /// Calls `visit` with each matching subject and its number of messages, in no particular order.
    pub fn subjects(
        &self,
        stream: StreamId,
        filter: &SubjectFilter,
        visit: &mut dyn FnMut(&[u8], u64),
    ) {
        let _ = (stream, filter, visit);
        todo!()
    }

    // --- consumers: opaque bytes

    /// Records a consumer's configuration; the same name again replaces it and keeps the key.
    ///
    /// # Errors
    /// When the stream is unknown or the log takes no records.
    pub fn put_consumer(
        &mut self,
        stream: StreamId,
        name: &str,
        config: &[u8],
    ) -> Result<ConsumerKey, ChangeError> {
        let _ = (stream, name, config);
        todo!()
    }

    /// Forgets a consumer.
    ///
    /// # Errors
    /// When it is unknown or the log takes no records.
    pub fn delete_consumer(&mut self, consumer: ConsumerKey) -> Result<(), ChangeError> {
        let _ = consumer;
        todo!()
    }

    /// Records progress of a consumer. It is durable at the position returned; `None`: at once (memory streams).
    ///
    /// # Errors
    /// When the consumer is unknown or the log takes no records.
    pub fn log_progress(
        &mut self,
        consumer: ConsumerKey,
        delta: &[u8],
    ) -> Result<Option<LogPosition>, ChangeError> {
        let _ = (consumer, delta);
        todo!()
    }

    /// The consumers found at the start; a second call answers nothing.
    pub fn recovered_consumers(&mut self) -> Vec<RecoveredConsumer> {
        todo!()
    }

    // --- commit

    /// The end of what was written so far.
    #[must_use]
    pub fn position(&self) -> LogPosition {
        todo!()
    }

    /// The end of what is durable.
    #[must_use]
    pub fn durable(&self) -> LogPosition {
        todo!()
    }

    /// The end of what was fdatasynced, whatever the sync policy.
    #[must_use]
    pub fn synced(&self) -> LogPosition {
        todo!()
    }

    /// Whether an fdatasync is due under [`SyncPolicy::Interval`](crate::SyncPolicy::Interval): call [`Shard::take_sync`].
    #[must_use]
    pub fn sync_due(&self, now: Timestamp) -> bool {
        let _ = now;
        todo!()
    }

    /// Like [`Shard::take_commit`], but ends with an fdatasync whatever the policy.
    pub fn take_sync(&mut self, now: Timestamp) -> Option<Commit> {
        let _ = now;
        todo!()
    }

    /// Takes what was written since the last commit; run it without the shard, then hand the result to [`Shard::finish_commit`].
    /// `None` when nothing was written or a commit is under way.
    pub fn take_commit(&mut self) -> Option<Commit> {
        todo!()
    }

    /// Accepts a commit's outcome: streams' visible ends advance.
    ///
    /// # Errors
    /// When the commit failed. Everything that was not durable is gone and must be answered with an error: the streams are as
    /// the log has them. After a failed sync the shard is fenced: reads go on, writes fail.
    pub fn finish_commit(&mut self, committed: Committed) -> Result<LogPosition, CommitError> {
        let _ = committed;
        todo!()
    }

    // --- time

    /// Does what is due: expiry by age and TTL, the end of deduplication windows, a bounded step of space reclaim.
    /// Answers when to call again at the latest.
    pub fn tick(&mut self, now: Timestamp) -> Option<Timestamp> {
        let _ = now;
        todo!()
    }

    /// Whether enough log was written for a checkpoint to be worth while.
    #[must_use]
    pub fn checkpoint_due(&self) -> bool {
        todo!()
    }

    /// Collects a checkpoint of everything in this shard; `consumers` has each consumer's whole state, as of now. Run it without the
    /// shard once everything appended so far is synced, then hand the result to [`Shard::finish_checkpoint`].
    pub fn take_checkpoint(
        &mut self,
        consumers: impl Iterator<Item = (ConsumerKey, Vec<u8>)>,
    ) -> Checkpoint {
        let _ = consumers;
        todo!()
    }

    /// Accepts a checkpoint's outcome: segments before it may be reclaimed from now on.
    ///
    /// # Errors
    /// When the checkpoint could not be written; the one before it stays.
    pub fn finish_checkpoint(&mut self, checkpointed: Checkpointed) -> Result<(), CheckpointError> {
        let _ = checkpointed;
        todo!()
    }

    /// Work that is better done without the shard's lock, in no hurry, such as writing the index of a full segment.
    pub fn take_maintenance(&mut self) -> Option<Maintenance> {
        todo!()
    }

    /// Takes the result of [`Maintenance::run`].
    pub fn finish_maintenance(&mut self, maintained: Maintained) {
        let _ = maintained;
        todo!()
    }
}
