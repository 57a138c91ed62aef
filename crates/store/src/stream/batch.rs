//! Messages that are published in batches: atomic ones, which are stored together or not at all, and the messages of
//! fast-ingest batches, which stand for themselves (ADR-50).

mod checks;
mod effects;
mod staged;

use jetsled_jetstream_api::{ApiError, RetentionPolicy, StreamSeq, Timestamp};

use super::publish::{Accepted, Edits};
use super::publish_headers::PublishHeaders;
use super::{Publish, PublishError, Published, Stream};
use crate::log::{self, AppendError, Log, SegmentNo};
use checks::Checked;
use effects::BatchEffects;
pub use staged::{StagedBatch, StagedMessage};

impl Stream {
    /// Stores all messages of an atomic batch, or none of them. Answers what became of each, and what of it was stored otherwise
    /// than it came.
    pub(crate) fn publish_batch(
        &mut self,
        log: &mut Log,
        messages: &[Publish<'_>],
        now: Timestamp,
    ) -> Result<Vec<(Published, Edits)>, PublishError> {
        let time = now.max(self.last_time);
        let edits = self.check_batch(log, messages, time)?;
        let published = self.store_batch(log, messages, &edits, time)?;
        Ok(published.into_iter().zip(edits).collect())
    }

    /// Applies the rules of a fast-ingest batch to one of its messages: those of a single one in another order.
    pub(crate) fn publish_fast(
        &mut self,
        log: &mut Log,
        message: &Publish<'_>,
        now: Timestamp,
    ) -> Result<Published, PublishError> {
        let time = now.max(self.last_time);
        let mut edits = std::mem::take(&mut self.edits);
        let published = self.publish_fast_edited(log, message, &mut edits, time);
        self.edits = edits;
        published
    }

    fn publish_fast_edited(
        &mut self,
        log: &mut Log,
        message: &Publish<'_>,
        edits: &mut Edits,
        time: Timestamp,
    ) -> Result<Published, PublishError> {
        let alone = (&BatchEffects::default(), None);
        if let Checked::Duplicate(seq) = self.check_in_batch(log, message, edits, alone, time)? {
            return Ok(Published::duplicate(StreamSeq(seq), time));
        }
        let edited = edits.apply(message);
        let steering = PublishHeaders::scan(edited.headers);
        self.check_last_msg_id(&steering)?;
        if !self.keeps(message) {
            return self.skip(log, message.subject, &steering, time);
        }
        let (seq, previous) = self.store(log, &accepted(&edited, &steering), time)?;
        let published = Published::stored(StreamSeq(seq), StreamSeq(previous), time);
        Ok(Published {
            edited: edits.any(),
            ..published
        })
    }

    /// Whether some consumer's interest keeps the message, where that is asked for.
    pub(super) fn keeps(&self, message: &Publish<'_>) -> bool {
        self.config.retention != RetentionPolicy::Interest || message.has_interest
    }

    /// Checks a whole batch; answers what of its messages is stored otherwise than it came.
    fn check_batch(
        &mut self,
        log: &mut Log,
        messages: &[Publish<'_>],
        time: Timestamp,
    ) -> Result<Vec<Edits>, PublishError> {
        let mut effects = BatchEffects::default();
        let mut all: Vec<Edits> = Vec::with_capacity(messages.len());
        for message in messages {
            let steering = PublishHeaders::scan(message.headers);
            if steering
                .expected_last_msg_id
                .is_some_and(|id| !id.is_empty())
            {
                let header = "Nats-Expected-Last-Msg-Id";
                return Err(ApiError::atomic_publish_unsupported_header_batch(header).into());
            }
            let before = effects.last_on(message.subject);
            let before = before.and_then(|at| Some(all.get(at)?.apply(messages.get(at)?)));
            let mut edits = Edits::default();
            let so_far = (&effects, before.as_ref());
            let is_schedule = match self.check_in_batch(log, message, &mut edits, so_far, time)? {
                Checked::New(is_schedule) => is_schedule,
                Checked::Duplicate(_) => {
                    return Err(ApiError::ATOMIC_PUBLISH_CONTAINS_DUPLICATE_MESSAGE.into());
                }
            };
            let bytes = self.size_of_message(&edits.apply(message));
            let msg_id = steering.msg_id.filter(|id| !id.is_empty());
            effects.add(message.subject, bytes, msg_id, is_schedule);
            all.push(edits);
        }
        Ok(all)
    }

    /// Logs and applies a batch that was checked.
    fn store_batch(
        &mut self,
        log: &mut Log,
        messages: &[Publish<'_>],
        edits: &[Edits],
        time: Timestamp,
    ) -> Result<Vec<Published>, PublishError> {
        let edited: Vec<Publish<'_>> = messages
            .iter()
            .zip(edits)
            .map(|(message, edits)| edits.apply(message))
            .collect();
        let segment = self.log_batch(log, &edited, time)?;
        let mut published = Vec::with_capacity(messages.len());
        for (message, edits) in edited.iter().zip(edits) {
            published.push(Published {
                edited: edits.any(),
                ..self.apply_of_batch(log, message, segment, time)
            });
        }
        Ok(published)
    }

    /// Logs a batch. Answers the segment that it lies in; nothing for a memory stream.
    fn log_batch(
        &self,
        log: &mut Log,
        messages: &[Publish<'_>],
        time: Timestamp,
    ) -> Result<Option<SegmentNo>, AppendError> {
        if self.is_memory() || messages.is_empty() {
            return Ok(None);
        }
        let first = self.last + 1;
        let (mut records, mut bytes) = (0, 0);
        for (seq, message) in (first..).zip(messages) {
            let (more, longer) = self.log_bytes_of(seq, message, time);
            records += more;
            bytes += longer;
        }
        log.begin_batch(records, bytes)?;
        let appended = (|| {
            for (seq, message) in (first..).zip(messages) {
                let steering = PublishHeaders::scan(message.headers);
                if self.keeps(message) {
                    let message = accepted(message, &steering);
                    log.append_message(&self.record_of(seq, &message, time))?;
                } else {
                    self.log_skip(log, seq, message.subject, &steering)?;
                }
            }
            log.commit_batch(log::BatchCommit {
                stream: self.id,
                first,
                last: self.last + messages.len() as u64,
            })
        })();
        match appended {
            Ok(at) => Ok(Some(at.segment)),
            Err(error) => {
                log.abandon_batch();
                Err(error)
            }
        }
    }

    /// How many records a message takes in the log, stored or skipped, and how many bytes.
    fn log_bytes_of(&self, seq: u64, message: &Publish<'_>, time: Timestamp) -> (usize, u64) {
        let steering = PublishHeaders::scan(message.headers);
        if self.keeps(message) {
            let message = accepted(message, &steering);
            (
                1,
                Log::bytes_of(&log::Record::Message(self.record_of(seq, &message, time))),
            )
        } else {
            self.skip_records(seq, message.subject, &steering)
                .fold((0, 0), |(records, bytes), record| {
                    (records + 1, bytes + Log::bytes_of(&record))
                })
        }
    }

    fn apply_of_batch(
        &mut self,
        log: &mut Log,
        message: &Publish<'_>,
        segment: Option<SegmentNo>,
        time: Timestamp,
    ) -> Published {
        let steering = PublishHeaders::scan(message.headers);
        if !self.keeps(message) {
            return self.apply_skipped(log, message.subject, &steering, time);
        }
        let message = accepted(message, &steering);
        let seq = self.last + 1;
        let previous = self.apply_message(log, seq, time.0, &message, segment);
        Published::stored(StreamSeq(seq), StreamSeq(previous), time)
    }
}

/// An edited message that the checks have let through.
fn accepted<'a>(message: &Publish<'a>, steering: &'a PublishHeaders<'a>) -> Accepted<'a> {
    Accepted {
        subject: message.subject,
        headers: message.headers,
        payload: message.payload,
        payload_len: message.payload.len(),
        steering,
    }
}
