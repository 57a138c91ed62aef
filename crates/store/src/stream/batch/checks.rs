//! What may refuse a message of a batch. nats-server checks batches in another order than single messages, and an atomic one
//! against what its earlier messages will have done (ADR-50, observed nats-server 2.15.1).

use jetsled_jetstream_api::{ApiError, DiscardPolicy, Timestamp};

use super::effects::BatchEffects;
use crate::log::Log;
use crate::stream::publish::{Edits, IsSchedule, Rollup};
use crate::stream::publish_headers::{PublishHeaders, parse_seq};
use crate::stream::ttl::MessageTtl;
use crate::stream::{Publish, PublishError, Stream};

/// What the checks say of a message that they do not refuse.
pub(super) enum Checked {
    New(IsSchedule),
    /// Its `Nats-Msg-Id` was stored under this sequence.
    Duplicate(u64),
}

impl Stream {
    /// Checks a message behind those of its batch that have had the `effects`, and edits it for being stored. `before`: the last one
    /// of them on its subject, as it will be stored.
    pub(super) fn check_in_batch(
        &mut self,
        log: &mut Log,
        message: &Publish<'_>,
        edits: &mut Edits,
        (effects, before): (&BatchEffects<'_>, Option<&Publish<'_>>),
        now: Timestamp,
    ) -> Result<Checked, PublishError> {
        edits.begin(message, &PublishHeaders::scan(message.headers));
        let edited = edits.apply(message);
        self.check_record_size(&edited)?;
        self.check_sequences_left(effects.messages + 1)?;
        self.check_size(&edited)?;
        let mut steering = PublishHeaders::scan(edited.headers);
        self.check_increment(&edited, &steering)?;
        self.check_expected_stream(&steering)?;
        if !self.config.allow_msg_ttl && !matches!(MessageTtl::of(steering.ttl), Ok(None)) {
            return Err(ApiError::MESSAGE_TTL_DISABLED.into());
        }
        MessageTtl::of(steering.ttl)?;
        if let Some(id) = steering.msg_id.filter(|id| !id.is_empty()) {
            if effects.has_id(id) {
                return Err(ApiError::ATOMIC_PUBLISH_CONTAINS_DUPLICATE_MESSAGE.into());
            }
            if let Some(seq) = self.find_duplicate(id, now) {
                return Ok(Checked::Duplicate(seq));
            }
        }
        Self::check_stream_source(&steering)?;
        if self.config.allow_msg_counter {
            let counted = self.count(log, &edited, &steering, before)?;
            edits.count(message, &counted);
            steering = PublishHeaders::scan(edits.apply(message).headers);
        }
        let edited = edits.apply(message);
        self.check_size(&edited)?;
        self.check_last_seq_in_batch(&steering, effects)?;
        self.check_last_subject_seq_in_batch(log, message.subject, &steering, effects)?;
        let scheduler = steering
            .scheduler
            .and_then(|name| effects.schedule_on(name));
        let is_schedule = self.check_schedule(log, &edited, &steering, now, scheduler)?;
        let rollup = match self.check_rollup(&steering, message.sender)? {
            None if is_schedule == IsSchedule::Yes => Some(Rollup::Subject),
            rollup => rollup,
        };
        match rollup {
            Some(Rollup::Subject) if effects.messages_on(message.subject) > 0 => {
                return Err(ApiError::stream_rollup_failed("batch rollup sub invalid").into());
            }
            Some(Rollup::All) if !effects.is_empty() => {
                return Err(ApiError::stream_rollup_failed("batch rollup all invalid").into());
            }
            _ => {}
        }
        if is_schedule == IsSchedule::Yes && steering.rollup.is_none_or(<[u8]>::is_empty) {
            edits.set_header(message, b"Nats-Rollup", b"sub");
        }
        let edited = edits.apply(message);
        self.metered.check_server()?;
        if self.keeps(message) {
            let bytes = effects.bytes + self.size_of_message(&edited);
            self.metered.check_account(bytes)?;
        }
        self.check_discard_new_in_batch(&edited, rollup, effects)?;
        let raised = self.raised_ttl(&PublishHeaders::scan(message.headers))?;
        if let Some(least) = raised {
            edits.set_header(message, b"Nats-TTL", least.as_bytes());
        }
        Ok(Checked::New(is_schedule))
    }

    fn check_last_seq_in_batch(
        &self,
        steering: &PublishHeaders<'_>,
        effects: &BatchEffects<'_>,
    ) -> Result<(), ApiError> {
        let Some(expected) = steering.expected_last_seq.filter(|value| !value.is_empty()) else {
            return Ok(());
        };
        let last = self.last + effects.messages;
        if parse_seq(expected) != last {
            Err(ApiError::stream_wrong_last_sequence(last))
        } else if !effects.is_empty() {
            Err(ApiError::STREAM_WRONG_LAST_SEQUENCE_CONSTANT)
        } else {
            Ok(())
        }
    }

    fn check_last_subject_seq_in_batch(
        &mut self,
        log: &mut Log,
        subject: &[u8],
        steering: &PublishHeaders<'_>,
        effects: &BatchEffects<'_>,
    ) -> Result<(), PublishError> {
        let subject_of_check = steering
            .expected_last_subject_seq_subject
            .filter(|subject| !subject.is_empty())
            .unwrap_or(subject);
        let is_expected = steering
            .expected_last_subject_seq
            .is_some_and(|value| !value.is_empty());
        // A sequence that the batch has yet to give can't be expected.
        if is_expected && effects.messages_on(subject_of_check) > 0 {
            return Err(ApiError::STREAM_WRONG_LAST_SEQUENCE_CONSTANT.into());
        }
        self.check_expected_subject_seq(log, subject, steering)
    }

    /// Unlike a single message, one of a batch finds no room where it would replace another one.
    fn check_discard_new_in_batch(
        &self,
        message: &Publish<'_>,
        rollup: Option<Rollup>,
        effects: &BatchEffects<'_>,
    ) -> Result<(), ApiError> {
        let config = &self.config;
        if config.discard != DiscardPolicy::New {
            return Ok(());
        }
        let over = |limit: i64, count: u64| {
            u64::try_from(limit).is_ok_and(|limit| limit > 0 && count > limit)
        };
        let refused = |reason| Err(ApiError::stream_store_failed(reason));
        if over(config.max_msgs, self.messages + effects.messages + 1) {
            return refused("maximum messages exceeded");
        }
        let bytes = self.bytes + effects.bytes + self.size_of_message(message);
        if over(config.max_bytes, bytes) {
            return refused("maximum bytes exceeded");
        }
        if config.discard_new_per_subject && rollup.is_none() {
            let stored = self
                .subjects
                .find(message.subject)
                .map_or(0, |id| u64::from(self.subjects.entry(id).count));
            let count = stored + effects.messages_on(message.subject) + 1;
            if over(config.max_msgs_per_subject, count) {
                return refused("maximum messages per subject exceeded");
            }
        }
        Ok(())
    }
}
