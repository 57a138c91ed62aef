//! What may refuse a message. Each check stands for itself; their order is [`Stream::publish`]'s.

use jetsled_jetstream_api::{ApiError, DiscardPolicy, Timestamp};
use jetsled_protocol::SubjectFilter;

use super::{IsSchedule, Rollup};
use crate::log::{Log, ReadError};
use crate::stream::publish_headers::{PublishHeaders, parse_seq};
use crate::stream::subject_table::SubjectId;
use crate::stream::ttl::MessageTtl;
use crate::stream::{Publish, PublishError, Sender, Stream};

/// The largest record of a file stream (observed nats-server 2.15.1).
pub(in crate::stream) const MAX_RECORD: u64 = 32 << 20;
/// The largest header block.
const MAX_HEADERS: usize = 65_535;

impl Stream {
    /// Everything that nats-server looks at before it looks for duplicates.
    pub(super) fn check_headers(
        &mut self,
        log: &mut Log,
        message: &Publish<'_>,
        steering: &PublishHeaders<'_>,
        now: Timestamp,
    ) -> Result<IsSchedule, PublishError> {
        if message.headers.is_empty() {
            return Ok(IsSchedule::No);
        }
        if steering.batch_id.is_some_and(|id| !id.is_empty()) && !self.config.allow_atomic {
            return Err(ApiError::ATOMIC_PUBLISH_DISABLED.into());
        }
        self.check_increment(message, steering)?;
        self.check_expected_stream(steering)?;
        let from_client = message.sender == Sender::Client;
        if from_client
            && !self.config.allow_msg_ttl
            && matches!(MessageTtl::of(steering.ttl), Ok(Some(_)))
        {
            return Err(ApiError::MESSAGE_TTL_DISABLED.into());
        }
        self.check_expected_subject_seq(log, message.subject, steering)?;
        if let Some(expected) = steering.expected_last_seq.filter(|value| !value.is_empty())
            && parse_seq(expected) != self.last
        {
            return Err(ApiError::stream_wrong_last_sequence(self.last).into());
        }
        if !from_client {
            return Ok(IsSchedule::No);
        }
        let is_schedule = self.check_schedule(log, message, steering, now, None)?;
        Self::check_stream_source(steering)?;
        Ok(is_schedule)
    }

    pub(in crate::stream) fn check_expected_stream(
        &self,
        steering: &PublishHeaders<'_>,
    ) -> Result<(), ApiError> {
        match steering.expected_stream {
            Some(name) if !name.is_empty() && name != self.config.name.as_bytes() => {
                Err(ApiError::STREAM_NOT_MATCH)
            }
            _ => Ok(()),
        }
    }

    pub(in crate::stream) fn check_stream_source(
        steering: &PublishHeaders<'_>,
    ) -> Result<(), ApiError> {
        match steering.stream_source {
            Some(source) if !source.is_empty() => Err(ApiError::MESSAGE_SOURCE_HDR_NOT_ALLOWED),
            _ => Ok(()),
        }
    }

    pub(in crate::stream) fn check_expected_subject_seq(
        &mut self,
        log: &mut Log,
        subject: &[u8],
        steering: &PublishHeaders<'_>,
    ) -> Result<(), PublishError> {
        let other = steering
            .expected_last_subject_seq_subject
            .filter(|subject| !subject.is_empty());
        let Some(expected) = steering
            .expected_last_subject_seq
            .filter(|value| !value.is_empty())
        else {
            return match other {
                Some(_) => Err(ApiError::STREAM_EXPECTED_LAST_SEQ_PER_SUBJECT_INVALID.into()),
                None => Ok(()),
            };
        };
        let last = match other {
            None => self.last_of_subject(log, subject)?,
            Some(filter) => self.last_matching(log, &SubjectFilter::new([filter]))?,
        };
        let last = last.unwrap_or(0);
        if last == parse_seq(expected) {
            Ok(())
        } else {
            Err(ApiError::stream_wrong_last_sequence(last).into())
        }
    }

    pub(in crate::stream) fn check_last_msg_id(
        &self,
        steering: &PublishHeaders<'_>,
    ) -> Result<(), ApiError> {
        match steering.expected_last_msg_id {
            Some(expected) if !expected.is_empty() && expected != self.last_msg_id => Err(
                ApiError::stream_wrong_last_msg_id(String::from_utf8_lossy(&self.last_msg_id)),
            ),
            _ => Ok(()),
        }
    }

    pub(in crate::stream) fn check_rollup(
        &self,
        steering: &PublishHeaders<'_>,
        sender: Sender,
    ) -> Result<Option<Rollup>, ApiError> {
        let Some(value) = steering.rollup.filter(|value| !value.is_empty()) else {
            return Ok(None);
        };
        if sender == Sender::Client && !self.may_roll_up() {
            return Err(ApiError::stream_rollup_failed("rollup not permitted"));
        }
        Rollup::parse(value).map(Some).ok_or_else(|| {
            let value = String::from_utf8_lossy(value).to_lowercase();
            ApiError::stream_rollup_failed(format_args!("rollup value invalid: {value:?}"))
        })
    }

    #[inline]
    pub(super) fn check_discard_new(
        &mut self,
        log: &mut Log,
        message: &Publish<'_>,
        rollup: bool,
    ) -> Result<(), PublishError> {
        let config = &self.config;
        if config.discard != DiscardPolicy::New {
            return Ok(());
        }
        let refused = |reason| Err(ApiError::stream_store_failed(reason).into());
        let per_subject = u64::try_from(config.max_msgs_per_subject).unwrap_or(0);
        let full = |id: &SubjectId| u64::from(self.subjects.entry(*id).count) >= per_subject;
        let of_subject = self.subjects.find(message.subject);
        let replaces = of_subject.filter(|id| per_subject > 0 && full(id));
        if replaces.is_some() && config.discard_new_per_subject && !rollup {
            return refused("maximum messages per subject exceeded");
        }
        if u64::try_from(config.max_msgs).is_ok_and(|limit| limit > 0 && self.messages >= limit)
            && replaces.is_none()
        {
            return refused("maximum messages exceeded");
        }
        let size = self.size_of_message(message);
        if u64::try_from(config.max_bytes).is_ok_and(|limit| limit > 0 && self.bytes + size > limit)
            && self
                .size_of_oldest(log, replaces)?
                .is_none_or(|old| old < size)
        {
            return refused("maximum bytes exceeded");
        }
        Ok(())
    }

    /// The accounted size of a subject's oldest message.
    fn size_of_oldest(
        &mut self,
        log: &mut Log,
        subject: Option<SubjectId>,
    ) -> Result<Option<u64>, ReadError> {
        let Some(id) = subject else { return Ok(None) };
        let Some(seq) = self.first_of(log, id)? else {
            return Ok(None);
        };
        let lens = self
            .load(log, seq)?
            .map(|old| [old.subject, old.headers, old.payload].map(<[u8]>::len));
        Ok(lens.map(|[subject, headers, payload]| self.size_of(subject, headers, payload)))
    }

    /// The stream's `max_msg_size`, and what a header block may take.
    #[inline]
    pub(in crate::stream) fn check_size(&self, message: &Publish<'_>) -> Result<(), ApiError> {
        let size = message.headers.len() + message.payload.len();
        if usize::try_from(self.config.max_msg_size).is_ok_and(|limit| limit > 0 && size > limit) {
            return Err(ApiError::STREAM_MESSAGE_EXCEEDS_MAXIMUM);
        }
        if message.headers.len() > MAX_HEADERS {
            return Err(ApiError::STREAM_HEADER_EXCEEDS_MAXIMUM);
        }
        Ok(())
    }

    #[inline]
    pub(in crate::stream) fn check_record_size(
        &self,
        message: &Publish<'_>,
    ) -> Result<(), ApiError> {
        if self.memory.is_none() && self.size_of_message(message) > MAX_RECORD {
            return Err(ApiError::stream_store_failed("message too large"));
        }
        Ok(())
    }

    /// A message's accounted size.
    #[inline]
    pub(in crate::stream) fn size_of_message(&self, message: &Publish<'_>) -> u64 {
        self.size_of(
            message.subject.len(),
            message.headers.len(),
            message.payload.len(),
        )
    }
}
