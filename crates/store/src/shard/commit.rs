//! Group commit, checkpoints, and what goes by the clock.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering::{Acquire, Release};

use jetsled_jetstream_api::{Nanos, Timestamp};

use super::{Shard, StoredConfig};
use crate::ChangeError;
use crate::catalog::Section;
use crate::checkpoint::{Checkpoint, CheckpointError, Checkpointed, LOG_KEY, SHARD_KEY, UnderWay};
use crate::log::{
    Commit, CommitError, Committed, ConsumerKey, LogPosition, Maintained, Maintenance, Record,
};

/// Messages that one call may expire in a stream.
pub(super) const EXPIRY_STEP: usize = 10_000;
/// Schedules of a stream that one call may fire.
const SCHEDULE_STEP: usize = 1000;
/// As much log as this many checkpoints is written before the next one: what a stream's ids and subjects take in it must not be written for a few messages.
const CHECKPOINT_SHARE: u64 = 4;
/// The clock's work is not asked for more often.
const TICK: Nanos = Nanos::from_millis(100);

impl Shard {
    /// The end of what was written so far.
    #[must_use]
    pub fn position(&self) -> LogPosition {
        self.log.position()
    }

    /// The end of what is durable.
    #[must_use]
    pub fn durable(&self) -> LogPosition {
        self.log.durable()
    }

    /// The end of what was fdatasynced, whatever the sync policy.
    #[must_use]
    pub fn synced(&self) -> LogPosition {
        self.log.synced()
    }

    /// Bytes that wait in memory for a commit to write them; those of a commit under way do not count. Costs in proportion to their megabytes.
    #[must_use]
    pub fn unwritten_bytes(&self) -> usize {
        self.log.unwritten_bytes()
    }

    /// Whether writes are refused for good, after a sync failed or a [fence](Shard::fence).
    #[must_use]
    pub fn is_fenced(&self) -> bool {
        self.log.is_fenced()
    }

    /// Refuses writes for good: what is in memory may be half of a change. Of a commit under way nothing good is told.
    pub fn fence(&mut self, reason: io::Error) {
        self.log.fence(reason);
    }

    /// Takes what was written since the last commit; run it without the shard, then hand the result to [`Shard::finish_commit`].
    /// `None` when nothing was written or a commit is under way.
    pub fn take_commit(&mut self) -> Option<Commit> {
        let commit = self.log.take_commit()?;
        self.note_in_flight();
        Some(commit)
    }

    /// Whether an fdatasync is due under [`SyncPolicy::Interval`](crate::SyncPolicy::Interval): call [`Shard::take_sync`].
    #[must_use]
    pub fn sync_due(&self, now: Timestamp) -> bool {
        self.log.sync_due(now.0)
    }

    /// Whether the next commit waits for the disk: under [`SyncPolicy::Interval`](crate::SyncPolicy::Interval) most do not.
    #[must_use]
    pub fn next_commit_syncs(&self, now: Timestamp) -> bool {
        self.log.next_commit_syncs(now.0)
    }

    /// Like [`Shard::take_commit`], but ends with an fdatasync whatever the policy.
    pub fn take_sync(&mut self, now: Timestamp) -> Option<Commit> {
        let commit = self.log.take_sync(now.0)?;
        self.note_in_flight();
        Some(commit)
    }

    fn note_in_flight(&mut self) {
        self.in_flight.clear();
        for id in self.touched.drain(..) {
            if let Some(stream) = self.streams.get_mut(&id) {
                stream.untouch();
                self.in_flight.push((id, stream.last_seq().0));
            }
        }
    }

    /// Accepts a commit's outcome: streams' visible ends advance.
    ///
    /// # Errors
    /// When the commit failed. Everything that was not durable is gone and must be answered with an error: the streams and consumers are as
    /// the log has them (memory streams keep what they have). After a failed sync the shard is fenced: reads go on, writes fail.
    pub fn finish_commit(&mut self, committed: Committed) -> Result<LogPosition, CommitError> {
        match self.log.finish_commit(committed) {
            Ok(durable) => {
                for (id, last) in self.in_flight.drain(..) {
                    if let Some(stream) = self.streams.get_mut(&id) {
                        stream.set_visible_last(last);
                    }
                }
                Ok(durable)
            }
            Err(error) => {
                self.in_flight.clear();
                self.failed_commits.fetch_add(1, Release);
                if let CommitError::Void { .. } = error {
                    self.reload();
                }
                Err(error)
            }
        }
    }

    /// Does what is due: expiry by age and TTL, schedules ([`Shard::take_scheduled`]), the end of deduplication windows, a bounded step
    /// of space reclaim.
    /// Answers when to call again at the latest.
    pub fn tick(&mut self, now: Timestamp) -> Option<Timestamp> {
        let mut next: Option<Timestamp> = None;
        for stream in self.streams.values_mut() {
            let retry = stream.catch_up(&mut self.log, now);
            next = [next, retry].into_iter().flatten().min();
            // What expires meanwhile would leave delete markers in the way of what is still to come.
            if stream.is_restoring() || stream.is_set_aside() {
                continue;
            }
            let last = stream.last_seq();
            let scheduled = &mut self.scheduled;
            let expired = stream.expire(&mut self.log, now, EXPIRY_STEP);
            let sent = stream.take_scheduled(&mut self.log, now, SCHEDULE_STEP, scheduled);
            let worked = expired.and_then(|more| Ok(sent? || more));
            let due = match worked {
                Ok(true) => Ok(Some(now)),
                // Expiry waits for what is overdue.
                Ok(false) if stream.is_overdue() => Ok(None),
                Ok(false) => stream
                    .next_due(&mut self.log, now)
                    .map_err(ChangeError::from),
                Err(error) => Err(error),
            };
            let due = due.unwrap_or_else(|error| {
                tracing::warn!(stream = %stream.config().name, %error, "expiry was put off");
                Some(now.saturating_add(Nanos::from_secs(1)))
            });
            // What a read has found to be lost in the meantime counts here, too.
            self.metering.settle(stream);
            self.has_lost |= stream.take_found_lost();
            if stream.last_seq() != last && !stream.is_memory() && stream.touch() {
                self.touched.push(stream.id());
            }
            next = [next, due].into_iter().flatten().min();
        }
        let reclaim = self.reclaim_step(now);
        let next = [next, reclaim].into_iter().flatten().min()?;
        Some(next.max(now.saturating_add(TICK)))
    }

    /// Whether something has to leave a stream that could not be read: a start knows that only from the log.
    pub(super) fn has_overdue(&self) -> bool {
        self.streams.values().any(|stream| stream.is_overdue())
    }

    /// Whether enough log was written for a checkpoint to be worth while, one would let space be reclaimed, or damage was found: what is lost the
    /// log does not say. Not while there is one under way.
    #[must_use]
    pub fn checkpoint_due(&self) -> bool {
        if self.is_checkpoint_under_way() {
            return false;
        }
        let written = self
            .log
            .appended_bytes()
            .saturating_sub(self.checkpoint_appended);
        let much = CHECKPOINT_SHARE * self.checkpoint_bytes;
        written >= self.seat.checkpoint_log_bytes.max(much)
            || self.reclaim.wants_checkpoint()
            || self.has_lost
    }

    /// Collects a checkpoint of everything in this shard; `consumers` has the whole state of every consumer of a file stream, as of now. Run
    /// it without the shard once everything appended so far is synced, then hand the result to [`Shard::finish_checkpoint`]. Of each shard one
    /// at a time.
    pub fn take_checkpoint(
        &mut self,
        consumers: impl Iterator<Item = (ConsumerKey, Vec<u8>)>,
    ) -> Checkpoint {
        // Without it a start only takes more care with this checkpoint.
        if let Err(error) = self.log.append(&Record::Checkpoint) {
            tracing::warn!(shard = self.seat.number, %error, "checkpoint was not marked in the log");
        }
        // One that fails is tried again when there is another reason for it.
        self.has_lost = false;
        let log = self.log.checkpoint();
        let position = log.position;
        let mut entries = vec![
            (Section::Log, LOG_KEY.to_vec(), log.encode()),
            (Section::Log, SHARD_KEY.to_vec(), self.encode_counters()),
        ];
        for (id, stream) in self
            .streams
            .iter()
            .filter(|(_, stream)| !stream.is_memory())
        {
            let key = id.0.to_be_bytes().to_vec();
            entries.push((
                Section::StreamConfig,
                key.clone(),
                StoredConfig::encode(stream),
            ));
            let mut state = Vec::new();
            stream.encode_state(&mut state);
            entries.push((Section::StreamState, key, state));
        }
        for (key, consumer) in self
            .consumers
            .iter()
            .filter(|(_, consumer)| !consumer.in_memory)
        {
            entries.push((
                Section::ConsumerConfig,
                key.0.to_be_bytes().to_vec(),
                consumer.encode(),
            ));
        }
        let kept = consumers.filter(|(key, _)| {
            self.consumers
                .get(key)
                .is_some_and(|entry| !entry.in_memory)
        });
        let kept = kept.chain(self.restoring_consumers());
        let consumers = kept.collect();
        Checkpoint {
            is_behind: self.has_overdue(),
            shard: self.seat.number,
            catalog: self.seat.catalog.clone(),
            position,
            failed_commits: (
                Arc::clone(&self.failed_commits),
                self.failed_commits.load(Acquire),
            ),
            appended: self.log.appended_bytes(),
            dead: self.dead_segments(),
            entries,
            consumers,
            under_way: UnderWay::begin(&mut self.checkpoint_under_way),
        }
    }

    /// Whether a checkpoint was taken that is neither finished nor given up. Until then no space is given back: what is written anew for that goes by
    /// the last checkpoint.
    #[must_use]
    pub fn is_checkpoint_under_way(&self) -> bool {
        self.checkpoint_under_way.strong_count() > 0
    }

    /// Accepts a checkpoint's outcome: segments before it may be reclaimed from now on.
    ///
    /// # Errors
    /// When the checkpoint could not be written; the one before it stays.
    pub fn finish_checkpoint(&mut self, checkpointed: Checkpointed) -> Result<(), CheckpointError> {
        checkpointed.outcome?;
        self.checkpoint_position = checkpointed.position;
        self.catalog_is_newest = true;
        self.checkpoint_appended = checkpointed.appended;
        self.checkpoint_bytes = checkpointed.bytes;
        for (key, state) in checkpointed.consumers {
            if let Some(entry) = self.consumers.get_mut(&key) {
                entry.checkpoint = Some(state.into());
            }
        }
        self.reclaim.checkpoint_done(checkpointed.dead);
        drop(checkpointed.under_way);
        Ok(())
    }

    /// Work that is better done without the shard's lock, in no hurry, such as writing the index of a full segment.
    pub fn take_maintenance(&mut self) -> Option<Maintenance> {
        self.log.take_maintenance()
    }

    /// Whether [`Shard::take_maintenance`] should be called soon. Cheap.
    #[must_use]
    pub fn wants_maintenance(&self) -> bool {
        self.log.is_early_sync_due()
    }

    /// Takes the result of [`Maintenance::run`].
    pub fn finish_maintenance(&mut self, maintained: Maintained) {
        self.log.finish_maintenance(maintained);
        if self.log.is_fenced() {
            self.failed_commits.fetch_add(1, Release);
        }
    }
}
